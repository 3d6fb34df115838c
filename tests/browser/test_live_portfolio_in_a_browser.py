"""The promise of the first screen, kept by real parts: press Start, watch true numbers move, in every tab the same."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

EACH_STREAM_ONCE = {"/v2/iex": 1, "/v1beta1/indicative": 1, "/stream": 1}


def see(condition, *, saw=None):
    """Wait as long as a person would before frowning."""
    return wait_until(condition, timeout=20, every=0.1, saw=saw)


def started(tab):
    tab.press("Start")
    see(lambda: tab.state == "running", saw=lambda: tab.text(".oh-bar"))
    see(lambda: "15 of 15" in tab.tile("Legs priced"), saw=lambda: tab.tile("Legs priced"))
    return tab


def test_start_moves_prices_a_second_tab_sees_the_same_run_and_stop_ends_it(browser, market):
    first = browser.open()
    assert first.state == "not started"
    assert market.connections == {}

    started(first)
    before = first.tile("Unrealized P&L at mark"), first.column("positions", "Mark $")
    see(lambda: first.tile("Unrealized P&L at mark") != before[0])
    see(lambda: first.column("positions", "Mark $") != before[1])

    second = browser.open()
    see(lambda: second.state == "running")
    see(lambda: "2 viewers" in first.text(".oh-aside"), saw=lambda: first.text(".oh-aside"))
    assert second.text(".oh-aside") == first.text(".oh-aside")
    assert market.connections == EACH_STREAM_ONCE

    second.press("Stop")
    for tab in (first, second):
        see(lambda tab=tab: tab.state == "stopped", saw=lambda tab=tab: tab.text(".oh-bar"))
    see(lambda: not market.clients, saw=lambda: market.clients)
    assert market.connections == EACH_STREAM_ONCE


def test_reloading_the_tab_and_leaving_it_change_nothing_about_the_run(browser, market):
    tab = started(browser.open())
    see(lambda: tab.page.locator('[data-testid="stVegaLiteChart"]').count())
    tab.page.reload()
    see(lambda: tab.state == "running")
    see(lambda: tab.page.locator('[data-testid="stVegaLiteChart"]').count())
    see(lambda: "1 viewer " in tab.text(".oh-aside"), saw=lambda: tab.text(".oh-aside"))

    other = browser.open()
    see(lambda: "2 viewers" in tab.text(".oh-aside"))
    other.page.close()
    see(lambda: "1 viewer " in tab.text(".oh-aside"), saw=lambda: tab.text(".oh-aside"))
    assert market.connections == EACH_STREAM_ONCE


def test_a_selected_structure_shows_its_legs_and_stays_selected_through_refreshes(browser):
    tab = started(browser.open(height=1400))
    grid = tab.page.locator(".st-key-structures [data-testid=stDataFrame]")
    grid.click(position={"x": 16, "y": 36 + 30 + 15})
    see(lambda: "Legs of NVDA" in tab.text(".st-key-tables"), saw=lambda: tab.text(".st-key-tables"))
    see(lambda: len(tab.column("legs", "Contract")) == 2)

    marks = tab.column("legs", "Mark $")
    see(lambda: tab.column("legs", "Mark $") != marks)
    assert "Legs of NVDA" in tab.text(".st-key-tables")


def test_a_market_that_goes_away_is_said_at_once_and_the_last_prices_stay(browser, market):
    tab = started(browser.open())
    market.stop()

    see(lambda: tab.state == "reconnecting", saw=lambda: tab.text(".oh-bar"))
    assert "attempt" in tab.text(".oh-bar")
    assert all(tab.column("positions", "Mark $"))


def test_the_columns_that_matter_fit_a_laptop(browser):
    tab = started(browser.open(width=1440))

    for heading in (
        "Contract",
        "Qty",
        "P&L $",
        "P&L %",
        "DTE",
        "Mark $",
        "Mark from",
        "Quote age s",
        "Warnings",
    ):
        assert tab.column("positions", heading), heading


def test_on_a_phone_start_is_at_hand_and_nothing_overflows(browser):
    tab = browser.open(width=390, height=844, has_touch=True, is_mobile=True)
    assert not tab.page.locator(".st-key-start-sidebar button").first.is_visible()

    started(tab)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.column("positions", "P&L $")
    tab.press("Stop")
    see(lambda: tab.state == "stopped")


def test_the_csv_is_what_is_known_at_the_click(browser):
    tab = started(browser.open())
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))

    assert len(rows) == 18
    assert all(row["mark"] or row["net_mark"] for row in rows)
