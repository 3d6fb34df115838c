"""Turn events into lines of CSV, exactly and fast: this runs for every event of the day.

A line holds what `normalizers` would put into a row, in the same order; the tests compare the two. It lacks its first
column, `seq`, which is known when the line is written.

- Times are integers of epoch nanoseconds, and `timestamp` is the exchange time once more as UTC text with nine digits.
  An exchange time that 64 bits of nanoseconds cannot hold (before 1677 or after 2262) is no time: both are empty.
- A number is its shortest text that reads back as the same number; integers have no point.
- A missing value and an empty text are both nothing between two commas. So is what is no number (NaN, an infinity), and
  an id or a count that its column cannot hold: it costs itself, and no reader stumbles over it.
- Text with a comma, a quote or a line end is quoted as RFC 4180 says.
- Several condition codes are joined as `normalizers.join_conditions` does, and the symbols of an article likewise.
- What would end the line of an article's text is written as Python would (backslash and n, r or 0), a backslash as two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from math import isfinite
from typing import Any, Final, NamedTuple

from msgspec.msgpack import Ext

from options_helper.data.intraday.book_rows import SNAPSHOTS, BookLevelRow, BookSnapshotRow
from options_helper.data.intraday.pace import MOST_LEVELS
from options_helper.data.streaming.normalizers import (
    BAR_COLUMNS,
    QUOTE_COLUMNS,
    TRADE_COLUMNS,
    join_conditions,
)
from options_helper.model.events import (
    Bar,
    BookLevel,
    DailyBar,
    Event,
    LimitBand,
    News,
    Quote,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    UpdatedBar,
)
from options_helper.model.instants import (
    NANOSECONDS,
    TIMESTAMP_EXT_CODE,
    epoch_nanoseconds,
    nanosecond_text,
    utc_datetime,
)
from options_helper.model.market_hours import new_york_date

_TIME_COLUMNS: Final = ("recv_ns", "ts_ns", "timestamp", "symbol")
CORRECTION_COLUMNS: Final = (
    *_TIME_COLUMNS,
    "original_trade_id",
    "corrected_trade_id",
    "corrected_price",
    "corrected_size",
    "corrected_conditions",
    "exchange",
)
CANCEL_COLUMNS: Final = (*_TIME_COLUMNS, "price", "size", "exchange", "trade_id")
STATUS_COLUMNS: Final = (
    *_TIME_COLUMNS,
    "status_code",
    "status_message",
    "reason_code",
    "reason_message",
    "tape",
)
BAND_COLUMNS: Final = (*_TIME_COLUMNS, "limit_up_price", "limit_down_price", "indicator", "tape")
ARTICLE_COLUMNS: Final = (
    *_TIME_COLUMNS,
    "article_id",
    "created_ns",
    "headline",
    "summary",
    "author",
    "source",
    "url",
    "symbols",
    "content",
)
BOOK_LEVEL_COLUMNS: Final = (*_TIME_COLUMNS, "message", "reset", "side", "price", "size")
BOOK_SNAPSHOT_COLUMNS: Final = (*_TIME_COLUMNS, "heard_ns", "state")

# What a file holds a row of: an event, or what was made of one about an order book.
Storable = Event | BookLevelRow | BookSnapshotRow


def book_columns(name: str, levels: int) -> tuple[str, ...]:
    """Of so many levels, best first: `bid_px_00`, `bid_px_01` …; `name` is bid_px, bid_sz, ask_px or ask_sz."""
    return tuple(f"{name}_{level:02}" for level in range(levels))


def _snapshot_columns(levels: int) -> tuple[str, ...]:
    """BookLevel by level, bid before ask."""
    sides = (book_columns(name, levels) for name in ("bid_px", "bid_sz", "ask_px", "ask_sz"))
    return (*BOOK_SNAPSHOT_COLUMNS, *(column for level in zip(*sides, strict=True) for column in level))


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of row: the two folder names it is kept under, and its columns."""

    name: str
    timeframe: str
    columns: tuple[str, ...]

    @property
    def header(self) -> str:
        """The first line of each of its files."""
        return ",".join(self.columns) + "\n"

    @property
    def is_backfill(self) -> bool:
        """Whether its rows were asked for and not heard."""
        return "asked_at_ns" in self.columns


def _dataset(name: str, timeframe: str, columns: tuple[str, ...]) -> Dataset:
    return Dataset(name, timeframe, ("seq", *columns))


