"""What stands around the table: pieces of HTML, drawn at a full run of the page and sent beside the cells afterwards.

Each place that a refresh fills by itself costs two messages more, and all of its bytes again, changed or not. So a
refresh sends one message, the table's, and a script puts into the places what changed in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any, Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.errors import StreamlitAPIException

from apps.streamlit.components.live_attention import attention_html
from apps.streamlit.components.live_details import details_html
from apps.streamlit.components.live_totals import tiles_html
from apps.streamlit.components.live_truth import banners_html, bar_and_alarm
from apps.streamlit.components.style import draw
from options_helper.live.attention import attention
from options_helper.live.screen import ScreenModel

SCRIPT: Final = files("options_helper.live") / "assets" / "pieces.js"
HTML: Final = "<div data-pieces></div>"


@cache
def _filling(*, served: bool) -> Any:
    """The script that fills the places."""
    if served:
        with suppress(StreamlitAPIException):
            return st.components.v2.component(
                "options-helper.pieces", html=HTML, js=SCRIPT.name, isolate_styles=False
            )
    script = SCRIPT.read_text(encoding="utf-8")
    return st.components.v2.component("options_helper_pieces", html=HTML, js=script, isolate_styles=False)


def pieces(screen: ScreenModel, recording: str = "") -> dict[str, str]:
    """Each piece by the name of its place, with what the bar says of a `recording`.

    Without a portfolio its figures are none, for zeros would be figures too.
    """
    items = screen.once(attention)
    return {
        "truth": bar_and_alarm(screen, recording),
        "details": details_html(screen),
        "banners": banners_html(screen),
        "tiles": tiles_html(screen, items) if screen.loaded else "",
        "side": attention_html(screen, items) if screen.loaded else "",
    }


def draw_pieces(places: Mapping[str, DeltaGenerator], screen: ScreenModel, recording: str, key: int) -> None:
    """Draw each in its place, and what fills them later: from the table's message of this `key` on."""
    for name, html in screen.once(pieces, recording).items():
        with places[name]:
            draw(html, piece=name, key=key)
    with places["truth"]:
        _filling(served=st.runtime.exists())(key="pieces")
