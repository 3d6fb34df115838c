"""A portfolio file is read whole and exactly, or refused with one sentence that says where to look."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from options_helper.analysis.reconcile.account_import import entry_text
from options_helper.errors import ConfigError
from options_helper.model.portfolio import (
    ContractLot,
    Leg,
    MultiLegPosition,
    Portfolio,
    Position,
    ShareHolding,
    ShareLeg,
    load_portfolio,
    parse_portfolio,
)
from tests.kit.builders import holding, leg, lots_of, portfolio, position, share_leg, structure

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


def in_lots(entry: dict[str, Any], *lots: dict[str, Any]) -> None:
    del entry["cost_basis"], entry["opened_at"]
    entry["lots"] = list(lots)


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
    assert [leg.signed_contracts for leg in vertical.contract_legs] == [2, -2]
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
            (
                "portfolio.json, position 'call', contracts: must be a valid integer, found '2': write it without "
                "quotation marks."
            ),
        ),
        (
            lambda positions: positions[0].update(strike="200"),
            (
                "portfolio.json, position 'call', strike: must be a valid number, found '200': write it without "
                "quotation marks."
            ),
        ),
        (
            lambda positions: positions[0].update(strike="two hundred"),
            "portfolio.json, position 'call', strike: must be a valid number, found 'two hundred'.",
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
                "portfolio.json, position 'call', strik: is no known field; is strike meant? Known are id, symbol, "
                "option_type, expiry, strike, contracts, cost_basis, opened_at, lots, realized, fees, "
                "multiplier, settlement, delivery, exercise_style."
            ),
        ),
        (
            lambda positions: positions[1]["legs"][1].update(strke=positions[1]["legs"][1].pop("strike")),
            (
                "portfolio.json, position 'vertical', leg 2, strke: is no known field; is strike meant? Known are "
                "side, symbol, option_type, expiry, strike, contracts, cost_basis, multiplier, settlement, delivery, "
                "exercise_style (1 more after this one)."
            ),
        ),
        (
            lambda positions: positions[0].update(note=positions[0].pop("expiry")),
            "portfolio.json, position 'call', expiry: is missing (1 more after this one).",
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
                "portfolio.json, position 'vertical', leg 1, ratio: is no known field; known are side, symbol, "
                "option_type, expiry, strike, contracts, cost_basis, multiplier, settlement, delivery, "
                "exercise_style."
            ),
        ),
        (
            lambda positions: positions[1]["legs"].append({"side": "long", "shares": -100}),
            "portfolio.json, position 'vertical', leg 3, shares: must be greater than 0, found -100.",
        ),
        (
            lambda positions: positions[1]["legs"].append({"side": "long", "shares": 100, "strike": 640}),
            (
                "portfolio.json, position 'vertical', leg 3, strike: is no known field; known are side, symbol, "
                "shares, cost_basis."
            ),
        ),
        (
            lambda positions: positions[1]["legs"].append("100 shares"),
            (
                "portfolio.json, position 'vertical', leg 3: must be a contract or shares, in braces, "
                "found '100 shares'."
            ),
        ),
        (
            lambda positions: [one.update(cost_basis=1) for one in positions[1]["legs"]],
            (
                "portfolio.json, position 'vertical': net_debit is -120.00, but by their cost_basis the legs cost "
                "0.00; correct one of them, or leave net_debit away."
            ),
        ),
        (
            lambda positions: positions[1]["legs"][0].update(settlement="AM"),
            "portfolio.json, position 'vertical', leg 1, settlement: must be 'am' or 'pm', found 'AM'.",
        ),
        (
            lambda positions: positions[0].pop("contracts"),
            "portfolio.json, position 'call': names neither contracts nor lots; one of them is needed.",
        ),
        (
            lambda positions: positions[0].update(lots=[{"contracts": -2, "cost_basis": 3}]),
            "portfolio.json, position 'call': names cost_basis beside lots; each lot has its own.",
        ),
        (
            lambda positions: in_lots(positions[0], {"contracts": -3}),
            (
                "portfolio.json, position 'call': names -2 contracts, but its lots come to -3; correct one, "
                "or leave contracts away."
            ),
        ),
        (
            lambda positions: in_lots(positions[0], {"contracts": -3}, {"contracts": 1}),
            "portfolio.json, position 'call': has lots that are long and lots that are short; make two positions.",
        ),
        (
            lambda positions: in_lots(positions[0], {"contracts": -2, "price": 3}),
            (
                "portfolio.json, position 'call', lot 1, price: is no known field; known are contracts, cost_basis, "
                "opened_at."
            ),
        ),
        (
            lambda positions: positions[2].update(lots=[]),
            "portfolio.json, position 'shares', lots: must have at least one entry.",
        ),
        (
            lambda positions: positions[1].update(fees=-1),
            "portfolio.json, position 'vertical', fees: must be 0 or more, found -1.",
        ),
        (
            lambda positions: positions[0].update(contracts=10**19),
            (
                "portfolio.json, position 'call', contracts: must be less than or equal to 1000000, "
                "found 10000000000000000000."
            ),
        ),
        (
            lambda positions: positions[2].update(symbol="BTC-USD"),
            (
                "portfolio.json, position 'shares', symbol: must be a share's, or a coin's in dollars as in BTC/USD, "
                "found 'BTC-USD'."
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
            (
                "portfolio.json, currency: is no known field; is base_currency meant? Known are base_currency, as_of, "
                "account, cash, positions."
            ),
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


CONDOR_LEGS = [leg("long", 640, "put"), leg("short", 655, "put"), leg("short", 705), leg("long", 720)]
COVERED_CALL = structure(share_leg(), leg("short", 200), net_debit=24_300)


class TestWhatPeopleHold:
    """A file can say what a trader holds, whatever its shape."""

    def test_shares_are_a_leg_of_a_covered_call(self):
        content = valid()
        content["positions"] = [
            {
                "id": "covered",
                "symbol": "BRK-B",
                "net_debit": 47_320,
                "legs": [
                    {"side": "long", "shares": 100},
                    {
                        "side": "short",
                        "option_type": "call",
                        "expiry": "2026-12-18",
                        "strike": 510,
                        "contracts": 1,
                    },
                ],
            }
        ]
        (covered,) = parse_portfolio(json.dumps(content), "portfolio.json").structures

        shares, call = covered.lines
        assert isinstance(covered.legs[0], ShareLeg)
        assert (shares.instrument.live_symbol, shares.instrument.multiplier) == ("BRK.B", 1)
        assert call.instrument.live_symbol == "BRKB261218C00510000"
        assert [line.quantity for line in covered.lines] == [100, -1]
        assert (covered.label, covered.has_shares) == ("BRK-B shares/18 Dec 26 510C", True)
        assert covered.opening_cost == 47_320

    @pytest.mark.parametrize(
        ("entry", "cost"),
        [
            (COVERED_CALL, 24_300),
            (structure(*CONDOR_LEGS, net_debit=None), None),
            (structure(leg("long", 180, cost_basis=8.4), leg("short", 185), net_debit=None), None),
            (
                structure(
                    leg("long", 180, cost_basis=8.4), leg("short", 185, cost_basis=3.15), net_debit=None
                ),
                525,
            ),
            (structure(share_leg(cost_basis=250), leg("short", 200, cost_basis=7), net_debit=None), 24_300),
            (
                structure(share_leg(cost_basis=250), leg("short", 200, cost_basis=7), net_debit=24_300.4),
                24_300.4,
            ),
            (position(contracts=-2, cost_basis=3.15), -630),
            (position(cost_basis=None), None),
            (holding(shares=12.5, cost_basis=480), 6000),
        ],
    )
    def test_an_entry_knows_what_it_cost_if_the_file_says_so(
        self, entry: Position | MultiLegPosition | ShareHolding, cost: float | None
    ):
        assert entry.opening_cost == (None if cost is None else Decimal(str(cost)))

    def test_a_leg_may_have_a_symbol_and_a_multiplier_of_its_own(self):
        adjusted = structure(leg("long", 180, symbol="AAPL1", multiplier=150), leg("short", 180))
        of_two_roots = structure(leg("long", 6800), leg("short", 6800, symbol="SPXW"), symbol="SPX")
        pair = structure(share_leg(symbol="KO"), share_leg("short", 40.5, symbol="PEP"), symbol="KO")

        assert [(one.live_symbol, one.multiplier) for one in adjusted.instruments] == [
            ("AAPL1261218C00180000", 150),
            ("AAPL261218C00180000", 100),
        ]
        assert [one.underlying for one in of_two_roots.instruments] == ["SPX", "SPX"]
        assert of_two_roots.label == "SPX 18 Dec 26 6800C/SPXW 18 Dec 26 6800C"
        assert [(one.instrument.live_symbol, one.quantity) for one in pair.lines] == [
            ("KO", 100),
            ("PEP", Decimal("-40.5")),
        ]
        assert pair.label == "KO shares/PEP shares"

    def test_the_multiplier_of_a_structure_is_not_that_of_another_symbol_s_leg(self):
        mixed = structure(leg("long", 180), leg("short", 180, symbol="AAPL"), symbol="AAPL1", multiplier=10)

        assert [one.multiplier for one in mixed.instruments] == [10, 100]

    @pytest.mark.parametrize(
        ("symbol", "at_alpaca"),
        [
            ("BAC-PRL", "BAC.PRL"),
            ("BAC.PRL", "BAC.PRL"),
            ("ACHR-WS", "ACHR.WS"),
            ("ABC-WS-A", "ABC.WS.A"),
            ("SPAQ-U", "SPAQ.U"),
            ("384CVR015", "384CVR015"),
            ("912797MH0", "912797MH0"),
        ],
        ids=["preferred", "as Alpaca writes it", "warrant", "warrant of a class", "unit", "CVR", "bill"],
    )
    def test_preferreds_warrants_units_and_numbers_are_shares(self, symbol: str, at_alpaca: str):
        held = holding(symbol, 5)

        assert (held.instrument.live_symbol, held.instrument.underlying) == (at_alpaca, at_alpaca)

    def test_lots_add_up_to_contracts_and_to_an_average_cost(self):
        content = {
            "positions": [
                {
                    "id": "call",
                    "symbol": "AAPL",
                    "option_type": "call",
                    "expiry": "2026-12-18",
                    "strike": 180,
                    "lots": [
                        {"contracts": 1, "cost_basis": 8.4, "opened_at": "2026-10-02"},
                        {"contracts": 2, "cost_basis": 7.1},
                    ],
                },
                {
                    "id": "shares",
                    "symbol": "MSFT",
                    "lots": [{"shares": 12.5, "cost_basis": 480}, {"shares": 30}],
                },
            ]
        }
        call, shares = parse_portfolio(json.dumps(content), "portfolio.json").positions

        assert isinstance(call, Position)
        assert call.contracts == 3
        assert call.opening_cost == 2260
        assert call.lines[0].cost_basis == pytest.approx(Decimal("7.5333"), abs=Decimal("0.0001"))
        assert isinstance(shares, ShareHolding)
        assert (shares.shares, shares.opening_cost) == (42.5, None)

    def test_what_was_realized_and_paid_in_fees_is_carried_along(self):
        assert position(realized=120.5, fees=2.6).carried == Decimal("117.9")
        assert structure(realized=-80).carried == -80
        assert holding(fees=1).carried == -1
        assert holding().carried is None

    def test_a_changed_entry_is_checked_anew_and_keeps_nothing_that_was_worked_out(self):
        assert COVERED_CALL.label == "AAPL shares/18 Dec 26 200C"

        rolled = COVERED_CALL.changed(legs=(share_leg(), leg("short", 210)))

        assert (rolled.label, rolled.id) == ("AAPL shares/18 Dec 26 210C", COVERED_CALL.id)
        with pytest.raises(ValidationError):
            COVERED_CALL.changed(legs=())

    def test_a_copy_with_other_lots_holds_what_they_come_to_and_is_checked(self):
        """What pydantic's own copy kept was the quantity of the lots before."""
        lots = (ContractLot(contracts=2), ContractLot(contracts=1))
        held = Position(
            id="lots", symbol="AAPL", option_type="call", expiry=date(2026, 12, 18), strike=200, lots=lots
        )
        assert (held.contracts, held.lines[0].quantity) == (3, Decimal(3))

        fewer = held.model_copy(update={"lots": lots[:1]})

        assert (fewer.contracts, fewer.lines[0].quantity) == (2, Decimal(2))
        assert held.model_copy() == held
        with pytest.raises(ValidationError):
            held.model_copy(update={"lots": ()})


