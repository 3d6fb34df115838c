"""A Parquet copy of a partition file, made when its day is over and compared with it row for row.

One schema for a dataset, whatever a day holds: `seq`, `recv_ns` and `ts_ns` are int64, trade counts too, ids uint64,
prices, sizes and volumes float64, texts are dictionary-encoded. Columns and their order are those of the CSV, but for
`timestamp`, which is `ts_ns` once more as a text and would be a third of the file. What is no value of its column (an
earlier version may have written it) is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

from options_helper.data.intraday.contents import PartRows, joined, lines_of, rows_of
from options_helper.data.intraday.rows import COUNTS, IDS, LARGEST_COUNT, LARGEST_ID, PRICES, SIZES, WHOLE
from options_helper.errors import ConfigError, StoreError

# The form of a copy; an earlier one had sizes of two types, and the time twice.
COPY_SCHEMA: Final = 2
# Some of these are in memory at once.
_ROW_GROUP: Final = 65_536
_TEXT_BYTES: Final = 1 << 20
_SCHEMA_KEY: Final = b"options_helper.schema"
_ROWS_KEY: Final = b"options_helper.rows_sha256"


class CopyFacts(NamedTuple):
    """What a Parquet copy says about itself; a copy of an earlier version has no digest."""

    rows: int
    schema: int
    rows_digest: str | None  # SHA-256 of the rows of the CSV that it was made from, as text


def require_pyarrow() -> None:
    """Raise a ConfigError when Parquet cannot be written here."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ConfigError(
            "Parquet needs pyarrow, which is not installed. Install it (pip install pyarrow), "
            "or seal without Parquet."
        ) from None


def write_parquet(source: Path, target: Path, columns: Sequence[str]) -> None:
    """Write the rows of a partition file to a new one, and compare; StoreError when a row is not what it was.

    Memory does not grow with the file. Texts of any length, and values that are none of their column, cost themselves.
    """
    digest = hashlib.sha256()
    write_tables(
        target,
        stored_columns(columns),
        tables_of(source, columns, seen=digest.update),
        notes=lambda: {_ROWS_KEY: digest.hexdigest().encode()},
    )
    require_same_rows(source, target, columns)


def write_tables(
    target: Path,
    columns: Sequence[str],
    tables: Iterable[Any],
    notes: Callable[[], Mapping[bytes, bytes]] = dict,
) -> int:
    """Write rows to a Parquet file in the store's schema, and what is known of it in the end; returns how many."""
    from pyarrow import parquet

    whole = [name for name in columns if name in (*WHOLE, *COUNTS, *IDS)]
    rows = 0
    with parquet.ParquetWriter(
        target,
        _schema(columns),
        compression="zstd",
        compression_level=3,
        # Numbers that mostly grow take few bits as differences; what comes again and again is told once.
        use_dictionary=[name for name in columns if name not in whole],
        column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
    ) as writer:
        for table in _in_groups(tables):
            writer.write_table(table, row_group_size=_ROW_GROUP)
            rows += table.num_rows
        writer.add_key_value_metadata({_SCHEMA_KEY: str(COPY_SCHEMA).encode(), **notes()})
    return rows


def copy_facts(path: Path) -> CopyFacts:
    """What a copy says about itself, from its last bytes; StoreError when it cannot be read."""
    from pyarrow import ArrowException, parquet

    try:
        found = parquet.read_metadata(path)
    except (ArrowException, OSError) as error:
        raise StoreError(f"{path.name} cannot be read: {error}") from error
    said = found.metadata or {}
    digest = said.get(_ROWS_KEY)
    return CopyFacts(
        found.num_rows, int(said.get(_SCHEMA_KEY, b"1")), None if digest is None else digest.decode()
    )


def copy_last_number(path: Path) -> int:
    """The number of a copy's last row; 0 where it has none. StoreError when it cannot be read."""
    last = 0
    for table in copy_tables(path, ["seq"]):
        if table.num_rows:
            last = int(table["seq"][-1].as_py())
    return last


