"""Show the positions and structures: what is held, what it is worth, from which event, and what speaks against it.

Row order never changes between refreshes, because the browser keeps a selection by its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from math import isnan
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from apps.streamlit.components.live_screen import ScreenModel
from apps.streamlit.components.look import ROW_PIXELS, ArrowTable, Palette, arrow_table, table_height
from apps.streamlit.components.words import UNKNOWN, age, arrow
from options_helper.analysis.marks import QuoteWarning
from options_helper.model.account import Source
from options_helper.model.contract_symbols import short_date
from options_helper.model.events import StreamName
from options_helper.model.market_hours import new_york_date

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MAX_ROWS: Final = 14
GRAVE_WARNINGS: Final = {
    QuoteWarning.EXPIRED,
    QuoteWarning.MISSING_LEGS,
    QuoteWarning.REFUSED_SYMBOL,
    QuoteWarning.MISSING_QUOTE,
    QuoteWarning.CROSSED_MARKET,
}
# Before Start nothing is priced, so only what follows from the contracts themselves is worth saying.
WARNINGS_WITHOUT_PRICES: Final = {
    QuoteWarning.EXPIRED,
    QuoteWarning.EXPIRES_TODAY,
    QuoteWarning.ADJUSTED_CONTRACT,
    QuoteWarning.NO_COST_BASIS,
}
# What speaks against the day's profit alone; where it speaks against all of it, the total says it once.
WARNINGS_ABOUT_TODAY: Final = {
    QuoteWarning.TRADES_UNKNOWN,
    QuoteWarning.POSITION_MOVED,
    QuoteWarning.ACCOUNT_DIFFERS,
    QuoteWarning.SHARED_CONTRACT,
    QuoteWarning.NO_PREVIOUS_CLOSE,
    QuoteWarning.FILE_BEHIND,
}
AMOUNTS: Final = (
    "Qty",
    "P&L $",
    "At natural $",
    "Today $",
    "Cost $",
    "Net debit $",
    "Net mark $",
    "Value $",
)
HIDDEN_IN_CSV: Final = (
    "contracts",
    "quantity",
    "signed_contracts",
    "cost_basis",
    "market_value",
    "natural_value",
    "pnl_abs",
    "pnl_natural_abs",
    "day_pnl",
    "day_realized",
    "day_unrealized",
    "net_debit",
    "net_mark",
    "net_natural",
    "net_pnl_abs",
    "net_pnl_natural_abs",
    "leg_value",
    "leg_natural",
)

ColumnConfig = Mapping[str, Any]


def positions_table(screen: ScreenModel) -> None:
    """Draw single contracts and shares."""
    if screen.positions.empty:
        st.caption("No single contracts or shares in this portfolio.")
        return
    _table(positions_frame(screen), screen, key="positions-table", alt="Single contracts and shares")


def structures_table(screen: ScreenModel) -> None:
    """Draw the structures, and the legs of the one selected."""
    if screen.structures.empty:
        st.caption("No multi-leg structures in this portfolio.")
        return
    # A new key lets go of a selection that pointed into another portfolio.
    key = f"structures-{hash(tuple(screen.structures['id']))}"
    chosen = _selectable_table(structures_frame(screen), screen, key=key, alt="Structures")
    if chosen is None:
        st.caption("Select a structure to see its legs.")
        return
    identity = screen.structures["id"].iloc[chosen]
    legs = screen.legs[screen.legs["position_id"] == identity]
    st.caption(f"Legs of {screen.structures['words'].iloc[chosen]}")
    with st.container(key="legs"):
        _table(legs_frame(legs, screen), screen, key="legs-table", alt="Legs of the selected structure")


def positions_frame(screen: ScreenModel) -> ArrowTable:
    """The positions under the headings the page shows."""
    rows = screen.positions
    return _shown(
        {
            "Contract": rows["words"],
            # What a trader looks for first comes first, because a phone shows no more than that.
            "Qty": rows["quantity"],
            "±": _arrows(rows["pnl_abs"]),
            "P&L $": rows["pnl_abs"],
            "P&L %": rows["pnl_pct"],
            "At natural $": rows["pnl_natural_abs"],
            "Today $": rows["day_pnl"],
            "DTE": rows["dte"],
            "Bid $": rows["bid"],
            "Ask $": rows["ask"],
            "Mark $": rows["mark"],
            "Mark from": _mark_provenance(rows),
            "Spot $": rows["underlying_price"],
            "Warnings": _warnings(rows["warnings"], screen),
            "Today %": rows["day_pct"],
            "Trend": _trends(rows["id"], screen),
            "Spread %": rows["spread_pct"],
            "Quote age s": rows["quote_age_seconds"],
            "Moneyness %": rows["moneyness_pct"],
            "Spot from": _underlying_provenance(rows),
            "Last $": rows["last"],
            "Cost $": rows["cost_basis"],
            "Close before $": rows["previous_close"],
            "Close of": _days(rows["previous_close_day"]),
        },
        screen,
    )


def structures_frame(screen: ScreenModel) -> ArrowTable:
    """The structures under the headings the page shows."""
    rows = screen.structures
    return _shown(
        {
            "Structure": rows["words"],
            "±": _arrows(rows["net_pnl_abs"]),
            "P&L $": rows["net_pnl_abs"],
            "P&L %": rows["net_pnl_pct"],
            "At natural $": rows["net_pnl_natural_abs"],
            "Today $": rows["day_pnl"],
            "DTE": rows["dte"],
            "Net debit $": rows["net_debit"],
            "Net mark $": rows["net_mark"],
            "Marks from": _marks_provenance(rows),
            "Warnings": _warnings(rows["warnings"], screen),
            "Priced": rows["priced"],
            "Spot $": rows["underlying_price"],
            "Today %": rows["day_pct"],
            "Trend": _trends(rows["id"], screen),
            "Quote age s": rows["quote_age_seconds"],
        },
        screen,
    )


def legs_frame(legs: DataFrame, screen: ScreenModel) -> ArrowTable:
    """The legs of one structure under the headings the page shows."""
    return _shown(
        {
            "Contract": legs["words"],
            "Qty": legs["signed_contracts"],
            "DTE": legs["dte"],
            "Bid $": legs["bid"],
            "Ask $": legs["ask"],
            "Mark $": legs["mark"],
            "Mark from": _mark_provenance(legs),
            "Value $": legs["leg_value"],
            "Today $": legs["day_pnl"],
            "Today %": legs["day_pct"],
            "Spot $": legs["underlying_price"],
            "Warnings": _warnings(legs["warnings"], screen),
            "Spread %": legs["spread_pct"],
            "Quote age s": legs["quote_age_seconds"],
            "Moneyness %": legs["moneyness_pct"],
            "Spot from": _underlying_provenance(legs),
            "Last $": legs["last"],
            "Close before $": legs["previous_close"],
            "Close of": _days(legs["previous_close_day"]),
        },
        screen,
    )


def _table(frame: ArrowTable, screen: ScreenModel, *, key: str, alt: str) -> None:
    st.dataframe(frame, key=key, on_select="ignore", alt=alt, **_table_look(frame, screen))


def _selectable_table(frame: ArrowTable, screen: ScreenModel, *, key: str, alt: str) -> int | None:
    """Draw a table whose rows can be selected; the place of the selected row, if one is."""
    state = st.dataframe(
        frame,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        alt=alt,
        **_table_look(frame, screen),
    )
    rows = state["selection"]["rows"]
    # A row that is gone can still be selected for the moment it takes the browser to notice.
    return rows[0] if rows and rows[0] < frame.num_rows else None


def _table_look(frame: ArrowTable, screen: ScreenModel) -> dict[str, Any]:
    return {
        "hide_index": True,
        "width": "stretch",
        "height": table_height(min(frame.num_rows, MAX_ROWS)),
        "row_height": ROW_PIXELS,
        "placeholder": UNKNOWN,
        "column_config": _column_config(
            tuple(frame.column_names), screen.look.colours, screen.look.preferences.stale_after_seconds
        ),
    }


@cache
def _column_config(names: tuple[str, ...], colours: Palette, stale_after_seconds: float) -> ColumnConfig:
    every = _every_column(colours, stale_after_seconds)
    return {name: every[name] for name in names}


def _every_column(colours: Palette, stale_after_seconds: float) -> ColumnConfig:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    price: dict[str, Any] = {"format": "%,.2f", "width": 54}
    words = {warning.words: _warning_colour(warning, colours) for warning in QuoteWarning}
    return {
        "Contract": text(pinned=True, width=150),
        "Structure": text(pinned=True, width=232),
        "Qty": number(format="%+g", width=44, help="Contracts or shares; short is negative."),
        "DTE": number(format="%d", width=42, help="Days to expiry, counted in New York. 0: expires today."),
        "Priced": text(width=80, help="How many legs have a mark. A sum with a missing leg is not shown."),
        "Bid $": number(**price),
        "Ask $": number(**price),
        "Mark $": number(
            format="%,.3f", width=60, help="Per share. Mid of an uncrossed quote, else the last trade."
        ),
        "Mark from": text(
            width=122,
            help="Which event the mark came from, and how old that event is. REST: asked for, not streamed.",
        ),
        "Marks from": text(
            width=150,
            help="Which events the legs' marks came from, how many of them were asked for (REST), not streamed, "
            "and how old the oldest is.",
        ),
        "Trend": st.column_config.LineChartColumn(
            width=84, help="The mark over this session.", color=colours.accent
        ),
        "±": st.column_config.MultiselectColumn(
            width=36, options=["▲", "▼"], color=[colours.gain, colours.loss], help="▲ gain, ▼ loss."
        ),
        "P&L $": number(format="%+,.2f", width=78, help="Unrealized, at the mark."),
        "P&L %": number(format="%+.2f", width=58, help="Of what was paid, or received."),
        "Today $": number(
            format="%+,.2f",
            width=74,
            help="Since the close of the session before, with what was traded today. Days begin in New York.",
        ),
        "Today %": number(
            format="%+.2f",
            width=64,
            help="Of what was held at that close, and of what was opened today.",
        ),
        "At natural $": number(
            format="%+,.2f",
            width=80,
            help="Unrealized, if closed now: longs sold at the bid, shorts bought at the ask.",
        ),
        "Spread %": number(format="%.2f", width=66, help="Ask less bid, of their middle."),
        "Quote age s": st.column_config.ProgressColumn(
            format="%.0f",
            width=84,
            min_value=0,
            max_value=2 * stale_after_seconds,
            color="auto-inverse",
            help="Since the last quote was received.",
        ),
        "Warnings": st.column_config.MultiselectColumn(
            width=220, options=list(words), color=list(words.values())
        ),
        "Spot $": number(format="%,.2f", width=64, help="The price of what the contract is written on."),
        "Spot from": text(width=122, help="How that price came, and how old it is."),
        "Moneyness %": number(format="%+.2f", width=100, help="In the money is positive."),
        "Last $": number(help="The last trade, which can be old.", **price),
        "Cost $": number(format="%,.2f", width=72, help="Average opening price per share."),
        "Close before $": number(
            format="%,.2f", width=100, help="The newest close before today that is known, per share."
        ),
        "Close of": text(width=80, help="The session of that close."),
        "Net debit $": number(
            format="%+,.2f", width=88, help="Paid for the whole structure; a credit is negative."
        ),
        "Net mark $": number(
            format="%+,.2f", width=88, help="All legs at their marks; short legs count negative."
        ),
        "Value $": number(format="%+,.2f", width=100, help="The leg at its mark; short is negative."),
    }


def _warning_colour(warning: QuoteWarning, colours: Palette) -> str:
    return colours.error if warning in GRAVE_WARNINGS else colours.warning


def _shown(columns: dict[str, Any], screen: ScreenModel) -> ArrowTable:
    hidden = AMOUNTS if screen.look.preferences.hide_amounts else ()
    return arrow_table({name: values for name, values in columns.items() if name not in hidden})


def _mark_provenance(rows: DataFrame) -> list[str | None]:
    """Which event each mark came from: "mid · 0.4 s", or "mid · REST · 12 min" where it was asked for."""
    columns = (rows["mark_source"], rows["mark_via"], rows["mark_age_seconds"])
    # A missing word is NaN in a column of words.
    return [
        f"{source} · {_asked_for(via)}{age(seconds)}" if isinstance(source, str) else None
        for source, via, seconds in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _marks_provenance(rows: DataFrame) -> list[str | None]:
    """The legs' marks and the age of the oldest: "4 mid · 2 REST · 47 s"; without an age where a leg has no mark."""
    return [
        None if not isinstance(words, str) else words if isnan(seconds) else f"{words} · {age(seconds)}"
        for words, seconds in zip(rows["marks_from"].tolist(), rows["mark_age_seconds"].tolist(), strict=True)
    ]


