"""A table as its columns, one value a row: what a refresh of the page reads, and a DataFrame of it where one is wanted.

Making a DataFrame costs as much as computing all that stands in it, so only the library's callers and the CSV do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from options_helper.analysis.columns import Column, Kind, Table, stored_columns
from options_helper.analysis.marks import UNKNOWN_TIME, Flags, Numbers
from options_helper.model.instants import utc_datetime

if TYPE_CHECKING:
    from pandas import DataFrame

_NO_FLAGS: Final = np.zeros(0, dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class RowTable:
    """n rows in portfolio order. In a column of numbers NaN is not known, in any other None.

    `columns` have the types that they were computed in: arrays of numbers and of nanoseconds since the epoch, and
    lists or arrays of whatever else; nobody changes them.
    """

    identities: tuple[str, ...]  # of the rows: ids of positions, and `id/place` of legs
    kinds: Mapping[str, Kind]  # of the columns, in their order
    columns: Mapping[str, Any]
    # What was read once is kept for the next who reads it; a column that two threads read at once is read twice.
    _read: dict[str, list[Any]] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.identities)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Any:
        """A column as it was computed."""
        return self.columns[name]

    def values(self, name: str) -> list[Any]:
        """A column as plain values, None for what is not known; all None where the table has no such column."""
        found = self._read.get(name)
        if found is None:
            found = self._read[name] = self._plain(name)
        return found

    def numbers(self, name: str) -> Numbers:
        """A column of numbers, NaN for what is not known."""
        return np.array(self.columns[name], dtype=np.float64)

    def row(self, place: int) -> Mapping[str, Any]:
        """All that stands in one row, as plain values; a column is read when it is asked for."""
        return _Row(self, place)

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """What stands in these columns of each row, as plain values."""
        return (dict(zip(names, found, strict=True)) for found in zip(*map(self.values, names), strict=True))

    def beside(self, other: RowTable) -> RowTable:
        """The columns of both, of the same rows."""
        return RowTable(
            self.identities, {**self.kinds, **other.kinds}, LateColumns(self.columns, other.columns)
        )

    def assign(self, **columns: Any) -> RowTable:
        """The table with other values in some of its columns."""
        return replace(self, columns=LateColumns(self.columns, columns))

    def frame(self) -> DataFrame:
        """The table as a DataFrame, indexed by identity, each column of the type that its kind has there."""
        import pandas as pd

        typed = {name: _TYPES.get(kind, _as_it_is)(self.columns[name]) for name, kind in self.kinds.items()}
        return pd.DataFrame(typed, index=pd.Index(list(self.identities), dtype=str))

    def _plain(self, name: str) -> list[Any]:
        if name not in self.columns:
            return [None] * len(self)
        values = self.columns[name]
        kind = self.kinds[name]
        if kind is Kind.TIME:
            return [None if at == UNKNOWN_TIME else utc_datetime(at) for at in values.tolist()]
        plain = values.tolist() if isinstance(values, np.ndarray) else list(values)
        if kind is Kind.WHOLE:
            # NaN does not equal itself.
            return [None if value is None or value != value else int(value) for value in plain]  # noqa: PLR0124
        if isinstance(values, np.ndarray) and values.dtype == np.float64 and np.isnan(values).any():
            return [None if value != value else value for value in plain]  # noqa: PLR0124
        return plain


class LateColumns(Mapping[str, Any]):
    """Columns by name; one that is a function is made when it is first read.

    Most of what a table can say is asked for by nobody at a refresh. Of `several` the last that has a column counts.
    Callable from any thread; what two read at once is made twice at worst.
    """

    def __init__(self, *several: Mapping[str, Any]) -> None:
        self._columns: dict[str, Any] = {}
        for one in several:
            self._columns |= one.unread if isinstance(one, LateColumns) else one

    @property
    def unread(self) -> Mapping[str, Any]:
        """The columns as they are, made or not yet."""
        return self._columns

    def __getitem__(self, name: str) -> Any:
        column = self._columns[name]
        if callable(column):
            column = self._columns[name] = column()
        return column

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class _Row(Mapping[str, Any]):
    """One row of a table."""

    def __init__(self, table: RowTable, place: int) -> None:
        self._table = table
        self._place = place

    def __getitem__(self, name: str) -> Any:
        if name not in self._table.kinds:
            raise KeyError(name)
        return self._table.values(name)[self._place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.kinds)

    def __len__(self) -> int:
        return len(self._table.kinds)


def late_table(
    makers: Mapping[str, Callable[[], Any]],
    table: Table,
    identities: Sequence[str],
    declared: tuple[Column, ...],
) -> RowTable:
    """As `row_table`, of columns that are made when they are first read."""
    kinds = {column.name: column.kind for column in stored_columns(table, declared)}
    return RowTable(tuple(identities), kinds, LateColumns({name: makers[name] for name in kinds}))


def row_table(
    values: Mapping[str, Any], table: Table, identities: Sequence[str], declared: tuple[Column, ...]
) -> RowTable:
    """The table of these values by column name, n of each, with its declared columns in their order."""
    kinds = {column.name: column.kind for column in stored_columns(table, declared)}
    return RowTable(tuple(identities), kinds, {name: values[name] for name in kinds})


def table_of_frame(frame: DataFrame, table: Table, declared: tuple[Column, ...]) -> RowTable:
    """The table that a DataFrame is of, with those of its declared columns that it has."""
    kinds = {column.name: column.kind for column in stored_columns(table, declared) if column.name in frame}
    return RowTable(
        tuple(map(str, frame.index)),
        kinds,
        {name: _of_series(frame[name], kind) for name, kind in kinds.items()},
    )


def flags(values: Sequence[bool]) -> Flags:
    """A column of flags."""
    return np.array(values, dtype=bool) if values else _NO_FLAGS


def _of_series(series: Any, kind: Kind) -> Any:
    if kind in _NUMBERS:
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if kind is Kind.TIME:
        return series.to_numpy(dtype="datetime64[ns]").view(np.int64)
    if kind is Kind.WARNINGS:
        return series.tolist()
    return series.astype(object).where(series.notna(), None).tolist()


def _as_it_is(values: Any) -> Any:
    return values


def _whole(values: Any) -> Any:
    """Whole numbers, NA where there is none."""
    import pandas as pd

    column = np.array(values, dtype=np.float64)
    missing = np.isnan(column)
    return pd.arrays.IntegerArray(np.where(missing, 0, column).astype(np.int64), missing)


def _dates(values: Any) -> Any:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _times(nanoseconds: Any) -> Any:
    import pandas as pd

    return pd.DatetimeIndex(nanoseconds.view("datetime64[ns]")).tz_localize("UTC")


# What pandas would not guess the type of, or not the same for every portfolio.
_TYPES: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.WHOLE: _whole,
    Kind.DATE: _dates,
    Kind.TIME: _times,
}
_NUMBERS: Final = frozenset({Kind.NUMBER, Kind.WHOLE, Kind.AGE, Kind.GREEK})