EXPIRIES = st.dates(date(2026, 1, 1), date(2030, 1, 1)).map(str)
PRICES = st.one_of(st.integers(0, 500), st.decimals(0, 500, places=2).map(float))
TERMS = st.fixed_dictionaries(
    {"option_type": st.sampled_from(["call", "put"]), "expiry": EXPIRIES, "strike": st.integers(1, 9000)}
)
OLD_LEGS = st.builds(
    lambda terms, side, contracts: {"side": side, **terms, "contracts": contracts},
    TERMS,
    st.sampled_from(["long", "short"]),
    st.integers(1, 99),
)
OLD_SYMBOLS = st.sampled_from(["AAPL", "BRK-B", "BRK.B", "SPXW", "AAPL1"])
OLD_OPTIONS = st.fixed_dictionaries({}, optional={"opened_at": EXPIRIES, "multiplier": st.integers(1, 1000)})
OLD_COSTS = st.fixed_dictionaries({}, optional={"cost_basis": PRICES})
OLD_ENTRIES = st.one_of(
    st.builds(
        lambda symbol, terms, count, cost, more: {
            "symbol": symbol,
            **terms,
            "contracts": count,
            **cost,
            **more,
        },
        OLD_SYMBOLS,
        TERMS,
        st.integers(-99, 99).filter(bool),
        OLD_COSTS,
        OLD_OPTIONS,
    ),
    st.builds(
        lambda symbol, debit, legs, more: {"symbol": symbol, "net_debit": debit, "legs": legs, **more},
        OLD_SYMBOLS,
        st.integers(-9000, 9000),
        st.lists(OLD_LEGS, min_size=1, max_size=4),
        OLD_OPTIONS,
    ),
    st.builds(
        lambda shares, cost: {"symbol": "BRK-B", "shares": shares, **cost},
        st.decimals(-500, 500, places=1).map(float).filter(bool),
        OLD_COSTS,
    ),
)


