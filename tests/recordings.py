"""Partitions for tests: written by hand, or made from the recorded market data beside the repository."""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from options_helper.data.market_hours import NEW_YORK
from options_helper.data.streaming.events import epoch_nanoseconds

TAQ_FILES = {
    "quotes": "stock_xxx_taq_quotes_20180102-03.csv.gz",
    "trades": "stock_xxx_taq_trades_20180102-03.csv.gz",
}
SPXW_FILE = "spxw_option_quotes_1min_20180105.csv.gz"


def write_partition(
    folder: Path, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """One file of the capture layout, in one gzip member; `name` is kind/dataset/timeframe/SYMBOL/day."""
    path = folder / f"{name}.csv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=1))


def taq_rows(real_data: Path, dataset: str) -> Iterator[dict[str, str]]:
    """The recorded quotes or trades of one stock, row by row."""
    with gzip.open(real_data / TAQ_FILES[dataset], "rt") as file:
        yield from csv.DictReader(file)


def record_taq_quotes(real_data: Path, folder: Path) -> None:
    """The recorded stock's quotes as partitions of its two days."""
    columns = (
        "ts_ns",
        "symbol",
        "bid_price",
        "bid_size",
        "bid_exchange",
        "ask_price",
        "ask_size",
        "ask_exchange",
    )
    fields = ("symbol", "bid_price", "bid_size", "exchange", "ask_price", "ask_size", "exchange")
    _record_taq(real_data, folder, "quotes", columns, fields)


def record_taq_trades(real_data: Path, folder: Path) -> None:
    """The recorded stock's prints as partitions of its two days."""
    columns = ("ts_ns", "symbol", "price", "size", "exchange")
    _record_taq(real_data, folder, "trades", columns, ("symbol", "price", "size", "exchange"))


def spxw_rows(real_data: Path, expiration: str | None = None) -> Iterator[dict[str, str]]:
    """A recorded SPXW day or one expiration of it, a quote a minute and contract, with `contract` and `ts_ns` added."""
    with gzip.open(real_data / SPXW_FILE, "rt") as file:
        for row in csv.DictReader(file):
            if expiration in (None, row["expiration"]):
                minute = datetime.fromisoformat(row["quote_datetime"]).replace(tzinfo=NEW_YORK)
                day = row["expiration"].replace("-", "")[2:]
                strike = round(float(row["strike"]) * 1_000)
                row["contract"] = f"{row['root']}{day}{row['option_type']}{strike:08d}"
                row["ts_ns"] = str(epoch_nanoseconds(minute))
                yield row


def record_spxw_quotes(
    real_data: Path, folder: Path, expiration: str = "2018-01-05", *, until: str = "2018-01-05 16:15:00"
) -> None:
    """The recorded SPXW day, up to a minute in New York, as one partition a contract."""
    columns = ("ts_ns", "symbol", "bid_price", "bid_size", "ask_price", "ask_size")
    fields = ("ts_ns", "contract", "bid", "bid_size", "ask", "ask_size")
    contracts: dict[str, list[list[object]]] = defaultdict(list)
    for row in spxw_rows(real_data, expiration):
        if row["quote_datetime"] > until:
            break
        contracts[row["contract"]].append([row[field] for field in fields])
    for contract, rows in contracts.items():
        write_partition(folder, f"options/quotes/tick/{contract}/2018-01-05", columns, rows)


def _record_taq(
    real_data: Path, folder: Path, dataset: str, columns: Sequence[str], fields: Sequence[str]
) -> None:
    partitions: dict[str, list[list[object]]] = defaultdict(list)
    for row in taq_rows(real_data, dataset):
        # Both days end before midnight UTC, so the day of the time is the day of the session.
        name = f"stocks/{dataset}/tick/{row['symbol']}/{row['timestamp'][:10]}"
        partitions[name].append([epoch_nanoseconds(row["timestamp"]), *(row[field] for field in fields)])
    for name, rows in partitions.items():
        write_partition(folder, name, columns, rows)