def _underlying_provenance(rows: DataFrame) -> list[str | None]:
    vias, ages = rows["underlying_via"].tolist(), rows["underlying_age_seconds"].tolist()
    return [
        f"{_asked_for(via) or 'stream · '}{age(seconds)}" if isinstance(via, str) else None
        for via, seconds in zip(vias, ages, strict=True)
    ]


def _asked_for(via: str | None) -> str:
    return "REST · " if via == Source.REST else ""


def _days(days: Series) -> list[str | None]:
    return [short_date(day) if isinstance(day, date) else None for day in days.tolist()]


def _arrows(amounts: Series) -> list[list[str]]:
    return [[sign] if (sign := arrow(amount)) else [] for amount in amounts.tolist()]


def _trends(identities: Series, screen: ScreenModel) -> list[tuple[float, ...] | None]:
    return [screen.trends.get(identity) for identity in identities]


def _warnings(lists: Series, screen: ScreenModel) -> list[list[str]]:
    day_is_known_in_part = screen.totals.day.counted > 0
    return [
        [
            warning.words
            for warning in warnings
            if (screen.priced or warning in WARNINGS_WITHOUT_PRICES)
            and (day_is_known_in_part or warning not in WARNINGS_ABOUT_TODAY)
        ]
        for warnings in lists
    ]


