"""The account's poller on a scripted server: what belongs together is told together."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any, cast

import pytest

from options_helper.clock import elapsed_seconds
from options_helper.data.rest.server_clock import ServerClock
from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.account_watch import AccountWatch
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.errors import RestError
from options_helper.model.account import AccountState, RestPhase, RestTask
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.frames import Frame
from options_helper.model.instants import utc_datetime
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.fakes import NOON, SETTINGS, SteppedClock, frame, quote_message
from tests.kit.waiting import FOREVER, wait_until

CALL = "AAPL261218C00180000"
FILL = {
    "stream": "trade_updates",
    "data": {
        "event": "fill",
        "timestamp": "2026-11-05T17:00:00Z",
        "execution_id": "e1",
        "price": "1.05",
        "qty": "2",
        "order": {
            "id": "o1",
            "symbol": CALL,
            "side": "buy",
            "qty": "2",
            "filled_qty": "2",
            "status": "filled",
        },
    },
}


def activity(moment: str) -> dict[str, Any]:
    """A purchase as the account's activities tell it."""
    return {
        "id": "20261105163000000::e9",
        "activity_type": "FILL",
        "symbol": CALL,
        "side": "buy",
        "qty": "1",
        "cum_qty": "1",
        "leaves_qty": "0",
        "price": "2",
        "transaction_time": moment,
        "order_id": "o9",
        "order_status": "filled",
        "type": "fill",
    }


class ScriptedRest:
    """An account; each look at the positions is what the script says next, then the last one."""

    def __init__(self, *answers: Callable[[], int], fills: Sequence[dict[str, Any]] = ()) -> None:
        self._answers = list(answers)
        self._fills = list(fills)
        self.requests = 0
        self.fills_after: list[datetime] = []

    def __call__(self, *_: Any, **__: Any) -> ScriptedRest:
        return self

    def positions(self) -> list[dict[str, Any]]:
        """So many contracts."""
        self.requests += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [{"symbol": CALL, "qty": str(answer()), "side": "long", "asset_class": "us_option"}]

    def account(self) -> dict[str, Any]:
        """Without cash."""
        return {}

    def orders(self, *_: Any) -> Iterator[list[Any]]:
        """None."""
        return iter(())

    def activities(self, types: Sequence[str], after: datetime) -> Iterator[list[Any]]:
        """The fills, whenever they were."""
        if "FILL" in types:
            self.fills_after.append(after)
            yield self._fills

    def calendar(self, *_: Any) -> list[Any]:
        """It keeps none."""
        return []

    def option_snapshots(self, symbols: Sequence[str], _: str) -> dict[str, Any]:
        """Two daily bars, as on a morning and as after a session."""
        bars = {"dailyBar": "2026-11-05T05:00:00Z", "prevDailyBar": "2026-11-04T05:00:00Z"}
        return {symbol: {name: {"t": day, "c": 2} for name, day in bars.items()} for symbol in symbols}

    stock_snapshots = option_snapshots

    def stop(self) -> None:
        """Nothing is under way."""


