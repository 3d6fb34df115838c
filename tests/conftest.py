"""What every test stands on: no stray threads, no real credentials, and the way to recorded data and a browser."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from options_helper.settings import ENV_PREFIXES

REPOSITORY = Path(__file__).resolve().parents[1]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OWNED_THREADS = ("live-", "simulator")

# How fast a shared machine draws examples says nothing about the code.
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Fail a test that ends while a thread it started still runs."""
    before = set(threading.enumerate())
    yield
    started = [thread for thread in threading.enumerate() if thread not in before]
    owned = [thread for thread in started if thread.name.startswith(OWNED_THREADS)]
    for thread in owned:
        thread.join(timeout=2)
    left = [thread.name for thread in owned if thread.is_alive()]
    assert not left, f"the test left threads running: {', '.join(left)}"


@pytest.fixture(autouse=True)
def no_real_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the developer's own keys, so that no test can reach an account."""
    for name in os.environ:
        if name.startswith((*ENV_PREFIXES, "OH_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr("options_helper.settings.DEFAULT_ENV_FILE", tmp_path / "no-alpaca.env")


@pytest.fixture(autouse=True)
def no_other_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test's own process connect to this computer only."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            assert address[0] in LOOPBACK, f"a test wanted to connect to {address[0]}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(autouse=True)
def state_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the heartbeat of a test's dashboard out of the developer's own state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of recorded market data, which lies beside the repository and is never copied into it."""
    folder = REPOSITORY.parent / "shared" / "data" / "real"
    if not folder.is_dir():
        pytest.skip("the recorded market data is not beside this checkout (../shared/data/real)")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium to drive."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium is installed; on Debian or Ubuntu: apt-get install chromium")
