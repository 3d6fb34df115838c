"""An order update becomes a row whatever Alpaca changed in it; a fill is never lost to an odd field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from alpaca.trading.enums import ActivityType
from alpaca.trading.models import TradeUpdate
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.trading_normalizers import (
    ENDS_OF_CONTRACTS,
    MONEY_OR_SHARES,
    OPTION_ACTIVITIES,
    POSITION_MOVES,
    normalize_trade_update,
    read_activity,
    read_trade_update,
)
from options_helper.model.order_updates import UpdateKind

ORDER_ID = "61e69015-8549-4bfd-b9c3-01e75843f47d"
EXECUTION_ID = "2f63ea93-423d-4169-b3f6-3fdafc10c418"

# In this order.
KEYS = (
    "timestamp",
    "timestamp_ns",
    "event",
    "order_id",
    "symbol",
    "side",
    "qty",
    "filled_qty",
    "filled_avg_price",
    "status",
    "execution_id",
    "previous_execution_id",
    "price",
    "fill_qty",
    "order_type",
    "tif",
    "limit_price",
    "stop_price",
    "position_qty",
    "legs",
)
LEG_KEYS = (
    "order_id",
    "symbol",
    "side",
    "qty",
    "filled_qty",
    "filled_avg_price",
    "status",
    "execution_id",
    "price",
    "fill_qty",
    "position_qty",
)


def order(**changes: Any) -> dict[str, Any]:
    return {
        "id": ORDER_ID,
        "client_order_id": "mine",
        "created_at": "2024-03-12T18:38:00.1Z",
        "updated_at": "2024-03-12T18:38:50.817928713Z",
        "submitted_at": "2024-03-12T18:38:00.2Z",
        "symbol": "AAPL240315C00172500",
        "asset_class": "us_option",
        "qty": "2",
        "filled_qty": "1",
        "filled_avg_price": "2.05",
        "order_class": "simple",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "2.1",
        "stop_price": None,
        "status": "partially_filled",
        "extended_hours": False,
        "legs": None,
        **changes,
    }


def update(*, order_changes: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "event": "partial_fill",
        "execution_id": EXECUTION_ID,
        "order": order(**(order_changes or {})),
        "timestamp": "2024-03-12T18:38:50.817928712Z",
        "position_qty": "-3",
        "price": "2.05",
        "qty": "1",
        **changes,
    }


def normalized(raw: Any) -> dict[str, Any]:
    row = normalize_trade_update(raw)
    assert row is not None
    return row


def test_a_partial_fill_says_everything():
    assert normalized(update()) == {
        "timestamp": datetime(2024, 3, 12, 18, 38, 50, 817928, tzinfo=UTC),
        "timestamp_ns": 1_710_268_730_817_928_712,
        "event": "partial_fill",
        "order_id": ORDER_ID,
        "symbol": "AAPL240315C00172500",
        "side": "buy",
        "qty": Decimal(2),
        "filled_qty": Decimal(1),
        "filled_avg_price": Decimal("2.05"),
        "status": "partially_filled",
        "execution_id": EXECUTION_ID,
        "previous_execution_id": None,
        "price": Decimal("2.05"),
        "fill_qty": Decimal(1),
        "order_type": "limit",
        "tif": "day",
        "limit_price": Decimal("2.1"),
        "stop_price": None,
        "position_qty": Decimal(-3),
        "legs": None,
    }


def test_the_envelope_and_the_sdks_object_give_the_same_row():
    """The SDK cuts the time to the microsecond and reads amounts as floats; the row shows no trace of the latter."""
    row = normalized(update())

    assert normalized({"stream": "trade_updates", "data": update()}) == row
    assert normalized(TradeUpdate(**update())) == {**row, "timestamp_ns": 1_710_268_730_817_928_000}


@pytest.mark.parametrize("text", ["0.1", "172.115", "0.30000000000000004", "1234567890.123456789", "1E-7"])
def test_amounts_are_exactly_what_was_written(text: str):
    row = normalized(update(price=text, position_qty=float(text)))

    assert row["price"] == Decimal(text)
    assert row["position_qty"] == Decimal(str(float(text)))


@pytest.mark.parametrize("odd", [None, "", "NaN", "Infinity", "many", True, [], {}, float("nan")])
def test_an_odd_amount_costs_itself_only(odd: object):
    row = normalized(update(price=odd, order_changes={"filled_avg_price": odd, "qty": odd}))

    assert (row["price"], row["filled_avg_price"], row["qty"]) == (None, None, None)
    assert row["filled_qty"] == 1


def test_without_a_timestamp_the_updates_other_times_serve():
    missing = update()
    del missing["timestamp"]

    assert normalized(missing)["timestamp_ns"] == 1_710_268_730_817_928_713
    assert normalized({**missing, "at": "2024-03-12T18:38:51Z"})["timestamp"].second == 51


@pytest.mark.parametrize("odd", [None, "", "yesterday", 10**30, 1.5, [], "9999-12-31T23:59:59-23:59"])
def test_an_odd_timestamp_does_not_cost_the_fill(odd: object):
    row = normalized(update(timestamp=odd, order_changes={"updated_at": odd}))

    assert (row["timestamp"], row["timestamp_ns"], row["price"]) == (None, None, Decimal("2.05"))


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        ("order_replace_rejected", {}),
        ("trade_bust", {"status": "held"}),
        ("fill", {"side": "sell_short", "time_in_force": "gtd", "order_type": "pegged"}),
    ],
)
def test_words_the_sdk_does_not_know_stay_as_they_are(event: str, changes: dict[str, str]):
    row = normalized(update(event=event, order_changes=changes))

    assert row["event"] == event
    assert {changes.get("side", "buy"), changes.get("status", "partially_filled")} == {
        row["side"],
        row["status"],
    }
    assert row["tif"] == changes.get("time_in_force", "day")


def test_the_type_is_found_under_either_name():
    assert normalized(update(order_changes={"order_type": ""}))["order_type"] == "limit"
    assert normalized(update(order_changes={"type": None}))["order_type"] == "limit"


def test_the_legs_of_a_spread_carry_their_execution_and_position():
    long, short = "SPY240315C00500000", "SPY240315C00510000"
    legs = [
        order(id="a", symbol=long, side="buy", type="", order_type="", legs=None),
        order(id="b", symbol=short, side="sell", type="", order_type="", legs=None),
    ]
    executions = [
        {"execution_id": "y", "qty": "1", "price": "1.10", "order_id": "b", "symbol": short},
        {"execution_id": "x", "qty": "1", "price": "3.40", "order_id": "a", "symbol": long},
    ]

    row = normalized(
        update(
            legs=executions,
            position_qtys={long: "1", short: "-1"},
            order_changes={"symbol": "", "side": "", "order_class": "mleg", "legs": legs},
        )
    )

    of_both = {
        "qty": Decimal(2),
        "filled_qty": Decimal(1),
        "filled_avg_price": Decimal("2.05"),
        "status": "partially_filled",
        "fill_qty": Decimal(1),
    }
    bought = {"order_id": "a", "symbol": long, "side": "buy", "execution_id": "x", "price": Decimal("3.40")}
    sold = {"order_id": "b", "symbol": short, "side": "sell", "execution_id": "y", "price": Decimal("1.10")}
    assert (row["symbol"], row["side"]) == (None, None)
    assert row["legs"] == (
        {**of_both, **bought, "position_qty": Decimal(1)},
        {**of_both, **sold, "position_qty": Decimal(-1)},
    )
    assert [tuple(leg) for leg in row["legs"]] == [LEG_KEYS, LEG_KEYS]


def test_executions_alone_still_tell_the_legs():
    row = normalized(
        update(legs=[{"symbol": "SPY240315C00500000", "order_id": "a", "price": "3.4", "qty": "1"}])
    )

    expected = {
        "symbol": "SPY240315C00500000",
        "order_id": "a",
        "price": Decimal("3.4"),
        "fill_qty": Decimal(1),
    }
    assert row["legs"] == ({**dict.fromkeys(LEG_KEYS), **expected},)


def test_a_fill_without_its_order_is_still_a_fill():
    row = normalized({"event": "fill", "price": "2.05", "qty": "1"})

    assert row == {**dict.fromkeys(KEYS), "event": "fill", "price": Decimal("2.05"), "fill_qty": Decimal(1)}


def test_an_order_that_was_cancelled_says_nothing_of_an_execution():
    expected = {
        "timestamp": datetime(2024, 3, 12, 18, 38, 50, 817928, tzinfo=UTC),
        "timestamp_ns": 1_710_268_730_817_928_713,
        "event": "canceled",
        "order_id": ORDER_ID,
        "symbol": "AAPL240315C00172500",
        "side": "buy",
        "qty": Decimal(2),
        "filled_qty": Decimal(0),
        "status": "canceled",
        "order_type": "stop_limit",
        "tif": "gtc",
        "limit_price": Decimal("2.1"),
        "stop_price": Decimal("2.2"),
    }
    changes = {"filled_qty": "0", "filled_avg_price": None, "status": "canceled", "order_type": "stop_limit"}
    changes |= {"time_in_force": "gtc", "stop_price": "2.2"}

    assert normalized({"event": "canceled", "order": order(**changes)}) == {**dict.fromkeys(KEYS), **expected}


def test_a_correction_names_what_it_corrects():
    row = normalized(update(event="trade_correct", previous_execution_id="before"))

    assert row == {**normalized(update()), "event": "trade_correct", "previous_execution_id": "before"}


def test_the_map_is_the_updates_fields():
    """One value inside the program, a map for who reads the wire by himself."""
    value = read_trade_update(update())

    assert value is not None
    assert normalized(update()) == {name: getattr(value, name) for name in KEYS}


@pytest.mark.parametrize(
    "message",
    [
        None,
        {},
        "text",
        7,
        [],
        {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}},
        {"stream": "listening", "data": {"streams": ["trade_updates"]}},
        {"stream": "trade_updates", "data": None},
        {"action": "error", "data": {"error_message": "internal"}},
    ],
)
def test_what_is_no_update_has_no_row(message: object):
    assert normalize_trade_update(message) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from([*update(), "at", "legs"]), JSON),
    st.dictionaries(st.sampled_from(list(order())), JSON),
)
def test_no_json_whatever_can_lose_an_event_or_a_key(data: dict[str, Any], odd_order: dict[str, Any]):
    row = normalized({"order": odd_order, **data, "event": "fill"})

    assert row["event"] == "fill"
    assert tuple(row) == KEYS
    assert all(tuple(leg) == LEG_KEYS for leg in row["legs"] or ())


def test_updates_from_json_text_are_exact_too():
    row = normalized(json.loads(json.dumps(update(price=0.1))))

    assert row["price"] == Decimal("0.1")


@pytest.mark.parametrize("activity_type", ["FILL", *OPTION_ACTIVITIES, *POSITION_MOVES])
def test_every_activity_that_changes_a_position_is_known_as_such(activity_type: str):
    symbol = "AAPL261120C00250000" if activity_type in ENDS_OF_CONTRACTS else "AAPL"
    activity = {"activity_type": activity_type, "activity_sub_type": "SDIV", "symbol": symbol, "qty": "2"}
    update = read_activity({**activity, "side": "buy", "date": "2026-11-20", "id": "1::2"})

    assert update is not None
    assert update.kind is (
        UpdateKind.POSITION_MOVE if activity_type in POSITION_MOVES else UpdateKind.EXECUTION
    )
    assert (update.symbol, update.fill_qty, update.execution_id) == (symbol, Decimal(2), "2")
    assert update.position_change in (Decimal(2), Decimal(-2))


@pytest.mark.parametrize("kind", sorted(ENDS_OF_CONTRACTS))
@pytest.mark.parametrize(
    "names",
    [
        {"symbol": "AAPL", "contract_symbol": "AAPL261120P00250000"},
        {"symbol": "AAPL", "asset": {"symbol": "AAPL261120P00250000"}},
        {"symbol": "AAPL  261120P00250000"},
        {"symbol": "AAPL261120P00250000"},
    ],
    ids=str,
)
def test_the_end_of_a_contract_is_of_the_contract_wherever_it_is_named(kind: str, names: dict[str, Any]):
    """Alpaca's changelog of 24 August 2026 puts the underlying into `symbol`: two shares at 0 are no assignment."""
    update = read_activity({"activity_type": kind, "qty": "2", "date": "2026-11-20", **names})

    assert update is not None
    assert update.symbol == "AAPL261120P00250000"


