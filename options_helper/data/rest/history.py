"""Ask what was quoted and traded in a stretch of the past; the answer comes as the events that the streams carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from options_helper.data.rest.client import OPTION_SYMBOLS_A_REQUEST, STOCK_SYMBOLS_A_REQUEST, AlpacaRest
from options_helper.decoders import converter
from options_helper.model.events import Bar, Quote, Trade
from options_helper.model.instants import nanosecond_text
from options_helper.model.tolerant import items, word

PastEvent = Quote | Trade | Bar

# What Alpaca tells of the past, by kind of stream. Quotes of options and books of anything it tells of now alone.
CHANNELS: Final[Mapping[str, tuple[str, ...]]] = {
    "stocks": ("quotes", "trades", "bars"),
    "options": ("trades", "bars"),
    "crypto": ("quotes", "trades", "bars"),
}
SYMBOLS_A_REQUEST: Final[Mapping[str, int]] = {
    "stocks": STOCK_SYMBOLS_A_REQUEST,
    "options": OPTION_SYMBOLS_A_REQUEST,
    "crypto": OPTION_SYMBOLS_A_REQUEST,
}
ROWS_A_PAGE: Final = 10_000
EVENT_TYPES: Final[Mapping[str, type[PastEvent]]] = {"quotes": Quote, "trades": Trade, "bars": Bar}
_READERS: Final[Mapping[str, Callable[[Any], PastEvent]]] = {
    channel: converter(kind, strict=False) for channel, kind in EVENT_TYPES.items()
}
# What became of a trade since (`u`): it was cancelled, or another one stands in its place.
_WITHDRAWN: Final = frozenset({"canceled", "incorrect"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PastQuery:
    """Which events: exchange times in epoch nanoseconds, `until_ns` itself not included."""

    kind: str  # one of CHANNELS
    channel: str
    symbols: tuple[str, ...]  # at most SYMBOLS_A_REQUEST
    since_ns: int
    until_ns: int
    feed: str = ""  # of stocks; of crypto, the location


@dataclass(frozen=True, slots=True)
class PastPage:
    """What one answer brought, in its order; the receipt of an event is the moment at which it was asked for."""

    events: list[PastEvent] = field(default_factory=list)
    withdrawn: list[PastEvent] = field(default_factory=list)  # trades that do not count any more
    unreadable: int = 0


def past_pages(rest: AlpacaRest, query: PastQuery, asked_at_ns: int) -> Iterator[PastPage]:
    """Ask for them page by page. Blocks; RestError."""
    for answer in rest.past(query.kind, _path(query), _parameters(query)):
        yield _page(query, answer, asked_at_ns)


def _path(query: PastQuery) -> str:
    place = f"crypto/{query.feed}" if query.kind == "crypto" else query.kind
    return f"/{place}/{query.channel}"


def _parameters(query: PastQuery) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "symbols": ",".join(query.symbols),
        "start": nanosecond_text(query.since_ns),
        # Alpaca includes the end.
        "end": nanosecond_text(query.until_ns - 1),
        "limit": ROWS_A_PAGE,
        "sort": "asc",
    }
    if query.kind == "stocks":
        parameters["feed"] = query.feed
    if query.channel == "bars":
        # As the stream had them: splits that came later change nothing.
        parameters |= {"timeframe": "1Min"} | ({"adjustment": "raw"} if query.kind == "stocks" else {})
    return parameters


def _page(query: PastQuery, answer: Mapping[str, Any], asked_at_ns: int) -> PastPage:
    page, unreadable = PastPage(), 0
    tag = EVENT_TYPES[query.channel].__struct_config__.tag
    read = _READERS[query.channel]
    for symbol, row in _rows(answer.get(query.channel)):
        try:
            event = read({**row, "T": tag, "S": symbol, "_received_ns": asked_at_ns})
        except (msgspec.ValidationError, TypeError):
            unreadable += 1
            continue
        if event.timestamp_ns is None:
            unreadable += 1
        elif word(row.get("u")) in _WITHDRAWN:
            page.withdrawn.append(event)
        else:
            page.events.append(event)
    return PastPage(page.events, page.withdrawn, unreadable)


def _rows(by_symbol: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each row with its symbol; where there is none, Alpaca has null in place of a map or a list."""
    for symbol, rows in by_symbol.items() if isinstance(by_symbol, Mapping) else ():
        for row in items(rows):
            yield symbol, row if isinstance(row, Mapping) else {}
