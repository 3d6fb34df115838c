"""What to close so that nothing that was sold is left without cover: the law of that remedy, and the search for it.

A closing ends the risk if after it no call is uncovered at any end, and it is named only where besides that nothing is
worse when what it is of ends, at whatever price (`aftermath`). What is uncovered is shares that would have to be
bought: dollars that are missing in place of those are no more than that. Of the sold calls alone it is the one that
costs least at the ask; where more money or shares would be missing then, the fewest contracts with what else has to go;
and all options on the underlying where no less will do: where nothing is left, nothing is worse.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor, prod
from typing import Final, NamedTuple

import numpy as np

from options_helper.analysis.attention.aftermath import ROUNDING, Harm, units_of
from options_helper.analysis.attention.closings import Closed
from options_helper.analysis.attention.collateral import Floats
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.attention.shortage import Part, Settlement
from options_helper.analysis.payoffs import End, end_of

# So many closings are held against each other at most; beyond, of each leg only the numbers that tell something.
_COMPARED_AT_MOST: Final = 16_384
# Of those that may do, so many are asked about: the quick look leaves out only what is set aside.
_ASKED_AT_MOST: Final = 40


@dataclass(frozen=True)
class Covering:
    """All that is held on one underlying in the quantities that count, each contract once, and how that ends.

    Shares that are sold short no call covers for good, so they are told by themselves, and taken to be bought back.
    Without slots: its parts are worked out once.
    """

    lines: tuple[HeldLine, ...]  # options and shares; nothing that has ended
    settled: Mapping[End, Settlement]  # of those ends of which it is known
    blamed: Collection[str] = ()  # symbols; of equals these are closed first
    first: tuple[Part, ...] = ()  # what is closed with the shares that are bought back

    @cached_property
    def closed(self) -> tuple[Part, ...]:
        """What is to be closed, what is sold first; empty where no call is uncovered."""
        if not self._sold:
            return ()
        parts = self._of_sold.parts or self._of_all.parts or _all_of(self._options)
        return tuple(sorted(parts, key=lambda part: part.leg.quantity > 0))

    @property
    def may_take_less(self) -> bool:
        """Whether not all closings were held against each other, so that less of it may be enough."""
        return not (self._of_sold.is_best and (self._of_sold.parts or self._of_all.is_best))

    @cached_property
    def own_and_others(self) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """The sold calls of it that end the risk, and what goes with these for what they would leave missing."""
        sold = [part for part in self.closed if part.leg in self._sold]
        if len(sold) == len(self.closed):
            return self.closed, ()
        own: list[Part] = []
        for part in sorted(sold, key=lambda part: (part.symbol not in self.blamed, _price(part.leg))):
            if not self._is_covered(own):
                own.append(part)
        return tuple(own), tuple(part for part in self.closed if part not in own)

    @property
    def lacks(self) -> Harm | None:
        """What is missing after it, as a harm is told, in place of shares that would have cost more; None: nothing."""
        bought_back = self._bought_back
        closed = {**bought_back, **{part.symbol: part.contracts for part in self.closed}}
        found = (settled.harm(closed) for settled in self.settlements_of(self.closed))
        return next((one for one in found if one is not None), None)

    @property
    def closes_all(self) -> bool:
        """Whether no option is left on the underlying."""
        return len(self.closed) == len(self._options) and all(part.is_whole for part in self.closed)

    def settlements_of(self, parts: Iterable[Part]) -> list[Settlement]:
        """What these end with, where that is known."""
        ends = dict.fromkeys(end_of(part.leg.instrument) for part in parts)
        return [self.settled[end] for end in ends if end in self.settled]

    @cached_property
    def _options(self) -> tuple[HeldLine, ...]:
        return tuple(one for one in self.lines if one.instrument.is_option)

    @cached_property
    def _bought_back(self) -> Closed:
        return {
            one.instrument.live_symbol: -one.quantity
            for one in self.lines
            if not one.instrument.is_option and one.quantity < 0
        }

    @cached_property
    def _ends(self) -> list[End]:
        """Of calls and shares, the first before the last."""
        return sorted({end_of(one.instrument) for one in self.lines if one.instrument.option_type != "put"})

    def _cover(self, legs: Sequence[HeldLine]) -> Floats:
        """Shares that one contract of each leg (columns) is good for until each end, sold where negative."""
        each = [
            [_signed_units(one) if end_of(one.instrument) >= end else 0.0 for one in legs]
            for end in self._ends
        ]
        return np.array(each, dtype=np.float64).reshape(len(self._ends), len(legs))

    @cached_property
    def _spare(self) -> Floats:
        """Shares that are held until each end beyond what is sold; negative: so many are uncovered."""
        counts = [
            abs(one.quantity) - self._bought_back.get(one.instrument.live_symbol, 0.0) for one in self.lines
        ]
        spare: Floats = self._cover(self.lines) @ np.array(counts)
        return spare

    def _is_covered(self, parts: Sequence[Part]) -> bool:
        left = self._spare - self._cover([part.leg for part in parts]) @ np.array(
            [part.contracts for part in parts]
        )
        return bool((left >= -ROUNDING).all())

    @cached_property
    def _sold(self) -> tuple[HeldLine, ...]:
        """The sold calls that are there when something is uncovered."""
        bare = [end for end, spare in zip(self._ends, self._spare, strict=True) if spare < -ROUNDING]
        if not bare:
            return ()
        sold = [one for one in self._options if one.quantity < 0 and one.instrument.option_type == "call"]
        return tuple(one for one in sold if end_of(one.instrument) >= bare[0])

    @cached_property
    def _of_sold(self) -> _Found:
        """Of the sold calls alone, the cheapest; of what nobody asks a price for, what is blamed."""
        numbers, is_all = _numbers(self._sold, self._telling, most=-float(self._spare.min()))
        rows = self._covering(self._sold, numbers) if numbers else np.array(self._one_after_another)
        contracts, names, foreign, cost = self._figures(self._sold, rows)
        return self._first_lawful(
            self._sold, rows[np.lexsort((names, contracts, foreign, cost))], is_all=is_all
        )

    @cached_property
    def _of_all(self) -> _Found:
        """With what else has to go: the fewest contracts, of as many those whose sold legs cost least."""
        ends = {end_of(one.instrument) for one in self._sold} & self.settled.keys()
        legs = [one for one in self._options if one in self._sold or end_of(one.instrument) in ends]
        numbers, is_all = _numbers(legs, self._telling)
        numbers = numbers or _all_or_none(legs)
        if not numbers:
            return _Found((), is_best=False)
        rows = self._covering(legs, numbers)
        contracts, names, foreign, cost = self._figures(legs, rows)
        return self._first_lawful(legs, rows[np.lexsort((foreign, names, cost, contracts))], is_all=is_all)

    @cached_property
    def _telling(self) -> set[float]:
        """Numbers of contracts that another leg has, or that cover what is uncovered until some end."""
        bare = [-float(spare) for spare in self._spare if spare < -ROUNDING]
        needed = {_enough(each, one) for one in self._sold for each in bare}
        return needed | {abs(one.quantity) for one in self._options}

    @cached_property
    def _one_after_another(self) -> list[list[float]]:
        """Each of the sold calls, and then what is cheapest of the others until nothing is uncovered."""
        by_price = sorted(self._sold, key=_price)
        rows = []
        for first in by_price:
            closed: list[Part] = []
            for one in (first, *(other for other in by_price if other is not first)):
                left = self._spare - self._cover([part.leg for part in closed]) @ np.array(
                    [part.contracts for part in closed]
                )
                lacks = max(0.0, -float(left[[end_of(one.instrument) >= end for end in self._ends]].min()))
                closed.append(Part(one, min(abs(one.quantity), _enough(lacks, one))))
            counts = {part.symbol: part.contracts for part in closed}
            rows.append([counts[one.instrument.live_symbol] for one in self._sold])
        return rows

    def _covering(self, legs: Sequence[HeldLine], numbers: Sequence[Sequence[float]]) -> Floats:
        """Every closing of so many of each leg (rows) after which nothing is uncovered."""
        rows: Floats = np.stack(np.meshgrid(*numbers, indexing="ij"), axis=-1).reshape(-1, len(legs))
        left = self._spare[:, None] - self._cover(legs) @ rows.T
        found: Floats = rows[(left >= -ROUNDING).all(axis=0)]
        return found

    def _figures(self, legs: Sequence[HeldLine], rows: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Of each closing: contracts, legs, contracts that are not blamed, and dollars at the ask of what is sold."""
        asks = [(one.ask or 0.0) * units_of(one) if one.quantity < 0 else 0.0 for one in legs]
        unknown = [one.quantity < 0 and one.ask is None for one in legs]
        cost = np.where((rows[:, unknown] > 0).any(axis=1), np.inf, np.round(rows @ np.array(asks), 6))
        foreign = [one.instrument.live_symbol not in self.blamed for one in legs]
        return rows.sum(axis=1), (rows > 0).sum(axis=1), rows[:, foreign].sum(axis=1), cost

    def _first_lawful(self, legs: Sequence[HeldLine], rows: Floats, *, is_all: bool) -> _Found:
        """The first of these after which nothing is worse; none once enough were asked about."""
        symbols = [one.instrument.live_symbol for one in legs]
        may = np.ones(len(rows), dtype=bool)
        for settled in self.settled.values():
            may &= settled.after.may_all_be_safe(symbols, rows)
        for row in rows[may][:_ASKED_AT_MOST]:
            parts = tuple(
                Part(one, float(count)) for one, count in zip(legs, row, strict=True) if count > ROUNDING
            )
            closed = {**self._bought_back, **{part.symbol: part.contracts for part in self.first}}
            closed.update((one.symbol, max(one.contracts, closed.get(one.symbol, 0.0))) for one in parts)
            if all(
                settled.harm(closed, counts_bought=True) is None for settled in self.settlements_of(parts)
            ):
                return _Found(parts, is_best=is_all)
        return _Found((), is_best=is_all and may.sum() <= _ASKED_AT_MOST)


