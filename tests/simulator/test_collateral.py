"""The simulated account sets aside what Alpaca does for options that were sold, so its buying power is net of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from options_helper.simulator.market.account import Holding
from options_helper.simulator.market.collateral import set_aside

SHARES, LATER = "NVDA", "NVDA270115"
PRICES = {name: Decimal(price) for name, price in {"NVDA": 180, "F": 8, "PENNY": 1, "CHEAP": 4}.items()}
PUT_190, PUT_185, CALL_170, CALL_175 = (
    f"NVDA261218{end}" for end in ("P00190000", "P00185000", "C00170000", "C00175000")
)


@pytest.mark.parametrize(
    ("held", "dollars"),
    [
        ({PUT_190: -1}, 19_000),
        ({PUT_190: -2, PUT_185: -1}, 56_500),
        ({PUT_190: -1, PUT_185: 1}, 500),
        ({PUT_190: 1, PUT_185: -1}, 0),
        ({CALL_170: -1, CALL_175: 1}, 500),
        ({PUT_185: -1, "NVDA261218P00180000": 1, "NVDA261218C00190000": -1, "NVDA261218C00195000": 1}, 500),
        ({CALL_170: -1, SHARES: 100}, 0),
        ({CALL_170: -1, SHARES: 99}, 180),  # one share that it lacks
        ({CALL_170: -1}, 18_000),  # Alpaca sells nobody a naked call: the shares that would cover it
        ({CALL_170: -1, CALL_175: -1, SHARES: 100}, 18_000),
        ({CALL_170: -3, CALL_175: 1}, 36_500),
        ({CALL_170: 1, f"{LATER}C00170000": -1}, 18_000),  # what is held ends sooner
        ({"XYZ261218C00040000": -1}, 4_000),  # without a price, at its strike
        ({SHARES: -100}, 27_000),  # what they are worth, and half of that
        ({SHARES: -100, PUT_190: -1}, 46_000),
        ({"F": -100}, 1_300),  # 8 dollars and 5 each
        ({"PENNY": -100}, 350),  # 1 dollar and 2.50 each
        ({"CHEAP": -100}, 800),  # 4 dollars and all of it again
        ({CALL_170: -1, SHARES: 100, PUT_190: -1}, 19_000),
        ({CALL_170: -2, SHARES: 100, CALL_175: 1}, 500),
        ({PUT_190: -1, f"{LATER}P00190000": 1}, 0),
        ({PUT_190: 1, f"{LATER}P00190000": -1}, 19_000),  # what is held ends sooner
        ({PUT_190: 3, CALL_170: 2, SHARES: 50}, 0),
        ({PUT_190: -1, "SPY261218P00600000": -1}, 79_000),
        ({"BRKB261218C00400000": -1, "BRKB261218C00500000": 1, "BRK.B": 100}, 0),
        ({"BTC/USD": 1}, 0),
        ({}, 0),
    ],
)
def test_it_is_the_greatest_loss_of_what_was_sold_with_what_covers_it(held: dict[str, int], dollars: int):
    found = set_aside([Holding(symbol, Decimal(count), None) for symbol, count in held.items()], PRICES.get)
    assert found == dollars
