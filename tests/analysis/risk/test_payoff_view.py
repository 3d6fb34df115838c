"""The curves of a payoff: exact at the end, through today's marks, and a what-if that says where it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from options_helper.analysis.risk.book_risk import assess_book
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.extremes import Limit
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.payoff_view import PayoffView, payoff_view, subjects
from options_helper.analysis.risk.what_if import WhatIf
from options_helper.model.risk_inputs import CorporateActions, RiskInputs
from tests.kit.builders import (
    AS_OF,
    EXPIRY,
    holding,
    leg,
    portfolio,
    position,
    quote,
    snapshot_with,
    structure,
)

CALL_180, CALL_190 = "AAPL261218C00180000", "AAPL261218C00190000"
LATER = "AAPL270115C00180000"
QUOTES = [
    quote("AAPL", 184.99, 185.01),
    quote(CALL_180, 9.40, 9.60),
    quote(CALL_190, 3.90, 4.10),
    quote(LATER, 11.90, 12.10),
]
INPUTS = RiskInputs(actions={"AAPL": CorporateActions("AAPL", AS_OF, date(2027, 3, 1))})
VERTICAL = structure(leg("long", 180), leg("short", 190), net_debit=500, identity="vertical")


def book_of(*entries, quotes=QUOTES) -> BookFigures:
    live = replace(snapshot_with(*quotes), risk_inputs=INPUTS)
    return assess_book(portfolio(*entries), live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)


def view_of(*entries, what_if: WhatIf | None = None, key: str | None = None, quotes=QUOTES) -> PayoffView:
    book = book_of(*entries, quotes=quotes)
    subject = next(one for one in subjects(book) if key is None or one.key == key)
    found = payoff_view(book, subject, what_if or WhatIf())
    assert isinstance(found, PayoffView), found
    return found


def at(view: PayoffView, price: float, curve: np.ndarray) -> float:
    return float(np.interp(price, view.prices, curve))


def test_a_vertical_s_end_has_its_kinks_its_break_even_and_its_limits():
    view = view_of(VERTICAL)

    assert view.is_exact
    assert view.end == EXPIRY
    assert at(view, 175, view.at_end) == pytest.approx(-500)
    assert at(view, 195, view.at_end) == pytest.approx(500)
    assert {180.0, 190.0, 185.0} <= set(view.prices.tolist())
    assert view.break_evens == (185.0,)
    assert view.best.amount == 500
    assert view.worst.amount == -500


def test_today_s_curve_goes_through_the_marks_to_the_cent():
    view = view_of(VERTICAL)

    assert view.now == pytest.approx(100 * (9.50 - 4.00) - 500, abs=0.005)
    assert at(view, view.spot, view.today) == pytest.approx(view.now, abs=0.005)
    assert view.by_model == "2 of 2 legs"


def test_all_on_an_underlying_has_its_shares():
    view = view_of(holding(shares=100), position(contracts=-1, strike=190), key="u:AAPL")

    far = view.prices[-1]
    assert view.at_end[-1] == pytest.approx(at(view, 190, view.at_end))
    assert far > 190


def test_a_what_if_says_where_it_is_and_now_is_none():
    assert view_of(VERTICAL).elsewhere is None

    view = view_of(VERTICAL, what_if=WhatIf(spot_percent=5, vol_points=3, days=7))
    assert view.elsewhere is not None
    assert view.there_price == pytest.approx(185 * 1.05)
    assert view.there == pytest.approx(at(view, 185 * 1.05, view.elsewhere), abs=2.0)


def test_several_expiries_are_drawn_at_the_first_and_said_to_be_no_promise():
    calendar = structure(leg("short", 180), leg("long", 180, expiry=date(2027, 1, 15)), net_debit=250)
    view = view_of(calendar, key="e:structure")

    assert not view.is_exact
    assert view.end == EXPIRY
    assert any("no promise" in note for note in view.notes)
    assert np.isfinite(view.at_end).all()
    profit = at(view, 180, view.at_end)
    assert profit > at(view, 150, view.at_end)
    for price in view.break_evens:
        assert at(view, price, view.at_end) == pytest.approx(0, abs=5)


def test_what_has_no_cost_is_told_from_what_it_is_worth_now():
    view = view_of(structure(leg("long", 180), leg("short", 190), net_debit=None))

    assert not view.is_from_cost
    assert view.now == 0
    assert view.chance.value is None
    assert "paid" in view.chance.reason


def test_a_leg_without_volatility_is_named():
    wide = [quote("AAPL", 184.99, 185.01), quote(CALL_180, 9.4, 9.6), quote(CALL_190, 0.0, 4.1)]
    view = view_of(VERTICAL, quotes=wide)

    assert view.by_model == "1 of 2 legs"
    assert any("18 Dec 26 190 C" in note for note in view.notes)


def test_without_a_price_there_is_a_sentence_and_no_curve():
    book = book_of(VERTICAL, quotes=[])

    assert "AAPL has no price yet" in str(payoff_view(book, subjects(book)[0]))


def test_the_axis_does_not_breathe_with_every_tick():
    near = [quote("AAPL", 185.05, 185.07), *QUOTES[1:]]

    one, other = view_of(VERTICAL).prices, view_of(VERTICAL, quotes=near).prices
    assert (one[0], one[-1]) == (other[0], other[-1])


def test_a_naked_call_loses_without_an_end_and_a_move_of_one_deviation_is_said():
    view = view_of(position(contracts=-1, strike=190, cost_basis=4.0))

    assert view.worst.limit is Limit.UNDEFINED
    assert view.best.amount == 400
    assert view.move == pytest.approx(185 * 0.25 * (43 / 365) ** 0.5, rel=0.35)
    assert view.chance.value is not None
    assert 0.5 < view.chance.value < 1


def test_a_subject_is_there_for_each_underlying_and_each_entry_with_options():
    book = book_of(holding(shares=100), VERTICAL, position(strike=190))

    assert next(one.key for one in subjects(book)) == "u:AAPL"
    assert {"e:vertical"} <= {one.key for one in subjects(book)}
    assert not any("shares" in one.key for one in subjects(book))


def test_a_leg_that_has_ended_is_named_under_the_curves_that_lack_it():
    ended = position(contracts=-1, strike=190, expiry=date(2026, 11, 13), identity="ended")
    of_name = view_of(VERTICAL, ended, key="u:AAPL")

    said = "AAPL 13 Nov 26 190 C has ended, and what its end costs or brings is in no figure."
    assert said in of_name.notes
    assert said not in view_of(VERTICAL, ended, key="e:vertical").notes
