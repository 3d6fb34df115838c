"""What a stream does next, without a thread: each test is a conversation in virtual seconds."""

from __future__ import annotations

import pytest

from options_helper.data.streaming.engine.absence import Absence
from options_helper.data.streaming.engine.silence import Moment
from options_helper.data.streaming.engine.stream_course import (
    Abandon,
    BeginAgain,
    Connect,
    End,
    EndPause,
    Pause,
    RetryPolicy,
    Step,
    StreamCourse,
)
from options_helper.errors import OptionsHelperError, StreamError, StreamRefused
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.fakes import NOON

SECOND = 1_000_000_000
CUT, REFUSED = StreamError("cut"), StreamRefused("key refused")


class Conversation:
    """A course, and what time it is for it."""

    def __init__(self, **policy: object) -> None:
        self.passed = 0.0
        self.slept = 0.0
        self.course = StreamCourse(
            StreamName.STOCKS, RetryPolicy(**policy), self.now, told=lambda wall_ns: wall_ns
        )
        self.due = True

    @property
    def now(self) -> Moment:
        return Moment(self.passed, NOON + int((self.passed + self.slept) * SECOND))

    @property
    def health(self) -> StreamHealth:
        return self.course.health("iex", self.now, due=self.due, alive=True)

    def after(self, seconds: float) -> Conversation:
        self.passed += seconds
        return self

    def sleep(self, seconds: int) -> None:
        """The computer does, and what measures stands still."""
        self.slept += seconds
        wall_ns = self.now.wall_ns
        self.course.absent(self.now, Absence(wall_ns - seconds * SECOND, wall_ns, float(seconds)))

    def go_live(self) -> None:
        assert self.course.resume() == Connect()
        self.course.connected()
        self.course.subscribed(self.now, ("AAPL",), ("AAPL",), {})

    def fail(self, error: OptionsHelperError | None, jitter: float = 1.0) -> Step:
        self.course.resume()
        return self.course.ended(self.now, error, jitter=jitter)

    def hear(self) -> None:
        self.course.frame_at, self.course.frame_ns = self.now

    def watch(self, rejected: int = 0) -> Abandon | None:
        return self.course.watch(self.now, due=self.due, was_due=self.due, applied=0, rejected=rejected)


def pauses(talk: Conversation, error: OptionsHelperError, count: int) -> list[float]:
    found = []
    for _ in range(count):
        step = talk.fail(error)
        assert isinstance(step, Pause)
        found.append(step.seconds)
        talk.after(step.seconds)
    return found


def test_pauses_double_up_to_the_cap():
    assert pauses(Conversation(cap_seconds=5.0), CUT, 5) == [1, 2, 4, 5, 5]


def test_jitter_takes_at_most_half_of_a_pause():
    assert Conversation().fail(CUT, jitter=0.0) == Pause(0.5, "stocks stream lost (cut); attempt 1 in 0.5 s")


def test_a_full_connection_slot_is_tried_slowly():
    assert pauses(Conversation(), StreamError("taken", code=406, retry_slowly=True), 3) == [10, 20, 40]


def test_a_connection_slot_of_one_that_is_known_to_be_gone_is_tried_soon_and_then_slowly():
    talk = Conversation(slow_pauses=(1.0, 2.0, 5.0))
    assert pauses(talk, StreamError("taken", code=406, retry_slowly=True), 5) == [1, 2, 5, 10, 20]
    assert pauses(Conversation(slow_pauses=(3.0,)), CUT, 2) == [1, 2], "a cut is no full slot"


def test_a_refusal_is_confirmed_once_and_then_looked_at_ever_more_rarely():
    talk = Conversation()
    assert pauses(talk, REFUSED, 5) == [1, 30, 60, 120, 300]
    assert talk.health.phase is Phase.FAILED
    assert talk.health.refused_seconds == 30 + 60 + 120 + 300, "since it was first called failed"


def test_after_a_refusal_any_other_fault_is_tried_at_the_usual_pace():
    talk = Conversation()
    pauses(talk, REFUSED, 3)
    step = talk.fail(CUT)
    assert isinstance(step, Pause)
    assert step.seconds < 30
    assert talk.health.phase is Phase.RECONNECTING


def test_what_is_no_fault_of_the_stream_ends_it_until_somebody_asks():
    talk = Conversation()
    assert isinstance(talk.fail(OptionsHelperError("no such setting")), End)
    talk.course.finished()
    assert talk.course.has_failed
    assert talk.course.revive() == BeginAgain()
    assert talk.course.begin_again() == Pause(0.0)
    talk.go_live()
    assert talk.health.phase is Phase.LIVE


