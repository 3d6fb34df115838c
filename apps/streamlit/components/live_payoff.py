"""The tab *Payoff*: profit over the price of the underlying, at the end, today, and in a what-if of the viewer's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from math import isfinite
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import streamlit as st

from apps.streamlit.components.board_table import selected_row
from apps.streamlit.components.formatting import UNKNOWN, money
from apps.streamlit.components.live_chart import PADDING
from apps.streamlit.components.style import ArrowTable, Palette, arrow_table, draw, tag
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.extremes import Extreme, Limit
from options_helper.analysis.risk.figures_together import id_of
from options_helper.analysis.risk.payoff_progress import Progress, progress_of
from options_helper.analysis.risk.payoff_view import PayoffView, Subject, payoff_view, subjects
from options_helper.analysis.risk.what_if import WhatIf
from options_helper.live.screen import ScreenModel
from options_helper.model.contract_symbols import short_date
from options_helper.model.text import digits_of, format_count, price_text

HEIGHT: Final = 150
T = TypeVar("T")

VIOLET: Final = "#8a5cd6"
DEVIATIONS: Final = (2, 1)
PAYOFF_STYLE: Final = """
<style>
.oh-payoff { font-size: 12px; color: var(--quiet); line-height: 17px; }
.oh-payoff span::after { content: " "; }
</style>
"""
NEVER_IN_IT: Final = "Early exercise, assignment, dividends to shares and fees are in none of the lines."
STICKY: Final = "Each leg keeps its own volatility wherever the price goes (sticky strike)."
HIDDEN_DIGITS: Final = 4


class Layers(NamedTuple):
    """What of a chart there is something to draw of; a layer of nothing makes Vega warn."""

    bands: bool
    evens: bool
    what_if: bool
    point: bool  # the what-if's own price is within the axis

    @classmethod
    def of(cls, view: PayoffView) -> Layers:
        """Those of this view."""
        low, high = float(view.prices[0]), float(view.prices[-1])
        return cls(
            bands=view.move is not None,
            evens=any(low <= price <= high for price in view.break_evens),
            what_if=view.elsewhere is not None,
            point=view.there_price is not None and low <= view.there_price <= high,
        )


def payoff_tab(screen: ScreenModel, colours: Palette) -> None:
    """Draw what the viewer chose; the sliders are drawn with it, so that a turn of one redraws this alone."""
    found = subjects(screen.risk)
    if not found:
        st.caption("A payoff is drawn of options, and none is held.")
        return
    with st.container(horizontal=True, key="payoff-choice"):
        subject = _chosen(found, screen.risk)
        what_if = _what_if()
    view = payoff_view(screen.risk, subject, what_if)
    if isinstance(view, str):
        st.caption(view if screen.run is not None else f"{view} Press Start.")
        return
    hidden = screen.options.preferences.hide_amounts
    st.vega_lite_chart(
        payoff_rows(view, hide_amounts=hidden),
        payoff_spec(colours, hide_amounts=hidden, layers=Layers.of(view)),
        width="stretch",
        height=HEIGHT,
        key="payoff-chart",
        alt=f"Payoff of {subject.name} over the price of {subject.underlying}",
    )
    # What the lines are comes first: of the rest only the beginning is seen on a laptop.
    said = (*payoff_sentences(view, what_if, hidden=hidden), *_progress(subject, screen, hidden=hidden))
    sentences = "".join(tag("span", sentence, "") for sentence in said)
    draw(f'<div class="oh-payoff" role="note">{sentences}</div>')


def _progress(subject: Subject, screen: ScreenModel, *, hidden: bool) -> Iterator[str]:
    """How far it has come; where several accounts are shown, in each that has it, with the account's own capital."""
    if not screen.accounts:
        progress = progress_of(subject, screen.risk, screen.portfolio, screen.snapshot.account)
        yield from progress_sentences(progress, hidden=hidden)
    for name, one in screen.accounts.items():
        key = subject.key.replace(f"e:{id_of(name, '')}", "e:", 1)
        for own in subjects(one.risk):
            if own.key == key and (key != subject.key or key.startswith("u:")):
                yield from (f"{name}: {said}" for said in _progress(own, one, hidden=hidden))


