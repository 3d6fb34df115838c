"""Several accounts as one: nothing is netted, nothing that lacks counts as 0, and no account covers another."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from options_helper.analysis.accounts_together import AccountLook, look_together, portfolio_together
from options_helper.analysis.attention.morning_after import EndedContract, EndedState
from options_helper.analysis.book_look import BookLook, look_at_book
from options_helper.analysis.live_health import book_caveats
from options_helper.analysis.risk.extremes import Limit
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.payoff_view import PayoffView, payoff_view, subjects
from options_helper.analysis.risk.scenario import curve
from options_helper.model.portfolio import Portfolio, PortfolioEntry, load_portfolio
from options_helper.model.snapshot import LiveSnapshot
from tests.kit.builders import AAPL_CALL, AS_OF, holding, portfolio, position, quote, snapshot_with
from tests.portal import scenes

THRESHOLDS = {"stale_after_seconds": 30, "wide_spread_pct": 25}
CALL_SOLD = position(contracts=-1, cost_basis=4.0, identity="call")
SHARES = holding(shares=100, cost_basis=170.0)
PRICES = snapshot_with(quote("AAPL", 181.0, 181.1), quote(AAPL_CALL, 5.0, 5.1))
SAMPLE = load_portfolio(scenes.SAMPLE)


def part(account: str, *entries: PortfolioEntry, live: LiveSnapshot = PRICES) -> AccountLook:
    return of_book(account, portfolio(*entries), live)


def of_book(account: str, book: Portfolio, live: LiveSnapshot) -> AccountLook:
    return AccountLook(account, book, look_at_book(book, live, RiskChoices(), **THRESHOLDS))


def test_the_same_contract_in_two_accounts_is_two_rows_with_one_price_and_is_never_netted():
    both = look_together(
        [
            part("main", position(contracts=2, identity="one")),
            part("ira", position(contracts=-2, identity="one")),
        ]
    )

    assert both.positions["id"] == ["main/one", "ira/one"]
    assert both.positions["account"] == ["main", "ira"]
    assert both.positions.values("quantity") == [2, -2]
    assert both.positions.values("mark") == [pytest.approx(5.05)] * 2
    assert both.positions.identities == ("main/one", "ira/one")
    assert set(both.positions.frame()["account"]) == {"main", "ira"}


def test_each_sum_is_that_of_its_parts():
    parts = [part("main", SHARES, position(identity="one")), part("ira", CALL_SOLD)]

    both = look_together(parts)

    for name in ("pnl", "pnl_natural", "at_mark", "at_natural", "opened_for"):
        amounts = [getattr(one.look.totals, name) for one in parts]
        total = getattr(both.totals, name)
        assert total.known == pytest.approx(sum(one.known for one in amounts)), name
        assert (total.counted, total.of) == (3, 3)
    assert both.risk.sums.delta_dollars.amount == pytest.approx(
        sum(one.look.risk.sums.delta_dollars.amount or 0.0 for one in parts)
    )
    (aapl,) = both.risk.underlyings
    assert aapl.sums.delta.amount == pytest.approx(
        sum(one.look.risk.underlyings[0].sums.delta.amount or 0.0 for one in parts)
    )
    assert aapl.unrealized == pytest.approx(both.totals.pnl_abs)
    assert both.risk.profits.book_unrealized == pytest.approx(both.totals.pnl_abs)


def test_a_call_sold_in_one_account_is_not_covered_by_the_shares_of_another():
    one_book = part("main", SHARES, CALL_SOLD).look
    assert one_book.risk.max_loss.limit is Limit.NUMBER, "in one account it is a covered call"

    apart = look_together([part("main", SHARES), part("ira", CALL_SOLD)])

    assert apart.risk.max_loss.limit is Limit.UNDEFINED
    assert apart.risk.max_loss.reason.startswith("ira: AAPL: calls on 100 shares are sold")
    assert apart.totals.undefined_risks == ("ira/call",)
    (aapl,) = apart.risk.underlyings
    assert aapl.worst is not None
    assert aapl.worst.limit is Limit.UNDEFINED


def test_the_worst_of_all_is_the_sum_of_each_accounts_worst_though_no_price_brings_both():
    parts = [
        part("main", position(identity="call", cost_basis=3.0)),
        part("ira", position(option_type="put", identity="put", cost_basis=2.0)),
    ]

    both = look_together(parts)

    assert [one.look.risk.max_loss.amount for one in parts] == [Decimal(-300), Decimal(-200)]
    assert both.risk.max_loss.amount == Decimal(-500)
    (aapl,) = both.risk.underlyings
    assert aapl.worst is not None
    assert aapl.worst.amount == Decimal(-500)


def test_the_drawn_payoff_is_all_of_it_at_one_price_and_says_whose_limits_it_names():
    both = look_together(
        [part("main", SHARES, position(identity="one")), part("ira", position(contracts=-1, identity="one"))]
    )

    view = payoff_view(both.risk, subjects(both.risk)[0])

    assert isinstance(view, PayoffView)
    held = view.subject.held
    assert held.accounts == 2
    assert held.payoff is not None
    # One call is held and one is sold, so at the end only the shares are worth anything.
    worth = [held.payoff.at(Decimal(price)) for price in (100, 300)]
    assert worth == [Decimal(10_000), Decimal(30_000)]
    assert view.worst.limit is Limit.UNDEFINED
    assert any("covers nothing in another" in note for note in view.notes)


def test_an_account_of_which_nothing_is_known_makes_no_sum_whole():
    both = look_together([part("main", SHARES)], unread=["ira"])

    totals = both.totals
    for name in ("pnl", "day", "at_mark", "at_natural", "opened_for"):
        tally = getattr(totals, name)
        assert tally.total is None, name
        assert tally.of == tally.counted + 1 or name == "day"
    assert totals.liquidation_value is None
    assert totals.pnl.known == pytest.approx(part("main", SHARES).look.totals.pnl.known)
    assert totals.holdings.caveat.startswith("WITHOUT ira: what it holds is not known")
    assert "without what the account ira holds, which is not known" in book_caveats(totals)
    assert both.risk.max_loss.limit is Limit.UNKNOWN
    assert both.risk.max_loss.reason == "ira: what it holds is not known"
    assert not both.risk.sums.delta_dollars.is_whole
    assert not both.risk.beta_weighted.complete
    assert both.risk.profits.book_unrealized is None


def test_what_one_account_lacks_lacks_in_the_sum_and_is_named_after_it():
    without_price = part("ira", position("MSFT", identity="no price"))

    both = look_together([part("main", SHARES), without_price])

    assert (both.totals.pnl.counted, both.totals.pnl.of) == (1, 2)
    assert both.totals.pnl.total is None
    (unrealized,) = (one.unrealized for one in both.risk.underlyings if one.symbol == "MSFT")
    assert unrealized is None


def test_undefined_weighs_more_than_an_account_that_is_not_known():
    both = look_together([part("main", CALL_SOLD)], unread=["ira"])

    assert both.risk.max_loss.limit is Limit.UNDEFINED


def test_today_and_quantities_are_compared_account_by_account():
    live = scenes.live()
    known = replace(live, account=scenes.known_account(SAMPLE))
    parts = [of_book("main", SAMPLE, known), of_book("ira", SAMPLE, live)]
    assert parts[0].look.totals.day.counted
    assert not parts[1].look.totals.day.counted

    both = look_together(parts)

    day = both.totals.day
    assert day.known == parts[0].look.totals.day.known
    assert (day.counted, day.of) == (
        parts[0].look.totals.day.counted,
        parts[0].look.totals.day.of + parts[1].look.totals.day.of,
    )
    assert all(reason.startswith("ira: ") for reason in both.totals.day_reasons)


def test_an_older_reading_of_one_account_stands_at_each_sum_with_the_accounts_name():
    first, second = part("main", SHARES), part("ira", SHARES)
    old = replace(
        second.look.totals,
        holdings=replace(second.look.totals.holdings, unanswered="it could not be read", is_account=True),
    )

    both = look_together([first, replace(second, look=_with_totals(second.look, old))])

    assert (
        "of ira of an older reading of the account (it could not be read since)"
        in both.totals.holdings.caveat
    )


def _with_totals(look: BookLook, totals) -> BookLook:
    return BookLook(look.positions, look.structures, look.legs, totals, look.risk, look.attention)


def test_cash_is_a_sum_where_each_account_says_it_and_else_in_no_figure():
    known, unknown = portfolio(SHARES, cash=100.0), portfolio(SHARES)

    assert portfolio_together([("main", known), ("ira", known)]).cash == 200.0
    assert portfolio_together([("main", known), ("ira", unknown)]).cash is None
    both = look_together([of_book("main", known, PRICES), of_book("ira", unknown, PRICES)])
    assert both.totals.cash is None


def test_the_whole_sample_twice_is_twice_the_sample():
    """Structures, legs, expiries, dividends and curves: each line stands beside the other account's."""
    live = scenes.live()
    alone = of_book("main", SAMPLE, live).look

    both = look_together([of_book("main", SAMPLE, live), of_book("ira", SAMPLE, live)])

    assert both.totals.pnl.known == pytest.approx(2 * alone.totals.pnl.known)
    assert len(both.legs) == 2 * len(alone.legs)
    assert [line.position_id for line in both.risk.lines] == [
        f"{account}/{line.position_id}" for account in ("main", "ira") for line in alone.risk.lines
    ]
    assert both.risk.sums_by_expiry.keys() == alone.risk.sums_by_expiry.keys()
    for day, sums in both.risk.sums_by_expiry.items():
        one = alone.risk.sums_by_expiry[day].vega
        if one.amount is not None:
            assert sums.vega.amount == pytest.approx(2 * one.amount)
    factors = np.array([0.9, 1.0, 1.1])
    assert curve(both.risk.scenario, factors).worth == pytest.approx(
        2 * curve(alone.risk.scenario, factors).worth
    )
    for underlying in alone.risk.underlyings:
        of_name = both.risk.scenario_of(underlying.symbol)
        assert len(of_name.labels) == 2 * len(alone.risk.scenario_of(underlying.symbol).labels)
    assert both.risk.alarms == alone.risk.alarms, "what is said of each account is said once"


