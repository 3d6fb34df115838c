"""What asks about what is held, without threads: the product's courses, on the clocks and the state of a price desk."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.chain_course import ChainCourse
from options_helper.data.streaming.polling.expiry_course import ExpiryCourse
from options_helper.data.streaming.polling.held_course import HeldCourse
from options_helper.data.streaming.polling.moment import Done
from options_helper.data.streaming.polling.question import Question
from options_helper.data.streaming.polling.risk_course import RiskCourse
from options_helper.errors import RestError
from options_helper.model.due_time import DueTime
from tests.days.agenda import Entry
from tests.days.clocks import NS
from tests.days.prices.desk import NO_ANSWER, PriceDesk
from tests.days.prices.held_world import HeldWorld, Server
from tests.days.stage import Stage

if TYPE_CHECKING:
    from tests.days.prices.held_oracle import HeldOracle


class HeldDesk:
    """Risk, chains and expiries of a run, from `begin` to the desk's end."""

    def __init__(
        self,
        stage: Stage,
        prices: PriceDesk,
        config: LiveStreamConfig,
        world: HeldWorld,
        oracle: HeldOracle,
    ) -> None:
        self._stage, self.prices, self.oracle = stage, prices, oracle
        self._world = world
        self.config, self._dice = config, stage.dice("held's way")
        context, policy = prices.context, prices.policy
        courses: tuple[HeldCourse, ...] = (
            RiskCourse(context, config, policy),
            ChainCourse(context, config, policy, prices.state),
            ExpiryCourse(context, config, policy, traded=True),
        )
        self._askers = [_Asker(self, course) for course in courses]

    def begin(self) -> None:
        """Press Start."""
        for asker in self._askers:
            asker.begin()

    def change_symbols(self, config: LiveStreamConfig) -> None:
        """Hold something else."""
        self.config = config
        for asker in self._askers:
            asker.change_symbols(config)

    def ask(self, asker: _Asker, question: Question) -> None:
        """Send it, and have it answered, sooner or later."""
        asked_ns = self._stage.clocks.true_ns
        prices = self.prices
        for how, (seconds, status) in NO_ANSWER.items():
            if prices.is_in(how) is not None:
                error = RestError(f"No answer ({how}).", status=status)
                prices.timer(seconds, partial(self._answered, asker, question, error, asked_ns, None))
                return
        there, back = self._dice.choice((0.02, 0.1, 0.4)), self._dice.choice((0.02, 0.1, 0.4))
        if (slow := prices.is_in("slow")) is not None:
            there, back = there + self._dice.uniform(0, slow), back + self._dice.uniform(0, slow)
        sent_at = self._stage.clocks.elapsed()
        self._stage.agenda.after(there, partial(self._serve, asker, question, asked_ns, sent_at, back))

    def _serve(self, asker: _Asker, question: Question, asked_ns: int, sent_at: float, back: float) -> None:
        """On the server."""
        true_ns = self._stage.clocks.true_ns
        as_of_ns = true_ns - int((self.prices.is_in("stale") or 0.0) * NS)
        server: Any = Server(self._world, as_of_ns)
        answer: Any
        try:
            answer = question.read(server)
        except RestError as error:
            answer = error
        date = format_datetime(datetime.fromtimestamp(true_ns // NS, UTC), usegmt=True)
        told = sent_at, date, as_of_ns
        self.prices.timer(back, partial(self._answered, asker, question, answer, asked_ns, told))

    def _answered(
        self,
        asker: _Asker,
        question: Question,
        answer: Any,
        asked_ns: int,
        told: tuple[float, str, int] | None,
    ) -> None:
        context = self.prices.context
        as_of_ns = None
        if told is not None:
            sent_at, date, as_of_ns = told
            took = self._stage.clocks.elapsed() - sent_at
            self.prices.server_clock.answered({"Date": date}, self.prices.wall(), took)
            self._world.prices.heard_time()
        # As the thread that asks does it.
        context.correct_clock()
        self.oracle.answered(self, question, answer, asked_ns, as_of_ns)
        asker.answered(answer)


class _Asker:
    """One of the threads that ask."""

    def __init__(self, desk: HeldDesk, course: HeldCourse) -> None:
        self._desk, self._course, self._prices = desk, course, desk.prices
        self._due = DueTime(desk.prices.policy.poll)
        self._round: Entry | None = None
        self._is_asking = False

    def begin(self) -> None:
        if self._course.begin():
            self._run_within(self._prices.policy.initial_delay)

    def change_symbols(self, config: LiveStreamConfig) -> None:
        if self._course.change_symbols(config):
            self._run_within(self._prices.policy.initial_delay)

    def answered(self, answer: Any) -> None:
        self._go_on(self._course.answered(self._prices.context.moment(), answer))

    def _run_within(self, seconds: float) -> None:
        now = self._prices.monotonic()
        self._due.within(now, seconds)
        if self._round is not None:
            self._round.cancel()
        if not self._is_asking:
            self._round = self._prices.timer(max(0.0, self._due.left(now)), self._begin_round)

    def _begin_round(self) -> None:
        self._due.begin()
        self._is_asking = True
        first = self._course.ask(self._prices.context.moment())
        if isinstance(first, Done):
            self._desk.oracle.nothing_asked(self._course.TASKS)
        self._go_on(first)

    def _go_on(self, question: Question | Done) -> None:
        if isinstance(question, Done):
            self._is_asking = False
            for task in self._course.TASKS:
                self._desk.oracle.over(self._desk, task)
            self._run_within(question.again)
        else:
            self._desk.ask(self, question)
