"""Draw the session's P&L: a line at the mark, a band to what closing would fetch, nothing across a gap."""

from __future__ import annotations

from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import streamlit as st

from apps.streamlit.components.style import ArrowTable, Palette, arrow_table
from options_helper.live.pnl_history import PnlPoint

HEIGHT: Final = 272
FULL: Final = "whole book"
PARTIAL: Final = "PARTIAL sum"
DASHED: Final = "dashed: PARTIAL, a sum of some positions only"


def pnl_chart(points: tuple[PnlPoint, ...], *, zone: ZoneInfo, colours: Palette, hide_amounts: bool) -> None:
    """Draw the chart, or say why there is none yet."""
    if len(points) < 2:
        with st.container(height=HEIGHT, border=True, key="no-chart"):
            st.caption(
                "P&L over the session: the line begins with the first prices and is kept for every tab."
            )
        return
    st.vega_lite_chart(
        chart_rows(points, zone),
        # Altair takes 40 ms to build and check a chart; this one changes only with the viewer's wishes.
        chart_spec(zone.key, colours, hide_amounts=hide_amounts, partial=_has_partial(points)),
        width="stretch",
        height=HEIGHT,
        key="pnl",
        alt=_alt_text(points, hide_amounts=hide_amounts),
    )


def chart_rows(points: tuple[PnlPoint, ...], zone: ZoneInfo) -> ArrowTable:
    """The points as the chart reads them, in the viewer's time."""
    return arrow_table(
        {
            # Vega draws a time without a zone as it stands, so the viewer's wall clock is what is sent.
            "at": [point.at.astimezone(zone).replace(tzinfo=None) for point in points],
            "pnl": [round(point.pnl, 2) for point in points],
            "natural": [None if point.natural is None else round(point.natural, 2) for point in points],
            "segment": [point.segment for point in points],
            "counted": [f"{point.counted} of {point.positions} positions" for point in points],
            "sum": [FULL if point.counted == point.positions else PARTIAL for point in points],
        }
    )


@cache
def chart_spec(
    zone_name: str, colours: Palette, *, hide_amounts: bool, partial: bool = False
) -> dict[str, Any]:
    """The chart of any points; `partial` ones are drawn dashed, which the title then says."""
    import altair as alt

    amounts = alt.Axis(labels=not hide_amounts, format="$,.2~f", title=None, tickCount=5, gridOpacity=0.5)
    # Always with seconds: "03:01" alone would be read as an hour.
    times = alt.Axis(
        title=zone_name, titleFontSize=11, tickCount=5, grid=False, labelFlush=True, format="%H:%M:%S"
    )
    scale = alt.Scale(zero=False, nice=True, padding=4)
    tooltip = [
        alt.Tooltip("at:T", title="Time", format="%H:%M:%S"),
        alt.Tooltip("pnl:Q", title="P&L at mark", format="+$,.2f"),
        alt.Tooltip("natural:Q", title="P&L at natural", format="+$,.2f"),
        alt.Tooltip("counted:N", title="Counted"),
    ]
    # A sum of some positions must not pass for the book's: another colour, and no whole line.
    colour = alt.Color("sum:N", scale=_scale(colours.accent, colours.warning), legend=None)
    dash = alt.StrokeDash("sum:N", scale=_scale([1, 0], [5, 4]), legend=None)
    base = alt.Chart().encode(x=alt.X("at:T", axis=times), detail="segment:N", color=colour)
    band = base.mark_area(opacity=0.18, clip=True).encode(
        y=alt.Y("natural:Q", axis=amounts, scale=scale), y2="pnl:Q"
    )
    line = base.mark_line(strokeWidth=2, clip=True).encode(
        y=alt.Y("pnl:Q", axis=amounts, scale=scale), strokeDash=dash
    )
    # Wider than the line, so that a pointer finds the moment it is looking for.
    finder = base.mark_point(size=150, opacity=0).encode(y=alt.Y("pnl:Q"), tooltip=tooltip)
    # A line needs two points; the first after a gap shows as a dot.
    dots = base.mark_point(filled=True, size=18).encode(y=alt.Y("pnl:Q"))
    dots = dots.transform_joinaggregate(points="count()", groupby=["segment"]).transform_filter(
        "datum.points == 1"
    )
    layers = [band, line, dots] if hide_amounts else [band, line, dots, finder]
    title = alt.Title(
        "P&L over the session: line at mark, band to natural",
        subtitle=[DASHED] if partial else [],
        subtitleColor=colours.warning,
        anchor="start",
        fontSize=13,
        fontWeight="normal",
        color=colours.quiet,
    )
    chart = alt.layer(*layers).properties(title=title)
    return chart.to_dict()


def _scale(full: Any, partial: Any) -> Any:
    import altair as alt

    return alt.Scale(domain=[FULL, PARTIAL], range=[full, partial])


def _has_partial(points: tuple[PnlPoint, ...]) -> bool:
    return any(point.counted < point.positions for point in points)


def _alt_text(points: tuple[PnlPoint, ...], *, hide_amounts: bool) -> str:
    dashed = " Dashed stretches are sums of some positions only." if _has_partial(points) else ""
    if hide_amounts:
        return f"P&L over the session; its amounts are hidden.{dashed}"
    low, high = min(point.pnl for point in points), max(point.pnl for point in points)
    now = points[-1].pnl
    return f"P&L over the session: from {low:+,.2f} to {high:+,.2f} dollars, now {now:+,.2f}.{dashed}"
