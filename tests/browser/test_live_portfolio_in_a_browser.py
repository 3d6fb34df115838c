"""The promise of the first screen, kept by real parts: press Start, watch true numbers move, in every tab the same."""

from __future__ import annotations

import base64
import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from apps.streamlit.components.board_message import FULL_AT_FIRST
from apps.streamlit.components.live_tile import Tile, tile_html
from apps.streamlit.components.piece_delta import piece_delta
from apps.streamlit.components.style import DARK, LIGHT
from options_helper.model.instants import utc_datetime
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from tests.kit.order_updates import order_update
from tests.kit.waiting import A_PROCESS, wait_until

BRK_CALL = "BRKB270319C00510000"
NEW_CALL = "SPY261218C00735000"
EACH_STREAM_ONCE = {"/v2/iex": 1, "/v1beta1/indicative": 1, "/stream": 1}


def see(condition, *, saw=None):
    """Wait for it: how long a browser and a server take on a busy machine is nobody's promise."""
    return wait_until(condition, timeout=A_PROCESS, every=0.1, saw=saw)


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
    before = first.tile("Unrealized P&L"), first.board("Mark")
    see(lambda: first.tile("Unrealized P&L") != before[0])
    see(lambda: first.board("Mark") != before[1])

    second = browser.open()
    see(lambda: second.state == "running")
    first.open_details()
    second.open_details()
    see(lambda: "2 viewers" in first.text(".oh-aside"), saw=lambda: first.text(".oh-aside"))
    see(
        lambda: second.text(".oh-aside") == first.text(".oh-aside"),
        saw=lambda: (first.text(".oh-aside"), second.text(".oh-aside")),
    )
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


def test_a_structure_that_is_opened_shows_its_legs_and_stays_open_through_refreshes(browser):
    tab = started(browser.open())
    condor = tab.row("s:spy-iron-condor")
    assert condor.get_attribute("aria-expanded") == "false"
    condor.locator("th").click()
    see(lambda: tab.rows[-4:] == [f"{leg} · 18 Dec 26" for leg in ("640 P", "655 P", "705 C", "720 C")])

    # The row is the same node, and the focus is where it was put.
    condor.evaluate("node => { window.condor_row = node; }")
    marks = tab.board("Mark")
    see(lambda: tab.board("Mark") != marks)
    assert condor.evaluate("node => node === window.condor_row && node.getRootNode().activeElement === node")
    assert condor.get_attribute("aria-expanded") == "true"
    see(lambda: "rows=" in tab.address, saw=lambda: tab.address)


BOARD = Path(__file__).parents[2] / "options_helper" / "live" / "assets" / "board.js"
A_LARGE_BOOK = """
async ([source, messages]) => {
  const board = (await import(`data:text/javascript;base64,${source}`)).default;
  const parentElement = document.createElement('div');
  parentElement.innerHTML = '<div data-board></div>';
  document.body.append(parentElement);
  const said = [];
  for (const message of messages) {
    const data = new TextEncoder().encode(JSON.stringify(message));
    board({ parentElement, data, setStateValue: () => {}, setTriggerValue: () => {} });
    const row = parentElement.querySelector('tr[data-key="e:leg"]');
    said.push([row.getAttribute('aria-busy'), ...[...row.querySelectorAll('td')].map((one) => one.textContent)]);
  }
  parentElement.remove();
  return said;
}
"""


def test_a_row_that_is_opened_before_its_figures_came_says_that_it_waits_for_them(browser):
    """An empty cell says that there is nothing, and of a large book no cell of a closed row was sent."""
    heading = {"help": "", "width": 80, "leaves": 0, "sort": ""}
    columns = [{"heading": name, **heading} for name in ("Position", "Today $", "P&L $")]
    entry = {"kind": "entry", "level": 2, "parent": "g:AAPL", "opens": False, "open": False}
    group = {"kind": "group", "level": 1, "parent": "", "opens": True, "open": True}
    rows = [{"key": "g:AAPL", "name": "AAPL", **group}, {"key": "e:leg", "name": "a leg", **entry}]
    view = {"sort": "", "find": "", "selected": "", "rows": ""}
    full = {
        "columns": columns,
        "rows": rows,
        "cells": {"g:AAPL": ["1", "2"]},
        "label": "",
        "colours": {},
        "view": view,
    }
    messages = [
        {"key": 1, "full": full, "around": {}},
        {"key": 1, "changed": {"g:AAPL": {}}, "around": {}},
        {"key": 1, "changed": {"g:AAPL": {}, "e:leg": {"0": "+3", "1": ""}}, "around": {}},
        {"key": 1, "changed": {"g:AAPL": {}}, "around": {}},
    ]
    source = base64.b64encode(BOARD.read_bytes()).decode()
    said = browser.empty_page().evaluate(A_LARGE_BOOK, [source, messages])

    waits, told = ["true", "…", "…"], [None, "+3", ""]
    assert said == [waits, waits, told, waits]


