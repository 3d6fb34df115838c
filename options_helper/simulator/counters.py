"""What the simulator keeps for every thread: its counts, the account and the last prices."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from options_helper.model.instants import epoch_nanoseconds
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Message
from options_helper.simulator.market.account import Holding, Number, SimulatedAccount
from options_helper.simulator.market.expiries import ExpiryClerk, ExpiryRules
from options_helper.simulator.market.last_values import LastValues
from options_helper.simulator.market.market import HoldingMarket, Market, PeculiarMarket, SharedMarket
from options_helper.simulator.market.past import PastMarket, PlayedPast
from options_helper.simulator.wire.protocol import FIRST_ACCOUNT


class Counters:
    """What the server counts, for other threads to read; it outlives a restart of the server."""

    def __init__(self) -> None:
        # Guarded by self._lock: written by the server's loop, read by everybody.
        self._lock = threading.Lock()
        self._connections: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._sent: Counter[StreamName] = Counter()

    @property
    def connections(self) -> Counter[str]:
        """Websocket handshakes ever begun, per path."""
        with self._lock:
            return self._connections.copy()

    @property
    def requests(self) -> Counter[str]:
        """Plain HTTP requests ever made, per path."""
        with self._lock:
            return self._requests.copy()

    @property
    def sent(self) -> Counter[StreamName]:
        """Events ever written to a socket, per stream; one that went to two clients counts twice."""
        with self._lock:
            return self._sent.copy()

    def count_connection(self, path: str) -> int:
        """Count a handshake; which one it is on this path, from 1."""
        with self._lock:
            self._connections[path] += 1
            return self._connections[path]

    def count_request(self, path: str) -> None:
        """Count a plain HTTP request."""
        with self._lock:
            self._requests[path] += 1

    def count_sent(self, stream: StreamName, events: int) -> None:
        """Count what is about to be written."""
        with self._lock:
            self._sent[stream] += events


class SimulatorState:
    """What REST tells: the accounts, and the last prices. They outlive a restart of the server.

    The first account is the market's own. `others` are called by their keys; they hold what the market says of them,
    and nothing where it does not know them.
    """

    def __init__(self, market: Market, others: Iterable[str] = ()) -> None:
        # Guarded by self._lock: written by the server's loop and by everybody who pushes, read by requests.
        self._lock = threading.Lock()
        self._accounts = {
            FIRST_ACCOUNT: _opening_account(market),
            **{key: _further_account(market, key) for key in others},
        }
        self._clerks = {key: ExpiryClerk(_expiry_rules(market)) for key in self._accounts}
        self._last_values = LastValues()
        # A market that knows its past need not be remembered.
        self._known_past = market if isinstance(market, PastMarket) else None
        # Held while a market reads it, from files perhaps: so nobody who plays or pushes may ever wait for it.
        self._reading = threading.Lock()
        self._played = PlayedPast()  # guarded by self._lock

    @property
    def accounts(self) -> tuple[str, ...]:
        """All of them, the market's own first."""
        return tuple(self._accounts)

    def note(
        self, stream: StreamName, messages: Iterable[Any], now_ns: int, account: str = FIRST_ACCOUNT
    ) -> None:
        """Keep what is being said, whether or not somebody listens; orders are an account's."""
        with self._lock:
            if stream is not StreamName.FILLS:
                self._last_values.note(messages)
                if self._known_past is None:
                    self._played.note(messages)
                return
            for message in messages:
                self._accounts[account].note(message, now_ns)

    @property
    def settles(self) -> bool:
        """Whether contracts come to an end here."""
        return not all(clerk.is_idle for clerk in self._clerks.values())

    def settle(
        self, account: str, now_ns: int, price_of: Callable[[str], float | None]
    ) -> list[dict[str, Any]]:
        """Let contracts end that have; to be called while it is `opened`. What the account's stream tells of it."""
        return self._clerks[account].look(self._accounts[account], now_ns, price_of)

    def set_close(self, symbol: str, price: float, day: date) -> None:
        """The price at which a session ended."""
        with self._lock:
            self._last_values.set_close(symbol, price, day)

    def past(self, kind: str, symbol: str, since_ns: int, until_ns: int) -> Sequence[Message]:
        """What was said before, as of a market that knows its past; blocks, and not while it is `opened`."""
        if self._known_past is not None:
            with self._reading:
                return self._known_past.past(kind, symbol, since_ns, until_ns)
        with self._lock:
            remembered = self._played.remembered(kind, symbol)
        return remembered.told(since_ns, until_ns)

    @contextmanager
    def opened(self, account: str = FIRST_ACCOUNT) -> Iterator[tuple[SimulatedAccount, LastValues]]:
        """An account and the last prices; nobody else touches these or any account meanwhile."""
        with self._lock:
            yield self._accounts[account], self._last_values


def _expiry_rules(market: Market) -> ExpiryRules:
    if not isinstance(market, PeculiarMarket):
        return ExpiryRules()
    conditions = market.conditions
    return ExpiryRules(conditions.expiries, conditions.late_expiries, conditions.sell_out)


def _further_account(market: Market, key: str) -> SimulatedAccount:
    if not isinstance(market, SharedMarket):
        return SimulatedAccount()
    cash = market.further_cash(key)
    return SimulatedAccount(market.further_holdings(key), None if cash is None else Decimal(str(cash)))


def _opening_account(market: Market) -> SimulatedAccount:
    if not isinstance(market, HoldingMarket):
        return SimulatedAccount()
    return SimulatedAccount(market.holdings(), None if market.cash is None else Decimal(str(market.cash)))


class AccountFace:
    """The simulated account for tests, from any thread; what is put in here, no stream tells."""

    def __init__(
        self, state: SimulatorState, now_ns: Callable[[], int], account: str = FIRST_ACCOUNT
    ) -> None:
        self._state = state
        self._now_ns = now_ns
        self._account = account

    def set_position(
        self, symbol: str, quantity: Number, average_price: Number | None = None, **raw: Any
    ) -> None:
        """Hold exactly this much, short is negative, 0 nothing; `raw` are fields of the answer as they shall be."""
        average = None if average_price is None else Decimal(str(average_price))
        holding = Holding(symbol, Decimal(str(quantity)), average, raw)
        with self._state.opened(self._account) as (account, _):
            account.set_holding(holding)

    def set_cash(self, dollars: Number) -> None:
        """Have exactly this much cash."""
        with self._state.opened(self._account) as (account, _):
            account.cash = Decimal(str(dollars))

    def add_order(self, raw: Mapping[str, Any]) -> str:
        """Have placed an order, or changed the one with its id; returns the id. Missing id and time are made up."""
        with self._state.opened(self._account) as (account, _):
            return account.add_order(raw, self._now_ns())

    def add_activity(
        self,
        kind: str,
        symbol: str | None = None,
        qty: Number | None = None,
        price: Number | None = None,
        *,
        at: datetime | int | None = None,
        **fields: Any,
    ) -> str:
        """Let something have happened, now or `at` an instant, and return its id; the positions stay as they are.

        `qty` is the change of the position (an assigned short call: +1), but a fill's is positive beside its
        `side`. Other fields of the answer, and `execution_id` for the second half of the id, come by name; None
        leaves a field out of the answer.
        """
        at_ns = self._now_ns() if at is None else epoch_nanoseconds(at)
        named = {"symbol": symbol, "qty": _number_text(qty), "price": _number_text(price)} | fields
        with self._state.opened(self._account) as (account, _):
            return account.add_activity(kind, self._now_ns() if at_ns is None else at_ns, named)


def _number_text(number: Number | None) -> str | None:
    return None if number is None else str(number)
