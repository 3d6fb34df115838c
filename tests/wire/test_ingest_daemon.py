"""The daemon as a whole against a market on a real socket: heartbeat, metrics, an orderly end."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from options_helper.clock import utc_now
from options_helper.commands.ingest_daemon import Waiting, watch
from options_helper.commands.ingest_open import IngestRequest, opened
from options_helper.data.rest.client import AlpacaRest
from options_helper.errors import StoreError
from options_helper.ingest.jobs import JobName
from options_helper.ingest.store import IngestStore
from options_helper.model.portfolio import load_portfolio
from options_helper.monitoring.heartbeat import Heartbeat, Role, RunState
from options_helper.monitoring.heartbeat_file import INGESTION_FILE, read_heartbeat
from options_helper.settings import FredSettings
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.simulated import PATIENT_REST, settings_for
from tests.kit.waiting import at_once, wait_until

PORTFOLIO = Path(__file__).resolve().parents[2] / "portfolio.json"


@pytest.fixture
def server(running_simulator: Callable[..., SimulatorServer]) -> SimulatorServer:
    """A market that plays a Friday at 10:00 in New York."""
    return running_simulator(SeededMarket(load_portfolio(PORTFOLIO)))


class UntilFact:
    """A signal that comes when something is so."""

    def __init__(self, fact: Callable[[], bool]) -> None:
        self._fact = fact

    def wait(self, seconds: float) -> int:
        """Wait for it, however short the listener would wait."""
        del seconds
        wait_until(self._fact)
        return 1


def run_until(
    fact: Callable[[], bool],
    server: SimulatorServer,
    out: Path,
    *jobs: JobName,
    said: list[str] | None = None,
) -> int:
    return run_by(UntilFact(fact), server, out, PORTFOLIO, *jobs, said=said)


def run_by(
    waiting: Waiting,
    server: SimulatorServer,
    out: Path,
    portfolio: Path,
    *jobs: JobName,
    said: list[str] | None = None,
) -> int:
    said = [] if said is None else said
    patient = partial(AlpacaRest, policy=PATIENT_REST)
    request = IngestRequest(out, portfolio, jobs)
    with opened(request, settings_for(server), FredSettings(), now=utc_now, rest_cls=patient) as found:  # type: ignore[arg-type]
        return watch(found, waiting, said.append, metrics_port=0)


class Steps:
    """Waits for one fact after the other, does what follows on it, and is a signal after the last."""

    def __init__(self, *steps: tuple[Callable[[], bool], Callable[[], object]]) -> None:
        self._steps = list(steps)

    def wait(self, seconds: float) -> int:
        """Wait for the next fact, however short the listener would wait."""
        del seconds
        fact, then = self._steps.pop(0)
        wait_until(fact)
        then()
        return 0 if self._steps else 1


def kept(out: Path, job: JobName) -> int:
    return sum(1 for _ in IngestStore(out).entries(job))


def beat_of(out: Path) -> Heartbeat:
    beat = read_heartbeat(out / INGESTION_FILE)
    assert beat is not None
    return beat


def test_it_asks_for_what_is_due_tells_how_it_goes_and_ends_in_order(server: SimulatorServer, tmp_path: Path):
    said: list[str] = []
    beats: list[Heartbeat] = []
    pages: list[str] = []

    def all_kept() -> bool:
        if kept(tmp_path, JobName.CHAINS) < 5 or kept(tmp_path, JobName.CONTRACTS) < 5:
            return False
        beats.append(beat_of(tmp_path))
        address = said[0].removeprefix("Metrics are at ")
        with urllib.request.urlopen(address) as answer:  # noqa: S310 - our own
            pages.append(answer.read().decode())
        told = beats[-1].jobs
        return told["contracts"].successes == 5 and 'job_successes_total{job="contracts"} 5.0' in pages[-1]

    assert run_until(all_kept, server, tmp_path, JobName.CHAINS, JobName.CONTRACTS, said=said) == 0

    running, ended = beats[-1], beat_of(tmp_path)
    assert (running.role, running.state) == (Role.INGESTION, RunState.RUNNING)
    assert set(running.jobs) == {"chains", "contracts"}
    assert running.jobs["chains"].next_due_at is not None
    assert (
        sum(host.endpoints["/v1beta1/options/snapshots"].requests for host in running.providers.values()) == 5
    )
    assert (ended.state, ended.problem) == (RunState.ENDED, None)
    assert said[-1] == "Ended, because it was asked to end."


def test_a_stop_while_the_server_hangs_waits_for_nobody(server: SimulatorServer, tmp_path: Path):
    def is_asked() -> bool:
        return (tmp_path / INGESTION_FILE).exists()

    server.set_faults(Faults(rest_hang=True, rest_path="/v1beta1/options/snapshots"))

    with at_once():
        assert run_until(is_asked, server, tmp_path, JobName.CHAINS) == 0

    assert kept(tmp_path, JobName.CHAINS) == 0


def test_what_fails_until_the_end_is_in_heartbeat_and_exit_code(server: SimulatorServer, tmp_path: Path):
    server.set_faults(Faults(rest_status=403, rest_path="/v1beta1/options/snapshots"))
    said: list[str] = []

    def all_failed() -> bool:
        return beat_of(tmp_path).jobs["chains"].failing == 5

    assert run_until(all_failed, server, tmp_path, JobName.CHAINS, said=said) == 1

    assert "HTTP 403" in str(beat_of(tmp_path).jobs["chains"].problem)
    assert said[-1] == beat_of(tmp_path).problem == "Failing at the end: chains."


def test_it_follows_the_portfolio_and_keeps_its_last_good_reading(server: SimulatorServer, tmp_path: Path):
    """What is bought is asked for without a restart; an edit that breaks the file is told, and harms nothing."""
    file, said = tmp_path / "mine.json", list[str]()
    whole = json.loads(PORTFOLIO.read_text())
    file.write_text(json.dumps(whole | {"positions": whole["positions"][:1]}))
    out = tmp_path / "out"

    steps = Steps(
        (lambda: kept(out, JobName.CHAINS) == 1, lambda: file.write_bytes(PORTFOLIO.read_bytes())),
        (lambda: kept(out, JobName.CHAINS) == 5, lambda: file.write_text("{")),
        (lambda: "is not valid JSON" in (beat_of(out).problem or ""), lambda: None),
    )
    assert run_by(steps, server, out, file, JobName.CHAINS, said=said) == 0

    assert any(line.startswith("New in the portfolio, and asked for from now on: AAPL") for line in said)
    assert any(line.endswith("What it said before is asked for meanwhile.") for line in said)
    assert kept(out, JobName.CHAINS) == 5


def test_a_second_ingestion_does_not_begin(server: SimulatorServer, tmp_path: Path):
    with IngestStore(tmp_path), pytest.raises(StoreError, match="is being written by"):
        run_until(lambda: True, server, tmp_path, JobName.CHAINS)
