"""A symbol of the portfolio becomes the symbol that Alpaca really has."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import (
    contract_symbol,
    is_index,
    option_root,
    pair_without_slash,
    to_alpaca_symbol,
    to_alpaca_symbols,
    to_news_symbol,
    to_repo_symbol,
    underlying_symbol,
)
from options_helper.model.contract_symbols import parse_contract_symbol


@pytest.mark.parametrize("written", ["BRK-B", "BRK.B", "BRK/B", "brk-b", " BRK.B "])
def test_a_class_share_has_a_dot_at_alpaca_and_a_dash_here(written: str):
    assert to_alpaca_symbol(written) == "BRK.B"
    assert to_repo_symbol(written) == "BRK-B"


@pytest.mark.parametrize("written", ["BTC/USD", "btc/usd", " Btc/Usd "])
def test_a_coin_is_the_same_pair_in_every_spelling_of_ours_and_alpacas(written: str):
    spelled = (to_alpaca_symbol, to_repo_symbol, underlying_symbol)

    assert {spell(written) for spell in spelled} == {"BTC/USD"}
    assert to_alpaca_symbols([written]) == ("BTC/USD",)
    assert to_news_symbol(written) == "BTCUSD"


@pytest.mark.parametrize(
    ("written", "pair"),
    [
        ("BTCUSD", "BTC/USD"),
        ("btc-usd", "BTC/USD"),
        ("SHIB.USDT", "SHIB/USDT"),
        *dict.fromkeys(["BTC/USD", "USD", "BRK-B", "BAC-PRL", "FUSD", "TSLA", "384CVR015"]).items(),
    ],
)
def test_a_coin_without_its_slash_is_known_and_a_share_is_none(written: str, pair: str | None):
    assert pair_without_slash(written) == pair


@given(st.from_regex(r"[A-Z]{1,4}(-[A-Z])?", fullmatch=True))
def test_our_spelling_survives_the_way_to_alpaca_and_back(symbol: str):
    assert to_repo_symbol(to_alpaca_symbol(symbol)) == symbol


def test_an_option_root_has_neither_dot_nor_dash():
    assert option_root("BRK.B") == option_root("BRK-B") == "BRKB"
    assert contract_symbol("BRK-B", date(2027, 3, 19), "call", 510) == "BRKB270319C00510000"


def test_a_contract_symbol_can_be_read_back():
    contract = parse_contract_symbol(contract_symbol("SPY", date(2026, 11, 20), "put", 681.5))

    assert (contract.underlying, contract.expiry, contract.option_type, contract.strike) == (
        "SPY",
        date(2026, 11, 20),
        "put",
        681.5,
    )


@pytest.mark.parametrize(
    ("symbol", "underlying"),
    [
        ("AAPL", "AAPL"),
        ("BRK-B", "BRK.B"),
        ("AAPL1", "AAPL"),
        ("BRKB1", "BRK.B"),
        ("SPXW", "SPX"),
        ("PBRA", "PBRA"),
    ],
)
def test_the_stock_behind_a_position_is_found(symbol: str, underlying: str):
    assert underlying_symbol(symbol) == underlying


def test_an_index_is_no_stock():
    assert is_index("SPXW")
    assert is_index("NDX")
    assert not is_index("SPY")


def test_symbols_of_a_stream_are_in_alpaca_s_spelling_each_once_and_none_empty():
    asked = ["bf-b", "NVDA", " nvda ", "", "  ", "BRK/B", "BF.B", "*"]
    assert to_alpaca_symbols(asked) == ("BF.B", "NVDA", "BRK.B", "*")


def test_contracts_of_a_stream_are_written_without_padding():
    asked = ["aapl  261218c00180000", "AAPL261218C00180000", "SPXW  261218P05000000"]
    assert to_alpaca_symbols(asked) == ("AAPL261218C00180000", "SPXW261218P05000000")


@pytest.mark.parametrize("wrong", ["NVDA", ["NVDA", None], [7]])
def test_what_is_no_list_of_texts_is_refused_with_a_sentence(wrong: Any):
    with pytest.raises(ConfigError, match="text"):
        to_alpaca_symbols(wrong)
