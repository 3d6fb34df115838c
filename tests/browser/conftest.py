"""A real page server, a real simulator and a real Chromium, each its own process or thread and ended by its fixture.

The server, Chromium and a first window serve a whole module: with a window of its own, of each test two thirds would be
Chromium making it and compiling the page. Each test has a market of its own, an empty storage, and no run.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from options_helper.model.portfolio import load_portfolio
from options_helper.settings import ENV_PREFIXES
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.ports import free_port
from tests.kit.waiting import A_PROCESS, wait_until

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "portfolio.json"
KEY, SECRET = "demo-key", "demo-secret"
BLANK = "about:blank"
# Streamlit looks for itself below the page's own address first, and is content when it is not there.
HARMLESS = ("/Live_Portfolio/_stcore/", "/Order_Book/_stcore/")


class Server:
    """The page's server process."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        self._log = (folder / "server.log").open("wb")
        script = ROOT / "apps" / "streamlit" / "streamlit_app.py"
        command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self._log, stderr=subprocess.STDOUT
        )

    @property
    def log(self) -> str:
        """What it wrote."""
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")

    def answers(self) -> bool:
        """Whether it serves."""
        assert self._process.poll() is None, f"the page's server ended: {self.log}"
        try:
            with urllib.request.urlopen(f"{self.base}/_stcore/health", timeout=1) as answer:  # noqa: S310 - our own
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped where it is, as by a suspended computer: its connections stay and nothing comes over them."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            # Ended meanwhile or not, it is to hear that.
            self._process.send_signal(signal.SIGCONT)

    def end(self) -> int:
        """Ask it to end; its exit code. A thread that was left running would keep it from ending in time."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=A_PROCESS)
        finally:
            self._process.kill()
            self._process.wait()
            self._log.close()


class Tab:
    """One tab, and what a trader can read in it."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def text(self, selector: str) -> str:
        """The text of the first match, or nothing while there is none."""
        found = self.page.locator(selector)
        return str(found.first.inner_text()) if found.count() else ""

    @property
    def state(self) -> str:
        """The word that stands first."""
        found = self.page.locator("[data-state]")
        return str(found.first.get_attribute("data-state")) if found.count() else ""

    def tile(self, name: str) -> str:
        """What the tile of this name says."""
        return self.text(f'[data-tile="{name}"]')

    def column(self, table: str, heading: str) -> list[str]:
        """The cells under a heading, as far as they are drawn."""
        grid = self.page.locator(f".st-key-{table} table[role=grid]")
        if not grid.count():
            return []
        headings = [text.strip() for text in grid.locator("th").all_inner_texts()]
        if heading not in headings:
            return []
        index = headings.index(heading)
        rows = grid.locator("tbody tr").all()
        return [row.locator("td").nth(index).inner_text() for row in rows]

    @property
    def address(self) -> str:
        """What the address line says now; Playwright's own `url` waits to be told."""
        return str(self.page.evaluate("location.href"))

    def row(self, key: str) -> Any:
        """One row of the table of all that is held."""
        return self.page.locator(f'[data-board] tr[data-key="{key}"]')

    @property
    def rows(self) -> list[str]:
        """The names of the rows that are seen, without the last."""
        return list(self.page.locator("[data-board] tbody .name").all_inner_texts())

    def board(self, heading: str) -> list[str]:
        """What the rows say under a heading, as far as it is to be seen."""
        cells = self.page.locator(f'[data-board] td[data-heading="{heading}"]')
        return [text for text in cells.all_inner_texts() if text]

    def sort_by(self, heading: str) -> None:
        """Press a heading of the table."""
        self.heading(heading).click()

    def heading(self, words: str) -> Any:
        """The heading of a column of the table."""
        return self.page.locator(f'[data-board] thead button[data-heading="{words}"]')

    def press(self, name: str) -> None:
        """Press a button of the page's body."""
        # Behind another tab of its window it may be without frames, and Playwright waits for two.
        self.page.bring_to_front()
        self.page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True).first.click()

    def open_sidebar(self) -> None:
        """Open the sidebar, and wait until it has slid in: Playwright scrolls what is still on its way."""
        self.page.get_by_test_id("stExpandSidebarButton").click()
        sidebar = self.page.get_by_test_id("stSidebar")
        wait_until(lambda: sidebar.bounding_box()["x"] == 0, timeout=A_PROCESS, saw=sidebar.bounding_box)

    def close_sidebar(self) -> None:
        """Give its room back to the page."""
        self.page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()

    def pick(self, label: str, option: str) -> None:
        """Choose an option in the list of a box of several.

        An open list closes by design where anything around it scrolls, be it because Playwright brings into view what
        it is to press; a person would press again, and so does this, until the box has what was chosen.
        """
        box = self.page.get_by_role("combobox", name=label)
        listed = self.page.get_by_role("option", name=option, exact=True)
        chosen = self.page.get_by_test_id("stMultiSelect").filter(has=box).locator("[data-tag]")

        def is_chosen() -> bool:
            if option in chosen.all_inner_texts():
                return True
            if box.get_attribute("aria-expanded") == "true":
                press_if_there(listed)
            else:
                box.click()
            return False

        wait_until(is_chosen, timeout=A_PROCESS, every=0.1, saw=chosen.all_inner_texts)
        if box.get_attribute("aria-expanded") == "true":
            self.page.keyboard.press("Escape")

    def open_details(self) -> None:
        """Open what is behind Details; it stays open over refreshes."""
        if not self.page.locator(".st-key-details").count():
            self.press("Details")
            self.page.locator(".st-key-details .oh").first.wait_for()

    def open_tab(self, name: str) -> None:
        """Bring a tab beside the chart to the front."""
        self.page.get_by_role("tab", name=name).click()

    def stop(self) -> None:
        """End the run, if there is one, also where the page is just being reloaded."""
        button = self.page.get_by_test_id("stMain").get_by_role("button", name="Stop", disabled=False)
        wait_until(
            lambda: self.is_over or button.count(), timeout=A_PROCESS, saw=lambda: self.text(".oh-bar")
        )
        if not self.is_over:
            self.press("Stop")
            wait_until(lambda: self.is_over, timeout=A_PROCESS, saw=lambda: self.text(".oh-bar"))

    @property
    def is_over(self) -> bool:
        """Whether no run is on, as the page says."""
        return self.state in ("not started", "stopped")


