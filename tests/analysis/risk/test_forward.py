"""The forward that options imply: exact where they agree, robust where one strays; an alarm where the spot does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from options_helper.analysis.risk.forward import (
    ParityForward,
    StrikePairs,
    parity_forward,
    spot_alarm,
    without_early_exercise,
)
from options_helper.analysis.risk.implied_volatility import OptionQuotes, implied_volatility
from tests.analysis.risk.legs import Leg, market_of, terms_of, values
from tests.analysis.risk.real_chains import EXPIRIES, SPXW_RATE, nvda_chain, spxw_chain

STRIKES = (90, 95, 98, 100, 102, 105, 110)
RATE, DAYS = 0.043, 60
YEARS = DAYS / 365


def legs(
    kind: str, *, american: bool = False, spot: float = 100.0, dividends: Sequence[tuple[float, float]] = ()
) -> list[Leg]:
    return [
        Leg(spot, strike, DAYS, 0.25, RATE, kind=kind, american=american, dividends=dividends)
        for strike in STRIKES
    ]


def pairs(half: float = 0.02, **more: object) -> StrikePairs:
    call, put = (values(*legs(kind, **more)) for kind in ("call", "put"))  # type: ignore[arg-type]
    strike = np.array(STRIKES, dtype=float)
    return StrikePairs(strike, call - half, call + half, put - half, put + half)


def implied(quoted: StrikePairs) -> ParityForward:
    found = parity_forward(quoted, rate=RATE, years=YEARS)
    assert found is not None
    return found


def test_parity_gives_the_forward_of_european_options():
    found = implied(pairs())

    assert found.forward == pytest.approx(100 * np.exp(RATE * YEARS), abs=1e-9)
    assert found.spot(RATE, YEARS) == pytest.approx(100, abs=1e-9)
    assert found.low < found.forward < found.high
    assert (len(found.places), found.is_median) == (5, False)


def test_dividends_are_in_the_forward():
    found = implied(pairs(dividends=((30, 1.0),)))

    assert found.spot(RATE, YEARS) == pytest.approx(100 - np.exp(-RATE * 30 / 365), abs=1e-9)


def test_one_bad_strike_does_not_move_it():
    quoted = pairs()
    bad = quoted.call_bid + np.where(quoted.strike == 100, 1.5, 0)

    found = implied(replace(quoted, call_bid=bad, call_ask=bad + 0.04))

    assert found.is_median
    assert found.forward == pytest.approx(100 * np.exp(RATE * YEARS), abs=1e-6)


def test_a_narrow_quote_counts_for_more_than_a_wide_one():
    quoted = pairs(half=0.2)
    narrow = quoted.strike == 100
    middle = (quoted.call_bid + quoted.call_ask) / 2 + np.where(narrow, 0.05, 0)
    half = np.where(narrow, 0.01, 0.2)

    found = implied(
        replace(
            quoted,
            call_bid=middle - half,
            call_ask=middle + half,
            put_bid=np.where(narrow, quoted.put_bid + 0.19, quoted.put_bid),
            put_ask=np.where(narrow, quoted.put_ask - 0.19, quoted.put_ask),
        )
    )

    assert found.forward - 100 * np.exp(RATE * YEARS) > 0.03


@pytest.mark.parametrize("missing", ["call_bid", "call_ask", "put_bid", "put_ask"])
def test_strikes_that_lack_a_side_say_nothing(missing: str):
    quoted = pairs()
    nearly_all = np.where(np.arange(len(STRIKES)) < 5, np.nan, getattr(quoted, missing))

    assert parity_forward(replace(quoted, **{missing: nearly_all}), rate=RATE, years=YEARS) is None


@pytest.mark.parametrize(("rate", "years"), [(np.nan, YEARS), (RATE, 0.0), (RATE, np.nan)])
def test_without_rate_or_time_there_is_no_forward(rate: float, years: float):
    assert parity_forward(pairs(), rate=rate, years=years) is None


def test_crossed_quotes_say_nothing():
    quoted = pairs()

    assert parity_forward(replace(quoted, call_ask=quoted.call_bid - 0.01), rate=RATE, years=YEARS) is None


def alarm_of(quoted: StrikePairs, spot: float, dividends: Sequence[tuple[float, float]] = ()):
    market = market_of([Leg(spot, 100, DAYS, 0.25, RATE, dividends=dividends)])
    forward = float(market.forward(np.array([YEARS]))[0])
    return spot_alarm(
        implied(quoted), spot=spot, spot_half_width=0.01, forward=forward, rate=RATE, years=YEARS
    )


def american_pairs(**more: object) -> StrikePairs:
    """American quotes, freed of early exercise by a market that is told of no dividend."""
    calls, puts = legs("call", american=True), legs("put", american=True)
    return without_early_exercise(
        pairs(american=True, **more),
        terms_of(calls),
        terms_of(puts),
        market_of(calls),
        np.full(len(STRIKES), 0.25),
    )


def test_a_spot_that_agrees_raises_no_alarm():
    assert alarm_of(pairs(), 100.0) is None
    assert alarm_of(american_pairs(), 100.0) is None


@pytest.mark.parametrize("stale", [98.7, 99.9, 100.1, 101.3])
def test_a_stale_spot_raises_one(stale: float):
    alarm = alarm_of(american_pairs(), stale)

    assert alarm is not None
    assert alarm.implied_spot == pytest.approx(100, abs=0.02)
    assert alarm.words("XYZ", "14 s").startswith(
        f"XYZ: options imply {alarm.implied_spot:.2f}, the quote says {stale:.2f} (age 14 s)"
    )


def test_a_dividend_that_nobody_told_of_raises_one():
    alarm = alarm_of(american_pairs(dividends=((30, 0.8),)), 100.0)

    assert alarm is not None
    assert alarm.implied_spot == pytest.approx(99.2, abs=0.1)


def test_a_dividend_that_is_known_raises_none():
    assert alarm_of(pairs(dividends=((30, 0.8),)), 100.0, dividends=((30, 0.8),)) is None


def test_an_unknown_spot_raises_none():
    assert alarm_of(pairs(), np.nan) is None


def test_a_strike_without_volatility_drops_out():
    calls, puts = legs("call", american=True), legs("put", american=True)
    volatility = np.where(np.arange(len(STRIKES)) == 3, np.nan, 0.25)

    freed = without_early_exercise(
        pairs(american=True), terms_of(calls), terms_of(puts), market_of(calls), volatility
    )

    assert np.isnan(freed.call_bid).tolist() == [False] * 3 + [True] + [False] * 3
    assert implied(freed).spot(RATE, YEARS) == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("expiry", EXPIRIES[1:])
def test_spxw_implies_its_vendors_forward_all_day(real_data: Path, expiry: str):
    """Within 0.1 index points at each half hour of the day."""
    for time in ("10:00", "11:00", "12:00", "13:00", "14:00", "15:00", "15:45"):
        chain = spxw_chain(real_data, time, expiry)
        call, put = chain.terms.is_call, ~chain.terms.is_call
        assert (chain.terms.strike[call] == chain.terms.strike[put]).all()
        quotes = chain.quotes
        years = float(chain.terms.years[0])

        found = parity_forward(
            StrikePairs(
                chain.terms.strike[call], quotes.bid[call], quotes.ask[call], quotes.bid[put], quotes.ask[put]
            ),
            rate=SPXW_RATE,
            years=years,
        )

        assert found is not None
        assert found.spot(SPXW_RATE, years) == pytest.approx(float(chain.market.spot[0]), abs=0.1)


def test_nvdas_options_contradict_the_spot_that_came_with_them(real_data: Path):
    """The vendor's file has quotes and spot of different moments: 58 cents apart, where the bands are 30 wide."""
    chain = nvda_chain(real_data)
    call = np.flatnonzero(chain.terms.is_call)
    place = {strike: leg for leg, strike in enumerate(chain.terms.strike) if not chain.terms.is_call[leg]}
    call = np.array([leg for leg in call if chain.terms.strike[leg] in place])
    put = np.array([place[strike] for strike in chain.terms.strike[call]])
    volatility = implied_volatility(chain.terms, chain.market, chain.quotes).volatility
    outside = np.where(chain.terms.strike[call] > chain.market.spot[call], volatility[call], volatility[put])
    quotes: OptionQuotes = chain.quotes

    freed = without_early_exercise(
        StrikePairs(
            chain.terms.strike[call], quotes.bid[call], quotes.ask[call], quotes.bid[put], quotes.ask[put]
        ),
        chain.terms.take(call),
        chain.terms.take(put),
        chain.market.take(call),
        outside,
    )
    found = parity_forward(freed, rate=0.0408, years=80 / 365)

    assert found is not None
    spot, rate, years = float(chain.market.spot[0]), 0.0408, 80 / 365
    forward = float(chain.market.forward(chain.terms.years)[0])
    alarm = spot_alarm(found, spot=spot, spot_half_width=0.01, forward=forward, rate=rate, years=years)
    assert alarm is not None
    assert alarm.implied_spot == pytest.approx(207.62, abs=0.02)
    assert alarm.tolerance == pytest.approx(0.31, abs=0.02)
