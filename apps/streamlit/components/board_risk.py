"""What stands in the cells of the risk: Greeks with what they cover and how old they are, volatilities, and limits.

Pure: values of one screen in, cells out. An amount that lacks a part says so, and never counts the missing part as 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from math import fsum
from typing import Final

from msgspec import structs

from apps.streamlit.components.board_cell import EMPTY, ROUGHLY, Cell, written
from apps.streamlit.components.board_rows import Ref, Tables
from apps.streamlit.components.formatting import UNKNOWN, age
from apps.streamlit.components.risk_ages import RiskAges, oldest
from options_helper.analysis.columns import Column, Table
from options_helper.analysis.risk.book_values import LineRisk, theta_parts
from options_helper.analysis.risk.extremes import Extreme, Held, Limit, together
from options_helper.analysis.risk.greeks import OF_ONE_UNDERLYING, FigureState, GreekSum
from options_helper.analysis.risk.trade_progress import percent_of_best
from options_helper.live.screen import ScreenModel
from options_helper.model.contract_symbols import short_date
from options_helper.model.text import figure_text, named

NAMED_AT_MOST: Final = 4
WIDE_BAND: Final = 2.0  # points of volatility to either side


class RiskCells:
    """The risk of one screen, as its cells ask for it."""

    def __init__(self, screen: ScreenModel, tables: Tables) -> None:
        self._screen = screen
        self._tables = tables
        self._ages = RiskAges(screen)

    @cached_property
    def _lines_of(self) -> Mapping[str, Sequence[LineRisk]]:
        """The lines of each entry, in its order."""
        return {
            name: tuple(lines)
            for name, lines in groupby(self._screen.risk.lines, lambda line: line.position_id)
        }

    @cached_property
    def _lines_at(self) -> Mapping[Table, Sequence[LineRisk]]:
        """The line of each position and of each leg, by its place in its table."""
        positions, legs = (
            self._tables.column(Table.POSITION, "id"),
            zip(
                self._tables.column(Table.LEG, "position_id"),
                self._tables.column(Table.LEG, "leg_index"),
                strict=True,
            ),
        )
        return {
            Table.POSITION: [self._lines_of[name][0] for name in positions],
            Table.LEG: [self._lines_of[name][place] for name, place in legs],
        }

    @cached_property
    def _in_doubt(self) -> frozenset[str]:
        """The ids of the entries with a quantity in doubt."""
        return frozenset(
            line.position_id
            for line in self._screen.risk.lines
            if line.quantity_in_doubt and not line.has_ended
        )

    @cached_property
    def _held(self) -> Mapping[str, Held]:
        return {one.name: one for one in self._screen.risk.extremes.entries}

    def figure(self, ref: Ref, column: Column) -> Cell:
        """A Greek of one position, leg or structure."""
        if ref.table is Table.STRUCTURE:
            return self.summed((ref,), column)
        line = self._line(ref)
        if column.sums and (plain := self._plain(line, column)) is not None:
            return plain
        is_doubted = line.quantity_in_doubt and not line.has_ended
        doubt = "quantity in doubt" if is_doubted else ""
        if not column.sums:  # of another voice, whose age is not ours
            value = self._tables.value(ref, column.name)
            return EMPTY if value is None else Cell(*_doubted(_figure(value, column), doubt))
        value = getattr(line, column.name)
        if value is None:
            return (
                EMPTY if line.has_ended or not self._screen.priced else Cell(UNKNOWN, "quiet", _why_not(line))
            )
        is_bound = column.name.startswith("delta") and line.delta_state is FigureState.BOUND
        left = " left" if column.name == "theta" and line.is_last_day else ""
        aged = self._ages.is_old(line)
        titles = (
            doubt,
            f"a bound: {line.iv_reason}" if is_bound else "",
            "what is left of time value, not per day" if left else "",
            f"its oldest input is {age(line.greek_age_seconds)} old" if aged else "",
        )
        return Cell(
            f"{ROUGHLY if is_bound or doubt else ''}{_figure(value, column)}{left}"
            f"{_age_beside(column, [line] if aged else [])}",
            "warning" if is_bound or aged or doubt else "",
            "; ".join(filter(None, titles)),
        )

    def summed(self, refs: Iterable[Ref], column: Column) -> Cell:
        """The sum over several entries; nothing where it would be over shares of different things."""
        names = [self._tables.value(ref, "id") for ref in refs]
        alone = self._lines_of[names[0]] if len(names) == 1 else ()
        if len(alone) == 1 and (plain := self._plain(alone[0], column)) is not None:
            return plain
        total = self.total(names, column.name)
        if total is None:
            return EMPTY
        lines = [line for name in names for line in self._lines_of[name] if not line.has_ended]
        return self._total(total, column, lines)

    def of_book(self, column: Column) -> Cell:
        """The last row: what is of one underlying has no sum, and what of a theta is time value left its tile says."""
        if column.name in OF_ONE_UNDERLYING or not column.sums:
            return EMPTY
        risk = self._screen.risk
        lines = [line for line in risk.lines if not line.has_ended]
        # All that speaks against a sum of the book together would drive another column out of a laptop's table.
        return self._total(getattr(risk.sums, column.name), column, lines, parts=False)

    def total(self, names: Sequence[str], figure: str) -> GreekSum | None:
        """The sum of a figure over entries by their ids; None where it has no meaning."""
        sums = self._screen.risk.sums_by_entry
        if len(names) == 1 and (of_one := sums.get(names[0])) is not None:
            if (
                figure in OF_ONE_UNDERLYING
                and len({line.underlying for line in self._lines_of[names[0]]}) > 1
            ):
                return None
            only: GreekSum = getattr(of_one, figure)
            return only
        underlyings = {line.underlying for name in names for line in self._lines_of.get(name, ())}
        if figure in OF_ONE_UNDERLYING and len(underlyings) != 1:
            return None
        return GreekSum.joined([getattr(sums[name], figure) for name in names if name in sums])

    def number(self, refs: Iterable[Ref], column: Column) -> float | None:
        """What rows of several entries are ranked by."""
        total = self.total([self._tables.value(ref, "id") for ref in refs], column.name)
        return None if total is None else total.amount

    def volatility(self, ref: Ref) -> Cell:
        """The volatility of the middle and half of the band; a dash with the reason where the quote does not say it."""
        line = self._line(ref)
        if line.iv_state is None or line.has_ended:
            return EMPTY
        if line.iv is None:
            return Cell(UNKNOWN, "quiet", _why_not(line)) if self._screen.priced else EMPTY
        text = f"{100 * line.iv:.1f}"
        aged = self._ages.is_old(line)
        titles = [line.iv_reason or "", f"{age(line.greek_age_seconds)} old" if aged else ""]
        half = 0.0
        if line.iv_low is not None and line.iv_high is not None:
            half = 50 * (line.iv_high - line.iv_low)
            text += f" ±{half:.1f}"
            titles.insert(0, f"{100 * line.iv_low:.1f} at the bid, {100 * line.iv_high:.1f} at the ask")
        return Cell(text, "warning" if aged or half >= WIDE_BAND else "", "; ".join(filter(None, titles)))

    def limit(self, ref: Ref, column: Column) -> Cell:
        """The most that can be won or lost in whole dollars, or why that is no number."""
        name = self._tables.value(ref, "id")
        held, ended = self._held.get(name), self._screen.risk.extremes.ended.of_entry(name)
        if held is None:
            return EMPTY if ended.alone is None else _limit(ended.alone, "")
        if column.name.startswith("max_loss"):
            is_sure, found = (held.worst.amount or 0) > 0, held.worst
            cell = _limit(found, "no loss: at least so much is won" if is_sure else "")
        else:
            is_sure, found = (held.best.amount or 0) < 0, held.best
            cell = _limit(found, "no gain: at least so much is lost" if is_sure else "")
        if not ended.lines:
            return cell
        left = f"{len(held.lines)} of {len(held.lines) + len(ended.lines)}"
        return structs.replace(
            cell,
            text=f"{cell.text} · {left}",
            tone=cell.tone or "warning",
            title="; ".join(filter(None, (cell.title, ended.words))),
        )

    def progress(self, refs: Sequence[Ref]) -> float | None:
        """What entries that are shown as one have won, in percent of the most that they can win together."""
        names = [self._tables.value(ref, "id") for ref in refs]
        unrealized = self._screen.risk.profits.unrealized
        profits = [profit for name in names if (profit := unrealized.get(name)) is not None]
        held = [self._held[name] for name in names if name in self._held]
        if len(profits) < len(names) or len(held) < len(names):
            return None
        return percent_of_best(sum(profits), together(held).best)

    def is_moving(self, underlying: str) -> bool:
        """Whether the price of an underlying should be moving."""
        return self._ages.is_moving(underlying, is_option=False)

    @property
    def has_doubts(self) -> bool:
        """Whether a quantity of anything is in doubt."""
        return bool(self._in_doubt)

    def is_in_doubt(self, ref: Ref) -> bool:
        """Whether of a line, or of a leg in a structure, the account holds another quantity, or may."""
        if ref.table is Table.STRUCTURE:
            return self._tables.value(ref, "id") in self._in_doubt
        line = self._line(ref)
        return line.quantity_in_doubt and not line.has_ended

    def _plain(self, line: LineRisk, column: Column) -> Cell | None:
        """A figure of one line against which nothing is to be said: the same of the line and of a sum of it alone."""
        value = getattr(line, column.name)
        if value is None or line.has_ended or line.quantity_in_doubt or self._ages.is_old(line):
            return None
        if (column.name == "theta" and line.is_last_day) or (
            column.name.startswith("delta") and line.delta_state is FigureState.BOUND
        ):
            return None
        return Cell(_figure(value, column))

    def _line(self, ref: Ref) -> LineRisk:
        return self._lines_at[ref.table][ref.place]

    def _total(
        self, total: GreekSum, column: Column, lines: Sequence[LineRisk], *, parts: bool = True
    ) -> Cell:
        missing = [line for line in lines if getattr(line, column.name) is None] if total.missing else []
        if not lines or (missing and not self._screen.priced):
            return EMPTY
        if total.amount is None:
            return Cell(UNKNOWN, "quiet", f"missing: {_named(missing)}") if missing else EMPTY
        cover = total.coverage
        has = "" if not total.missing else f" · {cover.known + cover.bound} of {cover.of}"
        aged = [line for line in lines if self._ages.is_old(line)]
        left = [line for line in lines if line.is_last_day] if column.name == "theta" else []
        doubt = [line for line in lines if line.quantity_in_doubt]
        titles = (
            f"quantity in doubt: {_labels(doubt)}" if doubt else "",
            f"{column.name.removesuffix('_dollars')} {cover.words}" if not total.is_whole else "",
            ""
            if total.ends is None
            else f"between {' and '.join(_figure(end, column) for end in total.ends)}",
            f"missing: {_named(missing)}" if missing else "",
            f"of which time value left, not per day: {_named(left)}" if left else "",
            f"older than usual: {_named(aged)}, {age(oldest(aged))}" if aged else "",
            self._by_expiry(lines) if column.name == "vega" else "",
        )
        return Cell(
            f"{ROUGHLY if cover.bound or doubt else ''}{_figure(total.amount, column)}"
            f"{_left(lines, column, parts=parts)}{has}{_age_beside(column, aged)}",
            "" if total.is_whole and not aged and not doubt else "warning",
            "; ".join(filter(None, titles)),
        )

    def _by_expiry(self, lines: Iterable[LineRisk]) -> str:
        """Points of several expiries are points of several volatilities, so each stands beside the sum."""
        of_expiry: dict[str, list[LineRisk]] = {}
        for line in sorted((one for one in lines if one.expiry), key=lambda one: str(one.expiry)):
            if line.vega is not None and line.expiry is not None:
                of_expiry.setdefault(short_date(line.expiry), []).append(line)
        if len(of_expiry) < 2:
            return ""
        return ", ".join(
            f"{ROUGHLY if any(one.quantity_in_doubt for one in of_day) else ''}{day} "
            f"{written(fsum(one.vega or 0.0 for one in of_day), 0, signed=True)}"
            for day, of_day in of_expiry.items()
        )


def _doubted(text: str, doubt: str) -> tuple[str, str, str]:
    """Text, tone and tooltip of a figure, about right where there is a doubt."""
    return (f"{ROUGHLY}{text}", "warning", doubt) if doubt else (text, "", "")


def _left(lines: Iterable[LineRisk], column: Column, *, parts: bool) -> str:
    """How much of a sum of thetas is the time value left of last days, and so no rate: a phone has no pointer.

    Without the `parts` of a sum it is said of one that is nothing else.
    """
    found = theta_parts(lines) if column.name == "theta" else None
    if found is None or found.time_value_left is None:
        return ""
    if found.per_day is None:
        return " left"
    return f" · {_figure(found.time_value_left, column)} left" if parts else ""


def _age_beside(column: Column, aged: Sequence[LineRisk]) -> str:
    """The age of what is old, said once in a row."""
    return f" · {age(oldest(aged))}" if aged and column.name == "delta" else ""


def _figure(value: float, column: Column) -> str:
    """As many digits as declared, and more where a figure would come out as nothing."""
    digits = column.digits or 0
    if column.unit != "$" and value and abs(value) < 10:
        return figure_text(value, max(digits, 1), sign="+" if column.signed else "")
    return written(value, digits, signed=column.signed)


def _limit(found: Extreme, remark: str) -> Cell:
    """Whole dollars, and under the pointer the cents and the remark."""
    if found.limit is Limit.NUMBER and found.amount is not None:
        exact = written(float(found.amount), 2, signed=True)
        after = f"{found.until_words}: shares can lose more after it" if found.until else ""
        return Cell(
            " ".join(filter(None, (written(float(found.amount), 0, signed=True), found.until_words))),
            "warning" if found.until or found.given else "",
            "; ".join(filter(None, (exact, remark, after, found.given_words))),
        )
    tone = {Limit.UNDEFINED: "error", Limit.UNKNOWN: "quiet"}.get(found.limit, "")
    return Cell(found.limit.value, tone, found.reason)


def _why_not(line: LineRisk) -> str:
    return line.iv_reason or "; ".join(line.reasons) or "not known"


def _named(lines: Iterable[LineRisk]) -> str:
    return named(list(dict.fromkeys(_with_reason(lines))), NAMED_AT_MOST)


def _labels(lines: Iterable[LineRisk]) -> str:
    return named(list(dict.fromkeys(line.label for line in lines)), NAMED_AT_MOST)


def _with_reason(lines: Iterable[LineRisk]) -> Iterator[str]:
    for line in lines:
        yield f"{line.label} ({line.iv_reason})" if line.iv_reason and line.theta is None else line.label
