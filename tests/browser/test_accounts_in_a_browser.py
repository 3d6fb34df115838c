"""Two accounts on one page: whose each row is, sums of both, and one of them alone, as the browser shows it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.bus.address import DESK_ACCOUNTS_VARIABLE, bus_environment
from options_helper.simulator.session import serve_market, simulated_market
from tests.browser.conftest import Browser, Server, Tab, page_server
from tests.kit.builders import holding, portfolio, position
from tests.kit.bus import nats_server
from tests.kit.ports import free_port
from tests.kit.programs import Program
from tests.kit.waiting import A_PROCESS, wait_until

pytestmark = pytest.mark.timeout(180)
# More than the simulated orders close in the time of a test.
HELD = {"main": (position(contracts=200), holding("MSFT", 20_000)), "ira": (position(contracts=-300),)}
MINE, THEIRS, SHARES = "180 C · 18 Dec 26 · main", "180 C · 18 Dec 26 · ira", "shares · main"
ALONE = "180 C · 18 Dec 26"


@pytest.fixture(scope="module")
def accounts_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A page's server beside a market with two accounts."""
    folder = tmp_path_factory.mktemp("accounts")
    files: dict[str, Path] = {}
    for name, entries in HELD.items():
        files[name] = folder / f"{name}.json"
        files[name].write_text(portfolio_text(portfolio(*entries)), encoding="utf-8")
    first = files.pop("main")
    port = free_port()
    with (
        serve_market(simulated_market(first, further=files), port=port, further=tuple(files)) as variables,
        page_server(port, folder, **variables) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def desk_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Program]]:
    """A page's server that follows an owner of both accounts over a bus, and has no keys; and that owner."""
    folder = tmp_path_factory.mktemp("desk")
    files: dict[str, Path] = {}
    for name, entries in HELD.items():
        files[name] = folder / f"{name}.json"
        files[name].write_text(portfolio_text(portfolio(*entries)), encoding="utf-8")
    first = files.pop("main")
    with (
        nats_server() as nats,
        serve_market(simulated_market(first, further=files), further=tuple(files)) as variables,
    ):
        environ = {**os.environ, **variables, "XDG_STATE_HOME": str(folder / "owner")}
        command = (
            "stream",
            "serve",
            "--bus",
            nats.url,
            "--together-with",
            "all",
            "--account",
            "--keep",
            "0.05",
        )
        owner = Program(*command, cwd=folder, env=environ)
        try:
            # As `ui --bus` is told by the owner; this process has an event loop already, which asking needs.
            led = {**bus_environment(nats.address), DESK_ACCOUNTS_VARIABLE: "main,ira"}
            nobodys = dict.fromkeys(("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"), "")
            with page_server(free_port(), folder, **nobodys, **led) as server:
                yield server, owner
        finally:
            owner.kill()
            owner.communicate()


@pytest.fixture
def desk_browser(running_chromium: Any, desk_server: tuple[Server, Program]) -> Iterator[Browser]:
    """A browser that looks at it."""
    browser = Browser(running_chromium, desk_server[0])
    yield browser
    browser.leave()
    assert browser.complaints == []


@pytest.fixture
def browser(running_chromium: Any, accounts_server: Server) -> Iterator[Browser]:
    """A browser that looks at it."""
    browser = Browser(running_chromium, accounts_server)
    yield browser
    browser.leave()
    assert browser.complaints == []


def see(condition, *, saw=None):
    return wait_until(condition, timeout=A_PROCESS, every=0.1, saw=saw)


def figures(tab: Tab, heading: str) -> dict[str, str]:
    """What the rows say under a heading, and the last one, which is called `book`; all of one refresh."""
    found: dict[str, str] = tab.page.locator("[data-board] tr[data-key]").evaluate_all(
        """(rows, heading) => Object.fromEntries(rows.map(row => [
            row.dataset.key === 'book' ? 'book' : row.querySelector('.name').innerText,
            row.querySelector(`td[data-heading="${heading}"]`)?.innerText ?? '',
        ]))""",
        heading,
    )
    return found


