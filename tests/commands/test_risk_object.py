"""The object that the command `risk` prints, whatever a market says: every key, no infinity, and sums that add up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from math import fsum, isfinite
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.scenario import curve
from options_helper.analysis.risk.what_if import WhatIf
from options_helper.commands.risk_display import Elsewhere, could_not_judge, json_text, lines_of
from options_helper.model.events import Quote
from options_helper.model.portfolio import Portfolio, Position
from options_helper.model.risk_inputs import CorporateActions, Dividend, RiskInputs, VendorGreeks
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.text import price_text
from tests.analysis.risk.test_book_risk import index_chain
from tests.analysis.test_day_pnl import account
from tests.kit.builders import AS_OF, holding, leg, portfolio, position, quote, snapshot_with, structure
from tests.kit.pace import runs

LEG_KEYS = [
    "position_id",
    "symbol",
    "quantity",
    "multiplier",
    "mark",
    "mark_source",
    "mark_age_seconds",
    "iv",
    "iv_low",
    "iv_high",
    "iv_state",
    "iv_reason",
    "delta",
    "gamma",
    "vega",
    "theta",
    "rho",
    "delta_state",
    "model",
    "spot",
    "spot_age_seconds",
    "forward",
    "rate",
    "dividends_state",
    "second_delta",
    "second_iv",
    "vendor_delta",
    "reasons",
]
UNDERLYING_KEYS = [
    "symbol",
    "spot",
    "delta",
    "delta_between",
    "delta_dollars",
    "gamma",
    "vega",
    "theta",
    "beta",
    "pnl_today",
    "unrealized",
    "coverage",
]
BOOK_KEYS = [
    "delta_beta_weighted",
    "dollars_per_percent",
    "theta",
    "vega",
    "max_loss",
    "max_loss_state",
    "unrealized",
    "natural",
    "alarms",
    "coverage",
]
NAMES = ("AAPL", "SPX", "MSFT")

prices = st.one_of(st.none(), st.just(0.0), st.floats(0.01, 1e6), st.floats(1, 50), st.floats(1e-9, 1e12))
moments = st.sampled_from(
    [
        AS_OF,
        datetime(2026, 11, 20, 14, 0, tzinfo=AS_OF.tzinfo),  # before the open
        datetime(2026, 11, 22, 15, 0, tzinfo=AS_OF.tzinfo),  # a Sunday
        datetime(2026, 12, 18, 20, 58, tzinfo=AS_OF.tzinfo),  # two minutes before the end
        datetime(2026, 12, 18, 21, 5, tzinfo=AS_OF.tzinfo),
        datetime(2027, 3, 1, 15, 0, tzinfo=AS_OF.tzinfo),  # all has ended
    ]
)


@st.composite
def legs(draw: st.DrawFn) -> Position:
    symbol = draw(st.sampled_from((*NAMES, "AAPL1")))
    return position(
        symbol,
        draw(st.sampled_from((5.0, 100.0, 180.0, 6_000.0))),
        draw(st.sampled_from(("call", "put"))),
        contracts=draw(st.sampled_from((-1_000_000, -1, 1, 7))),
        cost_basis=draw(st.one_of(st.none(), st.just(0.0), st.floats(0.01, 1e5))),
        expiry=draw(st.sampled_from((date(2026, 12, 18), date(2026, 11, 20), date(2027, 1, 15)))),
        multiplier=draw(st.sampled_from((None, 100))) if symbol == "AAPL1" else None,
        identity=f"leg {draw(st.integers(0, 10**9))}",
    )


@st.composite
def markets(draw: st.DrawFn, book: Portfolio) -> LiveSnapshot:
    """Quotes of some of it, right ones and absurd ones, and announcements of some."""
    at = draw(moments)
    symbols = dict.fromkeys([*(one.live_symbol for one in book.instruments), "AAPL", "MSFT", "SPY"])
    quotes: list[Quote] = []
    for symbol in symbols:
        if draw(st.booleans()):
            bid, ask = draw(prices), draw(prices)
            quotes.append(quote(symbol, bid, ask, age=draw(st.sampled_from((0.0, 45.0, 1e6))), as_of=at))
    paid = Dividend("AAPL", (at + timedelta(days=9)).date(), draw(st.sampled_from((0.5, 1e4))))
    actions = {"AAPL": CorporateActions("AAPL", at, date(2027, 6, 1), (paid,))} if draw(st.booleans()) else {}
    vendor = {
        one: VendorGreeks(
            one, delta=draw(st.floats(-2, 2)), implied_volatility=draw(st.floats(0, 9)), quoted_at=at
        )
        for one in symbols
        if len(one) > 15 and draw(st.booleans())
    }
    live = snapshot_with(*quotes, as_of=at)
    return replace(live, risk_inputs=RiskInputs(actions=actions, vendor_greeks=vendor))


def told_of(book: Portfolio, live: LiveSnapshot) -> dict[str, Any]:
    """The object; a word that is no number would not be read."""
    look = look_at_book(book, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25).risk
    problems = could_not_judge(look)
    assert list(lines_of(look, what_if=None, second_opinion=None, problems=problems))
    text = json_text(look, what_if=None, second_opinion=None, problems=problems)
    found: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return found


@settings(max_examples=runs(15, 500), deadline=None)
@given(st.data())
def test_whatever_a_market_says_the_object_has_its_keys_and_its_sums_what_they_cover(data: st.DataObject):
    held = (*data.draw(st.lists(legs(), max_size=5, unique_by=lambda one: one.id)), holding("MSFT", 10.0))
    book = portfolio(*held)
    told = told_of(book, data.draw(markets(book)))

    assert not set(BOOK_KEYS) - told["book"].keys()
    for row in told["underlyings"]:
        assert not set(UNDERLYING_KEYS) - row.keys()
    for row in told["legs"]:
        assert not set(LEG_KEYS) - row.keys()
        assert isinstance(row["reasons"], list)
    _covers(told["book"], told["legs"])
    for row in told["underlyings"]:
        _covers(row, [leg for leg in told["legs"] if leg["underlying"] == row["symbol"]])


def _covers(total: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """Known, bound and lacking are all legs that have not ended; the sum is of what is known, and never of a 0."""
    options = [one for one in rows if one["iv_state"] is not None and one["iv_state"] != "expired"]
    for name, covered in total["coverage"].items():
        known = [one for one in options if one[name] is not None]
        assert (covered["known"] + covered["bound"], covered["of"]) == (len(known), len(options))
        if name in total and total[name] is not None:
            shares = [one for one in rows if one["iv_state"] is None]
            amounts = [one[name] for one in (*known, *shares) if one[name] is not None]
            assert total[name] == pytest.approx(fsum(amounts), rel=1e-9, abs=1e-9)
            assert isfinite(total[name])


@settings(max_examples=runs(10, 300), deadline=None)
@given(st.data())
def test_a_leg_that_is_missing_changes_no_figure_of_another(data: st.DataObject):
    """Nor does one that is held besides."""
    # What one entry lacks of a contract another may tell, so each contract is held once.
    once = (lambda one: one.id, lambda one: one.instrument.live_symbol)
    held = data.draw(st.lists(legs(), min_size=2, max_size=4, unique_by=once))
    book = portfolio(*held)
    live = data.draw(markets(book))
    other = held[0]

    whole = {one["position_id"]: one for one in told_of(book, live)["legs"]}
    rest = {one["position_id"]: one for one in told_of(portfolio(*held[1:]), live)["legs"]}

    assert {identity: whole[identity] for identity in rest} == rest
    assert other.id not in rest


VERTICAL = structure(leg("long", 180), leg("short", 185), net_debit=200.0)
QUOTES = [
    quote("AAPL", 179.9, 180.1),
    quote("AAPL261218C00180000", 5.9, 6.1),
    quote("AAPL261218C00185000", 3.9, 4.1),
    quote("MSFT", 399.9, 400.1),
]


def beside(quantities: dict[str, int]) -> LiveSnapshot:
    return replace(snapshot_with(*QUOTES), account=account({**quantities, "MSFT": 10}))


def test_figures_of_a_quantity_that_is_not_the_accounts_say_so_by_leg_underlying_and_book():
    book = portfolio(VERTICAL, holding("MSFT", 10.0, cost_basis=390.0))
    told = told_of(book, beside({"AAPL261218C00180000": 1, "AAPL261218C00185000": -2}))
    aapl, msft = told["underlyings"]

    assert [one["quantity_in_doubt"] for one in told["legs"]] == [False, True, False]
    assert [one["quantity_in_doubt"] for one in (aapl, msft, told["book"])] == [True, False, True]
    for row in (aapl, told["book"]):
        assert row["max_loss_state"] == "number"
        assert (row["max_loss_by_account"], row["max_loss_by_account_state"]) == (None, "undefined")
        assert "calls on 100 shares are sold" in row["max_loss_by_account_reason"]
    assert (msft["max_loss_by_account"], msft["max_loss_by_account_state"]) == (3_900, "number")
    assert any("AAPL 18 Dec 26 185 C: the figures of AAPL" in one for one in told["book"]["alarms"])
    assert told["book"]["expiries_in_doubt"] == ["2026-12-18"]


def test_figures_of_the_accounts_quantities_say_nothing_of_it():
    book = portfolio(VERTICAL, holding("MSFT", 10.0))
    told = told_of(book, beside({"AAPL261218C00180000": 1, "AAPL261218C00185000": -1}))

    for row in (*told["legs"], *told["underlyings"], told["book"]):
        assert row["quantity_in_doubt"] is False
    assert told["book"]["expiries_in_doubt"] == []
    assert (told["book"]["max_loss_by_account"], told["book"]["max_loss_by_account_state"]) == (None, None)


def test_what_has_ended_is_named_beside_the_greatest_loss_that_lacks_it():
    """Settled at the open of its last day, it is traded no more and owed still."""
    settled = position("SPX", 6_000.0, "put", contracts=-1, expiry=date(2026, 11, 20), cost_basis=3.0)
    gone = settled.instrument.label
    open_of_day = replace(snapshot_with(*QUOTES), as_of=datetime(2026, 11, 20, 16, 0, tzinfo=AS_OF.tzinfo))
    told = told_of(portfolio(VERTICAL, settled), open_of_day)
    aapl, spx = told["underlyings"]

    assert (told["book"]["max_loss"], told["book"]["max_loss_without"]) == (200, [gone])
    assert (aapl["max_loss"], aapl["max_loss_without"]) == (200, [])
    assert (spx["max_loss"], spx["max_loss_state"], spx["max_loss_without"]) == (None, "unknown", [gone])
    assert told["book"]["max_loss_by_account_without"] == []
    lines = printed(portfolio(VERTICAL, settled), open_of_day)
    assert sum("(without 1 ended leg)" in line for line in lines) == 2
    assert any(line.startswith("SPX") and "unknown (without 1 ended leg)" in line for line in lines)


def test_what_has_ended_in_the_account_is_named_beside_its_greatest_loss_and_is_a_problem():
    ended = "AAPL261113C00180000"
    live = beside({"AAPL261218C00180000": 1, "AAPL261218C00185000": -1, ended: -1})
    told = told_of(portfolio(VERTICAL), live)
    (aapl,) = told["underlyings"]

    for row in (aapl, told["book"]):
        assert row["max_loss_by_account_without"] == ["AAPL 13 Nov 26 180 C"]
        assert row["max_loss_without"] == []
    look = look_at_book(
        portfolio(VERTICAL), live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25
    ).risk
    (said,) = [one for one in could_not_judge(look) if "in the account alone" in one]
    assert said in told["book"]["alarms"]


def printed(book: Portfolio, live: LiveSnapshot) -> list[str]:
    look = look_at_book(book, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25).risk
    return list(lines_of(look, what_if=None, second_opinion=None, problems=()))


def test_for_a_person_rows_in_doubt_are_named_so():
    book = portfolio(VERTICAL, holding("MSFT", 10.0))
    lines = printed(book, beside({"AAPL261218C00185000": -1}))

    assert [line.split("  ")[0].strip() for line in lines if "(quantity in doubt)" in line] == [
        "AAPL (quantity in doubt)",
        "book (quantity in doubt)",
        *(line for line in lines if " of SPY: beta-weighted delta" in line or line.startswith("natural")),
    ]
    assert len([line for line in lines if line.endswith("(quantity in doubt)")]) == 2
    assert any(
        line.startswith("alarm: By the account's quantities the greatest loss is undefined") for line in lines
    )


def test_a_loss_without_an_end_hides_none_that_is_not_known():
    """Each is named with its reason, for a person, in the object and on the page, and is a problem."""
    gift = position("MSFT", 400, "put", cost_basis=None, identity="gift")
    book = portfolio(gift, position("AAPL", 180, contracts=-1, identity="naked"))
    live = snapshot_with(*QUOTES)
    said = "MSFT: its greatest loss is not known: what was paid is not known of gift."
    look = look_at_book(book, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25).risk

    assert told_of(book, live)["book"]["max_loss_state"] == "undefined"
    assert said in look.alarms
    assert said in could_not_judge(look)
    assert f"alarm: {said}" in printed(book, live)
    assert not any("its greatest loss is not known: " in one for one in could_not_judge(look) if one != said)


def test_the_loss_of_each_underlying_that_is_not_known_has_its_reason_in_print():
    """What was paid for two names at once is of neither; the book's loss is a number all the same."""
    pair = structure(leg("long", 180, "put"), leg("short", 400, "put", symbol="MSFT"), net_debit=10.0)
    book = portfolio(pair)
    live = snapshot_with(*QUOTES)
    look = look_at_book(book, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25).risk
    problems = could_not_judge(look)

    assert told_of(book, live)["book"]["max_loss_state"] == "number"
    for name in ("AAPL", "MSFT"):
        why = "part of it was paid together with what is on another underlying"
        said = f"{name}: its greatest loss is not known: {why}."
        assert said in problems
        assert f"not judged: {said}" in list(
            lines_of(look, what_if=None, second_opinion=None, problems=problems)
        )


