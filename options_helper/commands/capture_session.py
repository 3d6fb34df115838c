"""One session of a capture, seen from the terminal: watch the engine and let it end, listening to signals meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Final, Protocol, Self

from options_helper.clock import elapsed_seconds
from options_helper.commands.capture_display import Display
from options_helper.commands.capture_troubles import wanted_streams
from options_helper.data.recording.status import CaptureStatus
from options_helper.model.snapshot import Phase

log = logging.getLogger(__name__)

OBSERVE_EVERY_SECONDS: Final = 0.5
# After the second signal the disk has so long for what is at hand.
LEAVING_SECONDS: Final = 2.0
# After an error it has so long for everything: somewhat more than an engine needs with a disk that answers.
ABANDON_SECONDS: Final = 15.0


class Shutdown(Protocol):
    """How a capture waits."""

    def wait(self, seconds: float) -> int:
        """Wait so long, or until the next signal; how many there were so far."""

    def raising(self) -> AbstractContextManager[None]:
        """Where a signal raises `Interrupted`."""


class Ending(StrEnum):
    """Why a session ended."""

    SIGNAL = "it was asked to end"
    DURATION = "its time is over"
    CLOSED = "the market has closed"
    FAILED = "no stream is left"
    BROKEN = "the recorder has ended by itself"


class Engine(Protocol):
    """What records, once it has started."""

    def start(self) -> None:
        """Begin; after an error nothing runs."""

    @property
    def is_writing(self) -> bool:
        """Whether its writer lives."""

    def status(self) -> CaptureStatus:
        """Everything at this instant."""

    def stop(self) -> object:
        """Stop receiving and write everything; blocks until then, also while the disk hangs."""

    def leave(self) -> None:
        """Let it write what is at hand and end at once."""


class Signals:
    """The signals of one run, which any wait may bring; for the main thread."""

    def __init__(self, shutdown: Shutdown) -> None:
        self._shutdown = shutdown
        self.count = 0

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the next one; whether anybody has asked to end so far."""
        self.count = self._shutdown.wait(seconds)
        return self.count > 0

    def raising(self) -> AbstractContextManager[None]:
        """Where a signal raises `Interrupted`."""
        return self._shutdown.raising()


class CaptureSession:
    """One engine, on the main thread, from its start until everything is written.

    It ends by itself when no stream is tried any more, after `limit` seconds, and when it `is_closed`, where these are
    given.
    """

    def __init__(
        self,
        engine: Engine,
        signals: Signals,
        *,
        now: Callable[[], datetime],
        limit: float | None,
        is_closed: Callable[[datetime], bool] | None,
        elapsed: Callable[[], float] = elapsed_seconds,
        every_seconds: float = OBSERVE_EVERY_SECONDS,
    ) -> None:
        self._engine = engine
        self._every_seconds = every_seconds
        self._signals = signals
        self._now = now
        self._limit = limit
        self._is_closed = is_closed
        # The computer's clock may be set meanwhile, by hours where it gets its time only after the boot.
        self._elapsed = elapsed
        self._began = elapsed()

    def __enter__(self) -> Self:
        """Have it begin. Blocks, and raises as it does; nothing runs then."""
        self._engine.start()
        self._began = self._elapsed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The threads at work would die with the process, and what they hold with them.
        if error is not None and not self.abandon():
            log.error(
                "the capture is left before it has ended, because the disk does not answer", exc_info=error
            )

    @property
    def duration(self) -> float:
        """For how many seconds it has been recording."""
        return self._elapsed() - self._began

    def watch(self, display: Display, meanwhile: Callable[[datetime, CaptureStatus], object]) -> Ending:
        """Tell how it goes until it has to end, and call `meanwhile` with the time and the status now and then."""
        # Asked once a turn: it counts what queue, journal and files have, under the locks of those that write them.
        while (ending := self._ending(status := self._engine.status())) is None:
            display.show(status, "recording")
            meanwhile(self._now(), status)
            self._signals.wait(self._every_seconds)
        return ending

    def drain(self, display: Display) -> bool:
        """Let it write everything; at a further signal only what is at hand. Whether it came to its end."""
        stopper = self._stopper()
        while stopper.is_alive():
            if self._signals.count > 1:
                return self._leave(stopper)
            display.show(self._engine.status(), "writing what is left")
            self._signals.wait(OBSERVE_EVERY_SECONDS / 5)
        return True

    def abandon(self) -> bool:
        """After an error: the same with nobody to tell, and without waiting for ever for a disk that hangs."""
        stopper = self._stopper()
        latest = self._elapsed() + ABANDON_SECONDS
        while stopper.is_alive():
            if self._signals.count > 1 or self._elapsed() >= latest:
                return self._leave(stopper)
            self._signals.wait(OBSERVE_EVERY_SECONDS / 5)
        return True

    def _stopper(self) -> threading.Thread:
        # On a thread of its own, so that this one goes on listening.
        stopper = threading.Thread(target=self._engine.stop, name="live-stopper", daemon=True)
        stopper.start()
        return stopper

    def _leave(self, stopper: threading.Thread) -> bool:
        self._engine.leave()
        stopper.join(LEAVING_SECONDS)
        return not stopper.is_alive()

    def _ending(self, status: CaptureStatus) -> Ending | None:
        if self._signals.count:
            return Ending.SIGNAL
        if not self._engine.is_writing:
            return Ending.BROKEN
        wanted = wanted_streams(status)
        # One that is refused is tried again for as long as the session lasts, so its thread lives.
        if wanted and all(health.phase is Phase.FAILED and not health.alive for health in wanted):
            return Ending.FAILED
        if self._limit is not None and self.duration >= self._limit:
            return Ending.DURATION
        if self._is_closed is not None and self._is_closed(self._now()):
            return Ending.CLOSED
        return None
