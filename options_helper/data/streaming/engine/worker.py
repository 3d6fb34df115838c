"""The body of one stream's thread: connect, report, back off, again; and the judge of its silence."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from options_helper.clock import utc_now_ns
from options_helper.data.streaming.connection.connection_runner import Streamer, StreamSink
from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.errors import OptionsHelperError, StreamError, StreamRefused
from options_helper.model.announcement import Announcement
from options_helper.model.backoff import SLOW_BASE_SECONDS, compute_backoff_seconds
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId

log = logging.getLogger(__name__)

# A final answer is confirmed once before it is believed: Alpaca has given passing 402s during its own outages.
CONFIRMATIONS: Final = 1
# Only a connection that lived this long makes the next failure the first one again.
STABLE_SECONDS: Final = 10.0
# A half-open socket receives nothing for up to this long before its pings fail, so the gap may have begun then.
UNDETECTED_SECONDS: Final = 17.0
KEPT_GAPS: Final = 200
# An illiquid feed is given this many times its longest silence so far, but never more than the cap.
PATIENCE_FACTOR: Final = 3.0
MAX_PATIENCE_SECONDS: Final = 15 * 60.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a worker tries again. None for `max_reconnects` means without end."""

    max_reconnects: int | None = None
    base_seconds: float = 1.0
    cap_seconds: float = 60.0
    slow_base_seconds: float = SLOW_BASE_SECONDS
    stall_seconds: float = 60.0
    jitter: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class _Report:
    """What the worker knows of its stream, replaced whole at each change. Times are the computer's, epoch ns."""

    phase: Phase = Phase.CONNECTING
    last_error: str | None = None
    failures: int = 0  # in a row
    refusals: int = 0  # final answers among them, in a row
    next_try_ns: int | None = None
    connections: int = 0
    live_since_ns: int | None = None
    requested: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    gap_count: int = 0