def test_what_closing_now_would_bring_names_what_it_is_not_known_of():
    book = portfolio(VERTICAL, holding("MSFT", 10.0, cost_basis=None))
    (natural,) = [line for line in printed(book, snapshot_with(*QUOTES)) if line.startswith("natural")]

    assert natural.startswith("natural –: ")
    assert natural.endswith("; a price, a cost or a multiplier is not known of MSFT-shares")


def test_a_loss_that_counts_with_interest_says_so():
    legs = (
        leg("short", 6_900.0, "put"),
        leg("long", 6_900.0, "put", expiry=date(2027, 1, 15)),
    )
    book = portfolio(structure(*legs, symbol="SPXW", net_debit=3_000.0))
    told = told_of(book, snapshot_with())["book"]

    assert told["max_loss_given"] == "at interest up to 10 % a year"
    assert 8_000 < told["max_loss"] < 9_000
    assert any("(at interest up to 10 % a year)" in line for line in printed(book, snapshot_with()))


def test_a_loss_that_shares_can_make_greater_later_says_until_when_it_holds():
    shares = holding(shares=100, cost_basis=105.0)
    insured = portfolio(shares, position("AAPL", 100.0, "put", contracts=1, cost_basis=1.0))
    naked = portfolio(shares)
    live = snapshot_with(quote("AAPL", 104.9, 105.1))

    for row in (told_of(insured, live)["book"], told_of(insured, live)["underlyings"][0]):
        assert (row["max_loss"], row["max_loss_until"]) == (600.0, "2026-12-18")
        assert row["max_loss_by_account_until"] is None
    assert told_of(naked, live)["book"]["max_loss_until"] is None
    assert sum("600.00 (until 18 Dec 26)" in line for line in printed(insured, live)) == 2


