"""The list of what needs a hand, and the strip of what expires when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from html import escape
from typing import Final

from apps.streamlit.components.live_expiry import expiry_panels
from apps.streamlit.components.style import tag
from options_helper.analysis.attention.entries import AttentionKind
from options_helper.analysis.live_health import Level
from options_helper.live.attention import Item
from options_helper.live.screen import ScreenModel
from options_helper.model.clock_skew import format_span
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.text import format_count

# Shape and colour: a square is today's or wrong, a dot is to be looked at, a ring is to be known.
SIGNS: Final = {Level.ERROR: ("■", "error"), Level.WARNING: ("●", "warning")}
TO_KNOW: Final = ("○", "quiet")
EXPIRIES_AT_MOST: Final = 5
# So many are told in a few lines each on a laptop, so that three are seen at once.
CROWDED_FROM: Final = 3
# Further away than this an instant is told by its day.
_NEAR_SECONDS: Final = 20 * 3600
ATTENTION_STYLE: Final = """
<style>
.oh-panel { border: 1px solid var(--oh-line); border-radius: .4rem; }
.oh-panel-head { display: flex; justify-content: space-between; padding: .4rem .75rem; font-size: 13px;
  border-bottom: 1px solid var(--oh-line); }
.oh-panel-head b { font-weight: 650; }
/* How many entries lie below what is seen of the list; a script counts them. */
.oh-panel-head span[data-below]::after { content: attr(data-below) " more below"; color: var(--warning); }
.oh-panel-head span[data-below]:not(:empty)::after { content: " · " attr(data-below) " more below"; }
.oh-items { list-style: none; margin: 0 !important; padding: 0 !important; font-size: 13px; overflow-y: auto; }
.oh-items li { display: grid; grid-template-columns: 1rem minmax(0, 1fr); gap: 0 .35rem; margin: 0 !important;
  padding: .28rem .75rem !important; line-height: 1.35; font-size: 13px; overflow-wrap: anywhere;
  border-bottom: 1px solid var(--oh-line); }
