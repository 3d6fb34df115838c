"""The demo's book: made to show what the risk figures can say of a position, and what they cannot."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from options_helper.analysis.risk.implied_volatility import (
    ImpliedVolatility,
    OptionQuotes,
    VolatilityReason,
    VolatilityState,
    implied_volatility,
    usual_tick,
)
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms
from options_helper.commands.page_launcher import demo_portfolio
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_hours import settles_at
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import new_york_date, session_before
from options_helper.model.portfolio import MultiLegPosition, Portfolio, Position, ShareHolding, load_portfolio
from options_helper.simulator.market.conditions import DEMO_CONDITIONS
from options_helper.simulator.market.payouts import ex_dates
from options_helper.simulator.market.pricing import RATE
from options_helper.simulator.market.seeded import SeededMarket


@pytest.fixture(scope="module")
def book() -> Portfolio:
    return load_portfolio(demo_portfolio())


@pytest.fixture(scope="module")
def market(book: Portfolio) -> SeededMarket:
    return SeededMarket(book, conditions=DEMO_CONDITIONS)


def bid_and_ask(market: SeededMarket, symbol: str) -> tuple[float, float]:
    today = new_york_date(utc_datetime(market.start_ns))
    last_session = session_before(today)
    assert last_session is not None
    quote = market.snapshot(symbol, market.start_ns, last_session).quote
    assert quote is not None
    return quote["bp"], quote["ap"]


def volatility_of(market: SeededMarket, entry: Position) -> ImpliedVolatility:
    """Of a leg on a share that pays nothing in its life."""
    one = entry.instrument
    assert one.expiry is not None
    ends = settles_at(one.live_symbol, one.expiry)
    assert ends is not None
    years = (ends - utc_datetime(market.start_ns)) / timedelta(days=365)
    bid, ask = (np.array([side]) for side in bid_and_ask(market, one.live_symbol))
    spot = np.array([sum(bid_and_ask(market, one.underlying)) / 2])
    mid = (bid + ask) / 2
    return implied_volatility(
        Terms(
            np.array([one.strike], dtype=float),
            np.array([one.option_type == "call"]),
            np.array([True]),
            np.array([years]),
        ),
        Market(spot, np.array([RATE]), np.zeros(1), CashDividends.none(1)),
        OptionQuotes(bid, ask, mid, usual_tick(mid)),
    )


def named(book: Portfolio, identity: str) -> Position:
    (entry,) = (one for one in book.positions if one.id == identity)
    assert isinstance(entry, Position)
    return entry


def test_one_contract_expires_today(book: Portfolio, market: SeededMarket):
    today = new_york_date(utc_datetime(market.start_ns))

    assert [one.symbol for one in book.instruments if one.expiry == today] == ["SPY"]


def test_a_covered_call_is_one_session_before_its_ex_date(book: Portfolio, market: SeededMarket):
    today = new_york_date(utc_datetime(market.start_ns))
    call, shares = (
        named(book, "msft-covered-call"),
        next(one for one in book.positions if isinstance(one, ShareHolding)),
    )
    (ex_date,) = ex_dates("MSFT", today, call.instrument.expiry or today)

    assert (call.contracts, shares.symbol, shares.shares) == (-1, "MSFT", 100)
    assert session_before(ex_date) == today


def test_one_leg_is_at_intrinsic_value_and_bounds_its_delta(book: Portfolio, market: SeededMarket):
    found = volatility_of(market, named(book, "brk-put"))

    assert found.reason[0] == VolatilityReason.AT_INTRINSIC
    assert found.delta_bound[0] == -1


def test_one_wide_leg_has_no_volatility(book: Portfolio, market: SeededMarket):
    found = volatility_of(market, named(book, "brk-call"))

    assert found.state[0] == VolatilityState.NOT_IDENTIFIABLE
    assert found.reason[0] == VolatilityReason.NO_BID


def test_other_legs_have_one(book: Portfolio, market: SeededMarket):
    assert volatility_of(market, named(book, "aapl-call")).state[0] == VolatilityState.OK


def test_one_structure_is_a_spread_on_an_index_that_trades_at_no_price_of_its_own(
    book: Portfolio, market: SeededMarket
):
    (spread,) = (
        one
        for one in book.positions
        if isinstance(one, MultiLegPosition) and is_index(one.instruments[0].underlying)
    )
    credits_of = [bid_and_ask(market, one.live_symbol) for one in spread.instruments]

    assert len(spread.instruments) == 2
    assert credits_of[0] > credits_of[1]
    assert market.snapshot("SPX", market.start_ns, new_york_date(utc_datetime(market.start_ns))).quote is None


def test_the_book_looks_lived_with(book: Portfolio, market: SeededMarket):
    for entry in book.positions:
        if isinstance(entry, Position):
            bid, ask = bid_and_ask(market, entry.instrument.live_symbol)
            assert 0.4 < (bid + ask) / 2 / float(entry.cost_basis or 0) < 2.0, entry.id
