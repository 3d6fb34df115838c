"""The product's run without its threads: `StreamWorker`, `LiveRun` and the streamers, carried by the agenda.

What decides is the product's own: courses, conversations, judges, the consumer's round, the fold. What is here does
what their threads would: waits, connects, reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pydantic import SecretStr

from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.data.streaming.connection.conversation import (
    Ask,
    AskForOrderUpdates,
    GiveUp,
    MarketConversation,
    Report,
    TradingConversation,
    Wait,
)
from options_helper.data.streaming.connection.server_errors import handshake_error, key_error
from options_helper.data.streaming.connection.websocket_frames import MessageReader
from options_helper.data.streaming.engine.absence import Absence, AbsenceJudge
from options_helper.data.streaming.engine.consumer_round import LINGER_SECONDS, Gather
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_course import Connect, End, Pause
from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.data.streaming.engine.worker import RetryPolicy, StreamWorker
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.data.streaming.live_run import FOLD_EVENTS, LiveRun
from options_helper.data.streaming.messages import count_messages, read_message, split_control
from options_helper.errors import OptionsHelperError, StreamError
from options_helper.model.frames import Mark
from options_helper.model.market_hours import ToldSessions
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamId
from options_helper.settings import Settings
from tests.days.agenda import Entry
from tests.days.clocks import NS
from tests.days.stage import Stage
from tests.days.world.network import Client, Line, Message, Network

ANSWER_SECONDS: Final = 10.0
PULSE_SECONDS: Final = 0.5


class Heard:
    """Is told what reached the product: the oracle's side of it."""

    def frame(self, stream: str, message: Message, *, kept: bool) -> None:
        """A message of data was handed over; `kept`: it found room in the queue."""

    def ended(self, stream: str, why: str, *, by_us: bool) -> None:
        """A connection, or a try at one, is over."""

    def live(self, stream: str) -> None:
        """The product was told that all it asked for is answered."""


