"""The parts always add up to the profit, and what no Greek can speak of is in none of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import fsum, inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.marks import MarkSource
from options_helper.analysis.risk.readings import Reading
from options_helper.analysis.risk.what_changed import Change, Part, Strip, begin, change_of, fold, is_due

OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Line:
    """One short put unless said otherwise."""

    mark: float = 2.0
    spot: float = 100.0
    slope: float = -100.0
    volatility: float = 0.2
    delta: float = -0.3
    vega: float = 10.0
    theta: float = -15.0
    source: MarkSource | None = MarkSource.MID
    forward: str = "spot"
    paid: float = 0.0
    is_option: bool = True
    underlying: str = "XYZ"
    fills: int = 0


SHARES = Line(
    mark=100.0, slope=50.0, is_option=False, source=MarkSource.TRADE, delta=nan, vega=nan, theta=nan
)


def reading(minute: float, lines: Mapping[str, Line]) -> Reading:
    def column(name: str, dtype: type = float) -> np.ndarray:
        return np.array([getattr(line, name) for line in lines.values()], dtype=dtype)

    return Reading(
        at=OPEN + timedelta(minutes=minute),
        keys=tuple(lines),
        underlying=column("underlying", object),
        is_option=column("is_option", bool),
        source=column("source", object),
        forward=column("forward", object),
        fills=column("fills", int),
        **{
            name: column(name)
            for name in ("slope", "paid", "mark", "spot", "volatility", "delta", "vega", "theta")
        },
    )


def story(*of_minutes: Mapping[str, Line] | Line | None) -> Strip:
    """One line, or several, minute by minute; a minute that is None has no reading."""
    strip: Strip | None = None
    for minute, lines in enumerate(of_minutes):
        if lines is not None:
            now = reading(minute, {"put": lines} if isinstance(lines, Line) else lines)
            strip = begin(now) if strip is None else fold(strip, now)
    assert strip is not None
    return strip


def told(strip: Strip) -> dict[str, float]:
    """The parts that are not nothing."""
    return {part.value: dollars for part, dollars in change_of(strip).parts.items() if abs(dollars) > 1e-9}


def adds_up(change: Change) -> bool:
    return fsum(change.parts.values()) == pytest.approx(change.profit, abs=1e-9)


class TestSplit:
    """Between two readings with everything known."""

    def test_each_part_is_its_formula_with_the_greeks_of_both_ends(self):
        start = Line()
        end = Line(mark=1.5, spot=101.0, volatility=0.19, delta=-0.2, vega=8.0, theta=-13.0)
        strip = story(start, end)

        assert change_of(strip).profit == pytest.approx(50.0)
        assert told(strip) == pytest.approx(
            {
                "delta": -100 * -0.3,
                "gamma": -100 * 0.5 * 0.1,
                "theta": -100 * -14.0 / 525_600,
                "vega": -100 * 9.0 * -0.01,
                "rest": 50 - 30 + 5 - 14 * 100 / 525_600 - 9,
            }
        )

    def test_shares_are_delta_alone(self):
        strip = story({"shares": SHARES}, {"shares": replace(SHARES, mark=102.0)})

        assert told(strip) == {"delta": 100.0}

    def test_a_leg_long_and_short_is_nothing(self):
        long, short = Line(slope=100.0), Line(slope=-100.0)
        moved = {"mark": 2.5, "spot": 99.0, "delta": -0.4}
        strip = story(
            {"long": long, "short": short}, {"long": replace(long, **moved), "short": replace(short, **moved)}
        )

        assert set(change_of(strip).parts.values()) == {0.0}

    def test_there_and_back_again_is_no_delta(self):
        strip = story(Line(), Line(spot=101.0, mark=1.7, delta=-0.25), Line())

        assert change_of(strip).parts[Part.DELTA] + change_of(strip).parts[Part.GAMMA] == pytest.approx(0.0)

    def test_some_of_the_lines_have_parts_of_their_own(self):
        strip = story(
            {"put": Line(), "shares": SHARES},
            {"put": Line(mark=1.9), "shares": replace(SHARES, mark=101.0)},
        )

        assert change_of(strip, {"shares"}).profit == 50.0
        assert change_of(strip, ("put",)).profit == pytest.approx(10.0)
        assert change_of(strip).profit == pytest.approx(60.0)


class TestNotSplit:
    """What is no matter of Greeks has a part of its own, and all of its change is there."""

    MOVED = Line(mark=1.5, spot=101.0, volatility=0.17, delta=-0.2)

    @pytest.mark.parametrize(
        ("end", "part"),
        [
            (replace(MOVED, source=MarkSource.TRADE), "changed mark source"),
            (replace(MOVED, volatility=nan, vega=nan), "volatility not known"),
            (replace(MOVED, delta=nan), "volatility not known"),
            (replace(MOVED, spot=nan), "volatility not known"),
            (replace(MOVED, volatility=inf), "volatility not known"),
            (replace(MOVED, forward="parity"), "changed forward"),
        ],
    )
    def test_a_step_into_and_out_of_it_is_told_as_a_whole(self, end: Line, part: str):
        into, back = story(Line(), end), story(Line(), end, Line(mark=1.9))

        assert told(into) == pytest.approx({part: 50.0})
        assert told(back) == pytest.approx({part: 10.0})

    def test_a_mark_that_is_one_side_is_split_by_nothing(self):
        one_sided = Line(source=MarkSource.ASK)

        assert told(story(one_sided, replace(one_sided, mark=2.4))) == pytest.approx(
            {"mark that is no middle": -40.0}
        )

    def test_a_gap_is_told_from_when_to_when(self):
        strip = story(Line(), Line(mark=nan), Line(mark=nan), self.MOVED, self.MOVED)
        change = change_of(strip)

        assert {part: dollars for part, dollars in told(strip).items() if part not in {"theta", "rest"}} == {
            "gap": 50.0
        }  # fmt: skip
        assert change.gaps == ((OPEN, OPEN + timedelta(minutes=3), 50.0, 1),)

    def test_a_step_that_is_too_long_is_a_gap(self):
        short = story(Line(), None, None, None, None, self.MOVED)
        long = story(Line(), None, None, None, None, None, self.MOVED)

        assert "gap" not in told(short)
        assert told(long) == {"gap": 50.0}

    def test_shares_have_no_gap(self):
        assert told(story({"a": SHARES}, *[None] * 8, {"a": replace(SHARES, mark=99.0)})) == {"delta": -50.0}

    def test_of_many_gaps_the_oldest_are_told_as_one(self):
        strip = begin(reading(0, {"put": Line()}))
        for n in range(1, 101):
            strip = fold(strip, reading(10 * n, {"put": Line(mark=2.0 + 0.01 * n)}))
        gaps = change_of(strip).gaps

        assert len(gaps) == 20
        assert gaps[0].stretches == 81
        assert (gaps[0].since, gaps[0].until) == (OPEN, OPEN + timedelta(minutes=810))
        assert fsum(gap.dollars for gap in gaps) == pytest.approx(-100.0)

    def test_while_there_is_no_mark_it_is_said(self):
        change = change_of(story(Line(), Line(mark=1.5), Line(mark=nan)))

        assert change.profit == pytest.approx(50.0)
        assert change.without_mark == ("put",)

    def test_a_line_that_has_no_mark_yet_is_counted_from_its_first_on(self):
        before = change_of(story(Line(mark=nan), Line(mark=nan)))
        after = change_of(story(Line(mark=nan), Line(mark=nan), Line(), Line(mark=1.9)))

        assert (before.not_counted, before.profit) == (("put",), 0.0)
        assert (after.not_counted, after.late) == ((), ("put",))
        assert after.profit == pytest.approx(10.0)

    def test_a_mark_that_is_no_number_is_none(self):
        change = change_of(story(Line(mark=inf), Line(), Line(mark=1.9)))

        assert change.profit == pytest.approx(10.0)
        assert change.late == ("put",)

    def test_an_input_that_is_no_number_is_not_known(self):
        assert told(story(Line(spot=inf), Line(mark=1.9))) == pytest.approx({"volatility not known": 10.0})

    def test_a_line_of_an_unknown_size_is_never_counted(self):
        change = change_of(story(Line(slope=nan), Line(slope=nan, mark=1.0)))

        assert (change.not_counted, change.without_value, change.profit) == ((), ("put",), 0.0)


class TestFills:
    """What was traded stands apart from what was held."""

    def test_more_of_a_line_costs_what_was_paid_against_the_mark(self):
        """One put is sold at 1.60, and the mark is then 1.50."""
        strip = story(Line(), Line(mark=1.5, slope=-200.0, paid=-160.0))

        assert told(strip)["fills"] == pytest.approx(10.0)
        assert change_of(strip).profit == pytest.approx(50.0 + 10.0)
        assert change_of(strip).unpriced == 0

    def test_a_round_trip_within_a_step_is_seen(self):
        assert told(story(Line(), Line(paid=-12.0)))["fills"] == pytest.approx(12.0)

    def test_a_line_that_is_opened_counts_from_its_fill_on(self):
        strip = story({"put": Line()}, {"put": Line(), "call": Line(mark=3.0, slope=100.0, paid=290.0)})
        change = change_of(strip)

        assert change.parts[Part.FILLS] == pytest.approx(10.0)
        assert change.late == ()

    def test_a_line_that_comes_without_a_fill_brings_no_profit(self):
        strip = story(
            {"put": Line()}, {"put": Line(), "call": Line(mark=3.0)}, {"put": Line(), "call": Line(mark=2.9)}
        )

        assert change_of(strip, {"call"}).profit == pytest.approx(10.0)
        assert change_of(strip).late == ("call",)

    def test_a_line_that_is_closed_keeps_its_profit(self):
        """Bought back at 1.40 and 1.50: it does not matter that it is not marked any more."""
        closed = Line(slope=0.0, mark=nan, paid=140.0)
        strip = story(Line(), Line(mark=1.5), closed, closed)

        assert change_of(strip).profit == pytest.approx(60.0)
        assert told(strip)["fills"] == pytest.approx(10.0)
        assert adds_up(change_of(strip))

    def test_what_is_in_no_reading_any_more_is_closed_at_its_last_mark(self):
        strip = story({"put": Line(), "call": Line()}, {"put": Line(), "call": Line(mark=1.5)}, {"put": Line()},
                      {"put": Line()})  # fmt: skip
        change = change_of(strip)

        assert change.profit == pytest.approx(50.0)
        assert (change.unpriced, change.without_mark) == (1, ())

    def test_what_fills_have_cost_is_kept_when_the_line_is_gone(self):
        strip = story({"put": Line(), "call": Line()}, {"put": Line(), "call": Line(slope=0.0, paid=190.0)},
                      {"put": Line()})  # fmt: skip

        assert change_of(strip).profit == pytest.approx(10.0)
        assert change_of(strip).unpriced == 0

    def test_a_quantity_that_changes_without_a_fill_counts_at_the_mark(self):
        change = change_of(story(Line(), Line(mark=1.5, slope=-300.0), Line(mark=1.4, slope=-300.0)))

        assert change.profit == pytest.approx(50.0 + 30.0)
        assert change.unpriced == 1
        assert adds_up(change)


class TestDue:
    """Another step is due by time, by price, or where lines changed."""

    STRIP = begin(reading(0, {"put": Line()}))

    @pytest.mark.parametrize(
        ("minute", "lines", "due"),
        [
            (0.5, {"put": Line(spot=100.2)}, False),
            (1, {"put": Line()}, True),
            (0.5, {"put": Line(spot=100.26)}, True),
            (0.5, {"put": Line(spot=99.74)}, True),
            (0.5, {"put": Line(), "call": Line()}, True),
            (0.5, {"put": Line(spot=nan)}, False),
        ],
    )
    def test_it_is_due(self, minute: float, lines: Mapping[str, Line], *, due: bool):
        assert is_due(self.STRIP, reading(minute, lines)) is due


def maybe(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    return st.one_of(numbers, st.just(nan))


LINES = st.builds(
    Line,
    mark=maybe(st.floats(0, 1_000)),
    spot=maybe(st.floats(1, 10_000)),
    slope=st.sampled_from((-1_000.0, -100.0, 0.0, 100.0, 3_000.0)),
    volatility=maybe(st.floats(0.01, 9)),
    delta=maybe(st.floats(-1, 1)),
    vega=maybe(st.floats(0, 1_000)),
    theta=maybe(st.floats(-1e5, 0)),
    source=st.sampled_from((MarkSource.MID, MarkSource.TRADE, MarkSource.BID, None)),
    forward=st.sampled_from(("spot", "parity")),
    paid=st.sampled_from((0.0, 0.0, 250.0, -99.5)),
    is_option=st.booleans(),
)


@given(
    st.lists(
        st.tuples(st.floats(0, 12), st.dictionaries(st.sampled_from("abcd"), LINES, max_size=4)),
        min_size=2,
        max_size=8,
    )
)
def test_whatever_happens_the_parts_add_up_and_none_is_nan(
    of_steps: list[tuple[float, Mapping[str, Line]]],
):
    minute, strip = 0.0, begin(reading(0, of_steps[0][1]))
    for passed, lines in of_steps[1:]:
        minute += passed
        strip = fold(strip, reading(minute, lines))

    change = change_of(strip)
    parts = fsum(change.parts.values())
    assert abs(parts - change.profit) <= 1e-9 * max(1.0, *(abs(one) for one in change.parts.values()))
    assert fsum(gap.dollars for gap in change.gaps) == pytest.approx(
        change.parts[Part.GAP], rel=1e-9, abs=1e-6
    )
    assert set(strip.last.keys) == {key for _, lines in of_steps for key in lines}


def test_a_day_of_steps_is_no_more_than_the_first():
    strip = begin(reading(0, {"put": Line(), "call": Line(delta=0.4)}))
    first = strip
    for minute in range(1, 391):
        strip = fold(strip, reading(minute, {"put": Line(mark=2.0 + minute / 100), "call": Line(delta=0.4)}))

    assert strip.amounts.shape == first.amounts.shape
    assert strip.gaps == ()
    assert adds_up(change_of(strip))
