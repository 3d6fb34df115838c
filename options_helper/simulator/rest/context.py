"""What an answer over plain HTTP is made from, and how a request that cannot be answered is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from http import HTTPStatus
from typing import Any, Final, NoReturn, TypeVar

from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds
from options_helper.model.market_hours import NEW_YORK
from options_helper.simulator.faults import NO_FAULTS, Faults
from options_helper.simulator.market.account import SimulatedAccount
from options_helper.simulator.market.last_values import LastValues, SymbolSnapshot
from options_helper.simulator.market.market import ListingMarket, Market, QuotingMarket
from options_helper.simulator.market.past import PastMarket
from options_helper.simulator.wire.protocol import NO_LIMITS, Limits

Answer = tuple[HTTPStatus, Any]
Query = Mapping[str, str]
T = TypeVar("T")

FRESH_NS: Final = 60 * NANOSECONDS


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The market and the account at one instant, and what shall go wrong with what they say."""

    market: Market
    last_values: LastValues
    account: SimulatedAccount
    now_ns: int
    last_session: date  # the trading day before the market's today
    past: PastMarket
    limits: Limits = NO_LIMITS
    faults: Faults = NO_FAULTS

    def snapshot(self, symbol: str) -> SymbolSnapshot:
        """What is known of a symbol: as it was just heard, else as the market makes it up."""
        last = self.last_values.snapshot(symbol)
        if not isinstance(self.market, QuotingMarket):
            return last
        made = self.market.snapshot(symbol, self.now_ns, self.last_session)
        return last.over(made) if self._is_fresh(last) else made.over(last)

    def price(self, symbol: str) -> float | None:
        """About what it costs now: the middle of its quote, or where the market says that it starts."""
        quote = self.snapshot(symbol).quote or {}
        bid, ask = quote.get("bp"), quote.get("ap")
        if bid is not None and ask is not None:
            return (float(bid) + float(ask)) / 2
        return self.market.price(symbol) if isinstance(self.market, ListingMarket) else None

    def _is_fresh(self, last: SymbolSnapshot) -> bool:
        # What nobody is subscribed to any more was last heard when somebody was.
        at_ns = epoch_nanoseconds((last.quote or {}).get("t"))
        return at_ns is not None and self.now_ns - at_ns < FRESH_NS

    def at_most(self, limit: int) -> int:
        """Rows of one page, when so many are asked for."""
        return limit if self.faults.rest_page is None else min(limit, self.faults.rest_page)


class RequestRefused(Exception):
    """The answer is a refusal, with Alpaca's status and a message."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.answer: Answer = (status, refusal(status, message))


def refusal(status: int, message: str) -> dict[str, Any]:
    """The body that says why not."""
    return {"code": status * 100_000 + 10_000, "message": message}


def whole_number(query: Query, name: str, default: int, *, at_most: int) -> int:
    """A positive number of the query; beyond the limit the request is refused, as Alpaca does."""
    text = query.get(name) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= at_most:
        refuse_field(f"{name} must be a number from 1 to {at_most}, and is {text}")
    return int(text)


def one_of(query: Query, name: str, default: str, allowed: Sequence[str]) -> str:
    """A word of the query that is one of a few."""
    word = query.get(name) or default
    if word not in allowed:
        refuse_field(f"{name} must be one of {', '.join(allowed)}, and is {word}")
    return word


def instant(query: Query, name: str) -> int | None:
    """A time of the query; a day is its midnight in New York."""
    text = query.get(name)
    if not text:
        return None
    try:
        at: object = datetime.combine(date.fromisoformat(text), time(), NEW_YORK)
    except ValueError:
        at = text
    at_ns = epoch_nanoseconds(at)
    if at_ns is None:
        refuse_field(f"{name} must be a day or a time in RFC 3339, and is {text}")
    return at_ns


def refuse_field(message: str) -> NoReturn:
    """Say that a field of the query cannot be used."""
    raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, message)


def page_of(rows: Sequence[T], token: str | None, limit: int) -> tuple[Sequence[T], str | None]:
    """A page and the token of the next one, which is the place where it begins."""
    if token and not token.isdigit():
        refuse_field(f"page_token must be one that was given, and is {token}")
    first = int(token or 0)
    following = first + limit
    return rows[first:following], str(following) if following < len(rows) else None
