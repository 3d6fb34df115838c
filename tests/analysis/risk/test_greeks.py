"""Positions in the units that are shown, and sums that cannot look whole where something lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.risk.greeks import (
    FIGURES,
    Coverage,
    FigureState,
    GreekSum,
    PositionGreeks,
    position_greeks,
    share_greeks,
    sum_greeks,
    sums_by,
)
from options_helper.analysis.risk.implied_volatility import OptionQuotes, implied_volatility
from options_helper.analysis.risk.pricing import greeks
from tests.analysis.risk.legs import Leg, greeks_of, market_of, terms_of, values

CALL, PUT = Leg(100, 100, 30, 0.25), Leg(100, 95, 30, 0.3, kind="put")


def held(*positions: tuple[float, Leg], quoted: Sequence[tuple[float, float]] = ()) -> PositionGreeks:
    """So many contracts of each leg, quoted two cents wide around its value if nothing else is said."""
    quantity, legs = zip(*positions, strict=True)
    terms, market = terms_of(legs), market_of(legs)
    around = np.nan_to_num(values(*legs))
    bid, ask = np.array(quoted, dtype=float).T if quoted else (around - 0.01, around + 0.01)
    mid = (bid + ask) / 2
    found = implied_volatility(terms, market, OptionQuotes(bid, ask, mid, np.full(len(legs), 0.01)))
    worth = 100 * np.array(quantity, dtype=float)
    return position_greeks(
        terms, market, found, greeks(terms, market, found.volatility), mark=mid, worth=worth
    )


def test_a_position_is_in_shares_points_and_days():
    one, found = greeks_of(CALL), held((-2, CALL))

    assert found.delta[0] == pytest.approx(-200 * one.delta[0], rel=1e-3)
    assert found.delta_dollars[0] == pytest.approx(-200 * one.delta[0] * 100, rel=1e-3)
    assert found.gamma[0] == pytest.approx(-200 * one.gamma[0], rel=1e-3)
    assert found.gamma_percent[0] == pytest.approx(-200 * one.gamma[0], rel=1e-3)  # a dollar is 1 % of 100
    assert found.vega[0] == pytest.approx(-2 * one.vega[0], rel=1e-3)
    assert found.theta[0] == pytest.approx(-200 * one.theta[0] / 365, rel=1e-3)
    assert found.rho[0] == pytest.approx(-2 * one.rho[0], rel=1e-3)


def test_a_short_put_is_long_delta_and_earns_theta():
    found = held((-1, PUT), (-1, CALL), (1, PUT))

    assert found.delta[0] > 0 > found.delta[1]
    assert found.theta[0] > 0 > found.theta[2]
    assert found.vega[0] < 0 < found.vega[2]


def test_on_the_last_day_theta_is_the_time_value_that_is_left():
    """For American and European legs alike, and of the mark, so that no volatility is needed."""
    today = [Leg(100, 99, 0.1, 0.25), Leg(100, 101, 0.1, 0.25), Leg(100, 99, 0.1, 0.25, american=False)]

    found = held(*((-1, leg) for leg in today), quoted=[(1.1, 1.3), (0.0, 0.05), (1.1, 1.3)])

    assert found.is_last_day.all()
    assert found.theta == pytest.approx([20, 2.5, 20], abs=0.5)
    assert np.isnan(found.vega[1])


def test_a_mark_below_intrinsic_value_has_no_time_value_left():
    found = held((1, Leg(100, 90, 0.1, 0.25)), quoted=[(9.8, 10.0)])

    assert found.theta[0] == 0


def test_on_the_last_day_time_value_without_a_mark_or_a_spot_is_not_known():
    """And no 0, which a sum would count as known."""
    ends_today = Leg(100, 101, 0.1, 0.25)

    found = held(
        (1, ends_today), (1, ends_today._replace(spot=np.nan)), quoted=[(np.nan, np.nan), (0.5, 0.6)]
    )

    assert np.isnan(found.theta).all()
    assert sum_greeks(found).theta == GreekSum(None, Coverage(known=0, bound=0, of=2), missing=2)


def test_on_the_last_day_time_value_needs_no_rate():
    """A far leg of an index of which no rate or yield is known is time value through and through."""
    far = Leg(6800, 7100, 0.3, 0.2, rate=np.nan, carry=np.nan, american=False)

    assert held((1, far), quoted=[(0.5, 0.6)]).theta == pytest.approx([-55])


def test_no_theta_is_a_negative_zero():
    found = held(
        (1, Leg(100, 90, 0.1, 0.25)), (-1, Leg(100, 90, 0.1, 0.25)), quoted=[(9.8, 10.0), (9.8, 10.0)]
    )

    assert not np.signbit(found.theta).any()


def test_at_intrinsic_value_delta_is_a_bound_and_nothing_else_is_known():
    found = held((3, Leg(100, 120, 30, 0.25, kind="put")), quoted=[(19.8, 20.1)])

    assert found.delta[0] == -300
    assert found.delta_state[0] is FigureState.BOUND
    assert np.isnan([found.gamma[0], found.vega[0], found.theta[0], found.rho[0]]).all()


def test_each_figure_says_what_it_covers():
    at_intrinsic = Leg(100, 120, 30, 0.25, kind="put")
    book = held((1, CALL), (1, at_intrinsic), (1, CALL), quoted=[(2.9, 3.0), (19.8, 20.1), (np.nan, np.nan)])

    found = sum_greeks(book)

    assert found.delta.coverage == Coverage(known=1, bound=1, of=3)
    assert found.delta.ends is not None
    assert found.delta.ends[1] - found.delta.ends[0] == pytest.approx(100)
    assert found.delta.amount == book.delta[0] - 100
    assert found.vega.coverage == Coverage(known=1, bound=0, of=3)
    assert found.vega.amount == book.vega[0]
    assert (found.delta.missing, found.vega.missing) == (1, 2)
    assert not found.delta.is_whole
    assert found.delta.coverage.words == "1 of 3 legs (1 bound)"


def test_a_sum_of_which_nothing_is_known_is_not_zero():
    found = sum_greeks(held((1, CALL), quoted=[(np.nan, np.nan)]))

    assert [getattr(found, name).amount for name in FIGURES] == [None] * 7


def test_a_bound_alone_makes_no_sum_whole():
    found = sum_greeks(held((1, Leg(100, 120, 30, 0.25, kind="put")), quoted=[(19.8, 20.1)]))

    assert found.delta.amount == -100
    assert found.delta.missing == 0
    assert not found.delta.is_whole


def test_what_has_ended_lacks_in_no_sum():
    found = sum_greeks(held((1, CALL), (1, CALL._replace(days=0)), quoted=[(2.9, 3.0), (np.nan, np.nan)]))

    assert found.delta.coverage == Coverage(known=1, bound=0, of=1)
    assert found.delta.is_whole


def test_nothing_held_is_zero_and_whole():
    found = sum_greeks(held((1, CALL._replace(days=0)), quoted=[(np.nan, np.nan)]))

    assert found.delta == GreekSum(0.0, Coverage(0, 0, 0), 0)


def test_the_nothing_of_what_has_ended_makes_no_amount_of_what_is_not_known():
    """Joined of entries or summed of lines: 0 · 0 of 1 would be an amount of nothing."""
    unknown, gone = (
        held((1, CALL), quoted=[(np.nan, np.nan)]),
        held((1, CALL._replace(days=0)), quoted=[(np.nan, np.nan)]),
    )

    joined = GreekSum.joined([sum_greeks(unknown).delta, sum_greeks(gone).delta])

    assert joined == sum_greeks(unknown.followed_by(gone)).delta == GreekSum(None, Coverage(0, 0, of=1), 1)


def test_the_nothing_of_shares_makes_no_amount_of_what_is_not_known():
    unknown, shares = (
        held((1, CALL), quoted=[(np.nan, np.nan)]),
        share_greeks(np.array([100.0]), np.array([100.0])),
    )

    joined = GreekSum.joined([sum_greeks(unknown).gamma, sum_greeks(shares).gamma])

    assert joined == sum_greeks(unknown.followed_by(shares)).gamma == GreekSum(None, Coverage(0, 0, of=1), 1)
    assert sum_greeks(unknown.followed_by(shares)).delta.amount == 100


def test_an_unknown_multiplier_is_no_figure():
    found = held((np.nan, CALL), (1, CALL))

    assert np.isnan(found.delta).tolist() == [True, False]
    assert sum_greeks(found).gamma.coverage == Coverage(known=1, bound=0, of=2)


def test_shares_are_delta_alone_and_cover_no_legs():
    book = held((-1, CALL)).followed_by(share_greeks(np.array([100.0, 50.0]), np.array([100.0, np.nan])))

    found = sum_greeks(book)

    assert found.delta.amount == pytest.approx(150 + book.delta[0])
    assert found.delta.coverage == Coverage(known=1, bound=0, of=1)
    assert found.delta.is_whole
    assert found.vega.is_whole
    assert found.delta_dollars.missing == 1  # the second share has no price
    assert not found.delta_dollars.is_whole


def test_sums_stand_by_any_key_in_the_order_of_the_lines():
    book = held((1, CALL), (1, PUT), (-1, CALL))

    found = sums_by(["b", "a", "b"], book)

    assert list(found) == ["b", "a"]
    assert found["b"].delta.amount == 0
    assert found["a"].vega.amount == pytest.approx(book.vega[1])


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(80, 120)), min_size=1, max_size=6),
    st.floats(1, 100),
)
def test_long_and_short_of_one_leg_are_exactly_nothing(others: list[tuple[float, float]], contracts: float):
    """Whatever stands between them in the book."""
    between = [(quantity, CALL._replace(strike=strike)) for quantity, strike in others]

    beside = sum_greeks(held((contracts, PUT), *between, (-contracts, PUT)))
    alone = sum_greeks(held(*between))

    for name in FIGURES:
        assert (getattr(beside, name).amount or 0) == (getattr(alone, name).amount or 0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(-5, 5), st.floats(60, 140)), min_size=1, max_size=8)
)
def test_the_book_is_the_sum_of_its_parts(lines: list[tuple[str, float, float]]):
    book = held(*((quantity, CALL._replace(strike=strike)) for _, quantity, strike in lines))

    parts, whole = sums_by([key for key, _, _ in lines], book), sum_greeks(book)

    for name in FIGURES:
        amounts = [getattr(part, name).amount for part in parts.values()]
        total = getattr(whole, name)
        assert sum(amount or 0 for amount in amounts) == pytest.approx(total.amount or 0, rel=1e-9, abs=1e-9)
        assert sum(getattr(part, name).coverage.known for part in parts.values()) == total.coverage.known
        assert sum(getattr(part, name).missing for part in parts.values()) == total.missing


def test_a_line_alone_says_what_it_says_beside_one_that_adds_nothing():
    """Known, unknown, a bound, a share, one that has ended: a group of one line is summed on a way of its own."""
    shares = share_greeks(np.array([150.0, np.nan]), np.array([100.0, np.nan]))
    legs = held((1, CALL), (-2, PUT), (1, CALL), quoted=[(2.8, 2.9), (np.nan, 1.2), (np.nan, np.nan)])
    book = legs.followed_by(shares)
    ended = replace(share_greeks(np.array([0.0]), np.array([100.0])), is_held=np.array([False]))

    alone = sums_by(range(5), book)
    for line in range(5):
        beside = sums_by([*range(5), line], book.followed_by(ended))[line]
        assert alone[line] == beside
    over = sums_by(["over"], ended)["over"]
    assert (over.delta.amount, over.delta.coverage, over.delta.missing) == (0.0, Coverage(0, 0, 0), 0)


def test_the_state_of_a_delta_is_a_state_and_no_text():
    """So that `is` and `match` mean what they say."""
    found = share_greeks(np.array([1.0, np.nan]), np.array([100.0, 100.0]))

    assert [type(state) for state in found.delta_state] == [FigureState, FigureState]
    assert found.delta_state.tolist() == [FigureState.OK, FigureState.UNKNOWN]


@pytest.mark.parametrize(
    ("values", "ends"),
    [([-3.0, 100.0], (97.0, 100.0)), ([5.0, 100.0], (100.0, 105.0)), ([-3.0, 5.0], (-3.0, 5.0))],
)
def test_a_sum_with_a_bound_says_between_what_the_truth_lies(values: list[float], ends: tuple[float, float]):
    """A bound lies between 0 and itself, so the sum is no bound of the same kind: 97 may be 100."""
    parts = [
        GreekSum(one, Coverage(0, 1, 1), 0, max(0.0, one), max(0.0, -one))
        if abs(one) < 100
        else GreekSum(one, Coverage(0, 0, 0), 0)
        for one in values
    ]

    assert GreekSum.joined(parts).ends == ends
    assert GreekSum(1.0, Coverage(1, 0, 1), 0).ends is None
