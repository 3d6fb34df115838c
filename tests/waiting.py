"""Waiting for a fact with a deadline, for tests that watch other threads at work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    timeout: float = 5.0,
    *,
    saw: Callable[[], object] | None = None,
    every: float = 0.01,
) -> T:
    """Poll until `condition` holds and return what it returned; at the deadline fail, printing what was last seen.

    `saw` says what to print when the condition's own value (often just False) would not tell.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            seen = value if saw is None else saw()
            pytest.fail(f"waited {timeout:g} s in vain; last saw: {seen!r}")
        time.sleep(every)
    return value
