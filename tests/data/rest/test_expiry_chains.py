"""Which options are asked for what their underlying costs, and what is read of the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, cast

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.expiry_chains import ChainRequest, chain_requests, money_of, read_chain

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
NEAR, LATE, FAR = date(2026, 11, 27), date(2026, 12, 18), date(2027, 6, 18)


def test_of_an_index_each_expiry_is_asked_for_and_first():
    """Its options have no figures without."""
    contracts = ("AAPL261127C00180000", "SPXW261218P06500000", "SPXW261127P06500000", "SPX261218C06700000")

    asked = chain_requests(contracts, TODAY, {"AAPL": 180.0})

    assert asked == [
        ChainRequest("SPX", NEAR),
        ChainRequest("SPX", LATE),
        ChainRequest("AAPL", NEAR, (171.0, 189.0)),
    ]


def test_of_a_share_the_last_expiry_within_three_months_is_asked_for():
    """What ends today or next year says little of its price; without a price nobody knows which strikes."""
    held = [f"AAPL{day:%y%m%d}C00180000" for day in (TODAY, NEAR, LATE, FAR)]

    assert chain_requests(held, TODAY, {"AAPL": 20.0}) == [ChainRequest("AAPL", LATE, (17.5, 22.5))]
    assert chain_requests(held, TODAY, {}) == []
    assert chain_requests(held[-1:], TODAY, {"AAPL": 180.0}) == []


def test_adjusted_contracts_and_ended_ones_are_asked_for_nothing():
    held = ("AAPL1261218C00180000", "AAPL261113C00180000")

    assert chain_requests(held, TODAY, {"AAPL": 180.0}) == []


def test_where_the_money_of_an_index_was_found_only_strikes_near_it_are_asked_for():
    held = ("SPXW261218P06500000",)

    asked = chain_requests(held, TODAY, {}, {("SPX", LATE): 6700.0})

    assert asked == [ChainRequest("SPX", LATE, (6566.0, 6834.0))]


class Chains:
    """Answers one page and remembers what was asked."""

    def __init__(self, page: Mapping[str, Any]) -> None:
        self.page = page
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def option_chain(self, underlying: str, query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The page."""
        self.asked.append((underlying, query))
        yield self.page


def snapshot(bid: float, ask: float) -> dict[str, Any]:
    return {"latestQuote": {"t": "2026-11-20T14:59:59Z", "bp": bid, "ap": ask, "bs": 1, "as": 1}}


def test_a_chain_is_read_by_class_and_odd_rows_cost_themselves():
    page = {
        "SPXW261218C06700000": snapshot(70.0, 71.0),
        "SPXW261218P06700000": snapshot(69.0, 70.0),
        "SPX261218C06700000": snapshot(68.0, 69.0),
        "SPXW261218C06750000": {"latestQuote": {"bp": 1}},
        "no contract": snapshot(1.0, 2.0),
    }
    server = Chains(page)

    found = read_chain(
        cast("AlpacaRest", server),
        ChainRequest("SPX", LATE, (6566.0, 6834.0)),
        feed="opra",
        today=TODAY,
        read_at=NOW,
    )

    assert {name: set(one.quotes) for name, one in found.items()} == {
        "SPXW261218": {"SPXW261218C06700000", "SPXW261218P06700000"},
        "SPX261218": {"SPX261218C06700000"},
    }
    assert found["SPXW261218"].read_at == NOW
    assert server.asked == [
        (
            "SPX",
            {
                "feed": "opra",
                "expiration_date": "2026-12-18",
                "strike_price_gte": "6566.000",
                "strike_price_lte": "6834.000",
            },
        )
    ]
    assert money_of(found.values()) == 6700.0
    assert money_of([found["SPX261218"]]) is None
