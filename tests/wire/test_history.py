"""The past, asked for by the real client of a simulator: as the streams' own events, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.history import PastQuery, past_pages
from options_helper.errors import RestError
from options_helper.model.events import Bar, Quote, Trade
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import NO_FAULTS, Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import AAPL_CALL
from tests.kit.fakes import NOON, quote_message, trade_message
from tests.kit.simulated import PATIENT_REST, settings_for

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
ASKED_AT = NOON + 1


@pytest.fixture(scope="module")
def market() -> Iterator[SimulatorServer]:
    with SimulatorServer(SilentMarket(start_ns=NOON)) as server:
        server.push(
            StreamName.STOCKS,
            [
                *(quote_message("AAPL", 1.0, 1.1 + number, at_ns=NOON - 5 + number) for number in range(5)),
                trade_message("AAPL", at_ns=NOON - 7, i=52983625699126, x="V", c=["@", " "]),
                trade_message("AAPL", at_ns=NOON - 6, i=9, x="V", u="canceled"),
                {**trade_message("AAPL", at_ns=NOON - 5), "p": None},
                {"T": "b", "S": "MSFT", "o": 1, "h": 2, "l": 1, "c": 2, "v": 5, "t": _at(NOON - 2 * MINUTE)},
            ],
        )
        server.push(StreamName.OPTIONS, [trade_message(AAPL_CALL, at_ns=NOON - 9, x="C", c="I")])
        yield server


@pytest.fixture
def rest(market: SimulatorServer) -> Iterator[AlpacaRest]:
    market.set_faults(NO_FAULTS)
    with AlpacaRest(settings_for(market), policy=PATIENT_REST) as client:
        yield client


def _at(ns: int) -> Any:
    return quote_message("AAPL", at_ns=ns)["t"]


def query(kind: str, channel: str, *symbols: str, **more: Any) -> PastQuery:
    feed = "iex" if kind == "stocks" else ""
    asked = {"since_ns": NOON - 5 * MINUTE, "until_ns": NOON, "feed": feed} | more
    return PastQuery(kind=kind, channel=channel, symbols=symbols, **asked)


def test_quotes_come_page_by_page_as_events_with_the_moment_they_were_asked_at(
    market: SimulatorServer, rest: AlpacaRest
):
    market.set_faults(Faults(rest_page=2))

    pages = list(past_pages(rest, query("stocks", "quotes", "AAPL", until_ns=NOON - 1), ASKED_AT))

    assert [len(page.events) for page in pages] == [2, 2]
    events = [event for page in pages for event in page.events]
    assert [event.timestamp_ns for event in events] == [NOON - 5, NOON - 4, NOON - 3, NOON - 2]
    assert {event.received_ns for event in events} == {ASKED_AT}
    assert isinstance(events[0], Quote)
    assert (events[0].bid_price, events[0].ask_price, events[0].bid_size) == (1.0, 1.1, 1)


def test_a_cancelled_trade_counts_no_more_and_one_without_a_price_costs_itself(rest: AlpacaRest):
    (page,) = past_pages(rest, query("stocks", "trades", "AAPL", "MSFT"), ASKED_AT)

    (kept,), (withdrawn,) = page.events, page.withdrawn
    assert isinstance(kept, Trade)
    assert isinstance(withdrawn, Trade)
    assert (kept.trade_id, kept.exchange, kept.conditions) == (52983625699126, "V", ["@", " "])
    assert withdrawn.trade_id == 9
    assert page.unreadable == 1


def test_bars_and_trades_of_contracts_are_read_as_their_streams_have_them(rest: AlpacaRest):
    (bars,) = past_pages(rest, query("stocks", "bars", "MSFT"), ASKED_AT)
    (trades,) = past_pages(rest, query("options", "trades", AAPL_CALL), ASKED_AT)

    (bar,), (trade,) = bars.events, trades.events
    assert isinstance(bar, Bar)
    assert (bar.close, bar.trade_count) == (2, None)
    assert isinstance(trade, Trade)
    assert (trade.conditions, trade.trade_id) == ("I", None)


def test_coins_are_asked_for_at_their_location(rest: AlpacaRest):
    (page,) = past_pages(rest, query("crypto", "quotes", "BTC/USD", feed="us"), ASKED_AT)

    assert page.events == []


def test_a_refusal_in_the_midst_of_the_pages_is_an_error(market: SimulatorServer, rest: AlpacaRest):
    market.set_faults(Faults(rest_page=2))
    pages = past_pages(rest, query("stocks", "quotes", "AAPL"), ASKED_AT)
    next(pages)
    market.set_faults(Faults(rest_status=429))

    with pytest.raises(RestError, match="429"):
        next(pages)
