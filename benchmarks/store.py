"""From frames to partition files: CPU, bytes and flushes of the store against what one would write first.

Reach: at least 100 times the events per CPU-second of pandas reading, joining, deduplicating and rewriting a file at
40,000 rows; at least 1.5 times those of `csv` and `gzip` row by row, decoding included; at most 1.25 times the bytes of
`gzip -6` of the same text; a flush into a file of 5 million rows costs what it costs at 100 rows, within 10 %.
"""

from __future__ import annotations

import csv
import gzip
import random
import shutil
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from options_helper.data.intraday.contents import reading
from options_helper.data.intraday.members import (
    MAX_TEXT_BYTES,
    member_text,
    scan,
)
from options_helper.data.intraday.rows import DATASETS
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.streaming.messages import decode_frame
from options_helper.model.events import Quote, stamp
from options_helper.model.instants import NANOSECONDS, timestamp_extension

OPEN = 1_793_889_000_000_000_000  # Thursday 2026-11-05 09:30 in New York
SYMBOLS = 20
EVENTS = 200_000
PER_FRAME = 20
FLUSH_ROWS = 500
ROUNDS = 3
PANDAS_ROWS = 40_000
MANY_ROWS = 5_000_000
COLUMNS = DATASETS["quotes"].columns

Frames = list[tuple[bytes, int]]


def market_frames() -> Frames:
    """Stock quotes as Alpaca sends them, few symbols busy and most quiet, in bursts, with the time of their receipt."""
    dice = random.Random(5)
    names = [f"SYM{number:02d}" for number in range(SYMBOLS)]
    weights = [1 / (index + 1) for index in range(SYMBOLS)]
    cents = {name: dice.randrange(2_000, 70_000) for name in names}
    now = OPEN
    messages: list[dict[str, Any]] = []
    frames: Frames = []
    for _ in range(EVENTS):
        now += int(dice.lognormvariate(0, 1.5) * 20_000)
        name = dice.choices(names, weights)[0]
        cents[name] += dice.choice((-1, 0, 0, 0, 1))
        messages.append(quote_message(dice, name, cents[name], now))
        if len(messages) == PER_FRAME:
            frames.append((msgspec.msgpack.encode(messages), now + dice.randrange(2_000_000, 9_000_000)))
            messages = []
    return frames


def quote_message(dice: random.Random, name: str, cents: int, at_ns: int) -> dict[str, Any]:
    """One quote as the feed sends it."""
    return {
        "T": "q", "S": name, "bx": dice.choice("VQPZKUN"), "bp": cents / 100, "bs": dice.randrange(1, 20) * 100,
        "ax": dice.choice("VQPZKUN"), "ap": (cents + dice.randrange(1, 4)) / 100, "as": dice.randrange(1, 20) * 100,
        "c": ["R"], "z": "C", "t": timestamp_extension(at_ns),
    }  # fmt: skip


def decoded(frames: Frames) -> Iterator[list[Any]]:
    """The events of each frame, stamped."""
    for payload, received_ns in frames:
        events = list(decode_frame(payload).events)
        for event in events:
            stamp(event, received_ns)
        yield events


def with_store(frames: Frames, folder: Path) -> None:
    """What the recorder does."""
    with IntradayStore(folder, StorePolicy(flush_rows=FLUSH_ROWS)) as store:
        for payload, received_ns in frames:
            events = decode_frame(payload).events
            for event in events:
                stamp(event, received_ns)
            store.append("stocks", events)
            store.tick()


def with_csv_and_gzip(frames: Frames, folder: Path) -> None:
    """The same rows by the standard library, row by row."""
    with ExitStack() as files:
        writers: dict[str, Any] = {}
        counts: dict[str, int] = {}
        for events in decoded(frames):
            for event in events:
                symbol = event.symbol
                if symbol not in writers:
                    file = files.enter_context(
                        gzip.open(folder / f"{symbol}.csv.gz", "wt", compresslevel=6, newline="")
                    )
                    writers[symbol] = csv.writer(file, lineterminator="\n")
                    writers[symbol].writerow(COLUMNS)
                counts[symbol] = counts.get(symbol, 0) + 1
                writers[symbol].writerow((counts[symbol], *_values(event)))


def _values(event: Quote) -> tuple[Any, ...]:
    ts_ns = event.timestamp_ns or 0
    seconds, rest = divmod(ts_ns, NANOSECONDS)
    text = f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest:09d}Z"
    return (
        event.received_ns, ts_ns, text, event.symbol, event.bid_price, event.bid_size, event.bid_exchange,
        event.ask_price, event.ask_size, event.ask_exchange, "|".join(event.conditions or ()),
    )  # fmt: skip


def cpu_per_event(run: Callable[[Frames, Path], None], frames: Frames) -> float:
    """CPU seconds per event of one run, into a fresh folder."""
    folder = Path(tempfile.mkdtemp())
    try:
        began = time.process_time()
        run(frames, folder)
        return (time.process_time() - began) / EVENTS
    finally:
        shutil.rmtree(folder)