def _chosen(found: tuple[Subject, ...], book: BookFigures) -> Subject:
    """What the selected row of the table is, or what the viewer chose here since; else the first."""
    of_key = {one.key: one for one in found}
    row = selected_row()
    if row != st.session_state.get("payoff-row"):
        st.session_state["payoff-row"] = row
        of_row = subject_of_row(row, book)
        if of_row in of_key:
            st.session_state["payoff-subject"] = of_row
    if st.session_state.get("payoff-subject") not in of_key:
        st.session_state["payoff-subject"] = found[0].key
    key = st.selectbox(
        "Payoff of",
        list(of_key),
        format_func=lambda one: of_key[one].name if one in of_key else one,
        key="payoff-subject",
        label_visibility="collapsed",
    )
    return of_key[key]


def subject_of_row(row: str, book: BookFigures) -> str | None:
    """The key of what a row of the table can be drawn as: the structure, or the underlying of shares and groups."""
    kind, _, name = row.partition(":")
    if kind == "g":
        return f"u:{name}"
    entry = name.rpartition(":")[0] if kind == "l" else name
    lines = [line for line in book.lines if line.position_id == entry]
    if not lines:
        return None
    has_option = any(line.iv_state is not None for line in lines)
    return f"e:{entry}" if has_option and kind != "c" else f"u:{lines[0].underlying}"


def _what_if() -> WhatIf:
    """What the viewer's sliders say."""
    with st.popover("What if", icon=":material/tune:"):
        spot = st.slider("Spot, %", -30.0, 30.0, 0.0, 0.5, key="what-if-spot")
        vol = st.slider("Volatility, points", -30, 30, 0, 1, key="what-if-vol")
        days = st.slider("Days on", 0, 90, 0, 1, key="what-if-days")
        rate = st.slider("Rate, points", -5.0, 5.0, 0.0, 0.25, key="what-if-rate")
    return WhatIf(spot_percent=spot, vol_points=vol, days=days, rate_points=rate)


def payoff_rows(view: PayoffView, *, hide_amounts: bool) -> ArrowTable:
    """The curves, a row for each price; bands, spot and break-evens stand in columns of their own in the first rows.

    Hidden amounts are parts of the largest of them.
    """
    unit, digits = (_largest(view), HIDDEN_DIGITS) if hide_amounts else (1.0, 2)
    count = len(view.prices)

    def scaled(values: Iterable[float | None]) -> list[float | None]:
        known = (
            None if value is None or not isfinite(value) else round(value / unit, digits) for value in values
        )
        return _filled(known, count)

    low, high = float(view.prices[0]), float(view.prices[-1])
    evens = [price for price in view.break_evens if low <= price <= high]
    columns: dict[str, Any] = {
        "price": [round(price, 2 + digits_of(price, 2, 4)) for price in view.prices.tolist()],
        "end": scaled(view.at_end.tolist()),
        "gain": scaled(np.maximum(view.at_end, 0.0).tolist()),
        "loss": scaled(np.minimum(view.at_end, 0.0).tolist()),
        "today": scaled(view.today.tolist()),
        "spot": _filled([view.spot], count),
        "spot_y": scaled([view.now]),
        "even": _filled(evens, count),
        "even_words": _filled(list(map(price_text, evens)), count),
        "even_y": _filled([0.0] * len(evens), count),
    }
    for deviations in DEVIATIONS if view.move is not None else ():
        reach = deviations * (view.move or 0.0)
        columns[f"low{deviations}"] = _filled([max(low, view.spot - reach)], count)
        columns[f"high{deviations}"] = _filled([min(high, view.spot + reach)], count)
    if view.elsewhere is not None:
        is_inside = view.there_price is not None and low <= view.there_price <= high
        there = [view.there] if is_inside else []
        columns |= {
            "elsewhere": scaled(view.elsewhere.tolist()),
            "there": _filled([view.there_price] if is_inside else [], count),
            "there_y": scaled(there),
            "there_words": _filled(
                [_dollars(one or 0.0) for one in there] if not hide_amounts else [], count
            ),
        }
    return arrow_table(columns)


def _filled(values: Iterable[T], count: int) -> list[T | None]:
    """So many, the rest of them nothing."""
    some: list[T | None] = list(values)
    return some + [None] * (count - len(some))