WHAT_IS_AROUND = """
async ([source, messages]) => {
  const board = (await import(`data:text/javascript;base64,${source}`)).default;
  const parentElement = document.createElement('div');
  parentElement.innerHTML = '<div data-board></div>';
  document.body.append(parentElement);
  const said = [];
  const hear = ({ detail }) => said.push([detail.side, detail.tiles]);
  window.addEventListener('oh-refresh', hear);
  for (const message of messages) {
    const data = new TextEncoder().encode(JSON.stringify(message));
    board({ parentElement, data, setStateValue: () => {}, setTriggerValue: () => {} });
  }
  window.removeEventListener('oh-refresh', hear);
  parentElement.remove();
  return said;
}
"""


def test_a_long_piece_of_which_only_what_differs_is_sent_comes_out_whole(browser):
    """Each short message is told against the full one, whatever became of those between."""

    def listed(*minutes: int) -> str:
        items = "".join(
            f"<li>🦀 {n} <b>{left} min</b> {'so on ' * 20}</li>" for n, left in enumerate(minutes)
        )
        return f"<p>€</p><ul>{items}</ul>"

    pieces = [listed(3, 2, 1), listed(3, 1, 1), listed(9, 3, 2, 0), listed(2)]
    view = {"sort": "", "find": "", "selected": "", "rows": ""}
    empty = {"columns": [], "rows": [], "cells": {}, "label": "", "colours": {}, "view": view}
    full = {"key": 1, "full": empty, "around": {"side": pieces[0], "tiles": "same"}}
    deltas = [piece_delta(pieces[0], one) for one in pieces[1:]]
    short = [{"key": 1, "changed": {}, "around": {"side": delta}} for delta in deltas]
    source = base64.b64encode(BOARD.read_bytes()).decode()
    said = browser.empty_page().evaluate(WHAT_IS_AROUND, [source, [full, *short]])

    assert [type(delta) for delta in deltas] == [list, list, str]
    assert said == [[one, "same"] for one in pieces]


TILES_BESIDE_A_TABLE = """
async ([board, pieces, messages]) => {
  const load = async (source) => (await import(`data:text/javascript;base64,${source}`)).default;
  const [showTable, showPieces] = [await load(board), await load(pieces)];
  const [page, table, filling] = [0, 1, 2].map(() => document.createElement('div'));
  table.innerHTML = '<div data-board></div>';
  filling.innerHTML = '<div data-pieces></div>';
  document.body.append(page, table, filling);
  showPieces({ parentElement: filling });
  const painted = () => new Promise(requestAnimationFrame);
  const said = [];
  const look = async () => {
    await painted();
    said.push([page.textContent, table.querySelector('td')?.textContent ?? '']);
  };
  for (const message of messages) {
    // As a full run does: first the place, and in a frame of its own the table.
    page.innerHTML = `<div data-piece="tiles" data-key="${message.key}">${message.around.tiles}</div>`;
    await look();
    const data = new TextEncoder().encode(JSON.stringify(message));
    showTable({ parentElement: table, data, setStateValue: () => {}, setTriggerValue: () => {} });
    await look();
  }
  for (const one of [page, table, filling]) one.remove();
  await painted();
  return said;
}
"""


