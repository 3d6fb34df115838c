"""What was held at midnight, from positions and what was executed: of one symbol, reading by reading."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from options_helper.data.streaming.polling.midnight import BELIEVED_SECONDS, MidnightQuantities, Reading
from options_helper.model.account import Execution, ExecutionKind, Source

TODAY, TOMORROW = date(2026, 11, 5), date(2026, 11, 6)
SPY = "SPY"
ALL = frozenset({SPY})
NONE: frozenset[str] = frozenset()


class Readings:
    """Readings of one symbol; what was executed was executed at that second, the readings begin at 0."""

    def __init__(self) -> None:
        self._quantities = MidnightQuantities()

    def __call__(
        self,
        now: float,
        held: int | None,
        executed: int,
        *,
        at: float | None = -60,
        is_open: bool = False,
        day: date = TODAY,
    ) -> frozenset[str]:
        at_ns = None if at is None else int((1_000 + at) * 1e9)
        execution = Execution(
            "e", ExecutionKind.FILL, SPY, Decimal(executed), None, day, at_ns, None, Source.REST
        )
        positions = {} if held is None else {SPY: Decimal(held)}
        reading = Reading(day, positions, (execution,) if executed else (), int((1_000 + now) * 1e9))
        return self._quantities.unexplained(reading, ALL if is_open else NONE, now)


def test_executions_explain_what_moved():
    read = Readings()
    assert [read(0, 5, 0), read(60, 7, 2), read(120, 0, -5)] == [NONE, NONE, NONE]


def test_a_move_that_nobody_tells_stays_unexplained_until_it_is_told():
    read = Readings()
    read(0, 5, 0)
    assert [read(60, 4, 0), read(600, 4, 0), read(660, 4, -1)] == [ALL, ALL, NONE]


def test_a_trade_that_brings_the_position_back_does_not_explain_the_move():
    read = Readings()
    read(0, 5, 0)
    assert [read(60, 4, 0), read(120, 5, 1), read(600, 5, 1), read(900, 5, 0)] == [ALL, ALL, ALL, NONE]


def test_what_is_told_late_of_before_the_first_reading_is_believed_once_positions_could_have_followed():
    read = Readings()
    read(0, 5, 0)
    soon, later = BELIEVED_SECONDS - 1, BELIEVED_SECONDS
    assert [read(10, 5, 2), read(10 + soon, 5, 2), read(10 + later, 5, 2)] == [ALL, ALL, NONE]
    assert read(600, 6, 3) == NONE


def test_positions_that_follow_an_execution_soon_leave_midnight_as_it_was():
    read = Readings()
    read(0, 5, 0)
    assert [read(10, 5, 2), read(20, 7, 2)] == [ALL, NONE]


def test_of_what_is_open_nothing_is_said_and_nothing_is_learned():
    read = Readings()
    assert [read(0, 9, 0, is_open=True), read(60, 5, 0), read(120, 4, 0)] == [NONE, NONE, ALL]
    assert [read(180, 9, 9, is_open=True), read(240, 4, -1)] == [NONE, NONE]


def test_what_was_executed_since_the_first_reading_is_not_told_late_of_before_it():
    """Something else, which nobody tells, has brought the position back to where it was."""
    read = Readings()
    read(0, 5, 0)
    assert [read(60, 5, 1, at=50), read(600, 5, 1, at=50), read(660, 4, 1, at=50)] == [ALL, ALL, ALL]


def test_what_has_a_day_and_no_time_may_have_been_before_the_first_reading():
    read = Readings()
    read(0, 4, 0)
    assert [read(60, 4, -1, at=None), read(180, 4, -1, at=None)] == [ALL, NONE]


def test_what_comes_to_the_account_in_the_day_was_not_held_at_midnight():
    read = Readings()
    assert [read(0, None, 0), read(60, 2, 2), read(120, 3, 2)] == [NONE, NONE, ALL]


def test_what_went_away_untold_is_unexplained_though_no_answer_names_it():
    read = Readings()
    assert [read(0, 2, 0), read(60, None, 0)] == [NONE, ALL]


def test_another_day_begins_with_what_its_first_reading_says():
    read = Readings()
    read(0, 5, 0)
    assert [read(60, 4, 0), read(120, 4, 0, day=TOMORROW)] == [ALL, NONE]
