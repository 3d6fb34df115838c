"""Hold what was recorded against what history tells of the same time: what both have is the proof, the rest is missing.

Pure. Rows are keys: trades by exchange, id and time, or by all that they say where they have no id; quotes by time,
both prices, sizes and exchanges; bars by their minute. The same key may come several times, and counts so often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from options_helper.data.streaming.normalizers import join_conditions
from options_helper.model.events import Bar, Quote, Trade

Key = tuple[Hashable, ...]
E = TypeVar("E")

# The columns that a key needs, by dataset.
KEY_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "quotes": ("ts_ns", "bid_price", "bid_size", "bid_exchange", "ask_price", "ask_size", "ask_exchange"),
    "trades": ("ts_ns", "exchange", "trade_id", "price", "size", "conditions"),
    "bars": ("ts_ns",),
}


@dataclass(frozen=True, slots=True)
class Overlap(Generic[E]):
    """Of `recorded` rows so many were `found` in the answer; `more` are the answer's that were not recorded."""

    recorded: int
    found: int
    more: Sequence[E] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the answer has every row that was recorded."""
        return self.found == self.recorded


def compare(
    recorded: Iterable[Key], answered: Iterable[tuple[Key, E]], withdrawn: Iterable[Key] = ()
) -> Overlap[E]:
    """Match them one to one; what history has withdrawn proves that it was there, and is no row that is missing."""
    waiting = Counter(recorded)
    number = waiting.total()
    more: list[E] = []
    for key, event in answered:
        if waiting[key] > 0:
            waiting[key] -= 1
        else:
            more.append(event)
    for key in withdrawn:
        if waiting[key] > 0:
            waiting[key] -= 1
    return Overlap(number, number - waiting.total(), more)


def recorded_key(dataset: str, values: Sequence[Any]) -> Key:
    """The key of a recorded row, from its KEY_COLUMNS; None where it has no value."""
    return _trade_key(values) if dataset == "trades" else tuple(values)


def event_key(event: Quote | Trade | Bar) -> Key:
    """The key of an event, equal to that of the row it makes."""
    match event:
        case Quote():
            bid = (event.bid_price, event.bid_size, event.bid_exchange or None)
            return (event.timestamp_ns, *bid, event.ask_price, event.ask_size, event.ask_exchange or None)
        case Trade():
            conditions = join_conditions(event.conditions) or None
            told = (event.timestamp_ns, event.exchange or None, event.trade_id, event.price, event.size)
            return _trade_key((*told, conditions))
        case _:
            return (event.timestamp_ns,)


def _trade_key(values: Sequence[Any]) -> Key:
    ts_ns, exchange, trade_id, *rest = values
    return (exchange, ts_ns, *rest) if trade_id is None else (exchange, ts_ns, trade_id, "id")
