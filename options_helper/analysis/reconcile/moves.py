"""Tell what a split, a name change or the like made of a position: what was there, under the name that it has now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from options_helper.model.account import AccountMove, PositionMove
from options_helper.model.alpaca_symbols import underlying_root
from options_helper.model.contract_symbols import ParsedContract, is_contract_symbol, parse_contract_symbol

# What changes the terms of contracts, and may give what is held another name.
ADJUSTING: Final = frozenset(
    {
        PositionMove.MERGER,
        PositionMove.NAME_CHANGE,
        PositionMove.OPTION_CORPORATE_ACTION,
        PositionMove.REORGANIZATION,
        PositionMove.SPIN_OFF,
        PositionMove.SPLIT,
        PositionMove.STOCK_DIVIDEND,
        PositionMove.SYMBOL_CHANGE,
        PositionMove.VOLUNTARY_OFFERING,
    }
)
_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Holding:
    """How much there is of one symbol, on one side only: in the file, or in the account."""

    symbol: str
    quantity: Decimal


class Moves:
    """What changed positions beside executions, and what it has to do with a symbol."""

    def __init__(self, moves: Iterable[AccountMove]) -> None:
        self._by_symbol: defaultdict[str, list[AccountMove]] = defaultdict(list)
        self._by_root: defaultdict[str, list[AccountMove]] = defaultdict(list)
        for one in moves:
            self._by_symbol[one.symbol].append(one)
            if one.move in ADJUSTING:
                self._by_root[underlying_root(one.symbol)].append(one)

    def of(self, symbol: str) -> tuple[AccountMove, ...]:
        """The moves of this very symbol."""
        return tuple(self._by_symbol.get(symbol, ()))

    def about(self, symbol: str) -> tuple[AccountMove, ...]:
        """Those of the symbol; of a contract that has none, those of its underlying and of the others on that."""
        own = self.of(symbol)
        return own or (
            tuple(self._by_root.get(underlying_root(symbol), ())) if is_contract_symbol(symbol) else ()
        )

    def successors(self, gone: Sequence[Holding], new: Sequence[Holding]) -> dict[str, str]:
        """What became of a position that only the file has: the symbol that only the account has.

        A match that is not the only one is none.
        """
        shares = _only_matches(_shares(gone), _shares(new), self._is_renamed)
        roots = {underlying_root(old): underlying_root(now) for old, now in shares.items()}
        found = dict(shares)
        for fits in (_has_same_worth, _has_same_strike, _has_same_quantity):
            found |= _only_matches(
                [one for one in _contracts(gone) if one.symbol not in found],
                [one for one in _contracts(new) if one.symbol not in found.values()],
                lambda old, now, fits=fits: self._is_adjusted(old, now, roots) and fits(old, now),  # type: ignore[misc]
            )
        return found

    def _is_renamed(self, old: Holding, now: Holding) -> bool:
        went, came = self._adjusting(old.symbol), self._adjusting(now.symbol)
        return any(one.day == other.day for one in went for other in came)

    def _is_adjusted(self, old: Holding, now: Holding, roots: Mapping[str, str]) -> bool:
        root, other = underlying_root(old.symbol), underlying_root(now.symbol)
        is_told = bool(self._by_root.get(root) or self._by_root.get(other))
        before, after = parse_contract_symbol(old.symbol), parse_contract_symbol(now.symbol)
        return (
            is_told
            and other in (root, roots.get(root))
            and (before.option_type, before.expiry) == (after.option_type, after.expiry)
            and (old.quantity < 0) == (now.quantity < 0)
        )

    def _adjusting(self, symbol: str) -> list[AccountMove]:
        return [one for one in self.of(symbol) if one.move in ADJUSTING]


def _shares(holdings: Iterable[Holding]) -> list[Holding]:
    return [one for one in holdings if not is_contract_symbol(one.symbol)]


def _contracts(holdings: Iterable[Holding]) -> list[Holding]:
    return [one for one in holdings if is_contract_symbol(one.symbol)]


def _has_same_worth(old: Holding, now: Holding) -> bool:
    """Ten times as many at a tenth of the strike, as a split makes them."""
    before, after = _terms(old), _terms(now)
    return old.quantity * _exact(before.strike) == now.quantity * _exact(after.strike)


def _has_same_strike(old: Holding, now: Holding) -> bool:
    return _terms(old).strike == _terms(now).strike


def _has_same_quantity(old: Holding, now: Holding) -> bool:
    """Another strike or root, as a special dividend or a spin-off makes it."""
    return old.quantity == now.quantity


def _terms(holding: Holding) -> ParsedContract:
    return parse_contract_symbol(holding.symbol)


def _exact(value: float) -> Decimal:
    return Decimal(str(value))


def _only_matches(
    gone: Sequence[Holding], new: Sequence[Holding], fits: Callable[[Holding, Holding], bool]
) -> dict[str, str]:
    pairs = [(old.symbol, now.symbol) for old in gone for now in new if fits(old, now)]
    return {
        old: now
        for old, now in pairs
        if sum(one == old for one, _ in pairs) == 1 and sum(other == now for _, other in pairs) == 1
    }
