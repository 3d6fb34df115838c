"""The ingest commands against a market on a real socket, with alpaca-py's own clients."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from options_helper.clock import utc_now
from options_helper.commands.ingest_open import IngestRequest, opened
from options_helper.commands.ingest_run import run_once, show_plan
from options_helper.data.rest.client import AlpacaRest
from options_helper.errors import ConfigError, RestError
from options_helper.ingest.asking import Asker
from options_helper.ingest.course import TooSoon
from options_helper.ingest.jobs import JobName, Window
from options_helper.ingest.store import Answer, IngestStore, Table
from options_helper.model.instants import datetime_nanoseconds, timestamp_extension
from options_helper.model.portfolio import load_portfolio
from options_helper.model.providers import FailureKind
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Heartbeat, Role, RunState
from options_helper.monitoring.heartbeat_file import INGESTION_FILE, read_heartbeat
from options_helper.settings import FredSettings, Settings
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.scripted_server import Reply, Request, ScriptedServer
from tests.kit.simulated import PATIENT_REST, settings_for

NEWS = StreamName.NEWS
PORTFOLIO = Path(__file__).resolve().parents[2] / "portfolio.json"
Say = list[str]
Run = Callable[..., int]


@pytest.fixture
def server(running_simulator: Callable[..., SimulatorServer]) -> SimulatorServer:
    """A market that plays a Friday at 10:00 in New York."""
    return running_simulator(SeededMarket(load_portfolio(PORTFOLIO)))


@pytest.fixture
def said() -> Say:
    return []


@pytest.fixture
def run(server: SimulatorServer, tmp_path: Path, said: Say) -> Run:
    """Do these jobs once, into the test's folder."""

    def ran(*jobs: JobName, settings: Settings | None = None, fred: FredSettings | None = None) -> int:
        request = IngestRequest(tmp_path, PORTFOLIO, jobs)
        patient = partial(AlpacaRest, policy=PATIENT_REST)
        return run_once(
            request,
            settings=settings or settings_for(server),
            fred=fred,
            rest_cls=patient,  # type: ignore[arg-type]
            say=said.append,
        )

    return ran


def rows(root: Path, job: JobName, subject: str) -> Iterator[dict[str, str]]:
    (path,) = (root / "ingest" / job / subject).glob("*.csv.gz")
    yield from csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode()))


