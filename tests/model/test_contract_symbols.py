"""Contract symbols are read and written without losing a mill, a root or a date."""

from __future__ import annotations

import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.errors import SymbolError
from options_helper.model.contract_symbols import (
    OptionType,
    ParsedContract,
    format_contract,
    format_osi,
    format_osi_compact,
    parse_contract_symbol,
    strike_mills,
    underlying_of_root,
)

ROOTS = st.from_regex(r"[A-Z]{1,5}[0-9]?", fullmatch=True)
EXPIRIES = st.dates(date(2000, 1, 1), date(2099, 12, 31))
MILLS = st.integers(1, 99_999_999)
OPTION_TYPES: st.SearchStrategy[OptionType] = st.sampled_from(("call", "put"))


def test_a_compact_symbol_is_taken_apart():
    assert parse_contract_symbol("AAPL260320C00172500") == ParsedContract(
        underlying="AAPL",
        underlying_norm="AAPL",
        expiry=date(2026, 3, 20),
        option_type="call",
        strike=172.5,
    )


def test_padding_and_case_do_not_matter():
    padded = parse_contract_symbol("F     271217P00012500")

    assert padded == parse_contract_symbol(" f271217p00012500 ")
    assert format_osi(padded) == "F     271217P00012500"
    assert len(format_osi(padded)) == 21


@given(ROOTS, EXPIRIES, OPTION_TYPES, MILLS)
def test_every_contract_survives_writing_and_reading(
    root: str, expiry: date, option_type: OptionType, mills: int
):
    contract = ParsedContract(root, underlying_of_root(root), expiry, option_type, mills / 1000)

    assert parse_contract_symbol(format_osi_compact(contract)) == contract
    assert parse_contract_symbol(format_osi(contract)) == contract


@given(MILLS)
def test_a_strike_is_exact_to_the_mill(mills: int):
    assert strike_mills(mills / 1000) == mills
    assert strike_mills(Decimal(mills) / 1000) == mills


def test_every_spy_symbol_of_a_month_round_trips(real_data: Path):
    text = gzip.decompress((real_data / "spy_osi_symbols_2023-08.txt.gz").read_bytes()).decode()
    symbols = text.split()

    assert len(symbols) == 13_492
    changed = [symbol for symbol in symbols if format_osi_compact(parse_contract_symbol(symbol)) != symbol]
    assert changed == []


@pytest.mark.parametrize(
    ("symbol", "underlying"),
    [("AAPL1260320C00180000", "AAPL"), ("2SPX 260320P05000000", "SPX")],
)
def test_a_root_with_a_digit_is_an_adjusted_contract(symbol: str, underlying: str):
    contract = parse_contract_symbol(symbol)

    assert contract.adjusted
    assert contract.underlying_norm == underlying


def test_an_ordinary_contract_is_not_adjusted():
    assert not parse_contract_symbol("AAPL260320C00180000").adjusted


@pytest.mark.parametrize(
    ("symbol", "root", "underlying"),
    [
        ("BRKB270319C00510000", "BRKB", "BRK-B"),
        ("BRK.B270319C00510000", "BRKB", "BRK-B"),
        ("SPXW180105C02700000", "SPXW", "SPX"),
    ],
)
def test_roots_lead_to_what_they_are_written_on(symbol: str, root: str, underlying: str):
    contract = parse_contract_symbol(symbol)

    assert (contract.underlying, contract.underlying_norm) == (root, underlying)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAPL",
        "AAPL260320X00180000",
        "AAPL261320C00180000",
        "AAPL260230C00180000",
        "AAPL260320C0018000",
        "TOOLONG260320C00180000",
        "260320C00180000",
        "AAPL260320C00000000",
        "AAPL٢٦٠٣٢٠C00180000",
        "AAPL260320C00180000 and more",
    ],
)
def test_other_text_is_refused_with_a_sentence(text: str):
    with pytest.raises(SymbolError, match=r"is no option contract symbol.*\."):
        parse_contract_symbol(text)


@pytest.mark.parametrize("strike", [0, -5, 1.0001, 100_000, float("nan"), float("inf")])
def test_a_strike_that_the_symbol_cannot_hold_is_refused(strike: float):
    with pytest.raises(SymbolError, match="is no strike"):
        strike_mills(strike)


def test_a_year_that_the_symbol_cannot_hold_is_refused():
    contract = ParsedContract("AAPL", "AAPL", date(1999, 12, 17), "call", 100.0)

    with pytest.raises(SymbolError, match="2000 to 2099"):
        format_osi(contract)


@pytest.mark.parametrize(
    ("strike", "words"),
    [(180.0, "AAPL 20 Mar 26 180 C"), (172.5, "AAPL 20 Mar 26 172.5 C"), (0.125, "AAPL 20 Mar 26 0.125 C")],
)
def test_a_contract_is_said_in_words(strike: float, words: str):
    assert format_contract("AAPL", date(2026, 3, 20), "call", strike) == words
