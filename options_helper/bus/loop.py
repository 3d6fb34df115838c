"""An event loop on a thread of its own, for whoever is not asynchronous."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Iterable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from typing import Any, Final, TypeVar

from options_helper.errors import StreamError

log = logging.getLogger(__name__)

# A task that swallows its cancellation does not hold up the end.
END_SECONDS: Final = 1.0
# So long the thread itself goes on with what is left on it; whoever ends it does not wait for that.
LEFT_SECONDS: Final = 5.0
# So long a task has to end before it is cancelled once more.
AGAIN_SECONDS: Final = 0.25
T = TypeVar("T")


class LoopThread:
    """Runs coroutines on its own thread, from `start` to `stop`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        # A loop knows its tasks weakly: one that waits for what nobody else knows of would be collected in its midst.
        self._going: set[Future[Any]] = set()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(_cancel_the_rest())
            self._loop.close()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run it there, and do not wait; what it raises is logged, since nobody may ever ask for it."""
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # it has ended
            work.close()
            raise
        self._going.add(future)
        future.add_done_callback(self._going.discard)
        future.add_done_callback(self._say_failure)
        return future

    def _say_failure(self, future: Future[Any]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            log.error("what ran on %s has ended: %r", self._thread.name, error, exc_info=error)

    def call(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Run it there and wait for what it comes to; StreamError where that takes longer. From any other thread.

        After the error it has ended, or never begins; only what swallows its cancellation is not waited for. Where it
        came to something in the last moment, that is returned.
        """
        if self._thread.ident is None:  # nobody would ever begin it
            work.close()
            raise StreamError("The connection to the bus was not opened.")
        given_up = threading.Event()
        bounded = _bounded(work, seconds, given_up)
        try:
            future = asyncio.run_coroutine_threadsafe(bounded, self._loop)
        except RuntimeError:  # it has ended
            bounded.close()
            work.close()
            raise StreamError("The connection to the bus was closed.") from None
        try:
            return future.result(seconds + END_SECONDS)
        except (NotInTime, CancelledError):
            given_up.set()
            if not future.cancel():
                with suppress(NotInTime, CancelledError):
                    return future.result(END_SECONDS)
            raise StreamError(f"The bus did not answer within {seconds:g} s.") from None

    def stop(self, seconds: float) -> None:
        """End it and what runs on it; waits so long. Harmless twice."""
        if self._thread.ident is None:
            self._loop.close()
            return
        with suppress(RuntimeError):  # it is closed already
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(seconds)


async def _bounded(work: Coroutine[Any, Any, T], seconds: float, given_up: threading.Event) -> T:
    """Cancelled on its own loop, so that whoever waits hears of it when it has ended, and not before."""
    if given_up.is_set():  # the loop was busy: a task's cancellation would come after its first step
        work.close()
        raise asyncio.CancelledError
    async with asyncio.timeout(seconds):
        return await work


async def end_tasks(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel them until they have ended: `wait_for` may swallow a cancellation that comes in the turn of its answer."""
    while going := [task for task in tasks if task is not None and not task.done()]:
        for task in going:
            task.cancel()
        await asyncio.wait(going, timeout=AGAIN_SECONDS)


async def _cancel_the_rest() -> None:
    """End all tasks, also those that others begin as they end: what is left on a closed loop complains much later."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LEFT_SECONDS):
            while rest := asyncio.all_tasks() - {asyncio.current_task()}:
                await end_tasks(rest)
