"""What the bus has no more, or has otherwise: a row in the ledger with the exact count, and never a row twice."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.recording import NOBODY
from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.commands.capture_troubles import troubles_of, wholeness
from options_helper.data.recording.journal import Record, RecordKind, gap_record, recorded_market
from options_helper.data.recording.loss_log import LossRow, loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.verify import audit
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.gaps import Gap
from options_helper.model.snapshot import Phase
from tests.bus.test_recording import received_at
from tests.kit.bus import both_servers, nats_server
from tests.kit.fakes import (
    NOON,
    SETTINGS,
    ScriptedSource,
    ScriptedStreams,
    acknowledge,
    announce,
    deliver,
    wait_for,
)
from tests.kit.rebuilt import partitions
from tests.kit.recording_bus import AT_THE_END, STOCKS, WANTED, bids, recording, stocks
from tests.kit.serving import beginning, quotes, serving
from tests.kit.waiting import wait_until
from tests.kit.written import MILLISECOND, WrittenDesk, frames


def recorded(address: BusAddress, out: Path, received: int) -> CaptureEngine:
    """Record until the ledger has so many events; it has ended."""
    with recording(address, out) as engine:
        wait_until(
            lambda: (
                stocks(engine).connections
                and stocks(engine).received >= received
                and not stocks(engine).queued
            ),
            saw=lambda: stocks(engine),
        )
    assert stocks(engine).received == received
    return engine


def begun(address: BusAddress, out: Path) -> None:
    """A recorder has found where to begin, and ended before anything came."""
    with recording(address, out) as engine:
        wait_until(
            lambda: engine.status().journal_bytes and stocks(engine).connections, saw=lambda: stocks(engine)
        )
        wait_until(lambda: list(engine._records._places), saw=engine.status)  # noqa: SLF001 - it is written with these


def ledger(out: Path) -> list[LossRow]:
    """What is missing, but for the time in which nobody spoke as an owner: of batches that a test writes, all of it."""
    return [row for row in loss_rows(out) if row.stream == STOCKS and NOBODY not in row.reason]


def unowned(out: Path) -> float:
    """How many seconds without an owner the ledger has; a busy computer's first owner may come late, too."""
    rows = [row for row in loss_rows(out) if NOBODY in row.reason]
    assert all(row.lost is None for row in rows), "nobody could count"
    return sum((row.until_ns or row.since_ns) - row.since_ns for row in rows) / 1e9


def as_expected(numbers: Sequence[int]) -> list[float]:
    return [100 + number for number in numbers]


def test_what_was_sent_between_the_first_look_and_the_first_frame_is_recorded_after_a_kill(tmp_path: Path):
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        desk.write(quotes(0, 5))
        begun(server.address, tmp_path)
        desk.write(quotes(5, 5))
        recorded(server.address, tmp_path, 10)

    assert bids(tmp_path) == as_expected(range(5, 10)), "it begins with what came after its first look"
    assert not ledger(tmp_path)


@both_servers
def test_a_recorder_that_comes_too_late_tells_to_the_event_what_the_bus_has_no_more(tmp_path: Path, binary):
    with nats_server(binary) as server:
        desk = WrittenDesk(server.address, keep_bytes=40_000)
        begun(server.address, tmp_path)
        desk.write(quotes(0, 10))
        recorded(server.address, tmp_path, 20)
        for first in range(10, 2_000, 10):
            desk.write(quotes(first, 10))
        engine = recorded(server.address, tmp_path, desk.sent - 20)

    missed = stocks(engine).missed
    assert missed > 0
    assert stocks(engine).applied + missed == desk.sent - 20
    (row,) = ledger(tmp_path)
    assert (row.lost, row.since_ns) == (missed, NOON + 9 * MILLISECOND)
    assert "does not have" in row.reason
    got = bids(tmp_path)
    assert got == as_expected([*range(10), *range(2_000 - (len(got) - 10), 2_000)])
    assert 2 * len(got) == desk.sent - missed, "rows are what was sent minus what is told as lost"
    assert any(f"{missed:,} events were missed" in trouble for trouble in troubles_of(engine.status()))
    (problem,) = audit(tmp_path).problems
    assert f"{missed} events" in problem


