"""What of a recorded gap history can close, when it may be asked, and what its answer is worth. Pure.

The times of a gap are the computer's, those of history the exchange's. So a margin is asked for on both sides, and what
was recorded within it is held against the answer: what is measured there is how complete the answer is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from types import MappingProxyType
from typing import Final

from options_helper.data.intraday.backfill import Stretch
from options_helper.data.recording.gap_verdict import (
    ClosingState,
    GapClosing,
    Side,
    Witness,
    closing_of,
    end_of,
)
from options_helper.data.recording.loss_log import LossRow
from options_helper.data.recording.session_notes import SessionNote
from options_helper.data.rest.history import CHANNELS
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds, utc_datetime
from options_helper.model.market_hours import NEW_YORK, new_york_date, regular_session
from options_helper.model.streams import CRYPTO, NEWS, STOCKS, Hours, StreamName
from options_helper.model.text import format_count, named

MARGIN_NS: Final = 60 * NANOSECONDS
_MINUTE_NS: Final = 60 * NANOSECONDS
# The consolidated feeds' last quarter of an hour is not told to every plan; IEX and coins are told at once.
_DELAY_NS: Final = 15 * _MINUTE_NS
# `delayed_sip` streams what happened so long ago, and history knows it as the consolidated feed.
_DELAYED_FEED: Final = "delayed_sip"
_AT_ONCE: Final = frozenset({"iex"})
# What ended just now may not be told yet, nor be in the recorder's files: a bar comes after its minute.
_SETTLED_NS: Final = 2 * _MINUTE_NS
# Invented prices, of which nobody keeps a history.
_WITHOUT_HISTORY: Final = frozenset({"test"})
# What is asked for at once stays in memory.
SLICE_NS: Final = 30 * _MINUTE_NS
# A bar is one row a minute.
_SLICE_OF_BARS_NS: Final = 6 * 60 * _MINUTE_NS
LONGEST_NS: Final = 24 * 60 * _MINUTE_NS
_EARLIEST, _LATEST = time(4), time(20)
# These come with others, or say the same again later: their history is that of the trades and bars.
_OF_OTHERS: Final = frozenset({"updatedBars", "dailyBars", "corrections", "cancelErrors"})
_USUAL: Final = ("quotes", "trades", "bars")
# What is in the journal comes from there.
_REBUILT: Final = "stream rebuild"


@dataclass(frozen=True, slots=True)
class GapQuestion:
    """What is to be asked for one gap; `stretch` is of the exchange's time, margins included."""

    gap: LossRow
    since_ns: int  # of the gap, and of those that it overlaps with
    until_ns: int
    kind: str
    channels: tuple[str, ...]
    symbols: tuple[str, ...]
    feed: str  # as history calls it
    stretch: Stretch
    delay_ns: int = 0  # how much older than its receipt an event of this feed is
    untold: tuple[str, ...] = ()  # recorded channels that have no history
    recent_ns: int = _SETTLED_NS  # how old an event must be to be asked for
    lost: int = 0  # events that are known to be missing, of all those gaps together

    def of_another_time(self, ago_ns: int) -> GapQuestion:
        """The same, of a market whose time was so far behind the computer's, whatever its feed is called."""
        shift_ns = ago_ns - self.delay_ns
        stretch = Stretch(*(at_ns - shift_ns for at_ns in self.stretch))
        return replace(self, stretch=stretch, delay_ns=ago_ns, recent_ns=self.recent_ns + ago_ns)

    @property
    def may_be_asked_at_ns(self) -> int:
        """From when on its last margin is settled, and told to every plan; the computer's time."""
        return self.stretch.until_ns + self.recent_ns

    def stretch_of(self, channel: str) -> Stretch:
        """The stretch in which the rows of a channel are asked for."""
        return _of_whole_minutes(self.stretch) if channel == "bars" else self.stretch

    def slices(self, channel: str = "") -> Iterator[Stretch]:
        """The stretch in pieces that fit into memory, those left out in which nothing is traded."""
        longest_ns = _SLICE_OF_BARS_NS if channel == "bars" else SLICE_NS
        for open_stretch in _trading_times(self, self.stretch_of(channel)):
            since_ns = open_stretch.since_ns
            while since_ns < open_stretch.until_ns:
                yield Stretch(since_ns, min(since_ns + longest_ns, open_stretch.until_ns))
                since_ns += longest_ns

    def judged(
        self,
        now_ns: int,
        counts: Mapping[str, int],
        witnesses: Collection[Witness],
        *,
        refused: Mapping[str, str] = MappingProxyType({}),
        before: GapClosing | None = None,
    ) -> GapClosing:
        """What the answer is worth, of which these are counted: recorded, found, more, beside, unreadable.

        `refused` has the symbols whose question is refused, with the reason; `before` is what was said the last time.
        """
        lacks = list(_shortcomings(self, counts, witnesses, refused))
        state = ClosingState.PARTLY if lacks else ClosingState.CLOSED
        closing = replace(
            closing_of(self.gap, state, now_ns, ", and ".join(why for why, _ in lacks)),
            recorded=counts.get("recorded", 0),
            found=counts.get("found", 0),
            more=counts.get("more", 0),
            beside=counts.get("beside", 0),
        )
        return closing.after(before, may_pass=any(may_pass for _, may_pass in lacks))


