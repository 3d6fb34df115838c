"""One look at a book over REST, for commands that look once: its positions, prices, and what risk figures need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Final

from options_helper.analysis.reconcile.account_import import doubtful_roots, import_portfolio
from options_helper.analysis.reconcile.grouping import group_entries
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.commands.portfolio_display import RequestStatus, Screen
from options_helper.data.betas_file import load_betas
from options_helper.data.dividends_file import load_dividends
from options_helper.data.rest.account_reading import read_account
from options_helper.data.rest.budget_ledger import COMMAND
from options_helper.data.rest.calendar_watch import ask_told_sessions
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.expiry_chains import chain_requests, read_chain
from options_helper.data.rest.market_time import server_time
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.rest.risk_readings import read_corporate_actions, read_daily_closes
from options_helper.data.rest.seeding import seed, session_closes
from options_helper.data.streaming.polling.account_look import look_at_account
from options_helper.data.streaming.polling.book_poller import read_books
from options_helper.data.streaming.polling.expiry_reading import read_expiry_facts
from options_helper.errors import RestError
from options_helper.model.account import AccountState, PreviousClose, RestTask
from options_helper.model.alpaca_symbols import fund_of_index, is_index
from options_helper.model.contract_hours import has_ended
from options_helper.model.contract_symbols import is_contract_symbol, other_type
from options_helper.model.events import Quote, RestQuote, Trade
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions, new_york_date
from options_helper.model.portfolio import AccountPortfolio, Instrument, Portfolio
from options_helper.model.problems import Problem
from options_helper.model.risk_inputs import ExpiryChain, RiskInputs, SessionClose, VendorGreeks
from options_helper.model.snapshot import LiveSnapshot, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.model.text import format_count, named
from options_helper.model.tolerant import word
from options_helper.settings import RiskSettings, Settings

DEFAULT_FILE: Final = Path("portfolio.json")
STALE_AFTER_SECONDS: Final = 30.0
# Of the account's requests a minute all programs together have two hundred.
CHAINS_AT_MOST: Final = 60
# Alpaca's own market of coins.
COINS_AT: Final = "us"


def risk_choices(settings: RiskSettings) -> RiskChoices:
    """What the user decided of the risk figures; ConfigError for a file of betas or of dividends that is none."""
    return RiskChoices(
        settings.rates,
        settings.assume_dividends,
        load_betas(settings.betas_file).betas,
        own_dividends=load_dividends(settings.dividends_file),
    )


@contextmanager
def connected(
    screen: Screen, settings: Settings, rest_cls: Callable[..., AlpacaRest]
) -> Iterator[tuple[RequestStatus, AlpacaRest]]:
    """A client of Alpaca's, and a word at the terminal while it does not answer."""
    limits = RequestLimits(COMMAND)
    with (
        screen.waiting("the market's time", partial(limits.held, settings)) as waiting,
        rest_cls(settings, limits=limits) as rest,
    ):
        yield waiting, rest


def book_of_account(
    rest: AlpacaRest, now: datetime, waiting: RequestStatus
) -> tuple[Portfolio, tuple[str, ...]]:
    """The account's positions as a portfolio, grouped by rule, and what of them is left out."""
    waiting.request("the positions")
    positions = rest.positions()
    waiting.request("the cash")
    reading = read_account(positions, rest.account(), now)
    underlyings: dict[str, str] = {}
    for root, symbol in doubtful_roots(reading.view).items():
        waiting.request(f"the record of {symbol}")
        underlying = word((rest.option_contract(symbol) or {}).get("underlying_symbol"))
        underlyings |= {root: underlying} if underlying else {}
    imported = import_portfolio(reading.view, underlyings)
    grouped = group_entries(imported.portfolio.positions)
    portfolio = AccountPortfolio(cash=imported.portfolio.cash, positions=tuple(grouped.entries))
    return portfolio, (*reading.problems, *imported.problems)