def press_if_there(element: Any) -> None:
    """Press it, unless it goes meanwhile."""
    from playwright.sync_api import Error

    with suppress(Error):
        element.click(timeout=5_000)


class Chromium:
    """A Chromium that runs, and the window that the tests of a module look into one after the other."""

    def __init__(self, launched: Any) -> None:
        self.launched = launched
        self._page: Any = None

    def new_page(self, width: int, height: int, **context: Any) -> Any:
        """A page in a window of its own."""
        options = {"timezone_id": "America/New_York", "color_scheme": "dark", **context}
        page = self.launched.new_context(viewport={"width": width, "height": height}, **options).new_page()
        page.set_default_timeout(1_000 * A_PROCESS)
        return page

    def kept_page(self, width: int, height: int) -> Any:
        """The page of the window that is kept."""
        if self._page is None or self._page.is_closed():
            self._page = self.new_page(width, height)
        self._page.set_viewport_size({"width": width, "height": height})
        return self._page

    def empty(self) -> None:
        """Close every window but that one, which has no memory of what it showed."""
        kept = None if self._page is None or self._page.is_closed() else self._page
        for window in self.launched.contexts:
            if kept is None or window != kept.context:
                window.close()
        if kept is not None:
            for page in kept.context.pages:
                if page != kept:
                    page.close()
            kept.context.clear_cookies()
            if kept.url != BLANK:
                kept.evaluate("localStorage.clear(); sessionStorage.clear()")
                kept.goto(BLANK)

    def close_windows(self) -> None:
        """Close every window."""
        for window in self.launched.contexts:
            window.close()


