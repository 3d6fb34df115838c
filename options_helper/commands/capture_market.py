"""What a capture asks the market itself: its hours, which no calendar can wholly know, and by the way its time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

from options_helper.data.recording.status import CaptureStatus
from options_helper.data.rest.calendar_watch import CalendarWatch
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.rest.server_clock import ServerClock
from options_helper.model.account import RestPhase
from options_helper.model.clock_skew import format_span
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions
from options_helper.model.problems import Problem, in_words
from options_helper.model.snapshot import Phase
from options_helper.model.told_sessions import format_told
from options_helper.settings import Settings

STOP_SECONDS: Final = 0.5


class Listener(Protocol):
    """The engine of a session, as far as it is told of hours."""

    def status(self) -> CaptureStatus:
        """Everything at this instant."""

    def tell_hours(self, told: ToldSessions, ahead_ns: int) -> None:
        """Judge silence by these hours, and by a clock that is so far ahead."""


class MarketAsked:
    """Asks on a thread of its own for as long as a capture runs; everything else is the main thread's.

    Without a `rest_cls` nothing is asked, nor where a simulator streams and the account is not its own: made-up keys
    are nothing for Alpaca.
    """

    def __init__(
        self,
        settings: Settings,
        rest_cls: Callable[..., AlpacaRest] | None,
        limits: RequestLimits,
        now: Callable[[], datetime],
        elapsed: Callable[[], float],
    ) -> None:
        self._now = now
        # Of whoever else asks this market, too: each answer tells the time.
        self.server_clock = ServerClock(lambda: datetime_nanoseconds(now()), elapsed)
        self._stopping = threading.Event()
        # Guarded by self._lock: written by the thread that asks.
        self._lock = threading.Lock()
        self._told: ToldSessions = NOTHING_TOLD
        self._problem: Problem | None = None
        self._news: list[str] = []
        self._is_skew_said = False
        # Of the main thread: which engine was told what.
        self._last_told: tuple[Listener | None, ToldSessions, int] = (None, NOTHING_TOLD, 0)
        self._rest: AlpacaRest | None = None
        self._watch: CalendarWatch | None = None
        if rest_cls is not None and _is_one_market(settings):
            self._make_rest: Callable[[], AlpacaRest] = lambda: rest_cls(
                settings, stopping=self._stopping, limits=limits, server_clock=self.server_clock, now=now
            )
            self._watch = CalendarWatch(
                self._client, self.now, self._hear, self._report, lock=self._lock, stopping=self._stopping
            )

    def __enter__(self) -> Self:
        if self._watch is not None:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        rest = self._rest
        if rest is not None:
            rest.stop()
        if self._watch is not None:
            self._watch.stop(STOP_SECONDS)

    @property
    def told(self) -> ToldSessions:
        """Of which days the market says otherwise than our calendar."""
        return self._told

    def now(self) -> datetime:
        """The market's time: this computer's, put right by what is known of its error. From any thread."""
        self._notice_set_clock()
        return self._now() - timedelta(seconds=self._ahead_seconds())

    def servers_now(self) -> datetime | None:
        """The market's time as answers have told it since the clock was last set; None: none has. From any thread."""
        # Read first: whether it was set before or after this, the look notices it and forgets what was known.
        here = self._now()
        self._notice_set_clock()
        skew = self.server_clock.skew
        return None if skew is None or skew.at_least else here - timedelta(seconds=skew.ahead)

    def tell(self, engine: Listener) -> None:
        """Tell an engine what it does not know yet, and ask again where one of its streams is silent.

        What is true no more is taken back: a clock that was put right, a closing that was called off.
        """
        self._notice_set_clock()
        told, ahead_ns = self._told, int(self._ahead_seconds() * NANOSECONDS)
        before = self._last_told if self._last_told[0] is engine else (engine, NOTHING_TOLD, 0)
        if before[1:] != (told, ahead_ns):
            engine.tell_hours(told, ahead_ns)
        self._last_told = (engine, told, ahead_ns)
        watch = self._watch
        if watch is not None and any(
            health.phase is Phase.STALLED for health in engine.status().streams.values()
        ):
            watch.doubt()

    def take_news(self) -> list[str]:
        """What is to be said since the last call, as sentences."""
        skew = self.server_clock.skew
        with self._lock:
            news, self._news = self._news, []
            says_skew = skew is not None and skew.matters and not self._is_skew_said
            self._is_skew_said = self._is_skew_said or says_skew
        if skew is not None and says_skew:
            news.append(
                f"Note: this computer's clock is {skew.words}. The hours go by theirs; what is recorded keeps this "
                "computer's time. Set the clock before the next capture."
            )
        return news

    def _notice_set_clock(self) -> None:
        """What was known of the clock before it was set is forgotten, and the market asked for its time anew."""
        put_forward_ns = self.server_clock.look()
        if not put_forward_ns:
            return
        with self._lock:
            self._is_skew_said = False
            self._news.append(
                f"Note: this computer's clock was put {'forward' if put_forward_ns > 0 else 'back'} by "
                f"{format_span(abs(put_forward_ns) / NANOSECONDS)}. What was recorded before keeps the time of before."
            )
        if self._watch is not None:
            self._watch.ask_anew()

    def _ahead_seconds(self) -> float:
        skew = self.server_clock.skew
        return skew.ahead if skew is not None and skew.matters else 0.0

    def _client(self) -> AlpacaRest:
        if self._rest is None:
            self._rest = self._make_rest()
        return self._rest

    def _hear(self, told: ToldSessions) -> None:
        """Under the lock."""
        if told != self._told:
            self._news.append(
                f"Note: the market's own calendar differs, and is believed: {format_told(told)}."
                if told
                else "Note: the market's own calendar agrees with the program's again."
            )
        self._told = told

    def _report(self, phase: RestPhase, problem: Problem | None) -> None:
        with self._lock:
            if phase is RestPhase.DONE:
                self._problem = None
            elif problem is not None and problem != self._problem:
                self._problem = problem
                said = in_words((problem,))
                self._news.append(
                    f"Note: the market's hours could not be asked for, so the program's calendar stands: {said}"
                )


def _is_one_market(settings: Settings) -> bool:
    """Whether streams and account are of the same place."""
    account = urlsplit(settings.base_url).hostname
    return not settings.local_market or account in ("127.0.0.1", "localhost", "::1")
