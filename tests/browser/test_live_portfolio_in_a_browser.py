"""The promise of the first screen, kept by real parts: press Start, watch true numbers move, in every tab the same."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from options_helper.model.instants import utc_datetime
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from tests.kit.order_updates import order_update
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

BRK_CALL = "BRKB270319C00510000"
EACH_STREAM_ONCE = {"/v2/iex": 1, "/v1beta1/indicative": 1, "/stream": 1}


def see(condition, *, saw=None):
    """Wait as long as a person would before frowning."""
    return wait_until(condition, timeout=20, every=0.1, saw=saw)


def started(tab):
    tab.press("Start")
    see(lambda: tab.state == "running", saw=lambda: tab.text(".oh-bar"))
    see(lambda: all_is_priced(tab), saw=lambda: tab.tile("Unrealized P&L"))
    return tab


def all_is_priced(tab):
    words = tab.tile("Unrealized P&L")
    return "$" in words and "PARTIAL" not in words


def test_start_moves_prices_a_second_tab_sees_the_same_run_and_stop_ends_it(browser, market):
    first = browser.open()
    assert first.state in {"not started", "stopped"}
    assert market.connections == {}

    started(first)
    before = first.tile("Unrealized P&L"), first.column("positions", "Mark $")
    see(lambda: first.tile("Unrealized P&L") != before[0])
    see(lambda: first.column("positions", "Mark $") != before[1])

    second = browser.open()
    see(lambda: second.state == "running")
    first.open_details()
    second.open_details()
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
    tab.open_details()
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


def test_the_legs_of_a_selected_structure_come_to_where_the_viewer_looks(browser):
    tab = started(browser.open(width=1280, height=720))
    main = tab.page.get_by_test_id("stMain")
    grid = tab.page.locator(".st-key-structures [data-testid=stDataFrame]")
    # The table's own end is at the window's, so that nothing of what lies below it is seen.
    grid.evaluate("node => node.scrollIntoView({block: 'end'})")
    grid.click(position={"x": 16, "y": 36 + 15})

    def legs_are_seen():
        box = tab.page.locator(".st-key-legs").bounding_box()
        return (
            box and box["y"] >= 0 and box["y"] + box["height"] <= 720 and len(tab.column("legs", "Qty")) == 2
        )

    see(legs_are_seen, saw=lambda: tab.page.locator(".st-key-legs").bounding_box())
    rows = tab.page.locator(".st-key-structures [data-testid=stDataFrame]").first.bounding_box()
    assert rows["y"] + 36 >= 0, "the row that was chosen is still there"

    # Who then goes elsewhere is not brought back by a refresh.
    main.evaluate("node => node.scrollTo(0, 0)")
    marks = tab.column("legs", "Mark $")
    see(lambda: tab.column("legs", "Mark $") != marks)
    assert main.evaluate("node => node.scrollTop") == 0


def test_a_keyboard_that_pressed_start_is_still_there_and_stops_nothing_by_a_second_enter(browser):
    tab = browser.open()
    start = tab.page.get_by_test_id("stMain").get_by_role("button", name="Start", exact=True)
    # What keeps the focus is loaded a moment after the button.
    tab.page.locator(".st-key-lifecycle[tabindex]").wait_for()
    start.focus()
    tab.page.keyboard.press("Enter")
    see(lambda: tab.state == "running", saw=lambda: tab.text(".oh-bar"))
    focused = "document.activeElement.className + document.activeElement.innerText"
    see(lambda: "st-key-lifecycle" in tab.page.evaluate(focused), saw=lambda: tab.page.evaluate(focused))

    tab.page.keyboard.press("Enter")
    tab.page.keyboard.press("Tab")
    assert "Stop" in tab.page.evaluate(focused)
    assert tab.state == "running"


def test_the_first_positions_are_seen_in_a_small_window_and_what_is_cut_off_under_a_pointer(browser):
    tab = started(browser.open(width=1280, height=720))
    see(lambda: "$" in tab.tile("P&L today"), saw=lambda: tab.tile("P&L today"))
    see(lambda: tab.column("positions", "Today $"))
    assert tab.page.locator(".st-key-positions").bounding_box()["y"] + 36 + 30 <= 720

    tab.page.set_viewport_size({"width": 800, "height": 720})
    note = tab.page.locator('[data-tile="P&L today"] .oh-line')
    is_cut = "node => node.firstChild.scrollWidth > node.firstChild.clientWidth"
    see(lambda: note.evaluate(is_cut))
    note.hover()
    see(lambda: not note.evaluate(is_cut))


def test_the_chart_is_filled_anew_and_not_built_anew(browser):
    """One that is built anew loses how it was zoomed."""
    tab = started(browser.open())
    see(lambda: tab.text(".oh-unseen[role=note]"))
    chart = tab.page.locator("[data-testid=stVegaLiteChart] .marks")
    chart.evaluate("node => { window.chart_node = node; }")
    said = tab.text(".oh-unseen[role=note]")
    see(lambda: tab.text(".oh-unseen[role=note]") != said)
    # What is drawn follows what is said by a moment.
    for _ in range(2):
        said = tab.text(".oh-unseen[role=note]")
        see(lambda said=said: tab.text(".oh-unseen[role=note]") != said)
    assert chart.evaluate("node => node === window.chart_node")


def test_a_market_that_goes_away_is_said_at_once_and_the_last_prices_stay(browser, market):
    tab = started(browser.open())
    market.stop()

    see(lambda: tab.state == "reconnecting", saw=lambda: tab.text(".oh-bar"))
    assert "attempt" in tab.text(".oh-bar")
    assert all(see(lambda: tab.column("positions", "Mark $")))


def test_today_is_told_once_the_account_was_asked(browser, market):
    tab = started(browser.open())

    see(lambda: "$" in tab.tile("P&L today"), saw=lambda: tab.tile("P&L today"))
    assert "against the close of" in tab.tile("P&L today")
    see(lambda: tab.column("positions", "Today $"))
    tab.open_details()
    assert "positions asked for, done" in tab.text(".oh-rest")
    assert market.requests["/v2/positions"] >= 1


def test_a_fill_from_while_nobody_listened_is_there_and_does_not_hide_the_truth_line(browser, market):
    tab = started(browser.open(width=390, height=844, has_touch=True, is_mobile=True))
    tab.open_details()
    see(lambda: "fills asked for, done" in tab.text(".oh-rest"), saw=lambda: tab.text(".oh-rest"))
    tab.page.keyboard.press("Escape")
    market.set_faults(Faults(stream=StreamName.FILLS, http_status=503))
    market.disconnect_all(stream=StreamName.FILLS)
    see(lambda: "/stream" not in market.clients, saw=lambda: market.clients)
    missed = order_update(
        order_id="missed",
        order_symbol=BRK_CALL,
        order_qty="1",
        order_filled_qty="1",
        qty="1",
        timestamp=now(market),
    )
    market.push(StreamName.FILLS, [missed])
    market.set_faults(Faults())

    words, top = see(
        lambda: toast(tab, "BRK-B 19 Mar 27 510 C"), saw=lambda: tab.page.inner_text("body")[-800:]
    )
    assert "(backfilled)" in words
    bar = tab.page.locator(".oh-bar").bounding_box()
    assert top > bar["y"] + bar["height"]
    tab.page.set_viewport_size({"width": 390, "height": 3000})
    tab.open_tab("Fills")
    for heading in ("Time", "Side, qty", "Contract", "Price $"):
        see(lambda heading=heading: tab.column("fills", heading))
    tab.page.set_viewport_size({"width": 1440, "height": 1600})
    see(
        lambda: ("1 of 1", "REST, backfilled") in fills(tab),
        saw=lambda: fills(tab),
    )


def fills(tab) -> list[tuple[str, str]]:
    """What each row of the fills says of its order and its source."""
    return list(zip(tab.column("fills", "Order so far"), tab.column("fills", "Source"), strict=False))


def now(market) -> str:
    """The market's time as an order update writes it."""
    return utc_datetime(market.now_ns).isoformat().replace("+00:00", "Z")


