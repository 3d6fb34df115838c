"""A structure cannot be worth more than its greatest payoff, nor less than its least, whatever its quotes come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.live_health import book_caveats, headline
from options_helper.analysis.live_portfolio_metrics import (
    compute_live_multileg_rows,
    compute_live_position_rows,
    compute_live_totals,
)
from options_helper.analysis.payoffs import believable_range, payoff_bounds, undefined_risks
from options_helper.analysis.totals import LiveTotals
from options_helper.model.portfolio import Leg, MultiLegPosition, Portfolio, ShareLeg
from options_helper.model.snapshot import LiveSnapshot
from tests.analysis.test_day_pnl import account, at
from tests.kit.builders import (
    AAPL_CALL,
    holding,
    leg,
    portfolio,
    position,
    quote,
    share_leg,
    snapshot_with,
    structure,
)

C180, C185 = AAPL_CALL, "AAPL261218C00185000"
TODAY, LATER = date(2026, 11, 20), date(2027, 1, 15)
VERTICAL = structure(net_debit=300.0)


def totals(book: Portfolio, live: LiveSnapshot) -> LiveTotals:
    rows = compute_live_position_rows(book, live, stale_after_seconds=30)
    structures, legs = compute_live_multileg_rows(book, live, stale_after_seconds=30)
    return compute_live_totals(book, live, rows, structures, legs)


@pytest.mark.parametrize(
    ("legs", "bounds"),
    [
        ((leg("long", 180), leg("short", 185)), (0, 500)),
        ((leg("short", 180), leg("long", 185)), (-500, 0)),
        ((leg("long", 170, "put"), leg("short", 175, "put"), leg("short", 180), leg("long", 185)), (-500, 0)),
        ((leg("long", 180), leg("short", 185, contracts=2), leg("long", 190)), (0, 500)),
        ((leg("short", 180),), (-inf, 0)),
        ((leg("short", 180, "put"),), (-18_000, 0)),
        ((leg("long", 180), leg("short", 185, contracts=2)), (-inf, 500)),
        ((share_leg(), leg("short", 180)), (0, 18_000)),
        ((share_leg(), leg("long", 170, "put"), leg("short", 180)), (17_000, 18_000)),
        ((leg("long", 180), leg("short", 180, "put")), (-18_000, inf)),
    ],
    ids=["debit", "credit", "condor", "butterfly", "call", "put", "ratio", "covered", "collar", "synthetic"],
)
def test_the_least_and_the_greatest_that_it_is_worth_at_expiry(
    legs: tuple[Leg | ShareLeg, ...], bounds: tuple[float, float]
):
    assert payoff_bounds(structure(*legs).lines) == bounds


@given(
    st.lists(st.tuples(st.sampled_from(("call", "put")), st.integers(1, 40), st.integers(-3, 3)), min_size=1),
    st.integers(0, 60),
)
def test_no_price_at_expiry_leads_beyond_the_bounds(terms: list[tuple[str, int, int]], price: int):
    legs = [
        leg("long" if many > 0 else "short", strike, "call" if kind == "call" else "put", contracts=abs(many))
        for kind, strike, many in terms
        if many
    ]
    if not legs:
        return
    least, greatest = payoff_bounds(structure(*legs).lines)
    value = sum(
        100
        * one.signed_contracts
        * max(price - one.strike if one.option_type == "call" else one.strike - price, 0)
        for one in legs
    )

    assert least <= value <= greatest


class TestMaxProfitBeyondThePayoff:
    """Seen elsewhere: 680 dollars made on a spread five wide that cost 300, from a leg quoted 10 × 24."""

    LIVE = snapshot_with(quote(C180, 10.0, 24.0), quote(C185, 7.0, 7.4))

    def test_a_net_mark_beyond_the_width_is_not_believed_and_said(self):
        structures, legs = compute_live_multileg_rows(portfolio(VERTICAL), self.LIVE, stale_after_seconds=30)
        total = totals(portfolio(VERTICAL), self.LIVE)

        assert structures[["net_mark", "net_pnl_abs", "net_pnl_pct"]].isna().all(axis=None)
        assert structures["grade"].tolist() == ["not believed"]
        assert "impossible_mark" in structures["warnings"].iloc[0]
        assert legs["mark"].tolist() == [17.0, 7.2]
        assert (total.pnl.counted, total.pnl.of) == (0, 1)
        assert (
            "1 structure quoted beyond what it can be worth"
            in headline(self.LIVE, caveats=book_caveats(total)).sentence
        )

    def test_what_closing_would_fetch_stays(self):
        assert totals(portfolio(VERTICAL), self.LIVE).at_natural.total == pytest.approx(260)

    def test_today_is_not_measured_by_such_a_mark_either(self):
        known = account({C180: 1, C185: -1}, closes={C180: 8.0, C185: 5.0})
        total = totals(portfolio(VERTICAL), replace(self.LIVE, account=known))

        assert total.day.counted == 0
        assert any("cannot be worth what they come to" in reason for reason in total.day_reasons)

    def test_one_a_little_beyond_it_is_an_error_of_middles(self):
        live = snapshot_with(quote(C180, 12.0, 12.4), quote(C185, 6.9, 7.1))

        assert totals(portfolio(VERTICAL), live).market_value == pytest.approx(520)


@pytest.mark.parametrize(
    "entry",
    [
        structure(leg("short", 180), leg("long", 180, expiry=LATER)),  # what is left of the back nobody knows
        structure(symbol="AAPL1", multiplier=100),
        structure(leg("long", 180), leg("short", 185, symbol="MSFT")),
    ],
    ids=["calendar", "adjusted", "two names"],
)
def test_where_no_payoff_says_what_is_possible_everything_is(entry: MultiLegPosition):
    assert believable_range(entry.lines, TODAY) == (-inf, inf)


def test_what_is_paid_for_certain_is_worth_less_until_then():
    box = structure(
        leg("long", 180, expiry=date(2027, 11, 19)),
        leg("short", 185, expiry=date(2027, 11, 19)),
        leg("short", 180, "put", expiry=date(2027, 11, 19)),
        leg("long", 185, "put", expiry=date(2027, 11, 19)),
    )
    least, greatest = believable_range(box.lines, TODAY)

    assert payoff_bounds(box.lines) == (500, 500)
    assert 440 < least < 460
    assert greatest == pytest.approx(505)


@pytest.mark.parametrize(
    ("book", "ids"),
    [
        (portfolio(position(contracts=-1, identity="naked")), ("naked",)),
        (portfolio(position(contracts=-1), holding("AAPL", 100)), ()),
        (portfolio(position(contracts=-2, identity="half"), holding("AAPL", 100)), ("half",)),
        (portfolio(position(contracts=-1, option_type="put")), ()),
        (portfolio(position(contracts=-1), position(strike=200)), ()),
        # The long ends before the short does.
        (portfolio(position(contracts=-1, expiry=LATER, identity="late"), position(strike=200)), ("late",)),
        (portfolio(holding("MSFT", -10)), ("MSFT-shares",)),
        (
            portfolio(structure(leg("long", 180), leg("short", 185, contracts=2), identity="ratio")),
            ("ratio",),
        ),
        (portfolio(VERTICAL, structure(share_leg(), leg("short", 180), identity="covered")), ()),
    ],
)
def test_a_loss_without_end_is_counted_by_position(book: Portfolio, ids: tuple[str, ...]):
    assert undefined_risks(book) == ids
    assert totals(book, snapshot_with()).undefined_risks == ids


def test_a_contract_that_has_ended_is_no_risk():
    assert undefined_risks(portfolio(position(contracts=-1)), ended={C180}) == ()


def test_a_priced_vertical_within_its_width_says_nothing():
    live = snapshot_with(at(C180, 3.0), at(C185, 1.0))

    assert totals(portfolio(VERTICAL), live).not_believed == ()
