"""The order book: ladder and depth of one symbol of the run that all pages share. It draws; the core decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from apps.streamlit.components.live_alarm import ALARM_STYLE
from apps.streamlit.components.live_details import stream_details
from apps.streamlit.components.live_focus import FOCUS_STYLE
from apps.streamlit.components.live_recording import recording_tag
from apps.streamlit.components.live_sidebar import Controls, sidebar_controls
from apps.streamlit.components.live_truth import banners, header, truth_line
from apps.streamlit.components.live_viewer import note_viewer, page_session, settle_process, viewer_zone
from apps.streamlit.components.order_book_depth import depth_chart
from apps.streamlit.components.order_book_ladder import BOOK_STYLE, book_bar, book_tiles, ladder_table
from apps.streamlit.components.style import STYLE, apply_style, draw, palette, tag
from options_helper.clock import utc_now
from options_helper.live.screen import ScreenModel, State, ViewOptions, build_screen
from options_helper.live.session import LiveSession, Run
from options_helper.model.order_book import Book

LEVELS: Final = (5, 10, 20, 50)
DISCLAIMER: Final = (
    "Read-only: this page shows, it never places an order. The feed numbers no message of a book, so what is shown is "
    "best effort. **Not financial advice.**"
)
HOW_TO: Final = "Name pairs under Order books of in the sidebar, such as BTC/USD, and press Start."
# Stands behind the exchange in a symbol of Breeze's, and in no pair.
BREEZE_MARK: Final = ":"


@dataclass(frozen=True, slots=True)
class Slots:
    """Where the live content goes: drawn once, so that a refresh sends nothing but what has changed."""

    truth: DeltaGenerator
    details: DeltaGenerator
    banners: DeltaGenerator
    bar: DeltaGenerator
    ladder: DeltaGenerator
    depth: DeltaGenerator


@dataclass(frozen=True, slots=True)
class Choice:
    """Which book this tab looks at."""

    symbol: str | None
    levels: int
    size: float  # of a market order, to say what it would pay
    provider: str = ""  # whose book it is


def render_order_book_page() -> None:
    """Draw the page; nothing connects before Start is pressed."""
    st.set_page_config(
        page_title="Order book", page_icon="📚", layout="wide", initial_sidebar_state="collapsed"
    )
    apply_style(STYLE, ALARM_STYLE, FOCUS_STYLE, BOOK_STYLE)
    settle_process()
    session = page_session()
    # Before the first button is drawn: what another tab changes during the drawing is drawn with the first refresh.
    run = session.run
    note_viewer(session)
    controls = sidebar_controls(session)
    options = ViewOptions(controls.preferences, viewer_zone())
    with st.container(key="page"):
        truth, details = header(session, controls, "Order book")
        said = st.container(key="banners")
        choice = _choice(_providers(session, controls))
        bar = st.container()
        ladder, depth = st.columns([1, 1], gap="small")
        slots = Slots(truth, details, said, bar, ladder.container(), depth.container())
    seconds = options.preferences.refresh_seconds
    st.fragment(_live, run_every=seconds)(slots, controls, options, choice, run)
    st.caption(DISCLAIMER)


def _providers(session: LiveSession, controls: Controls) -> dict[str, str]:
    """Whose books there are or will be, each with its provider: those of the run, and before one this tab's."""
    choices = controls.choices if session.run is None else session.run.choices
    snapshot = session.snapshot()
    books = snapshot.books if snapshot is not None else ()
    elsewhere = " (NOT ICICI: a server on this computer)" if controls.local_breeze else ""
    return {
        symbol: f"Breeze {symbol.partition(BREEZE_MARK)[0]}{elsewhere}"
        if BREEZE_MARK in symbol
        else f"Alpaca crypto {choices.crypto_location}"
        for symbol in (*choices.book_pairs, *choices.breeze_books, *books)
    }


def _choice(providers: dict[str, str]) -> Choice:
    symbols = list(providers)

    def label(symbol: str) -> str:
        provider = providers[symbol].partition(" (")[0]
        return f"{symbol.rpartition(BREEZE_MARK)[2]} · {provider.replace(' crypto', '')}"

    with st.container(horizontal=True, vertical_alignment="bottom", key="book-choice"):
        # With nothing to choose from, nothing would stay chosen when there is.
        symbol = (
            st.segmented_control(
                "Book of", symbols, default=symbols[0], format_func=label, required=True, key="book"
            )
            if symbols
            else None
        )
        levels = st.segmented_control("Levels", LEVELS, default=10, required=True, key="levels")
        size = st.number_input(
            "Market order of",
            0.0001,
            1_000_000.0,
            1.0,
            format="%g",
            width=150,
            key="order-size",
            help="What a market order of this size would pay now. None is placed, here or anywhere.",
        )
    return Choice(symbol, levels or LEVELS[1], size, "" if symbol is None else providers[symbol])


def _live(slots: Slots, controls: Controls, options: ViewOptions, choice: Choice, seen: Run | None) -> None:
    """One refresh: snapshot → truth line → bar → ladder and depth."""
    session = page_session()
    note_viewer(session)
    if session.run is not seen:
        # Another tab pressed a button, the idle time is over, or the portfolio file changed.
        st.rerun()
    screen = build_screen(
        session,
        controls.portfolio_file,
        options,
        now=utc_now(),
        obstacle=controls.obstacle,
        problem=st.session_state.get("start_problem"),
        local_market=controls.local_market,
        market_time=controls.market_time,
    )
    with slots.truth:
        truth_line(screen, recording_tag(session))
    with slots.details:
        stream_details(screen)
    with slots.banners:
        banners(screen)
    _draw_book(slots, screen, choice)


def _source(book: Book | None, provider: str) -> str:
    """Whose numbers these are: a place of Alpaca's has books of its own, and a picture over REST is no stream."""
    return f"{provider}, REST" if book is not None and book.is_from_rest else provider


def _draw_book(slots: Slots, screen: ScreenModel, choice: Choice) -> None:
    snapshot = screen.snapshot
    book = None if choice.symbol is None else snapshot.books.get(choice.symbol)
    with slots.bar:
        if choice.symbol is None:
            draw(tag("div", HOW_TO, "oh-quiet"))
        else:
            draw(
                book_bar(
                    choice.symbol,
                    book,
                    snapshot.as_of,
                    _source(book, choice.provider),
                    running=screen.state not in (State.STOPPED, State.NOT_STARTED),
                )
                + book_tiles(book, choice.size)
            )
    with slots.ladder:
        draw(ladder_table(book, choice.levels))
    with slots.depth:
        depth_chart(book, choice.levels, colours=palette())
