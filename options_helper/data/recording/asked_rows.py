"""Of a desk's streams, which bring what anybody follows, the events that a recording was asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from options_helper.data.intraday.rows import DATASET_OF
from options_helper.model.events import Event, News
from options_helper.model.news import ALL_SYMBOLS
from options_helper.model.streams import StreamId

# What comes with a channel besides what it is called after.
_CHANNEL_OF: Final = {
    "corrections": "trades",
    "cancels": "trades",
    "updated_bars": "bars",
    "limit_bands": "lulds",
    "articles": "news",
}
_FIELDS: Final = {
    "stocks": ("stocks", "stock_channels"),
    "options": ("option_contracts", "option_channels"),
    "crypto": ("crypto", "crypto_channels"),
    "news": ("news", "news_channels"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The symbols and channels of each stream."""

    wanted: Mapping[str, tuple[frozenset[str], frozenset[str]]]

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Asked | None:
        """What the first record of a session says of it; None where everything that comes was asked for."""
        if "desk" not in facts:
            return None
        streams = facts["streams"]
        return cls(
            {
                stream: (frozenset(streams[symbols]), frozenset(streams[channels]))
                for stream, (symbols, channels) in _FIELDS.items()
            }
        )

    def events(self, stream: StreamId, events: Sequence[Event]) -> Sequence[Event]:
        """Those that were asked for, in order."""
        symbols, channels = self.wanted.get(str(stream), (frozenset(), frozenset()))
        return [event for event in events if self._is_asked(event, symbols, channels)]

    @staticmethod
    def _is_asked(event: Event, symbols: frozenset[str], channels: frozenset[str]) -> bool:
        dataset = DATASET_OF.get(type(event))
        if dataset is not None and _CHANNEL_OF.get(dataset.name, dataset.name) not in channels:
            return False
        if isinstance(event, News):
            return ALL_SYMBOLS in symbols or not symbols.isdisjoint(event.symbols or ())
        return event.symbol in symbols
