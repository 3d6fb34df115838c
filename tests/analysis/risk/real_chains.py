"""Recorded chains as legs and quotes, with the figures that their vendors print beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from options_helper.analysis.marks import Flags, Numbers
from options_helper.analysis.risk.implied_volatility import OptionQuotes
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms
from tests.kit.recordings import SPXW_FILE

MINUTES_A_YEAR = 525_600
# What Cboe's figures of the day follow from: the year ends half an hour after the shares' close, at this rate.
SPXW_RATE = 0.01272
SPXW_END = pd.Timedelta(hours=16, minutes=30)
EXPIRIES = ("2018-01-05", "2018-02-02", "2018-02-09")
NVDA_FILE = "nvda_option_chain_20251029.csv.gz"


@dataclass(frozen=True)
class Chain:
    """One chain at one moment; the vendor's vega is per point and its theta per day."""

    terms: Terms
    market: Market
    quotes: OptionQuotes
    vendor: pd.DataFrame


@cache
def _spxw(real_data: Path) -> pd.DataFrame:
    rows = pd.read_csv(real_data / SPXW_FILE)
    rows["at"] = pd.to_datetime(rows["quote_datetime"])
    return rows


def spxw_chain(real_data: Path, time: str, expiry: str) -> Chain:
    """All contracts of an expiry at a minute of 2018-01-05, as European legs on the vendor's implied spot."""
    rows = _spxw(real_data)
    rows = rows[(rows["at"] == pd.Timestamp(f"2018-01-05 {time}")) & (rows["expiration"] == expiry)]
    minutes = (pd.Timestamp(expiry) + SPXW_END - pd.Timestamp(f"2018-01-05 {time}")) / pd.Timedelta(minutes=1)
    count = len(rows)
    bid, ask = (rows[side].to_numpy(float) for side in ("bid", "ask"))
    return Chain(
        Terms(
            strike=rows["strike"].to_numpy(float),
            is_call=_are_calls(rows["option_type"], "C"),
            is_american=np.zeros(count, dtype=bool),
            years=np.full(count, minutes / MINUTES_A_YEAR),
        ),
        Market(
            spot=rows["implied_underlying_price"].to_numpy(float),
            rate=np.full(count, SPXW_RATE),
            carry=np.zeros(count),
            dividends=CashDividends.none(count),
        ),
        OptionQuotes(bid, ask, (bid + ask) / 2, np.where(bid < 3, 0.05, 0.1)),
        rows,
    )


def nvda_chain(real_data: Path) -> Chain:
    """One expiry of NVDA on 2025-10-29, 80 days ahead as its vendor counts."""
    rows = pd.read_csv(real_data / NVDA_FILE)
    count = len(rows)
    bid, ask, mid = (rows[side].to_numpy(float) for side in ("Bid", "Ask", "Mid"))
    return Chain(
        Terms(
            strike=rows["Strike"].to_numpy(float),
            is_call=_are_calls(rows["Type"], "Call"),
            is_american=np.ones(count, dtype=bool),
            years=np.full(count, 80 / 365),
        ),
        Market(
            spot=rows["underlying_price"].to_numpy(float),
            rate=np.full(count, 0.0408),
            carry=np.zeros(count),
            dividends=CashDividends.none(count),
        ),
        OptionQuotes(bid, ask, mid, np.where(bid < 3, 0.01, 0.05)),
        rows,
    )


def _are_calls(kinds: pd.Series, call: str) -> Flags:
    return np.asarray(kinds.str.upper() == call.upper(), dtype=bool)


def percentile(differences: Numbers, of: float) -> float:
    """Of the absolute differences."""
    return float(np.percentile(np.abs(differences), of))
