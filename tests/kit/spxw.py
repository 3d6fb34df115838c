"""The recorded day of SPXW, 2018-01-05, minute by minute: what ended on it, around the money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tests.kit.recordings import SPXW_DAY, spxw_rows


@dataclass(frozen=True)
class Quoted:
    """One contract at one minute, as the vendor has it."""

    bid: float
    ask: float
    volatility: float


@dataclass(frozen=True)
class Minute:
    """The index and the contracts around it at one minute."""

    index: tuple[float, float]  # bid and ask
    chain: Mapping[tuple[int, bool], Quoted]

    @property
    def spot(self) -> float:
        return sum(self.index) / 2


@lru_cache(maxsize=1)  # a few seconds to read
def minutes(real_data: Path) -> Mapping[str, Minute]:
    """The expiring contracts around the money, by minute."""
    chains: dict[str, dict[tuple[int, bool], Quoted]] = {}
    index: dict[str, tuple[float, float]] = {}
    for row in spxw_rows(real_data, SPXW_DAY):
        strike = float(row["strike"])
        if not 2700 <= strike <= 2770:
            continue
        at = row["quote_datetime"][11:16]
        index[at] = (float(row["underlying_bid"]), float(row["underlying_ask"]))
        chains.setdefault(at, {})[int(strike), row["option_type"] == "C"] = Quoted(
            float(row["bid"]), float(row["ask"]), float(row["implied_volatility"])
        )
    return {at: Minute(index[at], chain) for at, chain in chains.items()}


def symbol(strike: int, *, call: bool) -> str:
    """Of the contract that ended on that day."""
    return f"SPXW180105{'C' if call else 'P'}{strike * 1000:08d}"


def prices_of(minute: Minute) -> dict[str, tuple[float | None, float | None]]:
    """Bid and ask of the contracts and of the index, by symbol; a side that nobody quotes is None."""
    prices: dict[str, tuple[float | None, float | None]] = {
        symbol(strike, call=call): (one.bid or None, one.ask or None)
        for (strike, call), one in minute.chain.items()
    }
    return {**prices, "SPX": minute.index}
