"""The slow feed of a stream: of the quotes that came in one interval the newest of each symbol, and all the rest.

Trades, corrections, bars, what is told of the market and of gaps are never left out, and a quote that something else
of its symbol follows stays before that. How many events were left out stands where they were, as a record of its own:
so a slow batch counts as many events as the batches that it stands for, and whoever changes from the one feed to the
other knows to the event where he is. Pure: records in, records out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from options_helper.bus.batch import Head
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.decoders import msgpack_decoder

_QUOTE: Final = "q"


class _Peeked(msgspec.Struct, gc=False):
    """As much of a message as decides whether a newer one may stand for it."""

    T: str = ""
    S: str = ""


@dataclass(slots=True)
class _Piece:
    """A frame, or what is left of it: its messages, of which None are left out. None: it is passed on as it is."""

    record: Record
    messages: list[msgspec.Raw | None] | None = None


@dataclass(slots=True)
class Interval:
    """What came of one stream since its slow feed spoke last, as far as it goes on from one batch to the next."""

    epoch: int
    events_before: int
    events: int = 0
    pieces: list[_Piece] = field(default_factory=list)
    # Of each symbol whose newest message is a quote: where that stands.
    _newest: dict[str, tuple[_Piece, int]] = field(default_factory=dict)

    @property
    def events_until(self) -> int:
        """The events of all batches up to here."""
        return self.events_before + self.events

    def goes_on_with(self, head: Head) -> bool:
        """Whether that batch stands right behind what is here."""
        return head.epoch == self.epoch and head.events_before == self.events_until

    def take(self, head: Head, records: Sequence[Record]) -> None:
        """A batch that the server has stored."""
        self.events += head.events
        for record in records:
            piece = _Piece(record)
            self.pieces.append(piece)
            if record.kind is RecordKind.FRAME:
                self._read(piece)
            else:
                self._newest.clear()  # what is said of a gap, or of a market, stands where it was said

    def _read(self, piece: _Piece) -> None:
        peeked = _messages(piece.record.payload)
        if peeked is None or len(peeked) != piece.record.events:
            self._newest.clear()  # in what cannot be read anything may stand
            return
        piece.messages = [raw for raw, _ in peeked]
        for at, (_, message) in enumerate(peeked):
            before = self._newest.pop(message.S, None)
            if message.T != _QUOTE:
                continue
            if before is not None and before[0].messages is not None:
                before[0].messages[before[1]] = None
            self._newest[message.S] = piece, at

    def records(self) -> list[Record]:
        """What the slow feed tells of it; the events of all together are those that came."""
        found: list[Record] = []
        skipped = 0
        for piece in self.pieces:
            kept = None if piece.messages is None else [one for one in piece.messages if one is not None]
            if kept is None or (piece.messages is not None and len(kept) == len(piece.messages)):
                whole = piece.record
            else:
                skipped += piece.record.events - len(kept)
                if not kept:
                    continue
                whole = piece.record._replace(payload=msgspec.msgpack.encode(kept), events=len(kept))
            if skipped:
                found.append(_left_out(whole, skipped))
                skipped = 0
            found.append(whole)
        if skipped:
            found.append(_left_out(self.pieces[-1].record, skipped))
        return found


_TAKE_APART: Final = msgpack_decoder(list[msgspec.Raw]).decode
_PEEK: Final = msgpack_decoder(_Peeked).decode


def _left_out(beside: Record, events: int) -> Record:
    return Record(RecordKind.LEFT_OUT, beside.received_ns, stream=beside.stream, events=events)


def _messages(payload: bytes) -> list[tuple[msgspec.Raw, _Peeked]] | None:
    """Each message as it came, and what it is; None where these bytes are no list of messages."""
    try:
        raws = _TAKE_APART(payload)
        return [(raw, _PEEK(raw)) for raw in raws]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def behind(records: Sequence[Record], events: int) -> Sequence[Record]:
    """The records behind the first so many events, which came before over the other feed: up to the end of a frame."""
    rest = list(records)
    while events > 0 and rest:
        record = rest.pop(0)
        if record.events > events:
            # What is left out of several frames ends within it; a frame has the messages that it has.
            is_cut = record.kind is RecordKind.LEFT_OUT
            rest.insert(0, record._replace(events=record.events - events) if is_cut else record)
        events -= record.events
    return rest


def left_out(records: Sequence[Record]) -> int:
    """How many events are left out there."""
    return sum(record.events for record in records if record.kind is RecordKind.LEFT_OUT)


class Conflater:
    """The slow feed of one stream of an owner: batches in as they are stored, intervals out when it is time."""

    def __init__(self) -> None:
        self._interval: Interval | None = None
        self._done: list[Interval] = []

    def take(self, head: Head, records: Sequence[Record]) -> None:
        """A batch that the server has stored."""
        if self._interval is None or not self._interval.goes_on_with(head):
            self._close()
            self._interval = Interval(head.epoch, head.events_before)
        self._interval.take(head, records)

    def _close(self) -> None:
        if self._interval is not None:
            self._done.append(self._interval)
        self._interval = None

    def flush(self) -> list[Interval]:
        """What came since the last time, each stretch that goes on from batch to batch."""
        self._close()
        done, self._done = self._done, []
        return done
