"""A thread that does one thing again and again, when it is due."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from options_helper.errors import RestStopped

log = logging.getLogger(__name__)


class PeriodicTask:
    """Does its work when it is due; the work says in how many seconds it is due again, or raises RestStopped.

    An error that nobody thought of is told to `failed`, which says the same.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], float],
        failed: Callable[[Exception], float],
        stopping: threading.Event,
    ) -> None:
        self._work = work
        self._failed = failed
        self._stopping = stopping
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._changed = threading.Condition()
        # Guarded by the condition, which is notified when either changes.
        self._due_at = float("inf")
        self._has_begun = False

    def begin(self, in_seconds: float) -> None:
        """Do the work then for the first time; harmless when it has begun."""
        with self._changed:
            if not self._has_begun and not self._stopping.is_set():
                self._has_begun = True
                self._due_at = time.monotonic() + in_seconds
                self._thread.start()

    def due_in(self, seconds: float) -> None:
        """Do the work then, if it is not due before."""
        with self._changed:
            self._due_at = min(self._due_at, time.monotonic() + seconds)
            self._changed.notify()

    def end(self, deadline: float) -> None:
        """Let it end, which `stopping` has to say before; waits until then, on `time.monotonic`."""
        with self._changed:
            self._changed.notify()
            has_begun = self._has_begun
        if has_begun:
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while self._until_due():
            try:
                again = self._work()
            except RestStopped:
                return
            except Exception as error:
                # A thread's last line: what nobody thought of must not end the asking for the rest of the day.
                log.exception("what %s does failed", self._thread.name)
                again = self._failed(error)
            self.due_in(again)

    def _until_due(self) -> bool:
        """Wait; False when it is time to end."""
        with self._changed:
            while not self._stopping.is_set():
                left = self._due_at - time.monotonic()
                if left <= 0:
                    self._due_at = float("inf")
                    return True
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
        return False
