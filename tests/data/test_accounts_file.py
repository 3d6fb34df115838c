"""Several accounts by name: each has its keys, market data come from one, and nothing changes for who has one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from options_helper.data.accounts_file import (
    Accounts,
    load_accounts,
    load_desk_settings,
    load_market_settings,
    load_settings,
)
from options_helper.errors import ConfigError
from options_helper.model.portfolio import parse_portfolio
from options_helper.settings import LIVE_BASE_URL, VARIABLES, Settings

MAIN_SECRET, IRA_SECRET = "sentinelSecretMain0000000000001", "sentinelSecretIra00000000000002"
MAIN = f"""
[accounts.main]
paper = true
key = "PKMAINSENTINEL000001"
secret = "{MAIN_SECRET}"
market_data = true
"""
IRA = f"""
[accounts.ira]
paper = false
key = "AKIRASENTINEL0000002"
secret = "{IRA_SECRET}"
"""
KEYS = {"APCA_API_KEY_ID": "PKENVIRONMENT0000001", "APCA_API_SECRET_KEY": "environmentSecret00000000000001"}


def write(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    path = folder / "accounts.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def load(folder: Path, environ: dict[str, str] | None = None) -> Accounts:
    return load_accounts(environ or {}, folder / "alpaca.env")


def key_of(settings: Settings) -> str:
    return settings.require_credentials()[0]


def test_without_a_file_there_is_the_account_of_the_environment_and_no_other(tmp_path: Path):
    accounts = load(tmp_path, KEYS)

    assert accounts.settings() == Settings.load(KEYS, tmp_path / "alpaca.env")
    assert accounts.names == ("default",)
    assert not accounts.are_several
    with pytest.raises(ConfigError, match=r"no account 'ira': accounts are named in .*accounts\.toml"):
        accounts.settings("ira")


def test_each_account_has_its_own_keys_address_and_pace_and_market_data_come_from_one(tmp_path: Path):
    write(tmp_path, f"{MAIN}{IRA}rest_per_minute = 50\n")

    accounts = load(tmp_path, {"OH_ALPACA_STOCK_FEED": "sip"})

    main, ira = accounts.settings("main"), accounts.settings("ira")
    assert accounts.settings() == main
    assert [key_of(main), key_of(ira)] == ["PKMAINSENTINEL000001", "AKIRASENTINEL0000002"]
    assert [main.base_url, ira.base_url] == ["https://paper-api.alpaca.markets", LIVE_BASE_URL]
    assert [main.rest_per_minute, ira.rest_per_minute] == [200, 50]
    assert [main.stock_feed, ira.stock_feed] == ["sip", "sip"]
    assert [main.account, ira.account] == ["main", "ira"]
    assert [key_of(main.market_data), key_of(ira.market_data)] == ["PKMAINSENTINEL000001"] * 2


def test_keys_may_stay_in_a_file_of_variables_or_be_those_there_are_already(tmp_path: Path):
    (tmp_path / "ira.env").write_text(
        "APCA_API_KEY_ID=AKIRASENTINEL0000002\nAPCA_API_SECRET_KEY=secretOfIra\n"
        "APCA_API_BASE_URL=https://api.alpaca.markets\nOH_ALPACA_REST_PER_MINUTE=30\n",
        encoding="utf-8",
    )
    write(tmp_path, '[accounts.main]\nmarket_data = true\n[accounts.ira]\nenv_file = "ira.env"\n')

    accounts = load(tmp_path, KEYS)

    ira = accounts.settings("ira")
    assert key_of(accounts.settings("main")) == KEYS["APCA_API_KEY_ID"]
    assert (key_of(ira), ira.base_url, ira.rest_per_minute) == ("AKIRASENTINEL0000002", LIVE_BASE_URL, 30)


def test_no_account_is_ever_opened_with_the_keys_of_the_environment_unless_it_has_none_of_its_own(
    tmp_path: Path,
):
    write(tmp_path, MAIN + IRA)

    accounts = load(tmp_path, KEYS)

    assert KEYS["APCA_API_KEY_ID"] not in [key_of(accounts.settings(name)) for name in accounts.names]


def test_secrets_stand_in_no_text(tmp_path: Path):
    write(tmp_path, MAIN + IRA)

    accounts = load(tmp_path)

    said = f"{accounts!r} {accounts} {accounts.settings('ira')!r}"
    assert "SENTINEL" not in said
    assert "sentinelSecret" not in said


def test_a_complete_environment_such_as_a_demos_reads_no_file(tmp_path: Path):
    write(tmp_path, MAIN + IRA)
    environ = dict.fromkeys(VARIABLES, "x") | {
        "APCA_API_BASE_URL": "http://127.0.0.1:1",
        "OH_ALPACA_DATA_URL": "http://127.0.0.1:1",
        "OH_ALPACA_STREAM_URL": "ws://127.0.0.1:1",
        "OH_ALPACA_STOCK_FEED": "iex",
        "OH_ALPACA_OPTIONS_FEED": "indicative",
        "OH_ALPACA_REST_PER_MINUTE": "200",
        "OH_ALPACA_COMPRESSION": "none",
        "OH_ALPACA_MARKET_TIME": "2026-11-20T15:00:00+00:00",
    }

    accounts = load(tmp_path, environ)

    assert accounts.names == ("default",)
    # A file that names its account is shown in a simulated market all the same.
    assert accounts.settings_for(None, "ira", "portfolio.json") == accounts.settings()
    with pytest.raises(ConfigError, match="the environment is complete"):
        accounts.settings("ira")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accounts = 1", "each account is a table of its own"),
        ("", "each account is a table of its own"),
        ("[accounts.main]\nkey = \n\n", "accounts.toml is no TOML, see line 2"),
        (MAIN + "[other]\na = 1\n", "stands outside of [accounts.NAME]"),
        (
            MAIN.replace("main", "My Account").replace("[accounts.My Account]", '[accounts."My Account"]'),
            "small letters",
        ),
        (MAIN.replace("accounts.main", "accounts.all"), "neither all nor default"),
        (MAIN.replace("market_data = true", "") + IRA, "no account has market_data = true"),
        (MAIN + IRA + "market_data = true\n", "main and ira have market_data = true"),
        (MAIN.replace("= true\n", '= "yes"\n', 2), "account main: market_data is true or false"),
        (
            MAIN + IRA.replace("AKIRASENTINEL0000002", "PKMAINSENTINEL000001"),
            "main and ira have the same key",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence_without_a_secret(
    tmp_path: Path, text: str, said: str
):
    write(tmp_path, text)

    with pytest.raises(ConfigError) as refused:
        load(tmp_path)

    assert said in str(refused.value)
    assert "SENTINEL" not in str(refused.value)
    assert "sentinelSecret" not in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            'key = "AKIRASENTINEL0000002"\npaper = true',
            "accounts.toml, account ira: secret is missing, or is no text",
        ),
        ('key = "AKIRASENTINEL0000002"\nsecret = "sentinelSecret"', "account ira: paper is missing"),
        (
            'key = "AK\'SENTINEL"\nsecret = "sentinelSecret"\npaper = true',
            "account ira: APCA_API_KEY_ID has a space or",
        ),
        ('env_file = "ira.env"', "account ira: env_file"),
        ("env_file = 3", "account ira: env_file is no file's name"),
        ('env_file = "ira.env"\nkey = "AKIRASENTINEL0000002"', "not in both"),
        ("paper = false", "account ira: there are no keys"),
        ('paper = "no"', "account ira: paper is true, or false"),
        ('feed = "sip"', "'feed' is no known field"),
        ('AKIRASENTINEL0000002 = "x"', "something is no known field"),
        ('key = "A"\nsecret = "B"\npaper = true\nrest_per_minute = 0', "OH_ALPACA_REST_PER_MINUTE 0"),
    ],
)
def test_an_account_that_cannot_be_used_costs_none_of_the_others(tmp_path: Path, fields: str, said: str):
    write(tmp_path, f"{MAIN}[accounts.ira]\n{fields}\n")

    accounts = load(tmp_path)

    assert key_of(accounts.settings("main")) == "PKMAINSENTINEL000001"
    assert accounts.names == ("main", "ira")
    with pytest.raises(ConfigError) as refused:
        accounts.settings("ira")
    assert said in str(refused.value)
    assert "SENTINEL" not in str(refused.value)
    assert "sentinelSecret" not in str(refused.value)


def test_whose_market_data_cannot_be_asked_is_told_why_and_asks_with_no_other_keys(tmp_path: Path):
    write(tmp_path, MAIN.replace('key = "PKMAINSENTINEL000001"', "") + IRA)

    with pytest.raises(
        ConfigError, match=r"keys of another account\. accounts\.toml, account main: key is missing"
    ):
        load(tmp_path).settings("ira")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int):
    path = write(tmp_path, MAIN, mode=mode)

    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        load(tmp_path)


def test_a_portfolio_file_may_name_its_account_and_no_other_is_compared_with_it(tmp_path: Path):
    write(tmp_path, MAIN + IRA)
    accounts = load(tmp_path)
    portfolio = parse_portfolio('{"account": "ira", "positions": []}', "ira.json")

    assert accounts.settings_for(None, portfolio.account, "ira.json").account == "ira"
    assert accounts.settings_for("ira", portfolio.account, "ira.json").account == "ira"
    assert accounts.settings_for("ira", None, "portfolio.json").account == "ira"
    assert accounts.settings_for(None, None, "portfolio.json").account == "main"
    with pytest.raises(ConfigError, match=r"ira\.json is of the account 'ira', and 'main' was asked for"):
        accounts.settings_for("main", portfolio.account, "ira.json")


def test_a_portfolio_file_that_names_an_account_is_never_compared_with_the_only_one(tmp_path: Path):
    with pytest.raises(ConfigError, match="no account 'ira'"):
        load(tmp_path, KEYS).settings_for(None, "ira", "ira.json")


@pytest.mark.parametrize("name", ["", "IRA", "all", "default", "a b", "-a", "x" * 41])
def test_a_portfolio_file_names_no_account_that_nobody_can_have(name: str):
    with pytest.raises(ConfigError, match=r"portfolio\.json, account: must be the name of an account"):
        parse_portfolio(f'{{"account": "{name}", "positions": []}}', "portfolio.json")


def test_an_account_is_found_by_its_name_and_one_that_is_not_there_is_told_beside_those_that_are(
    tmp_path: Path,
):
    write(tmp_path, MAIN + IRA)

    assert load_settings("ira", {}, tmp_path / "alpaca.env").account == "ira"
    with pytest.raises(ConfigError, match=r"no account 'roth' in accounts\.toml; it has main, ira\."):
        load_settings("roth", {}, tmp_path / "alpaca.env")


def test_who_wants_market_data_alone_has_its_keys_and_no_accounts_name(
    tmp_path: Path,
):
    # Beside the file of keys, which is hidden from every test.
    write(tmp_path, IRA + MAIN)

    settings = load_market_settings()

    assert (key_of(settings), settings.account) == ("PKMAINSENTINEL000001", "default")


@pytest.mark.parametrize(("named", "written"), [("ira", None), (None, "ira"), ("ira", "ira")])
def test_over_a_bus_an_account_is_followed_by_its_name_without_any_keys(
    named: str | None, written: str | None
):
    assert load_desk_settings(named, written) == replace(Settings.load(), account="ira")
    assert load_desk_settings() == Settings.load()


def test_over_a_bus_too_a_files_account_and_another_are_refused():
    with pytest.raises(ConfigError, match=r"mine\.json is of the account 'ira', and 'main' was asked for"):
        load_desk_settings("main", "ira", "mine.json")
    with pytest.raises(ConfigError, match="An account cannot be called 'all'"):
        load_desk_settings("all")
