"""`portfolio check`, `import` and `reconcile`, as a person at a terminal meets them; the server is a simulated one."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.analysis.reconcile.reconciliation import Cause, ReconciledRow
from options_helper.cli import app, main
from options_helper.commands.portfolio_display import RequestStatus, Screen
from options_helper.commands.portfolio_run import check_file, compare_with_account, import_account
from options_helper.data.rest.client import AlpacaRest
from options_helper.doctor.findings import Check, Verdict
from options_helper.doctor.run import Checkup, Environment
from options_helper.errors import ConfigError, RestError
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import new_york_date
from options_helper.model.portfolio import PortfolioEntry, load_portfolio
from options_helper.settings import DEMO_KEY, DEMO_SECRET, NO_KEYS
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, leg, lots_of, nanoseconds, portfolio, position, share_leg, structure

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
EXPIRY = date(2049, 12, 17)
CALL, HIGHER_CALL = "AAPL491217C00180000", "AAPL491217C00185000"
A_CALL = position(expiry=EXPIRY, contracts=2, identity="call")
A_VERTICAL = structure(leg("long", 180, expiry=EXPIRY), leg("short", 185, expiry=EXPIRY), identity="vertical")


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["portfolio", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[..., Path]:
    """Write a portfolio file of these entries."""

    def write(*entries: PortfolioEntry, cash: float | None = None) -> Path:
        path = tmp_path / "portfolio.json"
        path.write_text(portfolio_text(portfolio(*entries, cash=cash)), encoding="utf-8")
        return path

    return write


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SimulatorServer]]:
    """Start a server, where nothing is said of its market at `NOW`, and lead the commands to it with its keys."""
    servers: list[SimulatorServer] = []

    def start(market: Any = None) -> SimulatorServer:
        server = SimulatorServer(
            market or SilentMarket(start_ns=nanoseconds(NOW)), key=DEMO_KEY, secret=DEMO_SECRET
        )
        server.start()
        servers.append(server)
        for name, value in {
            "APCA_API_KEY_ID": DEMO_KEY,
            "APCA_API_SECRET_KEY": DEMO_SECRET,
            "APCA_API_BASE_URL": server.rest_url,
            "OH_ALPACA_DATA_URL": server.rest_url,
            "OH_ALPACA_STREAM_URL": server.stream_url,
        }.items():
            monkeypatch.setenv(name, value)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(serve: Callable[..., SimulatorServer]) -> SimulatorServer:
    """A server with an empty account."""
    return serve()


def test_check_says_what_the_file_holds_in_words(file_of: Callable[..., Path]):
    file = file_of(
        position("BRK-B", 510, "put", contracts=-2, cost_basis=4.6, expiry=EXPIRY, identity="put"),
        holding("MSFT", 12.5, cost_basis=487.215),
        A_VERTICAL,
        structure(
            leg("long", 180, expiry=EXPIRY),
            leg("short", 185, expiry=EXPIRY, contracts=3),
            identity="ratio",
            net_debit=-1250,
        ),
        structure(
            share_leg(),
            leg("short", 200, expiry=EXPIRY),
            identity="covered",
            net_debit=24_300,
            realized=1_240.5,
            fees=2.6,
        ),
        lots_of((1, 8.4, None), (2, 7.1, None), fees=1.3).changed(expiry=EXPIRY),
        position(
            "MRUT",
            260,
            expiry=EXPIRY,
            identity="index",
            settlement="am",
            delivery="cash",
            exercise_style="european",
        ),
    )

    result = command("check", file)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "put: -2 × BRK-B 17 Dec 49 510 P, at 4.60",
        "MSFT-shares: 12.5 MSFT shares, at 487.215",
        "vertical: 1 × AAPL 17 Dec 49 180C/185C, vertical, paid 100.00",
        "ratio: 1 × AAPL 17 Dec 49 180C/185C (+1/-3), ratio spread, received 1,250.00",
        (
            "covered: 1 × AAPL shares/17 Dec 49 200C (+100/-1), covered call, paid 24,300.00, "
            "realized +1,240.50, fees 2.60"
        ),
        "in-lots: 3 × AAPL 17 Dec 49 180 C, at 7.533 in 2 lots, fees 1.30",
        "index: 1 × MRUT 17 Dec 49 260 C (European, settled at the open in cash), at 1.00",
        "portfolio.json: 7 entries; nothing to look at.",
    ]
    assert result.stderr == f"The symbols were not compared with Alpaca's. {NO_KEYS}\n"


def test_check_says_of_a_cheap_coin_what_it_cost(file_of: Callable[..., Path]):
    """50 million of them stood there "at 0"."""
    entries = (
        holding("SHIB/USD", 50_000_000, cost_basis=0.0000125),
        holding("DOGE/USD", 10_000, cost_basis=0.1534),
        holding("BTC/USD", 0.00004, cost_basis=88_000.0),
    )

    said = command("check", file_of(*entries)).stdout

    assert "50,000,000 SHIB/USD, at 0.0000125\n" in said
    assert "10,000 DOGE/USD, at 0.1534\n" in said
    assert "0.00004 BTC/USD, at 88,000.00\n" in said


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            position(expiry=date(2020, 1, 17), identity="old"),
            "'old': AAPL 17 Jan 20 180 C expired on 17 Jan 20. Remove it once the account has dropped it.",
        ),
        (
            structure(leg("long", 180, expiry=date(2020, 1, 17)), leg("short", 180, expiry=EXPIRY)),
            "'structure': AAPL 17 Jan 20 180 C expired on 17 Jan 20. Remove it once the account has dropped it.",
        ),
        (
            position(expiry=EXPIRY, cost_basis=None, identity="gift"),
            "'gift' names no cost, so there is no P&L. Add cost_basis, the opening price per share.",
        ),
        (
            position("AAPL1", expiry=EXPIRY, identity="adjusted"),
            (
                "'adjusted' is an adjusted contract, so its dollar amounts are not known. "
                "Add multiplier, the dollars that one point is worth."
            ),
        ),
    ],
)
def test_check_names_what_is_to_be_looked_at(
    entry: PortfolioEntry, sentence: str, file_of: Callable[..., Path]
):
    result = command("check", file_of(A_CALL, entry))

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-2:] == [
        f"look: {sentence}",
        "portfolio.json: 2 entries; 1 to look at.",
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (position(expiry=EXPIRY, multiplier=10, identity="ten"), "counts 10 dollars per point by the file"),
        (position(expiry=EXPIRY, exercise_style="european", identity="style"), "is European by the file"),
    ],
)
def test_check_doubts_terms_that_no_contract_of_its_kind_has(
    entry: PortfolioEntry, said: str, file_of: Callable[..., Path]
):
    result = command("check", file_of(entry))

    assert result.exit_code == 1
    assert said in result.stdout


def test_check_remarks_a_cost_that_may_be_right_and_says_nothing_is_wrong(file_of: Callable[..., Path]):
    result = command("check", file_of(position("SPY", 681, expiry=EXPIRY, cost_basis=235.0, identity="dear")))

    assert result.exit_code == 0
    assert "'dear': SPY" in result.stderr
    assert "is 2.35 meant?" in result.stderr
    assert result.stdout.endswith("portfolio.json: 1 entry; 1 remark.\n")


def test_check_names_a_cost_per_contract_where_the_contract_is_out_of_the_money(
    file_of: Callable[..., Path],
    serve: Callable[..., SimulatorServer],
    capsys: pytest.CaptureFixture[str],
):
    """By the price that is asked for; in the money it may be right, and stays a remark."""

    class Listed(AlpacaRest):
        def option_contract(self, symbol: str) -> dict[str, Any] | None:
            return {"symbol": symbol, "status": "active", "tradable": True, "underlying_symbol": "MSFT"}

        def asset(self, symbol: str) -> dict[str, Any] | None:
            return {"symbol": symbol, "class": "us_equity", "status": "active"}

    serve(SeededMarket(portfolio(holding("MSFT", 10, cost_basis=480.0))))
    slip = position("MSFT", 900, expiry=EXPIRY, cost_basis=235.0, identity="slip")
    deep = position("MSFT", 200, expiry=EXPIRY, cost_basis=60.0, identity="deep")

    codes = [check_file(file_of(one), rest_cls=Listed, now=lambda: NOW) for one in (slip, deep)]

    said = capsys.readouterr()
    assert codes == [1, 0]
    assert "look: 'slip': MSFT" in said.out
    assert "It is out of the money: MSFT stands at" in said.out
    assert said.out.splitlines()[-1].endswith("1 entry; 1 remark.")


def test_check_asks_alpaca_for_every_symbol_that_has_not_expired(
    file_of: Callable[..., Path], serve: Callable[..., SimulatorServer]
):
    server = serve(SeededMarket(portfolio(A_CALL)))
    file = file_of(
        A_CALL,
        position(strike=181, expiry=EXPIRY, identity="mistyped"),
        position(expiry=date(2020, 1, 17), identity="old"),
        position("SPXW", 6800, expiry=EXPIRY, identity="index"),
        holding("NOSUCH"),
    )

    result = command("check", file)

    assert result.exit_code == 1
    unknown = [line for line in result.stdout.splitlines() if "does not know" in line]
    assert unknown == [
        f"look: Alpaca does not know {what}. Check symbol, expiry and strike."
        for what in (
            "AAPL 17 Dec 49 181 C (AAPL491217C00181000)",
            "SPXW 17 Dec 49 6800 C (SPXW491217C06800000)",
            "NOSUCH",
        )
    ]
    assert server.requests == {
        "/v2/clock": 2,  # for its time, and for its hours
        "/v2/calendar": 1,
        f"/v2/options/contracts/{CALL}": 1,
        "/v2/options/contracts/AAPL491217C00181000": 1,
        "/v2/options/contracts/SPXW491217C06800000": 1,
        "/v2/assets/AAPL": 1,
        "/v2/assets/NOSUCH": 1,
    }


@pytest.mark.parametrize("today", [datetime(2026, 11, 20, 15, tzinfo=UTC), datetime(2031, 2, 3, tzinfo=UTC)])
def test_a_demo_s_file_is_judged_by_the_day_of_its_market(
    today: datetime,
    repository: Path,
    tmp_path: Path,
    serve: Callable[..., SimulatorServer],
    capsys: pytest.CaptureFixture[str],
):
    """Whatever day it is here: `check`, `reconcile` and the doctor agree."""
    content = json.loads((repository / "portfolio.json").read_text(encoding="utf-8"))
    del content["as_of"]  # a picture of a day is judged by that day, whatever the market's
    sample = tmp_path / "portfolio.json"
    sample.write_text(json.dumps(content), encoding="utf-8")
    market = SeededMarket(load_portfolio(sample))
    serve(market)
    played = new_york_date(utc_datetime(market.start_ns))
    assert played == date(2026, 11, 20)

    assert check_file(sample, now=lambda: today) == 0
    assert compare_with_account(sample, None, now=lambda: today) == 0
    doctor = Checkup(portfolio=sample, environment=Environment(now=lambda: today))
    (portfolio_line,) = (line for line in doctor.lines() if line.check is Check.PORTFOLIO)

    assert portfolio_line.finding.verdict is Verdict.OK
    result = capsys.readouterr()
    assert "expired" not in result.out
    said = "The market that is asked plays 20 Nov 26; what has expired is judged by that day.\n"
    assert result.err == ("" if new_york_date(today) == played else 2 * said)


def test_a_demo_s_day_is_called_its_own_beside_a_picture_of_another_day(
    file_of: Callable[..., Path], server: SimulatorServer, capsys: pytest.CaptureFixture[str]
):
    file = file_of(position(expiry=date(2026, 11, 19), identity="last"))
    for as_of, said in (
        ("2026-11-18", "Expired by today in the simulated market, 20 Nov 26: 1 of 1 contract."),
        ("2026-11-27", "as_of 2026-11-27 lies ahead: it is 2026-11-20 in the simulated market."),
    ):
        content = json.loads(file.read_text(encoding="utf-8")) | {"as_of": as_of}
        file.write_text(json.dumps(content), encoding="utf-8")

        check_file(file, now=lambda: datetime(2026, 11, 27, 15, tzinfo=UTC))

        assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("symbol", "end"),
    [
        ("AAPL", datetime(2026, 11, 20, 21, 0, tzinfo=UTC)),
        ("SPY", datetime(2026, 11, 20, 21, 15, tzinfo=UTC)),
        # The day after Thanksgiving ends at 13:00 in New York.
        ("AAPL", datetime(2026, 11, 27, 18, 0, tzinfo=UTC)),
        # Settled by the opening prices of its third Friday.
        ("SPX", datetime(2026, 11, 20, 14, 30, tzinfo=UTC)),
    ],
)
def test_a_contract_has_expired_from_the_moment_at_which_its_trading_ends(
    symbol: str,
    end: datetime,
    file_of: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
):
    file = file_of(position(symbol, expiry=end.date(), identity="last"))

    assert check_file(file, now=lambda: end - timedelta(minutes=1)) == 0
    assert check_file(file, now=lambda: end) == 1
    assert "expired on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("shares", "code", "purpose"),
    [(10, 0, "To name in the file what it leaves out:"), (11, 1, "To make the file agree:")],
)
def test_an_edit_says_what_it_is_for(
    file_of: Callable[..., Path],
    serve: Callable[..., SimulatorServer],
    capsys: pytest.CaptureFixture[str],
    *,
    shares: float,
    code: int,
    purpose: str,
):
    """Seen: "to make the file agree", above a verdict that it agrees."""
    serve(SeededMarket(portfolio(holding("MSFT", 10, cost_basis=480.0))))
    file = file_of(holding("MSFT", shares, cost_basis=None))

    assert compare_with_account(file, None) == code
    said = capsys.readouterr().out
    assert purpose in said
    assert said.count("To ") == 1


def test_a_day_on_which_the_market_says_that_it_stays_closed_ended_its_contracts_the_day_before(
    file_of: Callable[..., Path], server: SimulatorServer, capsys: pytest.CaptureFixture[str]
):
    """No calendar can know of a day of mourning; Alpaca's is asked, and believed."""
    friday = NOW.date()
    file = file_of(position(expiry=friday, identity="last"))
    assert check_file(file) == 1  # the empty market does not know the contract
    assert "expired on" not in capsys.readouterr().out

    server.set_faults(Faults(closed_today=True))

    assert check_file(file) == 1
    checked = capsys.readouterr()
    assert "'last': AAPL 20 Nov 26 180 C expired on 20 Nov 26" in checked.out
    assert "The market's own calendar differs, and is believed: 20 Nov 26 closed." in checked.err
    assert compare_with_account(file, None) == 1
    assert "quantity 1 → 0, cost 100.00 → –; expired\n" in capsys.readouterr().out


