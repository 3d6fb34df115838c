"""An expiry Friday of the simulator, from before the broker's hour to the morning after, as `today` tells it.

Each moment is a server of its own that begins there; the account goes on from the one before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.cli import app
from options_helper.model.portfolio import PortfolioEntry
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.conditions import Conditions
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, new_york, portfolio, position

FRIDAY = date(2026, 11, 20)
# Far in the money, whatever the seed makes of AAPL, which costs some hundred dollars: a call without its money, a
# short put of which nobody knows, and a short call far out of the money.
CALL = position("AAPL", 100, "call", contracts=1, expiry=FRIDAY, cost_basis=150.0, identity="call")
PUT = position("AAPL", 900, "put", contracts=-1, expiry=FRIDAY, cost_basis=600.0, identity="put")
LOTTERY = position("AAPL", 950, "call", contracts=-1, expiry=FRIDAY, cost_basis=0.1, identity="lottery")
SHARES = holding("AAPL", 10.0)

Told = Callable[..., dict[str, Any]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Told]:
    """What `today` says of these entries at an instant, of a market with these conditions."""
    servers: list[SimulatorServer] = []

    def tell(
        at: str, *book: PortfolioEntry, cash: float = 5_000, conditions: Conditions | None = None
    ) -> dict[str, Any]:
        held = portfolio(*book, cash=cash)
        market = SeededMarket(held, start=new_york(at), conditions=conditions or Conditions(expiries=True))
        server = SimulatorServer(market, key=DEMO_KEY, secret=DEMO_SECRET)
        server.start()
        servers.append(server)
        for name, value in {
            "APCA_API_KEY_ID": DEMO_KEY,
            "APCA_API_SECRET_KEY": DEMO_SECRET,
            "APCA_API_BASE_URL": server.rest_url,
            "OH_ALPACA_DATA_URL": server.rest_url,
            "OH_ALPACA_STREAM_URL": server.stream_url,
            "OH_RISK_RATES": "2026-11-20 0.04",
            "OH_RISK_EVENTS": str(tmp_path / "events.toml"),
        }.items():
            monkeypatch.setenv(name, value)
        file = tmp_path / "portfolio.json"
        file.write_text(portfolio_text(held), encoding="utf-8")
        result = CliRunner().invoke(app, ["today", str(file), "--json"], catch_exceptions=False)
        found: dict[str, Any] = json.loads(result.stdout)
        assert found["problems"] == []
        return found

    yield tell
    for server in servers:
        server.stop()


def entry(found: dict[str, Any], kind: str) -> dict[str, Any]:
    (one,) = [each for each in found["attention"] if each["kind"] == kind]
    return dict(one)


def kinds(found: dict[str, Any]) -> set[str]:
    return {each["kind"] for each in found["attention"]}


def clock(instant: str) -> str:
    return instant[11:16]


def states(found: dict[str, Any]) -> dict[str, str]:
    return {one["symbol"]: one["state"] for one in found["morning_after"]}


def test_at_1430_the_call_lacks_its_money_and_the_stricter_instant_counts_down(told: Told):
    found = told("2026-11-20 14:30", CALL, SHARES)

    long = entry(found, "long_without_money")
    assert (long["needs"], long["has"], long["shares"], clock(long["by"])) == (10_000, 5_000, 100, "15:00")
    assert [one["state"] for one in found["cockpit"]] == ["itm"]


def test_at_1516_the_broker_has_sold_it_and_the_file_does_not_know(told: Told):
    """The account says why: a trade of today."""
    found = told("2026-11-20 15:16", CALL, SHARES, conditions=Conditions(sell_out=True))

    behind = entry(found, "file_account")
    assert behind["symbols"] == ["AAPL261120C00100000"]
    assert "sold 1 AAPL 20 Nov 26 100 C" in behind["what"]


def test_at_1516_with_the_money_it_is_there(told: Told):
    found = told("2026-11-20 15:16", CALL, SHARES, cash=50_000, conditions=Conditions(sell_out=True))

    assert not {"file_account", "long_without_money"} & kinds(found)
    assert clock(entry(found, "expiring")["by"]) == "16:00"


@pytest.mark.parametrize(
    ("at", "late", "expected"),
    [
        ("2026-11-20 17:00", False, "awaited"),
        ("2026-11-20 18:30", False, "explained"),
        ("2026-11-20 18:30", True, "awaited"),
        ("2026-11-21 09:30", True, "explained"),
        ("2026-11-23 09:00", True, "explained"),
    ],
)
def test_what_each_contract_became_is_told_when_the_account_tells_it(
    told: Told, at: str, expected: str, *, late: bool
):
    """A call that is exercised, a put that is assigned, and a call that expires worthless."""
    found = told(
        at,
        CALL,
        PUT,
        LOTTERY,
        cash=1_000_000,
        conditions=Conditions(expiries=True, late_expiries=late),
    )

    assert states(found) == dict.fromkeys(
        ("AAPL261120C00100000", "AAPL261120C00950000", "AAPL261120P00900000"), expected
    )
    if expected == "explained":
        whys = {one["symbol"]: one["why"] for one in found["morning_after"]}
        assert whys["AAPL261120C00100000"] == "Exercised on 20 Nov 26."
        assert whys["AAPL261120P00900000"] == "Assigned on 20 Nov 26."
        assert whys["AAPL261120C00950000"] == "Expired on 20 Nov 26."


def test_what_is_never_told_has_no_explanation_after_the_next_session(told: Told):
    found = told("2026-11-23 16:00", CALL, cash=1_000_000, conditions=Conditions())

    assert states(found) == {"AAPL261120C00100000": "unexplained"}
