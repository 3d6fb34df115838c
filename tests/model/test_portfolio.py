"""A portfolio file is read whole and exactly, or refused with one sentence that says where to look."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from options_helper.errors import ConfigError
from options_helper.model.portfolio import (
    Leg,
    MultiLegPosition,
    Portfolio,
    Position,
    ShareHolding,
    load_portfolio,
    parse_portfolio,
)
from tests.kit.builders import leg, structure

VALID: dict[str, Any] = {
    "base_currency": "USD",
    "cash": 1000.5,
    "positions": [
        {
            "id": "call",
            "symbol": "AAPL",
            "option_type": "call",
            "expiry": "2026-12-18",
            "strike": 172.5,
            "contracts": -2,
            "cost_basis": 3.15,
            "opened_at": "2026-11-02",
        },
        {
            "id": "vertical",
            "symbol": "SPY",
            "net_debit": -120,
            "legs": [
                {"side": "long", "option_type": "put", "expiry": "2026-12-18", "strike": 640, "contracts": 2},
                {
                    "side": "short",
                    "option_type": "put",
                    "expiry": "2026-12-18",
                    "strike": 650,
                    "contracts": 2,
                },
            ],
        },
        {"id": "shares", "symbol": "BRK-B", "shares": 12.5, "cost_basis": 480},
    ],
}


def valid() -> dict[str, Any]:
    return copy.deepcopy(VALID)


def refusal(content: Any) -> str:
    """The sentence a file with this content is refused with."""
    with pytest.raises(ConfigError) as refused:
        parse_portfolio(json.dumps(content), "portfolio.json")
    return str(refused.value)


def refusal_after(change: Callable[[list[dict[str, Any]]], object]) -> str:
    content = valid()
    change(content["positions"])
    return refusal(content)


def test_singles_structures_and_shares_are_read_in_order():
    portfolio = parse_portfolio(json.dumps(VALID), "portfolio.json")

    call, vertical, shares = portfolio.positions
    assert isinstance(call, Position)
    assert isinstance(vertical, MultiLegPosition)
    assert isinstance(shares, ShareHolding)
    assert portfolio.singles == (call,)
    assert portfolio.structures == (vertical,)
    assert portfolio.shares == (shares,)
    assert (call.expiry, call.strike, call.contracts, call.cost_basis) == (
        date(2026, 12, 18),
        172.5,
        -2,
        3.15,
    )
    assert [leg.signed_contracts for leg in vertical.legs] == [2, -2]
    assert (portfolio.cash, shares.shares) == (1000.5, 12.5)


def test_what_is_not_known_is_none():
    content = valid()
    del content["cash"], content["positions"][0]["cost_basis"], content["positions"][0]["opened_at"]
    portfolio = parse_portfolio(json.dumps(content), "portfolio.json")

    assert portfolio.cash is None
    assert portfolio.singles[0].cost_basis is None
    assert portfolio.singles[0].opened_at is None


def test_a_portfolio_cannot_be_changed():
    portfolio = parse_portfolio(json.dumps(VALID), "portfolio.json")

    with pytest.raises(ValidationError):
        setattr(portfolio.singles[0], "contracts", 5)  # noqa: B010 - mypy forbids the plain assignment too


def test_an_empty_portfolio_is_a_portfolio():
    assert parse_portfolio('{"positions": []}', "portfolio.json").positions == ()


def test_a_file_saved_by_a_windows_editor_is_read():
    data = b"\xef\xbb\xbf" + json.dumps(VALID).replace("\n", "\r\n").encode()

    assert len(parse_portfolio(data, "portfolio.json").positions) == 3


def test_the_symbol_stays_as_written_and_its_instrument_is_alpacas():
    content = valid()
    content["positions"][0]["symbol"] = "BRK-B"
    single = parse_portfolio(json.dumps(content), "portfolio.json").singles[0]

    assert single.symbol == "BRK-B"
    assert single.instrument.live_symbol == "BRKB261218C00172500"
    assert single.instrument.label == "BRK-B 18 Dec 26 172.5 C"
    assert single.instrument.underlying == "BRK.B"


def test_shares_are_in_an_instrument_without_terms():
    (shares,) = parse_portfolio(json.dumps(VALID), "portfolio.json").shares

    assert (shares.instrument.live_symbol, shares.instrument.label) == ("BRK.B", "BRK-B shares")
    assert not shares.instrument.is_option


@pytest.mark.parametrize(
    ("legs", "words"),
    [
        (
            [leg("long", 640, "put"), leg("short", 655, "put"), leg("short", 705), leg("long", 720)],
            "SPY 18 Dec 26 640P/655P/705C/720C",
        ),
        (
            [leg("short", 172.5), leg("long", 172.5, expiry=date(2027, 1, 15))],
            "SPY 18 Dec 26 172.5C/15 Jan 27 172.5C",
        ),
    ],
)
def test_a_structure_is_said_in_one_line(legs: list[Leg], words: str):
    assert structure(*legs, symbol="SPY").label == words


def test_an_adjusted_contract_has_no_multiplier_until_it_is_given():
    content = valid()
    content["positions"][0]["symbol"] = "AAPL1"
    unknown = parse_portfolio(json.dumps(content), "portfolio.json").singles[0].instrument
    content["positions"][0]["multiplier"] = 10
    given = parse_portfolio(json.dumps(content), "portfolio.json").singles[0].instrument

    assert (unknown.adjusted, unknown.multiplier) == (True, None)
    assert (given.adjusted, given.multiplier) == (True, 10)


def test_an_ordinary_contract_has_a_multiplier_of_100():
    portfolio = parse_portfolio(json.dumps(VALID), "portfolio.json")

    assert [instrument.multiplier for instrument in portfolio.instruments] == [100, 100, 100, 1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda positions: positions[0].update(contracts=0),
            "portfolio.json, position 'call', contracts: must not be 0 (negative is short), found 0.",
        ),
        (
            lambda positions: positions[0].update(contracts="2"),
            "portfolio.json, position 'call', contracts: must be a valid integer, found '2'.",
        ),
        (
            lambda positions: positions[0].update(contracts=1.5),
            "portfolio.json, position 'call', contracts: must be a valid integer, found 1.5.",
        ),
        (
            lambda positions: positions[0].update(strike=180.0005),
            "portfolio.json, position 'call', strike: must be 0.001 to 99999.999 in steps of 0.001, found 180.0005.",
        ),
        (
            lambda positions: positions[0].update(strike=-180),
            "portfolio.json, position 'call', strike: must be 0.001 to 99999.999 in steps of 0.001, found -180.",
        ),
        (
            lambda positions: positions[0].update(cost_basis=-1),
            "portfolio.json, position 'call', cost_basis: must be 0 or more, found -1.",
        ),
        (
            lambda positions: positions[0].update(symbol="aapl"),
            (
                "portfolio.json, position 'call', symbol: "
                "must be a symbol in capitals such as AAPL or BRK-B, found 'aapl'."
            ),
        ),
        (
            lambda positions: positions[0].update(option_type="C"),
            "portfolio.json, position 'call', option_type: must be 'call' or 'put', found 'C'.",
        ),
        (
            lambda positions: positions[0].update(strik=1),
            (
                "portfolio.json, position 'call', strik: is no known field; known are id, symbol, option_type, "
                "expiry, strike, contracts, cost_basis, opened_at, multiplier."
            ),
        ),
        (
            lambda positions: positions[0].pop("expiry"),
            "portfolio.json, position 'call', expiry: is missing.",
        ),
        (lambda positions: positions[0].pop("id"), "portfolio.json, position 1, id: is missing."),
        (
            lambda positions: positions[1].update(legs=[]),
            "portfolio.json, position 'vertical', legs: must have at least one entry.",
        ),
        (
            lambda positions: positions[1]["legs"][1].update(side="sell"),
            "portfolio.json, position 'vertical', leg 2, side: must be 'long' or 'short', found 'sell'.",
        ),
        (
            lambda positions: positions[1]["legs"][0].update(contracts=-2),
            "portfolio.json, position 'vertical', leg 1, contracts: must be greater than 0, found -2.",
        ),
        (
            lambda positions: positions[1]["legs"][0].update(ratio=1),
            (
                "portfolio.json, position 'vertical', leg 1, ratio: is no known field; known are side, option_type, "
                "expiry, strike, contracts."
            ),
        ),
        (
            lambda positions: positions[2].update(shares=0),
            "portfolio.json, position 'shares', shares: must not be 0 (negative is short), found 0.",
        ),
        (
            lambda positions: positions.insert(0, 3),
            "portfolio.json, position 1: must be an option, a structure with legs, or shares, found 3.",
        ),
        (
            lambda positions: positions[2].update(id="call"),
            "portfolio.json: positions 1 and 3 have the same id 'call'; each needs its own.",
        ),
        (
            lambda positions: positions[0].update(contracts=0, strike=0),
            (
                "portfolio.json, position 'call', strike: must be 0.001 to 99999.999 in steps of 0.001, found 0 "
                "(1 more after this one)."
            ),
        ),
    ],
)
def test_a_wrong_position_is_refused_with_file_position_and_field(
    change: Callable[[list[dict[str, Any]]], object], sentence: str
):
    assert refusal_after(change) == sentence


@pytest.mark.parametrize(
    "expiry", ["2026-02-30", "18/12/2026", 20261218, "1999-12-17", "2026-12-18T00:00:01"]
)
def test_an_expiry_is_a_real_date_of_this_century(expiry: object):
    assert refusal_after(lambda positions: positions[0].update(expiry=expiry)).startswith(
        "portfolio.json, position 'call', expiry: must "
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "portfolio.json: must be an object in braces."),
        ({}, "portfolio.json, positions: is missing."),
        (valid() | {"base_currency": "EUR"}, "portfolio.json, base_currency: must be 'USD', found 'EUR'."),
        (
            valid() | {"as_of": "1999-12-31"},
            "portfolio.json, as_of: must lie between the years 2000 and 2099, found '1999-12-31'.",
        ),
        (
            valid() | {"as_of": "20 Nov 2026"},
            (
                "portfolio.json, as_of: must be a valid date in the format YYYY-MM-DD, "
                "invalid character in year, found '20 Nov 2026'."
            ),
        ),
        (
            valid() | {"as_of": 20261120},
            "portfolio.json, as_of: must be a valid date, found 20261120.",
        ),
        (
            valid() | {"currency": "USD"},
            "portfolio.json, currency: is no known field; known are base_currency, as_of, cash, positions.",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_field(content: object, sentence: str):
    assert refusal(content) == sentence


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "portfolio.json is not valid JSON at line 1, column 1: Expecting value."),
        (
            b'{"positions": [\n  {"id": "call";}\n]}',
            "portfolio.json is not valid JSON at line 2, column 16: ",
        ),
        (b"\xff\xfe{}", "portfolio.json is not UTF-8 text (byte 0); save it as UTF-8."),
        (b'{"cash": NaN, "positions": []}', "portfolio.json is not valid JSON: NaN is no number."),
        (b'{"cash": 1e999, "positions": []}', "portfolio.json, cash: must be a finite number, found inf."),
        (
            b'{"positions": [{"id": "call", "contracts": 1, "contracts": 2}]}',
            "portfolio.json is not valid JSON: the key 'contracts' stands twice in one object (id 'call').",
        ),
        (b"[" * 100_000, "portfolio.json is not valid JSON: "),
    ],
)
def test_a_broken_file_is_refused_with_the_place(data: bytes, sentence: str):
    with pytest.raises(ConfigError) as refused:
        parse_portfolio(data, "portfolio.json")

    assert str(refused.value).startswith(sentence)


def test_a_missing_file_is_named_without_its_folder(tmp_path: Path):
    with pytest.raises(ConfigError) as refused:
        load_portfolio(tmp_path / "mine.json")

    assert str(refused.value).startswith("mine.json cannot be read: no such file")
    assert str(tmp_path) not in str(refused.value)


class TestSample:
    """The sample shows every kind of position that the page can show."""

    @pytest.fixture
    def sample(self, repository: Path) -> Portfolio:
        return load_portfolio(repository / "portfolio.json")

    def test_it_has_singles_structures_shares_and_a_class_share(self, sample: Portfolio):
        assert any(single.contracts < 0 and single.option_type == "put" for single in sample.singles)
        assert sorted({len(structure.legs) for structure in sample.structures}) == [2, 4]
        assert any(single.symbol == "BRK-B" for single in sample.singles)

    def test_it_has_a_covered_call(self, sample: Portfolio):
        covered = {
            single.symbol
            for single in sample.singles
            if single.contracts < 0 and single.option_type == "call"
        }

        assert covered & {shares.symbol for shares in sample.shares if shares.shares >= 100}

    def test_its_first_expiry_is_a_trading_day_of_its_own(self, sample: Portfolio):
        expiries = sorted({instrument.expiry for instrument in sample.instruments if instrument.expiry})

        assert expiries[0] == date(2026, 11, 20)
        assert len(expiries) > 1
