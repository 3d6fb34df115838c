"""One run of the streams: its threads, its queue, its state and its counters, from start to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, assert_never

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.streaming.callbacks.dispatcher import Callbacks
from options_helper.data.streaming.callbacks.health_news import HealthNews
from options_helper.data.streaming.engine.consumer_round import ConsumerRound, Gather, Task
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_group import StreamGroup, with_ledger
from options_helper.data.streaming.engine.stream_source import StreamSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.polling.account_watch import AccountWatch
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.state.books import ASKED_ANEW, lost_books
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.announcement import Announcement
from options_helper.model.callbacks import CallbackKind
from options_helper.model.events import Bar, Quote, Trade
from options_helper.model.frames import Frame
from options_helper.model.instants import utc_datetime
from options_helper.model.order_book import Book
from options_helper.model.snapshot import LiveSnapshot, StreamHealth
from options_helper.model.streams import StreamId
from options_helper.model.text import named
from options_helper.settings import Settings

log = logging.getLogger(__name__)

Carry = Callable[[Sequence[Frame]], bool]

# A fold holds the lock that snapshots take, so a long backlog is folded in parts.
FOLD_EVENTS: Final = 10_000
# Where frames are given away, those that came before the stop get so long to arrive.
CARRY_STOP_SECONDS: Final = 3.0


class LiveRun:
    """One run: queue, threads, state and counters, from start to stop."""

    def __init__(
        self,
        config: LiveStreamConfig,
        settings: Settings,
        source: StreamSource,
        retry: RetryPolicy,
        *,
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
        elapsed: Callable[[], float],
        rest_cls: Callable[..., AlpacaRest] | None,
        policy: WatchPolicy,
        limits: RequestLimits,
        callbacks: Callbacks,
        carry: Carry | None,
        only_wanted: bool,
        group_cls: Callable[..., StreamGroup] = StreamGroup,
    ) -> None:
        self.settings = settings
        self.source = source
        self._carry = carry
        self._callbacks = callbacks
        self._now_ns = now_ns
        self._consumer = threading.Thread(target=self._consume, name="live-consumer", daemon=True)
        self._started_at = utc_datetime(now_ns())
        self._ending = threading.Event()
        self._stopped = False
        # Only the consumer's thread looks at these.
        self._round = ConsumerRound(time.monotonic())
        self._logged: set[tuple[str, type[Exception]]] = set()
        self._health_news = HealthNews()
        self._has_news = True  # up to the last look
        self._held: Sequence[Frame] = ()  # taken from the queue, and not carried yet
        # Guarded by self._lock: written by the consumer, which counts its own without it, and, at an announcement or a
        # change of symbols, by others.
        self._lock = threading.Lock()
        self._state = LiveState(
            fills_cache_size=config.fills_cache_size,
            streams=source.streams,
            decoders={name: source.decoder(name) for name in source.streams if not name.kind.carries_orders},
            market=settings.market_kind,
        )
        self._state.books.expect(config.book_symbols)
        if only_wanted:
            self._state.keep_only(config.every_symbol)
        self._wants_book = partial(callbacks.wants_of, CallbackKind.BOOK)
        self._account = AccountWatch(
            config,
            settings,
            self._state,
            lock=self._lock,
            now_ns=now_ns,
            rest_cls=rest_cls,
            policy=policy,
            limits=limits,
            elapsed=elapsed,
            tell=callbacks.tell,
        )
        self.streams = group_cls(
            config,
            settings,
            source,
            retry,
            clock=self._state.clock,
            lock=self._lock,
            announced=self._announced,
            now_ns=now_ns,
            monotonic=monotonic,
            elapsed=elapsed,
            may_wait=self._may_wait,
            notice_set_clock=self._notice_set_clock,
        )

    def start(self) -> None:
        """Begin."""
        self._consumer.start()
        self.streams.start()
        self._account.start()

    def _announced(self, announcement: Announcement) -> None:
        if self._state.announce(announcement):
            self._account.forget()

    def named(self, config: LiveStreamConfig) -> LiveStreamConfig:
        """The config with the fills called by this run's account."""
        return config.with_fills_of(self.settings.account)

    def can_become(self, config: LiveStreamConfig) -> bool:
        """Whether only the symbols differ, and the run is still good for them."""
        is_same = self.streams.config.without_symbols() == config.without_symbols()
        return is_same and self.streams.failure is None

    def change_symbols(self, config: LiveStreamConfig, *, keep_idle: bool = False) -> None:
        """Send the difference on the open connections, and forget what is wanted no longer."""
        with self._lock:
            self._state.keep_only(config.every_symbol)
            self._state.books.expect(config.book_symbols)
        self.streams.change_symbols(config, keep_idle=keep_idle)
        self._account.change_symbols(config)

    def stop(self, deadline: float) -> None:
        """Producers first; the closed queue then ends the consumer after their last frame. Until then, by monotonic."""
        self._account.stop()
        self.streams.stop(deadline - time.monotonic())
        self._ending.set()
        if self._consumer is not threading.current_thread():
            least = 0.1 if self._carry is None else CARRY_STOP_SECONDS
            self._consumer.join(max(least, deadline - time.monotonic()))
        self._stopped = True

    def _consume(self) -> None:
        try:
            self._fold_until_drained()
        except BaseException as error:
            # The thread's last line: without it the page would look alive, and nothing on it would move again.
            log.exception("the consumer of the streams ended")
            self.streams.fail(
                f"What the streams bring cannot be taken in any more ({type(error).__name__}: {error}). "
                "Stop and start them again."
            )
            self._try("tell of it", self._tell_of_streams)

    def _fold_until_drained(self) -> None:
        self._try("look at the calendar", self.streams.load_calendar)
        queue = self.streams.queue
        self._round = ConsumerRound(time.monotonic())
        while self._held or not queue.drained:
            patience = self._round.patience(needs_looks=self._callbacks.needs_looks)
            frames = self._held or queue.take(patience, FOLD_EVENTS)
            self._take_in(frames)
            if self._held and self._ending.is_set():
                break  # they stay in the ledger as queued
            self._do_what_is_due(time.monotonic())
        self._tell_of_streams()

    def _take_in(self, frames: Sequence[Frame]) -> None:
        # Before what was taken is told: a gap that lies before it was noted before it came.
        self._try("look at the streams", self._look_at_streams)
        self._held = () if not frames or self._is_carried(frames) else frames
        if frames and not self._held and not self._fold(frames):
            pause = self._round.pause_after(frames, wants_market=self._callbacks.wants_market)
            if pause is not None:
                self._let_gather(pause)

    def _do_what_is_due(self, now: float) -> None:
        for task in self._round.due(now, needs_looks=self._callbacks.needs_looks):
            match task:
                case Task.LOOK_AT_CALLBACKS:
                    self._callbacks.look()
                case Task.WATCH_STREAMS:
                    self._try("watch the streams", self._keep_house)
                case Task.OBSERVE_ACCOUNT:
                    self._try("watch the account", self._observe_account)
                case Task.WATCH_BOOKS:
                    self._try("watch the order books", self._watch_books)
                case _:
                    assert_never(task)

    def _look_at_streams(self) -> None:
        """Tell what is new in their health, where one of them noted something."""
        if self._round.has_news(self.streams.queue.nudges):
            self._tell_of_streams()

    def _tell_of_streams(self) -> None:
        if not self._callbacks.any:
            # What happens while nobody is called back with anything is no news to whoever comes.
            self._has_news = False
            return
        # Read first: who registers after this is told of it as of what was there before.
        healths = self._healths(self._now_ns())
        if not self._has_news:
            self._health_news.observe(healths)
            self._has_news = True
        # Newcomers first, with the last look: what has changed since then they are told with the others.
        if self._callbacks.has_newcomers:
            self._callbacks.welcome(self._health_news.present())
        if told := self._health_news.observe(healths):
            self._callbacks.tell(told)

    def welcome(self) -> None:
        """Have somebody who is new told how the streams are, soon."""
        self.streams.queue.nudge()

    def _is_carried(self, frames: Sequence[Frame]) -> bool:
        return self._carry is None or self._carry(frames)

    def _may_wait(self) -> bool:
        """Whether frames may be read a little late; who carries them may keep their times of receipt."""
        return self._carry is None and not self._callbacks.wants_market

    def _let_gather(self, pause: Gather) -> None:
        """So that there is no wake-up for each frame."""
        if pause.listening:
            self._ending.wait(pause.seconds)
        else:
            time.sleep(pause.seconds)  # too short to be worth listening for the end

    def _notice_set_clock(self) -> None:
        with self._lock:
            self._account.notice_set_clock()

    def _keep_house(self) -> None:
        # First: by a clock that was set, and not put right yet, no data may be due, and a silence be forgotten.
        self._notice_set_clock()
        self.streams.keep_house(None if self._held else self._state.tallies)
        # A phase may change by the time alone.
        self._tell_of_streams()

    def _observe_account(self) -> None:
        tallies = self._state.tallies.items()
        applied = sum(tally.applied for name, tally in tallies if name.kind.carries_orders)
        self._account.observe(self.streams.healths(self._now_ns()), applied)

    def _watch_books(self) -> None:
        """Ask anew for the books that cannot be believed."""
        with self._lock:
            self._follow_books()
            books, now_ns = self._state.books, self._state.clock.at(self._now_ns())
            due = books.take_resyncs(now_ns)
            for stream, symbols in due.items():
                books.renew(symbols, stream, ASKED_ANEW, now_ns)
        for stream, symbols in due.items():
            log.warning("%s: asking anew for the order books of %s", stream, named(symbols))
            if stream.kind.book_channel is not None:
                self.streams.resubscribe(stream, symbols, stream.kind.book_channel)

    def _follow_books(self) -> None:
        """Let the books know at once where something of them was lost; under the lock."""
        now_ns = self._state.clock.at(self._now_ns())
        for stream in self.streams.names:
            if stream.kind.book_channel is not None:
                self._state.books.follow(stream, self.streams.queue.heard(stream), now_ns)

    def look_at_book(self, symbol: str, levels: int | None) -> tuple[Book | None, datetime]:
        """The book of a symbol as it stands, and the market's time."""
        now_ns = self._now_ns()
        lost = lost_books(self.streams.healths(now_ns).values())
        with self._lock:
            self._follow_books()
            as_of = utc_datetime(self._state.clock.at(now_ns))
            return self._state.books.view(symbol, levels, lost), as_of

    def book_history(self, symbol: str, count: int) -> Sequence[Book]:
        """The last books of a symbol."""
        with self._lock:
            return self._state.books.history(symbol, count)

    def restore(self, events: Iterable[Quote | Trade | Bar]) -> None:
        """Take over what another run of these streams knows."""
        with self._lock:
            self._state.restore(events)

    def _try(self, task: str, work: Callable[[], None]) -> None:
        """Do one task of a round; its error costs this round of it, and not the fold of all that is still to come."""
        try:
            work()
        except Exception as error:
            kind = (task, type(error))
            if kind not in self._logged:  # it may come twice a second
                self._logged.add(kind)
                log.exception("failed to %s; this is tried again, and logged once", task)

    def _fold(self, frames: Sequence[Frame]) -> bool:
        """Apply and settle the frames, and tell the callbacks; whether more are waiting."""
        with self._lock:
            self._account.notice_set_clock()
            self._state.collect_told(wanted=self._callbacks.any, wants_book=self._wants_book)
            for frame in self._account.received(frames):
                self._state.apply(frame)
            told = self._state.take_told()
            # Under the same lock, so that no snapshot sees an event twice or not at all.
            is_more = self.streams.queue.settle(frames) > 0
        if told:
            self._callbacks.tell(told)
        return is_more

    def snapshot(self) -> LiveSnapshot:
        """Everything at this instant."""
        with self._lock:
            self._account.notice_set_clock()
        now_ns = self._now_ns()
        callbacks = self._callbacks.stats
        healths = self.streams.healths(now_ns)
        with self._lock:
            self._follow_books()
            return self._state.snapshot(
                now_ns,
                running=not self._stopped,
                running_since=self._started_at,
                streams=self._with_ledgers(healths),
                account=self._account.account_state,
                risk_inputs=self._account.risk_inputs,
                expiry_facts=self._account.expiry_facts,
                callbacks=callbacks,
            )

    def _healths(self, wall_ns: int) -> dict[StreamId, StreamHealth]:
        healths = self.streams.healths(wall_ns)
        with self._lock:
            return self._with_ledgers(healths)

    def _with_ledgers(self, healths: Mapping[StreamId, StreamHealth]) -> dict[StreamId, StreamHealth]:
        """Under the lock, so that all is counted at one instant."""
        counts, tallies = self.streams.queue.counts(), self._state.tallies
        return {name: with_ledger(health, counts[name], tallies[name]) for name, health in healths.items()}
