"""Counts, symbols, prices and lists are said in one way everywhere."""

from __future__ import annotations

from decimal import Decimal

import pytest

from options_helper.model.text import format_count, format_holding, format_price, format_symbol, named


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 viewers"), (1, "1 viewer"), (2, "2 viewers"), (1_204, "1,204 viewers")]
)
def test_one_viewer_is_not_viewers(count: int, words: str):
    assert format_count(count, "viewer") == words


def test_a_long_list_says_how_many_more_there_are():
    assert named(["A", "B"], 2) == "A, B"
    assert named(["A", "B", "C", "D"], 2) == "A, B and 2 more"


def test_a_contract_is_said_as_a_trader_says_it_and_any_other_symbol_as_it_is():
    assert format_symbol("AAPL261218C00180000") == "AAPL 18 Dec 26 180 C"
    assert format_symbol("BRK.B") == "BRK.B"
    assert (format_holding("AAPL261218C00180000"), format_holding("BRK.B")) == (
        "AAPL 18 Dec 26 180 C",
        "BRK.B shares",
    )


@pytest.mark.parametrize(
    ("price", "words"), [("1234.5", "1,234.50"), ("3", "3.00"), ("0.0125", "0.0125"), ("2.400", "2.400")]
)
def test_a_price_keeps_its_cents_and_what_it_has_beyond(price: str, words: str):
    assert format_price(Decimal(price)) == words
