"""What a capture writes down of itself: its note, its losses, and the facts in its journal."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from types import MappingProxyType
from typing import Final

from options_helper.capture.capture_config import CaptureConfig, wanted_streams
from options_helper.capture.gap_watch import GapWatch, Instant
from options_helper.clock import elapsed_seconds
from options_helper.data.intraday.files import Disk, Displaced
from options_helper.data.intraday.layout import kinds_of
from options_helper.data.recording.journal import (
    JOURNAL_SUFFIX,
    Record,
    RecordKind,
    break_record,
    facts_record,
    gap_record,
)
from options_helper.data.recording.loss_log import JOURNAL_GONE, LossLog, loss_rows
from options_helper.data.recording.session_notes import SessionNote, save_note
from options_helper.data.recording.status import CaptureStatus
from options_helper.data.streaming.state.books import ASKED_ANEW
from options_helper.model.frames import Place
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId
from options_helper.model.text import format_count, named

log = logging.getLogger(__name__)

BEGAN_LATE: Final = "The recording began late: it should have been connected since then."

_REMOVALS_SAID: Final = 4
# A clock that is put back again and again is believed of nothing in between.
_REPEATED_AT_MOST: Final = 100
_GONE: Final = "dropped: the journal was deleted before rows were made of these, which were put off"


class SessionLog:
    """Keeps the session's note and its loss log; for the writer's thread, but `gap_count` may be asked by any.

    All times are the computer's, epoch nanoseconds; `elapsed` counts the seconds of its start `boot`. What the disk
    refuses is tried again at the next observation. What the journal is to say of all this waits until `take_records`:
    whatever ends in between, it is not forgotten.
    """

    def __init__(
        self,
        config: CaptureConfig,
        session: str,
        began_ns: int,
        disk: Disk,
        *,
        keep_folder: Callable[[], None] = lambda: None,
        elapsed: Callable[[], float] = elapsed_seconds,
        boot: str = "",
    ) -> None:
        self._root = config.out
        self._keep_folder = keep_folder
        self._elapsed = elapsed
        self._began_elapsed = elapsed()
        # The journal has them too, for a note that is spoiled.
        self._facts = {**config.facts(), "boot": boot, "elapsed": self._began_elapsed}
        self._began = facts_record(RecordKind.SESSION, began_ns, self._facts)
        self._due = config.due
        first = _first_note(config, session, began_ns)
        self._note = replace(first, seen_elapsed=self._began_elapsed, boot=boot)
        self._losses = LossLog(config.out, session, disk)
        self._looked = Instant(began_ns, self._began_elapsed)
        self._gap_watch = GapWatch(self._looked)
        self._gaps = 0
        self._unwritten: deque[Gap] = deque()
        self._records: list[Record] = []  # for the journal
        self._told: set[tuple[str, int, int | None, int | None]] | None = None  # by whatever session
        # Sentences about files that are gone: a capture that lost what it had written is never well again.
        self._removals: tuple[str, ...] = ()
        self._journal_is_whole = config.journal
        self.removed_rows = 0  # in files that are gone, and in no journal

    @property
    def began(self) -> Record:
        """The first record of the session."""
        return self._began

    def give_number(self, number: int) -> None:
        """The session's number in its folder, which tells its place among the others; before it is `save`d."""
        self._began = facts_record(
            RecordKind.SESSION, self._began.received_ns, {**self._facts, "number": number}
        )
        self._note = replace(self._note, number=number)

    def late_begin(self) -> list[Gap]:
        """A gap for each stream since the session should have begun; none where it begins in time."""
        if self._due is None:
            return []
        since_ns = min(datetime_nanoseconds(self._due), self._note.began_ns)
        return [Gap(name, since_ns, self._note.began_ns, BEGAN_LATE) for name in self._note.asked]

    @property
    def unwritten_gaps(self) -> int:
        """Rows that the loss log's disk has not taken yet."""
        return len(self._unwritten)

    @property
    def removals(self) -> str | None:
        """Which files were deleted, moved or replaced while they were written, in sentences; None while none was."""
        return " ".join(self._removals) or None

    def gap_count(self, streams: Mapping[StreamId, StreamHealth]) -> int:
        """Rows of the loss log, and those that are still to come of what these streams say."""
        return self._gaps + self._gap_watch.unseen(streams)

    def save(self, *, durable: bool = False) -> None:
        """Write the note as it is."""
        try:
            self._keep_folder()
            save_note(self._root, self._note, durable=durable)
        except OSError as error:
            log.info("the note of this session cannot be written: %s", error)

    def take_records(self) -> list[Record]:
        """What the journal is to say, since the last time; whoever takes it adds it there."""
        records, self._records = self._records, []
        return records

    def write_gaps(self, gaps: Sequence[Gap], now_ns: int) -> None:
        """Add them to the loss log.

        Each begins before it ends, whatever the clock did meanwhile: nobody could make a row good that says otherwise.
        """
        gaps = [gap.in_order for gap in gaps]
        self._gaps += len(gaps)
        self._unwritten.extend(gaps)
        self._records += [gap_record(now_ns, gap) for gap in gaps]
        try:
            if self._unwritten:
                self._keep_folder()
            while self._unwritten:
                self._losses.write(self._unwritten[0])
                self._unwritten.popleft()
        except OSError as error:
            log.warning("a gap could not be written down yet: %s", error)

    def write_once(self, gaps: Sequence[Gap], now_ns: int) -> None:
        """The same of gaps that were found again, because a capture was killed before it could go on behind them."""
        if not gaps:
            return
        if self._told is None:
            self._told = {_identity(row) for row in loss_rows(self._root)}
        new = [gap for gap in gaps if _identity(gap.in_order) not in self._told]
        self._told.update(_identity(gap.in_order) for gap in new)
        self.write_gaps(new, now_ns)

    def ask_for_books(self, asked: Mapping[StreamId, Sequence[str]], now_ns: int) -> None:
        """These books are asked for anew: none of them goes on until the whole of it has come."""
        self._records += [
            break_record(now_ns, stream, ASKED_ANEW, connected=True, symbols=symbols)
            for stream, symbols in asked.items()
        ]

    def observe(self, status: CaptureStatus, now_ns: int, kept_until_ns: int) -> None:
        """Write down the gaps that are over and note those that last."""
        before = self._note
        self.write_gaps(self._found(status, now_ns, ending=False), now_ns)
        lasting = tuple(self._gap_watch.lasting(status.streams))
        self._records += [
            break_record(now_ns, gap.stream, gap.reason, connected=False)
            for gap in lasting
            if _ends_books(gap) and gap not in before.gaps
        ]
        self._note_market(status)
        self._note = replace(self._note, gaps=lasting)
        if self._note != before:
            self.stay_alive(now_ns, kept_until_ns)

    def _note_market(self, status: CaptureStatus) -> None:
        """Whose market this is, is known once something was connected."""
        if any(health.connections for health in status.streams.values()):
            self._note = replace(self._note, market=str(status.replay_of or status.market))

    def stay_alive(self, now_ns: int, kept_until_ns: int, filed: int | None = None) -> None:
        """Note how far the capture is: until when what it received is kept, and its journal's records in files.

        What a bus kept for it may be older than the session; it was at work from its beginning on at least.
        """
        filed = self._note.filed if filed is None else filed
        seen_ns = max(kept_until_ns, self._note.began_ns) if self._note.desk else kept_until_ns
        elapsed = self._elapsed() - max(0, now_ns - seen_ns) / NANOSECONDS
        self._note = replace(
            self._note,
            seen_ns=seen_ns,
            seen_elapsed=elapsed,
            ran_seconds=max(0.0, elapsed - self._began_elapsed),
            filed=filed,
        )
        self.save(durable=True)

    def note_displaced(self, files: Sequence[Displaced], now_ns: int) -> None:
        """Write down that these left their place while they were written."""
        if any(file.path.name.endswith(JOURNAL_SUFFIX) for file in files) or self._is_other_root(files):
            self._journal_is_whole = False
        told = list(_told(files))
        said = [f"{reason[0].upper()}{reason[1:]}." for _, _, reason, _ in told]
        self._removals = tuple(dict.fromkeys([*self._removals, *said]))[:_REMOVALS_SAID]
        gaps = []
        for kind, since_ns, reason, rows in told:
            counted = rows if kind is not None and not self._journal_is_whole else None
            self.removed_rows += counted or 0
            where = "; its journal has them: `stream rebuild` makes them" if kind and counted is None else ""
            names = [name for name in self._note.asked if kind is None or kind in kinds_of(name)]
            gaps += [
                Gap(name, self._before(since_ns, now_ns), now_ns, f"{reason}{where}", counted)
                for name in names
            ]
        self.write_gaps(gaps, now_ns)

    def _before(self, since_ns: int | None, now_ns: int) -> int:
        """That moment of this session, by the clock of now: where it was put back since, the session's beginning."""
        since_ns = self._note.began_ns if since_ns is None else since_ns
        return since_ns if since_ns <= now_ns else now_ns - int(self._ran_seconds() * NANOSECONDS)

    def note_gone(self, events: Sequence[tuple[StreamId, int]], now_ns: int) -> None:
        """Write down events that were in the journal only, and are gone with it."""
        gone: Counter[StreamId] = Counter()
        for stream, number in events:
            gone[stream] += number
        self.write_gaps([Gap(name, now_ns, now_ns, _GONE, lost) for name, lost in gone.items()], now_ns)

    def restore_losses(self, now_ns: int) -> None:
        """Write the loss log's rows again where their file is gone."""
        try:
            self._keep_folder()
            restored = self._losses.restore()
        except OSError as error:
            log.warning("the loss log could not be looked for: %s", error)
            return
        self.note_displaced([Displaced(path, "removed or replaced", 0) for path in restored], now_ns)

    def _is_other_root(self, files: Sequence[Displaced]) -> bool:
        return any(file.path == self._root for file in files)

    def observe_the_end(self, status: CaptureStatus, now_ns: int) -> None:
        """Write down every gap, those too that last."""
        self._note_market(status)
        self.write_gaps(self._found(status, now_ns, ending=True), now_ns)

    def end_record(self, status: CaptureStatus, now_ns: int) -> Record:
        """The last record of a session that ends as it should."""
        return facts_record(RecordKind.END, now_ns, _totals(status))

    def end(
        self,
        put_off: int,
        now_ns: int,
        places: Mapping[StreamId, Place] = MappingProxyType({}),
        *,
        unproven: bool = False,
    ) -> None:
        """Note that the capture has ended, how much its files lack (`unproven`: or may lack), and what was refused.

        And how far its journal had followed a desk: whoever deletes the journal leaves the next one that.
        """
        refused = tuple(gap for gap in self._note.gaps if gap.symbols)
        self._note = replace(
            self._note,
            seen_ns=now_ns,
            seen_elapsed=self._elapsed(),
            ended_ns=now_ns,
            ran_seconds=self._ran_seconds(),
            put_off=put_off,
            unproven=unproven,
            gaps=(),
            refused=refused,
            places={str(stream): place for stream, place in places.items()},
        )
        self.save(durable=True)

    def _ran_seconds(self) -> float:
        return self._elapsed() - self._began_elapsed

    def _found(self, status: CaptureStatus, now_ns: int, *, ending: bool) -> list[Gap]:
        # With a journal, rows that found no room are in it.
        unwritten = {} if self._note.journal else {name: _lost_rows(name, status) for name in status.streams}
        now = Instant(now_ns, self._elapsed())
        self._note_clock(now)
        return self._gap_watch.observe(status.streams, now, unwritten=unwritten, ending=ending)

    def _note_clock(self, now: Instant) -> None:
        """Note what this computer's clock shows a second time, where it was put back since the last look."""
        before, self._looked = self._looked, now
        since_ns, until_ns = before.as_of(now).ns, before.until(now)
        if until_ns > now.ns:
            repeated = (*(self._note.repeated or ()), (since_ns, until_ns))
            if len(repeated) > _REPEATED_AT_MOST:
                repeated = ((min(begin for begin, _ in repeated), max(end for _, end in repeated)),)
            self._note = replace(self._note, repeated=repeated)


