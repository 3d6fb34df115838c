"""What a checkup says of each thing it looked at: how it is, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

INSTALL: Final = "Install it: pip install 'options-helper[ui,alpaca]', or in a checkout: sh scripts/setup"


class Verdict(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"  # it works, and something about it will surprise
    FAILED = "failed"
    SKIPPED = "skipped"  # it was not looked at, and the words say why


class Check(StrEnum):
    """What is looked at, in the order of telling."""

    PYTHON = "python"
    PACKAGES = "packages"
    PAGE_PACKAGES = "page_packages"
    SETTINGS = "settings"
    KEYS = "keys"
    PORTFOLIO = "portfolio"
    DISK = "disk"
    WAY_OUT = "way_out"
    CLOCK = "clock"
    CALENDAR = "calendar"
    ACCOUNT = "account"
    MARKET_DATA = "market_data"
    STOCK_STREAM = "stock_stream"
    OPTION_STREAM = "option_stream"
    ORDER_STREAM = "order_stream"
    BREEZE = "breeze"  # where somebody has set it up
    BUS = "bus"  # where one is named
    ALERTS = "alerts"  # likewise


NETWORK_CHECKS: Final = (
    Check.CLOCK,
    Check.CALENDAR,
    Check.ACCOUNT,
    Check.MARKET_DATA,
    Check.STOCK_STREAM,
    Check.OPTION_STREAM,
    Check.ORDER_STREAM,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look found. `remedy` says what to do, and is there whenever something is to be done."""

    verdict: Verdict
    message: str
    remedy: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One finding, of what, and how long the look took."""

    check: Check
    finding: Finding
    seconds: float


# A stream promises another try, which a checkup does not make.
_PROMISE: Final = re.compile(r"[;.] [Ii]t is (?:tried|sent) again[^.]*(?=\.)")
_SECOND_SENTENCE: Final = re.compile(r"(?<=[.!?]) (?=[A-Z])")


def explained(error: Exception, otherwise: str) -> Finding:
    """A failure from an error's sentences: the first says what is, the others what to do, or else `otherwise` does."""
    said = str(error)
    plain = _PROMISE.sub("", said)
    message, *rest = _SECOND_SENTENCE.split(plain, maxsplit=1)
    remedy = rest[0] if rest else otherwise
    if plain != said:
        remedy = f"{remedy} Try again in a minute."
    return Finding(Verdict.FAILED, message, remedy)


def worst(lines: Iterable[Line]) -> Verdict:
    """The verdict of the whole: what was skipped says nothing."""
    found = {line.finding.verdict for line in lines}
    return next((verdict for verdict in (Verdict.FAILED, Verdict.WARNING) if verdict in found), Verdict.OK)


def facts(lines: Sequence[Line], at: datetime, program: str) -> dict[str, Any]:
    """Everything, for JSON."""
    return {
        "verdict": worst(lines),
        "program": program,
        "at": at.isoformat(timespec="seconds"),
        "checks": [
            {
                "check": line.check,
                "verdict": line.finding.verdict,
                "words": line.finding.message,
                "remedy": line.finding.remedy,
                "seconds": round(line.seconds, 3),
                "details": dict(line.finding.details),
            }
            for line in lines
        ],
    }
