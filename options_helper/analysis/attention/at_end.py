"""What a leg ends with, whenever that is, in the quantities that count: what is closed may have covered another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from options_helper.analysis.attention.delivery import free_shares
from options_helper.analysis.attention.expiring import Ending, Power, Settled
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.attention.shortage import Settlement, settlement
from options_helper.analysis.attention.two_books import TwoBooks
from options_helper.analysis.attention.words import Purse


class Paid(StrEnum):
    """Whether the money to exercise a call is there."""

    YES = "yes"  # and nothing else lacks it then, at whatever prices it ends
    NO = "no"
    AT_RISK = "at risk"  # it is, and what else ends may lack it then
    NOT_KNOWN = "not known"


class AtEnd:
    """The settlements of the ends that are near, and of any later one when something is said of it."""

    def __init__(self, books: TwoBooks, found: Iterable[Ending], settled: Settled, power: Power) -> None:
        self._books = books
        self._power = power
        self._near = {
            symbol: settled[one.settles, one.underlying]
            for one in found
            if not one.is_over
            for symbol in one.symbols
        }
        self._later: dict[tuple[object, str], Settlement | None] = {}

    def is_near(self, symbol: str) -> bool:
        """Whether it is traded for the last time today or in the next session."""
        return symbol in self._near

    def of(self, one: HeldLine) -> Settlement | None:
        """What it ends with, at the price of now; None: not known."""
        symbol = one.instrument.live_symbol
        if symbol in self._near:
            return self._near[symbol]
        settles = None if one.life is None else one.life.settles
        if settles is None:
            return None
        key = settles, one.instrument.underlying
        if key not in self._later:
            self._later[key] = self._settlement(
                one, self._books.account_on.get(one.instrument.underlying, ())
            )
        return self._later[key]

    def counted(self, one: HeldLine) -> HeldLine:
        """The line in the account's quantity, where that is known."""
        held = self._books.account_on.get(one.instrument.underlying, ())
        return next((other for other in held if other.instrument == one.instrument), one)

    def _settlement(self, one: HeldLine, book: Sequence[HeldLine]) -> Settlement | None:
        settles = None if one.life is None else one.life.settles
        living = [other for other in book if not other.ended]
        legs = [other for other in living if other.life is not None and other.life.settles == settles]
        beside = [other for other in living if other not in legs]
        is_as_asked = self._books.is_as_asked(one.instrument.underlying)
        return settlement(
            legs,
            one.spot,
            free_shares(living, legs),
            self._power.has,
            beside,
            is_money_asked_of_these=is_as_asked,
        )

    def paid(self, one: HeldLine, cost: float | None) -> Paid:
        """Whether so many dollars are there to exercise all of a call now, in the quantity that counts."""
        left, sure, settled = self._power.left, self._power.sure_beside(one), self.of(one)
        if cost is not None and left is not None and cost > left:
            return Paid.NO
        if cost is None or sure is None or settled is None:
            return Paid.NOT_KNOWN
        lacks = cost > sure or settled.after.lacks_more_once_exercised(one, cost, sure)
        return Paid.AT_RISK if lacks else Paid.YES

    def purse(self, one: HeldLine) -> Purse:
        """What is there for its assignment any day, before its end."""
        symbol, has = one.instrument.live_symbol, self._power.has
        settled = self.of(one)
        if has is None or one.spot is None or settled is None or symbol in self._near:
            return Purse(has)
        return Purse(has, aside=settled.after.collateral.of_leg(self.counted(one), one.spot))
