"""What the risk figures are computed from beside prices: dividends, daily closes, chains, and the vendor's own Greeks.

Each has the moment at which it was read, on the market's clock. What is not there was not read, which is not 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

from options_helper.model.events import Quote

_EMPTY: Final[Mapping[Any, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Dividend:
    """Cash that a share pays to whoever held it before the ex-date, in dollars per share."""

    symbol: str
    ex_date: date
    amount: float
    special: bool = False  # contracts may be adjusted for it, so nobody subtracts it from a price
    foreign: bool = False
    assumed: bool = False  # nobody announced it
    said_by: str = ""  # who says so, where the user wrote it down
    entered: date | None = None  # and when; None: it is not the user's

    @property
    def is_own(self) -> bool:
        """Whether the user wrote it down."""
        return self.entered is not None


@dataclass(frozen=True, slots=True)
class ContractChange:
    """A corporate action after which a share, and what a contract on it delivers, is another one."""

    symbol: str
    kind: str  # as Alpaca names it: "forward_splits", "spin_offs"
    day: date  # the ex-date; where there is none, the day on which it takes effect or is processed
    ratio: float | None = None  # new shares for an old one; None: not said, or it is no split


@dataclass(frozen=True, slots=True)
class CorporateActions:
    """What was announced of one share, as it was read; the dividends of the year before among it.

    An empty list says that nothing is announced; a share that was not asked for has no value of this kind.
    """

    symbol: str
    read_at: datetime
    until: (
        date  # actions that are processed until then were asked for, so a leg that lasts longer may meet more
    )
    dividends: tuple[Dividend, ...] = ()  # by ex-date, paid ones and announced ones
    changes: tuple[ContractChange, ...] = ()  # by day
    unreadable: tuple[str, ...] = ()  # sentences: announced, and not known


@dataclass(frozen=True, slots=True)
class DailyCloses:
    """Closes of sessions before today in dollars, adjusted for splits and dividends; for returns and nothing else."""

    symbol: str
    read_at: datetime
    closes: Mapping[date, float] = field(
        default_factory=lambda: _EMPTY
    )  # by New York's day, oldest first; above 0


@dataclass(frozen=True, slots=True)
class VendorGreeks:
    """The vendor's own figures of one contract per share, by Black and Scholes; None where it has none.

    Theta is a calendar day's; vega and rho are for 0.01 of volatility and rate. The vendor gives them no time: they are
    as old as the quote beside them, at least.
    """

    symbol: str
    implied_volatility: float | None = None  # a fraction
    delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None
    rho: float | None = None
    quoted_at: datetime | None = None  # the exchange's time of the quote beside them; None: there was none
    read_at: datetime | None = None  # None: as it stands in an answer that nobody has taken in yet


@dataclass(frozen=True, slots=True)
class SessionClose:
    """What a share cost at the end of a session, dollars; read before that end it is only what it cost then."""

    symbol: str
    day: date
    price: float
    read_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class ExpiryChain:
    """The options of one class and expiry near the money, as one look found them; a look is like no other."""

    underlying: str
    expiry: date
    read_at: datetime
    quotes: Mapping[str, Quote]  # by contract, held ones among them
    spot: Quote | None  # the underlying's own quote as it was known then; None: an index, or not known


@dataclass(frozen=True, slots=True)
class RiskInputs:
    """All of it in one snapshot; symbols in Alpaca's spelling. What was not read has no entry."""

    actions: Mapping[str, CorporateActions] = field(default_factory=lambda: _EMPTY)
    closes: Mapping[str, DailyCloses] = field(default_factory=lambda: _EMPTY)
    vendor_greeks: Mapping[str, VendorGreeks] = field(default_factory=lambda: _EMPTY)
    session_closes: Mapping[tuple[str, date], SessionClose] = field(default_factory=lambda: _EMPTY)
    chains: Mapping[str, ExpiryChain] = field(
        default_factory=lambda: _EMPTY
    )  # by class and expiry: "SPXW261218"
    partners: Mapping[str, Quote] = field(
        default_factory=lambda: _EMPTY
    )  # of contracts beside those that are held: the other type of their strike
