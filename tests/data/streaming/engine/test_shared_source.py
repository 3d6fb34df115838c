"""Several runs of one process on one connection: each keeps what is its own, and none costs another anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from pydantic import SecretStr

from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.data.streaming.engine.shared_source import SharedConnections, SharedSource
from options_helper.data.streaming.engine.stream_source import StreamSource, SymbolStreamer
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.messages import DecodedFrame, decode_frame
from options_helper.errors import StreamError, StreamRefused
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.settings import Settings
from tests.kit.fakes import (
    NOON,
    SETTINGS,
    ScriptedSource,
    ScriptedStream,
    ScriptedStreams,
    SteppedClock,
    acknowledge,
    announce,
    fail,
    frame,
    quote_message,
)
from tests.kit.waiting import AT_ONCE, FOREVER, until_no_thread, wait_until

STOCKS = StreamName.STOCKS
IEX = LiveStreamConfig(stocks=("AAPL",), stream_fills=False, stream_options=False)
QUOTES = ("quotes",)


class Noted(StreamSink):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.announcements: list[str | None] = []
        self.answers: list[tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]] = []
        self.frames: list[tuple[bytes, int | None]] = []
        self.notices: list[str] = []
        self.invited = threading.Event()
        self.is_patient = True

    def may_wait(self) -> bool:
        return self.is_patient

    def connected(self, announcement: str | None) -> None:
        self.announcements.append(announcement)

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        self.answers.append((tuple(requested), tuple(acknowledged), dict(refusals)))

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        self.frames.append((payload, received_ns))

    def notice(self, sentence: str) -> None:
        self.notices.append(sentence)

    def invite(self) -> None:
        self.invited.set()


@dataclass
class Run:
    """One part in the connection, on a thread as a worker's."""

    source: SharedSource
    wishes: dict[str, tuple[str, ...]]
    settings: Settings = SETTINGS
    config: LiveStreamConfig = IEX
    sink: Noted = field(default_factory=Noted)
    raised: list[StreamError] = field(default_factory=list)

    def __post_init__(self) -> None:
        made = self.source.streamer(STOCKS, self.settings, self.config, self.sink)
        self.streamer = cast("SymbolStreamer", made)
        for symbol, channels in self.wishes.items():
            self.streamer.subscribe([symbol], channels=channels)
        self.thread = threading.Thread(target=self._run, name="live-run", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.streamer.run()
        except StreamError as error:
            self.raised.append(error)

    def wait_for_frames(self, *payloads: bytes) -> None:
        wait_until(lambda: len(self.sink.frames) >= len(payloads), saw=lambda: self.sink.frames)
        assert [payload for payload, _ in self.sink.frames] == list(payloads)

    def wait_for_connection(self) -> None:
        wait_until(lambda: self.sink.announcements)

    def wait_for_notice(self, sentence: str) -> None:
        wait_until(lambda: self.sink.notices == [sentence], saw=lambda: self.sink.notices)

    def wait_for_answers(self, count: int = 1) -> None:
        wait_until(lambda: len(self.sink.answers) >= count, saw=lambda: (self.sink.answers, self.raised))

    def lost(self) -> StreamError:
        """What its end was."""
        self.thread.join(AT_ONCE)
        assert not self.thread.is_alive()
        (error,) = self.raised
        return error


class Scene:
    """Connections to a scripted server, and the runs that share them."""

    def __init__(self, scripted: ScriptedStreams) -> None:
        self.scripted = scripted
        self.clock = SteppedClock()
        self.connections = SharedConnections(ScriptedSource({STOCKS: scripted}), now_ns=self.clock)
        self.runs: list[Run] = []

    def join(self, user: str, *symbols: str, channels: tuple[str, ...] = QUOTES, **more: object) -> Run:
        run = Run(self.connections.of(user), dict.fromkeys(symbols, channels), **more)  # type: ignore[arg-type]
        self.runs.append(run)
        return run

    @property
    def server(self) -> ScriptedStream:
        """The last connection that was made."""
        return wait_until(lambda: self.scripted.made)[-1]

    def answer(self, *refused: str) -> None:
        """The server has all that is wanted of it now but these."""
        server = self.server
        taken = tuple(symbol for symbol in server.wanted if symbol not in refused)
        server.sink.subscribed(tuple(server.wanted), taken, dict.fromkeys(refused, "no such symbol"))


@contextmanager
def scene(*scripts: Sequence[Callable[[ScriptedStream], None]]) -> Iterator[Scene]:
    """What is still running at its end is stopped."""
    made = Scene(ScriptedStreams(*scripts))
    try:
        yield made
    finally:
        for run in made.runs:
            run.streamer.stop()
        for run in made.runs:
            run.thread.join(AT_ONCE)
        until_no_thread("live-")


def test_two_runs_have_one_connection_and_hear_the_same_at_the_same_moment():
    with scene() as shared:
        page = shared.join("the page", "AAPL")
        page.wait_for_answers()
        recorder = shared.join("the recording", "AAPL")
        recorder.wait_for_answers()

        shared.server.sink.frame(frame(quote_message("AAPL")), 1)
        for run in (page, recorder):
            run.wait_for_frames(frame(quote_message("AAPL")))
        assert page.sink.frames == recorder.sink.frames
        assert page.sink.frames[0][1] == NOON
        assert len(shared.scripted.made) == 1


def test_the_server_is_asked_for_what_the_runs_want_together_and_each_is_sent_its_share():
    with scene() as shared:
        page = shared.join("the page", "AAPL", "SPY")
        page.wait_for_answers()
        recorder = shared.join("the recording", "SPY", "QQQ", channels=("quotes", "bars"))
        wait_until(lambda: "QQQ" in shared.server.wanted)
        assert shared.server.channels == {
            "AAPL": frozenset(QUOTES),
            "SPY": frozenset(("quotes", "bars")),
            "QQQ": frozenset(("quotes", "bars")),
        }
        shared.answer()
        recorder.wait_for_answers()
        assert recorder.sink.answers == [(("SPY", "QQQ"), ("SPY", "QQQ"), {})]
        assert page.sink.answers == [(("AAPL", "SPY"), ("AAPL", "SPY"), {})]  # nothing new for the page

        one, two, bar = quote_message("AAPL"), quote_message("SPY"), {"T": "b", "S": "SPY"}
        shared.server.sink.frame(frame(one, two, bar), 3)
        page.wait_for_frames(b"\xdd\x00\x00\x00\x02" + frame(one)[1:] + frame(two)[1:])
        recorder.wait_for_frames(b"\xdd\x00\x00\x00\x02" + frame(two)[1:] + frame(bar)[1:])


def test_what_was_left_is_not_sent_on_while_the_server_still_sends_it():
    with scene() as shared:
        page, recorder = shared.join("the page", "AAPL"), shared.join("the recording", "SPY")
        for run in (page, recorder):
            run.wait_for_connection()
        wait_until(lambda: len(shared.server.wanted) == 2)
        shared.answer()
        recorder.streamer.stop()
        recorder.thread.join(AT_ONCE)
        assert list(shared.server.wanted) == ["AAPL"]

        stray, own = frame(quote_message("SPY")), frame(quote_message("AAPL"))
        shared.server.sink.frame(stray, 1)
        shared.server.sink.frame(own, 1)
        page.wait_for_frames(own)
        # Once it is acknowledged nothing strange comes any more, and frames are not looked into.
        shared.answer()
        shared.server.sink.frame(stray, 1)
        page.wait_for_frames(own, stray)


def test_who_leaves_ends_the_connection_for_nobody_else_and_the_last_one_ends_it():
    with scene() as shared:
        page, recorder = shared.join("the page", "AAPL"), shared.join("the recording", "AAPL")
        for run in (page, recorder):
            run.wait_for_answers()
        page.streamer.stop()
        page.thread.join(AT_ONCE)
        assert not shared.server.stopped.is_set()
        shared.server.sink.frame(frame(quote_message("AAPL")), 1)
        recorder.wait_for_frames(frame(quote_message("AAPL")))
        assert page.sink.frames == []

        recorder.streamer.stop()
        recorder.thread.join(AT_ONCE)
        assert shared.server.stopped.is_set()
        until_no_thread("live-shared")
        shared.join("the page", "AAPL").wait_for_answers()
        assert len(shared.scripted.made) == 2


def test_a_run_that_changes_its_symbols_is_answered_at_once_where_another_has_them():
    with scene() as shared:
        page = shared.join("the page", "AAPL", "SPY")
        page.wait_for_answers()
        recorder = shared.join("the recording", "AAPL")
        recorder.wait_for_answers()
        sent = len(shared.server.sent)
        recorder.streamer.subscribe(["SPY"], channels=QUOTES)
        recorder.wait_for_answers(2)
        assert recorder.sink.answers[-1] == (("AAPL", "SPY"), ("AAPL", "SPY"), {})
        recorder.streamer.unsubscribe(["AAPL"])
        assert len(shared.server.sent) == sent
        assert set(shared.server.wanted) == {"AAPL", "SPY"}


def test_who_joins_with_more_channels_is_answered_when_the_server_has_those_and_not_before():
    """The symbol alone is there already: that is no answer to what is asked of it beside."""
    with scene() as shared:
        page = shared.join("the page", "AAPL")
        page.wait_for_answers()
        recorder = shared.join("the recording", "AAPL", channels=("quotes", "bars"))
        recorder.wait_for_connection()
        wait_until(lambda: "bars" in shared.server.channels["AAPL"])
        late = shared.join("a third", "AAPL")
        late.wait_for_answers()
        assert recorder.sink.answers == []

        both = {"AAPL": ("quotes", "bars")}
        shared.server.sink.answered(both, both)
        shared.answer()
        recorder.wait_for_answers()
        assert recorder.sink.answers == [(("AAPL",), ("AAPL",), {})]


def test_a_channel_that_is_refused_to_one_is_no_refusal_to_another_who_has_the_symbol():
    with scene() as shared:
        page = shared.join("the page", "AAPL")
        recorder = shared.join("the recording", "AAPL", channels=("bars",))
        for run in (page, recorder):
            run.wait_for_connection()
        wait_until(lambda: "bars" in shared.server.channels["AAPL"])
        shared.server.sink.answered({"AAPL": ("quotes", "bars")}, {"AAPL": ("quotes",)})
        shared.server.sink.subscribed(("AAPL",), ("AAPL",), {"AAPL": "no bars of it"})
        assert isinstance(recorder.lost(), StreamRefused)
        page.wait_for_answers()
        assert page.sink.answers[-1] == (("AAPL",), ("AAPL",), {})


def test_a_channel_that_was_left_is_not_looked_for_any_more_once_the_server_has_answered():
    with scene() as shared:
        page = shared.join("the page", "AAPL")
        recorder = shared.join("the recording", "AAPL", channels=("quotes", "bars"))
        for run in (page, recorder):
            run.wait_for_connection()
        wait_until(lambda: "bars" in shared.server.channels["AAPL"])
        recorder.streamer.unsubscribe(["AAPL"], channels=("bars",))
        wait_until(lambda: "bars" not in shared.server.channels["AAPL"])
        bar, quote = frame({"T": "b", "S": "AAPL"}), frame(quote_message("AAPL"))
        shared.server.sink.frame(bar, 1)
        shared.server.sink.frame(quote, 1)
        page.wait_for_frames(quote)

        only_quotes = {"AAPL": QUOTES}
        shared.server.sink.answered(only_quotes, only_quotes)
        shared.answer()
        shared.server.sink.frame(bar, 1)
        page.wait_for_frames(quote, bar)


def test_a_refused_symbol_is_told_to_whoever_asked_for_it_and_ends_one_that_has_no_other():
    with scene() as shared:
        page = shared.join("the page", "AAPL")
        page.wait_for_answers()
        recorder = shared.join("the recording", "GONE")
        wait_until(lambda: "GONE" in shared.server.wanted)
        shared.answer("GONE")
        error = recorder.lost()
        assert isinstance(error, StreamRefused)
        assert "no such symbol" in str(error)
        assert recorder.sink.answers == [(("GONE",), (), {"GONE": "no such symbol"})]
        assert page.sink.answers == [(("AAPL",), ("AAPL",), {})]
        wait_until(lambda: "GONE" not in shared.server.wanted)


def test_a_loss_is_everybodys_and_the_first_to_try_again_brings_the_others_along():
    cut = threading.Event()

    def lose(stream: ScriptedStream) -> None:
        assert cut.wait(AT_ONCE)
        fail(StreamError("too many connections", code=406, retry_slowly=True))(stream)

    with scene([acknowledge(), lose], [acknowledge()]) as shared:
        page, recorder = shared.join("the page", "AAPL"), shared.join("the recording", "AAPL")
        for run in (page, recorder):
            run.wait_for_answers()
        cut.set()
        errors = [run.lost() for run in (page, recorder)]
        told = [(str(error), error.code, error.retry_slowly) for error in errors]
        assert told == [("too many connections", 406, True)] * 2
        assert errors[0] is not errors[1]  # each has a traceback of its own
        shared.runs.append(Run(shared.connections.of("the page"), {"AAPL": QUOTES}, sink=page.sink))
        assert recorder.sink.invited.wait(AT_ONCE)
        assert not page.sink.invited.is_set()


def test_another_feed_is_refused_with_who_has_the_connection_and_invited_when_that_one_has_left():
    with scene() as shared:
        recorder = shared.join("the recording", "AAPL")
        recorder.wait_for_answers()
        page = shared.join("the page", "AAPL", config=replace(IEX, stock_feed="sip"))
        error = page.lost()
        assert isinstance(error, StreamRefused)
        assert str(error) == (
            "The recording has the stocks connection with the feed iex, and the account has one connection: the page "
            "cannot have sip beside it. Choose the same feed, or end the other first."
        )
        assert len(shared.scripted.made) == 1
        assert not page.sink.invited.is_set()
        recorder.streamer.stop()
        assert page.sink.invited.wait(AT_ONCE)


def test_other_keys_are_refused_without_being_told():
    with scene() as shared:
        shared.join("the recording", "AAPL").wait_for_answers()
        other = replace(SETTINGS, api_secret=SecretStr("another-secret"))
        error = shared.join("the page", "AAPL", settings=other).lost()
        assert "with other keys or at another address" in str(error)
        assert "secret" not in str(error)


def test_a_connection_on_which_nobody_hears_anything_is_made_anew_for_all():
    with scene() as shared:
        page, recorder = shared.join("the page", "AAPL"), shared.join("the recording", "AAPL")
        for run in (page, recorder):
            run.wait_for_answers()
        page.streamer.abandon()
        assert "Nothing came over the stocks connection, so the page has it made anew." in str(
            recorder.lost()
        )
        page.thread.join(AT_ONCE)
        assert page.raised == []  # a worker knows itself why it left
        assert shared.server.stopped.is_set()


def closing_slowly(may_close: threading.Event) -> Callable[[ScriptedStream], None]:
    def step(stream: ScriptedStream) -> None:
        assert stream.stopped.wait(AT_ONCE)
        assert may_close.wait(AT_ONCE)

    return step


def test_who_had_it_made_anew_is_told_when_another_was_quicker():
    """Also where it has left before the connection is closed."""
    may_close = threading.Event()
    with scene([acknowledge(), closing_slowly(may_close)], [acknowledge()]) as shared:
        page, recorder = shared.join("the page", "AAPL"), shared.join("the recording", "AAPL")
        for run in (page, recorder):
            run.wait_for_answers()
        page.streamer.abandon()
        page.thread.join(AT_ONCE)
        may_close.set()
        recorder.lost()
        assert not page.sink.invited.is_set()

        shared.join("the recording", "AAPL").wait_for_answers()
        assert page.sink.invited.wait(AT_ONCE)


def test_who_joins_while_the_connection_is_being_closed_waits_for_its_end():
    """The account has one: a second beside one that is not closed yet would be refused."""
    may_close = threading.Event()
    with scene([acknowledge(), closing_slowly(may_close)], [acknowledge()]) as shared:
        page = shared.join("the page", "AAPL")
        page.wait_for_answers()
        page.streamer.stop()
        wait_until(shared.server.stopped.is_set)
        recorder = shared.join("the recording", "AAPL")
        wait_until(recorder.thread.is_alive)
        recorder.thread.join(0.1)
        assert recorder.sink.announcements == []
        assert len(shared.scripted.made) == 1

        may_close.set()
        recorder.wait_for_answers()
        assert len(shared.scripted.made) == 2


def test_who_alone_hears_nothing_leaves_alone():
    """Of an illiquid symbol nothing may come for long, and another run's thousand symbols are not cut off for it."""
    with scene() as shared:
        page, recorder = shared.join("the page", "AAPL"), shared.join("the recording", "ZZZZ")
        wait_until(lambda: len(shared.server.wanted) == 2)
        shared.answer()
        recorder.wait_for_answers()
        shared.server.sink.frame(frame(quote_message("AAPL")), 1)
        page.wait_for_frames(frame(quote_message("AAPL")))
        recorder.streamer.abandon()
        recorder.thread.join(AT_ONCE)
        assert not shared.server.stopped.is_set()
        # What it asked for is taken back, so that it is asked anew when it comes again.
        assert list(shared.server.wanted) == ["AAPL"]


def test_who_comes_later_is_told_the_time_of_a_played_market_as_it_is_then():
    said = Announcement(MarketKind.REPLAY, NOON, 10.0, NOON + 1_000_000_000_000)
    with scene([announce(said.header())]) as shared:
        shared.join("the page", "AAPL").wait_for_connection()
        shared.clock.advance(30)
        late = shared.join("the recording", "AAPL")
        late.wait_for_connection()
        assert late.sink.announcements == [replace(said, now_ns=NOON + 300_000_000_000).header()]


def test_who_comes_later_is_not_told_of_a_time_after_the_end_of_what_is_played():
    said = Announcement(MarketKind.REPLAY, NOON, 10.0, NOON + 1_000)
    with scene([announce(said.header())]) as shared:
        shared.join("the page", "AAPL").wait_for_connection()
        shared.clock.advance(30)
        late = shared.join("the recording", "AAPL")
        late.wait_for_connection()
        assert late.sink.announcements == [replace(said, now_ns=NOON + 1_000).header()]


def test_a_complaint_of_the_server_is_told_to_all():
    with scene() as shared:
        page, recorder = shared.join("the page", "AAPL"), shared.join("the recording", "AAPL")
        for run in (page, recorder):
            run.wait_for_answers()
        shared.server.sink.notice("too slow")
        for run in (page, recorder):
            run.wait_for_notice("too slow")


def test_a_stop_before_the_beginning_makes_no_connection():
    with scene() as shared:
        source = shared.connections.of("the page")
        streamer = source.streamer(STOCKS, SETTINGS, IEX, Noted())
        streamer.stop()
        streamer.run()
        assert shared.scripted.made == []


def test_books_are_asked_anew_for_all_who_have_them():
    with scene() as shared:
        page = shared.join("the page", "AAPL")
        page.wait_for_answers()
        page.streamer.renew(["AAPL"], "quotes")
        assert shared.server.sent[-1] == ("renew quotes", ("AAPL",))


def test_a_stream_of_another_encoding_is_not_shared():
    """Its frames cannot be parted by symbol, so each run has a connection for itself."""

    def decode_otherwise(payload: bytes) -> DecodedFrame:
        return decode_frame(payload)

    scripted = ScriptedStreams()
    source: StreamSource = ScriptedSource({STOCKS: scripted}, decode_otherwise)
    connections = SharedConnections(source)
    made = [connections.of(user).streamer(STOCKS, SETTINGS, IEX, Noted()) for user in ("one", "two")]
    assert made == scripted.made


# Two managers, as a page and a recorder have one each.

MANAGED = replace(IEX, stocks=("AAPL", "SPY"))


@contextmanager
def managers(scripted: ScriptedStreams, *configs: LiveStreamConfig) -> Iterator[list[LiveStreamManager]]:
    connections = SharedConnections(ScriptedSource({STOCKS: scripted}))
    made = [
        LiveStreamManager(
            SETTINGS,
            source=connections.of(f"run {number}"),
            rest_cls=None,
            retry=RetryPolicy(jitter=lambda: 1.0),
        )
        for number, _ in enumerate(configs)
    ]
    try:
        for manager, config in zip(made, configs, strict=True):
            manager.start(config)
        yield made
    finally:
        for manager in made:
            manager.stop()
        for manager in made:
            assert manager.snapshot().streams[STOCKS].accounted
        until_no_thread("live-")


def health(manager: LiveStreamManager) -> StreamHealth:
    return manager.snapshot().streams[STOCKS]


def phases(runs: Sequence[LiveStreamManager]) -> set[Phase]:
    return {Phase.LIVE if health(run).phase is Phase.QUIET else health(run).phase for run in runs}


def test_the_quicker_of_two_runs_ends_the_gap_of_both():
    """One would have waited for ever; the gap of each is written by itself."""
    cut = threading.Event()

    def lose(stream: ScriptedStream) -> None:
        assert cut.wait(AT_ONCE)
        fail("cut")(stream)

    quick = replace(MANAGED, reconnect_base_seconds=0.05, reconnect_cap_seconds=0.05)
    slow = replace(MANAGED, reconnect_base_seconds=FOREVER, reconnect_cap_seconds=FOREVER)
    scripted = ScriptedStreams([acknowledge(), lose], [acknowledge()])
    with managers(scripted, slow, quick) as runs:
        wait_until(lambda: phases(runs) == {Phase.LIVE}, saw=lambda: [health(run) for run in runs])
        cut.set()
        wait_until(
            lambda: all(health(run).connections == 2 for run in runs),
            saw=lambda: [health(run) for run in runs],
        )
        assert [[gap.reason for gap in health(run).gaps] for run in runs] == [["cut"], ["cut"]]
        assert len(scripted.made) == 2


def test_a_run_whose_queue_is_full_loses_its_own_events_and_no_others():
    small = replace(MANAGED, queue_maxsize=2)
    scripted = ScriptedStreams()
    with managers(scripted, small, MANAGED) as (small_run, other_run):
        wait_until(lambda: phases((small_run, other_run)) == {Phase.LIVE})
        # No frame of three fits into a queue for two.
        scripted.made[0].sink.frame(frame(*(quote_message("AAPL", bid) for bid in (1, 2, 3))), 3)
        wait_until(lambda: health(other_run).applied == 3, saw=lambda: health(other_run))
        assert (health(small_run).received, health(small_run).dropped) == (3, 3)
        assert (health(other_run).received, health(other_run).dropped) == (3, 0)


def answer_each_change(stream: ScriptedStream) -> None:
    """The server has whatever is wanted of it, and says so each time."""
    stream.sink.connected(None)
    said: tuple[str, ...] | None = None
    while not stream.stopped.wait(0.005):
        if (wanted := tuple(stream.wanted)) != said:
            said = wanted
            stream.sink.subscribed(wanted, wanted, {})


def test_a_stop_and_a_start_of_one_leave_the_other_as_it_is():
    scripted = ScriptedStreams([answer_each_change])
    with managers(scripted, MANAGED, replace(MANAGED, stocks=("SPY", "QQQ"))) as (page, recorder):
        wait_until(lambda: phases((page, recorder)) == {Phase.LIVE})
        for _ in range(3):
            page.stop()
            assert health(recorder).connections == 1
            page.start(MANAGED)
            wait_until(lambda: phases((page,)) == {Phase.LIVE}, saw=lambda: health(page))
        assert health(recorder).gaps == ()
        assert len(scripted.made) == 1
        assert set(scripted.made[0].wanted) == {"AAPL", "SPY", "QQQ"}


def test_a_connection_may_be_read_late_only_while_all_who_share_it_let_frames_wait():
    with scene() as shared:
        page = shared.join("the page", "AAPL")
        recorder = shared.join("the recorder", "AAPL")
        for run in (page, recorder):
            run.wait_for_connection()
        assert shared.server.sink.may_wait()

        recorder.sink.is_patient = False
        assert not shared.server.sink.may_wait()


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), asyncio.CancelledError("a bug")])
def test_whatever_ends_a_shared_connection_is_told_to_all_who_have_it(error: BaseException):
    """Whoever is not told waits for ever, and whoever joins then joins something dead."""
    with scene([fail(error)], [acknowledge()]) as shared:
        page = shared.join("the page", "AAPL")
        assert "a bug" in str(page.lost())
        shared.join("the recording", "AAPL").wait_for_answers()
