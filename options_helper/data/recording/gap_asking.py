"""Ask history what is missing of gaps that lie close together, hold it against what was recorded, and keep it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from options_helper.data.intraday.backfill import Backfill, RowTest, Stretch, replace_stretch
from options_helper.data.intraday.frames import frames_of
from options_helper.data.intraday.layout import PartitionKey, dataset_named, kind_named, parts
from options_helper.data.recording.gap_closing import GapQuestion
from options_helper.data.recording.gap_verdict import Witness
from options_helper.data.recording.joined_gaps import JoinedQuestion
from options_helper.data.recording.missed_rows import (
    Age,
    AnsweredRow,
    Comparison,
    HeardRow,
    Missed,
    expected_age,
    missed_rows,
    usual_age,
)
from options_helper.data.recording.overlap import KEY_COLUMNS, event_key, recorded_key
from options_helper.data.rest.client import AlpacaRest, batches
from options_helper.data.rest.history import (
    EVENT_TYPES,
    SYMBOLS_A_REQUEST,
    PastEvent,
    PastPage,
    PastQuery,
    past_pages,
)
from options_helper.errors import RestError
from options_helper.model.instants import NANOSECONDS

# Minutes of a symbol in one request, about: a busy one has thousands of quotes in each.
SYMBOL_MINUTES: Final = 600
# A page has ten thousand rows.
PAGES_AT_ONCE: Final = 50
_MINUTE_NS: Final = 60 * NANOSECONDS
# How a server says that it does not know a symbol; among hundreds it does not always say which.
_OF_SYMBOLS: Final = frozenset({400, 422})
# So many refused symbols before the first answer: it is no symbol's fault.
_REFUSED_AT_MOST: Final = 3


class Allowance:
    """How much may be asked in one run: so many requests, and nothing more once something else has to be done."""

    def __init__(self, most: int, gives_way: Callable[[], bool]) -> None:
        self._most = most
        self._gives_way = gives_way
        self.requests = 0

    @property
    def is_spent(self) -> bool:
        """Whether the rest is for another run."""
        return self.requests >= self._most or self._gives_way()


class OfHole(msgspec.Struct):
    """What was counted so far of one hole, and which recorded rows beside it the answers have."""

    counts: dict[str, int] = {}
    witnesses: set[Witness] = set()

    def add(self, other: OfHole) -> None:
        """Count what another answer says of it, too."""
        self.counts = {
            name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in self.counts | other.counts
        }
        self.witnesses |= other.witnesses


class AskedSoFar(msgspec.Struct):
    """How far a question has been asked, and what its answers were worth so far."""

    question: str  # which, by `JoinedQuestion.name`
    done: int = 0  # queries, in their order
    of_holes: list[OfHole] = []
    ages: dict[str, Age] = {}  # of recorded rows, by channel
    refused: dict[str, str] = {}  # symbols that nobody knows, with what was said of them


class _Query(NamedTuple):
    channel: str
    piece: Stretch
    symbols: tuple[str, ...]

    @property
    def has_halves(self) -> bool:
        """Whether it can be asked in two parts."""
        return len(self.symbols) > 1 or self.piece.until_ns - self.piece.since_ns >= 2 * _MINUTE_NS

    @property
    def halves(self) -> list[_Query]:
        """Of its symbols, or of the time where it is a single one; the second one first."""
        if len(self.symbols) > 1:
            half = len(self.symbols) // 2
            return [self._replace(symbols=some) for some in (self.symbols[half:], self.symbols[:half])]
        middle_ns = (self.piece.since_ns + self.piece.until_ns) // 2
        pieces = Stretch(middle_ns, self.piece.until_ns), Stretch(self.piece.since_ns, middle_ns)
        return [self._replace(piece=piece) for piece in pieces]


class _TooMuch(Exception):
    """An answer has more pages than fit into memory."""


class _Answer(NamedTuple):
    events: list[PastEvent]
    withdrawn: list[PastEvent]


class Asking:
    """Asks one question after another, as far as the allowance goes; for one thread. `rows` counts what it added."""

    def __init__(self, root: Path, rest: AlpacaRest, now_ns: int, allowance: Allowance) -> None:
        self._root = root
        self._rest = rest
        self._now_ns = now_ns
        self._allowance = allowance
        self.rows = 0

    def ask(self, joined: JoinedQuestion, so_far: AskedSoFar) -> bool:
        """Go on with a question; whether all of it is asked.

        Blocks. RestError where it is refused, which leaves `so_far` at what was answered before; StoreError where a
        file is damaged; OSError when the disk refuses.
        """
        for query in list(_queries(joined))[so_far.done :]:
            if self._allowance.is_spent:
                return False
            self._ask_apart(joined, query, so_far)
            so_far.done += 1
        return True

    def _ask_apart(self, joined: JoinedQuestion, query: _Query, so_far: AskedSoFar) -> None:
        """Ask in halves where a symbol keeps the others from an answer; RestError where it is no symbol's fault."""
        symbols = tuple(symbol for symbol in query.symbols if symbol not in so_far.refused)
        waiting = [query._replace(symbols=symbols)] if symbols else []
        refused: dict[str, str] = {}
        answers: list[list[OfHole]] = []
        while waiting:
            some = waiting.pop()
            try:
                answers.append(self._ask(joined, some, so_far.ages))
            except _TooMuch:
                waiting += some.halves
            except RestError as error:
                if error.status not in _OF_SYMBOLS:
                    raise
                if len(some.symbols) > 1:
                    waiting += some.halves
                    continue
                refused[some.symbols[0]] = str(error).rstrip(".")
                if not answers and len(refused) == min(len(symbols), _REFUSED_AT_MOST):
                    raise
        # All of a query or nothing of it: it is asked again as a whole.
        so_far.refused |= refused
        for answer in answers:
            for of_hole, more in zip(so_far.of_holes, answer, strict=True):
                of_hole.add(more)

    def _ask(self, joined: JoinedQuestion, query: _Query, ages: dict[str, Age]) -> list[OfHole]:
        answers: dict[str, _Answer] = defaultdict(lambda: _Answer([], []))
        unreadable = 0
        for page in self._pages(joined.whole, query):
            unreadable += page.unreadable
            for event in page.events:
                # Of what was not asked for, nobody can tell whether it was heard.
                if query.piece.holds(event.timestamp_ns or 0):
                    answers[event.symbol].events.append(event)
            for event in page.withdrawn:
                answers[event.symbol].withdrawn.append(event)
        heard = {symbol: list(self._recorded(joined.whole, query, symbol)) for symbol in query.symbols}
        age = _age(joined.whole, query.channel, chain.from_iterable(heard.values()), ages)
        holes = joined.holes(query.channel)
        counted = [OfHole({"unreadable": unreadable}) for _ in holes]
        for symbol in query.symbols:
            answer = answers[symbol]
            comparison = missed_rows(
                heard[symbol],
                (AnsweredRow(event.timestamp_ns or 0, event_key(event), event) for event in answer.events),
                map(event_key, answer.withdrawn),
                holes=holes,
                piece=query.piece,
                age=age,
                others=joined.others,
            )
            self._keep(joined.whole, query, symbol, comparison)
            for of_hole, missed in zip(counted, comparison.missed, strict=True):
                of_hole.add(_counted(query.channel, symbol, missed))
        return counted

    def _pages(self, whole: GapQuestion, query: _Query) -> Iterator[PastPage]:
        """The answer, each page of which is a request; so is one that fails."""
        past = PastQuery(
            kind=whole.kind,
            channel=query.channel,
            symbols=query.symbols,
            since_ns=query.piece.since_ns,
            until_ns=query.piece.until_ns,
            feed=whole.feed,
        )
        number = 0
        try:
            for number, page in enumerate(past_pages(self._rest, past, self._now_ns), start=1):
                if number > PAGES_AT_ONCE and query.has_halves:
                    raise _TooMuch
                yield page
        except RestError:
            number += 1  # this one has no page
            raise
        finally:
            self._allowance.requests += number

    def _keep(
        self, whole: GapQuestion, query: _Query, symbol: str, comparison: Comparison[PastEvent]
    ) -> None:
        """Write what is missing, in the place of what was told of it before."""
        source = f"rest {whole.feed}".strip()
        kind, event_type = kind_named(whole.kind), EVENT_TYPES[query.channel]
        backfill = Backfill(kind, symbol, event_type, query.piece, source)
        staying = comparison.staying()
        test = RowTest(
            KEY_COLUMNS[query.channel],
            lambda values: staying.keeps(values[0], recorded_key(query.channel, values)),
        )
        self.rows += replace_stretch(self._root, backfill, comparison.events, staying=test)

    def _recorded(self, whole: GapQuestion, query: _Query, symbol: str) -> Iterator[HeardRow]:
        """The recorded rows of a piece; a foreign file has no receipt of its own."""
        dataset, columns, piece = dataset_named(query.channel), KEY_COLUMNS[query.channel], query.piece
        keys = [PartitionKey(kind_named(whole.kind), dataset, symbol, day) for day in piece.days]
        for part in chain.from_iterable(parts(self._root, key) for key in keys):
            for frame in frames_of(part, (*columns, "recv_ns")):
                rows = frame[(frame["ts_ns"] >= piece.since_ns) & (frame["ts_ns"] < piece.until_ns)]
                if "recv_ns" not in rows:
                    rows = rows.assign(recv_ns=rows["ts_ns"] + whole.delay_ns)
                rows = rows.reindex(columns=["recv_ns", *columns]).astype(object)
                for received_ns, *values in rows.where(rows.notna(), None).itertuples(index=False, name=None):
                    key = recorded_key(query.channel, values)
                    yield HeardRow(received_ns or values[0] + whole.delay_ns, values[0], key)


