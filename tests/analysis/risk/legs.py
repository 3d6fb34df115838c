"""Option legs and their market for the tests of the risk figures, built in a reader's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from options_helper.analysis.marks import Numbers
from options_helper.analysis.risk.pricing import CashDividends, Market, PerShareGreeks, Terms, greeks, value

DAYS_A_YEAR = 365.0


class Leg(NamedTuple):
    """One leg; `dividends` are pairs of days to the ex-date and dollars per share."""

    spot: float
    strike: float
    days: float
    volatility: float
    rate: float = 0.043
    carry: float = 0.0
    kind: str = "call"
    dividends: Sequence[tuple[float, float]] = ()
    american: bool = True


def terms_of(legs: Sequence[Leg]) -> Terms:
    return Terms(
        strike=np.array([leg.strike for leg in legs], dtype=float),
        is_call=np.array([leg.kind == "call" for leg in legs], dtype=bool),
        is_american=np.array([leg.american for leg in legs], dtype=bool),
        years=np.array([leg.days / DAYS_A_YEAR for leg in legs], dtype=float),
    )


def market_of(legs: Sequence[Leg]) -> Market:
    most = max((len(leg.dividends) for leg in legs), default=0)
    paid = np.zeros((2, most, len(legs)))
    for column, leg in enumerate(legs):
        for row, (days, dollars) in enumerate(leg.dividends):
            paid[:, row, column] = days / DAYS_A_YEAR, dollars
    return Market(
        spot=np.array([leg.spot for leg in legs], dtype=float),
        rate=np.array([leg.rate for leg in legs], dtype=float),
        carry=np.array([leg.carry for leg in legs], dtype=float),
        dividends=CashDividends(paid[0], paid[1]),
    )


def volatility_of(legs: Sequence[Leg]) -> Numbers:
    return np.array([leg.volatility for leg in legs], dtype=float)


def values(*legs: Leg) -> Numbers:
    return value(terms_of(legs), market_of(legs), volatility_of(legs))


def greeks_of(*legs: Leg) -> PerShareGreeks:
    return greeks(terms_of(legs), market_of(legs), volatility_of(legs))
