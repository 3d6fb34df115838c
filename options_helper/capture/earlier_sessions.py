"""The captures into a folder before this one: what the killed ones have missed, and the rows they left."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from options_helper.data.intraday.layout import kinds_of
from options_helper.data.intraday.pace import FLUSH_ROWS, FLUSH_SECONDS
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.read_errors import is_passing, not_read_now
from options_helper.data.recording.journal import (
    Record,
    RecordKind,
    last_heard,
    last_record,
    read_records,
    session_began,
    session_number,
    sessions,
    unnoted_sessions,
)
from options_helper.data.recording.loss_log import (
    JOURNAL_LACKS,
    JOURNAL_LOST,
    KILLED,
    KILLED_WITHOUT_JOURNAL,
    NOTE_UNREADABLE,
)
from options_helper.data.recording.recover import UNREADABLE_JOURNAL, Completion, complete
from options_helper.data.recording.session_notes import (
    SessionNote,
    replace_unreadable,
    save_note,
    session_notes,
)
from options_helper.errors import StoreError
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds
from options_helper.model.streams import StreamName

log = logging.getLogger(__name__)

# What a connection did not bring before a kill nobody can have noticed: one that is dead is found so after 17 seconds,
# and one that is mute after a minute of an open market.
_UNNOTICED_NS: Final = 60 * NANOSECONDS


class EarlierSessions:
    """Looked for once, as a capture begins at `began_ns`; for one thread at a time, but `rows` may be asked by any.

    What is found is said to be done (`confirm_missed`, `confirm_completed`) only when the caller has written it down:
    after a kill in between, the next capture finds all of it again.
    """

    def __init__(
        self,
        root: Path,
        store: IntradayStore,
        began_ns: int,
        past_deadline: Callable[[], bool],
        *,
        elapsed: float = 0.0,
        boot: str = "",
    ) -> None:
        self._root = root
        # As of `began_ns`: the seconds of this start of the computer, and which that is; empty: not known.
        self._elapsed, self._boot = elapsed, boot
        self._store = store
        self._began_ns = began_ns
        self._past_deadline = past_deadline
        self._missed: list[SessionNote] = []
        self._bereft: list[
            SessionNote
        ] = []  # of those whose rows are still to be made: whose journal is gone
        self._remade: list[SessionNote] = []  # in place of notes that nobody can read
        self._ended: dict[str, int] = {}  # when those did whose note does not say so
        self._incomplete: deque[SessionNote] = deque()
        self._completing: Generator[Completion] | None = None
        self._completed: list[str] = []
        self._notes: list[SessionNote] = []
        self._order: list[str] = []
        self._files: dict[str, list[Path]] = {}  # of their journals
        self.next_number = 1  # what the session that begins counts as, in the folder
        self.rows = 0  # that were made from earlier journals
        self._desk: str | None = None

    def resume(self, desk: str) -> None:
        """Note that this capture asks a desk's bus for what those before it on the same desk did not receive."""
        self._desk = desk

    def find_unfinished(self) -> None:
        """Find those that were killed, and those whose journal has rows that the files lack.

        For whoever holds the folder, before it notes a session of its own. StoreError where a note or a journal cannot
        be read now: what they say must not be told as lost.
        """
        files = self._files = sessions(self._root)
        self._remade = [
            _remade_note(session, files.get(session, []), self._began_ns)
            for session in unnoted_sessions(self._root)
        ]
        notes = sorted(
            [*session_notes(self._root), *self._remade], key=lambda note: (note.number, note.session)
        )
        self._notes = notes
        self._order = [note.session for note in notes]
        known = [note.number for note in notes]
        self.next_number = 1 + max([*known, *map(session_number, files.values())], default=0)
        for note in notes:
            if note.ended_ns is None and not note.missed:
                ended_ns = _journaled_end(files.get(note.session, []))
                if ended_ns is None:
                    self._missed.append(note)
                else:
                    # The disk did not take its note any more; whether its files have all, its journal says.
                    self._ended[note.session] = ended_ns
        self._incomplete.extend(note for note in notes if note.behind and note.session in files)
        self._bereft = [note for note in notes if note.behind and note.session not in files]

    @property
    def are_incomplete(self) -> bool:
        """Whether rows of one are still to be made."""
        return bool(self._incomplete)

    def gaps_since_kills(self) -> list[Gap]:
        """The stretches since the ends of those that were killed, where nobody has written them down yet.

        And what of the evidence that captures leave is missing, or cannot be read.
        """
        return [
            *(gap for note in self._remade for gap in self._gaps_of_unreadable(note)),
            *(
                gap
                for note in self._bereft
                if note.ended_ns is not None
                for gap in self._gaps_of_bereft(note)
            ),
            *(gap for note in self._missed for gap in self._gaps_after(note)),
        ]

    def confirm_missed(self) -> None:
        """Note that these gaps are in the loss log."""
        for note in self._remade:
            with suppress(OSError):
                replace_unreadable(self._root, note)
        for note in self._missed:
            log.warning("The capture %s was ended without warning.", note.session)
            self._change_note(note.session, missed=True)
        for session, ended_ns in self._ended.items():
            self._change_note(session, ended_ns=ended_ns, unproven=True)
        for note in self._bereft:
            self._change_note(note.session, completed=True)
        self._missed, self._remade, self._bereft, self._ended = [], [], [], {}

    def make_rows(self) -> list[Gap]:
        """Make some of the rows that the oldest left in its journal; returns what is found never to become rows.

        The store must have been acquired, and given no events yet. A step takes a twentieth of a second.
        """
        note = self._incomplete[0]
        if self._completing is None:
            files = [path for path in self._files.get(note.session, ()) if path.exists()]
            if not files:
                return self._journal_gone_since(note)
            log.warning("Making the rows of %s that are in its journal only.", note.session)
            self._completing = complete(
                self._store, note, files, self._past_deadline, self._earlier_than(note)
            )
        step = self._step(self._completing)
        if step.unplaced is None:
            return []
        self._completing = None
        self._incomplete.popleft()
        if self._past_deadline():
            return []  # some may be counted as lost for want of time; the next capture makes them
        self.rows += step.rows
        log.warning("%d rows of %s were made from its journal.", step.rows, note.session)
        if step.refused:
            log.error("The rest has to wait for the next capture: %s", step.refused)
            return []
        self._completed.append(note.session)
        return self._never_rows(note, step)

    def _journal_gone_since(self, note: SessionNote) -> list[Gap]:
        """What is lost where somebody deletes a journal after it was looked for, and before its rows are made."""
        self._incomplete.popleft()
        self._completed.append(note.session)
        if note.ended_ns is not None:
            return list(self._gaps_of_bereft(note))
        reason = f"{JOURNAL_LOST}: what {note.session} had received and not yet written is lost"
        return [
            Gap(name, *self._on_this_clock(note, since_ns), reason)
            for name, since_ns in _last_filed(note).items()
        ]

    def _earlier_than(self, note: SessionNote) -> frozenset[str]:
        # Without a number only the clocks tell.
        return frozenset(self._order[: self._order.index(note.session)] if note.number else ())

    def confirm_completed(self) -> None:
        """Note that what `make_rows` returned so far is written down."""
        for session in self._completed:
            self._change_note(session, completed=True)
        self._completed = []

    def close(self) -> None:
        """Leave what is not made yet to the next capture."""
        if self._completing is not None:
            self._completing.close()
            self._completing = None

    @staticmethod
    def _step(completing: Generator[Completion]) -> Completion:
        try:
            return next(completing)
        except Exception as error:
            # Whatever is in an old journal, it must not keep this capture, and each one after it, from recording.
            log.exception("the rows of an earlier capture cannot be made")
            return Completion(unplaced={}, problem=f"{type(error).__name__}: {error}")

    def _gaps_after(self, note: SessionNote) -> Iterator[Gap]:
        if note.desk and note.desk == self._desk and (note not in self._bereft or note.had_nothing):
            # Nothing is missing because of the kill; what the bus has no more is found as it is asked for.
            yield from (self._lasting_since(gap.since_ns, gap, note) for gap in note.gaps if gap.symbols)
            return
        reason = KILLED if note.journal else KILLED_WITHOUT_JOURNAL
        is_bereft = note in self._bereft and not note.never_worked
        if is_bereft:
            reason = f"{KILLED}, and {JOURNAL_LOST}: what it had received and not yet written is lost"
        heard = self._last_heard(note) if note.journal and not is_bereft else _last_filed(note)
        put_forward_ns = self._put_forward_ns(note) or 0
        for name in note.asked:
            since_ns = heard.get(name, note.stretch[0]) + put_forward_ns
            if since_ns >= self._began_ns:
                # The clock was put back meanwhile: by that of now nobody knows when this was.
                since_ns = self._ended_by_ns(note) - _UNNOTICED_NS
            # A gap that nobody could close lasts until now; what was received before it may be lost by the kill, too.
            lasting = [gap for gap in note.gaps if gap.stream == name]
            for gap in lasting:
                reasons = f"{gap.reason.removesuffix('.')}. Then {reason}"
                yield replace(self._lasting_since(since_ns, gap, note), reason=reasons)
            if all(gap.symbols for gap in lasting):
                yield Gap(name, since_ns, self._began_ns, reason)

    def _lasting_since(self, since_ns: int, gap: Gap, note: SessionNote) -> Gap:
        """A gap that lasted at a session's end, until now; `since_ns`: from there on its stream may have lost all."""
        first_ns = note.stretch[0]
        # One of before the clock was put back, while the session ran, began sometime in it.
        is_of_before = gap.since_ns > note.seen_ns and first_ns < note.began_ns - NANOSECONDS
        began_ns, _ = self._on_this_clock(note, first_ns if is_of_before else gap.since_ns)
        return replace(
            gap, since_ns=began_ns if gap.symbols else min(began_ns, since_ns), until_ns=self._began_ns
        )

    def _on_this_clock(
        self, note: SessionNote, since_ns: int, until_ns: int | None = None
    ) -> tuple[int, int]:
        """A stretch of an earlier session, or from there until now, by the clock of now.

        Where that was put back since then, and nobody knows by how much, a stretch keeps its length and ends with the
        session, at the latest as it can.
        """
        put_forward_ns = self._put_forward_ns(note)
        latest_ns = self._ended_by_ns(note)
        # Also where that is known: the clock may have been set while the session ran.
        ahead_ns = max(0 if put_forward_ns is None else -put_forward_ns, note.stretch[1] - latest_ns)
        until_ns = self._began_ns if until_ns is None else until_ns - ahead_ns
        since_ns -= ahead_ns
        return (since_ns if since_ns < until_ns else until_ns - _UNNOTICED_NS), until_ns

    def _put_forward_ns(self, note: SessionNote) -> int | None:
        """By how much the clock was put back since a session was seen, below 0; None: nobody knows.

        One that seems to have been put forward may be that of a computer which was paused, of which nothing that it
        counts tells: what was lost since the session is then as long as the clocks say, and longer at the worst.
        """
        if not note.boot or note.boot != self._boot:
            return None
        passed_ns = int((self._elapsed - note.seen_elapsed) * NANOSECONDS)
        put_forward_ns = self._began_ns - note.seen_ns - passed_ns
        return put_forward_ns if put_forward_ns < -NANOSECONDS else 0

    def _ended_by_ns(self, note: SessionNote) -> int:
        """When a session had ended at the latest, by the clock of now: as the next one began."""
        # Without a number nobody knows which came next, but those that ended in order have told of all before them.
        later = self._notes[self._order.index(note.session) + 1 :] if note.number else self._missed
        began = (
            one.stretch[0] + put_forward_ns
            for one in later
            if one is not note and (put_forward_ns := self._put_forward_ns(one)) is not None
        )
        return min(self._began_ns, next(began, self._began_ns))

    def _gaps_of_unreadable(self, note: SessionNote) -> Iterator[Gap]:
        """It may have been killed, and what it was asked for, nobody knows but its journal."""
        reason = (
            f"{NOTE_UNREADABLE} {note.session} is gone or cannot be read: "
            "what it was asked for and how it ended is not known"
        )
        for name in note.asked or [name for name in StreamName if self._has_files_of(name)]:
            since_ns, until_ns = self._on_this_clock(note, *note.stretch)
            if note.ended_ns is None:
                until_ns = max(until_ns, self._ended_by_ns(note))
            yield Gap(name, since_ns, until_ns, reason)

    def _has_files_of(self, stream: str) -> bool:
        return any((self._root / kind).is_dir() for kind in kinds_of(stream))

    def _gaps_of_bereft(self, note: SessionNote) -> Iterator[Gap]:
        """It ended with rows in its journal only, or nobody knows whether it did."""
        known = f"{note.put_off} events of {note.session} were in its journal only"
        if note.unproven:
            which = "all other events" if note.put_off else "all events"
            not_known = f"whether the files of {note.session} have {which} is not known"
            known = f"{known}, {not_known}" if note.put_off else not_known
        reason = f"{known}, and {JOURNAL_LOST}"
        names = list(note.asked)
        lost = note.put_off or None if len(names) == 1 else None
        for name in names:
            stretch = self._on_this_clock(note, *note.stretch)
            yield Gap(name, *stretch, reason, lost)

    def _last_heard(self, note: SessionNote) -> dict[str, int]:
        """When each stream of an earlier capture was last heard, by its journal; none if nothing of it can be read."""
        try:
            heard = last_heard(self._files.get(note.session, ()), note.asked.keys(), _UNNOTICED_NS)
        except UNREADABLE_JOURNAL as error:
            _require_readable_now(error)
            log.warning("The journal of %s cannot be read: %s", note.session, error)
            return {}
        # A session that began later than this one was heard by a clock that was put back since.
        first_ns = note.stretch[0] if note.began_ns <= self._began_ns else 0
        return {name: max(first_ns, _on_its_last_clock(note, at_ns)) for name, at_ns in heard.items()}

    def _never_rows(self, note: SessionNote, step: Completion) -> list[Gap]:
        reasons = {
            name: f"{rows} rows of {note.session} are in its journal only, because later ones are in "
            "the files already; `options-helper stream rebuild` makes them"
            for kind, rows in (step.unplaced or {}).items()
            for name in note.asked
            if kind in kinds_of(name)
        }
        problems = [*filter(None, [step.problem]), *(str(hole) for hole in step.holes if hole.until is None)]
        if problems:
            log.error("The journal of %s: %s", note.session, " ".join(problems))
            damaged = f"the journal of {note.session} cannot be read to its end: {' '.join(problems)}"
            reasons |= dict.fromkeys(note.asked, damaged)
        stretch = self._on_this_clock(note, note.stretch[0])
        gaps = [Gap(name, *stretch, why) for name, why in reasons.items()]
        lacking = [hole for hole in step.holes if hole.until is not None and hole.until > note.filed]
        if lacking:
            holes = " ".join(map(str, lacking))
            log.error("The journal of %s: %s", note.session, holes)
            lacks = f"{JOURNAL_LACKS} records of {note.session}, whose rows may be in no file: {holes}"
            gaps += [Gap(name, *stretch, lacks) for name in note.asked]
        return gaps

    def _change_note(self, session: str, **changes: Any) -> None:
        with suppress(OSError, StoreError):  # the next capture finds it as it was, and does all of this again
            for note in session_notes(self._root):
                if note.session == session:
                    save_note(self._root, replace(note, **changes), durable=True)


