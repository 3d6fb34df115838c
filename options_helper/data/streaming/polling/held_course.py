"""When it is asked about what is held, and what the answers come to: a round of questions, again and again.

Knows no thread, lock or clock and asks nobody: moments and answers come in as values, and questions go out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, ClassVar, Protocol

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.moment import Done, Moment
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.question import Asking, Question
from options_helper.data.streaming.polling.reports import with_report
from options_helper.errors import RestError
from options_helper.model.account import AccountState, RestPhase, RestTask
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.streams import StreamName


class HoldsReadings(Protocol):
    """Where what was asked is kept, for everybody who asks for a part of it."""

    account_state: AccountState
    risk_inputs: RiskInputs
    expiry_facts: ExpiryFacts


class HeldCourse(ABC):
    """Asks a round of questions: `ask` begins it, and each is `answered` before the next, until there are none.

    `ask` gives up a round that is left in its midst. One call at a time: `holder` is changed by it alone while it is
    called.
    """

    TASKS: ClassVar[tuple[RestTask, ...]]

    def __init__(self, holder: HoldsReadings, config: LiveStreamConfig, policy: WatchPolicy) -> None:
        self._holder, self._config, self._policy = holder, config, policy
        self._round: Asking[float] | None = None
        self._at: Moment  # of the last question or answer

    def begin(self) -> bool:
        """Whether there is anything to ask about; then it is said that it waits."""
        if not self._held(self._config):
            return False
        for task in self.TASKS:
            self._report(task, phase=RestPhase.WAITING)
        return True

    def change_symbols(self, config: LiveStreamConfig) -> bool:
        """From now on these symbols; whether there are new ones, which are to be asked for soon."""
        before, self._config = self._config, config
        return not set(self._held(config)) <= set(self._held(before))

    def forget(self) -> None:
        """Another session is played: what is still answered is of the one before."""
        if self._round is not None:
            self._round.close()
            self._round = None

    def ask(self, at: Moment) -> Question | Done:
        """Begin a round."""
        self._round = self._questions()
        return self._go_on(at, partial(next, self._round))

    def answered(self, at: Moment, answer: Any) -> Question | Done:
        """Take what the question's `read` returned, or the RestError that it raised; what is to be asked next."""
        if self._round is None:
            return Done(self._policy.again)
        is_error = isinstance(answer, RestError)
        return self._go_on(at, partial(self._round.throw if is_error else self._round.send, answer))

    def _go_on(self, at: Moment, step: Callable[[], Question]) -> Question | Done:
        self._at = at
        try:
            return step()
        except StopIteration as end:
            self._round = None
            return Done(end.value)

    @abstractmethod
    def _questions(self) -> Asking[float]:
        """A round; its result is the market's seconds until the next one. A RestError is thrown in."""

    def _held(self, config: LiveStreamConfig) -> Collection[str]:
        """What it asks about; contracts, unless another course says otherwise."""
        return contracts_of(config)

    def _report(self, task: RestTask, **changes: Any) -> None:
        self._holder.account_state = with_report(self._holder.account_state, task, **changes)


def contracts_of(config: LiveStreamConfig) -> tuple[str, ...]:
    """The option contracts that are streamed, in order."""
    return tuple(one for one in config.symbols(StreamName.OPTIONS) if is_contract_symbol(one))
