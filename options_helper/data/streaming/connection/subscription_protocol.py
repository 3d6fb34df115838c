"""The subscription side of one connection, without I/O: what to ask next, and what the answers mean.

Alpaca refuses a request as a whole: one malformed symbol (400) or one symbol over the plan's limit (405) leaves every
other symbol of the request unsubscribed. A refused request is therefore asked again in halves, in order, until the
symbols at fault stand alone; the rest of the portfolio streams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SYMBOL_LIMIT_EXCEEDED: Final = 405


@dataclass(frozen=True, slots=True)
class Request:
    """One subscribe message for the same symbols on all its channels, or one unsubscribe message for one channel."""

    action: str
    channels: tuple[str, ...]
    symbols: tuple[str, ...]

    def halves(self) -> tuple[Request, Request]:
        """The same request in two, order kept."""
        middle = (len(self.symbols) + 1) // 2
        return (
            Request(self.action, self.channels, self.symbols[:middle]),
            Request(self.action, self.channels, self.symbols[middle:]),
        )


class SubscriptionProtocol:
    """Knows what is wanted, what was acknowledged and what was refused; asks for one thing at a time.

    The owner sends `next_request()` whenever it returns one, and passes each answer to `acknowledged` or `refused`.
    """

    def __init__(self) -> None:
        self._wanted: dict[str, dict[str, None]] = {}  # channel → symbols, in order of asking
        self._server_has: dict[str, frozenset[str]] = {}
        self._refused: dict[str, tuple[int | None, str]] = {}  # symbol → the server's code, and the reason
        self._unsent: deque[Request] = deque()
        self._pending: Request | None = None
        self._has_begun = False

    def begin(self) -> None:
        """Start a conversation: whatever is wanted is asked of a server that has nothing yet and refused nothing."""
        if not self._has_begun:
            self._has_begun = True
            return
        self._server_has, self._refused, self._pending = {}, {}, None
        groups: dict[tuple[str, ...], list[str]] = {}
        for symbol in self.requested:
            groups.setdefault(self._channels_of(symbol), []).append(symbol)
        self._unsent = deque(
            Request("subscribe", channels, tuple(symbols)) for channels, symbols in groups.items()
        )

    def want(self, symbols: Iterable[str], channels: Sequence[str]) -> None:
        """Ask for these symbols on these channels, besides what is wanted already."""
        for chosen, missing in self._group_by_symbols(symbols, channels, wanted=False):
            for channel in chosen:
                self._wanted.setdefault(channel, {}).update(dict.fromkeys(missing))
            for symbol in missing:
                self._refused.pop(symbol, None)
            self._unsent.append(Request("subscribe", chosen, missing))

    def unwant(self, symbols: Iterable[str], channels: Sequence[str]) -> None:
        """Leave these symbols on these channels; what was not wanted is passed over."""
        for chosen, present in self._group_by_symbols(symbols, channels, wanted=True):
            for channel in chosen:
                for symbol in present:
                    del self._wanted[channel][symbol]
            for symbol in present:
                self._refused.pop(symbol, None)
            # One message a channel, as the SDK sends it, so that each has its own answer.
            self._unsent.extend(Request("unsubscribe", (channel,), present) for channel in chosen)
        self._retry_for_room()

    def renew(self, symbols: Iterable[str], channel: str) -> None:
        """Leave those of these that the server has on this channel and take them again, each in its own place.

        What found no room before is not asked for: the room between the two requests is not free.
        """
        wanted, has = self._wanted.get(channel, {}), self._server_has.get(channel, frozenset())
        if present := tuple(
            symbol for symbol in dict.fromkeys(symbols) if symbol in wanted and symbol in has
        ):
            self._unsent.append(Request("unsubscribe", (channel,), present))
            self._unsent.append(Request("subscribe", (channel,), present))

    def _retry_for_room(self) -> None:
        """Something was dropped, so what had found no room may find some now."""
        waiting = [symbol for symbol, (code, _) in self._refused.items() if code == SYMBOL_LIMIT_EXCEEDED]
        for symbol in waiting:
            del self._refused[symbol]
            self._unsent.append(Request("subscribe", self._channels_of(symbol), (symbol,)))

    def _channels_of(self, symbol: str) -> tuple[str, ...]:
        return tuple(channel for channel, symbols in self._wanted.items() if symbol in symbols)

    def _group_by_symbols(
        self, symbols: Iterable[str], channels: Sequence[str], *, wanted: bool
    ) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Channels with the same symbols to change, together: usually all of them, so one message serves."""
        unique = tuple(dict.fromkeys(symbols))
        groups: dict[tuple[str, ...], list[str]] = {}
        for channel in channels:
            present = self._wanted.get(channel, {})
            # A refused symbol that is wanted again is asked for again.
            change = tuple(
                symbol
                for symbol in unique
                if (symbol in present) is wanted or (not wanted and symbol in self._refused)
            )
            if change:
                groups.setdefault(change, []).append(channel)
        return [(tuple(chosen), change) for change, chosen in groups.items()]

    def next_request(self) -> Request | None:
        """What to send now, or None while an answer is awaited or nothing is left to ask."""
        if self._pending is None and self._unsent:
            self._pending = self._unsent.popleft()
            return self._pending
        return None

    def acknowledged(self, message: Mapping[str, Any]) -> None:
        """Take the server's subscription, channel by channel, and note what it left out of the request.

        It may come in parts: what an earlier part left out, or what was refused, is no longer so once it is there.
        """
        self._server_has |= {
            channel: frozenset(symbol for symbol in symbols if isinstance(symbol, str))
            for channel, symbols in message.items()
            if isinstance(symbols, list)
        }
        for symbol in [symbol for symbol in self._refused if self._has_all(symbol)]:
            del self._refused[symbol]
        request, self._pending = self._pending, None
        if request is None or request.action != "subscribe":
            return
        for symbol in request.symbols:
            if not all(symbol in self._server_has.get(channel, ()) for channel in request.channels):
                self._note_refusal(symbol, None, "The server's acknowledgement leaves it out.")

    def refused(self, code: int | None, reason: str) -> None:
        """Take the server's refusal of the pending request; without one it is no answer and changes nothing."""
        request, self._pending = self._pending, None
        if request is None or request.action != "subscribe":
            return
        if len(request.symbols) > 1:
            self._unsent.extendleft(reversed(request.halves()))
            return
        self._note_refusal(request.symbols[0], code, reason)
        if code == SYMBOL_LIMIT_EXCEEDED:
            self._refuse_the_rest(reason)

    def _refuse_the_rest(self, reason: str) -> None:
        # The limit is reached: asking for the other symbols one by one would repeat the answer, but for those that wait
        # behind what makes room.
        while self._unsent and self._unsent[0].action == "subscribe":
            for symbol in self._unsent.popleft().symbols:
                self._note_refusal(symbol, SYMBOL_LIMIT_EXCEEDED, reason)

    def _note_refusal(self, symbol: str, code: int | None, reason: str) -> None:
        # It may have been dropped while the server thought about it.
        if any(symbol in symbols for symbols in self._wanted.values()):
            self._refused[symbol] = (code, reason)

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited or something is left to ask."""
        return self._pending is not None or bool(self._unsent)

    @property
    def awaits_answer(self) -> bool:
        """Whether a request was sent and not answered yet."""
        return self._pending is not None

    @property
    def requested(self) -> tuple[str, ...]:
        """Every wanted symbol, in order of asking."""
        return tuple(dict.fromkeys(symbol for symbols in self._wanted.values() for symbol in symbols))

    @property
    def acknowledged_symbols(self) -> tuple[str, ...]:
        """The wanted symbols that the server has on at least one of their channels."""
        return tuple(symbol for symbol in self.requested if self._has_any(symbol))

    @property
    def asked_channels(self) -> dict[str, tuple[str, ...]]:
        """The channels that are wanted of each symbol."""
        return {symbol: self._channels_of(symbol) for symbol in self.requested}

    @property
    def held_channels(self) -> dict[str, tuple[str, ...]]:
        """Those of them that the server has."""
        return {
            symbol: tuple(one for one in channels if symbol in self._server_has.get(one, ()))
            for symbol, channels in self.asked_channels.items()
        }

    def _has_all(self, symbol: str) -> bool:
        return all(symbol in self._server_has.get(channel, ()) for channel in self._channels_of(symbol))

    def _has_any(self, symbol: str) -> bool:
        return any(
            symbol in symbols and symbol in self._server_has.get(channel, ())
            for channel, symbols in self._wanted.items()
        )

    @property
    def refusals(self) -> dict[str, str]:
        """Refused symbols, each with the reason in words."""
        return {symbol: reason for symbol, (_, reason) in self._refused.items()}
