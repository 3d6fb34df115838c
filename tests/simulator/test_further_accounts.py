"""A simulator of several accounts: one market, and for each its own keys, positions and orders."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from options_helper.data.accounts_file import load_accounts
from options_helper.errors import ConfigError
from options_helper.model.instants import NANOSECONDS
from options_helper.model.portfolio import Portfolio
from options_helper.model.streams import StreamName
from options_helper.settings import ACCOUNTS_VARIABLE, Settings
from options_helper.simulator.market.market import Interest, Step
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.session import further_accounts, key_of, serve_market, simulated_market
from options_helper.simulator.wire.protocol import FIRST_ACCOUNT
from tests.kit.builders import holding, portfolio, position

FIRST = portfolio(holding(shares=100), position(contracts=2, identity="calls"))
IRA = portfolio(position(contracts=-1, identity="calls"), holding("MSFT", shares=20), cash=500.0)
MINUTES = 10


def fills(market: SeededMarket) -> list[Step]:
    until_ns = market.start_ns + MINUTES * 60 * NANOSECONDS
    steps = takewhile(lambda step: step.market_ns < until_ns, market.steps(Interest()))
    return [step for step in steps if step.stream is StreamName.FILLS]


def test_each_account_holds_what_its_portfolio_says_and_the_market_has_prices_of_all():
    market = SeededMarket(FIRST, further={"ira": IRA})

    assert {one.symbol: int(one.quantity) for one in market.holdings()} == {
        "AAPL": 100,
        "AAPL261218C00180000": 2,
    }
    assert {one.symbol: int(one.quantity) for one in market.further_holdings("ira")} == {
        "AAPL261218C00180000": -1,
        "MSFT": 20,
    }
    assert (market.cash, market.further_cash("ira")) == (None, 500.0)
    assert market.price("MSFT") is not None
    assert market.further_holdings("roth") == []


def test_orders_are_each_accounts_own_and_further_ones_change_none_of_the_firsts():
    alone = fills(SeededMarket(FIRST))

    both = fills(SeededMarket(FIRST, further={"ira": FIRST}))

    of_first = [step for step in both if step.account == FIRST_ACCOUNT]
    of_ira = [step for step in both if step.account == "ira"]
    # Prices follow from all that is held; when something is ordered follows from the first account's alone.
    assert [step.market_ns for step in alone] == [step.market_ns for step in of_first]
    assert of_ira
    assert [step.market_ns for step in of_ira] != [step.market_ns for step in of_first]


def held_by(variables: Mapping[str, str], settings: Settings) -> dict[str, int]:
    key, secret = settings.require_credentials()
    request = urllib.request.Request(  # noqa: S310 - an address of this computer
        f"{variables['APCA_API_BASE_URL']}/v2/positions",
        headers={"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        rows: list[dict[str, Any]] = json.load(answer)
    return {row["symbol"]: int(row["qty"]) for row in rows}


def write(folder: Path, name: str, book: Portfolio) -> Path:
    file = folder / f"{name}.json"
    file.write_text(book.model_dump_json(exclude_none=True), encoding="utf-8")
    return file


def test_what_it_says_leads_a_client_to_both_accounts(tmp_path: Path):
    first, ira = write(tmp_path, "first", FIRST), write(tmp_path, "ira", IRA)

    with serve_market(simulated_market(first, further={"ira": ira}), further=("ira",)) as variables:
        accounts = load_accounts(variables, tmp_path / "alpaca.env")
        file = Path(variables[ACCOUNTS_VARIABLE])
        mode = file.stat().st_mode & 0o777
        held = {name: held_by(variables, accounts.settings(name)) for name in accounts.names}

    assert mode == 0o600
    assert (accounts.market_data, accounts.names) == ("main", ("main", "ira"))
    assert held["main"]["AAPL"] == 100
    assert held["ira"] == {"AAPL261218C00180000": -1, "MSFT": 20}
    assert accounts.settings("ira").market_data.account == "main"
    assert not file.exists()


def test_without_further_accounts_there_is_one_and_no_file_of_the_users_is_read(tmp_path: Path):
    (tmp_path / "accounts.toml").write_text("what is not read may be anything", encoding="utf-8")

    with serve_market(simulated_market(write(tmp_path, "first", FIRST))) as variables:
        accounts = load_accounts(variables, tmp_path / "alpaca.env")

    assert variables[ACCOUNTS_VARIABLE] == ""
    assert not accounts.are_several


def test_a_key_that_it_does_not_know_is_refused(tmp_path: Path):
    first = write(tmp_path, "first", FIRST)

    with serve_market(simulated_market(first)) as variables:
        stranger = Settings.load({**variables, "APCA_API_KEY_ID": key_of("ira")}, tmp_path / "none.env")
        with pytest.raises(urllib.error.HTTPError) as refusal:
            held_by(variables, stranger)

    assert refusal.value.code == 401
    refusal.value.close()


def test_an_account_is_named_with_its_file():
    assert further_accounts(["ira=a.json", "roth=b.json"]) == {"ira": Path("a.json"), "roth": Path("b.json")}


@pytest.mark.parametrize("named", [["ira"], ["IRA=a.json"], ["main=a.json"], ["ira=a.json", "ira=b.json"]])
def test_what_names_no_further_account_is_refused_with_a_sentence(named: list[str]):
    with pytest.raises(ConfigError, match="--further-account"):
        further_accounts(named)


def test_a_file_of_accounts_that_is_named_and_not_there_is_no_single_account(tmp_path: Path):
    with pytest.raises(ConfigError, match="OH_ALPACA_ACCOUNTS names"):
        load_accounts({ACCOUNTS_VARIABLE: str(tmp_path / "gone.toml")}, tmp_path / "alpaca.env")
