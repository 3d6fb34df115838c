"""What is sent, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from options_helper.model.market_hours import NEW_YORK

# What comes so long after it fired is read as news, and is none.
LATE_SECONDS: Final = 60.0


class Urgency(StrEnum):
    """How a target may show it; the words are Apprise's."""

    INFO = "info"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `key` tells it from every other, also over restarts, and by `reference` its reader does."""

    key: str
    title: str
    text: str  # without an amount
    text_with_amounts: str  # for targets that ask for amounts
    urgency: Urgency = Urgency.INFO
    may_have_come: bool = False  # a try before this one ended without an answer
    fired_at: datetime | None = None  # UTC, by this computer's clock; None: nothing has fired
    is_late: bool = False  # it is sent so long after that the reader has to know

    @property
    def reference(self) -> str:
        """The key in eight letters and digits."""
        return blake2b(self.key.encode(), digest_size=4).hexdigest()

    def age_seconds(self, now: datetime) -> float:
        """How old its news are; 0 where they are of no time, or of one that is still to come."""
        return 0.0 if self.fired_at is None else max(0.0, (now - self.fired_at).total_seconds())

    def body(self, *, amounts: bool) -> str:
        """What is read on the other side, with the reference, by which a repetition is known as one.

        What is late says since when it has been true.
        """
        text = self.text_with_amounts if amounts else self.text
        again = (
            "\nSent again: nobody answered the first time, so this may have come before." * self.may_have_come
        )
        late = (
            f"\nLate: this was so at {self.fired_at.astimezone(NEW_YORK):%H:%M on %d %b}, New York time."
            if self.fired_at is not None and self.is_late
            else ""
        )
        return f"{text}{late}{again}\n[{self.reference}]"


class Outcome(StrEnum):
    """How a try at a target ended."""

    DELIVERED = "delivered"
    FAILED = "failed"  # it is tried again
    UNANSWERED = "unanswered"  # it may have come; it is tried again once, and says so
    GAVE_UP = "gave up"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one try to send one message to one target; holds no address."""

    key: str
    target: str  # the user's name of it
    outcome: Outcome
    at: datetime  # UTC, by this computer's clock
    number: int = 1  # the first try is 1
    why: str | None = None  # None: delivered
