"""What rows a session's records make, in their order: the same at a capture, a rebuild, and when both are compared.

Events of shares, contracts and coins are rows as they are. A message about an order book is a row for each level, and
the books are kept besides, to begin each day's file with the whole book and to sample the best levels. Nothing but the
records decides: no clock is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from options_helper.data.intraday.book_rows import BookLevelRow
from options_helper.data.intraday.layout import Kind, kinds_of
from options_helper.data.intraday.rows import Storable
from options_helper.data.recording.asked_rows import Asked
from options_helper.data.recording.book_recorder import BookBreak, BookRecorder, BookSampling
from options_helper.data.recording.decoders import decoder_of
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.data.streaming.state.live_state import StreamTally
from options_helper.model.events import BookUpdate, Event, stamp


class Rows(NamedTuple):
    """Some rows of one kind, in order."""

    kind: Kind
    rows: Sequence[Storable]


class RowMaker:
    """Takes the records of one session, in order; for one thread."""

    def __init__(self) -> None:
        self.books = BookRecorder()
        self.last_event: Event | None = None
        self._place_lost = False
        self._asked: Asked | None = None

    def lose_place(self) -> None:
        """Records are missing before the next one: what they changed in a book, nobody knows."""
        self._place_lost = True

    def rows_of(self, record: Record, tally: StreamTally) -> Iterator[Rows]:
        """What this record adds to the files; a frame's events are counted as applied or as rejected."""
        if self._place_lost:
            self._place_lost = False
            yield Rows(
                "books", self.books.break_off_all("Records of the journal are missing.", record.received_ns)
            )
        if sampled := self.books.sampled_until(record.received_ns):
            yield Rows("books", sampled)
        match record.kind:
            case RecordKind.FRAME:
                yield from self._rows_of_frame(record, tally)
            case RecordKind.SESSION:
                facts = record.facts
                self.books.sampling = BookSampling(**facts.get("books", {}))
                self._asked = Asked.of(facts)
            case RecordKind.BREAK:
                yield Rows("books", self.books.break_off(BookBreak(**record.facts), record.received_ns))
            case RecordKind.TICK | RecordKind.GAP | RecordKind.MARKET | RecordKind.END | RecordKind.BUS:
                pass

    def _rows_of_frame(self, record: Record, tally: StreamTally) -> Iterator[Rows]:
        events, unreadable, damaged = decoder_of(record.stream)(record.payload)
        for event in events:
            stamp(event, record.received_ns)
        kinds, others, impossible = kinds_of(record.stream), events, list[str]()
        if "books" in kinds:
            others, books = self._parted(record, events, impossible)
            if unreadable:
                books += self._doubted(record, damaged)
            yield Rows("books", books)
        if self._asked is not None:
            others = self._asked.events(record.stream, others)
        if others:
            yield Rows(kinds[0], others)
        # Not before: rows that an error kept from the files leave their events where they were.
        tally.applied += len(events) - len(impossible)
        tally.rejected += len(unreadable) + len(impossible)
        tally.last_rejections.extend((*unreadable, *impossible))
        if events:
            self.last_event, tally.last_event_ns = events[-1], record.received_ns

    def _parted(
        self, record: Record, events: Sequence[Event], impossible: list[str]
    ) -> tuple[list[Event], list[BookLevelRow]]:
        """The events that are rows themselves, and the rows of those about books; `impossible` gets sentences."""
        others: list[Event] = []
        rows: list[BookLevelRow] = []
        for place, event in enumerate(events):
            if not isinstance(event, BookUpdate):
                others.append(event)
            elif more := self.books.rows_of(record.stream, event, place):
                rows += more
            else:
                impossible.append(f"{event.symbol}: a level of its book that cannot be")
                rows += self._doubted(record, (event.symbol,))
        return others, rows

    def _doubted(self, record: Record, symbols: Iterable[str]) -> list[BookLevelRow]:
        reason = "A message of its could not be read."
        return self.books.doubt(record.stream, symbols, reason, record.received_ns)
