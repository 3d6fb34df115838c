"""What is to be streamed and shown after symbols were subscribed to and unsubscribed from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig, requests_for
from options_helper.model.streams import BOOKS, StreamId, StreamName

CONFIG = LiveStreamConfig(stocks=("AAPL",), stream_fills=False)


def more(config: LiveStreamConfig, symbol: str, *channels: str) -> LiveStreamConfig:
    for request in requests_for([symbol], channels):
        config = config.subscribing(request)
    return config


def less(config: LiveStreamConfig, symbol: str, *channels: str) -> LiveStreamConfig:
    for request in requests_for([symbol], channels):
        config = config.unsubscribing(request)
    return config


def test_a_share_whose_news_are_not_wanted_any_more_is_still_shown():
    config = less(more(CONFIG, "AAPL", "news"), "AAPL", "news")

    assert config.symbols(StreamName.STOCKS) == ("AAPL",)
    assert config.every_symbol == ("AAPL",)


def test_the_symbols_of_a_stream_that_is_switched_off_are_shown_until_they_are_unsubscribed_from():
    off = LiveStreamConfig(stocks=("AAPL", "MSFT"), stream_stocks=False)

    assert off.every_symbol == ("AAPL", "MSFT")
    assert less(off, "AAPL").every_symbol == ("MSFT",)


def test_a_symbol_that_is_asked_of_two_streams_is_shown_while_one_brings_it():
    elsewhere = StreamId(BOOKS, "breeze")
    config = CONFIG
    for request in requests_for(["AAPL"], stream=elsewhere):
        config = config.subscribing(request).unsubscribing(request)

    assert config.every_symbol == ("AAPL",)


def test_symbols_that_come_and_go_leave_nothing_behind():
    config = CONFIG
    for number in range(20):
        config = less(more(config, f"S{number}", "quotes"), f"S{number}")

    assert config == CONFIG


steps = st.lists(
    st.tuples(
        st.sampled_from([more, less]),
        st.sampled_from(["AAPL", "MSFT", "BTC/USD"]),
        st.sampled_from([(), ("quotes",), ("trades",)]),
    )
    | st.tuples(st.sampled_from([more, less]), st.sampled_from(["AAPL", "MSFT"]), st.just(("news",))),
    max_size=8,
)


@given(steps)
def test_what_is_streamed_with_prices_is_shown_and_nothing_else(taken):
    config = CONFIG
    for change, symbol, channels in taken:
        config = change(config, symbol, *channels)

    streamed = {
        symbol
        for stream in (StreamName.STOCKS, StreamName.OPTIONS, StreamName.CRYPTO)
        for symbol in config.symbols(stream)
    }
    assert set(config.every_symbol) == streamed
