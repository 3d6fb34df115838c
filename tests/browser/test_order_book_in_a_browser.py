"""The page Order book by real parts: books of two providers, each with its state and age, and none after Stop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from options_helper.simulator.breeze.server import BreezeServer
from tests.browser.conftest import Server, page_server
from tests.kit.waiting import A_PROCESS, wait_until

LADDER = ".oh-ladder"
FIGURES = ("Mid", "Spread", "Buy 1")


@pytest.fixture(scope="module")
def server(market_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A page with Breeze switched on, whose fake ticks by itself."""
    folder = tmp_path_factory.mktemp("page")
    with (
        BreezeServer(pace_seconds=0.2) as breeze,
        page_server(market_port, folder, **breeze.variables) as page,
    ):
        yield page


def see(condition, *, saw=None):
    """Wait for it; how long that takes on a busy machine is nobody's promise."""
    return wait_until(condition, timeout=A_PROCESS, every=0.1, saw=saw)


def opened(browser, **context):
    return browser.open(page_name="Order_Book", **context)


def book_word(tab):
    found = tab.page.locator("[data-book]")
    return found.first.get_attribute("data-book") if found.count() else ""


def named(tab, books):
    """These are written into the sidebar's box."""
    tab.open_sidebar()
    box = tab.page.get_by_role("textbox", name="Order books of")
    box.fill(books)
    box.press("Enter")
    return tab


def started(tab, books="BTC/USD, NSE:RELIANCE"):
    named(tab, books)
    see(lambda: "BTC/USD" in tab.text(".st-key-book-choice"))
    tab.press("Start")
    see(lambda: tab.state == "running", saw=lambda: tab.text(".oh-bar"))
    see(lambda: book_word(tab) == "synced", saw=lambda: tab.text("[data-book]"))
    return tab


def choose(tab, label):
    tab.page.locator(".st-key-book-choice").get_by_text(label, exact=True).click()


def line(tab):
    """The book's own line."""
    return tab.page.locator(".oh-bar", has=tab.page.locator("[data-book]")).first.inner_text()


def test_the_ladder_moves_and_says_whose_it_is_how_it_is_and_how_old(browser):
    tab = opened(browser)
    started(tab)
    before = tab.text(LADDER)

    see(lambda: tab.text(LADDER) != before)
    see(lambda: tab.tile("Mid") != "—", saw=lambda: tab.tile("Mid"))
    assert "Alpaca crypto us · last message" in line(tab)
    assert "BTC/USD SYNCED" in line(tab)
    see(lambda: tab.page.locator('[data-testid="stVegaLiteChart"]').count())


def test_a_book_of_the_other_provider_is_a_click_away_and_never_called_alpacas(browser):
    tab = started(opened(browser))
    choose(tab, "RELIANCE · Breeze NSE")

    see(lambda: "Breeze NSE (NOT ICICI: a server on this computer)" in line(tab), saw=lambda: line(tab))
    see(lambda: "NSE:RELIANCE SYNCED" in line(tab), saw=lambda: line(tab))
    before = tab.text(LADDER)
    see(lambda: tab.text(LADDER) != before)
    assert "Alpaca" not in line(tab)


def test_after_stop_no_level_stands_and_the_line_is_grey_and_says_why(browser):
    tab = started(opened(browser))
    see(lambda: tab.tile("Mid") != "—")
    tab.stop()

    see(lambda: book_word(tab) == "stopped", saw=lambda: line(tab))
    assert "Nothing is streamed" in line(tab)
    bar = tab.page.locator(".oh-bar", has=tab.page.locator("[data-book]")).first
    assert "--quiet" in bar.get_attribute("style")
    assert {tab.tile(name) for name in FIGURES} == {"—"}
    assert not any(char.isdigit() for char in tab.text(f"{LADDER} tbody"))


def test_hidden_amounts_hide_nothing_of_a_market_that_is_everybodys(browser):
    tab = started(opened(browser, wishes="hide=true"))

    see(lambda: tab.tile("Mid") != "—")
    assert any(char.isdigit() for char in tab.text(f"{LADDER} tbody"))


def test_a_narrow_window_cuts_off_no_figure_and_is_not_wider_than_itself(browser):
    tab = started(opened(browser, width=1440))
    cut = "nodes => nodes.filter(n => n.offsetParent && n.scrollWidth > n.clientWidth + 1).map(n => n.innerText)"
    for width in (1280, 390):
        tab.page.set_viewport_size({"width": width, "height": 800})
        main = tab.page.get_by_test_id("stMain")
        see(lambda main=main, width=width: main.bounding_box()["width"] <= width)
        see(lambda main=main: main.evaluate("node => node.scrollWidth <= node.clientWidth"))
        see(
            lambda: not tab.page.locator(f"{LADDER} td").evaluate_all(cut),
            saw=lambda: tab.page.locator(f"{LADDER} td").evaluate_all(cut),
        )
