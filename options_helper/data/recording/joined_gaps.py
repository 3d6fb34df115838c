"""Ask once for gaps that lie close together: margins that overlap are not asked for twice. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from options_helper.data.intraday.backfill import Stretch
from options_helper.data.recording.gap_closing import MARGIN_NS, SLICE_NS, GapQuestion
from options_helper.data.recording.gap_verdict import end_of
from options_helper.data.recording.loss_log import LossRow
from options_helper.data.recording.missed_rows import Hole

# A minute of margin, and the minutes whose bars come after them.
_REACH_NS: Final = 5 * MARGIN_NS


@dataclass(frozen=True, slots=True)
class JoinedQuestion:
    """The questions of gaps of one stream, symbols and channels that are asked as one; in the order of their holes."""

    questions: tuple[GapQuestion, ...]
    others: tuple[Stretch, ...] = ()  # further gaps of the stream, by receipt, that its margins may reach

    @property
    def whole(self) -> GapQuestion:
        """What is asked: from the first margin to the last."""
        first = self.questions[0]
        stretches = [question.stretch for question in self.questions]
        return replace(
            first,
            until_ns=max(question.until_ns for question in self.questions),
            stretch=Stretch(min(one.since_ns for one in stretches), max(one.until_ns for one in stretches)),
        )

    @property
    def name(self) -> str:
        """Of just this question: the same gaps of the same symbols have it in another run, too."""
        told = (
            _kind(self.questions[0]),
            [(one.since_ns, one.until_ns, *one.stretch) for one in self.questions],
        )
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def hole_of(self, question: GapQuestion) -> int:
        """The place of a gap's hole among the `holes`."""
        return [hole[:2] for hole in self.holes("")].index((question.since_ns, question.until_ns))

    def holes(self, channel: str) -> list[Hole]:
        """Where of a channel nothing was heard, each once: gaps that overlap share one."""
        holes = (
            Hole(one.since_ns, one.until_ns, one.stretch_of(channel), one.delay_ns) for one in self.questions
        )
        return list(dict.fromkeys(holes))


def beside_others(joined: JoinedQuestion, gaps: Sequence[LossRow]) -> JoinedQuestion:
    """The same, and which of these gaps lie in its margins and are asked about otherwise."""
    own = [(one.since_ns, one.until_ns) for one in joined.questions]
    first_ns, last_ns = min(since_ns for since_ns, _ in own), max(until_ns for _, until_ns in own)
    reach = Stretch(first_ns - _REACH_NS, last_ns + _REACH_NS)
    others = (
        Stretch(gap.since_ns, end_of(gap) if gap.until_ns is not None else reach.until_ns)
        for gap in gaps
        if gap.stream == joined.questions[0].gap.stream
    )
    return replace(
        joined,
        others=tuple(
            gap
            for gap in dict.fromkeys(others)
            if gap.since_ns < reach.until_ns
            and gap.until_ns > reach.since_ns
            and not any(since_ns <= gap.since_ns and gap.until_ns <= until_ns for since_ns, until_ns in own)
        ),
    )


def joined(questions: Iterable[GapQuestion]) -> list[JoinedQuestion]:
    """Those that are asked as one, in the order of their beginnings: together no longer than what is asked at once."""
    of_a_kind: dict[tuple[object, ...], list[GapQuestion]] = {}
    for question in sorted(questions, key=lambda one: one.stretch):
        of_a_kind.setdefault(_kind(question), []).append(question)
    found = [JoinedQuestion(tuple(some)) for group in of_a_kind.values() for some in _close_together(group)]
    return sorted(found, key=lambda one: one.whole.stretch)


def _kind(question: GapQuestion) -> tuple[object, ...]:
    symbols = tuple(sorted(question.symbols))
    return question.gap.stream, question.channels, symbols, question.feed, question.delay_ns


def _close_together(questions: Sequence[GapQuestion]) -> Iterator[list[GapQuestion]]:
    some: list[GapQuestion] = []
    until_ns = 0
    for question in questions:
        until_ns = max(until_ns, question.stretch.until_ns) if some else question.stretch.until_ns
        is_of_the_hole = some and question.stretch == some[-1].stretch
        if some and not is_of_the_hole and until_ns - some[0].stretch.since_ns > SLICE_NS:
            yield some
            some, until_ns = [], question.stretch.until_ns
        some.append(question)
    if some:
        yield some
