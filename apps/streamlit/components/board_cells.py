"""What stands in the cells of the page's table: texts, tones and tooltips, each from the snapshot's tables.

Pure: rows in, cells out. A column is declared once, in `options_helper.analysis.columns`; here is how its kind is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final, TypeAlias

from apps.streamlit.components.board_cell import EMPTY, ROUGHLY, Cell, written
from apps.streamlit.components.board_columns import BoardColumn
from apps.streamlit.components.board_risk import RiskCells
from apps.streamlit.components.board_rows import Ref, Row, RowKind, Tables, closed_today, units
from apps.streamlit.components.formatting import age
from options_helper.analysis.columns import ACCOUNT_COLUMN, Column, Kind, Table
from options_helper.analysis.grades import Grade
from options_helper.analysis.marks import MarkSource, QuoteWarning
from options_helper.analysis.totals import Tally
from options_helper.live.attention import GRAVE_WARNINGS, worth_saying
from options_helper.live.screen import ScreenModel
from options_helper.model.account import Source
from options_helper.model.alpaca_symbols import is_coin_pair
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import new_york_date, session_before
from options_helper.model.text import format_count, price_text

PILLS_AT_MOST: Final = 2
# Of a pill, and of a letter in it, as board.css has them.
PILL_PIXELS: Final = 20
PILL_GAP_PIXELS: Final = 4  # within those, after each; the last needs none
PILL_CHARACTER_PIXELS: Final = 4.9
CELL_PADDING_PIXELS: Final = 16
SPARKS: Final = "▁▂▃▄▅▆▇█"
SPARKS_AT_MOST: Final = 8
STANDARD: Final = 100
SOON_DAYS: Final = 1
SOURCES: Final[Mapping[str, str]] = {MarkSource.TRADE: "last", MarkSource.BID: "bid", MarkSource.ASK: "ask"}
PERCENT_OF_COST: Final = "P&L %"
STALE: Final = frozenset({QuoteWarning.STALE_QUOTE, QuoteWarning.STALE_TRADE})


@dataclass(frozen=True, slots=True)
class Cells:
    """Everything that cells are made of, at one refresh."""

    screen: ScreenModel
    tables: Tables
    risk: RiskCells

    @property
    def hides(self) -> bool:
        """Whether amounts stay on the server."""
        return self.screen.options.preferences.hide_amounts

    def of(self, columns: Sequence[BoardColumn]) -> Callable[[Row], list[Cell]]:
        """What stands where a row and these columns meet; what a column says of itself is asked once."""
        of_line = {
            table: [
                _drawer(self, table, column.declared[table]) if table in column.declared else _nothing
                for column in columns
            ]
            for table in Table
        }
        of_several = [_several(self, column) for column in columns]
        # Where nothing has to be said against a figure, a group of one line says what its line does.
        of_one = {
            table: [
                drawn if _says_alike(column) and not self.risk.has_doubts else None
                for drawn, column in zip(of_line[table], columns, strict=True)
            ]
            for table in Table
        }

        def cells(row: Row) -> list[Cell]:
            ref = row.ref
            if ref is not None:
                return [draw(row, ref) for draw in of_line[ref.table]]
            if row.kind is RowKind.BOOK:
                return [_of_book(self, column) for column in columns]
            if row.kind is RowKind.CLOSED:
                return [self._of_closed(row, column) for column in columns]
            if len(row.parts) > 1:
                return [add_up(row) for add_up in of_several]
            (part,) = row.parts
            return [
                add_up(row) if draw is None else draw(row, part)
                for draw, add_up in zip(of_one[part.table], of_several, strict=True)
            ]

        return cells

    def number(self, row: Row, column: BoardColumn) -> float | str | None:
        """What the row is ranked by in this column; None where it has nothing."""
        ref = row.ref
        if ref is not None:
            declared = column.declared.get(ref.table)
            value = None if declared is None else _value(self, ref, declared)
            if isinstance(value, date):
                return float(value.toordinal())
            if isinstance(value, (list, tuple)):
                return float(len(value)) if value else None
            return value if isinstance(value, str) else None if value is None else float(value)
        return self._number_of_several(row, column)

    def _number_of_several(self, row: Row, column: BoardColumn) -> float | None:
        if column.heading == PERCENT_OF_COST:
            return _share(self, row.parts)
        if not column.first.sums:
            return None
        if column.first.kind is Kind.GREEK:
            return self.risk.number(row.parts, column.first)
        tally = _sum(self, row, column)
        return tally.known if tally.counted else None

    def _of_closed(self, row: Row, column: BoardColumn) -> Cell:
        if column.first is ACCOUNT_COLUMN:
            return Cell(row.account)
        if column.first.name != "day_pnl":
            return EMPTY
        one = self.screen.accounts.get(row.account)
        screen, tables = (self.screen, self.tables) if one is None else (one, one.once(Tables))
        return _amount(closed_today(screen, tables), column.first, self)


def _value(cells: Cells, ref: Ref, column: Column) -> Any:
    """The value that a drawn column stands for, else its own."""
    name = column.drawn_from[0] if column.drawn_from else column.name
    return cells.tables.value(ref, name)


Draw: TypeAlias = Callable[[Cells, Row, Ref, Column], Cell]


def _nothing(_row: Row, _ref: Ref) -> Cell:
    return EMPTY


def _drawn(cells: Cells, row: Row, ref: Ref, column: Column) -> Cell:
    return _drawer(cells, ref.table, column)(row, ref)


def _drawer(cells: Cells, table: Table, column: Column) -> Callable[[Row, Ref], Cell]:
    """How a column is drawn of the lines of one table."""
    if column.kind in (Kind.NUMBER, Kind.WHOLE):
        return _number(cells, table, column)
    if column.kind is Kind.MARK:
        return _mark(cells, table)
    draw = _DRAW.get(column.kind, _text)
    return lambda row, ref: draw(cells, row, ref, column)


def _text(cells: Cells, _row: Row, ref: Ref, column: Column) -> Cell:
    value = cells.tables.value(ref, column.name)
    return EMPTY if value is None else Cell(str(value))


def _date(cells: Cells, _row: Row, ref: Ref, column: Column) -> Cell:
    value = cells.tables.value(ref, column.name)
    return Cell(short_date(value)) if isinstance(value, date) else EMPTY


def _age(cells: Cells, _row: Row, ref: Ref, column: Column) -> Cell:
    seconds = cells.tables.value(ref, column.name)
    if seconds is None:
        return EMPTY
    stale = QuoteWarning.STALE_QUOTE in cells.tables.value(ref, "warnings")
    return Cell(age(seconds), "warning" if stale else "")


def _number(cells: Cells, table: Table, column: Column) -> Callable[[Row, Ref], Cell]:
    values = cells.tables.column(table, column.name)
    # The warning of a line says it too, at the other end of the row: a figure is read alone.
    is_doubted = column.counts_quantity and cells.risk.has_doubts
    made: dict[int, Cell] = {}  # a line may stand in two rows

    def said(ref: Ref, value: float) -> Cell:
        if column.name == "dte":
            return _days(cells, ref, int(value))
        if column.unit != "$":
            return Cell(_figure(value, column))
        cell = _amount(value, column, cells)
        return _with_doubt(cell, _whose(ref)) if is_doubted and cells.risk.is_in_doubt(ref) else cell

    def drawn(_row: Row, ref: Ref) -> Cell:
        cell = made.get(ref.place)
        if cell is None:
            value = values[ref.place]
            cell = made[ref.place] = EMPTY if value is None else said(ref, value)
        return cell

    return drawn


def _says_alike(column: BoardColumn) -> bool:
    """Whether a group of one line says what the line does: an amount, which both write in one way."""
    first = column.first
    return (
        first.sums
        and column.heading != PERCENT_OF_COST
        and all(
            (one.kind, one.unit, one.signed, one.toned) == (Kind.NUMBER, "$", first.signed, first.toned)
            for one in column.declared.values()
        )
    )


def _days(cells: Cells, ref: Ref, days: int) -> Cell:
    if cells.tables.value(ref, "grade") == Grade.ENDED:
        return Cell("ended", "warning")
    return Cell(f"{days} d", "warning" if days <= SOON_DAYS else "")


def _amount(value: float, column: Column, cells: Cells) -> Cell:
    """Whole dollars; the cents are under the pointer, unless amounts are hidden."""
    whole, cents = written(value, 0, signed=column.signed), written(value, 2, signed=column.signed)
    tone = ""
    if column.toned and cents.strip("+−0.,"):
        tone = "gain" if value > 0 else "loss"
    return Cell(whole, tone, "" if cells.hides else cents)


def _figure(value: float, column: Column) -> str:
    if column.digits is None or column.kind is Kind.WHOLE:
        sign = "+" if column.signed and value > 0 else ""
        return f"{sign}{value:,.15g}".replace("-", "−")
    digits = 1 if column.unit == "%" else column.digits
    return written(value, digits, signed=column.signed) + (" %" if column.unit == "%" else "")


def _quote(cells: Cells, _row: Row, ref: Ref, _column: Column) -> Cell:
    bid, ask = (cells.tables.value(ref, name) for name in ("bid", "ask"))
    if bid is None and ask is None:
        return EMPTY
    left, right = ("—" if one is None else price_text(one) for one in (bid, ask))
    return Cell(f"{left} × {right}")


def _mark(cells: Cells, table: Table) -> Callable[[Row, Ref], Cell]:
    """The price alone where it is a fresh streamed mid; else with its source and its age."""
    marks, sources, vias, ages, warnings = (
        cells.tables.column(table, name)
        for name in ("mark", "mark_source", "mark_via", "mark_age_seconds", "warnings")
    )
    limit = cells.screen.options.preferences.stale_after_seconds

    def drawn(_row: Row, ref: Ref) -> Cell:
        place = ref.place
        mark, source, seconds = marks[place], sources[place], ages[place]
        if mark is None:
            return EMPTY
        is_mid, is_asked = source == MarkSource.MID, vias[place] == Source.REST
        text = price_text(mark) if is_mid else f"{price_text(mark)} {SOURCES[source]}"
        if is_asked:
            text += " · REST"
        if not is_mid or is_asked or (seconds is not None and seconds > limit):
            text += f" · {age(seconds)}"
        is_doubtful = not is_mid or not STALE.isdisjoint(warnings[place])
        return Cell(text, "warning" if is_doubtful else "", _origin(source, vias[place], seconds))

    return drawn


def _is_stale(cells: Cells, ref: Ref) -> bool:
    return not STALE.isdisjoint(cells.tables.value(ref, "warnings"))


def _structure_mark(cells: Cells, row: Row, ref: Ref, _column: Column) -> Cell:
    """The price of one unit per share, as a debit or a credit; a structure with shares has one price."""
    net, words, seconds = (
        cells.tables.value(ref, name) for name in ("net_mark", "marks_from", "mark_age_seconds")
    )
    legs = [child.parts[0] for child in row.children]
    count = units(legs, cells.tables)
    multipliers = {
        cells.tables.value(leg, "multiplier")
        for leg in legs
        if cells.tables.value(leg, "option_type") is not None
    }
    if net is None or not count or multipliers != {STANDARD}:
        return EMPTY
    per_share = net / (count * STANDARD)
    has_shares = any(cells.tables.value(leg, "option_type") is None for leg in legs)
    side = "" if has_shares else " db" if per_share >= 0 else " cr"
    sources = {cells.tables.value(leg, "mark_source") for leg in legs}
    asked = any(cells.tables.value(leg, "mark_via") == Source.REST for leg in legs)
    old = seconds is not None and seconds > cells.screen.options.preferences.stale_after_seconds
    doubtful = sources != {MarkSource.MID} or any(_is_stale(cells, leg) for leg in legs)
    aged = f" · {age(seconds)}" if old or asked or doubtful else ""
    title = words or "" if seconds is None else f"{words} · {age(seconds)}"
    return Cell(f"{price_text(abs(per_share))}{side}{aged}", "warning" if doubtful else "", title)


def _origin(source: str | None, via: str | None, seconds: float | None) -> str:
    if source is None:
        return ""
    return f"{source} · {'REST · ' if via == Source.REST else ''}{age(seconds)}"


def _mark_origin(cells: Cells, _row: Row, ref: Ref, column: Column) -> Cell:
    """Which event the mark came from: "mid · 0.4 s", or "mid · REST · 12 min" where it was asked for."""
    return Cell(_origin(*(cells.tables.value(ref, name) for name in column.drawn_from)))


def _marks_origin(cells: Cells, _row: Row, ref: Ref, column: Column) -> Cell:
    """The legs' marks and the age of the oldest; without an age where a leg has no mark."""
    words, seconds = (cells.tables.value(ref, name) for name in column.drawn_from)
    if words is None:
        return EMPTY
    return Cell(words if seconds is None else f"{words} · {age(seconds)}")


