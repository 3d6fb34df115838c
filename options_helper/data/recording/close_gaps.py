"""Ask history for what a recorder did not hear, prove its answer by what was heard, and keep what was missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path
from statistics import median
from typing import Final

from options_helper.data.file_lock import try_lock
from options_helper.data.intraday.contents import extent_of, reading
from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday.members import scan
from options_helper.data.intraday.scope import EVERYTHING, Scope
from options_helper.data.recording.closing_progress import forget_progress, load_progress, save_progress
from options_helper.data.recording.closings import read_closings, save_closings
from options_helper.data.recording.gap_asking import Allowance, AskedSoFar, Asking, OfHole
from options_helper.data.recording.gap_closing import (
    MARGIN_NS,
    GapQuestion,
    concerned,
    is_made_by_a_rebuild,
    overlapping,
    question_of,
)
from options_helper.data.recording.gap_verdict import (
    ClosingState,
    GapClosing,
    closing_of,
    end_of,
    refused_closing,
)
from options_helper.data.recording.joined_gaps import JoinedQuestion, beside_others, joined
from options_helper.data.recording.journal import read_records, sessions
from options_helper.data.recording.loss_log import LossRow, read_losses
from options_helper.data.recording.recover import UNREADABLE_JOURNAL
from options_helper.data.recording.session_notes import SessionNote, session_notes
from options_helper.data.rest.client import AlpacaRest
from options_helper.errors import RestError, RestStopped, StoreError
from options_helper.model.announcement import MarketKind
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds, utc_datetime
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.text import format_count

LOCK_NAME: Final = ".closing.lock"
# Requests in one run: a recording may have hundreds of gaps, and who asks has other things to do meanwhile.
REQUESTS_A_RUN: Final = 200
# So many sentences say it; those of a thousand gaps nobody reads.
_TOLD_AT_MOST: Final = 20
_PUT_BACK: Final = "this computer's clock was put back, so by its time of then nobody knows what is missing"
# No answer, no valid key, too many questions: no other gap would have better luck now.
_OF_THE_MOMENT: Final = frozenset({None, 401, 429})


@dataclass(frozen=True, slots=True)
class ClosingReport:
    """What became of the gaps that were looked at: those asked about now, those for later, and what went wrong."""

    closings: tuple[GapClosing, ...] = ()
    later: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    rows: int = 0  # that were added
    unfinished: int = 0  # gaps that are left to another run, which may begin at once

    @property
    def words(self) -> Sequence[str]:
        """A sentence each, and of many gaps how many there are."""
        told = [f"{_named(one.stream, one.since_ns, one.until_ns)}: {one.words}." for one in self.closings]
        words = [*_some(told, self._of_others), *_some(self.later), *_some(self.problems)]
        if self.unfinished:
            words.append(
                f"{format_count(self.unfinished, 'gap')} wait for the next run, which may begin at once."
            )
        return words

    @property
    def _of_others(self) -> str:
        states = [one.state for one in self.closings[_TOLD_AT_MOST:]]
        return ": " + ", ".join(f"{states.count(state)} {state}" for state in ClosingState if state in states)


def _some(sentences: Sequence[str], of_others: str = "") -> Sequence[str]:
    others = len(sentences) - _TOLD_AT_MOST
    if others <= 0:
        return sentences
    return [*sentences[:_TOLD_AT_MOST], f"… and so of {format_count(others, 'more gap')}{of_others}."]


def _never() -> bool:
    return False


def close_gaps(
    root: Path,
    rest: AlpacaRest,
    *,
    now: datetime,
    scope: Scope = EVERYTHING,
    requests: int = REQUESTS_A_RUN,
    gives_way: Callable[[], bool] = _never,
) -> ClosingReport:
    """Ask for the gaps of a recording that may be asked about at `now`, and that were not, or not with success.

    About so many `requests`, and none once `gives_way` says that something else is to be done: what is left then is
    `unfinished`, and another run goes on there. Also while a capture records into the folder. Harmless when repeated,
    and wherever it was ended: what it brings is in files of its own, each written whole, and its ledger is written
    last. Blocks; RestStopped when the client was stopped, RestError where no gap could be asked about, StoreError
    where another process does the same or the disk refuses.
    """
    with _alone(root):
        try:
            allowance = Allowance(requests, gives_way)
            return _Closer(root, rest, datetime_nanoseconds(now), allowance).close(scope)
        except OSError as error:
            raise StoreError(
                f"{error.filename or root}: {error.strerror or error}. Make room, and ask again."
            ) from error


class _Closer:
    def __init__(self, root: Path, rest: AlpacaRest, now_ns: int, allowance: Allowance) -> None:
        self._root = root
        self._rest = rest
        self._now_ns = now_ns
        self._allowance = allowance
        self._asking = Asking(root, rest, now_ns, allowance)
        self._begun = load_progress(root, now_ns)
        self._notes = {note.session: note for note in session_notes(root)}
        self._journaled = sessions(root)
        self._known = read_closings(root)
        self._closings: list[GapClosing] = []
        self._later: list[str] = []
        self._problems: list[str] = []
        self._ledger: tuple[LossRow, ...] = ()
        self._together: Mapping[LossRow, Sequence[LossRow]] = {}
        self._rebuilt: list[LossRow] = []
        self._filed_until_ns: dict[str, float] = {}  # by session
        # Of events at their receipt, by session, where a market of this computer is asked.
        self._ages: dict[str, int] = {}

    def close(self, scope: Scope) -> ClosingReport:
        ledger = read_losses(self._root)
        self._problems += [f"{problem}." for problem in (*ledger.problems, *self._known.problems)]
        self._ledger = ledger.rows
        self._together = overlapping(ledger.rows)
        self._rebuilt = [row for row in ledger.rows if is_made_by_a_rebuild(row)]
        return self._report(self._ask_for(self._questions(scope)))

    def _report(self, waiting: Sequence[JoinedQuestion]) -> ClosingReport:
        # In the ledger's order, as verify tells them.
        closings = {closing.of: closing for closing in self._closings}
        of_ledger = [(gap.session, gap.stream, gap.since_ns, end_of(gap)) for gap in self._ledger]
        return ClosingReport(
            tuple(closings[gap] for gap in dict.fromkeys(of_ledger) if gap in closings),
            tuple(self._later),
            tuple(self._problems),
            self._asking.rows,
            sum(len(one.questions) for one in waiting),
        )

    def _ask_for(self, questions: Sequence[JoinedQuestion]) -> Sequence[JoinedQuestion]:
        """Ask one after another; those that the allowance leaves for another run."""
        for number, question in enumerate(questions):
            try:
                if self._allowance.is_spent or not self._is_done(beside_others(question, self._ledger)):
                    return questions[number:]
            except RestError as error:
                # Another question would have no better luck now, and waits as long as this one.
                if not number:
                    raise
                self._problems.append(f"{_name(question)}: {error}")
                break
        return ()

    def _questions(self, scope: Scope) -> list[JoinedQuestion]:
        """What may be asked now: first what was begun, then what was never asked, the oldest first."""
        first: list[GapQuestion] = []
        again: list[GapQuestion] = []
        answered: list[GapClosing] = []
        for gap in self._ledger:
            told = self._known.of_gap(gap)
            is_wanted = told is None or told.is_worth_another_try(self._now_ns)
            if not (is_wanted and scope.meets(gap.since_ns, gap.until_ns)):
                continue
            match self._question(gap):
                case GapClosing() as closing:
                    answered.append(closing)
                case GapQuestion() as question:
                    (first if told is None else again).append(question)
        self._tell(answered)
        questions = [*joined(first), *joined(again)]
        begun = "" if self._begun is None else self._begun.question
        return sorted(questions, key=lambda one: one.name != begun)

    def _question(self, gap: LossRow) -> GapQuestion | GapClosing | None:
        """What to ask, or what is known without; None where it is not asked now, which is told."""
        if _was_put_back(gap, self._notes):
            return closing_of(gap, ClosingState.NOT, self._now_ns, _PUT_BACK)
        ago_ns = self._ago_ns(gap)
        together = self._together.get(gap, (gap,))
        question = question_of(gap, together, self._notes, self._now_ns, ago_ns=ago_ns)
        if isinstance(question, GapQuestion) and (hindrance := self._hindrance(question)) is not None:
            self._later.append(f"{_named(gap.stream, gap.since_ns, gap.until_ns)}: {hindrance}.")
            return None
        return question

    def _is_done(self, question: JoinedQuestion) -> bool:
        """Whether a question is answered, or refused for a while; RestError where nothing is answered now."""
        so_far = self._begun
        if so_far is None or so_far.question != question.name:
            so_far = AskedSoFar(question.name, of_holes=[OfHole() for _ in question.holes("")])
        try:
            if not self._asking.ask(question, so_far):
                self._leave(so_far)
                return False
        except RestError as error:
            if error.status in _OF_THE_MOMENT:
                self._leave(so_far)
                raise
            self._tell_refused(question, str(error))
        except StoreError as error:
            self._tell_refused(question, str(error))
        except RestStopped:
            self._leave(so_far)
            raise
        else:
            self._tell([self._judged(question, one, so_far) for one in question.questions])
        if so_far is self._begun:
            forget_progress(self._root)
        return True

    def _judged(self, joined: JoinedQuestion, question: GapQuestion, so_far: AskedSoFar) -> GapClosing:
        of_hole = so_far.of_holes[joined.hole_of(question)]
        return question.judged(
            self._now_ns,
            of_hole.counts,
            of_hole.witnesses,
            refused=so_far.refused,
            before=self._known.of_gap(question.gap),
        )

    def _tell_refused(self, joined: JoinedQuestion, reason: str) -> None:
        self._problems.append(f"{_name(joined)}: {reason}")
        gaps = [question.gap for question in joined.questions]
        self._tell([refused_closing(gap, self._now_ns, reason, self._known.of_gap(gap)) for gap in gaps])

    def _tell(self, closings: Sequence[GapClosing]) -> None:
        save_closings(self._root, closings)
        self._closings += closings

    def _leave(self, so_far: AskedSoFar) -> None:
        """The next run goes on there."""
        if so_far.done:
            save_progress(self._root, self._now_ns, so_far)

    def _ago_ns(self, gap: LossRow) -> int | None:
        """How far this computer's time was ahead of a market's on it, by what was heard; None for Alpaca's."""
        note = self._notes.get(gap.session)
        if note is None or self._rest.market is MarketKind.ALPACA:
            return None
        if note.session not in self._ages:
            age_ns = int(median(_ages(self._root, note) or [0]))
            self._ages[note.session] = age_ns if abs(age_ns) >= MARGIN_NS else 0
        return self._ages[note.session]

    def _hindrance(self, question: GapQuestion) -> str | None:
        """Why it is not asked about now; None where it may be."""
        if any(self._is_behind(note, question) for note in concerned(question.gap, self._notes)):
            return "rows next to it are in a journal and not in their files yet, which a capture has to bring there"
        if any(self._is_only_in_a_journal(row, question) for row in self._rebuilt):
            return "rows next to it are in a journal alone; `stream rebuild` makes them, and it is asked about there"
        if question.may_be_asked_at_ns > self._now_ns:
            at = utc_datetime(question.may_be_asked_at_ns).astimezone(NEW_YORK)
            return f"it may be asked about from {at:%H:%M:%S} in New York on"
        for note in self._notes.values():
            if note.session == question.gap.session and _is_another_market(note, self._rest.market):
                return "it was recorded of another market than the one that would be asked"
        return None

    def _is_behind(self, note: SessionNote, question: GapQuestion) -> bool:
        """Whether rows of then may be in its journal alone: outside their files they would be taken for missing."""
        if not note.behind:
            return False
        if note.session not in self._filed_until_ns:
            self._filed_until_ns[note.session] = _filed_until_ns(self._root, note)
        return self._filed_until_ns[note.session] <= question.until_ns + MARGIN_NS

    def _is_only_in_a_journal(self, row: LossRow, question: GapQuestion) -> bool:
        """Whether a rebuild would make rows, within the question's margins, that history would be taken to add."""
        return (
            row.stream == question.gap.stream
            and row.session in self._journaled
            and row.since_ns <= question.until_ns + MARGIN_NS
            and (row.until_ns is None or row.until_ns >= question.since_ns - MARGIN_NS)
        )


