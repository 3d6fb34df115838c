"""The page's own style: colours that colour-blind eyes tell apart, in light and dark, and the few shapes used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
.stAppHeader { height: 2.6rem; min-height: 2.6rem; background: transparent; }
.stMainBlockContainer { padding: .4rem 1.5rem 2rem; max-width: 1760px; }
/* The title and the buttons lie in Streamlit's own strip, beside its menu and the arrow of a closed sidebar. */
.stAppHeader, .stAppHeader * { pointer-events: none !important; }
.stAppHeader :is(button, a, [role=button]), .stAppHeader :is(button, a, [role=button]) * {
  pointer-events: auto !important; }
@media (min-width: 641px) {
  .st-key-header { padding-right: 2.5rem; }
  .stApp:has([data-testid=stExpandSidebarButton]) .st-key-header { padding-left: 2.5rem; }
}
.stMainBlockContainer h1 { font-size: 1.4rem; padding: 0; letter-spacing: -0.01em; }
.stMainBlockContainer h3 { font-size: 1rem; padding: .3rem 0 .85rem; letter-spacing: 0; }
.st-key-page { gap: .6rem; }
.st-key-tables { gap: .35rem; }
.oh { font-variant-numeric: tabular-nums; line-height: 1.35; }
.oh-bar { display: flex; flex-wrap: wrap; gap: .3rem .9rem; align-items: baseline; padding: .5rem .8rem;
  border: 1px solid color-mix(in srgb, var(--level) 40%, transparent); border-left: 5px solid var(--level);
  border-radius: .4rem; background: color-mix(in srgb, var(--level) 10%, transparent); }
.oh-word { color: var(--level); font-weight: 700; letter-spacing: .03em; white-space: nowrap; }
.oh-sentence { flex: 1 1 9rem; overflow-wrap: anywhere; }
.oh-time { margin-left: auto; white-space: nowrap; color: var(--quiet); font-size: .86rem; }
.oh-chips { display: flex; flex-wrap: wrap; gap: .35rem; align-items: center; margin-top: .45rem; font-size: .82rem; }
.oh-chip { border: 1px solid color-mix(in srgb, var(--level) 45%, transparent); border-radius: 1rem;
  padding: .08rem .6rem; white-space: nowrap; }
.oh-chip b { color: var(--level); font-weight: 650; }
.oh-label { border: 1px dashed var(--warning); color: var(--warning); border-radius: .3rem; padding: .08rem .5rem;
  font-weight: 650; }
.oh-aside { color: var(--quiet); margin-left: auto; }
.oh-rest { color: var(--quiet); font-size: .8rem; margin-top: .35rem; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
/* The remedy stands at a sentence's end. */
.oh-rest.oh-troubled { white-space: normal; overflow-wrap: anywhere; }
.oh-banner { margin-top: .35rem; padding: .22rem .7rem; font-size: .88rem; border-radius: .4rem;
  border: 1px solid var(--level);
  background: color-mix(in srgb, var(--level) 16%, transparent); overflow-wrap: anywhere; }
.oh-tiles { display: grid; gap: .45rem; grid-template-columns: repeat(3, minmax(0, 1fr)); }
.oh-tile { border: 1px solid color-mix(in srgb, currentColor 16%, transparent); border-radius: .4rem;
  padding: .4rem .75rem .45rem; min-width: 0; }
.oh-hero { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: .4rem 1rem; }
.oh-profit { flex: 1 1 8.5rem; }
.oh-today { flex: 1 0 100%; border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent);
  padding-top: .3rem; }
.oh-name { font-size: .8rem; color: var(--quiet); }
.oh-figure { font-size: 1.25rem; font-weight: 600; letter-spacing: -0.01em; overflow-wrap: anywhere; }
.oh-hero .oh-figure { font-size: 1.55rem; line-height: 1.25; white-space: nowrap; }
.oh-note { font-size: .78rem; color: var(--quiet); line-height: 1.3; white-space: pre-line; }
.oh-caveat { color: var(--warning); font-weight: 600; }
.oh-gain { color: var(--gain); } .oh-loss { color: var(--loss); }
/* One line, and all of it over what lies below while a pointer rests on it; where none can, every word is shown. */
@media (hover: hover) and (min-width: 641px) {
  .oh-line { position: relative; height: 1.3em; contain: inline-size; }
  .oh-line > span { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .oh-line:hover > span { position: absolute; z-index: 10; left: -.4rem; top: -.2rem; min-width: 100%;
    width: max-content; max-width: max(22rem, 100%); padding: .2rem .4rem; border-radius: .3rem;
    white-space: pre-line; background: Canvas; box-shadow: 0 1px 6px color-mix(in srgb, CanvasText 35%, transparent); }
  .oh-today.oh-line, .oh-banner.oh-line { height: auto; }
  .oh-today.oh-line:hover { height: calc(1.3em + .3rem + 1px); }
  .oh-banner.oh-line:hover { height: calc(1.35em + .44rem + 2px); }
  .oh-banner.oh-line:hover > span { left: -1px; top: -1px; padding: .22rem .7rem; max-width: calc(100% + 2px);
    color: CanvasText; }
}
.oh-scroll { overflow-x: auto; }
.oh-table { border-collapse: collapse; font-size: .84rem; margin-bottom: .6rem; }
.oh-table th, .oh-table td { padding: .2rem 1.2rem .2rem 0; text-align: left; vertical-align: top; border: 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
.oh-table th { color: var(--quiet); font-weight: 500; white-space: nowrap; }
/* For those who hear the page; without a place, not even a gap's. */
.stElementContainer:has(.oh-unseen) { position: absolute; max-width: 1px; overflow: hidden; }
.oh-unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.oh-quiet { color: var(--quiet); font-size: .82rem; }
/* News must not lie over the buttons, nor over the line that says what the prices are worth. */
.stToastContainer { top: auto !important; bottom: .75rem; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding: 2.6rem .75rem 2rem; }
  .oh-aside, .oh-time { margin-left: 0; }
  .oh-tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
</style>
"""


def palette() -> Palette:
    """The colours for the theme this viewer has chosen, or the system has."""
    return LIGHT if st.context.theme.type == "light" else DARK


def draw(html: str) -> None:
    """Put a piece of our own HTML on the page, with this viewer's colours; every text in it is already escaped."""
    colours = palette()
    names = ("gain", "loss", "warning", "error", "quiet", "accent")
    variables = ";".join(f"--{name}:{getattr(colours, name)}" for name in names)
    st.html(f'<div class="oh" style="{variables}">{html}</div>')


def tag(name: str, text: str, css_class: str, **attributes: str) -> str:
    """One element around a text of any origin."""
    extra = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f'<{name} class="{css_class}"{extra}>{escape(_signs_kept(text))}</{name}>'


def _signs_kept(text: str) -> str:
    """A browser may end a line between a sign and its dollars, and a loss would read as a gain; a joiner forbids it."""
    return _SIGN_OF_DOLLARS.sub(f"\\g<0>{WORD_JOINER}", text)


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
