"""An ingestion that is ready to work: the folder's one writer, a client, and what of the portfolio is asked for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from options_helper.clock import elapsed_seconds
from options_helper.commands.capture_market import MarketAsked
from options_helper.commands.capture_options import require_folder
from options_helper.commands.ingest_portfolio import FollowedPortfolio
from options_helper.data.fred import Fred
from options_helper.data.recording.close_gaps import close_gaps
from options_helper.data.rest.budget_ledger import INGESTION
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.market_time import market_day
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.ingest.asking import Asker, offered_jobs
from options_helper.ingest.jobs import DEFAULT_CHAINS_EVERY, Job, JobName, all_jobs
from options_helper.ingest.store import IngestStore
from options_helper.ingest.work import Ingestion
from options_helper.settings import FredSettings, Settings

_OF_THE_HOURS: Final = frozenset({"/v2/calendar", "/v2/clock"})


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """Everything the command line says."""

    out: Path
    portfolio: Path
    jobs: tuple[JobName, ...] = ()  # none: all
    chains_every: timedelta = DEFAULT_CHAINS_EVERY
    per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class OpenIngestion:
    """An ingestion that can work, and what it works with."""

    ingestion: Ingestion
    settings: Settings
    folder: Path
    end_requests: tuple[Callable[[], object], ...]  # each ends what is asked at that moment, from any thread
    limits: RequestLimits
    market: Callable[[], datetime]  # the market's time
    take_news: Callable[[], list[str]]  # of the market's hours and of clocks; a sentence each
    portfolio: FollowedPortfolio


@contextmanager
def opened(
    request: IngestRequest,
    settings: Settings,
    fred_settings: FredSettings,
    *,
    now: Callable[[], datetime],
    rest_cls: Callable[..., AlpacaRest],
    fred_cls: Callable[..., Fred] = Fred,
) -> Iterator[OpenIngestion]:
    """The folder's one writer and a client, ready to work; OptionsHelperError where that cannot be."""
    settings.require_credentials()
    require_folder(request.out)
    portfolio = FollowedPortfolio(request.portfolio)
    jobs = jobs_of(request, fred_settings)
    limits = RequestLimits(INGESTION, at_most=per_minute_of(request, settings))
    hours = MarketAsked(settings, rest_cls, limits, now, elapsed_seconds)
    store = IngestStore(request.out, market=settings.market_kind, now=hours.now)
    rest = rest_cls(settings, limits=limits, server_clock=hours.server_clock, now=now)
    with store, rest, hours, ExitStack() as stack:
        fred = None
        if fred_settings.api_key is not None:
            fred = stack.enter_context(fred_cls(fred_settings, random=random.random, limits=limits))
        market = _market_clock(rest, settings, now, hours.now)
        asker = Asker(
            settings,
            lambda: portfolio.selection,
            store,
            lambda: rest,
            now=now,
            elapsed=elapsed_seconds,
            requested=lambda: _requested(limits),
            close_gaps=close_gaps,
            fred=fred,
            market=market,
        )
        ingestion = Ingestion(
            jobs,
            lambda: portfolio.selection,
            store,
            asker,
            now=market,
            servers_now=hours.servers_now,
            elapsed=elapsed_seconds,
            random=random.random,
            told=lambda: hours.told,
            demanded=request.jobs,
        )
        ends = (rest.stop,) if fred is None else (rest.stop, fred.stop)
        yield OpenIngestion(
            ingestion, settings, request.out, ends, limits, market, hours.take_news, portfolio
        )


def _requested(limits: RequestLimits) -> int:
    """For windows; the market's hours are asked for beside them, on another thread."""
    return sum(
        endpoint.requests
        for host in limits.report().values()
        for family, endpoint in host.endpoints.items()
        if family not in _OF_THE_HOURS
    )


def _market_clock(
    rest: AlpacaRest, settings: Settings, now: Callable[[], datetime], market: Callable[[], datetime]
) -> Callable[[], datetime]:
    """The market's time, or that of a session which a simulator plays. Blocks for that one; RestError."""
    day = market_day(rest, settings, now())
    if not day.plays or day.at is None:
        return market
    ahead = day.at - now()
    return lambda: now() + ahead


def per_minute_of(request: IngestRequest, settings: Settings) -> int:
    """What this program takes of the account's minute at most."""
    share = max(1, int(settings.rest_per_minute * INGESTION.ceiling))
    return share if request.per_minute is None else min(request.per_minute, share)


def jobs_of(request: IngestRequest, fred: FredSettings) -> list[Job]:
    """Those that are wanted; ConfigError for one that was named and cannot be done."""
    offered = offered_jobs(fred=fred.api_key is not None)
    if JobName.FRED in request.jobs:
        fred.require_key()
    return [job for job in all_jobs(request.chains_every) if job.name in (request.jobs or offered)]
