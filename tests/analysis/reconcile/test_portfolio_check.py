"""What `portfolio check` has to say of a file, on whatever day it is asked."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.reconcile.portfolio_check import CORRECT_AS_OF, findings, picture
from options_helper.model.market_hours import MarketDay
from options_helper.model.portfolio import Portfolio, load_portfolio
from tests.kit.builders import holding, portfolio, position

FRIDAY, SATURDAY = date(2026, 11, 20), date(2026, 11, 21)
ON_FRIDAY, ON_SATURDAY = MarketDay(FRIDAY), MarketDay(SATURDAY)


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
    assert findings(sample, MarketDay(today)) == ()


@pytest.mark.parametrize(
    ("today", "expired"),
    [
        (ON_FRIDAY, "Expired by today, 20 Nov 26: none of 14 contracts."),
        (ON_SATURDAY, "Expired by today, 21 Nov 26: 1 of 14 contracts."),
        (MarketDay(date(2028, 2, 29)), "Expired by today, 29 Feb 28: 14 of 14 contracts."),
        (
            MarketDay(SATURDAY, plays=True),
            "Expired by today in the simulated market, 21 Nov 26: 1 of 14 contracts.",
        ),
    ],
)
def test_a_picture_says_of_which_day_it_is_and_what_has_expired_since(
    sample: Portfolio, today: MarketDay, expired: str
):
    """Who keeps the day in a file of their own cannot be deceived by it."""
    assert picture(sample, "portfolio.json", today) == (
        "portfolio.json is a picture of 20 Nov 26, so its expiries are judged as of that day. "
        f'{expired} When it is yours, remove "as_of" from it.'
    )


def test_a_file_of_now_is_no_picture():
    assert picture(of_day(None, FRIDAY), "portfolio.json", ON_SATURDAY) is None


def test_a_contract_is_counted_once_however_many_entries_hold_it():
    said = picture(of_day(FRIDAY, FRIDAY, FRIDAY), "mine.json", ON_SATURDAY)

    assert said is not None
    assert "1 of 1 contract." in said


@pytest.mark.parametrize(("as_of", "is_said"), [(None, True), (FRIDAY, False), (SATURDAY, True)])
def test_what_has_expired_is_judged_as_of_the_picture_s_day(as_of: date | None, *, is_said: bool):
    found = findings(of_day(as_of, FRIDAY), ON_SATURDAY)

    assert any("expired on 20 Nov 26" in sentence for sentence in found) is is_said


@pytest.mark.parametrize(("plays", "place"), [(False, "New York"), (True, "the simulated market")])
def test_a_picture_of_a_day_to_come_is_looked_at_and_nothing_is_judged_by_it(*, plays: bool, place: str):
    """What is alive today would be told to be removed."""
    ahead, today = of_day(date(2026, 12, 27), SATURDAY), MarketDay(FRIDAY, plays=plays)

    assert findings(ahead, today) == (
        f"as_of 2026-12-27 lies ahead: it is 2026-11-20 in {place}. What has expired is not judged. {CORRECT_AS_OF}",
    )
    assert picture(ahead, "mine.json", today) is None