# What is sent again or replaces something has a dataset of its own, so that no reader counts it twice unknowingly.
DATASET_OF: Final[dict[type, Dataset]] = {
    Quote: _dataset("quotes", "tick", QUOTE_COLUMNS),
    Trade: _dataset("trades", "tick", TRADE_COLUMNS),
    Bar: _dataset("bars", "1Min", BAR_COLUMNS),
    UpdatedBar: _dataset("updated_bars", "1Min", BAR_COLUMNS),
    DailyBar: _dataset("daily_bars", "1Day", BAR_COLUMNS),
    TradeCorrection: _dataset("corrections", "tick", CORRECTION_COLUMNS),
    TradeCancel: _dataset("cancels", "tick", CANCEL_COLUMNS),
    TradingStatus: _dataset("statuses", "tick", STATUS_COLUMNS),
    LimitBand: _dataset("limit_bands", "tick", BAND_COLUMNS),
    News: _dataset("articles", "tick", ARTICLE_COLUMNS),
    BookLevelRow: _dataset("book_updates", "tick", BOOK_LEVEL_COLUMNS),
    **{
        row: _dataset(f"book_snapshots_{row.LEVELS}", "sampled", _snapshot_columns(row.LEVELS))
        for row in SNAPSHOTS
    },
}
# What history told later of a gap has no receipt; it is kept apart from what was heard, and says who told it and when.
BACKFILL_OF: Final[dict[type, Dataset]] = {
    event: _dataset(
        f"{DATASET_OF[event].name}_backfill",
        DATASET_OF[event].timeframe,
        ("asked_at_ns", *DATASET_OF[event].columns[2:], "source"),
    )
    for event in (Quote, Trade, Bar)
}
DATASETS: Final[dict[str, Dataset]] = {
    dataset.name: dataset for dataset in (*DATASET_OF.values(), *BACKFILL_OF.values())
}
# A column has one type, whatever is in it on a day: a file's schema must not depend on its content. Every other column
# is text. Whole numbers of 64 bits that no float may touch on the way:
WHOLE: Final = ("seq", "recv_ns", "asked_at_ns", "ts_ns")
COUNTS: Final = ("trade_count", "message", "heard_ns", "created_ns")
# The same without a sign: the feed's ids go up to 2^64.
IDS: Final = ("trade_id", "original_trade_id", "corrected_trade_id", "article_id")
# Floats of 64 bits; most sizes are whole, and a fraction of a share is one too.
SIZES: Final = (
    "bid_size", "ask_size", "size", "corrected_size", "volume",
    *book_columns("bid_sz", MOST_LEVELS), *book_columns("ask_sz", MOST_LEVELS),
)  # fmt: skip
PRICES: Final = (
    "bid_price", "ask_price", "price", "corrected_price", "open", "high", "low", "close", "vwap",
    "limit_up_price", "limit_down_price",
    *book_columns("bid_px", MOST_LEVELS), *book_columns("ask_px", MOST_LEVELS),
)  # fmt: skip
LARGEST_ID: Final = 2**64 - 1
LARGEST_COUNT: Final = 2**63 - 1

# Turns an event of one type into its New York day and its line.
WriteRow = Callable[[Any], tuple[date, str]]

# The last whole second whose nanoseconds fit 64 bits.
_LAST_SECOND: Final = 2**63 // NANOSECONDS - 1
_DAY_NS: Final = 86_400 * NANOSECONDS
_LOW_34_BITS: Final = 0x3_FFFF_FFFF
# Caches are for texts that come again and again; whoever sends other ones costs time, not memory.
_CACHED_SECONDS: Final = 4_096
_CACHED: Final = 100_000


class Second(NamedTuple):
    """What all instants of one second share."""

    day: date
    epoch: str
    text: str


class _Seconds(dict[int, Second | None]):
    """Epoch second → what its instants share; None outside 1970 to 2262, where digits cannot just be put together."""

    def __init__(self) -> None:
        super().__init__()
        self._days: dict[date, date] = {}

    def __missing__(self, second: int) -> Second | None:
        if len(self) > _CACHED_SECONDS:
            self.clear()
        self[second] = made = self._made(second)
        return made

    def _made(self, second: int) -> Second | None:
        if not 0 < second <= _LAST_SECOND:
            return None
        moment = utc_datetime(second * NANOSECONDS)
        day = new_york_date(moment)
        # One object a day, so that a changed day shows by identity.
        day = self._days.setdefault(day, day)
        return Second(day, str(second), f"{moment:%Y-%m-%dT%H:%M:%S}.")


