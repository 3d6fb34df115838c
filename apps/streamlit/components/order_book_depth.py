"""Draw the depth of one order book: what is bid for down to each price, and offered up to it."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import streamlit as st

from apps.streamlit.components.style import ArrowTable, Palette, arrow_table, draw, tag
from options_helper.analysis.book_ladder import DepthPoint, depth_points
from options_helper.model.order_book import Book

HEIGHT: Final = 330
REACH_PIXELS: Final = 120
TITLE: Final = "Depth: size bid for down to a price, and offered up to it"


def depth_chart(book: Book | None, levels: int, *, colours: Palette) -> None:
    """Draw the chart, or say why there is none."""
    points = depth_points(book, levels) if book is not None and book.state.has_levels else ()
    if len(points) < 2:
        with st.container(height=HEIGHT, border=True, key="no-depth"):
            st.caption("Depth: it is drawn as soon as the book can be believed.")
        return
    st.vega_lite_chart(
        depth_rows(points),
        depth_spec(colours),
        width="stretch",
        height=HEIGHT,
        key="depth",
        alt=TITLE,
    )
    draw(tag("div", _summary(points), "oh-unseen", role="note"))


def depth_rows(points: tuple[DepthPoint, ...]) -> ArrowTable:
    """The points as the chart reads them: a column for each side, whose steps are drawn apart.

    Beyond the last level of a side at least as much is offered: a point that nobody can point at gives it its width.
    """
    sides = [[point for point in points if point.side == side] for side in ("bid", "ask")]
    beyond = [_beyond(sides[0]), *points, _beyond(sides[1][::-1])]
    drawn = [point for point in beyond if point is not None]
    return arrow_table(
        {
            "price": [point.price for point in drawn],
            "bid": [point.total if point.side == "bid" else None for point in drawn],
            "ask": [point.total if point.side == "ask" else None for point in drawn],
            "reach": [float(point in points) * REACH_PIXELS for point in drawn],
        }
    )


def _beyond(outermost_first: list[DepthPoint]) -> DepthPoint | None:
    """As far beyond the outermost level as that is from the next; None where there is no next one."""
    if len(outermost_first) < 2:
        return None
    last, next_one = outermost_first[:2]
    return last._replace(price=2 * last.price - next_one.price)


@cache
def depth_spec(colours: Palette) -> dict[str, Any]:
    """The chart of any points: a step for each level, bids to the left of the spread and asks to its right."""
    import altair as alt

    prices = alt.Axis(title=None, grid=False, tickCount=5, format=",.8~f", labelFlush=True)
    sizes = alt.Axis(title=None, tickCount=4, gridOpacity=0.5, format=",.4~f")
    x = alt.X("price:Q", axis=prices, scale=alt.Scale(zero=False, nice=False))
    silent: Any = {"tooltip": None, "aria": False}

    def side(name: str, colour: str, steps: Any) -> list[Any]:
        totals = alt.Y(f"{name}:Q", axis=sizes, scale=alt.Scale(zero=True), stack=None)
        base = alt.Chart().encode(x=x, y=totals)
        line = {"color": colour, "strokeWidth": 2}
        area = base.mark_area(interpolate=steps, color=colour, opacity=0.25, line=line, **silent)
        dots = base.mark_point(filled=True, opacity=0, color=colour, aria=False).encode(
            size=alt.Size("reach:Q", scale=None, legend=None),
            tooltip=[
                alt.Tooltip("price:Q", title=name.capitalize(), format=",.8~f"),
                alt.Tooltip(f"{name}:Q", title="Size up to it", format=",.8~f"),
            ],
        )
        return [area, dots]

    layers = [*side("bid", colours.gain, "step-before"), *side("ask", colours.loss, "step-after")]
    title = alt.Title(TITLE, anchor="start", fontSize=13, fontWeight="normal", color=colours.quiet)
    spec = alt.layer(*layers).properties(title=title).to_dict()
    # Altair names a stand-in for data that it was not given; Vega would measure it and find no extent.
    spec.pop("datasets", None)
    for layer in spec["layer"]:
        layer.pop("data", None)
    return spec


def _summary(points: tuple[DepthPoint, ...]) -> str:
    """The chart in words, for those who hear the page."""
    bids = [point for point in points if point.side == "bid"]
    asks = [point for point in points if point.side == "ask"]
    said = [
        f"{side[at].total:,.8g} {word} {side[at].price:,.8g}"
        for side, at, word in ((bids, 0, "bid for down to"), (asks, -1, "offered up to"))
        if side
    ]
    return f"Depth: {', '.join(said)}."