def test_revive_ends_the_pause_of_a_refused_stream_and_of_no_other():
    talk = Conversation()
    talk.fail(CUT)
    assert talk.course.revive() is None
    pauses(talk, REFUSED, 2)
    assert talk.course.revive() == EndPause()


def test_an_invitation_ends_any_pause_and_nothing_else():
    talk = Conversation()
    assert talk.course.invite() is None
    talk.fail(CUT)
    assert talk.course.invite() == EndPause()


def test_a_stopped_stream_opens_no_gap_and_connects_no_more():
    talk = Conversation()
    talk.go_live()
    talk.course.stop()
    assert talk.course.ended(talk.now, CUT, jitter=0.0) == End()
    assert talk.course.resume() == End()
    talk.course.finished()
    assert (talk.health.phase, talk.health.gap_count) == (Phase.STOPPED, 0)


def test_a_silence_is_a_gap_from_its_beginning_to_the_next_answer():
    talk = Conversation()
    talk.go_live()
    talk.watch()
    talk.after(1).hear()
    assert talk.after(59).watch() is None
    assert talk.after(1).watch() == Abandon()
    assert talk.watch() is None, "it is being ended"
    talk.course.ended(talk.now, None, jitter=0.0)
    talk.after(2).go_live()
    (gap,) = talk.health.gaps
    assert (gap.since_ns, gap.seconds) == (NOON + SECOND, 62)
    assert "No stocks data for 60 s" in gap.reason


def test_only_what_lived_makes_the_next_failure_the_first():
    talk = Conversation()
    assert pauses(talk, CUT, 3) == [1, 2, 4]
    talk.go_live()
    talk.after(9)
    step = talk.course.ended(talk.now, CUT, jitter=1.0)
    assert isinstance(step, Pause)
    assert step.seconds == 8
    talk.go_live()
    talk.after(10)
    step = talk.course.ended(talk.now, CUT, jitter=1.0)
    assert isinstance(step, Pause)
    assert step.seconds == 1


@pytest.mark.parametrize("then", ["nothing comes", "nothing can be read"])
def test_a_silence_in_which_the_process_did_not_run_is_told_from_its_beginning(then: str):
    """It is judged anew after the absence, and what was missed before that was missed all the same."""
    talk = Conversation(stall_seconds=60.0)
    talk.go_live()
    talk.after(10).hear()
    talk.watch()
    talk.after(40).watch()
    talk.after(10)
    wall_ns = talk.now.wall_ns
    talk.course.absent(talk.now, Absence(wall_ns - 8 * SECOND, wall_ns))
    rejected = 0
    while talk.watch(rejected) is None:
        talk.after(0.5)
        if then == "nothing can be read":
            talk.hear()
            rejected += 1
    talk.course.ended(talk.now, None, jitter=1.0)

    told = [(gap.since_ns, gap.until_ns) for gap in talk.health.gaps]
    assert sorted(told, key=lambda gap: gap[0]) == [
        (NOON + 10 * SECOND, NOON + 52 * SECOND),
        (NOON + 52 * SECOND, NOON + 60 * SECOND),
        (NOON + 60 * SECOND, None),
    ]
    assert talk.health.gap_count == 3


@pytest.mark.parametrize("quiet_seconds", [0, 8], ids=["cut as it was heard", "cut a while after that"])
def test_a_gap_in_which_the_clock_was_put_back_is_as_long_as_it_was(quiet_seconds: int):
    talk = Conversation()
    talk.go_live()
    talk.after(20).hear()
    talk.after(quiet_seconds).course.ended(talk.now, CUT, jitter=1.0)
    talk.after(30)
    talk.slept -= 600
    talk.after(50 - quiet_seconds).go_live()

    (gap,) = talk.health.gaps
    assert (gap.since_ns, gap.until_ns) == (NOON + 20 * SECOND, NOON + 100 * SECOND)


def test_what_a_dead_connection_lost_before_a_sleep_is_told_when_the_loss_is_found_after_it():
    """Its pings would have told of it while the computer slept."""
    talk = Conversation()
    talk.go_live()
    talk.after(10).hear()
    talk.after(12)
    talk.sleep(40)
    talk.after(2).course.ended(talk.now, CUT, jitter=1.0)

    told = sorted((gap.since_ns, gap.until_ns) for gap in talk.health.gaps[:2])
    assert told == [(NOON + 10 * SECOND, NOON + 22 * SECOND), (NOON + 22 * SECOND, NOON + 62 * SECOND)]
    assert talk.health.gaps[2].until_ns is None


def test_a_connection_that_is_heard_after_a_sleep_had_lost_nothing_before_it():
    talk = Conversation()
    talk.go_live()
    talk.after(10).hear()
    talk.sleep(40)
    talk.after(1).hear()
    talk.after(1).course.ended(talk.now, CUT, jitter=1.0)

    assert len(talk.health.gaps) == 2