class Harness:
    """The state that the poller and a stream share."""

    def __init__(self, clock: Callable[[], int] = lambda: NOON + 10**9) -> None:
        self.state = LiveState(fills_cache_size=10)
        self.lock = threading.Lock()
        self._clock = clock
        self._watch: AccountWatch | None = None

    def observe(self, *, fills_applied: int, listening: bool = False) -> None:
        """As the consumer does when it keeps house."""
        assert self._watch is not None
        self._observe(self._watch, fills_applied, listening=listening)

    @staticmethod
    def _observe(watch: AccountWatch, fills_applied: int, *, listening: bool) -> None:
        health = StreamHealth(StreamName.FILLS, phase=Phase.LIVE, connections=1)
        watch.observe({StreamName.FILLS: health} if listening else {}, fills_applied)

    def on_order_update(self) -> None:
        """As the consumer does when the socket tells one."""
        with self.lock:
            self.state.apply(Frame(StreamName.FILLS, json.dumps(FILL).encode(), 1, NOON))

    @contextmanager
    def watching(
        self,
        rest: ScriptedRest,
        *,
        poll: float = 0.05,
        minimum_interval: float = 0.0,
        race_window: float = 0.0,
        listening: bool = False,
        config: LiveStreamConfig | None = None,
    ) -> Iterator[Callable[[], AccountState]]:
        """A poller that has begun, and what it knows; `listening` to order updates from its first look on."""
        self._watch = watch = AccountWatch(
            config or LiveStreamConfig(),
            SETTINGS,
            self.state,
            lock=self.lock,
            now_ns=self._clock,
            rest_cls=rest,
            policy=WatchPolicy(
                initial_delay=0,
                poll=poll,
                again=0.05,
                debounce=0,
                minimum_interval=minimum_interval,
                race_window=race_window,
            ),
            elapsed=self._clock.monotonic if isinstance(self._clock, SteppedClock) else elapsed_seconds,
        )
        if listening:
            self._observe(watch, 0, listening=True)
        watch.start()
        try:
            yield lambda: watch.account_state
        finally:
            watch.stop()


def test_a_fill_that_comes_while_positions_are_read_is_in_both_or_in_neither():
    """Whoever subtracts it from the position would otherwise think that it was held overnight."""
    harness = Harness()
    seen: list[tuple[int, int]] = []

    def heard_and_not_yet_booked() -> int:
        harness.on_order_update()
        return 0

    rest = ScriptedRest(lambda: 0, heard_and_not_yet_booked, lambda: 2)
    with harness.watching(rest) as account_state:

        def both_known() -> bool:
            now = account_state()
            if now.view is not None and not now.unsettled:
                held = sum(position.quantity for position in now.view.positions.values())
                seen.append((int(held), len(now.executions)))
            return bool(seen) and seen[-1] == (2, 1)

        wait_until(both_known, every=0.001, saw=lambda: seen)

    assert set(seen) <= {(0, 0), (2, 1)}


def test_a_position_that_changes_between_two_looks_leaves_its_symbol_open_and_is_asked_for_again():
    seen = threading.Event()

    def when_seen() -> int:
        assert seen.wait(FOREVER)
        return 2

    rest = ScriptedRest(lambda: 1, lambda: 2, when_seen)
    with Harness().watching(rest) as account_state:
        wait_until(lambda: rest.requests == 3, saw=account_state)
        assert account_state().unsettled == {CALL}
        assert account_state().reports[RestTask.POSITIONS].problem is None
        seen.set()
        wait_until(lambda: account_state().unsettled == frozenset(), saw=account_state)


def test_what_is_heard_while_an_answer_is_on_its_way_leaves_its_symbol_open_and_not_the_day():
    """However slow the server and however busy the account, there is something to tell after each answer."""
    harness = Harness()

    def heard_on_the_way() -> int:
        harness.on_order_update()
        return 0

    rest = ScriptedRest(lambda: 0, heard_on_the_way)
    with harness.watching(rest, poll=FOREVER, minimum_interval=FOREVER, listening=True) as account_state:
        wait_until(lambda: account_state().executions_day is not None, saw=account_state)
        seen = account_state()

    assert seen.executions_day == date(2026, 11, 5)
    assert not seen.executions
    assert seen.unsettled == frozenset({CALL})


def test_a_bug_in_an_answer_s_reading_ends_nothing(caplog: pytest.LogCaptureFixture):
    seen = threading.Event()

    def broken() -> int:
        raise ZeroDivisionError

    def when_seen() -> int:
        assert seen.wait(FOREVER)
        return 3

    rest = ScriptedRest(broken, broken, broken, when_seen)
    with Harness().watching(rest) as account_state:
        wait_until(lambda: rest.requests == 4, saw=account_state)
        assert "ZeroDivisionError" in (account_state().reports[RestTask.POSITIONS].problem or "")
        seen.set()
        wait_until(lambda: account_state().view is not None, saw=account_state)
        assert account_state().reports[RestTask.POSITIONS].problem is None

    assert "live-account" in caplog.text


