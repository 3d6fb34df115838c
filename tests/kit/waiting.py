"""Waiting for a fact with a deadline, for tests that watch other threads at work.

No test measures how fast the machine is. What must not be waited for lasts `FOREVER` in a test, and what is due at once
has until `AT_ONCE`: a machine too busy to do it by then is broken, and one that waits in vain is told from it.
`A_PROCESS` of its own has more to load and to do until it begins, or until it ends by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import pytest

T = TypeVar("T")

AT_ONCE: Final = 20.0  # seconds
A_PROCESS: Final = 60.0  # seconds
FOREVER: Final = 360.0  # seconds; twice what pytest gives a whole test


def wait_until(
    condition: Callable[[], T],
    timeout: float = AT_ONCE,
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


@contextmanager
def at_once() -> Iterator[None]:
    """Fail where the block lasted so long that it must have waited for what it should not wait for."""
    began = time.monotonic()
    yield
    lasted = time.monotonic() - began
    assert lasted < AT_ONCE, f"it took {lasted:.1f} s"


def until_no_thread(prefix: str) -> None:
    """Wait until every thread whose name begins so has ended."""
    wait_until(lambda: not threads(prefix), saw=lambda: threads(prefix))


def threads(prefix: str) -> list[str]:
    """The names of the living threads that begin so, in order."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith(prefix))
