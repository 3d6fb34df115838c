"""What fills have cost, line by line: today's executions, set against the lines whose quantity they changed.

The account says of a symbol what was traded and at what price, and not which line of the book it was for. A fill goes
to the line that changed with it; where several lines of one symbol did (a contract became a leg of a structure), each
passes at the mark, and what the fill was away from the mark goes to the one that changed most in its direction. So the
sum over the lines of a symbol is what its executions cost, whatever became of the lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from math import fsum, isfinite, nan
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from options_helper.analysis.day_pnl import AccountDay, dollars_per_point, read_account_day
from options_helper.analysis.risk.readings import Reading
from options_helper.model.alpaca_symbols import underlying_symbol
from options_helper.model.contract_symbols import has_contract_length, root_of
from options_helper.model.market_hours import new_york_date
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot

_SAME: Final = 1e-9  # of quantities; coins and shares come in fractions


class Traded(NamedTuple):
    """What today's executions of a symbol come to, up to where the account held what the book does."""

    quantity: float  # by how much they changed it
    spent: float  # quantities times prices; NaN: a price is not known


_NOTHING: Final = Traded(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class DayTrades:
    """All that is known of a day's executions; a symbol that is in neither was not traded."""

    day: date  # in New York
    of: Mapping[str, Traded]  # by symbol, in Alpaca's spelling
    unknown: frozenset[str] = frozenset()  # of which not all is known, or which the book does not follow
    # What the day made of symbols that the book holds no more, dollars; NaN: not known.
    closed: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def closed_of(self, underlying: str) -> float:
        """The same of all symbols on one underlying, dollars; NaN where that of one is not known."""
        return fsum(dollars for symbol, dollars in self.closed.items() if _underlying(symbol) == underlying)

    @property
    def closed_underlyings(self) -> tuple[str, ...]:
        """Of which something was closed."""
        return tuple(dict.fromkeys(map(_underlying, self.closed)))


def trades_of_day(portfolio: Portfolio, live: LiveSnapshot) -> DayTrades | None:
    """Today's, by the account; None where it does not say all of them."""
    day = read_account_day(portfolio, live)
    if day.obstacles:
        return None
    return DayTrades(
        day=new_york_date(live.as_of),
        of=MappingProxyType(
            {symbol: Traded(float(one.changed), float(one.spent)) for symbol, one in day.followed.items()}
        ),
        unknown=frozenset(day.unknown),
        closed=MappingProxyType(dict(_closed_today(day))),
    )


def _closed_today(day: AccountDay) -> Iterator[tuple[str, float]]:
    for symbol, one in day.followed.items():
        if symbol not in day.lines and one.moved:
            yield symbol, float(one.position.realized) * dollars_per_point(symbol)
    yield from ((symbol, nan) for symbol in day.unknown if symbol not in day.lines)


class HeldLine(NamedTuple):
    """What a line of the book was when it was last looked at."""

    symbol: str
    underlying: str
    quantity: float  # signed
    multiplier: int | None
    mark: float  # dollars per share; NaN: none


class _Moved(NamedTuple):
    key: str
    quantity: float  # by how much it changed
    line: HeldLine


class _Cost(NamedTuple):
    underlying: str
    paid: float = 0.0  # dollars, all together
    fills: int = 0

    def plus(self, dollars: float) -> _Cost:
        return self._replace(paid=self.paid + dollars, fills=self.fills + 1)


@dataclass(frozen=True, slots=True)
class FillCosts:
    """The costs up to one reading; `priced` makes those of the next."""

    held: Mapping[str, HeldLine] = field(default_factory=lambda: MappingProxyType({}))
    trades: DayTrades | None = None
    costs: Mapping[str, _Cost] = field(default_factory=lambda: MappingProxyType({}))

    def priced(
        self, reading: Reading, held: Mapping[str, HeldLine], trades: DayTrades | None
    ) -> tuple[FillCosts, Reading]:
        """The costs with those of this reading in it, whose lines `held` describes; and the reading with all costs.

        A line that was closed stays in the reading, with quantity 0. A change that no execution explains costs nothing
        here: the strip counts it at the mark, and says so.
        """
        costs = dict(self.costs)
        is_first = not self.held and self.trades is None
        if not is_first and self.trades is not None and trades is not None and self.trades.day == trades.day:
            for symbol in self._touched(held, trades):
                for key, underlying, dollars in self._shares_of(symbol, held, self.trades, trades):
                    costs[key] = costs.get(key, _Cost(underlying)).plus(dollars)
        after = FillCosts(MappingProxyType(held), trades, MappingProxyType(costs))
        return after, _with_costs(reading, costs)

    def _touched(self, held: Mapping[str, HeldLine], trades: DayTrades) -> Iterable[str]:
        lines = {**self.held, **held}
        changed = (
            line.symbol
            for key, line in lines.items()
            if _differ(_quantity(self.held.get(key)), _quantity(held.get(key)))
        )
        return dict.fromkeys((*changed, *trades.of))

    def _shares_of(
        self, symbol: str, held: Mapping[str, HeldLine], before: DayTrades, now: DayTrades
    ) -> Iterator[tuple[str, str, float]]:
        """Key, underlying and dollars of each line that its executions are for; nothing where they explain it not."""
        one, other = before.of.get(symbol, _NOTHING), now.of.get(symbol, _NOTHING)
        spent, bought = other.spent - one.spent, other.quantity - one.quantity
        moved = self._moved(symbol, held)
        is_known = symbol not in before.unknown and symbol not in now.unknown and isfinite(spent)
        if not is_known or _differ(fsum(one.quantity for one in moved), bought):
            return
        if not moved:
            if spent:
                yield self._without_change(symbol, held, spent)
            return
        multipliers = {one.line.multiplier for one in moved}
        multiplier = multipliers.pop()
        mark = self._mark(symbol, held) if len(moved) > 1 else 0.0
        if multiplier is None or multipliers or mark is None:
            return
        most = max(moved, key=lambda one: one.quantity * bought).key
        away = spent - bought * mark
        for one_moved in moved:
            points = one_moved.quantity * mark + (away if one_moved.key == most else 0.0)
            yield one_moved.key, one_moved.line.underlying, points * multiplier

    def _mark(self, symbol: str, held: Mapping[str, HeldLine]) -> float | None:
        """Of now, or the last one before; the same for all lines of a symbol."""
        lines = (*held.values(), *self.held.values())
        return next((one.mark for one in lines if one.symbol == symbol and isfinite(one.mark)), None)

    def _moved(self, symbol: str, held: Mapping[str, HeldLine]) -> list[_Moved]:
        found = []
        for key, line in {**self.held, **held}.items():
            change = _quantity(held.get(key)) - _quantity(self.held.get(key))
            if line.symbol == symbol and abs(change) > _SAME:
                found.append(_Moved(key, change, line))
        return found

    def _without_change(
        self, symbol: str, held: Mapping[str, HeldLine], spent: float
    ) -> tuple[str, str, float]:
        """What was bought and sold again in between: of the first line of it, or of one of its own."""
        for key, line in held.items():
            if line.symbol == symbol and line.multiplier is not None:
                return key, line.underlying, spent * line.multiplier
        return f"{symbol} {symbol} traded", _underlying(symbol), spent * dollars_per_point(symbol)


def _underlying(symbol: str) -> str:
    return underlying_symbol(root_of(symbol)) if has_contract_length(symbol) else symbol


def _quantity(line: HeldLine | None) -> float:
    return 0.0 if line is None else line.quantity


def _differ(one: float, other: float) -> bool:
    return abs(one - other) > _SAME


def _with_costs(reading: Reading, costs: Mapping[str, _Cost]) -> Reading:
    if not costs:
        return reading
    present = frozenset(reading.keys)
    if closed := {key: cost.underlying for key, cost in costs.items() if key not in present}:
        reading = reading.beside(_closed(reading, closed))
    of_keys = [costs.get(key) for key in reading.keys]
    return replace(
        reading,
        paid=np.array([0.0 if one is None else one.paid for one in of_keys]),
        fills=np.array([0 if one is None else one.fills for one in of_keys], dtype=np.int64),
    )


def _closed(reading: Reading, closed: Mapping[str, str]) -> Reading:
    """Lines of which nothing is held any more, by their keys the underlyings; with what another of the symbol says."""
    twin_of = {_symbol_of(key): key for key in reversed(reading.keys)}
    twins = {key: twin_of[_symbol_of(key)] for key in closed if _symbol_of(key) in twin_of}
    alone = {key: underlying for key, underlying in closed.items() if key not in twins}
    count = len(alone)
    unknown, nobody = np.full(count, np.nan), np.full(count, None, dtype=object)
    without_twin = Reading(
        at=reading.at,
        keys=tuple(alone),
        underlying=np.array(list(alone.values()), dtype=object),
        is_option=np.array([has_contract_length(_symbol_of(key)) for key in alone], dtype=np.bool_),
        slope=np.zeros(count),
        paid=np.zeros(count),
        fills=np.zeros(count, dtype=np.int64),
        mark=unknown,
        source=nobody,
        spot=unknown,
        forward=nobody,
        volatility=unknown,
        delta=unknown,
        vega=unknown,
        theta=unknown,
    )
    with_twin = replace(reading.of_keys(twins.values()), keys=tuple(twins), slope=np.zeros(len(twins)))
    return with_twin.beside(without_twin)


def _symbol_of(key: str) -> str:
    return key.rsplit(" ", 2)[1]
