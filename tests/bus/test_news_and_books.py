"""News, halts and order books on a bus: what an owner has of them, whoever follows has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.owner import AnnouncedSource, BusOwner
from options_helper.bus.streamer import NO_BOOKS
from options_helper.bus.term_carrier import Owner
from options_helper.bus.viewer import BusManager
from options_helper.clock import utc_now_ns
from options_helper.commands.serve_run import ServeRequest, served_config
from options_helper.data.streaming.engine.stream_config import StreamRequest
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.model.order_book import BookState
from options_helper.model.streams import StreamId, StreamName
from options_helper.settings import Settings
from tests.bus.test_viewer import WELL, viewing
from tests.kit.books import book_message
from tests.kit.bus import NatsServer, nats_server
from tests.kit.fakes import SETTINGS, ScriptedSource, ScriptedStreams, acknowledge, deliver, frame
from tests.kit.news import news_message
from tests.kit.waiting import wait_until

CRYPTO, NEWS, STOCKS = StreamName.CRYPTO, StreamName.NEWS, StreamName.STOCKS
NOTHING: dict[StreamId, tuple[str, ...]] = {
    StreamName.OPTIONS: (),
    StreamName.STOCKS: (),
    CRYPTO: (),
    NEWS: (),
}
OF_BOOKS = LiveStreamConfig(
    stream_stocks=False,
    stream_options=False,
    stream_fills=False,
    symbol_channels=(StreamRequest(CRYPTO, ("BTC/USD", "ETH/USD"), channels=("orderbooks",)),),
)


def of_news(*symbols: str) -> LiveStreamConfig:
    return LiveStreamConfig(stream_stocks=False, stream_options=False, stream_fills=False, news=symbols)


@contextmanager
def owning(
    nats: NatsServer,
    config: LiveStreamConfig,
    *payloads: bytes,
    limits: Mapping[StreamId, int | None] = MappingProxyType({NEWS: None}),
) -> Iterator[BusOwner]:
    """An owner whose streams of news and of coins bring these."""
    scripts = {one: ScriptedStreams([acknowledge(), deliver(*payloads)]) for one in (CRYPTO, NEWS)}
    source = AnnouncedSource(ScriptedSource(dict(scripts)))
    owner = BusOwner(
        nats.address, Owner("here", 1, utc_now_ns()), source.streams, now_ns=utc_now_ns, limits=limits
    )
    manager = LiveStreamManager(SETTINGS, source=source, rest_cls=None, carry=owner.carry)
    owner.open()
    owner.tell_of(manager.snapshot)
    manager.start(config)
    try:
        yield owner
    finally:
        manager.stop()
        owner.close()


def headlines(viewer: BusManager) -> list[str]:
    return [one.headline for one in viewer.snapshot().news]


def test_each_viewer_shows_the_news_of_what_it_wants():
    articles = frame(
        news_message(1, "Apple opens a shop", symbols=("AAPL",)),
        news_message(2, "A chain closes one", symbols=("MSFT", "TSLA")),
    )
    with (
        nats_server() as nats,
        owning(nats, of_news("*"), articles),
        viewing(nats.address, config=of_news("AAPL")) as one,
        viewing(nats.address, config=of_news("*")) as everything,
    ):
        wait_until(lambda: len(headlines(everything)) == 2, saw=lambda: everything.snapshot().news)
        wait_until(lambda: headlines(one) == ["Apple opens a shop"], saw=lambda: one.snapshot().news)


def test_what_viewers_want_news_of_is_wanted_of_the_owner():
    with (
        nats_server() as nats,
        owning(nats, of_news("MSFT")) as owner,
        viewing(nats.address, config=of_news("AAPL", "*")),
    ):
        wait_until(lambda: set(owner.unite({NEWS: ("MSFT",)})[NEWS]) == {"MSFT", "AAPL", "*"})


def test_order_books_are_the_owners_and_those_that_it_has_not_are_refused_with_the_remedy():
    book = frame(book_message({100.0: 1.0, 99.0: 2.0}, {101.0: 3.0}, reset=True))
    only_btc = LiveStreamConfig(
        stream_stocks=False,
        stream_options=False,
        stream_fills=False,
        symbol_channels=(StreamRequest(CRYPTO, ("BTC/USD",), channels=("orderbooks",)),),
    )
    with (
        nats_server() as nats,
        owning(nats, only_btc, book),
        viewing(nats.address, config=OF_BOOKS) as viewer,
    ):
        wait_until(
            lambda: (found := viewer.snapshot().books.get("BTC/USD")) and found.state is BookState.SYNCED,
            saw=lambda: viewer.snapshot().books,
        )
        found = viewer.snapshot().books["BTC/USD"]
        assert [(level.price, level.size) for level in found.bids] == [(100.0, 1.0), (99.0, 2.0)]
        wait_until(
            lambda: viewer.snapshot().streams[CRYPTO].refused_symbols == ("ETH/USD",),
            saw=lambda: viewer.snapshot().streams[CRYPTO],
        )
        wait_until(lambda: viewer.snapshot().streams[CRYPTO].phase in WELL)
        assert viewer.snapshot().streams[CRYPTO].acknowledged == ("BTC/USD",)
    assert "--books" in NO_BOOKS


def test_order_books_and_halts_that_a_viewer_wants_are_wanted_of_the_owner_and_not_refused():
    wanted = LiveStreamConfig(
        stocks=("SPY", "TSLA"),
        stream_options=False,
        stream_fills=False,
        symbol_channels=(
            StreamRequest(CRYPTO, ("ETH/USD",), channels=("orderbooks",)),
            StreamRequest(STOCKS, ("SPY",), channels=("quotes", "trades", "statuses")),
        ),
    )
    with (
        nats_server() as nats,
        owning(nats, of_news("MSFT"), limits={CRYPTO: None, STOCKS: 1}) as owner,
        viewing(nats.address, config=wanted) as viewer,
    ):
        wait_until(
            lambda: (
                (owner.on_demand[CRYPTO], owner.on_demand[STOCKS])
                == ({"orderbooks": ("ETH/USD",)}, {"statuses": ("SPY",)})
            ),
            saw=lambda: owner.on_demand,
        )
        wait_until(lambda: viewer.snapshot().streams[STOCKS].refused_symbols == ("TSLA",))
        wait_until(lambda: viewer.snapshot().streams[CRYPTO].refused_symbols == ())


def test_what_is_wanted_besides_is_in_the_owners_streams_beside_its_own():
    request = ServeRequest(BusAddress.parse("nats://127.0.0.1"), books=("BTC/USD",))
    config = served_config(
        request,
        Settings(),
        {**NOTHING, STOCKS: ("SPY", "TSLA"), CRYPTO: ("ETH/USD",)},
        {CRYPTO: {"orderbooks": ("ETH/USD",)}, STOCKS: {"statuses": ("SPY", "GONE"), "lulds": ("SPY",)}},
    )

    assert config.channels_by_symbol(STOCKS) == {
        "SPY": ("quotes", "trades", "bars", "statuses", "lulds"),
        "TSLA": ("quotes", "trades", "bars"),
    }
    assert config.channels_by_symbol(CRYPTO) == {
        "BTC/USD": ("orderbooks",),
        "ETH/USD": ("quotes", "trades", "orderbooks"),
    }


@pytest.mark.parametrize("halts", [False, True])
def test_what_serve_is_told_to_stream_besides_is_in_its_streams(halts: bool):  # noqa: FBT001 - what is tried
    request = ServeRequest(
        BusAddress.parse("nats://127.0.0.1"), news=("AAPL",), halts=halts, books=("BTC/USD", "ETH/USD")
    )
    config = served_config(
        request, Settings(), {**NOTHING, STOCKS: ("SPY",), CRYPTO: ("BTC/USD",), NEWS: ("AAPL",)}
    )

    assert ("statuses" in config.channels(STOCKS), "lulds" in config.channels(STOCKS)) == (halts, halts)
    assert config.news == ("AAPL",)
    assert config.channels_by_symbol(CRYPTO) == {
        "BTC/USD": ("quotes", "trades", "orderbooks"),
        "ETH/USD": ("orderbooks",),
    }
