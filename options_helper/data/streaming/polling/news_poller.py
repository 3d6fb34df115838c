"""Ask for the news that no socket will tell again: what was written before the run, and while the stream was down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from options_helper.data.periodic_task import PeriodicTask
from options_helper.data.rest.news import NewsPage, read_latest_news, read_news
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.errors import RestError
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.callbacks import CallbackKind, Told
from options_helper.model.events import News
from options_helper.model.problems import Problem
from options_helper.model.streams import StreamName

log = logging.getLogger(__name__)

# An article may be entered a little after its own time, and clocks differ. What comes twice counts once.
OVERLAP: Final = timedelta(minutes=10)


class NewsPoller:
    """Asks whenever the stream connected, and for symbols that are new; `tell` hears of each article that is."""

    def __init__(
        self,
        context: PollContext,
        config: LiveStreamConfig,
        policy: WatchPolicy,
        tell: Callable[[Sequence[Told]], object],
    ) -> None:
        self._context = context
        self._again = policy.again
        self._tell = tell
        self._task = PeriodicTask(
            "live-news", self._poll, float("inf"), self._failed, stopping=context.stopping
        )
        # Guarded by the lock of what was asked.
        self._symbols = config.symbols(StreamName.NEWS)
        self._is_new = True  # nothing was asked yet about some of them
        self._connections = 0  # how often the stream has connected
        self._closed = 0  # of these connections, the last one before which nothing is missing any more
        self._complete_until: datetime | None = None  # on the market's clock

    def change_symbols(self, config: LiveStreamConfig) -> None:
        """From now on these symbols; of new ones the newest articles are asked for at once, or once it is connected."""
        with self._context.lock:
            before, self._symbols = self._symbols, config.symbols(StreamName.NEWS)
            has_more = not set(self._symbols) <= set(before)
            self._is_new = self._is_new or has_more
            is_connected = bool(self._connections)
        if has_more and is_connected:
            self._ask_now()

    def observe(self, connections: int | None) -> None:
        """The stream is on its so many-th connection, None: it is not there; about twice a second."""
        now = self._context.now()
        with self._context.lock:
            if connections is None:
                return
            is_another = connections != self._connections
            self._connections = connections
            if connections == self._closed and self._context.knows_time:
                # By a clock that is an hour ahead the next question would miss what is written in that hour.
                self._complete_until = now
        if is_another:
            self._ask_now()

    def forget(self) -> None:
        """Another session is played. Called under the lock."""
        self._is_new, self._complete_until = True, None

    def _ask_now(self) -> None:
        self._task.run_within(0)
        self._task.start()

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds."""
        self._task.stop(timeout)

    def _poll(self) -> float | None:
        began = self._context.moment()
        with self._context.lock:
            symbols, is_new, self._is_new = self._symbols, self._is_new, False
            connections, complete_until = self._connections, self._complete_until
        if not symbols:
            return None
        self._context.report(RestTask.NEWS, phase=RestPhase.REQUESTING)
        try:
            found = sum(map(self._take, self._pages(symbols, complete_until, is_new=is_new)))
        except BaseException as error:
            with self._context.lock:
                self._is_new = self._is_new or is_new
            if not isinstance(error, RestError):
                raise
            self._context.report(RestTask.NEWS, phase=RestPhase.FAILED, problems=(Problem.of(error),))
            return self._again
        with self._context.lock:
            self._closed, self._complete_until = connections, self._context.time_of(began)
        self._context.report(
            RestTask.NEWS, phase=RestPhase.DONE, done=found, finished_at=self._context.now(), problems=()
        )
        return None

    def _pages(
        self, symbols: Sequence[str], complete_until: datetime | None, *, is_new: bool
    ) -> Iterator[NewsPage]:
        rest = self._context.rest()
        if is_new:
            yield from read_latest_news(rest, symbols)
        if complete_until is not None:
            yield from read_news(rest, complete_until - OVERLAP, symbols=symbols)

    def _take(self, page: NewsPage) -> int:
        """How many of these articles are new, or in a newer form than the known one."""
        for problem in page.unreadable:
            log.warning("%s", problem)
        context = self._context
        with context.lock:
            # The answer itself says what time it is there.
            context.correct_clock()
            fresh = context.state.seed_news(page.articles, context.market_ns())
        self._tell([_told(news) for news in fresh])
        return len(fresh)

    def _failed(self, error: Exception) -> float:
        self._context.report_failure(RestTask.NEWS, error)
        return self._again


def _told(news: News) -> Told:
    return Told(CallbackKind.NEWS, tuple(news.symbols or ()), news)
