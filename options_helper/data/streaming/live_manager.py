"""Runs the streams beside whoever looks at them: start with a config, take snapshots, stop.

A run dies as a whole. Queue, threads, state and counters belong to one `_Run`; a restart stops the old run and builds
a new one, so a late frame of the old run reaches the old queue and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from options_helper.data.market_hours import market_open
from options_helper.data.streaming.alpaca_stream import (
    AlpacaOptionStreamer,
    AlpacaStockStreamer,
    require_credentials,
)
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.events import NANOSECONDS, StreamName, utc_datetime
from options_helper.data.streaming.frame_queue import Frame, FrameQueue, QueueCounts
from options_helper.data.streaming.market_clock import Announcement
from options_helper.data.streaming.snapshot import LiveSnapshot, LiveState, Phase, StreamHealth
from options_helper.data.streaming.streamer import Streamer, StreamSink
from options_helper.data.streaming.worker import RetryPolicy, StreamWorker
from options_helper.errors import ConfigError
from options_helper.settings import OPTION_FEEDS, STOCK_FEEDS, Settings

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 0.9
# The consumer looks up this often even when nothing comes, to judge silence and to notice the end.
HOUSEKEEPING_SECONDS: Final = 0.5
RATE_WINDOW_SECONDS: Final = 5.0
# A fold holds the lock that snapshots take, so a long backlog is folded in parts.
FOLD_EVENTS: Final = 10_000
# After a fold the consumer lets frames gather: a wake-up for each would cost more than what is in them.
LINGER_SECONDS: Final = 0.025
# Several connections in one moment can earn an HTTP 429, so each stream starts this much after the one before.
STAGGER_SECONDS: Final = 0.2


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


@dataclass(frozen=True, slots=True)
class StreamClasses:
    """What makes the three streams; tests put scripted ones here."""

    stocks: Callable[..., Any] = AlpacaStockStreamer
    options: Callable[..., Any] = AlpacaOptionStreamer
    fills: Callable[..., Any] = AlpacaTradingStreamer


class LiveStreamManager:
    """At most one run of the streams. Every method may be called from any thread.

    `settings` default to the environment and `config/alpaca.env`, read at each start. `retry` sets what a config
    does not: the pause after a full connection slot, and the jitter.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        stock_stream_cls: Callable[..., Any] = AlpacaStockStreamer,
        option_stream_cls: Callable[..., Any] = AlpacaOptionStreamer,
        trading_stream_cls: Callable[..., Any] = AlpacaTradingStreamer,
        now_ns: Callable[[], int] = time.time_ns,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._settings = settings
        self._classes = StreamClasses(stock_stream_cls, option_stream_cls, trading_stream_cls)
        self._now_ns = now_ns
        self._retry = retry or RetryPolicy()
        # Guarded by self._lock, which start() and stop() hold throughout: two tabs cannot start two runs.
        self._lock = threading.Lock()
        self._run: _Run | None = None
        # Replaced whole under the lock; snapshot() reads it without waiting for a start or a stop.
        self._last: _Run | None = None

    @property
    def config(self) -> LiveStreamConfig | None:
        """What runs now; None while nothing does."""
        run = self._run
        return None if run is None else run.config

    def start(self, config: LiveStreamConfig) -> None:
        """Stream what the config says; never waits for the network.

        Nothing happens when that runs already. When only the symbols differ, the open connections change their
        subscriptions; otherwise the old run is stopped first. ConfigError when keys are missing or settings wrong.
        """
        with self._lock:
            running = self._run
            if running is not None and running.config.without_symbols() == config.without_symbols():
                running.change_symbols(config)
                return
            settings = self._settings or Settings.load()
            require_credentials(settings)
            if running is not None:
                running.stop()
            self._run = self._last = _Run(config, settings, self._classes, self._retry, self._now_ns)
            self._run.start()

    def stop(self) -> None:
        """End every stream and wait for the threads, at most a second; harmless when nothing runs."""
        with self._lock:
            run, self._run = self._run, None
            if run is not None:
                run.stop()

    def is_running(self) -> bool:
        """Whether a run was started and not stopped; its streams may be failing, which the snapshot tells."""
        return self._run is not None

    def snapshot(self) -> LiveSnapshot:
        """Everything at this instant. After a stop: the last run as it ended, its ages growing on."""
        run = self._last
        if run is None:
            return LiveSnapshot(as_of=utc_datetime(self._now_ns()))
        return run.snapshot()


