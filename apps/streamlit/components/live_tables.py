"""Show the positions and structures: what is held, what it is worth, from which event, and what speaks against it.

Row order never changes between refreshes, because the browser keeps a selection by its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from math import gcd, isnan
from typing import TYPE_CHECKING, Any, Final, TypeAlias, assert_never

import streamlit as st

from apps.streamlit.components.formatting import UNKNOWN, age, arrow, plain
from apps.streamlit.components.live_focus import keep_legs_in_view
from apps.streamlit.components.style import (
    ROW_PIXELS,
    ArrowTable,
    Palette,
    arrow_table,
    palette,
    pixels_for,
    table_height,
)
from options_helper.analysis.columns import (
    COLUMNS,
    CSV_COLUMNS,
    Column,
    Kind,
    Table,
    amount_names,
    page_columns,
)
from options_helper.analysis.marks import QuoteWarning
from options_helper.live.attention import GRAVE_WARNINGS, worth_saying
from options_helper.live.screen import ScreenModel
from options_helper.model.account import Source
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import new_york_date
from options_helper.model.streams import StreamName

if TYPE_CHECKING:
    from pandas import DataFrame

MAX_ROWS: Final = 14
PILLS_AT_MOST: Final = 2  # a third is cut off by the cell's edge
MOST_DIGITS: Final = 6  # behind the point: more is the noise of a computation
ColumnConfig = Mapping[str, Any]
Draw: TypeAlias = Callable[["DataFrame", Column, ScreenModel], Any]


def positions_table(screen: ScreenModel) -> None:
    """Draw single contracts and shares."""
    if screen.positions.empty:
        st.caption("No single contracts or shares in this portfolio.")
        return
    _draw_table(
        positions_frame(screen),
        Table.POSITION,
        screen,
        key="positions-table",
        alt="Single contracts and shares",
    )
    _say_further_warnings(screen.positions, screen)


def structures_table(screen: ScreenModel) -> None:
    """Draw the structures, and the legs of the one selected."""
    if screen.structures.empty:
        st.caption("No multi-leg structures in this portfolio.")
        return
    # A new key lets go of a selection that pointed into another portfolio.
    key = f"structures-{hash(tuple(screen.structures['id']))}"
    chosen = _draw_selectable_table(
        structures_frame(screen), Table.STRUCTURE, screen, key=key, alt="Structures"
    )
    if chosen is None:
        st.caption("Select a structure to see its legs.")
        keep_legs_in_view(None, 0)
    else:
        _draw_legs(screen, chosen)
    _say_further_warnings(screen.structures, screen)


def _draw_legs(screen: ScreenModel, chosen: int) -> None:
    """The legs of this row, directly below its table, and in view when they are news."""
    identity = screen.structures["id"].iloc[chosen]
    legs = legs_frame(screen.legs[screen.legs["position_id"] == identity], screen)
    with st.container(key="legs"):
        st.caption(plain(f"Legs of {screen.structures['words'].iloc[chosen]}"))
        _draw_table(legs, Table.LEG, screen, key="legs-table", alt="Legs of the selected structure")
    keep_legs_in_view(identity, table_height(min(legs.num_rows, MAX_ROWS)))


def positions_frame(screen: ScreenModel) -> ArrowTable:
    """The positions under the headings the page shows."""
    return page_frame(screen.positions, Table.POSITION, screen)


def structures_frame(screen: ScreenModel) -> ArrowTable:
    """The structures under the headings the page shows."""
    return page_frame(screen.structures, Table.STRUCTURE, screen)


def legs_frame(legs: DataFrame, screen: ScreenModel) -> ArrowTable:
    """The legs of one structure under the headings the page shows."""
    return page_frame(legs, Table.LEG, screen)


def page_frame(
    rows: DataFrame, table: Table, screen: ScreenModel, declared: tuple[Column, ...] = COLUMNS
) -> ArrowTable:
    """These rows of one table under the headings the page shows, without the amounts that are hidden."""
    shown: dict[str, Any] = {}
    for column in page_columns(table, declared):
        if not (column.is_amount and screen.options.preferences.hide_amounts):
            draw: Draw = _DRAWN.get(column.kind, _as_it_is)
            shown[column.heading or column.name] = draw(rows, column, screen)
    return arrow_table(shown)


def _draw_table(frame: ArrowTable, table: Table, screen: ScreenModel, *, key: str, alt: str) -> None:
    st.dataframe(frame, key=key, on_select="ignore", alt=alt, **_table_options(frame, table, screen))


def _draw_selectable_table(
    frame: ArrowTable, table: Table, screen: ScreenModel, *, key: str, alt: str
) -> int | None:
    """Draw a table whose rows can be selected; the index of the selected row, if one is."""
    state = st.dataframe(
        frame,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        alt=alt,
        **_table_options(frame, table, screen),
    )
    rows = state["selection"]["rows"]
    # A row that is gone can still be selected for the moment it takes the browser to notice.
    return rows[0] if rows and rows[0] < frame.num_rows else None


def _table_options(frame: ArrowTable, table: Table, screen: ScreenModel) -> dict[str, Any]:
    return {
        "hide_index": True,
        "width": "stretch",
        "height": table_height(min(frame.num_rows, MAX_ROWS)),
        "row_height": ROW_PIXELS,
        "placeholder": UNKNOWN,
        "column_config": page_config(
            table,
            palette(),
            screen.options.preferences.stale_after_seconds,
            hide_amounts=screen.options.preferences.hide_amounts,
            widths=number_widths(frame, table),
        ),
    }


def number_widths(
    frame: ArrowTable, table: Table, declared: tuple[Column, ...] = COLUMNS
) -> tuple[tuple[str, int], ...]:
    """The pixels that the longest number of each column takes, by heading: a grid cuts off the leading digits."""
    shown = frame.column_names
    return tuple(
        (heading, pixels_for(written))
        for column in page_columns(table, declared)
        if column.kind in (Kind.NUMBER, Kind.WHOLE)
        and (heading := column.heading or column.name) in shown
        and (
            written := [_written(column, value) for value in frame[heading].to_pylist() if value is not None]
        )
    )


def _written(column: Column, value: float) -> str:
    """As the grid writes it with `_number_format`."""
    sign = "+" if column.signed else ""
    if column.digits is None:
        return f"{value:{sign}.15g}"
    return f"{value:{sign}{_thousands(column)}.{column.digits}f}"


@cache
def page_config(
    table: Table,
    colours: Palette,
    stale_after_seconds: float,
    *,
    hide_amounts: bool,
    declared: tuple[Column, ...] = COLUMNS,
    widths: tuple[tuple[str, int], ...] = (),
) -> ColumnConfig:
    """How Streamlit is to draw each column of `page_frame`, by its heading, at least as wide as in `widths`."""
    needed = dict(widths)
    return {
        heading: _column_config(column, colours, stale_after_seconds, needed.get(heading, 0))
        for column in page_columns(table, declared)
        if not (hide_amounts and column.is_amount) and (heading := column.heading or column.name)
    }


def _column_config(column: Column, colours: Palette, stale_after_seconds: float, needed: int) -> Any:
    config = st.column_config
    make: Any  # its class, and what it takes beyond width and help
    how: dict[str, Any] = {}
    match column.kind:
        case Kind.NAME:
            make, how = config.TextColumn, {"pinned": True}
        case Kind.TEXT | Kind.DATE | Kind.MARK_ORIGIN | Kind.MARKS_ORIGIN | Kind.PRICE_ORIGIN:
            make = config.TextColumn
        case Kind.NUMBER | Kind.WHOLE:
            make, how = config.NumberColumn, {"format": _number_format(column)}
        case Kind.AGE:
            make, how = config.ProgressColumn, _age_bar(column, stale_after_seconds)
        case Kind.TIME:
            make = config.DatetimeColumn
        case Kind.WARNINGS:
            words = {warning.label: _warning_colour(warning, colours) for warning in QuoteWarning}
            words |= {_more(PILLS_AT_MOST + count): colours.quiet for count in range(1, len(QuoteWarning))}
            make = config.MultiselectColumn
            how = {"options": list(words), "color": list(words.values())}
        case Kind.DIRECTION:
            make = config.MultiselectColumn
            how = {"options": ["▲", "▼"], "color": [colours.gain, colours.loss]}
        case Kind.TREND:
            make, how = config.LineChartColumn, {"color": colours.accent}
        case _:
            assert_never(column.kind)
    width = None if column.width is None else max(column.width, needed)
    return make(width=width, help=_tooltip(column), **how)


def _tooltip(column: Column) -> str | None:
    # What a row is called and what is wrong with it explains itself.
    return None if column.kind in (Kind.NAME, Kind.WARNINGS) else column.help or None


def _age_bar(column: Column, stale_after_seconds: float) -> dict[str, Any]:
    """Half full when it becomes stale."""
    return {
        "format": f"%.{column.digits or 0}f",
        "min_value": 0,
        "max_value": 2 * stale_after_seconds,
        "color": "auto-inverse",
    }


def _number_format(column: Column) -> str:
    """The number as printf would write it, dollars with a comma at the thousands."""
    sign = "%+" if column.signed else "%"
    if column.digits is not None:
        return f"{sign}{_thousands(column)}.{column.digits}f"
    return f"{sign}d" if column.kind is Kind.WHOLE and not column.signed else f"{sign}g"


def _thousands(column: Column) -> str:
    return "," if column.unit.startswith("$") else ""


def _warning_colour(warning: QuoteWarning, colours: Palette) -> str:
    return colours.error if warning in GRAVE_WARNINGS else colours.warning


def _as_it_is(rows: DataFrame, column: Column, _screen: ScreenModel) -> Any:
    if column.kind not in (Kind.NUMBER, Kind.AGE):
        return rows[column.name]
    # A cell that is copied, downloaded or read aloud says what is seen, and no -435.00000000000034.
    return (
        rows[column.name].to_numpy(dtype=float).round(MOST_DIGITS if column.digits is None else column.digits)
    )


def _mark_origins(rows: DataFrame, column: Column, _screen: ScreenModel) -> list[str | None]:
    """Which event each mark came from: "mid · 0.4 s", or "mid · REST · 12 min" where it was asked for."""
    columns = (rows[name] for name in column.drawn_from)
    # A missing word is NaN in a column of words.
    return [
        f"{source} · {_rest_label(via)}{age(seconds)}" if isinstance(source, str) else None
        for source, via, seconds in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _marks_origins(rows: DataFrame, column: Column, _screen: ScreenModel) -> list[str | None]:
    """The legs' marks and the age of the oldest: "4 mid · 2 REST · 47 s"; without an age where a leg has no mark."""
    return [
        None if not isinstance(words, str) else words if isnan(seconds) else f"{words} · {age(seconds)}"
        for words, seconds in zip(*(rows[name].tolist() for name in column.drawn_from), strict=True)
    ]


