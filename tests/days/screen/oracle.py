"""What the page says of a book on a streams day, compared with what was heard and what is so.

No figure stands as of the first grade, and no sum as whole, of which that is not true; and what is good is said to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from apps.streamlit.components.live_totals import profit_tiles
from options_helper.analysis.grades import RANKS, Grade
from options_helper.analysis.live_health import Level, book_remarks
from options_helper.analysis.totals import LiveTotals, Tally
from options_helper.data.portfolio_file import PortfolioFile
from options_helper.live.screen import Preferences, ScreenModel, State, ViewOptions, build_screen
from options_helper.live.session import LiveSession, Run, RunSettings, plan_for
from tests.days.clocks import NS
from tests.days.day import NEW_YORK
from tests.days.oracle.streams import SLACK, StreamOracle
from tests.days.product.streams import Desk
from tests.days.screen.book import NOTHING, UNSTREAMED, HeldBook, Line, Worth, some_book, total_of
from tests.days.stage import Stage

STALE_AFTER: Final = 30.0
DELAYED_AFTER: Final = 10.0
# A screen is worked out for a hundredth of what a whole day takes: so many looks at any time, and so many after a
# trouble each.
LOOKS_AT_ANY_TIME, LOOKS_AFTER_TROUBLES = 3, 5
_SAID_FOR_SECONDS: Final = 60.0
_PRICES: Final = ("stocks", "options")
_EXACT: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one line."""

    line: Line
    worth: Worth
    age: float | None  # seconds since it came; None: nothing has
    is_of_before: bool  # of another session
    is_old: bool  # that, or too old for a price of now, or long under way
    is_young: bool  # of now by any reading


Figure: TypeAlias = Callable[[Truth], float | None]


