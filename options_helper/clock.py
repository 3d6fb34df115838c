"""The wall clock, which is read here and nowhere else: a shell takes its instants from here and passes them on.

What is computed gets its instants as arguments, so that it can be tested for any day and shows a played session as of
its own. How long something takes is `time.monotonic`'s business; whether this process ran at all, `elapsed_seconds`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Final

# The function itself and no wrapper: it is called for every frame that a socket brings.
utc_now_ns: Final[Callable[[], int]] = time.time_ns


# Seconds that nobody sets and that go on while the computer sleeps, which Linux tells by a clock of its own; elsewhere
# the system's monotonic clock does, as macOS and Windows document it.
_SLEEPLESS: Final = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)
elapsed_seconds: Final[Callable[[], float]] = (
    time.monotonic if _SLEEPLESS is None else partial(time.clock_gettime, _SLEEPLESS)
)


@cache
def boot_name() -> str:
    """Which start of the computer `elapsed_seconds` counts from; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def utc_now() -> datetime:
    """The time of this computer, in UTC."""
    return datetime.now(UTC)
