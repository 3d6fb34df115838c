"""The curve of today goes through today's marks, and at the end nothing is left but the payoff."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.risk.pricing import greeks
from options_helper.analysis.risk.scenario import (
    Scenario,
    ScenarioLines,
    curve,
    curve_at_first_end,
    curve_factors,
    first_end_days,
    shifted,
)
from options_helper.analysis.risk.what_if import NOW, WhatIf
from tests.analysis.risk.legs import Leg, market_of, terms_of, values, volatility_of

NOW_ONLY = np.array([1.0])
SPOTS = np.array([0.5, 0.9, 1.0, 1.1, 2.0])


def lines(
    *legs: Leg,
    slopes: Sequence[float] = (),
    marks: Sequence[float] | None = None,
    shares: Sequence[float] = (),
) -> ScenarioLines:
    """Legs long 100 each at the model's price, unless said otherwise; shares by their worth."""
    return ScenarioLines(
        labels=tuple(f"{leg.strike:g} {leg.kind}" for leg in legs),
        terms=terms_of(legs),
        market=market_of(legs),
        volatility=volatility_of(legs),
        mark=values(*legs) if marks is None else np.array(marks, dtype=float),
        slope=np.array(slopes or [100.0] * len(legs), dtype=float),
        share_labels=tuple(f"shares {n}" for n, _ in enumerate(shares)),
        share_worth=np.array(shares, dtype=float),
    )


CALL, PUT = Leg(100, 105, 30, 0.25), Leg(100, 95, 30, 0.3, kind="put")
SHORT_DATED = Leg(100, 100, 7, 0.3)


class TestToday:
    """With nothing changed."""

    def test_it_goes_through_the_marks(self):
        book = lines(CALL, PUT, slopes=(-100, 200), marks=(1.13, 1.42), shares=(10_000.0,))
        found = curve(book, SPOTS)

        assert found.now == pytest.approx(-113 + 284 + 10_000, abs=1e-9)
        assert found.worth[2] == pytest.approx(found.now, abs=1e-9)
        assert found.change[2] == pytest.approx(0.0, abs=1e-9)

    def test_it_says_how_much_the_marks_exceed_the_model(self):
        marks = values(CALL, PUT) + np.array([0.05, 0.02])
        found = curve(lines(CALL, PUT, slopes=(-100, 200), marks=marks), NOW_ONLY)

        assert found.carried == pytest.approx(-5 + 4)

    def test_elsewhere_it_is_the_model_with_the_same_volatility(self):
        found = curve(lines(CALL, PUT), SPOTS)
        moved = [values(CALL._replace(spot=100 * f), PUT._replace(spot=100 * f)).sum() * 100 for f in SPOTS]

        assert found.worth == pytest.approx(moved)
        assert found.words == "2 of 2 legs"

    def test_its_slope_is_delta(self):
        book = lines(CALL, PUT._replace(american=False))
        around = curve(book, np.array([0.9999, 1.0001])).worth
        delta = greeks(book.terms, book.market, book.volatility).delta

        assert (around[1] - around[0]) / 0.02 == pytest.approx(100 * delta.sum(), rel=1e-4)

    def test_a_volatility_stops_at_0_and_the_legs_of_which_it_does_are_listed(self):
        """Of 25 % a fall of 27 points is one of 25."""
        book = lines(CALL, PUT)
        floors = {n: curve(book, NOW_ONLY, WhatIf(vol_points=-n)).at_floor for n in (1, 27, 100)}

        assert floors == {1: (), 27: ("105 call",), 100: ("105 call", "95 put")}

    def test_a_leg_without_volatility_is_drawn_by_intrinsic_value_and_listed(self):
        book = lines(CALL, PUT._replace(volatility=nan), marks=(values(CALL)[0], 1.2))
        found = curve(book, SPOTS)

        assert found.by_intrinsic == ("95 put",)
        assert (found.words, found.carried) == ("1 of 2 legs", 0.0)
        assert found.change[2] == pytest.approx(0.0, abs=1e-9)
        alone = curve(lines(PUT._replace(volatility=nan), marks=(1.2,)), SPOTS)
        assert alone.worth == pytest.approx([100 * (45 + 1.2), 100 * (5 + 1.2), 120, 120, 120])

    def test_a_leg_without_mark_counts_by_the_model_and_is_said(self):
        found = curve(lines(CALL, PUT, marks=(nan, 1.0)), NOW_ONLY)

        assert found.without_mark == ("105 call",)
        assert found.now == found.worth[0] == pytest.approx(100 * values(CALL)[0] + 100)

    def test_what_cannot_be_drawn_is_named_with_its_reason(self):
        book = lines(CALL, PUT, CALL._replace(spot=nan), CALL._replace(days=0), slopes=(nan, 100, 100, 100),
                     shares=(nan, 500.0))  # fmt: skip
        found = curve(book, NOW_ONLY)

        assert found.left_out == (
            "105 call: what one contract delivers is not known",
            "105 call: no price of the underlying",
            "105 call: it has ended, and what it settled at is not known here",
            "shares 0: no price",
        )
        assert found.worth[0] == pytest.approx(100 * values(PUT)[0] + 500)
        assert found.words == "1 of 4 legs"

    def test_a_missing_leg_changes_no_other(self):
        whole, without = lines(CALL, PUT), lines(CALL, PUT, slopes=(nan, 100))

        assert curve(without, SPOTS).worth == pytest.approx(curve(lines(PUT), SPOTS).worth, abs=1e-12)
        assert curve(whole, SPOTS).worth == pytest.approx(
            curve(lines(PUT), SPOTS).worth + curve(lines(CALL), SPOTS).worth
        )

    def test_long_and_short_is_exactly_nothing(self):
        found = curve(
            lines(CALL, PUT, CALL, PUT, slopes=(100, 100, -100, -100)), SPOTS, WhatIf(-5, 3, days=7)
        )

        assert found.worth.tolist() == [0.0] * 5

    def test_nothing_is_worth_nothing(self):
        found = curve(lines(), SPOTS)

        assert found.worth.tolist() == [0.0] * 5
        assert curve(lines(shares=(-500.0,)), SPOTS).worth == pytest.approx(-500 * SPOTS)


