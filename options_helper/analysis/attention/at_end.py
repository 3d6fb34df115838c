"""What a leg ends with, whenever that is, in the quantities that count: what is closed may have covered another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from options_helper.analysis.attention.delivery import free_shares
from options_helper.analysis.attention.expiring import Ending, Settled
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.attention.shortage import Settlement, settlement
from options_helper.analysis.attention.two_books import TwoBooks


class AtEnd:
    """The settlements of the ends that are near, and of any later one when something is said of it."""

    def __init__(self, books: TwoBooks, found: Iterable[Ending], settled: Settled, has: float | None) -> None:
        self._books = books
        self._has = has
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
        return settlement(legs, one.spot, free_shares(living, legs), self._has, beside)
