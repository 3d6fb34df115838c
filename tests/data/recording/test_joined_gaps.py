"""Gaps that lie close together are asked about in one question, and each of them in one alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.recording.gap_closing import MARGIN_NS, SLICE_NS, GapQuestion
from options_helper.data.recording.joined_gaps import beside_others, joined
from tests.data.recording.test_gap_closing import HOUR, MINUTE, SECOND, asked, row
from tests.kit.fakes import NOON


def questions(*stretches: tuple[int, int], stream: str = "stocks") -> list[GapQuestion]:
    """Of gaps from a second after noon to another."""
    rows = tuple(row(stream, NOON + since * SECOND, NOON + until * SECOND) for since, until in stretches)
    return [asked(gap, ledger=rows) for gap in rows]


def test_gaps_that_lie_close_together_are_asked_about_from_the_first_margin_to_the_last():
    near = questions((0, 5), (60, 70), (600, 610))

    (one,) = joined(near)

    assert one.questions == tuple(near)
    assert one.whole.stretch == (NOON - MARGIN_NS, NOON + 610 * SECOND + MARGIN_NS)
    assert [hole[:2] for hole in one.holes("quotes")] == [(gap.since_ns, gap.until_ns) for gap in near]
    assert len(list(one.whole.slices("quotes"))) == 1


def test_gaps_of_half_an_hour_and_more_are_asked_about_apart():
    assert [len(one.questions) for one in joined(questions((0, 5), (1_500, 1_505), (1_900, 1_905)))] == [2, 1]
    assert len(joined(questions((0, 3_600), (3_700, 3_710)))) == 2


def test_gaps_that_overlap_share_a_hole_however_long_it_is():
    (one,) = joined(questions((0, 3_600), (10, 20), (3_600, 3_700)))

    assert len(one.questions) == 3
    assert [hole[:2] for hole in one.holes("")] == [(NOON, NOON + 3_700 * SECOND)]
    assert {one.hole_of(question) for question in one.questions} == {0}


@pytest.mark.parametrize(
    "other",
    [{"symbols": ("AAPL",)}, {"feed": "sip"}, {"channels": ("quotes",)}, {"delay_ns": 15 * MINUTE}],
)
def test_other_symbols_feeds_and_channels_are_another_question(other: dict[str, object]):
    one, two = questions((0, 5), (60, 70))

    assert len(joined([one, replace(two, **other)])) == 2  # type: ignore[arg-type]


def test_the_order_of_symbols_makes_no_other_question():
    one, two = questions((0, 5), (60, 70))

    assert len(joined([one, replace(two, symbols=two.symbols[::-1])])) == 1


def test_the_same_gaps_have_the_same_name_in_another_run_and_others_another():
    several = [*questions((0, 5), (60, 70)), *questions((0, 5), stream="options")]

    names = [one.name for one in joined(several)]

    assert names == [one.name for one in joined(reversed(several))]
    assert len(set(names)) == 2
    assert joined(questions((0, 5)))[0].name not in names


def test_gaps_in_the_margins_that_are_of_no_question_are_known():
    (one,) = joined(questions((0, 5), (2, 9), (100, 110)))
    near, lasting = row(since_ns=NOON + 130 * SECOND, until_ns=NOON + 140 * SECOND), row(until_ns=None)
    far, other = row(since_ns=NOON + 2 * HOUR, until_ns=NOON + 3 * HOUR), row("options")
    own = [question.gap for question in one.questions]

    others = beside_others(one, [*own, near, lasting, far, other]).others

    assert [gap.since_ns for gap in others] == [near.since_ns, NOON]
    assert others[0].until_ns == near.until_ns
    assert others[1].until_ns > near.until_ns


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 3_000)), min_size=1, max_size=12))
def test_each_gap_is_in_one_question_and_several_are_together_no_longer_than_is_asked_at_once(
    stretches: Sequence[tuple[int, int]],
):
    several = questions(*((since, since + seconds) for since, seconds in stretches))

    found = joined(several)

    assert sorted(gap.gap.since_ns for one in found for gap in one.questions) == sorted(
        gap.gap.since_ns for gap in several
    )
    for one in found:
        stretch = one.whole.stretch
        assert len(one.holes("")) == 1 or stretch.until_ns - stretch.since_ns <= SLICE_NS