.oh-items li:last-child { border-bottom: 0; }
.oh-items i { font-style: normal; color: var(--level); font-size: 10px; line-height: 1.75; }
.oh-items strong { font-weight: 600; } .oh-items .oh-by { font-weight: 600; color: var(--level); }
.oh-items em { font-style: normal; color: var(--quiet); display: block; }
.oh-items .oh-gist { display: block; } .oh-items li:focus { outline: none; }
.oh-strip { display: flex; margin-top: 8px; font-size: 12px; }
.oh-strip > div { flex: 1 1 0; min-width: 0; padding: .3rem .6rem; border-left: 1px solid var(--oh-line);
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.oh-strip > div:first-child { border-left: 0; }
.oh-strip b { font-weight: 650; font-size: 13px; } .oh-strip b.oh-today { color: var(--warning); }
.oh-strip span { color: var(--quiet); }
@media (min-width: 901px) and (max-width: 1699px) {
  .oh-items { max-height: 206px; }
  /* Of many the first three are seen; all that one says under a pointer, a tap or, by keys, with the list's focus. */
  .oh-crowded { --lines: 2; }
  .oh-items.oh-crowded li > span > * { display: -webkit-box; -webkit-box-orient: vertical; overflow: hidden; }
  .oh-crowded .oh-gist { -webkit-line-clamp: var(--lines); } .oh-crowded em { -webkit-line-clamp: 1; }
  .oh-crowded:focus-visible li > span > *, .oh-crowded li:is(:hover, :focus) > span > * { -webkit-line-clamp: none; }
}
@media (max-width: 640px) {
  .oh-strip { flex-wrap: wrap; } .oh-strip > div { flex: 1 0 33%; }
}
</style>
"""


def attention_html(screen: ScreenModel, items: Sequence[Item]) -> str:
    """What needs a hand, worst first, below it what expires when, and on such a day its cockpit."""
    urgent = sum(item.counts for item in items)
    head = f'<div class="oh-panel-head"><b>Attention</b>{tag("span", _how_many(items), "oh-quiet")}</div>'
    rows = "".join(map(_item, items))
    if not urgent:
        rows = f"<li><i></i>{tag('strong', 'Nothing needs your hand.', '')}</li>{rows}"
    crowded = " oh-crowded" if len(items) >= CROWDED_FROM else ""
    listed = f'<ul class="oh-items{crowded}" tabindex="0" aria-label="Attention, worst first">{rows}</ul>'
    return f'<div class="oh-panel">{head}{listed}</div>{_strip(screen)}{expiry_panels(screen)}'


def _how_many(items: Sequence[Item]) -> str:
    """How many entries the list has, of both kinds: of all of them it is said how many lie below."""
    urgent = sum(item.counts for item in items)
    to_know = len(items) - urgent
    counted = [f"{urgent}, worst first" if urgent > 1 else f"{urgent}"] if urgent else []
    counted += [f"{to_know} to know"] if to_know else []
    return " · ".join(counted) if len(items) > 1 else ""


def _item(item: Item) -> str:
    return _item_html(
        item.level, item.kind, item.subject, item.what, countdown=_countdown(item), remedy=item.remedy
    )


@lru_cache(maxsize=1_024)  # from one minute to the next most say the same
def _item_html(
    level: Level, kind: AttentionKind | None, subject: str, what: str, *, countdown: str, remedy: str
) -> str:
    sign, colour = SIGNS.get(level, TO_KNOW)
    todo = tag("em", remedy, "") if remedy else ""
    data = "" if kind is None else f' data-kind="{escape(kind)}"'
    return (
        f'<li style="--level:var(--{colour})" data-level="{escape(level)}"{data} tabindex="-1"><i>{sign}</i>'
        f'<span><span class="oh-gist">{tag("strong", subject, "")} {countdown}'
        f"{tag('span', what, '')}</span>{todo}</span></li>"
    )


def _countdown(item: Item) -> str:
    """By when, in New York, and how long that is; an instant of another day is told by the day."""
    if item.by is None or item.left_seconds is None:
        return ""
    local = item.by.astimezone(NEW_YORK)
    left = item.left_seconds
    if left > _NEAR_SECONDS:
        said = f"by {local:%a} {local.day} {local:%b}"
    elif left > 0:
        said = f"by {local:%H:%M} ET, {format_span(left)} left"
    else:
        said = (
            f"{local:%H:%M} ET has passed"
            if left > -_NEAR_SECONDS
            else f"{local:%a} {local.day} {local:%b} has passed"
        )
    return f"{tag('b', said, 'oh-by')} "


def _strip(screen: ScreenModel) -> str:
    cells = [
        f'<div><b class="{"oh-today" if dte <= 1 else ""}">{"today" if dte == 0 else f"{dte} d"}</b> '
        f"{tag('span', _day(day), '')}<br>{tag('span', words, '', title=words)}</div>"
        for dte, day, words in expiries(screen)
    ]
    return (
        f'<div class="oh-panel oh-strip" role="group" aria-label="Expiries">{"".join(cells)}</div>'
        if cells
        else ""
    )


def expiries(screen: ScreenModel) -> list[tuple[int, date, str]]:
    """The next days on which something expires: days from now, the day, and what; later ones are left out."""
    ended = {line.label for line in screen.totals.lines if line.has_ended}
    expiring: dict[tuple[int, date], dict[str, None]] = {}
    for table in (screen.positions, screen.legs):
        for dte, day, words in zip(*map(table.values, ("dte", "expiry", "words")), strict=True):
            # Shares have none.
            if dte is not None and dte >= 0 and words not in ended:
                expiring.setdefault((int(dte), day), {})[words] = None
    return [
        (dte, day, next(iter(what)) if len(what) == 1 else format_count(len(what), "line"))
        for (dte, day), what in sorted(expiring.items())[:EXPIRIES_AT_MOST]
    ]


def _day(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b}"