def look(
    rest: AlpacaRest,
    settings: Settings,
    portfolio: Portfolio,
    choices: RiskChoices,
    *,
    now: Callable[[], datetime],
    waiting: RequestStatus,
    problems: list[Problem],
) -> LiveSnapshot:
    """One snapshot of all that the book's risk needs; what could not be had is among the problems."""
    clock = _MarketClock(rest, now, problems)
    at = clock.read()
    told: ToldSessions = NOTHING_TOLD
    try:
        told = ask_told_sessions(rest, at)
    except RestError as error:
        problems.append(Problem.of(error, "the market's hours, so the program's calendar stands"))
    shares = list(dict.fromkeys(_shares(portfolio)))
    waiting.request("dividends and daily bars")
    funds = [fund for one in portfolio.instruments if (fund := fund_of_index(one.underlying)) is not None]
    inputs = _inputs(rest, shares, [choices.index, *shares, *funds], at, problems)
    waiting.request("the account's positions and fills")
    account = look_at_account(rest, clock)
    problems += _of_account(account)
    waiting.request("the prices")
    quotes: dict[str, Quote] = {}
    trades: dict[str, Trade] = {}
    greeks: dict[str, VendorGreeks] = {}
    closes: dict[str, PreviousClose] = {}
    ends: dict[tuple[str, date], SessionClose] = {}
    executed = {
        one.symbol for one in account.executions if account.view and not account.view.is_foreign(one.symbol)
    }
    alone = _held_by_account_alone(portfolio, account, at, told)
    contracts = {one for one in executed if is_contract_symbol(one)}.union(_contracts(portfolio, at, told))
    contracts |= {one.live_symbol for one in alone if one.is_option}
    coins = list(dict.fromkeys(one.live_symbol for one in portfolio.instruments if one.is_coin))
    stocks = {choices.index, *shares, *(one.underlying for one in alone if not is_index(one.underlying))}
    stocks |= {one for one in executed if not is_contract_symbol(one)}
    seeds = partial(
        seed,
        rest,
        stock_feed=settings.stock_feed,
        options_feed=settings.options_feed,
        today=new_york_date(at),
        coin_location=COINS_AT,
    )
    for batches, unknown in (
        (seeds(sorted(stocks), sorted(contracts)), "some prices"),
        (seeds((), (), coins=coins), "what coins were worth when the day began"),
    ):
        try:
            for batch in batches:
                quotes |= {one.symbol: one for one in batch.quotes}
                trades |= {one.symbol: one for one in batch.trades}
                greeks |= {one.symbol: one for one in batch.greeks}
                closes |= {one.symbol: one for one in batch.closes}
                ends |= session_closes(batch.newest_closes, clock())
                problems += map(Problem, batch.unreadable)
        except RestError as error:
            problems.append(Problem.of(error, unknown))
    try:
        quotes |= _coin_quotes(rest, coins)
    except RestError as error:
        problems.append(Problem.of(error, "the prices of coins"))
    waiting.request("the options around the money")
    held = _held_contracts(portfolio, at, told)
    chains = _chains(rest, held, quotes, clock, feed=settings.options_feed, problems=problems)
    at = clock.read()
    return LiveSnapshot(
        as_of=at,
        quotes=MappingProxyType(quotes),
        trades=MappingProxyType(trades),
        account=replace(account, closes=MappingProxyType(closes)),
        risk_inputs=replace(
            inputs,
            vendor_greeks=MappingProxyType(greeks),
            chains=MappingProxyType(chains),
            session_closes=MappingProxyType(ends),
        ),
        told_sessions=told,
        streams=MappingProxyType(
            {
                StreamName.STOCKS: StreamHealth(StreamName.STOCKS, feed=settings.stock_feed),
                StreamName.OPTIONS: StreamHealth(StreamName.OPTIONS, feed=settings.options_feed),
            }
        ),
    )


def with_account(
    rest: AlpacaRest,
    live: LiveSnapshot,
    portfolio: Portfolio,
    waiting: RequestStatus,
    problems: list[Problem],
) -> LiveSnapshot:
    """The snapshot with the account of now and with what is told of contracts that end; what failed is a problem."""
    waiting.request("the account")
    account = live.account
    try:
        reading = read_account(rest.positions(), rest.account(), live.as_of)
    except RestError as error:
        problems.append(Problem.of(error, "what the account holds and what it has to buy with"))
    else:
        account = replace(account, view=reading.view)
        problems += map(Problem, reading.problems)
    listed = () if account.view is None else filter(is_contract_symbol, account.view.positions)
    waiting.request("contracts that end")
    facts = _expiry_facts(rest, {*_listed(portfolio), *listed}, live.as_of, problems)
    today = new_york_date(live.as_of)
    of_today = tuple(one for one in facts.executions if one.day == today)
    known = facts.executions_since is not None
    account = replace(account, executions=of_today, executions_day=today if known else None)
    return replace(live, account=account, expiry_facts=facts)


def with_records(
    rest: AlpacaRest,
    live: LiveSnapshot,
    portfolio: Portfolio,
    waiting: RequestStatus,
    problems: list[Problem],
) -> LiveSnapshot:
    """The snapshot with the records of contracts that end soon or are adjusted; what failed is a problem."""
    waiting.request("contracts that end")
    facts = _expiry_facts(rest, _listed(portfolio), live.as_of, problems, traded=False)
    return replace(live, expiry_facts=facts)


def _listed(portfolio: Portfolio) -> set[str]:
    return {one.live_symbol for one in portfolio.instruments if one.is_option}


def _expiry_facts(
    rest: AlpacaRest, contracts: set[str], at: datetime, problems: list[Problem], *, traded: bool = True
) -> ExpiryFacts:
    told = read_expiry_facts(rest, contracts, at, traded=traded)
    problems += told.problems
    if told.left:
        problems.append(
            Problem(
                f"One look has room for so many questions: {format_count(told.left, 'question')} more had none, so "
                "their roots decide how they are settled and how long they are traded."
            )
        )
    return told.facts


