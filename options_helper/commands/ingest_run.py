"""Ask for what is due, once, and print how it went; and say beforehand what that would be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import typer

from options_helper.clock import elapsed_seconds, utc_now
from options_helper.commands.durations import format_duration, parse_duration
from options_helper.commands.ingest_heartbeat import heartbeat
from options_helper.commands.ingest_open import IngestRequest, jobs_of, opened, per_minute_of
from options_helper.commands.shutdown_signals import Interrupted, ShutdownSignals
from options_helper.data.accounts_file import load_market_settings
from options_helper.data.fred import Fred
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.market_time import known_day
from options_helper.errors import ConfigError, OptionsHelperError
from options_helper.ingest.course import Task
from options_helper.ingest.jobs import JobName
from options_helper.ingest.plan import IngestPlan, PlannedJob, plan_ingestion
from options_helper.ingest.selection import Selection
from options_helper.ingest.store import Entry, IngestStore
from options_helper.ingest.work import Ingestion
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import load_portfolio
from options_helper.model.text import format_count, named, table_lines
from options_helper.monitoring.heartbeat_file import INGESTION_FILE
from options_helper.settings import FredSettings, Settings

log = logging.getLogger(__name__)

SHORTEST_EVERY: Final = timedelta(minutes=5)
LONGEST_EVERY: Final = timedelta(minutes=15)
_COLUMNS: Final = ("job", "of", "due", "requests", "next due (New York)")


def read_jobs(words: Sequence[str]) -> tuple[JobName, ...]:
    """The jobs of these names, each once; ConfigError names those there are."""
    known = {job.value: job for job in JobName}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise ConfigError(f"There is no job {unknown[0]!r}. The jobs are: {', '.join(known)}.")
    return tuple(dict.fromkeys(known[word] for word in words))


def read_every(text: str) -> timedelta:
    """How often chains are asked for; ConfigError where that is too often or too rarely."""
    try:
        every = timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--chains-every: {error}") from error
    if not SHORTEST_EVERY <= every <= LONGEST_EVERY:
        raise ConfigError(f"--chains-every {text}: use 5m to 15m.")
    return every


def show_plan(
    request: IngestRequest,
    *,
    as_json: bool = False,
    fred: FredSettings | None = None,
    now: Callable[[], datetime] = utc_now,
) -> None:
    """Print what is due; connects to nothing."""
    settings = load_market_settings()
    at = known_day(settings, now()).at or now()
    selection = Selection.of(load_portfolio(request.portfolio))
    store = IngestStore(request.out, market=settings.market_kind)
    store.require_same_market()
    plan = plan_ingestion(
        jobs_of(request, fred or FredSettings.load()),
        selection,
        store,
        at,
        per_minute=per_minute_of(request, settings),
        demanded=request.jobs,
    )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(_facts(plan, at))).decode())
        return
    rows = [_plan_row(planned) for planned in plan.jobs]
    typer.echo("\n".join(table_lines(_COLUMNS, rows, right={"due", "requests"})))
    due = sum(len(planned.windows) for planned in plan.jobs)
    typer.echo(
        f"{format_count(due, 'window')} due, {format_count(plan.requests, 'request')}, about "
        f"{format_duration(plan.seconds)} at {plan.per_minute} a minute."
        if due
        else "Nothing is due."
    )
    for sentence in filter(None, map(_empty_line, plan.jobs)):
        typer.echo(sentence)
    if selection.left_out:
        typer.echo(selection.left_out)


def _empty_line(planned: PlannedJob) -> str:
    """Which sessions came without a row; empty where none did."""
    if not planned.empty:
        return ""
    days = [f"{one.since.astimezone(NEW_YORK):%a %d %b %Y}" for one in planned.empty]
    again = min(one.again_at for one in planned.empty).astimezone(NEW_YORK)
    return (
        f"{planned.job}: no row at all came of {named(days)}, which may be a hole; "
        f"asked for again from {again:%a %d %b %H:%M} on."
    )


def _plan_row(planned: PlannedJob) -> tuple[str, ...]:
    next_due = planned.next_due_at
    return (
        planned.job,
        planned.subject,
        str(len(planned.windows)),
        str(planned.requests),
        "not known" if next_due is None else f"{next_due.astimezone(NEW_YORK):%a %d %b %H:%M}",
    )


def _facts(plan: IngestPlan, at: datetime) -> dict[str, Any]:
    return {
        "as_of": at.astimezone(UTC),
        "requests": plan.requests,
        "seconds": plan.seconds,
        "requests_per_minute": plan.per_minute,
        "jobs": [asdict(planned) for planned in plan.jobs],
    }


def run_once(
    request: IngestRequest,
    *,
    settings: Settings | None = None,
    fred: FredSettings | None = None,
    now: Callable[[], datetime] = utc_now,
    rest_cls: Callable[..., AlpacaRest] = AlpacaRest,
    fred_cls: Callable[..., Fred] = Fred,
    say: Callable[[str], object] = typer.echo,
) -> int:
    """Do what is due; the exit code. Blocks, on the main thread."""
    settings = settings or load_market_settings()
    with (
        ShutdownSignals() as shutdown,
        opened(
            request, settings, fred or FredSettings.load(), now=now, rest_cls=rest_cls, fred_cls=fred_cls
        ) as found,
        heartbeat(found, found.folder / INGESTION_FILE, now=now, elapsed=elapsed_seconds),
    ):
        try:
            with shutdown.raising():
                if found.portfolio.selection.left_out:
                    say(found.portfolio.selection.left_out)
                return 0 if _do_all(found.ingestion, say) else 1
        except Interrupted:
            say("Asked to end before everything was done. What is kept is whole; the rest is due again.")
            return 1


def _do_all(ingestion: Ingestion, say: Callable[[str], object]) -> bool:
    """Whether all of it is kept; one that fails waits, so the others get their turn."""
    kept, failed = 0, 0
    while (task := ingestion.look().task) is not None:
        try:
            say(entry_line(task, ingestion.do(task)))
            kept += 1
        except Exception as error:
            # What nobody thought of costs its window; the ones after it get their turn.
            if not isinstance(error, OptionsHelperError):
                log.exception("%s failed", task_name(task))
            say(failure_line(task, error))
            failed += 1
    if not kept and not failed:
        say("Nothing is due.")
    elif failed:
        say(f"{format_count(kept, 'window')} kept, {failed} failed; what failed is due again.")
    else:
        say(f"{format_count(kept, 'window')} kept.")
    return not failed


def task_name(task: Task) -> str:
    """For people: "chains SPY, Wed 25 Nov 10:00"."""
    subject = "" if task.subject == "all" else f" {task.subject}"
    return f"{task.job}{subject}, {task.window.since.astimezone(NEW_YORK):%a %d %b %H:%M}"


def entry_line(task: Task, entry: Entry) -> str:
    """What a stored window has in it, for people."""
    notes = "".join(f"\n  {note}" for note in entry.notes)
    return (
        f"{task_name(task)}: {format_count(entry.rows, 'row')}, {format_count(entry.requests, 'request')}, "
        f"{entry.seconds:.1f} s{notes}"
    )


def failure_line(task: Task, error: Exception) -> str:
    """Why a window is not stored, for people."""
    if isinstance(error, OptionsHelperError):
        return f"{task_name(task)}: failed. {error}"
    return f"{task_name(task)}: failed by a fault of this program ({type(error).__name__}). The log has it."
