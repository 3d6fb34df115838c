"""Put a symbol's day, or a range of days and symbols, into one file that any program reads."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from options_helper.data.intraday.contents import PartRows, header_of, lines_of, reading, rows_in
from options_helper.data.intraday.layout import PartFile, dataset_named, find_parts, missing_parts
from options_helper.data.intraday.members import scan
from options_helper.data.intraday.meta import load_meta
from options_helper.data.intraday.parquet import (
    copy_tables,
    require_pyarrow,
    stored_columns,
    tables_of,
    write_tables,
)
from options_helper.data.intraday.restore import copy_lines, has_whole_copy
from options_helper.data.intraday.scope import Scope
from options_helper.errors import ConfigError, StoreError

FORMS: Final = (".parquet", ".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What is in the new file; `problems` are sentences about rows that are not."""

    rows: int
    files: int
    problems: tuple[str, ...] = ()


def export_rows(
    root: Path,
    out: Path,
    *,
    kind: str,
    dataset: str,
    scope: Scope,
    done: Callable[[PartFile], object] = bool,
) -> ExportReport:
    """Write the rows of one dataset, by symbol and day and in their order, into a new file.

    Its name tells the form: Parquet has the store's schema, as a copy does; CSV the lines as they were recorded. `done`
    is told of each file. Memory does not grow with the rows. ConfigError where there is nothing to write, or a file of
    that name.
    """
    form = next((one for one in sorted(FORMS, key=len, reverse=True) if out.name.endswith(one)), None)
    if form is None:
        raise ConfigError(f"{out}: the name must end with {', '.join(FORMS[:-1])} or {FORMS[-1]}.")
    if out.exists():
        raise ConfigError(f"{out} is there already. Name a new file.")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"{out.absolute().parent}: there is no such folder. Make it, or choose another.")
    parts = parts_to_export(root, kind, dataset, scope)
    if not parts:
        raise ConfigError(
            f"There are no {kind} {dataset}{scope} in {root}; `stream list` shows what there is."
        )
    columns = dataset_named(dataset).columns
    if form == ".parquet":
        require_pyarrow()
    sources = [_Source(part, columns) for part in parts]
    new = out.with_name(f".{out.name}.new")
    try:
        if form == ".parquet":
            tables = (table for one in sources for table in _told(one, one.tables(), done))
            rows = write_tables(new, stored_columns(columns), tables)
        else:
            with gzip.open(new, "wb", 6) if form == ".csv.gz" else new.open("wb") as file:
                file.write(dataset_named(dataset).header.encode())
                for one in sources:
                    for text in _told(one, one.texts(), done):
                        file.write(text)
            rows = sum(one.rows for one in sources)
        new.rename(out)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    return ExportReport(rows, len(parts), tuple(one.problem for one in sources if one.problem))


def parts_to_export(root: Path, kind: str, dataset: str, scope: Scope) -> list[PartFile]:
    """The files that are meant, those included that only a copy is left of."""
    there = [
        *find_parts(root, kind=kind, dataset=dataset),
        *missing_parts(root, kind=kind, dataset=dataset),
    ]
    found = [part for part in there if scope.holds(part.key)]
    return sorted(found, key=lambda part: (part.key.symbol, part.key.day, part.part))


def _told(source: _Source, pieces: Iterator[Any], done: Callable[[PartFile], object]) -> Iterator[Any]:
    yield from pieces
    done(source.part)


class _Source:
    """The rows of one file, from its Parquet copy where it is damaged or gone."""

    def __init__(self, part: PartFile, columns: Sequence[str]) -> None:
        self.part = part
        self.rows = 0
        self.problem: str | None = None
        self._columns = list(columns)

    def tables(self) -> Iterator[Any]:
        """As Arrow tables of the store's schema."""
        if self._is_copied():
            found = copy_tables(self.part.parquet_path, stored_columns(self._columns))
        else:
            found = tables_of(self.part.path, self._columns) if self.part.path.exists() else iter(())
        for table in found:
            self.rows += table.num_rows
            yield table

    def texts(self) -> Iterator[bytes]:
        """As lines."""
        if self._is_copied():
            for _, line in copy_lines(self.part):
                self.rows += 1
                yield line
            return
        for text in PartRows(self.part.path, self._columns) if self.part.path.exists() else ():
            self.rows += len(lines_of(text))
            yield text

    def _is_copied(self) -> bool:
        """Whether the copy is to be read; where neither it nor the file is whole, that is a problem."""
        path, readable = self.part.path, 0
        fault = f"{path} is gone"
        if path.exists():
            with reading(path) as (read_at, size):
                found = scan(read_at, size)
                columns = header_of(read_at, found)
            if columns not in (None, self._columns):
                raise StoreError(
                    f"{path} has other columns than {self.part.key.dataset.name} have; leave its day out."
                )
            meta = load_meta(self.part)
            torn_only = found.members and not found.inner_damage and not (meta is not None and meta.sealed)
            if not found.damage or torn_only:
                return False
            readable = rows_in(found)
            fault = (
                f"{path} is damaged: {sum(one.length for one in found.damage)} bytes hold no readable rows"
            )
        if has_whole_copy(self.part, readable):
            return True
        self.problem = f"{fault}, and no whole copy is beside it"
        return False
