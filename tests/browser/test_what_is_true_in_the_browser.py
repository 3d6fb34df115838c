"""What the server cannot see for itself: a page that nobody refreshes, and what really arrives in the browser."""

from __future__ import annotations

import io
import re

import pyarrow as pa
import pytest
from PIL import Image
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from options_helper.analysis.columns import COLUMNS
from tests.kit.waiting import A_PROCESS, wait_until

pytestmark = pytest.mark.timeout(180)


def see(condition, *, saw=None):
    return wait_until(condition, timeout=A_PROCESS, every=0.1, saw=saw)


def late(tab) -> str:
    """What the alarm says, or nothing while it is not to be seen."""
    line = tab.page.locator(".oh-late")
    return str(line.inner_text()) if line.count() and line.is_visible() else ""


def drawn(tab) -> str | None:
    """Of which refresh the alarm is."""
    facts: str | None = tab.page.locator(".oh-late").get_attribute("data-drawn")
    return facts


def counted(tab) -> int:
    """The seconds that it counts."""
    return int(
        tab.page.locator(".oh-late").evaluate("line => getComputedStyle(line).getPropertyValue('--oh-late')")
    )


def test_a_page_whose_server_hangs_says_that_it_is_not_refreshed_and_for_how_long(browser, server):
    tab = browser.open()
    assert not late(tab)

    with server.frozen():
        see(lambda: "NOT REFRESHED FOR" in late(tab), saw=lambda: late(tab))
        first = counted(tab)
        assert first >= 6, "three refreshes of two seconds were missed"
        see(lambda: counted(tab) > first)
        assert "options-helper ui" in late(tab).replace("\xa0", " ")
        # The line is above everything, and what is greyed can still be pressed.
        assert tab.page.evaluate("!!document.elementFromPoint(300, 8).closest('.oh-late')")
        assert tab.page.locator(".oh-veil").is_visible()
        assert not tab.page.evaluate("!!document.elementFromPoint(700, 500).closest('.oh-veil')")

    see(lambda: not late(tab), saw=lambda: late(tab))
    assert not tab.page.locator(".oh-veil").is_visible()


def test_a_page_whose_computer_is_offline_says_that_it_is_not_refreshed(browser):
    tab = browser.open(fresh=True)
    # What is cut off in the midst of its first drawing has not been told yet to refresh itself.
    first = drawn(tab)
    see(lambda: drawn(tab) != first)
    tab.page.context.set_offline(True)
    see(lambda: "NOT REFRESHED FOR" in late(tab))

    tab.page.context.set_offline(False)
    browser.complaints.clear()  # that nothing could be reached
    see(lambda: not late(tab), saw=lambda: late(tab))


def test_a_page_that_is_refreshed_never_raises_the_alarm(browser):
    """Each refresh must begin the animation anew, also one in which nothing else changes."""
    tab = browser.open()
    tab.page.evaluate(
        """() => { window.raised = 0; setInterval(() => {
            const line = document.querySelector('.oh-late');
            if (line && getComputedStyle(line).visibility === 'visible') window.raised += 1;
        }, 200) }"""
    )
    for _ in range(4):
        drawn = tab.page.locator(".oh-late").get_attribute("data-drawn")
        see(lambda drawn=drawn: tab.page.locator(".oh-late").get_attribute("data-drawn") != drawn)

    # A machine too busy to refresh in time raises it for a moment, and that is true.
    assert tab.page.evaluate("window.raised") < 10
    assert not late(tab)


def test_the_state_is_a_node_that_stays_and_says_each_change(browser):
    """A reader hears what changes in a node, and nothing of one that is made anew at each refresh."""
    tab = browser.open()
    status = tab.page.locator("[role=status][aria-live]")
    status.evaluate("node => { window.status_node = node; }")
    before = status.inner_text()
    assert before.startswith(f"Live portfolio {tab.state}")

    tab.press("Start")
    see(lambda: tab.state == "running", saw=lambda: tab.text(".oh-bar"))
    see(lambda: "running, on a simulated market" in status.inner_text(), saw=status.inner_text)
    assert tab.page.evaluate("window.status_node === document.querySelector('[role=status][aria-live]')")


def test_hidden_amounts_are_not_sent_to_the_browser(browser):
    """Not as a text, not as a number in a table or under a chart, not in what is read aloud.

    Told by what a number is, and never by which it is: a price, a count or a point of the chart may equal an amount.
    """
    sent_openly, sent = Sent(), Sent()
    open_tab = browser.open(wishes="hide=false", prepare=sent_openly.note)
    open_tab.press("Start")
    see(lambda: open_tab.page.locator('[data-testid="stVegaLiteChart"]').count())
    see(lambda: "$" in open_tab.tile("P&L today"), saw=lambda: open_tab.tile("P&L today"))
    # What was sent is told while the page is asked something.
    see(lambda: open_tab.state and sent_openly.most("pnl") > 1)
    assert headings_in(sent_openly.text) >= {"P&L $", "Today $", "Qty"}, "else the test proves nothing"
    assert amounts_in(sent_openly.text)

    hiding = browser.open(wishes="hide=true", prepare=sent.note)
    see(lambda: hiding.page.locator('[data-testid="stVegaLiteChart"]').count())
    see(lambda: "•••••" in hiding.tile("P&L today"), saw=lambda: hiding.tile("P&L today"))
    see(lambda: hiding.state and sent.columns.get("pnl"))

    assert headings_in(sent.text) & AMOUNT_HEADINGS == set()
    assert headings_in(sent.text) >= {"P&L %", "Mark"}
    assert "100 sh" in sent_openly.text
    assert "100 sh" not in sent.text
    assert set(sent.columns) - NO_AMOUNTS - CURVES == set()
    assert {name: sent.most(name) for name in CURVES if sent.most(name) > 1} == {}
    assert "•••••" in sent.text
    assert amounts_in(sent.text) == []
    assert amounts_in(hiding.page.content()) == []
    assert not hiding.page.locator("[data-testid=stVegaLiteChart] [aria-label*='pnl']").count()