@pytest.mark.parametrize("race_window", [0.0, FOREVER])
def test_a_fill_after_the_last_reading_is_told_beside_it_while_the_account_cannot_be_asked(
    race_window: float,
):
    """Otherwise the last reading's positions would be told as those of now."""
    harness = Harness()

    def silent() -> int:
        raise RestError("The account cannot be reached.")

    # Asked again for the fill alone: a look of its own accord might come between the fill and its telling.
    rest = ScriptedRest(lambda: 0, lambda: 0, silent)
    with harness.watching(rest, poll=FOREVER, race_window=race_window) as account_state:
        wait_until(lambda: account_state().executions_day is not None, saw=account_state)
        harness.on_order_update()
        harness.observe(fills_applied=1)
        wait_until(lambda: account_state().reports[RestTask.POSITIONS].problem, saw=account_state)

        assert account_state().executions == ()
        assert [one.identity for one in account_state().later] == ["e1"]
        # Heard so soon after the answer, it may have been in it.
        assert account_state().unsettled == ({CALL} if race_window else set())


def test_what_went_wrong_is_said_until_it_goes_well():
    answers = iter([RestError("The account cannot be reached.")])
    answering = threading.Event()

    def silent_once() -> int:
        for error in answers:
            raise error
        assert answering.wait(FOREVER)
        return 1

    with Harness().watching(ScriptedRest(silent_once)) as account_state:
        wait_until(lambda: account_state().reports[RestTask.POSITIONS].problem, saw=account_state)
        wait_until(
            lambda: account_state().reports[RestTask.POSITIONS].phase is RestPhase.REQUESTING,
            saw=account_state,
        )
        assert "cannot be reached" in (account_state().reports[RestTask.POSITIONS].problem or "")
        answering.set()
        wait_until(
            lambda: account_state().reports[RestTask.POSITIONS].phase is RestPhase.DONE, saw=account_state
        )
        assert account_state().reports[RestTask.POSITIONS].problem is None


@pytest.mark.parametrize(
    ("announced", "until"),
    [
        (None, "17:00:45 UTC; "),
        (
            Announcement(MarketKind.REPLAY, NOON - 86_400 * 10**9, 1.0, None),
            "17:00:45 UTC, by this computer's clock; ",
        ),
    ],
    ids=["Alpaca", "a market with a time of its own"],
)
def test_the_end_of_a_pause_is_told_by_a_clock_that_is_named(announced: Announcement | None, until: str):
    state = LiveState(fills_cache_size=1)
    nobody: Any = object()
    context = PollContext(state, threading.Lock(), lambda: NOON, lambda _: nobody, held=lambda: 42.0)
    context.rest()
    if announced:
        state.clock.announce(announced)
    context.report(RestTask.PRICES, phase=RestPhase.REQUESTING)

    context.report_pause()

    problem = context.account_state.reports[RestTask.PRICES].problem
    assert problem == f"Alpaca allows no more requests until {until}then it is asked again."


def test_a_question_that_waits_for_its_turn_says_why():
    nobody: Any = object()
    context = PollContext(
        LiveState(fills_cache_size=1),
        threading.Lock(),
        lambda: NOON,
        lambda _: nobody,
        held=lambda: 0.0,
        busy=lambda: "The minute's requests are used up.",
    )
    context.rest()
    context.report(RestTask.PRICES, phase=RestPhase.REQUESTING)

    context.report_pause()

    assert context.account_state.reports[RestTask.PRICES].problem == "The minute's requests are used up."
    assert context.account_state.reports[RestTask.FILLS].problem is None