def _largest(view: PayoffView) -> float:
    curves = [view.at_end, view.today, *([] if view.elsewhere is None else [view.elsewhere])]
    sizes = [abs(value) for curve in curves for value in curve.tolist() if isfinite(value)]
    return max(sizes, default=0.0) or 1.0


@cache
def payoff_spec(colours: Palette, *, hide_amounts: bool, layers: Layers) -> dict[str, Any]:
    """The chart of any view with these layers: a refresh only fills it anew.

    Every mark says that it has no tooltip, or Streamlit gives it one with all that is in its row.
    """
    amounts = {
        "labels": not hide_amounts,
        "format": "$,.2~f",
        "title": None,
        "tickCount": 5,
        "gridOpacity": 0.5,
    }
    prices = {"title": None, "grid": False, "format": ",.2~f", "tickCount": 7}

    def x(field: str = "price") -> dict[str, Any]:
        return {
            "field": field,
            "type": "quantitative",
            "axis": prices,
            "scale": {"zero": False, "nice": False},
        }

    def y(field: str) -> dict[str, Any]:
        return {"field": field, "type": "quantitative", "axis": amounts, "scale": {"nice": True}}

    def layer(mark: str, encoding: Mapping[str, Any], **how: Any) -> dict[str, Any]:
        return {
            "mark": {"type": mark, "clip": True, "tooltip": None, "aria": False, **how},
            "encoding": encoding,
        }

    def curve(field: str, **how: Any) -> dict[str, Any]:
        return layer("line", {"x": x(), "y": y(field)}, strokeWidth=2, **how)

    def dot(at: str, height: str, size: int, colour: str) -> dict[str, Any]:
        return layer("point", {"x": x(at), "y": y(height)}, filled=True, size=size, color=colour, opacity=1)

    def words(at: str, height: str, text: str, colour: str) -> dict[str, Any]:
        encoding = {"x": x(at), "y": y(height), "text": {"field": text}}
        return layer("text", encoding, fontSize=11, dy=-9, color=colour)

    drawn = [
        layer("rect", {"x": x(f"low{n}"), "x2": {"field": f"high{n}"}}, color=colours.quiet, opacity=0.11)
        for n in (DEVIATIONS if layers.bands else ())
    ]
    # With data of its own, or it would be drawn once for each row.
    zero = layer("rule", {"y": {"datum": 0, "type": "quantitative"}}, color=colours.quiet)
    drawn += [
        layer("area", {"x": x(), "y": y("gain")}, opacity=0.13, color=colours.gain),
        layer("area", {"x": x(), "y": y("loss")}, opacity=0.13, color=colours.loss),
        {**zero, "data": {"values": [{}]}},
        curve("end", color=colours.quiet),
    ]
    drawn += [curve("elsewhere", color=VIOLET, strokeDash=[5, 4])] if layers.what_if else []
    drawn += [
        curve("today", color=colours.accent),
        layer("rule", {"x": x("spot")}, strokeDash=[3, 3], color=colours.quiet),
        dot("spot", "spot_y", 50, colours.accent),
    ]
    if layers.evens:
        drawn += [
            dot("even", "even_y", 40, colours.quiet),
            words("even", "even_y", "even_words", colours.quiet),
        ]
    if layers.point:
        drawn += [dot("there", "there_y", 70, VIOLET), words("there", "there_y", "there_words", VIOLET)]
    if not hide_amounts:
        drawn.append(_pointed_at(x(), y("today"), layers))
    return {"layer": drawn, "padding": PADDING}


def _pointed_at(x: Mapping[str, Any], y: Mapping[str, Any], layers: Layers) -> dict[str, Any]:
    """What is said where a pointer rests: wide enough to be found, and not seen."""
    shown = [("price", "Price", ",.2f"), ("end", "At the end", "+$,.2f"), ("today", "Today", "+$,.2f")]
    shown += [("elsewhere", "What if", "+$,.2f")] if layers.what_if else []
    tooltip = [
        {"field": field, "type": "quantitative", "title": title, "format": form}
        for field, title, form in shown
    ]
    mark = {"type": "point", "filled": True, "size": 160, "opacity": 0, "aria": False}
    return {"mark": mark, "encoding": {"x": x, "y": y, "tooltip": tooltip}}


