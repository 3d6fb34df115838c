"""Of what is asked: the symbols of a portfolio, and the series that stand for the wider market."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from options_helper.ingest.jobs import JobName
from options_helper.ingest.store import EVERYTHING
from options_helper.model.alpaca_symbols import is_coin_pair, is_index
from options_helper.model.portfolio import Portfolio
from options_helper.model.text import named

# Alpaca has no indices. These funds are traded, and what is written beside each is what people take them for: none of
# them is the thing itself.
PROXIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SPY": "large US companies (S&P 500), by a fund",
        "QQQ": "Nasdaq 100, by a fund",
        "IWM": "small US companies (Russell 2000), by a fund",
        "DIA": "Dow Jones Industrial Average, by a fund",
        "TLT": "US treasury bonds of 20 years and more, by a fund's price; rises as yields fall",
        "IEF": "US treasury bonds of 7 to 10 years, by a fund's price; rises as yields fall",
        "SHY": "US treasury bonds of 1 to 3 years, by a fund's price; rises as yields fall",
        "UUP": "the US dollar against six currencies, by a fund of futures",
        "GLD": "gold, by a fund",
        "USO": "crude oil, by a fund of futures that loses by rolling them",
        "HYG": "US corporate bonds of low rating, by a fund",
        "LQD": "US corporate bonds of high rating, by a fund",
        "VIXY": "short-term VIX futures, by a fund that loses by rolling them; it is not the VIX",
    }
)
# What FRED is asked for, with what each is there. VIXCLS is Cboe's own index, at the close, a day late.
FRED_SERIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "VIXCLS": "VIX at the close, of Cboe, in percent of a year",
        "DGS3MO": "3-month US treasury yield, percent",
        "DGS2": "2-year US treasury yield, percent",
        "DGS10": "10-year US treasury yield, percent",
        "T10Y2Y": "10-year less 2-year US treasury yield, percent",
        "SOFR": "secured overnight financing rate, percent",
    }
)
# Short rates, for our own volatility.
RATE_SERIES: Final = "DGS3MO"
_OF_EACH_UNDERLYING: Final = frozenset({JobName.CHAINS, JobName.CONTRACTS})
_OF_SHARES: Final = frozenset(
    {JobName.CORPORATE_ACTIONS, JobName.MINUTE_BARS, JobName.DAILY_BARS, JobName.NEWS}
)
# Each window is a whole session of shares that are traded in it.
OF_A_SESSION: Final = frozenset({JobName.MINUTE_BARS, JobName.DAILY_BARS, JobName.MACRO_PROXIES})


@dataclass(frozen=True, slots=True)
class Selection:
    """Symbols in Alpaca's spelling, each once."""

    underlyings: tuple[str, ...] = ()  # of options, indices among them
    stocks: tuple[str, ...] = ()  # shares, and the underlyings that are traded themselves
    coins: tuple[str, ...] = ()  # which no job asks for

    @classmethod
    def of(cls, portfolio: Portfolio) -> Selection:
        """What a portfolio's options are written on, and what of it is a share."""
        items = portfolio.instruments
        underlyings = dict.fromkeys(item.underlying for item in items if item.is_option)
        traded = dict.fromkeys(item.underlying for item in items if not is_index(item.underlying))
        shares = tuple(symbol for symbol in traded if not is_coin_pair(symbol))
        return cls(tuple(underlyings), shares, tuple(filter(is_coin_pair, traded)))

    @property
    def symbols(self) -> tuple[str, ...]:
        """All that is asked for, each once."""
        return tuple(dict.fromkeys((*self.underlyings, *self.stocks)))

    @property
    def left_out(self) -> str | None:
        """A sentence about what is not asked for; None where everything is."""
        return f"Coins are not asked for: {named(self.coins)}." if self.coins else None

    def subjects(self, job: JobName) -> tuple[str, ...]:
        """For what a job has windows of its own; none where there is nothing to ask."""
        if job in _OF_EACH_UNDERLYING:
            return self.underlyings
        if (job in _OF_SHARES and not self.stocks) or (job is JobName.VOLATILITY and not self.underlyings):
            return ()
        return (EVERYTHING,)
