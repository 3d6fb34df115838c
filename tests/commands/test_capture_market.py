"""A capture asks the market for its hours and learns its time by the way; its rows are none of that business."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from options_helper.capture.capture_config import CaptureConfig
from options_helper.capture.plan import Selection
from options_helper.commands.capture_market import MarketAsked
from options_helper.commands.capture_run import Capture, CaptureRequest
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.rest.server_clock import ServerClock
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.errors import RestError
from options_helper.model.instants import datetime_nanoseconds, utc_datetime
from options_helper.model.market_hours import NEW_YORK, ToldSessions, regular_session
from options_helper.model.snapshot import Phase
from options_helper.settings import Settings
from tests.commands.test_stream_capture_command import Scene, ScriptedRunner, new_york
from tests.kit.fakes import SETTINGS, SteppedClock
from tests.kit.waiting import AT_ONCE, wait_until

FRIDAY = date(2026, 11, 20)
ONE_STOCK = Selection(stocks=("AAPL",))


class Exchange:
    """Whom a capture asks; the time of its answers is that of a computer whose clock is right."""

    def __init__(self, *closed: date, behind: timedelta = timedelta(), refuses: bool = False) -> None:
        self._closed = closed
        self.behind = behind
        self._refuses = refuses
        self.made = 0
        self.asked = 0
        self.stopped = False
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(
        self, _: Settings, *, server_clock: ServerClock, now: Callable[[], datetime], **__: Any
    ) -> Exchange:
        self.made += 1
        self._server_clock, self._now = server_clock, now
        return self

    def calendar(self, first: date, last: date) -> list[dict[str, str]]:
        """Its trading days."""
        self.asked += 1
        assert self.may_answer.wait(AT_ONCE)
        if self._refuses:
            raise RestError("It does not say.")
        made_at = (self._now() + self.behind).astimezone(UTC).replace(microsecond=0)
        self._server_clock.answered({"Date": format_datetime(made_at, usegmt=True)}, self._now(), 0.0)
        days = [first + timedelta(days=count) for count in range((last - first).days + 1)]
        sessions = [regular_session(day) for day in days if day not in self._closed]
        return [
            {
                "date": f"{session.opens:%Y-%m-%d}",
                "open": f"{session.opens:%H:%M}",
                "close": f"{session.closes:%H:%M}",
            }
            for session in sessions
            if session is not None
        ]

    def reopen(self) -> None:
        """From now on each day is as in our calendar."""
        self._closed = ()

    def clock(self) -> dict[str, Any]:
        """It tells nothing."""
        return {}

    def stop(self) -> None:
        """Nothing is under way."""
        self.stopped = True


@contextmanager
def asked(
    exchange: Exchange, at: str = "2026-11-20T10:00", settings: Settings = SETTINGS
) -> Iterator[MarketAsked]:
    with MarketAsked(settings, exchange, RequestLimits(), lambda: new_york(at), lambda: 0.0) as market:
        yield market


@contextmanager
def asked_by(clock: SteppedClock, exchange: Exchange) -> Iterator[MarketAsked]:
    """The same by a clock that can be set."""
    limits = RequestLimits()
    with MarketAsked(SETTINGS, exchange, limits, lambda: utc_datetime(clock()), clock.monotonic) as market:
        yield market


class TellingRunner(ScriptedRunner):
    """An engine that remembers what it was told of hours."""

    told: ToldSessions | None = None
    ahead_ns = 0

    def tell_hours(self, told: ToldSessions, ahead_ns: int) -> None:
        """Remember it."""
        self.told, self.ahead_ns = told, ahead_ns


class AskingScene(Scene):
    """A scene whose first wait is until the market has answered."""

    exchange: Exchange
    capture: Capture

    def wait(self, seconds: float) -> int:
        wait_until(lambda: self.capture._market.told)  # noqa: SLF001 - that it was heard is nowhere else to be seen
        return super().wait(seconds)

    def runner(self, config: Any, _settings: Settings) -> ScriptedRunner:
        self.sessions.append(TellingRunner(self, config))
        self.on_session()
        return self.sessions[-1]

    def record_asking(self, out: Path, exchange: Exchange, selection: Selection = ONE_STOCK) -> int:
        self.exchange = exchange
        request = CaptureRequest(selection, out, market_hours=True)
        self.capture = Capture.prepare(
            request,
            SETTINGS,
            self,
            now=self.now,
            elapsed=lambda: self.seconds,
            finder=lambda _: nullcontext(self),
            make_runner=self.runner,
            rest_cls=exchange,
        )
        return self.capture.run(self)


def test_a_recorder_does_not_wait_for_a_day_on_which_the_exchange_stays_closed(tmp_path: Path):
    """A day of mourning: from Thursday evening it waits for Monday, and says why."""
    scene = AskingScene("2026-11-19T18:00", signals_at=["2026-11-23T12:00"])

    assert scene.record_asking(tmp_path, Exchange(FRIDAY)) == 0

    assert scene.hours == [("Mon 09:29", "Mon 12:00")]
    assert "Note: the market's own calendar differs, and is believed: 20 Nov 26 closed." in scene.said


def test_a_session_under_way_ends_when_the_market_says_that_it_is_closed(tmp_path: Path):
    scene = AskingScene("2026-11-20T10:00", signals_at=["2026-11-23T12:00"])

    exchange = Exchange(FRIDAY)
    exchange.may_answer.clear()
    scene.on_session = exchange.may_answer.set

    scene.record_asking(tmp_path, exchange)

    assert [day.split()[0] for day, _ in scene.hours] == ["Fri", "Mon"]
    assert scene.hours[0][1] == "Fri 10:00"


@pytest.mark.parametrize("behind", [timedelta(minutes=10), -timedelta(minutes=10)])
def test_a_wrong_clock_does_not_move_the_hours_and_is_said_once(behind: timedelta):
    with asked(Exchange(FRIDAY, behind=behind)) as market:
        wait_until(lambda: market.told)

        assert abs(market.now() - new_york("2026-11-20T10:00") - behind) < timedelta(seconds=1)
        said = market.take_news()
        assert sum("this computer's clock is 10 min" in sentence for sentence in said) == 1
        assert market.take_news() == []


def test_an_engine_is_told_of_hours_and_of_the_clock_and_silence_is_a_doubt(tmp_path: Path):
    exchange = Exchange(FRIDAY, behind=timedelta(minutes=10))
    scene = Scene("2026-11-20T10:00")
    engine = TellingRunner(scene, CaptureConfig(LiveStreamConfig(stocks=("AAPL",)), tmp_path))
    with asked(exchange) as market:
        wait_until(lambda: market.told)
        market.tell(engine)
        assert engine.told == {FRIDAY: None}
        assert engine.ahead_ns == pytest.approx(-600e9, abs=1e9)

        scene.phase = Phase.STALLED
        watch: Any = market._watch  # noqa: SLF001
        watch._asked_at = float("-inf")  # noqa: SLF001 - as if it were long ago
        market.tell(engine)
        wait_until(lambda: exchange.asked == 2)


def test_what_is_true_no_more_is_taken_back_from_an_engine(tmp_path: Path):
    """A closing that was called off, and a clock that NTP put right."""
    clock, exchange = SteppedClock(datetime_nanoseconds(new_york("2026-11-20T10:00"))), Exchange(FRIDAY)
    exchange.behind = timedelta(minutes=10)
    engine = TellingRunner(
        Scene("2026-11-20T10:00"), CaptureConfig(LiveStreamConfig(stocks=("AAPL",)), tmp_path)
    )
    with asked_by(clock, exchange) as market:
        wait_until(lambda: market.told)
        market.tell(engine)
        assert (engine.told, engine.ahead_ns < 0) == ({FRIDAY: None}, True)

        exchange.reopen()
        exchange.behind = timedelta()
        clock.put_forward(600)
        market.tell(engine)
        wait_until(lambda: not market.told)
        market.tell(engine)
        assert (engine.told, engine.ahead_ns) == ({}, 0)

        engine.told = None
        market.tell(engine)
        assert engine.told is None, "nothing is said twice"


def test_the_servers_time_is_known_by_an_answer_since_the_clock_was_set_alone():
    """Set while an answer came, it makes of that what it was before any: a mere clock."""
    clock = SteppedClock(datetime_nanoseconds(new_york("2026-11-20T10:00")))
    market = MarketAsked(SETTINGS, None, RequestLimits(), lambda: utc_datetime(clock()), clock.monotonic)

    def answered() -> datetime | None:
        made_at = format_datetime(new_york("2026-11-20T10:00").astimezone(UTC), usegmt=True)
        market.server_clock.answered({"Date": made_at}, utc_datetime(clock()), 0.0)
        return market.servers_now()

    assert market.servers_now() is None
    found = answered()
    assert found is not None
    clock.put_forward(-3_600)
    assert answered() is None
    again = answered()
    assert again is not None
    assert max(abs(one - new_york("2026-11-20T10:00")) for one in (found, again)) <= timedelta(seconds=1)


class WrongClockScene(AskingScene):
    """A computer whose clock is wrong, which it knows before its first wait is over."""

    clock_is_right = False

    def wait(self, seconds: float) -> int:
        wait_until(lambda: self.capture._market.server_clock.skew)  # noqa: SLF001 - as above
        return Scene.wait(self, seconds)


class SetClockScene(WrongClockScene):
    """Wrong until its clock is set, once a session runs."""

    def wait(self, seconds: float) -> int:
        if self.sessions and self.exchange.behind:
            self.now_at += self.exchange.behind
            self.exchange.behind = timedelta()
        return super().wait(seconds)


@pytest.mark.parametrize("behind", [timedelta(hours=1), -timedelta(hours=1)])
def test_a_clock_that_is_set_while_a_session_runs_moves_no_hours(behind: timedelta, tmp_path: Path):
    """What was known of the wrong clock would end today's session early, or begin tomorrow's too soon or late."""
    scene = SetClockScene("2026-11-19T06:00", signals_at=["2026-11-20T12:00"])

    scene.record_asking(tmp_path, Exchange(behind=behind))

    by_the_wrong_clock = new_york("2026-11-19T09:29") - behind
    assert scene.hours == [
        (f"Thu {by_the_wrong_clock.astimezone(NEW_YORK):%H:%M}", "Thu 16:01"),
        ("Fri 09:29", "Fri 12:00"),
    ]
    which_way = "forward" if behind > timedelta() else "back"
    assert sum(f"this computer's clock was put {which_way} by 1 h." in said for said in scene.said) == 1


def test_the_day_of_the_plan_is_the_market_s_too(tmp_path: Path):
    """By a clock that is 15 hours ahead it is tomorrow at the open, and what expires today would be left out."""
    scene = WrongClockScene("2026-11-19T20:00", signals_at=["2026-11-20T03:00"])
    scene.on_wait = lambda: setattr(scene, "lookups_fail", True)

    code = scene.record_asking(
        tmp_path, Exchange(behind=-timedelta(hours=15)), Selection(underlyings=("AAPL",))
    )

    assert code == 0
    (session,) = scene.sessions
    assert session.config.streams.option_contracts == ("AAPL261119C00100000",)


def test_an_answer_that_was_under_way_when_the_clock_was_set_is_not_the_last():
    clock, exchange = SteppedClock(datetime_nanoseconds(new_york("2026-11-20T10:00"))), Exchange()
    exchange.may_answer.clear()
    with asked_by(clock, exchange) as market:
        wait_until(lambda: exchange.asked)
        clock.put_forward(600)
        market.now()
        exchange.may_answer.set()
        wait_until(lambda: exchange.asked == 2)


def test_without_an_answer_the_calendar_stands_and_that_is_said_once():
    with asked(Exchange(refuses=True)) as market:
        wait_until(lambda: market._problem)  # noqa: SLF001 - when it was heard
        assert market.told == {}
        (said,) = market.take_news()

    assert (
        "the market's hours could not be asked for, so the program's calendar stands: It does not say."
        in said
    )


def test_a_simulator_s_keys_are_not_taken_to_alpaca():
    exchange = Exchange()
    simulated = replace(SETTINGS, stream_url="ws://127.0.0.1:9", base_url="https://paper-api.alpaca.markets")

    with asked(exchange, settings=simulated):
        pass

    assert exchange.made == 0


def test_the_end_of_a_capture_ends_what_is_being_asked():
    exchange = Exchange(FRIDAY)
    with asked(exchange) as market:
        wait_until(lambda: market.told)

    assert exchange.stopped
