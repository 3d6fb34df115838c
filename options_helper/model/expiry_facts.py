"""What is asked for about contracts that end, beside prices: their records, their hours, and what became of them.

What is not there was not told, which is no "no". Each was read at a moment of its own, on the market's
clock: a question that fails makes nothing younger that was told before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

from options_helper.model.account import Execution
from options_helper.model.contract_records import ContractRecord

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ExpiryFacts:
    """All of it in one snapshot; contracts compact, shares in Alpaca's spelling."""

    records: Mapping[str, ContractRecord] = field(default_factory=lambda: _EMPTY)
    # Of a share: whether its options close a quarter of an hour after it, as its asset record says, and when that was
    # read.
    late_close: Mapping[str, bool] = field(default_factory=lambda: _EMPTY)
    late_close_read_at: Mapping[str, datetime] = field(default_factory=lambda: _EMPTY)
    # Every execution of the account since that day, oldest first; the day is None where they were not asked for.
    executions: tuple[Execution, ...] = ()
    executions_since: date | None = None
    executions_read_at: datetime | None = (
        None  # None: they were not asked for, or an owner of before did not say
    )
