"""The least that lines of one underlying can come to, whatever way its price takes between the days on which they end.

Each line is held to its own end and is worth there what exercising brings, by the price of then. Nobody sells anything
before because a price is good, so what ends early protects nothing of what lies after it: its end may find it without
worth, and the fall comes then. There is one exception: when what is sold ends in the money, as much of what runs longer
is exercised against it, or of the shares delivered, as is assigned; what of that is European is sold instead, for the
least that it is worth then, with interest and dividends as high as is counted with (`strike_before`). Shares are
counted by the price at the last end of a contract, or, if `forever`, by any price after it.

Which of the longer ones stands for what is sold is decided beforehand, in each of some ways, and for each of these the
worst way of the price is found. All of them are open to the holder, so the best of them is never too high; where
another would be better still it is too low.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate, chain, pairwise, product
from math import ceil, floor
from typing import Final, NamedTuple

from options_helper.analysis.payoffs import (
    NEVER,
    End,
    Given,
    end_of,
    is_european,
    slope_of,
    strike_before,
    uncovered_ends,
)
from options_helper.model.portfolio import PortfolioLine

_NOTHING: Final = Decimal(0)
_CENT: Final = Decimal("0.01")
# Of what may be left at an end all is tried; a book in which more may be left is judged end by end.
_MOST_STATES: Final = 300


class _Kind(NamedTuple):
    """What a part pays. A share is a call struck at 0: what can be lost on it is its price."""

    is_put: bool
    strike: int  # in the book's units, and even
    is_european: bool = False

    def over(self, price: int) -> int:
        """How far it is in the money at this price; negative where it is not."""
        return self.strike - price if self.is_put else price - self.strike


# Dollars for each dollar of price, in units and short is negative: of the parts that end together, by what they pay.
_Parts = dict[_Kind, int]


class _Cover(NamedTuple):
    """So much of what ends later, for what is assigned at an earlier end."""

    later: int  # the place of its own end
    kind: _Kind
    slope: int
    then: _Kind  # what it is worth at least at the earlier end


# By the place of the end at which it may be wanted, the first that is exercised first.
_Covers = Mapping[int, tuple[_Cover, ...]]


@dataclass(frozen=True, slots=True)
class _Way:
    """How it is chosen what stands for what."""

    best_first: bool  # the call with the lowest strike, a share before it; the put with the highest
    longest_first: bool
    with_puts: (
        bool  # a sold put has an end of its own, so what could cover it may be worth more at a later one
    )
    sparing_shares: bool  # a put by which shares are insured at its end covers no other


_WAYS: Final = tuple(
    _Way(best_first, longest_first, with_puts, sparing_shares)
    for with_puts, sparing_shares in ((True, True), (True, False), (False, True))
    for best_first, longest_first in product((True, False), repeat=2)
)


class Least(NamedTuple):
    """The least worth in dollars, and with what it counts of the European contracts that stand for others in it."""

    worth: Decimal
    given: tuple[Given, ...] = ()

    @property
    def rank(self) -> tuple[Decimal, int]:
        """Of two the greater is better; where they are the same, the one that counts with less."""
        return self.worth, -len(self.given)


def least_worth(groups: Sequence[Sequence[PortfolioLine]], *, forever: bool = False) -> Decimal | None:
    """Dollars, of all lines of some groups together, on one underlying and with usual deliveries; None: without an end.

    Together they are at least as good as each of the groups by itself.
    """
    found = least_and_given(groups, forever=forever)
    return None if found is None else found.worth


def least_and_given(groups: Sequence[Sequence[PortfolioLine]], *, forever: bool = False) -> Least | None:
    """The same, and with what it counts."""
    lines = tuple(chain.from_iterable(groups))
    if uncovered_ends(lines):
        return None
    end = NEVER if forever else _last_end(lines)
    together = _least(lines, end)
    if len(groups) < 2 or any(uncovered_ends(group) for group in groups):
        return together
    each = [_least(tuple(group), end) for group in groups]
    apart = Least(
        sum((one.worth for one in each), _NOTHING),
        tuple(given for given in Given if any(given in one.given for one in each)),
    )
    return max(together, apart, key=lambda one: one.rank)


def _last_end(lines: Sequence[PortfolioLine]) -> End:
    """That of the last contract; where there is none, never."""
    return max((end for line in lines if (end := end_of(line.instrument)) != NEVER), default=NEVER)


@lru_cache(maxsize=4096)  # after a fill most groups are as they were, and lines never change
def _least(lines: tuple[PortfolioLine, ...], shares_end: End) -> Least:
    when, parts, unit = _in_units(lines, shares_end)
    # In their order, each once.
    chosen = dict.fromkeys(
        tuple(_covers(when, parts, way).items()) for way in (_WAYS if _is_short(parts) else _WAYS[:1])
    )
    ends = _Ends(parts)
    found = (Least(_Paths(ends, dict(one)).least() * unit, _given(dict(one))) for one in chosen)
    return max(found, key=lambda one: one.rank)


def _in_units(lines: Sequence[PortfolioLine], shares_end: End) -> tuple[Sequence[End], list[_Parts], Decimal]:
    """The ends, the first first, and what ends together at each; and how many dollars one is of what they come to.

    Counted in whole units everything is as exact as in decimals, and takes less time.
    """
    kinds = [
        (line.instrument.option_type == "put", _strike(line), is_european(line.instrument)) for line in lines
    ]
    slopes = [slope_of(line) for line in lines]
    # A price halfway between two strikes is whole, too.
    of_price, of_slope = _unit([strike for _, strike, _ in kinds]) / 2, _unit(slopes)
    if any(only_at_end for _, _, only_at_end in kinds):
        # What one of these is worth before its end is in cents.
        of_price = min(of_price, _CENT / 2)
    book: dict[End, _Parts] = defaultdict(lambda: defaultdict(int))
    for line, (is_put, strike, only_at_end), slope in zip(lines, kinds, slopes, strict=True):
        end = end_of(line.instrument)
        parts = book[shares_end if end == NEVER else end]
        parts[_Kind(is_put, int(strike / of_price), only_at_end)] += int(slope / of_slope)
    when = sorted(book)
    ends = [{kind: slope for kind, slope in book[end].items() if slope} for end in when]
    return when, ends, of_price * of_slope


def _strike(line: PortfolioLine) -> Decimal:
    strike = line.instrument.strike
    return _NOTHING if strike is None else Decimal(str(strike))


def _unit(numbers: Iterable[Decimal]) -> Decimal:
    """A power of ten of which all of them are so many."""
    return Decimal(1).scaleb(min((int(one.as_tuple().exponent) for one in numbers), default=0))


def _given(covers: _Covers) -> tuple[Given, ...]:
    """With what the worth of those counts that cannot be exercised when they are wanted, the puts first."""
    sold_then = {one.kind.is_put for one in chain.from_iterable(covers.values()) if one.kind.is_european}
    of_kinds = ((True, Given.INTEREST), (False, Given.DIVIDENDS))
    return tuple(given for is_put, given in of_kinds if is_put in sold_then)


def _is_short(ends: Sequence[_Parts]) -> bool:
    """Whether anything is sold that has not enough beside it that ends with it."""
    return any(_slope(parts, is_put=is_put) < 0 for parts in ends for is_put in (False, True))


def _covers(when: Sequence[End], ends: Sequence[_Parts], way: _Way) -> dict[int, tuple[_Cover, ...]]:
    """What stands for what is sold and has not enough beside it that ends with it."""
    left = [dict(parts) for parts in ends]
    found: dict[int, tuple[_Cover, ...]] = {}
    # Of calls there is enough, if what ends last is served first; puts take what they find.
    for place in reversed(range(len(left))):
        kinds = (False, True) if way.with_puts else (False,)
        taken = tuple(one for is_put in kinds for one in _taken(when, left, place, way, is_put=is_put))
        if taken:
            found[place] = taken
    return found


def _taken(
    when: Sequence[End], left: Sequence[_Parts], place: int, way: _Way, *, is_put: bool
) -> Iterator[_Cover]:
    wanted = -_slope(left[place], is_put=is_put)
    sold = max(
        (one.strike for one, slope in left[place].items() if slope < 0 and one.is_put == is_put), default=0
    )
    later = range(place + 1, len(left))
    for source in reversed(later) if way.longest_first else later:
        if wanted <= 0:
            return
        parts = left[source]
        spare = _slope(parts, is_put=is_put)
        if is_put and way.sparing_shares:
            spare -= max(parts.get(_SHARE, 0), 0)
        of_kind = [one for one in parts if one.is_put == is_put]
        of_kind.sort(key=lambda one: one.strike, reverse=is_put == way.best_first)
        for kind in of_kind:
            slope = min(wanted, spare, parts[kind])
            if slope > 0:
                parts[kind] -= slope
                wanted -= slope
                spare -= slope
                yield _Cover(source, kind, slope, _before(kind, when[source], when[place], sold))


def _before(kind: _Kind, later: End, earlier: End, sold: int) -> _Kind:
    """What it is worth at least at an earlier end: of what may be exercised then, what that brings."""
    if not kind.is_european:
        return kind
    strike = strike_before(
        is_put=kind.is_put, strike=Decimal(kind.strike), later=later, earlier=earlier, sold=Decimal(sold)
    )
    # To the next even number on the side that is worth less.
    return kind._replace(strike=2 * (floor(strike / 2) if kind.is_put else ceil(strike / 2)))


def _slope(parts: _Parts, *, is_put: bool) -> int:
    return sum(slope for kind, slope in parts.items() if kind.is_put == is_put)


_SHARE: Final = _Kind(is_put=False, strike=0)
# So much of what ends together was exercised before.
_Gone = tuple[_Kind, int]
# Of each end that is still to come, what was exercised of it.
_Used = tuple[tuple[int, _Kind, int], ...]


class _TooMany(Exception):
    """More may be left than is tried."""


# What is exercised at an end for what is assigned, and the least worth of all prices at which that is so.
_Outcomes = Mapping[tuple[_Cover, ...], int]


class _Ends:
    """What ends when, whatever is chosen to stand for what; and how much of what may be left is tried yet."""

    def __init__(self, parts: Sequence[_Parts]) -> None:
        self._parts = parts
        self._tries_left = _MOST_STATES
        # Ways of choosing agree about most ends.
        self._known: dict[tuple[int, tuple[_Gone, ...], tuple[_Cover, ...]], _Outcomes] = {}

    def __len__(self) -> int:
        return len(self._parts)

    def try_one(self) -> None:
        """Raises `_TooMany` once enough has been tried."""
        if not self._tries_left:
            raise _TooMany
        self._tries_left -= 1

    def outcomes(self, place: int, gone: tuple[_Gone, ...], covers: tuple[_Cover, ...]) -> _Outcomes:
        """Of an end of which so much is `gone` before."""
        found = self._known.get((place, gone, covers))
        if found is None:
            parts = dict(self._parts[place])
            for kind, slope in gone:
                parts[kind] -= slope
            found = self._known[place, gone, covers] = _outcomes(parts, covers)
        return found


class _Paths:
    """Every way of the price through the ends, for one choice of what stands for what."""

    def __init__(self, ends: _Ends, covers: _Covers) -> None:
        self._ends = ends
        self._covers = covers
        self._known: dict[tuple[int, _Used], int] = {}

    def least(self) -> int:
        """The worst of them."""
        try:
            return self._from(0, ())
        except _TooMany:
            return self._by_end()

    def _from(self, place: int, used: _Used) -> int:
        """From this end on, where so much has been exercised before."""
        if place == len(self._ends):
            return 0
        if (known := self._known.get((place, used))) is not None:
            return known
        self._ends.try_one()
        here = tuple((kind, slope) for later, kind, slope in used if later == place)
        still = [one for one in used if one[0] != place]
        found = min(
            worth + self._from(place + 1, _added(still, exercised))
            for exercised, worth in self._ends.outcomes(place, here, self._covers.get(place, ())).items()
        )
        self._known[place, used] = found
        return found

    def _by_end(self) -> int:
        """Without what may still stand for something when it was not needed: too low, and never too high."""
        gone: dict[int, list[_Gone]] = defaultdict(list)
        for one in chain.from_iterable(self._covers.values()):
            gone[one.later].append((one.kind, one.slope))
        each = (
            self._ends.outcomes(place, tuple(gone[place]), self._covers.get(place, ()))
            for place in range(len(self._ends))
        )
        return sum(min(one.values()) for one in each)


def _outcomes(parts: _Parts, covers: tuple[_Cover, ...]) -> _Outcomes:
    """Of one end, of what is left of it."""
    prices = sorted({0, *(one.strike for one in parts), *(one.then.strike for one in covers)})
    calls, puts, worths = _along(parts, prices)
    if not covers:
        return {(): min(worths)}
    found: dict[tuple[_Cover, ...], int] = {}
    last = len(prices) - 1
    for number, price in enumerate(prices):
        # At the price itself, and between it and the next, to both ends of which worths are straight lines.
        between = (price + prices[number + 1]) // 2 if number < last else price + 1
        at_it = _exercised(covers, price, calls[number - 1] if number else 0, puts[number])
        after = _exercised(covers, between, calls[number], puts[number])
        for exercised, at in ((at_it, number), (after, number), (after, min(number + 1, last))):
            worth = worths[at] + sum(one.slope * max(one.then.over(prices[at]), 0) for one in exercised)
            found[exercised] = min(found.get(exercised, worth), worth)
    return found


def _along(parts: _Parts, prices: Sequence[int]) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """The slopes of calls and of puts that are in the money just above each price, and the worth of all at it."""
    calls = list(accumulate(_at(parts, price, is_put=False) for price in prices))
    of_puts = [_at(parts, price, is_put=True) for price in prices]
    puts = [sum(of_puts) - below for below in accumulate(of_puts)]
    at_nothing = sum(one.strike * slope for one, slope in parts.items() if one.is_put)
    steps = (
        (call - put) * (after - price)
        for call, put, (price, after) in zip(calls, puts, pairwise(prices), strict=False)
    )
    return calls, puts, list(accumulate(steps, initial=at_nothing))


def _at(parts: _Parts, strike: int, *, is_put: bool) -> int:
    """How much of a kind has that strike."""
    return sum(parts.get(_Kind(is_put, strike, only_at_end), 0) for only_at_end in (False, True))


def _exercised(covers: Sequence[_Cover], price: int, calls: int, puts: int) -> tuple[_Cover, ...]:
    """For what is assigned of these slopes of calls and puts: of what runs longer, what is in the money."""
    assigned = {False: -calls, True: -puts}
    found: list[_Cover] = []
    for one in covers:
        slope = min(assigned[one.kind.is_put], one.slope)
        if slope > 0 and one.then.over(price) > 0:
            found.append(one if slope == one.slope else one._replace(slope=slope))
            assigned[one.kind.is_put] -= slope
    return tuple(found)


def _added(used: Sequence[tuple[int, _Kind, int]], exercised: Sequence[_Cover]) -> _Used:
    total: dict[tuple[int, _Kind], int] = defaultdict(int)
    for later, kind, slope in chain(used, (one[:3] for one in exercised)):
        total[later, kind] += slope
    return tuple(sorted((*of, slope) for of, slope in total.items()))
