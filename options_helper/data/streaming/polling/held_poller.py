"""The thread that asks about what is held; what and when is a `HeldCourse`'s to decide."""

from __future__ import annotations

from typing import Any

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.held_course import HeldCourse
from options_helper.data.streaming.polling.moment import Done
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.question import Question
from options_helper.errors import RestError


class HeldPoller:
    """Asks at a steady pace from a moment after the start on; nobody waits for it.

    `begin`, `change_symbols` and `stop` are called one at a time, and `forget` under the lock of what was asked.
    """

    def __init__(
        self, name: str, context: PollContext, course: HeldCourse, policy: WatchPolicy, *, every: float
    ) -> None:
        self._context = context
        self._policy = policy
        # Guarded by the lock of what was asked.
        self._course = course
        self._task = context.periodic(name, self._poll, every, self._failed)

    def begin(self) -> None:
        """Ask for the first time after the prices had a moment; for nothing where nothing of the kind is held."""
        with self._context.lock:
            is_any_held = self._course.begin()
        if is_any_held:
            self._task.start(self._policy.initial_delay)

    def change_symbols(self, config: LiveStreamConfig) -> None:
        """From now on these symbols; what is new is asked for soon."""
        with self._context.lock:
            is_any_new = self._course.change_symbols(config)
        if is_any_new:
            self._task.run_within(self._policy.initial_delay)
            self._task.start()

    def forget(self) -> None:
        """Another session is played. Called under the lock."""
        self._course.forget()
        self._task.run_within(self._policy.initial_delay)

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds."""
        self._task.stop(timeout)

    def _poll(self) -> float:
        """Ask for what it is time for; seconds until the next look."""
        context = self._context
        with context.lock:
            question = self._course.ask(context.moment())
        while not isinstance(question, Done):
            answer = self._answer(question)
            with context.lock:
                if context.stopping.is_set():
                    return self._policy.poll  # what a stopped run still hears changes nothing
                # The answer itself says what time it is there.
                context.correct_clock()
                question = self._course.answered(context.moment(), answer)
        return question.again

    def _answer(self, question: Question) -> Any:
        try:
            return question.read(self._context.rest())
        except RestError as error:
            return error

    def _failed(self, error: Exception) -> float:
        for task in self._course.TASKS:
            self._context.report_failure(task, error)
        return self._policy.again
