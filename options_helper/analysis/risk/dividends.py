"""Which dividends fall into a leg's life, and whether that is all that is known of them: unknown is not none.

A share is ex from the midnight, New York's, at which its ex-date begins: until then it is bought with the dividend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

import numpy as np

from options_helper.analysis.remembered import Itself
from options_helper.analysis.risk.terms import CashDividends
from options_helper.model.contract_hours import MINUTES_A_YEAR
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.risk_inputs import ContractChange, CorporateActions, Dividend

# Whole weeks, so that a day of trading is repeated as one.
A_YEAR: Final = timedelta(weeks=52)
# Of a year's dividends the first is this much older than the last at most; the one before it is the last one's own.
_PATTERN: Final = timedelta(days=350)

# Two ex-dates of a share that pays by the month are further apart; nearer ones are one dividend, told twice.
_APART: Final = timedelta(days=20)


class DividendState(StrEnum):
    """What is known of the dividends in a leg's life."""

    KNOWN = "known"  # at least one, announced or assumed
    NONE = "none"  # asked for, and none
    UNKNOWN = "unknown"  # not asked for, or one is announced and cannot be read


@dataclass(frozen=True, slots=True)
class LegDividends:
    """The dividends in a leg's life; `notes` say what is in doubt or left out, a sentence each."""

    state: DividendState
    dividends: tuple[Dividend, ...] = ()  # to be subtracted, by ex-date
    notes: tuple[str, ...] = ()
    read_at: datetime | None = None

    @property
    def is_unread(self) -> bool:
        """Whether nobody says anything of them: neither were they read, nor did the user write them down."""
        return self.read_at is None and self.is_unknown

    @property
    def is_unknown(self) -> bool:
        """Whether there may be more than is known: they are unread, or one is announced and cannot be read."""
        return self.state is DividendState.UNKNOWN


def dividends_of_leg(
    actions: CorporateActions | None,
    at: datetime,
    settles_at: datetime,
    *,
    assume: bool = False,
    own: Sequence[Dividend] = (),
) -> LegDividends:
    """What goes ex after `at` and before the leg is settled; `actions` None: nothing was read of its underlying.

    A special dividend is not subtracted, since contracts may be adjusted for it, and is said. With `assume`, those of
    the last year go on beyond the last one that is known, and are marked; without, only what is announced counts.
    What the user wrote down (`own`, by ex-date) counts where nothing is announced for about its day.
    """
    return dividends_after(actions, new_york_date(at), settles_at, assume=assume, own=own)


def dividends_after(
    actions: CorporateActions | None,
    today: date,
    settles_at: datetime,
    *,
    assume: bool = False,
    own: Sequence[Dividend] = (),
) -> LegDividends:
    """As `dividends_of_leg`, on a New York day."""
    # Asked of each leg at each refresh, and another answer once a day.
    return _of_day(Itself(actions), today, settles_at.astimezone(UTC), tuple(own), assume=assume)


@lru_cache(maxsize=4_096)
def _of_day(
    read: Itself[CorporateActions | None],
    today: date,
    end: datetime,
    own: tuple[Dividend, ...],
    *,
    assume: bool,
) -> LegDividends:
    actions = read.value
    if actions is None:
        return _by_own_list(own, today, end)
    ahead = [one for one in actions.dividends if today < one.ex_date and _ex_at(one.ex_date) < end]
    regular = [one for one in ahead if not one.special]
    written = [one for one in own if today < one.ex_date and _ex_at(one.ex_date) < end]
    alone = [one for one in written if _announced(one, actions.dividends) is None]
    expected = [
        one
        for one in expected_dividends(actions, today)
        if _ex_at(one.ex_date) < end and not any(abs(one.ex_date - other.ex_date) < _APART for other in alone)
    ]
    notes = [
        *actions.unreadable,
        *(_about_special(one) for one in ahead if one.special),
        *(_about_change(one) for one in actions.changes if today < one.day and _ex_at(one.day) < end),
        *(f"{_capital(own_words(one))} is not announced, and subtracted." for one in alone),
        *_about_disagreement(own, actions.dividends, (*ahead, *written)),
        *_about_expected(expected, assumed=assume),
    ]
    known = (*regular, *alone, *expected) if assume else (*regular, *alone)
    subtracted = tuple(sorted(known, key=lambda one: one.ex_date))
    as_read = DividendState.KNOWN if subtracted else DividendState.NONE
    state = DividendState.UNKNOWN if actions.unreadable and not alone else as_read
    return LegDividends(state, subtracted, tuple(notes), actions.read_at)