def test_what_a_full_run_drew_around_the_table_is_shown_with_its_table_and_not_before(browser):
    """Both are of one moment in each frame; only before the first table there is no other to wait for."""
    head = {"help": "", "leaves": 0, "sort": ""}
    columns = [{"heading": "Position", "width": 0, **head}, {"heading": "P&L $", "width": 90, **head}]
    rows = [
        {"key": "a", "name": "a", "kind": "group", "level": 1, "parent": "", "opens": False, "open": False}
    ]
    view = {"sort": "", "find": "", "selected": "", "rows": ""}

    def full(key: int) -> dict[str, object]:
        cells = {"a": [f"+{key}"]}
        board = {"columns": columns, "rows": rows, "cells": cells, "label": "", "colours": {}, "view": view}
        return {"key": key, "full": board, "around": {"tiles": f"+{key}"}}

    sources = [
        base64.b64encode(asset.read_bytes()).decode() for asset in (BOARD, BOARD.with_name("pieces.js"))
    ]
    said = browser.empty_page().evaluate(TILES_BESIDE_A_TABLE, [*sources, [full(1), full(2), full(3)]])

    assert said == [["+1", ""], ["+1", "+1"], ["+1", "+1"], ["+2", "+2"], ["+2", "+2"], ["+3", "+3"]]


ROWS_THAT_STAY = """
async ([source, messages]) => {
  const board = (await import(`data:text/javascript;base64,${source}`)).default;
  const parentElement = document.createElement('div');
  parentElement.innerHTML = '<div data-board></div>';
  document.body.append(parentElement);
  const rows = [];
  for (const message of messages) {
    const data = new TextEncoder().encode(JSON.stringify(message));
    board({ parentElement, data, setStateValue: () => {}, setTriggerValue: () => {} });
    rows.push(parentElement.querySelector('tr[data-key="a"]'));
  }
  const said = [rows.map((row) => row === rows[0] && row.isConnected), rows[0].textContent,
    [...parentElement.querySelectorAll('tbody tr')].map((row) => row.dataset.key),
    parentElement.querySelectorAll('col')[1].style.width];
  parentElement.remove();
  return said;
}
"""


def test_a_row_is_the_same_node_where_a_column_grows_or_rows_change_their_places(browser):
    """Made anew between the two halves of a click, it would lose the click."""
    usual = {"kind": "group", "level": 1, "parent": "", "opens": False, "open": False}
    one, other = ({"key": key, "name": key, **usual} for key in "ab")

    def full(key, width, rows):
        head = {"help": "", "leaves": 0, "sort": ""}
        columns = [{"heading": "Position", "width": 0, **head}, {"heading": "P&L $", "width": width, **head}]
        cells = {"a": [f"+{key}"], "b": ["0"]}
        view = {"sort": "", "find": "", "selected": "", "rows": ""}
        board = {"columns": columns, "rows": rows, "cells": cells, "label": "", "colours": {}, "view": view}
        return {"key": key, "full": board, "around": {}}

    messages = [full(1, 80, [one, other]), full(2, 90, [one, other]), full(3, 90, [other, one])]
    source = base64.b64encode(BOARD.read_bytes()).decode()
    said = browser.empty_page().evaluate(ROWS_THAT_STAY, [source, messages])

    assert said == [[True, True, True], "a+3", ["b", "a"], "90px"]


# Notes what the tile and the last row of the table say in each frame from now on.
EACH_FRAME = """() => {
  window.frames_seen = [];
  const look = () => {
    const tile = document.querySelector('[data-tile="Unrealized P&L"] .oh-figure')?.innerText ?? '';
    const table = [...document.querySelectorAll('.st-key-tablebox *')].find((one) => one.shadowRoot)?.shadowRoot;
    const row = table?.querySelector('tr[data-key="book"] td[data-heading="P&L $"]')?.innerText ?? '';
    window.frames_seen.push([tile, row]);
    requestAnimationFrame(look);
  };
  look();
}"""


def test_in_each_frame_of_a_full_run_tiles_and_table_are_of_one_moment(browser):
    """A full run draws both again, one after the other."""
    tab = started(browser.open())
    tab.page.evaluate(EACH_FRAME)
    for name in ("Fills", "Alerts", "File and account", "News", "P&L over the session") * 2:
        before = tab.tile("Unrealized P&L")
        tab.open_tab(name)
        see(lambda before=before: tab.tile("Unrealized P&L") != before)
    frames = tab.page.evaluate("window.frames_seen")

    both = [(dollars(tile), dollars(row)) for tile, row in frames if tile and row]
    # A price may come back to what it was.
    assert len(set(both)) > 5
    assert [one for one in both if abs(one[0] - one[1]) > 0.51] == []


