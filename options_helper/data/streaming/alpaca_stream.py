"""Alpaca's market-data streams (stocks, options, crypto, news), one connection each, through alpaca-py."""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, assert_never

from options_helper.clock import utc_now_ns
from options_helper.data.sdk_import import sdk_class
from options_helper.data.streaming.connection.alpaca_sdk import (
    DEFAULT_TIMING,
    ConnectionTiming,
    SdkConnection,
)
from options_helper.data.streaming.connection.connection_runner import (
    ConnectionRunner,
    Handler,
    LoggingSink,
    StreamSink,
    require_handlers,
)
from options_helper.data.streaming.connection.conversation import (
    Ask,
    GiveUp,
    MarketConversation,
    Report,
    Wait,
)
from options_helper.data.streaming.connection.subscription_protocol import Request
from options_helper.data.streaming.messages import Message, count_messages, decode_frame, split_control
from options_helper.model.alpaca_symbols import require_list, to_alpaca_symbols, to_coin_pairs
from options_helper.model.events import Bar, Quote, Trade, stamp
from options_helper.model.streams import CRYPTO, NEWS, OPTIONS, STOCKS
from options_helper.settings import (
    NEWS_STREAM_PATH,
    Settings,
    crypto_stream_path,
    option_stream_path,
    stock_stream_path,
)


class _AlpacaDataStreamer(ConnectionRunner[SdkConnection]):
    """What the market-data streams share."""

    _channels: tuple[str, ...]
    _default_channels: tuple[str, ...] = ("quotes", "trades")

    def __init__(
        self,
        settings: Settings,
        *,
        feed: str,
        sink: StreamSink | None = None,
        stream_cls: type[Any] | None = None,
        on_bars: Handler | None = None,
        on_trades: Handler | None = None,
        on_quotes: Handler | None = None,
        timing: ConnectionTiming = DEFAULT_TIMING,
    ) -> None:
        super().__init__(feed, timing)
        require_handlers(on_bars=on_bars, on_trades=on_trades, on_quotes=on_quotes)
        # Of the account whose keys open market data, whoever's orders are followed beside them.
        self._settings = settings.market_data
        self._settings.require_credentials()
        self._feed = feed
        self._sink = sink or LoggingSink()
        self._stream_cls = stream_cls
        self._handlers: dict[type[Any], Handler | None] = {Bar: on_bars, Trade: on_trades, Quote: on_quotes}
        # Guarded by self._conversation_lock: changed by subscribe() on any thread and by the answers on the stream's.
        self._conversation_lock = threading.Lock()
        self._conversation = MarketConversation(feed)

    def subscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Stream these symbols too, on these channels (default: quotes and trades); before or during `run`.

        They may be spelled in any way; an empty one is passed over. Never waits: the server's answer reaches the sink.
        ValueError for a channel that the feed does not have, ConfigError for a text in place of a list.
        """
        chosen, wanted = self._checked(channels), self._spelled(symbols)
        with self._conversation_lock:
            self._conversation.subscriptions.want(wanted, chosen)
        self.wake()

    def unsubscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Stream these symbols no longer on these channels (default: all); what was not streamed is passed over."""
        chosen = self._channels if channels is None else self._checked(channels)
        unwanted = self._spelled(symbols)
        with self._conversation_lock:
            self._conversation.subscriptions.unwant(unwanted, chosen)
        self.wake()

    def renew(self, symbols: Iterable[str], channel: str) -> None:
        """Leave those of these that are streamed on this channel and take them again; what is not is passed over."""
        (chosen,), renewed = self._checked((channel,)), self._spelled(symbols)
        with self._conversation_lock:
            self._conversation.subscriptions.renew(renewed, chosen)
        self.wake()

    def _checked(self, channels: Sequence[str] | None) -> tuple[str, ...]:
        chosen = self._default_channels if channels is None else tuple(require_list(channels, "channels"))
        for channel in chosen:
            if channel not in self._channels:
                raise ValueError(
                    f"the {self._feed} feed has no channel {channel!r}, only {', '.join(self._channels)}"
                )
        return chosen

    @staticmethod
    def _spelled(symbols: Iterable[str]) -> tuple[str, ...]:
        return to_alpaca_symbols(symbols)

    @abstractmethod
    def _make_sdk_stream(self, api_key: str, api_secret: str, websocket_params: dict[str, Any]) -> Any:
        """The SDK's stream object for this feed."""

    def _new_connection(self) -> SdkConnection:
        key, secret = self._settings.require_credentials()
        return SdkConnection(
            lambda parameters: self._make_sdk_stream(key, secret, parameters),
            self._feed,
            self._timing,
            compression=self._settings.compression,
        )

    async def _communicate(
        self, connection: SdkConnection, news: asyncio.Event, ended: asyncio.Task[None]
    ) -> None:
        with self._conversation_lock:
            self._conversation.begin()
        self._sink.connected(connection.announcement)
        deliver = self._delivery()
        has_handlers = any(self._handlers.values())
        connection.listen(
            lambda message: self._receive(message, news, deliver),
            # They are called on this loop, and each as soon as can be.
            may_wait=None if has_handlers else self._sink.may_wait,
        )
        due: float | None = None
        while True:
            with self._conversation_lock:
                step = self._conversation.next_step()
            match step:
                case Ask(request):
                    await self._send_request(connection, request)
                    due = self._answer_due()
                case Report():
                    self._sink.answered(step.asked_channels, step.held_channels)
                    self._sink.subscribed(step.requested, step.acknowledged, step.refusals)
                case GiveUp(error):
                    raise error
                case Wait(awaits_answer):
                    await self._next_news(news, due=due if awaits_answer else None)
                    if ended.done() and self._conversation.failure is None:
                        raise connection.loss()
                case _:
                    assert_never(step)

    async def _send_request(self, connection: SdkConnection, request: Request) -> None:
        if request.action == "subscribe":
            await connection.subscribe(dict.fromkeys(request.channels, request.symbols))
            return
        (channel,) = request.channels
        await connection.unsubscribe(channel, request.symbols)

    def _receive(self, message: Message, news: asyncio.Event, deliver: Callable[[bytes], None]) -> None:
        """Take one message: answers of the server are handled here, data is delivered. On the loop's thread."""
        payload = message.encode() if isinstance(message, str) else message
        control, data = split_control(payload)
        for answer in control:
            with self._conversation_lock:
                complaint = self._conversation.hear(answer)
            if complaint is not None:
                self._sink.notice(complaint)
            news.set()
        if data is not None:
            deliver(data)

    def _delivery(self) -> Callable[[bytes], None]:
        frame = self._sink.frame
        if not any(self._handlers.values()):
            return lambda data: frame(data, count_messages(data))

        def deliver(data: bytes) -> None:
            frame(data, count_messages(data))
            self._call_handlers(data)

        return deliver

    def _call_handlers(self, data: bytes) -> None:
        received_ns = utc_now_ns()
        events, rejected, _ = decode_frame(data)
        for reason in rejected:
            self._troubles.note("a message could not be read", "a message could not be read (%s)", reason)
        for event in events:
            stamp(event, received_ns)
            for event_type, handler in self._handlers.items():
                if handler is not None and isinstance(event, event_type):
                    self._caller.call(handler, event)


