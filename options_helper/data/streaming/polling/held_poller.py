"""A thread that asks about what is held: when it begins, what makes it ask sooner, and when all begins anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.streams import StreamName


class HeldPoller(ABC):
    """Asks at a steady pace from a moment after the start on; nobody waits for it.

    `begin`, `change_symbols` and `stop` are called one at a time, `forget` under the lock of what was asked, and
    `_poll` on the thread.
    """

    TASKS: ClassVar[tuple[RestTask, ...]]

    def __init__(
        self, name: str, context: PollContext, config: LiveStreamConfig, policy: WatchPolicy, *, every: float
    ) -> None:
        self._context = context
        self._policy = policy
        self._config = config  # replaced whole
        self._task = context.periodic(name, self._poll, every, self._failed)
        # Guarded by the lock of what was asked: how often another session began to be played.
        self._session = 0

    def begin(self) -> None:
        """Ask for the first time after the prices had a moment; for nothing where nothing of the kind is held."""
        if self._held(self._config):
            for task in self.TASKS:
                self._context.report(task, phase=RestPhase.WAITING)
            self._task.start(self._policy.initial_delay)

    def change_symbols(self, config: LiveStreamConfig) -> None:
        """From now on these symbols; what is new is asked for soon."""
        before, self._config = self._config, config
        if not set(self._held(config)) <= set(self._held(before)):
            self._task.run_within(self._policy.initial_delay)
            self._task.start()

    def forget(self) -> None:
        """Another session is played. Called under the lock."""
        self._session += 1
        self._task.run_within(self._policy.initial_delay)

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds."""
        self._task.stop(timeout)

    @abstractmethod
    def _poll(self) -> float:
        """Ask for what it is time for; seconds until the next look."""

    def _held(self, config: LiveStreamConfig) -> Collection[str]:
        """What it asks about; contracts, unless another poller says otherwise."""
        return contracts_of(config)

    def _failed(self, error: Exception) -> float:
        for task in self.TASKS:
            self._context.report_failure(task, error)
        return self._policy.again


def contracts_of(config: LiveStreamConfig) -> tuple[str, ...]:
    """The option contracts that are streamed, in order."""
    return tuple(one for one in config.symbols(StreamName.OPTIONS) if is_contract_symbol(one))