def test_batches_that_the_store_lacks_in_its_midst_are_a_hole_and_are_told_once(tmp_path: Path):
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        begun(server.address, tmp_path)
        desk.write(quotes(0, 3))
        desk.skip(quotes(3, 4))
        desk.write(quotes(7, 3))
        engine = recorded(server.address, tmp_path, 20)
        recorded(server.address, tmp_path, 0)

    assert (stocks(engine).applied, stocks(engine).missed) == (12, 8)
    (row,) = ledger(tmp_path)
    assert (row.lost, row.since_ns, row.until_ns) == (8, NOON + 2 * MILLISECOND, NOON + 7 * MILLISECOND)
    assert bids(tmp_path) == as_expected([0, 1, 2, 7, 8, 9])
    again = tmp_path.with_name("again")
    rebuild(tmp_path, again)
    assert partitions(again) == partitions(tmp_path)
    assert [(one.lost, one.since_ns) for one in loss_rows(again)] == [(row.lost, row.since_ns)]


def test_a_gap_that_was_told_before_a_kill_is_not_told_again(tmp_path: Path):
    """The ledger is written first, the place after it: a kill between the two finds the same hole again."""
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        begun(server.address, tmp_path)
        desk.write(quotes(0, 3))
        recorded(server.address, tmp_path, 6)
        desk.skip(quotes(3, 4))
        desk.write(quotes(7, 3))
        before = tmp_path.with_name("before")
        shutil.copytree(tmp_path, before)
        recorded(server.address, tmp_path, 14)
        # The kill: the ledger is that of after, all else that of before.
        shutil.copytree(tmp_path / "gaps", before / "gaps")
        recorded(server.address, before, 14)

    assert [row.lost for row in ledger(before)] == [8]
    assert bids(before) == as_expected([0, 1, 2, 7, 8, 9])


@pytest.mark.parametrize("forgets", [False, True])
def test_a_store_that_was_made_anew_is_a_gap_and_what_it_has_is_new(tmp_path: Path, *, forgets: bool):
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        begun(server.address, tmp_path)
        desk.write(quotes(0, 5))
        recorded(server.address, tmp_path, 10)
        desk.write(quotes(5, 5))  # which nobody has read
        server.kill()
        server.forget()
        server.start()
        desk.make_stores()
        desk.next_term(forgets=forgets)
        desk.write(quotes(10, 5))
        engine = recorded(server.address, tmp_path, 10 if forgets else 20)

    (row,) = ledger(tmp_path)
    assert row.lost == (None if forgets else 10)
    assert ("not known" if forgets else "10 events") in row.reason
    assert stocks(engine).missed == (0 if forgets else 10)
    assert bids(tmp_path) == as_expected([*range(5), *range(10, 15)])


def test_an_old_copy_of_the_store_brings_nothing_twice_and_what_follows_is_recorded(tmp_path: Path):
    out, copy = tmp_path / "out", tmp_path / "copy"
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        begun(server.address, out)
        desk.write(quotes(0, 5))
        server.kill()
        shutil.copytree(server._folder, copy)  # noqa: SLF001 - what a person would put back
        server.start()
        desk.write(quotes(5, 5))
        recorded(server.address, out, 20)
        server.kill()
        server.forget()
        shutil.copytree(copy, server._folder)  # noqa: SLF001
        server.start()
        recorded(server.address, out, 0)
        desk.next_term()
        desk.write(quotes(10, 5))
        recorded(server.address, out, 10)

    assert bids(out) == as_expected(range(15))
    (row,) = ledger(out)
    assert row.lost is None
    assert "Another owner took over" in row.reason


