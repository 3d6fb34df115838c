"""What every stream is: `run` holds one connection, `stop` ends it, and a sink hears what happens.

Retrying belongs to `worker`, which makes a new streamer each time; a library user may `run` the same one again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from options_helper.data.streaming.connection.alpaca_sdk import ConnectionTiming
from options_helper.errors import StreamError

log = logging.getLogger(__name__)


class StreamSink(Protocol):
    """Receives one connection's news, on the stream's own thread; it must be quick and must not raise."""

    def connected(self, announcement: str | None) -> None:
        """The server welcomed and authenticated us; a simulator also announced its market."""

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        """The server answered all requests: it has the acknowledged symbols, and refused those for these reasons."""

    def answered(
        self,
        asked: Mapping[str, tuple[str, ...]],  # noqa: ARG002 - most sinks have no use for it
        held: Mapping[str, tuple[str, ...]],  # noqa: ARG002
    ) -> None:
        """The same by channels, told before it where they are known: those asked for of each symbol, those it has."""
        return

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        """A message arrived that announces so many events: now, or then on the computer's clock (epoch nanoseconds)."""

    def notice(self, sentence: str) -> None:
        """The server complained, and the connection goes on."""

    def may_wait(self) -> bool:
        """Whether what comes next may be read some milliseconds late, which saves most of what reading costs."""
        return False

    def invite(self) -> None:
        """Another run begins a connection that this one would share: a pause may end. On any thread."""


class LoggingSink:
    """Logs what a user should know: for a streamer that is used with handlers alone."""

    def connected(self, announcement: str | None) -> None:
        """Say when the prices are made up."""
        if announcement is not None:
            log.warning("this market is simulated: %s", announcement)

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        """Say what is streamed and what was refused."""
        log.info("%d of %d symbols are streamed", len(acknowledged), len(requested))
        for symbol, reason in refusals.items():
            log.warning("%s is not streamed: %s", symbol, reason)

    def answered(self, asked: Mapping[str, tuple[str, ...]], held: Mapping[str, tuple[str, ...]]) -> None:
        """Nothing: which symbols are streamed is said in any case."""

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        """Nothing: the handlers get the events."""

    def notice(self, sentence: str) -> None:
        """Pass it on."""
        log.warning("%s", sentence)

    def may_wait(self) -> bool:
        """Handlers are called at once."""
        return False

    def invite(self) -> None:
        """Nothing: whoever runs a streamer alone decides alone when it tries again."""


HANDLED_AT_ONCE: Final = 10_000

Handler = Callable[[Any], Awaitable[None] | None]


def require_handlers(**handlers: Handler | None) -> None:
    """Raise TypeError for one that cannot be called: it would fail at each event, long after the mistake."""
    for name, handler in handlers.items():
        if handler is not None and not callable(handler):
            raise TypeError(
                f"{name} is a function or a coroutine function, and {handler!r} cannot be called."
            )


class RepeatedLog:
    """Logs the first of each kind of trouble and counts the others, which may come with every event."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def note(self, kind: str, message: str, *arguments: object, exc_info: bool = False) -> None:
        """Count one; where it is the first of its kind, say the message."""
        self._counts[kind] += 1
        if self._counts[kind] == 1:
            log.error(message, *arguments, exc_info=exc_info)

    def conclude(self) -> None:
        """Say how often each kind came, where it was more than once, and begin anew."""
        for kind, count in self._counts.items():
            if count > 1:
                log.error("%s: %d times", kind, count)
        self._counts.clear()


class HandlerCaller:
    """Calls a library user's handlers on the stream's loop; a handler's failure costs nothing but itself.

    What a handler returns to be awaited is awaited one after another, in the order of the events. When so many wait
    that the handler will not catch up, the newest is given up.
    """

    def __init__(self, troubles: RepeatedLog) -> None:
        self._troubles = troubles
        self._waiting: deque[Awaitable[None]] = deque()
        self._drain: asyncio.Task[None] | None = None
        self.unhandled = 0

    def call(self, handler: Handler, argument: Any) -> None:
        """Call it now, on the loop's thread."""
        try:
            outcome = handler(argument)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - of code that is not ours; it is logged
            self._failed(error)
            return
        if outcome is None:
            return
        if len(self._waiting) >= HANDLED_AT_ONCE:
            self._give_up(outcome)
            return
        self._waiting.append(outcome)
        if self._drain is None or self._drain.done():
            self._drain = asyncio.get_running_loop().create_task(self._await_all())

    def _failed(self, error: BaseException) -> None:
        self.unhandled += 1
        self._troubles.note(f"a handler failed ({type(error).__name__})", "a handler failed", exc_info=True)

    def _give_up(self, outcome: Awaitable[None]) -> None:
        self.unhandled += 1
        self._troubles.note(
            "a handler was too slow for an event",
            "a handler is too slow: %d events wait for it, so the newest are not handled",
            HANDLED_AT_ONCE,
        )
        if isinstance(outcome, Coroutine):
            outcome.close()

    def close(self) -> None:
        """Give up what still waits, because its loop has ended."""
        waiting, self._waiting, self._drain = self._waiting, deque(), None
        for outcome in waiting:
            self.unhandled += 1
            self._troubles.note(
                "an event still waited at the end", "events still wait for a handler at the end"
            )
            if isinstance(outcome, Coroutine):
                outcome.close()

    async def _await_all(self) -> None:
        while self._waiting:
            try:
                await self._waiting.popleft()
            except asyncio.CancelledError as error:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise  # the connection ends
                self._failed(error)  # the handler's own
            except Exception as error:  # noqa: BLE001 - of code that is not ours; it is logged
                self._failed(error)


