"""The thread that asks for prices; whose and when is `PriceCourse`'s to decide."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from options_helper.data.rest.seeding import seed
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.price_course import AskPrices, PriceCourse
from options_helper.errors import RestError
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.streams import StreamId, StreamName

log = logging.getLogger(__name__)


class PricePoller:
    """Asks for a stream's symbols whenever somebody wants it, and for all when a new day begins."""

    def __init__(self, context: PollContext, config: LiveStreamConfig, policy: WatchPolicy) -> None:
        self._context = context
        self._policy = policy
        self._task = context.periodic("live-prices", self._poll, policy.poll, self._failed)
        # Guarded by the lock of what was asked.
        self._course = PriceCourse(context, context.state, config, policy)

    def begin(self) -> None:
        """Ask for the first time after the streams had a moment to connect; for nothing when there are none."""
        with self._context.lock:
            is_any_due = self._course.begin()
        if is_any_due:
            self._context.report(RestTask.PRICES, phase=RestPhase.WAITING)
            self._task.start(self._policy.initial_delay)

    def change_symbols(self, config: LiveStreamConfig) -> None:
        """From now on these symbols; a stream that got new ones is asked for at once."""
        with self._context.lock:
            is_any_due = self._course.change_symbols(config)
        if is_any_due:
            self._ask_now()

    def want(self, name: StreamId) -> None:
        """Ask for the prices of this stream's symbols now."""
        with self._context.lock:
            self._course.want(name)
        self._ask_now()

    def want_closes_of(self, symbols: Iterable[str]) -> None:
        """Ask for these too: what was closed today takes part in its profit, and is streamed no longer."""
        with self._context.lock:
            is_any_due = self._course.want_closes_of(symbols)
        if is_any_due:
            self._ask_now()

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds."""
        self._task.stop(timeout)

    def _ask_now(self) -> None:
        self._task.run_within(0)
        self._task.start()

    def _poll(self) -> float:
        """Ask for all that is due; seconds until the next look."""
        context = self._context
        with context.lock:
            question = self._course.ask(context.moment())
        while isinstance(question, AskPrices):
            error = self._error_of(question)
            with context.lock:
                if context.stopping.is_set():
                    return self._policy.poll  # what a stopped run still hears changes nothing
                question = self._course.answered(context.moment(), error)
        return question.again

    def _error_of(self, question: AskPrices) -> RestError | None:
        """Ask, and have each batch taken as it comes; why it was not all."""
        batches = seed(
            self._context.rest(),
            question.of(StreamName.STOCKS),
            question.of(StreamName.OPTIONS),
            stock_feed=question.stock_feed,
            options_feed=question.options_feed,
            today=question.today,
            coins=question.of(StreamName.CRYPTO),
            coin_location=question.coin_location,
        )
        try:
            for batch in batches:
                for problem in batch.unreadable:
                    log.warning("%s", problem)
                with self._context.lock:
                    # The answer itself says what time it is there.
                    self._context.correct_clock()
                    if not self._context.stopping.is_set():
                        self._course.taken(self._context.moment(), batch)
        except RestError as error:
            return error
        return None

    def _failed(self, error: Exception) -> float:
        self._context.report_failure(RestTask.PRICES, error)
        return self._policy.again