def test_an_owner_whose_term_is_before_the_recorded_one_is_refused_and_said(tmp_path: Path):
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        begun(server.address, tmp_path)
        desk.next_term()
        desk.write(quotes(0, 5))
        recorded(server.address, tmp_path, 10)
        server.kill()
        server.forget()
        server.start()
        with serving(server, deliver(*quotes(5, 5)), epoch=NOON - 1) as owner:
            wait_until(lambda: owner.events() == 10)
            with recording(server.address, tmp_path) as engine:
                wait_until(
                    lambda: "before the one that was recorded" in (stocks(engine).last_error or ""),
                    saw=lambda: stocks(engine),
                )
                assert stocks(engine).phase not in (Phase.LIVE, Phase.QUIET)

    assert bids(tmp_path) == as_expected(range(5))


def test_damaged_batches_are_rejected_to_the_event_and_end_nothing(tmp_path: Path):
    chance = random.Random(1)
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        begun(server.address, tmp_path)
        kept, lost = [], 0
        for number in range(300):
            data = desk.skip(quotes(number, 1))
            if chance.random() < 0.5 and number < 299:
                data = mutated(data, chance)
                lost += 2
            else:
                kept.append(number)
            desk.store(data)
        engine = recorded(server.address, tmp_path, 600)

    health = stocks(engine)
    assert (health.applied, health.rejected, health.missed) == (2 * len(kept), lost, 0)
    assert sum(row.lost or 0 for row in ledger(tmp_path)) == lost
    assert all("could not be read" in row.reason for row in ledger(tmp_path))
    assert bids(tmp_path) == as_expected(kept)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One byte other, or some missing, or something behind it."""
    match chance.randrange(3):
        case 0:
            at = chance.randrange(len(data))
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        case 1:
            return data[: chance.randrange(len(data))]
        case _:
            return data + chance.randbytes(chance.randrange(1, 50))


def test_what_is_no_batch_and_in_nobodys_count_is_one_rejected_message(tmp_path: Path):
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        begun(server.address, tmp_path)
        desk.write(quotes(0, 1))
        desk.store(b"nothing", b"")
        desk.write(quotes(1, 1))
        engine = recorded(server.address, tmp_path, 6)

    assert (stocks(engine).applied, stocks(engine).rejected) == (4, 2)
    assert [row.lost for row in ledger(tmp_path)] == [2]


def test_a_gap_that_the_owner_had_is_in_the_ledger_once_with_its_leg(tmp_path: Path):
    gap = Gap(STOCKS, NOON, NOON + 5, "dropped: the queue was full", 7)
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        begun(server.address, tmp_path)
        told = gap_record(NOON + 5, gap)._replace(stream=STOCKS)
        nonsense = Record(RecordKind.GAP, NOON + 5, b"nonsense", STOCKS)
        desk.store(desk.batch([*frames(quotes(0, 1)), told, nonsense, *frames(quotes(1, 1), NOON + 6)]))
        recorded(server.address, tmp_path, 4)
        recorded(server.address, tmp_path, 0)

    (row,) = ledger(tmp_path)
    assert (row.since_ns, row.until_ns, row.lost) == (NOON, NOON + 5, 7)
    assert row.reason == "From Alpaca to the owner: dropped: the queue was full"


def test_another_recording_in_the_folder_since_is_a_reason_to_begin_anew(tmp_path: Path):
    """Its own rows would come once more."""
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        begun(server.address, tmp_path)
        desk.write(quotes(0, 1))
        recorded(server.address, tmp_path, 2)
        direct = CaptureEngine(
            CaptureConfig(WANTED, tmp_path, policy=AT_THE_END),
            SETTINGS,
            source=ScriptedSource({STOCKS: ScriptedStreams([acknowledge(), deliver(*quotes(1, 1))])}),
        )
        direct.start()
        wait_until(lambda: stocks(direct).applied == 2)
        direct.stop()
        desk.write(quotes(1, 1))
        begun(server.address, tmp_path)
        desk.write(quotes(2, 1))
        recorded(server.address, tmp_path, 2)

    assert bids(tmp_path) == as_expected(range(3))


@pytest.mark.parametrize("days", [0, 20])
def test_another_owner_is_a_gap_from_the_last_frame_of_one_to_the_first_of_the_other(
    tmp_path: Path, days: int
):
    """Also beside each symbol's file, on whichever day the market is that is received today."""
    began = NOON + days * 86_400_000 * MILLISECOND
    go_on, later = threading.Event(), threading.Event()
    with nats_server() as server, recording(server.address, tmp_path) as engine:
        with serving(server, wait_for(go_on), received_at(began, *quotes(0, 3))):
            wait_until(lambda: stocks(engine).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: stocks(engine))
            go_on.set()
            wait_until(lambda: stocks(engine).applied == 6)
        with serving(
            server, wait_for(later), received_at(began + 60 * MILLISECOND, *quotes(3, 3)), epoch=NOON + 1
        ):
            wait_until(lambda: stocks(engine).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: stocks(engine))
            later.set()
            wait_until(lambda: stocks(engine).applied == 12)

    (row,) = [row for row in ledger(tmp_path) if "Another owner" in row.reason]
    assert (row.since_ns, row.until_ns, row.lost) == (began + 2 * MILLISECOND, began + 60 * MILLISECOND, None)
    assert bids(tmp_path) == as_expected(range(6))
    assert [one.gaps for one in audit(tmp_path).partitions] == [1, 1]