def dollars(words: str) -> float:
    """The first amount in what a tile or a row says, whatever its sign; a row's is rounded."""
    found = re.search(r"[\d,]*\d(?:\.\d\d)?", words)
    assert found, words
    return float(found[0].replace(",", ""))


def test_what_a_viewer_wishes_of_the_table_outlives_a_reload(browser):
    tab = started(browser.open())
    tab.row("s:aapl-call-vertical").locator("th").click()
    tab.sort_by("P&L $")
    see(lambda: tab.rows[0] == "MSFT", saw=lambda: tab.rows)
    see(lambda: "sort=" in tab.address, saw=lambda: tab.address)
    see(lambda: "rows=" in tab.address, saw=lambda: tab.address)
    seen = tab.rows

    tab.page.reload()
    see(lambda: tab.rows and tab.rows[0] == "MSFT", saw=lambda: tab.rows)
    assert set(tab.rows) == set(seen), "what was opened is open"
    heading = tab.page.locator("[data-board] th[aria-sort]")
    assert heading.get_attribute("aria-sort") == "descending"

    tab.sort_by("P&L $")
    see(lambda: heading.get_attribute("aria-sort") == "ascending")
    tab.sort_by("P&L $")
    see(lambda: not heading.count())
    see(lambda: tab.rows[0] == "AAPL", saw=lambda: tab.rows)


def test_the_filter_is_found_by_a_key_and_is_kept_in_the_address(browser):
    tab = started(browser.open())
    tab.row("g:AAPL").focus()
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("condor")
    see(lambda: tab.rows == ["SPY", "640/655/705/720 iron condor · 18 Dec 26"], saw=lambda: tab.rows)
    see(lambda: "find=condor" in tab.address, saw=lambda: tab.address)

    # A refresh takes nothing away from who is typing.
    marks = tab.board("Mark")
    see(lambda: tab.board("Mark") != marks)
    tab.page.keyboard.type("x")
    see(lambda: "No row has these words." in tab.text("[data-board]"))
    tab.page.keyboard.press("Escape")
    see(lambda: len(tab.rows) == 14, saw=lambda: tab.rows)


def test_the_table_is_walked_by_keys_with_one_stop_of_tab_for_its_rows(browser):
    tab = started(browser.open())
    assert tab.page.locator("[data-board] tbody tr[tabindex='0']").count() == 1
    assert tab.page.locator("[data-board] thead button[tabindex='0']").count() == 1
    tab.row("g:AAPL").focus()

    def held():
        return tab.page.locator("[data-board] tr:focus").get_attribute("data-key")

    for key, expected in (
        ("ArrowDown", "p:aapl-call"),
        ("ArrowDown", "s:aapl-call-vertical"),
        ("ArrowRight", "s:aapl-call-vertical"),
        ("ArrowDown", "l:aapl-call-vertical:0"),
        ("ArrowLeft", "s:aapl-call-vertical"),
        ("Enter", "s:aapl-call-vertical"),
        ("ArrowUp", "p:aapl-call"),
        ("ArrowLeft", "g:AAPL"),
        ("ArrowLeft", "g:AAPL"),
        ("ArrowDown", "g:BRK.B"),
        ("End", "book"),
        ("Home", "g:AAPL"),
    ):
        tab.page.keyboard.press(key)
        assert held() == expected, key
    assert tab.row("g:AAPL").get_attribute("aria-expanded") == "false"
    assert "275 C · 15 Jan 27" not in tab.rows

    # Enter has selected the structure, and a click selects another row, for the payoff to be drawn of.
    see(lambda: "selected=s%3Aaapl-call-vertical" in tab.address, saw=lambda: tab.address)
    tab.row("g:SPY").locator("td").first.click()
    assert tab.row("g:SPY").get_attribute("aria-selected") == "true"
    see(lambda: "selected=g%3ASPY" in tab.address, saw=lambda: tab.address)
    tab.page.get_by_role("tab", name="Payoff").click()
    # Of SPY alone something ends today.
    see(lambda: "Grey: on 20 Nov 26." in tab.text(".oh-payoff"), saw=lambda: tab.text(".oh-payoff"))
    tab.row("g:AAPL").focus()

    # Streamlit would take the letter for an order to run the page again.
    tab.page.keyboard.press("r")
    assert held() == "g:AAPL"


