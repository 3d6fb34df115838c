"""What a viewer has open or half typed is a viewer's own: no refresh and no other tab's button takes it away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.test_live_portfolio_in_a_browser import see, started

pytestmark = pytest.mark.timeout(300)

OPEN = """() => ({
    open: [...document.querySelectorAll('[aria-expanded=true]')].map(
        one => one.getAttribute('aria-label') || one.innerText),
    options: [...document.querySelectorAll('[role=option]')].map(one => one.innerText),
    lifted: document.querySelectorAll('[data-testid=stPopoverBody]').length,
    focus: document.activeElement.getAttribute('aria-label') || document.activeElement.tagName,
    typed: document.activeElement.value ?? '',
    scrolled: document.querySelector('[data-testid=stSidebarContent]')?.scrollTop ?? 0,
})"""


@pytest.fixture
def tabs(browser):
    """A tab of a run, and another one in a window of its own, whose buttons are for all."""
    mine = started(browser.open())
    other = browser.open()
    mine.page.bring_to_front()
    return mine, other


def outlives(tabs, what: str, opened: Callable[[], object]) -> None:
    """What `opened` leaves open is the same after another tab has stopped and started, and refreshes have come."""
    mine, other = tabs
    closed = mine.page.evaluate(OPEN)
    opened()
    before = see(lambda: (found := mine.page.evaluate(OPEN)) != closed and settled(mine, found))
    other.press("Stop")
    mine.page.bring_to_front()
    see(lambda: mine.state == "stopped", saw=lambda: mine.text(".oh-bar"))
    assert mine.page.evaluate(OPEN) == before, f"{what}, stopped"
    other.press("Start")
    mine.page.bring_to_front()
    see(lambda: mine.state == "running", saw=lambda: mine.text(".oh-bar"))
    marks = mine.board("Mark")
    see(lambda: mine.board("Mark") != marks)
    assert mine.page.evaluate(OPEN) == before, f"{what}, started"
    # Once for what is open, once for what holds the keyboard.
    mine.page.keyboard.press("Escape")
    mine.page.keyboard.press("Escape")


def settled(tab, found):
    """The same once more, after two frames: what opens is there for good, and its place is scrolled to."""
    tab.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return found if tab.page.evaluate(OPEN) == found else None


def list_opened(tab, label: str) -> None:
    box = tab.page.get_by_role("combobox", name=label)

    def is_open() -> bool:
        if box.get_attribute("aria-expanded") != "true":
            box.click()
        return bool(tab.page.get_by_role("option").count())

    see(is_open)


def typed(tab, role: str, label: str, words: str) -> None:
    box = tab.page.get_by_role(role, name=label)
    box.click()
    box.press("Control+a")
    tab.page.keyboard.type(words)


def test_the_sidebar_s_lists_and_boxes_outlive_another_tab_s_stop_and_start(tabs):
    mine, _ = tabs
    mine.open_sidebar()
    sidebar = mine.page.get_by_test_id("stSidebarContent")
    mine.page.get_by_test_id("stExpander").locator("summary").first.click()
    mine.page.get_by_role("combobox", name="News of").wait_for()
    sidebar.evaluate("node => node.scrollTo(0, node.scrollHeight)")

    # It stands lowest: whatever comes above it, or goes, moves it.
    outlives(tabs, "a list of several", lambda: list_opened(mine, "Columns"))
    outlives(tabs, "a list in a part that was opened", lambda: list_opened(mine, "News of"))
    outlives(tabs, "a text", lambda: typed(mine, "textbox", "Order books of", "BTC/U"))
    outlives(tabs, "a number", lambda: typed(mine, "spinbutton", "Stale after (s)", "4"))


def test_what_is_lifted_over_the_page_and_its_lists_outlive_another_tab_s_stop_and_start(tabs):
    mine, _ = tabs
    outlives(tabs, "details", mine.open_details)
    mine.open_tab("Payoff")
    what_if = mine.page.get_by_role("button", name="What if")
    outlives(tabs, "what if", what_if.click)
    outlives(tabs, "the payoff's list", lambda: list_opened(mine, "Payoff of"))


def test_a_choice_that_waits_for_apply_moves_nothing_in_the_sidebar_and_covers_nothing_for_good(browser):
    tab = started(browser.open(height=720))
    tab.open_sidebar()
    sidebar = tab.page.get_by_test_id("stSidebarContent")
    columns = tab.page.locator(".st-key-columns")
    places = "node => [node.scrollTop, node.scrollHeight]"
    sidebar.evaluate("node => node.scrollTo(0, 150)")
    see(lambda: sidebar.evaluate(places)[0] == 150)
    before = sidebar.evaluate(places)
    tab.page.get_by_test_id("stSidebar").get_by_text("fills", exact=True).click()
    apply = tab.page.get_by_role("button", name="Apply (restarts for all tabs)")
    apply.wait_for()
    assert sidebar.evaluate(places) == before
    box = apply.bounding_box()
    assert 0 <= box["y"] <= box["y"] + box["height"] <= 720, "it is seen without scrolling"

    sidebar.evaluate("node => node.scrollTo(0, node.scrollHeight)")
    pending = tab.page.locator(".st-key-pending")
    end = columns.bounding_box
    see(
        lambda: end()["y"] + end()["height"] <= pending.bounding_box()["y"],
        saw=lambda: (end(), pending.bounding_box()),
    )
    tab.page.get_by_role("button", name="Keep what runs").click()
    see(lambda: not apply.count())
