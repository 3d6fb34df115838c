"""What a book risks, as columns beside the tables of what it is worth: one row for each position, structure and leg."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from operator import attrgetter
from typing import Any, Final, TypeVar

import numpy as np

from options_helper.analysis.columns import RISK_COLUMNS, Table
from options_helper.analysis.priced_lines import numbers
from options_helper.analysis.risk.book_values import BookFigures, LineRisk, SpotSource, theta_parts
from options_helper.analysis.risk.extremes import Extreme, Held
from options_helper.analysis.risk.greeks import OF_ONE_UNDERLYING, FigureState, GreekSum, GreekSums
from options_helper.analysis.risk.probability import Outlook, expected_move, probabilities_of_profit
from options_helper.analysis.risk.trade_progress import days_in_trade, percent_of_best
from options_helper.analysis.row_table import RowTable, late_table
from options_helper.model.market_hours import new_york_date
from options_helper.model.portfolio import MultiLegPosition, Portfolio, PortfolioEntry
from options_helper.model.text import format_count

V = TypeVar("V")
SUMMED: Final = ("delta", "delta_dollars", "gamma", "theta", "vega", "rho")
_PERCENT: Final = 100.0
_PER_DAY: Final = "per day"
_LEFT: Final = "time value left"


@dataclass(frozen=True, slots=True, eq=False)
class RiskTables:
    """The columns of the risk, with the rows of the tables that they stand beside."""

    positions: RowTable
    structures: RowTable
    legs: RowTable


def risk_tables(portfolio: Portfolio, book: BookFigures) -> RiskTables:
    """The columns of `RISK_COLUMNS` for the tables of this portfolio, whose risk `book` is."""
    lines_of: dict[str, list[LineRisk]] = defaultdict(list)
    for line in book.lines:
        lines_of[line.position_id].append(line)
    structures = portfolio.structures
    singles = [entry for entry in portfolio.positions if not isinstance(entry, MultiLegPosition)]
    outlooks = _Outlooks(book)
    of_singles = [line for entry in singles for line in lines_of[entry.id]]
    of_legs = [line for entry in structures for line in lines_of[entry.id]]
    identities = [f"{entry.id}/{place}" for entry in structures for place in range(len(lines_of[entry.id]))]
    return RiskTables(
        positions=_table(
            {**_line_columns(of_singles), **_entry_columns(singles, lines_of, book, outlooks)},
            Table.POSITION,
            [entry.id for entry in singles],
        ),
        structures=_table(
            {
                **_sum_columns(structures, lines_of, book),
                **_entry_columns(structures, lines_of, book, outlooks),
            },
            Table.STRUCTURE,
            [entry.id for entry in structures],
        ),
        legs=_table(_line_columns(of_legs), Table.LEG, identities),
    )


def _table(makers: Mapping[str, Callable[[], Any]], table: Table, identities: Sequence[str]) -> RowTable:
    return late_table(makers, table, identities, RISK_COLUMNS)


def _line_columns(lines: Sequence[LineRisk]) -> dict[str, Callable[[], Any]]:
    def figures(read: Callable[[LineRisk], float | None], times: float = 1.0) -> Callable[[], Any]:
        return lambda: times * numbers(map(read, lines))

    def words(read: Callable[[LineRisk], str | None]) -> Callable[[], Any]:
        return lambda: list(map(read, lines))

    return {
        **{name: figures(attrgetter(name)) for name in SUMMED},
        "delta_state": words(lambda line: line.delta_state.value),
        "legs_in_doubt": lambda: _in_doubt([line] for line in lines),
        "theta_is": words(_theta_is),
        "iv": figures(lambda line: line.iv, _PERCENT),
        "iv_low": figures(lambda line: line.iv_low, _PERCENT),
        "iv_high": figures(lambda line: line.iv_high, _PERCENT),
        "iv_state": words(lambda line: None if line.iv_state is None else line.iv_state.value),
        "iv_reason": words(lambda line: line.iv_reason),
        "model": words(lambda line: line.model),
        "risk_spot": figures(lambda line: line.spot),
        "risk_spot_source": words(lambda line: _word(line.spot_source)),
        "forward": figures(lambda line: line.forward),
        "rate": figures(lambda line: line.rate, _PERCENT),
        "dividends_state": words(
            lambda line: None if line.dividends_state is None else line.dividends_state.value
        ),
        "greek_age_seconds": figures(lambda line: line.greek_age_seconds),
        "second_delta": figures(lambda line: line.second_delta),
        "second_iv": figures(lambda line: line.second_iv, _PERCENT),
        "vendor_delta": figures(lambda line: line.vendor_delta),
        "vendor_iv": figures(lambda line: line.vendor_iv, _PERCENT),
        "risk_reasons": words(lambda line: " ".join(line.reasons) or None),
    }


def _word(source: SpotSource | None) -> str | None:
    return None if source is None else source.value


def _theta_is(line: LineRisk) -> str | None:
    if line.theta is None or line.iv_state is None:
        return None
    return _LEFT if line.is_last_day else _PER_DAY


def _sum_is(lines: Sequence[LineRisk]) -> str | None:
    """The same of the sum of legs, of which some may be in their last day."""
    parts = theta_parts(lines)
    if parts.time_value_left is None:
        return None if parts.per_day is None else _PER_DAY
    if parts.per_day is None:
        return _LEFT
    return f"{_PER_DAY}, with {_LEFT} in {format_count(parts.last_day_legs, 'leg')}"


def _sum_columns(
    structures: Sequence[MultiLegPosition], lines_of: Mapping[str, Sequence[LineRisk]], book: BookFigures
) -> dict[str, Callable[[], Any]]:
    """The sum of each structure's legs; none where a leg is missing in it."""
    sums = [book.sums_by_entry[entry.id] for entry in structures]
    lines = [lines_of[entry.id] for entry in structures]

    def whole(name: str) -> Any:
        return numbers(_whole(getattr(one, name), name, held) for one, held in zip(sums, lines, strict=True))

    def covered(name: str) -> list[str]:
        return [getattr(one, name).coverage.words for one in sums]

    return {
        **{name: partial(whole, name) for name in SUMMED},
        "delta_state": lambda: [_state_of(one).value for one in sums],
        "theta_is": lambda: [_sum_is(held) for held in lines],
        "risk_spot": lambda: numbers(_same({line.spot for line in held}) for held in lines),
        "risk_spot_source": lambda: [_word(_same({line.spot_source for line in held})) for held in lines],
        "legs_in_doubt": lambda: _in_doubt(lines),
        **{f"{name}_coverage": partial(covered, name) for name in ("delta", "gamma", "theta", "vega", "rho")},
        "greek_age_seconds": lambda: numbers(
            max((line.greek_age_seconds for line in held if line.greek_age_seconds is not None), default=None)
            for held in lines
        ),
    }