def test_what_nobody_thought_of_costs_its_job_only(
    run: Run, said: Say, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def has_a_bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("options_helper.ingest.asking.contracts_table", has_a_bug)

    assert run(JobName.CONTRACTS, JobName.DAILY_BARS) == 1

    assert any("failed by a fault of this program (ZeroDivisionError)" in line for line in said)
    assert any(line.startswith("daily-bars") and "row" in line for line in said)
    assert "ZeroDivisionError" in caplog.text


def test_everything_that_is_due_is_asked_for_and_kept(run: Run, tmp_path: Path, said: Say):
    assert run() == 0, said

    chain = list(rows(tmp_path, JobName.CHAINS, "SPY"))
    assert {row["symbol"][:3] for row in chain} == {"SPY"}
    assert all(float(row["ask"]) > 0 for row in chain)
    assert {row["slot_ns"] for row in chain} == {
        str(int(datetime(2026, 11, 20, 15, tzinfo=UTC).timestamp()) * 10**9)
    }
    contracts = list(rows(tmp_path, JobName.CONTRACTS, "BRK.B"))
    assert [row["open_interest_day"] for row in contracts] == ["2026-11-19"]
    assert {row["type"] for row in rows(tmp_path, JobName.CORPORATE_ACTIONS, "all")} == {"cash_dividends"}
    days = list(rows(tmp_path, JobName.DAILY_BARS, "all"))
    assert {row["symbol"] for row in days} >= {"SPY", "AAPL", "BRK.B"}
    assert said[-1].endswith("windows kept.")
    assert {entry.market for entry in IngestStore(tmp_path).entries(JobName.CHAINS)} == {"local"}


def test_what_is_kept_is_not_asked_for_again(run: Run, said: Say):
    assert run(JobName.CHAINS, JobName.CONTRACTS) == 0
    said.clear()

    assert run(JobName.CHAINS, JobName.CONTRACTS) == 0
    assert said == ["Nothing is due."]


def test_gaps_are_looked_at_whenever_somebody_names_them(run: Run, said: Say, tmp_path: Path):
    """The job is due each quarter of an hour by itself."""
    assert run(JobName.GAPS) == 0
    assert run(JobName.GAPS) == 0

    assert [line.partition(",")[0] for line in said] == ["gaps", "1 window kept."] * 2
    assert len(list(IngestStore(tmp_path).entries(JobName.GAPS))) == 2


def test_while_it_runs_it_has_a_heartbeat_which_says_at_the_end_how_it_went(
    run: Run, server: SimulatorServer, tmp_path: Path, said: Say, monkeypatch: pytest.MonkeyPatch
):
    during: list[Heartbeat | None] = []
    asks = Asker.ask

    def looks(asker: Asker, *question: Any) -> Any:
        during.append(read_heartbeat(tmp_path / INGESTION_FILE))
        return asks(asker, *question)

    monkeypatch.setattr(Asker, "ask", looks)
    assert run(JobName.CONTRACTS) == 0

    first, last = during[0], read_heartbeat(tmp_path / INGESTION_FILE)
    assert first is not None
    assert last is not None
    assert (first.role, first.state, first.pid) == (Role.INGESTION, RunState.RUNNING, os.getpid())
    assert first.jobs["contracts"].late_seconds is not None
    assert (last.state, last.problem, last.jobs["contracts"].successes) == (RunState.ENDED, None, 5)
    assert any("/v2/options/contracts" in host.endpoints for host in last.providers.values())


def test_a_run_that_fails_says_so_in_its_last_heartbeat(run: Run, server: SimulatorServer, tmp_path: Path):
    server.set_faults(Faults(rest_status=403, rest_path="/v1beta1/options/snapshots"))

    assert run(JobName.CHAINS) == 1

    beat = read_heartbeat(tmp_path / INGESTION_FILE)
    assert beat is not None
    assert (beat.state, beat.problem) == (RunState.ENDED, "Failing at the end: chains.")


def test_a_bar_that_does_not_come_is_named(run: Run, said: Say):
    assert run(JobName.MACRO_PROXIES) == 0

    assert "No bar came of QQQ, IWM, DIA, TLT, IEF and 7 more." in said[0]


def test_pages_are_followed(run: Run, server: SimulatorServer, tmp_path: Path):
    server.set_faults(Faults(rest_page=20))

    assert run(JobName.CHAINS) == 0

    entries = {entry.subject: entry for entry in IngestStore(tmp_path).entries(JobName.CHAINS)}
    assert (entries["SPY"].rows, entries["SPY"].requests) == (58, 3)


def test_a_server_that_fails_costs_the_window_and_is_said(
    run: Run, server: SimulatorServer, tmp_path: Path, said: Say
):
    server.set_faults(Faults(rest_status=500, rest_path="/v1beta1/options/snapshots/SPY"))

    assert run(JobName.CHAINS) == 1

    store = IngestStore(tmp_path)
    assert store.watermark(JobName.CHAINS, "SPY") is None
    assert store.watermark(JobName.CHAINS, "AAPL") is not None
    assert "chains SPY, Fri 20 Nov 10:00: failed." in said[0]
    assert "HTTP 500" in said[0]
    assert said[-1] == "4 windows kept, 1 failed; what failed is due again."


def test_a_wrong_key_keeps_nothing_and_says_what_to_check(run: Run, server: SimulatorServer, tmp_path: Path):
    wrong = settings_for(server, secret="wrong")  # noqa: S106 - it opens nothing

    with pytest.raises(RestError, match="Check APCA_API_KEY_ID"):
        run(JobName.CHAINS, settings=wrong)

    assert not list(tmp_path.rglob("*.csv.gz"))


def test_a_plan_connects_to_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Nobody listens at these addresses."""
    monkeypatch.setenv("APCA_API_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OH_ALPACA_DATA_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OH_ALPACA_STREAM_URL", "ws://127.0.0.1:9")
    at = datetime(2026, 11, 25, 15, 1, tzinfo=UTC)

    show_plan(IngestRequest(tmp_path / "new", PORTFOLIO), as_json=True, now=lambda: at)

    told = json.loads(capsys.readouterr().out)
    chains = [planned for planned in told["jobs"] if planned["job"] == "chains"]
    assert [len(planned["windows"]) for planned in chains] == [1] * 5
    assert told["requests"] > 20
    assert not (tmp_path / "new").exists()


def test_a_plan_is_a_table_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    at = datetime(2026, 11, 25, 15, 1, tzinfo=UTC)

    show_plan(IngestRequest(tmp_path, PORTFOLIO, (JobName.CHAINS,)), now=lambda: at)

    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["chains", "SPY", "1", "4", "Wed", "25", "Nov", "10:15"]
    assert lines[-1] == "5 windows due, 20 requests, about 10 s at 100 a minute."


def test_a_plan_names_a_session_that_came_without_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    opens, closes = (datetime(2026, 11, 25, hour, 30, tzinfo=UTC) for hour in (14, 20))
    again = datetime(2026, 11, 27, 9, 20, tzinfo=UTC)
    with IngestStore(tmp_path) as store:
        nothing = Answer(Table(("symbol",)), closes, again_at=again)
        store.keep(JobName.DAILY_BARS, "all", Window(opens, closes, closes), nothing)

    show_plan(
        IngestRequest(tmp_path, PORTFOLIO, (JobName.DAILY_BARS,)), now=lambda: again - timedelta(hours=1)
    )

    assert capsys.readouterr().out.splitlines()[-1] == (
        "daily-bars: no row at all came of Wed 25 Nov 2026, which may be a hole; asked for again from Fri 27 Nov 04:20 "
        "on."
    )


def test_nothing_is_asked_without_keys(tmp_path: Path):
    with pytest.raises(ConfigError, match="no Alpaca keys"):
        run_once(IngestRequest(tmp_path, PORTFOLIO), settings=Settings())


def fred_answers(request: Request) -> Reply:
    """Three days, of which one was a holiday; one series that is no more."""
    if request.query["series_id"] == "SOFR":
        return Reply({"error_code": 400}, status=400)
    value = {"DGS3MO": "3.90"}.get(request.query["series_id"], "17.1")
    days = (("2026-11-17", value), ("2026-11-18", "."), ("2026-11-19", value))
    return Reply(
        {
            "observations": [
                {"date": day, "value": said, "realtime_start": "2026-11-20", "realtime_end": "2026-11-20"}
                for day, said in days
            ]
        }
    )


def test_fred_is_asked_where_there_is_a_key_and_a_series_that_is_no_more_costs_itself(
    run: Run, tmp_path: Path, said: Say
):
    evening = SeededMarket(load_portfolio(PORTFOLIO), start=datetime(2026, 11, 20, 23, 30, tzinfo=UTC))
    fred = ScriptedServer()
    fred.answer = fred_answers
    server = SimulatorServer(evening)
    server.start()
    try:
        found = run(
            JobName.FRED,
            settings=settings_for(server),
            fred=FredSettings(SecretStr("abcdef0123456789"), fred.url),
        )
    finally:
        server.stop()
        fred.close()

    assert found == 0
    stored = list(rows(tmp_path, JobName.FRED, "all"))
    assert {row["series"] for row in stored} == {"VIXCLS", "DGS3MO", "DGS2", "DGS10", "T10Y2Y"}
    assert [row["value"] for row in stored if row["series"] == "DGS3MO"] == ["3.90", "", "3.90"]
    assert {row["vintage"] for row in stored} == {"2026-11-20"}
    assert "6 requests" in said[0]
    assert "SOFR) refused (HTTP 400)" in said[0]
    beat = read_heartbeat(tmp_path / INGESTION_FILE)
    assert beat is not None
    told = beat.providers[urlsplit(fred.url).netloc].endpoints["/fred/series/observations"]
    assert (told.successes, told.failures) == (5, {FailureKind.QUESTION: 1})
    asked = fred.requests[0]
    assert (asked.path, asked.query["observation_start"]) == ("/fred/series/observations", "2026-10-21")
    assert "APCA-API-KEY-ID" not in asked.headers


def test_a_clock_that_is_ahead_is_put_right_by_the_first_answer_before_that_is_stored(tmp_path: Path):
    """Also where the market says nothing yet of its hours, by which it tells its time otherwise."""
    server = ScriptedServer()
    server.answer = lambda request: Reply({"news": []}, silent=request.path == "/v2/calendar")
    settings = Settings(
        api_key=SecretStr("key"), api_secret=SecretStr("secret"), base_url=server.url, data_url=server.url
    )
    request = IngestRequest(tmp_path, PORTFOLIO, (JobName.NEWS,))
    try:
        with opened(
            request,
            settings,
            FredSettings(),
            now=lambda: utc_now() + timedelta(hours=7),
            rest_cls=partial(AlpacaRest, policy=PATIENT_REST),  # type: ignore[arg-type]
        ) as found:
            task = found.ingestion.look().task
            assert task is not None
            with pytest.raises(TooSoon):
                found.ingestion.do(task)

            at = found.market()
            assert abs(at - utc_now()) < timedelta(minutes=1)
            entry = found.ingestion.do(replace(task, window=Window(at - timedelta(hours=1), at, at)))
            assert abs(entry.written_at - utc_now()) < timedelta(minutes=1)
    finally:
        server.close()


def test_articles_of_the_hour_are_kept_once_each_with_both_times_and_without_their_html(
    run: Run, server: SimulatorServer, tmp_path: Path
):
    made = datetime(2026, 11, 20, 13, 10, tzinfo=UTC)

    def article(number: int, headline: str, symbol: str, *, minutes: int = 0) -> dict[str, Any]:
        changed = made + timedelta(minutes=minutes)
        return {
            "T": "n",
            "id": number,
            "headline": headline,
            "content": "<script>alert()</script>",
            "created_at": timestamp_extension(datetime_nanoseconds(made)),
            "updated_at": timestamp_extension(datetime_nanoseconds(changed)),
            "symbols": [symbol],
        }

    changed = article(1, "Changed", "SPY", minutes=49)
    server.push(
        NEWS, [changed, article(2, "Of others", "ZZZ"), article(3, "Of the next hour", "SPY", minutes=50)]
    )
    server.flush()

    assert run(JobName.NEWS) == 0

    (row,) = rows(tmp_path, JobName.NEWS, "all")
    assert (row["id"], row["headline"], row["symbols"]) == ("1", "Changed", "SPY")
    assert int(row["updated_ns"]) - int(row["created_ns"]) == 49 * 60 * 10**9
    assert "script" not in "".join(row.values())


def test_without_a_key_fred_is_not_asked_and_says_what_it_lacks(run: Run):
    with pytest.raises(ConfigError, match="no FRED_API_KEY"):
        run(JobName.FRED)
