"""The last that was said of each symbol, and the news, played or pushed, for those who ask instead of listening."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Final

from options_helper.model.instants import epoch_nanoseconds, timestamp_extension, utc_datetime
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.simulator.faults import Message

# More than anybody pages through.
ARTICLES_AT_MOST: Final = 5_000


@dataclass(frozen=True, slots=True)
class SymbolSnapshot:
    """What is known of one symbol at one instant, as the wire has it; None where nothing is."""

    quote: Message | None = None
    trade: Message | None = None
    minute_bar: Message | None = None
    daily_bars: Mapping[date, Message] = field(default_factory=dict)
    greeks: Mapping[str, float | None] | None = None
    implied_volatility: float | None = None
    book: Message | None = None  # whole

    def over(self, other: SymbolSnapshot) -> SymbolSnapshot:
        """The same, with the other's where nothing is known here."""
        return SymbolSnapshot(
            quote=self.quote or other.quote,
            trade=self.trade or other.trade,
            minute_bar=self.minute_bar or other.minute_bar,
            daily_bars={**other.daily_bars, **self.daily_bars},
            greeks=self.greeks or other.greeks,
            implied_volatility=self.implied_volatility or other.implied_volatility,
            book=self.book or other.book,
        )


class LastValues:
    """Last quote, trade, bars and book by symbol, and the closes of days before; its owner sees to the threads."""

    def __init__(self) -> None:
        # By a message's type, then by its symbol.
        self._last: dict[str, dict[str, Message]] = {"q": {}, "t": {}, "b": {}, "d": {}}
        self._closes: dict[str, dict[date, Message]] = {}
        self._books: dict[str, _HeardBook] = {}
        self._articles: dict[int, Message] = {}  # by id, each in the form that came last

    def note(self, messages: Iterable[Any]) -> None:
        """Keep the last quote, trade and bar of each symbol, its book, and the articles; others are passed over."""
        for message in messages:
            if not isinstance(message, dict):
                continue
            kind, symbol = message.get("T"), message.get("S")
            # A test may push anything under these keys; and a recording at full speed has no time for patterns.
            if isinstance(kind, str) and isinstance(symbol, str) and kind in self._last:
                self._last[kind][symbol] = message
            elif kind == "o" and isinstance(symbol, str):
                self._books.setdefault(symbol, _HeardBook()).note(message)
            elif kind == "n" and isinstance(article_id := message.get("id"), int):
                self._keep_article(article_id, message)

    def _keep_article(self, article_id: int, article: Message) -> None:
        self._articles.pop(article_id, None)
        self._articles[article_id] = article
        if len(self._articles) > ARTICLES_AT_MOST:
            del self._articles[next(iter(self._articles))]

    def articles(self) -> list[Message]:
        """The articles, each in the form that came last."""
        return list(self._articles.values())

    def set_close(self, symbol: str, price: float, day: date) -> None:
        """The price at which a session ended."""
        self._closes.setdefault(symbol, {})[day] = daily_bar(day, price)

    def snapshot(self, symbol: str) -> SymbolSnapshot:
        """What was heard of a symbol."""
        trade = self._last["t"].get(symbol)
        bars = dict(self._closes.get(symbol, {}))
        bars |= _bar_of_trade(trade) | _by_day(self._last["d"].get(symbol))
        return SymbolSnapshot(
            quote=self._last["q"].get(symbol),
            trade=trade,
            minute_bar=self._last["b"].get(symbol),
            daily_bars=bars,
            book=self._books[symbol].whole if symbol in self._books else None,
        )


class _HeardBook:
    """A book that was said in parts."""

    def __init__(self) -> None:
        self._at: Any = None
        self._sides: dict[str, dict[float, float]] = {"b": {}, "a": {}}

    def note(self, message: Message) -> None:
        """Take a part in; a test may push anything as one."""
        self._at = message.get("t")
        for side, levels in self._sides.items():
            if message.get("r"):
                levels.clear()
            levels.update((level["p"], level["s"]) for level in message.get(side) or () if _is_level(level))
            for price in [price for price, size in levels.items() if not size]:
                del levels[price]

    @property
    def whole(self) -> Message:
        """All of it, best prices first."""
        bids, asks = sorted(self._sides["b"].items(), reverse=True), sorted(self._sides["a"].items())
        return {
            "t": self._at,
            "b": [{"p": price, "s": size} for price, size in bids],
            "a": [{"p": price, "s": size} for price, size in asks],
        }


def _is_level(level: Any) -> bool:
    numbers = (level.get("p"), level.get("s")) if isinstance(level, dict) else ()
    return bool(numbers) and all(isinstance(number, int | float) for number in numbers)


def daily_bar(day: date, close: float, *, opening: float | None = None, volume: int = 100) -> Message:
    """A day in one bar; it carries the midnight at which the day began in New York."""
    opening = close if opening is None else opening
    begins_ns = epoch_nanoseconds(datetime.combine(day, time(), NEW_YORK)) or 0
    return {
        "t": timestamp_extension(begins_ns),
        "o": opening,
        "h": max(opening, close),
        "l": min(opening, close),
        "c": close,
        "v": volume,
        "n": max(1, volume // 50),
        "vw": round((opening + close) / 2, 4),
    }


def _bar_of_trade(trade: Message | None) -> dict[date, Message]:
    """The day of the last trade: nothing earlier was kept of it."""
    if trade is None or not isinstance(trade.get("p"), int | float):
        return {}
    return {day: daily_bar(day, trade["p"]) for day in _days_of(trade)}


def _by_day(bar: Message | None) -> dict[date, Message]:
    return {} if bar is None else dict.fromkeys(_days_of(bar), bar)


def _days_of(message: Message) -> list[date]:
    at_ns = epoch_nanoseconds(message.get("t"))
    return [] if at_ns is None else [new_york_date(utc_datetime(at_ns))]
