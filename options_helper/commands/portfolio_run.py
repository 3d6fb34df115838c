"""Do what the `portfolio` commands say: read the file, ask the account, tell both; the account is never changed."""

from __future__ import annotations

import math
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from options_helper.analysis.contract_terms import term_doubts
from options_helper.analysis.marks import read_marks
from options_helper.analysis.reconcile.account_import import doubtful_roots, import_portfolio, portfolio_text
from options_helper.analysis.reconcile.contract_check import (
    NamedContract,
    named_contracts,
    record_findings,
    share_findings,
)
from options_helper.analysis.reconcile.grouping import group_entries
from options_helper.analysis.reconcile.portfolio_check import (
    CostDoubt,
    cost_doubts,
    findings,
    has_expired,
    judged_costs,
    picture,
)
from options_helper.analysis.reconcile.reconciliation import Reconciliation, proposed_edit, reconcile
from options_helper.clock import utc_now
from options_helper.commands.portfolio_display import RequestStatus, Screen
from options_helper.data.accounts_file import load_accounts, load_settings
from options_helper.data.atomic_file import replace_file
from options_helper.data.rest.account_reading import AccountReading, read_account
from options_helper.data.rest.budget_ledger import COMMAND
from options_helper.data.rest.calendar_watch import ask_told_sessions
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.contract_records import read_contract_record
from options_helper.data.rest.market_time import is_demo, known_day, market_day, server_time
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.rest.seeding import seed
from options_helper.data.streaming.polling.fill_backfill import read_backfill
from options_helper.data.streaming.state.blotter import settled_executions
from options_helper.errors import ConfigError, RestError
from options_helper.model.account import AccountMove, AccountPositions, Execution
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_records import ContractRecord
from options_helper.model.contract_symbols import short_date
from options_helper.model.events import Quote, Trade
from options_helper.model.market_hours import NEW_YORK, MarketDay, new_york_date
from options_helper.model.portfolio import Portfolio, load_portfolio
from options_helper.model.problems import Problem, sentences
from options_helper.model.streams import DEFAULT_ACCOUNT
from options_helper.model.text import format_count
from options_helper.model.told_sessions import format_told
from options_helper.model.tolerant import word
from options_helper.settings import NO_KEYS, Settings

FINE: Final = 0
DIFFERENT: Final = 1
CANNOT_SAY: Final = 2
STDOUT: Final = Path("-")
# A file that was copied or saved again is of an earlier day than its time says.
TRIED_BEFORE: Final = timedelta(days=30)
# What was traded longer ago than that is not asked for; a file so old is better written anew.
HISTORY_AT_MOST: Final = timedelta(days=90)


def check_file(
    path: Path,
    screen: Screen | None = None,
    *,
    now: Callable[[], datetime] = utc_now,
    rest_cls: Callable[..., AlpacaRest] = AlpacaRest,
) -> int:
    """Tell what a file holds and what is to be looked at; the exit code. ConfigError when it is no portfolio."""
    screen = screen or Screen()
    portfolio = load_portfolio(path)
    settings = load_accounts().settings_for(None, portfolio.account, path.name)
    instant = now()
    today, refusal = _market_day(screen, settings, instant, rest_cls)
    if (said := picture(portfolio, path.name, today)) is not None:
        screen.say(said)
    screen.portfolio(portfolio)
    unknown: list[str] = []
    records: dict[str, ContractRecord] = {}
    costs = cost_doubts(portfolio)
    prices: dict[str, float] = {}
    if settings.has_credentials and refusal is None:
        try:
            with _connected("the symbols", screen, settings, rest_cls) as (waiting, rest):
                unknown.extend(_doubtful_symbols(portfolio, rest, today, waiting, records))
                prices = _prices_for(costs, rest, settings, today.at or instant)
        except RestError as error:
            refusal = error
    problem = None if refusal is None else f"The symbols were not compared with Alpaca's: {refusal}"
    if not settings.has_credentials:
        screen.remark(f"The symbols were not compared with Alpaca's. {NO_KEYS}")
    if portfolio.as_of is None:
        _say_whose_day(screen, today, instant)
    # What a record was read of is compared with that, and with nothing else.
    doubts = [one.sentence for one in term_doubts(portfolio, {}) if one.symbol not in records]
    slips, remarks = judged_costs(costs, prices)
    found = (*findings(portfolio, today), *slips, *doubts, *unknown)
    for sentence in found:
        screen.finding(sentence)
    for sentence in (*remarks, *([] if problem is None else [problem])):
        screen.remark(sentence)
    held = f"{path.name}: {_entries(portfolio)}"
    if problem is None:
        screen.verdict(f"{held}; {_counted(len(found), len(remarks), 'nothing to look at')}.")
    else:
        known = _counted(len(found), len(remarks), "nothing to look at in the file itself")
        screen.verdict(f"{held}; {known}, but whether Alpaca knows all symbols cannot be said.")
    return screen.end(DIFFERENT if found else FINE if problem is None else CANNOT_SAY)