class TestWhatIf:
    """With something changed."""

    def test_each_change_is_that_input_changed(self):
        book = lines(CALL, PUT)
        moved = {
            WhatIf(spot_percent=-5): (CALL._replace(spot=95), PUT._replace(spot=95)),
            WhatIf(vol_points=3): (CALL._replace(volatility=0.28), PUT._replace(volatility=0.33)),
            WhatIf(days=7): (CALL._replace(days=23), PUT._replace(days=23)),
            WhatIf(rate_points=0.5): (CALL._replace(rate=0.048), PUT._replace(rate=0.048)),
            WhatIf(-5, 3, days=7): (
                CALL._replace(spot=95, volatility=0.28, days=23),
                PUT._replace(spot=95, volatility=0.33, days=23),
            ),
        }

        for what_if, legs in moved.items():
            assert curve(book, NOW_ONLY, what_if).worth[0] == pytest.approx(100 * values(*legs).sum()), (
                what_if
            )

    def test_volatility_may_move_less_the_longer_the_leg(self):
        legs = (CALL._replace(days=30), CALL._replace(days=120), CALL._replace(days=0.2))
        found = shifted(_scenario(*legs), WhatIf(vol_points=4, term_days=30))

        assert found.volatility == pytest.approx(0.25 + np.array([0.04, 0.02, 0.04 * 30**0.5]))

    def test_volatility_does_not_fall_below_nothing(self):
        assert shifted(_scenario(CALL), WhatIf(vol_points=-50)).volatility.tolist() == [0.0]

    def test_a_dividend_that_has_gone_ex_by_then_is_in_the_price(self):
        paid = CALL._replace(dividends=((5, 1.0), (20, 0.5)))
        found = curve(lines(paid), NOW_ONLY, WhatIf(days=7))

        assert found.worth[0] == pytest.approx(
            100 * values(CALL._replace(days=23, dividends=((13, 0.5),)))[0]
        )

    def test_the_difference_to_the_mark_fades_with_the_time_left(self):
        book = lines(CALL, marks=values(CALL) + 0.3)

        assert curve(book, NOW_ONLY, WhatIf(days=10)).worth[0] == pytest.approx(
            100 * (values(CALL._replace(days=20))[0] + 0.2)
        )

    def test_a_leg_that_ends_within_the_days_is_worth_its_intrinsic_value_and_is_named(self):
        book = lines(SHORT_DATED, CALL, marks=(2.0, 1.5))
        found = curve(book, np.array([0.9, 1.1]), WhatIf(days=10))
        later = curve(lines(CALL, marks=(1.5,)), np.array([0.9, 1.1]), WhatIf(days=10))

        assert found.ended == ("100 call",)
        assert found.worth - later.worth == pytest.approx([0.0, 1_000.0])

    def test_the_greeks_there_are_those_of_its_inputs(self):
        found = greeks(*shifted(_scenario(CALL), WhatIf(-5, 3, days=7)))
        there = CALL._replace(spot=95, volatility=0.28, days=23)

        assert found.delta == pytest.approx(
            greeks(terms_of([there]), market_of([there]), volatility_of([there])).delta
        )


