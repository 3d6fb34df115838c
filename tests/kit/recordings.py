"""Partitions for tests: written by hand, or made from the recorded market data beside the repository."""

from __future__ import annotations

import csv
import functools
import gzip
import io
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, assert_never

from filelock import FileLock

from options_helper.model.instants import epoch_nanoseconds
from options_helper.model.market_hours import NEW_YORK

TAQ_FILES = {
    "quotes": "stock_xxx_taq_quotes_20180102-03.csv.gz",
    "trades": "stock_xxx_taq_trades_20180102-03.csv.gz",
}
# The stock of these, which has no other name there than that of its files.
TAQ_SYMBOL = TAQ_FILES["quotes"].split("_")[1].upper()
SPXW_FILE = "spxw_option_quotes_1min_20180105.csv.gz"
SPXW_DAY = "2018-01-05"
SPXW_BEGIN, SPXW_CLOSE = f"{SPXW_DAY} 09:31:00", f"{SPXW_DAY} 16:15:00"
# The opening of a recording: enough to go through every path, and the change of the day.
OPENING_ROWS = 3_000
SPXW_OPENING = "2018-01-05 09:34:00"

Part = Literal["quotes", "trades", "spxw"]


class Recordings:
    """The real days as partitions in folders that are made once for a whole run, whichever worker comes first.

    Tests share the files: they read them and write elsewhere.
    """

    def __init__(self, real_data: Path, shared: Path) -> None:
        self._real_data = real_data
        self._shared = shared

    def folder(self, *parts: Part, opening: bool = False) -> Path:
        """A folder with these recordings: a stock's quotes or trades of two days, or the SPXW contracts of one.

        The opening of it is the first rows of each of the stock's days, and the first minutes of the options.
        """
        name = "+".join(sorted(parts)) + opening * " opening"
        if len(parts) == 1:
            return self._once(name, lambda folder: self._record(parts[0], folder, opening=opening))
        return self._once(name, lambda folder: self._link(parts, folder, opening=opening))

    def _record(self, part: Part, folder: Path, *, opening: bool) -> None:
        match part:
            case "quotes":
                record_taq_quotes(self._real_data, folder, opening=opening)
            case "trades":
                record_taq_trades(self._real_data, folder, opening=opening)
            case "spxw":
                record_spxw_quotes(self._real_data, folder, until=SPXW_OPENING if opening else SPXW_CLOSE)
            case _:
                assert_never(part)

    def _link(self, parts: Sequence[Part], folder: Path, *, opening: bool) -> None:
        for part in parts:
            made = self.folder(part, opening=opening)
            shutil.copytree(made, folder, copy_function=os.link, dirs_exist_ok=True)

    def _once(self, name: str, make: Callable[[Path], None]) -> Path:
        folder = self._shared / name
        with FileLock(self._shared / f"{name}.lock"):
            if not folder.exists():
                unfinished = self._shared / f"{name}.unfinished"
                make(unfinished)
                for path in unfinished.rglob("*.gz"):
                    path.chmod(0o444)
                unfinished.rename(folder)
        return folder


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


def taq_rows(real_data: Path, dataset: str, *, opening: bool = False) -> Iterator[dict[str, str]]:
    """The recorded quotes or trades of one stock, row by row, or the first of each day."""
    of_the_day: Counter[str] = Counter()
    with gzip.open(real_data / TAQ_FILES[dataset], "rt") as file:
        for row in csv.DictReader(file):
            of_the_day[_day(row)] += 1
            if not opening or of_the_day[_day(row)] <= OPENING_ROWS:
                yield row


def record_taq_quotes(real_data: Path, folder: Path, *, opening: bool = False) -> None:
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
    _record_taq(taq_rows(real_data, "quotes", opening=opening), folder, "quotes", columns, fields)


def record_taq_trades(real_data: Path, folder: Path, *, opening: bool = False) -> None:
    """The recorded stock's prints as partitions of its two days."""
    columns = ("ts_ns", "symbol", "price", "size", "exchange")
    fields = ("symbol", "price", "size", "exchange")
    _record_taq(taq_rows(real_data, "trades", opening=opening), folder, "trades", columns, fields)


def spxw_rows(
    real_data: Path, expiration: str | None = None, *, since: str = SPXW_BEGIN, until: str = SPXW_CLOSE
) -> Iterator[dict[str, str]]:
    """The recorded SPXW day between minutes in New York, or one expiration of it, with `contract` and `ts_ns` added.

    There is one row for each minute and contract.
    """
    for row in csv.DictReader(_spxw_lines(real_data, expiration, since, until)):
        day = row["expiration"].replace("-", "")[2:]
        strike = round(float(row["strike"]) * 1_000)
        row["contract"] = f"{row['root']}{day}{row['option_type']}{strike:08d}"
        row["ts_ns"] = _minute_ns(row["quote_datetime"])
        yield row


def _spxw_lines(real_data: Path, expiration: str | None, since: str, until: str) -> Iterator[str]:
    """The heading and what is wanted: a line that is left out costs a tenth of a row."""
    with gzip.open(real_data / SPXW_FILE, "rt", encoding="utf-8") as file:
        yield next(file)
        for line in file:
            _, minute, _, expires, _ = line.split(",", 4)
            if minute > until:
                return
            if minute >= since and expiration in (None, expires):
                yield line


@functools.cache
def _minute_ns(minute: str) -> str:
    return str(epoch_nanoseconds(datetime.fromisoformat(minute).replace(tzinfo=NEW_YORK)))


def record_spxw_quotes(
    real_data: Path,
    folder: Path,
    expiration: str = SPXW_DAY,
    *,
    since: str = SPXW_BEGIN,
    until: str = SPXW_CLOSE,
) -> None:
    """The recorded SPXW day, between two minutes in New York, as one partition a contract."""
    columns = ("ts_ns", "symbol", "bid_price", "bid_size", "ask_price", "ask_size")
    fields = ("ts_ns", "contract", "bid", "bid_size", "ask", "ask_size")
    contracts: dict[str, list[list[object]]] = defaultdict(list)
    for row in spxw_rows(real_data, expiration, since=since, until=until):
        contracts[row["contract"]].append([row[field] for field in fields])
    for contract, rows in contracts.items():
        write_partition(folder, f"options/quotes/tick/{contract}/{SPXW_DAY}", columns, rows)


def _record_taq(
    rows: Iterable[dict[str, str]], folder: Path, dataset: str, columns: Sequence[str], fields: Sequence[str]
) -> None:
    partitions: dict[str, list[list[object]]] = defaultdict(list)
    for row in rows:
        name = f"stocks/{dataset}/tick/{row['symbol']}/{_day(row)}"
        partitions[name].append([epoch_nanoseconds(row["timestamp"]), *(row[field] for field in fields)])
    for name, partition in partitions.items():
        write_partition(folder, name, columns, partition)


def _day(row: dict[str, str]) -> str:
    """The day of a row in New York: the last prints of an evening are after midnight UTC."""
    return _day_of_hour(row["timestamp"][:13])


@functools.cache
def _day_of_hour(hour: str) -> str:
    return datetime.fromisoformat(f"{hour}:00+00:00").astimezone(NEW_YORK).date().isoformat()
