"""Options on OEX are American and nobody quotes the index: what their own prices say, with QuantLib as the judge."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from math import exp

import numpy as np
import pytest

from options_helper.analysis.marks import Numbers
from options_helper.analysis.risk.book_values import LATTICE, LineRisk, SpotSource
from options_helper.analysis.risk.forward import parity_forward
from options_helper.analysis.risk.leg_inputs import strike_pairs
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms
from options_helper.analysis.risk.second_opinion import second_value
from options_helper.model.events import Quote
from options_helper.model.risk_inputs import ExpiryChain, RiskInputs
from options_helper.model.snapshot import LiveSnapshot
from tests.analysis.risk.test_book_risk import risk_of
from tests.kit.builders import AS_OF, position, quote, snapshot_with

INDEX, YIELD, RATE, VOLATILITY = 3_400.0, 0.013, 0.04, 0.15
EXPIRY = date(2027, 1, 15)
YEARS = (datetime(2027, 1, 15, 21, 0, tzinfo=UTC) - AS_OF).total_seconds() / (365 * 86_400)
STRIKES = np.arange(3_100.0, 3_701.0, 25.0)


def true_prices(spot: float = INDEX, pays: float = YIELD) -> tuple[Numbers, Numbers]:
    """Calls and puts of all strikes on an index that pays its yield, exercised early where that is best."""
    count = len(STRIKES)
    market = Market(
        np.full(count, spot), np.full(count, RATE), np.full(count, pays), CashDividends.none(count)
    )
    calls, puts = (
        second_value(
            Terms(STRIKES, np.full(count, is_call), np.ones(count, dtype=bool), np.full(count, YEARS)),
            market,
            np.full(count, VOLATILITY),
        )
        for is_call in (True, False)
    )
    return calls, puts


@cache
def quotes(pays: float = YIELD) -> tuple[Quote, ...]:
    """A dime wide, or a hundredth of the price."""
    return tuple(
        quote(f"OEX270115{kind}{strike * 1000:08.0f}", price - half, price + half)
        for kind, prices in zip("CP", true_prices(pays=pays), strict=True)
        for strike, price in zip(STRIKES.tolist(), prices.tolist(), strict=True)
        for half in (max(0.05, price / 200),)
    )


def market(pays: float = YIELD, *, read: bool = True) -> LiveSnapshot:
    by_symbol = {one.symbol: one for one in quotes(pays)}
    chain = ExpiryChain("OEX", EXPIRY, AS_OF, by_symbol, None)
    inputs = RiskInputs(chains={"OEX270115": chain}) if read else RiskInputs()
    return replace(snapshot_with(*quotes(pays)), risk_inputs=inputs)


def line_of(strike: float, option_type: str, live: LiveSnapshot) -> LineRisk:
    (line,) = risk_of(position("OEX", strike, option_type, expiry=EXPIRY), live=live).lines
    return line


def true_delta(strike: float, option_type: str) -> float:
    step = 1.0
    above, below = (
        true_prices(INDEX + by)[option_type == "put"][int(np.flatnonzero(strike == STRIKES)[0])]
        for by in (step, -step)
    )
    return float((above - below) / (2 * step))


@pytest.mark.parametrize(("pays", "tolerance"), [(0.0, 0.1), (YIELD, 1.2)])
def test_their_forward_is_freed_of_what_exercising_early_is_worth(pays: float, tolerance: float):
    """Taken as if they were European it would be 2.7 points off where the index pays nothing.

    What it pays is not known here, and a put on what pays is exercised later than the model says.
    """
    line = line_of(3_400, "call", market(pays))
    true = INDEX * exp((RATE - pays) * YEARS)
    as_if = parity_forward(strike_pairs(quotes(pays)).pairs, rate=RATE, years=YEARS)

    assert line.spot_source is SpotSource.OPTIONS
    assert line.forward == pytest.approx(true, abs=tolerance)
    assert as_if is not None
    assert abs(as_if.forward - true) > tolerance


@pytest.mark.parametrize(
    ("strike", "option_type", "tolerance"),
    [
        (3_200, "put", 0.003),
        (3_300, "put", 0.003),
        (3_400, "put", 0.008),
        (3_400, "call", 0.005),
        (3_500, "call", 0.003),
        (3_600, "call", 0.003),
        # In the money what the index pays until then matters: the model has it paid by now.
        (3_300, "call", 0.008),
        (3_500, "put", 0.02),
        (3_600, "put", 0.05),
    ],
)
def test_their_deltas_are_near_those_of_the_index_with_its_yield(
    strike: float, option_type: str, tolerance: float
):
    line = line_of(strike, option_type, market())

    assert line.delta is not None
    assert line.delta / 100 == pytest.approx(true_delta(strike, option_type), abs=tolerance)
    assert line.iv == pytest.approx(VOLATILITY, abs=0.011)
    assert any("may be exercised early: the forward is what they imply less" in one for one in line.reasons)
    assert (line.model == LATTICE) is (option_type == "put")


def test_without_a_look_at_their_chain_there_is_no_figure_and_it_says_why():
    line = line_of(3_400, "call", market(read=False))

    assert (line.delta, line.spot_source) == (None, None)
    assert any("Fewer than three strikes" in one for one in line.reasons)
