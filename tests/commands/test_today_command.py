"""The command `today`, as a person at a terminal or cron meets it; the server is a simulated one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.cli import app
from options_helper.errors import ConfigError
from options_helper.model.portfolio import PortfolioEntry
from options_helper.model.streams import StreamName
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, nanoseconds, new_york, portfolio, position

FRIDAY = date(2026, 11, 20)
CALL, PUT = "AAPL261120C00180000", "AAPL261120P00200000"
LONG = position("AAPL", 180, "call", contracts=2, expiry=FRIDAY, identity="call")
SHORT_PUT = position("AAPL", 200, "put", contracts=-1, expiry=FRIDAY, identity="put")


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["today", *map(str, arguments)], catch_exceptions=False)


def told(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command(*arguments, "--json").stdout)
    return found


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[..., Path]:
    """Write a portfolio file of these entries."""

    def write(*entries: PortfolioEntry) -> Path:
        path = tmp_path / "portfolio.json"
        path.write_text(portfolio_text(portfolio(*entries)), encoding="utf-8")
        return path

    return write


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], SimulatorServer]]:
    """Start a server at an instant of New York's and lead the command to it; AAPL is quoted at 190."""
    servers: list[SimulatorServer] = []

    def start(at: str) -> SimulatorServer:
        server = SimulatorServer(
            SilentMarket(start_ns=nanoseconds(new_york(at))), key=DEMO_KEY, secret=DEMO_SECRET
        )
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
        quotes = [("AAPL", 189.99, 190.01), (CALL, 10.05, 10.1), (PUT, 9.9, 10.0)]
        for symbol, bid, ask in quotes:
            stream = StreamName.STOCKS if symbol == "AAPL" else StreamName.OPTIONS
            server.push(stream, [_quote(symbol, bid, ask, new_york(at))])
        return server

    yield start
    for server in servers:
        server.stop()


def _quote(symbol: str, bid: float, ask: float, at: datetime) -> dict[str, Any]:
    return {"T": "q", "S": symbol, "bp": bid, "bs": 5, "ap": ask, "as": 5, "t": at.astimezone(UTC)}


def hold(server: SimulatorServer, *entries: PortfolioEntry, cash: float = 100_000) -> None:
    for symbol, quantity in portfolio(*entries).quantities.items():
        server.account.set_position(symbol, quantity, 1)
    server.account.set_cash(cash)


def kinds(found: dict[str, Any]) -> list[str]:
    return [one["kind"] for one in found["attention"]]


