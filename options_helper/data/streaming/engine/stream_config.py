"""What to stream, decided before anything connects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import (
    is_coin_pair,
    require_list,
    to_alpaca_symbols,
    to_coin_pairs,
    to_news_symbol,
)
from options_helper.model.contract_symbols import compact_symbol, is_contract_symbol
from options_helper.model.streams import (
    CRYPTO,
    DEFAULT_ACCOUNT,
    DEFAULT_PROVIDER,
    NEWS,
    StreamId,
    StreamName,
    fills_of,
)
from options_helper.settings import CRYPTO_LOCATIONS, OPTION_FEEDS, STOCK_FEEDS


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What is wanted of one stream; the feed's name also for people.

    Symbols in its provider's spelling; Alpaca's may be in any. ConfigError for a channel that its kind has not.
    """

    stream: StreamId
    symbols: tuple[str, ...] = ()
    feed: str = ""
    channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # A list would compare unequal to the same tuple, and an equal config would restart the run.
        object.__setattr__(self, "symbols", _symbols(self.stream, self.symbols))
        object.__setattr__(self, "channels", _channels(self.stream, self.channels))


@dataclass(frozen=True, slots=True)
class LiveStreamConfig:
    """What to stream; equal configs are the same run. Holds no secret.

    Symbols in any spelling; they are kept in Alpaca's, each once, and an empty one is left out. Coins are pairs such as
    `BTC/USD`; `*` in `news` stands for the news of all symbols.

    `symbol_channels` say of some symbols which channels are wanted, in place of their stream's; without channels such a
    symbol is not streamed. `further` are streams beside the default account's own, for a source that has them; those
    with channels are wanted while they have symbols. Of streams that carry orders one is wanted at most: a run has one
    blotter. Of `ending_contracts` the account is asked what became of them, as of those that are streamed. `paper`
    None: the base URL decides. `max_reconnects` None: without end. `queue_maxsize` counts events. ConfigError where it
    cannot work.
    """

    stocks: tuple[str, ...] = ()
    option_contracts: tuple[str, ...] = ()
    stream_stocks: bool = True
    stream_options: bool = True
    stream_fills: bool = True
    stock_feed: str = "iex"
    options_feed: str = "indicative"
    paper: bool | None = None
    max_reconnects: int | None = None
    reconnect_base_seconds: float = 1.0
    reconnect_cap_seconds: float = 60.0
    stall_seconds: float = 60.0
    queue_maxsize: int = 100_000
    fills_cache_size: int = 200
    stock_channels: tuple[str, ...] = ("quotes", "trades")
    option_channels: tuple[str, ...] = ("quotes", "trades")
    crypto: tuple[str, ...] = ()
    crypto_channels: tuple[str, ...] = ("quotes", "trades")
    crypto_location: str = "us"
    news: tuple[str, ...] = ()
    news_channels: tuple[str, ...] = ("news",)
    further: tuple[StreamRequest, ...] = ()
    symbol_channels: tuple[StreamRequest, ...] = ()
    ending_contracts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.stock_feed not in STOCK_FEEDS:
            raise ConfigError(
                f"There is no stock feed {self.stock_feed!r}; choose one of {', '.join(STOCK_FEEDS)}."
            )
        if self.options_feed not in OPTION_FEEDS:
            raise ConfigError(
                f"There is no option feed {self.options_feed!r}; choose one of {', '.join(OPTION_FEEDS)}."
            )
        if self.crypto_location not in CRYPTO_LOCATIONS:
            raise ConfigError(
                f"There is no crypto location {self.crypto_location!r}; choose one of {', '.join(CRYPTO_LOCATIONS)}."
            )
        if self.queue_maxsize < 2 or self.fills_cache_size < 1:
            raise ConfigError("The queue needs room for 2 events or more, the fills cache for 1 or more.")
        # As in a request: an equal config must compare equal.
        object.__setattr__(self, "stocks", to_alpaca_symbols(self.stocks))
        object.__setattr__(self, "option_contracts", to_alpaca_symbols(self.option_contracts))
        object.__setattr__(self, "ending_contracts", to_alpaca_symbols(self.ending_contracts))
        object.__setattr__(self, "stock_channels", _channels(StreamName.STOCKS, self.stock_channels))
        object.__setattr__(self, "option_channels", _channels(StreamName.OPTIONS, self.option_channels))
        object.__setattr__(self, "crypto", _symbols(StreamName.CRYPTO, self.crypto))
        object.__setattr__(self, "crypto_channels", _channels(StreamName.CRYPTO, self.crypto_channels))
        object.__setattr__(self, "news", _symbols(StreamName.NEWS, self.news))
        object.__setattr__(self, "news_channels", _channels(StreamName.NEWS, self.news_channels))
        object.__setattr__(self, "further", tuple(self.further))
        # Who drops a symbol that nothing names says nothing, and programs come and go for weeks.
        changes = (self._of_what_is_named(request) for request in _grouped(self.symbol_channels))
        object.__setattr__(self, "symbol_channels", tuple(one for one in changes if one.symbols))
        self._require_one_request_each()
        for stream in (*StreamName, *(request.stream for request in self.further)):
            if (plain := self._plain(stream)).symbols and not plain.channels:
                raise ConfigError(
                    f"There are symbols for {stream} and no channel; choose from {', '.join(stream.kind.channels)}."
                )

    def _of_what_is_named(self, change: StreamRequest) -> StreamRequest:
        if change.channels:
            return change
        named = set(self._named.get(change.stream, ()))
        return replace(change, symbols=tuple(symbol for symbol in change.symbols if symbol in named))

    def _require_one_request_each(self) -> None:
        further = [request.stream for request in self.further]
        if defaults := [stream for stream in further if stream in set(StreamName)]:
            raise ConfigError(
                f"The stream {defaults[0]} is the default account's: it has fields of its own, "
                "and is no further one."
            )
        if twice := [stream for stream in further if further.count(stream) > 1]:
            raise ConfigError(f"The stream {twice[0]} is asked for twice; put its symbols into one request.")
        carriers = [stream for stream in (*StreamName, *further) if stream.kind.carries_orders]
        if len(wanted := [stream for stream in carriers if self.wants(stream)]) > 1:
            raise ConfigError(
                f"A run shows the orders of one account, not those of {', '.join(wanted)} together; "
                "switch stream_fills off or leave the others out."
            )

    def with_fills_of(self, account: str) -> LiveStreamConfig:
        """The same, where its fills are those of an account that the user has named."""
        if account == DEFAULT_ACCOUNT or not self.stream_fills:
            return self
        fills = StreamRequest(fills_of(account), feed=self.feed(StreamName.FILLS))
        return replace(self, stream_fills=False, further=(*self.further, fills))

    @property
    def orders(self) -> StreamId | None:
        """The stream of an account's orders that is wanted; None: of none."""
        streams = (*StreamName, *(request.stream for request in self.further))
        return next((one for one in streams if one.kind.carries_orders and self.wants(one)), None)

    def without_symbols(self) -> LiveStreamConfig:
        """The same config for any symbols: two that agree in this need no reconnect."""
        further = tuple(replace(request, symbols=()) for request in self.further)
        return replace(
            self,
            stocks=(),
            option_contracts=(),
            crypto=(),
            news=(),
            further=further,
            symbol_channels=(),
            ending_contracts=(),
        )

    def request(self, stream: StreamId) -> StreamRequest:
        """What is wanted of a stream; without symbols while it is switched off, or where nothing is said of it."""
        plain = self._plain(stream)
        if not self.symbol_channels:
            return plain
        return replace(plain, symbols=tuple(self.channels_by_symbol(stream)))

    def channels_by_symbol(self, stream: StreamId) -> dict[str, tuple[str, ...]]:
        """What is wanted of each symbol of a stream, in the order of asking."""
        plain = self._plain(stream)
        wanted = {**dict.fromkeys(plain.symbols, plain.channels), **_of_stream(self.symbol_channels, stream)}
        return {symbol: channels for symbol, channels in wanted.items() if channels}

    def subscribing(self, more: StreamRequest) -> LiveStreamConfig:
        """The same, with these channels of these symbols too; without any named, with the stream's own."""
        stream, wanted = more.stream, self.channels_by_symbol(more.stream)
        added = more.channels or self._plain(stream).channels or stream.kind.channels
        return self._with_channels(stream, {one: (*wanted.get(one, ()), *added) for one in more.symbols})

    def unsubscribing(self, less: StreamRequest) -> LiveStreamConfig:
        """The same, without these channels of these symbols; without any named, without all."""
        wanted, dropped = self.channels_by_symbol(less.stream), less.channels or less.stream.kind.channels
        return self._with_channels(
            less.stream,
            {one: tuple(name for name in wanted.get(one, ()) if name not in dropped) for one in less.symbols},
        )

    def _with_channels(self, stream: StreamId, chosen: Mapping[str, tuple[str, ...]]) -> LiveStreamConfig:
        changed = (StreamRequest(stream, (symbol,), channels=channels) for symbol, channels in chosen.items())
        return replace(self, symbol_channels=(*self.symbol_channels, *changed))

    def keeping_changes_of(self, before: LiveStreamConfig) -> LiveStreamConfig:
        """The same with what was subscribed to and unsubscribed from under another config.

        What this one names itself, and that did not, is streamed in any case.
        """
        kept = []
        for stream in dict.fromkeys(request.stream for request in before.symbol_channels):
            plain, named_before = self._plain(stream), before._plain(stream).symbols
            for symbol, channels in _of_stream(before.symbol_channels, stream).items():
                is_new = symbol in plain.symbols and symbol not in named_before
                wanted = (*channels, *plain.channels) if is_new else channels
                kept.append(StreamRequest(stream, (symbol,), channels=wanted))
        return replace(self, symbol_channels=(*kept, *self.symbol_channels))

    def _plain(self, stream: StreamId) -> StreamRequest:
        """What is wanted of a stream's symbols of which nothing else is said."""
        match stream:
            case StreamName.STOCKS:
                symbols = self.stocks if self.stream_stocks else ()
                return StreamRequest(stream, symbols, self.stock_feed, self.stock_channels)
            case StreamName.OPTIONS:
                symbols = self.option_contracts if self.stream_options else ()
                return StreamRequest(stream, symbols, self.options_feed, self.option_channels)
            case StreamName.FILLS:
                return StreamRequest(stream, feed="trading")
            case StreamName.CRYPTO:
                return StreamRequest(stream, self.crypto, self.crypto_location, self.crypto_channels)
            case StreamName.NEWS:
                return StreamRequest(stream, self.news, "news", self.news_channels)
            case _:
                return self._further(stream) or StreamRequest(stream)

    def _further(self, stream: StreamId) -> StreamRequest | None:
        return next((request for request in self.further if request.stream == stream), None)

    def symbols(self, stream: StreamId) -> tuple[str, ...]:
        """The symbols of a stream; none while it is switched off."""
        return self.request(stream).symbols

    def channels(self, stream: StreamId) -> tuple[str, ...]:
        """The channels of a stream."""
        return self.request(stream).channels

    def feed(self, stream: StreamId) -> str:
        """The feed's name, for people."""
        return self.request(stream).feed

    def wants(self, stream: StreamId) -> bool:
        """Whether there is anything to stream."""
        if stream.kind.channels:
            return bool(self.symbols(stream))
        return self.stream_fills if stream == StreamName.FILLS else self._further(stream) is not None

    @property
    def book_symbols(self) -> dict[str, StreamId]:
        """Whose order books are wanted, each with the stream that brings it."""
        streams = (*StreamName, *(request.stream for request in (*self.further, *self.symbol_channels)))
        return {
            symbol: stream
            for stream in streams
            for symbol, channels in self.channels_by_symbol(stream).items()
            if stream.kind.book_channel in channels
        }

    @property
    def every_symbol(self) -> tuple[str, ...]:
        """Of all streams that have prices together, whether they are switched on or not."""
        streams = dict.fromkeys((*self._named, *(change.stream for change in self.symbol_channels)))
        with_prices = [stream for stream in streams if stream.kind is not NEWS]
        return tuple(dict.fromkeys(symbol for stream in with_prices for symbol in self._left_of(stream)))

    def _left_of(self, stream: StreamId) -> Iterator[str]:
        """What is named or was subscribed to of a stream, without what was unsubscribed from of this one."""
        changes = _of_stream(self.symbol_channels, stream)
        for symbol in (*self._named.get(stream, ()), *changes):
            if changes.get(symbol, True):
                yield symbol

    @property
    def _named(self) -> dict[StreamId, tuple[str, ...]]:
        """The symbols that the fields name of each stream, switched on or not."""
        return {
            StreamName.STOCKS: self.stocks,
            StreamName.OPTIONS: self.option_contracts,
            StreamName.CRYPTO: self.crypto,
            StreamName.NEWS: self.news,
            **{request.stream: request.symbols for request in self.further},
        }