@given(st.lists(OLD_ENTRIES, max_size=4))
def test_every_file_that_was_valid_before_reads_the_same(entries: list[dict[str, Any]]):
    """What a file of the first form says comes back word for word, and each entry is the lines that it was."""
    written = [{"id": f"entry-{index}", **entry} for index, entry in enumerate(entries)]

    read = parse_portfolio(json.dumps({"positions": written}), "portfolio.json")

    assert [one.model_dump(mode="json", exclude_none=True) for one in read.positions] == written
    for entry, before in zip(read.positions, written, strict=True):
        if isinstance(entry, MultiLegPosition):
            assert entry.opening_cost == before["net_debit"]
            signed = [one["contracts"] * (1 if one["side"] == "long" else -1) for one in before["legs"]]
            assert [line.quantity for line in entry.lines] == signed
        else:
            (line,) = entry.lines
            assert line.quantity == Decimal(str(before.get("contracts", before.get("shares"))))
            assert line.cost_basis == (Decimal(str(before["cost_basis"])) if "cost_basis" in before else None)


def test_an_entry_in_lots_is_written_and_read_as_itself():
    entry = lots_of((1, 8.4, date(2026, 10, 2)), (2, None, None), realized=-10.5, fees=1.3)

    (read,) = parse_portfolio(f'{{"positions": [{entry_text(entry)}]}}', "portfolio.json").positions

    assert read == entry