def copy_tables(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """The rows of a copy in the store's schema, a row group at a time; StoreError when it cannot be read."""
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            there = [name for name in columns if name in file.schema_arrow.names]
            for group in range(file.num_row_groups):
                yield _as_schema(file.read_row_group(group, there, use_threads=False), _schema(there))
    except (ArrowException, OSError) as error:
        raise StoreError(f"{path.name} cannot be read: {error}") from error


def tables_of(
    source: Path, columns: Sequence[str], *, seen: Callable[[bytes], object] = bool
) -> Iterator[Any]:
    """The rows of a partition file in the store's schema, a bounded number at a time; their text is `seen` before.

    StoreError where the text has another number of rows than it makes.
    """
    rows = PartRows(source, columns)
    for text in joined(rows, _TEXT_BYTES):
        seen(text)
        table = _table(text, rows.columns, stored_columns(columns))
        if table.num_rows != (written := len(lines_of(text))):
            raise StoreError(f"{written} rows of {source.name} are read as {table.num_rows}.")
        yield table


def stored_columns(columns: Sequence[str]) -> list[str]:
    """The columns of a copy: all but the text of a time that stands beside it as a number."""
    return [name for name in columns if name != "timestamp" or "ts_ns" not in columns]


def _schema(columns: Iterable[str]) -> Any:
    import pyarrow as pa

    return pa.schema([(name, pa.type_for_alias(_type_of(name))) for name in columns])


def _type_of(column: str) -> str:
    if column in (*WHOLE, *COUNTS):
        return "int64"
    if column in IDS:
        return "uint64"
    return "float64" if column in (*PRICES, *SIZES) else "string"


def _table(text: bytes, columns: Sequence[str], wanted: Sequence[str]) -> Any:
    """Rows as a table. The time texts are left out: they are made from the integers beside them."""
    import pyarrow as pa
    from pyarrow import csv

    schema = _schema(wanted)
    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            # A block holds all of it, however long one of its texts is.
            read_options=csv.ReadOptions(
                column_names=list(columns), use_threads=False, block_size=len(text) + 1
            ),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types={field.name: field.type for field in schema},
                include_columns=list(wanted),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        # Something is no value of its column.
        table = _value_by_value(text, columns, schema)
    return _as_schema(table, schema)


def _value_by_value(text: bytes, columns: Sequence[str], schema: Any) -> Any:
    import pyarrow as pa

    rows = list(rows_of(text))
    for row in rows:
        if len(row) != len(columns):
            raise StoreError(f"a row has {len(row)} fields, not {len(columns)}: {','.join(row)[:200]}")
    return pa.table(
        [
            pa.array([value_of(name, row[columns.index(name)]) for row in rows], schema.field(name).type)
            for name in schema.names
        ],
        schema=schema,
    )


def value_of(column: str, text: str) -> str | float | None:
    """What a field says; None where it says nothing that its column can hold."""
    try:
        match _type_of(column):
            case "string":
                return text or None
            case "float64":
                return float(text)
            case "uint64":
                return number if 0 <= (number := int(text)) <= LARGEST_ID else None
            case _:
                return number if abs(number := int(text)) <= LARGEST_COUNT else None
    except ValueError:
        return None


def _as_schema(table: Any, schema: Any) -> Any:
    """The same rows with these types; what is no number, or no id, is missing."""
    import pyarrow as pa
    from pyarrow import compute

    def column(field: Any) -> Any:
        values = table[field.name]
        if pa.types.is_uint64(field.type) and pa.types.is_signed_integer(values.type):
            values = compute.if_else(compute.greater_equal(values, 0), values, None)
        if values.type != field.type:
            values = values.cast(field.type, safe=False)
        if pa.types.is_floating(field.type):
            values = compute.if_else(compute.is_finite(values), values, None)
        return values

    return pa.table([column(field) for field in schema], schema=schema)


def require_same_rows(source: Path, target: Path, columns: Sequence[str]) -> None:
    """StoreError unless the rows of the file, read once more, are those of the copy."""
    number = 0
    expected = _in_groups(tables_of(source, columns))
    for made, kept in zip_longest(expected, _in_groups(copy_tables(target, stored_columns(columns)))):
        if made is None or kept is None or not made.equals(kept):
            raise StoreError(_first_difference(source, made, kept, number))
        number += kept.num_rows


def _in_groups(tables: Iterable[Any]) -> Iterator[Any]:
    """The same rows as tables of a row group each."""
    import pyarrow as pa

    waiting: list[Any] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        while rows >= _ROW_GROUP:
            together = pa.concat_tables(waiting)
            waiting, rows = [together.slice(_ROW_GROUP)], rows - _ROW_GROUP
            yield together.slice(0, _ROW_GROUP)
            del together
    if rows:
        yield pa.concat_tables(waiting)


def _first_difference(source: Path, made: Any, kept: Any, before: int) -> str:
    ours, theirs = ([] if one is None else one.to_pylist() for one in (made, kept))
    for number, (row, copy) in enumerate(zip_longest(ours, theirs), before + 1):
        if row != copy:
            return (
                f"Row {number} of {source.name} is not the same in the Parquet copy, which is not kept: "
                f"{row} became {copy}."
            )
    return f"{source.name} has other rows than its Parquet copy, which is not kept."
