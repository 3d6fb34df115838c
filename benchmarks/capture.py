"""From frames to a recording on the disk: the journal alone, the recorder behind it, and all of it from a socket.

Reach: the journal alone takes at least 5 times the events of frames to partitions; journal and partitions together
at least 100 times those of pandas rewriting a file at 40,000 rows, and at least 1.5 times those of `csv` and `gzip` row
by row, decoding included; from a socket, 20,000 events a second cost less than a third of a core, none dropped. Of
250 symbols, at least 150,000 events per CPU-second in the first 20 seconds at 20,000 a second.
"""

from __future__ import annotations

import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from _wire import SYMBOLS, Child, measured, say, serve_at_rate, settings_for
from store import (
    EVENTS,
    OPEN,
    PER_FRAME,
    Frames,
    cpu_per_event,
    market_frames,
    pandas_cpu_per_event,
    quote_message,
    with_csv_and_gzip,
)

from options_helper.data.intraday_store import StorePolicy
from options_helper.data.recording.journal import JournalWriter, Record, RecordKind, facts_record
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.recorder import Recorder
from options_helper.data.recording.verify import audit
from options_helper.model.instants import NANOSECONDS
from options_helper.model.streams import StreamName

ROUNDS = 3
COMMIT_FRAMES = 100
MANY = 250
RATE = 20_000
SECONDS = 10
POLICY = StorePolicy()


def _commits(frames: Frames) -> list[list[Record]]:
    records = _records(frames)
    return [records[first : first + COMMIT_FRAMES] for first in range(0, len(records), COMMIT_FRAMES)]


def _records(frames: Frames) -> list[Record]:
    began = {"flush_events": POLICY.flush_rows, "flush_seconds": POLICY.flush_seconds}
    return [
        facts_record(RecordKind.SESSION, frames[0][1], began),
        *(
            Record(RecordKind.FRAME, at_ns, payload, StreamName.STOCKS, PER_FRAME)
            for payload, at_ns in frames
        ),
    ]


def journal_alone(frames: Frames, folder: Path) -> None:
    """What a capture does under pressure."""
    journal = JournalWriter(folder, "benchmark")
    for commit in _commits(frames):
        for record in commit:
            journal.append(record)
        journal.flush()
    journal.close()


def partitions_alone(frames: Frames, folder: Path) -> None:
    """A capture with --no-journal."""
    recorder = Recorder(folder, "benchmark", POLICY)
    for record in _records(frames):
        recorder.apply(record)
    recorder.close()


def both(frames: Frames, folder: Path) -> None:
    """A capture as it is by default."""
    journal = JournalWriter(folder, "benchmark")
    recorder = Recorder(folder, "benchmark", POLICY)
    for commit in _commits(frames):
        for record in commit:
            journal.append(record)
        journal.flush()
        for record in commit:
            recorder.apply(record)
    journal.close()
    recorder.close()


def report_rates(frames: Frames) -> None:
    """Events per CPU-second, round by round, so that the machine's moods meet all of them."""
    contenders: dict[str, Callable[[Frames, Path], None]] = {
        "journal and partitions": both,
        "partitions alone": partitions_alone,
        "journal alone": journal_alone,
        "csv + gzip row by row": with_csv_and_gzip,
    }
    runs: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            runs[name].append(cpu_per_event(run, frames))
    cost = {name: statistics.median(times) for name, times in runs.items()}
    with tempfile.TemporaryDirectory() as folder:
        cost["pandas rewrite at 40,000 rows"] = pandas_cpu_per_event(frames, Path(folder))
    ours = cost["journal and partitions"]
    print("events per CPU-second from frames; what journal and partitions take is 1")
    for name, seconds in cost.items():
        print(f"  {name:30} {1 / seconds:>10,.0f}   {seconds / ours:.2f}")


def report_many_symbols() -> None:
    """A second, then longer: each symbol's file is begun once, and written every five seconds at least."""
    print(f"events per CPU-second of {MANY} symbols, journal and partitions")
    for seconds, rate in ((1, 20_000), (60, 2_000), (20, 20_000)):
        frames = frames_of_many(seconds * rate, rate)
        took = statistics.median(cpu_of(frames) for _ in range(ROUNDS))
        print(f"  {seconds:2} s of {rate:6,} a second          {seconds * rate / took:>10,.0f}")


