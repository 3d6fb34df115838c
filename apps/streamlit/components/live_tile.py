"""One tile of the page: a figure with its name, and what must be known about it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Final

from apps.streamlit.components.style import tag

NOTHING_YET: Final = "nothing to count yet"
NO_POSITIONS: Final = "no positions"


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure, its name, and what must be known about it."""

    name: str
    figure: str
    note: str
    tone: str = ""  # a colour of the palette: gain, loss, warning or error
    caveat: str = ""  # why the figure is not the whole truth
    beside: str = ""  # small, after the figure


def tile_html(tile: Tile) -> str:
    """Three lines: name, figure, and what speaks against it, else what it rests on; the whole under a pointer."""
    figure = f"oh-figure oh-{tile.tone}" if tile.tone else "oh-figure"
    parts = [tag("b", part, "oh-caveat") for part in tile.caveat.split("\n") if part]
    parts += [tag("span", part, "") for part in tile.note.split("\n") if part]
    beside = tag("small", tile.beside, "") if tile.beside else ""
    shown = (
        tag("div", tile.name, "oh-name")
        + f'<div class="{figure}">{tag("span", tile.figure, "")}{beside}</div>'
        + f'<div class="oh-note oh-line" tabindex="0"><span>{"".join(parts)}</span></div>'
    )
    return f'<div class="oh-tile" role="group" data-tile="{escape(tile.name)}">{shown}</div>'
