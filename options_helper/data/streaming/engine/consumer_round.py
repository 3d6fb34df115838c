"""What the consumer of the frames does when, as values: how long it waits, what is due, how long frames may gather.

It knows no thread and no clock; seconds are of the monotonic clock that the consumer goes by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from options_helper.model.frames import Frame

# The consumer wakes up this often even when nothing comes, to judge silence and to notice the end.
HOUSEKEEPING_SECONDS: Final = 0.5
# After a fold the consumer lets frames gather: a wake-up for each would cost more than what is in them.
LINGER_SECONDS: Final = 0.02
# Where callbacks wait for the market, it is this much: three milliseconds are promised to them.
CALLBACK_LINGER_SECONDS: Final = 0.002
CALLBACK_LINGER_NS: Final = 2_000_000
# While something waits that a callback may be holding up, the consumer looks this often.
CALLBACK_LOOK_SECONDS: Final = 0.02


class Task(Enum):
    """What a round does beside taking in frames, in this order."""

    LOOK_AT_CALLBACKS = auto()
    WATCH_STREAMS = auto()
    OBSERVE_ACCOUNT = auto()
    WATCH_BOOKS = auto()


HOUSEKEEPING: Final = (Task.WATCH_STREAMS, Task.OBSERVE_ACCOUNT, Task.WATCH_BOOKS)


@dataclass(frozen=True, slots=True)
class Gather:
    """Let frames gather for so long; `listening` for the end of the run, where that is long enough to be worth it."""

    seconds: float
    listening: bool


class ConsumerRound:
    """Knows when what was done last."""

    def __init__(self, now: float) -> None:
        self._next_check = now + HOUSEKEEPING_SECONDS
        self._next_look = float("-inf")
        self._nudges = 0
        self._last_received_ns = 0

    @staticmethod
    def patience(*, needs_looks: bool) -> float:
        """How long to wait for a frame; `needs_looks` while something waits that a callback may be holding up."""
        return CALLBACK_LOOK_SECONDS if needs_looks else HOUSEKEEPING_SECONDS

    def has_news(self, nudges: int) -> bool:
        """Whether a stream noted something since the last look; told before the frames that came after it."""
        is_new = nudges != self._nudges
        self._nudges = nudges
        return is_new

    def pause_after(self, frames: Sequence[Frame], *, wants_market: bool) -> Gather | None:
        """How long frames may gather, now that these are folded and none wait; `wants_market`: some callback does."""
        pause_ns = frames[0].received_ns - self._last_received_ns
        self._last_received_ns = frames[-1].received_ns
        if not wants_market:
            return Gather(LINGER_SECONDS, listening=True)
        if pause_ns < CALLBACK_LINGER_NS:  # otherwise the next one is not to be expected so soon
            return Gather(CALLBACK_LINGER_SECONDS, listening=False)
        return None

    def due(self, now: float, *, needs_looks: bool) -> tuple[Task, ...]:
        """What to do now; it counts as done."""
        tasks: tuple[Task, ...] = ()
        if needs_looks and now >= self._next_look:
            self._next_look = now + CALLBACK_LOOK_SECONDS
            tasks = (Task.LOOK_AT_CALLBACKS,)
        if now >= self._next_check:
            self._next_check = now + HOUSEKEEPING_SECONDS
            tasks += HOUSEKEEPING
        return tasks
