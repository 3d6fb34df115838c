"""What the account reports keeps its order, symbol by symbol."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from options_helper.model.account import Execution, ExecutionKind, Source, executions_by_symbol


def execution(symbol: str, identity: str) -> Execution:
    return Execution(
        identity=identity,
        kind=ExecutionKind.FILL,
        symbol=symbol,
        quantity=Decimal(1),
        price=Decimal(10),
        day=date(2026, 11, 20),
        at_ns=None,
        order_id=None,
        source=Source.REST,
    )


def test_executions_of_a_symbol_stay_in_their_order():
    first, other, second = execution("AAPL", "1"), execution("MSFT", "2"), execution("AAPL", "3")

    assert executions_by_symbol([first, other, second]) == {"AAPL": (first, second), "MSFT": (other,)}
    assert executions_by_symbol(()) == {}
