"""An expiry Friday at speed on the page: what needs a hand, the cockpit, the morning after, and what the phone gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.streamlit.components.live_expiry import EXPIRY_STYLE, expiry_panels
from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.analysis.risk.book_values import SpotSource
from options_helper.model.instants import utc_datetime
from options_helper.simulator.server import SimulatorServer
from tests.browser.conftest import KEY, SECRET, Browser, Server, page_server
from tests.kit.notified import FakeNtfy, fake_ntfy
from tests.kit.waiting import A_PROCESS, wait_until
from tests.portal.scenes import with_account
from tests.portal.test_attention import screen_of
from tests.wire.test_expiry_at_speed import ACTS, BOOK, EXPECTED, RULES, friday_market

pytestmark = pytest.mark.timeout(300)

COCKPIT, ENDED = '[aria-label="Expiry cockpit"]', '[aria-label="What ended"]'


@pytest.fixture
def market(market_port: int) -> Iterator[SimulatorServer]:
    """The Friday, which stands at 15:00 until the page listens."""
    with SimulatorServer(friday_market(), port=market_port, key=KEY, secret=SECRET) as server:
        yield server


@pytest.fixture
def phone() -> Iterator[FakeNtfy]:
    """What the page's messages arrive at."""
    with fake_ntfy() as ntfy:
        yield ntfy


@pytest.fixture
def server_of_its_own(market_port: int, tmp_path: Path, phone: FakeNtfy) -> Iterator[Server]:
    """A page's server with that book, these rules and that phone."""
    rules = tmp_path / "alerts.toml"
    rules.write_text(RULES, encoding="utf-8")
    variables = {
        "OH_ALPACA_REST_PER_MINUTE": "10000",
        "OH_ALPACA_MARKET_TIME": ACTS[0][0].isoformat(),
        "OH_ALERT_RULES": str(rules),
        "OH_ALERT_TARGET_PHONE": phone.url,
    }
    with page_server(market_port, tmp_path, **variables) as server:
        (tmp_path / "portfolio.json").write_text(portfolio_text(BOOK), encoding="utf-8")
        yield server


def states(tab: Any, panel: str) -> list[str]:
    """What each row of a panel says that it stands at."""
    return [str(one.get_attribute("data-state")) for one in tab.page.locator(f"{panel} td[data-state]").all()]


def test_a_friday_is_told_on_the_page_and_to_the_phone(
    lonely_browser: Browser, market: SimulatorServer, phone: FakeNtfy
):
    tab = lonely_browser.open()
    tab.press("Start")

    def see(holds: Any) -> None:
        wait_until(
            holds,
            A_PROCESS,
            every=0.2,
            saw=lambda: (utc_datetime(market.now_ns), tab.page.inner_text("body")[:3_000]),
        )

    see(lambda: "itm" in states(tab, COCKPIT))
    see(lambda: "may end on either side" in tab.page.inner_text("body"))
    see(lambda: "pin" in states(tab, COCKPIT))
    # Alpaca's paper account tells on the next day what became of them.
    see(lambda: states(tab, ENDED).count("awaited") >= 3)
    see(lambda: market.finished)
    see(lambda: not {"awaited", "unexplained"} & set(states(tab, ENDED)))
    assert sorted(phone.titles) == sorted(EXPECTED)


def with_words_in_place_of_numbers() -> str:
    """A cockpit whose cells say the longest that they can say."""
    screen = screen_of(with_account())
    (line, *_) = screen.attention.cockpit
    long = replace(line, label="1 leg of a-structure-with-a-long-name", spot_source=SpotSource.OPTIONS)
    lines = (
        replace(long, to_strike=3.23, time_value=-0.01),
        replace(long, to_strike=-12_345.67, time_value=None, no_time_value="quoted after its session"),
        replace(long, to_strike=None, time_value=None, no_time_value="", is_structure=True),
        line,
    )
    return expiry_panels(replace(screen, attention=replace(screen.attention, cockpit=lines)))


# Which words of the cockpit reach over its edge, or over the next cell.
BEYOND = """html => {
    document.querySelector(".oh-tiles").outerHTML = html;
    const panel = document.querySelector(".oh-cockpit");
    return [...panel.querySelectorAll("th, td, p")].filter(cell => {
        const text = document.createRange();
        text.selectNodeContents(cell);
        return text.getBoundingClientRect().right > cell.getBoundingClientRect().right + 0.5;
    }).map(cell => cell.textContent).concat(panel.scrollWidth > panel.clientWidth ? ["the panel"] : []);
}"""


def test_no_words_of_the_cockpit_are_cut_off_on_a_phone_and_no_button_lies_on_them(browser: Browser):
    tab = browser.open(width=390, height=844, has_touch=True, is_mobile=True)
    wait_until(lambda: tab.page.locator(".oh-tile").count() == 8, A_PROCESS)

    assert tab.page.evaluate(BEYOND, EXPIRY_STYLE + with_words_in_place_of_numbers()) == []
    # What is scrolled is under the strip with Streamlit's buttons, which is opaque.
    colour = "getComputedStyle(document.querySelector('.stAppHeader')).backgroundColor"
    assert tab.page.evaluate(colour).startswith("rgb(")
