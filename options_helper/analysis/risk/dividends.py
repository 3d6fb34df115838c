"""Which dividends fall into a leg's life, and whether that is all that is known of them: unknown is not none.

A share is ex from the midnight, New York's, at which its ex-date begins: until then it is bought with the dividend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

import numpy as np

from options_helper.analysis.risk.terms import CashDividends
from options_helper.model.contract_hours import MINUTES_A_YEAR
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.risk_inputs import ContractChange, CorporateActions, Dividend

# Whole weeks, so that a day of trading is repeated as one.
A_YEAR: Final = timedelta(weeks=52)
# Of a year's dividends the first is this much older than the last at most; the one before it is the last one's own.
_PATTERN: Final = timedelta(days=350)


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


def dividends_of_leg(
    actions: CorporateActions | None, at: datetime, settles_at: datetime, *, assume: bool = False
) -> LegDividends:
    """What goes ex after `at` and before the leg is settled; `actions` None: nothing was read of its underlying.

    A special dividend is not subtracted, since contracts may be adjusted for it, and is said. With `assume`, those of
    the last year go on beyond the last one that is known, and are marked; without, only what is announced counts.
    """
    if actions is None:
        return LegDividends(DividendState.UNKNOWN, notes=("Its dividends were not read.",))
    today, end = new_york_date(at), settles_at.astimezone(UTC)
    ahead = [one for one in actions.dividends if today < one.ex_date and _ex_at(one.ex_date) < end]
    regular = [one for one in ahead if not one.special]
    expected = [one for one in expected_dividends(actions, today) if _ex_at(one.ex_date) < end]
    notes = [
        *actions.unreadable,
        *(_about_special(one) for one in ahead if one.special),
        *(_about_change(one) for one in actions.changes if today < one.day and _ex_at(one.day) < end),
        *_about_expected(expected, assumed=assume),
    ]
    subtracted = (*regular, *expected) if assume else tuple(regular)
    as_read = DividendState.KNOWN if subtracted else DividendState.NONE
    state = DividendState.UNKNOWN if actions.unreadable else as_read
    return LegDividends(state, tuple(subtracted), tuple(notes), actions.read_at)


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
