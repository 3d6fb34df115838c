"""How far this computer's clock is from the servers': what is judged by a clock is judged by theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Network and the whole seconds of an answer's date leave about one second in doubt; less than this harms nobody.
WORTH_SAYING_SECONDS: Final = 2.0
# A feed so far ahead of the servers' clock is wrong, and not merely quick.
FEED_AHEAD_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """How far this computer's clock is from the servers', in seconds."""

    ahead: float  # behind where negative
    doubt: float  # by so much it may be more or less
    # Told by the streams alone: an event cannot arrive before it was made, so the clock is at least so far behind.
    at_least: bool = False
    # By so much the streams' own times are ahead of the servers' clock, at least; 0: they are not.
    feed_ahead: float = 0.0

    @property
    def matters(self) -> bool:
        """Whether the clock is certainly so wrong that ages, hours and days would be."""
        return abs(self.ahead) - self.doubt >= WORTH_SAYING_SECONDS

    @property
    def words(self) -> str:
        """How wrong, for people: "at least 10 min behind the servers'"."""
        direction = "ahead of" if self.ahead > 0 else "behind"
        return (
            f"{'at least ' if self.at_least else ''}{format_span(abs(self.ahead))} {direction} the servers'"
        )


def format_span(seconds: float) -> str:
    """A length of time in its two largest units: "35 s", "10 min", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes, hours = whole // 60, whole // 3600
    if hours == 0:
        return f"{minutes} min" if minutes >= 10 or whole % 60 == 0 else f"{minutes} min {whole % 60} s"
    if hours < 48:
        return f"{hours} h" if minutes % 60 == 0 else f"{hours} h {minutes % 60} min"
    return f"{hours // 24} days"