class _Run:
    """One run: queue, threads, state and counters, from start to stop."""

    def __init__(
        self,
        config: LiveStreamConfig,
        settings: Settings,
        classes: StreamClasses,
        retry: RetryPolicy,
        now_ns: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._classes = classes
        self._now_ns = now_ns
        self._policy = replace(
            retry,
            max_reconnects=config.max_reconnects,
            base_seconds=config.reconnect_base_seconds,
            cap_seconds=config.reconnect_cap_seconds,
            stall_seconds=config.stall_seconds,
        )
        self._queue = FrameQueue(config.queue_maxsize)
        self._consumer = threading.Thread(target=self._consume, name="live-consumer", daemon=True)
        self._started_at = utc_datetime(now_ns())
        self._ending = threading.Event()
        self._stopped = False
        # Guarded by self._lock: written by the consumer and, at an announcement or a change of symbols, by others.
        self._lock = threading.Lock()
        self.config = config
        self._state = LiveState(fills_cache_size=config.fills_cache_size)
        self._workers: dict[StreamName, StreamWorker] = {}
        self._streamers: dict[StreamName, Any] = {}
        self._rates = {name: _Rate() for name in StreamName}

    # ---- lifecycle, called by the manager one at a time

    def start(self) -> None:
        self._consumer.start()
        self._start_missing_workers()

    def _start_missing_workers(self) -> None:
        for name in StreamName:
            if self.config.wants(name) and name not in self._workers:
                worker = StreamWorker(
                    name,
                    partial(self._connect, name),
                    self._queue,
                    policy=self._policy,
                    announce=self._announce,
                    market_ns=self._market_ns,
                    expects_data=partial(self._expects_data, name),
                    now_ns=self._now_ns,
                    start_delay_seconds=STAGGER_SECONDS * len(self._workers),
                )
                with self._lock:
                    self._workers = {**self._workers, name: worker}
                worker.start()

    def change_symbols(self, config: LiveStreamConfig) -> None:
        """Send the difference on the open connections; a stream that had nothing to do starts now."""
        with self._lock:
            before, self.config = self.config, config
            self._state.keep_only(config.stocks, config.option_contracts)
            streamers = dict(self._streamers)
        for name in (StreamName.STOCKS, StreamName.OPTIONS):
            streamer = streamers.get(name)
            if streamer is None:
                continue
            old, new = before.symbols(name), config.symbols(name)
            if gone := [symbol for symbol in old if symbol not in set(new)]:
                streamer.unsubscribe(gone)
            if added := [symbol for symbol in new if symbol not in set(old)]:
                streamer.subscribe(added)
        self._start_missing_workers()

    def stop(self) -> None:
        """Producers first; the closed queue then ends the consumer after their last frame."""
        deadline = time.monotonic() + STOP_SECONDS
        for worker in self._workers.values():
            worker.stop()
        for name, worker in self._workers.items():
            if not worker.join(max(0.0, deadline - time.monotonic())):
                log.warning(
                    "the %s thread is still closing its connection; it is left to end by itself", name
                )
        self._queue.close()
        self._ending.set()
        self._consumer.join(max(0.1, deadline - time.monotonic()))
        self._stopped = True

    # ---- on the stream threads

    def _connect(self, name: StreamName, sink: StreamSink) -> Streamer:
        """A fresh streamer with the symbols wanted now."""
        streamer = self._make_streamer(name, sink)
        if name is StreamName.FILLS:
            streamer.subscribe_trade_updates()
            return streamer  # type: ignore[no-any-return]
        with self._lock:
            # Both at once, so that a change of symbols is either in the config or finds this streamer.
            streamer.subscribe(self.config.symbols(name))
            self._streamers[name] = streamer
        return streamer  # type: ignore[no-any-return]

    def _make_streamer(self, name: StreamName, sink: StreamSink) -> Any:
        match name:
            case StreamName.STOCKS:
                return self._classes.stocks(self._settings, feed=self.config.stock_feed, sink=sink)
            case StreamName.OPTIONS:
                return self._classes.options(self._settings, feed=self.config.options_feed, sink=sink)
            case StreamName.FILLS:
                return self._classes.fills(self._settings, paper=self.config.paper, sink=sink)

    def _announce(self, announcement: Announcement) -> None:
        with self._lock:
            self._state.announce(announcement)
        self._load_calendar()

    def _load_calendar(self) -> None:
        """Look at the trading calendar once: loading its year takes long, and here nobody waits for it."""
        self._expects_data(StreamName.STOCKS, self._market_ns(self._now_ns()))

    def _market_ns(self, wall_ns: int) -> int:
        return self._state.clock.at(wall_ns)

    def _expects_data(self, name: StreamName, market_ns: int) -> bool:
        clock = self._state.clock
        if clock.ended(market_ns):
            return False
        # A contract's symbol is its root and 15 characters; some roots trade longer than others.
        roots = {contract[:-15] for contract in self.config.symbols(StreamName.OPTIONS)}
        return market_open(name, self.config.feed(name), utc_datetime(market_ns), roots)

    # ---- on the consumer's thread

    def _consume(self) -> None:
        self._load_calendar()
        next_look = time.monotonic() + HOUSEKEEPING_SECONDS
        while not self._queue.drained:
            frames = self._queue.take(HOUSEKEEPING_SECONDS, FOLD_EVENTS)
            if frames and not self._fold(frames):
                self._ending.wait(LINGER_SECONDS)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + HOUSEKEEPING_SECONDS
                self._keep_house()

    def _fold(self, frames: Sequence[Frame]) -> bool:
        """Apply and settle the frames; whether more are waiting."""
        with self._lock:
            for frame in frames:
                self._state.apply(frame)
            # Under the same lock, so that no snapshot sees an event twice or not at all.
            return self._queue.settle(frames) > 0

    def _keep_house(self) -> None:
        now_ns = self._now_ns()
        for name, counts in self._queue.counts().items():
            self._rates[name].observe(now_ns, counts.received)
        for worker in self._workers.values():
            worker.watch()

    # ---- reading

    def snapshot(self) -> LiveSnapshot:
        now_ns = self._now_ns()
        healths = {name: self._health(name, now_ns) for name in StreamName}
        with self._lock:
            counts = self._queue.counts()
            return self._state.snapshot(
                now_ns,
                running=not self._stopped,
                running_since=self._started_at,
                streams={name: self._with_ledger(healths[name], counts[name]) for name in StreamName},
            )

    def _health(self, name: StreamName, now_ns: int) -> StreamHealth:
        worker = self._workers.get(name)
        feed = self.config.feed(name)
        if worker is None:
            return StreamHealth(name, phase=Phase.OFF, feed=feed)
        return worker.health(feed, now_ns)

    def _with_ledger(self, health: StreamHealth, counts: QueueCounts) -> StreamHealth:
        tally = self._state.tallies[health.name]
        return replace(
            health,
            last_event_at=None if tally.last_event_ns is None else utc_datetime(tally.last_event_ns),
            events_per_second=0.0 if self._stopped else self._rates[health.name].per_second,
            received=counts.received,
            applied=tally.applied,
            dropped=counts.dropped,
            rejected=tally.rejected,
            queued=counts.queued,
            late=tally.late,
            last_rejections=tuple(tally.last_rejections),
        )


class _Rate:
    """Events per second over the last few seconds; one writer, readers may be a moment behind."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(
            maxlen=int(RATE_WINDOW_SECONDS / HOUSEKEEPING_SECONDS) + 1
        )
        self.per_second = 0.0

    def observe(self, now_ns: int, total: int) -> None:
        self._samples.append((now_ns, total))
        (first_ns, first), (last_ns, last) = self._samples[0], self._samples[-1]
        elapsed = (last_ns - first_ns) / NANOSECONDS
        self.per_second = (last - first) / elapsed if elapsed > 0 else 0.0