def _identity(gap: Gap) -> tuple[str, int, int | None, int | None]:
    return str(gap.stream), gap.since_ns, gap.until_ns, gap.lost


def _told(files: Sequence[Displaced]) -> Iterator[tuple[str | None, int | None, str, int]]:
    """Of each kind and fate: kind, since when, a sentence without its full stop, rows."""
    partitions = sorted((file for file in files if file.kind is not None), key=_kind_and_fate)
    for (kind, what), found in groupby(partitions, key=_kind_and_fate):
        group = list(found)
        rows = sum(file.rows for file in group)
        symbols = named(tuple(dict.fromkeys(file.symbol for file in group)))
        since_ns = min((file.since_ns for file in group if file.since_ns is not None), default=None)
        were = "file of {} was" if len(group) == 1 else "files of {} were"
        those = f"{len(group)} {were.format(symbols)} {what} while written, with {format_count(rows, 'row')}"
        yield kind, since_ns, those, rows
    for file in files:
        if file.kind is not None:
            continue
        if file.path.name.endswith(JOURNAL_SUFFIX):
            records = format_count(file.rows, "record")
            yield None, None, f"{JOURNAL_GONE}{file.what} while it was written, with {records}", 0
        else:
            what = "the loss log " if file.path.suffix == ".csv" else ""
            reason = f"{what}{file.path} was {file.what} while it was recorded into, and is begun anew"
            yield None, None, reason, 0


