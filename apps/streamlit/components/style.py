"""The page's own style: colours that colour-blind eyes tell apart, in light and dark, and the few shapes used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any, Final

import streamlit as st


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours with a contrast of at least 4.5 on their background; gain and loss also differ in lightness and hue."""

    gain: str
    loss: str
    warning: str
    error: str
    quiet: str
    accent: str


ArrowTable = Any

WORD_JOINER: Final = "\u2060"
_SIGN_OF_DOLLARS: Final = re.compile(r"[-+−](?=\$)")

ROW_PIXELS: Final = 30
CHARACTER_PIXELS: Final = 6  # of a number
CELL_PADDING_PIXELS: Final = 18
HEADER_PIXELS: Final = 36

LIGHT: Final = Palette("#00735c", "#b8430a", "#8a5a00", "#b42318", "#5b6675", "#1d5fbf")
DARK: Final = Palette("#35c9a0", "#ff9466", "#f0b429", "#ff7a7a", "#8fa0b5", "#5b9bf5")

# Borders and tints are mixed from the text's own colour, so that they fit every theme.
STYLE: Final = """
<style>
.stApp { --oh-line: color-mix(in srgb, currentColor 16%, transparent); }
.stAppHeader { height: 2.6rem; min-height: 2.6rem; background: transparent; }
.stMainBlockContainer { padding: 9px 16px 1.5rem; max-width: 2200px; }
.stMainBlockContainer > .stVerticalBlock, .st-key-page { gap: 8px; }
/* What has only a style or a script takes no place, not even a gap's. */
.stElementContainer:has(> .stHtml > style:only-child), .stElementContainer:has(.oh-unseen) {
  position: absolute; max-width: 1px; }
.st-key-page > :has(> :is(.st-key-banners, .st-key-tiles) .oh:empty) { display: none; }
/* The bar and the buttons lie in Streamlit's own strip, beside its menu and the arrow of a closed sidebar. */
.stAppHeader, .stAppHeader * { pointer-events: none !important; }
.stAppHeader :is(button, a, [role=button]), .stAppHeader :is(button, a, [role=button]) * {
  pointer-events: auto !important; }
.st-key-header { flex-wrap: nowrap; }
.st-key-header > :has(> .st-key-truth) { flex: 1 1 0; min-width: 0; }
.st-key-header :is(button, [data-testid=stPopoverButton]) { min-height: 30px; padding: 0 .6rem; font-size: 13px; }
.st-key-header button p { font-size: 13px; }
.st-key-lifecycle { flex-wrap: nowrap; }
@media (min-width: 641px) {
  .st-key-header { padding-right: 2.4rem; }
  .stApp:has([data-testid=stExpandSidebarButton]) .st-key-header { padding-left: 2.4rem; }
}
/* What a tab has chosen and nobody applied lies over the sidebar's end, and has its place there while it is not. */
[data-testid=stSidebarUserContent] { padding-bottom: 0; }
[data-testid=stSidebarUserContent] :has(> .st-key-actions) { order: 1; position: sticky; bottom: 0; height: 19rem;
  flex-shrink: 0; z-index: 2; pointer-events: none; }
.st-key-actions { position: absolute; bottom: .5rem; }
.st-key-pending { background: light-dark(#ffffff, #0e141d); pointer-events: auto; max-height: 18.5rem;
  overflow-y: auto; }
.oh { font-variant-numeric: tabular-nums; line-height: 1.35; }
.oh-bar { display: flex; gap: 0 .8rem; align-items: center; min-height: 30px; padding: 0 .75rem; font-size: 13px;
  border: 1px solid color-mix(in srgb, var(--level) 45%, transparent); border-radius: .4rem;
  background: color-mix(in srgb, var(--level) 10%, transparent); }
.oh-word { color: var(--level); font-weight: 700; white-space: nowrap; }
.oh-sentence { flex: 0 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.oh-sentence:empty { flex: 0 0 0; margin-left: -.8rem; }
/* What is not going on says its cause to the end, where the remedy stands. */
.oh-whole .oh-sentence { white-space: normal; overflow-wrap: anywhere; flex-basis: 9rem; padding: .2rem 0; }
/* What is beside the sentence has what room that leaves: the smallest part of a pixel would cost a word its end. */
.oh-ages, .oh-feeds { white-space: nowrap; color: var(--quiet); overflow: hidden; text-overflow: ellipsis; }
.oh-ages { flex-shrink: 1e6; } .oh-feeds { flex-shrink: 1e10; }
.oh-ages b { color: var(--text); font-weight: 600; }
.oh-time { margin-left: auto; white-space: nowrap; color: var(--quiet); }
.oh-label { border: 1px dashed var(--warning); color: var(--warning); border-radius: .3rem; padding: 0 .45rem;
  font-weight: 650; font-size: 12px; white-space: nowrap; }
.oh-recording { color: var(--quiet); font-size: 12px; white-space: nowrap; }
.oh-details-sentence { margin: 0; font-size: 13px; }
.oh-chips { display: flex; flex-wrap: wrap; gap: .35rem; align-items: center; margin-top: .45rem; font-size: .82rem; }
.oh-chip { border: 1px solid color-mix(in srgb, var(--level) 45%, transparent); border-radius: 1rem;
  padding: .08rem .6rem; white-space: nowrap; }
.oh-chip b { color: var(--level); font-weight: 650; }
.oh-aside { color: var(--quiet); margin-left: auto; font-size: .82rem; }
.oh-rest { color: var(--quiet); font-size: .8rem; margin: .35rem 0; overflow-wrap: anywhere; }
.oh-banner { margin-bottom: .35rem; padding: .22rem .7rem; font-size: .88rem; border-radius: .4rem;
  border: 1px solid var(--level);
  background: color-mix(in srgb, var(--level) 16%, transparent); overflow-wrap: anywhere; }
.oh-tiles { display: grid; grid-template-columns: 1.2fr 1.35fr 1.3fr repeat(5, minmax(0, 1fr)); overflow: clip;
  overflow-clip-margin: 12rem; border: 1px solid var(--oh-line); border-radius: .4rem; }
.oh-tile { padding: 5px 12px 4px; min-width: 0; min-height: 70px; border-left: 1px solid var(--oh-line); }
.oh-tile:first-child { border-left: 0; }
.oh-name { font-size: 12px; color: var(--quiet); line-height: 17px;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
/* A figure stays in its tile: what is long for it has smaller letters, and of what is beside it the end may go. */
.oh-figure { display: flex; align-items: baseline; font-size: 20px; height: 26px; line-height: 26px;
  font-weight: 600; letter-spacing: -0.01em; white-space: nowrap; container-type: inline-size; }
.oh-figure > * { --fit: calc(100cqi / var(--ems)); }
.oh-figure > span { flex: none; font-size: clamp(11px, var(--fit), 1em); }
.oh-figure > small { font-size: clamp(10px, .65 * var(--fit), .65em); font-weight: 500; margin-left: .5em;
  letter-spacing: 0; min-width: 0; overflow: hidden; text-overflow: ellipsis; }
.oh-tile:nth-child(-n+2) .oh-figure { font-size: 22px; }
.oh-line > span > * { display: block; font-weight: inherit; }
.oh-line > span > b { font-weight: 600; }
.oh-note { font-size: 12px; color: var(--quiet); line-height: 17px; white-space: pre-line; }
.oh-caveat { color: var(--warning); font-weight: 600; }
.oh-gain { color: var(--gain); } .oh-loss { color: var(--loss); }
.oh-warning { color: var(--warning); } .oh-error { color: var(--error); }
/* One line, and all of it over what lies below while a pointer rests on it or it has the focus. */
@media (hover: hover) and (min-width: 641px) {
  .oh-line { position: relative; height: 17px; contain: inline-size; }
  .oh-line > span { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .oh-line:not(:hover, :focus) > span > * { display: inline; }
  .oh-line:not(:hover, :focus) > span > * + *::before { content: " · "; color: var(--quiet); font-weight: 400; }
  .oh-line:is(:hover, :focus) > span { position: absolute; z-index: 10; left: -.4rem; top: -.2rem;
    min-width: 100%; width: max-content; max-width: max(22rem, 100%); padding: .2rem .4rem; border-radius: .3rem;
    white-space: pre-line; background: Canvas; box-shadow: 0 1px 6px color-mix(in srgb, CanvasText 35%, transparent); }
  .oh-tile:last-child .oh-line:is(:hover, :focus) > span { left: auto; right: -.4rem; }
}
/* On a phone two lines of what speaks against a figure, else of the first it rests on; a tap shows the rest. */
@media (hover: none), (max-width: 640px) {
  .oh-line:not(:focus) > span { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2;
    overflow: hidden; }
  .oh-line:not(:focus) > span > * { display: inline; }
  .oh-line:not(:focus) > span > b + b::before { content: " · "; color: var(--quiet); font-weight: 400; }
  .oh-line:not(:focus) > span > :is(b, span) ~ span { display: none; }
}
.oh-scroll { overflow-x: auto; }
.oh-table { border-collapse: collapse; font-size: .84rem; margin-bottom: .6rem; }
.oh-table th, .oh-table td { padding: .2rem 1.2rem .2rem 0; text-align: left; vertical-align: top; border: 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
.oh-table th { color: var(--quiet); font-weight: 500; white-space: nowrap; }
/* For those who hear the page. */
.oh-unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.oh-quiet { color: var(--quiet); font-size: .82rem; }
/* News must not lie over the buttons, nor over the line that says what the prices are worth. */
.stToastContainer { top: auto !important; bottom: .75rem; }
/* Where things lie depends on the window's width, which no column of Streamlit's knows. */
.st-key-work { display: grid; gap: 8px; grid-template-columns: minmax(0, 1.5fr) minmax(0, 1fr);
  grid-template-areas: "table table" "chart side"; align-items: start; }
.st-key-work > :has(> .st-key-tablebox) { grid-area: table; }
.st-key-work > :has(> .st-key-charts) { grid-area: chart; }
.st-key-work > :has(> .st-key-side) { grid-area: side; }
.st-key-work > * { width: auto !important; min-width: 0; }
.st-key-footer button { min-height: 28px; padding: 0 .6rem; } .st-key-footer p { font-size: 12px; }
.st-key-charts { border: 1px solid var(--oh-line); border-radius: .4rem; padding: 0 12px 6px; }
.st-key-charts [data-testid=stTabPanel] { padding-top: 8px; position: relative; }
/* Beside the chart's title, which is part of a drawing that no figure may change. */
.stElementContainer:has(.oh-chart-moment) { position: absolute; max-width: none; width: auto !important; right: 8px;
  top: 12px; }
.oh-chart-moment { font-size: 12px; color: var(--quiet); white-space: nowrap; }
/* What is chosen in a tab stands in one low row, and close to what follows from it. */
:is(.st-key-payoff-choice, .st-key-changed-choice) { gap: .5rem; flex-wrap: nowrap; }
:is(.st-key-payoff-choice, .st-key-changed-choice) :is([role=group], [role=combobox], button) {
  height: 30px; min-height: 30px; padding-block: 0; font-size: 13px; }
[data-testid=stTabPanel]:has(.st-key-payoff-choice, .st-key-changed-choice) .stVerticalBlock { gap: 4px; }
/* No tab is higher than what stands beside it: what is longer scrolls within, and the page does not. */
@media (min-width: 901px) {
  .st-key-charts [data-testid=stTabPanel] { max-height: 246px; overflow-y: auto; }
}
@media (min-width: 1700px) and (min-height: 1000px) {
  .st-key-charts [data-testid=stTabPanel] { max-height: 286px; }
}
@media (min-width: 1700px) {
  .st-key-work { grid-template-columns: minmax(0, 1fr) 486px; grid-template-areas: "table side" "chart side"; }
}
/* Eight tiles of a small laptop: no figure may lose its end. */
@media (min-width: 1101px) and (max-width: 1420px) {
  .oh-tile { padding-inline: 8px; }
  .oh-figure { font-size: 18px; }
  .oh-tile:nth-child(-n+2) .oh-figure { font-size: 19px; }
}
@media (max-width: 1100px) {
  .st-key-header { flex-wrap: wrap; }
  .st-key-header > :has(> .st-key-truth) { flex-basis: 100%; }
  .oh-bar { flex-wrap: wrap; padding-block: .2rem; }
  .oh-tiles { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .oh-tile:nth-child(5) { border-left: 0; } .oh-tile:nth-child(n+5) { border-top: 1px solid var(--oh-line); }
}
/* The same where the sidebar takes of the width; what is wanted over the table must lie above it. */
.oh-row { container: oh-row / inline-size; position: relative; z-index: 5; }
@container oh-row (max-width: 1250px) {
  .oh-tile { padding-inline: 8px; }
  .oh-figure { font-size: 18px; }
  .oh-tile:nth-child(-n+2) .oh-figure { font-size: 19px; }
}
@container oh-row (max-width: 1060px) {
  .oh-tiles { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .oh-tile:nth-child(5) { border-left: 0; } .oh-tile:nth-child(n+5) { border-top: 1px solid var(--oh-line); }
}
@media (max-width: 900px) {
  .st-key-work { grid-template-columns: minmax(0, 1fr); grid-template-areas: "table" "side" "chart"; }
}
@media (max-width: 640px) {
  .stMainBlockContainer { padding: 2.6rem .6rem 2rem; }
  /* What is scrolled goes under Streamlit's strip, or its buttons would lie on the text. */
  .stAppHeader { background: light-dark(#ffffff, #0e141d); }
  /* News takes the whole width: whatever it lies over can be scrolled out from under it, the page's end too. */
  .stToastContainer { max-height: 50vh; overflow-y: auto; }
  body:has(.stToast) .stMainBlockContainer { padding-bottom: calc(50vh + 1.5rem); }
  .oh-bar .oh-sentence:not(:empty) { white-space: normal; flex: 1 0 100%; order: 1; }
  .oh-time { margin-left: 0; }
  .oh-tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .oh-tile { min-height: 62px; border-left: 0; }
  .oh-tile:nth-child(even) { border-left: 1px solid var(--oh-line); }
  .oh-tile:nth-child(n+3) { border-top: 1px solid var(--oh-line); }
  .oh-figure, .oh-tile:nth-child(-n+2) .oh-figure { font-size: 18px; }
  /* The title takes the whole of its line. */
  .stElementContainer:has(.oh-chart-moment) { position: static; text-align: right; }
}
</style>
"""