def test_a_reload_brings_the_selected_row_back_with_its_payoff_and_what_changed_of_it(browser):
    """The address alone carries it: the tab's own memory goes with the reload."""
    tab = started(browser.open())
    tab.row("g:SPY").locator("td").first.click()
    see(lambda: "selected=g%3ASPY" in tab.address, saw=lambda: tab.address)

    tab.page.reload()
    see(lambda: tab.row("g:SPY").count() and tab.row("g:SPY").get_attribute("aria-selected") == "true")
    assert "selected=g%3ASPY" in tab.address
    tab.open_tab("Payoff")
    # Of SPY alone something ends today.
    see(lambda: "Grey: on 20 Nov 26." in tab.text(".oh-payoff"), saw=lambda: tab.text(".oh-payoff"))
    tab.open_tab("What changed")
    chosen = tab.page.locator(".st-key-changed-of input")
    see(lambda: chosen.count() and chosen.input_value() == "SPY, all of it", saw=chosen.count)


def beyond_their_tiles(tab):
    """The figures that reach over the end of their tile, with by how many pixels."""
    found = tab.page.evaluate(
        """() => [...document.querySelectorAll(".oh-tile")].map(tile => {
            const figure = document.createRange();
            figure.selectNodeContents(tile.querySelector(".oh-figure"));
            const over = figure.getBoundingClientRect().right - tile.getBoundingClientRect().right;
            return [tile.dataset.tile, over];
        })"""
    )
    assert len(found) == 8
    return [(name, over) for name, over in found if over > 0]


def test_no_figure_reaches_over_its_tile_where_the_sidebar_takes_of_the_width(browser):
    tab = started(browser.open())
    wide = tab.page.locator(".oh-tiles").bounding_box()["width"]
    tab.open_sidebar()
    see(lambda: tab.page.locator(".oh-tiles").bounding_box()["width"] < wide - 200)
    assert beyond_their_tiles(tab) == []

    tab.page.set_viewport_size({"width": 1280, "height": 900})
    see(lambda: tab.page.locator(".oh-tiles").bounding_box()["width"] < wide - 300)
    assert beyond_their_tiles(tab) == []


LONG = (
    Tile("P&L today", "▼ −$1,234,567.89", "realized −$1,234,567.00", tone="loss"),
    Tile("Unrealized P&L", "▼ −$12,345,678.90", "of $98,765,432.10 paid", tone="loss", beside="−1,234.56 %"),
    Tile("Delta, SPY-weighted", "−1,234,567", "delta of all legs", beside="−$12,345,678 / 1 %"),
    Tile("Theta", "−$1,234,567", "", beside="a day", caveat="PARTIAL: 1234 of 5678 legs\nWITHOUT retirement"),
    Tile("Vega", "+$12,345,678", "all expiries in parallel", beside="a point"),
    Tile("Maximum loss", "undefined", "", tone="error", beside="risk in 12 positions", caveat="MMMMMMMM" * 9),
    Tile("Liquidation value", "$12,345,678.90", "main: buying power $12,345,678.90; ira: not known"),
    Tile("Needs your hand", "1,234 items", "W" * 60, tone="warning"),
)


def beyond_their_boxes(tab, tiles):
    """Which of these tiles' parts reach over the tile, measured before a refresh brings the page's own again."""
    return tab.page.evaluate(
        """html => {
            document.querySelector(".oh-tiles").outerHTML = html;
            const over = tile => [...tile.querySelectorAll(".oh-name, .oh-figure > *")].filter(part => {
                const text = document.createRange();
                text.selectNodeContents(part);
                const cut = getComputedStyle(part).overflowX === "hidden";
                return (cut ? part : text).getBoundingClientRect().right > tile.getBoundingClientRect().right;
            }).map(part => `${tile.dataset.tile}: ${part.textContent}`);
            const runs = tile => tile.scrollWidth > tile.clientWidth || tile.scrollHeight > tile.clientHeight;
            return [...document.querySelectorAll(".oh-tiles:not(.oh-book-tiles) .oh-tile")].flatMap(
                tile => runs(tile) ? [`${tile.dataset.tile} runs over`, ...over(tile)] : over(tile));
        }""",
        f'<div class="oh-tiles">{"".join(map(tile_html, tiles))}</div>',
    )


