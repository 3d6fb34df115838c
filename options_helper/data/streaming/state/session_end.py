"""Keep the last quote of a contract's session: what is quoted after it are the orders that somebody left standing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from options_helper.model.contract_hours import latest_session, option_trading_ends_at
from options_helper.model.contract_symbols import has_contract_length
from options_helper.model.events import Quote
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds, utc_datetime
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions, next_change

# How far the exchange's clock may be ahead of the one by which this begins to look at each quote.
_EARLY_NS: Final = 60 * NANOSECONDS
# No longer than this passes until the latest session is looked up again.
_LOOK_AGAIN_NS: Final = 600 * NANOSECONDS


class SessionEnd:
    """Tells which quotes were made after the latest session of their contract. One thread; knows no clock."""

    def __init__(self) -> None:
        self._told: ToldSessions = NOTHING_TOLD
        self._known_from_ns = self._known_until_ns = 0
        self._is_over = False
        # What is made from then on is of the next session.
        self._next_opens_ns = 0
        self._ends_ns: dict[str, int] = {}  # by contract

    def is_over(self, now_ns: int, told: ToldSessions) -> bool:
        """Whether a contract's quote that comes at `now_ns` may have been made after its session."""
        if not self._known_from_ns <= now_ns < self._known_until_ns or told is not self._told:
            self._look_up(now_ns, told)
        return self._is_over

    def _look_up(self, now_ns: int, told: ToldSessions) -> None:
        self._told = told
        self._ends_ns = {}
        self._known_from_ns, self._known_until_ns = now_ns, now_ns + _LOOK_AGAIN_NS
        session = latest_session(utc_datetime(now_ns), told)
        change = next_change(utc_datetime(now_ns), told)
        if session is None or change is None:
            self._is_over = False
            return
        # With the open of the next session every quote is one of it.
        self._known_until_ns = min(self._known_until_ns, datetime_nanoseconds(change))
        opens = next_change(max(utc_datetime(now_ns), session.closes), told)
        self._next_opens_ns = datetime_nanoseconds(opens) if opens else self._known_until_ns
        over_from_ns = datetime_nanoseconds(session.closes) - _EARLY_NS
        self._is_over = now_ns >= over_from_ns
        if not self._is_over:
            self._known_until_ns = min(self._known_until_ns, over_from_ns)

    def leaves_out(self, quote: Quote, quotes: Mapping[str, Quote], now_ns: int) -> bool:
        """Whether a quote must not replace the one that is known: that is of the session, and it is not.

        To be asked while `is_over`. Where nothing is known it is better than nothing, and its time says what it is.
        """
        known = quotes.get(quote.symbol) if has_contract_length(quote.symbol) else None
        if known is None:
            return False
        ends_ns = self._end_of(quote.symbol, now_ns)
        # The exchange's time says which session a quote is of, also where this computer's clock is behind.
        return self._next_opens_ns > _made_ns(quote) > ends_ns >= _made_ns(known)

    def _end_of(self, symbol: str, now_ns: int) -> int:
        ends_ns = self._ends_ns.get(symbol)
        if ends_ns is None:
            session = latest_session(utc_datetime(now_ns), self._told)
            ends_at = option_trading_ends_at(symbol, session.opens.date(), self._told) if session else None
            ends_ns = datetime_nanoseconds(ends_at) if ends_at else now_ns
            self._ends_ns[symbol] = ends_ns
        return ends_ns


def _made_ns(quote: Quote) -> int:
    return quote.timestamp_ns or quote.received_ns
