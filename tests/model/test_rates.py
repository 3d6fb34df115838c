"""Rates are dated, lie between their neighbours, and a percent that was typed as a fraction is caught."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.errors import ConfigError
from options_helper.model.rates import DEFAULT_RATES, RATE_BELOW, RateTable, parse_rates

DAY = date(2026, 11, 27)
TABLE = "2026-11-27 1m=0.0395 3m=0.039 6m=0.0385 1y=3.7%"


def test_a_table_is_read_with_its_day_and_its_name():
    table = parse_rates(TABLE, "OH_RISK_RATES")

    assert (table.as_of, table.source) == (DAY, "OH_RISK_RATES")
    assert table.years == (1 / 12, 3 / 12, 6 / 12, 1.0)
    assert table.rates == pytest.approx((0.0395, 0.039, 0.0385, 0.037))


@pytest.mark.parametrize(
    ("years", "rate"),
    [(0.001, 0.0395), (1 / 12, 0.0395), (2 / 12, 0.03925), (0.75, 0.03775), (1.0, 0.037), (3.0, 0.037)],
)
def test_between_two_terms_the_rate_is_on_their_line_and_beyond_them_the_nearest(years: float, rate: float):
    assert parse_rates(TABLE, "rates").at(years) == pytest.approx(rate)


@given(
    st.lists(st.floats(0, 0.24), min_size=1, max_size=5),
    st.floats(0, 100),
)
def test_no_rate_lies_outside_of_what_was_written(rates: list[float], years: float):
    table = RateTable(tuple(float(n) for n in range(1, len(rates) + 1)), tuple(rates), DAY, "")

    assert min(rates) - 1e-12 <= table.at(years) <= max(rates) + 1e-12


def test_one_rate_is_of_every_term_and_order_does_not_matter():
    assert parse_rates("2026-11-27 0.04", "rates").at(7) == 0.04
    assert parse_rates("2026-11-27 1y=0.03 1m=0.04", "rates").at(0.01) == 0.04
    assert parse_rates("2026-11-27 0", "rates").at(1) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-11-27 1m=4.3", "'1m=4.3' is 4.3 as a fraction, which is 430 % a year"),
        ("2026-11-27 0.43", "written as 0.043 or 4.3%"),
        ("2026-11-27 -0.01", "from 0 to below 0.25"),
        ("2026-11-27 1m=nan", "no number"),
        ("2026-11-27 1m=inf", "from 0 to below"),
        ("2026-11-27 1m=four", "no number"),
        ("2026-11-27 1m=4%%", "no number"),
        ("2026-11-27 month=0.04", "is no term with its rate"),
        ("2026-11-27 0.04 0.03", "is no term with its rate"),
        ("2026-11-27 1m=0.04 1m=0.03", "names a term twice"),
        ("2026-11-27", "names a day and no rate"),
        ("0.04", "begins with '0.04' and not with the day"),
        ("", "not with the day"),
    ],
)
def test_what_is_no_table_of_rates_is_said_with_what_to_write(text: str, said: str):
    with pytest.raises(ConfigError) as raised:
        parse_rates(text, "OH_RISK_RATES")

    assert str(raised.value).startswith("OH_RISK_RATES")
    assert said in str(raised.value)


def test_the_default_says_that_it_is_one():
    assert "default" in DEFAULT_RATES.source
    assert all(0 <= rate < RATE_BELOW for rate in DEFAULT_RATES.rates)
