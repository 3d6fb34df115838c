"""Ask for what risk figures need beside prices: announced corporate actions, and a year of daily closes.

Every answer is read raw and row by row: an odd row costs itself, and where it belongs to a share, the dividends of that
share are not known; nothing becomes 0.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any, Final

from options_helper.data.rest.client import STOCK_SYMBOLS_A_REQUEST, AlpacaRest, batches
from options_helper.data.rest.seeding import SymbolBisector
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.risk_inputs import ContractChange, CorporateActions, DailyCloses, Dividend
from options_helper.model.tolerant import amount, items, word
from options_helper.model.tolerant import field as field_of

log = logging.getLogger(__name__)

Row = Mapping[str, Any]

ROWS_A_PAGE: Final = 10_000
ACTIONS_A_PAGE: Final = 1_000
# Alpaca filters by the day on which it processes an action, which is the ex-date or later.
ACTIONS_AHEAD: Final = timedelta(days=120)
# Four quarterly dividends and a fortnight, by which a company may be early.
ACTIONS_BACK: Final = timedelta(days=380)
# 252 sessions and the one before them.
CLOSES_BACK: Final = timedelta(days=380)
# Of sessions that have ended, every plan has the bars of all exchanges.
CLOSES_FEED: Final = "sip"

DIVIDENDS: Final = "cash_dividends"
# An action's symbol has another name where two companies are in it; the one that somebody holds comes first.
ACTION_SYMBOLS: Final = ("symbol", "old_symbol", "source_symbol", "acquiree_symbol", "initiating_symbol")
_DAYS: Final = ("ex_date", "effective_date", "process_date")
_SPLITS: Final = frozenset({"forward_splits", "reverse_splits", "unit_splits"})
_STOCK_DIVIDENDS: Final = "stock_dividends"
# Nothing that a contract delivers changes by these.
_HARMLESS: Final = frozenset({"name_changes", "worthless_removals", "redemptions"})


@dataclass(slots=True)
class _Found:
    """What was read of one share so far."""

    dividends: list[Dividend] = field(default_factory=list)
    changes: list[ContractChange] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def read_corporate_actions(
    rest: AlpacaRest, symbols: Sequence[str], today: date, read_at: datetime
) -> dict[str, CorporateActions]:
    """What is announced of each of these shares, from a year ago on; one that the server does not know is left out.

    Blocks; RestError.
    """
    first, until = today - ACTIONS_BACK, today + ACTIONS_AHEAD
    query = {"start": first.isoformat(), "end": until.isoformat(), "limit": ACTIONS_A_PAGE, "sort": "asc"}
    found: dict[str, CorporateActions] = {}
    for answered, pages in _answers(rest, "v1", "/corporate-actions", query, symbols):
        for symbol, of_symbol in _by_symbol(pages, answered, today).items():
            found[symbol] = CorporateActions(
                symbol,
                read_at,
                until,
                tuple(sorted(of_symbol.dividends, key=lambda one: one.ex_date)),
                tuple(sorted(of_symbol.changes, key=lambda one: one.day)),
                tuple(of_symbol.unreadable),
            )
    return found


def read_daily_closes(
    rest: AlpacaRest, symbols: Sequence[str], today: date, read_at: datetime
) -> dict[str, DailyCloses]:
    """A year of closes of each of these shares until yesterday; one that the server does not know is left out.

    Blocks; RestError.
    """
    query = {
        "timeframe": "1Day",
        "start": _midnight(today - CLOSES_BACK).isoformat(),
        # Alpaca includes the end, and a bar begins at midnight in New York.
        "end": (_midnight(today) - timedelta(seconds=1)).isoformat(),
        "feed": CLOSES_FEED,
        "adjustment": "all",
        "limit": ROWS_A_PAGE,
        "sort": "asc",
    }
    found: dict[str, DailyCloses] = {}
    for answered, pages in _answers(rest, "v2", "/stocks/bars", query, symbols):
        by_day: dict[str, dict[date, float]] = {symbol: {} for symbol in answered}
        for symbol, bar in _rows(pages, "bars"):
            day, close = _day_of_bar(bar), amount(field_of(bar, "c"))
            if symbol in by_day and day is not None and day < today and close is not None and close > 0:
                by_day[symbol][day] = float(close)
        for symbol, closes in by_day.items():
            found[symbol] = DailyCloses(symbol, read_at, MappingProxyType(dict(sorted(closes.items()))))
    return found


def _answers(
    rest: AlpacaRest, version: str, path: str, query: Row, symbols: Sequence[str]
) -> Iterator[tuple[Sequence[str], list[Row]]]:
    """The pages of each batch and its symbols; a refused symbol costs no other and is logged."""

    def ask(piece: Sequence[str]) -> Row:
        asked = {**query, "symbols": ",".join(piece)}
        return {"pages": list(rest.data_pages(version, path, asked))}

    bisector = SymbolBisector(ask)
    for batch in batches(symbols, STOCK_SYMBOLS_A_REQUEST):
        for piece, answer in bisector.answers(batch):
            yield piece, answer["pages"]
        for symbol, error in bisector.take_refused().items():
            log.warning("%s is left out: %s", symbol, error)
    bisector.raise_unexplained()


def _by_symbol(pages: Iterable[Row], symbols: Iterable[str], today: date) -> dict[str, _Found]:
    found = {symbol: _Found() for symbol in symbols}
    seen: set[str] = set()
    for kind, row in _rows(pages, "corporate_actions"):
        identity = word(field_of(row, "id"))
        if identity is not None:
            if identity in seen:
                continue
            seen.add(identity)
        name = next((name for key in ACTION_SYMBOLS if (name := word(field_of(row, key)))), None)
        of_symbol = found.get(name or "")
        if name is None:
            log.warning("A corporate action (%s) has no symbol and is left out.", kind)
        elif of_symbol is not None:
            read = _read_dividend if kind == DIVIDENDS else _read_change
            read(name, kind, row, of_symbol, today)
    return found


def _read_dividend(symbol: str, _: str, row: Row, found: _Found, today: date) -> None:
    ex_date, rate = _day(row, "ex_date"), amount(field_of(row, "rate"))
    if ex_date is not None and rate is not None and rate > 0:
        special, foreign = (field_of(row, name) is True for name in ("special", "foreign"))
        found.dividends.append(Dividend(symbol, ex_date, float(rate), special, foreign))
    elif ex_date is None or ex_date > today:
        # What was paid long ago changes nothing; what is to come does.
        on = "on a day that cannot be read" if ex_date is None else f"on {ex_date}"
        found.unreadable.append(f"A dividend of {symbol} is announced {on} whose amount or day is not known.")


def _read_change(symbol: str, kind: str, row: Row, found: _Found, today: date) -> None:
    day = next((day for name in _DAYS if (day := _day(row, name)) is not None), None)
    if kind in _HARMLESS or (day is not None and day < today):
        return
    if day is None:
        found.unreadable.append(f"An action of {symbol} ({kind}) is announced on a day that cannot be read.")
        return
    found.changes.append(ContractChange(symbol, kind, day, _ratio(kind, row)))


def _ratio(kind: str, row: Row) -> float | None:
    """New shares for an old one."""
    if kind == _STOCK_DIVIDENDS:
        rate = amount(field_of(row, "rate"))
        return None if rate is None or rate <= 0 else 1 + float(rate)
    old, new = amount(field_of(row, "old_rate")), amount(field_of(row, "new_rate"))
    if kind not in _SPLITS or old is None or new is None or old <= 0 or new <= 0:
        return None
    return float(new / old)


def _rows(pages: Iterable[Row], name: str) -> Iterator[tuple[str, Row]]:
    """Each row of an answer with the key that it stands under; what is no map is passed over."""
    for page in pages:
        by_key = field_of(page, name)
        for key, rows in by_key.items() if isinstance(by_key, Mapping) else ():
            yield from ((key, row) for row in items(rows) if isinstance(row, Mapping))


def _day(row: Row, name: str) -> date | None:
    try:
        return date.fromisoformat(word(field_of(row, name)) or "")
    except ValueError:
        return None


def _day_of_bar(bar: Row) -> date | None:
    text = field_of(bar, "t")
    at_ns = epoch_nanoseconds(text) if isinstance(text, str) else None
    return None if at_ns is None or at_ns <= 0 else new_york_date(utc_datetime(at_ns))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), NEW_YORK)
