"""What a closing leaves behind: sold legs without their cover, or more missing at the end, whatever its price.

A leg that ends in the money beside one that does not covers it all the same until then: without the long leg of a
spread the short one is naked, and without the short one the long one may take money that is not there. So a closing is
held against doing nothing at every price at which the end may come, and not at the price of now alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import copysign, fsum
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from options_helper.analysis.attention.closings import NONE_CLOSED, Closed, kept
from options_helper.analysis.attention.collateral import Collateral, Floats
from options_helper.analysis.attention.delivery import Outcome, outcome_of_each
from options_helper.analysis.attention.held_legs import HeldLine, inside_at
from options_helper.analysis.attention.words import listed
from options_helper.analysis.payoffs import end_of
from options_helper.model.contract_symbols import STANDARD_MULTIPLIER, plain_number

# Dollars, shares and contracts below this are none.
ROUNDING: Final = 1e-6


class Missing(Struct, frozen=True, gc=False):
    """Shares and dollars that are not there, 0 or more."""

    shares: float
    dollars: float

    def __bool__(self) -> bool:
        return self.shares > ROUNDING or self.dollars > ROUNDING

    def is_more_than(self, other: Missing) -> bool:
        """Whether of either more is missing."""
        return self.shares > other.shares + ROUNDING or self.dollars > other.dollars + ROUNDING


class Harm(Struct, frozen=True, gc=False):
    """What is worse after a closing than after doing nothing, as it follows "alone that"; it names no amount."""

    words: str  # "leaves SPY 20 Nov 26 652 C uncovered"


class _Range(Struct, frozen=True, gc=False):
    """Prices at all of which the same legs are exercised: one of them, and which they are in words."""

    price: float
    words: str  # "above 652"
    least: float  # none of them is below this


@dataclass(frozen=True)
class Aftermath:
    """All that is held on one underlying, in the quantities that count, and what of it ends together.

    Without slots: each closing that is thought of asks for what doing nothing leaves, and that is worked out once.
    """

    ending: tuple[HeldLine, ...]  # options that end together
    beside: tuple[HeldLine, ...]  # shares, and what ends sooner or later; nothing that has ended
    free: float  # shares, 0 or more
    money: float  # dollars of buying power, 0 or more
    spot: float
    collateral: Collateral  # what is set aside for those of them that were sold, beside that
    owed: float = 0.0  # shares that go to what ends another day before any is free, 0 or more

    def harm(self, closed: Closed, *, counts_bought: bool = False) -> Harm | None:
        """What is worse when so many contracts were closed than when none were; None: nothing is.

        Calls, puts and shares sold short that lose their cover; shares sold short that an assignment would have bought
        back; a greater loss of what ends together, at any price; more shares or dollars that are missing then. Where
        `counts_bought`, dollars are not more that shares which are missing no longer would have cost.
        """
        key = frozenset(closed.items()), counts_bought
        if key not in self._harms:
            self._harms[key] = self._harm(closed, counts_bought=counts_bought)
        return self._harms[key]

    @cached_property
    def _harms(self) -> dict[tuple[frozenset[tuple[str, float]], bool], Harm | None]:
        return {}

    def _harm(self, closed: Closed, *, counts_bought: bool) -> Harm | None:
        if self._closes_all(closed):
            return None
        if (naked := self._uncovered(closed) or self._uncovered_puts(closed)) is not None:
            return Harm(f"leaves {naked} uncovered")
        more = self._more_missing(closed, counts_bought=counts_bought)
        if lacking := self._lacking(more, 0):
            return Harm(f"leaves more {lacking} missing")
        if (left := self._loses_more(closed) or self._stays_short(closed)) is not None:
            return Harm(f"leaves {left}")
        for place, each in enumerate(self._ranges):
            if lacking := self._lacking(more, place):
                return Harm(f"leaves more {lacking} missing {each.words}")
        return None

    def _lacking(self, more: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None, place: int) -> str:
        """Of what more is missing in a range: "AAPL shares and money"; empty where of neither."""
        if more is None:
            return ""
        shares, dollars = more
        name = next((one.instrument.underlying for one in self.ending), "")
        said = [*([f"{name} shares"] if shares[place] else []), *(["money"] if dollars[place] else [])]
        return " and ".join(said)

    def _closes_all(self, closed: Closed) -> bool:
        """Whether nothing is left on the underlying, so that nothing can be worse; of several legs it is worked out."""
        return not self.beside and len(self.ending) == 1 and abs(kept(self.ending[0], closed)) <= ROUNDING

    def missing(self, closed: Closed = NONE_CLOSED) -> Missing:
        """What is not there when it ends at the price of now."""
        if not self.delivers:
            return NOTHING_MISSING
        shares, dollars = self._now.missing(closed, self._aside_now_after(closed))
        return Missing(float(shares[0]), float(dollars[0]))

    def may_be_safe(
        self, closed: Closed, added: Sequence[tuple[str, float]], *, with_nothing_missing: bool
    ) -> NDArray[np.bool_]:
        """Of each of these, closed too or in place of what is closed of it, whether nothing may be worse then.

        For all of them at once, by what is quick to tell: where it is False something is worse, or, where it is asked
        `with_nothing_missing`, something is missing at the price of now.
        """
        if not self.ending:
            return np.ones(len(added), dtype=bool)
        table = self._table
        worth, shares, dollars = table.after_each(closed, added)
        may: NDArray[np.bool_] = worth.min(axis=0) >= self._worst_before - ROUNDING
        if not self.delivers:
            return may
        lacking = self._missing_before
        for left, lacked in zip((shares, dollars + self._aside[:, None]), lacking, strict=True):
            may &= (left >= -lacked[:, None] - ROUNDING).all(axis=0)
            if with_nothing_missing:
                may &= left[0] >= -ROUNDING  # the first price is that of now
        return may

    def lacks_more_once_exercised(self, one: HeldLine, cost: float, money: float) -> bool:
        """Whether at any end more is missing when all of one call was exercised before, for so much of the `money`.

        A share that it brings may be delivered at that end, if nothing else needs it; it is no dollar there.
        """
        if not self.delivers:
            return False
        less = money - self.money
        brings = max(0.0, abs(one.quantity) * units_of(one) - self.owed)
        closed = {one.instrument.live_symbol: abs(one.quantity)}
        before = self._table.missing(NONE_CLOSED, self._aside + less)
        then = self._table.missing(closed, self._aside_after(closed) + less - cost, brought=brings)
        return any(bool((now > had + ROUNDING).any()) for had, now in zip(before, then, strict=True))

    @cached_property
    def shorts_beside(self) -> tuple[HeldLine, ...]:
        """Calls and shares that are sold and stay behind, the first to end first: what ends here may cover them.

        Beside shares sold short puts too: these may not stay without them.
        """
        puts = bool(self._short_shares)
        sold = [
            one for one in self.beside if one.quantity < 0 and (puts or one.instrument.option_type != "put")
        ]
        return tuple(sorted(sold, key=lambda one: end_of(one.instrument)))

    @cached_property
    def delivers(self) -> bool:
        """Whether shares come or go at the end, and not cash alone."""
        return any(one.life is None or not one.life.is_cash for one in self.ending)

    @cached_property
    def _ranges(self) -> tuple[_Range, ...]:
        """The price of now, and one of each range: between two strikes the same legs are exercised."""
        strikes = _strikes(self.ending)
        now = _Range(self.spot, "", max((one for one in strikes if one <= self.spot), default=0.0))
        if not strikes:
            return (now,)
        return (
            now,
            _Range(strikes[0] / 2, f"below {plain_number(strikes[0])}", 0.0),
            *(
                _Range((low + high) / 2, f"between {plain_number(low)} and {plain_number(high)}", low)
                for low, high in pairwise(strikes)
            ),
            _Range(strikes[-1] * 2, f"above {plain_number(strikes[-1])}", strikes[-1]),
        )

    @cached_property
    def _least_prices(self) -> Floats:
        return np.array([one.least for one in self._ranges])

    @cached_property
    def _table(self) -> _Table:
        return _Table(self.ending, [one.price for one in self._ranges], self.free, self.money)

    @cached_property
    def _now(self) -> _Table:
        """At the price of now alone: it is asked far more often than the other prices."""
        return _Table(self.ending, [self.spot], self.free, self.money)

    @cached_property
    def _aside_now(self) -> Floats:
        return self.collateral.at_each(self._now.prices)

    def _aside_now_after(self, closed: Closed) -> Floats:
        return self.collateral.after(closed, self._now.prices, self._aside_now) if closed else self._aside_now

    @cached_property
    def _aside(self) -> Floats:
        return self.collateral.at_each(self._table.prices)

    def _aside_after(self, closed: Closed) -> Floats:
        return self.collateral.after(closed, self._table.prices, self._aside) if closed else self._aside

    @cached_property
    def _missing_before(self) -> tuple[Floats, Floats]:
        return self._table.missing(NONE_CLOSED, self._aside_after(NONE_CLOSED))

    def _more_missing(
        self, closed: Closed, *, counts_bought: bool
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """In which ranges more shares are missing, and in which more dollars; None: nothing is delivered."""
        if not self.delivers:
            return None
        shares, dollars = self._missing_before
        then_shares, then_dollars = self._table.missing(closed, self._aside_after(closed))
        bought = np.maximum(0.0, shares - then_shares) * self._least_prices if counts_bought else 0.0
        return then_shares > shares + ROUNDING, then_dollars > dollars + bought + ROUNDING

    def may_all_be_safe(self, symbols: Sequence[str], rows: Floats) -> NDArray[np.bool_]:
        """Of many closings, a row each of so many contracts of these `symbols`, whether nothing may be worse.

        As `may_be_safe`: where it is False something is, also where what is bought counts. Of what loses its cover it
        says nothing.
        """
        if not self.ending:
            return np.ones(len(rows), dtype=bool)
        worth, shares, dollars = self._table.after_rows(symbols, rows)
        may: NDArray[np.bool_] = worth.min(axis=0) >= self._worst_before - ROUNDING
        if self.delivers:
            lacked_shares, lacked_dollars = (each[:, None] for each in self._missing_before)
            bought = np.maximum(0.0, lacked_shares - np.maximum(0.0, -shares)) * self._least_prices[:, None]
            may &= (shares >= -lacked_shares - ROUNDING).all(axis=0)
            may &= (dollars + self._aside[:, None] >= -lacked_dollars - bought - ROUNDING).all(axis=0)
        return may

    def _uncovered(self, closed: Closed) -> str | None:
        """What is sold and loses its cover at any end; None: nothing does.

        What a closing ends of uncovered calls is not there to be spent again: it is held against what closing the sold
        ones alone leaves. So no long call goes that could cover something.
        """
        calls = [one for one in (*self.ending, *self.beside) if one.instrument.option_type != "put"]
        if not any(one.quantity > 0 and closed.get(one.instrument.live_symbol) for one in calls):
            return None
        symbols = {one.instrument.live_symbol for one in calls if one.quantity < 0}
        of_sold = {symbol: count for symbol, count in closed.items() if symbol in symbols}
        for end in sorted({end_of(one.instrument) for one in calls}):
            alive = [one for one in calls if end_of(one.instrument) >= end]
            if _naked(alive, closed) > _naked(alive, of_sold) + ROUNDING:
                return _sold_words(alive, closed)
        return None

    @cached_property
    def _short_shares(self) -> tuple[HeldLine, ...]:
        return tuple(one for one in self.beside if not one.instrument.is_option and one.quantity < 0)

    def _uncovered_puts(self, closed: Closed) -> str | None:
        """Which sold puts lose shares sold short, which win in a fall what they lose; None: none does."""
        if not any(closed.get(one.instrument.live_symbol) for one in self._short_shares):
            return None
        every = [one for one in (*self.ending, *self.beside) if one.instrument.option_type == "put"]
        for end in sorted({end_of(one.instrument) for one in every if one.quantity < 0}):
            puts = [one for one in every if end_of(one.instrument) == end]
            longer = [one for one in every if one.quantity > 0 and end_of(one.instrument) > end]
            before, after = (
                max(
                    0.0,
                    fsum(kept(one, gone) for one in self._short_shares)
                    - fsum(kept(one, gone) * units_of(one) for one in (*puts, *longer)),
                )
                for gone in (NONE_CLOSED, closed)
            )
            if after > before + ROUNDING:
                return _sold_words(puts, closed)
        return None

    def _stays_short(self, closed: Closed) -> str | None:
        """Which shares stay sold short that an assigned put would have bought back, and where; None: none do."""
        gone = [
            one
            for one in self.ending
            if one.instrument.option_type == "put" and closed.get(one.instrument.live_symbol)
        ]
        if not self._short_shares or not any(one.quantity < 0 for one in gone):
            return None
        puts = [one for one in self.ending if one.instrument.option_type == "put"]
        for each in self._ranges:
            brought = [(one, outcome_of_each(one, each.price)) for one in puts]
            before, after = (
                max(
                    0.0,
                    -fsum(kept(one, left) for one in self._short_shares)
                    - fsum(abs(kept(one, left)) * of.shares for one, of in brought if of is not None),
                )
                for left in (NONE_CLOSED, closed)
            )
            if after > before + ROUNDING:
                name = self._short_shares[0].instrument.label
                return " ".join(filter(None, (f"the {name} sold short", each.words)))
        return None

    def _loses_more(self, closed: Closed) -> str | None:
        """What is sold where together all that ends here loses more than it would, at the worst price of each."""
        if self._table.worst(closed) >= self._worst_before - ROUNDING:
            return None
        puts = [one for one in self.ending if one.instrument.option_type == "put"]
        return f"{_sold_words(puts, closed) or _sold_words(self.ending, closed)} uncovered"

    @cached_property
    def _worst_before(self) -> float:
        return self._table.worst(NONE_CLOSED)


class _Table:
    """What one contract of each leg brings at each price (rows) by legs (columns), so that a closing is a sum."""

    def __init__(self, legs: Sequence[HeldLine], prices: Sequence[float], free: float, money: float) -> None:
        self.prices = np.array(prices)
        outcomes = [[outcome_of_each(one, price) or Outcome(0.0, 0.0) for one in legs] for price in prices]
        self._shares = np.array([[one.shares for one in row] for row in outcomes]).reshape(
            len(prices), len(legs)
        )
        self._cash = np.array([[one.cash for one in row] for row in outcomes]).reshape(len(prices), len(legs))
        counts = np.array([abs(one.quantity) for one in legs])
        self._free = free + self._shares @ counts
        self._money = money + self._cash @ counts
        self._columns = {one.instrument.live_symbol: n for n, one in enumerate(legs)}
        grid = (0.0, *_strikes(legs))
        worths = [
            [
                copysign(one.instrument.multiplier or 0, one.quantity)
                * max(0.0, inside_at(one.instrument, at))
                for one in legs
            ]
            for at in grid
        ]
        self._worths = np.array(worths).reshape(len(grid), len(legs))
        self._worth = self._worths @ counts

    def _counts(self, closed: Closed) -> Floats:
        """Of each leg how much is closed."""
        counts = np.zeros(self._shares.shape[1])
        for symbol, count in closed.items():
            if (column := self._columns.get(symbol)) is not None:
                counts[column] = count
        return counts

    def after_each(self, closed: Closed, added: Sequence[tuple[str, float]]) -> tuple[Floats, Floats, Floats]:
        """Worth, shares and dollars (rows of prices) once each of these is closed too, or in place of what is of it."""
        columns = [self._columns.get(symbol) for symbol, _ in added]
        more = [
            0.0 if column is None else count - closed.get(symbol, 0.0)
            for (symbol, count), column in zip(added, columns, strict=True)
        ]
        places, counts = [column or 0 for column in columns], self._counts(closed)
        worth, shares, dollars = (
            (there - each @ counts)[:, None] - each[:, places] * more
            for there, each in (
                (self._worth, self._worths),
                (self._free, self._shares),
                (self._money, self._cash),
            )
        )
        return worth, shares, dollars

    def after_rows(self, symbols: Sequence[str], rows: Floats) -> tuple[Floats, Floats, Floats]:
        """The same of many closings, a row each of so many contracts of these `symbols`."""
        counts = np.zeros((self._shares.shape[1], len(rows)))
        for place, symbol in enumerate(symbols):
            if (column := self._columns.get(symbol)) is not None:
                counts[column] = rows[:, place]
        worth, shares, dollars = (
            there[:, None] - each @ counts
            for there, each in (
                (self._worth, self._worths),
                (self._free, self._shares),
                (self._money, self._cash),
            )
        )
        return worth, shares, dollars

    def missing(self, closed: Closed, aside: Floats, *, brought: float = 0.0) -> tuple[Floats, Floats]:
        """Shares and dollars at each price, where so many shares were `brought` before."""
        counts = self._counts(closed)
        shares = self._free + brought - self._shares @ counts
        dollars = self._money + aside - self._cash @ counts
        return np.maximum(0.0, -shares), np.maximum(0.0, -dollars)

    def worst(self, closed: Closed) -> float:
        """The least worth at the end, at a price of 0 or at any strike, at most 0; what is beyond has no cover."""
        return min(0.0, float((self._worth - self._worths @ self._counts(closed)).min()))


NOTHING_MISSING: Final = Missing(0.0, 0.0)


def units_of(one: HeldLine) -> float:
    """Dollars for each dollar of price of one of it; an adjusted contract counts as a usual one."""
    return one.instrument.multiplier or STANDARD_MULTIPLIER


def _naked(alive: Iterable[HeldLine], closed: Closed) -> float:
    """Of so many shares nothing that is alive then covers what is sold."""
    return max(0.0, -fsum(kept(one, closed) * units_of(one) for one in alive))


def _sold_words(lines: Sequence[HeldLine], closed: Closed) -> str | None:
    labels = [
        one.instrument.label if one.instrument.is_option else f"the {one.instrument.label} sold short"
        for one in lines
        if kept(one, closed) < -ROUNDING
    ]
    return listed(list(dict.fromkeys(labels))) if labels else None


def _strikes(lines: Iterable[HeldLine]) -> list[float]:
    return sorted({one.instrument.strike or 0.0 for one in lines if one.instrument.is_option})
