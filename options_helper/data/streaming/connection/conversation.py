"""What is said on one open connection: what to ask, tell or give up next, without I/O.

Whoever holds the connection hands in what the server answers, and carries out `next_step` until it says to wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from options_helper.data.streaming.connection.server_errors import (
    KNOWN_CODES,
    REQUEST_CODES,
    error_code,
    server_error,
)
from options_helper.data.streaming.connection.subscription_protocol import Request, SubscriptionProtocol
from options_helper.errors import StreamError, StreamRefused

TRADE_UPDATES: Final = "trade_updates"


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this request."""

    request: Request


@dataclass(frozen=True, slots=True)
class AskForOrderUpdates:
    """Ask the trading server to listen to the account."""


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the sink that all requests are answered, and how."""

    requested: tuple[str, ...]
    acknowledged: tuple[str, ...]
    refusals: Mapping[str, str]
    # By symbol, of a market-data connection: those that are wanted, and which of them the server has.
    asked_channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    held_channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the connection with this error."""

    error: StreamError


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing until there is news; an answer that is awaited must come in time."""

    awaits_answer: bool


class MarketConversation:
    """A market-data connection: requests, their answers, and what the server complains about."""

    def __init__(self, feed: str) -> None:
        self._feed = feed
        # Changed by whoever wants other symbols, under the lock that guards this conversation.
        self.subscriptions = SubscriptionProtocol()
        self.failure: StreamError | None = None
        self._reported: Report | None = None

    def begin(self) -> None:
        """The connection is open."""
        self.failure = self._reported = None
        self.subscriptions.begin()

    def next_step(self) -> Ask | Report | GiveUp | Wait:
        """What to do now."""
        if self.failure is not None:
            return GiveUp(self.failure)
        protocol = self.subscriptions
        if (request := protocol.next_request()) is not None:
            return Ask(request)
        if protocol.busy:
            return Wait(awaits_answer=True)
        report = Report(
            protocol.requested,
            protocol.acknowledged_symbols,
            protocol.refusals,
            protocol.asked_channels,
            protocol.held_channels,
        )
        if report == self._reported:
            return Wait(awaits_answer=False)
        self._reported = report
        self.failure = self._lack_of_symbols(report)
        return report

    def _lack_of_symbols(self, report: Report) -> StreamRefused | None:
        if not report.requested or report.acknowledged or not report.refusals:
            return None
        reason = next(iter(report.refusals.values()))
        return StreamRefused(f"Alpaca refused every symbol asked of the {self._feed} feed: {reason}")

    def hear(self, answer: Mapping[str, Any]) -> str | None:
        """Take one control message; a complaint of the server's that the user should learn, if it is one."""
        match answer:
            case {"T": "subscription"}:
                self.subscriptions.acknowledged(answer)
            case {"T": "error"}:
                return self._hear_error(error_code(answer.get("code")), str(answer.get("msg", "")))
        return None

    def _hear_error(self, code: int | None, message: str) -> str | None:
        error = server_error(self._feed, code, message)
        # What nobody has heard of yet can only mean the request that waits for its answer.
        if code in REQUEST_CODES or (code not in KNOWN_CODES and self.subscriptions.awaits_answer):
            self.subscriptions.refused(code, str(error))
            return None
        if isinstance(error, StreamRefused) or code in (401, 406):
            self.failure = error
            return None
        # 407 and 500 are followed by a close, which ends the run; the user learns the reason now.
        return str(error)


class TradingConversation:
    """A trading connection: it asks to hear the account's order updates."""

    def __init__(self) -> None:
        self.is_wanted = False
        self.failure: StreamError | None = None
        self._is_requested = False
        self._is_acknowledged = False
        self._is_reported = False

    def begin(self) -> None:
        """The connection is open."""
        self.failure = None
        self._is_requested = self._is_acknowledged = self._is_reported = False

    def next_step(self) -> AskForOrderUpdates | Report | GiveUp | Wait:
        """What to do now."""
        if self.failure is not None:
            return GiveUp(self.failure)
        if self.is_wanted and not self._is_requested:
            self._is_requested = True
            return AskForOrderUpdates()
        if self._is_acknowledged and not self._is_reported:
            self._is_reported = True
            return Report((TRADE_UPDATES,), (TRADE_UPDATES,), {})
        return Wait(awaits_answer=self._is_requested and not self._is_acknowledged)

    def hear(self, content: Any) -> bool:
        """Take one message, decoded; whether it is to be delivered as an update."""
        match content:
            case {"stream": "listening", "data": {"streams": [*streams]}}:
                self._hear_acknowledgement(streams)
            case {"stream": "authorization"}:
                pass
            case {"stream": "trade_updates"}:
                # Whatever is in it: the order that an update tells of may have been refused for an error.
                return True
            case {"data": {"error_message": said}} | {"action": "error", "data": said}:
                self.failure = StreamError(f"Alpaca ended the trading stream: {said}.")
            case _:
                # Everything else counts as an update: an odd one is rejected where it is counted, not passed over.
                return True
        return False

    def _hear_acknowledgement(self, streams: Sequence[object]) -> None:
        self._is_acknowledged = TRADE_UPDATES in streams
        if not self._is_acknowledged:
            self.failure = StreamError("The trading server acknowledged another stream than asked for.")
