"""Leave an endpoint alone that has failed again and again, and find out with one request whether it works again.

A dead endpoint would otherwise eat the minute of those that live, three tries and their timeouts at a time. A machine
of values: it is told what happened and when, in seconds of any clock that runs evenly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from options_helper.model.providers import BreakerState

FAILURES_TO_OPEN: Final = 5
FIRST_PAUSE_SECONDS: Final = 30.0
# It doubles with each probe that fails, up to so many times the first: who comes back to a network wants to go on.
LONGEST_PAUSES: Final = 4
# While one request finds out, others are told to come back after so long.
PROBE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of one endpoint; `by` is a number of whoever asks, who asks one question at a time."""

    failures: int = 0  # of different requests, one after another
    open_until: float | None = None
    pause: float = 0.0  # how long the present one is as a whole
    probed_by: int | None = None  # whose request finds out

    @property
    def is_probed(self) -> bool:
        """Whether one request finds out whether it works again."""
        return self.probed_by is not None

    def state(self, now: float) -> BreakerState:
        """Whether the endpoint is asked."""
        if self.open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.open_until else BreakerState.HALF_OPEN

    def wait(self, now: float) -> float:
        """The seconds until a request may go; 0 where one may now."""
        if self.open_until is None:
            return 0.0
        if now < self.open_until:
            return self.open_until - now
        return PROBE_SECONDS if self.is_probed else 0.0

    def admitted(self, now: float, *, by: int = 0) -> Breaker:
        """A request went, which `wait` allowed; where the pause is over it is the one that finds out."""
        return replace(self, probed_by=by if self.state(now) is BreakerState.HALF_OPEN else None)

    def failed(self, now: float, first_pause: float = FIRST_PAUSE_SECONDS, *, by: int = 0) -> Breaker:
        """A request, with all of its tries, showed that the endpoint does not work."""
        failures = self.failures + 1
        if self.open_until is not None and self.probed_by != by:
            return replace(self, failures=failures)  # one of those that were under way when it opened
        if failures < FAILURES_TO_OPEN:
            return Breaker(failures)
        pause = min(2 * self.pause, LONGEST_PAUSES * first_pause) if self.is_probed else first_pause
        return Breaker(failures, now + pause, pause)

    def abandoned(self, *, by: int = 0) -> Breaker:
        """A request was ended, or told nothing of the endpoint; if it was the one to find out, the next one does."""
        return replace(self, probed_by=None) if self.probed_by == by else self


CLOSED: Final = Breaker()
"""Also what an answer makes of any breaker."""