def test_a_silence_before_a_sleep_is_told_by_the_clock_that_went_on():
    """What measures stands still while the computer sleeps."""
    talk = Conversation(stall_seconds=60.0)
    talk.go_live()
    talk.after(10).hear()
    talk.watch()
    talk.after(30).watch()
    talk.sleep(40)
    while talk.watch() is None:
        talk.after(0.5)
    talk.course.ended(talk.now, None, jitter=1.0)

    told = [(gap.since_ns, gap.until_ns) for gap in talk.health.gaps]
    assert (NOON + 10 * SECOND, NOON + 40 * SECOND) in told


def test_what_was_heard_after_an_absence_ends_the_silence_before_it():
    talk = Conversation(stall_seconds=60.0)
    talk.go_live()
    talk.after(10).hear()
    talk.watch()
    talk.after(50)
    wall_ns = talk.now.wall_ns
    talk.course.absent(talk.now, Absence(wall_ns - 8 * SECOND, wall_ns))
    talk.after(5).hear()
    while talk.watch() is None:
        talk.after(0.5)
    talk.course.ended(talk.now, None, jitter=1.0)

    assert [gap.since_ns for gap in talk.health.gaps] == [NOON + 52 * SECOND, NOON + 65 * SECOND]


def test_an_absence_is_a_gap_of_a_stream_that_was_heard():
    talk = Conversation()
    talk.go_live()
    talk.after(40)
    assert talk.course.absent(talk.now, Absence(NOON, talk.now.wall_ns)) is not None
    assert [gap.seconds for gap in talk.health.gaps] == [40]


def test_a_gap_after_the_clock_was_put_back_is_as_long_as_it_was():
    """Found on a simulated day (seed 49): it began where the one before ended, an hour later, and so had no length."""
    talk = Conversation()
    talk.go_live()
    talk.after(40)
    talk.course.absent(talk.now, Absence(talk.now.wall_ns - 40 * SECOND, talk.now.wall_ns))
    set_back_ns = talk.now.wall_ns - 3_600 * SECOND
    talk.course.absent(Moment(talk.passed, set_back_ns), Absence(set_back_ns - 30 * SECOND, set_back_ns))
    assert [gap.seconds for gap in talk.health.gaps] == [40, 30]


def put_back_after_a_gap(seconds: float) -> Conversation:
    """It did not run for 40 s from noon on, was heard 1,000 s later, and then the clock was put back by so much."""
    talk = Conversation()
    talk.go_live()
    talk.after(40)
    talk.course.absent(talk.now, Absence(NOON, talk.now.wall_ns))
    talk.after(1_000).hear()
    talk.slept -= seconds
    return talk


def test_an_absence_is_as_long_as_it_was_where_the_last_gap_was_told_by_a_clock_that_was_put_back():
    """Found on a simulated day (seed 771000448): by the clock of before the last gap had ended in its midst."""
    talk = put_back_after_a_gap(1_400)
    talk.sleep(591)

    assert [gap.seconds for gap in talk.health.gaps] == [40, 591]


def test_a_gap_begins_where_the_stream_was_heard_last_where_the_one_before_was_told_by_a_clock_that_was_put_back():
    talk = put_back_after_a_gap(1_010)
    talk.after(12).fail(CUT)

    assert talk.health.gaps[-1].since_ns == talk.now.wall_ns - 12 * SECOND == NOON + 30 * SECOND


def test_what_was_lost_before_a_sleep_is_told_beside_no_gap_of_a_clock_that_was_put_back():
    talk = put_back_after_a_gap(1_100)
    talk.after(12)
    talk.sleep(40)
    talk.after(2).fail(CUT)

    told = [(gap.since_ns - NOON, gap.until_ns and gap.until_ns - NOON) for gap in talk.health.gaps[1:]]
    assert told == [
        (-48 * SECOND, -8 * SECOND),
        (-60 * SECOND, -48 * SECOND),
        (-8 * SECOND, None),
    ]


@pytest.mark.parametrize("sleeps", [True, False])
def test_a_silence_before_an_absence_is_told_by_the_clock_of_after_it_where_it_was_set_meanwhile(
    *, sleeps: bool
):
    """Found on a simulated day (seed 771000678): it was told to have begun earlier by the length of the absence."""
    talk = Conversation(stall_seconds=60.0)
    talk.go_live()
    talk.after(10).hear()
    talk.watch()
    talk.after(30).watch()
    talk.slept -= 600
    if sleeps:
        talk.sleep(40)
    else:
        talk.after(40)
        talk.course.absent(talk.now, Absence(talk.now.wall_ns - 40 * SECOND, talk.now.wall_ns))
    while talk.watch() is None:
        talk.after(0.5)
    talk.course.ended(talk.now, None, jitter=1.0)

    told = [(gap.since_ns - NOON, gap.until_ns and gap.until_ns - NOON) for gap in talk.health.gaps]
    assert (-590 * SECOND, -560 * SECOND) in told