def payoff_sentences(view: PayoffView, what_if: WhatIf, *, hidden: bool) -> Iterator[str]:
    """The chart in words, with all that is to be known of it."""
    end = "at the end" if view.end is None else f"on {short_date(view.end)}"
    yield f"Grey: {end}. Blue: today, {_amount(view.now, hidden=hidden)} at the marks ({view.by_model} by the model)."
    if view.there is not None and view.there_price is not None:
        there = f"{_amount(view.there, hidden=hidden)} at {price_text(view.there_price)}"
        yield f"Violet, what if: {what_if.words}: {there}."
    limits = f"Most to win {_won(view.best, hidden=hidden)}, to lose {_lost(view.worst, hidden=hidden)}"
    even = ", ".join(map(price_text, view.break_evens))
    even = f"; break-even {even}" if even else ""
    about = "" if view.is_exact else " (about, by the model)"
    yield f"{limits}{even}{about if even else ''}."
    if view.worst_by_account is not None and view.worst_by_account != view.worst:
        yield f"To lose by {view.whose} quantities: {_lost(view.worst_by_account, hidden=hidden)}."
    if not view.is_from_cost:
        why = view.subject.held.why_no_basis
        yield f"{why[0].upper()}{why[1:]}, so profit is counted from what it is worth now."
    if view.chance.value is not None:
        yield f"A profit is {view.chance.words} likely then: risk-neutral, from implied volatility."
    elif view.chance.reason:
        yield f"How likely a profit is: not known, {view.chance.reason}."
    if view.move is not None:
        yield f"Expected move until then: ±{price_text(view.move)} (one standard deviation; the bands are one and two)."
    yield from view.notes
    yield f"{STICKY} {NEVER_IN_IT}"


def progress_sentences(progress: Progress, *, hidden: bool) -> Iterator[str]:
    """How far it has come, and the capital that the account names, with its age."""
    if progress.percent_of_best is not None:
        share = f"{abs(progress.percent_of_best):.0f} % of the most to win"
        yield f"{share} is made." if progress.percent_of_best >= 0 else f"Lost so far: as much as {share}."
    else:
        yield f"How much of the most to win is made: {UNKNOWN}, {progress.why_no_percent}."
    if progress.days is not None:
        yield f"Held for {format_count(progress.days, 'day')}."
    else:
        yield "Since when it is held is not known."
    if progress.account_age_seconds is None:
        return
    age = f"read {progress.account_age_seconds:,.0f} s ago"
    if progress.cost_by_account is not None:
        what = "paid" if progress.cost_by_account >= 0 else "received"
        cost = money(abs(progress.cost_by_account), hidden=hidden)
        said = f"By the account ({age}) {cost} was {what} for it"
    else:
        said = f"The account ({age}) names no cost of it: {progress.why_no_cost}"
    power = (
        ""
        if progress.buying_power is None
        else f"; its options buying power is {money(progress.buying_power, hidden=hidden)}"
    )
    yield f"{said}{power}. Alpaca names no margin of a single structure."


def _won(best: Extreme, *, hidden: bool) -> str:
    """The best; where all prices bring a loss, that nothing is won."""
    said = f"{_extreme(best, hidden=hidden)} {best.holds_words}".rstrip()
    return f"nothing (at least {said} is lost)" if best.amount is not None and best.amount < 0 else said


def _lost(worst: Extreme, *, hidden: bool) -> str:
    """The worst; where all prices bring a gain, that nothing is lost."""
    said = _extreme(worst, hidden=hidden)
    won = worst.amount is not None and worst.amount > 0
    return f"{f'nothing (at least {said} is won)' if won else said} {worst.holds_words}".rstrip()


def _extreme(extreme: Extreme, *, hidden: bool) -> str:
    if extreme.amount is None:
        return extreme.limit.value if extreme.limit is not Limit.UNKNOWN else f"{UNKNOWN} ({extreme.reason})"
    return money(abs(float(extreme.amount)), hidden=hidden)


def _amount(value: float, *, hidden: bool) -> str:
    return money(value, signed=True, hidden=hidden)


def _dollars(value: float) -> str:
    return money(round(value), signed=True).partition(".")[0]