@pytest.mark.parametrize("behind", [600, -600], ids=["it was behind", "it was ahead"])
def test_a_clock_that_was_set_is_not_put_right_by_what_was_known_of_it_before(behind: int):
    """For up to a minute, until the next answer, every age would be wrong by what is right now."""
    state, clock, nobody = LiveState(fills_cache_size=1), SteppedClock(), cast("Any", object())
    server_clock = ServerClock(clock, clock.monotonic)
    context = PollContext(
        state,
        threading.Lock(),
        clock,
        lambda _: nobody,
        held=lambda: 0.0,
        server_clock=server_clock,
    )
    right = utc_datetime(NOON + behind * 10**9)
    date_of_answer = {"Date": format_datetime(right.replace(microsecond=0), usegmt=True)}
    server_clock.answered(date_of_answer, utc_datetime(NOON), 0.0)
    context.correct_clock()
    assert abs(context.now() - right) < timedelta(seconds=2)

    clock.advance(1)
    context.correct_clock()
    assert state.clock.ahead_ns != 0
    made_ns = context.market_ns()
    state.apply(quoted(made_ns, 3.0, clock()))
    clock.advance(21)

    clock.put_forward(behind)
    context.correct_clock()

    assert abs(context.now() - right) < timedelta(seconds=24)
    (quote,) = snapshot_of(state, clock()).quotes.values()
    age = (context.market_ns() - quote.received_ns) / 10**9
    assert age == pytest.approx(21, abs=0.01), "what was received keeps its age"
    state.apply(quoted(made_ns - 30 * 10**9, 1.0, clock()))
    (quote,) = snapshot_of(state, clock()).quotes.values()
    assert quote.bid_price == 3.0, "and an older quote does not take its place"


@pytest.mark.parametrize("seconds", [3_600, -3_600])
def test_what_waited_while_somebody_set_the_clock_keeps_its_age(seconds: int):
    """It is folded after that was noticed, with the receipt of the clock of before."""
    state, clock, nobody = LiveState(fills_cache_size=1), SteppedClock(), cast("Any", object())
    queue = FrameQueue(100, elapsed=clock.monotonic)
    context = PollContext(
        state,
        threading.Lock(),
        clock,
        lambda _: nobody,
        held=lambda: 0.0,
        server_clock=ServerClock(clock, clock.monotonic),
    )
    context.notice_set_clock()
    waiting = quoted(clock(), 3.0, clock())
    queue.put(waiting.stream, waiting.payload, 1, waiting.received_ns)
    clock.advance(4)
    clock.put_forward(seconds)
    clock.advance(1)

    context.notice_set_clock()
    frames = queue.take(0.0, 100)
    for one in context.received(frames):
        state.apply(one)

    (quote,) = snapshot_of(state, clock()).quotes.values()
    assert clock() - quote.received_ns == 5 * 10**9
    assert [one.received_ns for one in frames] == [waiting.received_ns], (
        "who records has it as it was stamped"
    )


def quoted(made_ns: int, bid: float, received_ns: int) -> Frame:
    """A frame with one quote, by this computer's clock."""
    return Frame(StreamName.STOCKS, frame(quote_message("AAPL", bid, at_ns=made_ns)), 1, received_ns)


def snapshot_of(state: LiveState, wall_ns: int) -> LiveSnapshot:
    """What is shown then."""
    return state.snapshot(wall_ns, running=True, running_since=None, streams={})


def test_updates_that_are_no_executions_ask_nothing():
    harness, rest = Harness(), ScriptedRest(lambda: 0)
    with harness.watching(rest, poll=FOREVER) as account_state:
        wait_until(lambda: account_state().view is not None, saw=account_state)
        before = rest.requests
        for number in range(1, 6):
            harness.observe(fills_applied=number)
        assert account_state().executions_day is not None
    assert rest.requests == before