class Browser:
    """Chromium, and everything it should not have done."""

    def __init__(self, chromium: Chromium, server: Server) -> None:
        self._chromium = chromium
        self._server = server
        self.complaints: list[str] = []
        self._tabs: list[Tab] = []

    def open(
        self,
        width: int = 1440,
        height: int = 900,
        wishes: str = "",
        page_name: str = "Live_Portfolio",
        *,
        fresh: bool = False,
        prepare: Callable[[Any], None] | None = None,
        **context: Any,
    ) -> Tab:
        """Open a page; `wishes` as an address has them: `hide=true`.

        It has a window of its own where it is not the test's first, and where the test wants a `fresh` one or must
        `prepare` its page before anything is loaded: what it leaves there no page can take back. The server remembers
        whose book was looked at last, so every tab says whose it wants.
        """
        if fresh or prepare or context or self._tabs:
            page = self._chromium.new_page(width, height, **context)
        else:
            page = self._chromium.kept_page(width, height)
        if prepare is not None:
            prepare(page)
        tab = Tab(page)
        self._tabs.append(tab)
        for event, noted in self._noted.items():
            page.on(event, noted)
        asked = wishes if "book=" in wishes else f"book=file&{wishes}"
        page.goto(f"{self._server.base}/{page_name}?{asked}")
        wait_until(
            lambda: tab.state,
            # The first one that opens it has its server import what it draws with.
            timeout=A_PROCESS,
            saw=lambda: (page.inner_text("body")[:500], self._server.log[-2_000:]),
        )
        return tab

    def empty_page(self) -> Any:
        """A page that shows nothing, for scripts that need no server."""
        return self._chromium.kept_page(1440, 900)

    def forget(self) -> None:
        """Leave nothing for the end to do: there is no server any more."""
        self._chromium.close_windows()
        self._tabs.clear()
        self.complaints.clear()

    def leave(self) -> None:
        """End the run and leave the windows, so that the next test finds nothing of this one."""
        try:
            for tab in self._tabs[:1]:
                tab.stop()
            for tab in self._tabs:
                for event, noted in self._noted.items():
                    tab.page.remove_listener(event, noted)
            self._chromium.empty()
        except BaseException:
            self._chromium.close_windows()
            raise

    @property
    def _noted(self) -> dict[str, Callable[[Any], None]]:
        return {"request": self._note_request, "console": self._note_console, "pageerror": self._note_error}

    def _note_error(self, error: Any) -> None:
        self.complaints.append(f"error: {error}")

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self._server.base, "data:", "blob:")):
            self.complaints.append(f"request to {request.url}")

    def _note_console(self, message: Any) -> None:
        if message.type == "error" and not any(one in message.location["url"] for one in HARMLESS):
            self.complaints.append(f"console: {message.text} ({message.location['url']})")


@pytest.fixture(scope="module")
def market_port() -> int:
    """Where every market of the module is found, one after the other."""
    return free_port()


@pytest.fixture
def market(market_port: int) -> Iterator[SimulatorServer]:
    """A market for the sample portfolio that moves at once."""
    market = SeededMarket(load_portfolio(SAMPLE))
    with SimulatorServer(market, port=market_port, key=KEY, secret=SECRET) as server:
        yield server


@contextmanager
def page_server(market_port: int, folder: Path, **variables: str) -> Iterator[Server]:
    """The page, told to find the simulator in place of Alpaca; it must end cleanly when asked to.

    `variables` stand in its environment besides.
    """
    shutil.copy(SAMPLE, folder / "portfolio.json")
    foreign = {
        name: value for name, value in os.environ.items() if not name.startswith((*ENV_PREFIXES, "OH_"))
    }
    environment = {
        **foreign,
        "XDG_STATE_HOME": str(folder / "state"),
        "APCA_API_KEY_ID": KEY,
        "APCA_API_SECRET_KEY": SECRET,
        "APCA_API_BASE_URL": f"http://127.0.0.1:{market_port}",
        "OH_ALPACA_DATA_URL": f"http://127.0.0.1:{market_port}",
        "OH_ALPACA_STREAM_URL": f"ws://127.0.0.1:{market_port}",
        **variables,
    }
    server = Server(folder, environment)
    try:
        wait_until(server.answers, timeout=A_PROCESS, every=0.1, saw=lambda: server.log)
        yield server
    finally:
        code = server.end()
    assert code == 0, server.log
    assert SECRET not in server.log


@pytest.fixture(scope="module")
def server(market_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page's server for a whole module."""
    with page_server(market_port, tmp_path_factory.mktemp("page")) as server:
        yield server


@pytest.fixture
def server_of_its_own(market_port: int, tmp_path: Path) -> Iterator[Server]:
    """A page's server that a test may end."""
    with page_server(market_port, tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def running_chromium(chromium: str) -> Iterator[Chromium]:
    """Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium, args=quiet)
        yield Chromium(launched)
        launched.close()


@pytest.fixture
def lonely_browser(
    running_chromium: Chromium, server_of_its_own: Server, market: SimulatorServer
) -> Iterator[Browser]:
    """A browser whose server may end while it looks, of which it complains in vain."""
    browser = Browser(running_chromium, server_of_its_own)
    yield browser
    browser.forget()


@pytest.fixture
def browser(running_chromium: Chromium, server: Server, market: SimulatorServer) -> Iterator[Browser]:
    """A browser that reports every request to the outside and every error."""
    browser = Browser(running_chromium, server)
    yield browser
    browser.leave()
    assert browser.complaints == []