def test_what_needs_a_hand_in_one_account_alone_has_its_name():
    live = scenes.live()
    alone = of_book("main", SAMPLE, live).look.attention
    assert alone.entries
    assert alone.cockpit

    one = look_together([of_book("main", SAMPLE, live), part("ira", SHARES, live=live)]).attention
    both = look_together([of_book("main", SAMPLE, live), of_book("ira", SAMPLE, live)]).attention

    assert {entry.subject for entry in one.entries if entry.symbols} <= {
        f"{entry.subject} (main)" for entry in alone.entries
    } | {entry.subject for entry in alone.entries}
    assert [entry.subject for entry in both.entries] == [entry.subject for entry in alone.entries]
    assert [line.label for line in one.cockpit] == [f"{line.label} (main)" for line in alone.cockpit]
    assert one.buying_power is None


def test_what_became_of_what_ended_is_as_old_as_the_account_that_was_asked_longest_ago():
    """Of those in which something ended; where one of them was not asked, no age is told."""

    def asked(account: str, at: datetime | None) -> AccountLook:
        one = part(account, SHARES)
        ended = EndedContract("AAPL", "AAPL", EndedState.AWAITED, "Nothing is told.", AS_OF, 1.0)
        attention = replace(one.look.attention, morning_after=(ended,), activities_at=at)
        return replace(one, look=replace(one.look, attention=attention))

    def told(*parts: AccountLook) -> datetime | None:
        return look_together(parts).attention.activities_at

    earlier = AS_OF - timedelta(hours=3)
    nothing_ended = part("roth", SHARES)
    assert told(asked("main", earlier), asked("ira", AS_OF), nothing_ended) == earlier
    assert told(asked("main", None), asked("ira", AS_OF)) is None
    assert told(nothing_ended, part("ira", SHARES)) is None
