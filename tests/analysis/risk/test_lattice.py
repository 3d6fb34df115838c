"""American options on the lattice, against QuantLib's QdFp and finite differences and published values."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from options_helper.analysis.risk.black import european_value
from options_helper.analysis.risk.lattice import american_value
from tests.analysis.risk.legs import Leg, greeks_of, market_of, terms_of, values, volatility_of

# Of the spot. A lattice of 51 steps errs by some thousandths of a dollar where the share costs 100.
PRICE, DELTA, GAMMA, VEGA, THETA = 2e-4, 2.5e-3, 1e-3, 1e-4, 2e-5


class Known(NamedTuple):
    """Figures of QuantLib's QdFp engine, high precision; vega per point, theta per calendar day."""

    leg: Leg
    price: float
    delta: float
    gamma: float
    vega: float
    theta: float
    european: float


KNOWN = [
    Known(Leg(100, 100, 30, 0.25, kind="put"), 2.704824, -0.47176, 0.05661, 0.11379, -0.04259, 2.680742),
    Known(Leg(100, 110, 30, 0.25, kind="put"), 10.133827, -0.91907, 0.02878, 0.04114, -0.01262, 9.967818),
    Known(Leg(100, 120, 30, 0.25, kind="put"), 20.0, -1, 0, 0, 0, 19.592608),
    Known(Leg(100, 120, 180, 0.25, kind="put"), 20.393893, -0.87339, 0.02107, 0.13159, -0.00534, 19.327579),
    Known(Leg(100, 85, 180, 0.25, carry=0.05), 16.151334, 0.84028, 0.01487, 0.15947, -0.00922, 15.915372),
    Known(Leg(560, 560, 1, 0.12, kind="put"), 1.373887, -0.49295, 0.11388, 0.11685, -0.67272, 1.370421),
    Known(Leg(560, 560, 45, 0.16, kind="put"), 11.3232, -0.46414, 0.0132, 0.77588, -0.11317, 11.091375),
    Known(Leg(10, 12.5, 547.5, 0.60, kind="put"), 4.19394, -0.46878, 0.06083, 0.0477, -0.00195, 4.041912),
]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.leg.strike:g} in {known.leg.days:g} d")
def test_legs_without_dividends_agree_with_qdfp(known: Known):
    found, spot = greeks_of(known.leg), known.leg.spot

    assert found.price[0] == pytest.approx(known.price, abs=PRICE * spot)
    assert found.delta[0] == pytest.approx(known.delta, abs=DELTA)
    assert found.gamma[0] == pytest.approx(known.gamma, abs=GAMMA)
    assert found.vega[0] / 100 == pytest.approx(known.vega, abs=VEGA * spot)
    assert found.theta[0] / 365 == pytest.approx(known.theta, abs=THETA * spot)
    assert values(known.leg._replace(american=False))[0] == pytest.approx(known.european, abs=1e-6)


def test_a_leg_that_is_best_exercised_now_is_worth_that_and_has_delta_alone():
    found = greeks_of(Leg(100, 120, 30, 0.25, kind="put"))

    figures = (found.price[0], found.delta[0], found.gamma[0], found.vega[0], found.theta[0], found.rho[0])
    assert figures == (20.0, -1.0, 0.0, 0.0, 0.0, 0.0)


class Paying(NamedTuple):
    """Figures of QuantLib's finite differences with escrowed dividends; ours with 51 and with 201 steps."""

    leg: Leg
    price: float
    delta: float
    vega: float
    at_51: float
    at_201: float


ONE, LATER, TWO, THREE = ((10, 1.0),), ((30, 0.8),), ((20, 0.6), (111, 0.6)), ((21, 1.75),)
PAYING = [
    Paying(Leg(100, 80, 30, 0.20, dividends=ONE), 20.09419, 1.0, 0.0, 20.08869, 20.09279),
    Paying(Leg(100, 90, 30, 0.20, dividends=ONE), 10.11135, 0.99511, 0.00318, 10.10407, 10.10944),
    Paying(Leg(100, 100, 90, 0.25, dividends=LATER), 5.03342, 0.53309, 0.19584, 5.03333, 5.03340),
    Paying(
        Leg(100, 100, 90, 0.25, dividends=LATER, kind="put"), 4.86985, -0.47959, 0.19495, 4.87156, 4.87055
    ),
    Paying(Leg(30, 28, 180, 0.22, dividends=TWO), 2.62759, 0.69872, 0.06778, 2.61749, 2.62561),
    Paying(Leg(30, 34, 180, 0.22, dividends=TWO, kind="put"), 5.09628, -0.83008, 0.05022, 5.09316, 5.09697),
    Paying(Leg(560, 540, 45, 0.16, dividends=THREE), 25.62645, 0.76367, 0.60292, 25.62086, 25.62456),
    Paying(
        Leg(560, 600, 45, 0.16, dividends=THREE, kind="put"), 41.50784, -0.90045, 0.33257, 41.504, 41.51097
    ),
]


