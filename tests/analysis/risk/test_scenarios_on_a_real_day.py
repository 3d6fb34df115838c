"""A recorded day of SPXW: what moved a condor, what the Greeks leave unexplained, and the curve through the marks."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from options_helper.analysis.marks import MarkSource, Numbers
from options_helper.analysis.risk.forward import StrikePairs, parity_forward
from options_helper.analysis.risk.implied_volatility import OptionQuotes, implied_volatility
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms, greeks
from options_helper.analysis.risk.readings import Reading
from options_helper.analysis.risk.scenario import ScenarioLines, curve
from options_helper.analysis.risk.what_changed import Change, Part, begin, change_of, fold
from options_helper.model.market_hours import NEW_YORK
from tests.kit.recordings import SPXW_FILE

RATE = 0.01272
MINUTES_A_YEAR = 525_600
# Cboe counts to half past four.
ENDS = {"2018-02-02": "2018-02-02 16:30", "2018-01-05": "2018-01-05 16:30"}
CONDOR = {(2650.0, "P"): 100.0, (2690.0, "P"): -100.0, (2780.0, "C"): -100.0, (2800.0, "C"): 100.0}

BY_GREEKS = (Part.DELTA, Part.GAMMA, Part.THETA, Part.VEGA, Part.REST)

Contract = tuple[float, str]
Chain = Mapping[Contract, tuple[float, float]]  # bid and ask


@lru_cache(maxsize=1)  # a few seconds to read
def chains(real_data: Path) -> Mapping[str, Mapping[str, Chain]]:
    """By expiry and minute, the strikes around the money."""
    found: dict[str, dict[str, dict[Contract, tuple[float, float]]]] = {expiry: {} for expiry in ENDS}
    with gzip.open(real_data / SPXW_FILE, "rt", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows)
        moment, expiry, strike, kind, bid, ask = (
            header.index(name)
            for name in ("quote_datetime", "expiration", "strike", "option_type", "bid", "ask")
        )
        for row in rows:
            if row[expiry] in ENDS and 2640 <= float(row[strike]) <= 2810:
                chain = found[row[expiry]].setdefault(row[moment][11:16], {})
                chain[float(row[strike]), row[kind]] = (float(row[bid]), float(row[ask]))
    return found


def minutes(first: str, last: str, step: int = 1) -> Iterator[str]:
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (first, last))
    return (f"{minute // 60:02}:{minute % 60:02}" for minute in range(start, end + 1, step))


@dataclass(frozen=True)
class Minute:
    """Some contracts at a minute, everything by our own numbers: forward by parity, volatility from the middle."""

    at: datetime
    slopes: Mapping[Contract, float]
    terms: Terms
    market: Market
    mark: Numbers
    volatility: Numbers

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"{strike:g}{kind}" for strike, kind in self.slopes)

    @property
    def slope(self) -> Numbers:
        return np.array(list(self.slopes.values()))

    def reading(self) -> Reading:
        count = len(self.mark)
        found = greeks(self.terms, self.market, self.volatility)
        return Reading(
            at=self.at,
            keys=self.labels,
            underlying=np.full(count, "SPX", dtype=object),
            is_option=np.ones(count, dtype=bool),
            slope=self.slope,
            paid=np.zeros(count),
            fills=np.zeros(count, dtype=np.int64),
            mark=self.mark,
            source=np.full(count, MarkSource.MID, dtype=object),
            spot=self.market.spot,
            forward=np.full(count, "parity", dtype=object),
            volatility=self.volatility,
            delta=found.delta,
            vega=found.vega,
            theta=found.theta,
        )

    def lines(self) -> ScenarioLines:
        return ScenarioLines(
            self.labels, self.terms, self.market, self.volatility, self.mark, self.slope, (), np.zeros(0)
        )


def at_minute(real_data: Path, expiry: str, minute: str, slopes: Mapping[Contract, float]) -> Minute:
    chain = chains(real_data)[expiry][minute]
    at, end = (
        datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)
        for text in (f"2018-01-05 {minute}", ENDS[expiry])
    )
    years = (end - at).total_seconds() / 60 / MINUTES_A_YEAR
    parity = parity_forward(pairs_of(chain), rate=RATE, years=years)
    assert parity is not None
    count = len(slopes)
    terms = Terms(
        strike=np.array([strike for strike, _ in slopes]),
        is_call=np.array([kind == "C" for _, kind in slopes]),
        is_american=np.zeros(count, dtype=bool),
        years=np.full(count, years),
    )
    spot = np.full(count, parity.spot(RATE, years))
    market = Market(spot, np.full(count, RATE), np.zeros(count), CashDividends.none(count))
    bid, ask = (np.array(sides) for sides in zip(*(chain[one] for one in slopes), strict=True))
    mark = (bid + ask) / 2
    quotes = OptionQuotes(bid, ask, mark, np.where(bid < 3, 0.05, 0.1))
    return Minute(at, slopes, terms, market, mark, implied_volatility(terms, market, quotes).volatility)


def pairs_of(chain: Chain) -> StrikePairs:
    strikes = sorted({strike for strike, _ in chain})
    calls, puts = ([chain[strike, kind] for strike in strikes] for kind in "CP")
    return StrikePairs(np.array(strikes), *np.array(calls).T, *np.array(puts).T)


def change_over(minutes_of_day: Sequence[Minute]) -> Change:
    strip = begin(minutes_of_day[0].reading())
    for one in minutes_of_day[1:]:
        strip = fold(strip, one.reading(), longest_step_seconds=86_400)
    return change_of(strip)


def dollars(change: Change) -> list[float]:
    return [change.parts[part] for part in BY_GREEKS]


def test_what_moved_a_condor(real_data: Path):
    """Measured before: +21.06, -6.79, +3.70, -45.25, +0.17 of -27.50, with the Greeks of each minute's start."""
    chained = change_over(
        [at_minute(real_data, "2018-02-02", minute, CONDOR) for minute in minutes("09:45", "15:55")]
    )

    assert chained.profit == pytest.approx(-27.50, abs=1e-9)
    assert sum(dollars(chained)) == pytest.approx(-27.50, abs=1e-9)
    assert dollars(chained) == pytest.approx([21.06, -6.79, 3.70, -45.25, 0.17], abs=1.0)
    assert dollars(chained) == pytest.approx([21.12, -7.60, 3.48, -44.50, 0.0], abs=0.02)
    assert {amount for part, amount in chained.parts.items() if part not in BY_GREEKS} == {0.0}


