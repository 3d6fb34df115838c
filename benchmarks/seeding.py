"""Requests and seconds to seed 250 contracts and 30 stocks: in batches, against one request for each symbol.

Reach: not one request more than Alpaca's limits need, which are 100 contracts and an address of 8 KB; and in less than
a tenth of the time.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date, timedelta
from math import ceil

from _wire import NOON, settings_for

from options_helper.data.rest.client import OPTION_SYMBOLS_A_REQUEST, STOCK_SYMBOLS_A_REQUEST, AlpacaRest
from options_helper.data.rest.seeding import read_snapshots, seed
from options_helper.model.alpaca_symbols import contract_symbol
from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer

TODAY = date(2026, 3, 20)
STOCKS = tuple(f"S{number:03d}" for number in range(30))
CONTRACTS = tuple(
    contract_symbol("AAPL", date(2026, 6, 19) + timedelta(weeks=week), "call", strike)
    for week in range(5)
    for strike in range(150, 200)
)
FEWEST = ceil(len(CONTRACTS) / OPTION_SYMBOLS_A_REQUEST) + ceil(len(STOCKS) / STOCK_SYMBOLS_A_REQUEST)
ROUNDS = 3


def in_batches(rest: AlpacaRest) -> int:
    """As the page is seeded; how many symbols got a quote."""
    batches = seed(rest, STOCKS, CONTRACTS, stock_feed="iex", options_feed="indicative", today=TODAY)
    return sum(len(batch.quotes) for batch in batches)


def one_by_one(rest: AlpacaRest) -> int:
    """The plain way; how many symbols got a quote."""
    found = 0
    for symbol in STOCKS:
        snapshots = rest.stock_snapshots([symbol], "iex")
        found += len(read_snapshots(StreamName.STOCKS, [symbol], snapshots, TODAY).quotes)
    for symbol in CONTRACTS:
        snapshots = rest.option_snapshots([symbol], "indicative")
        found += len(read_snapshots(StreamName.OPTIONS, [symbol], snapshots, TODAY).quotes)
    return found


def quote(symbol: str) -> dict[str, object]:
    """A quote as a stream has it."""
    return {"T": "q", "S": symbol, "bp": 1.0, "ap": 1.1, "bs": 1, "as": 1, "t": timestamp_extension(NOON)}


def main() -> None:
    """Print requests and time of both ways, and their ratio."""
    with SimulatorServer(SilentMarket(start_ns=NOON)) as server:
        server.push(StreamName.STOCKS, [quote(symbol) for symbol in STOCKS])
        server.push(StreamName.OPTIONS, [quote(symbol) for symbol in CONTRACTS])
        settings = replace(settings_for(server.stream_url), rest_per_minute=10_000)
        requests: dict[str, int] = {}
        seconds: dict[str, float] = {}
        with AlpacaRest(settings) as rest:
            rest.clock()
            for _ in range(ROUNDS):
                for way in (in_batches, one_by_one):
                    before, began = sum(server.requests.values()), time.perf_counter()
                    assert way(rest) == len(STOCKS) + len(CONTRACTS)
                    took = time.perf_counter() - began
                    seconds[way.__name__] = min(took, seconds.get(way.__name__, took))
                    requests[way.__name__] = sum(server.requests.values()) - before

    for name, count in requests.items():
        print(f"{name:<12} {count:>4} requests  {seconds[name] * 1000:7.1f} ms")
    ratio = seconds["one_by_one"] / seconds["in_batches"]
    print(
        f"requests: {requests['one_by_one'] / requests['in_batches']:.0f} times fewer; time: {ratio:.0f} times less"
    )
    assert requests["in_batches"] == FEWEST, f"{requests['in_batches']} requests where {FEWEST} do"
    assert ratio > 10, f"only {ratio:.1f} times faster than one request for each symbol"


if __name__ == "__main__":
    main()
