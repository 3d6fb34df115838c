"""When announced dividends, and daily closes for betas, are asked for: once a day, beside prices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from http import HTTPStatus
from typing import Any, Final

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.risk_readings import read_corporate_actions, read_daily_closes
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.held_course import HeldCourse, HoldsReadings, contracts_of
from options_helper.data.streaming.polling.moment import Moment
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.question import Asking
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
from options_helper.model.problems import Problem
from options_helper.model.risk_inputs import CorporateActions, DailyCloses, RiskInputs
from options_helper.model.streams import StreamName
from options_helper.model.text import named

# What betas are measured against unless somebody chooses another.
BENCHMARK: Final = "SPY"


@dataclass(frozen=True, slots=True)
class AskActions:
    """Ask what is announced of these shares."""

    symbols: tuple[str, ...]
    asked: Moment

    def read(self, rest: AlpacaRest) -> Mapping[str, CorporateActions]:
        """By share; blocks, RestError."""
        return read_corporate_actions(rest, self.symbols, self.asked.today, self.asked.now)


@dataclass(frozen=True, slots=True)
class AskDailyCloses:
    """Ask for a year of closes of these shares."""

    symbols: tuple[str, ...]
    asked: Moment

    def read(self, rest: AlpacaRest) -> Mapping[str, DailyCloses]:
        """By share; blocks, RestError."""
        return read_daily_closes(rest, self.symbols, self.asked.today, self.asked.now)


class RiskCourse(HeldCourse):
    """Asks once for each share of a day, what contracts are written on among them."""

    TASKS = (RestTask.DIVIDENDS, RestTask.CLOSES)

    def __init__(self, holder: HoldsReadings, config: LiveStreamConfig, policy: WatchPolicy) -> None:
        super().__init__(holder, config, policy)
        # The day, and what was answered of it.
        self._day: date | None = None
        self._answered: dict[RestTask, frozenset[str]] = {}

    def forget(self) -> None:
        """Another session is played."""
        self._day, self._answered = None, {}
        super().forget()

    def _held(self, config: LiveStreamConfig) -> Collection[str]:
        return (*shares_of(config), *_funds_of(config))

    def _questions(self) -> Asking[float]:
        """Ask for what was not answered today."""
        today = self._at.today
        if today != self._day:
            self._day, self._answered = today, {}
        shares = shares_of(self._config)
        priced = (BENCHMARK, *shares, *_funds_of(self._config))
        is_done = yield from self._ask(RestTask.DIVIDENDS, shares, AskActions, _with_actions)
        is_done &= yield from self._ask(RestTask.CLOSES, priced, AskDailyCloses, _with_closes)
        return self._policy.poll if is_done else self._policy.again

    def _ask(
        self,
        task: RestTask,
        symbols: Sequence[str],
        question: Callable[[tuple[str, ...], Moment], AskActions | AskDailyCloses],
        taken: Callable[[RiskInputs, Mapping[str, Any]], RiskInputs],
    ) -> Asking[bool]:
        """Ask for those that were not answered; whether there is nothing left to ask."""
        answered = self._answered.get(task, frozenset())
        missing = tuple(symbol for symbol in dict.fromkeys(symbols) if symbol not in answered)
        if not missing:
            return True
        self._report(task, phase=RestPhase.REQUESTING)
        asked = self._at
        try:
            found = yield question(missing, asked)
        except RestError as error:
            # A recording has no such thing: then all stays unknown, and it is not asked again.
            if error.status != HTTPStatus.NOT_FOUND:
                self._report(task, phase=RestPhase.FAILED, problems=(Problem.of(error),))
                return False
            found = {}
        # As old as the question, and told by the clock as it is by now.
        read_at = self._at.time_of(asked)
        found = {symbol: replace(one, read_at=read_at) for symbol, one in found.items()}
        self._holder.risk_inputs = taken(self._holder.risk_inputs, found)
        self._answered[task] = answered.union(missing)
        unknown = [symbol for symbol in missing if symbol not in found]
        self._report(
            task,
            phase=RestPhase.DONE,
            done=len(answered) + len(found),
            finished_at=self._at.now,
            problems=(Problem(f"Alpaca knows nothing of {named(unknown)}."),) if unknown and found else (),
        )
        return True


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
