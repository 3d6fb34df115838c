"""Prices without threads: the product's course, fold and clocks, over a server that answers badly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from email.utils import format_datetime
from functools import partial
from typing import Any, Final

from options_helper.data.rest.seeding import SeedBatch, read_snapshots
from options_helper.data.rest.server_clock import ServerClock
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.moment import Done, Moment
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.price_course import AskPrices, PriceCourse
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.errors import RestError
from options_helper.model.due_time import DueTime
from options_helper.model.events import Quote
from options_helper.model.frames import Frame
from options_helper.model.streams import StreamId, StreamName
from tests.days.agenda import Entry
from tests.days.clocks import NS
from tests.days.day import Trouble
from tests.days.prices.oracle import PriceOracle
from tests.days.stage import Stage
from tests.days.world.market import Made, frame_of

# What comes instead of an answer, and after how many seconds.
NO_ANSWER: Final = {
    "hang": (30.0, None),
    "refused": (0.1, 403),
    "busy": (3.0, 503),
    "too many": (6.0, 429),
}
HOUSEKEEPING_SECONDS: Final = 1.0
STREAMS: Final[dict[str, StreamId]] = {"stocks": StreamName.STOCKS, "options": StreamName.OPTIONS}


class PriceDesk:
    """One run's prices, from `begin` to `end`."""

    def __init__(self, stage: Stage, config: LiveStreamConfig, oracle: PriceOracle) -> None:
        self._stage, self._config, self._oracle = stage, config, oracle
        clocks = stage.clocks
        self.state = LiveState(fills_cache_size=10)
        self.server_clock = ServerClock(clocks.wall_ns, clocks.elapsed)
        self.context = PollContext(
            self.state,
            threading.Lock(),
            clocks.wall_ns,
            _nobody,
            lambda: 0.0,
            server_clock=self.server_clock,
            elapsed=clocks.elapsed,
        )
        self.policy = WatchPolicy()
        self._course = PriceCourse(self.context, self.state, config, self.policy)
        self._due = DueTime(self.policy.poll)
        self._dice = stage.dice("prices' way")
        self._wrong: dict[str, tuple[int, float]] = {}  # until when, and how much
        self._deaf: dict[str, int] = {}  # until when
        # What looks beside the oracle, with the housekeeping.
        self.looks: list[Callable[[], object]] = []
        self._round: Entry | None = None
        self._is_asking = self.is_over = self.has_begun = False

    @property
    def skew_doubt(self) -> float | None:
        """How exactly the servers' time is known, in seconds; None: it is not."""
        skew = self.server_clock.skew
        return None if skew is None or skew.at_least else skew.doubt

    def begin(self) -> None:
        """Press Start."""
        self.has_begun = True
        self._course.begin()
        self._run_within(self.policy.initial_delay)
        self._keep_house()

    def go_wrong(self, trouble: Trouble) -> None:
        """Let something be wrong for so long."""
        until = self._stage.clocks.true_ns + int(trouble.seconds * NS)
        match trouble.how:
            case "deaf":
                self._deaf[trouble.whose] = until
                self.timer(trouble.seconds + 0.5, partial(self._connected, trouble.whose))
            case "sold":
                today = self.moment().today
                self._oracle.wants_close_of(trouble.whose, today)
                self._want_close_of(trouble.whose, today)
            case how:
                self._wrong[how] = until, trouble.number

    def _want_close_of(self, symbol: str, today: date) -> None:
        """It was executed today and is not streamed: each reading of the account says so."""
        if self.moment().today == today and self._course.want_closes_of((symbol,)):
            self._run_within(0.0)
        self.timer(self.policy.poll, partial(self._want_close_of, symbol, today))

    def _connected(self, stream: str) -> None:
        if self._deaf.get(stream, 0) <= self._stage.clocks.true_ns and self.has_begun:
            self._course.want(STREAMS[stream])
            self._run_within(0.0)

    # What is streamed.

    def hear(self, stream: str, made: Sequence[Made]) -> None:
        """The exchange made these."""
        self._oracle.made(made)
        if self.has_begun and not self._is_deaf(stream):
            self.timer(self._dice.choice((0.01, 0.05, 0.3)), partial(self._heard, stream, made))

    def _heard(self, stream: str, made: Sequence[Made]) -> None:
        if self._is_deaf(stream):
            return
        payload = frame_of([quote.wire() for quote in made])
        self.context.notice_set_clock()
        self.state.apply(Frame(STREAMS[stream], payload, len(made), self._stage.clocks.wall_ns()))
        self._oracle.arrived(made)

    def _is_deaf(self, stream: str) -> bool:
        return self._stage.clocks.true_ns < self._deaf.get(stream, 0)

    def _keep_house(self) -> None:
        self.timer(HOUSEKEEPING_SECONDS, self._keep_house)
        self.context.correct_clock()
        self._oracle.look(self)
        for look in self.looks:
            look()

    # The poller's thread.

    def _run_within(self, seconds: float) -> None:
        self._due.within(self._stage.clocks.monotonic(), seconds)
        if self._round is not None:
            self._round.cancel()
        if not self._is_asking:
            left = max(0.0, self._due.left(self._stage.clocks.monotonic()))
            self._round = self.timer(left, self._begin_round)

    def _begin_round(self) -> None:
        self._due.begin()
        self._is_asking = True
        self._go_on(self._course.ask(self.moment()))

    def _go_on(self, question: AskPrices | Done) -> None:
        if isinstance(question, Done):
            self._is_asking = False
            self._run_within(question.again)
            return
        # In parts, as a large portfolio's: one may be answered, and the next not.
        half = (len(question.symbols) + 1) // 2
        self._ask(question, [part for part in (question.symbols[:half], question.symbols[half:]) if part])

    def _ask(self, question: AskPrices, parts: list[tuple[str, ...]]) -> None:
        if not parts:
            self._over(None)
            return
        for how, (seconds, status) in NO_ANSWER.items():
            if self.is_in(how) is not None:
                self.timer(seconds, partial(self._over, RestError(f"No answer ({how}).", status=status)))
                return
        there, back = self._dice.choice((0.02, 0.1, 0.4)), self._dice.choice((0.02, 0.1, 0.4))
        if (slow := self.is_in("slow")) is not None:
            there, back = there + self._dice.uniform(0, slow), back + self._dice.uniform(0, slow)
        sent_at = self._stage.clocks.elapsed()
        self._stage.agenda.after(there, partial(self._serve, question, parts, sent_at, back))

    def _over(self, error: RestError | None) -> None:
        self._go_on(self._course.answered(self.moment(), error))

    def _serve(self, question: AskPrices, parts: list[tuple[str, ...]], sent_at: float, back: float) -> None:
        """On the server."""
        true_ns = self._stage.clocks.true_ns
        late_ns = int((self.is_in("stale") or 0.0) * NS)
        ahead_ns = int((self.is_in("ahead") or 0.0) * NS)
        snapshots = self._oracle.snapshots(parts[0], true_ns - late_ns, ahead_ns)
        date = format_datetime(datetime.fromtimestamp(true_ns // NS, UTC), usegmt=True)
        batch = read_snapshots(question.stream, parts[0], snapshots, question.today)
        self.timer(back, lambda: self._answered(question, parts, batch, sent_at, date))

    def _answered(
        self,
        question: AskPrices,
        parts: list[tuple[str, ...]],
        batch: SeedBatch,
        sent_at: float,
        date: str,
    ) -> None:
        self.server_clock.answered({"Date": date}, self.wall(), self._stage.clocks.elapsed() - sent_at)
        self.context.correct_clock()
        self._course.taken(self.moment(), batch)
        self._oracle.answered(batch, self.moment().ns)
        self._ask(question, parts[1:])

    # What both have in common.

    def moment(self) -> Moment:
        """The market's time, as the product knows it."""
        return Moment(self.context.market_ns())

    def monotonic(self) -> float:
        """Seconds in which this computer was awake."""
        return self._stage.clocks.monotonic()

    def wall(self) -> datetime:
        """What the computer's clock shows."""
        return datetime.fromtimestamp(self._stage.clocks.wall_ns() / NS, UTC)

    def is_in(self, how: str) -> float | None:
        """How badly that is wrong now; None: it is not."""
        until, number = self._wrong.get(how, (0, 0.0))
        return number if self._stage.clocks.true_ns < until else None

    def timer(self, seconds: float, action: Callable[[], object]) -> Entry:
        """Do this so much later, unless all is over."""
        return self._stage.agenda.timer(seconds, lambda: None if self.is_over else action())

    def quote(self, symbol: str) -> Quote | None:
        """What is shown."""
        return self.state.quote(symbol)


def _nobody(_: threading.Event) -> Any:
    raise AssertionError("nobody is asked by a thread here")
