"""A capture that is killed again and again on one folder: each one goes on, and the journal has what it heard."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.journal import RecordKind, read_records, sessions
from options_helper.data.recording.loss_log import KILLED, KILLED_WITHOUT_JOURNAL, loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.session_notes import session_notes
from options_helper.data.recording.verify import audit
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.faults.capturer import STOCKS, SYMBOLS, busy_market, capturing
from tests.kit.pace import runs
from tests.kit.rebuilt import partitions
from tests.kit.waiting import FOREVER, wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_capture import NOON_DAY
from tests.wire.test_engine import NOON, quote


def rows(root: Path, symbol: str) -> tuple[list[int], list[int]]:
    """Numbers and bid sizes, which tell one quote from the others."""
    frame = IntradayStore(root).read("stocks", "quotes", symbol)
    return frame["seq"].tolist(), frame["bid_size"].tolist()


def journaled(root: Path) -> dict[str, list[int]]:
    """The same of the journal, decoded by nothing of ours."""
    found = defaultdict(list)
    for files in sessions(root).values():
        for record in read_records(files):
            if record.kind is RecordKind.FRAME:
                for message in msgspec.msgpack.decode(record.payload):
                    found[message["S"]].append(message["bs"])
    return found


def test_killed_at_random_times_it_goes_on_and_makes_what_the_one_before_left(
    tmp_path: Path, running_simulator: Callable[..., SimulatorServer]
):
    server = running_simulator(SilentMarket(start_ns=NOON))
    out, again = tmp_path / "out", tmp_path / "again"
    chance = random.Random(3)
    with busy_market(server):
        for _ in range(runs(8, 200)):
            disk = chance.choice(["quick", "in pieces"])
            with capturing(server, out, disk=disk, flush_events=10, flush_seconds=0.1) as capturer:
                if chance.random() < 0.9:
                    capturer.wait_until_it_receives()
                # Not waiting for a fact: the moment of the kill is what is drawn.
                time.sleep(chance.uniform(0, 0.4))
        before = server.sent[STOCKS]
        with capturing(server, out, flush_events=10) as last:
            last.wait_until_it_receives(200)
            last.terminate()
            final = last.ended()

    health = final.streams[STOCKS]
    by_last = final.store.total.written + health.dropped + health.rejected
    assert health.received == by_last
    assert 0 <= server.sent[STOCKS] - before - by_last < 10_000, "only what was on the wire at the stop"
    rebuild(out, again)
    journaled_events = journaled(out)
    for symbol in SYMBOLS:
        numbers, kept = rows(out, symbol)
        assert numbers == [*range(1, len(numbers) + 1)]
        assert all(before < after for before, after in pairwise(kept)), "each once, in order"
        assert kept == journaled_events[symbol], (
            "what a kill left in the journal is in the files, before what came later"
        )
    assert partitions(out) == partitions(again)
    assert audit(out).problems == audit(again).problems == ()


def test_without_a_journal_a_kill_is_found_out_by_the_next_capture_and_before(
    tmp_path: Path, running_simulator: Callable[..., SimulatorServer]
):
    """What it had received and not written is nowhere: nobody can count it, but nobody may say that all is well."""
    server = running_simulator(SilentMarket(start_ns=NOON))
    with busy_market(server):
        with capturing(server, tmp_path, journal=False, flush_seconds=60.0) as capturer:
            capturer.wait_until_it_receives(20)
            capturer.kill()
        (problem,) = audit(tmp_path).problems
        with capturing(server, tmp_path, journal=False) as next_one:
            next_one.wait_until_it_receives(20)
            next_one.terminate()
            next_one.ended()

    assert "kept no journal" in problem
    killed, _ = (note.session for note in session_notes(tmp_path))
    (gap,) = loss_rows(tmp_path)
    assert (gap.stream, gap.reason) == ("stocks", KILLED_WITHOUT_JOURNAL)
    assert killed < gap.session
    (problem,) = audit(tmp_path).problems
    assert "is lost" in problem


@pytest.mark.parametrize("journal", [True, False])
def test_an_old_journal_that_cannot_be_read_keeps_no_new_capture_from_recording_and_is_told(
    tmp_path: Path, running_simulator: Callable[..., SimulatorServer], *, journal: bool
):
    server = running_simulator(SilentMarket(start_ns=NOON))
    with busy_market(server):
        with capturing(server, tmp_path) as killed:
            killed.wait_until_it_receives(20)
            killed.kill()
        ((_, (file,)),) = sessions(tmp_path).items()
        file.unlink()
        file.mkdir()
        with capturing(server, tmp_path, journal=journal) as next_one:
            next_one.wait_until_it_receives(20)
            next_one.terminate()
            final = next_one.ended()

    assert final.store.total.written >= 20
    assert any("cannot be read to its end" in row.reason for row in loss_rows(tmp_path))


def test_after_a_kill_verify_names_what_is_missing_and_the_remedy_and_nothing_else(
    tmp_path: Path, running_simulator: Callable[..., SimulatorServer]
):
    server = running_simulator(SilentMarket(start_ns=NOON))
    with capturing(server, tmp_path, flush_seconds=FOREVER, flush_events=7) as capturer:
        wait_until(lambda: server.subscribed(STOCKS))
        push_quotes(server, range(7))
        wait_until(lambda: partitions(tmp_path))
        push_quotes(server, range(7, 10))
        wait_until(lambda: len(journaled(tmp_path)["AAPL"]) == 10, saw=lambda: journaled(tmp_path))
        capturer.kill()

    (problem,) = audit(tmp_path).problems
    assert problem.startswith(f"3 rows are in the journal only (stocks quotes AAPL {NOON_DAY}: 3)")
    assert "the next capture into this folder" in problem


def push_quotes(server: SimulatorServer, sizes: Iterable[int]) -> None:
    """Quotes of one symbol, told apart by their sizes."""
    server.push(STOCKS, [{**quote(), "bs": size} for size in sizes])


def last_journaled(out: Path) -> dict[str, int]:
    """When what is last in the journal of each session came; before its first frame that is its beginning."""
    kinds = (RecordKind.SESSION, RecordKind.FRAME)
    return {
        name: max(one.received_ns for one in read_records(files) if one.kind in kinds)
        for name, files in sessions(out).items()
    }


def test_a_gap_that_a_kill_left_open_lasts_until_the_next_capture(
    tmp_path: Path, running_simulator: Callable[..., SimulatorServer]
):
    server = running_simulator(SilentMarket(start_ns=NOON))
    with busy_market(server):
        with capturing(server, tmp_path) as capturer:
            capturer.wait_until_it_receives(20)
            server.set_faults(Faults(never_upgrade=True))
            server.disconnect_all()
            wait_until(lambda: any(note.gaps for note in session_notes(tmp_path)))
            since_ns = session_notes(tmp_path)[0].gaps[0].since_ns
            capturer.kill()
            (killed,) = last_journaled(tmp_path).values()
        server.set_faults(Faults())
        with capturing(server, tmp_path) as next_one:
            next_one.wait_until_it_receives(20)
            next_one.terminate()
            next_one.ended()

    (gap,) = loss_rows(tmp_path)
    # What came last before the gap may have been in memory alone.
    assert (gap.since_ns, gap.reason.endswith(KILLED)) == (min(since_ns, killed), True)


def test_the_gap_after_a_kill_is_written_down_by_the_next_capture(
    tmp_path: Path, running_simulator: Callable[..., SimulatorServer]
):
    server = running_simulator(SilentMarket(start_ns=NOON))
    with busy_market(server):
        for _ in range(2):
            with capturing(server, tmp_path) as capturer:
                capturer.wait_until_it_receives(20)
        for _ in range(2):
            with capturing(server, tmp_path) as capturer:
                capturer.wait_until_it_receives(20)
                capturer.terminate()
                capturer.ended()

    last_received = last_journaled(tmp_path)
    first, second, third, _ = last_received
    gaps = [row for row in loss_rows(tmp_path) if row.reason == KILLED]
    assert [(row.session, row.stream, row.since_ns) for row in gaps] == [
        (second, "stocks", last_received[first]), (third, "stocks", last_received[second]),
    ]  # fmt: skip
    assert all(row.until_ns is not None and row.since_ns < row.until_ns for row in gaps)
