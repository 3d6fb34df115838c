"""Counts, symbols, prices and lists are said in one way everywhere."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from options_helper.model.contract_symbols import plain_number
from options_helper.model.text import (
    figure_text,
    format_count,
    format_holding,
    format_price,
    format_symbol,
    named,
    price_text,
)


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


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (1234.5, "1,234.50"),
        (7.05, "7.05"),
        (7.375, "7.375"),
        (0.25, "0.25"),
        (0.3456, "0.3456"),
        (0.1534, "0.1534"),
        (0.0000125, "0.0000125"),
        (0.00001234567, "0.00001235"),
        (0.0, "0.00"),
        (680.4 - 680.3 - 0.1, "0.00"),
        (-0.0125, "−0.0125"),
    ],
)
def test_a_price_has_cents_and_below_a_dollar_four_figures(price: float, words: str):
    assert price_text(price) == words


@given(st.floats(1e-8, 1e7))
def test_no_price_reads_as_another_one(price: float):
    """To half a cent above a dollar, to half of its fourth figure below."""
    read = float(price_text(price).replace(",", ""))

    assert read == pytest.approx(price, rel=0.0006, abs=0 if price < 1 else 0.0051)
    assert read > 0


@given(
    (st.floats(-1e4, 1e4) | st.floats(-1, -0.99) | st.floats(0.99, 1)).filter(
        lambda value: abs(value) > 1e-8
    ),
    st.integers(0, 2),
    st.integers(1, 2),
)
@example(0.96, 0, 1)
@example(-0.999, 0, 2)
def test_no_figure_that_is_not_0_reads_as_0_or_ends_in_a_point(value: float, least: int, figures: int):
    text = figure_text(value, least, figures, sign="+").replace("−", "-").replace(",", "")

    rel = 0.6 / 10 ** (figures - 1)
    assert float(text) == pytest.approx(value, rel=rel, abs=0 if abs(value) < 1 else 0.51)
    assert text[0] == ("-" if value < 0 else "+")
    assert text[-1].isdigit()


@pytest.mark.parametrize(
    ("quantity", "words"), [(0.00004, "0.00004"), (0.125, "0.125"), (100.0, "100"), (0.0, "0")]
)
def test_a_quantity_that_is_not_0_is_not_said_as_0(quantity: float, words: str):
    assert plain_number(quantity) == words
