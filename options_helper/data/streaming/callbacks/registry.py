"""Who is to be told of what; values, and no thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from options_helper.model.callbacks import CallbackKind
from options_helper.model.events import (
    Bar,
    DailyBar,
    Event,
    LimitBand,
    Quote,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    UpdatedBar,
)

E = TypeVar("E")

_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})

# What is told as it came off the wire; a book and an article are told by whoever keeps them.
KIND_OF_EVENT: Final[Mapping[type[Any], CallbackKind]] = {
    Quote: CallbackKind.QUOTE,
    Trade: CallbackKind.TRADE,
    Bar: CallbackKind.BAR,
    UpdatedBar: CallbackKind.UPDATED_BAR,
    DailyBar: CallbackKind.DAILY_BAR,
    TradeCorrection: CallbackKind.CORRECTION,
    TradeCancel: CallbackKind.CANCEL,
    TradingStatus: CallbackKind.STATUS,
    LimitBand: CallbackKind.LULD,
}


@dataclass(frozen=True, slots=True)
class Row(Generic[E]):
    """Who wants one kind of thing, in the order of registering."""

    every: tuple[E, ...] = ()  # symbol, of whoever wants all
    by_symbol: Mapping[str, tuple[E, ...]] = field(
        default_factory=lambda: _NONE
    )  # those of `every` among them

    def of(self, symbol: str) -> tuple[E, ...]:
        """Who wants it of this symbol."""
        return self.by_symbol.get(symbol, self.every)

    def share_out(self, events: Sequence[Event]) -> Iterable[tuple[E, Sequence[Event]]]:
        """Who wants which of these, in order."""
        if not self.by_symbol:
            return [(entry, events) for entry in self.every]
        shares: dict[E, list[Event]] = {}
        of, every = self.by_symbol.get, self.every
        for event in events:
            for entry in of(event.symbol, every):
                share = shares.get(entry)
                if share is None:
                    shares[entry] = [event]
                else:
                    share.append(event)
        return shares.items()

    def with_entry(self, entry: E, spellings: Iterable[str] | None) -> Row[E]:
        """And this one; None: of every symbol."""
        if spellings is None:
            by_symbol = {symbol: (*wanting, entry) for symbol, wanting in self.by_symbol.items()}
            return Row((*self.every, entry), by_symbol)
        more = {symbol: (*self.of(symbol), entry) for symbol in spellings}
        return Row(self.every, {**self.by_symbol, **more})

    def without(self, entry: E, spellings: Iterable[str] | None) -> Row[E]:
        """Without this one, which is here under these spellings."""
        every = _without(self.every, entry)
        left = dict(self.by_symbol)
        for symbol in self.by_symbol if spellings is None else spellings:
            wanting = _without(left.pop(symbol, ()), entry)
            if wanting != every:
                left[symbol] = wanting
        return Row(every, left)


@dataclass(frozen=True, slots=True)
class Registry(Generic[E]):
    """All that are registered; a change is a new registry, so whoever reads one sees no half of a change."""

    rows: Mapping[CallbackKind, Row[E]] = field(default_factory=lambda: _NONE)
    kinds: Mapping[E, CallbackKind] = field(default_factory=lambda: _NONE)  # in the order of registering

    def with_entry(self, entry: E, kind: CallbackKind, spellings: Iterable[str] | None) -> Registry[E]:
        """And this one, for a symbol in these spellings; None: for every symbol."""
        row: Row[E] = self.rows.get(kind) or Row()
        return Registry(
            {**self.rows, kind: row.with_entry(entry, spellings)},
            {**self.kinds, entry: kind},
        )

    def without(self, entry: E, spellings: Iterable[str] | None) -> Registry[E]:
        """Without this one, which was added with these spellings; unchanged where it is not registered."""
        kind = self.kinds.get(entry)
        if kind is None:
            return self
        row = self.rows[kind].without(entry, spellings)
        kinds = dict(self.kinds)
        del kinds[entry]
        others = {other: of for other, of in self.rows.items() if other is not kind}
        return Registry(
            {**others, kind: row} if row.every or row.by_symbol else others,
            kinds,
        )

    def find(self, kind: CallbackKind, symbols: Iterable[str]) -> tuple[E, ...]:
        """Who is to be told of a thing that concerns these symbols, or none: each once."""
        row = self.rows.get(kind)
        if row is None:
            return ()
        wanting = dict.fromkeys(row.every)
        for symbol in symbols:
            wanting.update(dict.fromkeys(row.of(symbol)))
        return tuple(wanting)


def _without(entries: tuple[E, ...], entry: E) -> tuple[E, ...]:
    return tuple(other for other in entries if other is not entry)
