"""Make the partitions again from the journal, for when they are damaged, behind, or doubted.

The records drive the same `Recorder` as at the capture, session by session, so that the files come out byte for byte
as a capture wrote them that was neither killed nor refused by its disk, nor put rows off, with the same zlib.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any

from options_helper.data.atomic_file import sync_folder
from options_helper.data.intraday.backfill import RowTest, drop_rows, values_of
from options_helper.data.intraday.layout import PartitionKey, dataset_named, find_parts, parts
from options_helper.data.intraday.scope import EVERYTHING, Scope
from options_helper.data.intraday_store import StorePolicy
from options_helper.data.recording.closings import read_closings, save_closings
from options_helper.data.recording.journal import Hole, Record, RecordKind, read_records, sizes_of, told
from options_helper.data.recording.loss_log import FOLDER as GAPS
from options_helper.data.recording.loss_log import LossLog
from options_helper.data.recording.overlap import KEY_COLUMNS, Key, recorded_key
from options_helper.data.recording.recorder import Recorder
from options_helper.data.recording.recover import UNREADABLE_JOURNAL
from options_helper.data.recording.scoped_sessions import sessions_in
from options_helper.data.recording.session_notes import SessionNote, session_notes
from options_helper.data.recording.shares import WHOLE, Beside, Share, shares_of
from options_helper.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RebuiltSession:
    """What one session of the journal gave; `problem` says what of it is missing, or kept the rest of it back."""

    session: str
    frames: int = 0
    rows: int = 0
    rejected: int = 0
    problem: str | None = None


def rebuild(
    root: Path,
    out: Path,
    scope: Scope = EVERYTHING,
    done: Callable[[Path], object] = bool,
    *,
    processes: int = 1,
) -> tuple[RebuiltSession, ...]:
    """Write the partitions, or those that are meant, and the gap ledger of a recording once more, into a new folder.

    What history told of its gaps is copied there.

    `done` is told of each file of the journal that was read. Several `processes` make some symbols' files each, those
    of the others in folders of their own first; a program that begins them needs to be one that may be imported again.

    ConfigError when there is no journal, or something is in the new folder already.
    """
    found = sessions_in(root, scope)
    if not found:
        raise ConfigError(f"There is no journal{scope} in {root}; a recording without one cannot be rebuilt.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty. Name a new folder for what is rebuilt.")
    notes = {note.session: note for note in session_notes(root)}
    task = _Task(found, sizes_of(chain.from_iterable(found.values())), notes, scope)
    made = _make_in_shares(task, out, shares_of(root, scope, processes), done)
    if made is None:
        for folder in (there for there in out.iterdir() if there.is_dir()):
            shutil.rmtree(folder)
        made = _make(task, out, WHOLE, bool)
    _copy_what_history_told(root, out, scope)
    return made


def _make_in_shares(
    task: _Task, out: Path, shares: Sequence[Share], done: Callable[[Path], object]
) -> tuple[RebuiltSession, ...] | None:
    """Several processes make it; None where they did not read the same, as of a file that was moved away meanwhile."""
    first, *further = shares
    places = [out / f".share-{share.number}" for share in further]
    others: list[Beside[tuple[RebuiltSession, ...]]] = []
    try:
        for share, place in zip(further, places, strict=True):
            others.append(Beside(f"rebuild-{share.number}", _make, task, place, share, bool))
        made = _make(task, out, first, done)
        ledgers = _ledgers(out)
        for share, place, other in zip(further, places, others, strict=True):
            of_share = other.result()
            other.end()
            if of_share is None:  # it was ended, or failed: here it does so, too, or not
                if place.exists():
                    shutil.rmtree(place)
                of_share = _make(task, place, share, bool)
            if _ledgers(place) != ledgers or list(map(_read, of_share)) != list(map(_read, made)):
                return None
            _bring(place, out)
            made = tuple(map(_together, made, of_share))
    finally:
        for other in others:
            other.end()
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
    return made


@dataclass(frozen=True, slots=True)
class _Task:
    """What is made."""

    journals: dict[str, list[Path]]  # the files of each session
    sizes: dict[Path, int]  # of each file, and no more of it is read: a recorder at work appends to the last
    notes: dict[str, SessionNote]
    scope: Scope


def _make(task: _Task, out: Path, share: Share, done: Callable[[Path], object]) -> tuple[RebuiltSession, ...]:
    return tuple(
        [
            _rebuild_session(
                session,
                files,
                out,
                task.notes.get(session),
                sizes=task.sizes,
                scope=task.scope,
                share=share,
                done=done,
            )
            for session, files in task.journals.items()
        ]
    )


def _ledgers(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (place / GAPS).glob("*")}


def _read(made: RebuiltSession) -> tuple[int, int]:
    """What every share has of a session, as it has nothing to do with symbols."""
    return made.frames, made.rejected


def _bring(place: Path, out: Path) -> None:
    """Move the folders of some symbols beside those of the others; of the ledgers, which are equal, one is left."""
    folders = {part.key.folder(place): part.key.folder(out) for part in find_parts(place)}
    for here, there in folders.items():
        there.parent.mkdir(parents=True, exist_ok=True)
        here.rename(there)
    for parent in {there.parent for there in folders.values()}:
        sync_folder(parent)


def _together(one: RebuiltSession, more: RebuiltSession) -> RebuiltSession:
    """Of one session, read by two: what is damaged both say, and rows are each one's own."""
    problems = dict.fromkeys(filter(None, (one.problem, more.problem)))
    return replace(one, rows=one.rows + more.rows, problem=" ".join(problems) or None)