class _Texts(dict[Any, str]):
    """A text, or None → how it stands between two commas."""

    def __missing__(self, text: str | None) -> str:
        if len(self) > _CACHED:
            self.clear()
        self[text] = quoted = quoted_text(text)
        return quoted


class _Prices(dict[Any, str]):
    """A price, or None → its shortest exact text."""

    def __missing__(self, price: float | None) -> str:
        if price is None or not isfinite(price):
            return ""
        text = repr(price)
        # The two zeros are equal, and so are 1 and 1.0, but they are not written alike.
        if price and type(price) is float:
            if len(self) > _CACHED:
                self.clear()
            self[price] = text
        return text


def quoted_text(text: str | None) -> str:
    """A text as a field of CSV."""
    if text is None:
        return ""
    if any(sign in text for sign in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


class RowWriter:
    """Writes lines and remembers the texts that come again; for one thread."""

    def __init__(self) -> None:
        self._second = _Seconds()
        self._text = _Texts()
        self._price = _Prices()
        self._utc_days: dict[int, date] = {}
        self._of_type: dict[type, WriteRow] = {
            Quote: self._quote,
            Trade: self._trade,
            Bar: self._bar,
            UpdatedBar: self._bar,
            DailyBar: self._bar,
            TradeCorrection: self._correction,
            TradeCancel: self._cancel,
            TradingStatus: self._status,
            LimitBand: self._band,
            News: self._article,
            BookLevelRow: self._book_level,
            **{row: partial(self._book_snapshot, row.LEVELS) for row in SNAPSHOTS},
        }

    def of_type(self, event_type: type) -> WriteRow:
        """What turns an event of this type into its New York day and its line.

        The day is that of the exchange time, or of the receipt where there is none; of an order book's rows it is the
        day of receipt by UTC, since their order is that of receipt. The same day is always the same object.
        """
        return self._of_type[event_type]

    def _times(self, event: Storable) -> tuple[date, str]:
        received = event.received_ns or ""
        timestamp = event.timestamp
        # The forms of nearly every event; decoded extensions hold bytes, whatever the stub allows.
        if (
            type(timestamp) is Ext and timestamp.code == TIMESTAMP_EXT_CODE and len(timestamp.data) in (4, 8)  # type: ignore[arg-type]
        ):
            # In the shorter form, the bits of the nanoseconds are zeros.
            word = int.from_bytes(timestamp.data, "big")
            second, nanoseconds = self._second[word & _LOW_34_BITS], word >> 34
            if second is not None and nanoseconds < NANOSECONDS:
                digits = "%09d" % nanoseconds  # noqa: UP031 - takes half the time of a format specification
                return second.day, f"{received},{second.epoch}{digits},{second.text}{digits}Z"
        return self._rare_times(event, received)

    def _rare_times(self, event: Storable, received: int | str) -> tuple[date, str]:
        exchange_ns = epoch_nanoseconds(event.timestamp)
        if exchange_ns is None or not -(2**63) < exchange_ns < 2**63:
            return self._day(event.received_ns), f"{received},,"
        return self._day(exchange_ns), f"{received},{exchange_ns},{nanosecond_text(exchange_ns)}"

    def _day(self, nanoseconds: int) -> date:
        second = self._second[nanoseconds // NANOSECONDS]
        return second.day if second is not None else new_york_date(utc_datetime(nanoseconds))

    def _quote(self, event: Quote) -> tuple[date, str]:
        # Written out, not in small functions: a call costs a tenth of the line.
        day, times = self._times(event)
        text, price = self._text, self._price
        bid_size, ask_size, codes = event.bid_size, event.ask_size, event.conditions
        if type(codes) is list:
            codes = codes[0] if len(codes) == 1 else join_conditions(codes)
        return day, (
            f"{times},{text[event.symbol]},"
            f"{price[event.bid_price]},{bid_size if type(bid_size) is int else _number(bid_size)},"
            f"{text[event.bid_exchange]},"
            f"{price[event.ask_price]},{ask_size if type(ask_size) is int else _number(ask_size)},"
            f"{text[event.ask_exchange]},{text[codes]}\n"
        )

    def _trade(self, event: Trade) -> tuple[date, str]:
        day, times = self._times(event)
        text, size = self._text, event.size
        return day, (
            f"{times},{text[event.symbol]},{self._price[event.price]},{size if type(size) is int else _number(size)},"
            f"{text[event.exchange]},{text[join_conditions(event.conditions)]},{_whole(event.trade_id, LARGEST_ID)}\n"
        )

    def _bar(self, event: Bar) -> tuple[date, str]:
        day, times = self._times(event)
        price = self._price
        return day, (
            f"{times},{self._text[event.symbol]},"
            f"{price[event.open]},{price[event.high]},{price[event.low]},{price[event.close]},"
            f"{_number(event.volume)},{_whole(event.trade_count, LARGEST_COUNT)},{price[event.vwap]}\n"
        )

    def _correction(self, event: TradeCorrection) -> tuple[date, str]:
        day, times = self._times(event)
        text = self._text
        return day, (
            f"{times},{text[event.symbol]},"
            f"{_whole(event.original_trade_id, LARGEST_ID)},{_whole(event.corrected_trade_id, LARGEST_ID)},"
            f"{self._price[event.corrected_price]},{_number(event.corrected_size)},"
            f"{text[join_conditions(event.corrected_conditions)]},{text[event.exchange]}\n"
        )

    def _cancel(self, event: TradeCancel) -> tuple[date, str]:
        day, times = self._times(event)
        text = self._text
        return day, (
            f"{times},{text[event.symbol]},{self._price[event.price]},{_number(event.size)},"
            f"{text[event.exchange]},{_whole(event.trade_id, LARGEST_ID)}\n"
        )

    def _status(self, event: TradingStatus) -> tuple[date, str]:
        day, times = self._times(event)
        text = self._text
        return day, (
            f"{times},{text[event.symbol]},{text[event.status_code]},{text[event.status_message]},"
            f"{text[event.reason_code]},{text[event.reason_message]},{text[event.tape]}\n"
        )

    def _band(self, event: LimitBand) -> tuple[date, str]:
        day, times = self._times(event)
        text, price = self._text, self._price
        return day, (
            f"{times},{text[event.symbol]},{price[event.limit_up_price]},{price[event.limit_down_price]},"
            f"{text[event.indicator]},{text[event.tape]}\n"
        )

    def _article(self, event: News) -> tuple[date, str]:
        # Not from the cache: no article comes twice, and one may be long.
        day, times = self._times(event)
        created_ns = epoch_nanoseconds(event.created)
        created = "" if created_ns is None else _whole(created_ns, LARGEST_COUNT)
        texts = (event.headline, event.summary, event.author, event.source, event.url)
        fields = ",".join(_one_line(text) for text in (*texts, join_conditions(event.symbols), event.content))
        article_id = _whole(event.article_id, LARGEST_ID)
        return day, f"{times},{self._text[event.symbol]},{article_id},{created},{fields}\n"

    def _book_level(self, row: BookLevelRow) -> tuple[date, str]:
        _, times = self._times(row)
        return self._utc_day(row.received_ns), (
            f"{times},{self._text[row.symbol]},{row.message},{row.start},{row.side},"
            f"{self._price[row.price]},{_size(row.size)}\n"
        )

    def _book_snapshot(self, levels: int, row: BookSnapshotRow) -> tuple[date, str]:
        _, times = self._times(row)
        heard = "" if row.heard_ns is None else row.heard_ns
        pairs = (f"{self._level(row.bids, place)},{self._level(row.asks, place)}" for place in range(levels))
        return self._utc_day(row.received_ns), (
            f"{times},{self._text[row.symbol]},{heard},{row.state},{','.join(pairs)}\n"
        )

    def _level(self, levels: Sequence[BookLevel], place: int) -> str:
        if place >= len(levels):
            return ","
        return f"{self._price[levels[place].price]},{_size(levels[place].size)}"

    def _utc_day(self, received_ns: int) -> date:
        number = received_ns // _DAY_NS
        if (day := self._utc_days.get(number)) is None:
            day = self._utc_days[number] = utc_datetime(received_ns).date()
        return day


def _one_line(text: str | None) -> str:
    """A text of any length as a field of CSV that is no more than a line."""
    if text is None:
        return ""
    return quoted_text(
        text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    )


def _number(number: float | None) -> str:
    return "" if number is None or not isfinite(number) else repr(number)


def _size(size: float | None) -> str:
    """A book's sizes are floats whatever the feed wrote; whole ones stand as their Parquet copy gives them back."""
    return str(int(size)) if size is not None and isfinite(size) and size.is_integer() else _number(size)


def _whole(number: int | None, largest: int) -> str:
    return str(number) if number is not None and 0 <= number <= largest else ""