def _price_origin(cells: Cells, _row: Row, ref: Ref, column: Column) -> Cell:
    via, seconds = (cells.tables.value(ref, name) for name in column.drawn_from)
    return EMPTY if via is None else Cell(f"{'REST' if via == Source.REST else 'stream'} · {age(seconds)}")


def _units(cells: Cells, row: Row, _ref: Ref, _column: Column) -> Cell:
    count = units((child.parts[0] for child in row.children), cells.tables)
    return EMPTY if count is None else Cell(f"+{count}")


def _trend(cells: Cells, _row: Row, ref: Ref, column: Column) -> Cell:
    """How the mark went over the session, as signs: a course, and no amount."""
    trend = cells.screen.trends.get(cells.tables.value(ref, column.drawn_from[0]))
    return EMPTY if not trend else Cell(sparks(trend))


def sparks(values: Sequence[float]) -> str:
    """The course of these values in a few signs, from the lowest to the highest of them."""
    newest = values[-SPARKS_AT_MOST:]
    least, span = min(newest), max(newest) - min(newest)
    top = len(SPARKS) - 1
    return "".join(SPARKS[round(top * (value - least) / span) if span else top // 2] for value in newest)


def _warnings(cells: Cells, row: Row, _ref: Ref, column: Column) -> Cell:
    return _pills(cells, row.parts, column)


def _pills(cells: Cells, refs: Sequence[Ref], column: Column) -> Cell:
    """The one or two gravest, as they have room, and how many more there are; all of them under the pointer."""
    of_each = [worth_saying(cells.tables.value(ref, "warnings"), cells.screen) for ref in refs]
    said = of_each[0]
    if len(of_each) > 1:
        of_all = dict.fromkeys(warning for of_one in of_each for warning in of_one)
        said = tuple(sorted(of_all, key=lambda warning: warning not in GRAVE_WARNINGS))
    return _pills_of(said, (column.width or 0) - CELL_PADDING_PIXELS)


@lru_cache(maxsize=1_024)  # rows have few combinations of them
def _pills_of(said: tuple[QuoteWarning, ...], room: int) -> Cell:
    shown = min(len(said), PILLS_AT_MOST)
    while shown > 1 and _pill_pixels(said, shown) > room:
        shown -= 1
    pills = [(one.label, "error" if one in GRAVE_WARNINGS else "warning") for one in said[:shown]]
    if len(said) > shown:
        pills.append((f"+{len(said) - shown}", "quiet"))
    further = ", ".join(one.label for one in said) if len(said) > shown else ""
    return Cell(title=further, pills=tuple(pills))


def _pill_pixels(said: Sequence[QuoteWarning], shown: int) -> float:
    """How wide so many of them are, and after them how many more there are."""
    rest = [f"+{len(said) - shown}"] if len(said) > shown else []
    words = [*(one.label for one in said[:shown]), *rest]
    return sum(PILL_PIXELS + PILL_CHARACTER_PIXELS * len(word) for word in words) - PILL_GAP_PIXELS


def _limit(cells: Cells, _row: Row, ref: Ref, column: Column) -> Cell:
    """The most that can be won or lost, and that a quantity in it is in doubt, as the other figures say it."""
    cell = cells.risk.limit(ref, column)
    is_number = bool(cell.text) and not cell.text[0].isalpha()
    return _with_doubt(cell, _whose(ref)) if is_number and cells.risk.is_in_doubt(ref) else cell


_DRAW: Final[Mapping[Kind, Draw]] = {
    Kind.AGE: _age,
    Kind.DATE: _date,
    Kind.QUOTE: _quote,
    Kind.NET_MARK: _structure_mark,
    Kind.UNITS: _units,
    Kind.MARK_ORIGIN: _mark_origin,
    Kind.MARKS_ORIGIN: _marks_origin,
    Kind.PRICE_ORIGIN: _price_origin,
    Kind.TREND: _trend,
    Kind.WARNINGS: _warnings,
    Kind.GREEK: lambda cells, _row, ref, column: cells.risk.figure(ref, column),
    Kind.VOLATILITY: lambda cells, _row, ref, _column: cells.risk.volatility(ref),
    Kind.LIMIT: _limit,
}


def _several(cells: Cells, column: BoardColumn) -> Callable[[Row], Cell]:
    """A group, or shares with the calls sold against them."""
    first = column.first
    if first is ACCOUNT_COLUMN:
        return lambda row: _accounts(cells, row)
    if column.heading == PERCENT_OF_COST:
        return lambda row: _percent(_share(cells, row.parts))
    if first.kind is Kind.GREEK:
        return lambda row: cells.risk.summed(row.parts, first) if first.sums else EMPTY
    if first.sums:
        return lambda row: _summed(_sum(cells, row, column), first, cells, _doubtful(cells, row, column))
    group = {Kind.MARK: _spot, Kind.QUOTE: _change}.get(first.kind)
    of_group = None if group is None else group(cells)

    def said(row: Row) -> Cell:
        if row.kind is RowKind.ENTRY:
            return _of_combined(cells, row, column)
        return EMPTY if of_group is None or row.underlying is None else of_group(row)

    return said


def _percent(share: float | None) -> Cell:
    return EMPTY if share is None else Cell(written(share, 1, signed=True) + " %")


def _accounts(cells: Cells, row: Row) -> Cell:
    """Whose it is; where it is several accounts', how many, and under the pointer which."""
    names = list(dict.fromkeys(cells.tables.value(ref, ACCOUNT_COLUMN.name) for ref in row.parts))
    return Cell(names[0]) if len(names) == 1 else Cell(f"{len(names)} accounts", "quiet", ", ".join(names))


def _of_combined(cells: Cells, row: Row, column: BoardColumn) -> Cell:
    calls = row.parts[1:]
    read = cells.tables.value
    if column.first.kind is Kind.WARNINGS:
        return _pills(cells, row.parts, column.first)
    if column.heading == "Qty":
        return Cell(written(-sum(read(call, "quantity") for call in calls), 0, signed=True))
    declared = column.declared.get(Table.POSITION)
    if column.first.name == "dte" and declared is not None:
        return _drawn(cells, row, min(calls, key=lambda ref: read(ref, "dte")), declared)
    if column.first.kind is Kind.MARK:
        return _combined_mark(cells, row)
    if column.first.name == "percent_of_max":
        share = cells.risk.progress(row.parts)
        return EMPTY if share is None else Cell(_figure(share, column.first))
    return EMPTY


def _combined_mark(cells: Cells, row: Row) -> Cell:
    """What one share and the calls against it are worth; nothing while one of them has no price."""
    values = [cells.tables.value(ref, "market_value") for ref in row.parts]
    shares = cells.tables.value(row.parts[0], "quantity")
    if None in values or not shares:
        return EMPTY
    stale = any(_is_stale(cells, ref) for ref in row.parts)
    return Cell(
        price_text(sum(values) / shares), "warning" if stale else "", "shares less the calls, per share"
    )


def _doubtful(cells: Cells, row: Row, column: BoardColumn) -> int:
    """In how many of the parts that a sum counts a quantity is in doubt; a worse grade hides none."""
    if not cells.risk.has_doubts:
        return 0
    return sum(
        cells.risk.is_in_doubt(ref)
        for ref in row.parts
        if ref.table in column.declared
        and cells.tables.value(ref, column.declared[ref.table].name) is not None
    )


def _whose(ref: Ref) -> str:
    """That a quantity is in doubt, of a row that is one line, or of one of several legs."""
    return _in_doubt(1) if ref.table is Table.STRUCTURE else "quantity in doubt"


def _with_doubt(cell: Cell, doubt: str) -> Cell:
    said = "; ".join(filter(None, (doubt, cell.title)))
    return Cell(f"{ROUGHLY}{cell.text}", "warning", said)


def _sum(cells: Cells, row: Row, column: BoardColumn) -> Tally:
    declared, value = column.declared, cells.tables.value
    values = [value(ref, declared[ref.table].name) for ref in row.parts if ref.table in declared]
    known = [one for one in values if one is not None]
    return Tally(sum(known), len(known), len(values))


def _summed(tally: Tally, column: Column, cells: Cells, doubt: int) -> Cell:
    """A sum; what is missing from it is said beside it, and it is no gain and no loss then.

    In `doubt` of its parts the quantity is not the account's, or may not be. Prices of a lower grade say so in their
    rows; such a quantity is in every part of a sum.
    """
    if not tally.counted:
        return EMPTY
    cell = _amount(tally.known, column, cells) if column.unit == "$" else Cell(_figure(tally.known, column))
    if tally.complete and not doubt:
        return cell
    count = f"{tally.counted} of {tally.of}"
    text = cell.text if tally.complete else f"{cell.text} · {count}"
    said = (
        "" if tally.complete else f"PARTIAL: {count} known",
        _in_doubt(doubt),
        cell.title if doubt else "",
    )
    return Cell(f"{ROUGHLY if doubt else ''}{text}", "warning", "; ".join(filter(None, said)))


def _in_doubt(count: int) -> str:
    return f"{format_count(count, 'position')} with a quantity in doubt" if count else ""


def _share(cells: Cells, refs: Iterable[Ref]) -> float | None:
    """Profit in percent of what was paid or received for each; a base that cannot cancel, or None."""
    profit = base = 0.0
    for ref in refs:
        if ref.table is Table.STRUCTURE:
            of_one, paid = (cells.tables.value(ref, name) for name in ("net_pnl_abs", "net_debit"))
        else:
            of_one = cells.tables.value(ref, "pnl_abs")
            parts = [cells.tables.value(ref, name) for name in ("cost_basis", "quantity", "multiplier")]
            paid = None if None in parts else parts[0] * parts[1] * parts[2]
        if of_one is None or paid is None:
            return None
        profit, base = profit + of_one, base + abs(paid)
    return 100 * profit / base if base else None


def _spot(cells: Cells) -> Callable[[Row], Cell]:
    """The underlying's price, which lines on it have; older than the threshold, with its age."""
    of_tables = {
        table: [
            cells.tables.column(table, name)
            for name in ("underlying_price", "underlying_age_seconds", "underlying_via")
        ]
        for table in Table
    }
    limit = cells.screen.options.preferences.stale_after_seconds

    def drawn(row: Row) -> Cell:
        for table, place in row.parts:
            price, seconds, via = (column[place] for column in of_tables[table])
            if price is None:
                continue
            title = (
                "" if seconds is None else f"{'REST' if via == Source.REST else 'stream'} · {age(seconds)}"
            )
            is_old = seconds is not None and seconds > limit
            aged = f" · {age(seconds)}" if is_old else ""
            doubtful = is_old and cells.risk.is_moving(str(row.underlying))
            return Cell(f"{price_text(price)}{aged}", "warning" if doubtful else "", title)
        return EMPTY

    return drawn


def _change(cells: Cells) -> Callable[[Row], Cell]:
    """The underlying's own change since the close of the session before; nothing where that is not known.

    A coin's is since midnight in New York.
    """
    snapshot, prices = (
        cells.screen.snapshot,
        {table: cells.tables.column(table, "underlying_price") for table in Table},
    )
    today = new_york_date(snapshot.as_of)
    last_session, yesterday = session_before(today, snapshot.told_sessions), today - timedelta(days=1)

    def drawn(row: Row) -> Cell:
        close = snapshot.account.closes.get(row.underlying or "")
        if close is None or not close.price:
            return EMPTY
        is_coin = is_coin_pair(close.symbol)
        if close.day != (yesterday if is_coin else last_session):
            return EMPTY
        spot = next(
            (price for table, place in row.parts if (price := prices[table][place]) is not None), None
        )
        if spot is None:
            return EMPTY
        was = float(close.price)
        percent = 100 * (spot - was) / was
        return Cell(
            f"{price_text(spot - was, '+')} · {written(percent, 2, signed=True)} %",
            "",
            f"against {price_text(was)}, "
            + ("at midnight in New York" if is_coin else f"the close of {short_date(close.day)}"),
        )

    return drawn


def _of_book(cells: Cells, column: BoardColumn) -> Cell:
    """The sums of the tiles, from the same totals; what has no sum over underlyings has none."""
    totals = cells.screen.totals
    tallies = {"day_pnl": totals.day, "pnl_abs": totals.pnl, "pnl_natural_abs": totals.pnl_natural}
    if column.heading == PERCENT_OF_COST:
        return _percent(totals.pnl_pct)
    if column.first.kind is Kind.GREEK:
        return cells.risk.of_book(column.first)
    if not column.first.sums:
        return EMPTY
    every = Row("book", RowKind.GROUP, "", 1, tuple(_entries_of(cells)))
    tally = tallies.get(column.first.name)
    if tally is None:
        # An account of which nothing is known is a part that lacks.
        summed = _sum(cells, every, column)
        tally = replace(summed, of=summed.of + len(totals.holdings.without))
    return _summed(tally, column.first, cells, _doubtful(cells, every, column))


def _entries_of(cells: Cells) -> Iterable[Ref]:
    return (*cells.tables.refs(Table.POSITION), *cells.tables.refs(Table.STRUCTURE))
