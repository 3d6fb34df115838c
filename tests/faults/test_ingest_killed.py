"""An ingestion that is killed at any moment leaves whole windows only, and the next one goes on where it ended."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from options_helper.clock import utc_now
from options_helper.commands.ingest_daemon import watch
from options_helper.commands.ingest_open import IngestRequest, opened
from options_helper.commands.ingest_run import run_once
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.data.rest.client import AlpacaRest
from options_helper.ingest.jobs import JobName, Window
from options_helper.ingest.store import Answer, IngestStore, Table
from options_helper.model.market_hours import regular_session
from options_helper.model.portfolio import load_portfolio
from options_helper.settings import FredSettings, Settings
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.pace import LONG
from tests.kit.simulated import settings_for
from tests.kit.waiting import AT_ONCE, FOREVER, wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture

PORTFOLIO: Final = Path(__file__).resolve().parents[2] / "portfolio.json"
KILLS: Final = 50
# So long before the market's day that every kill comes amid catching up.
DAYS_BEHIND: Final = 1_000
JOB: Final = JobName.DAILY_BARS

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.test_ingest_killed"])


def ingest(settings: Settings, out: Path) -> None:
    """What the process does that is killed; by another signal it says first where it is."""
    faulthandler.register(signal.SIGUSR1, chain=True)
    with (
        ShutdownSignals() as shutdown,
        opened(
            IngestRequest(out, PORTFOLIO, (JOB,)), settings, FredSettings(), now=utc_now, rest_cls=AlpacaRest
        ) as found,
    ):
        watch(found, shutdown, lambda _: None)


@contextmanager
def ingesting(settings: Settings, out: Path) -> Iterator[None]:
    """A process that ingests and has stored something more; killed at the end."""
    before = len(kept(out))
    process = _CONTEXT.Process(target=ingest, args=(settings, out))
    process.start()
    try:
        # However busy the machine is: it lives, so it is at work, and one that has ended has not waited.
        wait_until(lambda: len(kept(out)) > before or not process.is_alive(), FOREVER)
        assert process.exitcode is None, "it ended by itself"
        yield
    except BaseException:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGUSR1)
            process.join(AT_ONCE)
        raise
    finally:
        process.kill()
        process.join()


def stored_long_ago(out: Path, settings: Settings, market_day: datetime) -> None:
    """As if the last ingestion had been then, so that there is much to catch up."""
    until = market_day - timedelta(days=DAYS_BEHIND)
    with IngestStore(out, market=settings.market_kind) as store:
        window = Window(until - timedelta(hours=6), until, until)
        store.keep(JOB, "all", window, Answer(Table(("symbol",)), until))


def kept(out: Path) -> list[datetime]:
    return [entry.since for entry in IngestStore(out).entries(JOB)]


@pytest.mark.skipif(
    not LONG, reason="takes minutes, and each step of a kill has a test of its own: sh scripts/check-long"
)
def test_killed_at_any_moment_it_has_each_session_once_and_whole(
    tmp_path: Path, running_simulator: Callable[..., SimulatorServer]
):
    market = SeededMarket(load_portfolio(PORTFOLIO))
    settings = replace(settings_for(running_simulator(market)), rest_per_minute=10_000)
    market_day = datetime.fromtimestamp(market.start_ns / 1e9, UTC)
    stored_long_ago(tmp_path, settings, market_day)
    chance = random.Random(7)

    for _ in range(KILLS):
        with ingesting(settings, tmp_path):
            # Not waiting for a fact: the moment of the kill is what is drawn.
            time.sleep(chance.uniform(0, 0.05))
    assert run_once(IngestRequest(tmp_path, PORTFOLIO, (JOB,)), settings=settings, say=lambda _: None) == 0

    store = IngestStore(tmp_path)
    entries = list(store.entries(JOB))[1:]
    first, last = entries[0].since.date(), entries[-1].since.date()
    days = [first + timedelta(days=count) for count in range((last - first).days + 1)]
    sessions = [session.opens for day in days if (session := regular_session(day)) is not None]
    assert [entry.since for entry in entries] == sessions
    assert last == (market_day - timedelta(days=1)).date()
    assert all(len(list(store.read(JOB, entry))) == entry.rows for entry in entries)
    files = {
        path.name for path in (tmp_path / "ingest" / JOB / "all").iterdir() if not path.name.startswith(".")
    }
    assert len(files) == len(entries) + 1