def test_a_portfolio_has_a_line_for_each_single_leg_and_holding():
    book = portfolio(position(), COVERED_CALL, holding("MSFT"))

    assert [line.instrument.label for line in book.lines] == [
        "AAPL 18 Dec 26 180 C",
        "AAPL shares",
        "AAPL 18 Dec 26 200 C",
        "MSFT shares",
    ]


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


def test_whole_numbers_may_be_written_as_tables_write_them():
    """Pandas writes 2.0 for 2 as soon as one value of a column is missing."""
    entry = (
        '{"id": "a", "symbol": "AAPL1", "option_type": "call", "expiry": "2026-12-18", "strike": 180, '
        '"contracts": -2.0, "multiplier": 100.0}'
    )
    leg = '{"side": "long", "option_type": "call", "expiry": "2026-12-18", "strike": 180, "contracts": 3.0}'
    structure = f'{{"id": "b", "symbol": "AAPL", "net_debit": 1.0, "legs": [{leg}]}}'

    single, multi = parse_portfolio(f'{{"positions": [{entry}, {structure}]}}', "mine.json").positions
    assert isinstance(single, Position)
    assert isinstance(multi, MultiLegPosition)
    assert (single.contracts, single.multiplier, multi.contract_legs[0].contracts) == (-2, 100, 3)
    with pytest.raises(ConfigError, match=r"position 'a', contracts: must be a valid integer"):
        parse_portfolio(f'{{"positions": [{entry.replace("-2.0", "-2.5")}]}}', "mine.json")


def test_coins_in_dollars_are_held_by_their_pair():
    (held,) = portfolio(holding("BTC/USD", 0.25, cost_basis=60_000.0)).instruments

    assert (held.live_symbol, held.label, held.underlying) == ("BTC/USD", "BTC/USD", "BTC/USD")
    assert (held.is_coin, held.is_option, held.multiplier) == (True, False, 1)
    assert not holding("BRK/B").instrument.is_coin


def test_coins_are_no_leg_of_a_structure():
    with pytest.raises(ValidationError, match="pattern"):
        ShareLeg(side="long", symbol="BTC/USD", shares=1)
