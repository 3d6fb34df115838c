"""What the file says of a contract is compared with Alpaca's record of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from options_helper.analysis.reconcile.contract_check import (
    named_contracts,
    record_findings,
    share_findings,
)
from options_helper.data.rest.contract_records import read_contract_record
from options_helper.model.contract_records import Deliverable
from options_helper.model.portfolio import PortfolioEntry
from tests.kit.builders import holding, leg, portfolio, position, structure


def record(**fields: Any) -> dict[str, Any]:
    """A record as Alpaca writes it, of a contract on AAPL."""
    return {
        "status": "active",
        "tradable": True,
        "root_symbol": "AAPL",
        "underlying_symbol": "AAPL",
        "multiplier": "100",
        "size": "100",
        "close_price": "4.2",
        "close_price_date": "2026-11-19",
        **fields,
    }


def said(entry: PortfolioEntry, **fields: Any) -> list[str]:
    return [
        sentence
        for one in named_contracts(portfolio(entry))
        for sentence in record_findings(
            one, read_contract_record(one.instrument.live_symbol, record(**fields))
        )
    ]


def mine(symbol: str = "AAPL", cost: float | None = 4.0, **fields: Any) -> Any:
    return position(symbol, contracts=1, cost_basis=cost, identity="mine", **fields)


@pytest.mark.parametrize(
    ("rows", "read"),
    [
        (None, ()),
        ("all", ()),
        ([{"type": "equity", "symbol": "AAPL", "amount": "110"}], (Deliverable("AAPL", Decimal(110)),)),
        (
            [
                {"type": "equity", "symbol": "AAPL", "amount": 100},
                {"type": "cash", "symbol": "USD", "amount": "2.5"},
            ],
            (Deliverable("AAPL", Decimal(100)), Deliverable(None, Decimal("2.5"))),
        ),
        # Alpaca's word of 7 October 2026: "0" while it is not determined.
        ([{"type": "cash", "amount": "0", "delayed_settlement": True}], (Deliverable(None, None),)),
        ([{"type": "equity", "symbol": "AAPL", "amount": "many"}], (Deliverable("AAPL", None),)),
        ([{"type": "equity", "amount": "5"}], (Deliverable("shares that are not named", Decimal(5)),)),
        ([3], (Deliverable("shares that are not named", None),)),
    ],
)
def test_what_a_contract_delivers_is_read_part_by_part(rows: Any, read: tuple[Deliverable, ...]):
    """What cannot be read is not known and no 0, and is a part all the same."""
    assert read_contract_record("AAPL1261218C00180000", record(deliverables=rows)).deliverables == read


def test_a_file_that_says_what_the_record_says_has_nothing_to_look_at():
    assert said(mine()) == []
    assert said(structure(leg("long", 180), leg("short", 185))) == []
    assert list(named_contracts(portfolio(holding()))) == []


@pytest.mark.parametrize(
    ("entry", "of_record", "sentence"),
    [
        (
            mine(multiplier=1000),
            {},
            (
                "'mine': AAPL 18 Dec 26 180 C counts 1000 dollars per point, and Alpaca's record says 100. "
                'Write "multiplier": 100.'
            ),
        ),
        (
            mine("SDS1", multiplier=20),
            {"root_symbol": "SDS1", "underlying_symbol": "SDS", "size": "20"},
            (
                "'mine': SDS1 18 Dec 26 180 C counts 20 dollars per point, and Alpaca's record says 100. "
                'Write "multiplier": 100.'
            ),
        ),
        (
            mine("SDS1"),
            {"root_symbol": "SDS1", "underlying_symbol": "SDS", "size": "20"},
            (
                "'mine': SDS1 18 Dec 26 180 C names no multiplier, and Alpaca's record says 100. "
                'Write "multiplier": 100.'
            ),
        ),
        (
            mine(),
            {"size": "10"},
            (
                "'mine': AAPL 18 Dec 26 180 C delivers 10 shares by Alpaca's record, and a standard contract delivers "
                "100. Compare its symbol with the account's."
            ),
        ),
        (
            mine(),
            {
                "deliverables": [
                    {"type": "equity", "symbol": "AAPL", "amount": "100"},
                    {"type": "equity", "symbol": "SPUN", "amount": "10"},
                ]
            },
            (
                "'mine': AAPL 18 Dec 26 180 C delivers 100 AAPL and 10 SPUN by Alpaca's record, and a standard "
                "contract delivers 100. Compare its symbol with the account's."
            ),
        ),
        (
            mine("SDS1", multiplier=20),
            {"root_symbol": "SDS1", "underlying_symbol": "SDS", "size": "20", "multiplier": "12.5"},
            (
                "'mine': SDS1 18 Dec 26 180 C counts 20 dollars per point, and Alpaca's record says 12.5, which "
                "no file can hold. Compare its symbol with the account's."
            ),
        ),
        (
            mine("LGFB"),
            {"root_symbol": "LGFB", "underlying_symbol": "LGF.B"},
            (
                "'mine': LGFB 18 Dec 26 180 C is written on LGF.B by Alpaca's record, and the file takes LGFB. "
                'Write "symbol": "LGF-B".'
            ),
        ),
        (
            mine(),
            {"root_symbol": "AAPL7"},
            "'mine': AAPL 18 Dec 26 180 C has the root AAPL, and Alpaca's record says AAPL7. Correct the symbol.",
        ),
        (
            mine(),
            {"tradable": False},
            (
                "Alpaca lists AAPL 18 Dec 26 180 C (AAPL261218C00180000) as not tradable: it can be neither bought nor "
                "sold there."
            ),
        ),
        (
            mine("SPX", expiry=date(2026, 12, 18)),
            {"root_symbol": "SPX", "underlying_symbol": "SPX", "settlement_type": "pm"},
            (
                "'mine': SPX 18 Dec 26 180 C is settled at the close by Alpaca's record, and is taken here to be "
                'settled at the open. Write "settlement": "pm".'
            ),
        ),
        (
            mine("SPX", expiry=date(2026, 12, 18)),
            {"root_symbol": "SPX", "underlying_symbol": "SPX", "last_trading_date": "2026-12-18"},
            (
                "'mine': SPX 18 Dec 26 180 C is traded until 18 Dec 26 by Alpaca's record, and is taken here to be "
                "traded until 17 Dec 26."
            ),
        ),
    ],
    ids=[
        "standard", "adjusted", "no multiplier", "size", "two companies", "a part of a dollar",
        "class of a share", "root", "not tradable", "settlement",
        "last day",
    ],
)  # fmt: skip
def test_what_the_file_says_otherwise_than_the_record_is_to_be_looked_at(
    entry: PortfolioEntry, of_record: dict[str, Any], sentence: str
):
    assert said(entry, **of_record) == [sentence]


def test_a_class_of_a_dollar_a_point_is_a_standard_one_of_its_kind():
    """It delivers one share, and no hundred."""
    assert said(mine("NANOS"), root_symbol="NANOS", underlying_symbol="NANOS", size="1", multiplier="1") == []


def test_a_class_in_our_own_spelling_is_what_the_record_calls_it():
    assert said(mine("LGF-B"), root_symbol="LGFB", underlying_symbol="LGF.B") == []
    assert said(mine("BRK-B"), root_symbol="BRKB", underlying_symbol="BRK.B") == []
    assert said(mine("SPXW"), root_symbol="SPXW", underlying_symbol="SPX") == []


@pytest.mark.parametrize(
    ("cost", "close", "looked_at"),
    [
        (235.0, "2.35", True),  # per contract
        (0.0235, "2.35", True),  # a hundredth
        (235.0, "23.5", False),
        (4.0, "0.05", False),  # many a contract that was dear goes there
        (12.0, "0.55", True),
        (4.0, None, False),
        (4.0, "0", False),
        (None, "2.35", False),
        (0.0, "2.35", False),
    ],
)
def test_a_cost_that_is_many_times_off_the_close_is_to_be_looked_at(
    cost: float | None,
    close: str | None,
    looked_at: bool,  # noqa: FBT001 - the answer
):
    found = said(mine(cost=cost), close_price=close)

    assert bool(found) is looked_at
    assert all("It is the price per share, not per contract" in sentence for sentence in found)


@pytest.mark.parametrize("odd", [None, "", [], {}, True])
def test_an_odd_field_of_a_record_says_nothing(odd: Any):
    assert said(mine(), **dict.fromkeys(record(), odd)) == []


@pytest.mark.parametrize("name", ["multiplier", "size", "close_price", "close_price_date"])
@pytest.mark.parametrize("odd", ["many", "NaN", "0"])
def test_an_amount_that_is_none_says_nothing(name: str, odd: str):
    assert said(mine(), **{name: odd}) == []


def test_what_has_gone_from_the_list_is_said_once_and_not_compared():
    assert said(mine(multiplier=1000), status="inactive") == [
        "Alpaca lists AAPL 18 Dec 26 180 C (AAPL261218C00180000) as inactive."
    ]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (("us_equity", "active", True), None),
        ((None, None, None), None),
        (("crypto", "active", True), "as crypto, and the file as a share."),
        (("us_equity", "inactive", False), "as inactive."),
        (("us_equity", "active", False), "as not tradable"),
    ],
    ids=str,
)
def test_a_share_is_one_that_alpaca_lists_as_such(fields: tuple[Any, Any, Any], sentence: str | None):
    asset_class, status, tradable = fields
    found = list(share_findings("BTCUSD", asset_class, status, tradable=tradable))

    assert len(found) == (sentence is not None)
    assert sentence is None or sentence in found[0]


def test_a_settlement_and_a_style_that_the_file_names_are_compared_too():
    named = position("SPXW", 180, settlement="am", exercise_style="american", identity="mine")

    found = said(named, root_symbol="SPXW", underlying_symbol="SPX", settlement="pm", style="european")

    assert found == [
        (
            "'mine': SPXW 18 Dec 26 180 C is settled at the close by Alpaca's record, and is taken here to be settled "
            'at the open. Write "settlement": "pm".'
        ),
        (
            "'mine': SPXW 18 Dec 26 180 C is American in the file, and European by Alpaca's record. "
            "Correct its exercise_style."
        ),
    ]

    agreed = position("SPXW", 180, settlement="pm", exercise_style="european")
    assert said(agreed, root_symbol="SPXW", underlying_symbol="SPX", settlement="pm", style="european") == []
