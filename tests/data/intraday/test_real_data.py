"""Recorded market data through the wire's frames into the files and back: every row, value and time is the source's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from options_helper.data.intraday_store import IntradayStore
from options_helper.data.streaming.messages import count_messages, decode_frame
from options_helper.model.events import stamp
from options_helper.model.instants import epoch_nanoseconds, timestamp_extension
from tests.kit.captured import store
from tests.kit.fakes import frame
from tests.kit.pace import LONG
from tests.kit.recordings import OPENING_ROWS, spxw_rows, taq_rows

FRAME_EVENTS = 100


def number(text: str) -> int | float:
    return int(text) if text.isdecimal() else float(text)


def timed(rows: Iterable[dict[str, str]]) -> list[dict[str, Any]]:
    """The rows of a stock, in their short form the first of each day."""
    return [{**row, "ts_ns": epoch_nanoseconds(row["timestamp"])} for row in rows]


def capture(kept: IntradayStore, kind: Any, messages: Iterable[dict[str, Any]]) -> int:
    """Put messages into frames, and decode, stamp and append these as the recorder does; returns how many came."""
    rest = iter(messages)
    events = 0
    while batch := list(islice(rest, FRAME_EVENTS)):
        payload = frame(*batch)
        decoded = decode_frame(payload)
        assert len(decoded.events) == count_messages(payload)
        for event in decoded.events:
            stamp(event, epoch_nanoseconds(event.timestamp) or 0)
        kept.append(kind, decoded.events)
        events += len(decoded.events)
    return events


def assert_sound(root: Path, rows: int) -> None:
    reports = list(store(root).verify())
    assert [report.problems for report in reports if not report.ok] == []
    assert sum(report.rows for report in reports) == rows


def test_every_quote_of_a_recorded_stock(real_data: Path, tmp_path: Path):
    source = timed(taq_rows(real_data, "quotes", opening=not LONG))
    (symbol,) = {row["symbol"] for row in source}
    with store(tmp_path) as kept:
        captured = capture(kept, "stocks", (
            {"T": "q", "S": symbol, "bx": row["exchange"], "bp": float(row["bid_price"]), "bs": number(row["bid_size"]),
             "ax": row["exchange"], "ap": float(row["ask_price"]), "as": number(row["ask_size"]),
             "t": timestamp_extension(row["ts_ns"])}
            for row in source
        ))  # fmt: skip

    frame = store(tmp_path).read("stocks", "quotes", symbol)

    assert captured == len(source) == (131_401 if LONG else 2 * OPENING_ROWS)
    assert_sound(tmp_path, captured)
    assert frame["ts_ns"].tolist() == [row["ts_ns"] for row in source]
    assert frame["timestamp"].astype("int64").tolist() == frame["ts_ns"].tolist()
    for name in ("bid_price", "bid_size", "ask_price", "ask_size"):
        assert frame[name].tolist() == [number(row[name]) for row in source], name
    assert (
        frame["bid_exchange"].tolist()
        == frame["ask_exchange"].tolist()
        == [row["exchange"] for row in source]
    )
    assert len(store(tmp_path).list_days("stocks", "quotes", symbol)) == 2


def test_every_trade_of_a_recorded_stock_with_its_conditions(real_data: Path, tmp_path: Path):
    """Each letter is a code of its own on the wire, the spaces among them."""
    source = timed(taq_rows(real_data, "trades", opening=not LONG))
    (symbol,) = {row["symbol"] for row in source}
    with store(tmp_path) as kept:
        captured = capture(kept, "stocks", (
            {"T": "t", "S": symbol, "x": row["exchange"], "p": float(row["price"]), "s": number(row["size"]),
             "c": list(row["conditions"]), "i": index, "t": timestamp_extension(row["ts_ns"])}
            for index, row in enumerate(source)
        ))  # fmt: skip

    frame = store(tmp_path).read("stocks", "trades", symbol)

    assert captured == len(source) == (77_263 if LONG else 2 * OPENING_ROWS)
    assert_sound(tmp_path, captured)
    assert frame["ts_ns"].tolist() == [row["ts_ns"] for row in source]
    assert frame["price"].tolist() == [float(row["price"]) for row in source]
    assert frame["size"].tolist() == [number(row["size"]) for row in source]
    assert frame["exchange"].tolist() == [row["exchange"] for row in source]
    assert frame["conditions"].fillna("").tolist() == ["|".join(row["conditions"]) for row in source]
    assert frame["trade_id"].tolist() == [*range(len(source))]


def test_every_quote_of_every_contract_of_a_recorded_options_day(real_data: Path, tmp_path: Path):
    """Its first half hour, of the contracts that expire on it; in the long form all of three expirations."""
    source: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    with store(tmp_path) as kept:
        day = (
            spxw_rows(real_data) if LONG else spxw_rows(real_data, "2018-01-05", until="2018-01-05 10:00:00")
        )
        captured = capture(kept, "options", noted(day, source))

    kept = store(tmp_path)

    assert captured == (385_560 if LONG else 9_540)
    assert_sound(tmp_path, captured)
    assert kept.list_symbols("options", "quotes") == tuple(sorted(source))
    for contract, rows in source.items():
        frame = kept.read("options", "quotes", contract)
        columns = ("ts_ns", "bid_price", "bid_size", "ask_price", "ask_size")
        assert list(zip(*(frame[name].tolist() for name in columns), strict=True)) == rows, contract


def noted(
    rows: Iterable[dict[str, str]], source: dict[str, list[tuple[Any, ...]]]
) -> Iterator[dict[str, Any]]:
    for row in rows:
        values = (
            int(row["ts_ns"]),
            float(row["bid"]),
            int(row["bid_size"]),
            float(row["ask"]),
            int(row["ask_size"]),
        )
        source[row["contract"]].append(values)
        ts_ns, bid, bid_size, ask, ask_size = values
        yield {"T": "q", "S": row["contract"], "bp": bid, "bs": bid_size, "ap": ask, "as": ask_size, "bx": "C",
               "ax": "C", "c": " ", "t": timestamp_extension(ts_ns)}  # fmt: skip