@pytest.mark.parametrize("kind", sorted(ENDS_OF_CONTRACTS))
@pytest.mark.parametrize("symbol", ["AAPL", "", None])
def test_the_end_of_a_contract_that_names_none_is_of_nothing(kind: str, symbol: str | None):
    update = read_activity({"activity_type": kind, "qty": "2", "date": "2026-11-20", "symbol": symbol})

    assert update is not None
    assert update.symbol is None


def test_the_shares_that_an_assignment_moved_are_no_contracts():
    row = {"activity_type": "OPTRD", "qty": "200", "price": "250", "date": "2026-11-20"}
    of_share = read_activity({**row, "symbol": "AAPL", "contract_symbol": "AAPL261120P00250000"})
    of_contract = read_activity({**row, "symbol": "AAPL261120P00250000"})

    assert of_share is not None
    assert of_contract is not None
    assert (of_share.symbol, of_contract.symbol) == ("AAPL", None)


@pytest.mark.parametrize(
    ("qty", "cash", "change", "price"),
    [
        ("1", "-1234.00", 1, Decimal("12.34")),  # written, and paid for
        ("1", "1234.00", -1, Decimal("12.34")),
        ("-1", "1234.00", -1, Decimal("12.34")),
        ("-2", "0", -2, Decimal(0)),
    ],
)
def test_a_cash_settlement_is_an_execution_at_what_was_paid(qty: str, cash: str, change: int, price: Decimal):
    row = {"activity_type": "OPCSH", "symbol": "SPXW261120P06600000", "qty": qty, "net_amount": cash}
    update = read_activity({**row, "date": "2026-11-20"})

    assert update is not None
    assert update.kind is UpdateKind.EXECUTION
    assert (update.position_change, update.price) == (Decimal(change), price)


