"""A chance is the risk-neutral one at the break-evens, or there is a reason why there is none."""

from __future__ import annotations

from datetime import date
from math import erfc, exp, inf, log, nan, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.analysis.risk.extremes import Held, book_risk
from options_helper.analysis.risk.payoff import payoff_of
from options_helper.analysis.risk.probability import (
    Chance,
    Outlook,
    expected_move,
    probability_of_profit,
    straddle_at_money,
)
from options_helper.model.portfolio import Leg, PortfolioEntry
from tests.kit.builders import holding, leg, portfolio, position, share_leg, structure

LATER = date(2027, 1, 15)
CONDOR = (leg("long", 170, "put"), leg("short", 175, "put"), leg("short", 180), leg("long", 185))


def held(entry: PortfolioEntry) -> Held:
    return book_risk(portfolio(entry)).entries[0]


def outlook(forward: float = 178.0, years: float = 0.1, volatility: float = 0.25) -> Outlook:
    return Outlook(forward, years, np.array([180.0]), np.array([volatility]))


def normal(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2))


def chance_above(price: float, forward: float = 178.0, deviation: float = 0.25 * sqrt(0.1)) -> float:
    return normal(log(forward / price) / deviation - deviation / 2)


class TestProfit:
    """Of one cent or more."""

    def test_a_call_wins_above_its_break_even(self):
        found = probability_of_profit(held(position(cost_basis=2.5)), outlook())

        assert found.value == pytest.approx(chance_above(182.5001), abs=1e-12)

    def test_a_condor_wins_between_its_break_evens(self):
        found = probability_of_profit(held(structure(*CONDOR, net_debit=-120.0)), outlook())

        assert found.value == pytest.approx(chance_above(173.8001) - chance_above(181.1999), abs=1e-12)

    def test_a_straddle_wins_outside_of_them(self):
        straddle = structure(leg("long", 180), leg("long", 180, "put"), net_debit=1_000.0)
        found = probability_of_profit(held(straddle), outlook())

        assert found.value == pytest.approx(1 - chance_above(169.9999) + chance_above(190.0001), abs=1e-12)

    def test_each_break_even_has_the_volatility_of_its_strikes(self):
        smile = Outlook(178.0, 0.1, np.array([185, 170, 180, 180]), np.array([0.2, 0.4, 0.24, 0.26]))
        found = probability_of_profit(held(structure(*CONDOR, net_debit=-120.0)), smile)
        low, high = (
            chance_above(price, deviation=volatility * sqrt(0.1))
            for price, volatility in ((173.8001, 0.4 - 0.015 * 3.8001), (181.1999, 0.25 - 0.01 * 1.1999))
        )

        assert found.value == pytest.approx(low - high, abs=1e-12)
        assert smile.volatility_at(np.array([100.0, 400.0])).tolist() == [0.4, 0.2]

    def test_it_is_not_delta(self):
        deviation = 0.25 * sqrt(0.1)
        found = probability_of_profit(held(position(cost_basis=0.0, strike=178)), outlook())

        assert found.value == pytest.approx(normal(-deviation / 2), abs=1e-4)
        assert found.value is not None
        assert found.value < 0.5 < normal(deviation / 2)

    def test_what_is_certain_is_certain(self):
        free = structure(*CONDOR, net_debit=-600.0)
        lost = structure(*CONDOR, net_debit=10.0)

        assert probability_of_profit(held(free), outlook()) == Chance(1.0)
        assert probability_of_profit(held(lost), outlook()) == Chance(0.0)

    def test_nothing_gained_is_no_profit(self):
        """A vertical that cost nothing wins nothing below its strikes."""
        found = probability_of_profit(
            held(structure(leg("long", 180), leg("short", 185), net_debit=0.0)), outlook()
        )

        assert found.value == pytest.approx(chance_above(180.0001))

    def test_a_covered_call_has_one(self):
        covered = structure(share_leg(), leg("short", 180), net_debit=17_250.0)

        assert probability_of_profit(held(covered), outlook()).value == pytest.approx(chance_above(172.5001))

    @pytest.mark.parametrize(
        ("entry", "said", "reason"),
        [
            (
                structure(leg("short", 180), leg("long", 180, expiry=LATER)),
                outlook(),
                "not defined: it ends on 2 days: 18 Dec 26, 15 Jan 27",
            ),
            (structure(symbol="AAPL1"), outlook(), "not defined: "),
            (structure(net_debit=None), outlook(), "what was paid is not known"),
            (holding(), outlook(), "nothing of it expires"),
            (structure(), outlook(years=0.0), "it has ended"),
            (structure(), outlook(volatility=nan), "no leg has a volatility"),
            (structure(), outlook(volatility=0.0), "no leg has a volatility"),
            (structure(), outlook(forward=nan), "the forward is not known"),
            (structure(), Outlook(None, 0.1, np.zeros(0), np.zeros(0)), "the forward is not known"),
        ],
    )
    def test_where_there_is_none_it_says_why(self, entry: PortfolioEntry, said: Outlook, reason: str):
        found = probability_of_profit(held(entry), said)

        assert found.value is None
        assert found.reason.startswith(reason)


