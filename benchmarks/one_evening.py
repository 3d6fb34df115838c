"""CPU of telling what needs a hand while many legs of one name end together, by how many they are.

What closing a leg leaves is asked of all that ends with it, so legs of one name cost each other more than legs of
several. The baseline of the same run is as many legs on as many names, four of each. Twice the legs may take a bit more
than four times as long, which is what one table of prices by legs grows by, and not sixteen times.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from math import log2
from types import MappingProxyType

from tables import UNDERLYINGS

from options_helper.analysis.attention.assess import assess_attention
from options_helper.analysis.live_portfolio_metrics import DEFAULT_WIDE_SPREAD_PCT
from options_helper.analysis.priced_lines import price_entries
from options_helper.model.account import AccountPosition, AccountPositions, AccountState
from options_helper.model.events import Quote
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import Portfolio, Position
from options_helper.model.snapshot import LiveSnapshot

# A third Friday, half an hour before anything may be sold out.
AS_OF = datetime(2026, 11, 20, 14, 30, tzinfo=NEW_YORK)
SPOT, POWER = 176.9, Decimal(3_000)
SIZES = (15, 30, 60, 120, 240)
LEGS_OF_A_NAME = 4
ROUNDS = 5
BOOKS = {"bought and sold": (1, -1), "all sold": (-1, -1)}


def entries_of(legs: int, names: Sequence[str], sides: Sequence[int]) -> Iterator[Position]:
    """Calls and puts of 1, 2 and 3 contracts around the price; on several names a few of each."""
    for n in range(legs):
        place = n // len(names)
        yield Position(
            id=f"{n}",
            symbol=names[n % len(names)],
            option_type="call" if place % 2 else "put",
            expiry=AS_OF.date(),
            strike=170.0 + place // 2,
            contracts=sides[place // 2 % 2] * (1 + place % 3),
            cost_basis=2.0,
        )


def snapshot_of(book: Portfolio, names: Sequence[str]) -> LiveSnapshot:
    """Every name quoted, and an account that holds the book."""
    at = datetime_nanoseconds(AS_OF)
    positions = {
        symbol: AccountPosition(symbol, quantity, True, None, None, None, None)  # noqa: FBT003 - fields in order
        for symbol, quantity in book.quantities.items()
    }
    view = AccountPositions(AS_OF, MappingProxyType(positions), options_buying_power=POWER)
    quotes = {
        name: Quote(
            symbol=name,
            timestamp=at,
            received_ns=at,
            bid_price=SPOT - 0.01,
            ask_price=SPOT + 0.01,
            bid_size=10,
            ask_size=10,
        )
        for name in names
    }
    return LiveSnapshot(
        as_of=AS_OF,
        running=True,
        quotes=MappingProxyType(quotes),
        trades=MappingProxyType({}),
        account=replace(AccountState(), view=view),
    )


def milliseconds(legs: int, names: Sequence[str], sides: Sequence[int]) -> float:
    """CPU of one look, the least of some."""
    book = Portfolio(positions=tuple(entries_of(legs, names, sides)))
    live = snapshot_of(book, names)
    priced = price_entries(
        book.positions, book, live, stale_after_seconds=30, wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT
    )
    found = []
    for _ in range(ROUNDS):
        began = time.thread_time_ns()
        assess_attention(book, live, priced=priced)
        found.append((time.thread_time_ns() - began) / 1e6)
    return min(found)


def main() -> None:
    """Print what each number of legs takes, its ratio to legs of several names, and how it grows."""
    for said, sides in BOOKS.items():
        print(f"{said}, CPU in ms of what needs a hand")
        of_one = []
        for legs in SIZES:
            one = milliseconds(legs, UNDERLYINGS[:1], sides)
            several = milliseconds(legs, UNDERLYINGS[: -(-legs // LEGS_OF_A_NAME)], sides)
            of_one.append(one)
            print(
                f"{legs:5d} legs of one name {one:7.1f}, of several {several:7.1f}, ratio {one / several:.1f}"
            )
        powers = ", ".join(f"{log2(later / earlier):.1f}" for earlier, later in pairwise(of_one))
        print(f"      grows by the power {powers} of the legs")


if __name__ == "__main__":
    main()
