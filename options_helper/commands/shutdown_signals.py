"""Hear Ctrl-C and SIGTERM while waiting, without a handler that could take a lock or raise somewhere in between."""

from __future__ import annotations

import contextlib
import os
import select
import signal
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
        self._raising = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        self._before = {number: signal.signal(number, self._on_signal) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._read)
        os.close(self._write)

    def wait(self, seconds: float) -> int:
        """Wait so long, or until the next signal; how many there were so far."""
        readable, _, _ = select.select([self._read], [], [], max(0.0, seconds))
        if readable:
            os.read(self._read, 4_096)
        return self.count

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
        with contextlib.suppress(BlockingIOError):  # full of signals: whoever waits wakes anyway
            os.write(self._write, b"!")
        if self._raising:
            self._raising = False
            raise Interrupted
