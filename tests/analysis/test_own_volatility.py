"""The 30-day volatility of our own: it finds what the prices were made of, and says what it lacks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.analysis.own_volatility import OptionQuote, thirty_day_volatility
from options_helper.simulator.market.pricing import RATE, SECONDS_PER_YEAR, value_option

AS_OF = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)
NEAR, FAR = date(2026, 11, 30), date(2026, 12, 4)  # 28.25 and 32.25 days


def chain(
    volatility: float | Callable[[date], float] = 0.2,
    *,
    spot: float = 680.0,
    expiries: tuple[date, ...] = (NEAR, FAR),
    strikes: range = range(400, 1_001, 5),
) -> Iterator[OptionQuote]:
    """Quotes a cent around Black-Scholes, as the market of the simulator values options."""
    for expiry in expiries:
        level = volatility(expiry) if callable(volatility) else volatility
        ends = datetime(expiry.year, expiry.month, expiry.day, 21, tzinfo=UTC)
        years = (ends - AS_OF).total_seconds() / SECONDS_PER_YEAR
        for strike in strikes:
            for option_type in ("call", "put"):
                price = value_option(
                    option_type, spot=spot, strike=strike, years=years, volatility=level
                ).price
                bid = price - 0.005
                yield OptionQuote(expiry, option_type, strike, bid if bid > 0.005 else 0.0, price + 0.005)


@settings(max_examples=12, deadline=None)
@given(volatility=st.floats(0.08, 0.6), spot=st.floats(500, 800))
def test_it_finds_the_volatility_that_the_prices_were_made_with(volatility: float, spot: float):
    found = thirty_day_volatility(chain(volatility, spot=spot), AS_OF, rate=RATE)

    assert found.missing is None
    assert found.percent == pytest.approx(100 * volatility, rel=0.02)


def test_two_expiries_are_weighed_by_the_days_between():
    found = thirty_day_volatility(chain(lambda expiry: 0.2 if expiry == NEAR else 0.3), AS_OF, rate=RATE)

    assert found.percent is not None
    assert 20 < found.percent < 30
    assert found.near is not None
    assert found.far is not None
    assert (found.near.expiry, found.far.expiry) == (NEAR, FAR)
    assert found.near.days == pytest.approx(28.25)


def test_the_order_of_the_quotes_changes_nothing():
    quotes = list(chain())
    shuffled = random.Random(7).sample(quotes, len(quotes))

    assert thirty_day_volatility(shuffled, AS_OF) == thirty_day_volatility(quotes, AS_OF)


def test_an_unknown_rate_moves_it_little():
    with_rate = thirty_day_volatility(chain(), AS_OF, rate=RATE).percent
    without = thirty_day_volatility(chain(), AS_OF).percent

    assert with_rate is not None
    assert without == pytest.approx(with_rate, rel=0.005)


def test_it_is_what_the_formula_says_on_numbers_done_by_hand():
    """A grid of five dollars around a forward of 100, rate 0: s^2 = 2/T * sum(5/K^2 * Q), the same for both terms."""
    out_of_the_money = {80: 0.1, 85: 0.2, 90: 0.5, 95: 1.2, 100: 2.5, 105: 1.1, 110: 0.4, 115: 0.2, 120: 0.1}
    quotes = [
        OptionQuote(expiry, option_type, strike, price, price)
        for expiry in (NEAR, FAR)
        for strike, middle in out_of_the_money.items()
        for option_type, price in (
            ("call", middle + max(0, 100 - strike)),
            ("put", middle + max(0, strike - 100)),
        )
    ]
    total = 2 * sum(5 / strike**2 * middle for strike, middle in out_of_the_money.items())

    found = thirty_day_volatility(quotes, AS_OF)

    assert found.near is not None
    assert (found.near.forward, found.near.strikes) == (100, 9)
    assert found.near.variance == pytest.approx(total / (28.25 / 365))
    # Both terms have the same variance over their whole life, and so have the 30 days between them.
    assert found.percent == pytest.approx(100 * (total / (30 / 365)) ** 0.5)


def test_a_wing_ends_at_two_options_without_a_bid():
    """What is quoted beyond them is no more than somebody's hope."""
    quotes = list(chain())
    silenced = [
        replace(one, bid=0.0) if one.option_type == "put" and one.strike in (600, 605) else one
        for one in quotes
    ]
    whole, cut = thirty_day_volatility(quotes, AS_OF), thirty_day_volatility(silenced, AS_OF)

    assert whole.near is not None
    assert cut.near is not None
    below_600 = sum(
        1
        for one in quotes
        if one.expiry == NEAR and one.option_type == "put" and one.strike < 600 and (one.bid or 0) > 0
    )
    assert cut.near.strikes == whole.near.strikes - below_600 - 2


@pytest.mark.parametrize(
    ("quotes", "missing"),
    [
        ([], "No expiry in 23 to 30 days was quoted."),
        (chain(expiries=(NEAR,)), "No expiry in 30 to 37 days was quoted."),
        (
            chain(strikes=range(900, 950, 10)),
            "2026-11-30: no strike has both a call and a put with bid and ask.",
        ),
        (
            chain(strikes=range(660, 701, 10)),
            "2026-11-30: 2 puts and 2 calls away from the money are quoted, and 4 of each are needed.",
        ),
    ],
)
def test_what_is_missing_makes_no_figure_and_is_said(quotes: Iterator[OptionQuote], missing: str):
    found = thirty_day_volatility(quotes, AS_OF, rate=RATE)

    assert (found.percent, found.missing) == (None, missing)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            OptionQuote,
            st.sampled_from((NEAR, FAR, date(2026, 12, 18))),
            st.sampled_from(("call", "put")),
            st.integers(1, 40).map(lambda step: step * 25.0),
            st.none() | st.floats(0, 50),
            st.none() | st.floats(0, 50),
        ),
        max_size=120,
    )
)
def test_it_never_fails_and_has_a_figure_or_a_reason(quotes: list[OptionQuote]):
    found = thirty_day_volatility(quotes, AS_OF)

    assert (found.percent is None) == (found.missing is not None)