@pytest.mark.parametrize("symbol", ["SPY", "", None])
def test_the_whole_of_a_multi_leg_order_trades_nothing_itself(symbol: str | None):
    """Two shares of SPY at 1.20 would be bought by it."""
    words = {"order_class": "mleg", "side": "buy", "legs": None}
    whole = read_trade_update(update(order_changes={**words, "symbol": symbol}))
    of_leg = read_trade_update(update(order_changes=words))

    assert whole is not None
    assert of_leg is not None
    assert (whole.symbol, whole.side, whole.position_change) == (None, None, None)
    assert (of_leg.symbol, of_leg.side) == ("AAPL240315C00172500", "buy")


def test_a_leg_that_is_filled_in_two_pieces_is_told_as_two():
    contract = "SPY240315C00500000"
    pieces = [
        {"symbol": contract, "execution_id": name, "order_id": "a", "qty": "1", "price": price}
        for name, price in (("x", "6.8"), ("y", "6.9"))
    ]
    legs = normalized(
        update(
            legs=pieces,
            order_changes={"symbol": "", "legs": [order(id="a", symbol=contract, filled_qty="2", legs=None)]},
        )
    )["legs"]

    assert [(leg["execution_id"], leg["price"], leg["side"]) for leg in legs] == [
        ("x", Decimal("6.8"), "buy"),
        ("y", Decimal("6.9"), "buy"),
    ]
    # Which of them was the last nobody says.
    assert [leg["filled_qty"] for leg in legs] == [None, None]