def csv_name(as_of: datetime) -> str:
    """The file for tables of that instant: named after the market's day in New York."""
    return f"live-portfolio-{new_york_date(as_of):%Y%m%d}.csv"


def tables_as_csv(screen: ScreenModel) -> str:
    """Every column of every table, positions first, then structures, then their legs."""
    import pandas as pd

    sections = {"position": screen.positions, "structure": screen.structures, "leg": screen.legs}
    table = pd.concat(
        [
            rows.drop(columns="warnings").assign(
                section=name,
                as_of=screen.snapshot.as_of.isoformat(),
                market=screen.snapshot.market.value,
                state=screen.state.value,
                stock_feed=screen.snapshot.streams[StreamName.STOCKS].feed,
                options_feed=screen.snapshot.streams[StreamName.OPTIONS].feed,
                warnings=[", ".join(warning.words for warning in warnings) for warnings in rows["warnings"]],
            )
            for name, rows in sections.items()
        ],
        ignore_index=True,
    )
    first = ["section", "as_of", "market", "state", "stock_feed", "options_feed"]
    table = table[[*first, *(name for name in table if name not in first)]]
    if screen.look.preferences.hide_amounts:
        table = table.drop(columns=[name for name in HIDDEN_IN_CSV if name in table])
    return table.to_csv(index=False)
