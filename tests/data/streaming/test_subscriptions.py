"""A plan subscribes to what the portfolio needs, once, and says what it left out."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from options_helper.data.streaming.subscriptions import SubscriptionPlan, build_subscription_plan
from options_helper.errors import ConfigError
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.portfolio import Portfolio, load_portfolio
from tests.kit.builders import holding, leg, portfolio, position, share_leg, structure


def plan_of(
    book: Portfolio, *, limit: int = 250, stream_stocks: bool = True, stream_options: bool = True
) -> SubscriptionPlan:
    return build_subscription_plan(
        book, stream_stocks=stream_stocks, stream_options=stream_options, max_option_contracts=limit
    )


BOOK = portfolio(
    position("AAPL", 180, identity="single"),
    structure(leg("long", 180), leg("short", 185), symbol="AAPL"),
    holding("BRK-B"),
    position("BRK-B", 510, "put"),
)


def test_underlyings_and_contracts_come_once_and_in_portfolio_order():
    plan = plan_of(BOOK)

    assert plan.stocks == ("AAPL", "BRK.B")
    assert plan.option_contracts == ("AAPL261218C00180000", "AAPL261218C00185000", "BRKB261218P00510000")
    assert (plan.warnings, plan.truncated, plan.truncated_count) == ((), False, 0)


def test_the_limit_keeps_the_first_contracts_and_says_what_is_left_out():
    plan = plan_of(BOOK, limit=1)

    assert plan.option_contracts == ("AAPL261218C00180000",)
    assert (plan.truncated, plan.truncated_count) == (True, 2)
    assert plan.warnings == (
        "2 of 3 option contracts are not subscribed (limit 1): AAPL 18 Dec 26 185 C, BRK-B 18 Dec 26 510 P.",
    )


def test_a_long_list_of_left_out_contracts_is_cut():
    plan = plan_of(portfolio(*(position("AAPL", strike) for strike in range(100, 110))), limit=0)

    assert plan.option_contracts == ()
    assert plan.warnings[0].endswith("AAPL 18 Dec 26 104 C and 5 more.")


def test_a_stream_that_is_off_asks_for_nothing():
    assert plan_of(BOOK, stream_stocks=False).stocks == ()
    assert plan_of(BOOK, stream_options=False).option_contracts == ()
    assert not plan_of(BOOK, stream_options=False, limit=0).truncated


def test_an_adjusted_contract_keeps_its_root_and_asks_for_the_stock_behind_it():
    plan = plan_of(portfolio(position("AAPL1", 180)))

    assert plan.stocks == ("AAPL",)
    assert plan.option_contracts == ("AAPL1261218C00180000",)


def test_an_index_is_not_asked_of_the_stock_feed():
    plan = plan_of(portfolio(position("SPXW", 2700), position("AAPL", 180)))

    assert plan.stocks == ("AAPL",)
    assert plan.option_contracts == ("SPXW261218C02700000", "AAPL261218C00180000")
    assert plan.warnings == ("SPX is an index: the stock feeds carry no price for it.",)


def test_a_negative_limit_is_a_mistake():
    with pytest.raises(ConfigError, match="limit is -1"):
        plan_of(BOOK, limit=-1)


def test_the_sample_subscribes_to_everything_it_holds(repository: Path):
    plan = plan_of(load_portfolio(repository / "portfolio.json"))

    assert plan.stocks == ("SPY", "AAPL", "MSFT", "NVDA", "BRK.B")
    assert len(plan.option_contracts) == 14
    assert plan.warnings == ()


def test_a_month_of_spy_contracts_is_planned_as_opra_lists_them(real_data: Path):
    text = gzip.decompress((real_data / "spy_osi_symbols_2023-08.txt.gz").read_bytes()).decode()
    symbols = text.split()
    contracts = [parse_contract_symbol(symbol) for symbol in symbols]
    book = portfolio(
        *(
            position("SPY", contract.strike, contract.option_type, expiry=contract.expiry)
            for contract in contracts
        )
    )

    plan = plan_of(book, limit=13_000)

    assert plan.option_contracts == tuple(symbols[:13_000])
    assert plan.truncated_count == 492


def test_every_leg_is_subscribed_under_its_own_symbol():
    book = portfolio(
        structure(share_leg(), leg("short", 200), symbol="BRK-B"),
        structure(share_leg(symbol="KO"), share_leg("short", symbol="PEP"), symbol="KO", identity="pair"),
        structure(leg("long", 6800), leg("short", 680, symbol="SPY"), symbol="SPXW", identity="mixed"),
        holding("384CVR015"),
        holding("BAC-PRL"),
    )

    plan = plan_of(book)

    assert plan.stocks == ("BRK.B", "KO", "PEP", "SPY", "384CVR015", "BAC.PRL")
    assert plan.option_contracts == ("BRKB261218C00200000", "SPXW261218C06800000", "SPY261218C00680000")
    assert plan.warnings == ("SPX is an index: the stock feeds carry no price for it.",)


def test_coins_have_a_stream_of_their_own_and_go_with_the_shares():
    book = portfolio(holding("AAPL"), holding("BTC/USD", 0.5))

    assert (plan_of(book).stocks, plan_of(book).crypto) == (("AAPL",), ("BTC/USD",))
    assert plan_of(book, stream_stocks=False).crypto == ()
