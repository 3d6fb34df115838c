"""A beta is a slope with what it rests on; one that is missing is named, and never 1."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from math import exp, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.risk.beta import Beta, BetaSource, DeltaDollars, beta_of, beta_weighted

FIRST = date(2025, 11, 3)


def closes(returns: Sequence[float], start: float = 100.0, first: date = FIRST) -> dict[date, float]:
    """A close a day, the first at `start`."""
    levels = np.concatenate([[0.0], np.cumsum(returns)])
    return {first + timedelta(days=n): start * exp(level) for n, level in enumerate(levels)}


def moves(count: int, seed: int = 1) -> list[float]:
    return [random.Random(seed * 1_000 + n).gauss(0, 0.01) for n in range(count)]


INDEX = closes(moves(300), start=600.0)
BETAS = {"NVDA": Beta(2.0, BetaSource.OWN), "SPY": Beta(1.0, BetaSource.INDEX)}


def a_share(slope: float, noise: float = 0.0, count: int = 300) -> Mapping[date, float]:
    return closes([slope * x + noise * e for x, e in zip(moves(300), moves(300, 2), strict=True)][:count])


def test_a_share_that_moves_twice_as_much_has_two():
    found = beta_of("NVDA", a_share(2.0), "SPY", INDEX)

    assert found.value == pytest.approx(2.0, abs=1e-12)
    assert found.r_squared == pytest.approx(1.0, abs=1e-12)
    assert (found.returns, found.source, found.is_weak) == (252, BetaSource.DAILY_CLOSES, False)
    assert found.last == FIRST + timedelta(days=300)
    assert found.first == FIRST + timedelta(days=48)


def test_it_is_the_slope_that_numpy_fits():
    share = a_share(1.3, noise=0.8)
    found = beta_of("NVDA", share, "SPY", INDEX)
    x, y = (np.diff(np.log(list(prices.values())[-253:])) for prices in (INDEX, share))

    assert found.value == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-9)
    assert found.r_squared == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2, rel=1e-9)


def test_only_sessions_that_both_have_count():
    share = {day: price for n, (day, price) in enumerate(a_share(2.0).items()) if n % 3}
    index = {day: price for n, (day, price) in enumerate(INDEX.items()) if n % 5}
    found = beta_of("NVDA", share, "SPY", index)

    assert found.value == pytest.approx(2.0, abs=1e-12)
    assert found.returns == len(set(share) & set(index)) - 1


def test_too_few_returns_are_no_beta():
    found = beta_of("IPO", a_share(2.0, count=59), "SPY", INDEX)

    assert (found.value, found.returns) == (None, 59)
    assert found.words == "not known: IPO and SPY have 59 daily returns in common, 60 are needed"
    assert beta_of("IPO", a_share(2.0, count=60), "SPY", INDEX).value == pytest.approx(2.0)
    assert beta_of("NEW", {}, "SPY", INDEX).returns == 0


def test_a_beta_that_says_nearly_nothing_is_weak():
    found = beta_of("GLD", a_share(0.1, noise=1.0), "SPY", INDEX)

    assert found.is_weak
    assert found.words.endswith(", weak)")


def test_closes_that_are_no_prices_are_left_out():
    share = {**a_share(2.0), FIRST + timedelta(days=200): 0.0, FIRST + timedelta(days=201): nan}

    assert beta_of("NVDA", share, "SPY", INDEX).value == pytest.approx(2.0, abs=1e-12)


def test_an_index_that_does_not_move_explains_nothing():
    still = dict.fromkeys(INDEX, 600.0)

    assert beta_of("NVDA", a_share(2.0), "SPY", still).reason == "the closes of SPY do not move"
    assert beta_of("CASH", dict.fromkeys(INDEX, 1.0), "SPY", INDEX).r_squared == 0.0


def test_what_the_user_wrote_goes_first():
    found = beta_of("NVDA", a_share(2.0), "SPY", INDEX, own={"NVDA": 1.7})

    assert (found.value, found.source, found.words) == (1.7, BetaSource.OWN, "1.70 (own)")


def test_the_index_is_itself():
    assert beta_of("SPY", {}, "SPY", {}).value == 1.0


class TestWeighted:
    """Σ delta · S · beta, in shares of the index and for 1 % of it."""

    def test_a_sum_in_shares_of_the_index(self):
        legs = [DeltaDollars("NVDA put", "NVDA", 9_000.0), DeltaDollars("SPY shares", "SPY", -6_000.0)]
        found = beta_weighted(legs, BETAS, "SPY", 600.0)

        assert (found.shares, found.dollars_per_percent) == (20.0, 120.0)
        assert (found.counted, found.of, found.missing, found.complete) == (2, 2, (), True)

    def test_the_share_counts_not_the_option(self):
        """Seen elsewhere: the option's mark in place of the share's price, about 100 times too large."""
        delta, spot = -0.3 * 100 * -2, 150.0
        found = beta_weighted([DeltaDollars("2 short puts", "NVDA", delta * spot)], BETAS, "SPY", 600.0)

        assert found.shares == pytest.approx(60 * 150 * 2 / 600)

    def test_a_leg_without_beta_is_named_and_not_counted(self):
        legs = [
            DeltaDollars("NVDA put", "NVDA", 9_000.0),
            DeltaDollars("IPO call", "IPO", 100.0),
            DeltaDollars("ODD call", "ODD", 100.0),
            DeltaDollars("SPY call", "SPY", None),
            DeltaDollars("SPY put", "SPY", nan),
        ]
        found = beta_weighted(
            legs, {**BETAS, "IPO": Beta(None, reason="5 returns, 60 are needed")}, "SPY", 600
        )

        assert (found.shares, found.counted, found.of, found.complete) == (30.0, 1, 5, False)
        assert found.missing == (
            "IPO call: the beta of IPO is not known (5 returns, 60 are needed)",
            "ODD call: the beta of ODD is not known (nobody has asked for it)",
            "SPY call, SPY put: their delta is not known",
        )

    def test_nothing_counted_is_not_nothing(self):
        found = beta_weighted([DeltaDollars("IPO call", "IPO", 100.0)], {}, "SPY", 600.0)

        assert (found.shares, found.dollars_per_percent) == (None, None)

    @pytest.mark.parametrize("price", [None, 0.0, nan])
    def test_without_a_price_of_the_index_there_are_dollars_and_no_shares(self, price: float | None):
        found = beta_weighted([DeltaDollars("NVDA put", "NVDA", 9_000.0)], BETAS, "SPY", price)

        assert (found.shares, found.dollars_per_percent) == (None, 180.0)

    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
    def test_a_leg_long_and_short_is_nothing(self, dollars: list[float]):
        legs = [DeltaDollars("leg", "NVDA", sign * one) for one in dollars for sign in (1, -1)]

        assert beta_weighted(legs, BETAS, "SPY", 600.0).shares == 0.0


def test_an_index_moves_as_the_fund_that_follows_it():
    """SPX has no closes; it is what SPY holds, and NDX is what QQQ holds."""
    same = beta_of("SPX", {}, "SPY", INDEX, fund="SPY")
    other = beta_of("NDX", a_share(1.2), "SPY", INDEX, fund="QQQ")

    assert (same.value, same.words) == (1.0, "1.00 (of SPY, which follows it)")
    assert other.value == pytest.approx(1.2)
    assert other.words.startswith("1.20 (of QQQ, which follows it: 252 days to ")


def test_nothing_held_moves_by_nothing():
    assert beta_weighted([], {}, "SPY", 600.0).dollars_per_percent == 0


def test_a_bound_that_is_counted_is_named():
    legs = [
        DeltaDollars("sure", "SPY", 600.0),
        DeltaDollars("deep", "SPY", 6_000.0, is_bound=True),
        DeltaDollars("not known", "SPY", None, is_bound=True),
    ]
    found = beta_weighted(legs, {"SPY": Beta(1.0)}, "SPY", 600.0)

    assert (found.shares, found.counted, found.bounds) == (11.0, 2, ("deep",))
    # A bound lies between 0 and what is counted.
    assert (found.share_ends, found.dollar_ends) == ((1.0, 11.0), (6.0, 66.0))


def test_bounds_of_either_sign_widen_the_sum_to_their_own_side_and_without_any_it_has_no_ends():
    legs = [
        DeltaDollars("sure", "SPY", 600.0),
        DeltaDollars("call", "SPY", 600.0, is_bound=True),
        DeltaDollars("put", "AAPL", -1_200.0, is_bound=True),
    ]
    betas = {"SPY": Beta(1.0), "AAPL": Beta(0.5)}

    assert beta_weighted(legs, betas, "SPY", 600.0).share_ends == (0.0, 2.0)
    without_price = beta_weighted(legs, betas, "SPY", None)
    assert (without_price.share_ends, without_price.dollar_ends) == (None, (0.0, 12.0))
    assert beta_weighted(legs[:1], betas, "SPY", 600.0).share_ends is None
