"""The snapshots of several accounts as one: the market's of one run, and from each account's run what is its own.

Pure. Each account's own is kept beside the whole (`LiveSnapshot.accounts`), so that nobody takes one's for another's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain
from types import MappingProxyType
from typing import Final

from options_helper.model.account import AccountState, RestPhase, RestReport, RestTask, Source
from options_helper.model.instants import epoch_nanoseconds
from options_helper.model.order_updates import BlotterEntry
from options_helper.model.problems import Problem
from options_helper.model.snapshot import LiveSnapshot, StreamHealth
from options_helper.model.streams import StreamId

# What is asked of the account itself. All else is of the market, whoever asks.
_OF_ACCOUNT: Final = (RestTask.FILLS, RestTask.POSITIONS)
_WORST_FIRST: Final = (
    RestPhase.FAILED,
    RestPhase.REQUESTING,
    RestPhase.WAITING,
    RestPhase.DONE,
    RestPhase.OFF,
)


@dataclass(frozen=True, slots=True)
class Unusable:
    """An account that cannot be asked at all, and why, as a sentence."""

    problem: str


def snapshots_together(
    first: str, market: LiveSnapshot, others: Mapping[str, LiveSnapshot | Unusable]
) -> LiveSnapshot:
    """The whole, `first` being the account of the run that has the prices.

    Taken after the others, so that no fill is newer than its instant.
    """
    accounts = {first: market} | {
        name: without_account(market, own) if isinstance(own, Unusable) else _account(market, own)
        for name, own in others.items()
    }
    return whole_of(accounts)


def whole_of(accounts: Mapping[str, LiveSnapshot]) -> LiveSnapshot:
    """The whole of these accounts, by name, which have the same prices and instant; there is at least one."""
    streams = {name: health for one in accounts.values() for name, health in one.streams.items()}
    return replace(
        next(iter(accounts.values())),
        streams=MappingProxyType(streams),
        fills=_in_order(accounts.values()),
        account=_accounts({name: one.account for name, one in accounts.items()}),
        accounts=MappingProxyType(accounts),
    )


def streams_together(
    accounts: Mapping[str, Mapping[StreamId, StreamHealth]],
) -> Mapping[StreamId, StreamHealth]:
    """The streams of several accounts' runs; one that more than one of them has is as the worst of these says.

    Its error then says whose it is. Ledgers are added, and symbols united.
    """
    by_stream: dict[StreamId, dict[str, StreamHealth]] = {}
    for account, streams in accounts.items():
        for name, health in streams.items():
            by_stream.setdefault(name, {})[account] = health
    return MappingProxyType({name: _worst(by_account) for name, by_account in by_stream.items()})


def _worst(by_account: Mapping[str, StreamHealth]) -> StreamHealth:
    account, worst = max(by_account.items(), key=lambda one: one[1].phase.illness)
    healths = by_account.values()
    if len(healths) == 1:
        return worst
    error = worst.last_error
    return replace(
        worst,
        last_error=error and f"{account}: {error}",
        requested=_united(one.requested for one in healths),
        acknowledged=_united(one.acknowledged for one in healths),
        refused_symbols=_united(one.refused_symbols for one in healths),
        received=sum(one.received for one in healths),
        applied=sum(one.applied for one in healths),
        dropped=sum(one.dropped for one in healths),
        rejected=sum(one.rejected for one in healths),
        queued=sum(one.queued for one in healths),
        missed=sum(one.missed for one in healths),
        late=sum(one.late for one in healths),
        gap_count=sum(one.gap_count for one in healths),
    )


def _united(symbols: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(symbols)))


def _account(market: LiveSnapshot, own: LiveSnapshot) -> LiveSnapshot:
    """These prices beside the account's own fills, positions, closes and ended contracts."""
    reports = {
        task: own.account.reports[task] if _is_own(own.account.reports[task]) else report
        for task, report in market.account.reports.items()
    }
    facts = own.expiry_facts
    return replace(
        market,
        streams=_with_fills_of(market, own.streams.values()),
        fills=own.fills,
        account=replace(
            own.account,
            reports=MappingProxyType(reports),
            closes=MappingProxyType({**own.account.closes, **market.account.closes}),
        ),
        expiry_facts=replace(
            market.expiry_facts,
            records=MappingProxyType({**facts.records, **market.expiry_facts.records}),
            executions=facts.executions,
            executions_since=facts.executions_since,
            executions_read_at=facts.executions_read_at,
        ),
    )


