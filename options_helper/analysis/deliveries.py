"""Adjusted contracts whose record says what they deliver, as so many usual ones: what they come to is then exact.

A right to N shares and C dollars for K times its M dollars a point is N rights to a share for (K M - C) / N.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from options_helper.model.contract_records import ContractRecord, delivery_of, is_usual
from options_helper.model.portfolio import Instrument, PortfolioLine

# Instruments by the symbols of those in whose place they stand.
Usual = Mapping[str, Instrument]
# A share: so much in the money is exercised by exception.
_CENT: Final = 0.01
ALL_USUAL: Final[Usual] = MappingProxyType({})


def usual_instruments(instruments: Iterable[Instrument], records: Mapping[str, ContractRecord]) -> Usual:
    """For each contract that is not usual, by Alpaca's records too, the usual one that comes to the same.

    Without those that deliver something else than whole shares and dollars, or of which it is not known.
    """
    if not records:
        return ALL_USUAL
    each = ((one.live_symbol, _usual(one, records)) for one in instruments if one.live_symbol in records)
    return {symbol: usual for symbol, usual in each if usual is not None}


def _usual(one: Instrument, records: Mapping[str, ContractRecord]) -> Instrument | None:
    if not one.is_option or one.strike is None or one.multiplier is None or is_usual(one, records):
        return None
    delivery = delivery_of(one, records)
    if delivery is None or delivery.shares % 1:
        return None
    strike = (Decimal(str(one.strike)) * one.multiplier - delivery.cash) / delivery.shares
    if strike <= 0:
        return None
    return replace(one, multiplier=int(delivery.shares), strike=float(strike), adjusted=False)


def sure_inside(one: Instrument, spot: float | None, records: Mapping[str, ContractRecord]) -> float | None:
    """By how many dollars a call that is not usual is in the money at least, for each contract; None: by none surely.

    Shares of another company that it delivers too, and cash that is not determined yet, are worth nothing or more.
    """
    record = records.get(one.live_symbol)
    if spot is None or one.strike is None or one.multiplier is None or one.option_type != "call":
        return None
    parts = () if record is None else record.deliverables
    shares = sum((part.amount or 0 for part in parts if part.symbol == one.underlying), Decimal(0))
    cash = sum((part.amount or 0 for part in parts if part.symbol is None), Decimal(0))
    inside = float(shares) * spot + float(cash) - one.strike * one.multiplier
    return inside if inside >= _CENT * one.multiplier else None


def as_usual(line: PortfolioLine, usual: Usual) -> PortfolioLine:
    """The line, or the usual one that comes to the same and cost the same dollars."""
    one = usual.get(line.instrument.live_symbol)
    if one is None or one.multiplier is None:
        return line
    cost = line.opening_cost
    return PortfolioLine(one, line.quantity, None if cost is None else cost / one.multiplier)
