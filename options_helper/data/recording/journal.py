"""The raw journal of a capture: every frame with its moment of receipt, before anything is made of it.

`<root>/journal/<New York day>/<session>-<nnn>.jnl.gz`, whole gzip members of records. One file holds all streams, in
the order in which the writer took them, so that playing it back does exactly what the capture did.

A record is 18 bytes, little endian, and its payload: kind, stream, receipt (epoch nanoseconds), events announced,
payload length. The default account's streams have a number; with 255 the payload begins with the length of a stream's
id, one byte, and the id, so that each record says by itself whose it is.
"""

from __future__ import annotations

import json
import os
import struct
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from enum import IntEnum
from functools import cache, partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from options_helper.data.atomic_file import sync_folder
from options_helper.data.intraday.contents import reading
from options_helper.data.intraday.files import Disk, Displaced, MemberFile, create_file
from options_helper.data.intraday.members import (
    encode_member,
    member_at,
    member_text,
    numbered_texts,
    scan,
)
from options_helper.data.read_errors import is_passing, not_read_now
from options_helper.data.recording.session_notes import session_notes, unreadable_notes
from options_helper.decoders import converter, json_decoder
from options_helper.errors import StoreError
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.frames import Place
from options_helper.model.gaps import Gap
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import new_york_date
from options_helper.model.streams import StreamId, StreamName, stream_named

FOLDER: Final = "journal"
JOURNAL_SUFFIX: Final = ".jnl.gz"
# A new file after this much, so that a lost or copied file is not the whole day.
MAX_FILE_BYTES: Final = 512 * 1024 * 1024

# So far apart are the places that a writer remembers, to read back from there.
_MARK_EVERY: Final = 2_000
# A connection announces its market before its first frame.
_ANNOUNCED_WITHIN: Final = 1_000

_HEAD: Final = struct.Struct("<BBQII")
_STREAMS: Final = tuple(StreamName)
_STREAM_NUMBERS: Final[dict[StreamId, int]] = {name: number for number, name in enumerate(_STREAMS)}
_NAMED: Final = 255


class RecordKind(IntEnum):
    """What a record is."""

    FRAME = 1  # one websocket message
    TICK = 2  # the writer looked at its clock: what is old enough is flushed
    SESSION = 3  # JSON: a capture began, with this configuration
    GAP = 4  # JSON: a stretch in which a stream could not hear, or events that were lost
    MARKET = 5  # a simulator announced its time, in the words of its handshake
    END = 6  # JSON: the capture ended as it should, with these totals
    BREAK = (
        7  # JSON: order books of a stream do not go on from here: a new connection, a loss, asked for anew
    )
    BUS = 8  # JSON: how far each stream of a desk was followed, up to the frames before this record
    LEFT_OUT = 9  # nothing but its events: quotes that the slow feed of a bus left out; in no journal


_gap: Final = converter(Gap)


class Record(NamedTuple):
    """One thing that happened to the capture, at `received_ns` of the computer's clock."""

    kind: RecordKind
    received_ns: int
    payload: bytes = b""
    stream: StreamId = StreamName.STOCKS
    events: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        """The JSON of a session, a gap or an end."""
        return dict(json.loads(self.payload))

    @property
    def gap(self) -> Gap:
        """What a record of a gap tells."""
        return _gap(self.facts)


class Hole(NamedTuple):
    """Records that a journal lacks: those from number `first` up to but without `until`; None: to the end, unknown."""

    first: int
    until: int | None
    why: str
    damaged: bool  # bytes that nobody can read; else a file is not there

    @property
    def records(self) -> int:
        """How many are known to be missing."""
        return 0 if self.until is None else self.until - self.first

    def __str__(self) -> str:
        if self.until is None:
            return f"{self.why}, from record {self.first} on."
        return f"{self.why}, records {self.first} to {self.until - 1} are missing."


OnHole = Callable[[Hole], object]


class _Mark(NamedTuple):
    """Where in the session's files its record of this number begins a member."""

    first: int
    path: Path
    offset: int


class _Member(NamedTuple):
    """Records that are ready to be written; `since_ns` is the receipt of the first."""

    data: bytes
    records: int
    since_ns: int


def facts_record(kind: RecordKind, received_ns: int, facts: Mapping[str, Any]) -> Record:
    """A record of facts."""
    return Record(kind, received_ns, json.dumps(facts, separators=(",", ":")).encode())


def gap_record(received_ns: int, gap: Gap) -> Record:
    """A record of a gap."""
    return facts_record(RecordKind.GAP, received_ns, asdict(gap))