def without_account(market: LiveSnapshot, own: Unusable, *, keeping_streams: bool = False) -> LiveSnapshot:
    """These prices beside nothing but why there is nothing; its stream of orders too, where that is its own."""
    reports = {
        task: RestReport(task, RestPhase.FAILED, problems=(Problem(own.problem),))
        if task in _OF_ACCOUNT
        else report
        for task, report in market.account.reports.items()
    }
    return replace(
        market,
        streams=market.streams if keeping_streams else _with_fills_of(market, ()),
        fills=(),
        account=AccountState(reports=MappingProxyType(reports), closes=market.account.closes),
        expiry_facts=replace(
            market.expiry_facts, executions=(), executions_since=None, executions_read_at=None
        ),
    )


def _is_own(report: RestReport) -> bool:
    """Whether it is the account's to tell: what is asked of it, and what it asked in vain."""
    return report.task in _OF_ACCOUNT or bool(report.problems)


def _with_fills_of(market: LiveSnapshot, own: Iterable[StreamHealth]) -> Mapping[StreamId, StreamHealth]:
    prices = {name: health for name, health in market.streams.items() if not name.kind.carries_orders}
    return MappingProxyType(prices | {one.name: one for one in own if one.name.kind.carries_orders})


def _in_order(snapshots: Iterable[LiveSnapshot]) -> tuple[BlotterEntry, ...]:
    """The fills of all, newest last; what has only a day comes after what has a time on it, as in each of them."""

    def key(fill: BlotterEntry) -> tuple[date, bool, int]:
        streamed = None if fill.source is Source.REST else epoch_nanoseconds(fill.received_at)
        time_ns = streamed if fill.timestamp_ns is None else fill.timestamp_ns
        return fill.day or date.min, time_ns is None, time_ns or 0

    return tuple(sorted((fill for one in snapshots for fill in one.fills), key=key))


def _accounts(states: Mapping[str, AccountState]) -> AccountState:
    """The trouble of all, with whose it is. Positions have no sum, so there are none."""
    first = next(iter(states.values()))
    closes = {symbol: close for one in (*states.values(), first) for symbol, close in one.closes.items()}
    reports = {task: _report({name: one.reports[task] for name, one in states.items()}) for task in RestTask}
    return AccountState(
        reports=MappingProxyType(reports),
        closes=MappingProxyType(closes),
        doubts=tuple(f"{name}: {doubt}" for name, one in states.items() for doubt in one.doubts),
    )


def _report(by_account: Mapping[str, RestReport]) -> RestReport:
    reports = list(by_account.values())
    first = reports[0]
    whose: dict[Problem, list[str]] = {}
    for name, report in by_account.items():
        for problem in report.problems:
            whose.setdefault(problem, []).append(name)
    problems = tuple(
        problem if len(names) == len(reports) else replace(problem, accounts=tuple(names))
        for problem, names in whose.items()
    )
    is_own = first.task in _OF_ACCOUNT
    finished = [one.finished_at for one in reports if one.finished_at is not None]
    return replace(
        first,
        phase=min((one.phase for one in reports), key=_WORST_FIRST.index),
        done=sum(one.done for one in reports) if is_own else first.done,
        finished_at=min(finished) if len(finished) == len(reports) else None,
        problems=problems,
    )
