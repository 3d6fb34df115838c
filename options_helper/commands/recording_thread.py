"""A capture on a thread of a process whose main thread belongs to something else: a page."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from options_helper.commands.capture_display import format_summary
from options_helper.commands.capture_run import Capture
from options_helper.commands.capture_session import Shutdown
from options_helper.commands.exit_codes import BROKEN, code_of
from options_helper.data.recording.status import CaptureStatus
from options_helper.errors import OptionsHelperError
from options_helper.monitoring.heartbeat import Heartbeat

log = logging.getLogger(__name__)

KEPT_SENTENCES: Final = 50


class Requests:
    """Stands where the signals of a terminal stand: counts how often it was asked to end."""

    def __init__(self) -> None:
        # Everything below is guarded by self._asked.
        self._asked = threading.Condition()
        self._count = 0
        self._seen = 0

    def ask(self) -> None:
        """The first one ends the capture in order, the second one at once. From any thread."""
        with self._asked:
            self._count += 1
            self._asked.notify_all()

    @property
    def count(self) -> int:
        """How often so far."""
        return self._count

    def wait(self, seconds: float) -> int:
        """Wait so long, or until the next one; how many there were so far."""
        with self._asked:
            self._asked.wait_for(lambda: self._count > self._seen, max(0.0, seconds))
            self._seen = self._count
            return self._count

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Nothing is interrupted: what blocks here ends by itself, and then the request is found."""
        yield


class Told:
    """What a capture says, kept for whoever looks; what stays on a screen is passed on at once."""

    def __init__(self, pass_on: Callable[[str], object]) -> None:
        self._pass_on = pass_on
        self._waited_for: str | None = None
        # Appended by the recording's thread; a copy is what others get.
        self._sentences: deque[str] = deque(maxlen=KEPT_SENTENCES)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The last of them, oldest first."""
        return tuple(self._sentences)

    def say(self, sentence: str) -> None:
        """Keep it, and pass it on."""
        self._sentences.append(sentence)
        self._pass_on(sentence)

    def waiting(self, text: str) -> None:
        """Once for each time that is waited for."""
        if text != self._waited_for:
            self._waited_for = text
            self.say(text)

    def show(self, status: CaptureStatus, activity: str) -> None:
        """Nothing: whoever wants to know looks at the heartbeat."""

    def summary(self, status: CaptureStatus) -> None:
        """The table that a terminal gets."""
        self._pass_on(format_summary(status))


class RecordingThread:
    """One capture, from `start` to its end; every method may be called from any thread.

    `prepare` makes it, on its own thread, and gets what it waits with. `tell` is called there with each sentence and
    with the summary at the end, and `on_own_end` last of all where nobody had asked it to end.
    """

    def __init__(
        self,
        prepare: Callable[[Shutdown], Capture],
        tell: Callable[[str], object],
        on_own_end: Callable[[], object] = lambda: None,
    ) -> None:
        self._prepare = prepare
        self._on_own_end = on_own_end
        self._requests = Requests()
        self._told = Told(tell)
        self._tell = tell
        self._thread = threading.Thread(target=self._run, name="live-recording", daemon=True)
        # Replaced whole by its thread, read by any.
        self._capture: Capture | None = None
        self._problem: str | None = None
        self._code: int | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def ask_to_end(self) -> None:
        """End in order: everything received is written; asked again, with what is at hand. Returns at once."""
        self._requests.ask()

    def join(self, seconds: float) -> bool:
        """Wait so long for its end; whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def code(self) -> int | None:
        """What `stream capture` would have exited with; None while it runs."""
        return self._code

    @property
    def problem(self) -> str | None:
        """Why it could not record, as a sentence; None where it could, or can."""
        return self._problem

    @property
    def sentences(self) -> tuple[str, ...]:
        """What it has said last, oldest first."""
        return self._told.sentences

    @property
    def beat(self) -> Heartbeat | None:
        """How it goes, as of a second ago at most; None before it has begun. At once, whatever the disk does."""
        capture = self._capture
        return None if capture is None else capture.beat

    @property
    def symbols(self) -> frozenset[str]:
        """What it records; nothing before that is known."""
        capture = self._capture
        return frozenset() if capture is None else capture.symbols

    def _run(self) -> None:
        code = BROKEN
        try:
            self._capture = self._prepare(self._requests)
            code = self._capture.run(self._told)
        except OptionsHelperError as error:
            code, self._problem = code_of(error), str(error)
            self._tell(str(error))
        except Exception as error:
            # The thread's last line: without it the page would say for ever that it records.
            log.exception("the recording ended unexpectedly")
            self._problem = f"The recording ended unexpectedly ({type(error).__name__}): {error}"
        finally:
            self._code = code
            if not self._requests.count:
                self._on_own_end()
