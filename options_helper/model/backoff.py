"""How long to pause before the next try."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# After 406 or HTTP 429 Alpaca may hold the dead session for about 90 s; quicker tries only prolong that.
SLOW_BASE_SECONDS: Final = 10.0


def compute_backoff_seconds(
    attempt: int, *, base_seconds: float, cap_seconds: float, random: Callable[[], float]
) -> float:
    """Pause before reconnect `attempt` (1, 2, …): doubling up to the cap, of which the second half is jitter.

    `random` returns a float in [0, 1). The result lies in [half, whole] of min(cap, base · 2^(attempt−1)).
    """
    whole = min(cap_seconds, base_seconds * 2.0 ** min(max(attempt, 1) - 1, 32))
    return whole / 2 + whole / 2 * random()
