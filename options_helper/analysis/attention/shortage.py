"""What of shares and dollars is missing for what ends together, and the fewest contracts to close so that nothing is.

A total does not say that. Of a long and three short calls in the money the long one brings shares that the others lack:
to leave out its exercise makes the shortage larger, and so does closing short puts beside short calls. So it is asked
what is missing after each closing, of shares and of dollars, over all that ends together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from math import ceil, floor, inf
from typing import Final

from options_helper.analysis.attention.aftermath import (
    NOTHING_MISSING,
    ROUNDING,
    Aftermath,
    Harm,
    Missing,
)
from options_helper.analysis.attention.closings import NONE_CLOSED, Closed
from options_helper.analysis.attention.collateral import Collateral
from options_helper.analysis.attention.delivery import Outcome, outcome_of_each
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.model.contract_symbols import STANDARD_MULTIPLIER

# Of two legs that only together leave nothing missing, each number of the smaller one is tried, up to so many.
_TRIED_AT_MOST: Final = 200
# Pairs are looked for among so many legs: they are the square of these, at each look.
_PAIRED_AT_MOST: Final = 12
# Of a leg that is to be closed besides, so many numbers are tried before all of it.
_FEW: Final = 20
# What is spent on one remedy at most: to ask about a closing takes a few, to sort out many by what is quick takes one.
# A dozen legs never take so much.
_SPENT_AT_MOST: Final = 1_000
_TO_ASK: Final = 5


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
        return self.contracts >= abs(self.leg.quantity) - ROUNDING


# All of its parts are closed; then nothing is missing.
Way = tuple[Part, ...]


@dataclass(frozen=True)
class Settlement:
    """What ends together at one price: what each contract brings, and what is there for it.

    Without slots: each of its legs asks for the ways, and they are worked out once.
    """

    legs: tuple[Part, ...]  # those exercised or assigned, with all of their contracts
    each: tuple[Outcome, ...]  # what one contract of each brings
    free: float  # shares, 0 or more
    money: float  # dollars, 0 or more, with what is set aside for what ends here
    after: Aftermath  # what a closing leaves, at this price and at any other
    is_known: bool = (
        True  # False: something is missing if no share, or no dollar, is there that nobody knows of
    )

    def missing(self, closed: Closed = NONE_CLOSED) -> Missing:
        """What is missing when so many contracts were closed before."""
        if not self.after.delivers:
            return NOTHING_MISSING
        if closed and self.after.collateral.has_any:
            return self.after.missing(closed)  # of what is set aside less may be sure then
        shares, dollars = self._spare(closed)
        return Missing(max(0.0, -shares), max(0.0, -dollars))

    def harm(self, closed: Closed, *, counts_bought: bool = False) -> Harm | None:
        """What is worse after closing these, at this price or at any other; None: nothing is."""
        return self.after.harm(closed, counts_bought=counts_bought)

    def is_safe(self, closed: Closed) -> bool:
        """Whether to close these leaves nothing worse than it is."""
        return self.harm(closed) is None

    def helps(self, closed: Closed) -> bool:
        """Whether at this price less is missing then, of either, and no more of the other."""
        before, after = self.missing(), self.missing(closed)
        return before.is_more_than(after) and not after.is_more_than(before)

    def rival_of(self, closed: Closed) -> Part | None:
        """A sold leg that closing leaves no more missing alone, and does after these; None: there is none."""
        bearable = self.missing()
        before, after = self._spare(NONE_CLOSED), self._spare(closed)
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
        """The closings each of which leaves nothing missing, and nothing worse at another price; none where nothing is.

        One leg alone where that does, of either side the one that is least in the money, since it is the cheapest to
        give up; else two, or one with what it covers; else what is left when as much as can be is kept.
        """
        if not self.missing():
            return ()
        enough, search = list(self._alone()), _Search(self, is_cure=True)
        alone = [part for part in enough if search.is_enough(_closed((part,)))]
        if alone:
            return tuple(
                (min(side, key=_gives_up),)
                for side in (
                    [part for part in alone if part.leg.quantity > 0],
                    [part for part in alone if part.leg.quantity < 0],
                )
                if side
            )
        together = [
            *(way for way in self._pairs() if search.is_enough(_closed(way))),
            *(self._way(search.least(search.completed(_closed((part,))), {})) for part in enough),
        ]
        found = min(together, key=_size, default=None)
        way = self._way(search.least(search.everything(), {})) if found is None else found
        self._note_end_of(search, way)
        return (way,)

    def with_what_offsets(self, closed: Closed) -> Way:
        """What to close besides, so that nothing is worse than it is; all else where it has to be."""
        key = frozenset(closed.items())
        if key not in self._offsets:
            search = _Search(self, is_cure=False)
            self._offsets[key] = way = self._way(search.completed(closed))
            self._note_end_of(search, way)
        return self._offsets[key]

    def may_take_less(self, way: Iterable[Part]) -> bool:
        """Whether the search for it came to its end before all was tried, so that less of it may be enough."""
        return frozenset(_closed(tuple(way)).items()) in self._untried

    def _note_end_of(self, search: _Search, way: Way) -> None:
        if search.is_over:
            self._untried.add(frozenset(_closed(way).items()))

    @cached_property
    def _untried(self) -> set[frozenset[tuple[str, float]]]:
        return set()

    @cached_property
    def _offsets(self) -> dict[frozenset[tuple[str, float]], Way]:
        """Of a leg it is told in several places."""
        return {}

    @cached_property
    def closable(self) -> tuple[Part, ...]:
        """What may be closed: what ends together, and what is sold beside it."""
        return tuple(Part(one, abs(one.quantity)) for one in (*self.after.ending, *self.after.shorts_beside))

    def _way(self, closed: Closed) -> Way:
        """As parts: what is closed besides stands behind, in the order of what ends."""
        return tuple(
            Part(one.leg, closed[one.symbol])
            for one in self.closable
            if closed.get(one.symbol, 0.0) > ROUNDING
        )

    def _spare(self, closed: Closed) -> tuple[float, float]:
        """Shares and dollars that are there beyond what goes; negative: so many are missing."""
        shares, dollars = self.free, self.money
        for one, each in zip(self.legs, self.each, strict=True):
            kept = one.contracts - closed.get(one.symbol, 0.0)
            shares, dollars = shares + kept * each.shares, dollars + kept * each.cash
        return shares, dollars

    def _alone(self) -> Iterator[Part]:
        spare = self._spare(NONE_CLOSED)
        for one, each in zip(self.legs, self.each, strict=True):
            few = _fewest_of(spare, each, one.contracts, NOTHING_MISSING)
            if few is not None:
                yield Part(one.leg, few)

    def _pairs(self) -> Iterator[Way]:
        if len(self.legs) > _PAIRED_AT_MOST:
            return
        shares, dollars = self._spare(NONE_CLOSED)
        for one, other in permutations(range(len(self.legs)), 2):
            first, second = self.legs[one], self.legs[other]
            if first.contracts > min(second.contracts, _TRIED_AT_MOST) + ROUNDING:
                continue
            brings = self.each[one]
            for count in _counts(first.contracts):
                spare = shares - count * brings.shares, dollars - count * brings.cash
                if few := _fewest_of(spare, self.each[other], second.contracts, NOTHING_MISSING):
                    parts = (Part(first.leg, count), Part(second.leg, few))
                    yield parts if one < other else parts[::-1]
                    break


@dataclass(slots=True)
class _Search:
    """For closings that are enough: of as few contracts as is found for so much work, and then of more.

    What each question costs grows with the square of the legs, and without an end there would be as many as that.
    """

    settled: Settlement
    is_cure: bool  # nothing is missing then; else nothing is worse than it is
    spent: int = 0

    @property
    def is_over(self) -> bool:
        """Whether no more is tried."""
        return self.spent >= _SPENT_AT_MOST

    def is_enough(self, closed: Closed) -> bool:
        """Whether that is known of it; False too once enough was spent."""
        if self.is_over:
            return False
        self.spent += _TO_ASK
        return not (self.is_cure and self.settled.missing(closed)) and self.settled.is_safe(closed)

    def completed(self, closed: Closed) -> Closed:
        """These and what else it takes: one leg more where that does, the one that is cheapest to give up."""
        if self.is_enough(closed):
            return closed
        numbers = _numbers(closed)
        others = [one for one in self.settled.closable if one.symbol not in closed]
        added = [Part(one.leg, count) for one in others for count in (*_below(one, numbers), one.contracts)]
        one = self._first(closed, sorted(added, key=lambda part: _size((part,))))
        return self.least(self.everything(), closed) if one is None else {**closed, one.symbol: one.contracts}

    def everything(self) -> Closed:
        """All that ends together, and what is sold beside it where it has to be."""
        here = _closed(self.settled.closable[: len(self.settled.after.ending)])
        return here if self.is_enough(here) else _closed(self.settled.closable)

    def least(self, closed: Closed, named: Closed) -> Closed:
        """Of these so much is kept as can be, first what is deepest in the money; `named` is not.

        What one leg leaves may make it enough to close less of one before it, so they are gone through again.
        """
        left = dict(closed)
        legs = [one for one in self.settled.closable if one.symbol in left]
        legs.sort(key=_gives_up, reverse=True)
        before: Closed = {}
        while before != left:
            before = dict(left)
            for one in legs:
                least = named.get(one.symbol, 0.0)
                tried = [least, *(count for count in _below(one, _numbers(left)) if count > least)]
                fewer = [Part(one.leg, count) for count in tried if count < left[one.symbol]]
                if (few := self._first(left, fewer)) is not None:
                    left[one.symbol] = few.contracts
        return left

    def _first(self, closed: Closed, added: Sequence[Part]) -> Part | None:
        """The first that is enough with what is closed, or in place of what is closed of it; None: none is."""
        if self.is_over:
            return None
        self.spent += 1
        may_be = self.settled.after.may_be_safe(
            closed, [(one.symbol, one.contracts) for one in added], with_nothing_missing=self.is_cure
        )
        found = (one for one, may in zip(added, may_be, strict=True) if may)
        return next((one for one in found if self.is_enough({**closed, one.symbol: one.contracts})), None)


def _numbers(closed: Closed) -> list[float]:
    """Of a leg are tried before all of it: the first few, and as many as of any other."""
    return sorted({*(float(count) for count in range(1, _FEW + 1)), *closed.values()})


def _below(one: Part, numbers: Sequence[float]) -> Sequence[float]:
    if not one.leg.instrument.is_option:  # as many as so many contracts deliver
        numbers = [STANDARD_MULTIPLIER * count for count in numbers]
    return numbers[: bisect_left(numbers, one.contracts)]


def settlement(
    legs: Sequence[HeldLine],
    spot: float | None,
    free: float | None,
    money: float | None,
    beside: Sequence[HeldLine] = (),
    *,
    is_money_asked_of_these: bool = False,
) -> Settlement | None:
    """What ends at that price; None where what one of the legs delivers is not known.

    `beside` is what else is held on the underlying: what ends here may cover it. `money` is buying power; where it was
    asked when these quantities were held, what is set aside for those that were sold is there beside it.
    Of shares and money that nobody knows of, none is taken to be there: what leaves no more missing then, never does.
    """
    if spot is None:
        return None
    parts: list[Part] = []
    outcomes: list[Outcome] = []
    # In an order of their own: of equals the first is named, and the file may have them in any.
    legs, beside = (sorted(lines, key=lambda one: one.instrument.live_symbol) for lines in (legs, beside))
    for one in legs:
        each = outcome_of_each(one, spot)
        if each is None:
            return None
        if one.quantity and (each.shares or each.cash):
            parts.append(Part(one, abs(one.quantity)))
            outcomes.append(each)
    there, power = max(0.0, free or 0.0), max(0.0, money or 0.0)
    ending = tuple(one for one in legs if one.quantity)
    aside = Collateral(ending, tuple(beside), is_money_asked_of_these and money is not None)
    after = Aftermath(ending, tuple(beside), there, power, spot, aside, owed=max(0.0, -(free or 0.0)))
    found = Settlement(tuple(parts), tuple(outcomes), there, power + aside.at(spot), after)
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
        elif beyond < -ROUNDING:
            return None
    few = min(held, max(0.0, float(ceil(least - ROUNDING))))
    return few if least - ROUNDING <= few <= most + ROUNDING else None


def _counts(held: float) -> Iterator[float]:
    """1, 2, 3 and so on, and all of it."""
    yield from (float(count) for count in range(1, floor(held + ROUNDING) + 1))
    if held % 1 > ROUNDING:
        yield held


def _gives_up(one: Part) -> tuple[float, float]:
    return one.leg.inside or 0.0, one.contracts


def _size(way: Way) -> tuple[float, float]:
    return sum(one.contracts for one in way), sum(one.leg.inside or 0.0 for one in way)


def _closed(way: Way) -> Closed:
    return {part.symbol: part.contracts for part in way}