def test_an_expiry_friday_has_the_keys_that_stay(
    serve: Callable[[str], SimulatorServer], file_of: Callable[..., Path]
):
    """Through the simulator's wire and the real clients: 36,000 dollars are needed, and 18,250 are there."""
    hold(serve("2026-11-20 14:30"), LONG, SHORT_PUT, cash=38_250)

    result = command(file_of(LONG, SHORT_PUT), "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert list(found)[:4] == ["as_of", "attention", "cockpit", "morning_after"]
    long = next(one for one in found["attention"] if one["kind"] == "long_without_money")
    # Two calls are exercised and a put is assigned: 200 at 180 and 100 at 200.
    assert (long["needs"], long["has"], long["set_aside"], long["shares"]) == (56_000, 18_250, 20_000, 300)
    assert long["by"] == "2026-11-20T15:00:00-05:00"
    assert {one["at"] for one in long["deadlines"] if one["who"] == "Alpaca"} >= {
        "2026-11-20T15:00:00-05:00",
        "2026-11-20T15:15:00-05:00",
    }
    assert all({"who", "at", "source"} <= one.keys() for one in long["deadlines"])
    assert {"expiring", "in_the_money_short", "long_without_money"} <= set(kinds(found))
    assert [one["state"] for one in found["cockpit"]] == ["itm", "itm"]
    assert found["problems"] == []


def test_what_the_account_set_aside_for_a_put_pays_for_its_assignment(
    serve: Callable[[str], SimulatorServer], file_of: Callable[..., Path]
):
    """The simulated account sets it aside as Alpaca's does, and tells what is left."""
    hold(serve("2026-11-20 14:30"), SHORT_PUT, cash=20_300)

    result = command(file_of(SHORT_PUT))

    there = "options buying power $300 and $20,000 set aside for it, as computed here: enough"
    assert there in " ".join(result.stdout.split())
    assert "short by" not in result.stdout


def test_the_asset_record_decides_how_long_options_are_traded(
    serve: Callable[[str], SimulatorServer], file_of: Callable[..., Path]
):
    """The simulator's asset of AAPL lacks the attribute, and says so."""
    hold(serve("2026-11-20 14:30"), LONG)

    entry = next(one for one in told(file_of(LONG))["attention"] if one["kind"] == "expiring")

    exchange = [one for one in entry["deadlines"] if one["who"] == "exchange"]
    assert [(one["at"], one["source"]) for one in exchange if one["counts_down"]] == [
        ("2026-11-20T16:00:00-05:00", "Alpaca's asset record lacks options_late_close")
    ]
    assert [one["read_at"][:16] for one in exchange if one["counts_down"]] == ["2026-11-20T14:30"]


def test_how_old_an_asked_source_is_is_said(
    serve: Callable[[str], SimulatorServer], file_of: Callable[..., Path]
):
    """What was asked has an age; a page has the date of its copy."""
    hold(serve("2026-11-20 14:30"), LONG)

    lines = command(file_of(LONG)).stdout.splitlines()

    (asked,) = (line for line in lines if "lacks options_late_close" in line)
    assert re.search(r", asked \d+ s ago$", asked)
    assert not any("asked" in line for line in lines if "Alpaca support" in line)


def test_a_fine_book_needs_no_hand(serve: Callable[[str], SimulatorServer], file_of: Callable[..., Path]):
    """On a Saturday, as cron meets it."""
    hold(serve("2026-11-21 09:00"), holding())

    result = command(file_of(holding()))

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].startswith("Sat 21 Nov 2026 09:0")
    assert "Nothing needs your hand." in result.stdout


@pytest.mark.parametrize(
    ("activities", "state"),
    [
        ([("OPASN", PUT, 1, None), ("OPTRD", "AAPL", 100, 200)], "explained"),
        ([("OPASN", PUT, 1, None)], "awaited"),
        ([], "awaited"),
    ],
)
def test_the_morning_after_is_matched_with_the_activities(
    serve: Callable[[str], SimulatorServer],
    file_of: Callable[..., Path],
    activities: list[tuple[str, str, float, float | None]],
    state: str,
):
    """The file still has the put, the account has the shares."""
    server = serve("2026-11-23 09:00")
    hold(server, holding())
    for kind, symbol, quantity, price in activities:
        server.account.add_activity(kind, symbol, quantity, price, at=new_york("2026-11-20 18:00"))

    found = told(file_of(SHORT_PUT, holding()))

    assert [(one["symbol"], one["state"]) for one in found["morning_after"]] == [(PUT, state)]


@pytest.mark.parametrize(
    ("at", "said", "state"),
    [
        ("2026-11-20 15:50", "may end on either side", []),
        ("2026-11-20 16:30", "the match in the morning tells", ["awaited"]),
        ("2026-11-22 12:00", "the match in the morning tells", ["awaited"]),
    ],
)
def test_a_pin_stays_until_the_morning(
    serve: Callable[[str], SimulatorServer],
    file_of: Callable[..., Path],
    at: str,
    said: str,
    state: list[str],
):
    """At the money, before the close and after it; the account still lists it."""
    pinned = position("AAPL", 190, "put", contracts=-1, expiry=FRIDAY, identity="pinned")
    hold(serve(at), pinned)

    found = told(file_of(pinned))

    (pin,) = [one for one in found["attention"] if one["kind"] == "pin"]
    assert said in pin["what"]
    assert "below: +100 AAPL for $19,000" in pin["what"]
    assert [one["state"] for one in found["morning_after"]] == state


