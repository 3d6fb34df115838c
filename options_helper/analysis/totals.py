"""The tables of one snapshot → the book in one line, which knows how much of each sum is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import fsum
from typing import Final, NamedTuple

import numpy as np

from options_helper.analysis.day_pnl import AccountDay, HeldLines, made_today, read_account_day, sum_up_day
from options_helper.analysis.deliveries import usual_instruments
from options_helper.analysis.grades import RANKS, Grade, count_words, grades_of
from options_helper.analysis.holdings import Holdings, compare_holdings
from options_helper.analysis.marks import Flags, Numbers, QuoteWarning
from options_helper.analysis.payoffs import undefined_risks
from options_helper.analysis.row_table import RowTable, flags
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot

_OF_ANOTHER_SHARE: Final = frozenset({QuoteWarning.OTHER_SHARE, QuoteWarning.CHANGES_TODAY})


@dataclass(frozen=True, slots=True)
class Tally:
    """A sum that knows how much of it is known; what is known of an incomplete one is not its total."""

    known: float
    counted: int
    of: int
    grades: tuple[Grade, ...] = ()  # of what is counted, where it is not of the first
    missing: tuple[
        str, ...
    ] = ()  # what a person calls that which is not counted, where the sum is told with names

    @property
    def caveat(self) -> str:
        """How much of what is counted is not of the first grade: "1 at best, 2 wide"; empty where all is."""
        return count_words(self.grades)

    @property
    def complete(self) -> bool:
        """Whether every part is known."""
        return self.counted == self.of

    @property
    def total(self) -> float | None:
        """The sum, or None while a part is missing."""
        return self.known if self.complete else None


class BookLine(NamedTuple):
    """One single contract, holding or leg, as far as the totals speak of it."""

    symbol: str  # in Alpaca's spelling
    label: str  # what a person calls it: AAPL 18 Dec 26 180 C
    dte: float  # days, negative after the day of expiry; NaN for shares
    is_priced: bool  # whether it has a value: a price, and what that is multiplied by
    spread_pct: float  # NaN where it is not known
    grade: Grade
    warnings: Sequence[QuoteWarning]
    has_multiplier: bool  # whether it is known what a dollar of its price is worth

    @property
    def has_ended(self) -> bool:
        """Whether it is a contract that has no price any more."""
        return self.grade is Grade.ENDED


class NearestExpiry(NamedTuple):
    """The first expiry still to come."""

    dte: int
    lines: tuple[BookLine, ...]  # what expires then, each contract once


class Carried(NamedTuple):
    """Gains and fees so far, as far as the file names them."""

    realized: float
    fees: float
    entries: int  # how many name either

    @property
    def net(self) -> float:
        """Both together."""
        return self.realized - self.fees


@dataclass(frozen=True, slots=True)
class LiveTotals:
    """The book in one line. Sums are counted by position, prices by line: each single, holding or leg."""

    pnl: Tally
    pnl_natural: Tally
    at_mark: Tally
    at_natural: Tally
    opened_for: Tally
    long_premium: Tally
    holdings: Holdings  # where file and account differ, which every sum rests on
    # Of today, counted by position; and what the file holds no more, because it was closed today.
    day: Tally
    day_realized: Tally
    day_unrealized: Tally
    closed_today: tuple[str, ...]  # symbols
    day_behind: tuple[str, ...]  # symbols whose later trades are not in today's profit
    day_reasons: tuple[str, ...]  # sentences: why what is missing of today is missing
    day_base: date | None  # the session whose close today is measured from; None: from no close
    not_believed: tuple[
        str, ...
    ]  # structures, in words, whose legs come to more or less than they can be worth
    undefined_risks: tuple[str, ...]  # ids of the positions whose loss has no end
    cash: float | None
    lines: tuple[BookLine, ...]
    carried: Carried

    @property
    def legs(self) -> int:
        """How many lines there are."""
        return len(self.lines)

    @property
    def priced_legs(self) -> int:
        """How many of them have a value."""
        return sum(line.is_priced for line in self.lines)

    @property
    def complete(self) -> bool:
        """Whether the value of every leg is known."""
        return all(line.is_priced for line in self.lines)

    @property
    def pnl_abs(self) -> float | None:
        """Unrealized profit at the mark."""
        return self.pnl.total

    @property
    def pnl_natural_abs(self) -> float | None:
        """Unrealized profit if everything were closed now, longs at the bid and shorts at the ask."""
        return self.pnl_natural.total

    @property
    def pnl_pct(self) -> float | None:
        """Profit at the mark in percent of what the positions were opened for."""
        if self.pnl.total is None or not self.opened_for.total:
            return None
        return 100 * self.pnl.total / self.opened_for.total

    @property
    def market_value(self) -> float | None:
        """All positions at the mark, shorts negative; without cash."""
        return self.at_mark.total

    @property
    def liquidation_value(self) -> float | None:
        """All positions at natural, plus the cash of the portfolio file where it names some."""
        return None if self.at_natural.total is None else self.at_natural.total + (self.cash or 0.0)

    @property
    def long_premium_paid(self) -> float | None:
        """What was paid for long options and debit structures that have not wholly expired.

        It is not what can be lost: a short's risk is not in it.
        """
        return self.long_premium.total

    @property
    def unpriced(self) -> tuple[BookLine, ...]:
        """The lines without a price that have not expired, each contract once; a split leaves one its price."""
        return _once(line for line in self._without_value if line.grade is Grade.NO_PRICE)

    @property
    def without_multiplier(self) -> tuple[BookLine, ...]:
        """The lines that have a price and no value, since nobody knows what it is multiplied by; each once."""
        return _once(
            line
            for line in self._without_value
            if line.grade is not Grade.NO_PRICE and not line.has_multiplier
        )

    @property
    def _without_value(self) -> Iterable[BookLine]:
        return (
            line
            for line in self.lines
            if not line.is_priced and not line.has_ended and _OF_ANOTHER_SHARE.isdisjoint(line.warnings)
        )

    @property
    def nearest_expiry(self) -> NearestExpiry | None:
        """The first expiry still to come; None where there is none."""
        to_come = [line for line in self.lines if line.dte >= 0 and not line.has_ended]
        first = min((line.dte for line in to_come), default=None)
        if first is None:
            return None
        return NearestExpiry(int(first), _once(line for line in to_come if line.dte == first))

    @property
    def widest_spread(self) -> BookLine | None:
        """The line that costs most to close, for its price; None where no quote has two sides in order."""
        quoted = (line for line in self.lines if line.is_priced and line.spread_pct >= 0)
        return max(quoted, key=lambda line: line.spread_pct, default=None)

    def of_grade(self, grade: Grade) -> tuple[BookLine, ...]:
        """The lines of this grade, each contract once."""
        return _once(line for line in self.lines if line.grade is grade)

    def with_warning(self, warning: QuoteWarning) -> tuple[BookLine, ...]:
        """The lines of which this is said, each contract once."""
        return _once(line for line in self.lines if warning in line.warnings)


def labels(lines: Iterable[BookLine]) -> list[str]:
    """What a person calls these lines."""
    return [line.label for line in lines]


def _once(lines: Iterable[BookLine]) -> tuple[BookLine, ...]:
    return tuple({line.label: line for line in lines}.values())


def sum_up(
    portfolio: Portfolio,
    live: LiveSnapshot,
    positions: RowTable,
    structures: RowTable,
    legs: RowTable,
    *,
    account_day: AccountDay | None = None,
    holdings: Holdings | None = None,
) -> LiveTotals:
    """Sum the tables of one snapshot; a missing part makes a total unknown, never smaller.

    `account_day` is what the account says of today, and `holdings` what it holds beside the file, where these have been
    read already.
    """
    single, structure = positions.numbers, structures.numbers
    quantity = single("quantity")
    paid = np.abs(single("cost_basis") * quantity * single("multiplier"))
    debit = structure("net_debit")
    of_positions, of_structures, of_legs = _grades(positions), _grades(structures), _grades(legs)
    # Shares have no days to expiry, and are no premium.
    may_lose = (quantity > 0) & ~np.isnan(single("dte")) & ~_ended(of_positions)
    still_running = {
        identity
        for identity, grade in zip(legs["position_id"], of_legs, strict=True)
        if grade is not Grade.ENDED
    }
    of_options = flags([not entry.has_shares for entry in portfolio.structures])
    may_lose_debit = (debit > 0) & of_options & flags([one in still_running for one in structures["id"]])
    today = sum_up_day(
        account_day or read_account_day(portfolio, live),
        _all_held_lines(positions, structures, legs, of_structures, live.as_of),
        [*positions["id"], *legs["position_id"]],
        np.array([RANKS[grade] for grade in (*of_positions, *of_legs)], dtype=np.int64),
    )
    of_day = grades_of(today.ranks)
    grades = [*of_positions, *of_structures]
    names = [*positions["words"], *structures["words"]]
    of_natural = [grade if grade.speaks_against_natural else Grade.TWO_SIDED for grade in grades]
    return LiveTotals(
        pnl=_tally(single("pnl_abs"), structure("net_pnl_abs"), grades=grades, names=names),
        pnl_natural=_tally(single("pnl_natural_abs"), structure("net_pnl_natural_abs"), grades=of_natural),
        at_mark=_tally(single("market_value"), structure("net_mark"), grades=grades),
        at_natural=_tally(single("natural_value"), structure("net_natural"), grades=of_natural, names=names),
        opened_for=_tally(paid, np.abs(debit)),
        long_premium=_tally(
            paid[may_lose],
            debit[may_lose_debit],
            grades=[
                grade if grade is Grade.QUANTITY else Grade.TWO_SIDED
                for grade, counted in zip(grades, (*may_lose, *may_lose_debit), strict=True)
                if counted
            ],
        ),
        holdings=holdings or compare_holdings(portfolio, live.account, live.told_sessions),
        day=_tally(today.realized + today.unrealized, grades=of_day),
        day_realized=_tally(today.realized),
        day_unrealized=_tally(today.unrealized),
        closed_today=today.closed,
        day_behind=today.behind,
        day_reasons=today.reasons,
        day_base=today.base_day,
        not_believed=tuple(
            words
            for words, grade in zip(structures["words"], of_structures, strict=True)
            if grade is Grade.NOT_BELIEVED
        ),
        undefined_risks=undefined_risks(
            portfolio,
            ended={*_ended_symbols(positions, of_positions), *_ended_symbols(legs, of_legs)},
            usual=usual_instruments(portfolio.instruments, live.expiry_facts.records),
        ),
        cash=portfolio.cash,
        lines=(
            *_book_lines(positions, "market_value", of_positions),
            *_book_lines(legs, "leg_value", of_legs),
        ),
        carried=_carried(portfolio),
    )


def _carried(portfolio: Portfolio) -> Carried:
    naming = [entry for entry in portfolio.positions if entry.carried is not None]
    return Carried(
        realized=fsum(entry.realized or 0.0 for entry in naming),
        fees=fsum(entry.fees or 0.0 for entry in naming),
        entries=len(naming),
    )


def _all_held_lines(
    positions: RowTable,
    structures: RowTable,
    legs: RowTable,
    of_structures: Sequence[Grade],
    as_of: datetime,
) -> HeldLines:
    disbelieved = {
        identity
        for identity, grade in zip(structures["id"], of_structures, strict=True)
        if grade is Grade.NOT_BELIEVED
    }
    of_leg = flags([identity in disbelieved for identity in legs["position_id"]])
    not_believed = np.concatenate([np.zeros(len(positions), dtype=bool), of_leg])

    def both(name: str) -> Numbers:
        return np.concatenate([positions.numbers(name), legs.numbers(name)])

    made_at = np.concatenate([positions["mark_at"], legs["mark_at"]])
    is_of_today = made_today(made_at, both("mark_age_seconds"), as_of)
    return HeldLines(
        labels=[*positions["words"], *legs["words"]],
        symbols=[*positions["live_symbol"], *legs["live_symbol"]],
        quantity=np.concatenate([positions.numbers("quantity"), legs.numbers("signed_contracts")]),
        multiplier=both("multiplier"),
        price=np.where(is_of_today & ~not_believed, both("mark"), np.nan),
        not_believed=not_believed,
    )


def _book_lines(table: RowTable, value: str, grades: Sequence[Grade]) -> Iterable[BookLine]:
    return map(
        BookLine,
        table["live_symbol"],
        table["words"],
        table.numbers("dte").tolist(),
        (~np.isnan(table.numbers(value))).tolist(),
        table.numbers("spread_pct").tolist(),
        grades,
        table["warnings"],
        (~np.isnan(table.numbers("multiplier"))).tolist(),
    )


def _ended(grades: Sequence[Grade]) -> Flags:
    return flags([grade is Grade.ENDED for grade in grades])


def _ended_symbols(table: RowTable, grades: Sequence[Grade]) -> Iterable[str]:
    return (
        symbol for symbol, grade in zip(table["live_symbol"], grades, strict=True) if grade is Grade.ENDED
    )


def _grades(table: RowTable) -> list[Grade]:
    return [Grade(word) for word in table["grade"]]


def _tally(*columns: Numbers, grades: Sequence[Grade] = (), names: Sequence[str] = ()) -> Tally:
    values = np.concatenate(columns)
    is_known = ~np.isnan(values)
    lower = [
        grade
        for grade, known in zip(grades, is_known.tolist(), strict=False)
        if known and grade is not Grade.TWO_SIDED
    ]
    known = values[is_known].tolist()
    missing = [name for name, counted in zip(names, is_known.tolist(), strict=False) if not counted]
    return Tally(fsum(known), len(known), len(values), tuple(lower), tuple(missing))
