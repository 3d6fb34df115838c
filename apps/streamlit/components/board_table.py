"""The table of all that is held: one component in the browser, and in the address how this viewer wants it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from importlib.resources import files
from typing import Any, Final, TypeAlias

import streamlit as st
from msgspec import Raw, json
from streamlit.errors import StreamlitAPIException

from apps.streamlit.components.board_columns import headings, usual_headings
from apps.streamlit.components.board_message import (
    NO_BOARD,
    RANKED_EVERY_SECONDS,
    Board,
    Sent,
    Wishes,
    build_board,
    changed_cells,
    next_message,
    ranking,
    read_sorting,
)
from apps.streamlit.components.board_rows import Grouping
from apps.streamlit.components.formatting import plain
from apps.streamlit.components.live_alarm import window_message
from apps.streamlit.components.live_pieces import pieces
from apps.streamlit.components.style import colour_variables, palette
from options_helper.analysis.columns import ACCOUNT_COLUMN, COLUMNS, COLUMNS_OF_ACCOUNTS
from options_helper.live.screen import ScreenModel
from options_helper.live.shared_ticks import Once

KEY: Final = "board"
LABEL: Final = "Everything that is held, by group"
# How this viewer has it, in the address: sorting, rows opened or closed against what is usual, filter, selected row.
VIEW_NAMES: Final = ("sort", "rows", "find", "selected")
ACCOUNT: Final = ACCOUNT_COLUMN.heading or ""
LONGEST: Final = 2_000  # characters of one of them
ASSETS: Final = files("options_helper.live") / "assets"
HTML: Final = '<div class="board" data-board></div>'


@cache
def _component(*, served: bool) -> Any:
    """The table's script and style, which the browser fetches once as files.

    Streamlit finds the files by the manifest of an installed package, where a server runs (`served`). Else they travel
    with each refresh: that costs more, and the page is there.
    """
    if served:
        with suppress(StreamlitAPIException):
            return st.components.v2.component(
                "options-helper.board", html=HTML, js="board.js", css="board.css"
            )
    script, style = ((ASSETS / name).read_text(encoding="utf-8") for name in ("board.js", "board.css"))
    return st.components.v2.component("options_helper_board", html=HTML, js=script, css=style)


@dataclass(frozen=True, slots=True)
class Ranked:
    """How rows were ranked, since when, and by what."""

    at: datetime
    wishes: Wishes
    order: dict[str, int]


Wished: TypeAlias = tuple[Grouping, tuple[str, ...]]


def board_choices(*, several: bool = False) -> Wished:
    """The choices of the sidebar: grouping, of `several` accounts by account too, and columns. Kept in the address."""
    grouping = st.segmented_control(
        "Group by",
        [one.value for one in Grouping if several or one is not Grouping.ACCOUNT],
        default=Grouping.UNDERLYING.value,
        required=True,
        key="group",
        bind="query-params",
    )
    columns = st.multiselect(
        "Columns",
        list(headings()),
        default=list(usual_headings()),
        key="columns",
        bind="query-params",
        help="What leaves a narrow window stays in the CSV.",
    )
    return Grouping(grouping or Grouping.UNDERLYING), tuple(columns)


def begin_board() -> None:
    """At each full run of the page: what was sent before may have gone with the table.

    Or it may not, so the numbers go on: a browser that missed the new message must not take its old one for that.
    """
    _ask_again()


def board_table(
    screen: ScreenModel, grouping: Grouping, columns: tuple[str, ...], recording: str = ""
) -> None:
    """Draw the table, or send what changed in it and around it; without a portfolio why there is none."""
    sent: Sent | None = st.session_state.get("board_sent")
    view = _view()
    board = _board(screen, grouping, columns, view) if screen.loaded else NO_BOARD
    message, st.session_state["board_sent"] = next_message(
        sent,
        board,
        in_full=_is_recoloured() | st.session_state.pop("board_resync", False),
        around=_around(screen, recording),
        compare=partial(told_against, screen),
    )
    if "full" in message:
        message["full"] |= {"label": LABEL, "view": view, "colours": _colours()}
    _component(served=st.runtime.exists())(
        # As a value Streamlit would write it twice, once to tell elements apart, and escape all but ASCII.
        key=KEY,
        data=json.encode(message),
        on_view_change=_keep_view,
        on_resync_change=_ask_again,
    )
    if not screen.loaded:
        st.caption(plain(screen.nothing_because))


def told_against(screen: ScreenModel, before: Board, after: Board) -> Raw | None:
    """`changed_cells` of a board of this screen as they are sent; viewers who began together are told the same."""

    def tell() -> Raw | None:
        changed = changed_cells(before, after)
        return None if changed is None else Raw(json.encode(changed))

    return screen.once(_comparisons).get((before, after), tell)


def _comparisons(_screen: ScreenModel) -> Once:
    # Of its own: of many viewers who began apart they would crowd out what all of them want of the screen.
    return Once()


def board_key() -> int:
    """The number of the last message that had all of it; 0 before the first."""
    sent: Sent | None = st.session_state.get("board_sent")
    return 0 if sent is None else sent.key


def _board(
    screen: ScreenModel, grouping: Grouping, columns: tuple[str, ...], view: Mapping[str, str]
) -> Board:
    several = bool(screen.accounts)
    # Without it nobody could tell the same contract in two accounts apart.
    shown = (*columns, ACCOUNT) if several else columns
    wishes = Wishes(grouping, shown, read_sorting(view["sort"], (*headings(), ACCOUNT)))
    declared = COLUMNS_OF_ACCOUNTS if several else COLUMNS
    if wishes.sorting is None:
        return build_board(screen, wishes, declared=declared, view=view)
    board = build_board(screen, wishes, _kept_order(screen, wishes), declared, view=view)
    st.session_state["board_ranked"] = _ranked_now(screen, wishes, ranking(board))
    return board


def _around(screen: ScreenModel, recording: str) -> dict[str, Any]:
    """The pieces, what the window says, and this viewer's colours for them."""
    return {
        **screen.once(pieces, recording),
        "window": screen.once(window_message),
        "style": colour_variables(),
    }


