"""Where a partition lies: `<root>/<kind>/<dataset>/<timeframe>/<SYMBOL>/<day>.csv.gz`, and back again.

The day is New York's, but for order books, which know no session: theirs is the day by UTC.

A day has one file as a rule. A further one, `<day>.1.csv.gz` and so on, is begun where the newest cannot be continued:
it is sealed, it has other columns, or another program wrote it. The rows go on counting from one to the next. Beside
each file lies its `.meta.json`.

The folder of a symbol has its name; signs that a file name cannot have, or that mean something in a path, stand there
as %XX. The exact symbol is in every row.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import quote, unquote

from options_helper.data.intraday.rows import DATASETS, Dataset
from options_helper.errors import ConfigError
from options_helper.model.market_hours import new_york_date

Kind = Literal["stocks", "options", "crypto", "books", "news"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SUFFIX: Final = ".csv.gz"
META_SUFFIX: Final = ".meta.json"
COPY_SUFFIX: Final = ".parquet"
LOCK_NAME: Final = ".capture.lock"

# Of the streams, by their kind, that have several: coins come with their books.
_KINDS_OF: Final[dict[str, tuple[Kind, ...]]] = {"crypto": ("crypto", "books")}

_KIND_OF_ITSELF: Final[dict[str, tuple[Kind, ...]]] = {kind: (kind,) for kind in KINDS}

_FILE_NAME: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.([1-9]\d*))?\.csv\.gz")
_PLAIN_SIGNS: Final = "^+=@$~"
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """One dataset of one symbol on one New York day."""

    kind: Kind
    dataset: Dataset
    symbol: str
    day: date

    def folder(self, root: Path) -> Path:
        """The folder of its files."""
        return symbol_folder(root, self.kind, self.dataset, self.symbol)


@dataclass(frozen=True)
class PartFile:
    """One file of a partition; part 0 is the day's first."""

    # Without slots: the names beside it are asked for at each flush, and made once.

    key: PartitionKey
    path: Path
    part: int = 0

    @cached_property
    def meta_path(self) -> Path:
        """Where what is known about it is kept."""
        return self._beside(META_SUFFIX)

    @cached_property
    def parquet_path(self) -> Path:
        """Where its rows are once more when it was sealed with a Parquet copy."""
        return self._beside(COPY_SUFFIX)

    def next(self) -> PartFile:
        """The file that follows."""
        part = self.part + 1
        return replace(self, part=part, path=self.path.with_name(f"{self.key.day}.{part}{SUFFIX}"))

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name.removesuffix(SUFFIX) + suffix)


def dataset_named(name: str) -> Dataset:
    """The dataset of that name; ConfigError when there is none."""
    if name not in DATASETS:
        raise ConfigError(f"There is no dataset {name!r}; the store has {', '.join(sorted(DATASETS))}.")
    return DATASETS[name]


def kind_named(name: str) -> Kind:
    """The kind of that name; ConfigError when there is none."""
    for kind in KINDS:
        if kind == name:
            return kind
    raise ConfigError(f"There is no kind {name!r}; the store has {', '.join(KINDS)}.")


def kinds_of(stream: str) -> tuple[Kind, ...]:
    """Of which kinds a stream's rows are: by the last part of its id, which names the stream's own kind."""
    name = stream.rpartition("/")[2]
    return _KINDS_OF.get(name) or _KIND_OF_ITSELF.get(name, ())


def partition_day(kind: str, at: datetime) -> date:
    """The day on whose files something of that moment is kept."""
    return at.astimezone(UTC).date() if kind == "books" else new_york_date(at)


def symbol_folder(root: Path, kind: Kind, dataset: Dataset, symbol: str) -> Path:
    """The folder of one symbol's days."""
    return _dataset_folder(root, kind, dataset.name, dataset.timeframe) / folder_name(symbol)


@lru_cache(maxsize=64)
def _dataset_folder(root: Path, kind: Kind, dataset: str, timeframe: str) -> Path:
    return root / kind / dataset / timeframe


