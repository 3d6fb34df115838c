"""Silence is expected time without a frame: told by two clocks, of which anybody may set one, and the real calendar."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.data.streaming.engine.silence import Moment, SilenceJudge
from options_helper.model.instants import datetime_nanoseconds, utc_datetime
from options_helper.model.market_hours import expects_data
from options_helper.model.streams import StreamName

STALL = 60.0
SECOND = 1_000_000_000
# The week of Thanksgiving: a holiday, a half day, a weekend.
WEDNESDAY_1530 = datetime_nanoseconds(datetime(2026, 11, 25, 20, 30, tzinfo=UTC))


@dataclass
class Watched:
    """One stream, its judge and both clocks; it is looked at after each step."""

    wall_ns: int = WEDNESDAY_1530
    monotonic: float = 1_000.0
    judge: SilenceJudge = field(default_factory=lambda: SilenceJudge(STALL))
    live_since: Moment | None = None
    last_frame: Moment | None = None
    applied: int = 0
    rejected: int = 0
    is_read: bool = True
    silence: float = 0.0

    @property
    def now(self) -> Moment:
        return Moment(self.monotonic, self.wall_ns)

    @property
    def is_due(self) -> bool:
        return expects_data(StreamName.STOCKS, "iex", utc_datetime(self.wall_ns))

    def connect(self) -> None:
        self.live_since = self.now

    def hear(self, *, readable: bool = True) -> None:
        self.last_frame = self.now
        self.applied += readable
        self.rejected += not readable

    def pass_by(self, seconds: float, every: float = 0.5) -> None:
        """Let time pass, and look as often as the consumer does."""
        left = seconds
        while left > 0:
            step = min(every, left)
            left -= step
            self.monotonic += step
            self.wall_ns += int(step * SECOND)
            self.look()

    def look(self) -> float:
        self.silence = self.judge.observe(
            self.now,
            self.live_since,
            self.last_frame,
            expected=self.is_due,
            applied=self.applied if self.is_read else None,
            rejected=self.rejected if self.is_read else None,
        )
        return self.silence


def at(text: str) -> Watched:
    """A stream that was connected then, New York time."""
    watched = Watched(wall_ns=datetime_nanoseconds(datetime.fromisoformat(f"{text}-05:00")))
    watched.look()
    watched.connect()
    watched.look()
    return watched


def test_a_stream_that_is_mute_since_before_the_open_is_silent_from_the_open_on():
    stream = at("2026-11-25T09:29:30")
    stream.pass_by(30 + 59)
    assert 58 <= stream.silence < STALL
    stream.pass_by(2)
    assert stream.silence >= STALL
    since = stream.judge.since(stream.live_since, stream.last_frame)
    assert since is not None
    assert 0 <= since.wall_ns - datetime_nanoseconds(datetime(2026, 11, 25, 14, 30, tzinfo=UTC)) <= SECOND


def test_a_quote_before_the_open_is_no_excuse_for_the_silence_after_it():
    stream = at("2026-11-25T09:00:00")
    stream.hear()
    stream.pass_by(30 * 60 + 61, every=1.0)
    assert stream.silence >= STALL


def test_a_night_and_a_holiday_are_no_silence():
    stream = at("2026-11-25T15:59:49")
    stream.pass_by(1)
    stream.hear()
    stream.pass_by(10)
    stream.pass_by(2 * 86_400 - 6.5 * 3_600, every=60.0)  # to Friday, 9:30
    stream.pass_by(3, every=0.5)
    assert stream.is_due
    assert stream.silence <= 60.0
    assert stream.judge.patience_seconds == STALL, "nor does it earn patience"


def test_a_stream_of_which_nothing_can_be_read_is_silent_however_much_comes():
    stream = at("2026-11-25T12:00:00")
    stream.hear()
    stream.pass_by(1)
    for _ in range(70):
        stream.hear(readable=False)
        stream.pass_by(1)
    assert stream.silence >= STALL
    assert stream.judge.is_unreadable
    stream.hear()
    stream.look()
    assert stream.silence == 0


@pytest.mark.parametrize("heard_before", [False, True])
def test_what_cannot_be_read_ends_no_silence_from_which_patience_is_earned(*, heard_before: bool):
    stream = at("2026-11-25T12:00:00")
    if heard_before:
        stream.hear()
    stream.pass_by(50)
    stream.hear(readable=False)
    stream.pass_by(5)
    assert stream.silence == 55
    assert stream.judge.patience_seconds == STALL


@pytest.mark.parametrize("with_its_acknowledgement", [True, False])
def test_a_connection_is_silent_only_where_nothing_came_of_it_not_even_with_its_acknowledgement(
    *, with_its_acknowledgement: bool
):
    stream = at("2026-11-25T12:00:00")
    if with_its_acknowledgement:
        stream.hear()
    stream.pass_by(STALL + 1)
    assert stream.live_since is not None
    stream.judge.forget_connection(stream.live_since, stream.last_frame)
    assert stream.judge.patience_seconds == (STALL if with_its_acknowledgement else 2 * STALL)


def test_a_bad_message_among_good_ones_is_no_silence():
    stream = at("2026-11-25T12:00:00")
    for _ in range(120):
        stream.hear(readable=False)
        stream.hear()
        stream.pass_by(1)
    assert stream.silence <= 1


def test_what_waits_to_be_read_counts_as_heard():
    """A recorder under pressure puts its rows off for minutes, and applies nothing meanwhile."""
    stream = at("2026-11-25T12:00:00")
    for _ in range(120):
        stream.last_frame = stream.now
        stream.pass_by(1)
    assert stream.silence <= 1


def test_what_is_put_off_counts_as_heard_also_where_the_last_that_was_looked_at_was_unreadable():
    """Its rows stand still then, and so does the count of what could be read."""
    stream = at("2026-11-25T12:00:00")
    stream.hear()
    stream.pass_by(1)
    stream.hear(readable=False)
    stream.look()
    assert stream.judge.is_unreadable
    stream.is_read = False
    for _ in range(120):
        stream.last_frame = stream.now
        stream.pass_by(1)
        assert stream.silence <= 1
    stream.is_read = True
    stream.hear()
    stream.pass_by(1)
    assert (stream.silence, stream.judge.patience_seconds) == (1, STALL)


def test_a_stream_that_goes_mute_while_rows_are_put_off_is_silent():
    stream = at("2026-11-25T12:00:00")
    stream.hear()
    stream.is_read = False
    stream.pass_by(STALL + 1)
    assert stream.silence >= STALL


# What may happen between two looks: time passes, a frame, one that cannot be read, a new connection.
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.5, 1.0, 20.0, 900.0, 30_000.0]),
        st.sampled_from(["nothing", "frame", "unreadable", "connect", "lost"]),
    ),
    max_size=60,
)
SET_CLOCK = st.sampled_from([-7_200.0, -300.0, -30.0, 0.0, 30.0, 300.0, 7_200.0])


def _happen(stream: Watched, what: str) -> None:
    match what:
        case "frame" | "unreadable" if stream.live_since is not None:
            stream.hear(readable=what == "frame")
        case "connect":
            stream.connect()
        case "lost":
            stream.live_since = None


@settings(deadline=None)
@given(STEPS, st.lists(SET_CLOCK, max_size=60))
def test_silence_is_never_longer_than_any_of_its_three_bounds(
    steps: list[tuple[float, str]], sets: list[float]
):
    """However the wall clock is set, over nights, weekends, a holiday and a half day."""
    stream = Watched()
    stream.look()
    due_since: float | None = stream.monotonic
    readable: float | None = None
    for number, (seconds, what) in enumerate(steps):
        if number < len(sets):
            stream.wall_ns += int(sets[number] * SECOND)
        stream.monotonic += seconds
        stream.wall_ns += int(seconds * SECOND)
        _happen(stream, what)
        if what == "frame" and stream.live_since is not None:
            readable = stream.monotonic
        was_due = stream.is_due
        silence = stream.look()

        if not was_due:
            due_since = None
            assert silence == 0
            continue
        due_since = stream.monotonic if due_since is None else due_since
        if stream.live_since is None:
            assert silence == 0
            continue
        bounds = [due_since, stream.live_since.monotonic, *([] if readable is None else [readable])]
        assert 0 <= silence <= stream.monotonic - max(bounds)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.5, 30.0), st.booleans()), max_size=30), st.lists(SET_CLOCK, max_size=30)
)
def test_setting_the_clock_within_a_session_changes_nothing(
    steps: list[tuple[float, bool]], sets: list[float]
):
    noon = datetime_nanoseconds(datetime(2026, 11, 25, 17, 0, tzinfo=UTC))
    true, wrong = Watched(wall_ns=noon), Watched(wall_ns=noon)
    for stream in (true, wrong):
        stream.look()
        stream.connect()
    for number, (seconds, comes) in enumerate(steps):
        if number < len(sets):
            # Not out of the session: then it is another time of day, as far as anybody can know.
            wrong.wall_ns = noon + int(sets[number] * SECOND)
        for stream in (true, wrong):
            stream.monotonic += seconds
            if comes:
                stream.hear()
            stream.look()
        assert true.silence == wrong.silence
        assert true.judge.patience_seconds == wrong.judge.patience_seconds


@settings(deadline=None)
@given(st.integers(0, 4 * 86_400), st.integers(0, 3_600))
def test_a_mute_stream_is_stalled_a_minute_after_it_should_have_moved(connected_after: int, more: int):
    """Whenever it was connected: no silence of expected time is ever missed."""
    stream = Watched(wall_ns=WEDNESDAY_1530 + connected_after * SECOND)
    stream.look()
    stream.connect()
    due = 0
    for _ in range(61 + more):
        due = due + 1 if stream.is_due else 0
        stream.pass_by(1, every=1.0)
        if stream.is_due and due > STALL + 1:
            assert stream.silence >= STALL
            return
