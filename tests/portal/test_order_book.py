"""The order book's page: nothing before Start, the book of the run that all pages share, and how far to believe it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from apps.streamlit.components.order_book_depth import REACH_PIXELS, depth_rows, depth_spec
from apps.streamlit.components.style import DARK, LIGHT, WORD_JOINER
from options_helper.analysis.book_ladder import depth_points, ladder
from options_helper.model.events import BookLevel
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.order_book import Book, BookState
from options_helper.model.snapshot import LiveSnapshot
from tests.portal import scenes
from tests.portal.conftest import APP, Portal, html, press, state

SECOND = 1_000_000_000


def book(state: BookState = BookState.SYNCED, *, age_seconds: float = 0.4, reason: str = "") -> Book:
    levels = state.has_levels
    return Book(
        "BTC/USD",
        state,
        "crypto",
        bids=(BookLevel(100.0, 1.5), BookLevel(99.5, 2.0)) if levels else (),
        asks=(BookLevel(100.5, 0.25), BookLevel(101.0, 1.0)) if levels else (),
        bid_levels=2,
        ask_levels=2,
        received_ns=datetime_nanoseconds(scenes.OPEN) - int(age_seconds * SECOND),
        reason=reason,
    )


def with_book(shown: Book) -> LiveSnapshot:
    return replace(scenes.live(), books=MappingProxyType({"BTC/USD": shown}))


def opened(portal: Portal, pairs: str | None = None) -> AppTest:
    tab = AppTest.from_file(str(APP), default_timeout=30)
    tab.switch_page("pages/13_Order_Book.py").run()
    if pairs is not None:
        tab.text_input(key="book_pairs").set_value(pairs).run()
    assert not tab.exception
    return tab


def shown(portal: Portal, of: Book) -> AppTest:
    portal.scene = lambda: with_book(of)
    tab = opened(portal, "btc/usd, ETH/USD")
    press(tab, "start")
    return tab


def test_nothing_is_connected_before_start_and_the_page_says_what_to_do(portal: Portal):
    tab = opened(portal)

    assert portal.runs == 0
    assert "Name pairs under Order books of in the sidebar, such as BTC/USD, and press Start." in html(tab)
    assert "Not financial advice" in tab.caption[-1].value


def test_start_streams_the_books_of_these_pairs_beside_the_portfolio(portal: Portal):
    shown(portal, book())

    (config,) = portal.managers[0].runs
    assert config.crypto == ("BTC/USD", "ETH/USD")
    assert config.crypto_channels == ("orderbooks",)
    assert config.stocks


def test_the_book_is_shown_with_its_state_its_age_and_what_it_costs(portal: Portal):
    tab = shown(portal, book())
    said = html(tab)

    assert 'data-book="synced"' in said
    assert "Alpaca crypto us · last message 0.4 s ago" in said
    assert tile(said, "Mid") == "100.25"
    assert tile(said, "Spread") == "0.5 (49.88 bp)"
    assert tile(said, "Buy 1") == "100.88"
    assert ">1.50<" in said
    assert ">3.50<" in said
    assert state(tab) == "running", "the truth line is the live page's"


def test_a_slip_in_the_pairs_costs_itself_alone_and_each_is_named(portal: Portal):
    tab = shown(portal, book())
    tab.text_input(key="book_pairs").set_value("BTC/USD, ETHUSD, eth/usd, DOGE").run()

    assert [error.value.replace("&#47;", "/") for error in tab.error] == [
        "'ETHUSD' is no pair of a coin and a currency; write it as BTC/USD.",
        "'DOGE' is no pair of a coin and a currency; write it as BTC/USD.",
    ]
    assert not any(button.key == "apply" for button in tab.button), "what is right is what runs"

    tab.text_input(key="book_pairs").set_value("BTC/USD, DOGE").run()
    assert tab.button(key="apply").disabled


def of_breeze(symbol: str) -> Book:
    return replace(book(), symbol=symbol, source="breeze/default/books")


@pytest.fixture
def breeze(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("API_KEY", "API_SECRET", "SESSION"):
        monkeypatch.setenv(f"BREEZE_{name}", "a-word")
    monkeypatch.setenv("BREEZE_ENABLED", "yes")
    return monkeypatch


def test_books_of_breeze_stand_beside_those_of_coins_each_with_its_provider(
    portal: Portal, breeze: pytest.MonkeyPatch
):
    books = {"BTC/USD": book(), "NSE:RELIANCE": of_breeze("NSE:RELIANCE")}
    portal.scene = lambda: replace(scenes.live(), books=MappingProxyType(books))
    tab = opened(portal, "btc/usd, nse:reliance")
    tab.selectbox(key="crypto_location").set_value("eu-1").run()
    press(tab, "start")

    (config,) = portal.managers[0].runs
    assert (config.crypto, config.crypto_location) == (("BTC/USD",), "eu-1")
    assert [(str(one.stream), one.symbols) for one in config.further] == [
        ("breeze/default/books", ("NSE:RELIANCE",))
    ]
    choice = tab.segmented_control(key="book")
    assert [option.content for option in choice.proto.options] == [
        "BTC/USD · Alpaca eu-1",
        "RELIANCE · Breeze NSE",
    ]
    assert "Alpaca crypto eu-1 · last message 0.4 s ago" in html(tab)
    choice.set_value("NSE:RELIANCE").run()
    assert "Breeze NSE · last message 0.4 s ago" in html(tab)

    breeze.setenv("BREEZE_STREAM_URL", "ws://127.0.0.1:9")
    tab.run()
    assert "Breeze NSE (NOT ICICI: a server on this computer) · last" in html(tab)


@pytest.mark.parametrize(
    ("named", "switched_on", "sentence"),
    [
        ("NSE:RELIANCE", "no", "Breeze is switched off."),
        ("LSE:VOD", "yes", "LSE:VOD names no exchange; write it as NSE:RELIANCE"),
        ("NSE:", "yes", "NSE: names no exchange"),
    ],
)
def test_a_book_of_india_that_cannot_be_asked_for_is_told_at_its_box_and_costs_itself(
    portal: Portal, breeze: pytest.MonkeyPatch, named: str, switched_on: str, sentence: str
):
    breeze.setenv("BREEZE_ENABLED", switched_on)
    tab = opened(portal, f"BTC/USD {named}")

    (error,) = tab.error
    assert sentence in error.value.replace(WORD_JOINER, "")
    press(tab, "start")
    (config,) = portal.managers[0].runs
    assert (config.crypto, config.further) == (("BTC/USD",), ())


def tile(said: str, name: str) -> str:
    """The figure of this tile."""
    return said.split(f'data-tile="{name}"><span class="">')[1].split("<", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("of", "word", "sentence"),
    [
        (book(age_seconds=30), "quiet", "Nothing has come for it for 30 s"),
        (book(BookState.LOST, reason="Its stream is not connected (reconnecting)."), "lost", "not connected"),
        (book(BookState.CROSSED, reason="The best bid is too high."), "crossed", "The best bid is too high."),
        (book(BookState.WAITING), "waiting", "The whole book has not come yet."),
    ],
)
def test_what_cannot_be_believed_is_said_and_never_drawn_as_if_it_could(
    portal: Portal, of: Book, word: str, sentence: str
):
    said = html(shown(portal, of))

    assert f'data-book="{word}"' in said
    assert sentence in said
    if not of.state.has_levels:
        assert tile(said, "Spread") == "—"
        assert "100.0" not in said


def test_another_size_is_priced_and_one_that_is_too_large_is_not(portal: Portal):
    tab = shown(portal, book())
    tab.number_input(key="order-size").set_value(50.0).run()

    assert tile(html(tab), "Buy 50") == "—"
    assert "the levels known are not enough" in html(tab)


def test_a_symbol_that_is_no_pair_is_told_at_its_box_and_starts_nothing(portal: Portal):
    tab = opened(portal, "AAPL")

    assert any(
        "is no pair of a coin and a currency" in error.value.replace("&#47;", "/") for error in tab.error
    )
    press(tab, "start")
    (config,) = portal.managers[0].runs
    assert config.crypto == ()


def test_the_ladder_adds_up_and_the_depth_has_each_step():
    rows = ladder(book(), 5)

    assert [(row.bid_total, row.ask_total) for row in rows] == [(1.5, 0.25), (3.5, 1.25)]
    points = depth_points(book(), 5)
    assert [(point.side, point.price, point.total) for point in points] == [
        ("bid", 99.5, 3.5),
        ("bid", 100.0, 1.5),
        ("ask", 100.5, 0.25),
        ("ask", 101.0, 1.25),
    ]
    assert depth_rows(points).to_pydict() == {
        "price": [99.0, 99.5, 100.0, 100.5, 101.0, 101.5],
        "bid": [3.5, 3.5, 1.5, None, None, None],
        "ask": [None, None, None, 0.25, 1.25, 1.25],
        "reach": [0.0, *[REACH_PIXELS] * 4, 0.0],
    }


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_the_depth_chart_names_no_data_of_its_own(colours: Any):
    spec = depth_spec(colours)

    assert "datasets" not in spec
    assert all("data" not in layer for layer in spec["layer"])
    steps = [layer["mark"].get("interpolate") for layer in spec["layer"]]
    assert steps == ["step-before", None, "step-after", None]
