"""What `options-helper doctor` finds on this computer, and that each line says what to do; no network."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
import tomllib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from rich.console import Console
from typer.testing import CliRunner, Result

from options_helper.analysis.reconcile.portfolio_check import findings
from options_helper.cli import app
from options_helper.data.network import trusted_roots
from options_helper.data.streaming.connection.server_errors import handshake_error, server_error
from options_helper.doctor.computer import (
    check_disk,
    check_packages,
    check_page_packages,
    check_python,
)
from options_helper.doctor.configuration import check_portfolio, masked
from options_helper.doctor.findings import Check, Finding, Line, Verdict, explained, worst
from options_helper.doctor.rest import judge_skew
from options_helper.doctor.run import Checkup, Environment
from options_helper.doctor.streams import STREAM_TIMING, holder_of, listed_expiry, stock_visit
from options_helper.errors import ConfigError, StreamError
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import MarketDay, new_york_date
from options_helper.model.portfolio import load_portfolio
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Role, RunState
from options_helper.monitoring.heartbeat_file import write_heartbeat
from options_helper.settings import VARIABLES, Settings
from tests.kit.builders import AS_OF
from tests.kit.heartbeats import heartbeat, stream_beat
from tests.kit.waiting import A_PROCESS, FOREVER, until_no_thread

OK, WARNING, FAILED, SKIPPED = Verdict.OK, Verdict.WARNING, Verdict.FAILED, Verdict.SKIPPED
# Breeze and alerts have a line only where somebody has set them up.
ALWAYS = [check for check in Check if check not in (Check.BREEZE, Check.BUS, Check.ALERTS)]
KEY = "PKSENTINELKEY0000001"
SECRET = "sentinelSecret/0000000000000000000000002"  # noqa: S105 - made up, to be searched for
KEYS = {"APCA_API_KEY_ID": KEY, "APCA_API_SECRET_KEY": SECRET}
REQUIREMENTS = (
    "rich>=13.9",
    "tzdata",
    "alpaca-py<0.45,>=0.44; extra == 'alpaca'",
    "streamlit<2; extra == 'ui'",
)
GIGABYTE = 1_000_000_000
PORTFOLIO = {
    "positions": [
        {
            "id": "call",
            "symbol": "AAPL",
            "option_type": "call",
            "expiry": "2026-12-18",
            "strike": 180,
            "contracts": 2,
        },
        {"id": "shares", "symbol": "MSFT", "shares": 100},
    ]
}

PICTURE = f"; it is a picture of {short_date(AS_OF.date())} and judged as of that day."
NOT_JUDGED = "What has expired is not judged."
PLAYED = MarketDay(date(2026, 12, 18), plays=True)


def day_after(days: int) -> MarketDay:
    """New York's day so many days after `AS_OF`."""
    return MarketDay(new_york_date(AS_OF + timedelta(days=days)))


def portfolio_file(folder: Path, content: Any = PORTFOLIO) -> Path:
    path = folder / "portfolio.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(
        environ={"XDG_STATE_HOME": str(tmp_path / "state")},
        env_file=tmp_path / "alpaca.env",
        now=lambda: AS_OF,
        free_bytes=lambda _: 50 * GIGABYTE,
    )


def findings_of(environment: Environment, **options: Any) -> dict[Check, Finding]:
    """Everything that is found without a network."""
    lines = Checkup(offline=True, environment=environment, **options).lines()
    return {line.check: line.finding for line in lines}


def with_environment(environment: Environment, **variables: str) -> Environment:
    return replace(environment, environ={**environment.environ, **variables})


@pytest.mark.parametrize(
    ("version", "verdict"), [((3, 10, 14), FAILED), ((3, 11, 0), OK), ((3, 14, 1), OK), ((4, 0, 0), OK)]
)
def test_an_old_python_is_said_to_be(version: tuple[int, ...], verdict: Verdict):
    found = check_python(version)

    assert found.verdict is verdict
    assert ("Install Python 3.11 or newer" in (found.remedy or "")) is (verdict is FAILED)


