"""Whether the options of a share contradict its price: by each look at a chain, against the price of the same moment.

A look never changes, so what it says is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np

from options_helper.analysis.remembered import Itself
from options_helper.analysis.risk.dividends import cash_dividends, dividends_of_leg
from options_helper.analysis.risk.forward import SpotAlarm, american_parity_forward, spot_alarm
from options_helper.analysis.risk.leg_inputs import RiskChoices, made_until, session_ended_ns, strike_pairs
from options_helper.analysis.risk.pricing import Market
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_hours import MINUTES_A_YEAR, settles_at
from options_helper.model.rates import DEFAULT_RATES, RateTable
from options_helper.model.risk_inputs import CorporateActions, Dividend, ExpiryChain
from options_helper.model.snapshot import LiveSnapshot

# What the market says of a rate that nobody wrote down, and of one that somebody did, may be off by this much.
_DOUBT_OF_DEFAULT_RATE: Final = 0.005
_DOUBT_OF_RATE: Final = 0.001
# Options that were quoted so long before the share are of another market, that of the close say.
_OPTIONS_BEHIND_AT_MOST: Final = 60.0  # seconds
# What was asked for earlier says nothing of now, nor what is of later by a clock that was put back since.
_OLDEST: Final = timedelta(minutes=10)
# More than a book has underlyings, else each look would find none of them; each keeps some dozens of quotes.
_REMEMBERED: Final = 512


@dataclass(frozen=True, slots=True)
class SpotDoubt:
    """The price of one share and what its options imply, dollars per share."""

    symbol: str
    alarm: SpotAlarm
    quote_age_seconds: float  # of the share's quote when the options were read
    read_at: datetime

    @property
    def words(self) -> str:
        """The sentence for a person."""
        age = f"{self.quote_age_seconds:.0f} s at {self.read_at:%H:%M:%S} UTC"
        return f"{self.alarm.words(self.symbol, age)}."


def spot_doubts(live: LiveSnapshot, choices: RiskChoices) -> Mapping[str, SpotDoubt]:
    """The shares whose options contradict their price, by symbol; of several expiries the one that does so the most.

    A share without a chain, and a chain without the share's price, say nothing.
    """
    found: dict[str, SpotDoubt] = {}
    for key, chain in live.risk_inputs.chains.items():
        name = chain.underlying
        if is_index(name) or chain.spot is None or abs(live.as_of - chain.read_at) > _OLDEST:
            continue
        end = settles_at(f"{key}C00001000", chain.expiry, live.told_sessions)
        actions = live.risk_inputs.actions.get(name)
        alarm = (
            None
            if end is None
            else _check(
                chain,
                end,
                Itself(actions),
                choices.rates,
                assume=choices.assume_dividends,
                own=choices.own_dividends.get(name, ()),
                ended_ns=session_ended_ns(name, chain.read_at, live.told_sessions),
            )
        )
        if alarm is None or (name in found and _excess(found[name].alarm) >= _excess(alarm)):
            continue
        age = chain.read_at.timestamp() - chain.spot.received_ns / 1e9
        found[name] = SpotDoubt(name, alarm, max(0.0, age), chain.read_at)
    return found


def _excess(alarm: SpotAlarm) -> float:
    return abs(alarm.implied_spot - alarm.quoted_spot) / alarm.tolerance


@lru_cache(maxsize=_REMEMBERED)
def _check(
    chain: ExpiryChain,
    end: datetime,
    read: Itself[CorporateActions | None],
    rates: RateTable,
    *,
    assume: bool,
    own: tuple[Dividend, ...],
    ended_ns: int | None,
) -> SpotAlarm | None:
    """What one look at a chain says against the price that the share had then."""
    years = (end - chain.read_at).total_seconds() / 60 / MINUTES_A_YEAR
    quote, quoted = chain.spot, strike_pairs(made_until(ended_ns, chain.quotes.values()))
    if quote is None or not (quote.bid_price and quote.ask_price and years > 0):
        return None
    spot, half = (quote.bid_price + quote.ask_price) / 2, (quote.ask_price - quote.bid_price) / 2
    pairs = quoted.pairs.take(quoted.received >= quote.received_ns / 1e9 - _OPTIONS_BEHIND_AT_MOST)
    rate = rates.at(years)
    leg = dividends_of_leg(read.value, chain.read_at, end, assume=assume, own=own)
    paid = cash_dividends([leg], chain.read_at)
    parity = None if half < 0 else american_parity_forward(pairs, paid, rate=rate, years=years)
    if parity is None:
        return None
    market = Market(np.array([spot]), np.array([rate]), np.zeros(1), paid)
    return spot_alarm(
        parity,
        spot=spot,
        spot_half_width=half,
        forward=float(market.forward(np.array([years]))[0]),
        rate=rate,
        years=years,
        rate_doubt=_DOUBT_OF_DEFAULT_RATE if rates is DEFAULT_RATES else _DOUBT_OF_RATE,
    )
