"""Ask every few minutes about contracts that end soon or did: nothing of that comes over a stream."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.expiry_reading import (
    BEHIND,
    ExpiryReading,
    Question,
    read_expiry_facts,
    together,
)
from options_helper.data.streaming.polling.held_poller import HeldPoller, contracts_of
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.model.account import RestPhase, RestTask


class ExpiryPoller(HeldPoller):
    """Asks from a moment after the start on; nobody waits for it. What failed is asked again, what is known stays."""

    TASKS = (RestTask.EXPIRIES,)

    def __init__(
        self,
        context: PollContext,
        config: LiveStreamConfig,
        policy: WatchPolicy,
        *,
        traded: bool,
        elapsed: Callable[[], float],
    ) -> None:
        super().__init__("live-expiries", context, config, policy, every=policy.poll)
        self._traded = traded  # whether the account's executions are asked for too
        self._elapsed = elapsed
        # Only the thread that asks knows these: what was asked for, in which session and day, and when.
        self._asked: tuple[tuple[str, ...], int, date] | None = None
        self._asked_at = 0.0
        # Of more than one look has room for, those that had their turn.
        self._had_their_turn: frozenset[Question] = frozenset()
        self._has_failed = False  # some of these

    def _poll(self) -> float:
        """Ask if it is time, or if a stream has told since that it is another day; seconds until the next look."""
        context, contracts, session = self._context, self._held(self._config), self._session
        wanted = contracts, session, context.today()
        if wanted == self._asked and self._elapsed() - self._asked_at < context.pace(self._policy.expiries):
            return self._policy.poll
        found = context.attempt(
            RestTask.EXPIRIES,
            lambda: read_expiry_facts(
                context.rest(),
                contracts,
                context.now(),
                traded=self._traded,
                asked=self._had_their_turn,
            ),
        )
        if found is None:
            return self._policy.again
        with context.lock:
            if (session, wanted[-1]) != (self._session, context.today()):
                return self._policy.again  # another session is played since
            context.expiry_facts = together(context.expiry_facts, found.facts, wanted[-1] - BEHIND)
        context.report(
            RestTask.EXPIRIES,
            phase=RestPhase.FAILED if found.problems else RestPhase.DONE,
            finished_at=context.now(),
            problem=" ".join(found.problems) or None,
        )
        if self._must_ask_again(found):
            return self._policy.again
        self._asked, self._asked_at = wanted, self._elapsed()
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
