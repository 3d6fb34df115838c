"""Where another model or the vendor contradicts, it is said, with what it would cost in shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from options_helper.analysis.risk.implied_volatility import (
    ImpliedVolatility,
    OptionQuotes,
    implied_volatility,
    with_partners,
)
from options_helper.analysis.risk.pricing import greeks
from options_helper.analysis.risk.second_voice import Voice, compare, european_voice
from tests.analysis.risk.legs import Leg, market_of, terms_of, values
from tests.analysis.risk.real_chains import nvda_chain


def quoted(*legs: Leg, half: float = 0.01) -> ImpliedVolatility:
    mid = values(*legs)
    tick = np.full(len(legs), 0.01)
    return implied_volatility(
        terms_of(legs), market_of(legs), OptionQuotes(mid - half, mid + half, mid, tick)
    )


def ours(volatility: ImpliedVolatility, *legs: Leg) -> Voice:
    found = greeks(terms_of(legs), market_of(legs), volatility.volatility)
    return Voice(volatility.volatility, found.delta)


def test_the_european_voice_has_the_volatility_that_the_quote_has_by_black():
    """The table of known legs: 25.21 and 27.89 % for what is 25 % with early exercise."""
    legs = [Leg(100, 100, 30, 0.25, kind="put"), Leg(100, 110, 30, 0.25, kind="put")]

    found = european_voice(terms_of(legs), market_of(legs), quoted(*legs))

    assert found.volatility == pytest.approx([0.2521, 0.2789], abs=1e-3)
    assert (np.abs(found.delta) < 1).all()


def test_a_put_in_the_money_is_flagged_and_one_out_of_it_is_not():
    legs = [Leg(100, 110, 30, 0.25, kind="put"), Leg(100, 90, 30, 0.25, kind="put")]
    volatility = quoted(*legs)
    voice = european_voice(terms_of(legs), market_of(legs), volatility)

    found = compare(ours(volatility, *legs), voice, volatility, np.array([-500.0, -500.0]))

    assert found.is_flagged.tolist() == [True, False]
    assert found.delta[0] == pytest.approx(voice.delta[0] - ours(volatility, *legs).delta[0])
    assert found.shares[0] == -500 * found.delta[0]
    assert abs(found.shares[0]) > 10


def test_a_volatility_outside_of_the_quotes_own_band_is_flagged():
    leg = Leg(100, 100, 30, 0.25)
    volatility = quoted(leg)
    own = ours(volatility, leg)
    far = Voice(volatility.high + 2 * (volatility.high - volatility.low), own.delta)

    assert compare(own, far, volatility, np.array([100.0])).is_flagged[0]
    assert not compare(own, own, volatility, np.array([100.0])).is_flagged[0]


def test_a_delta_that_is_three_shares_in_a_hundred_apart_is_flagged():
    leg = Leg(100, 100, 30, 0.25)
    volatility = quoted(leg)
    own = ours(volatility, leg)

    near, far = (
        compare(own, Voice(own.volatility, own.delta + by), volatility, np.array([100.0]))
        for by in (0.01, 0.03)
    )

    assert not near.is_flagged[0]
    assert far.is_flagged[0]
    assert far.shares[0] == pytest.approx(3)


def test_silence_contradicts_nobody():
    leg = Leg(100, 100, 30, 0.25)
    volatility = quoted(leg)
    silent = Voice(np.array([np.nan]), np.array([np.nan]))

    found = compare(ours(volatility, leg), silent, volatility, np.array([100.0]))

    assert not found.is_flagged[0]
    assert np.isnan(found.shares[0])


def test_a_partners_volatility_is_the_partners_in_both_voices():
    put, call = Leg(100, 120, 30, 0.25, kind="put"), Leg(100, 120, 30, 0.25)
    terms, market = terms_of([put]), market_of([put])
    sides = OptionQuotes(np.array([19.8]), np.array([20.2]), np.array([20.0]), np.array([0.01]))
    own = implied_volatility(terms, market, sides)

    found = with_partners(own, quoted(call, half=0.002), terms, market, ["120 call"])

    voice = european_voice(terms, market, found)
    assert voice.volatility[0] == found.volatility[0]
    assert -1 < voice.delta[0] < -0.9


def test_legs_without_volatility_have_no_second_voice():
    leg = Leg(100, 120, 30, 0.25, kind="put")
    sides = OptionQuotes(np.array([19.8]), np.array([20.2]), np.array([20.0]), np.array([0.01]))
    found = implied_volatility(terms_of([leg]), market_of([leg]), sides)

    voice = european_voice(terms_of([leg]), market_of([leg]), found)

    assert np.isnan(voice.delta[0])
    assert np.isnan(voice.volatility[0])


def test_on_a_recorded_chain_the_voices_hardly_differ(real_data: Path):
    """Of 191 contracts of NVDA that can be judged, few are flagged."""
    chain = nvda_chain(real_data)
    volatility = implied_volatility(chain.terms, chain.market, chain.quotes)
    own = Voice(volatility.volatility, greeks(chain.terms, chain.market, volatility.volatility).delta)
    voice = european_voice(chain.terms, chain.market, volatility)

    found = compare(own, voice, volatility, np.full(len(voice.delta), 100.0))

    known = volatility.is_known
    assert np.median(np.abs(found.delta[known])) < 1e-3
    assert np.percentile(np.abs(found.delta[known]), 95) < 0.013
    assert found.is_flagged[known].mean() < 0.05