def _queries(joined: JoinedQuestion) -> Iterator[_Query]:
    """What is to be asked for a question, always in the same order: it may be gone on with in another run."""
    whole = joined.whole
    for channel in whole.channels:
        for piece in whole.slices(channel):
            for symbols in batches(whole.symbols, _symbols_at_once(whole, channel, piece)):
                yield _Query(channel, piece, tuple(symbols))


def _symbols_at_once(whole: GapQuestion, channel: str, piece: Stretch) -> int:
    most = SYMBOLS_A_REQUEST[whole.kind]
    if channel == "bars":
        return most
    minutes = 1 + (piece.until_ns - piece.since_ns) // _MINUTE_NS
    return max(1, min(most, SYMBOL_MINUTES // minutes))


def _age(whole: GapQuestion, channel: str, heard: Iterable[HeardRow], ages: dict[str, Age]) -> Age:
    """Of rows that are received: as heard here, or else where the same channel was heard, or others of the stream."""
    if (age := usual_age(channel, list(heard))) is not None:
        ages[channel] = age
    if channel in ages:
        return ages[channel]
    ticks = next((age for of, age in ages.items() if of != "bars"), None)
    return expected_age(channel, whole.delay_ns if ticks is None else ticks.usual_ns)


def _counted(channel: str, symbol: str, missed: Missed[PastEvent]) -> OfHole:
    counts = {
        "recorded": missed.recorded,
        "found": missed.found,
        "more": len(missed.rows),
        "beside": missed.beside,
    }
    return OfHole(counts, {(channel, symbol, side) for side in missed.sides})
