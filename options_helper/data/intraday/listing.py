"""What a folder holds, told by what stands beside the files: quick, and without reading a row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import chain, groupby
from pathlib import Path
from typing import Final

from rich import filesize

from options_helper.data.intraday.contents import reading
from options_helper.data.intraday.layout import PartFile, PartitionKey, find_parts, missing_parts
from options_helper.data.intraday.members import scan
from options_helper.data.intraday.meta import load_meta
from options_helper.data.intraday.scope import EVERYTHING, Scope
from options_helper.errors import ConfigError
from options_helper.model.text import format_count, table_lines

_COLUMNS: Final = ("kind", "dataset", "symbol", "day", "rows", "size", "state", "completeness")


@dataclass(frozen=True, slots=True)
class RecordedDay:
    """One dataset of one symbol on one New York day. `bytes` counts Parquet copies too; `lost` what can be counted."""

    kind: str
    dataset: str
    symbol: str
    day: date
    rows: int
    bytes: int
    files: int
    sealed: bool  # all of its files
    copied: bool  # each has a Parquet copy
    gaps: int  # stretches without events, and losses, that were noted
    lost: int
    missing_files: int
    killed: bool = False  # a capture that wrote it was ended without warning, and none has followed it

    @property
    def completeness(self) -> str:
        """In words; whether the bytes are what was written is for `stream verify` to say."""
        said = [
            "not known: killed" if self.killed else "",
            format_count(self.missing_files, "file") + " gone" if self.missing_files else "",
            format_count(self.lost, "row") + " lost" if self.lost else "",
            format_count(self.gaps, "gap") if self.gaps else "",
        ]
        return ", ".join(filter(None, said)) or "no gap known"


def recorded_days(root: Path, scope: Scope = EVERYTHING, killed: Collection[str] = ()) -> list[RecordedDay]:
    """What there is of it, by kind, dataset, symbol and day; ConfigError where there is nothing.

    `killed` are the sessions that were ended without warning: nobody has counted what they wrote last.
    """
    found = [part for part in _all_parts(root) if scope.holds(part.key)]
    if not found:
        raise ConfigError(
            f"There is no recording{scope} in {root}. Name the folder that was recorded into, and days and symbols "
            "that `stream list` shows."
        )
    return [
        _recorded_day(key, list(parts), killed) for key, parts in groupby(found, key=lambda part: part.key)
    ]


def listing_lines(days: Iterable[RecordedDay], journal_bytes: int) -> Iterator[str]:
    """A table of what there is, and what it is together."""
    days = list(days)
    yield from table_lines(_COLUMNS, [_row(one) for one in days], right={"rows", "size"})
    symbols, dates = {one.symbol for one in days}, {one.day for one in days}
    yield ""
    yield (
        f"{format_count(len(symbols), 'symbol')}, {format_count(len(dates), 'day')}, "
        f"{format_count(sum(one.rows for one in days), 'row')}, {filesize.decimal(sum(one.bytes for one in days))}; "
        f"journal {filesize.decimal(journal_bytes)}."
    )


def listing_facts(days: Iterable[RecordedDay]) -> list[dict[str, object]]:
    """The same for programs."""
    return [{**asdict(one), "completeness": one.completeness} for one in days]


def _row(one: RecordedDay) -> Sequence[str]:
    state = "sealed, with copy" if one.sealed and one.copied else "sealed" if one.sealed else "as recorded"
    size = filesize.decimal(one.bytes)
    return one.kind, one.dataset, one.symbol, str(one.day), f"{one.rows:,}", size, state, one.completeness


def recorded_symbols(root: Path) -> set[str]:
    """Of which symbols there is, or was, a file."""
    return {part.key.symbol for part in _all_parts(root)}


def _all_parts(root: Path) -> list[PartFile]:
    return sorted(chain(find_parts(root), missing_parts(root)), key=_order)


def _order(part: PartFile) -> tuple[str, str, str, date, int]:
    key = part.key
    return key.kind, key.dataset.name, key.symbol, key.day, part.part


def _recorded_day(key: PartitionKey, parts: list[PartFile], killed: Collection[str]) -> RecordedDay:
    there = [part for part in parts if part.path.exists()]
    metas = [load_meta(part) for part in parts]
    gaps = {gap for meta in metas if meta is not None for gap in meta.gaps}
    return RecordedDay(
        key.kind,
        key.dataset.name,
        key.symbol,
        key.day,
        rows=sum(
            _rows(part) if meta is None else meta.rows
            for part, meta in zip(parts, metas, strict=True)
            if part in there
        ),
        bytes=sum(_sizes(path for part in parts for path in (part.path, part.parquet_path))),
        files=len(there),
        sealed=all(meta is not None and meta.sealed for meta in metas),
        copied=all(part.parquet_path.exists() for part in parts),
        gaps=len(gaps),
        lost=sum(gap.lost or 0 for gap in gaps),
        missing_files=len(parts) - len(there),
        killed=any(one.id in killed for meta in metas if meta is not None for one in meta.sessions),
    )


def _rows(part: PartFile) -> int:
    """By what its members say, where nothing is said beside it."""
    with reading(part.path) as (read_at, size):
        return scan(read_at, size, check_bytes=0).rows


def _sizes(paths: Iterable[Path]) -> Iterator[int]:
    return (path.stat().st_size for path in paths if path.exists())