def palette() -> Palette:
    """The colours for the theme this viewer has chosen, or the system has."""
    return LIGHT if st.context.theme.type == "light" else DARK


def apply_style(*sheets: str) -> None:
    """Style what is drawn after it, from its first moment on.

    What is nothing but a style Streamlit applies when the whole run has arrived: on a busy computer the page stood
    there for seconds without any, with every alarm's text to be read.
    """
    st.html(f'<div class="oh-unseen"></div>{"".join(sheets)}')


def draw(html: str, **data: object) -> None:
    """Put a piece of our own HTML on the page, with this viewer's colours; every text in it is already escaped.

    What is told as `data` of its outermost element is for our own scripts.
    """
    told = "".join(f' data-{name}="{escape(str(value))}"' for name, value in data.items())
    st.html(f'<div class="oh" style="{colour_variables()}"{told}>{html}</div>')


def colour_variables() -> str:
    """The colours of this viewer, as the style of an element."""
    colours = palette()
    names = ("gain", "loss", "warning", "error", "quiet", "accent")
    return ";".join(f"--{name}:{getattr(colours, name)}" for name in names) + ";--text:currentColor"


def tag(name: str, text: str, css_class: str, **attributes: str) -> str:
    """One element around a text of any origin."""
    extra = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f'<{name} class="{css_class}"{extra}>{_escaped(text)}</{name}>'


