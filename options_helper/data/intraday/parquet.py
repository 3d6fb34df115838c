"""A Parquet copy of a partition file, made when its day is over and compared with it row for row.

Columns and their order are those of the CSV. `ts_ns` and `recv_ns` stay integers; `timestamp` is a real one, in UTC
with nanoseconds. Prices are float64, sizes int64 where all are whole, texts are dictionary-encoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, Final

from options_helper.data.intraday.contents import rows_of, sound_texts
from options_helper.data.intraday.rows import IDS_AND_COUNTS, PRICES, SIZES, WHOLE
from options_helper.errors import ConfigError, StoreError

_ROW_GROUP: Final = 122_880
_BATCH: Final = 65_536


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
    """Write the rows of a partition file to a new one, and compare; StoreError when a row is not what it was."""
    from pyarrow import ArrowInvalid

    try:
        _convert(source, target, columns, size_type="int64")
    except ArrowInvalid:
        # Some size is no whole number.
        _convert(source, target, columns, size_type="float64")
    _compare(source, target, columns)


def _convert(source: Path, target: Path, columns: Sequence[str], size_type: str) -> None:
    import pyarrow as pa
    from pyarrow import csv, parquet

    types = {name: pa.type_for_alias(_type_of(name, size_type)) for name in columns}
    with csv.open_csv(
        pa.input_stream(str(source), compression="gzip"),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
    ) as reader:
        groups = (_with_instants(group) for group in _groups(reader))
        first = next(groups)
        with parquet.ParquetWriter(target, first.schema, compression="zstd", compression_level=3) as writer:
            for group in chain([first], groups):
                writer.write_table(group, row_group_size=_ROW_GROUP)


def _type_of(column: str, size_type: str) -> str:
    if column in {*WHOLE, *IDS_AND_COUNTS}:
        return "int64"
    if column in PRICES:
        return "float64"
    return size_type if column in SIZES else "string"


def _groups(reader: Any) -> Iterator[Any]:
    """What the reader reads, as tables of a row group each; one table without rows where there are none."""
    import pyarrow as pa

    batches: list[Any] = []
    rows = 0
    for batch in reader:
        batches.append(batch)
        rows += batch.num_rows
        if rows >= _ROW_GROUP:
            table = pa.Table.from_batches(batches)
            yield table.slice(0, _ROW_GROUP)
            batches = table.slice(_ROW_GROUP).to_batches()
            rows -= _ROW_GROUP
    yield pa.Table.from_batches(batches, schema=reader.schema)


def _with_instants(table: Any) -> Any:
    """The time texts as instants, made from the integers beside them, which nothing can round."""
    import pyarrow as pa

    if not {"ts_ns", "timestamp"} <= set(table.column_names):
        return table
    index = table.column_names.index("timestamp")
    return table.set_column(index, "timestamp", table["ts_ns"].cast(pa.timestamp("ns", "UTC")))


def _compare(source: Path, target: Path, columns: Sequence[str]) -> None:
    # The instants are compared with the integers they were made from, the rest with its text.
    derived = {"timestamp"} if "ts_ns" in columns else set()
    indices = [index for index, name in enumerate(columns) if name not in derived]
    written = (row for text in sound_texts(source) for row in rows_of(text))
    next(written, None)
    copies = _parquet_rows(target, [columns[index] for index in indices])
    for number, (row, copy) in enumerate(zip_longest(written, copies), 1):
        if row is None or copy is None or not all(map(_same, (row[index] for index in indices), copy)):
            raise StoreError(
                f"Row {number} of {source.name} is not the same in the Parquet copy, which is not kept: "
                f"{row} became {copy}."
            )


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH):
            if "timestamp" in batch.schema.names and not batch["timestamp"].cast("int64").equals(
                batch["ts_ns"]
            ):
                raise StoreError(
                    f"The instants of {path.name} are not those of its integers; it is not kept."
                )
            yield from zip(*(batch[name].to_pylist() for name in columns), strict=True)


def _same(text: str, value: str | float | None) -> bool:
    match value:
        case None:
            return text == ""
        case str():
            return text == value
        case int():
            return text == str(value)
        case float():
            # A whole number among others that are not has become a float.
            return text == repr(value) or f"{text}.0" == repr(value)
