"""Every example of the page *As a library* runs as it stands there, against the simulator."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.fakes import trade_message
from tests.kit.waiting import until_no_thread
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_engine import NOON, STOCKS, quote

PAGE = Path(__file__).resolve().parents[2] / "docs" / "AS_A_LIBRARY.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    """A market in which AAPL and MSFT move a hundred times a second."""
    over = threading.Event()
    with SimulatorServer(SilentMarket(start_ns=NOON)) as server:

        def move() -> None:
            while not over.wait(0.01):
                for symbol in ("AAPL", "MSFT"):
                    server.push(STOCKS, [quote(symbol), trade_message(symbol, at_ns=NOON)])

        moving = threading.Thread(target=move)
        moving.start()
        yield server
        over.set()
        moving.join()


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs_as_it_stands_on_the_page(
    server: SimulatorServer, number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for name, value in {
        "APCA_API_KEY_ID": DEMO_KEY,
        "APCA_API_SECRET_KEY": DEMO_SECRET,
        "APCA_API_BASE_URL": server.rest_url,
        "OH_ALPACA_STREAM_URL": server.stream_url,
        "OH_ALPACA_DATA_URL": server.rest_url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    exec(compile(EXAMPLES[number], f"{PAGE.name}, example {number + 1}", "exec"), {"__name__": "example"})  # noqa: S102

    until_no_thread("live-")


def test_the_page_has_examples_of_both_faces():
    assert len(EXAMPLES) >= 6
    assert any("MarketStream" in one for one in EXAMPLES)
