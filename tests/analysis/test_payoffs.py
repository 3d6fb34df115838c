"""A structure cannot be worth more than its greatest payoff, nor less than its least, whatever its quotes come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from math import exp, inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.live_health import book_caveats, headline
from options_helper.analysis.live_portfolio_metrics import (
    compute_live_multileg_rows,
)
from options_helper.analysis.payoffs import believable_range, payoff_bounds, undefined_risks
from options_helper.model.portfolio import Leg, MultiLegPosition, Portfolio, ShareLeg, Side
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
from tests.kit.tables import totals_of

AM_PM_DAY = date(2026, 11, 20)  # a third Friday: SPX is settled at its open, SPXW at its close
C180, C185 = AAPL_CALL, "AAPL261218C00185000"
TODAY, LATER = date(2026, 11, 20), date(2027, 1, 15)
VERTICAL = structure(net_debit=300.0)


def put(side: Side, strike: float, **more: Any) -> Leg:
    return leg(side, strike, "put", **more)


def index_call(side: Side, root: str, strike: float = 6_900, expiry: date = AM_PM_DAY) -> Leg:
    return leg(side, strike, expiry=expiry, symbol=root)


def bounds(*legs: Leg | ShareLeg, **more: Any) -> tuple[Decimal | None, Decimal | None]:
    found = payoff_bounds(structure(*legs, **more).lines)
    return found.least, found.most


@pytest.mark.parametrize(
    ("legs", "least", "most"),
    [
        ((leg("long", 180), leg("short", 185)), 0, 500),
        ((leg("short", 180), leg("long", 185)), -500, 0),
        ((put("long", 640, contracts=2), put("short", 655, contracts=2)), -3_000, 0),
        ((put("long", 170), put("short", 175), leg("short", 180), leg("long", 185)), -500, 0),
        ((put("long", 640), put("short", 655), leg("short", 705), leg("long", 720)), -1_500, 0),
        ((leg("long", 180), leg("short", 185, contracts=2), leg("long", 190)), 0, 500),
        ((leg("long", 180), leg("short", 185), put("long", 185), put("short", 180)), 500, 500),
        ((leg("short", 180),), None, 0),
        ((put("short", 180),), -18_000, 0),
        ((leg("long", 180), put("long", 180)), 0, None),
        ((leg("short", 180), put("short", 180)), None, 0),
        ((leg("long", 180), leg("short", 185, contracts=2)), None, 500),
        ((share_leg(), leg("short", 180)), 0, 18_000),
        ((share_leg(), put("long", 170), leg("short", 180)), 17_000, 18_000),
        ((leg("long", 180), put("short", 180)), -18_000, None),
        # A calendar that was bought is worth no less than nothing, and nobody knows how much at most.
        ((leg("short", 180), leg("long", 180, expiry=LATER)), 0, None),
        ((leg("long", 180), leg("short", 180, expiry=LATER)), None, 0),
        ((leg("long", 180), put("short", 180, expiry=LATER)), None, None),
    ],
    ids=[
        "debit", "credit", "put credit", "narrow condor", "condor", "butterfly", "box", "call", "put", "straddle",
        "short straddle", "ratio", "covered", "collar", "synthetic", "calendar", "short calendar", "two expiries",
    ],
)  # fmt: skip
def test_the_bounds_are_those_of_the_payoff(
    legs: tuple[Leg | ShareLeg, ...], least: int | None, most: int | None
):
    assert bounds(*legs) == (least, most)


def test_what_is_all_settled_at_the_open_has_the_bounds_of_its_payoff():
    legs = (index_call("long", "SPX"), index_call("short", "SPX", 6_950))

    assert bounds(*legs, symbol="SPX") == (Decimal(0), Decimal(5_000))


def test_a_calendar_of_two_settlements_is_a_calendar():
    later = index_call("long", "SPXW", expiry=LATER)

    least, most = bounds(index_call("short", "SPX"), later, symbol="SPX")

    # What the index pays until the later one ends is lost on the price, as nobody can exercise it before.
    assert least == pytest.approx(Decimal(-100 * 6_900) * Decimal("0.05") * 57 / 365)
    assert most is None


SIDES_OF_A_CALENDAR: tuple[tuple[Side, Side], ...] = (("short", "long"), ("long", "short"))


def test_a_european_calendar_of_puts_may_be_worth_less_than_nothing_by_the_interest():
    """And whoever sold it may win that. At 4 % a year 8000 P is worth 134 less than exercising it would bring."""
    held, sold = (
        payoff_bounds(
            structure(
                put(near, 8_000, expiry=LATER), put(far, 8_000, expiry=date(2027, 6, 17)), symbol="SPX"
            ).lines
        )
        for near, far in SIDES_OF_A_CALENDAR
    )
    interest = 800_000 * (1 - exp(-0.1 * 154 / 365))

    assert float(held.least or 0) == pytest.approx(-interest)
    assert float(sold.most or 0) == pytest.approx(interest)
    assert (held.most, sold.least) == (None, None)


def test_of_options_on_a_price_of_each_expiry_nothing_is_known_of_two_of_them():
    """VIX: that of one day is written on another future than that of the next."""
    legs = (leg("short", 20, expiry=date(2026, 12, 16)), leg("long", 20, expiry=date(2027, 1, 20)))

    assert bounds(*legs, symbol="VIX") == (None, None)
    assert bounds(legs[0], leg("long", 22, expiry=date(2026, 12, 16)), symbol="VIX") == (
        Decimal(-200),
        Decimal(0),
    )


def test_shares_never_end():
    found = payoff_bounds((*holding(shares=100).lines, *structure(leg("short", 180)).lines))

    assert (found.least, found.most) == (Decimal(0), Decimal(18_000))


@pytest.mark.parametrize(
    ("legs", "more"),
    [
        ((), {"symbol": "AAPL1"}),  # nobody knows its size
        ((), {"symbol": "AAPL1", "multiplier": 100}),  # nor, with its size known, what is delivered
        ((leg("long", 180), leg("short", 185, symbol="MSFT")), {}),
        ((index_call("long", "SPX"), index_call("short", "SPXW")), {"symbol": "SPX"}),
        ((index_call("short", "SPX"), index_call("long", "SPXW")), {"symbol": "SPX"}),
        ((put("short", 180, settlement="am"), put("long", 175, settlement="pm")), {}),
    ],
    ids=["size", "delivery", "two names", "open and close", "close and open", "named"],
)
def test_where_one_price_does_not_decide_nothing_is_known(legs: tuple[Leg, ...], more: dict[str, Any]):
    assert bounds(*legs, **more) == (None, None)


STRIKES = st.integers(1, 2_000).map(lambda half_dollars: half_dollars / 2)
SIDES = st.sampled_from(("long", "short"))
LEGS = st.builds(
    lambda side, strike, kind, contracts: leg(side, strike, kind, contracts=contracts),
    SIDES,
    STRIKES,
    st.sampled_from(("call", "put")),
    st.integers(1, 20),
)
SHARE_LEGS = st.builds(share_leg, SIDES, st.integers(1, 500).map(float))


def worth(one: Leg | ShareLeg, price: Decimal) -> Decimal:
    """What it is worth at its end, by the contract's own words."""
    sign = 1 if one.side == "long" else -1
    if isinstance(one, ShareLeg):
        return sign * Decimal(str(one.shares)) * price
    gain = price - Decimal(str(one.strike))
    return sign * 100 * one.contracts * max(gain if one.option_type == "call" else -gain, Decimal(0))