class _Found(NamedTuple):
    """The first closing of an order that does; none of it where none was found."""

    parts: tuple[Part, ...]
    is_best: bool  # all there are were held against each other


def _all_of(legs: Iterable[HeldLine]) -> tuple[Part, ...]:
    return tuple(Part(one, abs(one.quantity)) for one in legs)


def _price(one: HeldLine) -> tuple[bool, float, str]:
    """As legs are sorted by what a share of them costs at the ask: what is not known stands behind."""
    return one.ask is None, one.ask or 0.0, one.instrument.live_symbol


def _signed_units(one: HeldLine) -> float:
    """Shares that one contract is a right to, or an obligation where negative; of a put none."""
    if one.instrument.option_type == "put":
        return 0.0
    return units_of(one) if one.quantity > 0 else -units_of(one)


def _enough(shares: float, one: HeldLine) -> float:
    """Contracts of it that deliver so many: a part of a contract cannot be closed."""
    return float(ceil(round(shares / units_of(one), 9)))


def _numbers(
    legs: Sequence[HeldLine], telling: Collection[float], most: float | None = None
) -> tuple[list[list[float]], bool]:
    """Of each leg the numbers that are tried, no more than deliver so many shares, and whether those are all.

    None of them: they are too many.
    """
    held = [abs(one.quantity) for one in legs]
    if most is not None:
        held = [min(each, _enough(most, one)) for each, one in zip(held, legs, strict=True)]
    if prod(floor(each) + 2 for each in held) <= _COMPARED_AT_MOST:
        return [sorted({*map(float, range(floor(each) + 1)), each}) for each in held], True
    few = [sorted({0.0, each, *(one for one in telling if one < each)}) for each in held]
    return (few if prod(map(len, few)) <= _COMPARED_AT_MOST else []), False


def _all_or_none(legs: Sequence[HeldLine]) -> list[list[float]]:
    return [[0.0, abs(one.quantity)] for one in legs] if 2 ** len(legs) <= _COMPARED_AT_MOST else []