def _was_put_back(gap: LossRow, notes: Mapping[str, SessionNote]) -> bool:
    """Whether a gap was told by a time that this computer's clock showed twice: what lies beside it is of both."""
    note = notes.get(gap.session)
    if note is None:
        return False
    if note.repeated is None and note.was_put_back:
        return True  # nobody noted when
    return any(
        since_ns <= end_of(gap) + MARGIN_NS and until_ns >= gap.since_ns - MARGIN_NS
        for since_ns, until_ns in _shown_twice(note, notes.values())
    )


def _shown_twice(gaps: SessionNote, notes: Iterable[SessionNote]) -> Iterator[tuple[int, int]]:
    """What the clock showed twice, as far as it concerns what one session tells of."""
    ended_ns = 0  # when the sessions before had, by their clocks
    for note in sorted(notes, key=lambda one: one.number):
        yield from note.repeated or ()
        if ended_ns > note.began_ns + NANOSECONDS:
            # By the time of before it had not begun. What it tells of its beginning may lie before that.
            if note.session == gaps.session:
                yield 0, ended_ns
            elif note.number > gaps.number:
                yield note.began_ns, ended_ns
        if note.number:
            ended_ns = max(ended_ns, note.stretch[1])


def _filed_until_ns(root: Path, note: SessionNote) -> float:
    """When the first record of a journal was received whose rows may be in no file; without end where there is none."""
    try:
        records = read_records(sessions(root).get(note.session, []), note.filed, on_hole=lambda _: None)
        first = next(records, None)
    except UNREADABLE_JOURNAL:
        return note.began_ns
    return inf if first is None else first.received_ns


