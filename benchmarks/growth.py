"""How cost grows: for each thing there may be more of, the exponent e of "n times as much costs n to the power of e".

The exponent is the slope of the line through the logarithms of amount and CPU time. Each is printed beside the most
that it may be, which is what it was when it was measured first; 1 is in proportion, 0 is at no cost. Amounts are
measured in turns, so that the machine's moods meet all of them. Viewers are measured by `page_refresh.py`.

Reach: no exponent is larger than its limit; a tenth more is left to the noise of one run.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import ingest
import msgspec
from _wire import NOON, measure
from symbol_day import record
from tables import position_tables, structure_tables

from options_helper.data.recording.verify import audit
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.frames import Frame
from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName

NOISE: Final = 0.1
ROUNDS = 3
RATES = (500, 2_000, 5_000)  # single quotes a second, evenly
RATE_SECONDS = 6
SYMBOLS = (10, 1_000, 5_000)
CACHED = (1_000, 5_000)
POSITIONS = (20, 250, 1_000)
ROWS = (100_000, 400_000)
PER_FRAME = 10
FOLDED = 50_000
SNAPSHOTS = 50


def exponent(costs: Mapping[int, float]) -> float:
    """The slope through the logarithms, by least squares; both amounts and costs are more than zero."""
    amounts = [math.log(amount) for amount in costs]
    return statistics.linear_regression(amounts, [math.log(cost) for cost in costs.values()]).slope


def in_turns(amounts: Sequence[int], cost: Callable[[int], float]) -> dict[int, float]:
    """The median cost of each amount."""
    runs: dict[int, list[float]] = {amount: [] for amount in amounts}
    for _ in range(ROUNDS):
        for amount in amounts:
            runs[amount].append(cost(amount))
    return {amount: statistics.median(costs) for amount, costs in runs.items()}


def share_of_a_core(rate: int) -> float:
    """Of the manager at that many quotes a second, from the socket to the cache."""
    found = measure(ingest.__file__, "manager", 1, rate, RATE_SECONDS, pace="evenly")
    return float(found["microseconds"]) * rate / 1e6


def frames_of(symbols: int, events: int) -> list[Frame]:
    """Quotes of so many symbols in turn."""
    return [
        Frame(
            StreamName.STOCKS,
            msgspec.msgpack.encode([_quote(first + item, symbols) for item in range(PER_FRAME)]),
            PER_FRAME,
            NOON + first,
        )
        for first in range(0, events, PER_FRAME)
    ]


def _quote(number: int, symbols: int) -> dict[str, object]:
    bid = 100 + number % 97 / 100
    return {
        "T": "q", "S": f"S{number % symbols:04d}", "bx": "V", "bp": bid, "bs": 2, "ax": "Q", "ap": bid + 0.02, "as": 3,
        "c": ["R"], "z": "C", "t": timestamp_extension(NOON + number),
    }  # fmt: skip


def fold(state: LiveState, frames: Sequence[Frame]) -> float:
    """CPU seconds; AssertionError where it was not all applied."""
    began = time.process_time()
    for frame in frames:
        state.apply(frame)
    spent = time.process_time() - began
    assert state.tallies[StreamName.STOCKS].applied == PER_FRAME * len(frames)
    return spent


def seconds_to_fold(symbols: int) -> float:
    """The same number of quotes, of so many symbols."""
    return fold(LiveState(fills_cache_size=10), frames_of(symbols, FOLDED))


def seconds_of_snapshots(symbols: int) -> float:
    """Copies of a state of so many symbols."""
    state = LiveState(fills_cache_size=10)
    fold(state, frames_of(symbols, symbols))
    began = time.process_time()
    for number in range(SNAPSHOTS):
        state.snapshot(NOON + number, running=True, running_since=None, streams={})
    return time.process_time() - began


def seconds_of_a_day(rows: int) -> tuple[float, float]:
    """To record a symbol's day of so many rows, and to verify it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "recording"
        began = time.process_time()
        record(root, rows)
        recorded = time.process_time()
        assert audit(root).ok
        return recorded - began, time.process_time() - recorded


def report(name: str, costs: Mapping[int, float], limit: float) -> None:
    """One line."""
    found = exponent(costs)
    points = ", ".join(f"{amount:,}: {cost:.3g}" for amount, cost in costs.items())
    verdict = "" if found <= limit + NOISE else "   MORE THAN IT MAY BE"
    print(f"{name:36} {found:6.2f}   at most {limit:4.2f}   {points}{verdict}", flush=True)


def main() -> None:
    """Print a line for each."""
    print(f"exponents of CPU time; medians of {ROUNDS} in turns; beside them the amounts and what they cost")
    report("events a second (share of a core)", in_turns(RATES, share_of_a_core), 0.40)
    report("symbols, at the same events (s)", in_turns(SYMBOLS, seconds_to_fold), 0.0)
    report("symbols in a snapshot (s)", in_turns(CACHED, seconds_of_snapshots), 0.95)
    report("positions (ms)", {count: position_tables(count).columns for count in POSITIONS}, 0.44)
    report("legs of structures (ms)", {count: structure_tables(count).columns for count in POSITIONS}, 0.65)
    days = {rows: seconds_of_a_day(rows) for rows in ROWS}
    report("rows in a day, recorded (s)", {rows: cost[0] for rows, cost in days.items()}, 1.0)
    report("rows in a day, verified (s)", {rows: cost[1] for rows, cost in days.items()}, 0.99)


if __name__ == "__main__":
    main()