class Streamer(Protocol):
    """One connection's life."""

    def run(self) -> None:
        """Hold one connection; return when stopped, raise StreamError for whatever else ended it."""

    def stop(self) -> None:
        """End `run` soon, also one that is yet to come; returns at once, callable from any thread and handler."""

    def abandon(self) -> None:
        """The same because nothing is heard: one that is shared ends for all who have it, so that it is made anew."""


class Connection(Protocol):
    """One connection's life, on one event loop."""

    async def open(self) -> None:
        """Connect and authenticate; StreamError otherwise."""

    async def ended(self) -> None:
        """Wait until it is gone."""

    def loss(self) -> StreamError:
        """Why it is gone, in words; what ended it is the cause, where that was an exception."""

    async def close(self) -> None:
        """Say goodbye and free the socket; harmless before `open`."""


C = TypeVar("C", bound=Connection)


class ConnectionRunner(ABC, Generic[C]):
    """Runs one connection's conversation on an event loop of the calling thread, until stopped."""

    def __init__(self, name: str, timing: ConnectionTiming) -> None:
        self._name = name  # the feed, for errors
        self._timing = timing
        self._lock = threading.Lock()
        # Set once, under self._lock, so that it and the loop agree; run() also reads it without.
        self._stopped = False
        # Guarded by self._lock: set by run() on its thread, used by stop() and wake() on any other.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._news: asyncio.Event | None = None
        self._runs = False
        self._troubles = RepeatedLog()
        self._caller = HandlerCaller(self._troubles)

    @property
    def unhandled_events(self) -> int:
        """Events so far on which a handler failed, or for which it was too slow."""
        return self._caller.unhandled

    def run(self) -> None:
        """Hold one connection; return when stopped, raise StreamError for whatever else ended it. Blocks.

        After a StreamError it may be called again: what is subscribed is asked for anew. Once stopped, it stays so.
        RuntimeError where it runs already, and on a thread that runs an event loop.
        """
        with self._lock:
            if self._stopped:
                return
            if self._runs:
                raise RuntimeError(
                    f"The {self._name} streamer runs already; make a second one for a second connection, "
                    "or wait until `run` has returned."
                )
            self._runs = True
        try:
            self._run_loop()
        finally:
            self._caller.close()
            self._troubles.conclude()
            with self._lock:
                self._runs = False

    def _run_loop(self) -> None:
        # Not `asyncio.run`: at its end it waits for a name server that does not answer, and starts a thread for
        # that, which Python 3.12 refuses while the process ends.
        loop = asyncio.new_event_loop()
        try:
            self._require_free_thread(loop)
            try:
                loop.run_until_complete(self._main())
            finally:
                loop.run_until_complete(_cancel_the_rest())
        finally:
            loop.close()

    def _require_free_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        """Raise RuntimeError where this thread runs another event loop that lets no second one run inside."""
        trial = asyncio.sleep(0)
        try:
            loop.run_until_complete(trial)
        except RuntimeError as error:
            trial.close()
            raise RuntimeError(
                f"`run` of the {self._name} streamer holds its thread, and this one runs an event loop already, "
                "as a notebook's does. Write `await asyncio.to_thread(streamer.run)`, start it on a thread "
                "of its own, or use LiveStreamManager."
            ) from error

    def stop(self) -> None:
        """End `run` soon, also one that is yet to come; returns at once, callable from any thread and handler."""
        with self._lock:
            self._stopped = True
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)

    def abandon(self) -> None:
        """The same: nobody else has this connection."""
        self.stop()

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
            await self._communicate(connection, news, ended)
        finally:
            if ended is not None:
                ended.cancel()
            await connection.close()

    def _answer_due(self) -> float:
        """Until when the answer to what is asked now must come, by the loop's clock, whatever else is news."""
        return asyncio.get_running_loop().time() + self._timing.acknowledgement

    async def _next_news(self, news: asyncio.Event, *, due: float | None = None) -> None:
        """Wait for news, and for the answer that is awaited no longer than until it is `due`."""
        try:
            async with asyncio.timeout_at(due):
                await news.wait()
        except TimeoutError as error:
            raise StreamError(
                f"The {self._name} server did not acknowledge the subscription within "
                f"{self._timing.acknowledgement:.0f} s; it is tried again."
            ) from error
        news.clear()

    @abstractmethod
    def _new_connection(self) -> C:
        """Make the connection, not opened yet."""

    @abstractmethod
    async def _communicate(self, connection: C, news: asyncio.Event, ended: asyncio.Task[None]) -> None:
        """Subscribe and listen on the open connection; wait on `news`, and raise when `ended` is done."""


async def _cancel_the_rest() -> None:
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
