"""The page's process where it also records: the page on the main thread, the recording on its own, one end for both."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from options_helper.clock import utc_now
from options_helper.commands.background_writer import BackgroundWriter
from options_helper.commands.page_recording import PageRecording, install_recording, read_recording
from options_helper.commands.shutdown_signals import ShutdownSignals

_ASK_AGAIN_SECONDS: Final = 0.3
_LOOK_SECONDS: Final = 0.1


def serve_recorded(serve: Callable[[], None]) -> int:
    """Serve the page and record beside it until a signal; the recording's exit code. Blocks, on the main thread.

    Where the launcher said what to record, that begins first, and without it there is no page; when it ends by itself,
    the page ends too.
    """
    folder, request = read_recording(os.environ)
    end = _End()
    with _own_stdout() as out, end:
        recording = PageRecording(
            folder,
            request=request,
            tell=lambda text: out.write(f"{utc_now():%H:%M:%S}Z {text}\n"),
            on_own_end=end.want if request is not None else lambda: None,
        )
        install_recording(recording)
        try:
            if request is not None:
                recording.begin()
                recording.wait_until_begun(end.wanted)
            if not end.wanted.is_set():
                end.serve(serve)
        finally:
            end.finish()
            code = _conclude(recording)
    return code


def _conclude(recording: PageRecording) -> int:
    with ShutdownSignals() as signals:
        seen = 0

        def is_impatient() -> bool:
            nonlocal seen
            before, seen = seen, signals.wait(0.0)
            return seen > before

        return recording.conclude(is_impatient)


class _End:
    """Ends the page's server by the signal that it listens to, whoever wants that, and however early."""

    def __init__(self) -> None:
        self.wanted = threading.Event()
        # Set in the midst of whatever the main thread does, so it must be nothing that has a lock.
        self._is_signalled = False
        self._served = threading.Event()
        self._thread = threading.Thread(target=self._work, name="live-page-end", daemon=True)

    def want(self) -> None:
        """End it soon; from any thread."""
        self.wanted.set()

    def __enter__(self) -> None:
        # Before the server listens itself, a signal would end the process and cut off a recording that has begun.
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Nothing is served (any more): from now on each signal is somebody's; harmless twice."""
        self._served.set()
        self.wanted.set()
        self._thread.join()

    def serve(self, serve: Callable[[], None]) -> None:
        """Serve until it is wanted, or the server ends by itself."""
        try:
            serve()
        except SystemExit as ended:
            if ended.code not in (0, None):
                raise
        finally:
            self._served.set()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._is_signalled = True

    def _work(self) -> None:
        while not self.wanted.wait(_LOOK_SECONDS):
            if self._is_signalled:
                self.wanted.set()
        # Until it has begun to listen, it hears nothing.
        while not self._served.wait(_ASK_AGAIN_SECONDS):
            os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _own_stdout() -> Iterator[BackgroundWriter]:
    """Stdout for the recording alone: what the page's server prints there names other addresses than ours."""
    kept = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    with kept, BackgroundWriter(kept) as out:
        yield out