def test_without_the_market_s_hours_the_program_s_calendar_judges_and_it_is_said(
    file_of: Callable[..., Path], server: SimulatorServer, capsys: pytest.CaptureFixture[str]
):
    class NoCalendar(AlpacaRest):
        def calendar(self, first: date, last: date) -> list[dict[str, Any]]:
            return []

    file = file_of(position(expiry=NOW.date(), identity="last"))

    assert check_file(file, rest_cls=NoCalendar) == 1
    said = capsys.readouterr()
    assert "The market's hours could not be asked for, so the program's calendar stands: " in said.err
    assert "expired on" not in said.out
    assert "Alpaca does not know AAPL 20 Nov 26 180 C" in said.out


def test_a_demo_that_does_not_answer_is_judged_by_where_its_session_begins(
    file_of: Callable[..., Path], server: SimulatorServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OH_ALPACA_MARKET_TIME", "2026-11-20T15:00:00+00:00")
    server.set_faults(Faults(rest_status=403))
    file = file_of(position(expiry=date(2026, 11, 20), identity="last"))

    assert check_file(file, now=lambda: datetime(2031, 2, 3, tzinfo=UTC)) == 2


@pytest.mark.parametrize(
    ("entries", "code", "found"),
    [
        ([], 2, "nothing to look at in the file itself"),
        ([position(cost_basis=None, expiry=EXPIRY)], 1, "1 to look at"),
    ],
)
def test_check_says_when_the_symbols_could_not_be_compared(
    entries: list[PortfolioEntry],
    code: int,
    found: str,
    file_of: Callable[..., Path],
    server: SimulatorServer,
):
    server.set_faults(Faults(rest_status=401))

    result = command("check", file_of(A_CALL, *entries))

    assert result.exit_code == code
    assert "The symbols were not compared with Alpaca's: " in result.stderr
    assert result.stdout.endswith(f"; {found}, but whether Alpaca knows all symbols cannot be said.\n")


def test_check_says_what_alpaca_lists_no_longer(
    file_of: Callable[..., Path], server: SimulatorServer, capsys: pytest.CaptureFixture[str]
):
    class DelistedContracts(AlpacaRest):
        def option_contract(self, symbol: str) -> dict[str, Any] | None:
            return {"symbol": symbol, "status": "inactive"}

    assert check_file(file_of(A_CALL), rest_cls=DelistedContracts) == 1
    listed = f"look: Alpaca lists AAPL 17 Dec 49 180 C ({CALL}) as inactive."
    assert listed in capsys.readouterr().out.splitlines()


def test_check_compares_the_file_with_alpaca_s_records(
    file_of: Callable[..., Path], server: SimulatorServer, capsys: pytest.CaptureFixture[str]
):
    """A wrong multiplier, a cost per contract, a coin called a share and a credit without its minus."""

    class Records(AlpacaRest):
        def option_contract(self, symbol: str) -> dict[str, Any] | None:
            record = {"symbol": symbol, "status": "active", "tradable": True, "underlying_symbol": "AAPL"}
            return {**record, "multiplier": "100", "size": "100", "close_price": "2.35"}

        def asset(self, symbol: str) -> dict[str, Any] | None:
            coin = symbol == "BTCUSD"
            return {"symbol": symbol, "class": "crypto" if coin else "us_equity", "status": "active"}

    file = file_of(
        position(expiry=EXPIRY, multiplier=1000, cost_basis=2.0, identity="multiplier"),
        position(strike=190, expiry=EXPIRY, cost_basis=235.0, identity="cost"),
        structure(
            leg("long", 170, "put", expiry=EXPIRY),
            leg("short", 175, "put", expiry=EXPIRY),
            identity="credit",
            net_debit=120,
        ),
        holding("BTCUSD", 1),
    )

    assert check_file(file, rest_cls=Records, now=lambda: NOW) == 1
    looks = [line for line in capsys.readouterr().out.splitlines() if line.startswith("look: ")]
    assert [line.partition(": ")[2][:46] for line in looks] == [
        "'cost': AAPL 17 Dec 49 190 C cost 235.00 a sha",
        "'credit' was opened for 120.00, and what it ho",
        "'multiplier': AAPL 17 Dec 49 180 C counts 1000",
        "'cost': a cost_basis of 235.00 is 100 times th",
        "Alpaca lists BTCUSD as crypto, and the file as",
    ]


def test_check_of_the_sample_says_first_that_it_is_a_picture(repository: Path):
    result = command("check", repository / "portfolio.json")

    first, *_, last = result.stdout.splitlines()
    assert result.exit_code == 0
    assert first.startswith("portfolio.json is a picture of 20 Nov 26")
    assert last == "portfolio.json: 10 entries; nothing to look at."


def test_import_prints_a_file_that_reads_back_as_the_account(server: SimulatorServer, tmp_path: Path):
    server.account.set_position(CALL, -2, "4.25")
    server.account.set_position("BRK.B", "0.5", "480")
    server.account.set_cash("18250.07")

    result = command("import")
    (tmp_path / "portfolio.json").write_text(result.stdout, encoding="utf-8")

    assert (result.exit_code, result.stderr) == (0, "")
    made = load_portfolio(tmp_path / "portfolio.json")
    assert made.cash == 18250.07
    assert [one.instrument.live_symbol for one in made.shares] == ["BRK.B"]
    assert [(one.contracts, one.cost_basis) for one in made.singles] == [(-2, 4.25)]


def test_import_proposes_structures_and_says_why(server: SimulatorServer, tmp_path: Path):
    server.account.set_position(CALL, 1, "4.25")
    server.account.set_position(HIGHER_CALL, -1, "1.25")

    result = command("import", "--group", "--out", tmp_path / "made.json")

    assert (result.exit_code, result.stdout) == (0, "made.json: 1 entry written.\n")
    assert result.stderr == (
        "1 × AAPL 17 Dec 49 180C/185C is a vertical: one bought and one sold, of the same type and expiry.\n"
    )
    (made,) = load_portfolio(tmp_path / "made.json").structures
    assert (made.id, made.opening_cost) == ("aapl-17dec49-vertical", Decimal(300))


def test_import_takes_what_a_contract_is_written_on_from_its_record(server: SimulatorServer, tmp_path: Path):
    """A root has no dot: LGFB is no share, and its contracts had no underlying's price."""
    server.account.set_position("LGFB491217C00010000", 1, "1.25")
    server.account.set_position("BRKB491217C00510000", 1, "1.25")
    server.account.set_position("SPXW491217C06800000", 1, "1.25")
    asked: list[str] = []

    class KnowingClasses(AlpacaRest):
        def option_contract(self, symbol: str) -> dict[str, Any] | None:
            asked.append(symbol)
            return {"symbol": symbol, "underlying_symbol": "LGF.B"}

    assert import_account(tmp_path / "made.json", group=False, force=False, rest_cls=KnowingClasses) == 0
    made = load_portfolio(tmp_path / "made.json")
    assert [one.underlying for one in made.instruments] == ["BRK.B", "LGF.B", "SPX"]
    assert asked == ["LGFB491217C00010000"]


def test_import_without_records_takes_the_symbols_for_it_and_says_so(server: SimulatorServer):
    server.account.set_position(CALL, 1, "4.25")
    server.set_faults(Faults(rest_path=f"/v2/options/contracts/{CALL}", rest_status=403))

    result = command("import")

    assert result.exit_code == 0
    assert result.stderr.startswith("What some contracts are written on is taken from their symbols: ")


def test_import_says_what_it_leaves_out(server: SimulatorServer):
    server.account.set_position(CALL, 1, "4.25")
    server.account.set_position("ETHUSD", "1.5", "3000", asset_class="crypto")
    server.account.set_position("ETHBTC", "1.5", "0.05", asset_class="crypto")
    server.account.set_position("ESCROW.CASH5", 5, "20")

    result = command("import")

    assert result.exit_code == 1
    ids = [entry["id"] for entry in json.loads(result.stdout)["positions"]]
    assert ids == ["aapl-17dec49-180c", "eth-usd"]
    assert result.stderr.splitlines() == [
        "ETHBTC is neither a US share nor an option (its class is crypto); it was left out.",
        "ESCROW.CASH5 (5) cannot be a position of a portfolio; it was left out.",
    ]


def test_import_never_writes_over_a_file_unless_told_to(server: SimulatorServer, tmp_path: Path):
    file = tmp_path / "portfolio.json"
    file.write_text("mine", encoding="utf-8")
    file.chmod(0o640)

    with pytest.raises(ConfigError, match=r"portfolio\.json is there already.*--force"):
        command("import", "--out", file)

    assert (file.read_text(encoding="utf-8"), server.requests) == ("mine", {})

    result = command("import", "--out", file, "--force")

    assert result.exit_code == 0
    assert load_portfolio(file).positions == ()
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_import_leaves_nothing_behind_where_it_cannot_write(server: SimulatorServer, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"portfolio\.json cannot be written: no such file or directory"):
        command("import", "--out", tmp_path / "nowhere" / "portfolio.json")

    assert list(tmp_path.iterdir()) == []


def test_import_writes_nothing_when_the_account_does_not_answer(server: SimulatorServer, tmp_path: Path):
    server.set_faults(Faults(rest_path="/v2/positions", rest_status=403))

    with pytest.raises(RestError):
        command("import", "--out", tmp_path / "portfolio.json")

    assert list(tmp_path.iterdir()) == []


def test_reconcile_agrees_with_what_it_imported(server: SimulatorServer, tmp_path: Path):
    file = tmp_path / "portfolio.json"
    server.account.set_position(CALL, 1, "4.25")
    server.account.set_position(HIGHER_CALL, -1, "1.25")
    server.account.set_position("AAPL", "10.5", "250")
    command("import", "--group", "--out", file)

    result = command("reconcile", file)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "portfolio.json and the account agree."


def test_reconcile_tells_a_split_from_the_account_s_record(
    server: SimulatorServer, file_of: Callable[..., Path]
):
    server.account.set_position("NVDA", 100, "120")
    server.account.add_activity("SPLIT", "NVDA", 90, at=NOW)

    result = command("reconcile", file_of(holding("NVDA", 10, cost_basis=1200.0)), "--since", "2026-11-20")

    assert result.exit_code == 1
    assert "NVDA shares: quantity 10 → 100" in result.stdout
    assert "split on 20 Nov 26" in result.stdout
    assert '"shares": 100' in result.stdout


@pytest.mark.parametrize("kind", ["us_equity", "crypto", "us_treasury"])
def test_what_no_file_can_hold_agrees_with_a_file_that_was_just_written(
    kind: str, server: SimulatorServer, tmp_path: Path
):
    file = tmp_path / "portfolio.json"
    server.account.set_position("912797MH0.A.B.C", 5, "20", asset_class=kind)
    assert command("import", "--out", file).exit_code == 1

    result = command("reconcile", file)

    assert result.exit_code == 0
    assert "912797MH0.A.B.C" in result.stderr


def test_the_sample_agrees_with_the_account_of_its_demo(
    repository: Path, serve: Callable[..., SimulatorServer]
):
    sample = repository / "portfolio.json"
    serve(SeededMarket(load_portfolio(sample)))

    result = command("reconcile", sample)

    assert result.exit_code == 0
    assert "agrees: AAPL 15 Jan 27 275 C: quantity 3, cost 2,520.00" in result.stdout
    assert "cash: 18,250.00" in result.stdout


@pytest.mark.parametrize(
    "faults",
    [
        Faults(rest_unknown_exchange=True),
        Faults(rest_null_greek=True),
        Faults(rest_page=1),
        Faults(rest_status=429, rest_retry_after=0.05, rest_first_requests=1),
    ],
    ids=["unknown exchange", "null Greek", "pages of one", "too many requests"],
)
def test_an_odd_or_busy_server_does_not_change_the_answer(
    faults: Faults, repository: Path, serve: Callable[..., SimulatorServer]
):
    sample = repository / "portfolio.json"
    serve(SeededMarket(load_portfolio(sample))).set_faults(faults)

    assert command("reconcile", sample).exit_code == 0
    assert command("import").exit_code == 0


def test_reconcile_names_the_fill_and_the_edit_that_makes_them_agree(
    file_of: Callable[..., Path], server: SimulatorServer
):
    file = file_of(A_CALL, cash=1000)
    before = file.read_bytes()
    server.account.set_position(CALL, 3, "1.5")
    server.account.set_cash(750)
    server.account.add_activity("FILL", CALL, 1, "2.5", side="buy", order_id="order")

    result = command("reconcile", file)

    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == [
        "differs: AAPL 17 Dec 49 180 C: quantity 2 → 3, cost 200.00 → 450.00; filled after the file was written",
        "cash: 1,000.00 → 750.00",
    ]
    assert result.stdout.endswith("portfolio.json and the account differ in 1 of 1 lines.\n")
    assert file.read_bytes() == before

    edit = result.stdout.partition("Replace the entry 'call' by:\n")[2].partition("\n\n")[0]
    file.write_text(f'{{"positions": [{edit}]}}', encoding="utf-8")
    assert command("reconcile", file).exit_code == 0


def test_reconcile_takes_the_day_of_the_file_from_its_date_or_from_the_user(
    file_of: Callable[..., Path], server: SimulatorServer
):
    file = file_of(A_CALL)
    server.account.set_position(CALL, 3, "1.5")
    # In the evening, when UTC has the next day already.
    filled = datetime(2026, 11, 19, 2, 30, tzinfo=UTC)
    server.account.add_activity("FILL", CALL, 1, "2.5", side="buy", order_id="order", at=filled)

    # A file that was copied or saved again is of an earlier day than its time says.
    os.utime(file, (NOW.timestamp(),) * 2)
    copied = command("reconcile", file)
    assert "filled after" in copied.stdout
    assert "was last written on 20 Nov 26, and what was traded before that, since 21 Oct 26," in copied.stderr
    assert "no known execution explains" in command("reconcile", file, "--since", "2026-11-19").stdout
    assert "filled after" in command("reconcile", file, "--since", "2026-11-18").stdout
    os.utime(file, (filled.timestamp() - 60,) * 2)
    assert "filled after" in command("reconcile", file).stdout


def test_a_script_reads_what_reconcile_and_check_found(file_of: Callable[..., Path], server: SimulatorServer):
    file = file_of(A_CALL, cash=1000)
    server.account.set_position(CALL, 3, "1.5")
    server.account.set_cash(750)

    result = command("reconcile", "--json", file)
    said = json.loads(result.stdout)
    assert (result.exit_code, said["exit_code"]) == (1, 1)
    (line,) = said["lines"]
    assert (line["symbol"], line["agrees"]) == (CALL, False)
    assert (line["file_quantity"], line["account_quantity"]) == (2.0, 3.0)
    assert (said["file_cash"], said["account_cash"]) == (1000.0, 750.0)
    assert "Replace the entry 'call'" in said["edit"]
    assert said["verdict"] == "portfolio.json and the account differ in 1 of 1 lines."

    result = command("check", "--json", file)
    said = json.loads(result.stdout)
    assert said["exit_code"] == result.exit_code
    assert [entry["id"] for entry in said["entries"]] == ["call"]
    assert len(said["findings"]) == int(said["verdict"].split("; ")[1].split()[0].replace("nothing", "0"))


def test_reconcile_says_how_far_back_it_looks_for_causes(
    file_of: Callable[..., Path], serve: Callable[..., SimulatorServer]
):
    """In New York's days: at this hour UTC has the next one already."""
    serve(SilentMarket(start_ns=nanoseconds(datetime(2026, 11, 21, 2, 30, tzinfo=UTC))))
    result = command("reconcile", file_of(), "--since", "2020-01-17")

    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == "What was traded before 2026-08-22 was not asked for."


def test_reconcile_cannot_say_what_it_cannot_read(file_of: Callable[..., Path], server: SimulatorServer):
    server.account.set_position(CALL, 2, "1", side="sideways")

    result = command("reconcile", file_of(A_CALL))

    assert result.exit_code == 2
    assert result.stdout.splitlines()[0] == (
        "not known: AAPL 17 Dec 49 180 C: quantity 2 → –, cost 200.00 → –; the account's row cannot be read"
    )
    assert result.stdout.endswith("portfolio.json and the account cannot be compared in 1 of 1 lines.\n")
    assert "is held long or short is not known" in result.stderr


def test_reconcile_cannot_say_what_a_row_without_a_name_is(
    file_of: Callable[..., Path], server: SimulatorServer
):
    server.account.set_position(CALL, 2, "1")
    server.account.set_position("", -100, "250")

    result = command("reconcile", file_of(A_CALL))

    assert result.exit_code == 2
    assert "not known: a position without a symbol: the account's row cannot be read\n" in result.stdout
    assert result.stdout.endswith("portfolio.json and the account cannot be compared in 1 of 2 lines.\n")
    assert "A position of the account has no symbol" in result.stderr


def test_reconcile_says_which_executions_are_in_doubt(file_of: Callable[..., Path], server: SimulatorServer):
    server.account.set_position(CALL, 2, "1")
    server.account.add_activity("OPEXP", CALL, None)

    result = command("reconcile", file_of(A_CALL))

    assert result.exit_code == 0
    assert f"A expiry of {CALL} came without its symbol, side, quantity or day" in result.stderr


@pytest.mark.parametrize(
    ("path", "remark"),
    [
        ("/v2/account/activities", "the account's executions, so the causes are guesses"),
        ("/v1beta1/options/snapshots", "what some of it is worth"),
    ],
)
def test_reconcile_does_without_what_only_explains(
    path: str, remark: str, file_of: Callable[..., Path], server: SimulatorServer
):
    server.account.set_position(CALL, 2, "1")
    server.set_faults(Faults(rest_path=path, rest_status=403))

    result = command("reconcile", file_of(A_CALL))

    assert result.exit_code == 0
    assert remark in result.stderr


@pytest.mark.parametrize("name", ["import", "reconcile"])
def test_the_account_cannot_be_read_without_keys(name: str, file_of: Callable[..., Path]):
    with pytest.raises(ConfigError, match="There are no Alpaca keys"):
        command(name, *([file_of(A_CALL)] if name == "reconcile" else []))


@pytest.mark.parametrize("name", ["check", "reconcile"])
def test_a_file_that_cannot_be_read_ends_with_a_sentence_and_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["options-helper", "portfolio", name, str(tmp_path / "none.json")])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "none.json cannot be read: no such file or directory. Check the portfolio's path.\n"
    )