def _in_doubt(rows: Iterable[Sequence[LineRisk]]) -> Any:
    """Of how many lines of each row the quantity is; none where it is of none."""
    return numbers(
        sum(line.quantity_in_doubt and not line.has_ended for line in held) or None for held in rows
    )


def _same(values: set[V]) -> V | None:
    """What all have; None where they have several."""
    return next(iter(values)) if len(values) == 1 else None


def _whole(one: GreekSum, name: str, lines: Sequence[LineRisk]) -> float | None:
    """The amount, where nothing is missing in it and it is of one thing."""
    if one.missing or all(line.has_ended for line in lines):
        return None
    several = len({line.underlying for line in lines}) > 1
    return None if several and name in OF_ONE_UNDERLYING else one.amount


def _state_of(sums: GreekSums) -> FigureState:
    delta = sums.delta
    if delta.missing or delta.amount is None:
        return FigureState.UNKNOWN
    return FigureState.BOUND if delta.coverage.bound else FigureState.OK


def _entry_columns(
    entries: Sequence[PortfolioEntry],
    lines_of: Mapping[str, Sequence[LineRisk]],
    book: BookFigures,
    outlooks: _Outlooks,
) -> dict[str, Callable[[], Any]]:
    held_as = {one.name: one for one in book.extremes.entries}
    held = [held_as.get(entry.id) for entry in entries]
    ended = [book.extremes.ended.of_entry(entry.id) for entry in entries]
    worst = [gone.alone if one is None else one.worst for one, gone in zip(held, ended, strict=True)]
    best = [gone.alone if one is None else one.best for one, gone in zip(held, ended, strict=True)]

    @cache
    def outlook_of() -> list[_Expiry | None]:
        return [outlooks.of(lines_of[entry.id]) for entry in entries]

    def days() -> list[int | None]:
        today = new_york_date(book.as_of)
        return [days_in_trade(entry, today) for entry in entries]

    return {
        "percent_of_max": lambda: numbers(
            None if most is None else percent_of_best(book.profits.unrealized.get(entry.id), most)
            for entry, most in zip(entries, best, strict=True)
        ),
        **_limit_columns("max_loss", worst),
        "max_loss_until": lambda: [None if one is None else one.until for one in worst],
        "max_loss_given": lambda: [(one and one.given_words) or None for one in worst],
        **_limit_columns("max_profit", best),
        "probability_of_profit": lambda: _PERCENT * numbers(_chances(held, outlook_of())),
        "expected_move": lambda: numbers(None if one is None else one.move for one in outlook_of()),
        "limits_without": lambda: [", ".join(gone.labels) or None for gone in ended],
        "days_in_trade": days,
    }