def _counted(found: int, remarks: int, nothing: str) -> str:
    """What all of it comes to; where something was remarked it is not nothing."""
    said = [f"{found} to look at"] if found else []
    if remarks:
        said.append(format_count(remarks, "remark"))
    return ", ".join(said) or nothing


def import_account(
    out: Path,
    *,
    group: bool,
    force: bool,
    account: str | None = None,
    screen: Screen | None = None,
    now: Callable[[], datetime] = utc_now,
    rest_cls: Callable[..., AlpacaRest] = AlpacaRest,
) -> int:
    """Write the account as a portfolio file, or print it; the exit code. ConfigError when a file is in the way."""
    screen = screen or Screen()
    if out != STDOUT and not force:
        _require_free(out)
    settings = load_settings(account)
    with _connected("the positions", screen, settings, rest_cls) as (waiting, rest):
        reading = _read_account(rest, now(), waiting)
        underlyings, doubts = _underlyings(rest, reading.view, waiting)
    imported = import_portfolio(reading.view, underlyings)
    # Of the only one there is, nothing need be written down.
    portfolio = imported.portfolio.changed(
        account=None if settings.account == DEFAULT_ACCOUNT else settings.account
    )
    if group:
        grouping = group_entries(portfolio.positions)
        portfolio = portfolio.changed(positions=grouping.entries)
        for proposal in grouping.proposals:
            screen.remark(proposal.reason)
    problems = (*reading.problems, *imported.problems)
    for problem in (*problems, *doubts):
        screen.remark(problem)
    if out == STDOUT:
        screen.say(portfolio_text(portfolio).rstrip("\n"))
    else:
        _write(out, portfolio_text(portfolio), force=force)
        screen.say(f"{out.name}: {_entries(portfolio)} written.")
    return DIFFERENT if problems else FINE


def compare_with_account(
    path: Path,
    since: date | None,
    screen: Screen | None = None,
    *,
    account: str | None = None,
    now: Callable[[], datetime] = utc_now,
) -> int:
    """Tell where a file and the account differ, and why; the exit code. ConfigError, RestError when it cannot."""
    screen = screen or Screen()
    portfolio = load_portfolio(path)
    settings = load_accounts().settings_for(account, portfolio.account, path.name)
    instant = now()
    with _connected("the market's time", screen, settings) as (waiting, rest):
        as_of = server_time(rest) or instant
        today = _with_hours(
            MarketDay(new_york_date(as_of), plays=is_demo(settings), at=as_of), as_of, rest, screen
        )
        if since is not None:
            _require_past(since, today)
        day = since or _day_of(path, as_of)
        reading = _read_account(rest, as_of, waiting)
        waiting.request("the executions")
        executions, moves, doubts = _changes_since(rest, day, as_of)
        waiting.request("the prices")
        marks, more = _marks(rest, settings, portfolio, reading.view)
        compare = partial(reconcile, portfolio, reading.view, today=today.date, marks=marks, told=today.told)
        found = compare(executions, file_date=day, moves=moves)
        if since is None and found.unexplained:
            waiting.request("the executions before the file was written")
            earlier = day - TRIED_BEFORE
            executions, moves, doubts_before = _changes_since(rest, earlier, as_of)
            again = compare(executions, file_date=earlier, moves=moves)
            if again.unexplained < found.unexplained:
                found, doubts = again, (*doubts_before, Problem(_looked_before(path, day, earlier)))
    screen.comparison(found.rows)
    screen.cash(portfolio, reading.view.cash)
    _say_whose_day(screen, today, instant)
    for problem in (*reading.problems, *found.remarks, *sentences((*doubts, *more), with_questions=True)):
        screen.remark(problem)
    if edit := proposed_edit(found.rows):
        screen.edit(edit, differs=any(row.advice and not row.agrees for row in found.rows))
    screen.verdict(_verdict(found, path.name))
    return screen.end(CANNOT_SAY if found.agrees is None else FINE if found.agrees else DIFFERENT)


