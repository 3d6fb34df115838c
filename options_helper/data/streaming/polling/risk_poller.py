"""Ask each day for what the risk figures need beside prices: announced dividends, and daily closes for betas."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, Final

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.risk_readings import read_corporate_actions, read_daily_closes
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.held_poller import HeldPoller, contracts_of
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.reports import with_more
from options_helper.errors import RestError
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.alpaca_symbols import (
    fund_of_index,
    is_coin_pair,
    is_index,
    to_alpaca_symbol,
    underlying_symbol,
)
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.streams import StreamName
from options_helper.model.text import named

# What betas are measured against unless somebody chooses another.
BENCHMARK: Final = "SPY"

Read = Callable[[AlpacaRest, Sequence[str], date, datetime], Mapping[str, Any]]


class RiskPoller(HeldPoller):
    """Asks once for each share of a day, what contracts are written on among them; nobody waits for it."""

    TASKS = (RestTask.DIVIDENDS, RestTask.CLOSES)

    def __init__(self, context: PollContext, config: LiveStreamConfig, policy: WatchPolicy) -> None:
        super().__init__("live-risk", context, config, policy, every=policy.poll)
        # Guarded by the lock of what was asked: the day, and what was answered of it.
        self._day: date | None = None
        self._answered: dict[RestTask, frozenset[str]] = {}

    def forget(self) -> None:
        """Another session is played. Called under the lock."""
        self._day, self._answered = None, {}
        super().forget()

    def _held(self, config: LiveStreamConfig) -> Collection[str]:
        return (*shares_of(config), *_funds_of(config))

    def _poll(self) -> float:
        """Ask for what was not answered today; seconds until the next look."""
        today = self._context.today()
        with self._context.lock:
            if today != self._day:
                self._day, self._answered = today, {}
        shares = shares_of(self._config)
        is_done = self._ask(RestTask.DIVIDENDS, shares, today, read_corporate_actions, _with_actions)
        priced = (BENCHMARK, *shares, *_funds_of(self._config))
        is_done &= self._ask(RestTask.CLOSES, priced, today, read_daily_closes, _with_closes)
        return self._policy.poll if is_done else self._policy.again

    def _ask(
        self,
        task: RestTask,
        symbols: Sequence[str],
        today: date,
        read: Read,
        taken: Callable[[RiskInputs, Mapping[str, Any]], RiskInputs],
    ) -> bool:
        """Ask for those that were not answered; whether there is nothing left to ask."""
        context = self._context
        with context.lock:
            answered = self._answered.get(task, frozenset())
        missing = [symbol for symbol in dict.fromkeys(symbols) if symbol not in answered]
        if not missing:
            return True
        read_at = context.now()
        found = context.attempt(task, lambda: _told(lambda: read(context.rest(), missing, today, read_at)))
        if found is None:
            return False
        with context.lock:
            if self._day != today:
                return False  # another session is played since
            context.risk_inputs = taken(context.risk_inputs, found)
            self._answered[task] = answered.union(missing)
        unknown = [symbol for symbol in missing if symbol not in found]
        context.report(
            task,
            phase=RestPhase.DONE,
            done=len(answered) + len(found),
            finished_at=context.now(),
            problem=f"Alpaca knows nothing of {named(unknown)}." if unknown and found else None,
        )
        return True


def _told(read: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """What a server tells; nothing, so that all stays unknown, where it has no such thing, as a recording has not."""
    try:
        return read()
    except RestError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return {}


def shares_of(config: LiveStreamConfig) -> tuple[str, ...]:
    """The shares that are streamed and what the contracts are written on, in order; an index and a coin are none."""
    underlyings = (
        to_alpaca_symbol(underlying_symbol(parse_contract_symbol(one).underlying_norm))
        for one in contracts_of(config)
    )
    every = dict.fromkeys((*config.symbols(StreamName.STOCKS), *underlyings))
    return tuple(one for one in every if not (is_index(one) or is_coin_pair(one) or one == "*"))


def _funds_of(config: LiveStreamConfig) -> tuple[str, ...]:
    """The funds that follow the indices on which contracts are written: these have betas, indices have no bars."""
    funds = (fund_of_index(parse_contract_symbol(one).underlying) for one in contracts_of(config))
    return tuple(dict.fromkeys(fund for fund in funds if fund is not None))


def _with_actions(inputs: RiskInputs, found: Mapping[str, Any]) -> RiskInputs:
    return replace(inputs, actions=with_more(inputs.actions, found))


def _with_closes(inputs: RiskInputs, found: Mapping[str, Any]) -> RiskInputs:
    return replace(inputs, closes=with_more(inputs.closes, found))
