"""When to leave what comes next in the system's buffer for a moment: to be woken costs more than to read a quote.

Knows no clock and waits for nothing: it is told when something was read, and says how long to pause.
"""

from __future__ import annotations

from typing import Final

# Measured at 2,000 and 5,000 single quotes a second: half of it spares a third less of what waking costs.
PAUSE_SECONDS: Final = 0.01
# What came alone is read at once; only where one follows another so soon is a third to be expected.
FOLLOWS_SECONDS: Final = 0.02
# After so much at one time nothing is gained by pausing, and the sender would find its way blocked.
FULL_READ_BYTES: Final = 64 * 1024


class ReadingPause:
    """Follows one connection's reads."""

    def __init__(self) -> None:
        self._last_read = float("-inf")

    def after(self, read_at: float, size: int) -> float:
        """How many seconds to pause after so many bytes were read at this moment of a monotonic clock; 0.0: not."""
        follows = read_at - self._last_read < FOLLOWS_SECONDS
        self._last_read = read_at
        return PAUSE_SECONDS if follows and size < FULL_READ_BYTES else 0.0