def test_a_refresh_is_six_messages_with_one_element(browser):
    """What Streamlit sends for any fragment that draws something; each place more would be two, changed or not."""
    frames: list[bytes] = []

    def note(page):
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))  # noqa: PLW0108 - Playwright asks a function for its name

    tab = browser.open(prepare=note)
    tab.press("Start")
    see(lambda: tab.state == "running", saw=lambda: tab.text(".oh-bar"))
    frames.clear()
    # Others have the news of a fill besides, or are of the tab that is open.
    wanted = [
        "new_session",
        "session_status_changed",
        "add_block",
        "options-helper.board",
        "script_finished",
        "session_status_changed",
    ]
    see(lambda: tab.state and wanted in refreshes(frames), saw=lambda: refreshes(frames))


def refreshes(frames: list[bytes]) -> list[list[str]]:
    """What each run of the page consisted of, by the kinds of its messages."""
    runs: list[list[str]] = [[]]
    for frame in list(frames):
        message = ForwardMsg.FromString(frame)
        kind = message.WhichOneof("type")
        if kind == "new_session":
            runs.append([])
        if kind == "delta":
            kind = message.delta.WhichOneof("type")
            drawn = message.delta.new_element
            if drawn.WhichOneof("type") == "bidi_component":
                kind = drawn.bidi_component.component_name
        runs[-1].append(kind)
    return runs


AMOUNT_HEADINGS = frozenset(column.heading for column in COLUMNS if column.is_amount and column.heading)
# What is sent as a course, from -1 to 1, while amounts are hidden.
CURVES = frozenset({"pnl", "natural"})
# Prices, counts, ages and shares of something, and how the chart draws its points.
NO_AMOUNTS = (
    frozenset(
        {
            "segment",
            "dot",
            "reach",
            *(column.heading or column.name for column in COLUMNS if not column.is_amount),
        }
    )
    - CURVES
)


def headings_in(text: str) -> set[str]:
    """The headings of the table that are sent."""
    return set(re.findall(r'"heading": ?"([^"]+)"', text))


def amounts_in(text: str) -> list[str]:
    """Every amount of dollars in it; the price of a fill is the market's and stays."""
    # What was sent is not text alone, and the bytes of a number may look like a short one.
    words = "\n".join(re.findall(r"[^\x00-\x1f\x7f-\x9f\ufffd]{8,}", text))
    return re.findall(r"(?<!at )\$[\d,]+\.\d\d|\d\.\d\d dollars", words)


class Sent:
    """What the server sends to a page, read as the browser reads it."""

    def __init__(self) -> None:
        self.text = ""
        self.columns: dict[str, set[float]] = {}

    def note(self, page) -> None:
        """Read it from the page's first message on."""
        page.on("websocket", lambda socket: socket.on("framereceived", self._note))

    def most(self, column: str) -> float:
        """The largest number of this column of tables and charts, whichever its sign; 0 where none was sent."""
        return max(map(abs, self.columns.get(column, ())), default=0.0)

    def _note(self, frame: bytes | str) -> None:
        data = frame if isinstance(frame, bytes) else frame.encode()
        self.text += data.decode("utf-8", "replace")
        for found in re.finditer(rb"(?=\xff\xff\xff\xff)", data):
            table = table_at(data, found.start())
            if table is None:
                continue
            for name, column in zip(table.column_names, table.columns, strict=True):
                flat = column.combine_chunks()
                while pa.types.is_list(flat.type):
                    flat = flat.flatten()
                if pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type):
                    values = {float(value) for value in flat.to_pylist() if value is not None}
                    self.columns.setdefault(name, set()).update(values)


def table_at(data: bytes, start: int) -> pa.Table | None:
    """The table that begins there; None where these bytes only look like a beginning: within a table, say."""
    try:
        return pa.ipc.open_stream(data[start:]).read_all()
    except (pa.ArrowException, OSError):
        return None


def test_when_the_program_has_ended_the_page_says_so_above_streamlit_s_own_words(
    lonely_browser, server_of_its_own
):
    tab = lonely_browser.open()
    assert server_of_its_own.end() == 0

    see(lambda: "NOT REFRESHED FOR" in late(tab))
    see(lambda: tab.page.get_by_role("dialog").count())
    see(lambda: colour_at(tab, 1_200, 8) == (0xB4, 0x23, 0x18), saw=lambda: colour_at(tab, 1_200, 8))


def colour_at(tab, x: int, y: int) -> tuple[int, ...]:
    """What is really seen there, whatever lies above what."""
    image = Image.open(io.BytesIO(tab.page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})))
    return tuple(image.convert("RGB").getpixel((0, 0)))