def question_of(
    gap: LossRow,
    together: Sequence[LossRow],
    notes: Mapping[str, SessionNote],
    now_ns: int,
    *,
    ago_ns: int | None = None,
) -> GapQuestion | GapClosing | None:
    """What to ask for a gap, or that it cannot be closed, and why; None while it lasts, or where a rebuild mends it.

    `together` are the gaps that it overlaps with, itself among them (`overlapping`). A market that is played has a time
    of its own: `ago_ns` is how far behind the computer's, as it was measured.
    """
    if gap.until_ns is None or is_made_by_a_rebuild(gap):
        return None
    question = _question(gap, together, notes)
    if ago_ns is not None:
        question = question.of_another_time(ago_ns)
    if (why := _hindrance(question)) is not None:
        return closing_of(gap, ClosingState.NOT, now_ns, why)
    return question


def overlapping(ledger: Iterable[LossRow]) -> Mapping[LossRow, Sequence[LossRow]]:
    """For each gap that is over those of its stream that it overlaps with: what was heard amid them is incomplete."""
    of_streams: dict[str, list[LossRow]] = {}
    for row in sorted(ledger, key=lambda row: row.since_ns):
        if row.until_ns is not None:
            of_streams.setdefault(row.stream, []).append(row)
    found: dict[LossRow, Sequence[LossRow]] = {}
    for rows in of_streams.values():
        together: list[LossRow] = []
        until_ns = 0
        for row in rows:
            if together and row.since_ns > until_ns:
                together = []
            until_ns = max(until_ns, end_of(row)) if together else end_of(row)
            together.append(row)
            found[row] = together
    return found


def is_made_by_a_rebuild(gap: LossRow) -> bool:
    """Whether the rows of a gap are in the journal and in no file."""
    return _REBUILT in gap.reason


def _extent(gaps: Sequence[LossRow]) -> tuple[int, int]:
    return min(gap.since_ns for gap in gaps), max(map(end_of, gaps))


def _question(gap: LossRow, together: Sequence[LossRow], notes: Mapping[str, SessionNote]) -> GapQuestion:
    since_ns, until_ns = _extent(together)
    kind = _kind_of(gap.stream)
    told = CHANNELS.get(kind, ())
    captures = concerned(gap, notes)
    wanted = {channel for note in captures for channel in _channels(note, gap.stream)} - _OF_OTHERS
    feed = next((note.feeds[gap.stream] for note in captures if gap.stream in note.feeds), "")
    delay_ns = _DELAY_NS if feed == _DELAYED_FEED else 0
    return GapQuestion(
        gap,
        since_ns,
        until_ns,
        kind,
        tuple(channel for channel in told if channel in wanted),
        _symbols(gap, captures),
        "sip" if feed == _DELAYED_FEED else feed,
        Stretch(since_ns - MARGIN_NS - delay_ns, until_ns + MARGIN_NS - delay_ns),
        delay_ns,
        tuple(sorted(f"{kind} {channel}" for channel in wanted - set(told))),
        _SETTLED_NS if kind == CRYPTO.name or feed in _AT_ONCE else _DELAY_NS,
        sum(row.lost or 0 for row in together if not is_made_by_a_rebuild(row)),
    )


def _channels(note: SessionNote, stream: str) -> Sequence[str]:
    """What was recorded; a note of an earlier version does not say, and then it was what is recorded as a rule."""
    if stream in note.channels or stream not in tuple(StreamName):
        return note.channels.get(stream, ())
    return [channel for channel in StreamName(stream).kind.channels if channel in _USUAL]


def _kind_of(stream: str) -> str:
    return StreamName(stream).kind.name if stream in tuple(StreamName) else stream


def concerned(gap: LossRow, notes: Mapping[str, SessionNote]) -> list[SessionNote]:
    """The captures that heard its stream right before, amid or after it; the one that told of it comes first."""
    found = [
        note
        for note in notes.values()
        if gap.stream in note.asked
        and note.stretch[0] <= end_of(gap) + MARGIN_NS
        and (note.session == gap.session or note.stretch[1] >= gap.since_ns - MARGIN_NS)
    ]
    return sorted(found, key=lambda note: note.session != gap.session)


