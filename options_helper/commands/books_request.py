"""What the command line asks of order books: whose, of which provider, and how they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from options_helper.commands.book_providers import BookProvider
from options_helper.commands.books_run import BooksRequest
from options_helper.commands.capture_options import read_seconds
from options_helper.data.recording.book_recorder import BookSampling
from options_helper.data.streaming.engine.stream_config import StreamRequest
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import to_coin_pairs
from options_helper.model.announcement import MarketKind
from options_helper.model.streams import StreamName
from options_helper.settings import BreezeSettings
from options_helper.simulator.invented_books import INVENTED, InventedBooks


def read_book_symbols(provider: BookProvider, texts: Sequence[str]) -> tuple[str, ...]:
    """Symbols as the provider spells them, each once; ConfigError for what is none, or where there is none."""
    parts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    if not parts:
        raise ConfigError("--symbols: name those whose books you want, such as BTC/USD,ETH/USD.")
    match provider:
        case BookProvider.ALPACA_CRYPTO:
            symbols = to_coin_pairs(parts)
            if "*" in symbols:
                raise ConfigError("--symbols: name each pair; a ladder of every coin fits no screen.")
            return symbols
        case BookProvider.BREEZE:
            return tuple(dict.fromkeys(part.upper() for part in parts))
        case _:
            assert_never(provider)


def read_sampling(levels: int, interval: str) -> BookSampling:
    """How many levels, and how often; ConfigError for what cannot be."""
    return BookSampling(levels, read_seconds("--interval", interval) or 1.0)


def books_request(
    provider: BookProvider,
    symbols: tuple[str, ...],
    location: str,
    sampling: BookSampling,
    duration_seconds: float | None,
) -> BooksRequest:
    """What to stream from where; ConfigError where it cannot be."""
    match provider:
        case BookProvider.ALPACA_CRYPTO:
            config = LiveStreamConfig(
                stream_fills=False,
                crypto=symbols,
                crypto_channels=("orderbooks",),
                crypto_location=location,
            )
            return BooksRequest(
                AlpacaSource(),
                StreamName.CRYPTO,
                config,
                f"alpaca crypto {location}",
                sampling,
                duration_seconds,
            )
        case BookProvider.BREEZE:
            return _breeze_request(symbols, sampling, duration_seconds)
        case _:
            assert_never(provider)


def _breeze_request(
    symbols: tuple[str, ...], sampling: BookSampling, duration_seconds: float | None
) -> BooksRequest:
    from options_helper.data.streaming.breeze.source import BREEZE_BOOKS, BreezeSource, breeze_request

    config = LiveStreamConfig(stream_fills=False, further=(breeze_request(symbols),))
    market = str(MarketKind.LOCAL) if BreezeSettings.load().local_market else BREEZE_BOOKS.provider
    return BooksRequest(BreezeSource(), BREEZE_BOOKS, config, "breeze", sampling, duration_seconds, market)


def invented_request(
    provider: BookProvider,
    symbols: tuple[str, ...],
    seed: int,
    sampling: BookSampling,
    duration_seconds: float | None,
) -> BooksRequest:
    """Invented books in the form in which that provider sends them; nothing is connected."""
    source = InventedBooks(seed, whole=provider is BookProvider.BREEZE)
    request = StreamRequest(INVENTED, symbols, feed="invented", channels=("depth",))
    config = LiveStreamConfig(stream_fills=False, further=(request,))
    label, market = f"invented, seed {seed}", str(MarketKind.SIMULATED)
    return BooksRequest(source, INVENTED, config, label, sampling, duration_seconds, market)
