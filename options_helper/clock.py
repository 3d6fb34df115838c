"""The wall clock, which is read here and nowhere else: a shell takes its instants from here and passes them on.

What is computed gets its instants as arguments, so that it can be tested for any day and shows a played session as of
its own. How long something takes is `time.monotonic`'s business.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

# The function itself and no wrapper: it is called for every frame that a socket brings.
utc_now_ns: Final[Callable[[], int]] = time.time_ns


def utc_now() -> datetime:
    """The time of this computer, in UTC."""
    return datetime.now(UTC)
