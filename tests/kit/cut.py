"""Recordings with gaps cut out of them, and a history that tells what is missing, without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from options_helper.data.intraday.contents import lines_of, row_texts
from options_helper.data.intraday.layout import Kind, find_parts
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.recording.loss_log import LossLog
from options_helper.data.recording.overlap import KEY_COLUMNS
from options_helper.data.recording.session_notes import SessionNote, save_note
from options_helper.data.rest.client import AlpacaRest
from options_helper.model.announcement import MarketKind
from options_helper.model.events import Bar, Quote, Trade
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds, nanosecond_text
from options_helper.model.streams import StreamId, StreamName

Told = Quote | Trade | Bar
MINUTE = 60 * NANOSECONDS
_SAID_ELSEWHERE = ("S", "_received_ns")
_CHANNEL_OF: Mapping[type, str] = {Quote: "quotes", Trade: "trades", Bar: "bars"}


def record_cut(
    root: Path,
    events: Iterable[Told],
    gaps: Sequence[tuple[int, int]],
    *,
    stream: StreamName = StreamName.STOCKS,
    session: str = "one",
    lost: int | None = None,
    reason: str = "The connection was lost.",
    **note: Any,
) -> None:
    """Record events but for those received within the gaps, and write down gaps and session, as a capture does."""
    kept = [event for event in events if not any(since <= event.received_ns < until for since, until in gaps)]
    kind = cast("Kind", str(stream))
    with IntradayStore(root, StorePolicy(min_free_bytes=0), session_id=session) as store:
        store.append(kind, kept)
    ledger = LossLog(root, session)
    for since_ns, until_ns in gaps:
        ledger.write(Gap(stream, since_ns, until_ns, reason, lost))
    save_note(root, _note(session, stream, kept, gaps, note))


def uncut_rows(root: Path, events: Iterable[Told]) -> list[tuple[str, ...]]:
    """What a recording without gaps has of these events, made in a folder of its own."""
    record_cut(root, events, [])
    return rows_kept(root, *_CHANNEL_OF.values())


def _note(
    session: str,
    stream: StreamName,
    kept: Sequence[Told],
    gaps: Sequence[tuple[int, int]],
    more: Mapping[str, Any],
) -> SessionNote:
    moments = [*(event.received_ns for event in kept), *(at for gap in gaps for at in gap)]
    asked: Mapping[StreamId, tuple[str, ...]] = {
        stream: tuple(sorted({event.symbol for event in kept} | {"AAPL"}))
    }
    said = {
        "feeds": {stream: "iex" if stream is StreamName.STOCKS else "indicative"},
        "channels": {stream: tuple(stream.kind.channels[:3])},
        "asked": asked,
        "journal": False,
        "began_ns": min(moments, default=0),
        "ended_ns": max(moments),
    }
    return SessionNote(
        session=session,
        seen_ns=max(moments),
        flush_events=500,
        flush_seconds=5.0,
        **{**said, **more},
    )


class ScriptedHistory:
    """Answers as Alpaca does from these events, a page at a time; counts what it was asked, and fails when told to."""

    def __init__(
        self,
        events: Iterable[Told],
        *,
        page: int = 1_000,
        market: MarketKind = MarketKind.LOCAL,
        on_page: Callable[[int], object] = bool,
    ) -> None:
        self._events = sorted(events, key=lambda event: (event.symbol, event.timestamp_ns or 0))
        self._page = page
        self._on_page = on_page
        self.market = market
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.pages = 0

    @property
    def client(self) -> AlpacaRest:
        """In the place of the real one."""
        return cast("AlpacaRest", self)

    def past(self, _kind: str, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The pages of an answer."""
        self.asked.append((path, query))
        channel = path.rpartition("/")[2]
        since_ns, until_ns = (epoch_nanoseconds(query[name]) or 0 for name in ("start", "end"))
        found = [
            event
            for event in self._events
            if _CHANNEL_OF[type(event)] == channel
            and event.symbol in query["symbols"].split(",")
            and since_ns <= (event.timestamp_ns or 0) <= until_ns
        ]
        for first in range(0, max(1, len(found)), self._page):
            self.pages += 1
            self._on_page(self.pages)
            by_symbol: dict[str, list[Any]] = {}
            for event in found[first : first + self._page]:
                by_symbol.setdefault(event.symbol, []).append(_told(event))
            yield {channel: by_symbol}


def _told(event: Told) -> dict[str, Any]:
    """As JSON has it, without what the answer says elsewhere."""
    row = dict(zip(event.__struct_encode_fields__, msgspec.structs.astuple(event), strict=True))
    told = {name: value for name, value in row.items() if value is not None and name not in _SAID_ELSEWHERE}
    return {**told, "t": nanosecond_text(event.timestamp_ns or 0)}


def rows_kept(root: Path, *datasets: str) -> list[tuple[str, ...]]:
    """What the files of these datasets have of each row that tells it from others, in order."""
    found = []
    for dataset in datasets:
        names = KEY_COLUMNS[dataset.removesuffix("_backfill")]
        for part in find_parts(root, dataset=dataset):
            places = [part.key.dataset.columns.index(name) for name in names]
            for text in row_texts(part.path, part.key.dataset.columns):
                for line in lines_of(text):
                    fields = line.decode().rstrip("\n").split(",")
                    found.append((part.key.symbol, *(fields[place] for place in places)))
    return sorted(found)