def amount(text: str) -> float:
    return float(text.translate(str.maketrans({"−": "-", "$": "", ",": "", "+": ""})))


def is_summed(tab: Tab, *names: str) -> bool:
    """Whether the last row's profit is that of these rows, and of no other; each is rounded to a dollar."""
    said = figures(tab, "P&L $")
    try:
        return abs(amount(said["book"]) - sum(amount(said[name]) for name in names)) < len(names)
    except (KeyError, ValueError):
        return False  # it has no figure yet


def choose(tab: Tab, account: str) -> None:
    """Press it above the tiles, and wait until the address has it or has left it."""
    before = tab.address
    tab.page.locator(".st-key-accounts-choice").get_by_text(account, exact=True).click()
    see(lambda: tab.address != before, saw=lambda: tab.address)


def test_two_accounts_are_two_rows_with_whose_they_are_their_sum_and_each_alone_where_it_is_chosen(browser):
    tab = browser.open(wishes="book=account")
    tab.open_sidebar()
    tab.pick("Together with", "ira")
    tab.close_sidebar()
    tab.press("Start")

    see(lambda: {MINE, THEIRS, SHARES} <= set(tab.rows), saw=lambda: (tab.rows, tab.text(".oh-bar")))
    whose = figures(tab, "Account")
    assert (whose[MINE], whose[THEIRS], whose[SHARES], whose["AAPL"]) == ("main", "ira", "main", "2 accounts")
    quantities = figures(tab, "Qty")
    assert amount(quantities[MINE]) > 0 > amount(quantities[THEIRS]), "nothing is netted"
    see(lambda: is_summed(tab, MINE, THEIRS, SHARES), saw=lambda: figures(tab, "P&L $"))

    choose(tab, "ira")
    see(lambda: tab.rows == ["AAPL", ALONE], saw=lambda: tab.rows)
    assert amount(figures(tab, "Qty")[ALONE]) < 0
    see(lambda: is_summed(tab, ALONE), saw=lambda: figures(tab, "P&L $"))
    tab.page.reload()
    see(lambda: tab.rows == ["AAPL", ALONE], saw=lambda: tab.rows)

    choose(tab, "ira")
    see(lambda: {MINE, THEIRS, SHARES} <= set(tab.rows), saw=lambda: tab.rows)
    see(lambda: is_summed(tab, MINE, THEIRS, SHARES), saw=lambda: figures(tab, "P&L $"))


def test_over_a_bus_two_accounts_of_one_owner_are_shown_as_its_own_page_would(desk_browser, desk_server):
    tab = desk_browser.open(wishes="book=account")
    tab.open_sidebar()
    tab.pick("Together with", "ira")
    tab.close_sidebar()
    tab.press("Start")

    see(lambda: {MINE, THEIRS, SHARES} <= set(tab.rows), saw=lambda: (tab.rows, tab.text(".oh-bar")))
    whose = figures(tab, "Account")
    assert (whose[MINE], whose[THEIRS], whose[SHARES], whose["AAPL"]) == ("main", "ira", "main", "2 accounts")
    quantities = figures(tab, "Qty")
    assert amount(quantities[MINE]) > 0 > amount(quantities[THEIRS]), "nothing is netted"
    see(lambda: is_summed(tab, MINE, THEIRS, SHARES), saw=lambda: figures(tab, "P&L $"))
    assert "all 2 accounts: main + ira" in tab.text(".oh-bar")

    choose(tab, "ira")
    see(lambda: tab.rows == ["AAPL", ALONE], saw=lambda: tab.rows)
    assert amount(figures(tab, "Qty")[ALONE]) < 0
    assert "1 of 2 accounts" in tab.text(".oh-bar")
    choose(tab, "ira")

    _, owner = desk_server
    owner.send_signal(signal.SIGTERM)
    owner.communicate(timeout=A_PROCESS)
    see(
        lambda: tab.state == "stopped" or "has ended in order" in tab.page.inner_text("body"),
        saw=lambda: tab.state,
    )
