"""Write to a terminal, pipe or file that may be slow, full or gone, without waiting for it or failing with it."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from types import TracebackType
from typing import Final, Self, TextIO

# Of a reader that is paused, the oldest texts beyond these are lost.
UNREAD_TEXTS: Final = 1_000
# At the end, what a reader does not take within so long is lost.
FINAL_WRITE_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.1


class BackgroundWriter:
    """A file of text that hands on what is written to it on a thread of its own; for use in a `with`.

    Where the other side is closed or out of room, nothing more is written to it. Any thread may write.
    """

    def __init__(self, stream: TextIO) -> None:
        self.encoding = stream.encoding
        # Past the stream and its buffer, whose leftovers would make the exit of the process fail.
        self._descriptor = stream.fileno()
        self._is_terminal = stream.isatty()
        self._ends_at: float | None = None
        # Guards the two below: filled by those who write, emptied by the thread.
        self._changed = threading.Condition()
        self._untold: deque[bytes] = deque(maxlen=UNREAD_TEXTS)
        self._open = True
        self._thread = threading.Thread(target=self._work, name="live-screen", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, text: str) -> int:
        """Take the text; returns at once."""
        with self._changed:
            if self._open:
                self._untold.append(text.encode(self.encoding, errors="replace"))
                self._changed.notify()
        return len(text)

    def flush(self) -> None:
        """Every text is on its way already."""

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._is_terminal

    def close(self) -> None:
        """Give the other side a moment to take what is left."""
        self._ends_at = time.monotonic() + FINAL_WRITE_SECONDS
        with self._changed:
            self._open = False
            self._changed.notify()
        # A terminal may hold a write although it said that there is room: the thread is then left to itself.
        self._thread.join(2 * FINAL_WRITE_SECONDS)

    def _work(self) -> None:
        try:
            while (text := self._next()) is not None:
                self._hand_on(text)
        except OSError:
            with self._changed:
                self._open = False
                self._untold.clear()

    def _next(self) -> bytes | None:
        """The next text, waited for; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._untold or not self._open)
            return self._untold.popleft() if self._untold else None

    def _hand_on(self, text: bytes) -> None:
        while text:
            self._await_room()
            # So many bytes at a time never block where there is room.
            text = text[os.write(self._descriptor, text[: select.PIPE_BUF]) :]

    def _await_room(self) -> None:
        """Wait until something can be written; TimeoutError when the end came first."""
        while not select.select([], [self._descriptor], [], _POLL_SECONDS)[1]:
            if self._ends_at is not None and time.monotonic() >= self._ends_at:
                raise TimeoutError
