"""Recorded files played again: the same messages at the same market times, at any pace."""

from __future__ import annotations

import csv
import heapq
import logging
import math
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from options_helper.data.intraday.book_messages import BookMessage, messages_in
from options_helper.data.intraday.book_rows import BookStart
from options_helper.data.intraday.layout import PartitionKey, find_parts
from options_helper.data.recording.journal import recorded_market
from options_helper.data.streaming.normalizers import CONDITIONS_SEPARATOR
from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import is_coin_pair
from options_helper.model.announcement import MarketKind
from options_helper.model.instants import epoch_nanoseconds, timestamp_extension, utc_datetime
from options_helper.model.market_hours import new_york_date
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Message
from options_helper.simulator.market.market import Interest, Step
from options_helper.simulator.market.past import BAR_NS, told

log = logging.getLogger(__name__)

FRAME_EVENTS: Final = 100
# Compressed bytes read at a time from one file: some hundred rows, because a thousand files may be open at once.
BLOCK_BYTES: Final = 8_192
LONGEST_ROW_BYTES: Final = 4_096
# Rows of a day that are kept for those who ask for it page by page.
PARTITIONS_KEPT: Final = 8
GZIP: Final = 16 + zlib.MAX_WBITS

Reader = Callable[[str], Any]


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


# Column of a partition → key on the wire, and how its text is read.
_COLUMNS: Final[dict[str, dict[str, tuple[str, Reader]]]] = {
    "quotes": {
        "bid_price": ("bp", float),
        "bid_size": ("bs", _number),
        "bid_exchange": ("bx", str),
        "ask_price": ("ap", float),
        "ask_size": ("as", _number),
        "ask_exchange": ("ax", str),
        "conditions": ("c", str),
    },
    "trades": {
        "price": ("p", float),
        "size": ("s", _number),
        "exchange": ("x", str),
        "conditions": ("c", str),
        "trade_id": ("i", int),
    },
    "bars": {
        "open": ("o", float),
        "high": ("h", float),
        "low": ("l", float),
        "close": ("c", float),
        "volume": ("v", _number),
        "trade_count": ("n", int),
        "vwap": ("vw", float),
    },
}
_TYPES: Final = {"quotes": "q", "trades": "t", "bars": "b", "book_updates": "o"}
_STREAMS: Final = {"stocks": StreamName.STOCKS, "options": StreamName.OPTIONS}


class Event(NamedTuple):
    """One recorded row, as the message it came from."""

    market_ns: int
    stream: StreamName
    message: Message


@dataclass(frozen=True, slots=True)
class Partition:
    """A dataset of one symbol on one day: its files, in the order of their rows."""

    paths: tuple[Path, ...]
    stream: StreamName
    dataset: str
    symbol: str
    day: date  # New York's, of a book by UTC

    def events(self) -> Iterator[Event]:
        """Its rows in the order in which they were recorded; a time that goes back is played at once."""
        reached_ns = 0
        for time_ns, message in self._messages():
            reached_ns = max(reached_ns, time_ns)
            yield Event(reached_ns, self.stream, message)

    def past(self) -> list[tuple[int, Message]]:
        """Its messages by the exchange's time; one without a time is nobody's past."""
        timed = ((epoch_nanoseconds(message.get("t")), message) for _, message in self._messages())
        known = [(at_ns, message) for at_ns, message in timed if at_ns is not None]
        return sorted(known, key=lambda event: event[0])

    def last_ns(self) -> int:
        """The market time of the newest last row; 0 when there is none. Reads the files through."""
        return max((self._last_ns(path) for path in self.paths), default=0)

    def _last_ns(self, path: Path) -> int:
        header, last = _first_and_last_line(path)
        rows = [header, last] if last != header else []
        return max((time_ns for time_ns, _ in self._converted(path, csv.reader(rows))), default=0)

    def _messages(self) -> Iterator[tuple[int, Message]]:
        for path in self.paths:
            yield from self._converted(path, csv.reader(_lines(path)))

    def _converted(self, path: Path, rows: Iterator[list[str]]) -> Iterator[tuple[int, Message]]:
        header = next(rows, [])
        columns = [
            (index, *self._readers()[name]) for index, name in enumerate(header) if name in self._readers()
        ]
        ts_index, recv_index, symbol_index = (
            _index_of(header, name) for name in ("ts_ns", "recv_ns", "symbol")
        )
        delay_ns = BAR_NS if self.dataset == "bars" else 0
        kind = _TYPES[self.dataset]
        for row in _readable(rows, path):
            message: Message = {"T": kind, "S": _at(row, symbol_index) or self.symbol}
            try:
                for index, key, read in columns:
                    if row[index]:
                        message[key] = read(row[index])
                ts_text = _at(row, ts_index)
                time_ns = int(ts_text or _at(row, recv_index) or 0)
                if ts_text:
                    message["t"] = timestamp_extension(time_ns)
            except (ValueError, IndexError, OverflowError, struct.error) as error:
                log.warning("%s has an unreadable row, which is left out: %s (%s)", path, row, error)
                continue
            yield time_ns + delay_ns, message

    def _readers(self) -> dict[str, tuple[str, Reader]]:
        readers = _COLUMNS[self.dataset]
        if self.stream is StreamName.STOCKS and "conditions" in readers:
            return readers | {"conditions": ("c", _codes)}
        return readers


