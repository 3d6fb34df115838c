"""A book at an instant of New York's, with an account that has so much money: what needs a hand in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from options_helper.analysis.attention.assess import Attention, assess_attention
from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.contract_terms import with_told_multipliers
from options_helper.analysis.priced_lines import price_entries
from options_helper.analysis.risk.book_risk import assess_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.model.account import AccountPosition, AccountPositions, Execution, ExecutionKind, Source
from options_helper.model.contract_records import ContractRecord
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.earnings import Earnings
from options_helper.model.events import Quote
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.market_hours import ToldSessions
from options_helper.model.portfolio import Portfolio, PortfolioEntry
from options_helper.model.risk_inputs import CorporateActions, Dividend, RiskInputs
from options_helper.model.snapshot import LiveSnapshot
from tests.kit.builders import new_york, portfolio, quote, snapshot_with

FRIDAY = date(2026, 11, 20)
# A third Friday, and the Friday after Thanksgiving, on which the exchange closes at 13:00.
HALF_DAY = date(2026, 11, 27)
STALE_AFTER, WIDE_FROM = 30.0, 10.0


def executed(
    symbol: str, kind: ExecutionKind, quantity: float, day: date = FRIDAY, price: float | None = 0
) -> Execution:
    """One change of one position."""
    return Execution(
        identity=f"{symbol} {kind} {quantity}",
        kind=kind,
        symbol=symbol,
        quantity=Decimal(str(quantity)),
        price=None if price is None else Decimal(str(price)),
        day=day,
        at_ns=None,
        order_id=None,
        source=Source.REST,
    )


def dividend(symbol: str, ex_date: date, amount: float) -> CorporateActions:
    """One announced dividend and nothing else, read that morning."""
    return CorporateActions(
        symbol, new_york("2026-11-20 08:00"), date(2027, 11, 20), (Dividend(symbol, ex_date, amount),)
    )


def live_at(
    at: str,
    prices: dict[str, tuple[float | None, float | None]],
    *,
    held: Sequence[PortfolioEntry] = (),
    power: float | None = 1e9,
    account: Portfolio | None = None,
    actions: Iterable[CorporateActions] = (),
    late_close: dict[str, bool] | None = None,
    records: Iterable[ContractRecord] = (),
    executions: Iterable[Execution] = (),
    executions_since: date | None = date(2026, 11, 13),
    told: ToldSessions | None = None,
    contracts_quoted: str | None = None,
    cash: float | None = None,
) -> LiveSnapshot:
    """Quotes of bid and ask that are a second old; the account holds what the book does, unless another is given.

    Contracts may have been quoted at another time. All else was asked just now.
    """
    moment = new_york(at)
    ago = 1.0 if contracts_quoted is None else (moment - new_york(contracts_quoted)).total_seconds()
    quotes: list[Quote] = [
        quote(symbol, bid, ask, age=ago if is_contract_symbol(symbol) else 1, as_of=moment)
        for symbol, (bid, ask) in prices.items()
    ]
    live = snapshot_with(*quotes, requested=portfolio(*held).quantities, as_of=moment)
    quantities = (portfolio(*held) if account is None else account).quantities
    positions = {
        symbol: AccountPosition(symbol, quantity, is_contract_symbol(symbol), None, None, None, None)
        for symbol, quantity in quantities.items()
        if quantity
    }
    view = AccountPositions(
        moment,
        MappingProxyType(positions),
        cash=None if cash is None else Decimal(str(cash)),
        options_buying_power=None if power is None else Decimal(str(power)),
    )
    return replace(
        live,
        account=replace(live.account, view=view),
        risk_inputs=RiskInputs(actions=MappingProxyType({one.symbol: one for one in actions})),
        expiry_facts=ExpiryFacts(
            records=MappingProxyType({one.symbol: replace(one, read_at=moment) for one in records}),
            late_close=MappingProxyType(late_close or {}),
            late_close_read_at=MappingProxyType(dict.fromkeys(late_close or {}, moment)),
            executions=tuple(executions),
            executions_since=executions_since,
            executions_read_at=None if executions_since is None else moment,
        ),
        **({} if told is None else {"told_sessions": told}),
    )


def sold_since(live: LiveSnapshot, symbol: str) -> LiveSnapshot:
    """The same, a share bought and sold since the account was asked: what is set aside on it is not known then."""
    trades = (executed(symbol, ExecutionKind.FILL, count, price=1) for count in (1, -1))
    return replace(live, account=replace(live.account, later=tuple(trades)))


def attention(
    book: Sequence[PortfolioEntry],
    live: LiveSnapshot,
    *,
    with_risk: bool = False,
    earnings: Sequence[Earnings] = (),
    own_dividends: Mapping[str, tuple[Dividend, ...]] = MappingProxyType({}),
) -> Attention:
    """What needs a hand; `with_risk` has the models' figures too, at a rate of 4 %."""
    held = with_told_multipliers(portfolio(*book), live.expiry_facts.records)
    thresholds = {"stale_after_seconds": STALE_AFTER, "wide_spread_pct": WIDE_FROM}
    figures = assess_book(held, live, RiskChoices(), **thresholds) if with_risk else None
    priced = price_entries(held.positions, held, live, **thresholds)
    return assess_attention(
        held, live, priced=priced, book=figures, earnings=earnings, own_dividends=own_dividends
    )


def of_kind(found: Attention, kind: AttentionKind) -> list[Entry]:
    """The entries of one kind, in their order."""
    return [one for one in found.entries if one.kind is kind]


def only(found: Attention, kind: AttentionKind) -> Entry:
    """The one entry of a kind."""
    (entry,) = of_kind(found, kind)
    return entry
