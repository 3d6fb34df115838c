"""What a recording must hold: every quote that was received once, or a row of the ledger that tells of its loss."""

from __future__ import annotations

import csv
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from options_helper.data.recording.loss_log import JOURNAL_LOST, KILLED, NOTE_UNREADABLE, LossRow, loss_rows
from options_helper.data.recording.verify import audit
from tests.days.clocks import NS
from tests.days.product.streams import Heard
from tests.days.stage import Stage
from tests.days.world.network import Lost, Message

# A dead connection is noticed this much later at the latest: who ends in order before that does not know what it lost.
UNDETECTED_NS: Final = 17 * NS
# The last that a journal has of a process that was killed is no older.
UNJOURNALED_SECONDS: Final = 10.0
# What a recording says of itself that does not add up, and is so.
TRUE_PROBLEMS: Final = (
    "dropped: the queue was full",
    "the capture ended before there was a connection",
    "refused the stocks connection with HTTP 503",
)


@dataclass(frozen=True, slots=True)
class Quote:
    """One quote of one stream, and when it was received, or was lost, by the computer's clock."""

    stream: str
    symbol: str
    made_ns: int
    wall_ns: int


@dataclass(frozen=True, slots=True)
class Life:
    """One process of it, in true time, and by how much its clock was ahead as it began."""

    session: str
    since_ns: int
    until_ns: int
    offset_ns: int
    is_noted: bool = True  # its journal says how long it was: nobody set its clock, and the disk took all

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return (self.until_ns - self.since_ns) / NS