class ScreenOracle:
    """Draws the page now and then."""

    def __init__(self, stage: Stage, streams: StreamOracle, desk: Desk, troubles: Sequence[str]) -> None:
        self._stage, self._streams, self._desk = stage, streams, desk
        dice = stage.dice("screen")
        self._book: HeldBook = some_book(dice)
        portfolio = self._book.portfolio()
        self._file = PortfolioFile(Path(), "portfolio.json", portfolio=portfolio)
        self._options = ViewOptions(Preferences(stale_after_seconds=int(STALE_AFTER)), NEW_YORK)
        self._session = LiveSession(
            build_manager=lambda _: desk.manager, monotonic=stage.clocks.monotonic, now=self._wall
        )
        choices = RunSettings()
        # As `start` leaves them, which would begin threads and read the settings of whoever plays this.
        self._session._manager = desk.manager  # noqa: SLF001
        self._run = Run(choices, self._file, desk.settings, plan_for(portfolio, choices))
        length = (stage.day.until_ns - stage.day.start_ns) / NS
        wrong = [one.at for one in stage.day.troubles if one.kind in troubles]
        after = dice.sample(wrong, min(LOOKS_AFTER_TROUBLES, len(wrong)))
        self._moments = sorted(
            stage.day.at(seconds)
            for seconds in (
                *(dice.uniform(0, length) for _ in range(LOOKS_AT_ANY_TIME)),
                *(at + dice.uniform(0.5, _SAID_FOR_SECONDS) for at in after),
            )
        )

    def check(self) -> str | None:
        """A sentence for the first thing on the page that is not so, where it is time to look at it."""
        now = self._stage.clocks.true_ns
        if not self._moments or now < self._moments[0]:
            return None
        while self._moments and self._moments[0] <= now:
            del self._moments[0]
        return next(self._lies(self._draw()), None)

    def _wall(self) -> datetime:
        return datetime.fromtimestamp(self._stage.clocks.wall_ns() / NS, UTC)

    def _draw(self) -> ScreenModel:
        is_on = self._desk.manager.is_running()
        self._session._run = self._run if is_on else replace(self._run, ended="Stopped.")  # noqa: SLF001
        return build_screen(self._session, self._file, self._options, now=self._wall())

    def _lies(self, screen: ScreenModel) -> Iterator[str]:
        yield from self._lies_of_state(screen)
        if screen.snapshot.queue_depth or not self._streams.is_running:
            return
        truths = [self._truth(line) for line in self._book.lines]
        rows = [*_rows(screen.positions), *_rows(screen.legs)]
        for truth, row in zip(truths, rows, strict=True):
            if truth is not None:
                yield from self._lies_of_line(truth, row)
        known = [truth for truth in truths if truth is not None]
        if screen.headline.level is Level.OK:
            is_bare = not book_remarks(screen.totals)
            for truth in known:
                if truth.is_old or truth.worth.mark is None or (is_bare and not truth.worth.is_narrow):
                    yield f"{screen.headline.sentence!r}, and {truth.line.symbol} is {truth}"
        if len(known) == len(truths):
            yield from self._lies_of_sums(screen, known, [Grade(row["grade"]) for row in rows])

    def _lies_of_state(self, screen: ScreenModel) -> Iterator[str]:
        if screen.state is State.STOPPED:
            if self._streams.is_running:
                yield "the page says stopped, and the streams run"
            return
        if not self._streams.is_running:
            yield f"the page says {screen.state}, and nothing runs"
        gone = [name for name in (*_PRICES, "fills") if self._streams.is_gone(name)]
        if gone and screen.state is State.RUNNING:
            yield f"the page says running, and {gone} have no connection"

    def _truth(self, line: Line) -> Truth | None:
        """None where nobody can know it: it found the queue full, is not wanted, or the clock is in another session."""
        streams, stage = self._streams, self._stage
        if line.symbol == UNSTREAMED:
            return Truth(line, NOTHING, None, is_of_before=False, is_old=False, is_young=False)
        made = streams.newest.get(line.symbol)
        if made is None or line.symbol in streams.unsure or not streams.is_in_one_session():
            return None
        clocks = stage.clocks
        age = clocks.elapsed() - streams.newest_arrival[line.symbol]
        under_way = (clocks.true_ns - made.made_ns) / NS - age
        opened = [one.opens_ns for one in stage.day.sessions if one.opens_ns <= clocks.true_ns]
        is_of_before = bool(opened) and made.made_ns < opened[-1]
        is_open = streams.is_open()
        # By how much a clock that is behind is so, is known by what comes, less the time that it was under way.
        knows_time = not streams.was_behind
        return Truth(
            line,
            line.worth(made),
            age,
            is_of_before=is_open and is_of_before,
            is_old=(is_open and (age > STALE_AFTER + SLACK or is_of_before))
            or (knows_time and under_way > DELAYED_AFTER + SLACK),
            is_young=is_open
            and not streams.was_set
            and not is_of_before
            and age < STALE_AFTER - SLACK
            and under_way < DELAYED_AFTER - SLACK,
        )

    @staticmethod
    def _lies_of_line(truth: Truth, row: dict[str, Any]) -> Iterator[str]:
        symbol, worth, grade = truth.line.symbol, truth.worth, row["grade"]
        for name in ("mark", "natural"):
            if not _is_same(row[name], getattr(worth, name)):
                yield f"the {name} of {symbol} is {row[name]}, and it is worth {worth}"
        if (
            truth.age is not None
            and worth.mark is not None
            and abs(row["mark_age_seconds"] - truth.age) > SLACK
        ):
            yield f"{symbol} is said to be {row['mark_age_seconds']:.1f} s old, and is {truth.age:.1f} s"
        if grade is Grade.TWO_SIDED and (truth.is_old or not worth.is_narrow):
            yield f"{symbol} is of the first grade, and {truth}"
        if truth.is_of_before and RANKS[grade] < RANKS[Grade.OTHER_SESSION]:
            yield f"{symbol} is {grade}, and of another session"
        if grade is not Grade.TWO_SIDED and truth.is_young and worth.is_narrow:
            yield f"{symbol} is {grade}, and a price of now: {truth}"

    def _lies_of_sums(
        self, screen: ScreenModel, truths: Sequence[Truth], grades: Sequence[Grade]
    ) -> Iterator[str]:
        totals = screen.totals
        if totals.day.counted:
            yield f"of today {totals.day} is known, and no account was asked"
        for name, of_totals, figure in _SUMS:
            yield from self._lies_of_sum(name, of_totals(totals), truths, figure)
        parts = self._each(truths, _gain)
        graded = self._each_entry(grades, lambda some: all(one is Grade.TWO_SIDED for one in some))
        doubtful = sum(part is not None and not good for part, good in zip(parts, graded, strict=True))
        if len(totals.pnl.grades) != doubtful:
            yield f"the profit of the book says {totals.pnl.caveat!r}, and its lines are {grades}"
        yield from _lies_of_tile(screen, totals.pnl)

    def _lies_of_sum(self, name: str, tally: Tally, truths: Sequence[Truth], figure: Figure) -> Iterator[str]:
        parts = self._each(truths, figure)
        known = [part for part in parts if part is not None]
        is_told = (tally.counted, tally.of, tally.total is None) == (
            len(known), len(parts), len(known) < len(parts),
        )  # fmt: skip
        if not is_told or not _is_same(tally.known, sum(known)):
            yield f"the {name} of the book is {tally}, and its parts are {parts}"
        ages = self._each_entry(truths, lambda some: any(one.is_old for one in some))
        old = sum(part is not None and is_old for part, is_old in zip(parts, ages, strict=True))
        if len(tally.grades) < old:
            yield f"the {name} of the book says {tally.caveat!r} of {old} old prices"

    def _each(self, truths: Sequence[Truth], figure: Figure) -> list[float | None]:
        return self._each_entry(truths, lambda some: total_of(map(figure, some)))

    def _each_entry(self, of_lines: Sequence[Any], figure: Callable[[Sequence[Any]], Any]) -> list[Any]:
        """Of the lines of each entry together."""
        left = iter(of_lines)
        return [figure([next(left) for _ in entry.lines]) for entry in self._book.entries]


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    return cast("Iterator[dict[str, Any]]", table.rows(("mark", "natural", "mark_age_seconds", "grade")))