def test_a_contract_that_stands_twice_in_an_order_keeps_its_executions_apart():
    contract = "SPY240315C00500000"
    pieces = [
        {"symbol": contract, "execution_id": f"of {name}", "order_id": name, "qty": "1", "price": "6.8"}
        for name in ("b", "a")
    ]
    legs = [order(id=name, symbol=contract, legs=None) for name in ("a", "b")]
    row = normalized(update(legs=pieces, order_changes={"symbol": "", "legs": legs}))

    assert [(leg["order_id"], leg["execution_id"]) for leg in row["legs"]] == [("a", "of a"), ("b", "of b")]


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ({"side": "SELL"}, -1),
        ({"side": "Buy"}, 1),
        ({"side": None, "position_intent": "sell_to_close"}, -1),
        ({"side": "", "position_intent": "buy_to_open"}, 1),
        ({"side": None, "position_intent": None}, None),
    ],
    ids=str,
)
def test_which_way_it_went_is_read_in_capitals_and_from_what_was_meant(
    words: dict[str, Any], change: int | None
):
    found = read_trade_update(update(order_changes=words))

    assert found is not None
    assert found.position_change == change


# What moves money alone, in either of Alpaca's lists: its SDK's, and that of its changelog of 6 November 2026.
MONEY_ALONE = frozenset(
    [
        "ACATC",
        "CFEE",
        "CIL",
        "CSD",
        "CSR",
        "CSW",
        "DIVCGL",
        "DIVCGS",
        "DIVFEE",
        "DIVFT",
        "DIVNRA",
        "DIVROC",
        "DIVTW",
        "DIVTXEX",
        "DIVWH",
        "FEE",
        "FIMAT",
        "FXCNV",
        "FXTRD",
        "INT",
        "INTNRA",
        "INTPNL",
        "INTTW",
        "INVPNL",
        "JNLC",
        "MEM",
        "OCT",
        "PTC",
        "PTR",
        "SUB",
        "SWP",
        "WH",
    ]
)
# What is no holding of ours: contracts on events, and where shares lie.
NOTHING_OF_OURS = frozenset({"ECEXP", "SEG"})


