"""What `portfolio check` has to say of a file, on whatever day it is asked."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.reconcile.portfolio_check import findings, picture
from options_helper.model.portfolio import Portfolio, load_portfolio
from tests.kit.builders import holding, portfolio, position

FRIDAY, SATURDAY = date(2026, 11, 20), date(2026, 11, 21)


def of_day(day: date | None, *expiries: date) -> Portfolio:
    """A picture of that day, with a contract for each expiry."""
    entries = [position(expiry=one, identity=f"call-{number}") for number, one in enumerate(expiries)]
    return portfolio(*entries, holding()).model_copy(update={"as_of": day})


@pytest.fixture(scope="module")
def sample(repository: Path) -> Portfolio:
    """The portfolio that is shipped."""
    return load_portfolio(repository / "portfolio.json")


@given(today=st.dates(date(2026, 11, 20), date(2099, 12, 31)))
def test_the_sample_passes_on_any_day(sample: Portfolio, today: date):
    assert findings(sample, today) == ()


@pytest.mark.parametrize(
    ("today", "expired"),
    [
        (FRIDAY, "Expired by today, 20 Nov 26: none of 14 contracts."),
        (SATURDAY, "Expired by today, 21 Nov 26: 1 of 14 contracts."),
        (date(2028, 2, 29), "Expired by today, 29 Feb 28: 14 of 14 contracts."),
    ],
)
def test_a_picture_says_of_which_day_it_is_and_what_has_expired_since(
    sample: Portfolio, today: date, expired: str
):
    """Who keeps the day in a file of their own cannot be deceived by it."""
    assert picture(sample, "portfolio.json", today) == (
        "portfolio.json is a picture of 20 Nov 26, so its expiries are judged as of that day. "
        f'{expired} When it is yours, remove "as_of" from it.'
    )


def test_a_file_of_now_is_no_picture():
    assert picture(of_day(None, FRIDAY), "portfolio.json", SATURDAY) is None


def test_a_contract_is_counted_once_however_many_entries_hold_it():
    said = picture(of_day(FRIDAY, FRIDAY, FRIDAY), "mine.json", SATURDAY)

    assert said is not None
    assert "1 of 1 contract." in said


@pytest.mark.parametrize(("as_of", "is_said"), [(None, True), (FRIDAY, False), (SATURDAY, True)])
def test_what_has_expired_is_judged_as_of_the_picture_s_day(as_of: date | None, *, is_said: bool):
    found = findings(of_day(as_of, FRIDAY), SATURDAY)

    assert any("expired on 20 Nov 26" in sentence for sentence in found) is is_said


def test_a_picture_of_a_day_to_come_is_looked_at():
    assert findings(of_day(SATURDAY), FRIDAY) == (
        "as_of 2026-11-21 lies ahead: it is 2026-11-20 in New York. Correct it.",
    )