def _on_its_last_clock(note: SessionNote, at_ns: int) -> int:
    """A moment of a session by the clock of its end, which may have been put back after it while the session ran."""
    since_ns, until_ns = note.stretch
    was_put_back = since_ns < note.began_ns - NANOSECONDS and at_ns > until_ns + _UNNOTICED_NS
    return since_ns + max(0, at_ns - note.began_ns) if was_put_back else at_ns


def _remade_note(session: str, files: Sequence[Path], now_ns: int) -> SessionNote:
    """What its journal says in place of a note that nobody can read; where it has none, that it ended somehow."""
    first, last = _ends_of(files)
    began = session_began(session)
    named_ns = None if began is None else datetime_nanoseconds(began)
    # Its first records may be gone, and what they told of with them.
    known = [at_ns for at_ns in (named_ns, first and first.received_ns) if at_ns is not None]
    began_ns = min(known, default=now_ns)
    facts = first.facts if first is not None and first.kind is RecordKind.SESSION else {}
    streams = facts.get("streams", {})
    asked = {
        "stocks": streams.get("stocks", ()),
        "options": streams.get("option_contracts", ()),
        "crypto": streams.get("crypto", ()),
        **{request["stream"]: request["symbols"] for request in streams.get("further", ())},
    }
    ended = last is not None and last.kind is RecordKind.END
    journaled_ns = 0 if first is None or last is None else last.received_ns - first.received_ns
    return SessionNote(
        session=session,
        number=facts.get("number", 0),
        began_ns=began_ns,
        # Without a journal nobody knows when it ended.
        seen_ns=last.received_ns if last is not None else max(began_ns, now_ns),
        seen_elapsed=facts.get("elapsed", 0.0) + journaled_ns / NANOSECONDS,
        boot=facts.get("boot", ""),
        journal=bool(files),
        flush_events=facts.get("flush_events", FLUSH_ROWS),
        flush_seconds=facts.get("flush_seconds", FLUSH_SECONDS),
        asked={name: tuple(symbols) for name, symbols in asked.items() if symbols},
        desk=facts.get("desk", ""),
        ended_ns=last.received_ns if last is not None and ended else None,
        # Whether its files have all, nobody knows: they are held against the journal.
        unproven=ended,
        # Without a journal there is nothing more to be found out than is told of the note.
        missed=not files,
    )


def _last_filed(note: SessionNote) -> dict[str, int]:
    """Since when each stream of a capture without a journal may have lost something."""
    unfiled_ns = max(int(note.flush_seconds * NANOSECONDS), _UNNOTICED_NS)
    return dict.fromkeys(note.asked, max(note.stretch[0], note.seen_ns - unfiled_ns))


def _journaled_end(files: Sequence[Path]) -> int | None:
    """When the session ended in order, by the last record of its journal; None where it was killed, or nobody knows."""
    _, last = _ends_of(files)
    return last.received_ns if last is not None and last.kind is RecordKind.END else None


def _ends_of(files: Sequence[Path]) -> tuple[Record | None, Record | None]:
    try:
        return next(read_records(files, on_hole=lambda _: None), None), last_record(files)
    except UNREADABLE_JOURNAL as error:
        _require_readable_now(error)
        return None, None


def _require_readable_now(error: BaseException) -> None:
    """StoreError where a journal was not read for want of open files: what it says is known a moment later."""
    if isinstance(error, OSError) and is_passing(error):
        raise not_read_now(error.filename or "A journal", error) from error