def test_reconcile_refuses_a_day_that_has_not_come(file_of: Callable[..., Path], server: SimulatorServer):
    with pytest.raises(
        ConfigError, match=r"--since 2049-12-17 lies in the future: it is .* in the simulated market\."
    ):
        command("reconcile", file_of(A_CALL), "--since", "2049-12-17")


def terminal(width: int) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=True, width=width, highlight=False, no_color=True), written


def test_a_command_that_waits_says_for_what():
    now, held = [0.0], [0.0]
    waiting = RequestStatus("the positions", lambda: held[0], now=lambda: now[0])

    assert waiting.text == "asking Alpaca for the positions …"
    now[0] = 12.3
    assert waiting.text == "asking Alpaca for the positions … no complete answer after 12 s"
    held[0] = 42.2
    assert waiting.text == "asking Alpaca for the positions … it wants a pause: 43 s left"
    waiting.request("the cash")
    assert waiting.text == "asking Alpaca for the cash …"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Faults(rest_path="/v2/positions", rest_slow=3), "the positions … no complete answer after "),
        (
            Faults(rest_path="/v2/account", rest_status=429, rest_retry_after=4, rest_first_requests=1),
            "the cash … it wants a pause: ",
        ),
    ],
    ids=["slow", "too many requests"],
)
def test_a_terminal_shows_what_a_blocked_command_waits_for(
    fault: Faults, words: str, server: SimulatorServer
):
    server.set_faults(fault)
    console, written = terminal(120)

    assert import_account(Path("-"), group=False, force=False, screen=Screen(Console(), console)) == 0

    assert f"asking Alpaca for {words}" in written.getvalue()


