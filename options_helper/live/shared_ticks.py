"""Hear the streams once a tick for all who look, and make everything of it once for those who look alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from options_helper.model.snapshot import LiveSnapshot

# However slowly a viewer's page is refreshed, what it takes over from another's was heard so recently.
LONGEST_SECONDS: Final = 1.0
KEPT_AT_MOST: Final = 64

Value = TypeVar("Value")


class _Place:
    """Where one value comes to stand."""

    def __init__(self, key: object) -> None:
        self.key = key
        # Held while the value is made, so that who wants the same waits for it; it may ask for others of its kind.
        self.lock = threading.RLock()
        self.made: tuple[Any, ...] = ()


class Once:
    """Values by key, each made by the first who asks; keys need only be equal. Callable from any thread."""

    def __init__(self) -> None:
        # Guards the list and is never held while a value is made.
        self._lock = threading.Lock()
        self._places: list[_Place] = []

    def get(self, key: object, make: Callable[[], Value]) -> Value:
        """The value of this key; where `make` raises, the next who asks tries again."""
        place = self._place(key)
        with place.lock:
            if not place.made:
                place.made = (make(),)
            value: Value = place.made[0]
            return value

    def forget(self) -> tuple[Any, ...]:
        """Keep none of them any more, and say what they were; who asks again has it made again."""
        with self._lock:
            places, self._places = self._places, []
        return tuple(value for place in places for value in place.made)

    def _place(self, key: object) -> _Place:
        with self._lock:
            found = next((one for one in self._places if one.key == key), None)
            if found is None:
                found = _Place(key)
                self._places = [*self._places, found][-KEPT_AT_MOST:]
            return found


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """What was known at one instant, by this computer's clock, and what was made of it."""

    at: datetime
    run: object
    snapshot: LiveSnapshot | None  # None before the first run
    screens: Once = field(default_factory=Once)  # of `ScreenModel`
    shown_to: set[str] = field(default_factory=set)

    def is_of(self, run: object, now: datetime, longest_seconds: float) -> bool:
        """Whether it is of this run, and not from after `now`, nor so long before."""
        return self.run is run and 0 <= (now - self.at).total_seconds() <= longest_seconds

    def forget(self) -> None:
        """Let go of what was made of it. Screens keep what is made of them, and that names them: a ring."""
        for screen in self.screens.forget():
            screen.forget()


class SharedTicks:
    """Keeps the newest tick; callable from any thread."""

    def __init__(self) -> None:
        # Held while the streams are heard, so that those who come together share what they hear.
        self._lock = threading.Lock()
        self._newest: Tick | None = None
        # Somebody may still draw it.
        self._before: Tick | None = None

    def take(
        self,
        viewer: str,
        now: datetime,
        *,
        run: object,
        hear: Callable[[], LiveSnapshot | None],
        longest_seconds: float,
        again_seconds: float | None = None,
    ) -> Tick:
        """The newest tick if it is of this run and at most so old, and at most a second; else one that begins now.

        A viewer never gets the same tick twice, because a refresh shows what is new; unless it wants again what it
        saw at most `again_seconds` ago.
        """
        with self._lock:
            tick = self._newest
            seen = tick is not None and viewer in tick.shown_to
            oldest = again_seconds if seen else min(longest_seconds, LONGEST_SECONDS)
            if tick is None or oldest is None or not tick.is_of(run, now, oldest):
                tick = Tick(now, run, hear())
                self._end()
                self._newest = tick
            tick.shown_to.add(viewer)
            return tick

    def end(self) -> None:
        """Whoever looks next begins a tick: something is no more as the newest has it."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._newest is None:
            return
        if self._before is not None:
            self._before.forget()
        self._before, self._newest = self._newest, None

    def recent(self, now: datetime, *, run: object, longest_seconds: float) -> LiveSnapshot | None:
        """What viewers of this run look at now; None where none has looked for so long."""
        tick = self._newest  # replaced whole
        return tick.snapshot if tick is not None and tick.is_of(run, now, longest_seconds) else None
