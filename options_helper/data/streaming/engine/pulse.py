"""Notice that this process did not run: suspended, stopped or frozen, it hears everything late or not at all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from options_helper.data.streaming.engine.absence import LATE_SECONDS, Absence, AbsenceJudge

__all__ = ["LATE_SECONDS", "Absence", "Pulse"]

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS: Final = 0.5


class Pulse:
    """Looks at a clock twice a second, on a thread of its own, so that a slow disk or a long backlog is no absence.

    `elapsed` measures in seconds and goes on while the computer sleeps, `monotonic` need not; `notice` is told of each
    absence, one at a time, by whichever thread looked first: `look` may be called by anybody who must not be ahead of
    the news.
    """

    def __init__(
        self,
        notice: Callable[[Absence], None],
        *,
        elapsed: Callable[[], float],
        monotonic: Callable[[], float],
        now_ns: Callable[[], int],
    ) -> None:
        self._notice = notice
        self._elapsed = elapsed
        self._monotonic = monotonic
        self._now_ns = now_ns
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="live-pulse", daemon=True)
        # Guards the judge, also while the news is told.
        self._lock = threading.RLock()
        self._judge = AbsenceJudge()

    @property
    def absent_seconds(self) -> float:
        """How long this process did not run since the start, as far as that can be known."""
        return self._judge.absent_seconds

    def start(self) -> None:
        """Begin; what was before is no absence."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End the thread soon; harmless before `start`."""
        self._ended.set()

    def join(self, seconds: float) -> None:
        """Wait so long for its end."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def look(self) -> None:
        """Tell of an absence, if there was one since the last look; returns when it has been told."""
        with self._lock:
            absence = self._judge.look(self._elapsed(), self._monotonic(), self._now_ns())
            if absence is None:
                return
            log.error(
                "this process did not run for %.0f s; what came meanwhile was heard late or is lost",
                absence.seconds,
            )
            self._notice(absence)

    def _beat(self) -> None:
        while not self._ended.wait(LOOK_EVERY_SECONDS):
            self.look()