def test_what_wins_at_every_price_has_no_loss():
    book = portfolio(VERTICAL.model_copy(update={"net_debit": -50.0}))

    assert "no loss: at least +50.00" in "\n".join(printed(book, snapshot_with(*QUOTES)))


FRIDAY = date(2026, 11, 20)


def test_a_bound_and_what_is_no_rate_are_told_in_rows_and_keys():
    """A calendar whose near leg ends today, and a put for which nobody bids."""
    book = portfolio(
        position("SPY", 500, contracts=-1, expiry=FRIDAY, identity="near"),
        position("SPY", 500, contracts=1, identity="far"),
        position("SPY", 400, "put", contracts=1, identity="worthless"),
    )
    live = snapshot_with(
        quote("SPY", 499.9, 500.1),
        quote("SPY261120C00500000", 1.9, 2.1),
        quote("SPY261218C00500000", 9.9, 10.1),
        quote("SPY261218P00400000", 0.0, 0.05),
    )
    told, lines = told_of(book, live), printed(book, live)
    (spy,) = told["underlyings"]

    assert told["book"]["beta_weighted_legs"] == {"known": 2, "bound": 1, "of": 3}
    low, high = told["book"]["delta_beta_weighted_between"]
    assert low < high
    said = (
        f"3 of 3 lines, of which 1 bound: SPY 18 Dec 26 400 P, so it lies between {low:,.2f} and {high:,.2f}"
    )
    assert any(line.endswith(said) for line in lines)
    assert told["book"]["dollars_per_percent_between"] == pytest.approx([500 * low / 100, 500 * high / 100])
    for row in (spy, told["book"]):
        assert row["theta_per_day"] < 0 < row["theta_time_value_left"]
        assert row["theta_per_day"] + row["theta_time_value_left"] == pytest.approx(row["theta"])
    assert (
        sum(f"(of which {spy['theta_time_value_left']:.2f} time value left)" in line for line in lines) == 2
    )