class StreamWorker(StreamSink):
    """Runs one stream on its own thread until stopped or refused for good.

    `connect` makes a fresh streamer, already subscribed, that reports to this worker; `market_ns` turns the
    computer's time into the market's; `expects_data` says whether this feed should be moving at a market time.
    Gaps and other times are reported on the market's clock, or on the one that `report_clock` turns the computer's
    time into.
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
        start_delay_seconds: float = 0.0,
    ) -> None:
        self.name = name
        self._connect = connect
        self._queue = queue
        self._policy = policy
        self._announce = announce
        self._market_ns = market_ns
        self._expects_data = expects_data
        self._report_clock = report_clock or market_ns
        self._now_ns = now_ns
        self._start_delay_seconds = start_delay_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"live-{name}", daemon=True)
        # Replaced whole under self._lock by this stream's thread, and by watch() on the consumer's; both read it
        # without.
        self._lock = threading.Lock()
        self._report = _Report()
        # Guarded by self._lock: set by this stream's thread, ended by stop() and watch().
        self._streamer: Streamer | None = None
        self._stall: StreamError | None = None
        # Written by this stream's thread alone; watch() may read it a moment late.
        self._last_frame_ns = 0
        # Only this stream's thread knows these: what the server complained about on this connection, and when the
        # first connection was begun.
        self._complaint: str | None = None
        self._began_ns = 0
        # Only watch() looks at these.
        self._silent_connections = 0
        self._last_silence = 0.0
        self._longest_silence = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; returns at once."""
        self._stopping.set()
        with self._lock:
            if self._streamer is not None:
                self._streamer.stop()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end; whether it has, or never began."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        if not self._stopping.wait(self._start_delay_seconds):
            self._keep_connected()
        self._update(
            phase=Phase.FAILED if self._report.phase is Phase.FAILED else Phase.STOPPED,
            live_since_ns=None,
            next_try_ns=None,
        )

    def _keep_connected(self) -> None:
        self._began_ns = self._now_ns()
        while not self._stopping.is_set():
            error = self._hold_one_connection()
            if self._stopping.is_set() or not self._try_again(error):
                return

    def _hold_one_connection(self) -> OptionsHelperError:
        self._update(
            phase=Phase.RECONNECTING if self._report.failures else Phase.CONNECTING, next_try_ns=None
        )
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
        self._update(failures=failures, refusals=refusals, live_since_ns=None, last_error=str(error))
        if not isinstance(error, StreamError) or refusals > CONFIRMATIONS:
            return self._give_up(str(error))
        limit = self._policy.max_reconnects
        if limit is not None and failures > limit:
            return self._give_up(f"Gave up after {limit} reconnects. {error}")
        delay = self._delay(failures, slowly=error.retry_slowly)
        log.warning("%s stream lost (%s); attempt %d in %.1f s", self.name, error, failures, delay)
        self._update(phase=Phase.RECONNECTING, next_try_ns=self._now_ns() + int(delay * NANOSECONDS))
        return not self._stopping.wait(delay)

    def _count_failure(self) -> int:
        report = self._report
        if report.live_since_ns is None:
            return report.failures + 1
        lived_ns = self._now_ns() - report.live_since_ns
        return 1 if lived_ns >= STABLE_SECONDS * NANOSECONDS else report.failures + 1

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
        self._update(phase=Phase.FAILED, last_error=reason, next_try_ns=None)
        return False

    def connected(self, announcement: str | None) -> None:
        """Take over the simulator's time, if it is one."""
        self._complaint = None
        if announcement is not None:
            self._announce(Announcement.parse(announcement))

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        """The stream is live from the first answer on, unless the server refused everything."""
        had_refusals = bool(self._report.refused)
        self._update(requested=tuple(requested), acknowledged=tuple(acknowledged), refused=tuple(refusals))
        if requested and not acknowledged:
            return
        if self._report.live_since_ns is None:
            self._update(
                phase=Phase.LIVE,
                live_since_ns=self._now_ns(),
                connections=self._report.connections + 1,
                refusals=0,
                last_error=None,
            )
            self._close_gap()
        if refusals:
            self._update(last_error=_refusal_sentence(refusals))
        elif had_refusals:
            self._update(last_error=None)

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        """Queue it with the moment of its arrival; a full queue drops and counts it."""
        if received_ns is None:
            received_ns = self._now_ns()
        self._last_frame_ns = received_ns
        self._queue.put(self.name, payload, events, received_ns)

    def notice(self, sentence: str) -> None:
        """Remember the server's complaint."""
        log.warning("%s stream: %s", self.name, sentence)
        self._complaint = sentence
        self._update(last_error=sentence)

    def watch(self) -> None:
        """End a connection that is silent though data is due; on the consumer's thread, about twice a second."""
        report = self._report
        silence = self._silence_seconds(report, self._now_ns())
        if silence < self._last_silence:
            # Something was received since the last check, so this feed can be that quiet and be well.
            self._longest_silence = max(self._longest_silence, self._last_silence)
        self._last_silence = silence
        if silence >= self._patience_seconds():
            self._end_stalled_connection(report, silence)

    def _silence_seconds(self, report: _Report, now_ns: int) -> float:
        """How long a live stream has been silent while its feed should move; 0 where that cannot be said."""
        if self.name.kind.silence_is_normal or report.phase is not Phase.LIVE:
            return 0.0
        if report.live_since_ns is None:
            return 0.0
        since_ns = max(self._last_frame_ns, report.live_since_ns)
        if not (
            self._expects_data(self._market_ns(since_ns)) and self._expects_data(self._market_ns(now_ns))
        ):
            return 0.0
        return (now_ns - since_ns) / NANOSECONDS

    def _patience_seconds(self) -> float:
        """Doubles with each connection in a row that stayed silent, since an illiquid contract looks the same."""
        patience = max(self._policy.stall_seconds, PATIENCE_FACTOR * self._longest_silence)
        return min(patience * 2.0 ** min(self._silent_connections, 10), MAX_PATIENCE_SECONDS)

    def _end_stalled_connection(self, report: _Report, silence: float) -> None:
        received = self._last_frame_ns > (report.live_since_ns or 0)
        self._silent_connections = 0 if received else self._silent_connections + 1
        self._last_silence = 0.0
        with self._lock:
            # The connection that was judged may be gone by now, and another one in its place.
            if self._streamer is None or self._report.live_since_ns != report.live_since_ns:
                return
            self._stall = StreamError(
                f"No {self.name} data for {silence:.0f} s although the market is open; connecting anew."
            )
            self._report = replace(self._report, phase=Phase.STALLED, last_error=str(self._stall))
            self._streamer.stop()

    def _open_gap(self, reason: str) -> None:
        report = self._report
        if report.gaps and report.gaps[-1].until_ns is None:
            return
        if self._complaint is not None:
            # A slow client is told so and then cut off politely: the close alone would not say why.
            reason = f"{reason} Before that: {self._complaint}"
        gap = Gap(self.name, self._report_clock(self._last_received_ns(report)), None, reason)
        self._update(gaps=(*report.gaps, gap)[-KEPT_GAPS:], gap_count=report.gap_count + 1)

    def _last_received_ns(self, report: _Report) -> int:
        """Since when nothing may have been received, on the computer's clock."""
        if report.live_since_ns is None:
            return self._began_ns
        received_ns = max(report.live_since_ns, self._last_frame_ns)
        with self._lock:
            if self._stall is not None:
                # The connection answered its pings all the while, so they bound nothing.
                return received_ns
        return max(received_ns, self._now_ns() - int(UNDETECTED_SECONDS * NANOSECONDS))

    def _close_gap(self) -> None:
        gaps = self._report.gaps
        if not gaps or gaps[-1].until_ns is not None:
            return
        gap = replace(gaps[-1], until_ns=self._report_clock(self._now_ns()))
        if self._report.connections == 1:
            # What the time was on a simulator's clock is only known since it announced it.
            gap = replace(gap, since_ns=self._report_clock(self._began_ns))
        self._update(gaps=(*gaps[:-1], gap))

    def _at(self, wall_ns: int) -> datetime:
        return utc_datetime(self._report_clock(wall_ns))

    def _update(self, **changes: Any) -> None:
        with self._lock:
            self._report = replace(self._report, **changes)

    def health(self, feed: str | None, wall_ns: int) -> StreamHealth:
        """What this worker knows at that moment; the ledger and the rate are the owner's to fill in."""
        with self._lock:
            report = self._report
        live = report.live_since_ns is not None
        next_try_ns = report.next_try_ns
        return StreamHealth(
            name=self.name,
            phase=self._displayed_phase(report, wall_ns),
            feed=feed,
            alive=self._thread.is_alive(),
            last_error=report.last_error,
            reconnect_attempts=0 if live else report.failures,
            next_try_at=None if next_try_ns is None else self._at(wall_ns) + _seconds(next_try_ns - wall_ns),
            connections=report.connections,
            connected_since=None if report.live_since_ns is None else self._at(report.live_since_ns),
            requested=report.requested,
            acknowledged=report.acknowledged,
            refused_symbols=report.refused,
            gaps=report.gaps,
            gap_count=report.gap_count,
        )

    def _displayed_phase(self, report: _Report, wall_ns: int) -> Phase:
        if report.phase is not Phase.LIVE:
            return report.phase
        if not self._expects_data(self._market_ns(wall_ns)):
            return Phase.QUIET
        silence = self._silence_seconds(report, wall_ns)
        if silence >= self._patience_seconds() / 2:
            return Phase.STALLED
        # An illiquid feed: silent for long, but it has been silent that long before.
        return Phase.QUIET if silence >= self._policy.stall_seconds / 2 else Phase.LIVE


def _seconds(nanoseconds: int) -> timedelta:
    return timedelta(seconds=max(0, nanoseconds) / NANOSECONDS)


def _refusal_sentence(refusals: Mapping[str, str]) -> str:
    reason = next(iter(refusals.values()))
    named = ", ".join(list(refusals)[:5])
    return f"Not streamed: {named}{' and others' if len(refusals) > 5 else ''} ({len(refusals)} in all). {reason}"
