"""What a recording must hold: every quote that was received once, or a row of the ledger that tells of its loss."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from options_helper.data.recording.loss_log import LossRow, loss_rows
from options_helper.data.recording.verify import audit
from tests.days.clocks import NS
from tests.days.product.streams import Heard
from tests.days.stage import Stage
from tests.days.world.network import Lost, Message

# A dead connection is noticed this much later at the latest: who ends in order before that does not know what it lost.
UNDETECTED_NS: Final = 17 * NS
# What a recording says of itself that does not add up, and is so.
TRUE_PROBLEMS: Final = ("dropped: the queue was full", "the capture ended before there was a connection")


@dataclass(frozen=True, slots=True)
class Quote:
    """One quote of one stream, and when it was received, or was lost, by the computer's clock."""

    stream: str
    symbol: str
    made_ns: int
    wall_ns: int


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

    def process_began(self) -> None:
        """It connects within a second, where nothing keeps it from that."""
        self._begins.append(self._stage.clocks.wall_ns())

    def process_stopped(self) -> None:
        """It ended in order, and no other comes after it."""
        self._ends.append(self._stage.clocks.wall_ns())

    def broken_law(self, root: Path) -> str | None:
        """A sentence for the first thing that a finished recording lacks or has too much; None where it is right."""
        return next(self._broken(root), None)

    def _broken(self, root: Path) -> Iterator[str]:
        rows = Counter(_rows(root))
        wanted = Counter((one.stream, one.symbol, one.made_ns) for one in self.received)
        for key, count in (rows - wanted).items():
            yield f"a row too much: {key} is there {count} times more often than it was received"
        ledger = loss_rows(root)
        for quote in self.received:
            key = quote.stream, quote.symbol, quote.made_ns
            if rows[key]:
                rows[key] -= 1
            elif not _told(ledger, quote) and not (self.is_robbed and audit(root).problems):
                # Who is killed before a full disk takes word of deleted files leaves that to `verify`.
                yield f"{key}, received at {quote.wall_ns}, is no row, and nothing tells of it"
        for quote in (*self.unheard, *self.dropped):
            if not self._is_told(ledger, quote) and not self._is_beside_an_end(quote):
                yield f"{quote.stream} {quote.symbol}: lost at {quote.wall_ns}, and nothing tells of it"
        if self.is_robbed or not self._has_journal:
            return  # what `verify` says of that is so, and in many words
        for problem in audit(root).problems:
            if not any(true in problem for true in TRUE_PROBLEMS):
                yield problem

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


def _rows(root: Path) -> Iterator[tuple[str, str, int]]:
    for kind in ("stocks", "options"):
        for path in sorted((root / kind).rglob("*.csv.gz")):
            symbol = path.parent.name.removeprefix("symbol=")
            for row in csv.DictReader(io.StringIO(_text(path))):
                yield kind, row.get("symbol", symbol), int(row["ts_ns"])


def _text(path: Path) -> str:
    try:
        return gzip.decompress(path.read_bytes()).decode()
    except (OSError, EOFError, zlib.error):
        # A damaged file's rows are none; whether that is told is the question.
        return ""