def test_no_text_of_a_tile_leaves_its_tile_however_long_it_is(browser):
    tab = browser.open()
    see(lambda: tab.page.locator(".oh-tile").count() == 8)
    for width in (1440, 1280, 1101, 800, 390):
        tab.page.set_viewport_size({"width": width, "height": 900})
        assert beyond_their_boxes(tab, LONG) == [], width
        # An index of a long name, and figures that nobody thought of, in every place.
        odd = [replace(one, name="Delta, BRK.B-weighted", figure="not known") for one in LONG]
        assert beyond_their_boxes(tab, odd) == [], width


def test_a_table_that_missed_its_full_message_asks_for_another(browser):
    """Messages can be merged on their way to a busy browser."""
    tab = started(browser.open())
    tab.page.locator("[data-board]").evaluate("node => { node.board.key = -1; }")
    see(lambda: tab.page.locator("[data-board]").evaluate("node => node.board.key > 0"))
    marks = tab.board("Mark")
    see(lambda: tab.board("Mark") != marks)


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
    see(lambda: tab.board("Today $"))
    last = tab.row("book").bounding_box()
    assert last["y"] + last["height"] <= 720, "every position is seen, and the sum"

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
    assert tab.text(".oh-chart-moment").startswith("last at ")
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
    see(lambda: "next try in" in tab.text(".oh-bar"), saw=lambda: tab.text(".oh-bar"))
    assert see(lambda: tab.board("Mark"))


def test_today_is_told_once_the_account_was_asked(browser, market):
    tab = started(browser.open())

    see(lambda: "$" in tab.tile("P&L today"), saw=lambda: tab.tile("P&L today"))
    assert "against the close of" in tab.tile("P&L today")
    see(lambda: tab.board("Today $"))
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
    tab.page.set_viewport_size({"width": 1920, "height": 1600})
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


# Of the cells of the table that are seen, those whose figure has no room.
CUT_OFF = "cells => cells.filter(one => one.scrollWidth > one.clientWidth).map(one => one.innerText)"


def test_the_columns_that_matter_fit_a_laptop(browser):
    tab = started(browser.open(width=1440))

    for heading in (
        "Qty",
        "Mark",
        "Bid × ask",
        "Spread",
        "Today $",
        "P&L $",
        "P&L %",
        "Natural $",
        "Delta",
        "Theta",
        "IV",
        "DTE",
        "% max",
        "Warnings",
    ):
        shown = tab.heading(heading)
        see(lambda shown=shown: shown.is_visible(), saw=lambda heading=heading: heading)
    assert tab.page.locator("[data-board] td").evaluate_all(CUT_OFF) == []
    main = tab.page.get_by_test_id("stMain")
    assert main.evaluate("node => node.scrollHeight <= node.clientHeight"), "one screen, without scrolling"
    for name, inside in (("What changed", ".oh-changed"), ("Payoff", ".oh-payoff")):
        tab.open_tab(name)
        see(lambda inside=inside: tab.page.locator(inside).is_visible(), saw=lambda name=name: name)
        assert main.evaluate("node => node.scrollHeight <= node.clientHeight"), f"one screen, with {name}"


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1280, 720)])
def test_on_a_laptop_the_three_worst_are_seen_with_how_many_lie_below_and_a_pointer_shows_all_of_one(
    browser, width: int, height: int
):
    """On a day of expiry too, whose cockpit takes of the room."""
    tab = started(browser.open(width=width, height=height))
    items, count = tab.page.locator(".oh-items li"), tab.page.locator(".oh-panel-head [data-below]")
    see(lambda: tab.page.locator('[aria-label="Expiry cockpit"]').count() and count.count())
    seen = """list => {
      const ends = [...list.children].map(one => one.getBoundingClientRect().bottom);
      return ends.filter(end => end <= Math.min(list.getBoundingClientRect().bottom + 1, innerHeight)).length;
    }"""
    assert tab.page.locator(".oh-items").evaluate(seen) >= 3
    see(lambda: int(count.get_attribute("data-below")) == items.count() - 3, saw=items.count)

    first = items.first.locator(".oh-gist")
    is_cut = "node => node.scrollHeight > node.clientHeight"
    assert first.evaluate(is_cut)
    items.first.hover()
    see(lambda: not first.evaluate(is_cut))
    tab.page.mouse.move(5, 5)
    tab.page.locator(".oh-items").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    see(lambda: not count.count())