@pytest.mark.parametrize(
    ("installed", "verdict", "says"),
    [
        ({"rich": "15.0.0", "tzdata": "2026.6", "alpaca-py": "0.44.0"}, OK, "alpaca-py 0.44.0"),
        ({"rich": "13.9", "tzdata": "2026.6", "alpaca-py": "0.44.1rc1"}, OK, "rich 13.9"),
        ({"rich": "15.0.0", "tzdata": "2026.6"}, FAILED, "alpaca-py not installed"),
        (
            {"rich": "15.0.0", "tzdata": "1", "alpaca-py": "0.45.0"},
            FAILED,
            r"alpaca-py 0.45.0 \(<0.45,>=0.44\)",
        ),
        ({"rich": "13.8.9", "tzdata": "1", "alpaca-py": "0.44.0"}, FAILED, r"rich 13.8.9 \(>=13.9\)"),
    ],
)
def test_a_package_that_is_missing_or_does_not_fit_is_named(
    installed: dict[str, str], verdict: Verdict, says: str
):
    found = check_packages(REQUIREMENTS, installed.get)

    assert (found.verdict, found.details) == (verdict, installed)
    assert re.search(says, found.message)
    assert ("pip install 'options-helper[ui,alpaca]'" in (found.remedy or "")) is (verdict is FAILED)


def test_without_the_packages_of_the_page_recording_still_works():
    found = check_page_packages(REQUIREMENTS, {"rich": "15.0.0"}.get)

    assert found.verdict is WARNING
    assert "streamlit not installed: the page cannot be opened; recording works" in found.message


def test_run_from_a_folder_nothing_is_known_of_packages():
    assert check_packages(None, {}.get).verdict is WARNING