def frames_of_many(events: int, rate: int) -> Frames:
    """Quotes of many symbols, each as likely as the others, evenly."""
    dice = random.Random(5)
    cents = {f"SYM{number:03d}": dice.randrange(2_000, 70_000) for number in range(MANY)}
    messages = (_next_quote(dice, cents, OPEN + number * NANOSECONDS // rate) for number in range(events))
    last = OPEN + PER_FRAME * NANOSECONDS // rate
    frames: Frames = []
    while batch := list(islice(messages, PER_FRAME)):
        frames.append((msgspec.msgpack.encode(batch), last + 3_000_000))
        last += PER_FRAME * NANOSECONDS // rate
    return frames


def _next_quote(dice: random.Random, cents: dict[str, int], at_ns: int) -> dict[str, Any]:
    name = dice.choice(list(cents))
    cents[name] += dice.choice((-1, 0, 0, 0, 1))
    return quote_message(dice, name, cents[name], at_ns)


def cpu_of(frames: Frames) -> float:
    """CPU seconds of a recording, into a fresh folder, whose clock ticks ten times a second."""
    folder = Path(tempfile.mkdtemp())
    began = time.process_time()
    try:
        journal, recorder = JournalWriter(folder, "benchmark"), Recorder(folder, "benchmark", POLICY)
        for commit in _ticked(_records(frames)):
            for record in commit:
                journal.append(record)
            journal.flush()
            for record in commit:
                recorder.apply(record)
        journal.close()
        recorder.close()
        return time.process_time() - began
    finally:
        shutil.rmtree(folder)


def _ticked(records: list[Record]) -> Iterator[list[Record]]:
    commit: list[Record] = []
    ticked_ns = records[0].received_ns
    for record in records:
        commit.append(record)
        if record.received_ns >= ticked_ns + NANOSECONDS // 10:
            ticked_ns = record.received_ns
            yield [*commit, Record(RecordKind.TICK, ticked_ns)]
            commit = []
    yield commit


def report_tools(frames: Frames) -> None:
    """What it costs to check a recording and to make it again."""
    root = Path(tempfile.mkdtemp())
    try:
        both(frames, root / "recorded")
        for name, run in (
            ("stream verify", lambda: audit(root / "recorded")),
            ("stream rebuild", lambda: rebuild(root / "recorded", root / "again")),
        ):
            began = time.process_time()
            run()
            print(f"  {name:30} {EVENTS / (time.process_time() - began):>10,.0f}")
        report_beside("stream verify", lambda processes: audit(root / "recorded", processes=processes))
        report_beside("stream rebuild", partial(_rebuild_anew, root))
    finally:
        shutil.rmtree(root)


def _rebuild_anew(root: Path, processes: int) -> None:
    shutil.rmtree(root / "again")
    rebuild(root / "recorded", root / "again", processes=processes)


def report_beside(name: str, work: Callable[[int], object]) -> None:
    """Work of two processes: what the busier of them takes, which is how long it lasts where both have a core."""
    alone, here, there = 0.0, 0.0, 0.0
    for _ in range(ROUNDS):
        began = time.process_time()
        work(1)
        alone += time.process_time() - began
        began, before = time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        work(2)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        here += time.process_time() - began
        there += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    busier = max(here, there)
    print(f"  {name}, the busier of two {ROUNDS * EVENTS / busier:>10,.0f}   {alone / busier:.2f}x one alone")


def run_capture(url: str, total: int) -> None:
    """Be the capture process, and be measured."""
    from options_helper.capture.runner import CaptureConfig, CaptureEngine
    from options_helper.data.streaming.engine.stream_config import LiveStreamConfig

    streams = LiveStreamConfig(stocks=SYMBOLS, stream_options=False, stream_fills=False)
    out = Path(tempfile.mkdtemp())
    capture = CaptureEngine(CaptureConfig(streams, out), settings_for(url))
    capture.start()
    try:
        result = measured(lambda: capture.status().streams[StreamName.STOCKS].received, total, total // 3)
        final = capture.stop()
    finally:
        shutil.rmtree(out)
    say({**result, "lost": final.lost, "written": final.store.total.written})


def report_socket() -> None:
    """The whole way, at the rate of the soak."""
    total = RATE * SECONDS
    server = Child(__file__, "serve", PER_FRAME, RATE)
    client = Child(__file__, "client", server.receive()["url"], total)
    server.send(total)
    result: dict[str, Any] = client.receive()
    server.end()
    client.end()
    share = result["microseconds"] * RATE / 1e6
    print(f"from a socket, {RATE:,} events/s in frames of {PER_FRAME}, 256 symbols, journal and partitions")
    print(
        f"  {result['microseconds']:.1f} µs of CPU an event, {share:.0%} of a core; "
        f"{result['written']:,} rows, {result['lost']} lost"
    )


def main() -> None:
    """The claims, one after the other."""
    frames = market_frames()
    report_rates(frames)
    report_many_symbols()
    report_tools(frames)
    report_socket()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", per_frame, rate]:
            serve_at_rate(int(per_frame), int(rate))
        case ["client", url, total]:
            run_capture(url, int(total))
        case _:
            main()
