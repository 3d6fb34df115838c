"""Quotes to volatilities: the band, every reason for none, the partner's word, and the recorded chains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.risk.implied_volatility import (
    ImpliedVolatility,
    OptionQuotes,
    VolatilityReason,
    VolatilityState,
    implied_volatility,
    intrinsic_value,
    usual_tick,
    with_partners,
)
from options_helper.analysis.risk.pricing import greeks
from tests.analysis.risk.legs import Leg, market_of, terms_of, values
from tests.analysis.risk.real_chains import EXPIRIES, nvda_chain, percentile, spxw_chain

CALL = Leg(100, 100, 30, 0.25)
PUT_IN_THE_MONEY = Leg(100, 120, 30, 0.25, kind="put")


def quotes(*sides: tuple[float, float]) -> OptionQuotes:
    """Pairs of bid and ask; a cent is the tick."""
    bid, ask = (np.array(side, dtype=float) for side in zip(*sides, strict=True))
    return OptionQuotes(bid, ask, np.where(bid <= ask, (bid + ask) / 2, np.nan), np.full(len(bid), 0.01))


def look(leg: Leg, bid: float, ask: float, **more: Any) -> ImpliedVolatility:
    return implied_volatility(terms_of([leg]), market_of([leg]), quotes((bid, ask)), **more)


def around(leg: Leg, half: float = 0.02) -> tuple[float, float]:
    worth = float(values(leg)[0])
    return worth - half, worth + half


@pytest.mark.parametrize("leg", [CALL, CALL._replace(kind="put"), CALL._replace(american=False)])
def test_a_quote_has_the_volatility_of_its_middle_between_those_of_its_sides(leg: Leg):
    bid, ask = around(leg)
    found = look(leg, bid, ask)

    assert found.state[0] is VolatilityState.OK
    assert found.reason[0] is None
    assert found.volatility[0] == pytest.approx(0.25, abs=1e-4)
    assert values(leg._replace(volatility=found.low[0]))[0] == pytest.approx(bid, abs=2e-4)
    assert values(leg._replace(volatility=found.high[0]))[0] == pytest.approx(ask, abs=2e-4)


@given(st.floats(0.1, 1.5), st.floats(80, 120), st.floats(2, 400), st.floats(0.01, 0.5), st.booleans())
def test_the_band_holds_the_volatility(
    volatility: float,
    strike: float,
    days: float,
    half: float,
    american: bool,  # noqa: FBT001 - hypothesis fills it in
):
    leg = Leg(100, strike, days, volatility, kind="put", american=american)
    found = look(leg, *around(leg, half))

    if found.state[0] is VolatilityState.OK:
        assert 0 < found.low[0] <= found.volatility[0] <= found.high[0]
        assert found.high[0] - found.low[0] <= 0.05
    else:
        assert np.isnan(found.volatility[0])
        assert found.reason[0] in VolatilityReason


@pytest.mark.parametrize("part", [0.97, 1.03])
def test_a_point_of_volatility_must_be_worth_half_a_tick(part: float):
    """Less, and a quote in whole ticks says nothing of the volatility: the next tick is two points away."""
    strikes = np.linspace(100, 140, 4_000)
    legs = [Leg(100, strike, 30, 0.25, american=False) for strike in strikes]
    vega = greeks(terms_of(legs), market_of(legs), np.full(len(legs), 0.25)).vega
    leg = legs[int(np.argmin(np.abs(vega * 0.01 - part * 0.005)))]
    worth = float(values(leg)[0])

    found = look(leg, worth, worth)

    assert found.reason[0] == (None if part > 1 else VolatilityReason.LOW_VEGA)


REASONS = [
    (CALL._replace(days=0), (2.9, 3.0), VolatilityReason.ENDED, VolatilityState.EXPIRED),
    (CALL._replace(days=-3), (np.nan, np.nan), VolatilityReason.ENDED, VolatilityState.EXPIRED),
    (CALL, (np.nan, np.nan), VolatilityReason.NO_QUOTE, VolatilityState.NO_QUOTE),
    (CALL, (3.1, 3.0), VolatilityReason.CROSSED, VolatilityState.NOT_IDENTIFIABLE),
    (CALL, (np.nan, 3.0), VolatilityReason.NO_BID, VolatilityState.NOT_IDENTIFIABLE),
    (CALL, (0.0, 0.05), VolatilityReason.NO_BID, VolatilityState.NOT_IDENTIFIABLE),
    (CALL, (3.0, np.nan), VolatilityReason.NO_ASK, VolatilityState.NOT_IDENTIFIABLE),
    (CALL._replace(spot=np.nan), (2.9, 3.0), VolatilityReason.NO_SPOT, VolatilityState.NOT_IDENTIFIABLE),
    (CALL._replace(rate=np.nan), (2.9, 3.0), VolatilityReason.NO_INPUT, VolatilityState.NOT_IDENTIFIABLE),
    (CALL._replace(days=np.nan), (2.9, 3.0), VolatilityReason.NO_INPUT, VolatilityState.NOT_IDENTIFIABLE),
    (
        CALL._replace(days=4 / 1440),
        (0.1, 0.12),
        VolatilityReason.LITTLE_TIME,
        VolatilityState.NOT_IDENTIFIABLE,
    ),
    (PUT_IN_THE_MONEY, (19.9, 20.2), VolatilityReason.AT_INTRINSIC, VolatilityState.NOT_IDENTIFIABLE),
    (PUT_IN_THE_MONEY, (20.004, 20.2), VolatilityReason.AT_INTRINSIC, VolatilityState.NOT_IDENTIFIABLE),
    (CALL, (99.0, 103.0), VolatilityReason.TOO_DEAR, VolatilityState.NOT_IDENTIFIABLE),
    (CALL._replace(kind="put"), (99.9, 100.3), VolatilityReason.TOO_DEAR, VolatilityState.NOT_IDENTIFIABLE),
    (Leg(100, 140, 3, 0.5), (0.01, 0.01), VolatilityReason.LOW_VEGA, VolatilityState.NOT_IDENTIFIABLE),
    (CALL, (2.0, 4.0), VolatilityReason.WIDE_BAND, VolatilityState.NOT_IDENTIFIABLE),
]


@pytest.mark.parametrize(("leg", "sides", "reason", "state"), REASONS)
def test_without_a_volatility_there_is_a_reason(
    leg: Leg, sides: tuple[float, float], reason: VolatilityReason, state: VolatilityState
):
    found = look(leg, *sides)

    assert (found.reason[0], found.state[0]) == (reason, state)
    assert np.isnan(found.volatility[0])


def test_a_quote_that_supports_no_middle_has_no_volatility():
    sides = quotes((2.9, 3.0))
    unbelieved = OptionQuotes(sides.bid, sides.ask, np.array([np.nan]), sides.tick)

    found = implied_volatility(terms_of([CALL]), market_of([CALL]), unbelieved)

    assert found.reason[0] is VolatilityReason.NO_MIDDLE


@pytest.mark.parametrize("american", [True, False])
@pytest.mark.parametrize("kind", ["call", "put"])
@pytest.mark.parametrize("dividends", [(), ((2, 1.0),), ((2, 1.0), (20, 1.0), (40, 9.0))])
def test_intrinsic_value_is_the_price_without_volatility(
    kind: str,
    dividends: tuple[tuple[float, float], ...],
    american: bool,  # noqa: FBT001 - a column
):
    """Exercised at the best moment of a future that is certain; a lattice has its moments only, a few hours apart."""
    legs = [
        Leg(100, strike, 30, 1e-4, carry=carry, kind=kind, dividends=dividends, american=american)
        for strike in (80, 99, 101, 120)
        for carry in (0.0, 0.06)
    ]

    assert intrinsic_value(terms_of(legs), market_of(legs)) == pytest.approx(values(*legs), abs=0.01)


def test_all_reasons_can_be_met():
    assert {reason for *_, reason, _ in REASONS} | {VolatilityReason.NO_MIDDLE} == set(VolatilityReason)


def test_the_band_that_is_too_wide_is_told():
    found = look(CALL, 2.0, 4.0)

    assert (found.low[0], found.high[0]) == (pytest.approx(0.169, abs=0.01), pytest.approx(0.344, abs=0.01))
    assert look(CALL, 2.0, 4.0, widest_band=0.5).state[0] is VolatilityState.OK


def test_only_at_intrinsic_value_and_in_the_money_delta_has_a_bound():
    call = Leg(100, 80, 30, 0.25)

    assert look(PUT_IN_THE_MONEY, 19.9, 20.2).delta_bound[0] == -1
    assert look(call, 19.9, 20.4).delta_bound[0] == 1
    assert np.isnan(look(CALL, 0.0, 0.05).delta_bound[0])
    assert np.isnan(look(CALL, 2.0, 4.0).delta_bound[0])


def test_a_leg_in_the_money_takes_the_volatility_of_its_partner():
    legs = [PUT_IN_THE_MONEY, CALL]
    partners = [leg._replace(kind="call" if leg.kind == "put" else "put") for leg in legs]
    own = implied_volatility(terms_of(legs), market_of(legs), quotes((19.9, 20.2), (0.0, 3.0)))
    other = implied_volatility(
        terms_of(partners),
        market_of(partners),
        quotes(around(partners[0], 0.005), around(partners[1], 0.005)),
    )

    found = with_partners(own, other, terms_of(legs), market_of(legs), ["120 call", "100 put"])

    assert found.state.tolist() == [VolatilityState.FROM_PARTNER, VolatilityState.NOT_IDENTIFIABLE]
    assert found.reason[0] == "volatility of the 120 call"
    assert found.volatility[0] == other.volatility[0]
    assert np.isnan(found.delta_bound[0])
    assert np.isnan(found.volatility[1])  # at the money neither side is the better one


@pytest.mark.parametrize("sides", [(0.0, 0.05), (np.nan, np.nan)])
def test_a_partner_without_volatility_lends_none(sides: tuple[float, float]):
    partner = PUT_IN_THE_MONEY._replace(kind="call")
    own = look(PUT_IN_THE_MONEY, 19.9, 20.2)

    found = with_partners(own, look(partner, *sides), terms_of([partner]), market_of([partner]), ["120 call"])

    assert found.state[0] is VolatilityState.NOT_IDENTIFIABLE
    assert found.delta_bound[0] == -1


def test_what_has_ended_takes_nothing_from_a_partner():
    ended = PUT_IN_THE_MONEY._replace(days=0)
    own = look(ended, 19.9, 20.2)

    found = with_partners(own, look(CALL, *around(CALL)), terms_of([ended]), market_of([ended]), ["120 call"])

    assert found.state[0] is VolatilityState.EXPIRED


def test_ticks_are_those_of_the_penny_program():
    assert usual_tick(np.array([0.05, 2.99, 3.0, 40.0])).tolist() == [0.01, 0.01, 0.05, 0.05]


@pytest.mark.parametrize("time", ["10:00", "12:00", "15:00"])
@pytest.mark.parametrize("expiry", EXPIRIES[1:])
def test_spxw_agrees_with_its_vendor(real_data: Path, time: str, expiry: str):
    """Cboe's own figures for four and five weeks; a half to two thirds of the contracts can be judged."""
    chain = spxw_chain(real_data, time, expiry)
    found = implied_volatility(chain.terms, chain.market, chain.quotes)
    known, vendor = found.is_known, chain.vendor[found.is_known]
    ours = greeks(chain.terms, chain.market, found.volatility)

    assert 0.54 <= known.mean() <= 0.66
    assert percentile(found.volatility[known] - vendor["implied_volatility"], 50) < 8e-5
    assert percentile(found.volatility[known] - vendor["implied_volatility"], 95) < 5e-4
    assert percentile(ours.delta[known] - vendor["delta"], 95) < 0.0012
    assert percentile(ours.gamma[known] - vendor["gamma"], 95) < 6e-5
    assert percentile(ours.vega[known] / 100 - vendor["vega"], 95) < 0.013
    assert percentile(ours.theta[known] / 365 - vendor["theta"], 95) < 0.003


