"""What every test of the bus stands on."""

from __future__ import annotations

import asyncio
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def nothing_left_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which an event loop is closed while something waits on it.

    It would never end, and the collector would complain of it in the midst of a test that has no part in it.
    """
    left: list[str] = []
    close = BaseSelectorEventLoop.close

    def look_and_close(loop: Any) -> None:
        left.extend(repr(task) for task in asyncio.all_tasks(loop))
        close(loop)

    monkeypatch.setattr(BaseSelectorEventLoop, "close", look_and_close)
    yield
    assert left == [], "an event loop was closed while something waited on it"