# The middles of ten thousand parts of a normal distribution that are equally likely.
QUANTILES = [NormalDist().inv_cdf((n + 0.5) / 10_000) for n in range(10_000)]


@settings(max_examples=25)
@given(
    st.lists(
        st.builds(
            lambda side, strike, kind, contracts: leg(side, float(strike), kind, contracts=contracts),
            st.sampled_from(("long", "short")),
            st.integers(150, 210),
            st.sampled_from(("call", "put")),
            st.integers(1, 3),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(-2_000, 2_000),
    st.floats(0.05, 1.0),
)
def test_it_is_the_part_of_all_outcomes_that_win(legs: list[Leg], paid: int, volatility: float):
    entry = structure(*legs, net_debit=float(paid))
    found = probability_of_profit(held(entry), outlook(volatility=volatility))
    deviation = volatility * sqrt(0.1)
    ends = [178.0 * exp(deviation * x - deviation**2 / 2) for x in QUANTILES]
    kinks, rise = payoff_of(entry.lines).kinks, float(payoff_of(entry.lines).rise)
    prices, worths = (np.array([float(one) for one in column]) for column in zip(*kinks, strict=True))
    worth = np.interp(ends, prices, worths) + rise * np.maximum(np.array(ends) - prices[-1], 0.0)

    # A stretch at exactly a cent may fall to either side; each of the few ends costs one of ten thousand at most.
    assert found.value == pytest.approx((worth - paid >= 0.01).mean(), abs=0.001)


def test_the_chances_of_all_prices_are_in_order():
    prices = np.array([0.0, 1e-9, 100.0, 178.0, 300.0, 1e12, inf])
    found = outlook().chance_below(prices)

    assert (np.diff(found) >= 0).all()
    assert (found[0], found[-1]) == (0.0, 1.0)


class TestExpectedMove:
    """Two forms of the same, side by side."""

    def test_the_simple_form_is_one_deviation_of_calendar_time(self):
        found = expected_move(178.0, outlook(years=30 / 365), 9.3)

        assert found.simple == pytest.approx(178 * 0.25 * sqrt(30 / 365))
        assert found.straddle == 9.3

    @pytest.mark.parametrize(
        ("spot", "said"),
        [
            (None, outlook()),
            (nan, outlook()),
            (178.0, outlook(volatility=nan)),
            (178.0, outlook(forward=nan)),
        ],
    )
    def test_without_an_input_there_is_none(self, spot: float | None, said: Outlook):
        assert expected_move(spot, said, None) == (None, None)

    @pytest.mark.parametrize(
        ("calls", "puts", "straddle"),
        [
            ((9.0, 6.0, 4.0), (3.0, 5.0, 8.0), 11.0),
            ((9.0, nan, 4.0), (3.0, 5.0, 8.0), 12.0),
            ((9.0, nan, nan), (3.0, 5.0, 8.0), None),
        ],
        ids=["next", "other side", "none"],
    )
    def test_the_straddle_is_at_the_strike_next_to_the_forward(
        self, calls: tuple[float, ...], puts: tuple[float, ...], straddle: float | None
    ):
        assert straddle_at_money(178.0, (170.0, 176.0, 182.0), calls, puts) == straddle

    def test_without_strikes_there_is_no_straddle(self):
        assert straddle_at_money(178.0, (), (), ()) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0 %"), (0.003, "less than 1 %"), (0.0099, "less than 1 %"), (0.01, "1 %"), (0.5, "50 %"),
        (0.99, "99 %"), (0.9901, "more than 99 %"), (0.997, "more than 99 %"), (1.0, "100 %"), (None, ""),
    ],
)  # fmt: skip
def test_what_is_nearly_sure_is_not_told_as_sure(value: float | None, words: str):
    assert Chance(value).words == words