@pytest.mark.parametrize("time", ["10:00", "12:00", "15:00"])
def test_on_its_last_day_hardly_a_contract_can_be_judged(real_data: Path, time: str):
    """Theta is not compared: the vendor's is the time value left."""
    chain = spxw_chain(real_data, time, EXPIRIES[0])
    found = implied_volatility(chain.terms, chain.market, chain.quotes)
    known, vendor = found.is_known, chain.vendor[found.is_known]
    ours = greeks(chain.terms, chain.market, found.volatility)

    assert 0.01 <= known.mean() <= 0.04
    assert percentile(found.volatility[known] - vendor["implied_volatility"], 50) < 2e-3
    assert percentile(ours.delta[known] - vendor["delta"], 95) < 0.016


def test_nvda_agrees_with_its_vendor(real_data: Path):
    """Barchart's figures are of the last trade, so those of the middle differ by more than a model would."""
    chain = nvda_chain(real_data)
    found = implied_volatility(chain.terms, chain.market, chain.quotes)
    known, vendor = found.is_known, chain.vendor[found.is_known]
    ours = greeks(chain.terms, chain.market, found.volatility)

    assert known.sum() > 150
    assert percentile(found.volatility[known] - vendor["IV"], 50) < 3e-3
    assert percentile(ours.delta[known] - vendor["Delta"], 50) < 1e-3
    assert percentile(ours.delta[known] - vendor["Delta"], 95) < 0.0099
