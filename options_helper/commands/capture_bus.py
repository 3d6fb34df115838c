"""Record what another program streams: what a bus does not carry, and which feeds a recording of it is of."""

from __future__ import annotations

from dataclasses import dataclass, replace

from options_helper.bus.address import BusAddress
from options_helper.bus.first_look import FEEDS_SECONDS, look_at_desk
from options_helper.bus.recording import BusRecording
from options_helper.bus.truth import DeskHealth
from options_helper.capture.plan import Selection
from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.errors import ConfigError, Unavailable
from options_helper.model.announcement import MarketKind
from options_helper.model.streams import StreamId, StreamName
from options_helper.settings import Settings

# What was missed meanwhile is on the bus: there is nothing to be gentle with, and the server is this desk's own.
RECONNECT_BASE_SECONDS = 0.5
RECONNECT_CAP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Followed:
    """The desk that is recorded, and the feeds that the user named; None: whichever the owner streams."""

    address: BusAddress
    stock_feed: str | None = None
    options_feed: str | None = None

    def engine(self, config: CaptureConfig, settings: Settings) -> CaptureEngine:
        """What records it."""
        patient = replace(
            config.streams,
            reconnect_base_seconds=RECONNECT_BASE_SECONDS,
            reconnect_cap_seconds=RECONNECT_CAP_SECONDS,
        )
        return CaptureEngine(replace(config, streams=patient), settings, bus=BusRecording(self.address))

    def look(self, *, patience: float = FEEDS_SECONDS) -> FoundDesk:
        """What is found there now, with the owner's feeds where it tells them in so many seconds.

        ConfigError where it cannot be followed, Unavailable where that may pass.
        """
        return FoundDesk(self, look_at_desk(self.address, self._feeds_asked, patience=patience))

    @property
    def _feeds_asked(self) -> tuple[StreamId, ...]:
        named = {StreamName.STOCKS: self.stock_feed, StreamName.OPTIONS: self.options_feed}
        return tuple(stream for stream, feed in named.items() if feed is None)


@dataclass(frozen=True, slots=True)
class FoundDesk:
    """A desk, and what its owner said of itself last; None: nobody has served it yet."""

    followed: Followed
    health: DeskHealth | None

    @property
    def market(self) -> MarketKind:
        """Whose market it is, as far as is known."""
        return MarketKind.ALPACA if self.health is None else self.health.market

    def selection(self, asked: Selection) -> Selection:
        """The same on the feeds that the owner has: one file is of one feed.

        Unavailable where the owner that is there has not told one that is needed, and the user named none.
        """
        wants_options = bool(asked.option_contracts or asked.underlyings)
        stocks = self.followed.stock_feed or self._feed(StreamName.STOCKS, wanted=bool(asked.stocks))
        options = self.followed.options_feed or self._feed(StreamName.OPTIONS, wanted=wants_options)
        return replace(
            asked, stock_feed=stocks or asked.stock_feed, options_feed=options or asked.options_feed
        )

    def _feed(self, stream: StreamId, *, wanted: bool) -> str | None:
        if self.health is None:
            return None
        feed = self.health.feed_of(stream)
        if feed is None and wanted:
            option = "--stock-feed" if stream is StreamName.STOCKS else "--options-feed"
            raise Unavailable(
                f"The owner on {self.health.where} (process {self.health.pid}) has not said which feed of {stream} it "
                f"streams, and a file has to be called by its feed. Try again, or name it with {option}."
            )
        return feed

    @property
    def words(self) -> str:
        """Where what is recorded comes from."""
        address = self.followed.address
        desk = f"the desk {address.names.desk} at {address.url}"
        if self.health is None:
            return f"{desk}, which nobody has served yet"
        if self.health.ended:
            return f"{desk}, whose owner on {self.health.where} has ended"
        return f"{desk}, served by {self.health.where} (process {self.health.pid})"


def require_carried(selection: Selection, settings: Settings, *, journal: bool, page: bool) -> None:
    """ConfigError for what no desk brings to a recording."""
    if selection.halts or selection.news:
        raise ConfigError(
            "A recording of a desk is of quotes, trades and bars: news and halts are shown from the bus, and not "
            "recorded from it. Leave --halts and --news away, or record them without --bus."
        )
    if not journal:
        raise ConfigError(
            "A recording of a bus keeps its place there in its journal: leave --no-journal away."
        )
    if page:
        raise ConfigError(
            "--page shares a connection, and --bus needs none. Open the page with: options-helper ui --bus"
        )
    if selection.underlyings and not settings.has_credentials:
        raise ConfigError(
            "--options-underlyings are looked up at Alpaca, which asks for keys. Without them, name the contracts with "
            "--option-contracts or --portfolio."
        )