def _symbols(gap: LossRow, captures: Sequence[SessionNote]) -> tuple[str, ...]:
    """Those that the gap is of: all that were asked for, but for those that the server would not send."""
    refusals = [one for note in captures for one in (*note.gaps, *note.refused) if one.stream == gap.stream]
    own = next((one.symbols for one in refusals if one.symbols and _is(one, gap)), ())
    refused = {symbol for one in refusals for symbol in one.symbols}
    asked = dict.fromkeys(symbol for note in captures for symbol in note.asked[gap.stream])
    return own or tuple(symbol for symbol in asked if symbol not in refused)


def _is(refusal: Gap, row: LossRow) -> bool:
    return refusal.since_ns == row.since_ns and " ".join(refusal.reason.split()) == row.reason


def _hindrance(question: GapQuestion) -> str | None:
    """Why nothing can be asked, in words that follow a colon; None where it can."""
    if question.kind in CHANNELS and not question.symbols:
        return "nobody knows what was asked for then: the note of its session is gone or cannot be read"
    if not question.channels:
        return _without_history(question)
    if question.kind == STOCKS.name and not question.feed:
        return "the note of its session, of an earlier version, does not say of which feed it was"
    if question.feed in _WITHOUT_HISTORY:
        return f"there is no history of the {question.feed} feed"
    traded_ns = sum(one.until_ns - one.since_ns for one in question.slices())
    if traded_ns > LONGEST_NS:
        return "more than a day of trading is missing, which is to be asked for as days and not as a gap"
    return None if traded_ns else "nothing is traded at that time, so there is nothing to ask for"


def _without_history(question: GapQuestion) -> str:
    if question.kind == NEWS.name:
        return "history does not say when an article was received; the page asks for those that were missed"
    untold = " and ".join(question.untold) or f"the {question.gap.stream} stream"
    return f"there is no history of {untold}"


def _shortcomings(
    question: GapQuestion,
    counts: Mapping[str, int],
    witnesses: Collection[Witness],
    refused: Mapping[str, str],
) -> Iterator[tuple[str, bool]]:
    """What an answer lacks to close its gap, a sentence each, and whether another one may have it."""
    recorded, lacking = counts.get("recorded", 0), counts.get("recorded", 0) - counts.get("found", 0)
    if not recorded:
        yield "nothing was recorded within a minute of it that could prove the answer whole", True
    elif unproven := _unproven(question, witnesses, refused):
        yield f"no rows recorded before and after it prove the answer whole for {named(unproven)}", True
    if lacking:
        yield f"the answer lacks {format_count(lacking, 'recorded row')}, so it may lack others", True
    if unreadable := counts.get("unreadable", 0):
        yield f"{format_count(unreadable, 'row')} of the answer cannot be read", True
    if (more := counts.get("more", 0)) < question.lost:
        yield f"{format_count(question.lost, 'event')} were lost and {more:,} came back", True
    if refused:
        yield f"questions about {named(list(refused))} are refused ({next(iter(refused.values()))})", False
    if question.untold:
        yield f"there is no history of {' and '.join(question.untold)}", False


def _unproven(question: GapQuestion, witnesses: Collection[Witness], refused: Mapping[str, str]) -> list[str]:
    """The channels, of whatever symbol, and the symbols, in whatever channel, without a witness on both sides.

    An answer may end early, or be empty for one of them; the rows of the others would not show it.
    """
    of_channels = {(channel, side) for channel, _, side in witnesses}
    of_symbols = {(symbol, side) for _, symbol, side in witnesses}
    channels = [one for one in question.channels if any((one, side) not in of_channels for side in Side)]
    symbols = [one for one in question.symbols if any((one, side) not in of_symbols for side in Side)]
    return [*channels, *(symbol for symbol in symbols if symbol not in refused)]


def _of_whole_minutes(stretch: Stretch) -> Stretch:
    """From a minute earlier on: a bar has the time at which its minute began, and comes after its end."""
    return Stretch(stretch.since_ns // _MINUTE_NS * _MINUTE_NS - _MINUTE_NS, stretch.until_ns)


def _trading_times(question: GapQuestion, stretch: Stretch) -> Iterable[Stretch]:
    """Of a stretch the times at which something can be traded; nights and holidays need no question."""
    if _hours(question) not in (Hours.REGULAR, Hours.OPTIONS):
        return [stretch]
    since, until = (utc_datetime(at_ns) for at_ns in stretch)
    days = (new_york_date(since) + timedelta(days=number) for number in range((until - since).days + 2))
    open_days = (
        Stretch(*(datetime_nanoseconds(datetime.combine(day, at, NEW_YORK)) for at in (_EARLIEST, _LATEST)))
        for day in days
        if regular_session(day) is not None
    )
    met = (
        Stretch(max(day.since_ns, stretch.since_ns), min(day.until_ns, stretch.until_ns)) for day in open_days
    )
    return [one for one in met if one.since_ns < one.until_ns]


def _hours(question: GapQuestion) -> Hours:
    return StreamName(question.kind).kind.hours_of(question.feed)
