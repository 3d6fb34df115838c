"""Which part of a recording is meant: some days, some symbols, or everything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Self

from options_helper.data.intraday.layout import PartitionKey
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import new_york_date


@dataclass(frozen=True, slots=True)
class Scope:
    """New York days from the first to the last, both included, and symbols as they are recorded; None and none: all."""

    first: date | None = None
    last: date | None = None
    symbols: frozenset[str] = frozenset()

    @classmethod
    def of_day(cls, day: date | None, symbols: frozenset[str] = frozenset()) -> Self:
        """One day, or any."""
        return cls(day, day, symbols)

    @property
    def day(self) -> date | None:
        """The day, where it is a single one."""
        return self.first if self.first == self.last else None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == EVERYTHING

    def holds(self, key: PartitionKey) -> bool:
        """Whether this partition is meant."""
        return self.has_day(key.day) and self.has_symbol(key.symbol)

    def has_symbol(self, symbol: str) -> bool:
        """Whether the symbol is meant."""
        return not self.symbols or symbol in self.symbols

    def has_day(self, day: date | None) -> bool:
        """Whether the day is within; one that is not known may be."""
        if day is None:
            return True
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)

    def meets(self, since_ns: int, until_ns: int | None) -> bool:
        """Whether a day of it has a moment of this stretch; without an end it goes on."""
        since, until = (new_york_date(utc_datetime(ns)) for ns in (since_ns, until_ns or since_ns))
        return (self.last is None or since <= self.last) and (
            self.first is None or until_ns is None or until >= self.first
        )

    def __str__(self) -> str:
        """In words that follow a noun; nothing where everything is meant."""
        of = f" of {', '.join(sorted(self.symbols))}" if self.symbols else ""
        if self.day is not None:
            return f"{of} on {self.day}"
        since = "" if self.first is None else f" from {self.first} on"
        return of + since + ("" if self.last is None else f" to {self.last}")


EVERYTHING: Final = Scope()
