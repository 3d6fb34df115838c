"""What answers and events give away of this computer's clock: a server's `Date`, and the delay of what is streamed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Final

from options_helper.clock import elapsed_seconds, utc_now_ns
from options_helper.model.clock_skew import FEED_AHEAD_SECONDS, ClockSkew
from options_helper.model.instants import NANOSECONDS

# Each answer bounds the skew; the newest few together bound it more tightly, and one that contradicts those before it
# says that the clock was set.
_ANSWERS: Final = 8
# Streamed delays that are looked at together: half of them must agree, so that an odd event says nothing.
_LAGS: Final = 31
_FEWEST_LAGS: Final = 5
# A clock that is set moves by more between two looks than one that merely runs badly.
_SET_NS: Final = NANOSECONDS
# A frame does not wait while somebody sets the clock more often.
_KEPT_SETS: Final = 8
# Two readings with a longer pause between them are no pair: the thread was held up, and may be again.
_AT_ONCE_SECONDS: Final = 0.1


class ServerClock:
    """Hears the times of one program's answers and events, and notices when the clock is set; for any thread.

    `now_ns` is this computer's clock, `elapsed` the seconds that nobody sets and that go on while it sleeps.
    """

    def __init__(
        self,
        now_ns: Callable[[], int] = utc_now_ns,
        elapsed: Callable[[], float] = elapsed_seconds,
    ) -> None:
        self._now_ns = now_ns
        self._elapsed = elapsed
        # Guarded by self._lock: written by those who ask and by the streams' consumer.
        self._lock = threading.Lock()
        # Each: at least and at most so many seconds ahead.
        self._bounds: deque[tuple[float, float]] = deque(maxlen=_ANSWERS)
        self._lags: deque[float] = deque(maxlen=_LAGS)
        # The clock's time at the computer's start, so to speak; None until the first look.
        self._offset_ns: int | None = None
        # Of each time that it was set: when that was noticed, and the clock's time at the start of before.
        self._sets: deque[tuple[float, int]] = deque(maxlen=_KEPT_SETS)

    def look(self) -> int:
        """By how many nanoseconds the clock was put forward since the last look, back where negative; 0: it was not.

        Where it was, all that was known of it is of before, and forgotten: whoever goes by it asks anew.
        """
        with self._lock:
            began = self._elapsed()
            now_ns = self._now_ns()
            ended = self._elapsed()
            if ended - began > _AT_ONCE_SECONDS:
                return 0
            before_ns, self._offset_ns = self._offset_ns, now_ns - int(ended * NANOSECONDS)
            put_forward_ns = 0 if before_ns is None else self._offset_ns - before_ns
            if abs(put_forward_ns) <= _SET_NS:
                return 0
            self._bounds.clear()
            self._lags.clear()
            self._sets.append((ended, self._offset_ns - put_forward_ns))
            return put_forward_ns

    @property
    def was_set(self) -> bool:
        """Whether it was noticed that somebody has set the clock."""
        return bool(self._sets)

    def here(self, at_ns: int, queued_at: float | None) -> int:
        """What the clock as it is set now would have shown at a moment that it showed as `at_ns`.

        `queued_at` are the elapsed seconds of that moment, or of soon after: what was stamped by a clock of before has
        waited since before it was noticed that the clock was set.
        """
        with self._lock:
            now_ns = self._offset_ns
            if queued_at is None or now_ns is None:
                return at_ns
            then_ns = at_ns - int(queued_at * NANOSECONDS)
            before = [offset_ns for noticed_at, offset_ns in self._sets if queued_at <= noticed_at]
            return at_ns + now_ns - min((now_ns, *before), key=lambda offset_ns: abs(then_ns - offset_ns))

    def elapsed(self) -> float:
        """Seconds that nobody sets, for whoever asks: how long an answer took."""
        return self._elapsed()

    def answered(self, headers: Mapping[str, str], received_at: datetime, took: float) -> None:
        """An answer came after so many seconds that nobody sets; one that a cache kept says nothing."""
        made_at = http_date(headers.get("Date", ""))
        if made_at is None or headers.get("Age", "0").strip() not in ("", "0"):
            return
        # The date is a whole second that had begun, at some moment between question and answer.
        # Counted back from its receipt: the clock of the question may have been another.
        most = (received_at - made_at).total_seconds()
        with self._lock:
            self._bounds.append((most - max(0.0, took) - 1.0, most))

    def streamed(self, lags: Iterable[float]) -> None:
        """Seconds from the making of an event to its receipt, by this computer's uncorrected clock."""
        with self._lock:
            self._lags.extend(lags)

    @property
    def skew(self) -> ClockSkew | None:
        """What is known by now; None: nothing."""
        with self._lock:
            bounds, lags = tuple(self._bounds), tuple(self._lags)
        lag = median(lags) if len(lags) >= _FEWEST_LAGS else None
        if not bounds:
            # A delay may be the feed's own. That something arrived before it was made can be nothing but the clock.
            return None if lag is None or lag >= 0 else ClockSkew(lag, 0.0, at_least=True)
        least, most = _common(bounds)
        skew = ClockSkew((least + most) / 2, (most - least) / 2)
        if lag is not None and least - lag >= FEED_AHEAD_SECONDS:
            return replace(skew, feed_ahead=least - lag)
        return skew


def _common(bounds: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """What the newest of these have in common, as far back as they agree."""
    newest, *earlier = reversed(tuple(bounds))
    least, most = newest
    for lower, upper in earlier:
        if max(least, lower) > min(most, upper):
            break
        least, most = max(least, lower), min(most, upper)
    return least, most


def http_date(text: str) -> datetime | None:
    """A date as headers have it, in UTC; None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
        # Also one that no calendar has once its offset is taken off.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (OverflowError, TypeError, ValueError):
        return None