def _market_day(
    screen: Screen, settings: Settings, instant: datetime, rest_cls: Callable[..., AlpacaRest]
) -> tuple[MarketDay, RestError | None]:
    """The day of the market, for which a demo is asked, and why it did not say it; with keys, as it tells its hours."""
    known = known_day(settings, instant)
    if not settings.has_credentials:
        return known, None
    try:
        with _connected("the market's time", screen, settings, rest_cls) as (_, rest):
            return _with_hours(market_day(rest, settings, instant), instant, rest, screen), None
    except RestError as error:
        return known, error


def _with_hours(today: MarketDay, instant: datetime, rest: AlpacaRest, screen: Screen) -> MarketDay:
    """The day with what the market says of its hours; where that cannot be asked for, it is said."""
    try:
        told = ask_told_sessions(rest, today.at or instant)
    except RestError as error:
        screen.remark(f"The market's hours could not be asked for, so the program's calendar stands: {error}")
        return today
    if told:
        screen.remark(f"The market's own calendar differs, and is believed: {format_told(told)}.")
    return replace(today, told=told)


def _say_whose_day(screen: Screen, today: MarketDay, instant: datetime) -> None:
    if today.plays and today.date != new_york_date(instant):
        screen.remark(
            f"The market that is asked plays {short_date(today.date)}; what has expired is judged by that day."
        )


def _day_of(path: Path, as_of: datetime) -> date:
    """When the file was last written; today at the latest, since a played market's day may be long past."""
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return new_york_date(min(written, as_of))


@contextmanager
def _connected(
    what: str, screen: Screen, settings: Settings, rest_cls: Callable[..., AlpacaRest] = AlpacaRest
) -> Iterator[tuple[RequestStatus, AlpacaRest]]:
    """A client, and beside it what the screen shows while it is waited for."""
    limits = RequestLimits(COMMAND)
    with (
        screen.waiting(what, partial(limits.held, settings)) as waiting,
        rest_cls(settings, limits=limits) as rest,
    ):
        yield waiting, rest


def _looked_before(path: Path, day: date, earlier: date) -> str:
    return (
        f"{path.name} was last written on {short_date(day)}, and what was traded before that, since "
        f"{short_date(earlier)}, explains more: it may have been copied, or saved again. "
        "--since DAY names the day of which it is."
    )


def _verdict(found: Reconciliation, name: str) -> str:
    differing = sum(row.agrees is False for row in found.rows)
    unknown = sum(row.agrees is None for row in found.rows)
    if differing:
        return f"{name} and the account differ in {differing} of {len(found.rows)} lines."
    if unknown:
        return f"{name} and the account cannot be compared in {unknown} of {len(found.rows)} lines."
    return f"{name} and the account agree."


def _require_past(since: date, today: MarketDay) -> None:
    if since > today.date:
        raise ConfigError(
            f"--since {since} lies in the future: it is {today.date} in {today.place}. "
            "Name the day of which the file is."
        )


def _read_account(rest: AlpacaRest, now: datetime, waiting: RequestStatus) -> AccountReading:
    waiting.request("the positions")
    positions = rest.positions()
    waiting.request("the cash")
    return read_account(positions, rest.account(), now)


