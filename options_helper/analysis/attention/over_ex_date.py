"""Who is short of a share over its ex-date owes the dividend: which assignments of sold calls leave an account so.

What a call bought against it delivers comes too late: an assignment shows on the ex-date, and an exercise after that
brings shares without the dividend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import Final

from msgspec import Struct

from options_helper.analysis.attention.expiring import Ending, Moment
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.attention.two_books import TwoBooks
from options_helper.analysis.attention.words import dollars, listed
from options_helper.analysis.risk.dividends import own_words
from options_helper.model.contract_symbols import plain_number, short_date
from options_helper.model.risk_inputs import Dividend

# Shares below this are none.
_ROUNDING: Final = 1e-6


class Delivered(Struct, frozen=True, gc=False):
    """Where the shares come from that the assignment of a sold call delivers before an ex-date."""

    name: str
    shares: float  # that it delivers, above 0
    free: float | None  # of these, there; None: not known
    each: float  # dollars of dividend a share
    first: tuple[str, ...] = ()  # calls to which free shares are taken to go before it

    @property
    def short(self) -> float:
        """Shares of which the account is short over the ex-date; 0 where that is not known."""
        return 0.0 if self.free is None else self.shares - self.free

    @property
    def owed(self) -> float | None:
        """Dollars of dividend; None: nothing, or not known."""
        return self.short * self.each or None

    @property
    def warning(self) -> str:
        """A sentence more without amounts; empty where all of it is free."""
        if self.free is None:
            unread = f"Whether the {self.name} to be delivered are free is not known"
            return f" {unread}: on what is not the dividend is owed."
        return " Assigned, it owes the dividend on shares that are not free." if self.short else ""

    @property
    def words(self) -> str:
        """What becomes of the dividend, after what an assignment brings."""
        if self.free is None:
            return f"; on those that are not free ${self.each:g} a share is owed"
        if not self.short:
            return ", and without the dividend"
        covered = (
            f"; {plain_number(self.free)} of them are free and go without the dividend" if self.free else ""
        )
        before = f", since what is free goes to {listed(list(self.first))} first" if self.first else ""
        return (
            f"{covered}; {plain_number(self.short)} {self.name} are to be delivered that are not free{before}: "
            f"{dollars(self.short * self.each)} of dividend is owed on them"
        )


def delivered_before(
    calls: Iterable[tuple[HeldLine, Dividend]], books: TwoBooks, found: Sequence[Ending], moment: Moment
) -> Mapping[str, Delivered]:
    """Of each sold call that may be assigned for a dividend, by its symbol, with which shares it is delivered.

    A share is delivered once: those of the lowest strikes are the likeliest, and have it first.
    """
    left: dict[str, float | None] = {}
    first: dict[str, list[str]] = {}
    delivered = {}
    for one, dividend in sorted(calls, key=lambda each: each[0].instrument.strike or 0.0):
        name = one.instrument.underlying
        if name not in left:
            left[name] = free_tonight(name, books, found, moment)
        there = left[name]
        free = None if there is None else min(one.shares, there)
        before = first.setdefault(name, [])
        delivered[one.instrument.live_symbol] = Delivered(
            name, one.shares, free, dividend.amount, tuple(before) if free != one.shares else ()
        )
        if there is not None and free is not None:
            left[name] = there - free
            if free > _ROUNDING:
                before.append(one.instrument.label)
    return delivered


def free_tonight(name: str, books: TwoBooks, found: Sequence[Ending], moment: Moment) -> float | None:
    """Shares, 0 or more, that are held after what ends today took its own; None: not known.

    What an end of today may bring is not counted: it comes only if its price does.
    """
    if name in books.unread:
        return None
    held = held_shares(name, books)
    for ending in endings_today(name, found, moment) if held > 0 else ():
        outcome = ending.judged.outcome
        if outcome is None:
            return None
        held += min(0.0, outcome.shares)
    return max(0.0, held)


def held_shares(name: str, books: TwoBooks) -> float:
    """Shares of one name, signed, by the account's quantities where they are known."""
    lines = books.account_on.get(name, ())
    return fsum(one.quantity for one in lines if not one.instrument.is_option and not one.ended)


def endings_today(name: str, found: Iterable[Ending], moment: Moment) -> list[Ending]:
    """What on one name is traded for the last time today."""
    return [one for one in found if one.underlying == name and one.last_day == moment.today]


def paid_words(dividend: Dividend) -> str:
    """How much and when, and whose word that is where nobody announced it."""
    if dividend.is_own:
        return own_words(dividend)
    return f"${dividend.amount:g} on {short_date(dividend.ex_date)}"
