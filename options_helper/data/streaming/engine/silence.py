"""How long a stream has been silent while its feed should move; knows no thread, clock or calendar.

Lengths are of the monotonic clock, which nobody sets, and which on Linux stands still while the computer sleeps; the
wall clock only tells when.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from options_helper.model.instants import NANOSECONDS

# An illiquid feed is given this many times its longest silence so far, but never more than the cap.
PATIENCE_FACTOR: Final = 3.0
MAX_PATIENCE_SECONDS: Final = 15 * 60.0


class Moment(NamedTuple):
    """One instant on both clocks: seconds to measure with, epoch nanoseconds to tell by."""

    monotonic: float
    wall_ns: int

    def tell(self, moment: Moment) -> int:
        """When that was, on the wall clock as it goes now: exactly, unless somebody has set it since.

        After a sleep on Linux it is told as later by the length of the sleep, as after a clock that was put forward:
        somewhere in the stretch in which the process did not run, which has a gap of its own.
        """
        counted_ns = self.wall_ns - int((self.monotonic - moment.monotonic) * NANOSECONDS)
        return moment.wall_ns if abs(counted_ns - moment.wall_ns) < NANOSECONDS else counted_ns

    def before(self, seconds: float) -> Moment:
        """So long before this one."""
        return Moment(self.monotonic - seconds, self.wall_ns - int(seconds * NANOSECONDS))


class Silence(NamedTuple):
    """A stretch in which data was due, and nothing came."""

    since: Moment
    until: Moment


_KEPT_SILENCES: Final = 20
_NEVER: Final = Moment(float("-inf"), 0)


def latest(first: Moment, *others: Moment | None) -> Moment:
    """The latest of those that are known, by the clock that nobody sets."""
    for moment in others:
        if moment is not None and moment.monotonic > first.monotonic:
            first = moment
    return first


class SilenceJudge:
    """Judges one stream's silence from what it is shown about twice a second; for the thread that shows it.

    Others may read `seconds`, `since` and `patience_seconds`, a look behind.

    Silence counts from the latest of three moments: the last frame of which something could be read, the beginning of
    the connection, and the moment since when the feed is expected to move. So a night is no silence, and a connection
    that is mute since before the open is silent from the open on.
    """

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._expected_since: Moment | None = None
        self._applied = 0
        self._rejected = 0
        # While nothing that comes can be read: the last frame before that, which is all that was heard.
        self._heard_before: Moment | None = None
        self._last_frame: Moment | None = None
        self._last_heard = _NEVER
        # Silences of this connection that nothing ended but that nothing was due any more.
        self._broken_off: tuple[Silence, ...] = ()
        self._silent_connections = 0
        self._last_silence = 0.0
        self._longest_silence = 0.0

    def observe(
        self,
        now: Moment,
        live_since: Moment | None,
        last_frame: Moment | None,
        *,
        expected: bool,
        applied: int | None = 0,
        rejected: int | None = 0,
    ) -> float:
        """Look at the stream; the seconds of its silence. `applied` and `rejected` are its events so far.

        They are None while nobody tries to read its events: what comes then counts as heard.

        `live_since` is None while there is no connection; `expected` says whether the feed should move now.
        """
        self._note_readability(applied, rejected)
        self._last_frame = last_frame
        if not expected:
            self._break_off(now, live_since, last_frame)
            self._expected_since = None
        elif self._expected_since is None:
            self._expected_since = now
        heard = self.heard(last_frame) or _NEVER
        if heard.monotonic > self._last_heard.monotonic:
            # Something was received since the last look, so this feed can be that quiet and be well.
            self._longest_silence = max(self._longest_silence, self._last_silence)
            self._broken_off = ()
        self._last_heard = heard
        self._last_silence = self.seconds(now, live_since, last_frame)
        return self._last_silence

    def _break_off(self, now: Moment, live_since: Moment | None, last_frame: Moment | None) -> None:
        since = self.since(live_since, last_frame)
        if since is not None and since.monotonic < now.monotonic:
            self._broken_off = (*self._broken_off, Silence(since, now))[-_KEPT_SILENCES:]

    def broken_off(self, live_since: Moment) -> tuple[Silence, ...]:
        """Silences before this one that were the connection's too: data was due, and not for long enough to judge."""
        return tuple(one for one in self._broken_off if one.since.monotonic >= live_since.monotonic)

    def _note_readability(self, applied: int | None, rejected: int | None) -> None:
        if applied is None or rejected is None:
            if self._heard_before is not None:
                # A stretch that nobody judged to its end earns no patience either.
                self._heard_before, self._last_silence = None, 0.0
            return
        # What still waits to be read counts as heard, unless nothing of the last that was looked at could be read.
        if applied > self._applied:
            self._heard_before = None
        elif rejected > self._rejected and self._heard_before is None:
            self._heard_before = self._last_frame or _NEVER
        self._applied, self._rejected = applied, rejected

    def restart(self, now: Moment) -> None:
        """Count from now on: nobody was there to hear until this moment."""
        if self._expected_since is not None:
            self._expected_since = now
        self._last_silence = 0.0

    def forget_connection(self, live_since: Moment, last_frame: Moment | None) -> None:
        """Note that a connection was ended for its silence: one that brought nothing at all earns patience."""
        heard = self.heard(last_frame)
        # What comes with the last acknowledgement, in one read, is the connection's.
        was_silent = heard is None or heard.monotonic < live_since.monotonic
        self._silent_connections = self._silent_connections + 1 if was_silent else 0
        self._last_silence = 0.0

    def since(self, live_since: Moment | None, last_frame: Moment | None) -> Moment | None:
        """Since when it is silent; None where nothing is expected or there is no connection."""
        expected_since = self._expected_since
        if live_since is None or expected_since is None:
            return None
        heard = self.heard(last_frame)
        return latest(live_since, expected_since, heard)

    def seconds(self, now: Moment, live_since: Moment | None, last_frame: Moment | None) -> float:
        """How long it has been silent; 0 where nothing is expected or there is no connection."""
        since = self.since(live_since, last_frame)
        return 0.0 if since is None else max(0.0, now.monotonic - since.monotonic)

    @property
    def is_unreadable(self) -> bool:
        """Whether nothing of what came last could be read."""
        return self._heard_before is not None

    @property
    def patience_seconds(self) -> float:
        """Doubles with each connection in a row that stayed silent, since an illiquid contract looks the same."""
        patience = max(self._stall_seconds, PATIENCE_FACTOR * self._longest_silence)
        return min(patience * 2.0 ** min(self._silent_connections, 10), MAX_PATIENCE_SECONDS)

    def heard(self, last_frame: Moment | None) -> Moment | None:
        """The last frame of which something could be read, as far as that was looked at."""
        return last_frame if self._heard_before is None else self._heard_before
