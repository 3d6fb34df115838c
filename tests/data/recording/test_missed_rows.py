"""Of an answer with margins only what was missed in a hole is taken, and what was heard around it proves it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.intraday.backfill import Stretch
from options_helper.data.recording.gap_verdict import Side
from options_helper.data.recording.missed_rows import (
    Age,
    AnsweredRow,
    Comparison,
    HeardRow,
    Hole,
    Missed,
    expected_age,
    missed_rows,
    usual_age,
)
from options_helper.data.recording.overlap import Key
from options_helper.model.instants import NANOSECONDS

SECOND = NANOSECONDS
MINUTE = 60 * SECOND
# Any moment; times of rows are seconds after it.
ZERO = 1_800_000_000 * SECOND
LATENCY = SECOND // 100
BEFORE, AFTER = [10.0, 20, 29.5], [40.5, 50, 60]


def at(seconds: float) -> int:
    return ZERO + round(seconds * SECOND)


def hole(since: float = 30, until: float = 40, margin: float = 60) -> Hole:
    return Hole(at(since), at(until), Stretch(at(since - margin), at(until + margin)), 0)


def heard(*seconds: float, latency_ns: int = LATENCY) -> list[HeardRow]:
    return [HeardRow(at(one) + latency_ns, at(one), (at(one),)) for one in seconds]


def told(*seconds: float) -> list[AnsweredRow[int]]:
    return [AnsweredRow(at(one), (at(one),), at(one)) for one in seconds]


def compared(
    recorded: Sequence[HeardRow],
    answer: Sequence[AnsweredRow[int]],
    *holes: Hole,
    withdrawn: Iterable[Key] = (),
    age: Age | None = None,
) -> Comparison[int]:
    return missed_rows(
        recorded,
        answer,
        withdrawn,
        holes=holes or [hole()],
        piece=Stretch(at(-1_000), at(1_000)),
        age=age or usual_age("quotes", recorded) or expected_age("quotes", 0),
    )


def only(comparison: Comparison[int]) -> Missed[int]:
    (missed,) = comparison.missed
    return missed


KEYS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), max_size=12)


@given(KEYS, KEYS, KEYS)
def test_rows_are_matched_one_to_one_as_often_as_they_came(
    recorded: list[tuple[int, str]], answered: list[tuple[int, str]], withdrawn: list[tuple[int, str]]
):
    """Two equal trades of one nanosecond are two."""
    rows = [HeardRow(at(0), at(0), key) for key in recorded]
    answer = [AnsweredRow(at(0), key, 0) for key in answered]

    missed = only(compared(rows, answer, hole(-5, 5), withdrawn=withdrawn))

    here, there, gone = Counter(recorded), Counter(answered), Counter(withdrawn)
    assert missed.recorded == len(recorded)
    assert missed.found == (here & (there + gone)).total()
    if missed.found == missed.recorded:
        assert Counter(row.key for row in missed.rows) == there - here


def test_what_lies_in_the_hole_is_missing_and_what_lies_beside_it_is_not():
    """Whatever the overlap: the connection was well then, and nobody knows why the row did not come."""
    missed = only(compared(heard(*BEFORE, *AFTER), told(*BEFORE, 15, 32, 39, 55, *AFTER)))

    assert [row.event for row in missed.rows] == [at(32), at(39)]
    assert (missed.recorded, missed.found, missed.beside) == (6, 6, 2)
    assert missed.is_proven


def test_a_symbol_of_which_nothing_was_heard_has_no_rows_beside_the_hole_either():
    missed = only(compared([], told(5, 32, 70), age=Age(LATENCY, 0, SECOND)))

    assert [row.event for row in missed.rows] == [at(32)]
    assert (missed.beside, missed.is_proven) == (2, False)


def test_what_was_under_way_when_the_connection_was_lost_is_missing():
    """As far as no row was heard that was under way as long as any."""
    missed = only(compared(heard(*BEFORE, *AFTER), told(*BEFORE, 29.2, 29.7, 40.2, 40.7, *AFTER)))

    assert [row.event for row in missed.rows] == [at(29.7), at(40.2)]
    assert missed.beside == 2


@pytest.mark.parametrize("ahead", [-25, 25])
def test_a_clock_that_is_wrong_moves_the_hole_as_it_moved_what_was_heard(ahead: int):
    before, after = (heard(*some, latency_ns=ahead * SECOND) for some in ((-20, 0), (70, 90)))
    answer = told(-20, 0, *range(1, 70), 70, 90)

    missed = only(compared([*before, *after], answer))

    times = [row.event for row in missed.rows]
    assert (times[0], times[-1]) == (at(30 - ahead - 1), at(40 - ahead + 1))


def test_where_rows_come_sooner_or_later_all_between_those_that_were_heard_is_missing():
    """A burst that is received at once, before and after: what is told of its ages is a few seconds."""
    before = [HeardRow(at(30), at(second), (at(second),)) for second in (26, 27, 28, 29, 30)]
    after = [HeardRow(at(44), at(second), (at(second),)) for second in (41, 42, 43, 44)]

    missed = only(compared([*before, *after], told(20, *range(26, 45), 50)))

    assert [row.event for row in missed.rows] == [at(second) for second in range(31, 41)]
    assert missed.beside == 2


def test_late_reports_among_those_in_time_do_not_widen_the_hole():
    rows = [*heard(*(BEFORE[0] + tenth / 10 for tenth in range(190)), *AFTER), HeardRow(at(58), at(20), (0,))]

    age = usual_age("quotes", rows)

    assert age == (LATENCY, LATENCY - SECOND, LATENCY + SECOND)
    assert usual_age("quotes", rows[-3:]) == (LATENCY, LATENCY - 10 * SECOND, LATENCY + 10 * SECOND)


def test_a_row_that_came_late_hides_nothing_of_the_hole():
    """A trade that was reported late has a time amid the hole and came after it."""
    late = HeardRow(at(52), at(33), (at(33),))

    missed = only(compared([*heard(*BEFORE, *AFTER), late], told(*BEFORE, 32, 33, 38, *AFTER)))

    assert [row.event for row in missed.rows] == [at(32), at(38)]


def test_of_an_answer_that_lacks_rows_only_what_lies_between_those_that_were_heard_is_taken():
    missed = only(compared(heard(*BEFORE, *AFTER), told(10, 29.5, 32, 39, 40.5, 41, 50, 60)))

    assert (missed.recorded, missed.found, missed.is_proven) == (6, 5, False)
    assert [row.event for row in missed.rows] == [at(32), at(39)]


def test_of_two_events_of_one_nanosecond_the_one_that_did_not_come_is_missing():
    first, second = ((at(29.5), name) for name in "ab")
    rows = [*heard(10, 20, *AFTER), HeardRow(at(29.5) + LATENCY, at(29.5), first)]
    answer = [*told(10, 20, *AFTER), *(AnsweredRow(at(29.5), key, 0) for key in (first, second))]

    assert [row.key for row in only(compared(rows, answer)).rows] == [second]


def test_holes_that_lie_close_together_have_their_own_rows_and_share_what_was_heard_between():
    first, second = hole(30, 40), hole(60, 70)
    rows = heard(*BEFORE, 41, 50, 59, 71, 80)

    comparison = compared(rows, told(*BEFORE, 35, 41, 45, 50, 59, 61, 62, 71, 80), first, second)

    one, other = comparison.missed
    assert [[row.event for row in missed.rows] for missed in (one, other)] == [[at(35)], [at(61), at(62)]]
    assert (one.beside, other.beside) == (1, 1)
    assert one.is_proven
    assert other.is_proven
    assert comparison.events == [at(35), at(61), at(62)]


def test_what_lies_in_a_hole_that_is_asked_about_otherwise_is_not_beside_this_one():
    rows, answer = heard(*BEFORE, *AFTER, 90), told(*BEFORE, 35, *AFTER, 70, 75, 90, 95)
    others = [Stretch(at(65), at(80))]

    told_of = missed_rows(
        rows,
        answer,
        [],
        holes=[hole()],
        piece=Stretch(at(0), at(200)),
        age=Age(LATENCY, 0, SECOND),
        others=others,
    )

    assert (only(told_of).beside, [row.event for row in only(told_of).rows]) == (1, [at(35)])


def test_what_was_heard_amid_a_hole_is_proof_of_neither_side():
    amid = compared(heard(35), told(35))

    assert (only(amid).recorded, only(amid).found, only(amid).sides) == (1, 1, frozenset())
    assert only(compared(heard(20), told(20))).sides == {Side.BEFORE}
    assert only(compared(heard(50), told(50))).sides == {Side.AFTER}


def test_what_history_has_withdrawn_proves_that_it_was_there_and_is_not_brought():
    withdrawn = [(at(20),), (at(35),)]

    missed = only(compared(heard(*BEFORE, *AFTER), told(10, 29.5, *AFTER), withdrawn=withdrawn))

    assert (missed.found, missed.recorded, list(missed.rows)) == (6, 6, [])


def test_a_bar_is_as_old_as_bars_are():
    bars = [HeardRow(at(minute * 60 + 85), at(minute * 60), (minute,)) for minute in (-2, 0)]
    answer = [AnsweredRow(at(minute * 60), (minute,), minute) for minute in (-2, -1, 0)]

    missed = only(compared(bars, answer, hole(20, 30, 240), age=usual_age("bars", bars)))
    assert [row.event for row in missed.rows] == [-1]

    alone = only(compared([], answer, hole(20, 30, 240), age=expected_age("bars", 0)))
    assert [row.event for row in alone.rows] == [-1]


# What an earlier answer brought.


def kept(comparison: Comparison[int], *before: tuple[float, Key]) -> list[Key]:
    staying = comparison.staying()
    return [key for seconds, key in before if staying.keeps(at(seconds), key)]


def test_of_what_was_brought_before_all_beside_the_holes_stays():
    """It is of other gaps, which may lie in the margin of this one."""
    proven = compared(heard(*BEFORE, *AFTER), told(*BEFORE, 35, *AFTER))

    assert kept(proven, (5, ("other",)), (35, (at(35),)), (36, ("gone",)), (90, ("other",))) == [
        ("other",),
        ("other",),
    ]


def test_an_unproven_answer_takes_away_no_row_that_it_does_not_tell_again_as_often():
    """Of two equal trades of one nanosecond, a worse answer has one."""
    unproven = compared(heard(*BEFORE), told(*BEFORE, 35))

    assert kept(unproven, (35, (at(35),)), (35, (at(35),)), (36, ("gone",))) == [(at(35),), ("gone",)]


@pytest.mark.parametrize("put_forward", [-600, 0, 600])
def test_the_clock_of_the_rows_about_a_hole_counts_where_it_was_set_later(put_forward: int):
    """Found on a simulated day (seed 800122): by the age of most rows nothing was missing, and the gap was closed."""
    later = heard(*range(300, 400, 2), latency_ns=LATENCY + put_forward * SECOND)

    missed = only(
        compared([*heard(*BEFORE, *AFTER), *later], told(*BEFORE, 32, 35, *AFTER, *range(300, 400, 2)))
    )

    assert [row.ts_ns for row in missed.rows] == [at(32), at(35)]
    assert missed.is_proven


@pytest.mark.parametrize("put_forward", [-600, 600])
def test_where_the_clock_was_set_in_a_hole_nothing_proves_an_answer(put_forward: int):
    """What would have been received in it, by which of the two clocks, nobody knows."""
    after = heard(*AFTER, latency_ns=LATENCY + put_forward * SECOND)
    lasting = Hole(at(30), at(40 + max(0, put_forward)), hole().stretch, 0)

    missed = only(compared([*heard(*BEFORE), *after], told(*BEFORE, 32, 35, *AFTER), lasting))

    assert not missed.is_proven
