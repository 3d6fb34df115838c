"""Counts, symbols, prices and lists are said in one way everywhere."""

from __future__ import annotations

from decimal import Decimal

import pytest

from options_helper.model.text import count_words, held_in_words, in_words, named, price_words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 viewers"), (1, "1 viewer"), (2, "2 viewers"), (1_204, "1,204 viewers")]
)
def test_one_viewer_is_not_viewers(count: int, words: str):
    assert count_words(count, "viewer") == words


def test_a_long_list_says_how_many_more_there_are():
    assert named(["A", "B"], 2) == "A, B"
    assert named(["A", "B", "C", "D"], 2) == "A, B and 2 more"


def test_a_contract_is_said_as_a_trader_says_it_and_any_other_symbol_as_it_is():
    assert in_words("AAPL261218C00180000") == "AAPL 18 Dec 26 180 C"
    assert in_words("BRK.B") == "BRK.B"
    assert (held_in_words("AAPL261218C00180000"), held_in_words("BRK.B")) == (
        "AAPL 18 Dec 26 180 C",
        "BRK.B shares",
    )


@pytest.mark.parametrize(
    ("price", "words"), [("1234.5", "1,234.50"), ("3", "3.00"), ("0.0125", "0.0125"), ("2.400", "2.400")]
)
def test_a_price_keeps_its_cents_and_what_it_has_beyond(price: str, words: str):
    assert price_words(Decimal(price)) == words