@given(
    st.lists(LEGS, min_size=1, max_size=5),
    st.lists(SHARE_LEGS, max_size=1),
    st.integers(0, 4_000).map(lambda half_dollars: Decimal(half_dollars) / 2),
)
def test_no_price_at_expiry_leads_beyond_the_bounds_and_some_price_to_each(
    legs: list[Leg], shares: list[ShareLeg], price: Decimal
):
    held = (*legs, *shares)
    least, most = bounds(*held)
    reached = {
        sum((worth(one, at_price) for one in held), Decimal(0))
        for at_price in (Decimal(0), *(Decimal(str(one.strike)) for one in legs))
    }

    value = sum((worth(one, price) for one in held), Decimal(0))
    assert least is None or least <= value
    assert most is None or value <= most
    assert {least, most} - {None} <= reached


@given(st.lists(LEGS, min_size=1, max_size=5), st.integers(0, 2_000))
def test_a_mark_that_its_payoff_can_come_to_is_believed(legs: list[Leg], price: int):
    least, most = believable_range(structure(*legs).lines, TODAY)

    assert least < sum((worth(one, Decimal(price)) for one in legs), Decimal(0)) < most


class TestMaxProfitBeyondThePayoff:
    """Seen elsewhere: 680 dollars made on a spread five wide that cost 300, from a leg quoted 10 × 24."""

    LIVE = snapshot_with(quote(C180, 10.0, 24.0), quote(C185, 7.0, 7.4))

    def test_a_net_mark_beyond_the_width_is_not_believed_and_said(self):
        structures, legs = compute_live_multileg_rows(portfolio(VERTICAL), self.LIVE, stale_after_seconds=30)
        total = totals_of(portfolio(VERTICAL), self.LIVE)

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
        assert totals_of(portfolio(VERTICAL), self.LIVE).at_natural.total == pytest.approx(260)

    def test_today_is_not_measured_by_such_a_mark_either(self):
        known = account({C180: 1, C185: -1}, closes={C180: 8.0, C185: 5.0})
        total = totals_of(portfolio(VERTICAL), replace(self.LIVE, account=known))

        assert total.day.counted == 0
        assert any("cannot be worth what they come to" in reason for reason in total.day_reasons)

    def test_one_a_little_beyond_it_is_an_error_of_middles(self):
        live = snapshot_with(quote(C180, 12.0, 12.4), quote(C185, 6.9, 7.1))

        assert totals_of(portfolio(VERTICAL), live).market_value == pytest.approx(520)


