"""Call a dead-man's service at steady times, so that somebody else notices when this program is silent."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from options_helper.clock import utc_now
from options_helper.data.network import tls_context
from options_helper.data.notify.targets import LifeSignTarget
from options_helper.data.periodic_task import PeriodicTask
from options_helper.errors import ConfigError

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 8.0
AGAIN_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Called:
    """How the last calls went."""

    answered_at: datetime | None = None  # None: never yet
    problem: str | None = None  # of the last call; None: it was answered


class LifeSign:
    """Calls at once and then each so many minutes, in a thread of its own; a call that failed is repeated sooner.

    Only while `is_well` says so: a program that runs and does nothing must be noticed too.
    """

    def __init__(
        self,
        target: LifeSignTarget,
        *,
        is_well: Callable[[], bool],
        call: Callable[[LifeSignTarget], str | None] | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._target, self._is_well, self._call, self._now = target, is_well, call or call_once, now
        self._task = PeriodicTask("live-lifesign", self._round, target.every_minutes * 60)
        self.last = Called()  # replaced whole

    def start(self) -> None:
        """Call, and go on by itself."""
        self._task.start(after=0)

    def stop(self) -> None:
        """Call no more; one that is under way ends by itself."""
        self._task.stop(_STOP_SECONDS)

    def _round(self) -> float | None:
        if not self._is_well():
            self.last = Called(self.last.answered_at, "not called, because nothing is watched")
            return AGAIN_SECONDS
        problem = self._call(self._target)
        if problem is None:
            self.last = Called(self._now())
            return None
        if self.last.problem != problem:
            log.warning("the dead-man's service was not reached: %s", problem)
        self.last = Called(self.last.answered_at, problem)
        return AGAIN_SECONDS


def call_once(target: LifeSignTarget) -> str | None:
    """Ask for the address with GET, following nothing; why it failed, without the address, or None."""
    parts = urlsplit(target.url.get_secret_value())
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = (
            http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
            if parts.scheme == "http"
            else http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS, context=tls_context()
            )
        )
        try:
            connection.request("GET", path, headers={"User-Agent": "options-helper"})
            status = connection.getresponse().status
        finally:
            connection.close()
    except ConfigError as error:
        return str(error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer ({type(error).__name__})"
    return None if status < 300 else f"it answered with HTTP {status}"
