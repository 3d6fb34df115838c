"""A manager on a fake Breeze, and the questions that tests ask of both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from options_helper.data.streaming.breeze.source import BREEZE_BOOKS, BreezeSource, breeze_request
from options_helper.data.streaming.connection.alpaca_sdk import ConnectionTiming
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.model.snapshot import StreamHealth
from options_helper.settings import BreezeSettings, Settings
from options_helper.simulator.breeze.listings import LISTINGS, Listing
from options_helper.simulator.breeze.server import BreezeServer
from options_helper.simulator.breeze.wire import Level, depth
from tests.kit.fakes import SteppedClock
from tests.kit.waiting import FOREVER

# Friday 2026-11-27 13:00 in India: NSE trades.
INDIAN_NOON = 1_795_764_600_000_000_000
RELIANCE, TCS, BSE_RELIANCE, CALL = LISTINGS[1], LISTINGS[2], LISTINGS[4], LISTINGS[5]
PATIENT = ConnectionTiming(opening=FOREVER, acknowledgement=FOREVER, ping_timeout=FOREVER, closing=0.2)
CONFIG = LiveStreamConfig(
    stream_stocks=False,
    stream_options=False,
    stream_fills=False,
    reconnect_base_seconds=0.02,
    reconnect_cap_seconds=0.05,
    stall_seconds=30.0,
)


def config_for(*symbols: str, channels: tuple[str, ...] = ("depth",)) -> LiveStreamConfig:
    """What a user asks for who wants these and nothing of Alpaca's."""
    return replace(CONFIG, further=(breeze_request(symbols, channels),))


def settings_of(server: BreezeServer, **others: str) -> BreezeSettings:
    """What a user of that fake has in the environment."""
    return BreezeSettings.load({**server.variables, **others})


@dataclass
class Watched:
    """A started manager on a fake."""

    manager: LiveStreamManager
    server: BreezeServer

    @property
    def health(self) -> StreamHealth:
        return self.manager.snapshot().streams[BREEZE_BOOKS]

    def push_book(self, listing: Listing = RELIANCE, price: float = 100.0) -> int:
        """Let the fake send one book; to how many it went."""
        message = depth(listing, INDIAN_NOON // 10**9, [Level(price, 10)], [Level(price + 1, 10)])
        return self.server.push(listing.number.format(kind=2), message)


@contextmanager
def watched(
    server: BreezeServer,
    config: LiveStreamConfig,
    *,
    source: BreezeSource | None = None,
    timing: ConnectionTiming = PATIENT,
    clock: SteppedClock | None = None,
    retry: RetryPolicy | None = None,
) -> Iterator[Watched]:
    """A manager that runs this config on the fake."""
    clock = clock or SteppedClock(INDIAN_NOON)
    manager = LiveStreamManager(
        Settings(),
        source=source or BreezeSource(lambda: settings_of(server), timing),
        rest_cls=None,
        now_ns=clock,
        monotonic=clock.monotonic,
        retry=retry or RetryPolicy(refused_pauses=(0.05,)),
    )
    manager.start(config)
    try:
        yield Watched(manager, server)
    finally:
        manager.stop()