class BookPartition(Partition):
    """The order book of one coin on one day by UTC: a message is many rows.

    Where the book was lost, nothing is played until it was known again: what changed meanwhile is no part of any book.
    """

    def last_ns(self) -> int:
        """The market time of the newest message; 0 when there is none. Reads the files through."""
        return max((time_ns for time_ns, _ in self._messages()), default=0)

    def _messages(self) -> Iterator[tuple[int, Message]]:
        is_known = False
        for path in self.paths:
            for one in messages_in(path):
                if one.start is not BookStart.NOT:
                    is_known = one.start is not BookStart.LOST
                if is_known:
                    time_ns = one.received_ns if one.made_ns is None else one.made_ns
                    yield time_ns, self._message(one, time_ns)

    def _message(self, one: BookMessage, time_ns: int) -> Message:
        message: Message = {
            "T": _TYPES[self.dataset],
            "S": self.symbol,
            "t": timestamp_extension(time_ns),
            "b": [{"p": level.price, "s": level.size} for level in one.bids],
            "a": [{"p": level.price, "s": level.size} for level in one.asks],
        }
        return message if one.start is BookStart.NOT else {**message, "r": True}


def _readable(rows: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            log.warning("%s has an unreadable row, which is left out: %s", path, error)
            continue
        yield row


def _codes(text: str) -> list[str]:
    return text.split(CONDITIONS_SEPARATOR)


def _index_of(header: Sequence[str], name: str) -> int | None:
    return header.index(name) if name in header else None


def _at(row: Sequence[str], index: int | None) -> str:
    return "" if index is None or index >= len(row) else row[index]


def _lines(path: Path) -> Iterator[str]:
    """The lines of a gzip file of any number of members; a torn end is where it ends."""
    rest = b""
    for block in _blocks(path):
        *lines, rest = (rest + block).split(b"\n")
        # A byte that is no text spoils its own row, which is left out for it.
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        log.warning("%s ends in the middle of a row, which is left out", path)


def _first_and_last_line(path: Path) -> tuple[str, str]:
    """Both empty in an empty file; equal when there is one line."""
    first, tail = "", b""
    for block in _blocks(path):
        tail += block
        if not first and b"\n" in tail:
            first = tail.partition(b"\n")[0].decode(errors="replace")
        tail = tail[-LONGEST_ROW_BYTES:]
    last = tail.rpartition(b"\n")[0].rpartition(b"\n")[2]
    return first, last.decode(errors="replace")


def _blocks(path: Path) -> Iterator[bytes]:
    # The file is opened for each block and not kept open: a session may have more files than a process may hold.
    offset = 0
    inflate = zlib.decompressobj(GZIP)
    while True:
        with path.open("rb") as file:
            file.seek(offset)
            compressed = file.read(BLOCK_BYTES)
        if not compressed:
            return
        offset += len(compressed)
        while compressed:
            if inflate.eof:
                inflate = zlib.decompressobj(GZIP)
            try:
                yield inflate.decompress(compressed)
            except zlib.error as error:
                log.warning("%s is damaged, and ends there: %s", path, error)
                return
            compressed = inflate.unused_data


class ReplayMarket:
    """A folder of partitions, played from the first event to the last.

    `speed` is a factor of the recorded pace; 0 plays as fast as the clients read, and nothing is lost by that.
    """

    kind: Final = MarketKind.REPLAY
    lossless: Final = True

    def __init__(
        self,
        directory: Path,
        *,
        speed: float = 1.0,
        symbols: Collection[str] | None = None,
        day: date | None = None,
        frame_events: int = FRAME_EVENTS,
    ) -> None:
        if not (math.isfinite(speed) and speed >= 0):
            raise ConfigError(
                f"The replay's speed is {speed:g}; it must be positive, or 0 for as fast as possible."
            )
        self._partitions = find_partitions(directory, symbols=symbols, day=day)
        firsts = [event for event in map(_first_event, self._partitions) if event is not None]
        if not firsts:
            raise ConfigError(_nothing_to_play(directory, symbols, day))
        self.replay_of = recorded_market(directory)
        self._speed = speed
        self._frame_events = frame_events
        self._awaited = frozenset(event.stream for event in firsts)
        self._start_ns = min(event.market_ns for event in firsts)
        self._first_prices = _first_prices(firsts)
        # For the thread that answers: what was read of the last partitions that somebody asked for.
        self._read_lately: dict[Partition, list[tuple[int, Message]]] = {}
        self._until_ns = max(partition.last_ns() for partition in self._partitions)

    @property
    def speed(self) -> float:
        """Market seconds per second; 0 is as fast as possible."""
        return self._speed

    @property
    def start_ns(self) -> int:
        """The first event's time."""
        return self._start_ns

    @property
    def until_ns(self) -> int:
        """The last event's time."""
        return self._until_ns

    @property
    def awaited(self) -> frozenset[StreamName]:
        """The streams that have something to say."""
        return self._awaited

    @property
    def contracts(self) -> tuple[str, ...]:
        """The recorded option contracts."""
        recorded = [item.symbol for item in self._partitions if item.stream is StreamName.OPTIONS]
        return tuple(dict.fromkeys(recorded))

    def price(self, underlying: str) -> float | None:
        """The first recorded price of the stock."""
        return self._first_prices.get(underlying)

    def past(self, kind: str, symbol: str, since_ns: int, until_ns: int) -> Sequence[Message]:
        """What was recorded of a symbol in a stretch; a partition is read when it is first asked for."""
        first, last = (new_york_date(utc_datetime(at_ns)) for at_ns in (since_ns, until_ns))
        found = [
            (at_ns, message)
            for item in self._partitions
            if item.symbol == symbol and _TYPES[item.dataset] == kind and first <= item.day <= last
            for at_ns, message in self._read(item)
        ]
        return told(found, since_ns, until_ns)

    def _read(self, partition: Partition) -> list[tuple[int, Message]]:
        # The partitions of a symbol come by their days, and so do their events.
        if partition not in self._read_lately:
            while len(self._read_lately) >= PARTITIONS_KEPT:
                del self._read_lately[next(iter(self._read_lately))]
            self._read_lately[partition] = partition.past()
        return self._read_lately[partition]

    def steps(self, interest: Interest) -> Iterator[Step]:  # noqa: ARG002 - a recording says what it has
        """Everything recorded, in time; events of one stream and instant together."""
        # Equal times come in the order of the partitions, so a stream's events of one instant stay together.
        events = heapq.merge(
            *(partition.events() for partition in self._partitions), key=attrgetter("market_ns")
        )
        return _frames(events, self._frame_events)


def _first_event(partition: Partition) -> Event | None:
    return next(partition.events(), None)


def _first_prices(firsts: Iterable[Event]) -> dict[str, float]:
    """Of each stock the first one that there is, in the order of the partitions."""
    prices: dict[str, float] = {}
    for event in firsts:
        price = _price_in(event.message)
        if event.stream is StreamName.STOCKS and price is not None:
            prices.setdefault(event.message["S"], price)
    return prices


def _price_in(message: Message) -> float | None:
    """The price of a trade, the close of a bar, or the middle of a quote with two sides."""
    price = message.get("p") or (message.get("c") if message["T"] == "b" else None)
    if price is None and message.get("bp") and message.get("ap"):
        price = (message["bp"] + message["ap"]) / 2
    return None if price is None else float(price)


def _frames(events: Iterable[Event], frame_events: int) -> Iterator[Step]:
    market_ns = 0
    stream = StreamName.STOCKS
    messages: list[Message] = []
    for event in events:
        fits = event.market_ns == market_ns and event.stream is stream and len(messages) < frame_events
        if messages and not fits:
            yield Step(market_ns, stream, messages)
            messages = []
        market_ns, stream = event.market_ns, event.stream
        messages.append(event.message)
    if messages:
        yield Step(market_ns, stream, messages)


def find_partitions(
    directory: Path, *, symbols: Collection[str] | None = None, day: date | None = None
) -> list[Partition]:
    """The recorded files below a folder that can be played, stocks before options before books, in a fixed order."""
    by_partition = groupby(find_parts(directory), key=attrgetter("key"))
    found = (
        _partition(key, tuple(part.path for part in files))
        for key, files in by_partition
        if (symbols is None or key.symbol in symbols) and (day is None or key.day == day)
    )
    return [partition for partition in found if partition is not None]


def _partition(key: PartitionKey, paths: tuple[Path, ...]) -> Partition | None:
    """What can be played over Alpaca's protocol; None for everything else."""
    if key.dataset.name == "book_updates":
        # India's books would need another server.
        if not is_coin_pair(key.symbol):
            return None
        return BookPartition(paths, StreamName.CRYPTO, key.dataset.name, key.symbol, key.day)
    if key.dataset.name not in _TYPES or key.kind not in _STREAMS:
        return None
    return Partition(paths, _STREAMS[key.kind], key.dataset.name, key.symbol, key.day)


def _nothing_to_play(directory: Path, symbols: Collection[str] | None, day: date | None) -> str:
    of = f" of {', '.join(symbols)}" if symbols else ""
    on = f" on {day}" if day else ""
    return (
        f"There is nothing to replay{of}{on} in {directory}: it holds no "
        "stocks/… or options/… partitions with rows (kind/dataset/timeframe/SYMBOL/day.csv.gz), nor books of coins."
    )
