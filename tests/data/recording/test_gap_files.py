"""One gap in each file that tells of it, byte for byte: earlier recordings and other programs read these."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from options_helper.data.intraday.layout import PartFile, PartitionKey, first_part
from options_helper.data.intraday.meta import load_meta, new_meta, save_meta
from options_helper.data.intraday.rows import DATASETS
from options_helper.data.recording.journal import gap_record
from options_helper.data.recording.loss_log import LossLog, LossRow, loss_rows, read_losses
from options_helper.data.recording.session_notes import SessionNote, save_note, session_notes
from options_helper.data.recording.verify import Audit
from options_helper.data.recording.verify_report import audit_facts, audit_lines
from options_helper.model.gaps import Gap
from options_helper.model.streams import FILLS, StreamId, StreamName
from tests.kit.fakes import NOON

STOCKS = StreamName.STOCKS
CLOSED = Gap(STOCKS, NOON + 1, NOON + 1_500_000_001, "the socket\nwas closed", 3, ("AAPL", "MSFT"))
REFUSED = Gap(STOCKS, NOON, None, "no such symbol", symbols=("ZZZZ",))
LASTING = Gap(STOCKS, NOON, None, "cut")


def test_the_journal_tells_all_of_it():
    record = gap_record(NOON, CLOSED)

    assert record.payload == (
        b'{"stream":"stocks","since_ns":1793898000000000001,"until_ns":1793898001500000001,'
        b'"reason":"the socket\\nwas closed","lost":3,"symbols":["AAPL","MSFT"]}'
    )
    assert record.gap == CLOSED


def test_the_loss_log_names_the_session_and_no_symbols(tmp_path: Path):
    log = LossLog(tmp_path, "one")
    log.write(CLOSED)
    log.write(replace(CLOSED, lost=None))
    log.write(LASTING)

    assert (tmp_path / "gaps" / "2026-11-05.csv").read_bytes() == (
        b"session,stream,since_ns,until_ns,since,until,seconds,lost_events,reason\n"
        b"one,stocks,1793898000000000001,1793898001500000001,2026-11-05T17:00:00.000000001Z,"
        b"2026-11-05T17:00:01.500000001Z,1.500,3,the socket was closed\n"
        b"one,stocks,1793898000000000001,1793898001500000001,2026-11-05T17:00:00.000000001Z,"
        b"2026-11-05T17:00:01.500000001Z,1.500,,the socket was closed\n"
        b"one,stocks,1793898000000000000,,2026-11-05T17:00:00.000000000Z,,,,cut\n"
    )
    read = LossRow(STOCKS, NOON + 1, NOON + 1_500_000_001, "the socket was closed", 3, session="one")
    assert loss_rows(tmp_path) == (
        read,
        replace(read, lost=None),
        LossRow(STOCKS, NOON, None, "cut", session="one"),
    )


def note(**more: object) -> SessionNote:
    facts = {"session": "one", "began_ns": NOON, "seen_ns": NOON, "journal": True}
    return SessionNote(**facts, flush_events=500, flush_seconds=5.0, **more)  # type: ignore[arg-type]


def test_the_note_of_a_session_tells_what_lasts(tmp_path: Path):
    told = note(asked={"stocks": ("AAPL",)}, gaps=(REFUSED, LASTING), refused=(REFUSED,))

    save_note(tmp_path, told)

    assert (
        (tmp_path / "sessions" / "one.json").read_bytes()
        == b"""\
{
 "session": "one",
 "began_ns": 1793898000000000000,
 "seen_ns": 1793898000000000000,
 "journal": true,
 "flush_events": 500,
 "flush_seconds": 5.0,
 "asked": {
  "stocks": [
   "AAPL"
  ]
 },
 "gaps": [
  {
   "stream": "stocks",
   "since_ns": 1793898000000000000,
   "reason": "no such symbol",
   "symbols": [
    "ZZZZ"
   ]
  },
  {
   "stream": "stocks",
   "since_ns": 1793898000000000000,
   "reason": "cut",
   "symbols": []
  }
 ],
 "ended_ns": null,
 "put_off": 0,
 "missed": false,
 "refused": [
  {
   "stream": "stocks",
   "since_ns": 1793898000000000000,
   "reason": "no such symbol",
   "symbols": [
    "ZZZZ"
   ]
  }
 ],
 "completed": false,
 "feeds": {},
 "channels": {},
 "market": "",
 "number": 0,
 "desk": "",
 "ran_seconds": 0.0,
 "seen_elapsed": 0.0,
 "boot": "",
 "places": {},
 "filed": 0,
 "repeated": null,
 "unproven": false
}
"""
    )
    assert session_notes(tmp_path) == [told]


def test_a_gap_of_any_account_s_stream_can_be_noted(tmp_path: Path):
    books = StreamId(FILLS, "breeze", "main")

    save_note(tmp_path, note(gaps=(replace(LASTING, stream=books),)))

    assert session_notes(tmp_path)[0].gaps[0].stream == "breeze/main/fills"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"gaps": 5}', '{"gaps": [5]}'])
def test_a_note_that_is_none_is_left_out(tmp_path: Path, text: str):
    save_note(tmp_path, note())
    (tmp_path / "sessions" / "one.json").write_text(text)

    assert session_notes(tmp_path) == []


def part_of(root: Path) -> PartFile:
    key = PartitionKey("stocks", DATASETS["quotes"], "AAPL", CLOSED.since.date())
    part = first_part(root, key)
    part.path.parent.mkdir(parents=True)
    return part


def test_beside_a_partition_its_stream_and_symbol_go_without_saying(tmp_path: Path):
    part = part_of(tmp_path)
    told = replace(new_meta(part), gaps=(replace(CLOSED, symbols=()), LASTING), sha256={"a": "b"})

    save_meta(part, told)

    written = part.meta_path.read_text()
    assert (
        ' "sessions": [],\n'
        ' "gaps": [\n'
        "  {\n"
        '   "since_ns": 1793898000000000001,\n'
        '   "until_ns": 1793898001500000001,\n'
        '   "reason": "the socket\\nwas closed",\n'
        '   "lost": 3\n'
        "  },\n"
        "  {\n"
        '   "since_ns": 1793898000000000000,\n'
        '   "until_ns": null,\n'
        '   "reason": "cut",\n'
        '   "lost": null\n'
        "  }\n"
        " ],\n"
        ' "sealed": false,\n'
        ' "sha256": {\n'
        '  "a": "b"\n'
        " }\n"
        "}\n"
    ) in written
    assert list(json.loads(written)) == [
        *("rows", "first_seq", "last_seq", "first_ts_ns", "last_ts_ns", "first_recv_ns", "last_recv_ns"),
        *("kind", "dataset", "timeframe", "symbol", "day", "columns", "schema_version"),
        *("sessions", "gaps", "sealed", "sha256"),
    ]
    assert load_meta(part) == told


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"gaps": 5}', '{"gaps": [5]}', '{"kind": 7, "gaps": [{}]}']
)
def test_what_is_beside_a_partition_and_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path, text: str):
    part = part_of(tmp_path)
    part.meta_path.write_text(text)

    assert load_meta(part) is None


def test_the_audit_tells_programs_what_the_loss_log_has(tmp_path: Path):
    LossLog(tmp_path, "one").write(CLOSED)
    LossLog(tmp_path, "one").write(LASTING)
    audit = Audit((), (), read_losses(tmp_path).rows, (), being_written=False, problems=())

    told = audit_facts(audit)

    assert msgspec.json.encode(told["gaps"]) == (
        b'[{"session":"one","stream":"stocks","since_ns":1793898000000000001,"until_ns":1793898001500000001,'
        b'"since":"2026-11-05T17:00:00.000000001Z","until":"2026-11-05T17:00:01.500000001Z","lost_events":3,'
        b'"reason":"the socket was closed"},'
        b'{"session":"one","stream":"stocks","since_ns":1793898000000000000,"until_ns":null,'
        b'"since":"2026-11-05T17:00:00.000000000Z","until":null,"lost_events":null,"reason":"cut"}]'
    )
    assert list(told) == [
        "ok",
        "partitions",
        "sessions",
        "gaps",
        "minutes",
        "being_written",
        "problems",
        "silent",
        "closings",
        "unheard",
    ]
    assert any("12:00:00  2026-11-05 12:00:01" in line for line in audit_lines(audit))