class _MarketClock:
    """The market's time: asked for when a look begins and when it ends, and by this computer's in between.

    Where the market's clock alone cannot be read, this computer's stands, and that is said.
    """

    def __init__(self, rest: AlpacaRest, now: Callable[[], datetime], problems: list[Problem]) -> None:
        self._rest = rest
        self._now = now
        self._problems = problems
        self._ahead = timedelta()
        self._is_readable = True

    def read(self) -> datetime:
        """Ask; RestError where nobody answers at all, or the keys are refused."""
        try:
            told = server_time(self._rest) if self._is_readable else None
        except RestError as error:
            if error.status in (None, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise
            self._is_readable = False
            told = None
            self._problems.append(Problem.of(error, "the market's time, so this computer's clock stands"))
        if told is not None:
            self._ahead = told - self._now()
        return self()

    def __call__(self) -> datetime:
        return self._now() + self._ahead


def _inputs(
    rest: AlpacaRest, shares: Sequence[str], with_beta: Sequence[str], at: datetime, problems: list[Problem]
) -> RiskInputs:
    """Dividends of shares, and daily bars; of two questions the one that fails costs itself."""
    today, inputs = new_york_date(at), RiskInputs()
    try:
        actions = read_corporate_actions(rest, shares, today, at) if shares else {}
        inputs = replace(inputs, actions=MappingProxyType(actions))
    except RestError as error:
        problems.append(Problem.of(error, "dividends"))
    try:
        closes = read_daily_closes(rest, list(dict.fromkeys(with_beta)), today, at)
        inputs = replace(inputs, closes=MappingProxyType(closes))
    except RestError as error:
        problems.append(Problem.of(error, "daily bars, and so betas"))
    return inputs


def _of_account(account: AccountState) -> Iterator[Problem]:
    """Why nothing is known of the account, where it could not be asked."""
    for problem in account.reports[RestTask.POSITIONS].problems:
        yield replace(problem, unknown="what is held and was traded today")


def _coin_quotes(rest: AlpacaRest, pairs: Sequence[str]) -> dict[str, Quote]:
    """The best bid and ask of coins: of them only whole order books can be asked for."""
    books = read_books(rest.latest_books(pairs, COINS_AT)) if pairs else {}
    return {
        symbol: RestQuote(
            symbol=symbol,
            timestamp=book.made_ns,
            received_ns=book.made_ns,
            bid_price=book.bids[0].price if book.bids else None,
            ask_price=book.asks[0].price if book.asks else None,
        )
        for symbol, book in books.items()
        if book.made_ns is not None
    }


def _chains(
    rest: AlpacaRest,
    contracts: Sequence[str],
    quotes: Mapping[str, Quote],
    now: Callable[[], datetime],
    *,
    feed: str,
    problems: list[Problem],
) -> dict[str, ExpiryChain]:
    """What is quoted around the money: of each index expiry, and of an expiry of each share."""
    spots = {
        symbol: (quote.bid_price + quote.ask_price) / 2
        for symbol, quote in quotes.items()
        if quote.bid_price and quote.ask_price
    }
    today = new_york_date(now())
    requests = chain_requests(contracts, today, spots)
    found: dict[str, ExpiryChain] = {}
    for request in requests[:CHAINS_AT_MOST]:
        spot = quotes.get(request.underlying)
        try:
            found |= read_chain(
                rest,
                request,
                feed=feed,
                today=today,
                read_at=now(),
                spot=spot,
            )
        except RestError as error:
            problems.append(Problem.of(error, f"what the options of {request.underlying} imply"))
            if error.status is None:
                break
    if left_out := requests[CHAINS_AT_MOST:]:
        names = named(list(dict.fromkeys(one.underlying for one in left_out)))
        problems.append(
            Problem(
                f"What the options of {names} imply was not asked for: {CHAINS_AT_MOST} expiries a look are."
            )
        )
    return found


def _held_by_account_alone(
    portfolio: Portfolio, account: AccountState, at: datetime, told: ToldSessions
) -> list[Instrument]:
    """What the file lacks and has not ended: it expires and is assigned too, so its prices are asked for."""
    if account.view is None:
        return []
    held = import_portfolio(account.view).portfolio.instruments
    return [
        one
        for one in held
        if one.live_symbol not in portfolio.quantities
        and not one.is_coin
        and not (one.expiry is not None and has_ended(one.live_symbol, one.expiry, at, told))
    ]


def _shares(portfolio: Portfolio) -> Iterator[str]:
    """Shares that are held or written on; an index has no price of its own here, and a coin another market."""
    for one in portfolio.instruments:
        if not one.is_coin and not is_index(one.underlying):
            yield one.underlying


def _contracts(portfolio: Portfolio, at: datetime, told: ToldSessions) -> Iterator[str]:
    """Contracts that are held, and beside each the other type of its strike, which may say its volatility."""
    adjusted = {one.live_symbol for one in portfolio.instruments if one.adjusted}
    for symbol in _held_contracts(portfolio, at, told):
        yield symbol
        if symbol not in adjusted:
            yield other_type(symbol)


def _held_contracts(portfolio: Portfolio, at: datetime, told: ToldSessions) -> list[str]:
    """Contracts that are held and have not ended."""
    return [
        one.live_symbol
        for one in portfolio.instruments
        if one.expiry is not None
        and not has_ended(one.live_symbol, one.expiry, at, told, at_open=one.settled_at_open)
    ]