class AlpacaStockStreamer(_AlpacaDataStreamer):
    """Quotes, trades and bars of stocks from one of the feeds iex, sip, delayed_sip, boats, overnight, test.

    `run` holds one connection and blocks; events go to the sink as raw frames and to the handlers as `Quote`,
    `Trade` and `Bar`. Handlers may be functions or coroutine functions; they run on the stream's thread.
    """

    _channels = STOCKS.channels

    def _make_sdk_stream(self, api_key: str, api_secret: str, websocket_params: dict[str, Any]) -> Any:
        stream_cls = self._stream_cls or stock_stream_class()
        # The SDK knows only two feeds by name; every feed is reached by its address.
        return stream_cls(
            api_key,
            api_secret,
            raw_data=True,
            websocket_params=websocket_params,
            url_override=self._settings.stream_url + stock_stream_path(self._feed),
        )


class AlpacaOptionStreamer(_AlpacaDataStreamer):
    """Quotes and trades of option contracts from the feed indicative or opra; otherwise as the stock streamer."""

    _channels = OPTIONS.channels

    def _make_sdk_stream(self, api_key: str, api_secret: str, websocket_params: dict[str, Any]) -> Any:
        stream_cls = self._stream_cls or option_stream_class()
        return stream_cls(
            api_key,
            api_secret,
            raw_data=True,
            websocket_params=websocket_params,
            url_override=self._settings.stream_url + option_stream_path(self._feed),
        )


class AlpacaCryptoStreamer(_AlpacaDataStreamer):
    """Quotes, trades, bars and order books of coins (`BTC/USD`) from us, us-1 or eu-1; else as the stock streamer."""

    _channels = CRYPTO.channels

    def __init__(self, settings: Settings, *, location: str = "us", **arguments: Any) -> None:
        super().__init__(settings, feed=f"crypto {location}", **arguments)
        self._path = crypto_stream_path(location)

    @staticmethod
    def _spelled(symbols: Iterable[str]) -> tuple[str, ...]:
        return to_coin_pairs(symbols)

    def _make_sdk_stream(self, api_key: str, api_secret: str, websocket_params: dict[str, Any]) -> Any:
        stream_cls = self._stream_cls or crypto_stream_class()
        # The SDK knows one place by name; every place is reached by its address.
        return stream_cls(
            api_key,
            api_secret,
            raw_data=True,
            websocket_params=websocket_params,
            url_override=self._settings.stream_url + self._path,
        )


class AlpacaNewsStreamer(_AlpacaDataStreamer):
    """Articles about symbols, or about all with `*`; otherwise as the stock streamer."""

    _channels = NEWS.channels
    _default_channels = NEWS.channels

    def __init__(self, settings: Settings, **arguments: Any) -> None:
        super().__init__(settings, feed="news", **arguments)

    def _make_sdk_stream(self, api_key: str, api_secret: str, websocket_params: dict[str, Any]) -> Any:
        stream_cls = self._stream_cls or news_stream_class()
        return stream_cls(
            api_key,
            api_secret,
            raw_data=True,
            websocket_params=websocket_params,
            url_override=self._settings.stream_url + NEWS_STREAM_PATH,
        )


def stock_stream_class() -> type[Any]:
    """alpaca-py's stock stream, imported on first use."""
    return sdk_class("alpaca.data.live", "StockDataStream")


def option_stream_class() -> type[Any]:
    """alpaca-py's option stream, imported on first use."""
    return sdk_class("alpaca.data.live", "OptionDataStream")


def crypto_stream_class() -> type[Any]:
    """alpaca-py's crypto stream, imported on first use."""
    return sdk_class("alpaca.data.live", "CryptoDataStream")


def news_stream_class() -> type[Any]:
    """alpaca-py's news stream, imported on first use."""
    return sdk_class("alpaca.data.live", "NewsDataStream")
