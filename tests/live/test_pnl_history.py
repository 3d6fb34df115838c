"""What the chart may claim: one line per stretch that was heard, in bounded memory."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from options_helper.live.pnl_history import Measure, PnlHistory, Thinned
from options_helper.model.snapshot import LiveSnapshot, Phase
from tests.kit.builders import AS_OF, gap, health, snapshot_with


def at(seconds: float, *streams) -> LiveSnapshot:
    return snapshot_with(as_of=AS_OF + timedelta(seconds=seconds), streams=streams)


def worth(pnl: float | None, *, counted: int = 8, **marks: float) -> Measure:
    return Measure(pnl=pnl, natural=pnl, counted=counted, positions=8, marks=marks)


def segments(history: PnlHistory) -> list[int]:
    return [point.segment for point in history.points()]


def test_points_that_follow_each_other_are_one_line():
    history = PnlHistory()
    for second in range(3):
        history.add(at(second), worth(100.0 + second))

    assert [point.pnl for point in history.points()] == [100.0, 101.0, 102.0]
    assert segments(history) == [0, 0, 0]


@pytest.mark.parametrize("phase", [Phase.RECONNECTING, Phase.STALLED, Phase.FAILED, Phase.CONNECTING])
def test_the_line_breaks_while_a_price_stream_cannot_be_heard(phase):
    history = PnlHistory()
    history.add(at(0), worth(100.0))
    history.add(at(1, health("options", phase)), worth(100.0))
    history.add(at(2), worth(110.0))

    assert [point.pnl for point in history.points()] == [100.0, 110.0]
    assert segments(history) == [0, 1]


def test_a_quiet_market_and_a_lost_fills_stream_break_no_line():
    history = PnlHistory()
    history.add(at(0), worth(100.0))
    history.add(at(1, health("options", Phase.QUIET)), worth(100.0))
    history.add(at(2, health("fills", Phase.RECONNECTING)), worth(100.0))

    assert segments(history) == [0, 0, 0]


def test_a_gap_that_came_and_went_between_two_looks_breaks_the_line():
    history = PnlHistory()
    lost = gap("options", AS_OF + timedelta(seconds=1), AS_OF + timedelta(seconds=1.5))
    history.add(at(0), worth(100.0))
    history.add(at(2, health("options", gaps=(lost,))), worth(100.0))
    history.add(at(4, health("options", gaps=(lost,))), worth(100.0))

    assert segments(history) == [0, 1, 1]


def test_one_more_priced_position_is_another_sum_and_not_a_move_of_the_market():
    history = PnlHistory()
    history.add(at(0), worth(100.0, counted=7))
    history.add(at(1), worth(180.0, counted=8))

    assert segments(history) == [0, 1]


def test_nothing_priced_is_no_point_and_never_a_zero():
    history = PnlHistory()
    history.add(at(0), worth(None, counted=0))

    assert history.points() == ()


def test_an_edited_portfolio_begins_a_new_line():
    history = PnlHistory()
    history.add(at(0), worth(100.0))
    history.break_line()
    history.add(at(1), worth(100.0))

    assert segments(history) == [0, 1]


def test_a_trend_has_no_place_for_a_missing_mark():
    history = PnlHistory()
    history.add(at(0), worth(100.0, call=1.5))
    history.add(at(1), worth(100.0, call=1.6, put=2.0))

    assert history.trends() == {"call": (1.5, 1.6), "put": (2.0,)}


@pytest.mark.parametrize("count", [1, 9, 10, 11, 100, 5_000])
def test_a_long_session_is_covered_whole_with_few_points(count):
    """From its first to its newest item, evenly, whatever its length."""
    series: Thinned[int] = Thinned(10)
    for item in range(count):
        series.append(item)

    items = series.items()
    assert len(items) <= 11
    assert (items[0], items[-1]) == (0, count - 1)
    steps = {later - earlier for earlier, later in pairwise(items[:-1])}
    assert len(steps) <= 1


def test_a_gap_that_began_before_the_last_look_breaks_the_line_too():
    """A gap begins where the stream was last heard, and the loss is noticed later."""
    history = PnlHistory()
    lost = gap("options", AS_OF + timedelta(seconds=0.9), AS_OF + timedelta(seconds=1.8))
    history.add(at(1), worth(100.0))
    history.add(at(3, health("options", gaps=(lost,))), worth(100.0))
    history.add(at(5, health("options", gaps=(lost,))), worth(100.0))

    assert segments(history) == [0, 1, 1]


def test_after_an_edit_of_the_file_another_book_begins():
    history = PnlHistory()
    history.add(at(0), worth(100.0))
    history.begin_book()
    history.add(at(2), worth(-23_150.0))

    assert [(point.book, point.segment) for point in history.points()] == [(0, 0), (1, 1)]


def test_a_clock_that_is_put_right_costs_what_was_noted_of_later_and_nothing_else():
    """The day so far stays: only what the wrong clock noted ahead of now is dropped."""
    history = PnlHistory()
    for second, pnl in ((0, 100.0), (1, 101.0), (600, 102.0), (602, 103.0)):
        history.add(at(second), worth(pnl))

    history.forget_after(AS_OF + timedelta(seconds=4))
    history.add(at(5), worth(104.0))

    assert [point.pnl for point in history.points()] == [100.0, 101.0, 104.0]
    assert segments(history) == [0, 0, 1]
    assert history.seen_until == AS_OF + timedelta(seconds=5)