def folder_name(symbol: str) -> str:
    """A name for the symbol's folder that stays in its place, whatever the symbol is made of."""
    name = quote(symbol, safe=_PLAIN_SIGNS)
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > _LONGEST_NAME:
        # No feed has such a symbol; its folder needs a name all the same.
        name = f"{name[:_LONGEST_NAME]}%{hashlib.sha256(symbol.encode()).hexdigest()[:16]}"
    return name or "%"


def symbol_of(name: str) -> str:
    """The symbol whose folder has this name."""
    return "" if name == "%" else unquote(name)


def first_part(root: Path, key: PartitionKey) -> PartFile:
    """The file a partition begins with, whether it exists or not."""
    return PartFile(key, key.folder(root) / f"{key.day}{SUFFIX}")


def parts(root: Path, key: PartitionKey) -> tuple[PartFile, ...]:
    """The files of one partition, in the order of their rows."""
    return tuple(part for part in _parts_below(key.folder(root), key) if part.key.day == key.day)


def find_parts(
    root: Path,
    *,
    kind: str | None = None,
    dataset: str | None = None,
    symbol: str | None = None,
    day: date | None = None,
) -> Iterator[PartFile]:
    """The files of a store, or those that fit, ordered by kind, dataset, symbol, day and part."""
    kinds = KINDS if kind is None else (kind_named(kind),)
    datasets = sorted(DATASETS) if dataset is None else [dataset_named(dataset).name]
    for one in kinds:
        for name in datasets:
            for found in symbols(root, one, DATASETS[name]) if symbol is None else [symbol]:
                key = PartitionKey(one, DATASETS[name], found, date.min)
                below = _parts_below(key.folder(root), key)
                yield from (part for part in below if day is None or part.key.day == day)


def missing_parts(
    root: Path,
    *,
    kind: str | None = None,
    dataset: str | None = None,
    symbol: str | None = None,
    day: date | None = None,
) -> Iterator[PartFile]:
    """The files that are not there while something is said beside them, or their Parquet copy is; as `find_parts`."""
    for one in KINDS if kind is None else (kind_named(kind),):
        for found in DATASETS.values() if dataset is None else (dataset_named(dataset),):
            folder = root / one / found.name / found.timeframe
            wanted = sorted(folder.glob("*")) if symbol is None else [folder / folder_name(symbol)]
            for of_symbol in wanted:
                name = symbol_of(of_symbol.name) if symbol is None else symbol
                yield from _missing_below(of_symbol, PartitionKey(one, found, name, date.min), day)


def _missing_below(folder: Path, key: PartitionKey, day: date | None) -> Iterator[PartFile]:
    beside = {
        path.name.removesuffix(suffix)
        for suffix in (META_SUFFIX, COPY_SUFFIX)
        for path in folder.glob(f"*{suffix}")
    }
    for stem in sorted(beside):
        named = _day_and_part(stem + SUFFIX)
        if named is None or day not in (None, named[0]):
            continue
        part = PartFile(replace(key, day=named[0]), folder / (stem + SUFFIX), named[1])
        if not part.path.exists():
            yield part


def symbols(root: Path, kind: Kind, dataset: Dataset) -> list[str]:
    """The symbols that have a file, in order."""
    folder = root / kind / dataset.name / dataset.timeframe
    if not folder.is_dir():
        return []
    return sorted(
        symbol_of(entry.name) for entry in folder.iterdir() if entry.is_dir() and any(_part_names(entry))
    )


def _parts_below(folder: Path, key: PartitionKey) -> list[PartFile]:
    """Every day's files in a symbol's folder."""
    found = [PartFile(replace(key, day=day), folder / name, part) for name, day, part in _part_names(folder)]
    return sorted(found, key=lambda part: (part.key.day, part.part))


def _part_names(folder: Path) -> Iterator[tuple[str, date, int]]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if (named := _day_and_part(entry.name)) is not None:
            yield entry.name, *named


def _day_and_part(name: str) -> tuple[date, int] | None:
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return date.fromisoformat(match[1]), int(match[2] or 0)
    except ValueError:
        return None
