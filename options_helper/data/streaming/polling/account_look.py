"""Look at an account once: positions and today's executions that belong together, for a program without streams."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from options_helper.data.rest.account_reading import read_account
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.polling.account_course import open_between
from options_helper.data.streaming.polling.fill_backfill import read_backfill
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.state.blotter import Blotter
from options_helper.errors import RestError
from options_helper.model.account import AccountState, RestPhase, RestReport, RestTask
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.problems import Problem

_TASKS: Final = (RestTask.FILLS, RestTask.POSITIONS)


def look_at_account(rest: AlpacaRest, now: Callable[[], datetime]) -> AccountState:
    """What is held, and what was executed since midnight in New York; `now` is the market's time.

    Positions are read before the executions and after them: what differs was traded in between and stays open. Where
    something cannot be had, nothing is known of the day, and the reports say why. Blocks.
    """
    try:
        return _read(rest, now)
    except RestError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            # A recorded market is nobody's account: nothing failed, and nothing is known.
            return AccountState(doubts=(str(error),))
        return AccountState(
            reports=_reports(
                {task: RestReport(task, RestPhase.FAILED, problems=(Problem.of(error),)) for task in _TASKS}
            )
        )


def _read(rest: AlpacaRest, now: Callable[[], datetime]) -> AccountState:
    asked_at = now()
    before = read_account(rest.positions(), {}, asked_at).view
    today = new_york_date(now())
    backfill = read_backfill(rest, datetime.combine(today, time(), NEW_YORK))
    blotter = Blotter(0)
    blotter.add_backfill(backfill, now())
    # As old as the question: what is executed while the answers are awaited is not in them for sure.
    asked_at = now()
    view = read_account(rest.positions(), rest.account(), asked_at).view
    executions = blotter.executions(today)
    doubts = tuple(dict.fromkeys((*backfill.problems, *blotter.problems(today))))
    return AccountState(
        reports=_reports({task: RestReport(task, RestPhase.DONE, finished_at=view.as_of) for task in _TASKS}),
        view=view,
        executions=executions,
        executions_day=None if doubts else today,
        unsettled=open_between(before, view, executions, WatchPolicy().race_window),
        moved=blotter.moved(today),
        moves=blotter.moves(today),
        doubts=doubts,
    )


def _reports(known: dict[RestTask, RestReport]) -> MappingProxyType[RestTask, RestReport]:
    return MappingProxyType({task: RestReport(task) for task in RestTask} | known)