def requests_for(
    symbols: Iterable[str], channels: Iterable[str] = (), stream: StreamId | None = None
) -> tuple[StreamRequest, ...]:
    """These symbols on these channels, each asked of the stream that carries it, or all of the one that is named.

    A contract goes to options, a pair such as `BTC/USD` to crypto, the channel "news" to news, and the rest to stocks.
    ConfigError for a channel that the stream has not.
    """
    channels = tuple(require_list(channels, "channels"))
    by_stream: dict[StreamId, list[str]] = {}
    for symbol in require_list(symbols, "symbols"):
        by_stream.setdefault(stream or _carrier(symbol, channels), []).append(symbol)
    return tuple(StreamRequest(of, tuple(found), channels=channels) for of, found in by_stream.items())


def _carrier(symbol: str, channels: tuple[str, ...]) -> StreamId:
    if channels and set(channels) <= set(NEWS.channels):
        return StreamName.NEWS
    if is_coin_pair(symbol.strip().upper()):
        return StreamName.CRYPTO
    is_contract = is_contract_symbol(compact_symbol(symbol.strip().upper()))
    return StreamName.OPTIONS if is_contract else StreamName.STOCKS


def _symbols(stream: StreamId, symbols: Iterable[str]) -> tuple[str, ...]:
    """Each once, in order, none empty; of Alpaca's streams in its spelling."""
    if stream.kind is CRYPTO:
        return to_coin_pairs(symbols)
    if stream.kind is NEWS:
        return tuple(dict.fromkeys(map(to_news_symbol, to_alpaca_symbols(symbols))))
    if stream.provider == DEFAULT_PROVIDER:
        return to_alpaca_symbols(symbols)
    return tuple(dict.fromkeys(filter(None, require_list(symbols, "symbols"))))


