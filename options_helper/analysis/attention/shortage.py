"""What of shares and dollars is missing for what ends together, and the fewest contracts to close so that nothing is.

A total does not say that. Of a long and three short calls in the money the long one brings shares that the others lack:
to leave out its exercise makes the shortage larger, and so does closing short puts beside short calls. So it is asked
what is missing after each closing, of shares and of dollars, over all that ends together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from math import ceil, floor, inf
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from options_helper.analysis.attention.delivery import Outcome, outcome_of_each
from options_helper.analysis.attention.held_legs import HeldLine

# Dollars, shares and contracts below this are none.
_ROUNDING: Final = 1e-6
# Of two legs that only together leave nothing missing, each number of the smaller one is tried, up to so many.
_TRIED_AT_MOST: Final = 200
# Pairs are looked for among so many legs: they are the square of these, at each look.
_PAIRED_AT_MOST: Final = 12

# Contracts without a sign by the symbols of their legs.
Closed = Mapping[str, float]
_NONE: Final[Closed] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Part:
    """So many contracts of one leg, without a sign."""

    leg: HeldLine
    contracts: float

    @property
    def symbol(self) -> str:
        """Of the contract."""
        return self.leg.instrument.live_symbol

    @property
    def is_whole(self) -> bool:
        """Whether that is all of the leg."""
        return self.contracts >= abs(self.leg.quantity) - _ROUNDING


# All of its parts are closed; then nothing is missing.
Way = tuple[Part, ...]


class Missing(Struct, frozen=True, gc=False):
    """Shares and dollars that are not there, 0 or more."""

    shares: float
    dollars: float

    def __bool__(self) -> bool:
        return self.shares > _ROUNDING or self.dollars > _ROUNDING

    def is_more_than(self, other: Missing) -> bool:
        """Whether of either more is missing."""
        return self.shares > other.shares + _ROUNDING or self.dollars > other.dollars + _ROUNDING


@dataclass(frozen=True)
class Settlement:
    """What ends together at one price: what each contract brings, and what is there for it.

    Without slots: each of its legs asks for the ways, and they are worked out once.
    """

    legs: tuple[Part, ...]  # those exercised or assigned, with all of their contracts
    each: tuple[Outcome, ...]  # what one contract of each brings
    free: float  # shares, 0 or more
    money: float  # dollars, 0 or more
    is_known: bool = (
        True  # False: something is missing if no share, or no dollar, is there that nobody knows of
    )

    def missing(self, closed: Closed = _NONE) -> Missing:
        """What is missing when so many contracts were closed before."""
        shares, dollars = self._spare(closed)
        return Missing(max(0.0, -shares), max(0.0, -dollars))

    def is_safe(self, closed: Closed) -> bool:
        """Whether to close these leaves no more missing than there is, of neither."""
        return not self.missing(closed).is_more_than(self.missing())

    def helps(self, closed: Closed) -> bool:
        """Whether less is missing then."""
        return self.is_safe(closed) and self.missing().is_more_than(self.missing(closed))

    def rival_of(self, closed: Closed) -> Part | None:
        """A sold leg that closing leaves no more missing alone, and does after these; None: there is none."""
        bearable = self.missing()
        before, after = self._spare(_NONE), self._spare(closed)
        for one, each in zip(self.legs, self.each, strict=True):
            if one.leg.quantity > 0 or one.symbol in closed:
                continue
            alone, both = (
                Missing(
                    max(0.0, one.contracts * each.shares - shares),
                    max(0.0, one.contracts * each.cash - dollars),
                )
                for shares, dollars in (before, after)
            )
            if not alone.is_more_than(bearable) and both.is_more_than(bearable):
                return one
        return None

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """The closings each of which leaves nothing missing; none where nothing is.

        One leg alone where that does, of either side the one that is least in the money, since it is the cheapest to
        give up; else two; else what is left when as much as can be is kept.
        """
        if not self.missing():
            return ()
        alone = list(self._alone())
        if alone:
            return tuple(
                (min(side, key=_gives_up),)
                for side in (
                    [part for part in alone if part.leg.quantity > 0],
                    [part for part in alone if part.leg.quantity < 0],
                )
                if side
            )
        pair = min(self._pairs(), key=_size, default=None)
        return (self._fewest({}) if pair is None else pair,)

    def with_what_offsets(self, closed: Closed) -> Way:
        """What to close besides, so that no more is missing than there is; all else where it has to be."""
        first = tuple(Part(one.leg, closed[one.symbol]) for one in self.legs if one.symbol in closed)
        for one, each in zip(self.legs, self.each, strict=True):
            # One leg more where that does.
            if one.symbol not in closed:
                few = _fewest_of(self._spare(closed), each, one.contracts, self.missing())
                if few is not None:
                    return (*first, Part(one.leg, few))
        return self._fewest(closed)

    def _spare(self, closed: Closed) -> tuple[float, float]:
        """Shares and dollars that are there beyond what goes; negative: so many are missing."""
        shares, dollars = self.free, self.money
        for one, each in zip(self.legs, self.each, strict=True):
            kept = one.contracts - closed.get(one.symbol, 0.0)
            shares, dollars = shares + kept * each.shares, dollars + kept * each.cash
        return shares, dollars

    def _alone(self) -> Iterator[Part]:
        spare = self._spare(_NONE)
        for one, each in zip(self.legs, self.each, strict=True):
            few = _fewest_of(spare, each, one.contracts, NOTHING_MISSING)
            if few is not None:
                yield Part(one.leg, few)

    def _pairs(self) -> Iterator[Way]:
        if len(self.legs) > _PAIRED_AT_MOST:
            return
        shares, dollars = self._spare(_NONE)
        for one, other in permutations(range(len(self.legs)), 2):
            first, second = self.legs[one], self.legs[other]
            if first.contracts > min(second.contracts, _TRIED_AT_MOST) + _ROUNDING:
                continue
            brings = self.each[one]
            for count in _counts(first.contracts):
                spare = shares - count * brings.shares, dollars - count * brings.cash
                if few := _fewest_of(spare, self.each[other], second.contracts, NOTHING_MISSING):
                    parts = (Part(first.leg, count), Part(second.leg, few))
                    yield parts if one < other else parts[::-1]
                    break

    def _fewest(self, closed: Closed) -> Way:
        """From all that ends so much is kept as can be, first what is deepest in the money; `closed` is not."""
        left = {one.symbol: one.contracts for one in self.legs}
        bearable = self.missing() if closed else NOTHING_MISSING
        each_of = {one.symbol: each for one, each in zip(self.legs, self.each, strict=True)}
        for one in sorted(self.legs, key=_gives_up, reverse=True):
            named = closed.get(one.symbol, 0.0)
            few = _fewest_of(
                self._spare({**left, one.symbol: named}),
                each_of[one.symbol],
                one.contracts - named,
                bearable,
            )
            if few is not None:
                left[one.symbol] = named + few
        return tuple(Part(one.leg, left[one.symbol]) for one in self.legs if left[one.symbol])


NOTHING_MISSING: Final = Missing(0.0, 0.0)


def settlement(
    legs: Sequence[HeldLine], spot: float | None, free: float | None, money: float | None
) -> Settlement | None:
    """What ends at that price; None where what one of the legs delivers is not known.

    Of shares and money that nobody knows of, none is taken to be there: what leaves no more missing then, never does.
    """
    if spot is None:
        return None
    parts: list[Part] = []
    outcomes: list[Outcome] = []
    for one in legs:
        each = outcome_of_each(one, spot)
        if each is None:
            return None
        if one.quantity and (each.shares or each.cash):
            parts.append(Part(one, abs(one.quantity)))
            outcomes.append(each)
    found = Settlement(tuple(parts), tuple(outcomes), max(0.0, free or 0.0), max(0.0, money or 0.0))
    lacks = found.missing()
    in_doubt = (free is None and lacks.shares > 0) or (money is None and lacks.dollars > 0)
    return replace(found, is_known=False) if in_doubt else found


def may_offset(one: HeldLine, legs: Iterable[HeldLine]) -> bool:
    """Whether one of the others may take what this one brings: shares for dollars, or dollars for shares."""
    return any(
        _brings_shares(other) is not _brings_shares(one)
        for other in legs
        if other.instrument.live_symbol != one.instrument.live_symbol
        and other.quantity
        and other.is_in_the_money is not False
    )


def _brings_shares(one: HeldLine) -> bool:
    return (one.instrument.option_type == "call") is (one.quantity > 0)


def _fewest_of(spare: tuple[float, float], each: Outcome, held: float, bearable: Missing) -> float | None:
    """The fewest contracts of one leg without which no more is missing than is `bearable`; None: no number does."""
    least, most = 0.0, inf
    for there, brings, may in zip(
        spare, (each.shares, each.cash), (bearable.shares, bearable.dollars), strict=True
    ):
        beyond = there + may
        if brings < 0:
            least = max(least, beyond / brings)
        elif brings > 0:
            most = min(most, beyond / brings)
        elif beyond < -_ROUNDING:
            return None
    few = min(held, max(0.0, float(ceil(least - _ROUNDING))))
    return few if least - _ROUNDING <= few <= most + _ROUNDING else None


def _counts(held: float) -> Iterator[float]:
    """1, 2, 3 and so on, and all of it."""
    yield from (float(count) for count in range(1, floor(held + _ROUNDING) + 1))
    if held % 1 > _ROUNDING:
        yield held


def _gives_up(one: Part) -> tuple[float, float]:
    return one.leg.inside or 0.0, one.contracts


def _size(way: Way) -> tuple[float, float]:
    return sum(one.contracts for one in way), sum(one.leg.inside or 0.0 for one in way)
