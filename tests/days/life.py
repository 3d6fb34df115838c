"""A process of a simulated day: its steps, and that it may be killed, stopped and go on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from tests.days.stage import Stage

SHORTEST_SECONDS: Final = 0.000_01


class Life:
    """Steps in the agenda; those of a former life are dropped, and those of one that is stopped wait."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.is_alive = self.is_frozen = False
        self._number = 0
        self._held_up: list[Callable[[], None]] = []

    def begin_life(self) -> None:
        """A new process."""
        self._number += 1
        self.is_alive, self.is_frozen, self._held_up = True, False, []

    def end_life(self) -> None:
        """It is gone."""
        self.is_alive = False

    def freeze(self) -> None:
        """It runs no more, and keeps what it has."""
        self.is_frozen = True

    def go_on(self) -> None:
        """What was due meanwhile is done now, in its order."""
        held, self._held_up, self.is_frozen = self._held_up, [], False
        for action in held:
            self._due(self._number, action)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """A step of this process. No pause is so short that it leaves no trace on a clock of whole nanoseconds."""
        if seconds > 0:
            seconds = max(seconds, SHORTEST_SECONDS)
        self.stage.agenda.timer(seconds, partial(self._due, self._number, action))

    def _due(self, number: int, action: Callable[[], None]) -> None:
        if number != self._number or not self.is_alive:
            return
        if self.is_frozen:
            self._held_up.append(action)
            return
        self.carry_out(action)

    def carry_out(self, action: Callable[[], None]) -> None:
        """Do a step."""
        action()