def _underlyings(
    rest: AlpacaRest, view: AccountPositions, waiting: RequestStatus
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What contracts are written on, by root, where the root alone may not tell it; and why that is not known."""
    found: dict[str, str] = {}
    try:
        for root, symbol in doubtful_roots(view).items():
            waiting.request(f"the record of {symbol}")
            underlying = word((rest.option_contract(symbol) or {}).get("underlying_symbol"))
            found |= {root: underlying} if underlying else {}
    except RestError as error:
        return found, (f"What some contracts are written on is taken from their symbols: {error}",)
    return found, ()


def _changes_since(
    rest: AlpacaRest, day: date, now: datetime
) -> tuple[tuple[Execution, ...], tuple[AccountMove, ...], tuple[Problem, ...]]:
    """What changed the account since a day in New York, and why that is not all of it, if it is not."""
    begin = datetime.combine(day, time(), NEW_YORK)
    earliest = now - HISTORY_AT_MOST
    too_old = (
        ()
        if begin >= earliest
        else (Problem(f"What was traded before {new_york_date(earliest)} was not asked for."),)
    )
    try:
        backfill = read_backfill(rest, max(begin, earliest))
    except RestError as error:
        return (), (), (Problem.of(error, "the account's executions, so the causes are guesses"),)
    executions, doubts, moves = settled_executions(backfill.updates)
    return executions, moves, (*too_old, *map(Problem, (*backfill.problems, *doubts)))


def _marks(
    rest: AlpacaRest, settings: Settings, portfolio: Portfolio, view: AccountPositions
) -> tuple[dict[str, float], tuple[Problem, ...]]:
    """Our own prices of everything that the file or the account holds, and why some are missing."""
    instruments = {one.live_symbol: one for one in portfolio.instruments}
    contracts = {symbol for symbol, one in instruments.items() if one.is_option}
    contracts |= {symbol for symbol, one in view.positions.items() if one.is_option}
    stocks = (instruments.keys() | view.positions.keys()) - contracts
    return _prices(rest, settings, stocks, contracts, view.as_of)


def _prices_for(
    costs: Iterable[CostDoubt], rest: AlpacaRest, settings: Settings, at: datetime
) -> dict[str, float]:
    """What the contracts are written on stands at; a price that is not known leaves a remark what it is."""
    names = {one.instrument.underlying for one in costs if not is_index(one.instrument.underlying)}
    return _prices(rest, settings, names, (), at)[0] if names else {}


def _prices(
    rest: AlpacaRest, settings: Settings, stocks: Collection[str], contracts: Collection[str], as_of: datetime
) -> tuple[dict[str, float], tuple[Problem, ...]]:
    """Our own prices of these, dollars a share, and why some are missing."""
    quotes: dict[str, Quote] = {}
    trades: dict[str, Trade] = {}
    problems: tuple[Problem, ...] = ()
    try:
        for batch in seed(
            rest,
            sorted(stocks),
            sorted(contracts),
            stock_feed=settings.stock_feed,
            options_feed=settings.options_feed,
            today=new_york_date(as_of),
        ):
            quotes |= {quote.symbol: quote for quote in batch.quotes}
            trades |= {trade.symbol: trade for trade in batch.trades}
    except RestError as error:
        problems = (Problem.of(error, "what some of it is worth"),)
    symbols = sorted({*stocks, *contracts})
    marks = read_marks(
        [quotes.get(symbol) for symbol in symbols],
        [trades.get(symbol) for symbol in symbols],
        is_option=np.array([symbol in contracts for symbol in symbols], dtype=bool),
        as_of=as_of,
    )
    known = zip(symbols, marks.price.tolist(), strict=True)
    return {symbol: price for symbol, price in known if not math.isnan(price)}, problems


def _doubtful_symbols(
    portfolio: Portfolio,
    rest: AlpacaRest,
    today: MarketDay,
    waiting: RequestStatus,
    records: dict[str, ContractRecord],
) -> Iterator[str]:
    """A sentence for every symbol that Alpaca does not know, lists no longer, or has other terms of than the file.

    What it has on record goes into `records`.
    """
    held: dict[str, list[NamedContract]] = {}
    for one in named_contracts(portfolio):
        # What has expired is listed no longer, and is said already.
        if not has_expired(one.instrument, today):
            held.setdefault(one.instrument.live_symbol, []).append(one)
    for symbol, holders in held.items():
        waiting.request(holders[0].instrument.label)
        row = rest.option_contract(symbol)
        if row is None:
            yield _unknown(f"{holders[0].instrument.label} ({symbol})")
            continue
        record = records[symbol] = read_contract_record(symbol, row)
        yield from dict.fromkeys(sentence for one in holders for sentence in record_findings(one, record))
    for symbol in dict.fromkeys(one.underlying for one in portfolio.instruments):
        if not is_index(symbol):
            waiting.request(symbol)
            asset = rest.asset(symbol)
            yield from [_unknown(symbol)] if asset is None else _asset_findings(symbol, asset)


def _unknown(what: str) -> str:
    return f"Alpaca does not know {what}. Check symbol, expiry and strike."


def _asset_findings(symbol: str, asset: Mapping[str, object]) -> Iterator[str]:
    tradable = asset.get("tradable")
    return share_findings(
        symbol,
        word(asset.get("class")),
        word(asset.get("status")),
        tradable=tradable if isinstance(tradable, bool) else None,
    )


def _require_free(path: Path) -> None:
    if path.exists():
        raise ConfigError(f"{path.name} is there already. Name another file, or write over it with --force.")


def _write(path: Path, text: str, *, force: bool) -> None:
    """Put the whole text there or nothing; without `force`, only where no file is."""
    path = path.resolve()
    reserved = False
    try:
        if not force:
            # From here on the name is ours, even if somebody else looks at it at the same moment.
            path.touch(exist_ok=False)
            reserved = True
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
        replace_file(path, text.encode(), mode=mode, durable=True)
    except FileExistsError:
        _require_free(path)
    except OSError as error:
        if reserved:
            path.unlink(missing_ok=True)
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"{path.name} cannot be written: {reason}. Name another place.") from error


def _entries(portfolio: Portfolio) -> str:
    count = len(portfolio.positions)
    return "1 entry" if count == 1 else f"{count} entries"