def _limit_columns(name: str, limits: Sequence[Extreme | None]) -> dict[str, Callable[[], Any]]:
    return {
        name: lambda: numbers(None if one is None else one.amount for one in limits),
        f"{name}_state": lambda: [None if one is None else one.limit.value for one in limits],
    }


def _chances(held: Sequence[Held | None], expiries: Sequence[_Expiry | None]) -> list[float | None]:
    """How likely each wins, those that end together at once."""
    found: list[float | None] = [None] * len(held)
    together: dict[int, tuple[_Expiry, dict[int, Held]]] = {}
    for place, (one, expiry) in enumerate(zip(held, expiries, strict=True)):
        if one is not None and expiry is not None:
            together.setdefault(id(expiry), (expiry, {}))[1][place] = one
    for expiry, several in together.values():
        chances = probabilities_of_profit(tuple(several.values()), expiry.outlook)
        for place, chance in zip(several, chances, strict=True):
            found[place] = chance.value
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Expiry:
    """What the market says of one underlying at one end."""

    outlook: Outlook
    move: float | None  # dollars per share to either side


class _Outlooks:
    """What all legs of the book on one underlying say together of each end, for those who ask after it."""

    def __init__(self, book: BookFigures) -> None:
        self._book = book
        self._known: dict[tuple[str, float], _Expiry] = {}

    @cached_property
    def _options(self) -> list[LineRisk]:
        return [line for line in self._book.lines if line.iv_state is not None]

    @cached_property
    def _years(self) -> dict[int, float]:
        return dict(zip(map(id, self._options), self._book.scenario.terms.years.tolist(), strict=True))

    @cached_property
    def _strikes(self) -> dict[int, float]:
        return dict(zip(map(id, self._options), self._book.scenario.terms.strike.tolist(), strict=True))

    @cached_property
    def _of_end(self) -> Mapping[tuple[str, float], Sequence[LineRisk]]:
        found: dict[tuple[str, float], list[LineRisk]] = defaultdict(list)
        for line in self._options:
            found[line.underlying, self._years[id(line)]].append(line)
        return found

    def of(self, lines: Sequence[LineRisk]) -> _Expiry | None:
        """Of the end of these; None where they have none, or several."""
        ends = {(line.underlying, self._years[id(line)]) for line in lines if id(line) in self._years}
        if len(ends) != 1:
            return None
        (end,) = ends
        if end not in self._known:
            self._known[end] = self._judge(*end)
        return self._known[end]

    def _judge(self, underlying: str, years: float) -> _Expiry:
        legs = self._of_end[underlying, years]
        forward = next((line.forward for line in legs if line.forward is not None), None)
        outlook = Outlook(
            forward,
            years,
            np.array([self._strikes[id(line)] for line in legs]),
            numbers(line.iv for line in legs),
        )
        return _Expiry(outlook, expected_move(legs[0].spot, outlook, None).simple)