@lru_cache(maxsize=4_096)  # most of what a refresh says the one before has said
def _escaped(text: str) -> str:
    """A browser may end a line between a sign and its dollars, and a loss would read as a gain; a joiner forbids it."""
    return escape(_SIGN_OF_DOLLARS.sub(f"\\g<0>{WORD_JOINER}", text))


def line(text: str, css_class: str, *, whole: bool = False, **attributes: str) -> str:
    """A text that takes one line, and is shown in full under a pointer or where there is none; or `whole` at once."""
    extra = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    one_line = css_class if whole else f"{css_class} oh-line"
    return f'<div class="{one_line}"{extra}>{tag("span", text, "")}</div>'


def table_height(rows: int) -> int:
    """The pixels that a table of this many rows takes, its borders included."""
    return HEADER_PIXELS + ROW_PIXELS * rows + 2


def pixels_for(numbers: Iterable[str | None], least: int = 0) -> int:
    """How wide a column of these numbers must be: a grid cuts off what has no room, leading digits first."""
    longest = max((len(number) for number in numbers if number), default=0)
    return max(least, CHARACTER_PIXELS * longest + CELL_PADDING_PIXELS)


def arrow_table(columns: Mapping[str, Any]) -> ArrowTable:
    """A table as Streamlit sends it, missing numbers as nulls; a DataFrame would cost it three times as much."""
    import pyarrow as pa

    # A Series gives its bare array: there is no index to send.
    return pa.table(
        {
            name: pa.array(getattr(values, "array", values), from_pandas=True)
            for name, values in columns.items()
        }
    )
