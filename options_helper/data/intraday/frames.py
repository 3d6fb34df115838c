"""Partitions as pandas DataFrames, with every nanosecond as it was."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from options_helper.data.intraday.contents import PartRows, joined, rows_of
from options_helper.data.intraday.layout import PartFile
from options_helper.data.intraday.meta import load_meta
from options_helper.data.intraday.parquet import copy_tables, require_pyarrow, value_of
from options_helper.data.intraday.rows import COUNTS, IDS, PRICES, SIZES, WHOLE, Dataset
from options_helper.data.intraday.verify_parts import file_digest
from options_helper.errors import ConfigError, StoreError

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_NOT_A_TIME: Final = -(2**63)
_NUMBERS: Final = (*WHOLE, *COUNTS, *IDS, *PRICES, *SIZES)
# An earlier version wrote the others where the feed had sent what is no number.
_MISSING: Final = ("", "nan", "inf", "-inf")
_REBUILD: Final = "`options-helper stream rebuild` makes them from the journal, if there is one."


def read_frame(
    parts: Iterable[PartFile], dataset: Dataset, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """The rows of these files, one file after the other; an empty frame with all columns when there are none.

    `seq`, `recv_ns` and `ts_ns` are int64 (Int64 in a frame where some row has none), `timestamp` is the exchange time
    as datetime64[ns, UTC], ids are UInt64 and trade counts Int64, prices, sizes and volumes float64. Texts are strings,
    missing where a row has none. Of `columns`, if given, only those.

    A file with a torn tail has the rows before it. Of one that is damaged further in, the Parquet copy beside it is
    read, if there is a whole one. Never raises for what is in a file; what cannot be read is logged.
    """
    import pandas as pd

    frames = [frame for part in parts for frame in _part_frames(part, columns)]
    if not frames:
        wanted = [name for name in dataset.columns if columns is None or name in columns]
        frames = [pd.DataFrame({name: pd.Series(dtype=_type_of(name, "int64")) for name in wanted})]
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    if "ts_ns" in frame and (columns is None or "timestamp" in columns):
        frame["timestamp"] = _instants(frame["ts_ns"])
    return frame


def frames_of(part: PartFile, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """The readable rows of one file as `read_frame` has them, but for `timestamp`, a bounded number at a time."""
    rows = PartRows(part.path, part.key.dataset.columns)
    for text in joined(rows):
        yield _frame(part, text, rows.columns, columns)


def _part_frames(part: PartFile, columns: Sequence[str] | None) -> list[pd.DataFrame]:
    if not part.path.exists():
        copied = _copied_frames(part, columns)
        said = "is gone" if copied is None else f"is gone; {part.parquet_path.name} is read in its place"
        log.warning("%s %s", part.path, said)
        return copied or []
    rows = PartRows(part.path, part.key.dataset.columns)
    frames = [_frame(part, text, rows.columns, columns) for text in joined(rows)]
    sealed = (meta := load_meta(part)) is not None and meta.sealed
    if not rows.lacks_rows and not (sealed and rows.damage):
        return frames
    if (copied := _copied_frames(part, columns)) is not None:
        found = sum(map(len, copied))
        if found >= sum(map(len, frames)):
            rows.log_damage(
                f"The {found} rows of {part.parquet_path.name} are read in its place; "
                "`options-helper stream repair` makes the file from them."
            )
            return copied
    rows.log_damage(_REBUILD)
    return frames


def _copied_frames(part: PartFile, columns: Sequence[str] | None) -> list[pd.DataFrame] | None:
    """The rows of the Parquet copy; None where there is none, or none that is what was sealed."""
    if not part.parquet_path.exists():
        return None
    meta = load_meta(part)
    known = None if meta is None else meta.sha256.get(part.parquet_path.name)
    if known is not None and file_digest(part.parquet_path) != known:
        return None
    wanted = [name for name in part.key.dataset.columns if columns is None or name in columns]
    try:
        require_pyarrow()
        return [_from_arrow(table, wanted) for table in copy_tables(part.parquet_path, wanted)]
    except (ConfigError, StoreError) as error:
        log.warning("%s is not read in place of the file: %s", part.parquet_path, error)
        return None


def _from_arrow(table: Any, columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    whole = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=whole.get)
    for name in WHOLE:
        if name in frame and frame[name].notna().all():
            frame[name] = frame[name].astype("int64")
    # The time's text is made from its number.
    return frame.reindex(columns=list(columns))


def exchange_or_receipt_ns(frame: pd.DataFrame) -> pd.Series[int]:
    """When each row was: the exchange's time, or that of receipt where there is none."""
    if "recv_ns" not in frame:
        return frame["ts_ns"]
    return frame["ts_ns"].where(frame["ts_ns"].notna(), frame["recv_ns"])