def test_one_step_over_the_day_tells_another_story(real_data: Path):
    at_once = change_over(
        [at_minute(real_data, "2018-02-02", minute, CONDOR) for minute in ("09:45", "15:55")]
    )

    assert at_once.profit == pytest.approx(-27.50, abs=1e-9)
    assert dollars(at_once) == pytest.approx([40.79, -29.38, 3.65, -41.83, -0.72], abs=0.02)


@pytest.mark.parametrize(
    ("expiry", "strikes", "shares"),
    [
        ("2018-02-02", range(2690, 2781, 10), {1: 0.001, 5: 0.001, 30: 0.001, 120: 0.001}),
        ("2018-01-05", range(2710, 2761, 5), {1: 0.007, 5: 0.005, 30: 0.006, 120: 0.025}),
    ],
    ids=["28 days", "last day"],
)
def test_the_greeks_of_both_ends_leave_little(
    real_data: Path, expiry: str, strikes: Sequence[int], shares: Mapping[int, float]
):
    """Of what an option with a volatility gains or loses in so many minutes, on average."""
    held = {(float(strike), kind): 1.0 for strike in strikes for kind in "CP"}
    day = [at_minute(real_data, expiry, minute, held).reading() for minute in minutes("09:45", "15:55")]

    for step, share in shares.items():
        assert unexplained(day[::step]) <= share, step


def unexplained(day: Sequence[Reading]) -> float:
    """The part of the average move of a mark that is left over."""
    rest, moved = [], []
    for start, end in pairwise(day):
        strip = fold(begin(start), end, longest_step_seconds=86_400)
        near = start.has_greeks & end.has_greeks
        for one in (start, end):
            near &= (np.abs(one.delta) > 0.05) & (np.abs(one.delta) < 0.95)
        rest.append(np.abs(strip.profit - strip.amounts.sum(axis=0))[near])
        moved.append(np.abs(strip.profit)[near])
    return float(np.concatenate(rest).sum() / np.concatenate(moved).sum())


@pytest.mark.parametrize("expiry", ENDS)
def test_the_curve_of_today_goes_through_the_marks_of_each_minute_of_an_hour(real_data: Path, expiry: str):
    held = {(float(strike), kind): 100.0 for strike in range(2660, 2801, 20) for kind in "CP"} | CONDOR
    for minute in minutes("14:30", "15:30"):
        now = at_minute(real_data, expiry, minute, held)
        found = curve(now.lines(), np.array([0.99, 1.0, 1.01]))

        assert found.worth[1] == pytest.approx((now.mark * now.slope).sum(), abs=0.005)
        assert np.isfinite(found.worth).all()
        assert found.by_model + len(found.by_intrinsic) == len(held)
