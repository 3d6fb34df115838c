"""What every stream is: `run` holds one connection, `stop` ends it, and a sink hears what happens.

Retrying belongs to `worker`; a streamer that has ended is not run again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

from options_helper.data.streaming.sdk_connection import ConnectionTiming, SdkConnection
from options_helper.errors import StreamError

log = logging.getLogger(__name__)


class StreamSink(Protocol):
    """Hears one connection's news, on the stream's own thread; it must be quick and must not raise."""

    def connected(self, announcement: str | None) -> None:
        """The server welcomed and authenticated us; a simulator also announced its market."""

    def subscribed(
        self, asked: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        """The server answered all requests: it has the acknowledged symbols, and refused those for these reasons."""

    def frame(self, payload: bytes, events: int) -> None:
        """A message arrived that announces so many events."""

    def notice(self, sentence: str) -> None:
        """The server complained, and the connection goes on."""


class LoggingSink:
    """Logs what a user should know: for a streamer that is used with handlers alone."""

    def connected(self, announcement: str | None) -> None:
        """Say when the prices are made up."""
        if announcement is not None:
            log.warning("this market is simulated: %s", announcement)

    def subscribed(
        self, asked: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        """Say what is streamed and what was refused."""
        log.info("%d of %d symbols are streamed", len(acknowledged), len(asked))
        for symbol, reason in refusals.items():
            log.warning("%s is not streamed: %s", symbol, reason)

    def frame(self, payload: bytes, events: int) -> None:
        """Nothing: the handlers get the events."""

    def notice(self, sentence: str) -> None:
        """Pass it on."""
        log.warning("%s", sentence)


class Streamer(Protocol):
    """One connection's life."""

    def run(self) -> None:
        """Hold one connection; return when stopped, raise StreamError for whatever else ended it."""

    def stop(self) -> None:
        """End `run` soon, also one that is yet to come; returns at once, callable from any thread and handler."""


class ConnectionRunner(ABC):
    """Runs one connection's conversation on an event loop of the calling thread, until stopped."""

    def __init__(self, name: str, timing: ConnectionTiming) -> None:
        self._name = name  # the feed, for errors
        self._timing = timing
        # Guarded by self._lock: set by run() on its thread, used by stop() and wake() on any other.
        self._lock = threading.Lock()
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._news: asyncio.Event | None = None

    def run(self) -> None:
        """Hold one connection; return when stopped, raise StreamError for whatever else ended it. Blocks."""
        if not self._stopped:
            asyncio.run(self._main())

    def stop(self) -> None:
        """End `run` soon, also one that is yet to come; returns at once, callable from any thread and handler."""
        with self._lock:
            self._stopped = True
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)

    def wake(self) -> None:
        """Make the conversation look for news; callable from any thread and handler."""
        with self._lock:
            if self._loop is not None and self._news is not None:
                self._loop.call_soon_threadsafe(self._news.set)

    async def _main(self) -> None:
        news = asyncio.Event()
        conversation = asyncio.create_task(self._hold(news))
        with self._lock:
            if self._stopped:
                conversation.cancel()
            self._loop, self._task, self._news = asyncio.get_running_loop(), conversation, news
        try:
            await conversation
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        finally:
            with self._lock:
                self._loop = self._task = self._news = None

    async def _hold(self, news: asyncio.Event) -> None:
        connection = self._new_connection()
        ended: asyncio.Task[None] | None = None
        try:
            await connection.open()
            ended = asyncio.create_task(connection.ended())
            ended.add_done_callback(lambda _: news.set())
            await self._converse(connection, news, ended)
        finally:
            if ended is not None:
                ended.cancel()
            await connection.close()

    async def _next_news(self, news: asyncio.Event, *, awaiting_answer: bool) -> None:
        """Wait for news; an answer that is awaited must come in time."""
        try:
            async with asyncio.timeout(self._timing.acknowledgement if awaiting_answer else None):
                await news.wait()
        except TimeoutError as error:
            raise StreamError(
                f"The {self._name} server did not acknowledge the subscription within "
                f"{self._timing.acknowledgement:.0f} s; it is tried again."
            ) from error
        news.clear()

    @abstractmethod
    def _new_connection(self) -> SdkConnection:
        """Make the connection, not opened yet."""

    @abstractmethod
    async def _converse(
        self, connection: SdkConnection, news: asyncio.Event, ended: asyncio.Task[None]
    ) -> None:
        """Subscribe and listen on the open connection; wait on `news`, and raise when `ended` is done."""
