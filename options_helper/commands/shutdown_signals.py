"""Hear Ctrl-C and SIGTERM while waiting, without a handler that could take a lock or raise somewhere in between.

A handler runs in the midst of whatever the main thread does. One that sets a `threading.Event` waits for that event's
lock, which the very thread may hold that it interrupts, and then nothing ends the program. And one that only writes
down that it ran is not heard by a wait that began a moment before. So the interpreter writes each signal into a pipe by
itself, in the moment in which it comes, and who waits reads that.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Final, Self

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupted(BaseException):
    """A signal came while nothing had begun that would have to be ended in order."""


class ShutdownSignals:
    """Counts the signals that ask to end; to be used as a context, on the main thread."""

    def __init__(self) -> None:
        self.count = 0
        self._told = 0
        self._raising = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._before: dict[int, object] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        self._before = {number: signal.signal(number, self._on_signal) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._read)
        os.close(self._write)

    def wait(self, seconds: float | None = None) -> int:
        """Wait so long, None: without end, or until a signal that no wait has told of; how many there were so far."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while self.count == self._told:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            readable, _, _ = select.select([self._read], [], [], left)
            if not readable:
                break
            # Also of a signal that somebody else handles, a resized terminal perhaps.
            os.read(self._read, 4_096)
        self._told = self.count
        return self._told

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Let a signal raise `Interrupted` here: for a blocking call that nothing else can end."""
        self._raising = True
        try:
            yield
        finally:
            self._raising = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self._raising:
            self._raising = False
            raise Interrupted