def test_a_table_that_scrolls_says_how_many_rows_lie_below_what_is_seen(browser):
    """Its last row is always seen, so that nobody looks for others between."""
    tab = started(browser.open(height=500))
    board, rows = tab.page.locator("[data-board]"), tab.page.locator("[data-board] tbody tr")
    said = board.locator(".below")
    hidden = """board => {
      const end = board.querySelector('tfoot th').getBoundingClientRect().top;
      return [...board.querySelectorAll('tbody tr')].filter(row => row.getBoundingClientRect().bottom > end + 1).length;
    }"""
    see(lambda: rows.count() and board.evaluate(hidden), saw=rows.count)
    see(lambda: said.inner_text() == f"{board.evaluate(hidden)} more rows below", saw=said.inner_text)
    assert said.is_visible()

    board.locator(".scroll").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    see(lambda: not said.is_visible(), saw=said.inner_text)
    tab.page.set_viewport_size({"width": 1440, "height": 480})
    board.locator(".scroll").evaluate("list => list.scrollTo(0, 0)")
    see(said.is_visible, saw=said.inner_text)
    tab.page.set_viewport_size({"width": 1440, "height": 900})
    see(lambda: not board.evaluate(hidden) and not said.is_visible(), saw=said.inner_text)


def test_columns_leave_a_narrow_table_and_never_what_was_made(browser):
    tab = started(browser.open(width=700, height=900))
    for heading, is_seen in (("Natural $", False), ("Spread", False), ("Today $", True), ("P&L $", True)):
        shown = tab.heading(heading)
        see(lambda shown=shown, is_seen=is_seen: shown.is_visible() == is_seen)
    sign = tab.row("p:spy-call-today").locator(".sign")
    tab.page.set_viewport_size({"width": 420, "height": 900})
    see(sign.is_visible, saw=lambda: tab.text("[data-board]"))


def test_the_table_turns_from_light_to_dark_with_the_system_as_everything_else_does(browser):
    """Made for a dark page, its warnings cannot be read on a light one."""
    tab = started(browser.open())
    # The first messages of all have everything in them, and after them one in two minutes.
    told = tab.page.locator("[data-board]")
    see(lambda: told.evaluate("node => node.board.key") >= FULL_AT_FIRST)
    marks = tab.board("Mark")
    see(lambda: tab.board("Mark") != marks)

    def colour_of(selector: str) -> str:
        said = "node => getComputedStyle(node).getPropertyValue('--warning').trim()"
        return str(tab.page.locator(selector).first.evaluate(said))

    seen = set()
    for scheme in ("dark", "light", "dark"):
        tab.page.emulate_media(color_scheme=scheme)
        wanted = {"dark": DARK, "light": LIGHT}[scheme].warning
        see(lambda wanted=wanted: colour_of(".oh-tiles") == wanted, saw=lambda: colour_of(".oh-tiles"))
        marks = tab.board("Mark")
        see(lambda marks=marks: tab.board("Mark") != marks)
        assert colour_of("[data-board]") == wanted, "by the next refresh"
        seen.add(wanted)
    assert len(seen) == 2


def test_on_a_phone_start_is_at_hand_and_nothing_overflows(browser):
    tab = browser.open(width=390, height=844, has_touch=True, is_mobile=True)
    started(tab)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    see(lambda: tab.board("P&L $"))
    table = tab.page.locator("[data-board] .scroll")
    assert table.evaluate("node => node.scrollWidth <= node.clientWidth")
    tab.press("Stop")
    see(lambda: tab.state == "stopped")


# At the end of the page: how much news is shown, and whether the button there is on top of it.
END_BENEATH_NEWS = """() => {
    const main = document.querySelector('[data-testid=stMain]');
    main.scrollTo(0, main.scrollHeight);
    // One of two is hidden: with a tooltip, and without.
    const button = [...document.querySelectorAll('.st-key-footer button')].find(one => one.getClientRects().length);
    const {left, top, width, height} = button.getBoundingClientRect();
    const hit = document.elementFromPoint(left + width / 2, top + height / 2);
    return [document.querySelectorAll('[data-testid=stToast]').length, button.contains(hit)];
}"""