def _grouped(requests: Iterable[StreamRequest]) -> tuple[StreamRequest, ...]:
    """As few requests as say the same, in order of the symbols; of a symbol that is in several, the last one counts."""
    requests = tuple(requests)
    grouped: list[StreamRequest] = []
    for stream in dict.fromkeys(request.stream for request in requests):
        if not stream.kind.channels:
            raise ConfigError(f"The stream {stream} has neither symbols nor channels to choose.")
        by_channels: dict[tuple[str, ...], list[str]] = {}
        for symbol, channels in sorted(_of_stream(requests, stream).items()):
            in_order = tuple(name for name in stream.kind.channels if name in channels)
            by_channels.setdefault(in_order, []).append(symbol)
        grouped += (
            StreamRequest(stream, tuple(symbols), channels=channels)
            for channels, symbols in by_channels.items()
        )
    return tuple(grouped)


def _of_stream(requests: Iterable[StreamRequest], stream: StreamId) -> dict[str, tuple[str, ...]]:
    """Channels by symbol."""
    return {
        symbol: request.channels
        for request in requests
        if request.stream == stream
        for symbol in request.symbols
    }


def _channels(stream: StreamId, channels: Iterable[str]) -> tuple[str, ...]:
    """Each once, in order; ConfigError for one that the stream's kind has not."""
    chosen = tuple(dict.fromkeys(require_list(channels, "channels")))
    offered = stream.kind.channels
    if unknown := [channel for channel in chosen if channel not in offered]:
        raise ConfigError(
            f"There is no channel {unknown[0]!r} of {stream}; choose from {', '.join(offered)}."
            if offered
            else f"The stream {stream} has no channels to choose; leave them out."
        )
    return chosen
