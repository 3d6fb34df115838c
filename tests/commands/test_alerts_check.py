"""`alerts check`: what rules judge now and from which figures, as a stranger at a terminal meets it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.cli import app
from options_helper.clock import utc_now
from options_helper.errors import ConfigError
from options_helper.model.providers import BudgetReport, EndpointReport, FailureKind, ProviderReport
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Heartbeat, JobBeat, Role, RunState
from options_helper.monitoring.heartbeat_file import write_heartbeat
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import nanoseconds, new_york, portfolio, position
from tests.kit.heartbeats import heartbeat, stream_beat


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "rec"
    found.mkdir()
    return found


def check(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["alerts", "check", *map(str, arguments)], catch_exceptions=False)


def told(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(check(*arguments, "--json").stdout)
    return found


def written(folder: Path, age: float = -20.0, **more: Any) -> Path:
    """The heartbeat of a capture, written so many seconds ago by this computer's clock.

    Unless said otherwise a little ahead, so that no slow machine makes it old.
    """
    now = utc_now()
    beat = heartbeat(started_at=now - timedelta(minutes=10), written_at=now - timedelta(seconds=age), **more)
    path = folder / ".health.json"
    write_heartbeat(path, beat)
    return path


def test_a_capture_whose_heartbeat_is_35_seconds_old_is_overdue_without_a_file_of_rules(folder: Path):
    path = written(folder, 35.0)

    for named in (path, folder):
        result = check("--state", named)

        assert result.exit_code == 1
        lines = result.stdout.splitlines()
        idle = sum(line.startswith("NOTHING TO JUDGE") for line in lines)
        judged = sum(line.startswith(("MET ", "CANNOT BE JUDGED ", "NOT MET ")) for line in lines)
        assert idle > 0
        assert lines[0] == (
            f"4 rules, {idle} of them with nothing to judge. {judged} judgement{'s' * (judged > 1)}: "
            f"1 met, 0 that cannot be judged, {judged - 1} not met."
        )
        assert lines[1].startswith("MET               overdue heartbeat  The capture (process ")
        assert lines[1].count("The capture (process ") == 1
        matched = re.fullmatch(
            r".* last wrote its heartbeat (\d+) s ago: .* From its heartbeat, (\d+) s old\.", lines[1]
        )
        assert matched is not None
        assert min(map(int, matched.groups())) >= 35


def test_one_that_keeps_up_is_not_met_and_a_longer_patience_is_the_users(folder: Path):
    assert check("--state", written(folder)).exit_code == 0
    assert check("--state", written(folder, 35.0), "--max-lag", "1h").exit_code == 0


def test_one_that_ended_in_order_is_not_overdue_and_one_that_was_killed_is(folder: Path):
    ended = check("--state", written(folder, 3_600, state=RunState.ENDED))
    gone = check("--state", written(folder, pid=2**22 + 1))

    assert (ended.exit_code, gone.exit_code) == (0, 1)
    assert "ended in order" in ended.stdout
    assert "is gone without a word" in gone.stdout


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_heartbeat_that_is_not_there_or_is_none_cannot_be_judged(folder: Path, content: str | None):
    path = folder / ".health.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    found = told("--state", path)

    assert check("--state", path).exit_code == 1
    (judgement,) = (one for one in found["judgements"] if one["rule"] == "overdue heartbeat")
    assert judgement["verdict"] == "cannot be judged"
    assert judgement["inputs"][0]["why_not"]


def test_without_any_run_there_is_nothing_to_judge():
    result = check()

    assert result.exit_code == 0
    assert "There is nothing now that it is about: each run." in result.stdout


def test_an_ingestion_is_judged_by_its_jobs_and_its_provider(folder: Path):
    now = utc_now() + timedelta(seconds=20)
    late = JobBeat(every_seconds=60, watermark_at=now, watermark_age_seconds=700, late_seconds=600)
    refused = EndpointReport(requests=4, failing=1, failing_as=FailureKind.REFUSED)
    budget = BudgetReport(per_minute=200, share=200, left=0, programs=1)
    beat: Heartbeat = replace(
        heartbeat(role=Role.INGESTION, written_at=now, started_at=now, streams={}),
        jobs={"AAPL 1Min": late},
        providers={
            "data.alpaca.markets": ProviderReport(budget=budget, endpoints={"/v2/stocks/bars": refused})
        },
    )
    write_heartbeat(folder / ".ingest-health.json", beat)
    own = folder / "alerts.toml"
    own.write_text(
        '[[rules]]\nname = "old"\n'
        'subject = "ingest:AAPL 1Min"\nfigure = "watermark_age"\noperator = ">"\nlevel = 600\n',
        encoding="utf-8",
    )

    found = told("--state", folder, "--rules", own)

    met = {one["rule"]: one for one in found["judgements"] if one["verdict"] == "met"}
    assert met.keys() == {"late watermark", "refused key", "exhausted budget", "old"}
    assert met["old"]["inputs"][0]["value"] >= 700
    assert "refuses this key" in met["refused key"]["sentence"]


def test_the_phase_of_a_recorders_stream_is_judged_from_its_heartbeat(folder: Path):
    own = folder / "alerts.toml"
    own.write_text(
        '[[rules]]\nname = "deaf"\nsubject = "stream:stocks"\nfigure = "phase"\noperator = "is_not"\nlevel = "live"\n',
        encoding="utf-8",
    )

    assert check("--state", written(folder), "--rules", own).exit_code == 0
    stalled = written(folder, streams={"stocks": stream_beat(phase="stalled")})
    assert check("--state", stalled, "--rules", own).exit_code == 1


def test_a_broken_file_is_an_error_with_file_rule_and_field(folder: Path):
    own = folder / "mine.toml"
    own.write_text('[[rules]]\nname = "x"\ncolour = 1\n', encoding="utf-8")

    with pytest.raises(ConfigError, match=r"mine\.toml, rule 'x'"):
        check("--rules", own)
    with pytest.raises(ConfigError, match="There is no"):
        check("--rules", folder / "none.toml")
    with pytest.raises(ConfigError, match="--max-lag"):
        check("--max-lag", "soon")


def test_everything_is_in_the_json(folder: Path):
    found = told("--state", written(folder, 35.0))

    (judgement,) = (one for one in found["judgements"] if one["verdict"] == "met")
    assert {
        "as_of",
        "rules",
        "met",
        "not_judged",
        "judgements",
        "nothing_to_judge",
        "problems",
    } == found.keys()
    assert judgement["subject"] == f"capture {os.getpid()}"
    assert judgement["inputs"][0]["source"] == "its heartbeat"
    assert judgement["inputs"][0]["age_seconds"] >= 35


ON_SPY = '[[rules]]\nname = "each"\nsubject = "each leg"\nfigure = "mark"\noperator = "<"\nlevel = 1\n'


def test_rules_about_the_book_cannot_be_judged_without_keys_or_without_a_book(folder: Path):
    own = folder / "alerts.toml"
    own.write_text(ON_SPY, encoding="utf-8")

    nothing_held = told("--rules", own)
    (folder.parent / "portfolio.json").write_text(portfolio_text(portfolio(position())), encoding="utf-8")
    no_keys = check("--rules", own)

    assert "portfolio.json cannot be read" in nothing_held["judgements"][0]["sentence"]
    assert no_keys.exit_code == 1
    assert "each leg: mark cannot be judged: no keys" in no_keys.stdout
    with pytest.raises(ConfigError, match=r"none\.json"):
        check(folder / "none.json", "--rules", own)


def test_one_look_over_rest_says_how_the_book_stands(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Through the wire and the real client: a short put in the money, an account with little money."""
    instant = new_york("2026-11-20 14:30")
    put = position("AAPL", 200, "put", contracts=-1, expiry=instant.date(), identity="put")
    file = folder / "portfolio.json"
    file.write_text(portfolio_text(portfolio(put)), encoding="utf-8")
    own = folder / "alerts.toml"
    own.write_text(
        '[[rules]]\nname = "tested"\nsubject = "each short leg"\nfigure = "distance_to_strike"\noperator = "<="\n'
        'level = 0\n[[rules]]\nname = "power"\nsubject = "account"\nfigure = "buying_power"\noperator = "below"\n'
        'level = 500\ntargets = ["phone"]\n[[rules]]\nname = "far"\nsubject = "underlying:AAPL"\nfigure = "price"\n'
        'operator = "above"\nlevel = 500\n',
        encoding="utf-8",
    )
    server = SimulatorServer(SilentMarket(start_ns=nanoseconds(instant)), key=DEMO_KEY, secret=DEMO_SECRET)
    server.start()
    try:
        for name, value in {
            "APCA_API_KEY_ID": DEMO_KEY,
            "APCA_API_SECRET_KEY": DEMO_SECRET,
            "APCA_API_BASE_URL": server.rest_url,
            "OH_ALPACA_DATA_URL": server.rest_url,
            "OH_ALPACA_STREAM_URL": server.stream_url,
            "OH_RISK_RATES": "2026-11-20 0.04",
        }.items():
            monkeypatch.setenv(name, value)
        server.account.set_position("AAPL261120P00200000", -1, 1)
        server.account.set_cash(100)
        server.push(StreamName.STOCKS, [_quote("AAPL", 189.99, 190.01, instant)])

        found = told(file, "--rules", own)
    finally:
        server.stop()

    verdicts = {one["rule"]: one["verdict"] for one in found["judgements"]}
    assert verdicts == {"tested": "met", "power": "met", "far": "not met"}
    assert found["as_of"].startswith("2026-11-20T19:3")
    assert "The rule 'power' is for the target 'phone', which there is not." in found["problems"]


def _quote(symbol: str, bid: float, ask: float, at: datetime) -> dict[str, Any]:
    return {"T": "q", "S": symbol, "bp": bid, "bs": 5, "ap": ask, "as": 5, "t": at.astimezone(UTC)}
