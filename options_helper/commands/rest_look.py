"""One look at a book over REST, for commands that look once: its positions, prices, and what risk figures need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from options_helper.analysis.reconcile.account_import import doubtful_roots, import_portfolio
from options_helper.analysis.reconcile.grouping import group_entries
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.commands.portfolio_display import RequestStatus, Screen
from options_helper.data.betas_file import load_betas
from options_helper.data.rest.account_reading import read_account
from options_helper.data.rest.budget_ledger import COMMAND
from options_helper.data.rest.calendar_watch import ask_told_sessions
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.expiry_chains import chain_requests, read_chain
from options_helper.data.rest.market_time import server_time
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.rest.risk_readings import read_corporate_actions, read_daily_closes
from options_helper.data.rest.seeding import seed
from options_helper.errors import RestError
from options_helper.model.account import AccountState, PreviousClose
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_hours import has_ended
from options_helper.model.contract_symbols import other_type
from options_helper.model.events import Quote, Trade
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions, new_york_date
from options_helper.model.portfolio import Portfolio
from options_helper.model.risk_inputs import ExpiryChain, RiskInputs, VendorGreeks
from options_helper.model.snapshot import LiveSnapshot, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.model.text import named
from options_helper.model.tolerant import word
from options_helper.settings import RiskSettings, Settings

DEFAULT_FILE: Final = Path("portfolio.json")
STALE_AFTER_SECONDS: Final = 30.0
# Of the account's requests a minute all programs together have two hundred.
CHAINS_AT_MOST: Final = 60


def risk_choices(settings: RiskSettings) -> RiskChoices:
    """What the user decided of the risk figures; ConfigError for a file of betas that is none."""
    return RiskChoices(settings.rates, settings.assume_dividends, load_betas(settings.betas_file).betas)


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
    return imported.portfolio.changed(positions=grouped.entries), (*reading.problems, *imported.problems)


def look(
    rest: AlpacaRest,
    settings: Settings,
    portfolio: Portfolio,
    choices: RiskChoices,
    *,
    now: Callable[[], datetime],
    waiting: RequestStatus,
    problems: list[str],
) -> LiveSnapshot:
    """One snapshot of all that the book's risk needs; what could not be had is among the problems."""
    at = server_time(rest) or now()
    told: ToldSessions = NOTHING_TOLD
    try:
        told = ask_told_sessions(rest, at)
    except RestError as error:
        problems.append(
            f"The market's hours could not be asked for, so the program's calendar stands: {error}"
        )
    shares = list(dict.fromkeys(_shares(portfolio)))
    inputs = RiskInputs()
    waiting.request("dividends and daily bars")
    try:
        today, asked = new_york_date(at), list(dict.fromkeys([choices.index, *shares]))
        actions = read_corporate_actions(rest, shares, today, at) if shares else {}
        inputs = replace(inputs, actions=MappingProxyType(actions))
        inputs = replace(inputs, closes=MappingProxyType(read_daily_closes(rest, asked, today, at)))
    except RestError as error:
        problems.append(f"Dividends or daily bars are not known: {error}")
    waiting.request("the prices")
    quotes: dict[str, Quote] = {}
    trades: dict[str, Trade] = {}
    greeks: dict[str, VendorGreeks] = {}
    closes: dict[str, PreviousClose] = {}
    try:
        for batch in seed(
            rest,
            sorted({choices.index, *shares}),
            sorted(_contracts(portfolio, at, told)),
            stock_feed=settings.stock_feed,
            options_feed=settings.options_feed,
            today=new_york_date(at),
        ):
            quotes |= {one.symbol: one for one in batch.quotes}
            trades |= {one.symbol: one for one in batch.trades}
            greeks |= {one.symbol: one for one in batch.greeks}
            closes |= {one.symbol: one for one in batch.closes}
    except RestError as error:
        problems.append(f"Not everything could be priced: {error}")
    waiting.request("the options around the money")
    held = _held_contracts(portfolio, at, told)
    chains = _chains(rest, held, quotes, at, feed=settings.options_feed, problems=problems)
    at = server_time(rest) or now()
    return LiveSnapshot(
        as_of=at,
        quotes=MappingProxyType(quotes),
        trades=MappingProxyType(trades),
        account=AccountState(closes=MappingProxyType(closes)),
        risk_inputs=replace(inputs, vendor_greeks=MappingProxyType(greeks), chains=MappingProxyType(chains)),
        told_sessions=told,
        streams=MappingProxyType(
            {
                StreamName.STOCKS: StreamHealth(StreamName.STOCKS, feed=settings.stock_feed),
                StreamName.OPTIONS: StreamHealth(StreamName.OPTIONS, feed=settings.options_feed),
            }
        ),
    )


def _chains(
    rest: AlpacaRest,
    contracts: Sequence[str],
    quotes: Mapping[str, Quote],
    at: datetime,
    *,
    feed: str,
    problems: list[str],
) -> dict[str, ExpiryChain]:
    """What is quoted around the money: of each index expiry, and of an expiry of each share."""
    spots = {
        symbol: (quote.bid_price + quote.ask_price) / 2
        for symbol, quote in quotes.items()
        if quote.bid_price and quote.ask_price
    }
    requests = chain_requests(contracts, new_york_date(at), spots)
    found: dict[str, ExpiryChain] = {}
    for request in requests[:CHAINS_AT_MOST]:
        spot = quotes.get(request.underlying)
        try:
            found |= read_chain(
                rest,
                request,
                feed=feed,
                today=new_york_date(at),
                read_at=server_time(rest) or at,
                spot=spot,
            )
        except RestError as error:
            problems.append(f"What the options of {request.underlying} imply could not be asked for: {error}")
            if error.status is None:
                break
    if left_out := requests[CHAINS_AT_MOST:]:
        names = named(list(dict.fromkeys(one.underlying for one in left_out)))
        problems.append(
            f"What the options of {names} imply was not asked for: {CHAINS_AT_MOST} expiries a look are."
        )
    return found


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
