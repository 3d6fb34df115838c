"""How far this computer's clock is from the owner's: receipts are the owner's, and ages are shown here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from options_helper.bus.connection import BusConnection
from options_helper.bus.names import Names
from options_helper.errors import StreamError
from options_helper.model.clock_skew import format_span
from options_helper.model.instants import NANOSECONDS

WORTH_SAYING_NS: Final = NANOSECONDS


@dataclass(frozen=True, slots=True)
class Offset:
    """By so much the owner's clock is ahead of this computer's, nanoseconds; give or take `doubt_ns`."""

    ahead_ns: int = 0
    doubt_ns: int = 0

    @classmethod
    def of(cls, sent_ns: int, owner_ns: int, answered_ns: int) -> Offset:
        """What a question that was sent and answered then tells."""
        return cls(owner_ns - (sent_ns + answered_ns) // 2, max(0, (answered_ns - sent_ns) // 2))

    @property
    def matters(self) -> bool:
        """Whether the clocks certainly differ by more than a network explains."""
        return abs(self.ahead_ns) - self.doubt_ns >= WORTH_SAYING_NS

    def here(self, owner_ns: int) -> int:
        """A moment of the owner's clock on this computer's; as it is where the clocks agree."""
        return owner_ns - self.ahead_ns if self.matters else owner_ns

    @property
    def sentence(self) -> str | None:
        """What to say of it; None where it is nothing."""
        if not self.matters:
            return None
        span = format_span(abs(self.ahead_ns) / NANOSECONDS)
        direction = "behind" if self.ahead_ns > 0 else "ahead of"
        return f"This computer's clock is {span} {direction} the owner's; ages are corrected."


async def measure_offset(bus: BusConnection, names: Names, now_ns: Callable[[], int]) -> Offset:
    """Ask the owner for its time; no offset where it does not answer, which its health tells anyway."""
    sent_ns = now_ns()
    try:
        answer = await bus.ask(names.ask("time"))
        owner_ns = int(answer)
    except (StreamError, ValueError):
        return Offset()
    return Offset.of(sent_ns, owner_ns, now_ns())