class VirtualStreamer(Client):
    """One connection's life, of either kind."""

    def __init__(self, desk: Desk, stream: str, sink: StreamSink) -> None:
        self._desk = desk
        self._stream = stream
        self._sink = sink
        self._line: Line | None = None
        self._gone: Callable[[OptionsHelperError | None], None] = lambda _: None
        self._is_over = False
        self._deadline: Entry | None = None
        self._reader = MessageReader(self._read, lambda _: None, 1_000_000)
        self.feed = stream

    def run(self) -> None:
        raise AssertionError("`open` is what runs it here")

    def open(self, gone: Callable[[OptionsHelperError | None], None]) -> None:
        """Connect; `gone` is called once, when all is over."""
        self._gone = gone
        self._desk.network.dial(self._stream, self, self._answered)

    def _answered(self, answer: Line | str) -> None:
        if isinstance(answer, Line):
            if self._is_over:
                answer.close()
                return
            self._line = answer
            self._begin()
            self._sink.connected(None)
            self._go_on()
            return
        self._end(_refusal(self.feed, answer), answer)

    def _begin(self) -> None: ...

    def _go_on(self) -> None: ...

    def _asked(self) -> None:
        """The answer to what is asked now must come in time, whatever else comes."""
        self._forget_question()
        sentence = (
            f"The {self.feed} server did not acknowledge the subscription within 10 s; it is tried again."
        )
        self._deadline = self._desk.stage.agenda.timer(
            ANSWER_SECONDS, lambda: self._end(StreamError(sentence), "no answer", by_us=True)
        )

    def _forget_question(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def wake(self) -> None:
        """There is something new to ask."""
        if self._line is not None and not self._is_over:
            self._desk.stage.agenda.timer(0.001, self._woken)

    def _woken(self) -> None:
        if not self._is_over:
            self._go_on()

    def arrive(self, data: bytes) -> None:
        self._reader.feed(data)

    def _read(self, payload: bytes) -> None: ...

    def _hand_over(self, payload: bytes, events: int, message: Message) -> None:
        self._sink.frame(payload, events)
        self._desk.heard.frame(self._stream, message, kept=self._desk.was_kept)

    def gone(self, why: str) -> None:
        self._end(StreamError(f"The {self.feed} connection was lost: {why}."), why)

    def stop(self) -> None:
        self._end(None, "stopped", by_us=True)

    def abandon(self) -> None:
        self._end(None, "abandoned", by_us=True)

    def _end(self, error: OptionsHelperError | None, why: str, *, by_us: bool = False) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._deadline is not None:
            self._deadline.cancel()
        # Before the line is gone, which tells who was right.
        self._desk.heard.ended(self._stream, why, by_us=by_us)
        if self._line is not None:
            self._line.close()
        self._desk.stage.stir(2)
        # Its thread notices that a moment later.
        self._desk.stage.agenda.timer(0.01, lambda: self._gone(error))


def _refusal(feed: str, answer: str) -> StreamError:
    if answer.isdigit():
        return handshake_error(feed, int(answer))
    if answer == "unauthorized":
        said = {"stream": "authorization", "data": {"status": "unauthorized", "action": "authenticate"}}
        return key_error(feed, said) or StreamError("no")
    if answer.startswith("answer "):
        code = int(answer.removeprefix("answer "))
        return key_error(feed, [{"T": "error", "code": code, "msg": "no"}]) or StreamError("no")
    return StreamError(f"The {feed} server gave no welcome within 10 s; it is tried again.")


class VirtualMarketStreamer(VirtualStreamer):
    """What `AlpacaStockStreamer` and its siblings do, without an event loop."""

    def __init__(self, desk: Desk, stream: str, _settings: Settings, *, sink: StreamSink, **_: Any) -> None:
        super().__init__(desk, stream, sink)
        self._conversation = MarketConversation(stream)

    def subscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        self._conversation.subscriptions.want(symbols, channels or ("quotes", "trades"))
        self.wake()

    def unsubscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        self._conversation.subscriptions.unwant(symbols, channels or ("quotes", "trades", "bars"))
        self.wake()

    def renew(self, symbols: Iterable[str], channel: str) -> None:
        self._conversation.subscriptions.renew(symbols, channel)
        self.wake()

    def _begin(self) -> None:
        self._conversation.begin()

    def _go_on(self) -> None:
        line = self._line
        while line is not None and not self._is_over:
            match self._conversation.next_step():
                case Ask(request):
                    self._asked()
                    line.ask(request)
                case Report() as report:
                    self._sink.subscribed(report.requested, report.acknowledged, report.refusals)
                    self._desk.heard.live(self._stream)
                case GiveUp(error):
                    self._end(error, "given up", by_us=True)
                case Wait(awaits_answer):
                    if not awaits_answer:
                        self._forget_question()
                    return

    def _read(self, payload: bytes) -> None:
        if self._is_over or self._line is None:
            return
        message = self._line.take()
        control, data = split_control(payload)
        for answer in control:
            complaint = self._conversation.hear(answer)
            if complaint is not None:
                self._sink.notice(complaint)
        if data is not None:
            self._hand_over(data, count_messages(data), message)
        if control:
            self._go_on()


class VirtualTradingStreamer(VirtualStreamer):
    """What `AlpacaTradingStreamer` does, without an event loop."""

    def __init__(self, desk: Desk, stream: str, _settings: Settings, *, sink: StreamSink, **_: Any) -> None:
        super().__init__(desk, stream, sink)
        self.feed = "trading"
        self._conversation = TradingConversation()

    def subscribe_trade_updates(self) -> None:
        self._conversation.is_wanted = True
        self.wake()

    def _begin(self) -> None:
        self._conversation.begin()

    def _go_on(self) -> None:
        line = self._line
        while line is not None and not self._is_over:
            match self._conversation.next_step():
                case AskForOrderUpdates():
                    self._asked()
                    line.listen()
                case Report() as report:
                    self._sink.subscribed(report.requested, report.acknowledged, report.refusals)
                    self._desk.heard.live(self._stream)
                case GiveUp(error):
                    self._end(error, "given up", by_us=True)
                case Wait(awaits_answer):
                    if not awaits_answer:
                        self._forget_question()
                    return

    def _read(self, payload: bytes) -> None:
        if self._is_over or self._line is None:
            return
        message = self._line.take()
        if self._conversation.hear(read_message(payload)):
            self._hand_over(payload, 1, message)
        else:
            self._go_on()


class _Bell:
    """In place of the event that ends a worker's pause."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self.set = ring

    def clear(self) -> None: ...


class VirtualWorker(StreamWorker):
    """A worker whose thread is the agenda."""

    def __init__(self, desk: Desk, name: Any, connect: Any, queue: Any, **arguments: Any) -> None:
        super().__init__(name, connect, queue, **arguments)
        self._desk = desk
        self._wake: Any = _Bell(self._ring)
        self._pause: Entry | None = None
        self._runs = False
        put = self._put

        def note_put(
            stream: StreamId, payload: bytes, events: int, received_ns: int, mark: Mark | None = None
        ) -> bool:
            desk.was_kept = put(stream, payload, events, received_ns, mark)
            return desk.was_kept

        self._put = note_put

    @property
    def _is_alive(self) -> bool:
        return self._runs

    def start(self) -> None:
        with self._lock:
            self._step = self._course.begin(self._moment(), self._start_delay_seconds)
        self._runs = True
        self._carry_on()

    def join(self, timeout: float) -> bool:
        if self._runs and self._stopping.is_set():
            self._over()
        return not self._runs

    def _begin_again(self) -> None:
        with self._lock:
            self._step = self._course.begin_again()
        self._queue.nudge()
        self._runs = True
        self._carry_on()

    def _carry_on(self) -> None:
        match self._step:
            case Pause(seconds):
                self._pause = self._desk.stage.agenda.timer(seconds, self._pause_is_over)
            case Connect():
                self._connect_now()
            case End():
                self._over()
        self._desk.wake_consumer()

    def _over(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._runs = False
        self._finish()

    def _ring(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = self._desk.stage.agenda.timer(0.001, self._pause_is_over)

    def _pause_is_over(self) -> None:
        self._pause = None
        if self._runs:
            self._resume()
            self._carry_on()

    def _connect_now(self) -> None:
        streamer: Any = self._connect(self)
        with self._lock:
            self._streamer = streamer
        streamer.open(self._when_gone)

    def _when_gone(self, error: OptionsHelperError | None) -> None:
        if self._runs:
            self._ended(error)
            self._carry_on()

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        super().frame(payload, events, received_ns)
        self._desk.wake_consumer()


class VirtualPulse:
    """A pulse whose thread looks twice a second, as far as anybody can tell: only looks around a sleep matter."""

    def __init__(
        self,
        desk: Desk,
        notice: Callable[[Absence], None],
        *,
        elapsed: Callable[[], float],
        monotonic: Callable[[], float],
        now_ns: Any,
    ) -> None:
        self._desk = desk
        self._notice = notice
        self._elapsed = elapsed
        self._monotonic = monotonic
        self._now_ns = now_ns
        self._judge = AbsenceJudge()
        desk.pulse = self

    @property
    def absent_seconds(self) -> float:
        return self._judge.absent_seconds

    def start(self) -> None:
        self._judge.look(self._elapsed(), self._monotonic(), self._now_ns())

    def stop(self) -> None: ...

    def join(self, seconds: float) -> None: ...

    def beat(self, seconds_ago: float) -> None:
        """The thread looked so long ago, when the process ran."""
        now = self._elapsed() - seconds_ago, self._monotonic() - seconds_ago
        self._judge.look(*now, self._now_ns() - int(seconds_ago * NS))

    def look(self) -> None:
        if not self._desk.just_woke:
            self.beat(PULSE_SECONDS / 2)
        self._desk.just_woke = False
        absence = self._judge.look(self._elapsed(), self._monotonic(), self._now_ns())
        if absence is not None:
            self._notice(absence)


class VirtualRun(LiveRun):
    """A run whose consumer is the agenda."""

    def __init__(self, desk: Desk, *arguments: Any, **more: Any) -> None:
        group = partial(
            StreamGroup, worker_cls=partial(VirtualWorker, desk), pulse_cls=partial(VirtualPulse, desk)
        )
        super().__init__(*arguments, group_cls=group, **more)
        self._desk = desk
        self._next: Entry | None = None
        self._lingers_until = 0
        self._house_at = 0
        self._is_over = False
        self.consumes_again_at = 0  # held up until then: a busy computer
        self._round = type(self._round)(desk.stage.clocks.monotonic())

    def start(self) -> None:
        self.streams.start()
        self._account.start()
        self._schedule(0.5)

    def stop(self, deadline: float) -> None:
        self._account.stop()
        self.streams.stop(0.0)
        self._is_over = True
        while not self.streams.queue.drained:
            self._take_in(self.streams.queue.take(0.0, FOLD_EVENTS))
        self._tell_of_streams()
        self._stopped = True

    def wake_consumer(self) -> None:
        """Something came: it looks within milliseconds, or when it has let frames gather."""
        now = self._desk.stage.clocks.true_ns
        self._schedule(max(2_000_000, self._lingers_until - now) / NS)

    def _schedule(self, seconds: float) -> None:
        now = self._desk.stage.clocks.true_ns
        at_ns = max(now + int(seconds * NS), self.consumes_again_at)
        if self._next is not None:
            if self._next.at_ns <= at_ns:
                return
            self._next.cancel()
        self._next = self._desk.stage.agenda.at(at_ns, self._do_round, product=True, timer=True)

    def _do_round(self) -> None:
        self._next = None
        if self._is_over:
            return
        self._take_in(self.streams.queue.take(0.0, FOLD_EVENTS))
        stage = self._desk.stage
        if stage.clocks.true_ns >= self._house_at:
            self._house_at = stage.clocks.true_ns + int(stage.look_after() * NS)
            self._do_what_is_due(stage.clocks.monotonic())
        stage.check()
        self._schedule(max(self._house_at - stage.clocks.true_ns, NS // 100) / NS)

    def look_soon(self, at_ns: int) -> None:
        """Something happened: the house is kept then at the latest."""
        if not self._is_over:
            self._house_at = min(self._house_at, at_ns)
            self._schedule(max(0, at_ns - self._desk.stage.clocks.true_ns) / NS)

    def _let_gather(self, pause: Gather) -> None:
        assert pause.seconds == LINGER_SECONDS
        self._lingers_until = self._desk.stage.clocks.true_ns + int(pause.seconds * NS)

    def hear_hours(self, told: ToldSessions) -> None:
        """The market told its hours, as over REST."""
        self._state.clock.told = told


class Desk:
    """The product's process: a manager, and what its threads would have in common."""

    def __init__(self, stage: Stage, network: Network, heard: Heard, rest: Any = None) -> None:
        self.stage = stage
        self.network = network
        self.heard = heard
        self.was_kept = True
        self.just_woke = False
        self.pulse: VirtualPulse | None = None
        self.run: VirtualRun | None = None
        stage.look_soon.append(self._look_soon)
        clocks = stage.clocks
        dice = stage.dice("jitter")
        self.settings = Settings(api_key=SecretStr("demo-key"), api_secret=SecretStr("demo-secret"))
        self.manager = LiveStreamManager(
            self.settings,
            stock_stream_cls=partial(VirtualMarketStreamer, self, "stocks"),
            option_stream_cls=partial(VirtualMarketStreamer, self, "options"),
            trading_stream_cls=partial(VirtualTradingStreamer, self, "fills"),
            rest_cls=rest,
            now_ns=clocks.wall_ns,
            monotonic=clocks.monotonic,
            elapsed=clocks.elapsed,
            retry=RetryPolicy(jitter=dice.random),
            run_cls=self._new_run,
        )

    def _new_run(self, *arguments: Any, **more: Any) -> VirtualRun:
        self.run = VirtualRun(self, *arguments, **more)
        return self.run

    def _look_soon(self, at_ns: int) -> None:
        if self.run is not None:
            self.run.look_soon(at_ns)

    def start(self, config: LiveStreamConfig) -> None:
        """Press Start."""
        self.manager.start(config)

    def stop(self) -> None:
        """Press Stop."""
        self.manager.stop()

    def snapshot(self) -> LiveSnapshot:
        """What a page would draw now."""
        return self.manager.snapshot()

    def wake_consumer(self) -> None:
        """There is something for it."""
        if self.run is not None:
            self.run.wake_consumer()

    def sleep(self) -> None:
        """The process stops running; its pulse looked a moment before."""
        if self.pulse is not None:
            self.pulse.beat(PULSE_SECONDS * self.stage.dice("pulse").random())
        for prepare in self.stage.before_sleep:
            prepare()
        self.stage.agenda.sleep()

    def wake(self, *, suspended: bool) -> None:
        """It runs again."""
        self.just_woke = True
        self.stage.agenda.wake(suspended=suspended)
        # Which of its threads runs first is chance: the pulse, or one that reads a socket.
        if self.pulse is not None and self.stage.dice(f"waking/{self.stage.clocks.true_ns}").random() < 0.5:
            self.pulse.look()
        self.network.wake()
        if self.pulse is not None:
            self.stage.agenda.timer(0.2, self.pulse.look)
        for go_on in self.stage.after_sleep:
            go_on()

    def health_of(self, snapshot: LiveSnapshot) -> Mapping[str, Any]:
        """Healths by the stream's plain name."""
        return {str(name): health for name, health in snapshot.streams.items()}