def _gain(one: Truth, price: float | None = None) -> float | None:
    price = one.worth.mark if price is None else price
    return None if price is None or one.line.cost is None else (price - one.line.cost) * one.line.dollars


def _gain_if_closed(one: Truth) -> float | None:
    return None if one.worth.natural is None else _gain(one, one.worth.natural)


def _value(one: Truth) -> float | None:
    return None if one.worth.mark is None else one.worth.mark * one.line.dollars


def _value_if_closed(one: Truth) -> float | None:
    return None if one.worth.natural is None else one.worth.natural * one.line.dollars


_SUMS: Final[tuple[tuple[str, Callable[[LiveTotals], Tally], Figure], ...]] = (
    ("profit", lambda totals: totals.pnl, _gain),
    ("profit if closed", lambda totals: totals.pnl_natural, _gain_if_closed),
    ("worth", lambda totals: totals.at_mark, _value),
    ("worth if closed", lambda totals: totals.at_natural, _value_if_closed),
)


def _is_same(said: float | None, real: float | None) -> bool:
    return said is real if said is None or real is None else abs(said - real) < _EXACT


def _lies_of_tile(screen: ScreenModel, pnl: Tally) -> Iterator[str]:
    """What stands on the page itself."""
    tile = next(one for one in profit_tiles(screen) if one.name == "Unrealized P&L")
    partial = f"PARTIAL: {pnl.counted} of {pnl.of} positions" if pnl.counted < pnl.of else ""
    if pnl.counted and (partial not in tile.caveat or pnl.caveat not in tile.caveat):
        yield f"the tile says {tile.caveat!r} of {pnl}"
