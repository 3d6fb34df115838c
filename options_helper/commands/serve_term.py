"""One time of leading a desk: its streams, the owner that carries them to the bus, and the end of both."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from options_helper.bus.address import BusAddress
from options_helper.bus.owner import AnnouncedSource, BusOwner, Owner
from options_helper.clock import utc_now_ns
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.model.streams import StreamId
from options_helper.settings import Settings

# After a takeover the connection that Alpaca still holds is that of an owner which is known to be gone.
TAKEOVER_PAUSES: Final = (1.0, 2.0, 5.0)


def feeds_of(settings: Settings, streams: Sequence[StreamId]) -> dict[StreamId, str]:
    """Of which feed each stream is that these settings open."""
    config = LiveStreamConfig(stock_feed=settings.stock_feed, options_feed=settings.options_feed)
    return {stream: config.feed(stream) for stream in streams}


class ServeTerm:
    """Alpaca's streams on the bus, from `open` to `end`. `step_down` may be called from any thread.

    `took_over`: another led the desk just now, so its connection may be there for a moment.
    """

    def __init__(
        self,
        address: BusAddress,
        settings: Settings,
        limits: RequestLimits,
        *,
        keep_bytes: int,
        plan: Mapping[StreamId, int | None],
        took_over: bool,
        now_ns: Callable[[], int] = utc_now_ns,
    ) -> None:
        source = AnnouncedSource(AlpacaSource())
        self.owner = BusOwner(
            address,
            Owner(socket.gethostname(), os.getpid(), now_ns()),
            source.streams,
            now_ns=now_ns,
            announced=lambda: source.announced,
            keep_bytes=keep_bytes,
            limits=plan,
            feeds=feeds_of(settings, source.streams),
        )
        retry = RetryPolicy(slow_pauses=TAKEOVER_PAUSES) if took_over else RetryPolicy()
        self.manager = LiveStreamManager(
            settings, source=source, limits=limits, carry=self.owner.carry, retry=retry
        )
        # Set once, by whoever is first; `start` looks before streams begin and after, so that nobody waits for it.
        self._stepped_down: str | None = None

    def open(self) -> None:
        """Begin the term on the bus, and to tell of the streams. After an error nothing is left behind."""
        self.owner.open()
        self.owner.tell_of(self.manager.snapshot)

    def start(self, config: LiveStreamConfig) -> None:
        """Stream this, unless another leads."""
        if self.yields is None:
            self.manager.start(config)
        if self.yields is not None:
            self.manager.stop()  # it was stepped down meanwhile, when there was nothing to close yet

    def step_down(self, why: str) -> None:
        """Another leads, or may lead: publish nothing from now on, at once, and close the connections to Alpaca."""
        self._stepped_down = self._stepped_down or why
        self.owner.yield_to_another(why)
        self.manager.stop()

    @property
    def yields(self) -> str | None:
        """Why another leads, as a sentence; None while this one does."""
        return self._stepped_down or self.owner.fenced

    @property
    def failure(self) -> str | None:
        """Why it cannot go on though it leads, as a sentence."""
        return None if self.yields else self.manager.failure

    def end(self) -> None:
        """Close Alpaca's connections, have the bus store what came, and say goodbye where this one still leads."""
        self.manager.stop()
        self.owner.close()

    def losses(self) -> list[tuple[int, str]]:
        """What did not get there, with how many; after the end."""
        healths = self.manager.snapshot().streams.values()
        unstored = sum(health.dropped + health.queued for health in healths)
        unknown = self.owner.unknown
        lost = [
            (
                max(0, unstored - self.owner.stored_unsettled - unknown),
                "events found no place and are not stored",
            ),
            (unknown, "events were on their way at the end, and nobody knows whether they are stored"),
            (
                sum(counts.unsendable for counts in self.owner.counts.values()),
                "events were in messages larger than the bus takes",
            ),
            (self.owner.lost_messages, "batches were lost by the bus after it had acknowledged them"),
        ]
        return [(count, what) for count, what in lost if count]
