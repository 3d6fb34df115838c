"""Look after look: only what moved is computed, within a budget, and what waits keeps its figures and their age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.analysis.risk.implied_volatility import OptionQuotes, VolatilityState
from options_helper.analysis.risk.leg_risk import LegInputs, LegRisk, refresh
from tests.analysis.risk.legs import Leg, greeks_of, market_of, terms_of, values

NINE, TEN = 32_400.0, 36_000.0  # seconds
PUTS = [Leg(100, strike, 30, 0.25, kind="put") for strike in (90, 95, 100, 105)]


def quoted(legs: Sequence[Leg], half: float = 0.01) -> OptionQuotes:
    mid = values(*legs)
    return OptionQuotes(mid - half, mid + half, mid, np.full(len(legs), 0.01))


def look(legs: Sequence[Leg], at: float = NINE, keys: Sequence[str] | None = None) -> LegInputs:
    """Each leg quoted around its value; it is called by its strike."""
    count, terms, market = len(legs), terms_of(legs), market_of(legs)
    return LegInputs(
        keys=tuple(keys or (f"{leg.kind} {leg.strike}" for leg in legs)),
        terms=terms,
        market=market,
        quotes=quoted(legs),
        quoted_spot=market.spot,
        quoted_years=terms.years,
        as_of=np.full(count, at),
        partners=OptionQuotes.none(count),
        partner_names=("",) * count,
    )


def assert_same(found: LegRisk, expected: LegRisk) -> None:
    """The same figures, however the search for them began: to a part of a tick, next to exercise 0.1 points."""
    assert found.volatility.state.tolist() == expected.volatility.state.tolist()
    for name, tolerance in (("volatility", 1e-3), ("low", 2e-3), ("high", 2e-3)):
        assert getattr(found.volatility, name) == pytest.approx(
            getattr(expected.volatility, name), abs=tolerance, nan_ok=True
        )
    for figures in (found, expected):
        assert (np.isnan(figures.greeks.delta) | np.isnan(figures.volatility.delta_bound)).all()
    assert found.greeks.delta == pytest.approx(expected.greeks.delta, abs=5e-3, nan_ok=True)
    assert found.volatility.delta_bound == pytest.approx(
        expected.volatility.delta_bound, abs=5e-3, nan_ok=True
    )


def test_the_first_look_computes_all_whatever_the_budget():
    found = refresh(look(PUTS), budget=0)

    assert found.computed == 4
    assert found.volatility.volatility == pytest.approx(0.25, abs=1e-4)
    assert not found.is_waiting.any()


def test_what_did_not_move_keeps_its_figures_and_is_as_fresh_as_its_inputs():
    first = refresh(look(PUTS, NINE))

    found = refresh(look(PUTS, TEN), first)

    assert found.computed == 0
    assert (found.volatility.volatility == first.volatility.volatility).all()
    assert (found.as_of == TEN).all()


@pytest.mark.parametrize(
    "change",
    [
        {"spot": 100.01},
        {"rate": 0.044},
        {"carry": 0.001},
        {"days": 30 - 1 / 1440},
        {"dividends": ((10, 0.1),)},
    ],
)
def test_a_leg_whose_inputs_moved_is_computed(change: dict[str, object]):
    first = refresh(look(PUTS))
    legs = [PUTS[0]._replace(**change), *PUTS[1:]]
    inputs = replace(look(legs), quotes=look(PUTS).quotes)

    found = refresh(inputs, first)

    assert found.computed == 1
    assert_same(found, refresh(inputs))


def test_a_leg_whose_quote_moved_is_computed():
    first = refresh(look(PUTS))
    inputs = look([PUTS[0]._replace(volatility=0.26), *PUTS[1:]], TEN)

    found = refresh(inputs, first)

    assert found.computed == 1
    assert found.volatility.volatility == pytest.approx([0.26, 0.25, 0.25, 0.25], abs=1e-4)


def test_a_leg_whose_partner_moved_is_computed():
    inputs = look(PUTS)
    calls = [leg._replace(kind="call") for leg in PUTS]
    asked = replace(inputs, partners=quoted(calls), partner_names=tuple("wxyz"))

    assert refresh(asked, refresh(inputs)).computed == 4
    assert refresh(replace(asked, partners=quoted(calls, 0.02)), refresh(asked)).computed == 4


def test_a_second_of_the_same_minute_moves_nothing():
    """Neither does the dividend, which comes nearer as the end does."""
    legs = [leg._replace(days=30 + 40 / 86_400, dividends=((10, 0.5),)) for leg in PUTS]
    later = [leg._replace(days=30 + 35 / 86_400, dividends=((10 - 5 / 86_400, 0.5),)) for leg in PUTS]
    first = refresh(look(legs))

    assert refresh(replace(look(later), quotes=look(legs).quotes), first).computed == 0


def test_over_budget_the_oldest_come_first_and_the_rest_keep_their_age():
    first = refresh(replace(look(PUTS), as_of=np.array([4.0, 1.0, 3.0, 2.0])))
    moved = [leg._replace(spot=101) for leg in PUTS]

    found = refresh(look(moved, TEN), first, budget=2)

    assert found.is_waiting.tolist() == [True, False, True, False]
    assert found.as_of.tolist() == [4.0, TEN, 3.0, TEN]
    assert found.greeks.delta[0] == first.greeks.delta[0]
    assert found.greeks.delta[1] != first.greeks.delta[1]


def test_what_waited_comes_next_though_nothing_moves_any_more():
    moved = look([leg._replace(spot=101) for leg in PUTS], TEN)
    second = refresh(moved, refresh(look(PUTS)), budget=3)

    third = refresh(moved, second, budget=3)

    assert third.computed == 1
    assert not third.is_waiting.any()
    assert_same(third, refresh(moved))


def test_what_costs_nothing_never_waits():
    """A call that misses no dividend has a closed form."""
    calls = [leg._replace(kind="call") for leg in PUTS]
    moved = [leg._replace(spot=101) for leg in calls]

    assert refresh(look(moved), refresh(look(calls)), budget=0).computed == 4


def test_a_leg_that_has_ended_says_so_at_once():
    ended = look([PUTS[0]._replace(days=-0.01), *PUTS[1:]], TEN)

    found = refresh(ended, refresh(look(PUTS)), budget=0)

    assert found.volatility.state[0] is VolatilityState.EXPIRED
    assert np.isnan(found.greeks.delta[0])


def test_after_the_close_a_volatility_stays_what_the_last_quote_said():
    """Two days later, and at another spot; only time and spot run on in the Greeks."""
    at_close = look([leg._replace(days=32) for leg in PUTS])
    later = [leg._replace(spot=101) for leg in PUTS]
    overnight = replace(at_close, terms=terms_of(later), market=market_of(later))

    found = refresh(overnight, refresh(at_close))

    assert found.computed == 4
    assert found.volatility.volatility == pytest.approx(0.25, abs=1e-4)
    assert found.greeks.price == pytest.approx(values(*later), abs=2e-3)
    assert found.greeks.delta == pytest.approx(greeks_of(*later).delta, abs=1e-3)


def test_what_has_ended_by_now_has_no_volatility_of_its_last_quote():
    at_close = look(PUTS)
    over = replace(at_close, terms=terms_of([leg._replace(days=-0.5) for leg in PUTS]))

    assert set(refresh(over).volatility.state) == {VolatilityState.EXPIRED}


def test_legs_come_go_and_change_places():
    first = refresh(look(PUTS[:3]))

    found = refresh(look([PUTS[3], PUTS[2], PUTS[0]]), first, budget=0)

    assert found.computed == 1
    assert_same(found, refresh(look([PUTS[3], PUTS[2], PUTS[0]])))


def test_a_leg_in_the_money_asks_its_partner():
    puts = [Leg(100, strike, 30, 0.25, kind="put") for strike in (90, 120)]
    calls = [leg._replace(kind="call") for leg in puts]
    unquoted = OptionQuotes(*(np.where([True, False], side, np.nan) for side in (7.0, 9.0, 8.0, 0.01)))  # type: ignore[arg-type]
    sides = quoted(puts)
    at_intrinsic = OptionQuotes(
        np.where([False, True], 19.8, sides.bid),
        np.where([False, True], 20.2, sides.ask),
        np.where([False, True], 20.0, sides.mid),
        sides.tick,
    )
    inputs = replace(
        look(puts), quotes=at_intrinsic, partners=quoted(calls, 0.002), partner_names=("90 call", "120 call")
    )

    found = refresh(inputs)

    assert found.volatility.state.tolist() == [VolatilityState.OK, VolatilityState.FROM_PARTNER]
    assert found.volatility.reason.tolist() == [None, "volatility of the 120 call"]
    assert found.greeks.delta[1] == pytest.approx(-1, abs=0.05)
    silent = refresh(replace(inputs, partners=unquoted), found)
    assert silent.computed == 2
    assert silent.volatility.state[1] is VolatilityState.NOT_IDENTIFIABLE


def test_of_what_nobody_bids_for_the_ask_says_how_far_its_delta_may_be_from_0():
    inputs = look(PUTS)
    unwanted = replace(inputs, quotes=replace(inputs.quotes, bid=np.zeros(4)))
    by_ask = refresh(
        replace(inputs, quotes=replace(inputs.quotes, bid=inputs.quotes.ask, mid=inputs.quotes.ask))
    )

    found = refresh(unwanted)

    assert np.isnan(found.volatility.volatility).all()
    assert np.isnan(found.greeks.delta).all()
    # In the money, and at it, it may be anything.
    assert found.volatility.delta_bound[:2] == pytest.approx(by_ask.greeks.delta[:2], abs=1e-3)
    assert np.isnan(found.volatility.delta_bound[2:]).all()


def test_no_legs_are_no_figures():
    assert refresh(look([]), refresh(look([]))).computed == 0


# Few of each, so that often one thing alone moves, or nothing does.
MOVES = st.tuples(
    st.sampled_from([98.0, 100.0, 102.0]),
    st.sampled_from([0.2, 0.25, 0.3]),
    st.sampled_from([0.01, 0.05]),
    st.booleans(),
)


@settings(max_examples=60)
@given(st.lists(st.lists(MOVES, min_size=4, max_size=4), min_size=1, max_size=5))
def test_looks_one_after_another_end_where_one_alone_would(
    looks: list[list[tuple[float, float, float, bool]]],
):
    """Of what nobody bids for too, whose ask bounds its delta."""
    found: LegRisk | None = None
    inputs = look(PUTS)
    for moves in looks:
        legs = [
            leg._replace(spot=spot, volatility=sigma)
            for leg, (spot, sigma, *_) in zip(PUTS, moves, strict=True)
        ]
        mid, half = values(*legs), np.array([apart for *_, apart, _ in moves])
        bid = np.where([bids for *_, bids in moves], mid - half, 0.0)
        inputs = replace(look(legs), quotes=OptionQuotes(bid, mid + half, mid, np.full(4, 0.01)))
        found = refresh(inputs, found)

    assert found is not None
    assert_same(found, refresh(inputs))


def test_the_first_legs_of_a_book_that_had_none_are_computed_like_any_others():
    """An account that was empty, or a file of shares alone, and then an option."""
    assert_same(refresh(look(PUTS), refresh(look({}))), refresh(look(PUTS)))
