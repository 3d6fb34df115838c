"""What the simulated account's contracts become: sold out, exercised, assigned, settled in cash or worth nothing."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest

from options_helper.simulator.market.account import Holding, SimulatedAccount
from options_helper.simulator.market.expiries import ExpiryClerk, ExpiryRules
from tests.kit.builders import nanoseconds, new_york

CALL, PUT, INDEX = "AAPL261120C00180000", "AAPL261120P00200000", "SPXW261120P06600000"
PRICES = {"AAPL": 190.0, "SPX": 6590.0, CALL: 10.0, PUT: 10.0}
SETTLE = ExpiryRules(settle=True)


def account(cash: float = 1_000_000, **holdings: float) -> SimulatedAccount:
    held = [Holding(symbol, Decimal(str(many)), Decimal(1)) for symbol, many in holdings.items()]
    return SimulatedAccount(held, Decimal(str(cash)))


def look(
    clerk: ExpiryClerk, of: SimulatedAccount, at: str, prices: Mapping[str, float] = PRICES
) -> list[tuple[str, str, str]]:
    clerk.look(of, nanoseconds(new_york(at)), prices.get)
    return [(one.row["activity_type"], one.row["symbol"], one.row["qty"]) for one in of.activities()]


def quantities(of: SimulatedAccount) -> dict[str, Decimal]:
    return {one.symbol: one.quantity for one in of.holdings}


@pytest.mark.parametrize(
    ("held", "told", "left", "cash"),
    [
        ({CALL: 2}, [("OPEXC", CALL, "-2"), ("OPTRD", "AAPL", "200")], {"AAPL": 200}, -36_000),
        ({PUT: -1}, [("OPASN", PUT, "1"), ("OPTRD", "AAPL", "100")], {"AAPL": 100}, -20_000),
        ({CALL: -1, "AAPL": 100}, [("OPASN", CALL, "1"), ("OPTRD", "AAPL", "-100")], {}, 18_000),
        ({INDEX: 1}, [("OPCSH", INDEX, "-1")], {}, 1_000),
        ({"AAPL261120C00200000": 3}, [("OPEXP", "AAPL261120C00200000", "-3")], {}, 0),
    ],
)
def test_what_ended_is_matched_two_hours_later_and_told_once(
    held: dict[str, float], told: list[tuple[str, str, str]], left: dict[str, int], cash: int
):
    clerk, of = ExpiryClerk(SETTLE), account(**held)

    assert look(clerk, of, "2026-11-20 17:59:59") == []
    assert quantities(of).keys() == held.keys()
    assert sorted(look(clerk, of, "2026-11-20 18:00")) == sorted(told)
    assert sorted(look(clerk, of, "2026-11-23 09:00")) == sorted(told)
    assert quantities(of) == left
    assert of.cash == 1_000_000 + cash


def test_on_paper_it_is_told_on_the_next_day_and_dated_before():
    clerk, of = ExpiryClerk(ExpiryRules(settle=True, late=True)), account(**{CALL: 1})

    assert look(clerk, of, "2026-11-20 20:00") == []
    assert quantities(of) == {"AAPL": 100}
    assert look(clerk, of, "2026-11-21 08:59") == []
    assert len(look(clerk, of, "2026-11-21 09:00")) == 2
    assert {one.row["date"] for one in of.activities()} == {"2026-11-20"}


@pytest.mark.parametrize(
    ("held", "cash", "is_sold"),
    [
        ({CALL: 1}, 17_999, True),
        ({CALL: 1}, 18_000, False),
        ({CALL: -1}, 0, True),
        ({CALL: -1, "AAPL": 100}, 0, False),
        ({"AAPL261120C00191000": 1}, 0, False),  # nobody quotes it
        ({"AAPL261120C00210000": 1}, 0, False),  # far out of the money
    ],
)
def test_what_lacks_money_or_shares_is_closed_at_1515(held: dict[str, float], cash: float, *, is_sold: bool):
    clerk, of = ExpiryClerk(ExpiryRules(sell_out=True)), account(cash, **held)
    prices = {**PRICES, "AAPL261120C00210000": 0.05}

    assert look(clerk, of, "2026-11-20 15:14:59", prices) == []
    told = look(clerk, of, "2026-11-20 15:15", prices)

    assert [kind for kind, *_ in told] == (["FILL"] if is_sold else [])
    assert (next(iter(held)) in quantities(of)) is not is_sold


def test_without_a_rule_nothing_happens():
    clerk, of = ExpiryClerk(ExpiryRules()), account(**{CALL: 1})

    assert look(clerk, of, "2026-11-23 09:00") == []
    assert quantities(of) == {CALL: 1}


def test_what_the_broker_closes_the_stream_tells_once_as_a_market_order_that_was_filled():
    clerk, of = ExpiryClerk(ExpiryRules(sell_out=True)), account(17_999, **{CALL: 1})
    at = nanoseconds(new_york("2026-11-20 15:15"))

    (update,) = clerk.look(of, at, PRICES.get)
    data = update["data"]

    assert update["stream"] == "trade_updates"
    assert (data["event"], data["qty"], data["position_qty"]) == ("fill", "1", "0")
    assert (data["order"]["type"], data["order"]["side"], data["order"]["status"]) == (
        "market",
        "sell",
        "filled",
    )
    assert (data["order"]["symbol"], data["order"]["limit_price"]) == (CALL, None)
    assert clerk.look(of, at, PRICES.get) == []
