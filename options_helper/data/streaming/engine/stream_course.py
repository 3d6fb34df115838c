"""What one stream does next, and how it is: what happened goes in, what to do comes out.

It knows no thread, lock or clock. Each method is given the moment at which it is called; whoever carries out what it
answers with calls one method at a time.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from options_helper.data.streaming.engine.absence import LATE_SECONDS, Absence
from options_helper.data.streaming.engine.silence import Moment, Silence, SilenceJudge, latest
from options_helper.errors import OptionsHelperError, StreamError, StreamRefused
from options_helper.model.backoff import SLOW_BASE_SECONDS, compute_backoff_seconds
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId

# A final answer is confirmed once before it is believed: Alpaca has given passing 402s during its own outages.
CONFIRMATIONS: Final = 1
# A refusal may pass (an outage, a plan that was upgraded), so it is looked at again: soon, and then ever more rarely.
REFUSED_PAUSES: Final = (30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0)
# Only a connection that lived this long makes the next failure the first one again.
STABLE_SECONDS: Final = 10.0
# A half-open socket receives nothing for up to this long before its pings fail, so the gap may have begun then.
UNDETECTED_SECONDS: Final = 17.0
# What the clock says and what is counted may differ by this much before it has been set: a sleep that is no absence.
_SET_NS: Final = int(LATE_SECONDS * NANOSECONDS)
KEPT_GAPS: Final = 200
_KEPT_SLEEPS: Final = 200
DID_NOT_RUN: Final = (
    "This process did not run (asleep or stopped): what came meanwhile was heard late, if at all."
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a stream is tried again; all in seconds.

    None for `max_reconnects` means without end; otherwise every try counts, those of a refused stream too, and after
    the last one it has failed for good. What has been refused is tried once after each of `refused_pauses`, and then
    at the last one's pace. The first tries after a full connection slot wait for `slow_pauses`: for whoever knows that
    the connection which holds it is gone.
    """

    max_reconnects: int | None = None
    base_seconds: float = 1.0
    cap_seconds: float = 60.0
    slow_base_seconds: float = SLOW_BASE_SECONDS
    slow_pauses: tuple[float, ...] = ()
    stall_seconds: float = 60.0
    refused_pauses: tuple[float, ...] = REFUSED_PAUSES
    jitter: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long, or until somebody ends the pause; then `resume`. `said` is for the log."""

    seconds: float
    said: str = ""


@dataclass(frozen=True, slots=True)
class Connect:
    """Make one connection and hold it; `ended` when it is gone."""


@dataclass(frozen=True, slots=True)
class End:
    """There is nothing left to do; `finished`. `said` is for the log."""

    said: str = ""


# What the stream's own thread does next.
Step = Pause | Connect | End


@dataclass(frozen=True, slots=True)
class Nudge:
    """Let whoever reads the healths look soon: there is something new in them."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """End the connection, for all who share it."""


@dataclass(frozen=True, slots=True)
class EndPause:
    """Try at once."""


@dataclass(frozen=True, slots=True)
class BeginAgain:
    """`begin_again` once the thread has ended, and start another."""


@dataclass(frozen=True, slots=True)
class _Report:
    """What is known of the stream, replaced whole at each change."""

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


class StreamCourse:
    """One stream from its beginning to its end, over all of its connections.

    `told` turns the computer's time into that of the clock on which gaps and other times are reported.
    """

    def __init__(
        self, name: StreamId, policy: RetryPolicy, began: Moment, *, told: Callable[[int], int]
    ) -> None:
        self.name = name
        self._policy = policy
        self._told = told
        self._report = _Report()
        # When the first connection was begun.
        self.began = began
        # When the last frame came. Whoever hears frames writes both, since that is done for every one; they may be read
        # a moment late.
        self.frame_ns = 0
        self.frame_at = float("-inf")
        self._is_stopping = False
        # Of the connection that was ended for its silence.
        self._stall: StreamError | None = None
        self._silent_since = began
        # Of a silence in the midst of which the process did not run: it is judged anew, and began here.
        self._silent_before: Moment | None = None
        # When the process ran again after the last time that it did not, and since when a dead connection may have
        # brought nothing before that, which its pings would have told only later.
        self._ran_again: Moment | None = None
        self._undetected = began
        # The stretches in which the clock that measures stood still: what it showed then, and for how many seconds.
        self._sleeps: deque[tuple[float, float]] = deque(maxlen=_KEPT_SLEEPS)
        self._gap_opened = began  # the one that lasts, or the last
        self._gap_opened_ns = began.wall_ns  # as it was told then
        self._unjudged: tuple[Silence, ...] = ()  # of a connection that is being ended for another one
        self._gap_closed = began  # when the last one that is over was
        # What the server complained about on this connection.
        self._complaint: str | None = None
        self._silence = SilenceJudge(policy.stall_seconds)
        self._is_watched = False

    # What the stream's own thread asks.

    def begin(self, now: Moment, delay_seconds: float = 0.0) -> Step:
        """Begin, so much later."""
        self.began = now
        return Pause(delay_seconds)

    def begin_again(self) -> Step:
        """Begin once more where it had failed for good."""
        self._update(phase=Phase.CONNECTING, failures=0, refusals=0, is_final=False)
        return Pause(0.0)

    def resume(self) -> Step:
        """A pause is over."""
        if self._is_stopping:
            return End()
        self._stall = None
        self._update(phase=Phase.RECONNECTING if self._report.failures else Phase.CONNECTING, next_try=None)
        return Connect()

    def connected(self) -> None:
        """The server knows us."""
        self._complaint = None

    def subscribed(
        self, now: Moment, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> Nudge | None:
        """The stream is live from the first answer on, unless the server refused everything."""
        had_refusals = bool(self._report.refused)
        self._update(requested=tuple(requested), acknowledged=tuple(acknowledged), refused=tuple(refusals))
        if requested and len(refusals) == len(requested):
            return None
        is_new = self._report.live_since is None
        if is_new:
            self._become_live(now)
        if refusals:
            self._update(last_error=_refusal_sentence(refusals))
        elif had_refusals:
            self._update(last_error=None)
        return Nudge() if is_new else None

    def _become_live(self, now: Moment) -> None:
        self._update(
            phase=Phase.LIVE,
            live_since=now,
            connections=self._report.connections + 1,
            refusals=0,
            refused_since=None,
            refused_seconds=self._refused_seconds(now),
            last_error=None,
            last_code=None,
        )
        self._close_gap(now)

    def notice(self, sentence: str) -> None:
        """Remember the server's complaint."""
        self._complaint = sentence
        self._update(last_error=sentence)

    def ended(self, now: Moment, error: OptionsHelperError | None, *, jitter: float) -> Step:
        """The connection is gone, or there was none; None: it ended and said nothing. `jitter` is from 0 to 1."""
        if self._is_stopping:
            return End()
        error = error or self._stall or StreamError(f"The {self.name} stream ended without a reason.")
        self._open_gap(now, str(error))
        failures = self._count_failure(now)
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
            return self._look_again_later(now, error)
        delay = self._delay(failures, jitter, slowly=error.retry_slowly)
        said = f"{self.name} stream lost ({error}); attempt {failures} in {delay:.1f} s"
        return self._pause(now, Phase.RECONNECTING, delay, said)

    def _look_again_later(self, now: Moment, error: StreamError) -> Step:
        looks = self._report.looks
        pauses = self._policy.refused_pauses
        delay = pauses[min(looks, len(pauses) - 1)]
        refused_since = self._report.refused_since
        if refused_since is None:
            refused_since = now.monotonic
        self._update(looks=looks + 1, refused_since=refused_since)
        said = f"{self.name} stream failed: {error} It is tried again in {delay:.0f} s."
        return self._pause(now, Phase.FAILED, delay, said)

    def _pause(self, now: Moment, phase: Phase, seconds: float, said: str) -> Step:
        self._update(phase=phase, next_try=now.monotonic + seconds)
        return Pause(seconds, said)

    def _count_failure(self, now: Moment) -> int:
        report = self._report
        if report.live_since is None:
            return report.failures + 1
        if now.monotonic - report.live_since.monotonic < STABLE_SECONDS:
            return report.failures + 1
        self._update(looks=0)
        return 1

    def _delay(self, failures: int, jitter: float, *, slowly: bool) -> float:
        base = self._policy.base_seconds
        if slowly:
            base, soon = self._policy.slow_base_seconds, self._policy.slow_pauses
            if failures <= len(soon):
                return soon[failures - 1]
            failures -= len(soon)
        return compute_backoff_seconds(
            failures,
            base_seconds=base,
            cap_seconds=max(base, self._policy.cap_seconds),
            random=lambda: jitter,
        )

    def _give_up(self, reason: str) -> Step:
        self._update(phase=Phase.FAILED, last_error=reason, next_try=None, is_final=True)
        return End(f"{self.name} stream failed: {reason}")

    def finished(self) -> None:
        """The thread ends."""
        phase = Phase.FAILED if self._report.phase is Phase.FAILED else Phase.STOPPED
        self._update(phase=phase, live_since=None, next_try=None)

    # What others ask.

    def stop(self) -> None:
        """Connect no more."""
        self._is_stopping = True

    def revive(self) -> EndPause | BeginAgain | None:
        """Somebody wants it tried at once, if it has failed."""
        if self._report.phase is not Phase.FAILED or self._is_stopping:
            return None
        return BeginAgain() if self._report.is_final else EndPause()

    def invite(self) -> EndPause | None:
        """Its connection is being made for another run, which shares it."""
        return None if self._report.next_try is None else EndPause()

    @property
    def has_failed(self) -> bool:
        """Whether another try would get the same answer, as far as is known."""
        return self._report.phase is Phase.FAILED

    def watch(
        self, now: Moment, *, due: bool, was_due: bool, applied: int | None, rejected: int | None
    ) -> Abandon | None:
        """Look whether it is silent though data is due; about twice a second.

        `due` says whether this feed should be moving now, `was_due` whether it should have been when all began;
        `applied` and `rejected` are what became of its events so far, None while nobody tries to read them.
        """
        if not self._is_watched:
            self._is_watched = True
            self._silence.observe(self.began, None, None, expected=was_due)
        live_since = self._live_since
        silence = self._silence.observe(
            now, live_since, self._last_frame, expected=due, applied=applied, rejected=rejected
        )
        if live_since is None or silence < self._silence.patience_seconds:
            return None
        self._end_for_silence(live_since, silence)
        return Abandon()

    def _end_for_silence(self, live_since: Moment, silence: float) -> None:
        what = "data that can be read" if self._silence.is_unreadable else "data"
        self._silent_since = self._silence.since(live_since, self._last_frame) or live_since
        self._unjudged = self._silence.broken_off(live_since)
        self._silence.forget_connection(live_since, self._last_frame)
        self._stall = StreamError(
            f"No {self.name} {what} for {silence:.0f} s although the market is open; connecting anew."
        )
        self._update(phase=Phase.STALLED, last_error=str(self._stall))

    def absent(self, now: Moment, absence: Absence) -> Nudge | None:
        """Note that nothing was heard, and no silence either."""
        if self._unheard_since() is None:
            self._silent_before = self._silence.since(self._live_since, self._last_frame)
        self._ran_again = now
        fell_asleep = now.before(absence.seconds - absence.stood_still_seconds)
        if absence.stood_still_seconds:
            self._sleeps.append((fell_asleep.monotonic, absence.stood_still_seconds))
        known = latest(self._report.live_since or self.began, self._last_frame)
        self._undetected = latest(fell_asleep.before(UNDETECTED_SECONDS), known)
        self._silence.restart(now)
        report = self._report
        if self._is_stopping or report.is_final or _lasts(report.gaps):
            return None
        since_ns, until_ns = self._told(absence.since_ns), self._told(absence.until_ns)
        if report.gaps and report.gaps[-1].until_ns is not None:
            # It was over before nothing ran: what ends much later was told by a clock that was put back since.
            overlap_ns = report.gaps[-1].until_ns - since_ns
            since_ns += overlap_ns if 0 < overlap_ns <= _SET_NS else 0
        self._gap_closed = now
        self._add_gap(Gap(self.name, min(since_ns, until_ns), until_ns, DID_NOT_RUN))
        return Nudge()

    # What was not heard.

    def _open_gap(self, now: Moment, reason: str) -> None:
        gaps = self._report.gaps
        if _lasts(gaps):
            return
        if self._complaint is not None:
            # A slow client is told so and then cut off politely: the close alone would not say why.
            reason = f"{reason} Before that: {self._complaint}"
        for silence in self._unjudged:
            # A connection that is mute now was so then: too short to be judged before nothing was due any more.
            told = self._told(silence.until.tell(silence.since)), self._told(silence.until.wall_ns)
            self._add_gap(Gap(self.name, *told, reason))
        self._unjudged = ()
        if (before := self._missed_before(now)) is not None:
            before_ns = self._told(self._tell(before, now))
            for since_ns, until_ns in _uncovered(self._gaps_of_this_clock(now), before_ns):
                self._add_gap(Gap(self.name, since_ns, until_ns, reason))
        since_ns = self._after_the_last(gaps, self._told(self._last_received_ns(now)), now)
        self._gap_opened, self._gap_opened_ns = now, self._told(now.wall_ns)
        self._add_gap(Gap(self.name, since_ns, None, reason))

    def _after_the_last(self, gaps: Sequence[Gap], since_ns: int, now: Moment) -> int:
        """Then, or the end of the last gap if that is later: two gaps of a stream do not overlap."""
        return max(since_ns, self._told_end(gaps[-1].until_ns, now)) if gaps else since_ns

    def _told_end(self, until_ns: int | None, now: Moment) -> int:
        """When the last gap was over, by the clock of now: another one than it was told by, where it was set since."""
        counted_ns = self._told(self._tell(self._gap_closed, now))
        return counted_ns if until_ns is None or abs(counted_ns - until_ns) > _SET_NS else until_ns

    def _gaps_of_this_clock(self, now: Moment) -> Sequence[Gap]:
        """The newest as the clock of now tells them: none of them was told to end later than the next to begin."""
        gaps = self._report.gaps
        if not gaps:
            return ()
        first = len(gaps) - 1
        while first and (gaps[first - 1].until_ns or 0) <= gaps[first].since_ns:
            first -= 1
        # It was set, or put right, since the last was told, and those before it were told by the same.
        moved_ns = self._told_end(gaps[-1].until_ns, now) - (gaps[-1].until_ns or 0)
        return [
            replace(gap, since_ns=gap.since_ns + moved_ns, until_ns=(gap.until_ns or 0) + moved_ns)
            for gap in gaps[first:]
        ]

    def _missed_before(self, now: Moment) -> Moment | None:
        """Since when nothing may have been heard before the process did not run; None: nothing was missed.

        Of a connection that turns out to be mute, or that turns out to be lost about as soon as the process runs again.
        """
        if self._stall is not None:
            return self._unheard_since()
        again, live_since = self._ran_again, self._report.live_since
        if again is None or live_since is None or now.monotonic - again.monotonic > UNDETECTED_SECONDS:
            return None
        known = latest(live_since, self._last_frame)
        return self._undetected if known.monotonic <= again.monotonic else None

    def _unheard_since(self) -> Moment | None:
        """Since when nothing is heard on this connection, where the process did not run in between; else None."""
        before, live_since = self._silent_before, self._report.live_since
        if before is None or live_since is None or live_since.monotonic > before.monotonic:
            return None
        heard = self._silence.heard(self._last_frame)
        return before if heard is None or heard.monotonic <= before.monotonic else None

    def _add_gap(self, gap: Gap) -> None:
        report = self._report
        self._update(gaps=(*report.gaps, gap)[-KEPT_GAPS:], gap_count=report.gap_count + 1)

    def _last_received_ns(self, now: Moment) -> int:
        """Since when nothing may have been received, on the computer's clock."""
        live_since = self._report.live_since
        if live_since is None:
            return self._tell(self.began, now)
        if self._stall is not None:
            # The connection answered its pings all the while, so they bound nothing.
            return self._tell(self._silent_since, now)
        return self._tell(latest(live_since, self._last_frame, now.before(UNDETECTED_SECONDS)), now)

    def _passed(self, moment: Moment, now: Moment) -> float:
        """Seconds from then until now, those that the computer slept among them."""
        slept = sum(seconds for at, seconds in self._sleeps if moment.monotonic < at)
        return now.monotonic - moment.monotonic + slept

    def _tell(self, moment: Moment, now: Moment) -> int:
        """When that was, on the computer's clock as it goes now: exactly, unless somebody has set it since."""
        counted_ns = now.wall_ns - int(self._passed(moment, now) * NANOSECONDS)
        return moment.wall_ns if abs(counted_ns - moment.wall_ns) < NANOSECONDS else counted_ns

    def _close_gap(self, now: Moment) -> None:
        report = self._report
        if not _lasts(report.gaps):
            return
        *others, gap = report.gaps
        if report.connections == 1:
            # What the time was on a simulator's clock is only known since it announced it.
            began_ns = self._told(self._tell(self.began, now))
            gap = replace(gap, since_ns=self._after_the_last(others, began_ns, now))
            self._gap_opened_ns = self._told(self._tell(self._gap_opened, now))
        # A clock that was put back meanwhile takes nothing of its length: it is told by the clock that it began by.
        until_ns = self._told(now.wall_ns)
        lasted_ns = int(self._passed(self._gap_opened, now) * NANOSECONDS)
        by_that_clock_ns = max(gap.since_ns, self._gap_opened_ns) + lasted_ns
        if by_that_clock_ns - until_ns > NANOSECONDS:
            until_ns = by_that_clock_ns
        gap = replace(gap, until_ns=max(gap.since_ns, until_ns))
        self._gap_closed = now
        self._update(gaps=(*others, gap))

    # How it is.

    def health(
        self,
        feed: str | None,
        now: Moment,
        *,
        due: bool,
        alive: bool,
        wanted: tuple[str, ...] = (),
        events_per_second: float = 0.0,
    ) -> StreamHealth:
        """What is known at that moment; the ledger is the owner's to fill in.

        `due` says whether this feed should be moving now, `alive` whether its thread runs, `wanted` which symbols are
        wanted now, whatever was asked for last.
        """
        report = self._report
        connected_since = report.live_since if report.phase is Phase.STALLED else self._live_since
        silent_since = self._silence.since(connected_since, self._last_frame)
        return StreamHealth(
            name=self.name,
            phase=self._displayed_phase(now, due=due),
            feed=feed,
            alive=alive,
            last_error=report.last_error,
            reconnect_attempts=report.failures if report.live_since is None else 0,
            next_try_at=None
            if report.next_try is None
            else self._at(now.wall_ns) + _until(report.next_try, now),
            connections=report.connections,
            connected_since=None if report.live_since is None else self._at(report.live_since.wall_ns),
            silent_since=None if silent_since is None else self._at(self._tell(silent_since, now)),
            requested=wanted or report.requested,
            events_per_second=events_per_second if alive else 0.0,
            acknowledged=report.acknowledged,
            refused_symbols=report.refused,
            refused_seconds=self._refused_seconds(now),
            gaps=report.gaps,
            gap_count=report.gap_count,
            last_error_code=report.last_code,
        )

    def _displayed_phase(self, now: Moment, *, due: bool) -> Phase:
        phase = self._report.phase
        if phase is not Phase.LIVE:
            return phase
        if not due or self._is_quiet_by_nature(now):
            return Phase.QUIET
        silence = self._silence.seconds(now, self._live_since, self._last_frame)
        if silence >= self._silence.patience_seconds / 2:
            return Phase.STALLED
        # An illiquid feed: silent for long, but it has been silent that long before.
        return Phase.QUIET if silence >= self._policy.stall_seconds / 2 else Phase.LIVE

    def _is_quiet_by_nature(self, now: Moment) -> bool:
        """Whether what comes when it comes has not come for a while; orders are news whenever they come."""
        kind = self.name.kind
        if not kind.silence_is_normal or kind.carries_orders:
            return False
        since = latest(self._live_since or now, self._last_frame)
        return now.monotonic - since.monotonic >= self._policy.stall_seconds / 2

    def _refused_seconds(self, now: Moment) -> float:
        """How long it has been failed so far."""
        since = self._report.refused_since
        return self._report.refused_seconds + (0.0 if since is None else now.monotonic - since)

    @property
    def _live_since(self) -> Moment | None:
        """Since when the stream has been live; None while it is not, or is just being ended."""
        return self._report.live_since if self._report.phase is Phase.LIVE else None

    @property
    def _last_frame(self) -> Moment | None:
        """When the last one came; None before the first."""
        return Moment(self.frame_at, self.frame_ns) if self.frame_ns else None

    def _at(self, wall_ns: int) -> datetime:
        return utc_datetime(self._told(wall_ns))

    def _update(self, **changes: Any) -> None:
        self._report = replace(self._report, **changes)


def _lasts(gaps: Sequence[Gap]) -> bool:
    """Whether the last one is not over."""
    return bool(gaps) and gaps[-1].until_ns is None


def _uncovered(gaps: Sequence[Gap], since_ns: int) -> Iterator[tuple[int, int]]:
    """The stretches since then before and between the gaps that are over by now, the oldest first."""
    for gap in gaps:
        if gap.until_ns is None or gap.until_ns <= since_ns:
            continue
        if gap.since_ns > since_ns:
            yield since_ns, gap.since_ns
        since_ns = gap.until_ns


def _until(monotonic: float, now: Moment) -> timedelta:
    return timedelta(seconds=max(0.0, monotonic - now.monotonic))


def _refusal_sentence(refusals: Mapping[str, str]) -> str:
    reason = next(iter(refusals.values()))
    named = ", ".join(list(refusals)[:5])
    return f"Not streamed: {named}{' and others' if len(refusals) > 5 else ''} ({len(refusals)} in all). {reason}"