def test_every_package_that_the_project_names_is_looked_at(repository: Path):
    """Here: none is installed, and each is named."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: project["optional-dependencies"][name] for name in ("alpaca", "ui", "dev")}
    requirements = [
        *project["dependencies"],
        *(f"{one}; extra == '{name}'" for name, named in extras.items() for one in named),
    ]

    needed = check_packages(requirements, {}.get).message.partition(" not installed")[0].split(", ")
    of_the_page = check_page_packages(requirements, {}.get).message.partition(" not installed")[0].split(", ")

    bare = [re.split(r"[<>=~!\[; ]", one)[0] for one in [*project["dependencies"], *extras["alpaca"]]]
    assert needed == bare
    assert of_the_page == [re.split(r"[<>=~!\[; ]", one)[0] for one in extras["ui"]]


@pytest.mark.parametrize(
    ("free", "verdict", "says"),
    [
        (50 * GIGABYTE, OK, "50.0 GB free"),
        (GIGABYTE // 2, WARNING, "Room is scarce: 0.5 GB free"),
        (1_000_000, FAILED, "as good as full: 0.0 GB free"),
    ],
)
def test_a_disk_is_judged_by_its_tightest_place(tmp_path: Path, free: int, verdict: Verdict, says: str):
    tight = tmp_path / "tight"
    tight.mkdir()
    folders = (tmp_path, tight / "not-made-yet")

    found = check_disk(folders, lambda folder: free if folder == tight else 90 * GIGABYTE)

    assert found.verdict is verdict
    assert says in found.message
    assert str(tight) in found.message


def test_a_folder_of_somebody_else_is_named(tmp_path: Path):
    found = check_disk((tmp_path,), lambda _: 50 * GIGABYTE, may_write=lambda _: False)

    assert found.verdict is WARNING
    assert f"may not write to {tmp_path}" in found.message


def test_each_setting_is_told_with_where_it_is_from(environment: Environment):
    environment.env_file.write_text(
        f"APCA_API_KEY_ID={KEY}\nexport OH_ALPACA_STOCK_FEED='sip'\nOH_ALPACA_DATA_URL=\n", encoding="utf-8"
    )
    changed = with_environment(environment, APCA_API_SECRET_KEY=SECRET, OH_ALPACA_STOCK_FEED="iex")

    found = findings_of(changed)[Check.SETTINGS]

    assert found.verdict is OK
    assert found.details.keys() == VARIABLES
    assert found.details["APCA_API_KEY_ID"] == f"PKSE… (from {environment.env_file})"
    assert found.details["APCA_API_SECRET_KEY"] == "set (environment)"  # noqa: S105 - not what it is
    assert found.details["OH_ALPACA_STOCK_FEED"] == "iex (environment)"
    assert found.details["OH_ALPACA_DATA_URL"] == "https://data.alpaca.markets (default)"


def test_a_name_that_means_nothing_is_told_with_the_one_that_was_meant(environment: Environment):
    environment.env_file.write_text("OH_ALPACA_STOCK_FED=sip\n", encoding="utf-8")

    found = findings_of(environment)[Check.SETTINGS]

    assert found.verdict is WARNING
    assert "OH_ALPACA_STOCK_FED is no setting" in found.message
    assert found.remedy == "Write OH_ALPACA_STOCK_FEED if that is meant."


def test_a_name_of_the_risk_figures_is_one_of_ours_and_a_slip_in_it_is_told(environment: Environment):
    environment.env_file.write_text("OH_RISK_RATES=2026-11-27 0.04\n", encoding="utf-8")

    assert findings_of(environment)[Check.SETTINGS].verdict is OK
    slipped = findings_of(with_environment(environment, OH_RISK_RATE="2026-11-27 0.04"))[Check.SETTINGS]
    assert "OH_RISK_RATE is no setting" in slipped.message
    assert slipped.remedy == "Write OH_RISK_RATES if that is meant."


def test_a_rate_or_a_beta_that_cannot_be_is_told_before_a_figure_is_made_from_it(
    environment: Environment, tmp_path: Path
):
    betas = tmp_path / "betas.toml"
    betas.write_text("[betas]\nNVDA = 190\n", encoding="utf-8")
    rate = findings_of(with_environment(environment, OH_RISK_RATES="2026-11-27 4.3"))[Check.SETTINGS]
    beta = findings_of(with_environment(environment, OH_RISK_BETAS=str(betas)))[Check.SETTINGS]

    assert (rate.verdict, beta.verdict) == (FAILED, FAILED)
    assert "430 % a year" in rate.message
    assert "NVDA has a beta of 190" in beta.message


def test_a_dividend_that_cannot_be_is_told_before_a_figure_is_made_from_it(
    environment: Environment, tmp_path: Path
):
    own = tmp_path / "dividends.toml"
    own.write_text('[[dividends]]\nsymbol = "MSFT"\n', encoding="utf-8")

    finding = findings_of(with_environment(environment, OH_RISK_DIVIDENDS=str(own)))[Check.SETTINGS]

    assert finding.verdict is FAILED
    assert "dividends 1: ex_date is missing" in finding.message


def test_variables_of_other_programs_are_none_of_ours(environment: Environment):
    assert findings_of(with_environment(environment, APCA_RETRY_MAX="3"))[Check.SETTINGS].verdict is OK


def test_a_setting_that_cannot_be_is_named_and_nothing_is_asked_with_it(environment: Environment):
    changed = with_environment(environment, **KEYS, OH_ALPACA_STOCK_FEED="ibx")

    lines = {line.check: line.finding for line in Checkup(environment=changed).lines()}

    assert lines[Check.SETTINGS].verdict is FAILED
    assert "OH_ALPACA_STOCK_FEED 'ibx' is not known" in lines[Check.SETTINGS].message
    assert "Use one of: iex" in (lines[Check.SETTINGS].remedy or "")
    assert lines[Check.STOCK_STREAM] == Finding(SKIPPED, "not looked at: the settings cannot be used")


def test_missing_keys_are_said_to_be_and_where_they_belong(environment: Environment):
    changed = with_environment(environment, APCA_API_KEY_ID=KEY)

    lines = {line.check: line.finding for line in Checkup(environment=changed).lines()}

    assert lines[Check.KEYS].verdict is FAILED
    assert lines[Check.KEYS].message.startswith("APCA_API_SECRET_KEY not set")
    assert "options-helper ui --demo" in (lines[Check.KEYS].remedy or "")
    assert lines[Check.ACCOUNT] == Finding(SKIPPED, "not looked at: there are no keys")


@pytest.mark.parametrize(
    ("key", "base_url", "verdict"),
    [
        ("PKSENTINEL00001", "https://paper-api.alpaca.markets", OK),
        ("AKSENTINEL00001", "https://api.alpaca.markets", OK),
        ("PKSENTINEL00001", "https://api.alpaca.markets", WARNING),
        ("AKSENTINEL00001", "https://paper-api.alpaca.markets", WARNING),
        ("AKSENTINEL00001", "http://127.0.0.1:9", OK),
    ],
)
def test_a_key_of_the_other_account_is_noticed(
    environment: Environment, key: str, base_url: str, verdict: Verdict
):
    changed = with_environment(
        environment, APCA_API_KEY_ID=key, APCA_API_SECRET_KEY=SECRET, APCA_API_BASE_URL=base_url
    )

    assert findings_of(changed)[Check.KEYS].verdict is verdict


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=40))
def test_at_most_a_third_of_a_key_is_ever_shown(key: str):
    shown = masked(SecretStr(key)).removesuffix("…")

    assert shown == "set" or (key.startswith(shown) and len(shown) * 3 <= len(key))


def test_a_sound_portfolio_is_counted(tmp_path: Path):
    found = check_portfolio(portfolio_file(tmp_path), {}, day_after(0))

    assert found.verdict is OK
    assert found.message.endswith("portfolio.json: 2 positions, 1 contract")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "portfolio.json"),
        ({"positions": [{"id": "x", "symbol": "AAPL", "shares": 0}]}, "position 'x', shares: must not be 0"),
    ],
)
def test_a_broken_portfolio_is_told_by_place(tmp_path: Path, content: Any, says: str):
    found = check_portfolio(portfolio_file(tmp_path, content), {}, day_after(0))

    assert found.verdict is FAILED
    assert says in found.message
    assert found.remedy


def test_contracts_that_are_over_are_named(tmp_path: Path):
    found = check_portfolio(portfolio_file(tmp_path), {}, day_after(60))

    assert found.verdict is WARNING
    assert "expired: AAPL 18 Dec 26 180 C." in found.message


@pytest.mark.parametrize(
    ("days", "verdict", "says"),
    [
        (0, OK, "2 positions, 1 contract"),
        (1, WARNING, f"{PICTURE} Expired by {day_after(1).today}: none of 1 contract."),
        (60, WARNING, f"{PICTURE} Expired by {day_after(60).today}: 1 of 1 contract."),
        (
            -1,
            WARNING,
            f"as_of {AS_OF:%Y-%m-%d} lies ahead: it is {day_after(-1).date} in New York. {NOT_JUDGED}",
        ),
    ],
)
def test_a_picture_of_another_day_is_judged_as_of_that_day(
    tmp_path: Path, days: int, verdict: Verdict, says: str
):
    content = {**PORTFOLIO, "as_of": f"{AS_OF:%Y-%m-%d}"}

    found = check_portfolio(portfolio_file(tmp_path, content), {}, day_after(days))

    assert found.verdict is verdict
    assert found.message.endswith(says)


@pytest.mark.parametrize(
    "as_of", [None, "2026-12-18", "2026-11-20", "2027-01-01"], ids=["none", "that day", "before", "ahead"]
)
def test_a_day_that_a_simulator_plays_is_not_called_new_york_s(tmp_path: Path, as_of: str | None):
    content = {**PORTFOLIO, "as_of": as_of} if as_of else PORTFOLIO

    found = check_portfolio(portfolio_file(tmp_path, content), {}, PLAYED)

    assert "in the simulated market" in found.message
    assert "New York" not in found.message


def test_the_doctor_and_check_agree_about_what_has_expired(tmp_path: Path):
    """On any day of the file's and of the market's, one of them does not warn of what the other lets pass."""
    for as_of, days in ((None, 0), (None, 60), ("2026-11-20", 60), ("2027-01-01", 60), ("2030-01-01", 0)):
        content = {**PORTFOLIO, "as_of": as_of} if as_of else PORTFOLIO
        path = portfolio_file(tmp_path, content)
        said = " ".join(findings(load_portfolio(path), day_after(days)))

        doctor = check_portfolio(path, {}, day_after(days)).message
        assert ("; expired: " in doctor) is (" expired on " in said)
        assert ("lies ahead" in doctor) is ("lies ahead" in said)


def test_the_file_that_the_page_would_open_is_looked_at(tmp_path: Path):
    environ = {"OH_PORTFOLIO": str(portfolio_file(tmp_path))}

    assert check_portfolio(None, environ, day_after(0)).verdict is OK


def test_no_portfolio_is_a_warning_and_a_wrong_name_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    assert check_portfolio(None, {}, day_after(0)).verdict is WARNING
    assert check_portfolio(Path("another.json"), {}, day_after(0)).verdict is FAILED


@pytest.mark.parametrize(
    ("ahead", "doubt", "verdict"),
    [
        (0.3, 0.1, OK),
        (-1.9, 0.0, OK),
        (4.0, 3.0, OK),  # a slow answer proves nothing
        (4.0, 0.1, WARNING),
        (-30.0, 0.1, WARNING),
        (90.0, 0.1, FAILED),
        (-7_200.0, 0.1, FAILED),
    ],
)
def test_a_clock_that_is_certainly_off_is_noticed(ahead: float, doubt: float, verdict: Verdict):
    found = judge_skew(ahead, doubt)

    assert found.verdict is verdict
    assert ("ahead of" if ahead > 0 else "behind") in found.message
    assert ("timedatectl" in (found.remedy or "")) is (verdict is not OK)


@pytest.mark.parametrize(
    ("error", "words", "remedy"),
    [
        (
            server_error("sip", 409, "insufficient subscription"),
            "Alpaca answered insufficient subscription (409) on the sip feed.",
            "The plan does not include this feed",
        ),
        (
            handshake_error("iex", 429),
            "The server refused the iex connection with HTTP 429.",
            "Too many connections were opened at once. Try again in a minute.",
        ),
        (
            handshake_error("iex", 503),
            "The server refused the iex connection with HTTP 503.",
            "Look there. Try again in a minute.",
        ),
        (
            StreamError("The iex server gave no welcome within 5 s; it is tried again."),
            "The iex server gave no welcome within 5 s.",
            "Look there. Try again in a minute.",
        ),
        (
            ConfigError("portfolio.json cannot be read: no."),
            "portfolio.json cannot be read: no.",
            "Look there.",
        ),
    ],
)
def test_an_error_becomes_what_is_and_what_to_do(error: Exception, words: str, remedy: str):
    found = explained(error, "Look there.")

    assert (found.verdict, found.message) == (FAILED, words)
    assert (found.remedy or "").startswith(remedy)


@pytest.mark.parametrize("code", [400, 401, 402, 404, 405, 406, 407, 409, 410, 411, 412, 413, 500, None])
def test_nothing_promises_another_try_that_is_not_made(code: int | None):
    found = explained(server_error("iex", code, "something"), "Look there.")

    assert "again" not in f"{found.message} {found.remedy}".replace("Try again in a minute.", "")


@given(st.dates(date(2024, 1, 1), date(2090, 1, 1)))
def test_the_contract_that_is_asked_for_expires_on_the_next_third_friday_of_a_december(today: date):
    expiry = listed_expiry(today)

    assert (expiry.month, expiry.weekday()) == (12, 4)
    assert 15 <= expiry.day <= 21
    assert timedelta(0) < expiry - today < timedelta(days=400)


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({}, "the dashboard on this computer"),
        ({"state": RunState.ENDED}, None),
        ({"host": "another-computer", "state": RunState.ENDED}, None),
        ({"streams": {StreamName.STOCKS: stream_beat(feed="sip")}}, None),
        ({"streams": {StreamName.STOCKS: stream_beat(phase=Phase.FAILED)}}, None),
        ({"streams": {StreamName.OPTIONS: stream_beat()}}, None),
    ],
)
def test_who_holds_a_stream_is_known_from_its_heartbeat(
    tmp_path: Path, facts: dict[str, Any], named: str | None
):
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    beat = heartbeat(**{"role": Role.DASHBOARD, **facts})
    write_heartbeat(tmp_path / "options-helper" / "dashboard-4711.json", beat)
    visit = stock_visit(Settings(api_key=SecretStr(KEY), api_secret=SecretStr(SECRET)), STREAM_TIMING)

    holder = holder_of(visit, environ, AS_OF)

    assert holder == (named and f"{named} (process {beat.pid})")


def test_everything_is_told_in_one_order(environment: Environment):
    assert list(findings_of(environment)) == ALWAYS


def test_what_does_not_come_to_an_end_is_left_behind(environment: Environment):
    answering = threading.Event()
    answered: list[bool] = []

    def hanging(_folder: Path) -> int:
        answered.append(answering.wait(FOREVER))
        return 0

    found = findings_of(replace(environment, free_bytes=hanging, local_seconds=0.5))

    assert answered == [], "nobody waited for it"
    assert list(found) == ALWAYS
    assert found[Check.DISK].verdict is FAILED
    assert found[Check.DISK].message == "No answer within 0.5 s."
    answering.set()
    until_no_thread("doctor-")


def test_a_look_that_fails_costs_only_its_own_line(environment: Environment):
    def broken(_folder: Path) -> int:
        raise RuntimeError(SECRET)

    found = findings_of(replace(environment, free_bytes=broken))

    assert found[Check.DISK].message == "The look itself failed (RuntimeError)."
    assert found[Check.PYTHON].verdict is OK


def test_without_proxies_and_certificates_of_its_own_the_way_out_is_plain(environment: Environment):
    found = findings_of(environment)[Check.WAY_OUT]

    assert found.verdict is OK
    assert found.message.startswith("no proxy is named; trusted: the certificates that certifi lists")
    assert not found.details


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_named_without_its_password(environment: Environment, variable: str):
    named = with_environment(environment, **{variable: "http://me:proxySentinel@proxy.example:3128"})

    found = findings_of(named)[Check.WAY_OUT]

    assert found.verdict is OK
    assert (
        f"through the proxy proxy.example:3128, which {variable} names, for REST and streams" in found.message
    )
    assert found.details == {variable: "proxy.example:3128"}
    assert "proxySentinel" not in str(found)


def test_a_proxy_of_a_kind_that_streams_cannot_take_is_a_warning(environment: Environment):
    found = findings_of(with_environment(environment, ALL_PROXY="socks5://proxy.example:1080"))[Check.WAY_OUT]

    assert found.verdict is WARNING
    assert (
        "socks5://proxy.example:1080, which ALL_PROXY names; streams take proxies that begin" in found.message
    )
    assert "HTTPS_PROXY" in (found.remedy or "")


def test_a_proxy_that_is_not_for_alpaca_is_no_trouble(environment: Environment):
    named = with_environment(environment, HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY=".alpaca.markets")

    found = findings_of(named)[Check.WAY_OUT]

    assert found.verdict is OK
    assert found.message.startswith("HTTPS_PROXY does not count for Alpaca's hosts")


def test_certificates_that_a_variable_names_are_said_to_be_the_only_ones(
    environment: Environment, tmp_path: Path
):
    missing = tmp_path / "corporate.pem"
    named = with_environment(environment, SSL_CERT_FILE=str(missing))

    found = findings_of(named)[Check.WAY_OUT]
    assert found.verdict is FAILED
    assert f"SSL_CERT_FILE names {missing}, which is not there" in found.message

    missing.write_text(trusted_roots({}).path.read_text("utf-8"), "utf-8")
    found = findings_of(named)[Check.WAY_OUT]
    assert found.verdict is OK
    assert f"trusted: {missing} alone, which SSL_CERT_FILE names, for REST and streams alike" in found.message


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [((OK, SKIPPED), OK), ((OK, WARNING, SKIPPED), WARNING), ((WARNING, FAILED, OK), FAILED), ((), OK)],
)
def test_the_worst_line_decides(verdicts: tuple[Verdict, ...], whole: Verdict):
    assert worst([Line(Check.DISK, Finding(verdict, ""), 0.0) for verdict in verdicts]) is whole


def doctor(*arguments: object, environ: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)], env=environ)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    portfolio_file(tmp_path, json.dumps(PORTFOLIO).replace("2026-12-18", "2098-12-19"))
    return tmp_path


@pytest.mark.usefixtures("own_folder")
def test_all_well_is_exit_code_0():
    result = doctor("--offline", environ=KEYS)

    assert result.exit_code == 0, result.output
    assert re.search(r"^ok +Keys +PKSE… \(environment\)$", result.output, re.MULTILINE)
    assert re.search(r"^skipped +Stock stream +not looked at: --offline$", result.output, re.MULTILINE)
    assert result.output.endswith("What was looked at is well.\n")


@pytest.mark.usefixtures("own_folder")
def test_a_failure_is_exit_code_1_and_one_line_says_what_to_do():
    result = doctor("--offline")

    (line,) = [line for line in result.output.splitlines() if line.startswith("failed")]
    assert result.exit_code == 1
    assert "APCA_API_KEY_ID and APCA_API_SECRET_KEY not set" in line
    assert "as NAME=value, or set them in the environment" in line


def test_a_named_portfolio_that_is_broken_is_exit_code_1(own_folder: Path):
    result = doctor("--offline", "--portfolio", portfolio_file(own_folder, "[]"), environ=KEYS)

    assert result.exit_code == 1
    assert re.search(r"^failed +Portfolio ", result.output, re.MULTILINE)


def test_a_wrong_option_is_exit_code_2():
    assert doctor("--onlin").exit_code == 2


@pytest.mark.usefixtures("own_folder")
def test_programs_are_told_everything():
    result = doctor("--offline", "--json", environ=KEYS)
    content = json.loads(result.output)

    assert (result.exit_code, content["verdict"]) == (0, "ok")
    assert [check["check"] for check in content["checks"]] == ALWAYS
    assert all(
        check.keys() == {"check", "verdict", "words", "remedy", "seconds", "details"}
        for check in content["checks"]
    )


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_key_is_told_beyond_its_first_four_letters(form: tuple[str, ...]):
    result = doctor("--offline", *form, environ=KEYS)

    assert "PKSE" in result.output
    assert KEY[:5] not in result.output
    assert SECRET[:5] not in result.output


def test_on_a_narrow_terminal_the_words_stay_in_their_column(environment: Environment):
    from options_helper.commands.doctor import run_checkup

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60, color_system=None, highlight=False)

    code = run_checkup(Checkup(offline=True, environment=environment), as_json=False, console=console)

    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", screen.getvalue())
    # The words go on below themselves, where their column begins.
    assert re.search(r"failed +Keys +APCA_API_KEY_ID[^\n]+\n {24}\S", shown)
    assert code == 1


@pytest.mark.processes
def test_an_installation_that_is_not_whole_is_a_sentence(tmp_path: Path):
    program = (
        "import sys; sys.modules['msgspec'] = None; sys.argv[1:] = ['doctor', '--offline'];"
        "from options_helper.cli import main; main()"
    )

    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=A_PROCESS,
        check=False,
    )

    assert result.returncode == 2
    assert result.stderr.startswith("The installation is not whole: msgspec is missing. Install it again: ")


def test_several_accounts_are_named_and_each_has_lines_of_its_own(environment: Environment):
    file = environment.env_file.with_name("accounts.toml")
    file.write_text(
        f'[accounts.main]\nmarket_data = true\npaper = true\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
        '[accounts.ira]\nenv_file = "ira.env"\n'
        '[accounts.roth]\npaper = true\nkey = "PKROTHKEY00000000002"\nsecret = "secretOfRoth"\n',
        encoding="utf-8",
    )
    file.chmod(0o600)

    lines = list(Checkup(offline=True, environment=environment).lines())

    said = {line.check: line.finding for line in lines[: len(ALWAYS)]}
    assert said[Check.SETTINGS].message.startswith(
        "accounts main, ira, roth; market data from main, a paper account"
    )
    assert said[Check.KEYS].message == "PKSE… (from account main of accounts.toml)"
    of_others = [(line.check, line.finding.verdict, line.finding.message) for line in lines[len(ALWAYS) :]]
    assert of_others == [
        (Check.ACCOUNT, FAILED, of_others[0][2]),
        (Check.ACCOUNT, SKIPPED, "roth: not looked at: --offline"),
        (Check.ORDER_STREAM, SKIPPED, "roth: not looked at: --offline"),
    ]
    assert of_others[0][2].startswith("ira: accounts.toml, account ira: env_file")
    assert SECRET not in str(lines)
