"""Partitions as pandas DataFrames, with every nanosecond as it was."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from options_helper.data.intraday.contents import sound_texts
from options_helper.data.intraday.rows import IDS_AND_COUNTS, PRICES, SIZES, WHOLE, Dataset

if TYPE_CHECKING:
    import pandas as pd

_TEXTS: Final = (
    "timestamp",
    "symbol",
    "bid_exchange",
    "ask_exchange",
    "exchange",
    "conditions",
    "corrected_conditions",
)
_NOT_A_TIME: Final = -(2**63)


def read_frame(paths: Iterable[Path], dataset: Dataset) -> pd.DataFrame:
    """The rows of these files, one file after the other; an empty frame with all columns when there are none.

    `seq`, `recv_ns` and `ts_ns` are int64 (Int64 in a frame where some row has none), `timestamp` is the exchange time
    as datetime64[ns, UTC], ids and trade counts are Int64, prices float64. Sizes and volumes are int64 where all of
    them are whole and present, else float64. Texts are strings, missing where a row has none. A file with a torn tail
    has the rows before it.
    """
    import pandas as pd

    frames = [_frame(text) for text in (b"".join(sound_texts(path)) for path in paths) if text]
    filled = [frame for frame in frames if len(frame)] or [_frame(dataset.header.encode())]
    frame = filled[0] if len(filled) == 1 else pd.concat(filled, ignore_index=True)
    if "ts_ns" in frame:
        frame["timestamp"] = _instants(frame["ts_ns"])
    return frame


def exchange_or_receipt_ns(frame: pd.DataFrame) -> pd.Series[int]:
    """When each row was: the exchange's time, or that of receipt where there is none."""
    return frame["ts_ns"].where(frame["ts_ns"].notna(), frame["recv_ns"])


def _instants(nanoseconds: pd.Series[int]) -> pd.Series[pd.Timestamp]:
    import pandas as pd

    values = nanoseconds.to_numpy(dtype="int64", na_value=_NOT_A_TIME)
    return pd.Series(values.view("datetime64[ns]"), index=nanoseconds.index).dt.tz_localize("UTC")


def _frame(text: bytes) -> pd.DataFrame:
    try:
        return _parsed(text, "int64")
    except ValueError:
        # Some row lacks a number that nearly all have.
        return _parsed(text, "Int64")


def _parsed(text: bytes, whole: str) -> pd.DataFrame:
    import pandas as pd

    dtypes: dict[str, Any] = {
        **dict.fromkeys(_TEXTS, "str"),
        **dict.fromkeys(WHOLE, whole),
        **dict.fromkeys(IDS_AND_COUNTS, "Int64"),
        **dict.fromkeys(PRICES, "float64"),
    }
    frame: pd.DataFrame = pd.read_csv(
        io.BytesIO(text),
        dtype=dtypes,
        # NA and NULL are symbols, and a single space is a condition.
        keep_default_na=False,
        na_values={name: [""] for name in (*dtypes, *SIZES)},
        low_memory=False,
        **_exact_floats(pd.__version__),
    )
    return frame


def _exact_floats(pandas_version: str) -> dict[str, Any]:
    """What makes pandas read the very float that was written; newer versions do it anyway."""
    major, minor = (int(part) for part in pandas_version.split(".")[:2])
    return {} if (major, minor) >= (3, 1) else {"float_precision": "round_trip"}
