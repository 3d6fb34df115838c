"""What `portfolio check` has to say of a file, on whatever day it is asked."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.payoffs import Bounds, believable_range, payoff_bounds, undefined_risks
from options_helper.analysis.reconcile.portfolio_check import (
    CORRECT_AS_OF,
    cost_doubts,
    findings,
    judged_costs,
    picture,
)
from options_helper.model.market_hours import NEW_YORK, MarketDay, Session
from options_helper.model.portfolio import Leg, Portfolio, PortfolioEntry, ShareLeg, load_portfolio
from tests.kit.builders import holding, leg, portfolio, position, share_leg, structure

FRIDAY, SATURDAY = date(2026, 11, 20), date(2026, 11, 21)
JSON_BLOCK = re.compile(r"```json\n(.*?)```", re.DOTALL)
ON_FRIDAY, ON_SATURDAY = MarketDay(FRIDAY), MarketDay(SATURDAY)


def of_day(day: date | None, *expiries: date) -> Portfolio:
    """A picture of that day, with a contract for each expiry."""
    entries = [position(expiry=one, identity=f"call-{number}") for number, one in enumerate(expiries)]
    return portfolio(*entries, holding()).changed(as_of=day)


@pytest.fixture(scope="module")
def sample(repository: Path) -> Portfolio:
    """The portfolio that is shipped."""
    return load_portfolio(repository / "portfolio.json")


@given(today=st.dates(date(2026, 11, 20), date(2099, 12, 31)))
def test_the_sample_passes_on_any_day(sample: Portfolio, today: date):
    assert findings(sample, MarketDay(today)) == ()


def test_no_example_of_the_docs_has_anything_against_it(repository: Path, tmp_path: Path):
    """What a reader copies is taken, and neither its debits nor its marks are called impossible."""
    pages = [repository / "README.md", *sorted((repository / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in JSON_BLOCK.findall(page.read_text(encoding="utf-8"))]
    examples = [block for block in blocks if '"positions"' in block]
    assert len(examples) >= 3

    for number, block in enumerate(examples):
        path = tmp_path / f"{number}.json"
        path.write_text(block, encoding="utf-8")
        assert findings(load_portfolio(path), ON_FRIDAY) == ()


@pytest.mark.parametrize(("year", "is_doubted"), [(2031, False), (2062, True), (2072, True)])
def test_an_expiry_for_which_nothing_is_listed_is_doubted(year: int, *, is_doubted: bool):
    day = next(day for day in (date(year, 1, n) for n in range(15, 22)) if day.weekday() == 4)

    found = findings(portfolio(position(expiry=day)), ON_FRIDAY)

    assert [f"expires in {year}, in {year - 2026} years," in one for one in found] == [True] * is_doubted


VERTICAL = (leg("long", 180), leg("short", 190))


@pytest.mark.parametrize(
    ("legs", "debit", "said"),
    [
        (
            VERTICAL,
            1.2,
            "was opened for 1.20, which is 0.012 a share. net_debit is dollars for all of it: is 120.00",
        ),
        (VERTICAL, 3.0, "is 300.00 meant?"),
        ((leg("short", 180), leg("long", 190)), -1.2, "is -120.00 meant?"),
        (
            [one.changed(contracts=5) for one in VERTICAL],
            7.35,
            "which is 0.015 a share. net_debit is dollars for all",
        ),
        ([one.changed(contracts=5) for one in VERTICAL], 7.35, "is 3,675.00 meant?"),
        ((*VERTICAL, leg("short", 190), leg("long", 200)), 2.1, "is 210.00 meant?"),
        # Beyond its width in any case, or a price that is dealt for.
        (VERTICAL, 1_100.0, "Correct net_debit."),
        (VERTICAL, 5.0, None),
        (VERTICAL, 120.0, None),
        (VERTICAL, 0.0, None),
        # As a price per share it would be beyond the width, or it has no most: a ratio may have cost next to nothing.
        ((leg("long", 180), leg("short", 181)), 2.5, None),
        ((leg("long", 180), leg("short", 190, contracts=2)), 1.2, None),
    ],
)
def test_a_net_debit_per_share_is_asked_about(legs: tuple[Leg, ...], debit: float, said: str | None):
    found = findings(portfolio(structure(*legs, net_debit=debit)), ON_FRIDAY)

    assert len(found) == (said is not None)
    assert said is None or said in found[0]


COVERED_CALL = (share_leg(), leg("short", 200))
COVERED_PUT = (share_leg("short"), leg("short", 180, "put"))


@pytest.mark.parametrize(
    ("legs", "debit", "said"),
    [
        (
            COVERED_CALL,
            300,
            "which is 3.00 for each of its 100 shares beside a strike of 200. net_debit is dollars",
        ),
        (COVERED_CALL, -300, "which is −3.00 for each of its 100 shares beside a strike of 200."),
        (COVERED_CALL, 176, "its shares too: is 17,600.00 meant?"),
        (
            COVERED_PUT,
            -185,
            "which is 1.85 for each of its 100 shares beside a strike of 180. net_debit is dollars",
        ),
        (COVERED_PUT, -185, ": is -18,500.00 meant?"),
        (COVERED_PUT, 500, "which is −5.00 for each of its 100 shares"),
        ((*COVERED_CALL, leg("long", 160, "put")), 175, "beside a strike of 160. net_debit"),
        # A price for all of it, also of shares that were bought long ago.
        (COVERED_CALL, 17_300, None),
        (COVERED_CALL, 1_200, None),
        (COVERED_PUT, -18_100, None),
        ((*COVERED_CALL, leg("long", 160, "put")), 17_450, None),
    ],
)
def test_a_debit_without_its_shares_is_asked_about(
    legs: tuple[Leg | ShareLeg, ...], debit: float, said: str | None
):
    found = findings(portfolio(structure(*legs, net_debit=debit)), ON_FRIDAY)

    assert len(found) == (said is not None)
    assert said is None or said in found[0]


@pytest.mark.parametrize(
    ("entry", "said", "doubt"),
    [
        (
            position("SPY", 650, "put", cost_basis=700.0),
            "more than its strike. No put is worth that. It is the price per share",
            "",
        ),
        (position("SPY", 650, "put", cost_basis=700.0), "is 7.00 meant?", ""),
        (position(cost_basis=235.0), "A call is worth that where AAPL stands at about twice as much.", ""),
        (structure(leg("long", 180, cost_basis=235.0), net_debit=None), "is 2.35 meant?", ""),
        (
            position("SPY", 681, cost_basis=235.0),
            "",
            "35 % of its strike, which is right far in the money alone. It is the price",
        ),
        (position("SPY", 681, contracts=-1, cost_basis=235.0), "", "is 2.35 meant?"),
        (position("SPY", 681, cost_basis=170.0), "", ""),
        (position("SPY", 681, cost_basis=2.35), "", ""),
        (position("SPY", 681, cost_basis=None), "names no cost", ""),
        (holding(cost_basis=23_500.0), "", ""),
        (position("AAPL1", 180, cost_basis=235.0, multiplier=100), "", ""),
    ],
)
def test_a_cost_per_contract_is_asked_about(entry: PortfolioEntry, said: str, doubt: str):
    """What cannot be is to be looked at; what is right for an option far in the money is remarked alone."""
    book = portfolio(entry)

    doubts = [one.sentence for one in cost_doubts(book)]
    for found, words in ((findings(book, ON_FRIDAY), said), (doubts, doubt)):
        assert len(found) == bool(words)
        assert words in "".join(found)


@pytest.mark.parametrize(
    ("entry", "price", "is_out"),
    [
        (position("SPY", 700, cost_basis=235.0), 602.0, True),
        (position("SPY", 700, cost_basis=235.0), 940.0, False),
        (position("SPY", 700, cost_basis=235.0), None, False),
        (position("SPY", 500, "put", cost_basis=235.0), 602.0, True),
        (position("SPY", 700, "put", cost_basis=235.0), 602.0, False),
    ],
)
def test_out_of_the_money_a_cost_above_a_quarter_of_the_strike_cannot_be(
    entry: PortfolioEntry, price: float | None, *, is_out: bool
):
    prices = {} if price is None else {"SPY": price}

    slips, remarks = judged_costs(cost_doubts(portfolio(entry)), prices)

    assert (len(slips), len(remarks)) == (is_out, not is_out)
    if is_out:
        assert slips[0].endswith("is 2.35 meant? It is out of the money: SPY stands at 602.00.")


def test_two_settlements_and_two_deliveries_have_no_bounds(repository: Path, tmp_path: Path):
    page = (repository / "docs" / "PORTAL_STREAMLIT.md").read_text(encoding="utf-8")
    (block,) = (one for one in JSON_BLOCK.findall(page) if "am-against-pm" in one)
    (tmp_path / "held.json").write_text(block, encoding="utf-8")
    book = {entry.id: entry for entry in load_portfolio(tmp_path / "held.json").structures}

    for name in ("am-against-pm", "after-a-spin-off"):
        assert payoff_bounds(book[name].lines) == Bounds(None, None)
        assert believable_range(book[name].lines, FRIDAY) == (-inf, inf)
    assert undefined_risks(portfolio(book["am-against-pm"])) == ("am-against-pm",)


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


@pytest.mark.parametrize(
    ("expiry", "day"),
    [(date(2026, 12, 19), "Saturday, 19 Dec 26"), (date(2026, 12, 25), "Friday, 25 Dec 26")],
)
def test_an_expiry_on_which_nothing_is_traded_is_to_be_looked_at(expiry: date, day: str):
    (found,) = findings(of_day(None, expiry), ON_FRIDAY)

    assert f"expires on {day}, when the exchange is closed" in found


@pytest.mark.parametrize(("opened_at", "looked_at"), [(FRIDAY, False), (SATURDAY, True)])
def test_what_was_opened_on_a_day_to_come_is_to_be_looked_at(opened_at: date, *, looked_at: bool):
    found = findings(portfolio(position(identity="mine").changed(opened_at=opened_at)), ON_FRIDAY)

    assert (found != ()) is looked_at
    assert all("which lies ahead: it is 20 Nov 26 in New York" in sentence for sentence in found)


@pytest.mark.parametrize(
    ("short", "words"),
    [(1, "so it holds nothing"), (2, "of which the account knows the difference only")],
)
def test_legs_that_cancel_each_other_are_to_be_looked_at(short: int, words: str):
    entry = structure(leg("long", 180), leg("short", 180, contracts=short), net_debit=0.0, identity="mine")

    found = [one for one in findings(portfolio(entry), ON_FRIDAY) if "bought and sold" in one]
    assert found == [f"'mine' has AAPL 18 Dec 26 180 C both bought and sold, {words}. Correct its legs."]


@pytest.mark.parametrize(
    ("at", "expired"),
    [(datetime(2026, 11, 20, 20, 59, tzinfo=UTC), False), (datetime(2026, 11, 20, 21, 0, tzinfo=UTC), True)],
)
def test_what_ends_today_has_expired_this_evening(at: datetime, *, expired: bool):
    found = findings(of_day(None, FRIDAY), MarketDay(FRIDAY, at=at))

    assert any("expired on 20 Nov 26" in sentence for sentence in found) is expired
    # Of a picture of that day, its contracts are a part.
    assert findings(of_day(FRIDAY, FRIDAY), MarketDay(FRIDAY, at=at)) == ()


@pytest.mark.parametrize("name", ["closed", "shortened", "opened"])
def test_what_the_market_told_of_a_day_to_come_makes_no_expiry_wrong(name: str):
    """A closing that is announced changes no contract's symbol; a day that it opens is a trading day."""
    day = SATURDAY if name == "opened" else FRIDAY
    opens = datetime.combine(day, time(9, 30), NEW_YORK)
    session = None if name == "closed" else Session(opens, opens + timedelta(hours=3))
    before = datetime.combine(FRIDAY - timedelta(days=3), time(10), NEW_YORK)

    assert findings(of_day(None, day), MarketDay(before.date(), at=before, told={day: session})) == ()
