"""News that somebody made up: each article says so, follows from a seed, and is now and then corrected."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

from options_helper.model.instants import NANOSECONDS, timestamp_extension
from options_helper.simulator.faults import Message

SOURCE: Final = "simulator (invented)"
AUTHOR: Final = "A. Simulator"
# Before the market's start, so that who comes first finds some.
EARLIER: Final = 3
SECONDS_BEFORE: Final = 1_800
SECONDS_BETWEEN: Final = (20.0, 70.0)
CORRECTED_SHARE: Final = 0.25
SECONDS_UNTIL_CORRECTED: Final = 15
FIRST_ID: Final = 40_000_000

_EVENTS: Final = (
    "opened a second lemonade stand",
    "looked at a bakery",
    "changed the colour of a logo",
    "moved all meetings to Tuesdays",
    "named a new keeper of the archive",
    "found a missing umbrella",
)


class Newsroom:
    """Writes about these symbols from a market time on; `due` must be asked in time order."""

    def __init__(self, symbols: Sequence[str], seed: int, start_ns: int) -> None:
        self._symbols = tuple(symbols)
        self._dice = random.Random(f"{seed}:news")
        self._number = FIRST_ID + self._dice.randrange(1_000_000)
        self._planned: list[tuple[int, Message]] = []
        self._next_ns = start_ns + round(SECONDS_BETWEEN[0] * NANOSECONDS)
        for number in range(EARLIER if self._symbols else 0):
            made_ns = start_ns - (EARLIER - number) * SECONDS_BEFORE * NANOSECONDS
            self._planned.append((start_ns, self._article(made_ns)))

    def due(self, now_ns: int) -> Iterator[Message]:
        """What is published until then and was not told before, as the wire has it."""
        while self._symbols and self._next_ns <= now_ns:
            self._write()
        ready = sorted((one for one in self._planned if one[0] <= now_ns), key=lambda one: one[0])
        self._planned = [one for one in self._planned if one[0] > now_ns]
        yield from (message for _, message in ready)

    def _write(self) -> None:
        made_ns = self._next_ns
        self._next_ns += round(self._dice.uniform(*SECONDS_BETWEEN) * NANOSECONDS)
        article = self._article(made_ns)
        self._planned.append((made_ns, article))
        if self._dice.random() < CORRECTED_SHARE:
            corrected_ns = made_ns + SECONDS_UNTIL_CORRECTED * NANOSECONDS
            corrected = {
                **article,
                "headline": f"{article['headline']} (corrected)",
                "updated_at": timestamp_extension(corrected_ns),
            }
            self._planned.append((corrected_ns, corrected))

    def _article(self, made_ns: int) -> Message:
        """Some have a summary and an author, some have not: Alpaca leaves such fields empty."""
        self._number += self._dice.randint(1, 9)
        about = self._dice.sample(self._symbols, min(len(self._symbols), self._dice.choice((1, 1, 1, 2))))
        event = self._dice.choice(_EVENTS)
        has_summary = self._dice.random() < 0.7
        at = timestamp_extension(made_ns)
        return {
            "T": "n",
            "id": self._number,
            "headline": f"Invented: {' and '.join(about)} {event}",
            "summary": "Nothing of this happened; the simulator made it up." if has_summary else "",
            "author": AUTHOR if self._dice.random() < 0.8 else "",
            "created_at": at,
            "updated_at": at,
            "content": f"<p>Nothing of this happened: <b>{about[0]}</b> &amp; friends are at work as usual.</p>",
            "url": f"https://example.com/invented/{self._number}",
            "symbols": about,
            "source": SOURCE,
        }