def _price_origins(rows: DataFrame, column: Column, _screen: ScreenModel) -> list[str | None]:
    return [
        f"{_rest_label(via) or 'stream · '}{age(seconds)}" if isinstance(via, str) else None
        for via, seconds in zip(*(rows[name].tolist() for name in column.drawn_from), strict=True)
    ]


def _rest_label(via: str | None) -> str:
    return "REST · " if via == Source.REST else ""


def _days(rows: DataFrame, column: Column, _screen: ScreenModel) -> list[str | None]:
    return [short_date(day) if isinstance(day, date) else None for day in rows[column.name].tolist()]


def _arrows(rows: DataFrame, column: Column, _screen: ScreenModel) -> list[list[str]]:
    (amount_name,) = column.drawn_from
    return [[sign] if (sign := arrow(amount)) else [] for amount in rows[amount_name].tolist()]


def _trends(rows: DataFrame, column: Column, screen: ScreenModel) -> list[tuple[float, ...] | None]:
    (id_name,) = column.drawn_from
    trends = [screen.trends.get(identity) for identity in rows[id_name]]
    # A structure's mark is dollars of the viewer's; its course is not.
    return list(map(_course, trends)) if screen.options.preferences.hide_amounts else trends


def _course(trend: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """How it went, from 0 to 1."""
    if not trend:
        return trend
    least, span = min(trend), max(trend) - min(trend)
    return tuple(round((value - least) / span, 3) if span else 0.5 for value in trend)


def _names(rows: DataFrame, column: Column, screen: ScreenModel) -> Any:
    """What a row is, and of a structure how many: "2 × AAPL 18 Dec 26 270C/280C"; its kind has a column."""
    if "priced_legs" not in rows:
        return rows[column.name]
    many = {} if screen.options.preferences.hide_amounts else _units(screen)
    return [
        " ".join(filter(None, (many.get(identity), words)))
        for identity, words in zip(rows["id"], rows[column.name], strict=True)
    ]


def _units(screen: ScreenModel) -> dict[str, str]:
    """How many times each structure is held."""
    contracts: dict[str, list[int]] = {}
    options = screen.legs[screen.legs["option_type"].notna()]
    for identity, count in zip(options["position_id"], options["contracts"].tolist(), strict=True):
        contracts.setdefault(identity, []).append(count)
    return {identity: f"{gcd(*counts)} ×" for identity, counts in contracts.items()}


def _warnings(rows: DataFrame, column: Column, screen: ScreenModel) -> list[list[str]]:
    """The two gravest of each row; how many more there are stands behind them, and which below the table."""
    return [
        labels if len(labels) <= PILLS_AT_MOST else [*labels[:PILLS_AT_MOST], _more(len(labels))]
        for labels in _all_warnings(rows[column.name], screen)
    ]


def _all_warnings(each: Iterable[Sequence[QuoteWarning]], screen: ScreenModel) -> list[list[str]]:
    return [[warning.label for warning in worth_saying(warnings, screen)] for warnings in each]


def _more(count: int) -> str:
    return f"+{count - PILLS_AT_MOST}"


def _say_further_warnings(rows: DataFrame, screen: ScreenModel) -> None:
    """What a cell has no room for."""
    each = zip(rows["words"], _all_warnings(rows["warnings"], screen), strict=True)
    further = [
        f"{words}: {', '.join(labels[PILLS_AT_MOST:])}" for words, labels in each if labels[PILLS_AT_MOST:]
    ]
    if further:
        st.caption(plain(f"Further warnings. {'; '.join(further)}."))


# What is not drawn as it is in the table.
_DRAWN: Final[Mapping[Kind, Draw]] = {
    Kind.NAME: _names,
    Kind.DATE: _days,
    Kind.WARNINGS: _warnings,
    Kind.DIRECTION: _arrows,
    Kind.TREND: _trends,
    Kind.MARK_ORIGIN: _mark_origins,
    Kind.MARKS_ORIGIN: _marks_origins,
    Kind.PRICE_ORIGIN: _price_origins,
}


def csv_name(as_of: datetime) -> str:
    """The file for tables of that instant: named after the market's day in New York."""
    return f"live-portfolio-{new_york_date(as_of):%Y%m%d}.csv"


def tables_as_csv(screen: ScreenModel, declared: tuple[Column, ...] = COLUMNS) -> str:
    """Every column of every table, positions first, then structures, then their legs; hidden amounts are left out."""
    import pandas as pd

    sections = {Table.POSITION: screen.positions, Table.STRUCTURE: screen.structures, Table.LEG: screen.legs}
    table = pd.concat(
        [
            rows.drop(columns="warnings").assign(
                section=name.value,
                as_of=screen.snapshot.as_of.isoformat(),
                market=screen.snapshot.market.value,
                state=screen.state.value,
                stock_feed=screen.snapshot.streams[StreamName.STOCKS].feed,
                options_feed=screen.snapshot.streams[StreamName.OPTIONS].feed,
                warnings=[", ".join(warning.label for warning in warnings) for warnings in rows["warnings"]],
            )
            for name, rows in sections.items()
        ],
        ignore_index=True,
    )
    first = [column.name for column in CSV_COLUMNS]
    table = table[[*first, *(name for name in table if name not in first)]]
    if screen.options.preferences.hide_amounts:
        table = table.drop(columns=[name for name in table if name in amount_names(declared)])
    # What rounds to nothing has no sign; 0.0 added to -0.0 is 0.0.
    numbers = table.select_dtypes("float").round(MOST_DIGITS) + 0.0
    return table.assign(**numbers).to_csv(index=False)
