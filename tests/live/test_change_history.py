"""What is kept of a book from moment to moment: its change is told since Start, or since a later step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import fsum

import numpy as np
import pytest

from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.risk.book_reading import keyed_lines, reading_of
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.readings import Reading
from options_helper.analysis.risk.what_changed import Part, change_of
from options_helper.live.change_history import ChangeHistory
from options_helper.model.portfolio import load_portfolio
from options_helper.model.snapshot import LiveSnapshot
from tests.portal import scenes

SAMPLE = load_portfolio(scenes.SAMPLE)


def snapshot(minute: int) -> LiveSnapshot:
    """A minute later every price has moved by a little."""
    as_of = scenes.OPEN + timedelta(minutes=minute)
    return scenes.live(as_of=as_of, step=minute)


def reading(minute: int, *, is_heard: bool = True) -> Reading:
    look = look_at_book(SAMPLE, snapshot(minute), RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)
    return reading_of(look.risk, is_heard=is_heard)


def worth(one: Reading) -> float:
    return fsum(one.worth[one.is_known].tolist())


@pytest.fixture(scope="module")
def readings() -> list[Reading]:
    """Of the first eight minutes."""
    return [reading(minute) for minute in range(8)]


def test_a_reading_has_each_line_at_its_mark(readings: list[Reading]):
    look = look_at_book(SAMPLE, snapshot(0), RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)

    assert readings[0].keys == tuple(key for key, _ in keyed_lines(look.risk))
    assert len(set(readings[0].keys)) == len(look.risk.lines)
    value = np.nansum([*look.positions["market_value"], *look.structures["net_mark"]])
    assert worth(readings[0]) == pytest.approx(value)


def test_a_book_that_cannot_be_heard_has_no_marks():
    assert not reading(0, is_heard=False).is_known.any()


def test_the_change_since_start_is_what_the_marks_say_and_its_parts_add_up(readings: list[Reading]):
    history = ChangeHistory()
    for one in readings:
        history.add(one)
    record = history.record()
    assert record is not None
    change = change_of(record.since(None))

    assert change.profit == pytest.approx(worth(readings[-1]) - worth(readings[0]))
    assert fsum(change.parts.values()) == pytest.approx(change.profit)
    assert change.parts[Part.THETA]
    assert change.parts[Part.VEGA]


def test_a_later_moment_begins_there(readings: list[Reading]):
    history = ChangeHistory()
    for one in readings:
        history.add(one)
    record = history.record()
    assert record is not None

    assert record.moments == tuple(one.at for one in readings)
    change = change_of(record.since(readings[5].at))
    assert change.since == readings[5].at
    assert change.profit == pytest.approx(worth(readings[-1]) - worth(readings[5]))


def test_what_is_not_a_step_yet_is_in_the_change_all_the_same(readings: list[Reading]):
    history = ChangeHistory()
    history.add(readings[0])
    soon = replace(readings[0], at=readings[0].at + timedelta(seconds=5), mark=readings[0].mark + 0.01)
    history.add(soon)
    record = history.record()
    assert record is not None

    assert len(record.moments) == 1
    assert change_of(record.since(None)).profit == pytest.approx(worth(soon) - worth(readings[0]))


def test_a_stretch_that_was_not_heard_is_a_gap_and_no_volatility(readings: list[Reading]):
    history = ChangeHistory()
    history.add(readings[0])
    history.add(readings[3], was_interrupted=reading(3, is_heard=False))
    record = history.record()
    assert record is not None
    change = change_of(record.since(None))

    assert change.parts[Part.GAP]
    assert change.parts[Part.VEGA] == change.parts[Part.THETA] == 0
    assert [gap.until for gap in change.gaps] == [readings[3].at]


def test_a_long_session_keeps_its_total_and_the_newest_steps(readings: list[Reading]):
    history = ChangeHistory(steps_at_most=3)
    for one in readings:
        history.add(one)
    record = history.record()
    assert record is not None

    assert record.moments == tuple(one.at for one in readings[-3:])
    assert record.strip.since == readings[0].at


def test_a_reading_from_before_the_last_is_passed_over(readings: list[Reading]):
    history = ChangeHistory()
    history.add(readings[4])
    history.add(readings[1])
    record = history.record()
    assert record is not None

    assert record.newest is readings[4]
