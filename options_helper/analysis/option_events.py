"""Tell where only half of an assignment or exercise is known: a contract that ended, or the shares that it moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from options_helper.errors import SymbolError
from options_helper.model.account import Execution, ExecutionKind
from options_helper.model.alpaca_symbols import option_root, underlying_root
from options_helper.model.contract_symbols import (
    INDEX_ROOTS,
    STANDARD_MULTIPLIER,
    ParsedContract,
    parse_contract_symbol,
)

_ENDS: Final = (ExecutionKind.ASSIGNMENT, ExecutionKind.EXERCISE)
_DIGITS: Final = "0123456789"


def halves(executions: Iterable[Execution]) -> frozenset[str]:
    """The underlyings, by the root of their contracts, of which a day's executions tell one half and not the other.

    A hundred shares move for each standard contract that is assigned or exercised. How many an adjusted one delivers
    is not known here, so there both halves have only to be told at all.
    """
    expected: defaultdict[str, Decimal | None] = defaultdict(Decimal)
    moved: defaultdict[str, Decimal] = defaultdict(Decimal)
    for one in executions:
        if one.kind is ExecutionKind.OPTION_TRADE:
            moved[option_root(one.symbol)] += one.quantity
        elif one.kind in _ENDS and (contract := _delivering(one)) is not None:
            root, known = underlying_root(one.symbol), expected[underlying_root(one.symbol)]
            unknown = contract.adjusted or known is None
            expected[root] = None if unknown else (known or Decimal(0)) + _shares(contract, one.quantity)
    return frozenset(
        root
        for root in expected.keys() | moved.keys()
        if not _is_whole(expected.get(root, Decimal(0)), moved.get(root, Decimal(0)))
    )


def _delivering(execution: Execution) -> ParsedContract | None:
    """The contract that ended, where shares move for it: an index is settled in cash, and so is what has a price."""
    try:
        contract = parse_contract_symbol(execution.symbol)
    except SymbolError:
        return None
    return contract if not execution.price and contract.underlying.strip(_DIGITS) not in INDEX_ROOTS else None


def _shares(contract: ParsedContract, change: Decimal) -> Decimal:
    """The shares that go for a change of a standard contract: a call that is exercised brings them."""
    shares = change * STANDARD_MULTIPLIER
    return shares if contract.option_type == "put" else -shares


def _is_whole(expected: Decimal | None, moved: Decimal) -> bool:
    return bool(moved) if expected is None else expected == moved
