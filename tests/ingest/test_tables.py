"""What servers answer becomes rows; an odd value costs itself, and the same answer is the same rows."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.ingest.store import Table
from options_helper.ingest.tables import (
    actions_table,
    bars_table,
    chain_table,
    contracts_table,
    option_quotes,
)

AT = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
CALL = "SPY261218C00700000"


def only_row(table: Table) -> dict[str, object]:
    (row,) = table.rows
    return dict(zip(table.columns, row, strict=True))


def test_a_snapshot_becomes_a_row_with_its_own_times():
    snapshot = {
        "latestQuote": {"bp": 1.25, "bs": 10, "ap": 1.3, "as": 7, "t": "2026-11-25T14:59:58.123456789Z"},
        "latestTrade": {"p": 1.27, "s": 2, "t": "2026-11-25T14:40:00Z"},
        "dailyBar": {"v": 1_204},
        "impliedVolatility": 0.1432,
        "greeks": {"delta": 0.31, "gamma": 0.01, "theta": None, "vega": 0.4, "rho": 0.1},
    }
    row = only_row(chain_table({CALL: snapshot}, AT, AT, "opra"))

    assert row["quote_ns"] == 1_795_618_798_123_456_789
    assert (row["bid"], row["ask"], row["last"], row["volume"]) == ("1.25", "1.3", "1.27", "1204")
    assert (row["expiry"], row["type"], row["strike"]) == ("2026-12-18", "call", 700.0)
    assert (row["feed"], row["delta"], row["theta"]) == ("opra", "0.31", None)


def test_a_contract_that_was_never_quoted_has_empty_fields():
    never = {"latestQuote": {"bp": 0, "ap": 0, "t": "0001-01-01T00:00:00Z"}}
    row = only_row(chain_table({CALL: never}, AT, AT, "opra"))

    assert (row["quote_ns"], row["last"], row["implied_volatility"]) == (None, None, None)


def test_what_is_no_contract_is_left_out_of_a_chain():
    assert len(chain_table({"SPY": {}, CALL: "nothing"}, AT, AT, "opra").rows) == 1


def test_a_stored_chain_is_read_back_as_quotes():
    table = chain_table({CALL: {"latestQuote": {"bp": 1.25, "ap": None}}}, AT, AT, "opra")
    text = {
        name: "" if value is None else str(value)
        for name, value in zip(table.columns, table.rows[0], strict=True)
    }

    (quote,) = option_quotes([text])

    assert (quote.strike, quote.option_type, quote.bid, quote.ask) == (700.0, "call", 1.25, None)


def test_a_contract_that_a_repeated_page_brings_twice_is_one_row():
    row = {"symbol": CALL, "open_interest": "812", "open_interest_date": "2026-11-24", "tradable": True}
    found = only_row(contracts_table([row, row], "2026-11-25", AT))

    assert (found["open_interest"], found["open_interest_day"], found["tradable"]) == (
        "812",
        "2026-11-24",
        "true",
    )


def test_actions_of_all_types_have_their_symbol_and_all_that_was_said():
    split = {"id": "a", "old_symbol": "XYZ", "new_symbol": "XYZW", "new_rate": 2, "old_rate": 1}
    dividend = {"id": "b", "symbol": "AAPL", "rate": 0.26, "ex_date": "2026-12-15"}
    pages = [
        {"corporate_actions": {"unit_splits": [split]}},
        {"corporate_actions": {"cash_dividends": [dividend]}},
    ]

    table = actions_table(pages, AT)

    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [(row["type"], row["symbol"], row["rate"], row["new_symbol"]) for row in rows] == [
        ("cash_dividends", "AAPL", "0.26", None),
        ("unit_splits", "XYZ", None, "XYZW"),
    ]
    assert '"old_symbol": "XYZ"' in str(rows[1]["detail"])


def test_bars_are_ordered_and_a_proxy_says_what_it_stands_for():
    later, earlier = {"t": "2026-11-25T14:31:00Z", "c": 2}, {"t": "2026-11-25T14:30:00Z", "c": 1}
    table = bars_table([{"bars": {"SPY": [later, earlier]}}], "1Min", "sip", {"SPY": "large companies"})

    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["close"] for row in rows] == ["1", "2"]
    assert {row["stands_for"] for row in rows} == {"large companies"}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("bars", "SPY", "t", "corporate_actions", "latestQuote", "bp", "id", "symbol", CALL)
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(anything, max_size=3))
def test_no_answer_is_so_odd_that_a_table_fails(pages: list[object]):
    bars_table(pages, "1Day", "sip")  # type: ignore[arg-type]
    actions_table(pages, AT)  # type: ignore[arg-type]
    contracts_table(pages, "2026-11-25", AT)  # type: ignore[arg-type]
    chain_table({CALL: pages}, AT, AT, "opra")
    chain_table({CALL: pages[0] if pages else None}, AT, AT, "opra")
