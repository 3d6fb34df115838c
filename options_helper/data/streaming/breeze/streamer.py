"""Breeze's books and quotes over one connection: what to ask for, what was heard, and what a session's end means."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from options_helper.data.breeze.account import Access, BreezeAccount
from options_helper.data.breeze.master import CHANNELS, Master
from options_helper.data.streaming.breeze.connection import CONNECT_ERROR, BreezeConnection
from options_helper.data.streaming.breeze.joins import Joins
from options_helper.data.streaming.breeze.packets import join, leave
from options_helper.data.streaming.breeze.ticks import token_of, with_symbol
from options_helper.data.streaming.connection.alpaca_sdk import DEFAULT_TIMING, ConnectionTiming
from options_helper.data.streaming.connection.connection_runner import ConnectionRunner, StreamSink
from options_helper.errors import ConfigError, RestStopped, StreamError, StreamRefused
from options_helper.settings import BreezeSettings


class Opening(NamedTuple):
    """What a connection begins with."""

    settings: BreezeSettings
    access: Access
    master: Master
    is_fresh: bool  # the key was asked for just now, so another would be no better


class Pass:
    """What a day's session opens, kept for all connections of that day: user, key and the list of instruments.

    They are asked for again where the settings have changed, and the key where the stream refused it.
    """

    def __init__(self) -> None:
        # Guarded by self._lock: the connections of one source may follow on each other on several threads.
        self._lock = threading.Lock()
        self._settings: BreezeSettings | None = None
        self._access: Access | None = None
        self._master: Master | None = None

    def open(self, settings: BreezeSettings, account: BreezeAccount) -> Opening:
        """Ask for what is not known; blocks, and raises as `BreezeAccount` does."""
        with self._lock:
            if settings != self._settings:
                self._settings, self._access, self._master = settings, None, None
            known, master = self._access, self._master
        access = known or account.log_in()
        self._keep(settings, access, master)
        master = master or account.master()
        self._keep(settings, access, master)
        return Opening(settings, access, master, is_fresh=known is None)

    def _keep(self, settings: BreezeSettings, access: Access, master: Master | None) -> None:
        with self._lock:
            if settings == self._settings:
                self._access, self._master = access, master

    def forget(self, access: Access) -> None:
        """The stream refused this key."""
        with self._lock:
            if self._access == access:
                self._access = None


class BreezeStreamer(ConnectionRunner[BreezeConnection]):
    """`run` holds one connection and blocks; ticks go to the sink, each with its symbol in front.

    `load` gives the settings, at each beginning anew, so that a new session in the file is taken without a restart;
    `day` is kept by whoever makes the next streamer.
    """

    # Set by run() on its thread, before its connection is made.
    _opening: Opening

    def __init__(
        self,
        load: Callable[[], BreezeSettings],
        day: Pass,
        *,
        sink: StreamSink,
        timing: ConnectionTiming = DEFAULT_TIMING,
    ) -> None:
        super().__init__("Breeze", timing)
        self._load = load
        self._day = day
        self._sink = sink
        # Guarded by self._lock, which belongs to the runner: set by run() on its thread, ended by stop() on any.
        self._account: BreezeAccount | None = None
        # Guarded by self._joins_lock: changed by subscribe() on any thread and by the ticks on the stream's.
        self._joins_lock = threading.Lock()
        self._joins = Joins()

    def subscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Stream these symbols too, on these channels (default: the depth); before or during `run`, never waits.

        ValueError for a channel that Breeze does not have.
        """
        chosen = ("depth",) if channels is None else _checked(channels)
        with self._joins_lock:
            self._joins.want(symbols, chosen)
        self.wake()

    def unsubscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Stream these symbols no longer on these channels (default: all); what was not streamed is passed over."""
        chosen = tuple(CHANNELS) if channels is None else _checked(channels)
        with self._joins_lock:
            self._joins.unwant(symbols, chosen)
        self.wake()

    def renew(self, symbols: Iterable[str], channel: str) -> None:
        """Leave those of these that are streamed on this channel and join them again; what is not is passed over."""
        with self._joins_lock:
            self._joins.renew(symbols, *_checked((channel,)))
        self.wake()

    def stop(self) -> None:
        """End `run` soon, also one that is yet to come; returns at once, callable from any thread."""
        super().stop()
        with self._lock:
            if self._account is not None:
                self._account.stop()

    def _run_loop(self) -> None:
        try:
            opening = self._opening = self._ask()
        except RestStopped:
            return
        try:
            super()._run_loop()
        except StreamRefused as error:
            if error.code != CONNECT_ERROR:
                raise
            self._day.forget(opening.access)
            if opening.is_fresh:
                raise
            # The key of this morning may be void and the session not, which only another key tells.
            raise StreamError(str(error), code=error.code) from error

    def _ask(self) -> Opening:
        """What the connection needs; blocks until it is there or `stop` was called."""
        try:
            settings = self._load()
            settings.require_session()
            account = BreezeAccount(settings)
        except ConfigError as error:
            # The file may be put right while this runs.
            raise StreamRefused(str(error)) from error
        with self._lock:
            self._account = account
            if self._stopped:
                account.stop()
        try:
            return self._day.open(settings, account)
        finally:
            account.close()

    def _new_connection(self) -> BreezeConnection:
        return BreezeConnection(self._opening.settings, self._opening.access, self._timing, self._receive)

    async def _communicate(
        self, connection: BreezeConnection, news: asyncio.Event, ended: asyncio.Task[None]
    ) -> None:
        self._sink.connected(connection.announcement)
        with self._joins_lock:
            self._joins.begin(self._opening.master)
        reported: tuple[Any, ...] | None = None
        while True:
            with self._joins_lock:
                gone, new = self._joins.next_leave(), self._joins.next_join()
                answer = self._joins.requested, self._joins.acknowledged, self._joins.refusals
            if gone:
                await connection.send(leave(gone))
            if new:
                await connection.send(join(new))
            if answer != reported:
                self._sink.subscribed(*answer)
                _require_a_symbol(*answer)
                reported = answer
            await self._next_news(news)
            if ended.done():
                raise connection.loss()

    def _receive(self, message: bytes) -> None:
        with self._joins_lock:
            symbol = self._joins.symbol_of(token_of(message))
            is_first = self._joins.hear(symbol)
        self._sink.frame(with_symbol(symbol, message), 1)
        if is_first:
            self.wake()


def _checked(channels: Sequence[str]) -> tuple[str, ...]:
    for channel in channels:
        if channel not in CHANNELS:
            raise ValueError(f"Breeze has no channel {channel!r}, only {', '.join(CHANNELS)}")
    return tuple(channels)


def _require_a_symbol(
    requested: Sequence[str], _acknowledged: Sequence[str], refusals: Mapping[str, str]
) -> None:
    if requested and len(refusals) == len(requested):
        raise StreamRefused(f"None of the symbols can be streamed: {next(iter(refusals.values()))}")