def _ends_books(gap: Gap) -> bool:
    """Whether books would be sampled on that are none while this lasts."""
    return not gap.symbols and "books" in kinds_of(gap.stream)


def _kind_and_fate(file: Displaced) -> tuple[str, str]:
    return file.kind or "", file.what


def _lost_rows(stream: StreamId, status: CaptureStatus) -> int:
    return status.store.of(kinds_of(stream)).lost


def _first_note(config: CaptureConfig, session: str, began_ns: int) -> SessionNote:
    wanted = wanted_streams(config.streams)
    return SessionNote(
        session=session,
        began_ns=began_ns,
        seen_ns=began_ns,
        journal=config.journal,
        flush_events=config.policy.flush_rows,
        flush_seconds=config.policy.flush_seconds,
        asked={name: tuple(config.streams.symbols(name)) for name in wanted},
        feeds={name: config.streams.feed(name) for name in wanted},
        channels={name: config.streams.channels(name) for name in wanted},
        desk=config.desk or "",
        repeated=(),
    )


def _totals(status: CaptureStatus) -> dict[str, object]:
    return {
        "gaps": status.gaps,
        "streams": {
            name: {
                "received": health.received,
                "dropped": health.dropped,
                **({"missed": health.missed} if health.missed else {}),
            }
            for name, health in status.streams.items()
            if health.phase is not Phase.OFF
        },
    }
