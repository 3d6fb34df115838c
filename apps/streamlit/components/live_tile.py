"""One tile of the page: a figure with its name, and what must be known about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Final

from apps.streamlit.components.style import tag

NOTHING_YET: Final = "nothing to count yet"
NO_POSITIONS: Final = "no positions"
# How wide a sign is against the size of its letters, in the page's font, rounded up: what is not here takes MOST.
_NARROW: Final = dict.fromkeys(" .,:;'|ijlt/", 0.34)
_USUAL: Final = dict.fromkeys("0123456789$+−-≈?abcdefghknopqrsuvxyz", 0.59)
_WIDTHS: Final = _NARROW | _USUAL
MOST: Final = 1.0
BESIDE: Final = 0.65  # the letters of what stands beside a figure, against the figure's
GAP: Final = 0.35


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
    parts = [tag("b", part, "oh-caveat") for part in tile.caveat.split("\n") if part]
    parts += [tag("span", part, "") for part in tile.note.split("\n") if part]
    shown = (
        tag("div", tile.name, "oh-name", title=tile.name)
        + figure_html(tile.figure, tile.beside, tone=tile.tone)
        + f'<div class="oh-note oh-line" tabindex="0"><span>{"".join(parts)}</span></div>'
    )
    return f'<div class="oh-tile" role="group" data-tile="{escape(tile.name)}">{shown}</div>'


def figure_html(figure: str, beside: str = "", *, tone: str = "", **attributes: str) -> str:
    """A figure and what stands small beside it, in letters as small as its tile needs; the whole under a pointer."""
    css_class = f"oh-figure oh-{tone}" if tone else "oh-figure"
    ems = _ems(figure) + (GAP + BESIDE * _ems(beside) if beside else 0)
    extra = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
    small = tag("small", beside, "") if beside else ""
    whole = escape(f"{figure} {beside}".strip())
    return (
        f'<div class="{css_class}" style="--ems:{max(ems, 1):.2f}" title="{whole}"{extra}>'
        f"{tag('span', figure, '')}{small}</div>"
    )


@lru_cache(maxsize=1_024)
def _ems(text: str) -> float:
    """How wide it is at most, in sizes of its letters."""
    return sum(_WIDTHS.get(sign, MOST) for sign in text)
