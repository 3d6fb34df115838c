"""Ask history for what a recorder did not hear, prove its answer by what was heard, and keep what was missing."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from math import inf
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from options_helper.data.intraday.backfill import Backfill, RowTest, Stretch, replace_stretch
from options_helper.data.intraday.contents import extent_of, reading
from options_helper.data.intraday.frames import frames_of
from options_helper.data.intraday.layout import PartitionKey, dataset_named, find_parts, kind_named, parts
from options_helper.data.intraday.locking import lock_file
from options_helper.data.intraday.members import scan
from options_helper.data.intraday.scope import EVERYTHING, Scope
from options_helper.data.recording.closings import read_closings, save_closing
from options_helper.data.recording.gap_closing import (
    MARGIN_NS,
    GapClosing,
    GapQuestion,
    Side,
    Witness,
    concerned,
    is_made_by_a_rebuild,
    question_of,
)
from options_helper.data.recording.journal import read_records, sessions
from options_helper.data.recording.loss_log import LossRow, read_losses
from options_helper.data.recording.overlap import KEY_COLUMNS, Key, Overlap, compare, event_key, recorded_key
from options_helper.data.recording.recover import UNREADABLE_JOURNAL
from options_helper.data.recording.session_notes import SessionNote, session_notes
from options_helper.data.rest.client import AlpacaRest, batches
from options_helper.data.rest.history import (
    EVENT_TYPES,
    SYMBOLS_A_REQUEST,
    PastEvent,
    PastQuery,
    past_pages,
)
from options_helper.errors import RestError, RestStopped, StoreError
from options_helper.model.announcement import MarketKind
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds, utc_datetime
from options_helper.model.market_hours import NEW_YORK

LOCK_NAME: Final = ".closing.lock"
# Minutes of a symbol in one request, about: a busy one has thousands of quotes in each.
SYMBOL_MINUTES: Final = 600
_MINUTE_NS: Final = 60 * NANOSECONDS
# No answer, no valid key, too many questions: no other gap would have better luck now.
_OF_THE_MOMENT: Final = frozenset({None, 401, 429})


@dataclass(frozen=True, slots=True)
class ClosingReport:
    """What became of the gaps that were looked at: those asked about now, those for later, and what went wrong."""

    closings: tuple[GapClosing, ...] = ()
    later: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    rows: int = 0  # that were added

    @property
    def words(self) -> Sequence[str]:
        """A sentence each."""
        told = (f"{_named(one.stream, one.since_ns, one.until_ns)}: {one.words}." for one in self.closings)
        return (*told, *self.later, *self.problems)


def close_gaps(root: Path, rest: AlpacaRest, *, now: datetime, scope: Scope = EVERYTHING) -> ClosingReport:
    """Ask for each gap of a recording that may be asked about at `now`, and that was not, or not with success.

    Also while a capture records into the folder. Harmless when repeated, and wherever it was ended: what it brings is
    in files of its own, each written whole, and its ledger is written last. Blocks; RestStopped when the client was
    stopped, RestError where no gap could be asked about, StoreError where another process does the same or the disk
    refuses.
    """
    with _alone(root):
        try:
            return _Closer(root, rest, datetime_nanoseconds(now)).close(scope)
        except OSError as error:
            raise StoreError(
                f"{error.filename or root}: {error.strerror or error}. Make room, and ask again."
            ) from error


class _Closer:
    def __init__(self, root: Path, rest: AlpacaRest, now_ns: int) -> None:
        self._root = root
        self._rest = rest
        self._now_ns = now_ns
        self._notes = {note.session: note for note in session_notes(root)}
        self._journaled = sessions(root)
        self._closings: list[GapClosing] = []
        self._later: list[str] = []
        self._problems: list[str] = []
        self._ledger: tuple[LossRow, ...] = ()
        self._rows = 0
        # Gaps that overlap are asked about together, and may be many: losses that go on are a row a minute.
        self._answers: dict[tuple[object, ...], _Judged] = {}
        self._filed_until_ns: dict[str, float] = {}  # by session
        # Of events at their receipt, by session, where a market of this computer is asked.
        self._ages: dict[str, int] = {}

    def close(self, scope: Scope) -> ClosingReport:
        ledger, known = read_losses(self._root), read_closings(self._root)
        self._problems += [f"{problem}." for problem in (*ledger.problems, *known.problems)]
        self._ledger = ledger.rows
        for gap in ledger.rows:
            told = known.of_gap(gap)
            is_wanted = told is None or told.is_worth_another_try(self._now_ns)
            if is_wanted and scope.meets(gap.since_ns, gap.until_ns) and not self._close(gap):
                break
        return ClosingReport(tuple(self._closings), tuple(self._later), tuple(self._problems), self._rows)

    def _close(self, gap: LossRow) -> bool:
        """Whether there is any use in asking for the next."""
        where = _named(gap.stream, gap.since_ns, gap.until_ns)
        try:
            closing = self._closing_of(gap, where)
        except RestError as error:
            return self._is_passed_over(where, error)
        except StoreError as error:
            self._problems.append(f"{where}: {error}")
            return True
        if closing is not None:
            save_closing(self._root, closing)
            self._closings.append(closing)
        return True

    def _closing_of(self, gap: LossRow, where: str) -> GapClosing | None:
        """What history says of it; None where it is not asked now, which is told."""
        ago_ns = self._ago_ns(gap)
        question = question_of(gap, self._ledger, self._notes, self._now_ns, ago_ns=ago_ns)
        if not isinstance(question, GapQuestion):
            return question
        if (hindrance := self._hindrance(question)) is not None:
            self._later.append(f"{where}: {hindrance}.")
            return None
        return self._asked(question)

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
        if any(self._is_only_in_a_journal(row, question) for row in self._ledger):
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
            is_made_by_a_rebuild(row)
            and row.stream == question.gap.stream
            and row.session in self._journaled
            and row.since_ns <= question.until_ns + MARGIN_NS
            and (row.until_ns is None or row.until_ns >= question.since_ns - MARGIN_NS)
        )

    def _is_passed_over(self, where: str, error: RestError) -> bool:
        if isinstance(error, RestStopped):
            raise error
        of_the_moment = error.status in _OF_THE_MOMENT
        if not self._closings and of_the_moment:
            raise error
        self._problems.append(f"{where}: {error}")
        return not of_the_moment

    def _asked(self, question: GapQuestion) -> GapClosing:
        asked = (question.gap.stream, question.stretch, question.symbols, question.channels, question.feed)
        if asked not in self._answers:
            self._answers[asked] = self._judged(question)
        answer = self._answers[asked]
        return question.judged(self._now_ns, answer.counts, answer.witnesses)

    def _judged(self, question: GapQuestion) -> _Judged:
        judged = _Judged(Counter(), set())
        for channel in question.channels:
            for piece in question.slices(channel):
                for symbols in batches(question.symbols, _symbols_at_once(question, channel, piece)):
                    self._ask(question, channel, tuple(symbols), piece, judged)
        return judged

    def _ask(
        self, question: GapQuestion, channel: str, symbols: tuple[str, ...], piece: Stretch, judged: _Judged
    ) -> None:
        query = PastQuery(
            kind=question.kind,
            channel=channel,
            symbols=symbols,
            since_ns=piece.since_ns,
            until_ns=piece.until_ns,
            feed=question.feed,
        )
        answers: dict[str, _Answer] = defaultdict(lambda: _Answer([], []))
        for page in past_pages(self._rest, query, self._now_ns):
            judged.counts["unreadable"] += page.unreadable
            for event in page.events:
                # Of what was not asked for, nobody can tell whether it was heard.
                if piece.holds(event.timestamp_ns or 0):
                    answers[event.symbol].events.append(event)
            for event in page.withdrawn:
                answers[event.symbol].withdrawn.append(event)
        for symbol in symbols:
            self._keep(question, channel, symbol, piece, answers[symbol], judged=judged)

    def _keep(
        self,
        question: GapQuestion,
        channel: str,
        symbol: str,
        piece: Stretch,
        answer: _Answer,
        *,
        judged: _Judged,
    ) -> None:
        """Hold the answer against what was recorded, write what is missing, and count."""
        heard = _Heard.read(self._root, question, channel, symbol, piece)
        overlap: Overlap[PastEvent] = compare(
            heard.keys,
            ((event_key(event), event) for event in answer.events),
            map(event_key, answer.withdrawn),
        )
        more = [event for event in overlap.more if overlap.is_whole or heard.misses(event.timestamp_ns or 0)]
        source = f"rest {question.feed}".strip()
        backfill = Backfill(kind_named(question.kind), symbol, EVENT_TYPES[channel], piece, source)
        told = {event_key(event) for event in (*answer.events, *answer.withdrawn)}
        sides = {side for side, key in heard.beside if key in told}
        # What an answer does not prove that it is without may have been told before, by a better one.
        settled = told.difference(map(event_key, overlap.more)) | set(map(event_key, more))
        is_proven = overlap.is_whole and sides == set(Side)
        staying = RowTest(
            KEY_COLUMNS[channel],
            lambda values: not is_proven and recorded_key(channel, values) not in settled,
        )
        self._rows += replace_stretch(self._root, backfill, more, staying=staying)
        judged.counts.update(recorded=overlap.recorded, found=overlap.found, more=len(more))
        judged.witnesses.update((channel, symbol, side) for side in sides)


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


class _Judged(NamedTuple):
    """What is counted of the answers to one question, and which recorded rows beside its gap they have."""

    counts: Counter[str]
    witnesses: set[Witness]


class _Answer(NamedTuple):
    events: list[PastEvent]
    withdrawn: list[PastEvent]


class _Heard(NamedTuple):
    """What was recorded of a symbol in a stretch, and the hole in it, by the exchange's time."""

    keys: list[Key]
    beside: list[tuple[Side, Key]]
    last_before_ns: int
    first_after_ns: int

    @classmethod
    def read(cls, root: Path, question: GapQuestion, channel: str, symbol: str, piece: Stretch) -> _Heard:
        keys: list[Key] = []
        beside: list[tuple[Side, Key]] = []
        last_before_ns, first_after_ns = piece.since_ns - 1, piece.until_ns
        for received_ns, ts_ns, key in _recorded(root, question, channel, symbol, piece):
            keys.append(key)
            if received_ns <= question.since_ns:
                beside.append((Side.BEFORE, key))
                last_before_ns = max(last_before_ns, ts_ns)
            else:
                # Of what was heard amid a gap, nobody can tell what is missing between.
                first_after_ns = min(first_after_ns, ts_ns)
                if received_ns >= question.until_ns:
                    beside.append((Side.AFTER, key))
        return cls(keys, beside, last_before_ns, first_after_ns)

    def misses(self, ts_ns: int) -> bool:
        """Whether nothing of this time was heard."""
        return self.last_before_ns < ts_ns < self.first_after_ns


