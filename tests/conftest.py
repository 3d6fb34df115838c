"""What every test stands on: no stray threads, no real credentials, and the way to recorded data and a browser."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from options_helper.settings import ENV_PREFIXES
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[1]
OWNED_THREADS = ("live-", "simulator")


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Fail a test that ends while a thread it started still runs."""
    before = set(threading.enumerate())
    yield
    wait_until(lambda: not _owned_threads(before), timeout=2, saw=lambda: _owned_threads(before))


def _owned_threads(before: set[threading.Thread]) -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread not in before and thread.name.startswith(OWNED_THREADS)
    ]


@pytest.fixture(autouse=True)
def no_real_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the developer's own keys, so that no test can reach an account."""
    for name in os.environ:
        if name.startswith((*ENV_PREFIXES, "OH_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr("options_helper.settings.DEFAULT_ENV_FILE", tmp_path / "no-alpaca.env")


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
