"""The tab *What changed*: a profit since Start or a later moment, put down to price, time, volatility and the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from math import floor
from typing import Final
from zoneinfo import ZoneInfo

import streamlit as st

from apps.streamlit.components.board_table import selected_row
from apps.streamlit.components.style import draw, tag
from options_helper.analysis.risk.book_reading import entry_of
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.change_subject import BOOK
from options_helper.analysis.risk.payoff_view import shortened
from options_helper.analysis.risk.readings import Reading
from options_helper.analysis.risk.what_changed import Change, Part
from options_helper.live.change_history import ChangeRecord
from options_helper.live.screen import ScreenModel
from options_helper.model.text import HIDDEN, format_count, named

START: Final = ""
TODAY: Final = "today"
SINCE: Final = "since"  # in the address: a moment with its offset, or `today`; without it, since Start
# Named also where they are nothing; the others only where there is something of them.
ALWAYS: Final = (Part.DELTA, Part.GAMMA, Part.THETA, Part.VEGA, Part.REST)
WORDS: Final[Mapping[Part, tuple[str, str]]] = {
    Part.DELTA: ("Delta", "the price moved"),
    Part.GAMMA: ("Gamma", "delta changed on the way"),
    Part.THETA: ("Theta", "time passed"),
    Part.VEGA: ("Vega", "volatility changed"),
    Part.REST: ("Rest", "what no Greek explains"),
    Part.FILLS: ("Fills: paid vs mark", "by the account's own executions"),
    Part.GAP: ("Gap, not split", "the streams were lost in between"),
    Part.MARK_SOURCE: ("Other mark, not split", "from a middle to a last trade, or back"),
    Part.NOT_A_MIDDLE: ("No middle, not split", "a mark that is no middle, with its spread"),
    Part.VOLATILITY: ("No volatility, not split", "lost or regained on the way"),
    Part.FORWARD: (
        "Other inputs, not split",
        "the underlying's price from elsewhere, or dividends that became known",
    ),
    Part.BEFORE: (
        "Before Start, not split",
        "since the last close; also while its contracts stood elsewhere",
    ),
}
CHANGED_STYLE: Final = """
<style>
.oh-causes { display: grid; grid-template-columns: max-content max-content minmax(6rem, 1fr); gap: 0 .8rem;
  font-size: 13px; align-items: center; line-height: 21px; }
.oh-causes > .oh-sum { font-weight: 650; border-top: 1px solid var(--oh-line); }
.oh-dollars { text-align: right; }
.oh-cause-bar { position: relative; height: 13px; background: linear-gradient(var(--oh-line), var(--oh-line))
  var(--zero) 0 / 1px 100% no-repeat; }
.oh-cause-bar i { position: absolute; top: 0; height: 100%; left: var(--from); width: var(--wide); opacity: .75; }
.oh-changed { font-size: 12px; color: var(--quiet); line-height: 17px; margin-top: 4px; }
.oh-changed span::after { content: " "; }
</style>
"""


def what_changed_tab(screen: ScreenModel, record: ChangeRecord | None) -> None:
    """Draw it for the selected row, or for what the viewer chose here since, and since when he chose."""
    if record is None:
        st.caption("What changed is told from the first prices after Start on.")
        return
    with st.container(horizontal=True, key="changed-choice"):
        subject = _chosen_subject(screen.risk, record)
        moment = _chosen_moment(record, screen.options.zone)
    change = record.today(subject) if moment == TODAY else record.of(subject, _instant(moment))
    if change is None:
        st.caption(today_unknown(record, subject))
        return
    hidden = screen.options.preferences.hide_amounts
    draw(causes_table(change, hide_amounts=hidden))
    sentences = (tag("span", one, "") for one in change_sentences(change, screen.options.zone))
    draw(f'<div class="oh-changed" role="note">{"".join(sentences)}</div>')


def _chosen_subject(book: BookFigures, record: ChangeRecord) -> str:
    names = names_of(book, record.newest)
    row = selected_row()
    if row != st.session_state.get("changed-row"):
        st.session_state["changed-row"] = row
        st.session_state["changed-of"] = line_of_row(row, book)
    if st.session_state.get("changed-of") not in names:
        st.session_state["changed-of"] = BOOK
    return st.selectbox(
        "Of",
        list(names),
        format_func=lambda one: names.get(one, one),
        key="changed-of",
        label_visibility="collapsed",
    )


def line_of_row(row: str, book: BookFigures) -> str:
    """Of what a row of the table says a change: its entry or underlying; without a row, the book."""
    kind, _, name = row.partition(":")
    if kind == "g":
        return f"u:{name}"
    if kind == "c":
        return next((f"u:{line.underlying}" for line in book.lines if line.position_id == name), BOOK)
    entry = name.rpartition(":")[0] if kind == "l" else name
    return f"e:{entry}" if entry else BOOK


def names_of(book: BookFigures, newest: Reading) -> dict[str, str]:
    """What a change can be told of, by key, with its name: also an underlying of which all was closed."""
    labels: dict[str, list[str]] = {}
    for line in book.lines:
        labels.setdefault(line.position_id, []).append(line.label)
    underlyings = dict.fromkeys([line.underlying for line in book.lines] + newest.underlying.tolist())
    return {
        BOOK: "Whole book",
        **{f"u:{symbol}": f"{symbol}, all of it" for symbol in underlyings},
        **{f"e:{entry}": shortened(names) for entry, names in labels.items()},
    }


def _chosen_moment(record: ChangeRecord, zone: ZoneInfo) -> str:
    started = record.strip.since
    words = {
        START: f"since {started.astimezone(zone):%H:%M:%S} (Start)",
        TODAY: "today, since the last close",
    } | {
        moment.isoformat(): f"since {moment.astimezone(zone):%H:%M:%S}"
        # Every one that is kept, the newest first; a few digits of a time find it in so long a list.
        for moment in reversed(record.moments)
        if moment != started
    }
    # Streamlit forgets what was chosen in a tab that is closed; the address does not.
    st.session_state.setdefault("changed-since", st.query_params.get(SINCE, START))
    if st.session_state["changed-since"] not in words:
        # The one that was chosen is no longer among those that are offered.
        st.session_state["changed-since"] = START
        _keep_moment()
    return st.selectbox(
        "Since",
        list(words),
        format_func=lambda one: words.get(one, one),
        key="changed-since",
        on_change=_keep_moment,
        label_visibility="collapsed",
    )


def _keep_moment() -> None:
    """What is chosen becomes the address's, so that F5 and a bookmark show the same."""
    moment = st.session_state["changed-since"]
    if moment != START:
        st.query_params[SINCE] = moment
    elif SINCE in st.query_params:
        del st.query_params[SINCE]


