"""CPU of one look at a book in which every price moved since the last: with the risk, against the prices alone.

The baseline of the same run is what the page showed before it knew of risk: prices, tables and totals. Reach: a look at
250 legs with their Greeks and all columns of them within 60 ms. Many looks one after the other must not hold more
memory than a few.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from types import MappingProxyType

import numpy as np
from tables import AS_OF, NOW_NS, UNDERLYINGS, account_of, risk_inputs_of

from options_helper.analysis.book_look import BookLook, look_at_book
from options_helper.analysis.live_portfolio_metrics import DEFAULT_WIDE_SPREAD_PCT
from options_helper.analysis.live_tables import multileg_tables, position_table
from options_helper.analysis.priced_lines import price_entries
from options_helper.analysis.risk.black import european_value
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.terms import CashDividends, Market, Terms
from options_helper.analysis.totals import sum_up
from options_helper.model.contract_symbols import OptionType
from options_helper.model.events import Quote
from options_helper.model.instants import NANOSECONDS, timestamp_extension
from options_helper.model.portfolio import Leg, MultiLegPosition, Portfolio, PortfolioEntry, Position
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamName

SIZES = (20, 50, 250)
NAMES = UNDERLYINGS[:12]
SPOT = 100.0
ROUNDS = 15
LOOKS_FOR_MEMORY = 30


def book_of(legs: int) -> Portfolio:
    """Half of the legs alone, half of them in verticals, on a dozen shares and in three expiries."""
    return Portfolio(positions=tuple(_entries(legs)))


def _entries(legs: int) -> Iterator[PortfolioEntry]:
    for number in range(legs // 4):
        name = NAMES[number % len(NAMES)]
        expiry = AS_OF.date() + timedelta(days=28 * (1 + number % 3))
        strike = 90.0 + 2.5 * (number % 9)
        kind: OptionType = "call" if number % 2 else "put"
        for place in range(2):
            yield Position(
                id=f"single-{number}-{place}",
                symbol=name,
                option_type=kind,
                expiry=expiry,
                strike=strike + 25 * place - 12.5,
                contracts=1 - 2 * place,
                cost_basis=2.0,
            )
        yield MultiLegPosition(
            id=f"vertical-{number}",
            symbol=name,
            net_debit=150.0,
            legs=(
                Leg(side="long", option_type=kind, expiry=expiry, strike=strike, contracts=1),
                Leg(side="short", option_type=kind, expiry=expiry, strike=strike + 5, contracts=1),
            ),
        )


def snapshots(book: Portfolio) -> Iterator[LiveSnapshot]:
    """One a second, each with every price moved."""
    instruments = list(dict.fromkeys(book.instruments))
    strike = np.array([one.strike for one in instruments])
    terms = Terms(
        strike,
        np.array([one.option_type == "call" for one in instruments]),
        np.ones(len(strike), dtype=bool),
        np.array([(one.expiry - AS_OF.date()).days / 365 for one in instruments if one.expiry]),
    )
    account, inputs = account_of(book), risk_inputs_of(book)
    step = 0
    while True:
        step += 1
        spot = SPOT + 0.02 * (step % 40)
        market = Market(
            np.full(len(strike), spot),
            np.full(len(strike), 0.04),
            np.zeros(len(strike)),
            CashDividends.none(len(strike)),
        )
        middles = european_value(terms, market, np.full(len(strike), 0.3 + 0.001 * (step % 7))).tolist()
        now = NOW_NS + step * NANOSECONDS
        quotes = {
            one.live_symbol: _quote(one.live_symbol, middle, now)
            for one, middle in zip(instruments, middles, strict=True)
        }
        yield LiveSnapshot(
            as_of=AS_OF + timedelta(seconds=step),
            running=True,
            quotes=MappingProxyType(
                {**quotes, **{name: _quote(name, spot, now) for name in (*NAMES, "SPY")}}
            ),
            trades=MappingProxyType({}),
            account=account,
            risk_inputs=inputs,
            streams=MappingProxyType(
                {
                    name: StreamHealth(name, Phase.LIVE, requested=tuple(quotes))
                    for name in (StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS)
                }
            ),
        )


def _quote(symbol: str, middle: float, now: int) -> Quote:
    return Quote(
        symbol=symbol,
        timestamp=timestamp_extension(now),
        received_ns=now,
        bid_price=max(round(middle - 0.02, 2), 0.01),
        ask_price=round(middle + 0.02, 2) + 0.01,
        bid_size=10,
        ask_size=10,
    )


class Looks:
    """Looks at one market after the other, each with what the one before has computed."""

    def __init__(self, book: Portfolio) -> None:
        self.book = book
        self.market = snapshots(book)
        self.last: BookLook | None = None

    def look(self) -> float:
        """CPU milliseconds of one."""
        live = next(self.market)
        began = time.process_time_ns()
        self.last = look_at_book(
            self.book,
            live,
            RiskChoices(),
            stale_after_seconds=30,
            wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT,
            earlier=self.last,
        )
        return (time.process_time_ns() - began) / 1e6

    def prices_alone(self) -> float:
        """CPU milliseconds of tables and totals."""
        live = next(self.market)
        thresholds = {"stale_after_seconds": 30, "wide_spread_pct": DEFAULT_WIDE_SPREAD_PCT}
        began = time.process_time_ns()
        priced = price_entries(self.book.positions, self.book, live, **thresholds)
        positions = position_table(self.book, live, priced)
        structures, legs = multileg_tables(self.book, live, priced)
        sum_up(self.book, live, positions, structures, legs)
        return (time.process_time_ns() - began) / 1e6


def held_after(looks: Looks, count: int) -> int:
    """Bytes that Python holds after so many looks more."""
    for _ in range(count):
        looks.look()
    return tracemalloc.get_traced_memory()[0]


def main() -> None:
    """Print medians, ratios to the prices alone, and what many looks leave behind."""
    print("CPU in ms of a look in which every price moved")
    for count in SIZES:
        looks = Looks(book_of(count))
        looks.look()
        with_risk, without = zip(*((looks.look(), looks.prices_alone()) for _ in range(ROUNDS)), strict=True)
        mine, prices = statistics.median(with_risk), statistics.median(without)
        held = len(looks.book.lines)
        print(f"{held:5d} legs: with risk {mine:6.1f}, prices alone {prices:5.1f}, ratio {mine / prices:.1f}")
    tracemalloc.start()
    looks = Looks(book_of(SIZES[-1]))
    before = held_after(looks, 5)
    grown = held_after(looks, LOOKS_FOR_MEMORY) - before
    print(f"memory after {LOOKS_FOR_MEMORY} looks more: {grown / 1024:+,.0f} KiB")


if __name__ == "__main__":
    main()