@pytest.mark.parametrize(
    "known", PAYING, ids=lambda known: f"{known.leg.kind} {known.leg.strike:g} of {known.leg.spot:g}"
)
def test_legs_with_cash_dividends_agree_with_finite_differences(known: Paying):
    found, spot = greeks_of(known.leg), known.leg.spot

    assert found.price[0] == pytest.approx(known.price, abs=1.1e-2)
    assert found.price[0] == pytest.approx(known.at_51, abs=1e-5)
    assert found.delta[0] == pytest.approx(known.delta, abs=5e-3)
    assert found.vega[0] / 100 == pytest.approx(known.vega, abs=max(VEGA * spot, 3e-3))
    legs = [known.leg]
    finer = american_value(terms_of(legs), market_of(legs), volatility_of(legs), steps=201)
    assert finer[0] == pytest.approx(known.at_201, abs=1e-5)


def test_a_call_is_not_worth_less_than_exercising_before_the_dividend():
    """Taking the dividend off the spot would say 19.28 here, and a fair quote would look like an error."""
    assert values(Leg(100, 80, 30, 0.20, dividends=ONE))[0] > 20.08


@pytest.mark.parametrize(
    ("leg", "truth"),
    [
        (Leg(100, 100, 365, 0.25, 0.05, 0.05, "put"), 9.569445298914),  # Andersen, Lake and Offengenden 2016
        (Leg(50, 50, 5 / 12 * 365, 0.4, 0.1, kind="put"), 4.284216),  # Hull, ch. 21
        (Leg(42, 40, 0.75 * 365, 0.35, 0.04, 0.08), 5.309058),
        (Leg(36, 40, 365, 0.2, 0.06, kind="put"), 4.486674),  # of Longstaff and Schwartz 2001
        (Leg(100, 100, 0.25 * 365, 0.2, 0.08, 0.12), 3.524879),
        (Leg(100, 100, 0.25 * 365, 0.2, 0.08, 0.12, "put"), 4.396423),
        (Leg(120, 100, 0.25 * 365, 0.2, 0.08, 0.12), 20.0),
    ],
)
def test_published_american_options(leg: Leg, truth: float):
    assert values(leg)[0] == pytest.approx(truth, abs=PRICE * leg.spot)


def test_what_early_exercise_is_worth_at_the_money():
    """Andersen, Lake and Offengenden (2016): 0.106952702747."""
    leg = Leg(100, 100, 365, 0.25, 0.05, 0.05, "put")

    american, european = values(leg, leg._replace(american=False))

    assert american - european == pytest.approx(0.106952702747, abs=5e-3)


def test_hulls_european_put_beside_the_american():
    assert values(Leg(50, 50, 5 / 12 * 365, 0.4, 0.1, kind="put", american=False))[0] == pytest.approx(
        4.075981, abs=1e-6
    )


def test_half_an_hour_before_the_end():
    minutes = 30 / 1440
    found = greeks_of(Leg(560, 560, minutes, 0.15), Leg(560, 560, minutes, 0.15, kind="put"))

    assert found.price[0] == pytest.approx(0.25386335, abs=1e-7)
    assert found.price[1] == pytest.approx(0.25253804, abs=1e-4)
    assert found.delta[0] == pytest.approx(0.50109, abs=1e-5)
    assert found.gamma == pytest.approx([0.62863, 0.62863], abs=2e-3)
    european = [Leg(560, 560, minutes, 0.15, kind="put", american=False)]
    assert european_value(terms_of(european), market_of(european), volatility_of(european))[
        0
    ] == pytest.approx(0.25248892, abs=1e-7)


@pytest.mark.parametrize("known", PAYING[2:], ids=lambda known: f"{known.leg.kind} {known.leg.strike:g}")
def test_theta_is_what_a_day_less_costs_with_the_dividends_at_their_dates(known: Paying):
    """With S² in place of the share less its dividends, a deep put's would be a tenth too large."""
    leg = known.leg

    def later(days: float) -> Leg:
        return leg._replace(days=leg.days - days, dividends=[(at - days, paid) for at, paid in leg.dividends])

    legs = [later(0.5), later(-0.5)]
    after, before = american_value(terms_of(legs), market_of(legs), volatility_of(legs), steps=401)

    assert greeks_of(leg).theta[0] / 365 == pytest.approx(after - before, abs=2e-5 * leg.spot, rel=0.02)
