"""What an owner tells beside the frames, with the moments at which it asked or heard on the clock of this screen.

Times of the exchange, of an article or of an order's life are no such moments, and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar, cast

from msgspec.structs import replace as replace_struct

from options_helper.bus.clocks import Offset
from options_helper.bus.truth import DeskAccount, DeskNews
from options_helper.model.account import AccountState, RestReport
from options_helper.model.events import Quote
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.risk_inputs import ExpiryChain, RiskInputs

K = TypeVar("K")
T = TypeVar("T")


class Told:
    """What was told last, moved once: what has not changed is the same value in each snapshot. For any thread."""

    def __init__(self) -> None:
        self._moved: dict[
            str, tuple[object, Offset, object]
        ] = {}  # by its kind; each entry is replaced whole

    def account(self, told: DeskAccount, offset: Offset) -> DeskAccount:
        """Of an account."""
        return self._of("account", told, offset, account_here)

    def risk_inputs(self, told: RiskInputs, offset: Offset) -> RiskInputs:
        """What the risk figures are computed from."""
        return self._of("risk inputs", told, offset, risk_inputs_here)

    def news(self, told: DeskNews, offset: Offset) -> DeskNews:
        """The articles."""
        return self._of("news", told, offset, news_here)

    def _of(self, kind: str, told: T, offset: Offset, move: Callable[[T, Offset], T]) -> T:
        if not offset.matters:
            return told
        before = self._moved.get(kind)
        if before is not None and before[0] is told and before[1] == offset:
            return cast("T", before[2])
        moved = move(told, offset)
        self._moved[kind] = told, offset, moved
        return moved


def account_here(told: DeskAccount, offset: Offset) -> DeskAccount:
    """An account, its fills and what is known of contracts that end, with those moments moved."""
    moment = offset.moment_here
    fills = tuple(replace(one, received_at=moment(one.received_at)) for one in told.fills)
    return replace_struct(
        told,
        account=_state_here(told.account, offset),
        fills=fills,
        expiry_facts=_expiry_facts_here(told.expiry_facts, offset),
    )


def _state_here(state: AccountState, offset: Offset) -> AccountState:
    view = None if state.view is None else replace(state.view, as_of=offset.moment_here(state.view.as_of))
    reports = _each(state.reports, lambda one: _report_here(one, offset))
    return replace(state, reports=reports, view=view)


def _report_here(report: RestReport, offset: Offset) -> RestReport:
    moment = offset.moment_here
    problems = tuple(replace(one, again_at=moment(one.again_at)) for one in report.problems)
    return replace(report, finished_at=moment(report.finished_at), problems=problems)


def _expiry_facts_here(facts: ExpiryFacts, offset: Offset) -> ExpiryFacts:
    moment = offset.moment_here
    return replace(
        facts,
        records=_each(facts.records, lambda one: replace(one, read_at=moment(one.read_at))),
        late_close_read_at=_each(facts.late_close_read_at, moment),
        executions_read_at=moment(facts.executions_read_at),
    )


def risk_inputs_here(told: RiskInputs, offset: Offset) -> RiskInputs:
    """Risk inputs with those moments moved."""
    moment = offset.moment_here

    def quote_here(quote: Quote) -> Quote:
        return replace_struct(quote, received_ns=offset.here(quote.received_ns))

    def chain_here(chain: ExpiryChain) -> ExpiryChain:
        spot = None if chain.spot is None else quote_here(chain.spot)
        quotes = _each(chain.quotes, quote_here)
        return replace(chain, read_at=moment(chain.read_at), quotes=quotes, spot=spot)

    return RiskInputs(
        actions=_each(told.actions, lambda one: replace(one, read_at=moment(one.read_at))),
        closes=_each(told.closes, lambda one: replace(one, read_at=moment(one.read_at))),
        vendor_greeks=_each(told.vendor_greeks, lambda one: replace(one, read_at=moment(one.read_at))),
        session_closes=_each(told.session_closes, lambda one: replace(one, read_at=moment(one.read_at))),
        chains=_each(told.chains, chain_here),
        partners=_each(told.partners, quote_here),
    )


def news_here(told: DeskNews, offset: Offset) -> DeskNews:
    """Articles with those moments moved."""
    moment = offset.moment_here
    return DeskNews(tuple(replace(one, received_at=moment(one.received_at)) for one in told.articles))


def _each(values: Mapping[K, T], move: Callable[[T], T]) -> Mapping[K, T]:
    return MappingProxyType({key: move(value) for key, value in values.items()})
