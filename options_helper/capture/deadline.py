"""When a capture has to have ended, as the thread that stops it says and the writer's thread keeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from math import inf


class Deadline:
    """Nobody has asked to end until `start` or `leave`; may be used by any thread. Seconds are of `monotonic`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._at = inf
        self._drains = threading.Event()
        self._leaves = threading.Event()

    def start(self, seconds: float) -> None:
        """Ask to end within so many seconds."""
        self._at = self._monotonic() + seconds

    def drain(self) -> None:
        """Say that nothing more is received: there is nothing to wait for any more."""
        self._drains.set()

    def leave(self) -> None:
        """Ask to end at once, whatever was asked before."""
        self._leaves.set()
        self._drains.set()

    @property
    def at(self) -> float:
        """Seconds of the monotonic clock; inf while nobody has asked to end, -inf where it is to be at once."""
        return -inf if self._leaves.is_set() else self._at

    def is_past(self) -> bool:
        """Whether there is only time left for what is at hand."""
        return self._monotonic() >= self.at

    def wait_for_drain(self, seconds: float) -> None:
        """Wait so long, or until nothing more is received."""
        self._drains.wait(seconds)

    def wait_to_leave(self, seconds: float) -> None:
        """Wait so long, or until the end is to be at once."""
        self._leaves.wait(seconds)
