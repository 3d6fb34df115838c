"""Keep what a book was, step after step, so that a profit since Start or a later moment can be put to its causes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

from options_helper.analysis.risk.book_reading import held_lines, reading_of
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.change_subject import DayProfits, day_profits, has_closed_line, keys_of
from options_helper.analysis.risk.fill_costs import DayTrades, FillCosts
from options_helper.analysis.risk.readings import Reading
from options_helper.analysis.risk.what_changed import Change, Strip, begin, change_of, fold, is_due, of_day
from options_helper.model.market_hours import NEW_YORK, new_york_date

STEPS_AT_MOST: Final = 500  # a session's minutes and some; of 250 legs some 12 MB


@dataclass(frozen=True, slots=True, eq=False)
class ChangeRecord:
    """What was kept up to now; a copy that nobody changes any more."""

    strip: Strip  # since the first reading, up to the last step
    steps: tuple[Reading, ...]  # oldest first; with a long session those of its beginning are gone
    newest: Reading
    profits: DayProfits  # of the newest

    @property
    def moments(self) -> tuple[datetime, ...]:
        """From when on a change can be told, beside since the first reading."""
        return tuple(step.at for step in self.steps)

    def since(self, moment: datetime | None) -> Strip:
        """The change since the first step at or after that moment, up to now; None: since the first reading of all."""
        if moment is None:
            return fold(self.strip, self.newest)
        steps = [step for step in self.steps if step.at >= moment] or [self.newest]
        strip = begin(steps[0])
        for step in (*steps[1:], self.newest):
            strip = fold(strip, step)
        return strip

    def of(self, subject: str, since: datetime | None) -> Change:
        """The change of the book, of an underlying or of an entry, since then."""
        strip = self.since(since)
        return change_of(strip, keys_of(strip.last, subject))

    def today(self, subject: str) -> Change | None:
        """The day's profit of it, split since Start, or since the first step of the day in a run that is older.

        None where the day's profit is not known.
        """
        profit = self.profits.of.get(subject)
        if profit is None or has_closed_line(self.newest, subject):
            return None
        day = new_york_date(self.newest.at)
        midnight = datetime.combine(day, time(), NEW_YORK)
        return of_day(self.of(subject, None if self.strip.since >= midnight else midnight), profit)


class ChangeHistory:
    """The steps of one run. Knows no thread: its owner guards it."""

    def __init__(self, steps_at_most: int = STEPS_AT_MOST) -> None:
        self._strip: Strip | None = None
        self._steps: deque[Reading] = deque(maxlen=steps_at_most)
        self._newest: Reading | None = None
        self._costs = FillCosts()
        self._profits: DayProfits | None = None

    def record(self) -> ChangeRecord | None:
        """What is kept; None before the first reading."""
        if self._strip is None or self._newest is None or self._profits is None:
            return None
        return ChangeRecord(self._strip, tuple(self._steps), self._newest, self._profits)

    def add(
        self, book: BookFigures, trades: DayTrades | None, *, is_heard: bool, was_lost: bool = False
    ) -> None:
        """Note what the book is; a step is made of it when one is due.

        Where the streams cannot be heard (not `is_heard`) it has no marks, and where they were lost and found since it
        was noted last (`was_lost`) what lay between is a gap. `trades` are the executions in this book, None where they
        are not known. A book that is older than the last step is passed over.
        """
        if self._strip is not None and book.as_of < self._strip.until:
            return
        reading = reading_of(book) if is_heard else reading_of(book).unheard()
        self._costs, reading = self._costs.priced(reading, held_lines(book), trades)
        if was_lost and self._strip is not None:
            self._step(reading.unheard())
        self._newest, self._profits = reading, day_profits(book, trades)
        if self._strip is None:
            self._strip = begin(reading)
            self._steps.append(reading)
        elif was_lost or is_due(self._strip, reading):
            self._step(reading)

    def _step(self, reading: Reading) -> None:
        if self._strip is not None:
            self._strip = fold(self._strip, reading)
            self._steps.append(reading)
