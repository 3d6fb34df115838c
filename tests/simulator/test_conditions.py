"""What is peculiar about a made-up market: how it is named, what its shares pay, and what early exercise is worth."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.risk.pricing import CashDividends, Market, Terms, value
from options_helper.errors import ConfigError
from options_helper.model.instants import NANOSECONDS
from options_helper.simulator.market.calibration import Calibration
from options_helper.simulator.market.conditions import (
    DEMO_CONDITIONS,
    NO_CONDITIONS,
    Conditions,
    condition_meanings,
)
from options_helper.simulator.market.early_exercise import EarlyExercise
from options_helper.simulator.market.payouts import PAY_NOTHING, announced_actions, ex_dates
from options_helper.simulator.market.pricing import RATE, SECONDS_PER_YEAR, Carry, value_option
from options_helper.simulator.market.share import SESSIONS_KNOWN, Share

DAY_NS = 86_400 * NANOSECONDS
TODAY = date(2026, 11, 20)


def test_conditions_are_read_by_name_with_and_without_a_value():
    assert Conditions.parse(["american", "hard-to-borrow=GME", "skew=2"]) == Conditions(
        american=True, hard_to_borrow="GME", skew=2.0
    )
    assert Conditions.parse([]) == Conditions(american=True), "as options on shares are"
    assert not Conditions.parse(["european"]).american
    assert DEMO_CONDITIONS != NO_CONDITIONS
    assert condition_meanings().keys() == set(Conditions.__slots__)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("amercian", "--condition amercian: there is no condition of that name"),
        ("american=yes", "american takes no value"),
        ("skew=steep", "'steep' is no value of skew"),
        ("skew", "skew needs a value"),
        ("skew=nan", "A skew of nan cannot be"),
        ("index_yield=1.3", "index_yield=0.013"),
        ("american european", "exclude each other"),
    ],
)
def test_what_is_no_condition_is_said(text: str, said: str):
    with pytest.raises(ConfigError, match=said):
        Conditions.parse(text.split())


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT", "SPY", "ABC"])
def test_a_share_pays_four_times_a_year_on_weekdays(symbol: str):
    days = list(ex_dates(symbol, date(2026, 1, 1), date(2026, 12, 31)))

    assert len(days) == 4
    assert all(day.weekday() < 5 for day in days)
    assert all(85 < (after - before).days < 98 for before, after in pairwise(days))


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 500), st.integers(0, 500))
def test_the_days_of_two_stretches_are_those_of_both_together(first: date, one: int, other: int):
    middle, last = first + timedelta(days=one), first + timedelta(days=one + other)

    together = [*ex_dates("MSFT", first, middle), *ex_dates("MSFT", middle + timedelta(days=1), last)]

    assert list(ex_dates("MSFT", first, last)) == together


def test_some_shares_pay_nothing():
    assert {day for symbol in PAY_NOTHING for day in ex_dates(symbol, TODAY, date(2028, 1, 1))} == set()


def test_the_demos_covered_call_is_just_before_its_ex_date():
    """What the sample portfolio is to show."""
    ((kind, row), *_) = announced_actions("MSFT", 500.0, TODAY, date(2026, 12, 18), today=TODAY)

    assert (kind, row["ex_date"], row["rate"]) == ("cash_dividends", "2026-11-23", 0.9)


@pytest.mark.parametrize("european", [True, False])
def test_what_holding_brings_and_costs_lowers_the_forward_at_every_strike(*, european: bool):
    carry, spot, years = Carry(dividends=2.0, yearly=0.1), 100.0, 0.5
    forward = (spot - 2.0) * math.exp((RATE - 0.1) * years)
    for strike in (97.0, 100.0):
        call, put = (
            value_option(
                kind, spot=spot, strike=strike, years=years, volatility=0.3, carry=carry, european=european
            )
            for kind in ("call", "put")
        )
        assert call.price - put.price == pytest.approx(math.exp(-RATE * years) * (forward - strike))
        assert call.delta - put.delta == pytest.approx(math.exp(-0.1 * years))


def early_exercise(now_ns: int = 0, dividends: tuple[tuple[int, float], ...] = ()) -> EarlyExercise:
    """Of a put at 100 that has thirty days from the epoch on."""
    return EarlyExercise(
        "put",
        100.0,
        expires_ns=now_ns + 30 * DAY_NS,
        dividends=dividends,
        carry=0.0,
        volatility=lambda _, __: 0.25,
    )


@pytest.mark.parametrize("spot", [60.0, 88.31, 99.99, 100.0, 104.2, 140.0])
def test_between_two_valued_spots_the_premium_is_that_of_the_lattice(spot: float):
    years = 30 * 86_400 / SECONDS_PER_YEAR
    market = Market(np.array([spot]), np.array([RATE]), np.zeros(1), CashDividends.none(1))
    american, european = (
        value(
            Terms(np.array([100.0]), np.array([False]), np.array([early]), np.array([years])),
            market,
            np.array([0.25]),
        )
        for early in (True, False)
    )

    assert early_exercise().premium(spot, 0) == pytest.approx(float(american[0] - european[0]), abs=0.005)


def test_a_premium_does_not_depend_on_what_was_asked_before():
    asked_much, asked_once = early_exercise(), early_exercise()
    for step in range(600):
        asked_much.premium(70 + step / 10, (step % 7) * 60 * NANOSECONDS)

    assert asked_much.premium(95.5, 0) == asked_once.premium(95.5, 0)


def test_before_a_dividend_a_call_deep_in_the_money_is_worth_its_exercise():
    call = EarlyExercise(
        "call",
        100.0,
        expires_ns=30 * DAY_NS,
        dividends=[(3 * DAY_NS, 2.0)],
        carry=0.0,
        volatility=lambda _, __: 0.2,
    )

    assert call.premium(140.0, 0) == pytest.approx(2.0, abs=0.35)
    # It is gone with the dividend.
    assert call.premium(140.0, 4 * DAY_NS) == 0.0


def test_a_shares_past_ends_at_its_previous_close_and_the_same_days_are_always_the_same():
    share = Share("AAPL", Calibration(200.0, 0.3), 7)
    last = date(2026, 11, 19)

    year = share.past_days(date(2025, 11, 1), last)
    month = share.past_days(date(2026, 10, 20), last)

    assert year[last]["c"] == share.previous_close
    assert {day: year[day] for day in month} == month
    assert all(day.weekday() < 5 for day in year)
    assert len(share.past_days(date(1990, 1, 1), last)) == SESSIONS_KNOWN


def test_an_odd_share_is_quoted_below_its_price_and_a_stale_one_where_it_began():
    odd, stale = (
        Share("AAPL", Calibration(200.0, 0.3), 7, 5, replace(NO_CONDITIONS, **{name: "AAPL"}))
        for name in ("off_spot", "stale_spot")
    )
    for _ in range(10_000):
        stale.move(1.0)

    assert odd.bid_and_ask()[1] == pytest.approx(200 * 0.987, abs=0.02)
    assert stale.bid_and_ask()[0] < 200 < stale.bid_and_ask()[1]
    assert stale.price != 200
