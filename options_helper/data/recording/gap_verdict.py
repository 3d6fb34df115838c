"""What became of a recorded gap that history was asked about, and when it is worth asking again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from options_helper.data.recording.loss_log import LossRow
from options_helper.model.instants import NANOSECONDS
from options_helper.model.text import format_count

_HOUR_NS: Final = 60 * 60 * NANOSECONDS
# An answer may be better on the next day: history is put right for some days, and after that it stays what it is.
_BETTER_AFTER_NS: Final = 20 * _HOUR_NS
_BETTER_UNTIL_NS: Final = 7 * 24 * _HOUR_NS
# A plan may be changed and a server be mended, nobody knows when.
_ANSWERED_AFTER_NS: Final = _HOUR_NS


class Side(StrEnum):
    """Where of a gap a row was recorded; what was heard amid several gaps proves neither side."""

    BEFORE = "before"
    AFTER = "after"


# A recorded row that is in the answer: of this channel and symbol, on that side.
Witness = tuple[str, str, Side]


class ClosingState(StrEnum):
    """What became of a gap."""

    CLOSED = "closed"
    PARTLY = "partly closed"
    OPEN = "still open"  # the question was refused, which may pass
    NOT = "cannot be closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class GapClosing:
    """What history said of one row of the gap ledger, which it names by session, stream and times."""

    session: str
    stream: str
    since_ns: int
    until_ns: int
    state: ClosingState
    asked_at_ns: int
    recorded: int = 0  # rows of the gap's margins that were recorded …
    found: int = 0  # … and those of them that are in the answer
    more: int = 0  # rows of the answer that were not recorded, and are now
    beside: int = 0  # rows of the answer in the margins that were not recorded, and are left alone
    why: str = ""  # what keeps it from being closed, a sentence
    tries: int = 1  # how often it was asked about
    again_ns: int | None = None  # when to ask again; None: nothing would come of it

    @property
    def of(self) -> tuple[str, str, int, int]:
        """Which row of the ledger it is about."""
        return self.session, self.stream, self.since_ns, self.until_ns

    @property
    def words(self) -> str:
        """With the counts: "412 of 412 recorded rows are in the answer, 3 more: gap closed"."""
        said = f"gap {self.state}"
        if self.recorded or self.more:
            of = f"{self.found:,} of {format_count(self.recorded, 'recorded row')}"
            said = f"{of} {'is' if self.recorded == 1 else 'are'} in the answer, {self.more:,} more: {said}"
        if self.beside:
            beside = format_count(self.beside, "row")
            said = f"{said}; {beside} beside it that nobody recorded {'is' if self.beside == 1 else 'are'} left alone"
        return f"{said}; {self.why}" if self.why else said

    @property
    def is_final(self) -> bool:
        """Whether nothing would come of asking again."""
        return self.again_ns is None

    def is_worth_another_try(self, now_ns: int) -> bool:
        """Whether there may be another answer by now: a refusal may pass late, history is put right for a week."""
        is_young = now_ns - self.until_ns < _BETTER_UNTIL_NS or self.state is ClosingState.OPEN
        return self.again_ns is not None and is_young and now_ns >= self.again_ns

    def after(self, before: GapClosing | None, *, may_pass: bool) -> GapClosing:
        """The same as the next of several tries, with the time of the one that follows where that may be better."""
        tries = before.tries + 1 if before is not None and before.state is self.state else 1
        first_ns = _ANSWERED_AFTER_NS if self.state is ClosingState.OPEN else _BETTER_AFTER_NS
        again_ns = self.asked_at_ns + first_ns * 2 ** (tries - 1) if may_pass else None
        return replace(self, tries=tries, again_ns=again_ns)


def closing_of(gap: LossRow, state: ClosingState, now_ns: int, why: str) -> GapClosing:
    """A verdict on a row of the ledger, about which nothing more is asked."""
    return GapClosing(
        session=gap.session,
        stream=gap.stream,
        since_ns=gap.since_ns,
        until_ns=end_of(gap),
        state=state,
        asked_at_ns=now_ns,
        why=why,
    )


def end_of(gap: LossRow) -> int:
    """When it ended, on a clock that was not set back meanwhile; where it lasts, when it began."""
    return gap.since_ns if gap.until_ns is None else max(gap.since_ns, gap.until_ns)


def refused_closing(gap: LossRow, now_ns: int, reason: str, before: GapClosing | None) -> GapClosing:
    """What to remember of a refused question: to ask again later and later; an answer of before stays what it was.

    None is refused for good, because the reason may be a plan, a setting or a file of the user's.
    """
    if before is not None and before.state is ClosingState.PARTLY:
        return replace(before, asked_at_ns=now_ns).after(before, may_pass=True)
    return closing_of(gap, ClosingState.OPEN, now_ns, reason.rstrip(".")).after(before, may_pass=True)
