"""The journal gives the partitions once more, member for member, whatever the traffic was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.recording.journal import (
    JournalWriter,
    Record,
    RecordKind,
    facts_record,
    gap_record,
    journal_files,
)
from options_helper.data.recording.loss_log import LossLog
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.recorder import Recorder
from options_helper.errors import ConfigError
from options_helper.model.gaps import Gap
from options_helper.model.streams import StreamName
from tests.kit.captured import members_of
from tests.kit.fakes import NOON, frame, quote_message, trade_message
from tests.kit.pace import runs
from tests.kit.rebuilt import partitions

SECOND = 1_000_000_000
STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS
CALL = "AAPL260320C00180000"


def received(at_ns: int, *messages: object, stream: StreamName = STOCKS) -> Record:
    return Record(RecordKind.FRAME, at_ns, frame(*messages), stream, len(messages))


def began(at_ns: int, flush_events: int = 500, flush_seconds: float = 5.0) -> Record:
    facts = {"flush_events": flush_events, "flush_seconds": flush_seconds}
    return facts_record(RecordKind.SESSION, at_ns, facts)


def record_session(root: Path, session: str, records: Sequence[Record]) -> None:
    """What a capture does with its records, without its threads."""
    facts = records[0].facts
    journal = JournalWriter(root, session)
    policy = StorePolicy(
        flush_rows=facts["flush_events"], flush_seconds=facts["flush_seconds"], min_free_bytes=0
    )
    recorder, ledger = Recorder(root, session, policy), LossLog(root, session)
    for record in records:
        journal.append(record)
        journal.flush()
        recorder.apply(record)
        if record.kind is RecordKind.GAP:
            ledger.write(record.gap)
    journal.close()
    recorder.close()


def test_a_clock_that_was_set_back_holds_up_no_flush(tmp_path: Path):
    recorder = Recorder(tmp_path, "one", StorePolicy(flush_seconds=5.0, min_free_bytes=0))
    hour_ago = NOON - 3_600 * SECOND
    for record in (
        began(NOON),
        received(NOON, quote_message("AAPL")),
        *(Record(RecordKind.TICK, NOON + second * SECOND) for second in range(3)),
        *(Record(RecordKind.TICK, hour_ago + second * SECOND) for second in range(8)),
    ):
        recorder.apply(record)

    assert recorder.counts().total.written == 1
    recorder.close()


def ledgers(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.glob("gaps/*.csv")}


@st.composite
def traffic(draw: st.DrawFn) -> list[list[Record]]:
    """Some sessions of frames, ticks and gaps, late events and midnight among them."""
    now_ns = NOON + 11 * 3600 * SECOND
    drawn = []
    for _ in range(draw(st.integers(1, 3))):
        records = [began(now_ns, draw(st.sampled_from([1, 3, 500])), draw(st.sampled_from([0.5, 5.0])))]
        for _ in range(draw(st.integers(0, 25))):
            now_ns += draw(st.integers(0, 400 * SECOND))
            records.append(draw(_record(now_ns)))
        now_ns += SECOND
        drawn.append(records)
    return drawn


@st.composite
def _record(draw: st.DrawFn, now_ns: int) -> Record:
    kind = draw(st.sampled_from(["frame", "frame", "frame", "tick", "gap", "market", "end"]))
    if kind == "tick":
        return Record(RecordKind.TICK, now_ns)
    if kind == "gap":
        gap = Gap(STOCKS, now_ns - SECOND, now_ns, "the socket was closed", draw(st.none() | st.just(3)))
        return gap_record(now_ns, gap)
    if kind == "market":
        return Record(RecordKind.MARKET, now_ns, b"kind=replay; now_ns=1; speed=1")
    if kind == "end":
        return facts_record(RecordKind.END, now_ns, {})
    stream = draw(st.sampled_from([STOCKS, OPTIONS]))
    symbols = ("AAPL", "MSFT", "BRK.B") if stream is STOCKS else (CALL, CALL.replace("C", "P"))
    messages = []
    for _ in range(draw(st.integers(1, 6))):
        make: Any = draw(st.sampled_from([quote_message, trade_message]))
        at_ns = now_ns - draw(st.sampled_from([0, 1, 7_200 * SECOND]))
        messages.append(
            make(draw(st.sampled_from(symbols)), draw(st.sampled_from([1.5, 2, 0.1])), at_ns=at_ns)
        )
    if draw(st.integers(0, 9)) == 0:
        messages.append({"T": "q", "S": 7})
    return received(now_ns, *messages, stream=stream)


@pytest.mark.exhaustive
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=runs(15, 200))
@given(traffic())
def test_what_is_rebuilt_is_what_was_recorded_member_for_member(
    tmp_path_factory: pytest.TempPathFactory, sessions: list[list[Record]]
):
    root = tmp_path_factory.mktemp("recorded")
    for number, records in enumerate(sessions):
        record_session(root, f"session-{number}", records)

    made = rebuild(root, root / "again")

    assert partitions(root / "again") == partitions(root)
    assert ledgers(root / "again") == ledgers(root)
    assert [session.problem for session in made] == [None] * len(sessions)


def test_a_capture_that_died_is_rebuilt_as_far_as_its_journal_goes(tmp_path: Path):
    """The journal is ahead of the partitions, because it is written first."""
    journal = JournalWriter(tmp_path, "killed")
    for record in (
        began(NOON),
        received(NOON, quote_message("AAPL")),
        received(NOON + 1, quote_message("AAPL")),
    ):
        journal.append(record)
    journal.close()

    (made,) = rebuild(tmp_path, tmp_path / "again")

    assert (made.frames, made.rows, made.problem) == (2, 2, None)
    assert len(IntradayStore(tmp_path / "again").read("stocks", "quotes", "AAPL")) == 2


def test_damage_in_the_journal_costs_its_own_records_alone_and_is_said(tmp_path: Path):
    for session in ("one", "two"):
        journal = JournalWriter(tmp_path, session)
        for number in range(3):
            journal.append(received(NOON + number, quote_message(f"S{number}")) if number else began(NOON))
            journal.flush()
        journal.close()
    path = journal_files(tmp_path)[0]
    *before, damaged, last = members_of(path)
    path.write_bytes(b"".join([*before, bytes(len(damaged)), last]))

    first, second = rebuild(tmp_path, tmp_path / "again")

    assert (first.rows, path.name in (first.problem or "")) == (1, True)
    assert (second.rows, second.problem) == (2, None)


def test_a_folder_with_something_in_it_is_not_written_into(tmp_path: Path):
    record_session(tmp_path, "one", [began(NOON)])

    with pytest.raises(ConfigError, match="not empty"):
        rebuild(tmp_path, tmp_path)


def test_a_recording_without_a_journal_says_so(tmp_path: Path):
    with pytest.raises(ConfigError, match="no journal"):
        rebuild(tmp_path, tmp_path / "again")
