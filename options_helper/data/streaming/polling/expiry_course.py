"""When it is asked about contracts that end soon or did, every few minutes: nothing of that comes over a stream."""

from __future__ import annotations

from datetime import date
from typing import Any

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.expiry_reading import (
    ExpiryReading,
    Sought,
    expiry_reading,
    together,
)
from options_helper.data.streaming.polling.held_course import HeldCourse, HoldsReadings, contracts_of
from options_helper.data.streaming.polling.pace import WatchPolicy, paced
from options_helper.data.streaming.polling.question import Asking
from options_helper.model.account import RestPhase, RestTask


class ExpiryCourse(HeldCourse):
    """What failed is asked again, and what is known stays. `traded` has the account's executions asked for too."""

    TASKS = (RestTask.EXPIRIES,)

    def __init__(
        self, holder: HoldsReadings, config: LiveStreamConfig, policy: WatchPolicy, *, traded: bool
    ) -> None:
        super().__init__(holder, config, policy)
        self._traded = traded
        # What was asked for, on which day, and when.
        self._asked: tuple[tuple[str, ...], date] | None = None
        self._asked_at = 0.0
        # Of more than one look has room for, those that had their turn.
        self._had_their_turn: frozenset[Sought] = frozenset()
        self._has_failed = False  # some of these

    def forget(self) -> None:
        """Another session is played."""
        self._asked, self._had_their_turn, self._has_failed = None, frozenset(), False
        super().forget()

    def _questions(self) -> Asking[float]:
        """Ask if it is time, or if a stream has told since that it is another day."""
        asked = self._at
        wanted = self._held(self._config), asked.today
        pause = paced(self._policy.expiries, asked.speed)
        if wanted == self._asked and asked.elapsed - self._asked_at < pause:
            return self._policy.poll
        # What is asked now may fail, whatever was answered before.
        self._asked = None
        self._report(RestTask.EXPIRIES, phase=RestPhase.REQUESTING)
        found = yield from expiry_reading(
            wanted[0], lambda: self._at, traded=self._traded, asked=self._had_their_turn
        )
        if self._at.today != asked.today:
            return self._policy.again
        self._holder.expiry_facts = together(self._holder.expiry_facts, found.facts, self._at.now)
        said: dict[str, Any] = {"phase": RestPhase.DONE, "finished_at": self._at.now, "problems": ()}
        if found.problems:
            said = {"phase": RestPhase.FAILED, "problems": found.problems}
        self._report(RestTask.EXPIRIES, **said)
        if self._must_ask_again(found):
            return self._policy.again
        self._asked, self._asked_at = wanted, self._at.elapsed
        return min(self._policy.poll, self._policy.expiries)

    def _held(self, config: LiveStreamConfig) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*contracts_of(config), *config.ending_contracts)))

    def _must_ask_again(self, found: ExpiryReading) -> bool:
        """Whether some had no turn yet, or something failed since the first had theirs."""
        self._has_failed |= bool(found.problems)
        if found.left:
            self._had_their_turn |= found.asked
            return True
        has_failed = self._has_failed
        self._had_their_turn, self._has_failed = frozenset(), False
        return has_failed