def _ages(root: Path, note: SessionNote) -> list[int]:
    """How long before its receipt an event was made: of the first and last ticks in the files that a session heard."""
    ages = []
    for part in find_parts(root):
        if part.key.dataset.name not in ("quotes", "trades"):
            continue
        with reading(part.path) as (read_at, size):
            extent = extent_of(read_at, scan(read_at, size, check_bytes=0))
        for received_ns, ts_ns in (
            (extent.first_recv_ns, extent.first_ts_ns),
            (extent.last_recv_ns, extent.last_ts_ns),
        ):
            if received_ns is not None and ts_ns is not None and note.began_ns <= received_ns:
                ages.append(received_ns - ts_ns)
    return ages


def _is_another_market(note: SessionNote, asked: MarketKind) -> bool:
    """Whether a market of this computer was recorded and Alpaca would be asked, or the reverse."""
    return note.market != "" and (note.market == MarketKind.ALPACA) != (asked is MarketKind.ALPACA)


def _name(question: JoinedQuestion) -> str:
    gaps = [one.gap for one in question.questions]
    ends = [end_of(gap) for gap in gaps]
    name = _named(gaps[0].stream, min(gap.since_ns for gap in gaps), max(ends))
    return name if len(gaps) == 1 else f"{name} ({format_count(len(gaps), 'gap')})"


def _named(stream: str, since_ns: int, until_ns: int | None) -> str:
    since = utc_datetime(since_ns).astimezone(NEW_YORK)
    if until_ns is None:
        return f"{stream}, from {since:%Y-%m-%d %H:%M:%S} on"
    return f"{stream}, {since:%Y-%m-%d %H:%M:%S} to {utc_datetime(until_ns).astimezone(NEW_YORK):%H:%M:%S}"


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """The right to close a root's gaps; StoreError where another process has it."""
    try:
        descriptor = os.open(root / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"{root}: {error.strerror or error}. Name the folder of a recording.") from error
    try:
        if not try_lock(descriptor):
            raise StoreError(f"Another process closes the gaps of {root} at the moment.")
        yield
    finally:
        os.close(descriptor)
