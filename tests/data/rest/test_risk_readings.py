"""Corporate actions and daily closes are read raw: an odd row costs itself, and nothing unknown becomes 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.risk_readings import read_corporate_actions, read_daily_closes
from options_helper.errors import RestError
from options_helper.model.risk_inputs import ContractChange, CorporateActions, DailyCloses, Dividend

TODAY = date(2026, 11, 20)
READ_AT = datetime(2026, 11, 20, 15, tzinfo=UTC)
DIVIDEND = {
    "id": "1",
    "symbol": "MSFT",
    "rate": 0.91,
    "special": False,
    "foreign": False,
    "ex_date": "2026-12-02",
}
PAID = {**DIVIDEND, "id": "0", "rate": 0.83, "ex_date": "2026-08-20"}


class ScriptedRest:
    """Has pages, refuses the symbols that it does not know, and remembers how it was asked."""

    def __init__(self, *pages: Mapping[str, Any], refuses: str = "") -> None:
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []
        self._pages = pages
        self._refuses = refuses

    def data_pages(self, version: str, path: str, query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        self.asked.append((version, path, query))
        if self._refuses and self._refuses in query["symbols"].split(","):
            raise RestError(f"invalid symbol: {self._refuses}", status=400)
        return iter(self._pages)


def actions(*pages: Any, symbols: tuple[str, ...] = ("MSFT",)) -> dict[str, CorporateActions]:
    rest = ScriptedRest(*({"corporate_actions": page} for page in pages))
    return read_corporate_actions(cast("AlpacaRest", rest), symbols, TODAY, READ_AT)


def closes(*pages: Any, symbols: tuple[str, ...] = ("MSFT",)) -> dict[str, DailyCloses]:
    rest = ScriptedRest(*({"bars": page} for page in pages))
    return read_daily_closes(cast("AlpacaRest", rest), symbols, TODAY, READ_AT)


def test_actions_are_asked_by_the_day_of_processing_from_a_year_ago_to_120_days_ahead():
    rest = ScriptedRest({"corporate_actions": {}})

    found = read_corporate_actions(cast("AlpacaRest", rest), ["MSFT", "BRK.B"], TODAY, READ_AT)

    ((version, path, query),) = rest.asked
    assert (version, path, query["symbols"]) == ("v1", "/corporate-actions", "MSFT,BRK.B")
    assert (query["start"], query["end"]) == ("2025-11-05", "2027-03-20")
    # Asked for and nothing there is something else than not asked for.
    assert found["BRK.B"] == CorporateActions("BRK.B", READ_AT, date(2027, 3, 20))


def test_dividends_of_all_pages_come_by_ex_date_each_once():
    found = actions({"cash_dividends": [DIVIDEND]}, {"cash_dividends": [PAID, DIVIDEND]})["MSFT"]

    assert found.dividends == (
        Dividend("MSFT", date(2026, 8, 20), 0.83),
        Dividend("MSFT", date(2026, 12, 2), 0.91),
    )
    assert (found.read_at, found.unreadable) == (READ_AT, ())


def test_a_special_dividend_and_one_from_abroad_are_marked():
    odd = {**DIVIDEND, "special": True, "foreign": True}

    (found,) = actions({"cash_dividends": [odd]})["MSFT"].dividends

    assert (found.special, found.foreign) == (True, True)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"rate": None},
        {"rate": "a lot"},
        {"rate": 0},
        {"rate": -1},
        {"rate": float("nan")},
        {"ex_date": None},
        {"ex_date": "soon"},
    ],
)
def test_an_announced_dividend_that_cannot_be_read_is_said_and_costs_no_other(spoilt: dict[str, Any]):
    other = {**DIVIDEND, "id": "2", "symbol": "AAPL"}
    rows = [{**DIVIDEND, **spoilt}, PAID, other]

    found = actions({"cash_dividends": rows}, symbols=("MSFT", "AAPL"))

    assert [one.amount for one in found["MSFT"].dividends] == [0.83]
    assert len(found["MSFT"].unreadable) == 1
    assert found["AAPL"].unreadable == ()


def test_a_paid_dividend_without_an_amount_changes_nothing():
    assert actions({"cash_dividends": [{**PAID, "rate": None}]})["MSFT"].unreadable == ()


@pytest.mark.parametrize(
    ("kind", "row", "change"),
    [
        ("forward_splits", {"ex_date": "2026-12-01", "old_rate": 1, "new_rate": 4}, (date(2026, 12, 1), 4.0)),
        (
            "reverse_splits",
            {"ex_date": "2026-12-01", "old_rate": 8, "new_rate": 1},
            (date(2026, 12, 1), 0.125),
        ),
        ("stock_dividends", {"ex_date": "2026-12-01", "rate": 0.05}, (date(2026, 12, 1), 1.05)),
        (
            "forward_splits",
            {"ex_date": "2026-12-01", "old_rate": 0, "new_rate": 4},
            (date(2026, 12, 1), None),
        ),
        ("spin_offs", {"ex_date": "2026-12-01", "new_rate": 1}, (date(2026, 12, 1), None)),
        ("cash_mergers", {"effective_date": "2026-12-03"}, (date(2026, 12, 3), None)),
    ],
)
def test_what_changes_a_contract_is_told_with_its_day_and_ratio(
    kind: str, row: dict[str, Any], change: tuple[date, float | None]
):
    found = actions({kind: [{"id": "3", "symbol": "MSFT", **row}]})["MSFT"]

    assert found.changes == (ContractChange("MSFT", kind, *change),)


def test_what_changes_a_share_today_is_told():
    row = {"id": "3", "symbol": "MSFT", "ex_date": TODAY.isoformat(), "old_rate": 1, "new_rate": 2}

    found = actions({"forward_splits": [row]})["MSFT"]

    assert found.changes == (ContractChange("MSFT", "forward_splits", TODAY, 2.0),)


def test_a_change_of_the_past_and_a_new_name_are_no_news_and_one_without_a_day_is_said():
    past = {"id": "3", "symbol": "MSFT", "ex_date": "2026-11-19", "old_rate": 1, "new_rate": 2}
    undated = {"id": "4", "symbol": "MSFT"}
    renamed = {"id": "5", "old_symbol": "MSFT", "new_symbol": "MS", "process_date": "2026-12-01"}

    found = actions({"forward_splits": [past], "spin_offs": [undated], "name_changes": [renamed]})["MSFT"]

    assert found.changes == ()
    assert len(found.unreadable) == 1
    assert "spin_offs" in found.unreadable[0]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ("cash_dividends", "forward_splits", "id", "symbol", "rate", "ex_date", "MSFT", "t", "c")
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_is_answered_costs_no_more_than_itself(odd: Any):
    found = actions(odd, {"cash_dividends": [DIVIDEND]})["MSFT"]
    days = closes(odd, {"MSFT": [{"t": "2026-11-19T05:00:00Z", "c": 500}]})["MSFT"]

    # An odd row may take the identity of a good one; it may not end the reading.
    assert all(one.amount > 0 for one in found.dividends)
    assert date(2026, 11, 19) in days.closes
    assert all(close > 0 for close in days.closes.values())


def test_closes_are_asked_for_a_year_until_yesterday_adjusted_and_from_every_exchange():
    rest = ScriptedRest({"bars": None})

    found = read_daily_closes(cast("AlpacaRest", rest), ["SPY"], TODAY, READ_AT)

    ((version, path, query),) = rest.asked
    assert (version, path, query["symbols"]) == ("v2", "/stocks/bars", "SPY")
    assert (query["timeframe"], query["feed"], query["adjustment"]) == ("1Day", "sip", "all")
    assert (query["start"], query["end"]) == ("2025-11-05T00:00:00-05:00", "2026-11-19T23:59:59-05:00")
    assert found == {"SPY": DailyCloses("SPY", READ_AT)}


def test_closes_come_by_day_over_all_pages_and_an_odd_bar_costs_itself():
    bars = [
        {"t": "2026-11-18T05:00:00Z", "c": 501.5},
        {"t": "2026-11-19T05:00:00Z", "c": 0},
        {"t": "2026-11-19T05:00:00Z", "c": None},
        {"t": None, "c": 5},
        {"t": 17, "c": 5},
        {"t": "2026-11-20T05:00:00Z", "c": 499},  # today has no close yet
        "no bar",
    ]

    found = closes({"MSFT": bars}, {"MSFT": [{"t": "2026-11-17T05:00:00Z", "c": "500"}], "ODD": bars})

    assert found.keys() == {"MSFT"}
    assert list(found["MSFT"].closes.items()) == [(date(2026, 11, 17), 500.0), (date(2026, 11, 18), 501.5)]


def test_a_symbol_that_the_server_does_not_know_costs_no_other():
    rest = ScriptedRest({"corporate_actions": {"cash_dividends": [DIVIDEND]}}, refuses="ODD")

    found = read_corporate_actions(cast("AlpacaRest", rest), ["ODD", "MSFT"], TODAY, READ_AT)

    assert found.keys() == {"MSFT"}