@pytest.mark.parametrize(
    "entry",
    [
        structure(leg("short", 180), leg("long", 180, expiry=LATER)),  # what is left of the back nobody knows
        structure(symbol="AAPL1", multiplier=100),
        structure(leg("long", 180), leg("short", 185, symbol="MSFT")),
        structure(index_call("long", "SPX"), index_call("short", "SPXW"), symbol="SPX"),
        structure(put("short", 40), put("long", 40, symbol="AAPL1", multiplier=100)),
    ],
    ids=["calendar", "adjusted", "two names", "open and close", "after a spin-off"],
)
def test_where_no_payoff_says_what_is_possible_everything_is(entry: MultiLegPosition):
    assert believable_range(entry.lines, TODAY) == (-inf, inf)


def test_what_is_paid_for_certain_is_worth_less_until_then():
    box = box_on("SPXW", date(2027, 11, 19))
    least, greatest = believable_range(box.lines, TODAY)

    assert bounds(*box.legs) == (Decimal(500), Decimal(500))
    assert 440 < least < 460
    assert greatest == pytest.approx(505)


def test_a_box_that_may_be_exercised_early_can_be_worth_more_than_its_width():
    """By the interest on a strike, and no leg quoted by ten dollars too much: 18 cents over it were not believed."""
    days = 28
    least, greatest = believable_range(box_on("AAPL", TODAY + timedelta(days=days)).lines, TODAY)
    interest = 185 * 100 * 0.1 * days / 365

    assert greatest == pytest.approx(500 + 5 + interest)
    assert least == pytest.approx(500 * (1 - 0.1 * days / 365) - 5 - interest)
    assert believable_range(box_on("AAPL", TODAY).lines, TODAY) == pytest.approx((495, 505))


def box_on(symbol: str, expiry: date) -> MultiLegPosition:
    """Five wide."""
    return structure(
        leg("long", 180, expiry=expiry),
        leg("short", 185, expiry=expiry),
        leg("short", 180, "put", expiry=expiry),
        leg("long", 185, "put", expiry=expiry),
        symbol=symbol,
    )


def index_spread(bought: str, sold: str) -> MultiLegPosition:
    legs = (index_call("long", bought, 6_900, LATER), index_call("short", sold, 6_950, LATER))
    return structure(*legs, symbol="SPX", identity=f"{bought}/{sold}")


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
        # It ends hours before: at the open of the day at whose close the short does.
        (portfolio(index_spread("SPX", "SPXW")), ("SPX/SPXW",)),
        (portfolio(index_spread("SPXW", "SPX")), ()),
        (portfolio(index_spread("SPX", "SPX")), ()),
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
    assert totals_of(book, snapshot_with()).undefined_risks == ids


def test_a_contract_that_has_ended_is_no_risk():
    assert undefined_risks(portfolio(position(contracts=-1)), ended={C180}) == ()


def test_a_priced_vertical_within_its_width_says_nothing():
    live = snapshot_with(at(C180, 3.0), at(C185, 1.0))

    assert totals_of(portfolio(VERTICAL), live).not_believed == ()