class RecorderOracle(Heard):
    """Knows what reached the recorder, and what did not."""

    def __init__(self, stage: Stage, *, journal: bool) -> None:
        self._stage = stage
        self._has_journal = journal
        self.received: list[Quote] = []
        self.dropped: list[Quote] = []
        self.unheard: list[Quote] = []
        # Of the computer's clock, whichever of them a gap is told on: one that was open as it was set is told anew.
        self._offsets_ns = [0]
        # Of its processes, by the computer's clock; those that were killed have the next one tell of their end.
        self._ends: list[int] = []
        self.is_robbed = False  # somebody deleted files of it
        self._begins: list[int] = []
        self._lives: list[Life] = []

    def frame(self, stream: str, message: Message, *, kept: bool) -> None:
        """Handed over to the queue."""
        self._note_clock()
        if message.readable:
            wall_ns = self._stage.clocks.wall_ns()
            quotes = [Quote(stream, one.symbol, one.made_ns, wall_ns) for one in message.quotes]
            (self.received if kept else self.dropped).extend(quotes)

    def lost(self, stream: str, lost: Lost) -> None:
        """Sent to the recorder, which did not hear it, or was not there."""
        self._note_clock()
        self.unheard.append(Quote(stream, lost.what, lost.true_ns, lost.wall_ns))

    def _note_clock(self) -> None:
        offset_ns = self._stage.clocks.offset_ns
        if all(abs(offset_ns - known_ns) > NS // 4 for known_ns in self._offsets_ns):
            self._offsets_ns.append(offset_ns)

    def ended(self, stream: str, why: str, *, by_us: bool) -> None:
        """A connection is over."""

    def process_began(self, session: str) -> None:
        """It connects within a second, where nothing keeps it from that."""
        self._note_clock()
        clocks = self._stage.clocks
        self._begins.append(clocks.wall_ns())
        self._lives.append(Life(session, clocks.true_ns, clocks.true_ns, clocks.offset_ns))

    def process_ended(self) -> None:
        """It is gone, in order or not."""
        clocks, life = self._stage.clocks, self._lives[-1]
        is_noted = life.is_noted and life.offset_ns == clocks.offset_ns
        self._lives[-1] = replace(life, until_ns=clocks.true_ns, is_noted=is_noted)

    def disk_is_full(self) -> None:
        """What a process writes down is behind what it did."""
        self._lives[-1] = replace(self._lives[-1], is_noted=False)

    def process_stopped(self) -> None:
        """It ended in order, and no other comes after it."""
        self._ends.append(self._stage.clocks.wall_ns())
        self.process_ended()

    def broken_law(self, root: Path) -> str | None:
        """A sentence for the first thing that a finished recording lacks or has too much; None where it is right."""
        return next(self._broken(root), None)

    def _broken(self, root: Path) -> Iterator[str]:
        rows = Counter(recorded_rows(root))
        wanted = Counter((one.stream, one.symbol, one.made_ns) for one in self.received)
        for key, count in (rows - wanted).items():
            yield f"a row too much: {key} is there {count} times more often than it was received"
        ledger = loss_rows(root)
        for quote in self.received:
            key = quote.stream, quote.symbol, quote.made_ns
            if rows[key]:
                rows[key] -= 1
            elif not self._is_told(ledger, quote) and not (self.is_robbed and audit(root).problems):
                # Who is killed before a full disk takes word of deleted files leaves that to `verify`.
                yield f"{key}, received at {quote.wall_ns}, is no row, and nothing tells of it"
        for quote in (*self.unheard, *self.dropped):
            # Of a spoiled note and no journal, with the clock set, nobody knows when that was.
            is_beyond = self.is_robbed and not self._has_journal and len(self._offsets_ns) > 1
            if not (is_beyond or self._is_told(ledger, quote) or self._is_beside_an_end(quote)):
                yield f"{quote.stream} {quote.symbol}: lost at {quote.wall_ns}, and nothing tells of it"
        yield from self._misplaced(ledger)
        if self.is_robbed or not self._has_journal:
            return  # what `verify` says of that is so, and in many words
        for problem in audit(root).problems:
            if not any(true in problem for true in TRUE_PROBLEMS):
                yield problem

    def _misplaced(self, ledger: tuple[LossRow, ...]) -> Iterator[str]:
        """What is told of a session that ended without warning is over when the next begins, and is no shorter."""
        lives = {one.session: one for one in self._lives}
        for row in ledger:
            if not any(mark in row.reason for mark in (KILLED, NOTE_UNREADABLE, JOURNAL_LOST)):
                continue
            until_ns = row.until_ns or 0
            began_ns = lives[row.session].since_ns + lives[row.session].offset_ns
            if until_ns > began_ns + NS:
                yield f"{row.stream}: a gap until {until_ns} was told at {began_ns}: {row.reason}"
            # How long one ran that kept no journal, and whose note nobody can read, nobody knows.
            known = (one.seconds for one in self._lives if one.session in row.reason and one.is_noted)
            shortest = next(known, 0.0) - UNJOURNALED_SECONDS if self._has_journal else 0.0
            if (row.seconds or 0.0) <= max(0.0, shortest):
                yield f"{row.stream}: a gap of {row.seconds} s, {row.reason}"

    def _is_told(self, ledger: tuple[LossRow, ...], quote: Quote) -> bool:
        moments = (quote.wall_ns, *(quote.made_ns + offset_ns for offset_ns in self._offsets_ns))
        return any(_told(ledger, replace(quote, wall_ns=moment)) for moment in moments)

    def _is_beside_an_end(self, quote: Quote) -> bool:
        return any(0 <= end - quote.wall_ns <= UNDETECTED_NS for end in self._ends) or any(
            0 <= quote.wall_ns - began <= NS for began in self._begins
        )


def _told(ledger: tuple[LossRow, ...], quote: Quote) -> bool:
    return any(
        str(row.stream) == quote.stream
        and row.since_ns - NS <= quote.wall_ns <= (row.until_ns or quote.wall_ns) + NS
        for row in ledger
    )


def recorded_rows(root: Path) -> Iterator[tuple[str, str, int]]:
    """Stream, symbol and the exchange's time of each row in a recording's files."""
    for kind in ("stocks", "options"):
        for path in sorted((root / kind).rglob("*.csv.gz")):
            symbol = path.parent.name.removeprefix("symbol=")
            for row in csv.DictReader(io.StringIO(_text(path))):
                yield kind, row.get("symbol", symbol), int(row["ts_ns"])


def _text(path: Path) -> str:
    """All whole members of a file: a kill may leave a piece of one at its end, until somebody writes there again."""
    left, found = path.read_bytes(), b""
    with suppress(zlib.error):  # a damaged file's rows are none; whether that is told is the question
        while left:
            member = zlib.decompressobj(wbits=31)
            text = member.decompress(left)
            if not member.eof:
                break
            found, left = found + text, member.unused_data
    return found.decode()
