"""Where streams come from: what a source offers and how a connection of each is made; Alpaca's is the default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from options_helper.data.streaming.alpaca_stream import (
    AlpacaCryptoStreamer,
    AlpacaNewsStreamer,
    AlpacaOptionStreamer,
    AlpacaStockStreamer,
)
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.connection.connection_runner import Streamer, StreamSink
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.messages import Decode, decode_frame
from options_helper.errors import ConfigError
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId, StreamName, fills_of
from options_helper.settings import Settings


class SymbolStreamer(Streamer, Protocol):
    """A connection whose symbols can be changed, before and during its life, from any thread; it never waits."""

    def subscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Stream these symbols too."""

    def unsubscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Stream these symbols no longer, on these channels or on all."""

    def renew(self, symbols: Iterable[str], channel: str) -> None:
        """Leave those of these that are streamed on this channel and take them again: their whole books come then."""


class StreamSource(Protocol):
    """Offers streams. What it needs for them (keys, an address, nothing) is its own business."""

    @property
    def streams(self) -> Sequence[StreamId]:
        """Those it has, in the order in which they are started."""

    def check(self, settings: Settings) -> None:
        """Raise ConfigError when it cannot run with these settings; asks nobody, so it is quick."""

    def streamer(
        self, stream: StreamId, settings: Settings, config: LiveStreamConfig, sink: StreamSink
    ) -> Streamer:
        """One connection's life, not begun; a `SymbolStreamer`, without symbols yet, where the kind has channels."""

    def decoder(self, stream: StreamId) -> Decode:
        """What reads its frames; it never raises. Not asked of streams that carry orders."""


@dataclass(frozen=True, slots=True)
class AlpacaSource:
    """Alpaca's streams of one account; tests put other classes in their place."""

    stocks: Callable[..., Any] = AlpacaStockStreamer
    options: Callable[..., Any] = AlpacaOptionStreamer
    fills: Callable[..., Any] = AlpacaTradingStreamer
    crypto: Callable[..., Any] = AlpacaCryptoStreamer
    news: Callable[..., Any] = AlpacaNewsStreamer

    @property
    def streams(self) -> tuple[StreamId, ...]:
        """Stocks, options, fills, crypto and news."""
        return tuple(StreamName)

    def check(self, settings: Settings) -> None:
        """It needs keys."""
        settings.require_credentials()

    def streamer(
        self, stream: StreamId, settings: Settings, config: LiveStreamConfig, sink: StreamSink
    ) -> Streamer:
        """A fresh streamer of that class."""
        match StreamName(stream):
            case StreamName.STOCKS:
                return self.stocks(settings, feed=config.stock_feed, sink=sink)  # type: ignore[no-any-return]
            case StreamName.OPTIONS:
                return self.options(settings, feed=config.options_feed, sink=sink)  # type: ignore[no-any-return]
            case StreamName.FILLS:
                streamer = self.fills(settings, paper=config.paper, sink=sink)
                streamer.subscribe_trade_updates()
                return streamer  # type: ignore[no-any-return]
            case StreamName.CRYPTO:
                return self.crypto(settings, location=config.crypto_location, sink=sink)  # type: ignore[no-any-return]
            case StreamName.NEWS:
                return self.news(settings, sink=sink)  # type: ignore[no-any-return]

    def decoder(self, stream: StreamId) -> Decode:  # noqa: ARG002 - the same for each
        """All of Alpaca's market data come as MessagePack."""
        return decode_frame


class _WithoutMarket:
    """A sink that is not told of a server's market: whose clock and kind the run goes by, another source says."""

    def __init__(self, sink: StreamSink) -> None:
        self._sink = sink
        self.subscribed = sink.subscribed
        self.answered = sink.answered
        self.frame = sink.frame
        self.notice = sink.notice
        self.invite = sink.invite
        self.may_wait = sink.may_wait

    def connected(self, announcement: str | None) -> None:  # noqa: ARG002 - it is not passed on
        """Connected, and nothing more."""
        self._sink.connected(None)


@dataclass(frozen=True, slots=True)
class JoinedSources:
    """The streams of one source and of others beside it, in one run.

    The first has to be able to run, and says what market this is. Of the others each stream says for itself, by
    failing, what it lacks: that one provider is not set up ends none of another's streams.
    """

    first: StreamSource
    others: tuple[StreamSource, ...]

    @property
    def streams(self) -> tuple[StreamId, ...]:
        """The first one's, and then the others'."""
        return tuple(stream for source in (self.first, *self.others) for stream in source.streams)

    def check(self, settings: Settings) -> None:
        """The first one's needs."""
        self.first.check(settings)

    def streamer(
        self, stream: StreamId, settings: Settings, config: LiveStreamConfig, sink: StreamSink
    ) -> Streamer:
        """As the source makes it that has the stream."""
        source = self._source_of(stream)
        told = sink if source is self.first else _WithoutMarket(sink)
        return source.streamer(stream, settings, config, told)

    def decoder(self, stream: StreamId) -> Decode:
        """That of the source that has the stream."""
        return self._source_of(stream).decoder(stream)

    def _source_of(self, stream: StreamId) -> StreamSource:
        return next((source for source in self.others if stream in source.streams), self.first)


@dataclass(frozen=True, slots=True)
class NamedAccount:
    """The same streams, where those that carry orders are called by the account that the user has named."""

    source: StreamSource
    account: str

    @property
    def streams(self) -> tuple[StreamId, ...]:
        """As the source has them, under these names."""
        own = fills_of(self.account)
        return tuple(own if stream == StreamName.FILLS else stream for stream in self.source.streams)

    def check(self, settings: Settings) -> None:
        """The source's needs."""
        self.source.check(settings)

    def streamer(
        self, stream: StreamId, settings: Settings, config: LiveStreamConfig, sink: StreamSink
    ) -> Streamer:
        """As the source makes it."""
        plain = StreamName.FILLS if stream == fills_of(self.account) else stream
        return self.source.streamer(plain, settings, config, sink)

    def decoder(self, stream: StreamId) -> Decode:
        """The source's own."""
        return self.source.decoder(stream)


def named_source(source: StreamSource, account: str) -> StreamSource:
    """The source for an account; the only one there is needs no name."""
    return source if account == DEFAULT_ACCOUNT else NamedAccount(source, account)


def require_offered(config: LiveStreamConfig, source: StreamSource) -> None:
    """Raise ConfigError where the config wants a stream that the source does not have."""
    offered = set(source.streams)
    wanted = (*StreamName, *(request.stream for request in config.further))
    if missing := [stream for stream in wanted if config.wants(stream) and stream not in offered]:
        raise ConfigError(
            f"This source has no stream {', '.join(missing)}; it has {', '.join(source.streams)}. "
            "Switch the others off."
        )
