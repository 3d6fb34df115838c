"""Two strangers vouch for our two halves of Breeze: ICICI's own client for the fake, python-socketio for our client."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from options_helper.data.streaming.breeze.source import BreezeSource
from options_helper.model.snapshot import Phase
from options_helper.simulator.breeze.server import BreezeServer
from options_helper.simulator.breeze.wire import Level, depth, quotes
from tests.kit.breeze import (
    BSE_RELIANCE,
    CALL,
    INDIAN_NOON,
    PATIENT,
    RELIANCE,
    TCS,
    config_for,
    settings_of,
    watched,
)
from tests.kit.waiting import A_PROCESS, wait_until

pytestmark = pytest.mark.processes
HERE = Path(__file__).parent
SECONDS = INDIAN_NOON // 10**9


class Stranger:
    """A process that says a line for each thing, and is told by lines."""

    def __init__(self, script: str, folder: Path, *arguments: str) -> None:
        # Its lines and its complaints; appended by one thread each, read by the test.
        self.said: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._complain, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.said.append(json.loads(line))

    def _complain(self) -> None:
        self.complaints.extend(self._process.stderr or ())

    def heard(self, key: str) -> list[Any]:
        return [line[key] for line in tuple(self.said) if key in line]

    def until(self, key: str, count: int = 1) -> list[Any]:
        wait_until(
            lambda: len(self.heard(key)) >= count,
            A_PROCESS,
            saw=lambda: (self.said, "".join(self.complaints)[-2_000:]),
        )
        return self.heard(key)

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def server() -> Iterator[BreezeServer]:
    with BreezeServer(now_ns=lambda: INDIAN_NOON) as made:
        yield made


def installed(package: str, module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{package} is not installed; it comes with the dev extra: sh scripts/setup")


@pytest.fixture
def icici(server: BreezeServer, tmp_path: Path) -> Iterator[Stranger]:
    installed("breeze-connect", "breeze_connect")
    stranger = Stranger("icici_client.py", tmp_path, json.dumps(dict(server.variables)))
    yield stranger
    stranger.end()


def test_icicis_own_client_takes_the_fake_for_breeze(server: BreezeServer, icici: Stranger):
    """Session, list of instruments, signed question, join by name and by number, depth, quotes, leaving."""
    (entry,) = icici.until("entered")
    assert entry["user"] == "DEMOUSER"
    assert (entry["shares"]["TCS"], entry["shares"]["RELIND"]) == (TCS.token, RELIANCE.token)
    assert entry["contracts"]["OPT-NIFTY-29-Dec-2026-26000-CE"] == CALL.token
    (answer,) = icici.until("signed")
    assert (answer["Status"], answer["Success"][0]["ltp"]) == (200, RELIANCE.price)

    icici.until("joined", 3)
    wanted = {"4.1!2885", "4.2!2885", "4.2!11536", "1.2!500325", "4.2!51219"}
    wait_until(lambda: server.joined == wanted, saw=lambda: server.joined)

    level, beside = Level(1_540.0, 25, 3), Level(1_540.05, 30, 4)
    for listing in (TCS, BSE_RELIANCE, CALL):
        server.push(listing.number.format(kind=2), depth(listing, SECONDS, [level], [beside]))
    server.push("4.1!2885", quotes(RELIANCE, SECONDS, level, beside))
    ticks = {tick["symbol"]: tick for tick in icici.until("tick", 4)}

    for token in ("4.2!11536", "1.2!500325", "4.2!51219"):
        first = ticks[token]["depth"][0]
        assert (first["BestBuyRate-1"], first["BestBuyQty-1"]) == (1_540.0, 25)
        assert (first["BestSellRate-1"], first["BestSellQty-1"]) == (1_540.05, 30)
        assert len(ticks[token]["depth"]) == 5
    quote = ticks["4.1!2885"]
    assert (quote["bPrice"], quote["bQty"], quote["sPrice"], quote["sQty"]) == (1_540.0, 25, 1_540.05, 30)
    assert quote["exchange"] == "NSE Equity"

    icici.tell("leave")
    icici.until("left")
    wait_until(lambda: server.joined == {"4.2!11536", "1.2!500325", "4.2!51219"}, saw=lambda: server.joined)


@pytest.fixture
def socketio(tmp_path: Path) -> Iterator[Stranger]:
    installed("python-socketio", "socketio")
    installed("uvicorn", "uvicorn")
    stranger = Stranger("socketio_server.py", tmp_path, "DEMOUSER", "ZGVtbw")
    yield stranger
    stranger.end()


def test_our_client_takes_python_socketios_server_for_breeze(server: BreezeServer, socketio: Stranger):
    """In order, through its pings, a dismissal and a change of symbols; HTTP is the fake's."""
    (port,) = socketio.until("port")
    source = BreezeSource(lambda: settings_of(server, BREEZE_STREAM_URL=f"ws://127.0.0.1:{port}"), PATIENT)
    with watched(server, config_for("NSE:RELIANCE"), source=source) as watch:
        assert socketio.until("joined") == [["4.2!2885"]]
        socketio.tell("tick 300 4.2!2885")
        wait_until(lambda: watch.health.received == 300 and not watch.health.queued, saw=lambda: watch.health)
        book = watch.manager.snapshot().books["NSE:RELIANCE"]
        assert book.best_bid is not None
        assert (book.best_bid.price, watch.health.applied) == (300.0, 300)

        watch.manager.start(config_for("NSE:TCS"))
        assert socketio.until("left") == [["4.2!2885"]]
        socketio.until("joined", 2)
        socketio.tell("dismiss")
        wait_until(lambda: watch.health.connections == 2, saw=lambda: watch.health)
        assert socketio.until("joined", 3)[2] == ["4.2!11536"]
        socketio.tell("tick 1 4.2!11536")
        wait_until(lambda: watch.health.acknowledged == ("NSE:TCS",), saw=lambda: watch.health)
        assert watch.health.accounted

    assert "Breeze ended it" in watch.health.gaps[0].reason


def test_python_socketios_refusal_is_a_failure_with_the_remedy(server: BreezeServer, tmp_path: Path):
    installed("python-socketio", "socketio")
    stranger = Stranger("socketio_server.py", tmp_path, "SOMEBODY", "else")
    try:
        (port,) = stranger.until("port")
        source = BreezeSource(
            lambda: settings_of(server, BREEZE_STREAM_URL=f"ws://127.0.0.1:{port}"), PATIENT
        )
        with watched(server, config_for("NSE:RELIANCE"), source=source) as watch:
            wait_until(lambda: watch.health.phase is Phase.FAILED, saw=lambda: watch.health)
            assert "Authentication failed" in (watch.health.last_error or "")
            assert "Log in at" in (watch.health.last_error or "")
    finally:
        stranger.end()