def test_the_next_reading_begins_where_the_server_s_own_time_ended():
    """Our clock may be ahead of the server's, and what happened in between must not be passed over."""
    harness, rest = Harness(), ScriptedRest(lambda: 0, fills=[activity("2026-11-05T16:30:00Z")])
    with harness.watching(rest):
        wait_until(lambda: len(rest.fills_after) > 2, saw=lambda: rest.fills_after)

    first, *later = rest.fills_after
    assert first < datetime(2026, 11, 5, 5, 0, tzinfo=UTC), "midnight in New York"
    assert all(after <= datetime(2026, 11, 5, 16, 30, tzinfo=UTC) for after in later)


def test_after_a_night_s_sleep_yesterday_s_last_fills_are_asked_for_too():
    clock = SteppedClock(NOON + 10**9)
    harness = Harness(clock)
    rest = ScriptedRest(lambda: 0, fills=[activity("2026-11-05T16:30:00Z")])
    with harness.watching(rest):
        wait_until(lambda: len(rest.fills_after) > 1, saw=lambda: rest.fills_after)
        clock.advance(20 * 3_600)
        seen = len(rest.fills_after)
        wait_until(lambda: len(rest.fills_after) > seen + 1, saw=lambda: rest.fills_after)

    assert rest.fills_after[-1] <= datetime(2026, 11, 5, 16, 30, tzinfo=UTC)


def test_a_new_day_asks_for_new_closes_and_forgets_the_old_ones():
    clock = SteppedClock(NOON)
    harness = Harness(clock)
    rest = ScriptedRest(lambda: 0)
    with harness.watching(rest, config=LiveStreamConfig(option_contracts=(CALL,))) as account_state:
        wait_until(lambda: CALL in account_state().closes, saw=account_state)
        assert account_state().closes[CALL].day == date(2026, 11, 4)
        clock.advance(24 * 3_600)
        wait_until(
            lambda: CALL in account_state().closes and account_state().closes[CALL].day == date(2026, 11, 5),
            saw=account_state,
        )


def test_a_contract_that_was_traded_has_its_close_although_nothing_is_streamed():
    harness = Harness()
    harness.on_order_update()
    with harness.watching(ScriptedRest(lambda: 2), poll=FOREVER) as account_state:
        wait_until(lambda: CALL in account_state().closes, saw=account_state)


class Fillless(ScriptedRest):
    """Its fills can be read only while `answers`."""

    answers = False

    def orders(self, *_: Any) -> Iterator[list[Any]]:
        """None, or no answer."""
        if not self.answers:
            raise RestError("The orders cannot be read.")
        return iter(())


def test_positions_do_not_wait_for_fills_that_cannot_be_read():
    """The quantities are known by them; the day is not, and its report says why."""
    with Harness().watching(Fillless(lambda: 2)) as account_state:
        wait_until(
            lambda: account_state().view is not None and account_state().reports[RestTask.FILLS].problem,
            saw=account_state,
        )
        seen = account_state()

    assert seen.view is not None
    assert seen.view.positions[CALL].quantity == 2
    assert seen.reports[RestTask.POSITIONS].problem is None
    assert (seen.executions_day, seen.doubts) == (None, ())


def test_positions_are_told_while_fills_are_still_waited_for():
    released = threading.Event()

    class Slow(ScriptedRest):
        def orders(self, *_: Any) -> Iterator[list[Any]]:
            assert released.wait(FOREVER)
            return iter(())

    with Harness().watching(Slow(lambda: 2), listening=True) as account_state:
        wait_until(lambda: account_state().view is not None, saw=account_state)
        assert account_state().reports[RestTask.FILLS].phase is RestPhase.REQUESTING
        released.set()
        wait_until(lambda: account_state().executions_day is not None, saw=account_state)


