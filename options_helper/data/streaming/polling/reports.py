"""How the tasks are getting on, in the account's state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from options_helper.model.account import AccountState, RestReport, RestTask


def with_report(known: AccountState, task: RestTask, **changes: Any) -> AccountState:
    """The state with these changes of what is said of a task."""
    report = replace(known.reports.get(task, RestReport(task)), **changes)
    return replace(known, reports=with_more(known.reports, {task: report}))


def with_more(known: Mapping[Any, Any], more: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Both maps as one that cannot be changed."""
    return MappingProxyType({**known, **more})
