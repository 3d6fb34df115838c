"""What the `stream` commands do with a recording: list, verify, rebuild, export, seal and repair it.

Results go to stdout, as tables or as JSON; at a terminal, a bar on stderr shows how far it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import typer
from rich import filesize

from options_helper.data.intraday.export import export_rows, parts_to_export
from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday.listing import (
    listing_facts,
    listing_lines,
    recorded_days,
    recorded_symbols,
)
from options_helper.data.intraday.locking import writer_of
from options_helper.data.intraday.scope import EVERYTHING, Scope
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.journal import journal_files
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.session_notes import SessionNote, session_notes
from options_helper.data.recording.verify import audit, unheard
from options_helper.data.recording.verify_report import audit_facts, audit_lines, unheard_lines
from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import to_alpaca_symbol
from options_helper.model.market_hours import new_york_date
from options_helper.model.text import format_count, named

_T = TypeVar("_T")
# Of a journal: about a million rows.
_WORTH_BYTES: Final = 20_000_000
# Each reads the whole journal, so further ones help less and less.
_PROCESSES_AT_MOST: Final = 4


def scope_of(root: Path, day: date | None, symbols: str | None) -> Scope:
    """The part of a recording that is meant; ConfigError names a symbol of which nothing is recorded."""
    return Scope.of_day(day, symbols_in(root, symbols))


def symbols_in(root: Path, text: str | None) -> frozenset[str]:
    """Symbols with commas between, as the recording spells them; none where none are named."""
    wanted = [one.strip() for one in (text or "").split(",") if one.strip()]
    if not wanted:
        return frozenset()
    there = recorded_symbols(root)
    found = {one if one in there else to_alpaca_symbol(one) for one in wanted}
    if unknown := sorted(found - there):
        raise ConfigError(
            f"--symbols: nothing is recorded of {named(unknown)} in {root}. Recorded are: {named(sorted(there), 10)}."
        )
    return frozenset(found)


def list_recording(root: Path, scope: Scope, *, as_json: bool) -> int:
    """Show what there is."""
    at_work = writer_of(root) is not None
    notes = session_notes(root)
    is_bare = bool(notes) and scope == EVERYTHING and not recorded_symbols(root)
    days = [] if is_bare else recorded_days(root, scope, () if at_work else _killed(notes))
    journal = sum(_size_of(path) for path in journal_files(root))
    if as_json:
        _print_json({"being_recorded": at_work, "journal_bytes": journal, "days": listing_facts(days)})
        return 0
    if is_bare:
        sessions = format_count(len(notes), "session")
        typer.echo(f"No rows are in {root} yet, and {sessions} recorded into it; `stream verify` tells more.")
    else:
        for line in listing_lines(days, journal):
            typer.echo(line)
    if scope == EVERYTHING:
        for line in unheard_lines(unheard(notes, {(one.kind, one.dataset) for one in days if one.rows})):
            typer.echo(line)
    if at_work:
        typer.echo("A recorder is at work here; the newest files have more rows by now.")
    return 0


def _killed(notes: Iterable[SessionNote]) -> set[str]:
    """The captures that were ended without warning, and that none has followed."""
    return {note.session for note in notes if note.ended_ns is None and not (note.missed or note.completed)}


def verify_recording(root: Path, scope: Scope, *, as_json: bool) -> int:
    """Check it; 1 where something does not add up."""
    with _progress("verify", _bytes_of(root, scope)) as advance:
        found = audit(root, scope, lambda path: advance(_size_of(path)), processes=_processes(root))
    if as_json:
        _print_json(audit_facts(found))
    else:
        for line in audit_lines(found):
            typer.echo(line)
    return 0 if found.ok else 1


def _processes(root: Path) -> int:
    """How many a check or a rebuild is worth: to begin one takes as long as to read some megabytes of a journal."""
    if sum(_size_of(path) for path in journal_files(root)) < _WORTH_BYTES:
        return 1
    return min(os.cpu_count() or 1, _PROCESSES_AT_MOST)


def rebuild_recording(root: Path, out: Path, scope: Scope, *, as_json: bool) -> int:
    """Make its files again; 1 where the journal does not give all of them."""
    total = sum(_size_of(path) for path in journal_files(root))
    with _progress("rebuild", total) as advance:
        made = rebuild(root, out, scope, lambda path: advance(_size_of(path)), processes=_processes(root))
    if as_json:
        _print_json({"sessions": [asdict(one) for one in made]})
    else:
        for session in made:
            problem = f"; {session.problem}" if session.problem else ""
            unreadable = f", {session.rejected:,} events unreadable" if session.rejected else ""
            typer.echo(
                f"{session.session}: {session.rows:,} rows of {session.frames:,} frames{unreadable}{problem}"
            )
    return 1 if any(session.problem for session in made) else 0


def export_recording(root: Path, out: Path, *, kind: str, dataset: str, scope: Scope, as_json: bool) -> int:
    """Write one file; 1 where rows are missing in it."""
    total = sum(_size_of(part.path) for part in parts_to_export(root, kind, dataset, scope))
    with _progress("export", total) as advance:
        made = export_rows(
            root,
            out,
            kind=kind,
            dataset=dataset,
            scope=scope,
            done=lambda part: advance(_size_of(part.path)),
        )
    if as_json:
        _print_json({"out": str(out), "bytes": _size_of(out), **asdict(made)})
        return 1 if made.problems else 0
    for problem in made.problems:
        typer.echo(f"! {problem}")
    rows, files = format_count(made.rows, "row"), format_count(made.files, "file")
    typer.echo(f"{out}: {rows} of {files}, {filesize.decimal(_size_of(out))}")
    return 1 if made.problems else 0


def seal_recording(root: Path, scope: Scope, now: datetime, *, parquet: bool, as_json: bool) -> int:
    """Make days that are over small and final; 1 where one could not be."""
    today = new_york_date(now)
    if scope.day is not None and scope.day >= today and writer_of(root) is not None:
        raise ConfigError(f"--day {scope.day}: that day is not over, and a recorder is at work in {root}.")
    days = sorted({part.key.day for part in find_parts(root) if scope.holds(part.key)})
    wanted = days if scope.day is not None else [day for day in days if day < today]
    if not wanted:
        raise ConfigError(
            f"There is no finished day to seal in {root}; `stream list` shows what is recorded."
        )
    store = IntradayStore(root)
    symbols: Sequence[str | None] = sorted(scope.symbols) or [None]
    with _progress("seal", len(wanted) * len(symbols)) as advance:
        reports = [
            one
            for day in wanted
            for symbol in symbols
            for one in _counted(store.seal(day, symbol=symbol, parquet=parquet), advance)
        ]
    problems = [one for one in reports if one.problem]
    if as_json:
        facts = [
            {
                "path": str(one.part.path),
                "rows": one.rows,
                "bytes_before": one.bytes_before,
                "bytes_after": one.bytes_after,
                "sha256": dict(one.sha256),
                "problem": one.problem,
            }
            for one in reports
        ]
        _print_json({"files": facts})
        return 1 if problems else 0
    for one in problems:
        typer.echo(f"! {one.part.path}: {one.problem}")
    done = [one for one in reports if not one.problem]
    rows = format_count(sum(one.rows for one in done), "row")
    before, after = sum(one.bytes_before for one in done), sum(one.bytes_after for one in done)
    copies = ", with Parquet copies" if parquet else ""
    typer.echo(
        f"{format_count(len(done), 'file')} of {format_count(len(wanted), 'day')} sealed{copies}: {rows}, "
        f"{filesize.decimal(before)} are {filesize.decimal(after)} now."
    )
    return 1 if problems else 0


def repair_recording(root: Path, scope: Scope, *, as_json: bool) -> int:
    """Mend what is damaged; 1 where something could not be."""
    store = IntradayStore(root)
    symbols = sorted(scope.symbols or recorded_symbols(root))
    with _progress("repair", len(symbols)) as advance:
        reports = [
            one for symbol in symbols for one in _counted(store.repair(symbol=symbol, day=scope.day), advance)
        ]
    mended = [one for one in reports if one.cut_bytes or one.kept or one.made_anew]
    problems = [one for one in reports if one.problem]
    if as_json:
        facts = [
            {
                "path": str(one.part.path),
                "rows": one.rows,
                "cut_bytes": one.cut_bytes,
                "made_anew": one.made_anew,
                "kept": None if one.kept is None else str(one.kept),
                "problem": one.problem,
            }
            for one in reports
        ]
        _print_json({"files": facts})
        return 1 if problems else 0
    for one in mended:
        kept = f"; what was damaged is kept in {one.kept.name}" if one.kept else ""
        how = (
            "made anew from its Parquet copy" if one.made_anew else f"{one.cut_bytes:,} damaged bytes cut out"
        )
        typer.echo(f"{one.part.path}: {how}, {one.rows:,} rows{kept}")
    for one in problems:
        typer.echo(f"! {one.problem}")
    typer.echo(f"{format_count(len(reports), 'file')} looked at, {len(mended)} mended, {len(problems)} not.")
    return 1 if problems else 0


def _bytes_of(root: Path, scope: Scope) -> int:
    files = [part.path for part in find_parts(root) if scope.holds(part.key)]
    return sum(_size_of(path) for path in [*files, *journal_files(root)])


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar on stderr, where that is a terminal; what it yields is told how much more is done."""
    if not sys.stderr.isatty() or not total:
        yield bool
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)


def _print_json(facts: Any) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(facts)).decode())


def _counted(reports: Iterable[_T], advance: Callable[[int], object]) -> Iterable[_T]:
    advance(1)
    return reports


def _size_of(path: Path) -> int:
    """How large it is; 0 for one that is gone, which may happen at any moment."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