def pandas_cpu_per_event(frames: Frames, folder: Path, flushes: int = 4) -> float:
    """CPU seconds per event of flushes into a file of 40,000 rows, each of which reads and rewrites it."""
    import pandas as pd

    rows = [(number, *_values(event)) for number, event in enumerate(_first_events(frames), 1)]
    path = folder / "pandas.csv.gz"
    pd.DataFrame(rows[:PANDAS_ROWS], columns=list(COLUMNS)).to_csv(path, index=False)
    began = time.process_time()
    for flush in range(flushes):
        first = PANDAS_ROWS + flush * FLUSH_ROWS
        new = pd.DataFrame(rows[first : first + FLUSH_ROWS], columns=list(COLUMNS))
        both = pd.concat([pd.read_csv(path), new]).drop_duplicates()
        both.to_csv(path, index=False)
    return (time.process_time() - began) / (flushes * FLUSH_ROWS)


def _first_events(frames: Frames) -> Iterator[Any]:
    for events in decoded(frames[: (PANDAS_ROWS + 10 * FLUSH_ROWS) // PER_FRAME]):
        yield from events


def report_rates(frames: Frames, folder: Path) -> None:
    """Events per CPU-second, round by round, so that the machine's moods meet all of them."""
    runs: dict[str, list[float]] = {"store": [], "csv": []}
    for _ in range(ROUNDS):
        runs["store"].append(cpu_per_event(with_store, frames))
        runs["csv"].append(cpu_per_event(with_csv_and_gzip, frames))
    store, row_by_row = (statistics.median(times) for times in runs.values())
    pandas = pandas_cpu_per_event(frames, folder)
    print(f"events per CPU-second, frames to partitions, {SYMBOLS} symbols, flushes of {FLUSH_ROWS} rows")
    print(f"  store                          {1 / store:>10,.0f}")
    print(f"  csv + gzip row by row          {1 / row_by_row:>10,.0f}   {row_by_row / store:.1f}x")
    print(f"  pandas rewrite at {PANDAS_ROWS:,} rows  {1 / pandas:>10,.0f}   {pandas / store:.0f}x")


def report_bytes(frames: Frames, folder: Path) -> None:
    """Bytes per event against gzip -6 of the same text, file by file."""
    with_store(frames, folder)
    ours = whole = 0
    for path in folder.rglob("*.csv.gz"):
        with reading(path) as (read_at, size):
            members = scan(read_at, size, check_bytes=0).members
            texts = [(member, member_text(read_at, member) or b"") for member in members]
        ours += size
        whole += len(zlib.compress(b"".join(text for _, text in texts), 6))
    print(f"bytes per event; gzip -6 of the whole text {whole / EVENTS:.1f}")
    print(f"  store                          {ours / EVENTS:>10.1f}   {ours / whole:.2f}x")


def report_flushes(folder: Path, flushes: int = 400) -> None:
    """What one flush costs at 100 and at 5 million rows in the file, in turns."""
    policy = StorePolicy(
        flush_rows=MAX_TEXT_BYTES, flush_seconds=3_600, sync_seconds=3_600, meta_seconds=3_600
    )
    batches = {name: _batch(name) for name in ("SHORT", "LONG")}
    cost: dict[str, list[float]] = {"SHORT": [], "LONG": []}
    with IntradayStore(folder, policy) as store:
        store.append("stocks", batches["SHORT"][:100])
        for _ in range(MANY_ROWS // FLUSH_ROWS):
            store.append("stocks", batches["LONG"])
            store.flush()
    began = time.perf_counter()
    with IntradayStore(folder, policy) as store:
        for name in ("SHORT", "LONG"):
            store.append("stocks", batches[name][:1])
            store.flush()
        opened = time.perf_counter() - began
        for _ in range(flushes):
            for name in ("SHORT", "LONG"):
                store.append("stocks", batches[name])
                began = time.perf_counter()
                store.flush()
                cost[name].append(time.perf_counter() - began)
    short, long = (statistics.median(cost[name]) * 1e6 for name in ("SHORT", "LONG"))
    print(f"one flush of {FLUSH_ROWS} rows; reopening both files took {opened * 1e3:.0f} ms")
    print(f"  at 100 rows in the file        {short:>10.0f} µs")
    print(f"  at {MANY_ROWS:,} rows           {long:>10.0f} µs   {long / short:.2f}x")


def _batch(symbol: str) -> list[Quote]:
    dice = random.Random(6)
    messages = [
        quote_message(dice, symbol, 30_000 + dice.randrange(20), OPEN + number * 1_000_003)
        for number in range(FLUSH_ROWS)
    ]
    events = list(decode_frame(msgspec.msgpack.encode(messages)).events)
    for event in events:
        stamp(event, OPEN + 7)
    return events  # type: ignore[return-value]


def main() -> None:
    """The three claims, one after the other."""
    frames = market_frames()
    for report in (report_rates, report_bytes):
        with tempfile.TemporaryDirectory() as folder:
            report(frames, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        report_flushes(Path(folder))


if __name__ == "__main__":
    main()
