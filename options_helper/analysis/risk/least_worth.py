"""The least that lines of one underlying can come to, though they end on several days: what covers a short is found.

Each line is held to its own end, or sold before at what exercising would bring, when a short that it covers ends. At
different ends the price of the underlying may be anything, so the least of each end are summed. Interest is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from options_helper.analysis.payoffs import End, end_of, payoff_bounds, slope_of
from options_helper.model.portfolio import PortfolioLine

_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Part:
    """So much of one line. A share is a call struck at 0: what can be lost on it is its price."""

    is_put: bool
    strike: Decimal
    slope: Decimal  # dollars for each dollar of price; short is negative

    @property
    def is_share(self) -> bool:
        return not self.is_put and self.strike == 0


# By its end; the lists change while parts are moved to the ends of what they cover.
_Book = dict[End, list[_Part]]


@dataclass(frozen=True, slots=True)
class _Match:
    """Which parts cover what at an earlier end: how much is wanted there, and how much is to spare where they are."""

    covers: Callable[[_Part], bool]
    wanted: Callable[[Sequence[_Part]], Decimal]
    spare: Callable[[Sequence[_Part]], Decimal]


def least_worth(lines: Sequence[PortfolioLine]) -> Decimal | None:
    """Dollars, of lines of one underlying that deliver what is usual; None: it falls without an end.

    It can be too low where a book is tangled, since each long covers one short alone; it is never too high.
    """
    book: _Book = defaultdict(list)
    for line in lines:
        book[end_of(line.instrument)].append(_part(line))
    ends = sorted(book, reverse=True)
    for match in _MATCHES:
        for place, end in enumerate(ends):
            for later in ends[:place]:
                _move(match, book[later], book[end])
    leasts = [_least_of(parts) for parts in book.values()]
    known = [one for one in leasts if one is not None]
    if len(known) < len(leasts):
        return None
    apart = sum(known, _NOTHING)
    together = payoff_bounds(lines).least if _can_be_closed_at_once(lines) else None
    return apart if together is None else max(together, apart)


def _can_be_closed_at_once(lines: Sequence[PortfolioLine]) -> bool:
    """Whether all shorts end on one day and no long before them: the longs are sold then, all at one price."""
    shorts = {end_of(line.instrument) for line in lines if line.quantity < 0}
    longs = [end_of(line.instrument) for line in lines if line.quantity > 0]
    return len(shorts) == 1 and all(end >= one for one in shorts for end in longs)


def _part(line: PortfolioLine) -> _Part:
    strike = line.instrument.strike
    return _Part(
        is_put=line.instrument.option_type == "put",
        strike=_NOTHING if strike is None else Decimal(str(strike)),
        slope=slope_of(line),
    )


def _move(match: _Match, later: list[_Part], parts: list[_Part]) -> None:
    """Let what ends later cover as much at this end as it is not needed for where it is."""
    left = min(match.wanted(parts), match.spare(later))
    # The best cover first: the call or share with the lowest strike, the put with the highest.
    for one in sorted(later, key=lambda part: -part.strike if part.is_put else part.strike):
        moved = min(left, one.slope)
        if moved <= 0 or not match.covers(one):
            continue
        later.remove(one)
        if one.slope > moved:
            later.append(replace(one, slope=one.slope - moved))
        parts.append(replace(one, slope=moved))
        left -= moved


def _lost_by_rise(parts: Sequence[_Part]) -> Decimal:
    """Dollars for each dollar by which the price rises in the end: short calls and shares."""
    return -sum((one.slope for one in parts if not one.is_put), _NOTHING)


def _lost_by_fall(parts: Sequence[_Part]) -> Decimal:
    """Dollars for each dollar by which the price falls in the end: short puts, and shares that are held."""
    shares = sum((one.slope for one in parts if one.is_share), _NOTHING)
    return shares - sum((one.slope for one in parts if one.is_put), _NOTHING)


# First what would have no end without its cover, then what falls with the price, then shares to the puts that insure
# them.
_MATCHES: Final = (
    _Match(lambda part: not part.is_put, _lost_by_rise, lambda parts: -_lost_by_rise(parts)),
    _Match(lambda part: part.is_put, _lost_by_fall, lambda parts: -_lost_by_fall(parts)),
    _Match(
        lambda part: part.is_share, lambda parts: -_lost_by_fall(parts), lambda parts: -_lost_by_rise(parts)
    ),
)


def _least_of(parts: Sequence[_Part]) -> Decimal | None:
    if _lost_by_rise(parts) > 0:
        return None
    prices = {_NOTHING, *(one.strike for one in parts)}
    return min(sum((_worth(one, price) for one in parts), _NOTHING) for price in prices)


def _worth(part: _Part, price: Decimal) -> Decimal:
    over = part.strike - price if part.is_put else price - part.strike
    return part.slope * max(over, _NOTHING)
