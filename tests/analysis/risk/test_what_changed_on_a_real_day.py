"""A recorded day of SPXW: what moved a condor, and how little the Greeks leave unexplained."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from math import exp
from pathlib import Path

import numpy as np
import pytest

from options_helper.analysis.marks import Flags, MarkSource, Numbers
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms, greeks, value
from options_helper.analysis.risk.readings import Reading
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


def reading(real_data: Path, expiry: str, minute: str, held: Mapping[Contract, float]) -> Reading:
    """Everything by our own numbers: forward by parity, volatility from the middle, Greeks by Black."""
    chain = chains(real_data)[expiry][minute]
    at, end = (
        datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)
        for text in (f"2018-01-05 {minute}", ENDS[expiry])
    )
    years = (end - at).total_seconds() / 60 / MINUTES_A_YEAR
    count = len(held)
    terms = Terms(
        strike=np.array([strike for strike, _ in held]),
        is_call=np.array([kind == "C" for _, kind in held]),
        is_american=np.zeros(count, dtype=bool),
        years=np.full(count, years),
    )
    spot = forward(chain, exp(-RATE * years)) * exp(-RATE * years)
    market = Market(np.full(count, spot), np.full(count, RATE), np.zeros(count), CashDividends.none(count))
    mark = np.array([sum(chain[contract]) / 2 for contract in held])
    volatility = implied(terms, market, mark)
    found = greeks(terms, market, volatility)
    return Reading(
        at=at,
        keys=tuple(f"{strike:g}{kind}" for strike, kind in held),
        is_option=np.ones(count, dtype=bool),
        slope=np.array(list(held.values())),
        paid=np.zeros(count),
        mark=mark,
        source=np.full(count, MarkSource.MID, dtype=object),
        spot=market.spot,
        forward=np.full(count, "parity", dtype=object),
        volatility=volatility,
        delta=found.delta,
        vega=found.vega,
        theta=found.theta,
    )


def forward(chain: Chain, discount: float) -> float:
    """By the five strikes at which call and put cost nearly the same, narrow quotes first."""
    strikes = {strike for strike, _ in chain}
    gaps = {strike: (sum(chain[strike, "C"]) - sum(chain[strike, "P"])) / 2 for strike in strikes}
    near = sorted(strikes, key=lambda strike: abs(gaps[strike]))[:5]
    widths = [sum(ask - bid for bid, ask in (chain[strike, "C"], chain[strike, "P"])) for strike in near]
    return float(
        np.average([strike + gaps[strike] / discount for strike in near], weights=1 / np.array(widths))
    )


def implied(terms: Terms, market: Market, mark: Numbers) -> Numbers:
    """By halving, which needs no derivative."""
    low, high = np.full(len(mark), 1e-4), np.full(len(mark), 10.0)
    for _ in range(45):
        middle = (low + high) / 2
        is_low = value(terms, market, middle) < mark
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return np.asarray((low + high) / 2)


def change_over(readings: Sequence[Reading]) -> Change:
    strip = begin(readings[0])
    for one in readings[1:]:
        strip = fold(strip, one, longest_step_seconds=86_400)
    return change_of(strip)


def dollars(change: Change) -> list[float]:
    return [change.parts[part] for part in BY_GREEKS]


def test_what_moved_a_condor(real_data: Path):
    """Measured before: +21.06, -6.79, +3.70, -45.25, +0.17 of -27.50, with the Greeks of each minute's start."""
    day = [reading(real_data, "2018-02-02", minute, CONDOR) for minute in minutes("09:45", "15:55")]
    chained = change_over(day)

    assert chained.profit == pytest.approx(-27.50, abs=1e-9)
    assert sum(dollars(chained)) == pytest.approx(-27.50, abs=1e-9)
    assert dollars(chained) == pytest.approx([21.06, -6.79, 3.70, -45.25, 0.17], abs=1.0)
    assert dollars(chained) == pytest.approx([21.12, -7.60, 3.48, -44.50, 0.0], abs=0.01)
    assert [amount for part, amount in chained.parts.items() if part not in BY_GREEKS] == [0.0] * 6


def test_one_step_over_the_day_tells_another_story(real_data: Path):
    day = [reading(real_data, "2018-02-02", minute, CONDOR) for minute in ("09:45", "15:55")]
    at_once = change_over(day)

    assert at_once.profit == pytest.approx(-27.50, abs=1e-9)
    assert dollars(at_once) == pytest.approx([40.79, -29.38, 3.65, -41.83, -0.72], abs=0.01)


@pytest.mark.parametrize(
    ("expiry", "strikes", "shares"),
    [
        ("2018-02-02", range(2690, 2781, 10), {1: 0.001, 5: 0.001, 30: 0.001, 120: 0.001}),
        ("2018-01-05", range(2710, 2761, 5), {1: 0.007, 5: 0.005, 30: 0.006, 120: 0.022}),
    ],
    ids=["28 days", "last day"],
)
def test_the_greeks_of_both_ends_leave_little(
    real_data: Path, expiry: str, strikes: Sequence[int], shares: Mapping[int, float]
):
    """Of what an option with a volatility gains or loses in so many minutes, on average."""
    held = {(float(strike), kind): 1.0 for strike in strikes for kind in "CP"}
    day = [
        (reading(real_data, expiry, minute, held), has_volatility(real_data, expiry, minute, held))
        for minute in minutes("09:45", "15:55")
    ]

    for step, share in shares.items():
        assert unexplained(day[::step]) <= share, step


def has_volatility(real_data: Path, expiry: str, minute: str, held: Mapping[Contract, float]) -> Flags:
    """Where the bid says more than the intrinsic value does."""
    chain = chains(real_data)[expiry][minute]
    spot = forward(chain, 1.0)
    worth = [strike - spot if kind == "P" else spot - strike for strike, kind in held]
    return np.array([chain[one][0] > max(over, 0.0) + 0.025 for one, over in zip(held, worth, strict=True)])


def unexplained(day: Sequence[tuple[Reading, Flags]]) -> float:
    """The part of the average move of a mark that is left over."""
    rest, moved = [], []
    for (start, is_known), (end, is_still_known) in pairwise(day):
        strip = fold(begin(start), end, longest_step_seconds=86_400)
        near = is_known & is_still_known
        for one in (start, end):
            near &= (np.abs(one.delta) > 0.05) & (np.abs(one.delta) < 0.95) & (one.vega > 2.5)
        rest.append(np.abs(strip.profit - strip.amounts.sum(axis=0))[near])
        moved.append(np.abs(strip.profit)[near])
    return float(np.concatenate(rest).sum() / np.concatenate(moved).sum())