def _instant(moment: str) -> datetime | None:
    return None if moment == START else datetime.fromisoformat(moment)


def today_unknown(record: ChangeRecord, subject: str) -> str:
    """Why there is no profit of the day to be split."""
    if record.profits.of.get(subject) is not None:
        why = "Part of this structure was closed since Start: its day is told with its underlying."
    else:
        why = " ".join(record.profits.reasons) or "A close, a price or a fill of it is not known."
    return f"Today's profit of it is not known. {why}"


def causes_table(change: Change, *, hide_amounts: bool) -> str:
    """A bar for each cause from a common zero, and below a line what they come to."""
    dollars = whole_dollars(change.parts, change.profit)
    always = (*ALWAYS, Part.BEFORE) if change.is_of_day else ALWAYS
    shown = [part for part in Part if part in always or round(change.parts[part], 2)]
    least = min(0.0, *(change.parts[part] for part in shown))
    span = (max(0.0, *(change.parts[part] for part in shown)) - least) or 1.0
    zero = 100 * -least / span
    rows = "".join(
        _cause(WORDS[part], dollars[part], change.parts[part], zero, span, hide_amounts=hide_amounts)
        for part in shown
    )
    total = HIDDEN if hide_amounts else _signed(sum(dollars.values()))
    words = "P&L today" if change.is_of_day else "P&L since then"
    return (
        f'<div class="oh-causes" role="table">{rows}'
        f"{tag('span', words, 'oh-sum')}{tag('span', total, 'oh-sum oh-dollars')}"
        '<span class="oh-sum">&nbsp;</span></div>'
    )


def _cause(
    words: tuple[str, str], dollars: int, exact: float, zero: float, span: float, *, hide_amounts: bool
) -> str:
    name, why = words
    wide = 100 * abs(exact) / span
    start = zero if exact >= 0 else zero - wide
    colour = "var(--gain)" if exact >= 0 else "var(--loss)"
    bar = (
        f'<span class="oh-cause-bar" style="--zero:{zero:.1f}%;--from:{start:.1f}%;--wide:{wide:.1f}%">'
        f'<i style="background:{colour}"></i></span>'
    )
    amount = HIDDEN if hide_amounts else _signed(dollars)
    return f"{tag('span', name, '', title=why)}{tag('span', amount, 'oh-dollars')}{bar}"


def whole_dollars(parts: Mapping[Part, float], total: float) -> dict[Part, int]:
    """Each part in whole dollars, so that they add up to the whole dollars of all: the largest rests go up first."""
    down = {part: floor(amount) for part, amount in parts.items()}
    lacking = round(total) - sum(down.values())
    by_rest = sorted(parts, key=lambda part: parts[part] - down[part], reverse=True)
    return down | {part: down[part] + 1 for part in by_rest[: max(lacking, 0)]}


def change_sentences(change: Change, zone: ZoneInfo) -> Iterator[str]:
    """What the parts are of, and what is in none of them."""
    since, until = change.since.astimezone(zone), change.until.astimezone(zone)
    yield (
        f"From {since:%H:%M:%S} to {until:%H:%M:%S}, at the marks, in steps of a minute or 0.25 % of price, each split "
        "by the Greeks at both its ends."
    )
    if change.is_of_day:
        yield f"What the day had made before {since:%H:%M:%S}, from the last close on, is one line and not split."
    else:
        yield "What was before is not in it."
    if change.unpriced:
        count = format_count(change.unpriced, "quantity change")
        yield f"{count} that no execution explains, counted at the mark of then."
    for keys, what in (
        (change.late, "counted only from their first mark on"),
        (change.without_mark, "without a mark now, so at their last one"),
        (change.not_counted, "never had a mark, and are not counted"),
        (change.without_value, "without a multiplier, or of another share after a split; not counted"),
    ):
        if keys:
            yield f"{named([entry_of(key) for key in keys], 3)}: {what}."
    for gap in change.gaps:
        yield f"Gap {gap.since.astimezone(zone):%H:%M:%S} to {gap.until.astimezone(zone):%H:%M:%S}, not split."


def _signed(dollars: int) -> str:
    return f"{'−' if dollars < 0 else '+' if dollars else ''}${abs(dollars):,}"
