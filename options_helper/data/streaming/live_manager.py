"""Runs the streams beside whoever looks at them: start with a config, take snapshots, stop.

A run dies as a whole. Queue, threads, state and counters belong to one `LiveRun`; a restart stops the old run and
builds a new one, so a late frame of the old run reaches the old queue and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from options_helper.clock import elapsed_seconds, utc_now_ns
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.streaming.alpaca_stream import AlpacaOptionStreamer, AlpacaStockStreamer
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.callbacks.delivery import QUEUE_SIZE, Callback, Symbols
from options_helper.data.streaming.callbacks.dispatcher import STATES, CallbackHandle, Callbacks
from options_helper.data.streaming.callbacks.pulling import Pull
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig, requests_for
from options_helper.data.streaming.engine.stream_source import (
    AlpacaSource,
    StreamSource,
    named_source,
    require_offered,
)
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_run import Carry, LiveRun
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.model.announcement import MarketKind
from options_helper.model.callbacks import CallbackKind
from options_helper.model.events import Bar, Quote, Trade
from options_helper.model.instants import utc_datetime
from options_helper.model.order_book import Book
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamId
from options_helper.settings import Settings

__all__ = ["LiveStreamConfig", "LiveStreamManager"]

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 0.9
# Of a stop, whatever else takes its time: callbacks get this long to take what was brought to them.
CALLBACK_STOP_SECONDS: Final = 0.1


class LiveStreamManager:
    """At most one run of the streams. Every method may be called from any thread.

    `settings` default to the environment and `config/alpaca.env`, read at each start. `retry` sets what a config
    does not: the pause after a full connection slot, and the jitter. `source` stands in place of Alpaca's streams
    and of the three classes that make them. `watch` says when prices and account are asked for beside the streams,
    `rest_cls` by what; None asks for nothing, and without keys nothing is asked either. `limits` holds all runs, and
    whoever else has it, to one pace. `carry` is given all frames before they are folded; where it says that it has not
    taken them they are offered again, and wait in the queue until then. With `only_wanted` nothing is shown of
    symbols that the config does not name, though the source brings them. `now_ns` tells when something was, `monotonic`
    how many seconds it took, `elapsed` also those in which the computer slept. `run_cls` makes each run.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        stock_stream_cls: Callable[..., Any] = AlpacaStockStreamer,
        option_stream_cls: Callable[..., Any] = AlpacaOptionStreamer,
        trading_stream_cls: Callable[..., Any] = AlpacaTradingStreamer,
        source: StreamSource | None = None,
        rest_cls: Callable[..., AlpacaRest] | None = AlpacaRest,
        limits: RequestLimits | None = None,
        watch: WatchPolicy | None = None,
        carry: Carry | None = None,
        only_wanted: bool = False,
        now_ns: Callable[[], int] = utc_now_ns,
        monotonic: Callable[[], float] = time.monotonic,
        elapsed: Callable[[], float] = elapsed_seconds,
        retry: RetryPolicy | None = None,
        run_cls: Callable[..., LiveRun] = LiveRun,
    ) -> None:
        self._settings = settings
        self._run_cls = run_cls
        self._source: StreamSource = source or AlpacaSource(
            stock_stream_cls, option_stream_cls, trading_stream_cls
        )
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._elapsed = elapsed
        self._retry = retry or RetryPolicy()
        self._rest_cls = rest_cls
        self._limits = limits or RequestLimits()
        self._watch = watch or WatchPolicy()
        self._carry = carry
        self._only_wanted = only_wanted
        self._callbacks = Callbacks(monotonic)
        # Held throughout start() and stop(): two tabs cannot start two runs.
        self._lock = threading.Lock()
        # Of the last start, with all that was subscribed to and unsubscribed from since; under the lock.
        self._config = LiveStreamConfig()
        # Replaced whole under the lock; whoever only looks does not wait for a start or a stop.
        self._run: LiveRun | None = None
        self._last: LiveRun | None = None

    @property
    def config(self) -> LiveStreamConfig | None:
        """What runs now; None while nothing does."""
        run = self._run
        return None if run is None else run.streams.config

    def start(self, config: LiveStreamConfig) -> None:
        """Stream what the config says; never waits for the network.

        What runs already runs on, and what was subscribed to and unsubscribed from stays so, but for symbols that this
        config names and the last one did not. When only the symbols differ, the open connections change their
        subscriptions; otherwise the old run is stopped first. Streams that have failed are tried again at once, with
        the settings as they are now: where those have changed, the whole run begins anew. ConfigError when keys are
        missing, settings wrong, or a stream is wanted that the source has not; what runs then runs on.
        """
        with self._lock:
            running = self._run
            config = config.keeping_changes_of(self._config)
            settings: Settings | None = None
            if running is not None and running.can_become(running.named(config)):
                if running.streams.has_failed:
                    settings = self._settings or Settings.load()
                if settings is None or settings == running.settings:
                    self._config = config
                    running.change_symbols(running.named(config))
                    running.streams.revive()
                    return
            settings = settings or self._settings or Settings.load()
            source = named_source(self._source, settings.account)
            source.check(settings)
            require_offered(config.with_fills_of(settings.account), source)
            # Made before the old one is stopped: what cannot be made leaves that as it is.
            run = self._run_cls(
                config.with_fills_of(settings.account),
                settings,
                source,
                self._retry,
                now_ns=self._now_ns,
                monotonic=self._monotonic,
                elapsed=self._elapsed,
                rest_cls=self._rest_cls if settings.has_credentials else None,
                policy=self._watch,
                limits=self._limits,
                callbacks=self._callbacks,
                carry=self._carry,
                only_wanted=self._only_wanted,
            )
            if running is not None:
                self._run = None
                running.stop(time.monotonic() + STOP_SECONDS)
            self._run = self._last = run
            self._config = config
            self._callbacks.open(run)
            run.start()

    def stop(self) -> None:
        """End every stream and wait for the threads, about a second at most, and three more where frames are carried.

        Harmless when nothing runs.

        From any thread, one of the run's own included, which then ends by itself, and in a callback. Where a thread is
        just importing the SDK or waits for a name server, it is left to end by itself too. Callbacks may take what was
        brought to them until then; what still waits at the end is given up, and so is a call that does not end.
        """
        deadline = time.monotonic() + STOP_SECONDS
        with self._lock:
            run, self._run = self._run, None
            if run is not None:
                run.stop(deadline - CALLBACK_STOP_SECONDS)
        if run is not None:
            # Not under the lock: a callback that is waited for may be waiting for it.
            self._callbacks.close(run, max(CALLBACK_STOP_SECONDS, deadline - time.monotonic()))

    @property
    def queue_fill(self) -> float:
        """The share of the queue's room that is taken: near 1, what comes next is dropped. 0 where nothing runs."""
        run = self._run
        return 0.0 if run is None else run.streams.queue.fill

    @property
    def failure(self) -> str | None:
        """Why what runs takes nothing in any more, as a sentence; None while it does."""
        run = self._run
        return None if run is None else run.streams.failure

    def is_running(self) -> bool:
        """Whether a run was started and not stopped; its streams may be failing, which the snapshot tells."""
        return self._run is not None

    def snapshot(self) -> LiveSnapshot:
        """Everything at this instant. After a stop: the last run as it ended, its ages growing on."""
        run = self._last
        if run is None:
            market = MarketKind.ALPACA if self._settings is None else self._settings.market_kind
            as_of = utc_datetime(self._now_ns())
            return LiveSnapshot(as_of, market=market, callbacks=self._callbacks.stats)
        return run.snapshot()

    def subscribe(
        self, symbols: Iterable[str], *, channels: Iterable[str] = (), stream: StreamId | None = None
    ) -> None:
        """Stream these symbols too, on these channels; without any named, on those that the config has for the stream.

        Symbols in any spelling; each goes to the stream that carries its kind, or to the one that is named. While
        streams run, the difference is sent on the open connections, and what was not needed so far is connected. Never
        waits for the network, also in a callback. It stays so through reconnects, stops and starts until
        `unsubscribe`. ConfigError for a channel that the stream has not, or a stream that the source has not.
        """
        with self._lock:
            config = self._config
            for request in requests_for(symbols, channels, stream):
                config = config.subscribing(request)
            self._change(config)

    def unsubscribe(
        self, symbols: Iterable[str], *, channels: Iterable[str] = (), stream: StreamId | None = None
    ) -> None:
        """Stream these symbols no longer on these channels; without any named, on none. Otherwise as `subscribe`.

        A connection that is left without symbols stays open for others until the next `start` or `stop`.
        """
        with self._lock:
            config = self._config
            for request in requests_for(symbols, channels, stream):
                config = config.unsubscribing(request)
            self._change(config)

    def _change(self, config: LiveStreamConfig) -> None:
        run = self._run
        if run is not None:
            named = run.named(config)
            require_offered(named, run.source)
            run.change_symbols(named, keep_idle=True)
        self._config = config

    def on(
        self,
        kind: CallbackKind | str,
        symbol: Symbols,
        callback: Callback,
        *,
        newest: bool = False,
        queue_size: int = QUEUE_SIZE,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> CallbackHandle:
        """Call back with each value of a kind: of a symbol or several, in any spelling, None: of every one.

        A function or a coroutine function; it runs beside the streams, which wait for nothing that it does, or on
        `loop`. Its values come one after another, in order. Those that wait stand in a queue of `queue_size`, and what
        finds it full is given up; with `newest`, only the newest of each symbol waits. Registered now or while the
        streams run, it stays through reconnects, stops and starts until it is removed.

        ValueError for a kind that there is not, TypeError for a callback that cannot be called.
        """
        handle = self._callbacks.add(
            _kind(kind), symbol, callback, newest=newest, queue_size=queue_size, loop=loop
        )
        self._welcome(handle.kind)
        return handle

    def _welcome(self, kind: CallbackKind) -> None:
        run = self._run
        if run is not None and kind in STATES:
            run.welcome()

    def pull(
        self,
        kind: CallbackKind | str,
        symbol: Symbols,
        *,
        newest: bool = False,
        queue_size: int = QUEUE_SIZE,
    ) -> Pull:
        """The same for whoever would rather fetch: an iterator for `async for`, of the loop that runs here."""
        loop = asyncio.get_running_loop()
        pull = self._callbacks.pull(_kind(kind), symbol, newest=newest, queue_size=queue_size, loop=loop)
        self._welcome(_kind(kind))
        return pull

    def on_quote(self, symbol: Symbols, callback: Callback, **more: Any) -> CallbackHandle:
        """Call back with each `Quote`; `more` as for `on`."""
        return self.on(CallbackKind.QUOTE, symbol, callback, **more)

    def on_trade(self, symbol: Symbols, callback: Callback, **more: Any) -> CallbackHandle:
        """Call back with each `Trade`."""
        return self.on(CallbackKind.TRADE, symbol, callback, **more)

    def on_bar(self, symbol: Symbols, callback: Callback, **more: Any) -> CallbackHandle:
        """Call back with each minute's `Bar`; kinds of their own are `updated_bar` and `daily_bar`."""
        return self.on(CallbackKind.BAR, symbol, callback, **more)

    def on_book(self, symbol: Symbols, callback: Callback, **more: Any) -> CallbackHandle:
        """Call back with the `Book`, its best 50 levels, after each message about it; its state says how it is."""
        return self.on(CallbackKind.BOOK, symbol, callback, **more)

    def on_news(self, symbol: Symbols, callback: Callback, **more: Any) -> CallbackHandle:
        """Call back with each article (`News`) that names the symbol."""
        return self.on(CallbackKind.NEWS, symbol, callback, **more)

    def on_order_update(self, symbol: Symbols, callback: Callback, **more: Any) -> CallbackHandle:
        """Call back with each `OrderUpdate` that the socket brings; one of several legs is of each of their symbols."""
        return self.on(CallbackKind.ORDER_UPDATE, symbol, callback, **more)

    def on_gap(self, symbol: Symbols, callback: Callback, **more: Any) -> CallbackHandle:
        """Call back with each `Gap` of the stream that carries the symbol: when it opens, and when it is over.

        It is told before anything that came after it. One that did not last long may be told once, when it is over. One
        that is open already is told at once. A silence is a gap once it has lasted so long that the connection is made
        anew, and then from its beginning on.
        """
        return self.on(CallbackKind.GAP, symbol, callback, **more)

    def on_health(self, symbol: Symbols, callback: Callback, **more: Any) -> CallbackHandle:
        """Call back with the `StreamHealth` of the stream that carries the symbol: now, and at each change of phase."""
        return self.on(CallbackKind.HEALTH, symbol, callback, **more)

    def remove_callbacks(self, symbol: Symbols) -> int:
        """Remove all that were registered for just this symbol, None: for every symbol; how many they were."""
        return self._callbacks.remove_of(symbol)

    def latest_book(
        self, symbol: str, max_age_seconds: float = 5.0, *, levels: int | None = None
    ) -> Book | None:
        """The order book, whole or with so many of its best levels; its state says whether it is well.

        None where it is not known now, or nothing has come for the symbol for longer than that: `why_no_book` tells.
        """
        book, as_of = self._look_at_book(symbol, levels)
        return None if book is None or book.why_not(as_of, max_age_seconds) else book

    def why_no_book(self, symbol: str, max_age_seconds: float = 5.0) -> str | None:
        """Why `latest_book` has none, as a sentence; None where it has."""
        book, as_of = self._look_at_book(symbol, 1)
        if book is not None:
            return book.why_not(as_of, max_age_seconds)
        if self._run is None:
            return "Nothing is streamed now, so there is no order book."
        return f"No order book of {symbol} is streamed: it needs a channel of order books."

    def _look_at_book(self, symbol: str, levels: int | None) -> tuple[Book | None, datetime]:
        run = self._last
        return (None, utc_datetime(self._now_ns())) if run is None else run.look_at_book(symbol, levels)

    def restore(self, events: Iterable[Quote | Trade | Bar]) -> None:
        """Take over the newest events of another run of these streams, with their receipt there, where none is newer.

        They are no events of this run's streams, so its ledger does not count them. Does nothing while nothing runs.
        """
        run = self._run
        if run is not None:
            run.restore(events)

    def book_history(self, symbol: str, count: int = 10) -> Sequence[Book]:
        """The last books of a symbol, newest first: one for each second in which something came, the best 20 levels.

        Where one was lost stands a book without levels.
        """
        run = self._last
        return () if run is None else run.book_history(symbol, count)


def _kind(kind: CallbackKind | str) -> CallbackKind:
    try:
        return CallbackKind(kind)
    except ValueError:
        raise ValueError(
            f"There are no callbacks on {kind!r}; choose one of {', '.join(CallbackKind)}."
        ) from None