def _instants(nanoseconds: pd.Series[int]) -> pd.Series[pd.Timestamp]:
    import pandas as pd

    values = nanoseconds.to_numpy(dtype="int64", na_value=_NOT_A_TIME)
    return pd.Series(values.view("datetime64[ns]"), index=nanoseconds.index).dt.tz_localize("UTC")


def _frame(part: PartFile, text: bytes, names: Sequence[str], columns: Sequence[str] | None) -> pd.DataFrame:
    try:
        return _parsed(text, names, columns, "int64")
    except (ValueError, TypeError, OverflowError):
        pass
    try:
        # Some row lacks a number that nearly all have.
        return _parsed(text, names, columns, "Int64")
    except (ValueError, TypeError, OverflowError):
        # Something is no value of its column.
        return _value_by_value(part, text, names, columns)


def _parsed(text: bytes, names: Sequence[str], columns: Sequence[str] | None, whole: str) -> pd.DataFrame:
    import pandas as pd

    frame: pd.DataFrame = pd.read_csv(
        io.BytesIO(text),
        names=list(names),
        header=None,
        usecols=None if columns is None else [name for name in names if name in columns],
        dtype={name: _type_of(name, whole) for name in names},
        # NA and NULL are symbols, and a single space is a condition.
        keep_default_na=False,
        na_values={name: _MISSING if name in _NUMBERS else [""] for name in names},
        index_col=False,
        low_memory=False,
        **_exact_floats(pd.__version__),
    )
    return frame


def _value_by_value(
    part: PartFile, text: bytes, names: Sequence[str], columns: Sequence[str] | None
) -> pd.DataFrame:
    """The same, with what is no value of its column missing, and told."""
    import pandas as pd

    rows = list(rows_of(text))
    whole_rows = [row for row in rows if len(row) == len(names)]
    if odd := len(rows) - len(whole_rows):
        log.warning("%s: %d rows have not %d fields, and are left out", part.path, odd, len(names))
    frame = pd.DataFrame(index=range(len(whole_rows)))
    for index, name in enumerate(names):
        if columns is not None and name not in columns:
            continue
        texts = [row[index] for row in whole_rows]
        values = [value_of(name, text) for text in texts]
        if odd := sum(
            value is None and text not in _MISSING for value, text in zip(values, texts, strict=True)
        ):
            log.warning("%s: %d values are no %s, and missing", part.path, odd, name)
        whole = "Int64" if None in values else "int64"
        frame[name] = pd.Series(values, dtype=_type_of(name, whole))
    return frame


def _type_of(column: str, whole: str) -> Any:
    if column in WHOLE:
        return whole
    if column in COUNTS:
        return "Int64"
    if column in IDS:
        return "UInt64"
    return "float64" if column in (*PRICES, *SIZES) else "str"


def _exact_floats(pandas_version: str) -> dict[str, Any]:
    """What makes pandas read the very float that was written; newer versions do it anyway."""
    major, minor = (int(part) for part in pandas_version.split(".")[:2])
    return {} if (major, minor) >= (3, 1) else {"float_precision": "round_trip"}