def test_while_the_owner_is_away_the_phase_names_the_leg_and_its_last_word_is_recorded(tmp_path: Path):
    go_on = threading.Event()
    with nats_server() as server, recording(server.address, tmp_path) as engine:
        wait_until(lambda: "no owner has told of itself yet" in (stocks(engine).last_error or ""))
        with serving(server, wait_for(go_on), deliver(*quotes(0, 3))):
            wait_until(lambda: stocks(engine).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: stocks(engine))
            assert stocks(engine).acknowledged == ("AAPL", "MSFT")
            go_on.set()
            wait_until(lambda: stocks(engine).applied == 6)
        wait_until(lambda: stocks(engine).phase is Phase.RECONNECTING, saw=lambda: stocks(engine))
        assert "From Alpaca to the owner: the owner on here" in (stocks(engine).last_error or "")
        assert "served by here" in (engine.status().owner or "")
    assert not [row for row in ledger(tmp_path) if row.lost]


def test_a_simulated_market_is_noted_as_one(tmp_path: Path):
    header = Announcement(MarketKind.SIMULATED, NOON, 1.0, None).header()
    with (
        nats_server() as server,
        recording(server.address, tmp_path) as engine,
        serving(server, announce(header), deliver(*quotes(0, 3))),
    ):
        wait_until(lambda: stocks(engine).applied == 6, saw=lambda: stocks(engine))
        wait_until(lambda: engine.status().market is MarketKind.SIMULATED)
    assert recorded_market(tmp_path) is MarketKind.SIMULATED


def test_only_what_was_asked_for_becomes_rows_and_all_of_it_is_counted(tmp_path: Path):
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        with recording(server.address, tmp_path, replace(WANTED, stocks=("MSFT",))) as engine:
            wait_until(lambda: stocks(engine).connections and engine.status().journal_bytes)
            wait_until(lambda: list(engine._records._places))  # noqa: SLF001
            desk.write(quotes(0, 4))
            wait_until(lambda: stocks(engine).applied == 8, saw=lambda: stocks(engine))

    assert (bids(tmp_path), len(bids(tmp_path, "MSFT"))) == ([], 4)
    assert audit(tmp_path).problems == ()