def test_every_code_of_alpacas_lists_is_placed():
    """A new one in the SDK must be looked at: does it move a position?"""
    known = {"FILL", *OPTION_ACTIVITIES, *POSITION_MOVES}

    assert {kind.value for kind in ActivityType} <= known | MONEY_ALONE | NOTHING_OF_OURS
    assert not known & (MONEY_ALONE | NOTHING_OF_OURS)
    assert known >= {"OPXRC", "SSP", "SSO", "CORR", "ALLOC", "DTCS", "DVF", "JNL", "NC", "SC", "VOF", "EXTRD"}


@pytest.mark.parametrize("kind", sorted(MONEY_OR_SHARES))
@pytest.mark.parametrize(
    "fields", [{}, {"symbol": "AAPL"}, {"symbol": "AAPL", "qty": "0"}, {"qty": "5"}], ids=str
)
def test_a_row_of_money_under_a_name_that_shares_have_too_moves_nothing(kind: str, fields: dict[str, Any]):
    assert read_activity({"activity_type": kind, "net_amount": "1.37", "id": "1::2", **fields}) is None


def test_a_class_of_a_dollar_a_point_is_settled_at_a_dollar_a_point():
    row = {"activity_type": "OPCSH", "symbol": "NANOS261120C00600000", "qty": "-1", "net_amount": "12.34"}
    update = read_activity({**row, "date": "2026-11-20"})

    assert update is not None
    assert update.price == Decimal("12.34")