def break_record(
    received_ns: int, stream: str, reason: str, *, connected: bool, symbols: Sequence[str] | None = None
) -> Record:
    """A record of the books of a stream, or of its `symbols`, being void from here on.

    Not `connected`: nothing comes until the stream is back.
    """
    facts: dict[str, Any] = {"stream": stream, "reason": reason, "connected": connected}
    if symbols is not None:
        facts["symbols"] = list(symbols)
    return facts_record(RecordKind.BREAK, received_ns, facts)


def bus_record(received_ns: int, desk: str, places: Mapping[StreamId, Place]) -> Record:
    """A record of how far a desk was followed. It is in the same member as the frames up to there, or in none."""
    facts = {"desk": desk, "places": {str(name): place for name, place in places.items()}}
    return Record(RecordKind.BUS, received_ns, msgspec.json.encode(facts))


def record_parts(record: Record) -> tuple[bytes, bytes]:
    """The two parts of a record's bytes, as `records_in` reads them again."""
    number, payload = _STREAM_NUMBERS.get(record.stream), record.payload
    if number is None:
        number, payload = _NAMED, _name_of(record.stream) + payload
    return _HEAD.pack(record.kind, number, record.received_ns, record.events, len(payload)), payload


class JournalWriter:
    """Appends records; what was flushed survives a kill. For one thread, under the root's lock.

    `keep_folder` raises OSError where nothing may be written under the root's name.
    """

    def __init__(
        self,
        root: Path,
        session: str,
        disk: Disk | None = None,
        *,
        keep_folder: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = root / FOLDER
        self._session = session
        self._disk = disk or Disk()
        self._keep_folder = keep_folder
        self._file: MemberFile | None = None
        self._files = 0
        self._file_bytes = 0
        self._file_begins = 0  # the number of its first record
        self._marks: list[_Mark] = []
        self._displaced: list[Displaced] = []
        self._records = 0
        self._buffer: list[bytes] = []
        self._buffered_records = 0
        self._buffered_since_ns = 0
        # Compressed, and refused by the disk so far.
        self._members: deque[_Member] = deque()
        # Written since the last sync, and what a sync that failed may have lost of that, which is written again.
        self._unsynced: list[_Member] = []
        self._again: deque[_Member] = deque()
        self._has_failed = False  # the last sync
        self.unproven = 0  # records of which the disk failed to keep what was written twice
        self.written_bytes = 0

    def append(self, record: Record) -> None:
        """Take a record; it is in the file after the next `flush`."""
        if not self._buffer:
            self._buffered_since_ns = record.received_ns
        self._buffer += record_parts(record)
        self._buffered_records += 1

    def flush(self) -> None:
        """Write what is buffered, each member whole or not at all; after an OSError the rest is buffered still.

        First comes what a sync that failed may have lost: readers pass over records that they have had.
        """
        if self._buffer:
            first = self._records + self.waiting - self._buffered_records
            data = encode_member(b"".join(self._buffer), first, self._buffered_records)
            self._members.append(_Member(data, self._buffered_records, self._buffered_since_ns))
            self._buffer.clear()
            self._buffered_records = 0
        if self._again or self._members:
            self._keep_folder()
        while self._again:
            self._write(self._again[0], self._records - sum(member.records for member in self._again))
            self._again.popleft()
        while self._members:
            self._write(self._members[0], self._records)
            self._records += self._members.popleft().records

    def _write(self, member: _Member, first: int) -> None:
        """Put it into its file; `first` is the number of its first record."""
        file = self._file_for(member.since_ns, len(member.data), first)
        self._mark(file, first)
        file.append(member.data)
        self._unsynced.append(member)
        self._file_bytes += len(member.data)
        self.written_bytes += len(member.data)

    @property
    def waiting(self) -> int:
        """Records that are not written."""
        return self._buffered_records + sum(member.records for member in self._members)

    def read_back(self, skip: int, on_hole: OnHole) -> Iterator[Record]:
        """The records that were flushed until now, but for the first `skip`; `on_hole` is told of those that are gone.

        It begins beside the first of them, wherever in the files that is. OSError where files cannot be opened now.
        """
        at = max(0, bisect_right(self._marks, skip, key=lambda mark: mark.first) - 1)
        places = {self._marks[at].path: self._marks[at].offset} if self._marks else {}
        for mark in self._marks[at + 1 :]:
            places.setdefault(mark.path, 0)
        return _read(places.items(), skip, self._records, on_hole)

    def _mark(self, file: MemberFile, first: int) -> None:
        # What is written again is read where it stands last.
        del self._marks[bisect_left(self._marks, first, key=lambda mark: mark.first) :]
        last = self._marks[-1] if self._marks else None
        if last is None or last.path != file.path or first >= last.first + _MARK_EVERY:
            self._marks.append(_Mark(first, file.path, file.size))

    def discard(self) -> None:
        """Forget what is buffered."""
        self._members.clear()
        self._buffer.clear()
        self._buffered_records = 0

    def sync(self) -> None:
        """Wait until the disk has what was flushed; after an OSError the next flush writes again what it may not have.

        That goes into a new file: a system tells once of what it could not keep, forgets it, and says next time that
        all is well. What fails the second time running is counted as `unproven`.
        """
        if self._file is None or not self._unsynced:
            return
        try:
            self._file.sync()
        except OSError:
            if self._has_failed:  # a disk that keeps nothing is not given the same for ever
                self.unproven += sum(member.records for member in self._unsynced)
            else:
                self._again.extendleft(reversed(self._unsynced))
                self._file.close()
                self._file = None
            self._has_failed = True
            self._unsynced.clear()
            raise
        self._has_failed = False
        self._unsynced.clear()

    def close(self) -> None:
        """Write and sync the rest and give back the file."""
        self.flush()
        with suppress(OSError):
            self.sync()
        self.flush()
        self._leave_file()

    def take_displaced(self) -> list[Displaced]:
        """The files that were deleted, moved or replaced while they were written, since the last time."""
        found, self._displaced = self._displaced, []
        return found

    def _file_for(self, received_ns: int, more_bytes: int, first: int) -> MemberFile:
        """The file that a member beginning at that moment goes to: a new one each day, and when the last is full.

        One that is no longer where it was is begun anew: what is written into it is in no file that has a name.
        """
        self._let_go_what_left()
        folder = self._folder / new_york_date(utc_datetime(received_ns)).isoformat()
        file = self._file
        if (
            file is not None
            and file.is_open
            and file.path.parent == folder
            and self._file_bytes + more_bytes <= MAX_FILE_BYTES
        ):
            return file
        self._leave_file()
        path = folder / f"{self._session}-{self._files:03d}{JOURNAL_SUFFIX}"
        for changed in create_file(path, encode_member(b"", first, 0), self._disk):
            sync_folder(changed)
        file = MemberFile(path, self._disk)
        file.open()
        self._files += 1
        self._file_bytes = 0
        self._file_begins = first
        self._file = file
        return file

    def _let_go_what_left(self) -> None:
        file = self._file
        if file is None or not file.is_open or (what := file.displacement()) is None:
            return
        file.close()
        self._file = None
        self._unsynced.clear()
        self._displaced.append(Displaced(file.path, what, self._records - self._file_begins))

    def _leave_file(self) -> None:
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None


def session_name(started: datetime, pid: int) -> str:
    """A name that sorts by time and is one process's own."""
    return f"{started.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z-{pid}"


def session_began(name: str) -> datetime | None:
    """When the session of this name began, by its computer's clock; None where the name does not say."""
    try:
        return datetime.strptime(name.rpartition("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def journal_files(root: Path) -> list[Path]:
    """Every journal file below a root, sessions in time, files of a session in order."""
    return sorted((root / FOLDER).glob(f"*/*{JOURNAL_SUFFIX}"), key=_session_and_number)


def _session_and_number(path: Path) -> tuple[str, int, str]:
    session, _, number = path.name.removesuffix(JOURNAL_SUFFIX).rpartition("-")
    return session, int(number) if number.isdecimal() else 0, path.name


def sessions(root: Path) -> dict[str, list[Path]]:
    """Session → its files in order, across days; the sessions in the order in which they were recorded.

    That is by their numbers, because a clock may have been set back between them; those of older versions, which have
    none, come first, by the times in their names.
    """
    found: dict[str, list[Path]] = {}
    for path in journal_files(root):
        found.setdefault(path.name.removesuffix(JOURNAL_SUFFIX).rpartition("-")[0], []).append(path)
    noted = {note.session: note.number for note in session_notes(root)}
    numbers = {name: noted.get(name) or session_number(files) for name, files in found.items()}
    return dict(sorted(found.items(), key=lambda item: (numbers[item[0]], item[0])))


def recorded_market(root: Path) -> MarketKind | None:
    """Whose market a recording is of, where any of its sessions was of another than Alpaca's; None where none was.

    By the notes of the sessions; those of older versions do not say it, and their journals do.
    """
    noted = {note.session: note.market for note in session_notes(root)}
    kinds = {*noted.values()}
    kinds |= {_announced(files) for name, files in sessions(root).items() if not noted.get(name)}
    strange = (MarketKind.SIMULATED, MarketKind.LOCAL, MarketKind.REPLAY)
    return next((kind for kind in strange if kind in kinds), None)


def _announced(files: Sequence[Path]) -> str:
    """Which market was announced as a journal begins, whatever of it was deleted; empty where none was."""
    records = islice(read_records(files, on_hole=lambda _: None), _ANNOUNCED_WITHIN)
    with _passing_over_broken_files(), suppress(ValueError, IndexError, struct.error):
        for record in records:
            if record.kind is RecordKind.MARKET:
                announced = Announcement.parse(record.payload.decode())
                return announced.replay_of or announced.kind
    return ""


@contextmanager
def _passing_over_broken_files() -> Iterator[None]:
    """Leave alone what is gone or broken of a journal; StoreError where only for now it cannot be read."""
    try:
        yield
    except OSError as error:
        if is_passing(error):
            raise not_read_now(error.filename or "A journal", error) from error


def reached_places(files: Sequence[Path], desk: str) -> dict[StreamId, Place] | None:
    """How far a session had followed a desk when its journal ended; None where it says nothing of that one.

    StoreError where that cannot be read now.
    """
    for path in reversed(files):
        with _passing_over_broken_files(), reading(path) as (read_at, size):
            for member in reversed(scan(read_at, size, check_bytes=0).members):
                places = _places_in(member_text(read_at, member) if member.rows else None, desk)
                if places is not None:
                    return places
    return None


def _places_in(text: bytes | None, desk: str) -> dict[StreamId, Place] | None:
    """Those of the last record about them in a member."""
    with suppress(ValueError, IndexError, struct.error, msgspec.MsgspecError):
        said = [record for record in records_in(text or b"") if record.kind is RecordKind.BUS]
        for record in reversed(said):
            found = _REACHED.decode(record.payload)
            if found.desk == desk:
                return {stream_named(name): place for name, place in found.places.items()}
    return None


class _Reached(msgspec.Struct, frozen=True):
    desk: str
    places: dict[str, Place]


_REACHED: Final = json_decoder(_Reached)


def unnoted_sessions(root: Path) -> list[str]:
    """The sessions whose note cannot be read, or is gone while their journal says that they had one.

    Older versions kept no notes, and gave no numbers.
    """
    noted = {note.session for note in session_notes(root)}
    unreadable = unreadable_notes(root)
    gone = [
        name
        for name, files in sessions(root).items()
        if name not in noted and name not in unreadable and session_number(files)
    ]
    return [*unreadable, *gone]


def session_number(files: Sequence[Path]) -> int:
    """The number that the first record of a journal gives to its session; 0 where it gives none, or is gone.

    StoreError where that cannot be read now.
    """
    return int(session_facts(files).get("number", 0))


def session_facts(files: Sequence[Path]) -> dict[str, Any]:
    """What the first record of a journal says of its session; nothing where that one is gone.

    StoreError where it cannot be read now.
    """
    for path in files[:1]:
        with (
            _passing_over_broken_files(),
            suppress(ValueError, struct.error),
            reading(path) as (read_at, size),
        ):
            header = member_at(read_at, 0, size)
            member = None if header is None else member_at(read_at, header.end, size)
            text = None if member is None or member.foreign else member_text(read_at, member)
            first = next(records_in(text), None) if text else None
            if first is not None and first.kind is RecordKind.SESSION:
                return first.facts
    return {}


def read_records(
    paths: Iterable[Path],
    skip: int = 0,
    on_hole: OnHole | None = None,
    *,
    sizes: Mapping[Path, int] = MappingProxyType({}),
) -> Iterator[Record]:
    """The records of one session's files, in order, but for the first `skip` of them.

    A torn tail, which a kill leaves or a writer at work, is where a file ends, and so is its size in `sizes`: what was
    written behind it since is not read. Members are whole by themselves and say the number of their first record:
    `on_hole` is told of records that are damaged or missing, before the record that follows them. Without it that is a
    StoreError: what follows would not be what happened.
    """
    return _read(((path, 0) for path in paths), skip, None, on_hole or _refuse, sizes)


def sizes_of(paths: Iterable[Path]) -> dict[Path, int]:
    """How large these files are now; one that cannot be looked at is left out."""
    sizes: dict[Path, int] = {}
    for path in paths:
        with suppress(OSError):
            sizes[path] = path.stat().st_size
    return sizes


def _refuse(hole: Hole) -> None:
    raise StoreError(str(hole))


def _read(  # noqa: C901 - one walk over files, members and holes
    places: Iterable[tuple[Path, int]],
    skip: int,
    until: int | None,
    on_hole: OnHole,
    sizes: Mapping[Path, int] = MappingProxyType({}),
) -> Iterator[Record]:
    """The records from `skip` on, of files from some byte on; those up to `until` are known to have been written."""
    expected = skip

    def is_new(end: int) -> bool:
        return end > expected

    why, damaged = "", False
    for path, start in places:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            if is_passing(error):
                raise
            why = f"{path.name} cannot be read ({error.strerror or error})"
            continue
        with ExitStack() as closing:
            closing.callback(os.close, descriptor)
            read_at = partial(_read_at, descriptor)
            try:
                size = os.fstat(descriptor).st_size
                texts = numbered_texts(read_at, min(size, sizes.get(path, size)), start, is_new)
            except OSError as error:  # it is a folder, or the disk is broken there
                if is_passing(error):
                    raise
                why = f"{path.name} cannot be read ({error.strerror or error})"
                continue
            for offset, first, end, text in texts:
                if text is None:
                    why, damaged = why or f"{path.name} is damaged at byte {offset}", True
                    continue
                if first > expected:
                    on_hole(Hole(expected, first, why or f"Before {path.name}", damaged))
                    expected = first
                why, damaged = "", False
                seen, expected = expected - first, max(expected, end)
                yield from islice(records_in(text), seen, None)
    if until is not None and expected < until:
        on_hole(Hole(expected, until, why or "At the end of the journal", damaged))
    elif why and until is None:
        on_hole(Hole(expected, None, why, damaged))


def _read_at(descriptor: int, offset: int, length: int) -> bytes:
    return os.pread(descriptor, length, offset)


def told(paths: Iterable[Path], done: Callable[[Path], object]) -> Iterator[Path]:
    """The same paths; `done` is told of each when the next is asked for."""
    for path in paths:
        yield path
        done(path)


def last_record(paths: Sequence[Path]) -> Record | None:
    """What the files of a session end with; None when there are none, or nothing readable at their end."""
    for path in reversed(paths):
        with reading(path) as (read_at, size):
            filled = [member for member in scan(read_at, size, check_bytes=0).members if member.rows]
            text = member_text(read_at, filled[-1]) if filled else None
        if text:
            return deque(records_in(text), maxlen=1)[-1]
    return None


def last_heard(paths: Sequence[Path], streams: AbstractSet[str], within_ns: int) -> dict[str, int]:
    """When each of these streams was last heard by the files of a session, epoch nanoseconds.

    That is at its last frame; at most `within_ns` before the last record, where its last frame is older, or is of
    before the clock was set back. Empty where nothing at the end of the files is readable.
    """
    heard: dict[str, int] = {}
    until_ns: int | None = None
    for record in _backwards(paths):
        if until_ns is None:
            until_ns = record.received_ns
        if record.received_ns < until_ns - within_ns or len(heard) == len(streams):
            break
        if record.kind is RecordKind.FRAME and str(record.stream) in streams:
            heard.setdefault(str(record.stream), record.received_ns)
    if until_ns is None:
        return {}
    since_ns = until_ns - within_ns
    return {name: since_ns if (at_ns := heard.get(name, since_ns)) > until_ns else at_ns for name in streams}


def _backwards(paths: Sequence[Path]) -> Iterator[Record]:
    """What is readable of a session's files, the last record first."""
    for path in reversed(paths):
        with reading(path) as (read_at, size):
            for member in reversed(scan(read_at, size, check_bytes=0).members):
                text = member_text(read_at, member) if member.rows and not member.foreign else None
                yield from reversed(tuple(records_in(text or b"")))


def records_in(text: bytes) -> Iterator[Record]:
    """The records that stand one after another in these bytes; ValueError, IndexError or struct.error for others."""
    start = 0
    while start < len(text):
        kind, number, received_ns, events, length = _HEAD.unpack_from(text, start)
        start += _HEAD.size
        payload = text[start : start + length]
        stream, payload = _named(payload) if number == _NAMED else (_STREAMS[number], payload)
        yield Record(RecordKind(kind), received_ns, payload, stream, events)
        start += length


def _name_of(stream: StreamId) -> bytes:
    name = stream.encode()
    return bytes((len(name),)) + name


def _named(payload: bytes) -> tuple[StreamId, bytes]:
    ends = 1 + payload[0]
    return _stream_named(payload[1:ends]), payload[ends:]


@cache
def _stream_named(name: bytes) -> StreamId:
    return stream_named(name.decode())