def test_a_recorder_that_ends_before_the_next_owners_first_frame_says_that_nobody_listened(tmp_path: Path):
    """The row of a takeover comes with a frame; the next capture finds it, and this one must not pass it over."""
    with nats_server() as server, recording(server.address, tmp_path) as engine:
        with serving(server, deliver(*quotes(0, 3))) as owner:
            wait_until(lambda: stocks(engine).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: stocks(engine))
            owner.source_stream().sink.frame(quotes(3, 1)[0], 2)
            wait_until(lambda: bids(tmp_path) or stocks(engine).applied, saw=lambda: stocks(engine))
        wait_until(lambda: engine.status().unowned_seconds > 0.2, saw=engine.status)
        with serving(server, epoch=NOON + 1):
            wait_until(lambda: stocks(engine).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: stocks(engine))
            status = engine.stop()

    assert status.unowned_seconds > 0.2
    assert "an owner received" in wholeness(status)
    assert unowned(tmp_path) == pytest.approx(status.unowned_seconds, abs=0.01)


def test_a_recorder_whose_owner_has_ended_and_that_ends_without_another_says_so(tmp_path: Path):
    with nats_server() as server, recording(server.address, tmp_path) as engine:
        with serving(server, deliver(*quotes(0, 3))):
            wait_until(lambda: stocks(engine).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: stocks(engine))
        wait_until(lambda: engine.status().unowned_seconds > 0.2, saw=engine.status)
        status = engine.stop()

    assert status.unowned_seconds > 0.2
    assert engine.status().unowned_seconds == status.unowned_seconds, "it has ended"
    assert "an owner received" in wholeness(status)
    assert unowned(tmp_path) == pytest.approx(status.unowned_seconds, abs=0.01)


def test_nothing_is_recorded_under_the_name_of_another_feed_before_the_owner_says_its_own(tmp_path: Path):
    """Its frames may be there before the word that names the feed."""
    of_sip = replace(WANTED, stock_feed="sip")
    with (
        nats_server() as server,
        beginning(server, deliver(*quotes(0, 3))) as owner,
        recording(server.address, tmp_path, of_sip) as engine,
    ):
        wait_until(lambda: "served by" in (engine.status().owner or ""))
        wait_until(lambda: list(engine._records._places))  # noqa: SLF001 - it knows from where on it reads
        owner.start()
        wait_until(lambda: "streams the iex feed" in (stocks(engine).last_error or ""))
    assert stocks(engine).received == 0
    assert bids(tmp_path) == []


def test_what_an_owner_of_another_feed_published_before_the_present_one_is_a_gap_and_no_row(tmp_path: Path):
    """A recorder that catches up over several owners has the word of the last one only; each term says its own."""
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        desk.open("iex")
        begun(server.address, tmp_path)
        desk.write(quotes(0, 5))
        recorded(server.address, tmp_path, 10)
        desk.open("sip")
        desk.write(quotes(5, 3), quotes(8, 2))
        desk.open("iex")
        desk.write(quotes(10, 5))
        engine = recorded(server.address, tmp_path, 20)
        recorded(server.address, tmp_path, 0)

    assert bids(tmp_path) == as_expected([*range(5), *range(10, 15)])
    assert (stocks(engine).applied, stocks(engine).missed) == (10, 10)
    (row,) = ledger(tmp_path)
    assert (row.lost, row.since_ns, row.until_ns) == (10, NOON + 4 * MILLISECOND, NOON + 10 * MILLISECOND)
    assert "10 events came of the sip feed, and this recording is of the iex feed" in row.reason


def test_a_recording_goes_on_behind_its_last_record_though_its_journal_was_deleted(tmp_path: Path):
    """As may be done with days that are verified."""
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        begun(server.address, tmp_path)
        desk.write(quotes(0, 1))
        recorded(server.address, tmp_path, 2)
        assert audit(tmp_path).problems == ()
        shutil.rmtree(tmp_path / "journal")
        desk.write(quotes(1, 1))
        recorded(server.address, tmp_path, 2)

    assert bids(tmp_path) == as_expected(range(2))
    assert not ledger(tmp_path)
