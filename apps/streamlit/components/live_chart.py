"""Draw the session's P&L: a line at the mark, a band to what closing would fetch, nothing across a gap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import streamlit as st

from apps.streamlit.components.style import ArrowTable, Palette, arrow_table, draw, palette, tag
from options_helper.live.pnl_history import PnlPoint
from options_helper.live.screen import ScreenModel
from options_helper.model.text import with_minus

HEIGHT: Final = 232
TITLE: Final = "P&L over the session: line at mark"
BAND: Final = ", band to natural"
FULL: Final = "whole book"
PARTIAL: Final = "PARTIAL sum"
BEFORE: Final = "before the portfolio changed"
PARTIAL_BEFORE: Final = "PARTIAL sum before the portfolio changed"
DASHED: Final = "dashed: PARTIAL, a sum of some positions only"
CHANGED: Final = "upright line: the portfolio changed; grey: before"
PADDING: Final = {"left": 5, "right": 5, "top": 5, "bottom": 5}
# A line needs two points, so the only one of a segment shows as a dot; every other is only there to be pointed at.
DOT_PIXELS: Final = 18
REACH_PIXELS: Final = 150


def pnl_chart(screen: ScreenModel, points: tuple[PnlPoint, ...]) -> None:
    """Draw the chart, or say why there is none yet."""
    zone, hide_amounts = screen.options.zone, screen.options.preferences.hide_amounts
    if len(points) < 2:
        with st.container(height=HEIGHT, border=True, key="no-chart"):
            st.caption(
                "P&L over the session: the line begins with the first prices and is kept for every tab."
            )
        return
    st.vega_lite_chart(
        screen.once(_rows_for, points),
        # Altair takes 40 ms to build and check a chart; this one changes only with the viewer's wishes.
        chart_spec(
            zone.key,
            palette(),
            hide_amounts=hide_amounts,
            partial=_has_partial(points),
            changed=points[0].book != points[-1].book,
            banded=_has_band(points),
        ),
        width="stretch",
        height=HEIGHT,
        key="pnl",
        # Streamlit writes it into the spec, so each figure in it would make a new chart: unzoomed, and empty at first,
        # of which Vega warns.
        alt=_title(banded=_has_band(points)),
    )
    # Of a look of its own: a tile may be of one some seconds later.
    moment = tag("div", f"last at {points[-1].at.astimezone(zone):%H:%M:%S}", "oh-chart-moment")
    draw(moment + tag("div", summary(points, zone, hide_amounts=hide_amounts), "oh-unseen", role="note"))


def _rows_for(screen: ScreenModel, points: tuple[PnlPoint, ...]) -> ArrowTable:
    return chart_rows(points, screen.options.zone, hide_amounts=screen.options.preferences.hide_amounts)


def chart_rows(points: tuple[PnlPoint, ...], zone: ZoneInfo, *, hide_amounts: bool = False) -> ArrowTable:
    """The points as the chart reads them, in the viewer's time; hidden amounts as parts of the largest of them.

    What an earlier portfolio made stays while it is near what the present one makes: an error of typing that was mended
    must not flatten the rest of the day.
    """
    unit = _largest(points) if hide_amounts else 1.0
    digits = 4 if hide_amounts else 2
    least, most = _range(points)
    present = points[-1].book

    def scaled(amount: float | None, point: PnlPoint) -> float | None:
        if amount is None or (point.book != present and not least <= amount <= most):
            return None
        return round(amount / unit, digits)

    alone = {segment for segment, count in Counter(point.segment for point in points).items() if count == 1}
    return arrow_table(
        {
            # Vega draws a time without a zone as it stands, so the viewer's wall clock is what is sent.
            "at": [point.at.astimezone(zone).replace(tzinfo=None) for point in points],
            "pnl": [scaled(point.pnl, point) for point in points],
            "natural": [scaled(point.natural, point) for point in points],
            "segment": [point.segment for point in points],
            "counted": [f"{point.counted} of {point.positions} positions" for point in points],
            "sum": [_kind_of_sum(point, present) for point in points],
            "dot": [float(point.segment in alone) for point in points],
            "reach": [DOT_PIXELS if point.segment in alone else REACH_PIXELS for point in points],
            "change": [False, *(before.book != after.book for before, after in pairwise(points))],
        }
    )


@cache
def chart_spec(
    zone_name: str,
    colours: Palette,
    *,
    hide_amounts: bool,
    partial: bool = False,
    changed: bool = False,
    banded: bool = True,
) -> dict[str, Any]:
    """The chart of any points; `partial` ones are drawn dashed, and where the file `changed`, an upright line.

    The title speaks of a band where the points are `banded`: natural is known of some.

    Streamlit gives every mark a tooltip that has none, and Vega a label with its figures: both are refused, since the
    one shows hidden amounts and the other is read aloud six hundred times.
    """
    import altair as alt

    amounts = alt.Axis(labels=not hide_amounts, format="$,.2~f", title=None, tickCount=5, gridOpacity=0.5)
    # Always with seconds: "03:01" alone would be read as an hour. The last one ends with the chart and is not cut.
    times = alt.Axis(
        title=None,
        tickCount=5,
        grid=False,
        labelFlush=True,
        labelBound=True,
        format="%H:%M:%S",
    )
    scale = alt.Scale(zero=False, nice=True, padding=4)
    tooltip = [
        alt.Tooltip("at:T", title="Time", format="%H:%M:%S"),
        alt.Tooltip("pnl:Q", title="P&L at mark", format="+$,.2f"),
        alt.Tooltip("natural:Q", title="P&L at natural", format="+$,.2f"),
        alt.Tooltip("counted:N", title="Counted"),
    ]
    # A sum of some positions must not pass for the book's: another colour, and no whole line, which it keeps when the
    # file changes.
    colour = alt.Color(
        "sum:N", scale=_scale(colours.accent, colours.warning, colours.quiet, colours.quiet), legend=None
    )
    dash = alt.StrokeDash("sum:N", scale=_scale([1, 0], [5, 4], [1, 0], [5, 4]), legend=None)
    silent: Any = {"tooltip": None, "aria": False}
    base = alt.Chart().encode(x=alt.X("at:T", axis=times), detail="segment:N", color=colour)
    band = base.mark_area(opacity=0.18, clip=True, **silent).encode(
        y=alt.Y("natural:Q", axis=amounts, scale=scale), y2="pnl:Q"
    )
    line = base.mark_line(strokeWidth=2, clip=True, **silent).encode(
        y=alt.Y("pnl:Q", axis=amounts, scale=scale), strokeDash=dash
    )
    # Wider than the line, so that a pointer finds the moment it is looking for.
    dots = base.mark_point(filled=True, clip=True, **silent).encode(
        y=alt.Y("pnl:Q"),
        size=alt.Size("reach:Q", scale=None, legend=None),
        opacity=alt.Opacity("dot:Q", scale=None, legend=None),
        tooltip=alt.value(None) if hide_amounts else tooltip,
    )
    # The page scrolls by the wheel, so this takes it only with the shift key; a double click shows all again.
    view = alt.selection_interval(bind="scales", zoom="wheel![event.shiftKey]", name="view")
    layers = [band, line.add_params(view), dots]
    if changed:
        rule = alt.Chart().mark_rule(strokeDash=[2, 3], color=colours.quiet, clip=True, **silent)
        layers.append(rule.encode(x=alt.X("at:T", axis=times)).transform_filter("datum.change"))
    title = alt.Title(
        f"{_title(banded=banded)} · {zone_name}",
        subtitle=[words for words, holds in ((DASHED, partial), (CHANGED, changed)) if holds],
        subtitleColor=colours.warning,
        anchor="start",
        fontSize=13,
        fontWeight="normal",
        color=colours.quiet,
    )
    chart = alt.layer(*layers).properties(title=title)
    spec = chart.to_dict()
    # Altair names a stand-in for data that it was not given; Vega would measure it and find no extent.
    spec.pop("datasets", None)
    # Streamlit leaves 20 pixels below, which a laptop's screen has not.
    spec["padding"] = PADDING
    for layer in spec["layer"]:
        layer.pop("data", None)
    return spec


def _scale(*values: Any) -> Any:
    """One value for each kind of sum."""
    import altair as alt

    return alt.Scale(domain=[FULL, PARTIAL, BEFORE, PARTIAL_BEFORE], range=list(values))


def _title(*, banded: bool) -> str:
    return f"{TITLE}{BAND}" if banded else TITLE


def _kind_of_sum(point: PnlPoint, present: int) -> str:
    whole = point.counted == point.positions
    if point.book != present:
        return BEFORE if whole else PARTIAL_BEFORE
    return FULL if whole else PARTIAL


def _amounts(points: Iterable[PnlPoint]) -> list[float]:
    return [amount for point in points for amount in (point.pnl, point.natural) if amount is not None]


def _signed(amount: float) -> str:
    return with_minus(amount, "+,.2f")


def _largest(points: tuple[PnlPoint, ...]) -> float:
    return max(map(abs, _amounts(points)), default=0.0) or 1.0


def _range(points: tuple[PnlPoint, ...]) -> tuple[float, float]:
    """From where to where the present portfolio's amounts reach, with as much again above and below."""
    amounts = _amounts(point for point in points if point.book == points[-1].book)
    least, most = min(amounts), max(amounts)
    room = max(most - least, abs(most), abs(least))
    return least - room, most + room


def _has_band(points: tuple[PnlPoint, ...]) -> bool:
    return any(point.natural is not None for point in points)


def _has_partial(points: tuple[PnlPoint, ...]) -> bool:
    return any(point.counted < point.positions for point in points)


def summary(points: tuple[PnlPoint, ...], zone: ZoneInfo, *, hide_amounts: bool) -> str:
    """The chart in words, for those who hear the page; a tile beside it may be of a later look."""
    dashed = " Dashed stretches are sums of some positions only." if _has_partial(points) else ""
    if hide_amounts:
        return f"P&L over the session; its amounts are hidden.{dashed}"
    own = [point.pnl for point in points if point.book == points[-1].book]
    at = f"{points[-1].at.astimezone(zone):%H:%M:%S}"
    return (
        f"P&L over the session: from {_signed(min(own))} to {_signed(max(own))} dollars, {_signed(own[-1])} at {at}."
        f"{dashed}"
    )