def toast(tab, words) -> tuple[str, float] | None:
    """The toast that says this, and where it begins, in one look: it is gone in a few seconds."""
    found = tab.page.evaluate(
        """words => [...document.querySelectorAll('[data-testid="stToast"]')]
            .filter(toast => toast.innerText.includes(words))
            .map(toast => [toast.innerText, toast.getBoundingClientRect().top])""",
        words,
    )
    return found[0] if found else None


def test_a_double_click_on_start_starts_once(browser, market):
    tab = browser.open()
    tab.page.get_by_test_id("stMain").get_by_role("button", name="Start", exact=True).dblclick()
    see(lambda: tab.state == "running", saw=lambda: tab.text(".oh-bar"))
    see(lambda: all_is_priced(tab))

    assert market.connections == EACH_STREAM_ONCE


def test_the_columns_that_matter_fit_a_laptop(browser):
    tab = started(browser.open(width=1440))

    for heading in (
        "Contract",
        "Qty",
        "P&L $",
        "P&L %",
        "At natural $",
        "Today $",
        "DTE",
        "Mark $",
        "Mark from",
        "Spot $",
        "Warnings",
    ):
        see(lambda heading=heading: tab.column("positions", heading), saw=lambda heading=heading: heading)
    see(lambda: tab.column("structures", "Marks from"))


def test_on_a_phone_start_is_at_hand_and_nothing_overflows(browser):
    tab = browser.open(width=390, height=844, has_touch=True, is_mobile=True)
    started(tab)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    see(lambda: tab.column("positions", "P&L $"))
    tab.press("Stop")
    see(lambda: tab.state == "stopped")


def test_on_a_phone_a_failure_can_be_read_to_its_end(browser, market):
    market.set_faults(Faults(rest_status=401))
    tab = browser.open(width=390, height=844, has_touch=True, is_mobile=True)
    tab.press("Start")
    see(lambda: "positions FAILED" in tab.text(".oh-rest"), saw=lambda: tab.text(".oh-rest"))

    line = tab.page.locator(".oh-rest")
    assert tab.text(".oh-rest").count("Check APCA_API_KEY_ID") == 1
    assert line.evaluate("line => line.scrollWidth <= line.clientWidth")


def test_the_csv_is_what_is_known_at_the_click(browser):
    rows = downloaded(started(browser.open()))

    assert len(rows) == 18
    assert all(row["mark"] or row["net_mark"] for row in rows)
    assert {row["market"] for row in rows} == {"simulated"}


def test_the_csv_says_whose_market_it_is_before_that_is_connected(browser):
    """Never Alpaca's, where the settings lead to this computer."""
    tab = browser.open()
    see(lambda: tab.state in {"not started", "stopped"}, saw=lambda: tab.text(".oh-bar"))

    assert {row["market"] for row in downloaded(tab)} <= {"local", "simulated"}


def downloaded(tab) -> list[dict[str, str]]:
    """The rows of the CSV, as they are at the click."""
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Download CSV").click()
    return list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
