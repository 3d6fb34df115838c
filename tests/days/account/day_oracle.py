"""What a page that has its portfolio from the account says of today's profit, while the account goes its way.

A figure of today that is known is what today really made, of what was held at midnight and of what was done since, at
some moment since the account was asked. Of a share that was split nobody knows it by a close of yesterday's share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING, Final

from options_helper.analysis.live_portfolio_metrics import DEFAULT_WIDE_SPREAD_PCT
from options_helper.analysis.live_tables import multileg_tables, position_table
from options_helper.analysis.priced_lines import price_entries
from options_helper.analysis.totals import LiveTotals, sum_up
from options_helper.live.account_book import AccountBooks
from options_helper.model.account import PreviousClose
from options_helper.model.events import Quote
from options_helper.model.market_hours import session_before
from options_helper.model.portfolio import Portfolio
from options_helper.model.risk_inputs import ContractChange, CorporateActions, RiskInputs
from options_helper.model.snapshot import LiveSnapshot
from tests.days.account.book_oracle import LOOKS_APART, STALE_AFTER, STREAMS
from tests.days.account.world import SHARES, SYMBOLS, Account, Happening
from tests.days.day import NEW_YORK

if TYPE_CHECKING:
    from tests.days.account.desk import AccountDesk
    from tests.days.stage import Stage

_ENDS: Final = ("assignment", "exercise", "expiry")
# A day begins for the product with its next reading.
_ABOUT_MIDNIGHT: Final = 120.0
_MOST_LATER: Final = 6
_CENT: Final = 0.01


class DayOracle:
    """Draws the account's own book."""

    def __init__(self, stage: Stage, account: Account, desk: AccountDesk) -> None:
        self._stage, self._account, self._desk = stage, account, desk
        # Where a close is told in today's share at once, and where it stays yesterday's.
        self._tells_adjusted = stage.dice("account's closes").random() < 0.5
        # Whether a split was announced, or nobody knows of it before the account tells.
        self._is_announced = stage.dice("account's splits").random() < 0.5
        self._books = AccountBooks()
        self._looks = 0

    def look(self, now: float) -> str | None:
        """A sentence for the first thing that is not so; `now` in the account's seconds."""
        self._looks += 1
        if self._looks % LOOKS_APART or self._desk.account_state.view is None:
            return None
        if not _ABOUT_MIDNIGHT < now - self._midnight(now) < 86_400 - _ABOUT_MIDNIGHT:
            return None
        return next(self._lies(now), None)

    def _lies(self, now: float) -> Iterator[str]:
        live = self._books.settled(lambda: self._snapshot(now))
        book = self._books.book_in(live)
        if book is None or live.account.view is None:
            return
        told, totals = self._drawn(book.portfolio, live)
        asked = (live.account.view.as_of - self._account.opened).total_seconds()
        possible = {symbol: self._possible(symbol, asked, now) for symbol in SYMBOLS}
        for symbol, profit in told.items():
            known = possible[symbol]
            if profit is not None and known is not None and not _is_among(profit, known):
                yield f"{symbol}: today is said to have made {profit:.2f}, and it made {known}"
        each = [known[0] for known in possible.values() if known is not None and len(known) == 1]
        total = totals.day.total
        if total is not None and len(each) == len(SYMBOLS) and not _is_among(total, [sum(each)]):
            yield f"today is said to have made {total:.2f} in all, and it made {each}"

    def _drawn(self, portfolio: Portfolio, live: LiveSnapshot) -> tuple[dict[str, float | None], LiveTotals]:
        """Today's profit of each symbol that stands in one line, and the sums."""
        priced = price_entries(
            portfolio.positions,
            portfolio,
            live,
            stale_after_seconds=STALE_AFTER,
            wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT,
        )
        positions = position_table(portfolio, live, priced)
        structures, legs = multileg_tables(portfolio, live, priced)
        rows = [
            (symbol, profit)
            for table in (positions, legs)
            for symbol, profit in zip(table["live_symbol"], table.values("day_pnl"), strict=True)
        ]
        symbols = [symbol for symbol, _ in rows]
        told = {symbol: profit for symbol, profit in rows if symbols.count(symbol) == 1}
        return told, sum_up(portfolio, live, positions, structures, legs)

    # What is so.

    def _midnight(self, now: float) -> float:
        """The last one in New York, in the account's seconds."""
        day = self._account.moment(now).astimezone(NEW_YORK).date()
        return (
            datetime.combine(day, time(), NEW_YORK).astimezone(UTC) - self._account.opened
        ).total_seconds()

    def _price(self, symbol: str, now: float) -> float:
        """It wanders, and a split halves that of the share."""
        return self._account.close(symbol) * self._account.factor(symbol, now) - 1 + now % 300 / 100

    def _snapshot(self, now: float) -> LiveSnapshot:
        true_ns = self._stage.clocks.true_ns
        today = self._account.moment(now).astimezone(NEW_YORK).date()
        state = replace(self._desk.account_state, closes=self._closes(today, now))
        live = self._desk.state.snapshot(
            true_ns, running=True, running_since=None, streams=STREAMS, account=state
        )
        return replace(
            live,
            quotes={one: _quote(one, self._price(one, now), true_ns) for one in SYMBOLS},
            risk_inputs=RiskInputs(actions=self._announced() if self._is_announced else {}),
        )

    def _announced(self) -> Mapping[str, CorporateActions]:
        splits = [one.at for one in self._account.happenings if one.kind == "split"]
        days = [self._account.moment(at).astimezone(NEW_YORK).date() for at in splits]
        changes = tuple(ContractChange(SHARES, "forward_splits", day, 2.0) for day in days)
        return (
            {SHARES: CorporateActions(SHARES, self._account.opened, max(days), changes=changes)}
            if days
            else {}
        )

    def _closes(self, today: date, now: float) -> Mapping[str, PreviousClose]:
        base = session_before(today)
        at = now if self._tells_adjusted else 0.0
        closes = {one: self._account.close(one) * self._account.factor(one, at) for one in SYMBOLS}
        return {one: PreviousClose(one, Decimal(str(close)), base) for one, close in closes.items()}

    def _possible(self, symbol: str, asked: float, now: float) -> Sequence[float] | None:
        """What today made of it, by what was done until it was asked and any of what was done since.

        None where the day's own record does not say: what ended, what was moved just before the day's first look.
        """
        midnight = self._midnight(now)
        today = [
            one
            for one in self._account.until(now)
            if one.at >= midnight and any(changed == symbol for changed, _ in one.changes)
        ]
        day = self._account.moment(now).astimezone(NEW_YORK).date()
        first, late = self._desk.first_reading.get(day, (now, 0.0))
        later = [one for one in today if one.at > asked]
        is_untold = any(first - late < one.at <= first + 1 for one in today)
        if is_untold or len(later) > _MOST_LATER or any(not self._is_judged(one, midnight) for one in today):
            return None
        if splits := [one.at for one in today if one.kind == "split"]:
            if not self._account.quantities(midnight - 0.001).get(symbol, 0):
                return (
                    None  # what is bought on that day is of the new share, and here a split comes at any hour
                )
            # Before the account tells of it nobody knows of one that was not announced.
            return () if self._is_announced or asked > splits[0] else None
        found: list[float] = []
        done = [one for one in today if one.at <= asked]
        for count in range(len(later) + 1):
            for some in combinations(later, count):
                if not any(one.kind == "transfer" for one in (*done, *some)):
                    found.append(self._profit(symbol, (*done, *some), midnight, now))  # noqa: PERF401 - read better so
        return found

    def _is_judged(self, happening: Happening, midnight: float) -> bool:
        if happening.kind in _ENDS:
            return False
        piece = happening.of
        if piece is None:
            return True
        return any(one.at >= midnight for one in self._account.happenings if piece in one.pieces)

    def _profit(self, symbol: str, happened: Sequence[Happening], midnight: float, now: float) -> float:
        overnight = held = self._account.quantities(midnight - 0.001).get(symbol, 0)
        spent = 0.0
        for one in happened:
            held += sum(change for changed, change in one.changes if changed == symbol)
            spent += sum(
                piece.quantity * float(piece.price) for piece in one.pieces if piece.symbol == symbol
            )
            if one.of is not None:
                spent -= one.of.quantity * float(one.of.price)
        # In today's share.
        close = self._account.close(symbol) * self._account.factor(symbol, midnight)
        return (held * self._price(symbol, now) - overnight * close - spent) * (
            1 if symbol == SHARES else 100
        )


def _quote(symbol: str, price: float, at_ns: int) -> Quote:
    """One that is the same price on both sides: whatever supports no middle after a session has no other mark."""
    return Quote(symbol=symbol, bid_price=price, ask_price=price, timestamp=at_ns, received_ns=at_ns)


def _is_among(said: float, possible: Sequence[float]) -> bool:
    return any(abs(said - one) < _CENT for one in possible)
