"""Simulator → alpaca-py → manager → the risk columns: equal to a tree of the test's own on what the snapshot holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from math import exp, sqrt
from typing import Any, Final

import numpy as np
import pytest

from options_helper.analysis.book_look import BookLook, look_at_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import Instrument
from options_helper.model.snapshot import LiveSnapshot
from options_helper.simulator.market.conditions import Conditions
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, leg, new_york, portfolio, position, structure
from tests.kit.waiting import wait_until
from tests.wire.test_market_conditions import streaming

AT: Final = new_york("2026-11-20 10:00")
EXPIRY: Final = date(2026, 12, 18)
STEPS: Final = 400
RATE: Final = 0.04  # a year, of the program's own table
BOOK: Final = portfolio(
    holding("MSFT", 100, cost_basis=480.0),
    position("MSFT", 510, "put", contracts=2, cost_basis=20.0, expiry=EXPIRY, identity="put"),
    structure(
        leg("long", 490, expiry=EXPIRY, contracts=1),
        leg("short", 500, expiry=EXPIRY, contracts=1),
        symbol="MSFT",
        net_debit=500.0,
        identity="vertical",
    ),
)


@dataclass(frozen=True)
class Tree:
    """An American option on a share that pays cash: Hull's tree of the share less what is still to be paid."""

    spot: float
    strike: float
    is_call: bool
    years: float
    dividends: tuple[tuple[float, float], ...]  # years until ex, dollars

    def value(self, volatility: float) -> float:
        step = self.years / STEPS
        up = exp(volatility * sqrt(step))
        rise = (exp(RATE * step) - 1 / up) / (up - 1 / up)
        stripped = self.spot - self._to_be_paid(0.0)
        worth = self._exercised(stripped, up, STEPS)
        for place in reversed(range(STEPS)):
            held = exp(-RATE * step) * (rise * worth[1:] + (1 - rise) * worth[:-1])
            worth = np.maximum(held, self._exercised(stripped, up, place))
        return float(worth[0])

    def _exercised(self, stripped: float, up: float, place: int) -> np.ndarray[Any, Any]:
        prices = stripped * up ** (2.0 * np.arange(place + 1) - place)
        prices += self._to_be_paid(self.years * place / STEPS)
        gains = prices - self.strike if self.is_call else self.strike - prices
        worth: np.ndarray[Any, Any] = np.maximum(gains, 0.0)
        return worth

    def _to_be_paid(self, now: float) -> float:
        return sum(
            amount * exp(-RATE * (at - now)) for at, amount in self.dividends if now < at <= self.years
        )

    def volatility_at(self, price: float) -> float:
        """By halving: a price says one volatility."""
        low, high = 0.01, 2.0
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self.value(middle) < price else (low, middle)
        return (low + high) / 2


def tree_of(instrument: Instrument, live: LiveSnapshot) -> tuple[Tree, float]:
    """The tree of a contract, and the middle of its quote: from what the snapshot holds and nothing else."""
    share, option = (live.quotes[symbol] for symbol in ("MSFT", instrument.live_symbol))
    announced = live.risk_inputs.actions["MSFT"].dividends
    tree = Tree(
        spot=middle(share),
        strike=float(instrument.strike or 0),
        is_call=instrument.option_type == "call",
        years=years_until(datetime.combine(EXPIRY, time(16), NEW_YORK), live),
        dividends=tuple(
            (years_until(datetime.combine(one.ex_date, time(), NEW_YORK), live), float(one.amount))
            for one in announced
            if one.ex_date > live.as_of.date()
        ),
    )
    return tree, middle(option)


def middle(quote: Any) -> float:
    assert quote.bid_price is not None
    assert quote.ask_price is not None
    return float(quote.bid_price + quote.ask_price) / 2


def years_until(moment: datetime, live: LiveSnapshot) -> float:
    return (moment - live.as_of).total_seconds() / 60 / 525_600


@dataclass(frozen=True)
class Figures:
    """Of one share: what moving each input a little does to the tree's price."""

    volatility: float
    delta: float
    vega: float  # dollars a point
    theta: float  # dollars a calendar day


def figures(tree: Tree, price: float) -> Figures:
    volatility = tree.volatility_at(price)
    dollar, hour = 2.0, 6 / 24 / 365
    up, down = (replace(tree, spot=tree.spot + move).value(volatility) for move in (dollar, -dollar))
    later = replace(
        tree,
        years=tree.years - hour,
        dividends=tuple((at - hour, amount) for at, amount in tree.dividends),
    )
    return Figures(
        volatility,
        (up - down) / (2 * dollar),
        tree.value(volatility + 0.005) - tree.value(volatility - 0.005),
        4 * (later.value(volatility) - tree.value(volatility)),
    )


def test_the_risk_columns_equal_an_independent_computation_of_what_came_over_the_wire(
    running_simulator: Callable[..., SimulatorServer],
):
    market = SeededMarket(BOOK, start=AT, conditions=Conditions(american=True))

    def look(live: LiveSnapshot) -> BookLook:
        return look_at_book(BOOK, live, RiskChoices(), stale_after_seconds=3_600, wide_spread_pct=25)

    with streaming(running_simulator(market), BOOK) as manager:

        def is_known() -> bool:
            found = look(manager.snapshot())
            options = [line for line in found.risk.lines if line.iv_state is not None]
            return all(line.theta is not None and line.dividends_state == "known" for line in options)

        wait_until(is_known, saw=lambda: [line.reasons for line in look(manager.snapshot()).risk.lines])
        live = manager.snapshot()
    found = look(live)
    own = {one.live_symbol: figures(*tree_of(one, live)) for one in BOOK.instruments if one.is_option}
    put, *legs = own.values()

    row = found.positions.frame().loc["put"]
    assert row["iv"] == pytest.approx(100 * put.volatility, abs=0.15)
    assert row["delta"] == pytest.approx(200 * put.delta, abs=200 * 0.004)
    assert row["vega"] == pytest.approx(200 * put.vega, rel=0.03)
    assert row["theta"] == pytest.approx(200 * put.theta, rel=0.05)
    assert row["delta_state"] == "ok"
    assert row["theta_is"] == "per day"
    for (_, of_leg), mine, sign in zip(found.legs.frame().iterrows(), legs, (1, -1), strict=True):
        assert of_leg["iv"] == pytest.approx(100 * mine.volatility, abs=0.15)
        assert of_leg["delta"] == pytest.approx(100 * sign * mine.delta, abs=100 * 0.004)
        assert of_leg["theta"] == pytest.approx(100 * sign * mine.theta, rel=0.05)
    spread = found.structures.frame().loc["vertical"]
    assert spread["delta"] == pytest.approx(found.legs["delta"].sum())
    assert spread["vega"] == pytest.approx(found.legs["vega"].sum())
    assert (spread["max_loss"], spread["max_profit"]) == (-500, 500)
    assert spread["percent_of_max"] == pytest.approx(100 * spread["net_pnl_abs"] / 500)
    assert found.risk.sums.delta.amount == pytest.approx(row["delta"] + spread["delta"] + 100)
