"""When what no stream tells is asked for, in seconds of the market."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# However fast a session is played, a server on this computer is not asked without end.
FASTEST_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """When to ask, in seconds."""

    initial_delay: float = 3.0  # for a stream to connect: a simulator's tells then which market it is
    poll: float = 60.0
    again: float = 30.0  # after a failure
    debounce: float = (
        2.5  # after a fill, which seldom comes alone, and which positions may have a moment later
    )
    expiries: float = 600.0  # contracts that end or did, and what became of them
    books: float = 300.0  # order books, to compare with the streamed ones
    chains: float = 15.0  # options around the money, while they are traded
    closed: float = 300.0  # the same while they are not
    doubt: float = 300.0  # two questions about the market's hours, when a stream is silent that should not be
    minimum_interval: float = 10.0  # two readings of the account that fills asked for
    race_window: float = 2.0  # by so much an answer and an order update may overtake each other
    stop_timeout: float = 0.2


def paced(seconds: float, speed: float) -> float:
    """How long so many seconds of the market last: in a session that is played fast, so many times shorter.

    What is asked each minute is asked each minute of that session, though not more than once in
    `FASTEST_SECONDS`; else what happens there over REST would be heard hours of the session late.
    """
    return seconds if speed <= 1 else max(min(seconds, FASTEST_SECONDS), seconds / speed)