def test_on_a_phone_what_news_lies_over_can_be_scrolled_out_from_under_it(browser, market):
    tab = started(browser.open(width=390, height=844, has_touch=True, is_mobile=True))
    bought = [
        order_update(
            order_id=f"news-{number}",
            order_symbol=BRK_CALL,
            order_qty="1",
            order_filled_qty="1",
            qty="1",
            timestamp=now(market),
        )
        for number in range(3)
    ]
    market.push(StreamName.FILLS, bought)

    news, is_on_top = see(
        lambda: (found := tab.page.evaluate(END_BENEATH_NEWS))[0] >= len(bought) and found,
        saw=lambda: tab.page.evaluate(END_BENEATH_NEWS),
    )
    assert (news, is_on_top) == (3, True)


# What a run with streams asks beside them, of a book of shares and contracts.
ASKED = {
    "prices",
    "fills",
    "positions",
    "calendar",
    "dividends",
    "daily closes",
    "expiries",
    "option chains",
}


def asked_in_vain(tab) -> set[str]:
    """The tasks of which the page says that they met a problem."""
    return set(
        tab.page.locator(".oh-rest .oh-caveat[data-task]").evaluate_all(
            "tasks => tasks.map(task => task.dataset.task)"
        )
    )


def test_on_a_phone_a_failure_can_be_read_to_its_end(browser, market):
    """Whatever fails of it, and whatever is not known for it: what kept it away is said once."""
    market.set_faults(Faults(rest_status=401))
    tab = browser.open(width=390, height=844, has_touch=True, is_mobile=True)
    tab.press("Start")
    # Options around the money are asked for at the look after the first prices of shares: those of the streams, here.
    see(lambda: asked_in_vain(tab) >= ASKED - {"option chains"}, saw=lambda: tab.text(".oh-rest"))
    see(lambda: asked_in_vain(tab) == ASKED, saw=lambda: tab.text(".oh-rest"))

    line = tab.page.locator(".oh-rest")
    assert tab.text(".oh-rest").count("Check APCA_API_KEY_ID") == 1
    assert "what became of contracts that ended" in tab.text(".oh-rest")
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
    # Streamlit takes back every file that was made during a full run when that ends, whoever still waits for it.
    app = tab.page.get_by_test_id("stApp")
    see(lambda: app.get_attribute("data-test-script-state") == "notRunning")
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Download CSV").click()
    return list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))


NOTED = """
    window.noted = [];
    window.Notification = class { constructor(_, options) { window.noted.push(options.body); } };
    window.Notification.permission = 'granted';
    window.Notification.requestPermission = async () => 'granted';
"""


def noted(page) -> list[str]:
    """What the browser was asked to show of fills."""
    return [words for words in page.evaluate("window.noted") if "735 C" in words]


def test_the_account_s_book_follows_a_fill_which_title_and_notification_tell_once_in_one_tab(browser, market):
    tab = browser.open(wishes="book=account", prepare=lambda page: page.context.add_init_script(NOTED))
    page, other = tab.page, tab.page.context.new_page()
    other.goto(page.url)
    page.bring_to_front()
    started(tab)
    see(lambda: "Live portfolio (simulated)" in page.title(), saw=page.title)
    icon = page.locator("link[rel~=icon]").first.get_attribute("href")
    assert icon.startswith("data:image/svg+xml,")
    page.evaluate("localStorage.setItem('oh-notify', 'on')")
    tab.open_details()
    see(lambda: "fills asked for, done" in tab.text(".oh-rest"), saw=lambda: tab.text(".oh-rest"))
    page.keyboard.press("Escape")
    see(lambda: other.locator("[data-state=running]").count())

    bought = order_update(
        order_id="more",
        order_symbol=NEW_CALL,
        order_qty="1",
        order_filled_qty="1",
        qty="1",
        timestamp=now(market),
    )
    assert not any("735" in row for row in tab.rows)
    market.push(StreamName.FILLS, [bought])

    see(lambda: noted(page) + noted(other), saw=lambda: tab.page.inner_text("body")[-500:])
    # What came within moments of a reading is in the book with the next one, and readings keep ten seconds apart.
    wait_until(lambda: any("735" in row for row in tab.rows), timeout=60, every=0.1, saw=lambda: tab.rows)
    # A tab behind another may be loaded without being drawn, until it is looked at.
    page.bring_to_front()
    page.reload()
    see(lambda: "Live portfolio (simulated)" in page.title(), saw=page.title)
    assert len(noted(page) + noted(other)) <= 1, "told once, and not again after a reload"
