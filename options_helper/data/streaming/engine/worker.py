"""The body of one stream's thread: it carries out what the stream's course decides, and tells it what happens."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from options_helper.clock import utc_now_ns
from options_helper.data.streaming.connection.connection_runner import Streamer, StreamSink
from options_helper.data.streaming.engine.absence import Absence
from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.data.streaming.engine.silence import Moment
from options_helper.data.streaming.engine.stream_course import (
    KEPT_GAPS,
    REFUSED_PAUSES,
    BeginAgain,
    Connect,
    End,
    EndPause,
    Pause,
    RetryPolicy,
    Step,
    StreamCourse,
)
from options_helper.errors import OptionsHelperError, StreamError
from options_helper.model.announcement import Announcement
from options_helper.model.frames import Mark
from options_helper.model.snapshot import StreamHealth
from options_helper.model.streams import StreamId

__all__ = ["KEPT_GAPS", "REFUSED_PAUSES", "RetryPolicy", "StreamWorker"]

log = logging.getLogger(__name__)


class StreamWorker(StreamSink):
    """Runs one stream on its own thread until stopped, or told that it may not try again.

    `connect` makes a fresh streamer, already subscribed, that reports to this worker; `market_ns` turns the
    computer's time into the market's; `expects_data` says whether this feed should be moving at a market time.
    Gaps and other times are reported on the market's clock, or on the one that `report_clock` turns the computer's
    time into. How long something takes is measured by `monotonic`, in seconds; `now_ns` only tells when. `look`
    tells `absent` first, before a connection is called lost, if this process did not run until now. `may_wait` says
    whether frames may be read some milliseconds late.
    """

    def __init__(
        self,
        name: StreamId,
        connect: Callable[[StreamSink], Streamer],
        queue: FrameQueue,
        *,
        policy: RetryPolicy,
        announce: Callable[[Announcement], None],
        market_ns: Callable[[int], int],
        expects_data: Callable[[int], bool],
        report_clock: Callable[[int], int] | None = None,
        now_ns: Callable[[], int] = utc_now_ns,
        monotonic: Callable[[], float] = time.monotonic,
        look: Callable[[], object] = lambda: None,
        start_delay_seconds: float = 0.0,
        may_wait: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self._may_wait = may_wait
        self._connect = connect
        self._queue = queue
        self._put = queue.put
        self._jitter = policy.jitter
        self._announce = announce
        self._market_ns = market_ns
        self._expects_data = expects_data
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._look = look
        self._start_delay_seconds = start_delay_seconds
        self._stopping = threading.Event()
        # Ends a pause, for whatever reason.
        self._wake = threading.Event()
        self._thread = self._new_thread()
        # Guards the course, but for the two numbers that `frame` writes, and the streamer.
        self._lock = threading.Lock()
        self._course = StreamCourse(name, policy, self._moment(), told=report_clock or market_ns)
        # Set by this stream's thread, ended by stop() and watch().
        self._streamer: Streamer | None = None
        # Whether the feed should have been moving when the first connection was begun; of the consumer's thread.
        self._was_due: bool | None = None

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=f"live-{self.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        with self._lock:
            self._step: Step = self._course.begin(self._moment(), self._start_delay_seconds)
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; returns at once. Callable from any thread, its own included."""
        self._stopping.set()
        self._wake.set()
        with self._lock:
            self._course.stop()
            if self._streamer is not None:
                self._streamer.stop()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end; whether it has, or never began. Its own thread does not wait for itself."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._is_alive

    @property
    def _is_alive(self) -> bool:
        return self._thread.is_alive()

    def revive(self) -> None:
        """Try again at once, if it has failed; for whoever starts and stops it, and for one at a time."""
        with self._lock:
            answer = self._course.revive()
        match answer:
            case EndPause():
                self._wake.set()
            case BeginAgain():
                self._begin_again()
            case None:
                pass
            case _:
                assert_never(answer)

    def _begin_again(self) -> None:
        self._thread.join()  # it has nothing left to do
        with self._lock:
            self._step = self._course.begin_again()
        self._queue.nudge()
        self._thread = self._new_thread()
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether another try would get the same answer, as far as is known."""
        return self._course.has_failed

    def _run(self) -> None:
        while not isinstance(self._step, End):
            match self._step:
                case Pause(seconds):
                    self._wait(seconds)
                    self._resume()
                case Connect():
                    self._ended(self._hold_one_connection())
                case _:
                    assert_never(self._step)
        self._finish()

    def _wait(self, seconds: float) -> None:
        if not self._stopping.is_set():  # which may have been before the last clear
            self._wake.wait(seconds)

    def _resume(self) -> None:
        with self._lock:
            self._step = self._course.resume()
        self._queue.nudge()

    def _ended(self, error: OptionsHelperError | None) -> None:
        self._look()
        # Before others can see that there is a pause to be ended.
        self._wake.clear()
        jitter = self._jitter()
        with self._lock:
            self._streamer = None
            self._step = step = self._course.ended(self._moment(), error, jitter=jitter)
        self._queue.nudge()
        if not isinstance(step, Connect) and step.said:
            log.log(logging.ERROR if self.has_failed else logging.WARNING, "%s", step.said)

    def _finish(self) -> None:
        with self._lock:
            self._course.finished()
        self._queue.nudge()

    def _hold_one_connection(self) -> OptionsHelperError | None:
        try:
            streamer = self._connect(self)
            with self._lock:
                self._streamer = streamer
            if not self._stopping.is_set():
                streamer.run()
        except OptionsHelperError as error:
            return error
        except BaseException as error:
            # The thread's last line of defence: whatever a stream raises, the user is told and it is tried again.
            log.exception("the %s stream raised an unexpected error", self.name)
            return StreamError(f"The {self.name} stream ended unexpectedly ({type(error).__name__}): {error}")
        return None

    def connected(self, announcement: str | None) -> None:
        """Take over the simulator's time, if it is one."""
        with self._lock:
            self._course.connected()
        self._queue.connected(self.name)
        if announcement is not None:
            self._announce(Announcement.parse(announcement))

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        """Pass on what the server answered."""
        with self._lock:
            news = self._course.subscribed(self._moment(), requested, acknowledged, refusals)
        if news is not None:
            self._queue.nudge()

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        """Queue it with the moment of its arrival; a full queue drops and counts it."""
        if received_ns is None:
            received_ns = self._now_ns()
        course = self._course
        course.frame_ns = received_ns
        course.frame_at = self._monotonic()
        self._put(self.name, payload, events, received_ns)

    def placed(self, payload: bytes, events: int, received_ns: int, mark: Mark) -> bool:
        """The same of a frame that came over a bus, with its place there; whether it was queued."""
        course = self._course
        course.frame_ns = received_ns
        course.frame_at = self._monotonic()
        return self._queue.put(self.name, payload, events, received_ns, mark)

    def mark(self, mark: Mark, received_ns: int) -> None:
        """Tell of the way over a bus, in its place among the frames."""
        self._queue.note(self.name, mark, received_ns)

    def notice(self, sentence: str) -> None:
        """Remember the server's complaint."""
        log.warning("%s stream: %s", self.name, sentence)
        with self._lock:
            self._course.notice(sentence)

    def may_wait(self) -> bool:
        """As its owner says."""
        return self._may_wait()

    def invite(self) -> None:
        """End a pause between two tries: the connection is being made for another run, which shares it."""
        with self._lock:
            answer = self._course.invite()
        if answer is not None:
            self._wake.set()

    def watch(self, applied: int | None = 0, rejected: int | None = 0) -> None:
        """End a connection that is silent though data is due; on the consumer's thread, about twice a second.

        `applied` and `rejected` are what became of this stream's events so far; None while nobody tries to read them.
        """
        if self.name.kind.silence_is_normal:
            return
        # Not under the lock: a calendar may have to be loaded.
        if self._was_due is None:
            self._was_due = self._is_due(self._course.began.wall_ns)
        now = self._moment()
        due = self._is_due(now.wall_ns)
        with self._lock:
            answer = self._course.watch(
                now, due=due, was_due=self._was_due, applied=applied, rejected=rejected
            )
            if answer is not None and self._streamer is not None:
                self._streamer.abandon()

    def _is_due(self, wall_ns: int) -> bool:
        """Whether this feed should be moving then."""
        return self._expects_data(self._market_ns(wall_ns))

    def _moment(self) -> Moment:
        return Moment(self._monotonic(), self._now_ns())

    def absent(self, absence: Absence) -> None:
        """Note that nothing was heard, and no silence either; on any thread."""
        with self._lock:
            news = self._course.absent(self._moment(), absence)
        if news is not None:
            self._queue.nudge()

    def health(
        self, feed: str | None, wall_ns: int, wanted: tuple[str, ...] = (), events_per_second: float = 0.0
    ) -> StreamHealth:
        """What this worker knows at that moment, beside what its owner does; the ledger is the owner's to fill in."""
        due = self._is_due(wall_ns)
        with self._lock:
            now = Moment(self._monotonic(), wall_ns)
            return self._course.health(
                feed, now, due=due, alive=self._is_alive, wanted=wanted, events_per_second=events_per_second
            )
