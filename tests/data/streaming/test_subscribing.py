"""Symbols and channels that come and go while streams run, without a reconnect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from options_helper.data.streaming.engine.stream_config import requests_for
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.errors import ConfigError
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from tests.kit.builders import AAPL_CALL
from tests.kit.fakes import (
    CONFIG,
    ScriptedStream,
    ScriptedStreams,
    acknowledge,
    deliver,
    fail,
    frame,
    quote_message,
    running_manager,
)
from tests.kit.waiting import wait_until

BOTH = frozenset(("quotes", "trades"))
STOCKS_ONLY = replace(CONFIG, option_contracts=(), stream_fills=False)


@pytest.fixture
def stocks() -> ScriptedStreams:
    return ScriptedStreams()


@pytest.fixture
def manager(stocks: ScriptedStreams) -> Iterator[LiveStreamManager]:
    with running_manager(stocks=stocks, config=STOCKS_ONLY) as manager:
        connected(stocks)
        yield manager


def connected(streams: ScriptedStreams, count: int = 1) -> ScriptedStream:
    wait_until(lambda: len(streams.made) == count and streams.made[-1].channels)
    return streams.made[-1]


def test_symbols_are_added_and_dropped_on_the_open_connection(
    manager: LiveStreamManager, stocks: ScriptedStreams
):
    manager.subscribe(["tsla", "MSFT"])
    manager.unsubscribe(["AAPL"])

    assert stocks.made[0].channels == {"TSLA": BOTH, "MSFT": BOTH}
    assert len(stocks.made) == 1
    assert manager.snapshot().streams["stocks"].requested == ("MSFT", "TSLA")


def test_each_symbol_has_channels_of_its_own(manager: LiveStreamManager, stocks: ScriptedStreams):
    manager.subscribe(["TSLA"], channels=["quotes"])
    manager.subscribe(["AAPL"], channels=["bars"])
    manager.unsubscribe(["AAPL"], channels=["trades"])
    manager.subscribe(["MSFT"], channels=["statuses", "lulds"])

    assert stocks.made[0].channels == {
        "AAPL": {"quotes", "bars"},
        "TSLA": {"quotes"},
        "MSFT": {"statuses", "lulds"},
    }
    manager.unsubscribe(["TSLA"], channels=["quotes"])
    assert "TSLA" not in stocks.made[0].wanted


def test_each_symbol_goes_to_the_stream_that_carries_its_kind(manager: LiveStreamManager):
    manager.subscribe([AAPL_CALL, "AAPL"])

    wait_until(lambda: manager.snapshot().streams["options"].acknowledged == (AAPL_CALL,))


def test_what_was_subscribed_to_outlives_reconnects_stops_and_starts():
    stocks = ScriptedStreams([acknowledge(), fail("lost")], [acknowledge()])
    with running_manager(stocks=stocks, config=STOCKS_ONLY) as manager:
        manager.subscribe(["TSLA"], channels=["quotes"])
        manager.unsubscribe(["AAPL"], channels=["trades"])
        wanted = {"AAPL": {"quotes"}, "TSLA": {"quotes"}}
        wait_until(lambda: stocks.made[-1].channels == wanted and len(stocks.made) > 1)

        manager.stop()
        manager.subscribe(["MSFT"])
        manager.start(STOCKS_ONLY)

        wanted["MSFT"] = {*BOTH}
        wait_until(lambda: stocks.made[-1].channels == wanted, saw=lambda: stocks.made[-1].channels)


def test_the_page_s_next_config_keeps_what_was_subscribed_to(
    manager: LiveStreamManager, stocks: ScriptedStreams
):
    manager.subscribe(["TSLA"], channels=["quotes"])
    manager.unsubscribe(["AAPL"])

    manager.start(replace(STOCKS_ONLY, stocks=("AAPL", "MSFT")))

    assert stocks.made[0].channels == {"MSFT": BOTH, "TSLA": {"quotes"}}
    assert len(stocks.made) == 1


def test_a_config_that_names_a_symbol_anew_brings_it_back(
    manager: LiveStreamManager, stocks: ScriptedStreams
):
    manager.unsubscribe(["AAPL"])
    manager.subscribe(["TSLA"], channels=["bars"])
    manager.start(replace(STOCKS_ONLY, stocks=("MSFT",)))
    assert stocks.made[0].channels == {"MSFT": BOTH, "TSLA": {"bars"}}

    manager.start(replace(STOCKS_ONLY, stocks=("MSFT", "AAPL", "TSLA")))

    assert stocks.made[0].channels == {"MSFT": BOTH, "AAPL": BOTH, "TSLA": {*BOTH, "bars"}}


def test_what_is_dropped_leaves_the_snapshot(manager: LiveStreamManager, stocks: ScriptedStreams):
    manager.subscribe(["TSLA"])
    deliver(frame(quote_message("AAPL"), quote_message("TSLA")))(stocks.made[0])
    wait_until(lambda: manager.snapshot().quotes.keys() == {"AAPL", "TSLA"})

    manager.unsubscribe(["AAPL"])

    assert manager.snapshot().quotes.keys() == {"TSLA"}


def test_a_callback_may_subscribe_and_unsubscribe(manager: LiveStreamManager, stocks: ScriptedStreams):
    def swap(_: object) -> None:
        manager.subscribe(["MSFT"])
        manager.unsubscribe(["AAPL"])

    handle = manager.on_quote("AAPL", swap)
    deliver(frame(quote_message("AAPL")))(stocks.made[0])

    wait_until(lambda: handle.stats.delivered)
    assert stocks.made[0].channels == {"MSFT": BOTH}


def test_a_callback_that_subscribes_while_the_manager_stops_holds_up_nothing(stocks: ScriptedStreams):
    """The stop waits for the callback, and the callback for what the stop holds."""
    with running_manager(stocks=stocks, config=STOCKS_ONLY) as manager:
        connected(stocks)
        handle = manager.on_quote("AAPL", lambda _: manager.subscribe(["MSFT"]))
        deliver(*[frame(quote_message("AAPL"))] * 20)(stocks.made[0])
        wait_until(lambda: handle.stats.offered == 20)
        manager.stop()

    assert handle.stats.delivered == 20


def test_a_wrong_channel_says_which_there_are_and_changes_nothing(
    manager: LiveStreamManager, stocks: ScriptedStreams
):
    with pytest.raises(ConfigError, match="no channel 'quote' of stocks; choose from quotes, trades, bars"):
        manager.subscribe(["TSLA"], channels=["quote"])
    with pytest.raises(ConfigError, match=r"write \['TSLA'\]"):
        manager.subscribe("TSLA")
    with pytest.raises(ConfigError, match="neither symbols nor channels"):
        manager.subscribe(["TSLA"], stream=StreamName.FILLS)

    assert stocks.made[0].channels == {"AAPL": BOTH}


def test_the_last_symbol_may_go_before_the_next_one_comes(
    manager: LiveStreamManager, stocks: ScriptedStreams
):
    manager.unsubscribe(["AAPL"])
    wait_until(lambda: manager.snapshot().streams["stocks"].phase is Phase.QUIET)

    manager.subscribe(["MSFT"])

    assert stocks.made[0].channels == {"MSFT": BOTH}
    assert len(stocks.made) == 1


def test_coins_and_news_are_asked_of_their_streams():
    coins, news, contract = (
        *requests_for(["btc/usd"], ["orderbooks"]),
        *requests_for(["AAPL", "*", "btc/usd"], ["news"]),
        *requests_for([AAPL_CALL.lower()]),
    )

    assert (coins.stream, coins.symbols) == (StreamName.CRYPTO, ("BTC/USD",))
    assert (news.stream, news.symbols) == (StreamName.NEWS, ("AAPL", "*", "BTCUSD"))
    assert (contract.stream, contract.symbols) == (StreamName.OPTIONS, (AAPL_CALL,))