def _recorded(
    root: Path, question: GapQuestion, channel: str, symbol: str, piece: Stretch
) -> Iterator[tuple[int, int, Key]]:
    """Receipt, exchange time and key of each recorded row of a stretch; a foreign file has no receipt of its own."""
    dataset = dataset_named(channel)
    columns = KEY_COLUMNS[channel]
    keys = [PartitionKey(kind_named(question.kind), dataset, symbol, day) for day in piece.days]
    for part in chain.from_iterable(parts(root, key) for key in keys):
        for frame in frames_of(part, (*columns, "recv_ns")):
            rows = frame[(frame["ts_ns"] >= piece.since_ns) & (frame["ts_ns"] < piece.until_ns)]
            if "recv_ns" not in rows:
                rows = rows.assign(recv_ns=rows["ts_ns"] + question.delay_ns)
            rows = rows.reindex(columns=["recv_ns", *columns]).astype(object)
            for received_ns, *values in rows.where(rows.notna(), None).itertuples(index=False, name=None):
                yield received_ns or values[0], values[0], recorded_key(channel, values)


def _symbols_at_once(question: GapQuestion, channel: str, piece: Stretch) -> int:
    most = SYMBOLS_A_REQUEST[question.kind]
    if channel == "bars":
        return most
    minutes = 1 + (piece.until_ns - piece.since_ns) // _MINUTE_NS
    return max(1, min(most, SYMBOL_MINUTES // minutes))


def _is_another_market(note: SessionNote, asked: MarketKind) -> bool:
    """Whether a market of this computer was recorded and Alpaca would be asked, or the reverse."""
    return note.market != "" and (note.market == MarketKind.ALPACA) != (asked is MarketKind.ALPACA)


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
        if not lock_file(descriptor):
            raise StoreError(f"Another process closes the gaps of {root} at the moment.")
        yield
    finally:
        os.close(descriptor)
