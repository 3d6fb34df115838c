"""What sealing, verifying and exporting a long symbol-day cost: memory must not grow with its rows.

    python benchmarks/symbol_day.py [ROWS]     a million rows, and then as many as are named

Each step runs in a process of its own, which says its CPU seconds and the most memory that it had. The limit for any
number of rows, twenty million among them, is 200 MB, but for `stream verify`, which keeps eight bytes of each row of a
symbol and day: it may have 100 MB and those. A row costs at most a tenth more than one of a million does.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import msgspec

from options_helper.data.intraday.export import export_rows
from options_helper.data.intraday.scope import Scope
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.recording.journal import JournalWriter, Record, RecordKind, facts_record
from options_helper.data.recording.recorder import Recorder
from options_helper.data.recording.verify import audit
from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName

OPEN = 1_793_889_000_000_000_000  # Thursday 2026-11-05 09:30 in New York
DAY = date(2026, 11, 5)
DAY_NS = 6 * 3_600 * 1_000_000_000
FLUSH_ROWS = 500
PER_FRAME = 20
LIMIT_MB = 200
AUDIT_MB, AUDIT_BYTES_A_ROW = 100, 8
ROWS = 1_000_000
STEPS = ("record", "verify as recorded", "seal with a copy", "verify sealed", "export", "stream verify")


def record(root: Path, rows: int) -> float:
    """One symbol's day, journal and files: a price that walks, sizes of a few round lots, random nanoseconds.

    The CPU seconds that recording took, without those of making up what is recorded.
    """
    dice = random.Random(5)
    cents, now = 30_000, OPEN
    session = "20261105T143000.000000Z-1"
    facts = {"flush_events": FLUSH_ROWS, "flush_seconds": 3_600.0}
    journal = JournalWriter(root, session)
    recorder = Recorder(root, session, StorePolicy(flush_rows=FLUSH_ROWS, flush_seconds=3_600))

    spent = 0.0

    def keep(record: Record) -> None:
        nonlocal spent
        began = time.process_time()
        journal.append(record)
        recorder.apply(record)
        spent += time.process_time() - began

    keep(facts_record(RecordKind.SESSION, OPEN, facts))
    waiting: list[dict[str, object]] = []
    for number in range(1, rows + 1):
        now += dice.randrange(2 * DAY_NS // rows)
        cents += dice.choice((-1, 0, 0, 0, 1))
        waiting.append(_quote(dice, cents, now))
        if len(waiting) == PER_FRAME or number == rows:
            received_ns = now + dice.randrange(2_000_000, 9_000_000)
            payload = msgspec.msgpack.encode(waiting)
            keep(Record(RecordKind.FRAME, received_ns, payload, StreamName.STOCKS, len(waiting)))
            waiting = []
        if number % 1_000 == 0:
            began = time.process_time()
            journal.flush()
            spent += time.process_time() - began
    keep(facts_record(RecordKind.END, now, {}))
    began = time.process_time()
    journal.close()
    recorder.close()
    return spent + time.process_time() - began


def _quote(dice: random.Random, cents: int, at_ns: int) -> dict[str, object]:
    return {
        "T": "q", "S": "SPY", "bx": dice.choice("VQPZKUN"), "bp": cents / 100, "bs": dice.randrange(1, 20) * 100,
        "ax": dice.choice("VQPZKUN"), "ap": (cents + dice.randrange(1, 4)) / 100, "as": dice.randrange(1, 20) * 100,
        "c": ["R"], "z": "C", "t": timestamp_extension(at_ns),
    }  # fmt: skip


def run_step(root: Path, step: str, rows: int) -> float:
    """One of them, and its CPU seconds; AssertionError where it does not do what it should."""
    if step == "record":
        return record(root, rows)
    began = time.process_time()
    if step == "stream verify":
        assert audit(root).ok
    elif step.startswith("verify"):
        assert all(report.ok for report in IntradayStore(root).verify())
    elif step.startswith("seal"):
        assert all(report.problem is None for report in IntradayStore(root).seal(DAY, parquet=True))
    else:
        out = root.with_name("exported.parquet")
        assert not export_rows(root, out, kind="stocks", dataset="quotes", scope=Scope()).problems
    return time.process_time() - began


def _limit(step: str, rows: int) -> float:
    return AUDIT_MB + AUDIT_BYTES_A_ROW * rows / 1e6 if step == "stream verify" else LIMIT_MB


def bytes_of(root: Path, suffix: str) -> int:
    """The sizes of all files that end so."""
    return sum(path.stat().st_size for path in root.rglob(f"*{suffix}"))


def report(rows: int, before: dict[str, float]) -> dict[str, float]:
    """Print a line for each step; the CPU seconds of each for a row. `before` are those of fewer rows."""
    costs: dict[str, float] = {}
    recorded = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "recording"
        print(f"a symbol-day of {rows:,} quotes")
        for step in STEPS:
            made = subprocess.run(
                [sys.executable, __file__, str(root), step, str(rows)],
                check=True,
                capture_output=True,
                text=True,
            )
            seconds, megabytes = map(float, made.stdout.split())
            costs[step] = seconds / rows
            growth = f"   {costs[step] / before[step]:.2f}x a row of before" if before else ""
            print(
                f"  {step:<20} {seconds:>7.1f} s CPU {megabytes:>5.0f} MB   "
                f"{megabytes / _limit(step, rows):.2f}x the limit   {1e6 * costs[step]:.2f} µs a row{growth}",
                flush=True,
            )
            if step == "verify as recorded":
                recorded = bytes_of(root, ".csv.gz")
        sealed, copy = bytes_of(root, ".csv.gz"), bytes_of(root, ".parquet")
        print("bytes a row")
        print(
            f"  as recorded {recorded / rows:.1f}, sealed {sealed / rows:.1f}, Parquet copy {copy / rows:.1f}"
        )
    return costs


def main() -> None:
    """A million rows, and then as many as are asked for."""
    if len(sys.argv) == 4:  # a step, in its own process
        seconds = run_step(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024
        print(f"{seconds:.3f} {peak}")
        return
    costs = report(ROWS, {})
    for rows in sys.argv[1:2]:
        report(int(rows), costs)


if __name__ == "__main__":
    main()