def _view() -> dict[str, str]:
    return {name: st.query_params.get(name, "")[:LONGEST] for name in VIEW_NAMES}


def _keep_view() -> None:
    """The browser's wish becomes the address's, so that F5 and a bookmark show the same."""
    wished = st.session_state[KEY].get("view") or {}
    for name in VIEW_NAMES:
        value = str(wished.get(name) or "")[:LONGEST]
        if value:
            st.query_params[name] = value
        elif name in st.query_params:
            del st.query_params[name]
    st.session_state["board_viewed"] = True


def was_viewed() -> bool:
    """Whether the browser asked for this refresh, to see what it has another way; told once."""
    return bool(st.session_state.pop("board_viewed", False))


def selected_row() -> str:
    """The key of the row that the viewer selected; empty: none."""
    return _view()["selected"]


def _ask_again() -> None:
    st.session_state["board_resync"] = True


def _kept_order(screen: ScreenModel, wishes: Wishes) -> dict[str, int] | None:
    """The order of some seconds ago, if rows are ranked by numbers: they must not dance."""
    ranked: Ranked | None = st.session_state.get("board_ranked")
    if ranked is None or ranked.wishes != wishes:
        return None
    is_new = (screen.now - ranked.at).total_seconds() >= RANKED_EVERY_SECONDS
    return None if is_new else ranked.order


def _ranked_now(screen: ScreenModel, wishes: Wishes, order: dict[str, int]) -> Ranked:
    ranked: Ranked | None = st.session_state.get("board_ranked")
    kept = _kept_order(screen, wishes) is not None and ranked is not None
    return Ranked(ranked.at if kept and ranked is not None else screen.now, wishes, order)


def _is_recoloured() -> bool:
    """Whether the table has other colours by now: the system may turn from light to dark while it stands there."""
    colours, before = _colours(), st.session_state.get("board_colours")
    st.session_state["board_colours"] = colours
    return colours != before


def _colours() -> dict[str, str]:
    colours = palette()
    return {name: getattr(colours, name) for name in ("gain", "loss", "warning", "error", "quiet", "accent")}