def test_a_terminal_that_cannot_draw_anew_is_told_once(
    server: SimulatorServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERM", "dumb")
    console, written = terminal(120)

    import_account(Path("-"), group=False, force=False, screen=Screen(Console(), console))

    assert written.getvalue() == "asking Alpaca for the positions …\n"


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_tables_that_fit_it(width: int):
    console, written = terminal(width)
    screen = Screen(console, console)
    row = ReconciledRow(
        CALL,
        "AAPL 17 Dec 49 180 C [x]",
        agrees=False,
        file_quantity=Decimal(2),
        account_quantity=Decimal(3),
        file_cost=Decimal(200),
        account_cost=Decimal(450),
        causes=(Cause.FILL_AFTER_FILE,),
    )

    screen.portfolio(portfolio(A_CALL, A_VERTICAL))
    screen.comparison([row])

    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in written.getvalue().splitlines()]
    assert any("call" in line and "2 × AAPL 17 Dec 49 180 C" in line and "at 1.00" in line for line in lines)
    (compared,) = (line for line in lines if "≠" in line)
    assert re.search(r"AAPL 17 Dec 49 180 C \[x\] +2 → 3 +200\.00 → 450\.00", compared)
    assert any("filled after the file was written" in line for line in lines)
    assert max(map(len, lines)) <= width
