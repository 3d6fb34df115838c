"""A thread that does one thing again and again, each time it is due, until it is stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from options_helper.model.due_time import DueTime

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 1.0


class PeriodicTask:
    """Does `work` on a thread of its own, `every` so many seconds after the round before; math.inf: only when asked.

    What `work` returns, where it is a number, is the seconds until the next round in place of `every`. An error costs
    the round it ended: it is logged, and given to `on_error`, which may return the same and whose own error is logged
    too. Once it is time to stop, an error only says that the round was cut short, and is nobody's concern. SystemExit
    and its like end the thread.

    Every method may be called from any thread, and `work` may call them too. `stopping` can be an event that several
    tasks share; whoever sets it without `stop` is noticed at the end of a round, and not in the midst of a wait.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], float | None],
        every: float,
        on_error: Callable[[Exception], float | None] | None = None,
        *,
        stopping: threading.Event | None = None,
    ) -> None:
        self._work = work
        self._on_error = on_error
        self._stopping = stopping or threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._changed = threading.Condition()
        # Guarded by the condition, which is notified when one of them changes.
        self._due = DueTime(every)  # on time.monotonic
        self._is_started = False
        self._is_working = False
        self._has_ended = False

    @property
    def is_busy(self) -> bool:
        """Whether a round is under way, or is due and will begin in a moment."""
        with self._changed:
            is_ending = self._has_ended or self._stopping.is_set()
            is_due = self._due.left(time.monotonic()) <= 0 and not is_ending
            return self._is_working or is_due

    def start(self, after: float | None = None) -> None:
        """Do the first round `after` so many seconds, None: `every`, if it is not due before.

        Harmless when it was started or stopped before.
        """
        with self._changed:
            if not self._is_started and not self._stopping.is_set():
                self._is_started = True
                self._due.within(time.monotonic(), after)
                self._thread.start()

    def run_within(self, seconds: float) -> None:
        """Do the next round then, if it is not due before; one that is under way is followed by another."""
        with self._changed:
            self._due.within(time.monotonic(), seconds)
            self._changed.notify()

    def request_stop(self) -> None:
        """Begin no more rounds; returns at once."""
        with self._changed:
            self._stopping.set()
            self._changed.notify()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Begin no more rounds, and wait at most `timeout` seconds for the one under way; harmless when repeated.

        A round that takes longer ends by itself. Called by the work itself, it does not wait.
        """
        self.request_stop()
        if self._is_started and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, timeout))

    def _run(self) -> None:
        try:
            while self._wait_until_due():
                again = self._do_round()
                with self._changed:
                    self._is_working = False
                    self._due.within(time.monotonic(), again)
        except BaseException:
            # SystemExit: a thread would obey it without a word.
            log.exception("%s ended in the midst of a round; there are no more", self._thread.name)
        finally:
            with self._changed:
                self._is_working = False
                self._has_ended = True

    def _do_round(self) -> float | None:
        try:
            return self._work()
        except Exception as error:
            # A thread's last line: what nobody thought of costs this round, and not the rest of the day.
            if self._stopping.is_set():
                log.debug("the last round of %s was cut short", self._thread.name, exc_info=True)
                return None
            log.exception("a round of %s failed", self._thread.name)
            return self._report(error)

    def _report(self, error: Exception) -> float | None:
        if self._on_error is None:
            return None
        try:
            return self._on_error(error)
        except Exception:
            log.exception("the error of %s could not be reported", self._thread.name)
            return None

    def _wait_until_due(self) -> bool:
        """Wait; False when it is time to end."""
        with self._changed:
            while not self._stopping.is_set():
                left = self._due.left(time.monotonic())
                if left <= 0:
                    self._due.begin()
                    self._is_working = True
                    return True
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
        return False