def test_a_price_that_options_imply_is_told_with_its_source_in_row_and_keys():
    book = portfolio(position("SPXW", 6_000), position(identity="share"))
    live = snapshot_with(*index_chain(6_000, strikes=range(5_900, 6_101, 50)), quote("AAPL", 179.9, 180.1))
    told, lines = told_of(book, live), printed(book, live)
    spx, aapl = told["underlyings"]

    for row, source in ((spx, "from options: parity forward, discounted"), (aapl, "its own quote or trade")):
        (leg,) = [one for one in told["legs"] if one["underlying"] == row["symbol"]]
        assert row["spot_source"] == leg["spot_source"] == source
    assert (spx["spot_expiry"], aapl["spot_expiry"]) == ("2026-12-18", None)
    assert f"{price_text(spx['spot'])} (from options)" in next(
        line for line in lines if line.startswith("SPX")
    )
    assert "(from options)" not in next(line for line in lines if line.startswith("AAPL"))
    assert any(line.startswith("note: SPX has the price that its options imply") for line in lines)


def test_what_is_all_a_rate_is_said_without_parts():
    book = portfolio(position("SPY", 500, contracts=1))
    live = snapshot_with(quote("SPY", 499.9, 500.1), quote("SPY261218C00500000", 9.9, 10.1))
    told = told_of(book, live)

    assert (told["book"]["theta_per_day"], told["book"]["theta_time_value_left"]) == (
        told["book"]["theta"],
        None,
    )
    assert not any("time value left" in line for line in printed(book, live))


def test_a_what_if_is_said_to_be_a_change_between_two_worths():
    book = portfolio(position("SPY", 500, contracts=1, cost_basis=5.0))
    live = snapshot_with(quote("SPY", 499.9, 500.1), quote("SPY261218C00500000", 9.9, 10.1))
    look = look_at_book(book, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25).risk
    what_if = WhatIf(days=40)
    there = curve(look.scenario, np.ones(1), what_if)
    lines = list(
        lines_of(look, what_if=Elsewhere(what_if, there, {"SPY": there}), second_opinion=None, problems=())
    )

    said = "a change of -1,000.00, from 1,000.00 to 0.00 (0 of 1 leg by the model)"
    assert f"with 40 days later: {said}" in lines
    assert f"  SPY: {said}" in lines
