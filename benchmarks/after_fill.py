"""CPU of the greatest loss of many legs of one name after a fill changed one of them, against all of it made anew.

What a fill leaves as it was need not be asked again: of a name's structures one is another, and the name as a whole.
Legs are verticals of one end and diagonals of two, whose longer leg may stand for any shorter one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import date, timedelta

from options_helper.analysis.risk.least_worth import least_worth
from options_helper.model.contract_symbols import OptionType
from options_helper.model.portfolio import Leg, MultiLegPosition, PortfolioLine

SIZES = (15, 30, 60, 120, 240)
FIRST_END = date(2026, 11, 27)
ENDS = 8
ROUNDS = 7
Group = tuple[PortfolioLine, ...]


def groups_of(legs: int, price: float) -> Iterator[Group]:
    """Structures of two legs each, from this price of the underlying on."""
    for number in range(legs // 2):
        kind: OptionType = "call" if number % 3 else "put"
        strike, near = price + 5 * (number * 7 % 20), number % (ENDS - 1)
        later = near + (number % 2) * (1 + number // 2 % (ENDS - 1 - near))
        yield MultiLegPosition(
            id=f"{number}",
            symbol="AAPL",
            legs=(
                Leg(
                    side="short", option_type=kind, expiry=_end(near), strike=strike, contracts=1 + number % 3
                ),
                Leg(side="long", option_type=kind, expiry=_end(later), strike=strike + 5, contracts=3),
            ),
        ).lines


def _end(week: int) -> date:
    return FIRST_END + timedelta(weeks=week)


def milliseconds(groups: list[Group]) -> float:
    """CPU of the least worth of all of them."""
    began = time.process_time_ns()
    least_worth(groups)
    return (time.process_time_ns() - began) / 1e6


def main() -> None:
    """Print medians of some rounds, in turns."""
    print("CPU in ms of the greatest loss of one name")
    for legs in SIZES:
        anew, after = [], []
        for place in range(ROUNDS):
            groups = list(groups_of(legs, 100.0 + place))
            anew.append(milliseconds(groups))
            # A fill: of one structure there is twice as much.
            groups[place] *= 2
            after.append(milliseconds(groups))
        first, then = statistics.median(anew), statistics.median(after)
        print(f"{legs:5d} legs: anew {first:6.1f}, after a fill {then:6.1f}, ratio {then / first:.2f}")


if __name__ == "__main__":
    main()