@pytest.mark.parametrize(("held", "day"), [("1", date(2026, 11, 5)), ("3", None)])
def test_the_day_stands_without_its_fills_only_while_the_positions_are_what_is_known_of_it(
    held: str, day: date | None
):
    """An assignment that only the fills would tell shows in the positions."""
    rest, now = Fillless(lambda: now[-1]), [1]
    rest.answers = True
    with Harness().watching(rest, listening=True) as account_state:
        wait_until(lambda: account_state().executions_day is not None, saw=account_state)
        rest.answers = False
        wait_until(lambda: account_state().reports[RestTask.FILLS].problem, saw=account_state)
        now.append(int(held))
        before = rest.requests
        wait_until(lambda: rest.requests >= before + 3, saw=account_state)
        seen = account_state()

    assert seen.view is not None
    assert (str(seen.view.positions[CALL].quantity), seen.executions_day) == (held, day)


def test_positions_are_as_old_as_the_question_however_long_the_cash_is_awaited():
    """What was executed meanwhile is not in them."""
    clock = SteppedClock()

    class SlowAccount(ScriptedRest):
        def account(self) -> dict[str, Any]:
            clock.advance(31)
            return {}

    harness = Harness(clock)
    with harness.watching(SlowAccount(lambda: 1)) as account_state:
        wait_until(lambda: account_state().view is not None, saw=account_state)
        known = account_state()
        view, finished_at = known.view, known.reports[RestTask.POSITIONS].finished_at

    assert view is not None
    assert finished_at is not None
    assert (finished_at - view.as_of).total_seconds() > 30


class TellingTime(ScriptedRest):
    """An account whose positions say what time it is there; before they are asked for, the clock is put forward."""

    clock: SteppedClock
    ahead = 0

    def __call__(self, *_: Any, server_clock: ServerClock, **__: Any) -> ScriptedRest:
        self._server_clock = server_clock
        return self

    def orders(self, *_: Any) -> Iterator[list[Any]]:
        """None."""
        self.clock.put_forward(3_600)
        self.ahead += 3_600
        return iter(())

    def positions(self) -> list[dict[str, Any]]:
        """As scripted."""
        received_at = utc_datetime(self.clock())
        date = format_datetime(received_at - timedelta(seconds=self.ahead), usegmt=True)
        self._server_clock.answered({"Date": date}, received_at, 0.0)
        return super().positions()


def test_positions_are_as_old_as_their_question_by_the_clock_that_their_answer_put_right():
    """By the clock that nobody had put right yet they would be still to come."""
    rest = TellingTime(lambda: 1)
    rest.clock = SteppedClock()
    with Harness(rest.clock).watching(rest, poll=FOREVER) as account_state:
        wait_until(lambda: account_state().executions_day is not None, saw=account_state)
        view = account_state().view

    assert rest.ahead == 3_600
    assert view is not None
    assert abs(view.as_of - utc_datetime(NOON)) < timedelta(seconds=5)


class TellingHours(ScriptedRest):
    """A market whose word on its hours says what time it is there too: an hour before this computer's."""

    def __call__(self, *_: Any, server_clock: ServerClock, **__: Any) -> ScriptedRest:
        self._server_clock = server_clock
        return self

    def calendar(self, *_: Any) -> list[Any]:
        """An ordinary day."""
        return [{"date": "2026-11-05", "open": "09:30", "close": "16:00"}]

    def clock(self) -> dict[str, Any]:
        """It says nothing of a closing."""
        date = format_datetime(utc_datetime(NOON - 3_600 * 10**9), usegmt=True)
        self._server_clock.answered({"Date": date}, utc_datetime(NOON), 0.0)
        return {}


def test_hours_were_asked_for_at_the_time_that_their_answer_says():
    """It is told until the next morning."""
    with Harness(SteppedClock()).watching(TellingHours(lambda: 1), poll=FOREVER) as account_state:

        def finished_at() -> datetime | None:
            report = account_state().reports.get(RestTask.CALENDAR)
            return None if report is None else report.finished_at

        wait_until(lambda: finished_at() is not None, saw=account_state)
        found = finished_at()

    assert found is not None
    assert abs(found - utc_datetime(NOON - 3_600 * 10**9)) < timedelta(seconds=5)
