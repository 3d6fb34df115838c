"""The live portfolio: one screen that a trader keeps open all day. It draws; the session and the core decide.

Two fragments tick. The live one takes one snapshot and sends everything of it as one message, the table's; the slower
one draws the tab that is open. What lies behind the others is drawn at each full run, and opening a tab is one.
Neither reads a file nor waits for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.mutable_tab_container import TabContainer

from apps.streamlit.components.board_table import (
    Wished,
    begin_board,
    board_choices,
    board_key,
    board_table,
    was_viewed,
)
from apps.streamlit.components.live_account import file_and_account
from apps.streamlit.components.live_accounts import account_choice, shown_accounts
from apps.streamlit.components.live_alarm import ALARM_STYLE, announce_state
from apps.streamlit.components.live_alerts import alerts_panel, announce_firings
from apps.streamlit.components.live_attention import ATTENTION_STYLE
from apps.streamlit.components.live_chart import pnl_chart
from apps.streamlit.components.live_csv import csv_name, tables_as_csv
from apps.streamlit.components.live_expiry import EXPIRY_STYLE
from apps.streamlit.components.live_fills import announce_fills, fills_table
from apps.streamlit.components.live_focus import FOCUS_STYLE
from apps.streamlit.components.live_news import NEWS_STYLE, news_panel
from apps.streamlit.components.live_payoff import PAYOFF_STYLE, payoff_tab
from apps.streamlit.components.live_pieces import draw_pieces
from apps.streamlit.components.live_recording import recording_tag
from apps.streamlit.components.live_sidebar import Controls, sidebar_controls
from apps.streamlit.components.live_truth import header
from apps.streamlit.components.live_viewer import (
    note_viewer,
    page_session,
    settle_process,
    settle_streams,
    viewer_name,
    viewer_zone,
)
from apps.streamlit.components.live_what_changed import CHANGED_STYLE, what_changed_tab
from apps.streamlit.components.style import STYLE, apply_style, palette
from options_helper.clock import utc_now
from options_helper.data.portfolio_file import stamp_of
from options_helper.live.screen import (
    ACCOUNT_PANEL,
    ScreenModel,
    State,
    ViewOptions,
    Viewpoint,
    build_screen,
    shared_screen,
    take_snapshot,
)
from options_helper.live.session import LiveSession, Run

SLOW_SECONDS: Final = 5
FILE_SECONDS: Final = 2
DISCLAIMER: Final = (
    "Read-only: this page shows, it never places an order. Best-effort data, which can be late, modelled or wrong. "
    "**Not financial advice.**"
)


@dataclass(frozen=True, slots=True)
class Slots:
    """Where the live content goes: laid out once, so that a refresh sends nothing but what has changed."""

    pieces: Mapping[str, DeltaGenerator]  # by name
    table: DeltaGenerator
    tabs: tuple[TabContainer, ...]  # in the order of `TABS`
    accounts: tuple[str, ...]  # which of several this tab shows


def render_live_portfolio_page() -> None:
    """Draw the page; nothing connects before Start is pressed."""
    st.set_page_config(
        page_title="Live portfolio", page_icon="📈", layout="wide", initial_sidebar_state="collapsed"
    )
    apply_style(
        STYLE,
        ALARM_STYLE,
        FOCUS_STYLE,
        NEWS_STYLE,
        ATTENTION_STYLE,
        EXPIRY_STYLE,
        PAYOFF_STYLE,
        CHANGED_STYLE,
    )
    settle_process()
    session = page_session()
    # Before the first button is drawn: what another tab changes during the drawing is drawn with the first refresh.
    run = session.run
    note_viewer(session)
    controls = sidebar_controls(session)
    with st.sidebar:
        wished = board_choices(several=run is not None and bool(run.further))
    begin_board()
    slots = _lay_out(session, controls)
    options = ViewOptions(controls.preferences, viewer_zone(), slots.accounts)
    seconds = options.preferences.refresh_seconds
    with slots.table:
        st.fragment(_live, run_every=seconds)(controls, options, wished, run)
    screen = _screen(session, controls, options, again=True)
    draw_pieces(slots.pieces, screen, recording_tag(session), board_key())
    with slots.pieces["truth"]:
        announce_state(screen)
    every = max(SLOW_SECONDS, seconds) if session.running else None
    for name, tab in zip(TABS, slots.tabs, strict=True):
        with tab:
            if tab.open:
                # A fragment of its own, so that a slider redraws nothing else.
                st.fragment(_tab, run_every=every)(name, controls, options)
            elif name not in COMPUTED_WHERE_OPEN:
                _tab(name, controls, options)
    if not session.running:
        st.fragment(_watch_file, run_every=FILE_SECONDS)(controls)
    _footer(session, controls, options)


def _lay_out(session: LiveSession, controls: Controls) -> Slots:
    """Bar, tiles, and the work area, whose parts lie beside or below each other as the window is wide."""
    with st.container(key="page"):
        truth, details = header(session, controls, "Live portfolio")
        pieces = {
            "truth": truth,
            "details": details,
            "banners": st.container(key="banners"),
        }
        accounts = shown_accounts(session.run)
        pieces["tiles"] = st.container(key="tiles")
        with st.container(key="work"):
            table = st.container(key="tablebox")
            with st.container(key="charts"):
                # A run of the script when another is opened, so that what is closed is not computed.
                tabs = st.tabs(list(TABS), key="tabs", on_change="rerun")
            pieces["side"] = st.container(key="side")
    return Slots(pieces, table, tuple(tabs), accounts)


def _live(controls: Controls, options: ViewOptions, wished: Wished, seen: Run | None) -> None:
    """One refresh: of one snapshot the table, and what stands around it."""
    session = page_session()
    note_viewer(session)
    if session.run is not seen:
        # Another tab pressed a button, the idle time is over, or the portfolio file changed.
        st.rerun()
    # A row that is opened or sorted shows what is there, and waits for nothing.
    screen = _screen(session, controls, options, again=was_viewed())
    announce_fills(screen)
    announce_firings(screen)
    board_table(screen, *wished, recording_tag(session))
    if screen.state in (State.RUNNING, State.PLAYING):
        settle_streams()


def _screen(
    session: LiveSession, controls: Controls, options: ViewOptions, *, again: bool = False
) -> ScreenModel:
    """The whole screen now, for all that is drawn; or `again` what was drawn just before."""
    viewpoint = Viewpoint(
        own=controls.portfolio_file,
        options=options,
        obstacle=controls.obstacle,
        problem=st.session_state.get("start_problem"),
        local_market=controls.local_market,
        market_time=controls.market_time,
    )
    return shared_screen(session, viewpoint, viewer_name(), utc_now(), again=again)


def _tab(name: str, controls: Controls, options: ViewOptions) -> None:
    """What need not be redrawn with every price; a fill is announced by the live part."""
    session = page_session()
    TABS[name](_screen(session, controls, options, again=True), session, controls)


def _chart(screen: ScreenModel, session: LiveSession, controls: Controls) -> None:
    # What was drawn for another file's book is not the history of the one on the screen.
    own = (
        session.run is None
        or session.running
        or session.run.portfolio_file.path == controls.portfolio_file.path
    )
    run = session.run
    if screen.accounts and run is not None and len(screen.accounts) < len(run.portfolios):
        st.caption("The line is kept for each account, and for all of them together: show one, or all.")
        return
    pnl_chart(screen, session.history(screen.account).points if own else ())


def _payoff(screen: ScreenModel, _session: LiveSession, _controls: Controls) -> None:
    payoff_tab(screen, palette())


def _what_changed(screen: ScreenModel, session: LiveSession, _controls: Controls) -> None:
    # A change is put to its causes account by account: an execution names a contract, and no other account's.
    one = account_choice(screen, "changed-account")
    what_changed_tab(one, session.changes(one.account))


def _fills(screen: ScreenModel, _session: LiveSession, _controls: Controls) -> None:
    if screen.loaded:
        with st.container(key="fills"):
            fills_table(screen)


def _alerts(screen: ScreenModel, session: LiveSession, _controls: Controls) -> None:
    alerts_panel(screen, session)


def _account(screen: ScreenModel, _session: LiveSession, _controls: Controls) -> None:
    file_and_account(screen)


def _news(screen: ScreenModel, _session: LiveSession, _controls: Controls) -> None:
    if screen.loaded:
        with st.container(key="news-panel"):
            news_panel(screen)


Draw: TypeAlias = Callable[[ScreenModel, LiveSession, Controls], None]
TABS: Final[Mapping[str, Draw]] = {
    "P&L over the session": _chart,
    "Payoff": _payoff,
    "What changed": _what_changed,
    "Fills": _fills,
    "Alerts": _alerts,
    ACCOUNT_PANEL: _account,
    "News": _news,
}
# Too dear for what nobody sees.
COMPUTED_WHERE_OPEN: Final = frozenset({"Payoff", "What changed"})


def _watch_file(controls: Controls) -> None:
    """Before Start nobody else follows the portfolio file; a look at its time is all that happens here."""
    portfolio_file = controls.portfolio_file
    if portfolio_file.path.name and stamp_of(portfolio_file.path) != portfolio_file.stamp:
        st.rerun()


def _footer(session: LiveSession, controls: Controls, options: ViewOptions) -> None:
    problem = st.session_state.get("start_problem")

    # Called at the click on a thread of the server, which knows nothing of the tab.
    def tables() -> str:
        return tables_as_csv(
            build_screen(
                session,
                controls.portfolio_file,
                options,
                now=utc_now(),
                obstacle=controls.obstacle,
                problem=problem,
                local_market=controls.local_market,
                market_time=controls.market_time,
            )
        )

    snapshot = take_snapshot(session, utc_now(), controls.market_time, local_market=controls.local_market)
    with st.container(horizontal=True, vertical_alignment="center", key="footer"):
        st.download_button(
            "Download CSV",
            data=tables,
            file_name=csv_name(snapshot.as_of),
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="Positions, legs and structures as they are at the click, with every column.",
        )
        st.caption(DISCLAIMER)