def test_a_silence_before_an_absence_is_told_where_the_clock_was_found_to_be_behind_since():
    """Found on a simulated day (seed 3235907850): the absence had been told by the clock of before."""
    behind_ns = [0]
    talk = Conversation(stall_seconds=60.0)
    policy = RetryPolicy(stall_seconds=60.0)
    talk.course = StreamCourse(
        StreamName.STOCKS, policy, talk.now, told=lambda wall_ns: wall_ns + behind_ns[0]
    )
    talk.go_live()
    talk.after(10).hear()
    talk.watch()
    talk.after(30).watch()
    talk.sleep(7)
    behind_ns[0] = 3_600 * SECOND
    while talk.watch() is None:
        talk.after(0.5)
    talk.course.ended(talk.now, None, jitter=1.0)

    told = [(gap.since_ns - NOON, gap.until_ns and gap.until_ns - NOON) for gap in talk.health.gaps]
    assert (3_610 * SECOND, 3_640 * SECOND) in told


def test_a_gap_ends_when_it_was_live_again_where_the_clock_was_found_to_be_behind_meanwhile():
    """Found on a simulated day (seed 771000818): what was put right since counted for then, and it ended late."""
    behind_ns = [0]
    talk = Conversation()
    talk.course = StreamCourse(
        StreamName.STOCKS, RetryPolicy(), talk.now, told=lambda wall_ns: wall_ns + behind_ns[0]
    )
    talk.go_live()
    talk.after(20).hear()
    talk.course.ended(talk.now, CUT, jitter=1.0)
    talk.slept -= 40
    behind_ns[0] = 640 * SECOND
    talk.after(50).go_live()

    (gap,) = talk.health.gaps
    assert gap.until_ns == talk.now.wall_ns + 640 * SECOND


@pytest.mark.parametrize("is_heard_again", [False, True])
def test_what_a_mute_connection_lost_before_nothing_was_due_is_told_with_the_rest(*, is_heard_again: bool):
    """Found on a simulated day (seed 771000840): for a moment nothing was wanted that was still traded."""
    talk = Conversation(stall_seconds=60.0)
    talk.go_live()
    talk.watch()
    talk.after(10).hear()
    talk.watch()
    talk.after(40).watch()
    talk.due = False
    talk.watch()
    talk.after(20)
    talk.due = True
    talk.watch()
    if is_heard_again:
        talk.hear()
        talk.watch()
    while talk.watch() is None:
        talk.after(0.5)
    talk.course.ended(talk.now, None, jitter=1.0)

    told = [(gap.since_ns - NOON, gap.until_ns and gap.until_ns - NOON) for gap in talk.health.gaps]
    assert told == [(10 * SECOND, 50 * SECOND), (70 * SECOND, None)][is_heard_again:]


@pytest.mark.parametrize("put_forward", [0, 3_600, -40])
@pytest.mark.parametrize("slept", [0, 600])
def test_a_gap_from_the_beginning_on_is_as_long_as_it_was_whatever_the_clock_did(
    put_forward: int, slept: int
):
    """Found on a simulated day (seed 7291121): it began by the clock of before it was set, and ended by that of now."""
    talk = Conversation()
    talk.after(3).fail(CUT)
    if slept:
        talk.sleep(slept)
    talk.slept += put_forward
    talk.after(50).go_live()

    (gap,) = talk.health.gaps
    assert (gap.since_ns, gap.until_ns) == (talk.now.wall_ns - (53 + slept) * SECOND, talk.now.wall_ns)


def test_what_a_dead_connection_lost_before_two_sleeps_is_told_beside_both():
    """The clock that measures stood still in each of them."""
    talk = Conversation()
    talk.go_live()
    talk.after(10).hear()
    talk.after(2).sleep(40)
    talk.after(3).sleep(40)
    talk.after(2).fail(CUT)

    told = [(gap.since_ns - NOON, gap.until_ns and gap.until_ns - NOON) for gap in talk.health.gaps]
    asleep = [(12 * SECOND, 52 * SECOND), (55 * SECOND, 95 * SECOND)]
    assert told == [*asleep, (10 * SECOND, 12 * SECOND), (52 * SECOND, 55 * SECOND), (95 * SECOND, None)]
