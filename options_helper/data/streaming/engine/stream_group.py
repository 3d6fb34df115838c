"""The streams of one run: a worker for each that has something to do, one queue, and how they all are."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, cast

from options_helper.clock import elapsed_seconds
from options_helper.data.streaming.connection.connection_runner import Streamer, StreamSink
from options_helper.data.streaming.engine.frame_queue import FrameQueue, QueueCounts
from options_helper.data.streaming.engine.group_course import GroupCourse
from options_helper.data.streaming.engine.pulse import Absence, Pulse
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_source import StreamSource, SymbolStreamer
from options_helper.data.streaming.engine.wishes import send_difference
from options_helper.data.streaming.engine.worker import RetryPolicy, StreamWorker
from options_helper.data.streaming.state.live_state import StreamTally
from options_helper.data.streaming.state.market_clock import MarketClock
from options_helper.model.announcement import Announcement
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import expects_data
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId, StreamName, portfolio_streams
from options_helper.settings import Settings

log = logging.getLogger(__name__)

RATE_WINDOW: Final = 11  # samples, taken at each housekeeping
# A stream that ends gets this long to say goodbye before one of its kind may start again.
RETIRE_SECONDS: Final = 0.9


class StreamGroup:
    """Starts, changes, watches and stops the workers; whoever owns it consumes the queue.

    `clock` is the market's, changed under `lock`, both the owner's; `announced` is called, under the lock, with each
    simulator's announcement; `report_clock` turns the computer's time into that of the clock on which health is
    reported, the market's where it is None. `monotonic` measures lengths, and `elapsed` those in which the computer may
    have slept. `expects` says whether a stream should be moving, where that is not for the market's hours to say.
    `may_wait` says, after each read, whether frames may be read some milliseconds late. `worker_cls` and `pulse_cls`
    make what runs and looks, which are threads. `notice_set_clock` is called before it is told when nothing was heard.
    `start`, `change_symbols` and `stop` are called one at a time; `keep_house` and `fail` on the consumer's thread;
    `healths` on any.
    """

    def __init__(
        self,
        config: LiveStreamConfig,
        settings: Settings,
        source: StreamSource,
        retry: RetryPolicy,
        *,
        clock: MarketClock,
        lock: threading.Lock,
        announced: Callable[[Announcement], object],
        now_ns: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
        elapsed: Callable[[], float] = elapsed_seconds,
        report_clock: Callable[[int], int] | None = None,
        may_wait: Callable[[], bool] = lambda: False,
        expects: Callable[[StreamId], bool] | None = None,
        notice_set_clock: Callable[[], object] = lambda: None,
        worker_cls: Callable[..., StreamWorker] = StreamWorker,
        pulse_cls: Callable[..., Pulse] = Pulse,
    ) -> None:
        self._may_wait = may_wait
        self._notice_set_clock = notice_set_clock
        self._expects = expects
        self._worker_cls = worker_cls
        # Changed under self._lock; read by any thread without it. Those of a portfolio are in every snapshot, whether
        # this source has them or not.
        self._course = GroupCourse(config, source.streams, portfolio_streams(settings.account))
        self.names = self._course.names
        self.queue = FrameQueue(config.queue_maxsize, self.names, elapsed)
        self._settings = settings
        self._source = source
        self._policy = replace(
            retry,
            max_reconnects=config.max_reconnects,
            base_seconds=config.reconnect_base_seconds,
            cap_seconds=config.reconnect_cap_seconds,
            stall_seconds=config.stall_seconds,
        )
        self._clock = clock
        self._lock = lock
        self._announced = announced
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._pulse = pulse_cls(self._on_absence, elapsed=elapsed, monotonic=monotonic, now_ns=now_ns)
        self._report_clock = report_clock
        # Replaced whole under self._lock by start() and change_symbols(); read by any thread without it.
        self._workers: dict[StreamId, StreamWorker] = {}
        # Guarded by self._lock: filled by the stream threads, read and emptied by change_symbols().
        self._streamers: dict[StreamId, SymbolStreamer] = {}
        # Changed by keep_house(); readers may be a moment behind.
        self._rates = {name: _Rate() for name in self.names}

    @property
    def config(self) -> LiveStreamConfig:
        """What is wanted now."""
        return self._course.config

    @property
    def failure(self) -> str | None:
        """Why nobody consumes the queue any more, as a sentence; set once, by the consumer."""
        return self._course.failure

    def start(self) -> None:
        """Begin: a worker for each stream that has something to do."""
        self._pulse.start()
        self._start_workers()

    def _start_workers(self) -> None:
        """Start a worker for each stream that has something to do and none yet."""
        with self._lock:
            starts = self._course.start()
        for name, delay_seconds in starts:
            worker = self._worker_cls(
                name,
                partial(self._connect, name),
                self.queue,
                policy=self._policy,
                announce=self._announce,
                market_ns=self.market_ns,
                expects_data=partial(self.expects_data, name),
                report_clock=self._report_clock,
                now_ns=self._now_ns,
                monotonic=self._monotonic,
                look=self.look,
                start_delay_seconds=delay_seconds,
                may_wait=self._may_wait,
            )
            with self._lock:
                if self._course.failure is not None:
                    return
                self._workers = {**self._workers, name: worker}
            worker.start()

    def change_symbols(self, config: LiveStreamConfig, *, keep_idle: bool = False) -> None:
        """Send the difference on the open connections; a stream that gets its first symbols starts.

        One without symbols ends, or with `keep_idle` stays connected for those to come.
        """
        with self._lock:
            before = self._course.config
            idle = self._course.change_symbols(config, keep_idle=keep_idle)
            streamers = dict(self._streamers)
        for name, streamer in streamers.items():
            send_difference(streamer, before.channels_by_symbol(name), config.channels_by_symbol(name))
        self._retire(idle)
        self._start_workers()

    def resubscribe(self, stream: StreamId, symbols: Sequence[str], channel: str) -> None:
        """Leave these symbols on this channel and take them again, on the open connection; never waits.

        What was dropped meanwhile stays so.
        """
        with self._lock:
            streamer = self._streamers.get(stream)
        if streamer is not None:
            streamer.renew(symbols, channel)

    @property
    def has_failed(self) -> bool:
        """Whether some stream is refused, or has given up."""
        return any(worker.has_failed for worker in self._workers.values())

    def revive(self) -> None:
        """Try the failed streams again at once; called as `start` is."""
        for worker in self._workers.values():
            worker.revive()

    def _retire(self, idle: Sequence[StreamId]) -> None:
        """End these, that have nothing to do any more; when they get symbols again they are made anew."""
        with self._lock:
            ending = [worker for name, worker in self._workers.items() if name in idle]
            self._workers = {name: worker for name, worker in self._workers.items() if name not in idle}
            self._streamers = {name: made for name, made in self._streamers.items() if name not in idle}
        for worker in ending:
            worker.stop()
        for worker in ending:
            worker.join(RETIRE_SECONDS)

    def stop(self, seconds: float) -> None:
        """Stop the workers, wait for them so long, and close the queue behind their last frame."""
        deadline = time.monotonic() + seconds
        # Without the lock, which whoever stops it from a thread of the run may hold.
        self._course.stop()
        self._pulse.stop()
        for worker in self._workers.values():
            worker.stop()
        for name, worker in self._workers.items():
            if not worker.join(max(0.0, deadline - time.monotonic())):
                log.warning(
                    "the %s thread is still closing its connection; it is left to end by itself", name
                )
        self._pulse.join(max(0.0, deadline - time.monotonic()))
        self.queue.close()

    def fail(self, sentence: str) -> None:
        """Nobody consumes any more: every stream has failed with this sentence, and is asked to end; never waits."""
        with self._lock:
            # One that is not among them yet is not started either.
            self._course.fail(sentence)
            workers = self._workers
        self._pulse.stop()
        self.queue.close()
        for worker in workers.values():
            worker.stop()

    def _connect(self, name: StreamId, sink: StreamSink) -> Streamer:
        """A fresh streamer with the symbols wanted now, for a worker, which is the sink; on its own thread."""
        made = self._source.streamer(name, self._settings, self.config, sink)
        if not name.kind.channels:
            return made
        streamer = cast("SymbolStreamer", made)  # as the source promises
        with self._lock:
            # A worker that was retired meanwhile runs nothing more, and may have a successor, whose place this is.
            if self._workers.get(name) is sink:
                # Both at once, so that a change of symbols is either in the config or finds this streamer.
                send_difference(streamer, {}, self.config.channels_by_symbol(name))
                self._streamers[name] = streamer
        return streamer

    def _announce(self, announcement: Announcement) -> None:
        """Pass on what a simulator said of its market; on the thread of the stream that received it."""
        with self._lock:
            self._announced(announcement)
        self.load_calendar()

    def market_ns(self, wall_ns: int) -> int:
        """The market's time at that moment of the computer's."""
        return self._clock.at(wall_ns)

    def expects_data(self, name: StreamId, market_ns: int) -> bool:
        """Whether this stream should be moving at that market time."""
        if self._clock.ended(market_ns):
            return False
        return self._course.expects_data(name, market_ns, self._clock.told, self._expects)

    def load_calendar(self) -> None:
        """Look at the trading calendar once: a year that no table has takes long, and here nobody waits for it."""
        feed = self._course.request(StreamName.STOCKS).feed
        expects_data(
            StreamName.STOCKS, feed, utc_datetime(self.market_ns(self._now_ns())), told=self._clock.told
        )

    def keep_house(self, tallies: Mapping[StreamId, StreamTally] | None = None) -> None:
        """Measure the rates and judge the silences; about twice a second.

        `tallies` say what became of the events: a stream of which nothing can be read is as good as silent. None says
        that nobody tries to read them now, so that they stand still.
        """
        # First: what was not heard because nothing ran is no silence.
        self.look()
        now = self._monotonic()
        for name, counts in self.queue.counts().items():
            self._rates[name].observe(now, counts.received)
        for name, worker in self._workers.items():
            if tallies is None:
                worker.watch(None, None)
            else:
                tally = tallies.get(name) or StreamTally()
                worker.watch(tally.applied, tally.rejected)

    def look(self) -> None:
        """Notice whether this process did not run until now, before anything is told of what came since."""
        self._notice_set_clock()
        self._pulse.look()

    def _on_absence(self, absence: Absence) -> None:
        self._notice_set_clock()
        for worker in self._workers.values():
            worker.absent(absence)

    @property
    def absent_seconds(self) -> float:
        """How long this process did not run since the start, as far as that can be known."""
        return self._pulse.absent_seconds

    def healths(self, wall_ns: int) -> dict[StreamId, StreamHealth]:
        """What each worker knows, and its rate; the ledger is `with_ledger`'s to add.

        Of streams that a portfolio does not need only while they are wanted.
        """
        return {name: self._health(name, wall_ns) for name in self.names if self._course.is_shown(name)}

    def _health(self, name: StreamId, wall_ns: int) -> StreamHealth:
        worker, request = self._workers.get(name), self._course.request(name)
        if worker is None:
            return StreamHealth(name, phase=Phase.OFF, feed=request.feed)
        # What is wanted also before a server was reached, and while it has not answered to a change.
        rate = self._rates[name].per_second
        return self._course.told(worker.health(request.feed, wall_ns, request.symbols, rate))


def with_ledger(health: StreamHealth, counts: QueueCounts, tally: StreamTally) -> StreamHealth:
    """A stream's health with its counters, which the owner read at one instant."""
    return replace(
        health,
        last_event_at=None if tally.last_event_ns is None else utc_datetime(tally.last_event_ns),
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
        self._samples: deque[tuple[float, int]] = deque(maxlen=RATE_WINDOW)
        self.per_second = 0.0

    def observe(self, now: float, total: int) -> None:
        self._samples.append((now, total))
        (since, first), (until, last) = self._samples[0], self._samples[-1]
        elapsed = until - since
        self.per_second = (last - first) / elapsed if elapsed > 0 else 0.0