def test_the_accounts_book_needs_no_file(serve: Callable[[str], SimulatorServer]):
    hold(serve("2026-11-20 14:30"), LONG, cash=0)

    found = told("--account")

    assert "long_without_money" in kinds(found)
    assert "file_account" not in kinds(found)


def test_a_report_of_the_users_own_list_is_told(
    serve: Callable[[str], SimulatorServer], file_of: Callable[..., Path], tmp_path: Path
):
    (tmp_path / "events.toml").write_text(
        '[[earnings]]\nsymbol = "AAPL"\nday = 2026-11-20\nsaid_by = "you"\nentered = 2026-11-01\n',
        encoding="utf-8",
    )
    hold(serve("2026-11-20 14:30"), LONG)

    assert "earnings" in kinds(told(file_of(LONG)))


def test_for_a_person_the_instants_stand_with_their_source(
    serve: Callable[[str], SimulatorServer], file_of: Callable[..., Path]
):
    hold(serve("2026-11-20 14:30"), LONG, cash=0)

    lines = command(file_of(LONG)).stdout.splitlines()

    assert "Not financial advice." in lines[0]
    assert lines[1].startswith("Options buying power $0.00")
    assert any(line.startswith("!! AAPL, by 15:00 (") for line in lines)
    assert sum("15:15 Alpaca: typically closes" in line for line in lines) == 1
    assert lines.index("By when, and who says so:") < lines.index("Ends today:")
    assert "Ends today:" in lines


def test_without_prices_it_says_what_could_not_be_judged(
    serve: Callable[[str], SimulatorServer], file_of: Callable[..., Path]
):
    other = position("MSFT", 400, contracts=-1, expiry=FRIDAY)
    hold(serve("2026-11-20 14:30"), other)

    result = command(file_of(other))

    assert result.exit_code == 1
    assert "Could not be judged: MSFT 20 Nov 26 400 C: whether it is in the money" in result.stdout


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v2/positions", "what the account holds and what it has to buy with"),
        ("/v2/account/activities", "what became of contracts that ended"),
        ("/v1/corporate-actions", "dividends"),
    ],
)
def test_an_answer_that_fails_costs_itself_and_is_a_problem(
    serve: Callable[[str], SimulatorServer], file_of: Callable[..., Path], path: str, said: str
):
    """Nothing is made up for it: an unknown buying power is null."""
    server = serve("2026-11-20 14:30")
    hold(server, LONG)
    server.set_faults(Faults(rest_status=422, rest_path=path))

    result = command(file_of(LONG), "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert any(said in one for one in found["problems"])
    long = next(one for one in found["attention"] if one["kind"] == "expiring")
    assert (long["has"] is None) == (path == "/v2/positions")
    assert long["needs"] == 36_000


def test_a_file_and_the_account_at_once_are_refused(file_of: Callable[..., Path]):
    with pytest.raises(ConfigError, match="Choose one"):
        command(file_of(LONG), "--account")


def test_what_the_account_alone_holds_is_priced_and_laid_beside_its_money(
    serve: Callable[[str], SimulatorServer], file_of: Callable[..., Path]
):
    """The file has some shares of another name; the account's calls end today, and its money is not enough."""
    other = holding("MSFT", 10)
    hold(serve("2026-11-20 14:30"), LONG, other, cash=18_250)

    found = told(file_of(other))

    long = next(one for one in found["attention"] if one["kind"] == "long_without_money")
    assert (long["needs"], long["has"], long["shares"]) == (36_000, 18_250, 200)
    (line,) = found["cockpit"]
    assert (line["state"], line["account_alone"], line["spot"]) == ("itm", True, 190.0)
