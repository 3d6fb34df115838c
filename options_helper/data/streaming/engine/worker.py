"""The body of one stream's thread: connect, report, back off, again; and the judge of its silence."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from options_helper.clock import utc_now_ns
from options_helper.data.streaming.connection.connection_runner import Streamer, StreamSink
from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.data.streaming.engine.pulse import Absence
from options_helper.data.streaming.engine.silence import Moment, SilenceJudge, latest
from options_helper.errors import OptionsHelperError, StreamError, StreamRefused
from options_helper.model.announcement import Announcement
from options_helper.model.backoff import SLOW_BASE_SECONDS, compute_backoff_seconds
from options_helper.model.gaps import Gap
from options_helper.model.instants import utc_datetime
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId

log = logging.getLogger(__name__)

# A final answer is confirmed once before it is believed: Alpaca has given passing 402s during its own outages.
CONFIRMATIONS: Final = 1
# A refusal may pass (an outage, a plan that was upgraded), so it is looked at again: soon, and then ever more rarely.
REFUSED_PAUSES: Final = (30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0)
# Only a connection that lived this long makes the next failure the first one again.
STABLE_SECONDS: Final = 10.0
# A half-open socket receives nothing for up to this long before its pings fail, so the gap may have begun then.
UNDETECTED_SECONDS: Final = 17.0
KEPT_GAPS: Final = 200
DID_NOT_RUN: Final = (
    "This process did not run (asleep or stopped): what came meanwhile was heard late, if at all."
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a worker tries again; all in seconds.

    None for `max_reconnects` means without end; otherwise every try counts, those of a refused stream too, and after
    the last one it has failed for good. What has been refused is tried once after each of `refused_pauses`, and then
    at the last one's pace.
    """

    max_reconnects: int | None = None
    base_seconds: float = 1.0
    cap_seconds: float = 60.0
    slow_base_seconds: float = SLOW_BASE_SECONDS
    stall_seconds: float = 60.0
    refused_pauses: tuple[float, ...] = REFUSED_PAUSES
    jitter: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class _Report:
    """What the worker knows of its stream, replaced whole at each change."""

    phase: Phase = Phase.CONNECTING
    last_error: str | None = None
    last_code: int | None = None  # the server's, of that error
    failures: int = 0  # in a row
    refusals: int = 0  # final answers among them, in a row
    looks: int = 0  # tries since it was first called failed, with a pause before each
    refused_since: float | None = None  # when it was first called failed, on the monotonic clock
    refused_seconds: float = 0.0  # of refusals that are over
    is_final: bool = False  # failed, and not tried again by itself
    next_try: float | None = None  # on the monotonic clock
    connections: int = 0
    live_since: Moment | None = None
    requested: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    gap_count: int = 0


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
        self._policy = policy
        self._announce = announce
        self._market_ns = market_ns
        self._expects_data = expects_data
        self._report_clock = report_clock or market_ns
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._look = look
        self._start_delay_seconds = start_delay_seconds
        self._stopping = threading.Event()
        # Ends a pause, for whatever reason.
        self._wake = threading.Event()
        self._thread = self._new_thread()
        # Replaced whole under self._lock by this stream's thread, and by watch() on the consumer's; both read it
        # without.
        self._lock = threading.Lock()
        self._report = _Report()
        # Guarded by self._lock: set by this stream's thread, ended by stop() and watch().
        self._streamer: Streamer | None = None
        self._stall: StreamError | None = None
        self._silent_since = Moment(0.0, 0)  # of the stalled connection
        # Written by this stream's thread alone, as two numbers because that is done for every frame; others may read
        # them a moment late.
        self._last_frame_ns = 0
        self._last_frame_at = float("-inf")
        # What the server complained about on this connection; known to this stream's thread alone.
        self._complaint: str | None = None
        # When the first connection was begun.
        self._began = self._moment()
        # Shown everything by watch(); health() reads it.
        self._silence = SilenceJudge(policy.stall_seconds)
        self._watched = False

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=f"live-{self.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._began = self._moment()
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; returns at once. Callable from any thread, its own included."""
        self._stopping.set()
        self._wake.set()
        with self._lock:
            if self._streamer is not None:
                self._streamer.stop()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end; whether it has, or never began. Its own thread does not wait for itself."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def revive(self) -> None:
        """Try again at once, if it has failed; for whoever starts and stops it, and for one at a time."""
        if self._report.phase is not Phase.FAILED or self._stopping.is_set():
            return
        if not self._report.is_final:
            self._wake.set()
            return
        self._thread.join()  # it has nothing left to do
        self._update(phase=Phase.CONNECTING, failures=0, refusals=0, is_final=False)
        self._start_delay_seconds = 0.0
        self._thread = self._new_thread()
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether another try would get the same answer, as far as is known."""
        return self._report.phase is Phase.FAILED

    def _run(self) -> None:
        if not self._stopping.wait(self._start_delay_seconds):
            self._keep_connected()
        self._update(
            phase=Phase.FAILED if self._report.phase is Phase.FAILED else Phase.STOPPED,
            live_since=None,
            next_try=None,
        )

    def _keep_connected(self) -> None:
        while not self._stopping.is_set():
            error = self._hold_one_connection()
            if self._stopping.is_set() or not self._try_again(error):
                return

    def _hold_one_connection(self) -> OptionsHelperError:
        self._update(phase=Phase.RECONNECTING if self._report.failures else Phase.CONNECTING, next_try=None)
        try:
            streamer = self._connect(self)
            with self._lock:
                self._streamer = streamer
                self._stall = None
            if not self._stopping.is_set():
                streamer.run()
        except OptionsHelperError as error:
            return error
        except Exception as error:
            # The thread's last line of defence: whatever a stream raises, the user is told and it is tried again.
            log.exception("the %s stream raised an unexpected error", self.name)
            return StreamError(f"The {self.name} stream ended unexpectedly ({type(error).__name__}): {error}")
        finally:
            with self._lock:
                self._streamer = None
        return self._reason_of_quiet_end()

    def _reason_of_quiet_end(self) -> StreamError:
        with self._lock:
            stall = self._stall
        return stall or StreamError(f"The {self.name} stream ended without a reason.")

    def _try_again(self, error: OptionsHelperError) -> bool:
        """Report the loss and wait; False when trying again is over."""
        self._open_gap(str(error))
        failures = self._count_failure()
        refusals = self._report.refusals + 1 if isinstance(error, StreamRefused) else 0
        code = error.code if isinstance(error, StreamError) else None
        self._update(
            failures=failures, refusals=refusals, live_since=None, last_error=str(error), last_code=code
        )
        if not isinstance(error, StreamError):
            return self._give_up(str(error))
        limit = self._policy.max_reconnects
        if limit is not None and failures > limit:
            return self._give_up(f"Gave up after {limit} reconnects. {error}")
        if refusals > CONFIRMATIONS or (refusals and self._report.looks):
            return self._look_again_later(error)
        delay = self._delay(failures, slowly=error.retry_slowly)
        log.warning("%s stream lost (%s); attempt %d in %.1f s", self.name, error, failures, delay)
        return self._pause(Phase.RECONNECTING, delay)

    def _look_again_later(self, error: StreamError) -> bool:
        looks = self._report.looks
        pauses = self._policy.refused_pauses
        delay = pauses[min(looks, len(pauses) - 1)]
        log.error("%s stream failed: %s It is tried again in %.0f s.", self.name, error, delay)
        refused_since = self._report.refused_since
        if refused_since is None:
            refused_since = self._monotonic()
        self._update(looks=looks + 1, refused_since=refused_since)
        return self._pause(Phase.FAILED, delay)

    def _pause(self, phase: Phase, seconds: float) -> bool:
        """Wait so long, or until it is revived; False when it was stopped."""
        self._wake.clear()
        self._update(phase=phase, next_try=self._monotonic() + seconds)
        if not self._stopping.is_set():  # which may have been before the clear
            self._wake.wait(seconds)
        return not self._stopping.is_set()

    def _count_failure(self) -> int:
        report = self._report
        if report.live_since is None:
            return report.failures + 1
        if self._monotonic() - report.live_since.monotonic < STABLE_SECONDS:
            return report.failures + 1
        self._update(looks=0)
        return 1

    def _delay(self, failures: int, *, slowly: bool) -> float:
        base = self._policy.slow_base_seconds if slowly else self._policy.base_seconds
        return compute_backoff_seconds(
            failures,
            base_seconds=base,
            cap_seconds=max(base, self._policy.cap_seconds),
            random=self._policy.jitter,
        )

    def _give_up(self, reason: str) -> bool:
        log.error("%s stream failed: %s", self.name, reason)
        self._update(phase=Phase.FAILED, last_error=reason, next_try=None, is_final=True)
        return False

    def connected(self, announcement: str | None) -> None:
        """Take over the simulator's time, if it is one."""
        self._complaint = None
        self._queue.connected(self.name)
        if announcement is not None:
            self._announce(Announcement.parse(announcement))

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        """The stream is live from the first answer on, unless the server refused everything."""
        had_refusals = bool(self._report.refused)
        self._update(requested=tuple(requested), acknowledged=tuple(acknowledged), refused=tuple(refusals))
        if requested and len(refusals) == len(requested):
            return
        if self._report.live_since is None:
            self._update(
                phase=Phase.LIVE,
                live_since=self._moment(),
                connections=self._report.connections + 1,
                refusals=0,
                refused_since=None,
                refused_seconds=self._refused_seconds(self._report),
                last_error=None,
                last_code=None,
            )
            self._close_gap()
        if refusals:
            self._update(last_error=_refusal_sentence(refusals))
        elif had_refusals:
            self._update(last_error=None)

    def _refused_seconds(self, report: _Report) -> float:
        """How long it has been failed so far."""
        since = report.refused_since
        return report.refused_seconds + (0.0 if since is None else self._monotonic() - since)

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        """Queue it with the moment of its arrival; a full queue drops and counts it."""
        if received_ns is None:
            received_ns = self._now_ns()
        self._last_frame_ns = received_ns
        self._last_frame_at = self._monotonic()
        self._queue.put(self.name, payload, events, received_ns)

    def notice(self, sentence: str) -> None:
        """Remember the server's complaint."""
        log.warning("%s stream: %s", self.name, sentence)
        self._complaint = sentence
        self._update(last_error=sentence)

    def may_wait(self) -> bool:
        """As its owner says."""
        return self._may_wait()

    def invite(self) -> None:
        """End a pause between two tries: the connection is being made for another run, which shares it."""
        if self._report.next_try is not None:
            self._wake.set()

    def watch(self, applied: int | None = 0, rejected: int | None = 0) -> None:
        """End a connection that is silent though data is due; on the consumer's thread, about twice a second.

        `applied` and `rejected` are what became of this stream's events so far; None while nobody tries to read them.
        """
        if self.name.kind.silence_is_normal:
            return
        report, now = self._report, self._moment()
        if not self._watched:
            self._watched = True
            self._silence.observe(self._began, None, None, expected=self._is_due(self._began))
        silence = self._silence.observe(
            now,
            _live_since(report),
            self._last_frame,
            expected=self._is_due(now),
            applied=applied,
            rejected=rejected,
        )
        if silence >= self._silence.patience_seconds and report.live_since is not None:
            self._end_stalled_connection(report.live_since, silence)

    def _end_stalled_connection(self, live_since: Moment, silence: float) -> None:
        silent_since = self._silence.since(live_since, self._last_frame) or live_since
        what = "data that can be read" if self._silence.is_unreadable else "data"
        self._silence.forget_connection(live_since, self._last_frame)
        with self._lock:
            # The connection that was judged may be gone by now, and another one in its place.
            if self._streamer is None or self._report.live_since != live_since:
                return
            self._stall = StreamError(
                f"No {self.name} {what} for {silence:.0f} s although the market is open; connecting anew."
            )
            self._silent_since = silent_since
            self._report = replace(self._report, phase=Phase.STALLED, last_error=str(self._stall))
            self._streamer.abandon()

    def _is_due(self, moment: Moment) -> bool:
        """Whether this feed should be moving then."""
        return self._expects_data(self._market_ns(moment.wall_ns))

    def _moment(self) -> Moment:
        return Moment(self._monotonic(), self._now_ns())

    @property
    def _last_frame(self) -> Moment | None:
        """When the last one came; None before the first."""
        return Moment(self._last_frame_at, self._last_frame_ns) if self._last_frame_ns else None

    def absent(self, absence: Absence) -> None:
        """Note that nothing was heard, and no silence either; on any thread."""
        self._silence.restart(self._moment())
        since_ns, until_ns = self._report_clock(absence.since_ns), self._report_clock(absence.until_ns)
        with self._lock:
            report = self._report
            if self._stopping.is_set() or report.is_final or _lasts(report.gaps):
                return
            since_ns = _after(report.gaps, since_ns)
            gap = Gap(self.name, since_ns, max(since_ns, until_ns), DID_NOT_RUN)
            self._report = _with_gap(report, gap)
        self._queue.nudge()

    def _open_gap(self, reason: str) -> None:
        self._look()
        report = self._report
        if _lasts(report.gaps):
            return
        if self._complaint is not None:
            # A slow client is told so and then cut off politely: the close alone would not say why.
            reason = f"{reason} Before that: {self._complaint}"
        since_ns = self._report_clock(self._last_received_ns(report))
        with self._lock:
            gaps = self._report.gaps
            self._report = _with_gap(self._report, Gap(self.name, _after(gaps, since_ns), None, reason))
        self._queue.nudge()

    def _last_received_ns(self, report: _Report) -> int:
        """Since when nothing may have been received, on the computer's clock."""
        if report.live_since is None:
            return self._began.wall_ns
        now = self._moment()
        with self._lock:
            if self._stall is not None:
                # The connection answered its pings all the while, so they bound nothing.
                return now.tell(self._silent_since)
        return now.tell(latest(report.live_since, self._last_frame, now.before(UNDETECTED_SECONDS)))

    def _close_gap(self) -> None:
        now_ns = self._report_clock(self._now_ns())
        with self._lock:
            gaps = self._report.gaps
            if not _lasts(gaps):
                return
            *others, gap = gaps
            if self._report.connections == 1:
                # What the time was on a simulator's clock is only known since it announced it.
                gap = replace(gap, since_ns=_after(others, self._report_clock(self._began.wall_ns)))
            # A clock that was put back meanwhile makes no gap of less than nothing.
            gap = replace(gap, until_ns=max(gap.since_ns, now_ns))
            self._report = replace(self._report, gaps=(*others, gap))
        self._queue.nudge()

    def _at(self, wall_ns: int) -> datetime:
        return utc_datetime(self._report_clock(wall_ns))

    def _update(self, **changes: Any) -> None:
        with self._lock:
            self._report = replace(self._report, **changes)
        if "phase" in changes:
            self._queue.nudge()

    def health(self, feed: str | None, wall_ns: int) -> StreamHealth:
        """What this worker knows at that moment; the ledger and the rate are the owner's to fill in."""
        with self._lock:
            report = self._report
        now = Moment(self._monotonic(), wall_ns)
        connected_since = report.live_since if report.phase is Phase.STALLED else _live_since(report)
        silent_since = self._silence.since(connected_since, self._last_frame)
        return StreamHealth(
            name=self.name,
            phase=self._displayed_phase(report, now),
            feed=feed,
            alive=self._thread.is_alive(),
            last_error=report.last_error,
            reconnect_attempts=report.failures if report.live_since is None else 0,
            next_try_at=None if report.next_try is None else self._at(wall_ns) + _until(report.next_try, now),
            connections=report.connections,
            connected_since=None if report.live_since is None else self._at(report.live_since.wall_ns),
            silent_since=None if silent_since is None else self._at(now.tell(silent_since)),
            requested=report.requested,
            acknowledged=report.acknowledged,
            refused_symbols=report.refused,
            refused_seconds=self._refused_seconds(report),
            gaps=report.gaps,
            gap_count=report.gap_count,
            last_error_code=report.last_code,
        )

    def _displayed_phase(self, report: _Report, now: Moment) -> Phase:
        if report.phase is not Phase.LIVE:
            return report.phase
        if not self._is_due(now) or self._is_quiet_by_nature(report, now):
            return Phase.QUIET
        silence = self._silence.seconds(now, _live_since(report), self._last_frame)
        if silence >= self._silence.patience_seconds / 2:
            return Phase.STALLED
        # An illiquid feed: silent for long, but it has been silent that long before.
        return Phase.QUIET if silence >= self._policy.stall_seconds / 2 else Phase.LIVE

    def _is_quiet_by_nature(self, report: _Report, now: Moment) -> bool:
        """Whether what comes when it comes has not come for a while; orders are news whenever they come."""
        kind = self.name.kind
        if not kind.silence_is_normal or kind.carries_orders:
            return False
        since = latest(_live_since(report) or now, self._last_frame)
        return now.monotonic - since.monotonic >= self._policy.stall_seconds / 2


def _lasts(gaps: Sequence[Gap]) -> bool:
    """Whether the last one is not over."""
    return bool(gaps) and gaps[-1].until_ns is None


def _after(gaps: Sequence[Gap], since_ns: int) -> int:
    """Then, or the end of the last gap if that is later: two gaps of a stream do not overlap."""
    return since_ns if not gaps or gaps[-1].until_ns is None else max(since_ns, gaps[-1].until_ns)


def _with_gap(report: _Report, gap: Gap) -> _Report:
    return replace(report, gaps=(*report.gaps, gap)[-KEPT_GAPS:], gap_count=report.gap_count + 1)


def _live_since(report: _Report) -> Moment | None:
    """Since when the stream has been live; None while it is not, or is just being ended."""
    return report.live_since if report.phase is Phase.LIVE else None


def _until(monotonic: float, now: Moment) -> timedelta:
    return timedelta(seconds=max(0.0, monotonic - now.monotonic))


def _refusal_sentence(refusals: Mapping[str, str]) -> str:
    reason = next(iter(refusals.values()))
    named = ", ".join(list(refusals)[:5])
    return f"Not streamed: {named}{' and others' if len(refusals) > 5 else ''} ({len(refusals)} in all). {reason}"