def _by_own_list(own: Sequence[Dividend], today: date, end: datetime) -> LegDividends:
    """What the user's list alone says: nothing before its next one, and nothing of a leg that outlives all of it."""
    unread = "Its dividends were not read"
    ahead = [one for one in own if today < one.ex_date]
    within = tuple(one for one in ahead if _ex_at(one.ex_date) < end)
    if within:
        said = " and ".join(own_words(one) for one in within)
        return LegDividends(DividendState.KNOWN, within, (f"{unread}; {said} counts.",))
    if ahead:
        note = f"{unread}; none falls into its life by your list, whose next is {own_words(ahead[0])}."
        return LegDividends(DividendState.NONE, notes=(note,))
    return LegDividends(DividendState.UNKNOWN, notes=(f"{unread}.",))


def own_words(one: Dividend) -> str:
    """A dividend that the user wrote down: "your $0.91 on 18 Feb 27 (their page, entered 20 Nov 26)"."""
    entered = "" if one.entered is None else f" ({one.said_by}, entered {short_date(one.entered)})"
    return f"your ${one.amount:g} on {short_date(one.ex_date)}{entered}"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _announced(own: Dividend, announced: Sequence[Dividend]) -> Dividend | None:
    """The announced one that the user's stands for, nearest to its day; None where none is about then."""
    near = [one for one in announced if not one.special and abs(one.ex_date - own.ex_date) < _APART]
    return min(near, key=lambda one: abs(one.ex_date - own.ex_date), default=None)


def _about_disagreement(
    written: Sequence[Dividend], announced: Sequence[Dividend], within: Sequence[Dividend]
) -> Iterator[str]:
    """Where what the user wrote is announced otherwise, one of them within the leg's life: the announcement counts."""
    for own in written:
        found = _announced(own, announced)
        if found is None or (own not in within and found not in within):
            continue
        if (found.ex_date, found.amount) != (own.ex_date, own.amount):
            yield (
                f"{_capital(own_words(own))} is not what is announced: ${found.amount:g} on "
                f"{short_date(found.ex_date)}, which counts."
            )


def expected_dividends(actions: CorporateActions, today: date) -> list[Dividend]:
    """The next two years if those of the last one go on, by ex-date and after all that are known; none is announced.

    Nothing where none went ex for a year: it is not paid any more, or never was.
    """
    regular = [one for one in actions.dividends if not one.special]
    latest = max((one.ex_date for one in regular), default=None)
    if latest is None or latest <= today - A_YEAR - timedelta(weeks=2):
        return []
    pattern = [one for one in regular if one.ex_date > latest - _PATTERN]
    repeated = [
        replace(one, ex_date=one.ex_date + years * A_YEAR, assumed=True)
        for years in (1, 2, 3)
        for one in pattern
    ]
    return [one for one in repeated if one.ex_date > max(latest, today)]


def cash_dividends(legs: Sequence[LegDividends], at: datetime) -> CashDividends:
    """The same in columns, one for each leg, as prices take them: years from `at` to the ex-date, dollars per share."""
    most = max((len(leg.dividends) for leg in legs), default=0)
    years, amounts = np.zeros((most, len(legs))), np.zeros((most, len(legs)))
    for column, leg in enumerate(legs):
        for row, one in enumerate(leg.dividends):
            years[row, column] = (_ex_at(one.ex_date) - at).total_seconds() / 60 / MINUTES_A_YEAR
            amounts[row, column] = one.amount
    return CashDividends(years, amounts)


@lru_cache(maxsize=1_024)  # of each leg's dividends at each refresh
def _ex_at(day: date) -> datetime:
    # In UTC: of two times in one zone the difference would be that of the clocks on the wall.
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)


def _about_special(one: Dividend) -> str:
    return (
        f"A special dividend of ${one.amount:g} goes ex on {short_date(one.ex_date)}. It is not subtracted, because "
        "contracts may be adjusted for it."
    )


def _about_change(change: ContractChange) -> str:
    kind = change.kind.removesuffix("s").replace("_", " ")
    ratio = "" if change.ratio is None else f" ({change.ratio:g} shares for one)"
    return (
        f"A {kind}{ratio} on {short_date(change.day)} changes what the contract delivers; it is not computed."
    )


def _about_expected(expected: Sequence[Dividend], *, assumed: bool) -> Iterator[str]:
    if not expected:
        return
    first = expected[0]
    like = f"${first.amount:g} on {short_date(first.ex_date)}"
    if assumed:
        yield f"{len(expected)} of its dividends are assumed, like those of the last year; the first is {like}."
    else:
        yield f"Going by the last year, {like} would be the next dividend; it is not announced and not subtracted."
