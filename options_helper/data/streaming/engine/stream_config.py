"""What to stream, decided before anything connects."""

from __future__ import annotations

from dataclasses import dataclass, replace

from options_helper.errors import ConfigError
from options_helper.model.events import StreamName
from options_helper.settings import OPTION_FEEDS, STOCK_FEEDS


@dataclass(frozen=True, slots=True)
class LiveStreamConfig:
    """What to stream; equal configs are the same run. Symbols in Alpaca's spelling. Holds no secret.

    `paper` None: the base URL decides. `max_reconnects` None: without end. `queue_maxsize` counts events.
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

    def __post_init__(self) -> None:
        if self.stock_feed not in STOCK_FEEDS:
            raise ConfigError(
                f"There is no stock feed {self.stock_feed!r}; choose one of {', '.join(STOCK_FEEDS)}."
            )
        if self.options_feed not in OPTION_FEEDS:
            raise ConfigError(
                f"There is no option feed {self.options_feed!r}; choose one of {', '.join(OPTION_FEEDS)}."
            )
        if self.queue_maxsize < 2 or self.fills_cache_size < 1:
            raise ConfigError("The queue needs room for 2 events or more, the fills cache for 1 or more.")
        # A list would compare unequal to the same tuple, and an equal config would restart the run.
        object.__setattr__(self, "stocks", tuple(dict.fromkeys(self.stocks)))
        object.__setattr__(self, "option_contracts", tuple(dict.fromkeys(self.option_contracts)))

    def without_symbols(self) -> LiveStreamConfig:
        """The same config for any symbols: two that agree in this need no reconnect."""
        return replace(self, stocks=(), option_contracts=())

    def symbols(self, name: StreamName) -> tuple[str, ...]:
        """The symbols of a market-data stream; none while it is switched off."""
        match name:
            case StreamName.STOCKS:
                return self.stocks if self.stream_stocks else ()
            case StreamName.OPTIONS:
                return self.option_contracts if self.stream_options else ()
            case StreamName.FILLS:
                return ()

    def channels(self, name: StreamName) -> tuple[str, ...]:
        """The channels of a market-data stream."""
        return self.option_channels if name is StreamName.OPTIONS else self.stock_channels

    def wants(self, name: StreamName) -> bool:
        """Whether there is anything to stream."""
        return self.stream_fills if name is StreamName.FILLS else bool(self.symbols(name))

    def feed(self, name: StreamName) -> str:
        """The feed's name, for people."""
        match name:
            case StreamName.STOCKS:
                return self.stock_feed
            case StreamName.OPTIONS:
                return self.options_feed
            case StreamName.FILLS:
                return "trading"
