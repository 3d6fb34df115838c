"""What Alpaca has on record of a contract: its terms beyond what its symbol says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from options_helper.model.alpaca_symbols import is_index
from options_helper.model.portfolio import Instrument

# Options on an index are exercised at their end alone, but for these (Cboe's specifications; XEO is the European one).
_AMERICAN_INDICES: Final = frozenset({"OEX"})


@dataclass(frozen=True, slots=True)
class Deliverable:
    """One part of what a contract delivers."""

    symbol: str | None  # of shares, in Alpaca's spelling; None: dollars
    amount: Decimal | None  # for each contract; None: not determined yet, or it cannot be read

    @property
    def words(self) -> str:
        """As in "110 AAPL" or "$12.50"."""
        if self.symbol is None:
            return "cash that is not determined yet" if self.amount is None else f"${self.amount:,.2f}"
        count = "some" if self.amount is None else f"{self.amount.normalize():f}"
        return f"{count} {self.symbol}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one contract delivers: shares of what it is written on, above 0, and dollars."""

    shares: Decimal
    cash: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRecord:
    """One listed contract; None where the record does not say, or says it in a way that cannot be read."""

    symbol: str
    status: str | None = None  # active, inactive
    tradable: bool | None = None
    root: str | None = None  # of its symbol
    underlying: str | None = None  # in Alpaca's spelling: "BRK.B"
    multiplier: Decimal | None = None  # dollars per point
    size: Decimal | None = None  # shares that one contract delivers
    close_price: Decimal | None = None  # dollars per share
    close_day: date | None = None  # of the session that it is the close of
    settled_at_open: bool | None = None
    exercise_style: str | None = None  # american, european
    last_trading_day: date | None = None
    deliverables: tuple[Deliverable, ...] = ()  # all of them; none: the record does not say
    # On the market's clock; None: as it stands in an answer that nobody has taken in yet.
    read_at: datetime | None = None

    @property
    def delivers(self) -> str:
        """What one contract delivers in words, as in "110 AAPL and $12.50"; empty where the record does not say."""
        if self.deliverables:
            return " and ".join(one.words for one in self.deliverables)
        return "" if self.size is None else f"{self.size.normalize():f} shares"


def named_at_open(one: Instrument, records: Mapping[str, ContractRecord]) -> bool | None:
    """Whether it is settled at the open, as Alpaca's record says, else the file; None: its root has to."""
    record = records.get(one.live_symbol)
    told = None if record is None else record.settled_at_open
    return one.settled_at_open if told is None else told


def is_american(one: Instrument, records: Mapping[str, ContractRecord]) -> bool:
    """Whether it may be exercised before its end: as Alpaca's record says, else the file, else by its root."""
    record = records.get(one.live_symbol)
    told = None if record is None else record.exercise_style
    style = one.exercise_style if told is None else told
    if style is not None:
        return style != "european"
    return not is_index(one.underlying) or one.underlying in _AMERICAN_INDICES


def is_usual(one: Instrument, records: Mapping[str, ContractRecord]) -> bool:
    """Whether a contract is a right to so many shares as its dollars a point are, as far as is told.

    What has a digit in its root is not; else Alpaca's record decides. Options on an index deliver nothing.
    """
    record = records.get(one.live_symbol)
    if one.adjusted or record is None or is_index(one.underlying):
        return not one.adjusted
    points = record.multiplier if record.multiplier is not None else one.multiplier
    if points is None:
        return True
    if record.deliverables:
        only = record.deliverables[0]
        return (only.symbol, only.amount) == (one.underlying, points) and len(record.deliverables) == 1
    return record.size is None or record.size == points


def delivery_of(one: Instrument, records: Mapping[str, ContractRecord]) -> Delivery | None:
    """What a contract that is not usual delivers, by Alpaca's record.

    None where that is not known, or is something else than shares of what it is written on, and dollars.
    """
    record = records.get(one.live_symbol)
    parts = () if record is None else record.deliverables
    if any(part.amount is None or part.symbol not in (None, one.underlying) for part in parts):
        return None
    shares, cash = (
        sum(
            (part.amount for part in parts if (part.symbol is None) is of_cash and part.amount is not None),
            Decimal(0),
        )
        for of_cash in (False, True)
    )
    return Delivery(shares, cash) if shares > 0 else None