def _copy_what_history_told(root: Path, out: Path, scope: Scope) -> None:
    """No journal has it; but for the rows that are heard again, which history told because no file had them."""
    for part in find_parts(root):
        if not (part.key.dataset.is_backfill and scope.holds(part.key)):
            continue
        folder = part.key.folder(out)
        folder.mkdir(parents=True, exist_ok=True)
        for path in (part.path, part.meta_path, part.parquet_path):
            with suppress(FileNotFoundError):
                shutil.copy2(path, folder / path.name)
        _drop_what_is_heard_again(root, out, part.key)
    closings = read_closings(root).of_gaps.values()
    save_closings(out, (one for one in closings if scope.meets(one.since_ns, one.until_ns)))


def _drop_what_is_heard_again(root: Path, out: Path, key: PartitionKey) -> None:
    (told,) = parts(out, key)
    channel = key.dataset.name.removesuffix("_backfill")
    columns = KEY_COLUMNS[channel]
    of_told = {recorded_key(channel, values) for values in values_of(told, columns)}
    heard = replace(key, dataset=dataset_named(channel))
    made = _counted(out, heard, of_told) - _counted(root, heard, of_told)

    def is_history_alone(values: tuple[Any, ...]) -> bool:
        made[row := recorded_key(channel, values)] -= 1
        return made[row] < 0

    if made:
        drop_rows(told, RowTest(columns, is_history_alone))


def _counted(root: Path, heard: PartitionKey, wanted: Collection[Key]) -> Counter[Key]:
    """How often each of these was heard, as the files of a folder have it."""
    columns = KEY_COLUMNS[heard.dataset.name]
    values = (values for part in parts(root, heard) for values in values_of(part, columns))
    keys = (recorded_key(heard.dataset.name, one) for one in values)
    return Counter(key for key in keys if key in wanted)


def _rebuild_session(
    session: str,
    files: list[Path],
    out: Path,
    note: SessionNote | None,
    *,
    sizes: Mapping[Path, int],
    scope: Scope,
    share: Share,
    done: Callable[[Path], object],
) -> RebuiltSession:
    ledger = LossLog(out, session)
    recorder: Recorder | None = None
    frames = 0
    problems: list[str] = []

    def on_hole(hole: Hole) -> None:
        problems.append(str(hole))
        if recorder is not None:
            recorder.maker.lose_place()

    try:
        for record in read_records(told(files, done), on_hole=on_hole, sizes=sizes):
            recorder = recorder or Recorder(out, session, _policy_of(record, note), scope=scope, share=share)
            if record.kind is RecordKind.GAP:
                ledger.write(record.gap)
            frames += record.kind is RecordKind.FRAME
            recorder.apply(record)
    except UNREADABLE_JOURNAL as error:
        problems.append(str(error) or type(error).__name__)
    finally:
        if recorder is not None:
            recorder.close()
    if recorder is None:
        return RebuiltSession(session, problem=" ".join(problems) or None)
    total = recorder.counts().total
    if total.lost:
        problems.append(f"{total.lost} rows found no room on the disk: {recorder.counts().problem}")
    rejected = sum(tally.rejected for tally in recorder.tallies.values())
    return RebuiltSession(session, frames, total.written, rejected, " ".join(problems) or None)


def _policy_of(first: Record, note: SessionNote | None) -> StorePolicy:
    """The sizes of members are the session's own, as its first record says, or its note where that record is gone."""
    if first.kind is RecordKind.SESSION:
        facts = first.facts
        return StorePolicy(
            flush_rows=facts["flush_events"], flush_seconds=facts["flush_seconds"], look_seconds=inf
        )
    if note is None:
        return StorePolicy(look_seconds=inf)
    return StorePolicy(flush_rows=note.flush_events, flush_seconds=note.flush_seconds, look_seconds=inf)