class TestFirstEnd:
    """When the first leg settles."""

    def test_of_one_expiry_it_is_the_payoff(self):
        book = lines(CALL, PUT, slopes=(-100, 100), marks=(1.3, 1.4))
        found = curve_at_first_end(book, SPOTS)

        assert found is not None
        assert found.worth == pytest.approx([4_500, 500, 0, -500, -9_500])
        assert found.ended == ("105 call", "95 put")

    def test_of_several_the_later_are_worth_what_the_model_says_then(self):
        book = lines(SHORT_DATED, CALL, slopes=(-100, 100))
        found = curve_at_first_end(book, SPOTS)

        assert first_end_days(book) == pytest.approx(7)
        assert found is not None
        assert found.ended == ("100 call",)
        then = [values(CALL._replace(spot=100 * f, days=23))[0] - max(100 * f - 100, 0.0) for f in SPOTS]
        assert found.worth == pytest.approx([100 * one for one in then], abs=1e-6)

    def test_shares_have_no_end(self):
        assert first_end_days(lines(shares=(500.0,))) is None
        assert curve_at_first_end(lines(shares=(500.0,)), SPOTS) is None


def test_a_curve_is_drawn_at_its_kinks_and_at_the_price_of_now():
    found = curve_factors(100.0, np.array([95.0, 103.5, 150.0, nan]), points=10)

    assert {0.8, 0.95, 1.0, 1.035, 1.2} <= set(found.round(12).tolist())
    assert found.max() == pytest.approx(1.2)
    assert (np.diff(found) > 0).all()


def _scenario(*legs: Leg) -> Scenario:
    return Scenario(terms_of(legs), market_of(legs), volatility_of(legs))


def maybe(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    return st.one_of(numbers, st.just(nan))


LEGS = st.builds(
    Leg,
    spot=maybe(st.floats(0.5, 5_000)),
    strike=st.floats(0.5, 5_000),
    days=st.floats(0, 900),
    volatility=maybe(st.floats(0.001, 5)),
    rate=maybe(st.floats(0, 0.2)),
    carry=st.floats(-0.05, 0.5),
    kind=st.sampled_from(("call", "put")),
    dividends=st.sampled_from(((), ((10.0, 1.0),), ((3.0, 400.0),))),
    american=st.booleans(),
)


@given(
    st.lists(st.tuples(LEGS, maybe(st.floats(0, 900)), maybe(st.sampled_from((-100.0, 100.0, 5.0)))), max_size=5),
    st.builds(
        WhatIf,
        spot_percent=st.floats(-99, 300),
        vol_points=st.floats(-100, 100),
        term_days=st.sampled_from((None, 30.0)),
        days=st.floats(0, 500),
        rate_points=st.floats(-5, 5),
    ),
)  # fmt: skip
def test_no_input_gives_a_curve_that_is_no_number(held: list[tuple[Leg, float, float]], what_if: WhatIf):
    book = lines(
        *(leg for leg, _, _ in held),
        marks=[mark for _, mark, _ in held],
        slopes=[slope for _, _, slope in held],
    )
    found = curve(book, SPOTS, what_if)
    today = curve(book, SPOTS, NOW)

    assert np.isfinite(found.worth).all()
    assert np.isfinite([found.now, found.carried]).all()
    marks = [slope * mark for _, mark, slope in held if slope * mark == slope * mark]
    if not today.left_out and not today.without_mark:
        assert today.worth[2] == pytest.approx(fsum(marks), abs=1e-6, rel=1e-9)
    of_others = len(found.left_out) + len(found.by_intrinsic) + len(found.ended)
    assert found.by_model + of_others == len(held)


@pytest.mark.parametrize(
    ("days", "words", "ended"), [(6, "2 of 2 legs", ()), (7, "1 of 2 legs", ("100 call",))]
)
def test_what_has_ended_by_then_is_no_models(days: int, words: str, ended: tuple[str, ...]):
    found = curve(lines(CALL, SHORT_DATED), NOW_ONLY, WhatIf(days=days))

    assert (found.words, found.ended, found.by_intrinsic) == (words, ended, ())
