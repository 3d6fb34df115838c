"""What a program's requests to one host come to: how many, how they ended, how long they took, and what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class FailureKind(StrEnum):
    """How a request can fail."""

    TOO_MANY = "429"
    SERVER = "5xx"
    TIMEOUT = "timeout"
    NETWORK = "network"  # nobody answers, or the connection breaks off
    UNREADABLE = "unreadable"  # something answers, and not with data
    REFUSED = "refused"  # 401 and 403: the key, or what the plan includes
    QUESTION = "4xx"  # the question is wrong: an unknown symbol, for one
    OTHER = "other"  # this computer's own settings, mostly


# These say that an endpoint does not work; the others come from one that does.
FAULTS: Final = frozenset(
    {FailureKind.SERVER, FailureKind.TIMEOUT, FailureKind.NETWORK, FailureKind.UNREADABLE}
)


class BreakerState(StrEnum):
    """Whether an endpoint is asked."""

    CLOSED = "closed"  # it is
    OPEN = "open"  # it has failed too often and is left alone for a while
    HALF_OPEN = "half-open"  # the pause is over, and one request finds out


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointReport:
    """One family of endpoints, such as /v2/options/contracts; requests = successes + all failures.

    Each try counts as a request. Latencies are seconds from sending to the last byte, of the newest answers, whatever
    they say; None before the first.
    """

    requests: int = 0
    successes: int = 0
    failures: Mapping[FailureKind, int] = field(default_factory=dict)  # those that came up
    latency_last: float | None = None
    latency_p50: float | None = None
    latency_p95: float | None = None
    failing: int = 0  # questions without an answer since the last one that had one; its tries count as one
    failing_as: FailureKind | None = None  # the newest of these
    problem: str | None = None  # what the newest failure said, and what to do; None once it is answered again
    breaker: BreakerState = BreakerState.CLOSED
    retry_seconds: float | None = None  # until an open breaker lets one through


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReport:
    """What of an account's minute at a host is this program's, and what is left of it now."""

    per_minute: int  # what the account has, as this program's settings say
    share: int  # the most that this program may take of it
    left: int
    held_seconds: float = 0.0  # so long the server wants silence
    programs: int = 1  # that share the minute, this one among them
    problem: str | None = None  # why it is not shared with this computer's other programs


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReport:
    """One host, for the account that asked it last; `endpoints` by their family."""

    budget: BudgetReport
    endpoints: Mapping[str, EndpointReport] = field(default_factory=dict)


Providers = Mapping[str, ProviderReport]  # by host
