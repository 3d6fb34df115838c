"""What a page says of a file that nobody edits, while the account it is held against goes its way.

No line counts as of the first grade whose quantity is not the account's, by all that can be known of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from options_helper.analysis.holdings import compare_holdings
from options_helper.analysis.marks import QuoteWarning
from options_helper.analysis.priced_lines import price_entries
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.events import RestQuote
from options_helper.model.portfolio import Portfolio, Position, ShareHolding
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.days.account.world import SHARES, SYMBOLS, Account

if TYPE_CHECKING:
    from tests.days.account.desk import AccountDesk
    from tests.days.stage import Stage

# Drawing costs more than all else here; what a page says changes with what is told, at each look.
LOOKS_APART: Final = 12
STALE_AFTER: Final = 30.0
STREAMS: Final = {
    StreamName.STOCKS: StreamHealth(StreamName.STOCKS, phase=Phase.LIVE),
    StreamName.OPTIONS: StreamHealth(StreamName.OPTIONS, phase=Phase.LIVE),
}


class BookOracle:
    """Draws a file of what was held as the account began to be watched."""

    def __init__(self, stage: Stage, account: Account, desk: AccountDesk, since: float) -> None:
        self._stage, self._account, self._desk = stage, account, desk
        self._file = {symbol: count for symbol, count in account.quantities(since).items() if count}
        self._portfolio = Portfolio(
            cash=None, positions=tuple(_line(symbol, count) for symbol, count in self._file.items())
        )
        self._looks = 0

    def look(self, now: float) -> str | None:
        """A sentence for the first thing that is not so; `now` in the account's seconds."""
        self._looks += 1
        if self._looks % LOOKS_APART or self._desk.account_state.view is None:
            return None
        return next(self._lies(now), None)

    def _lies(self, now: float) -> Iterator[str]:
        state = self._desk.account_state
        holdings = compare_holdings(self._portfolio, state)
        doubted = self._doubted()
        for symbol in SYMBOLS:
            here = self._file.get(symbol, 0)
            if symbol != SHARES and self._account.moment(now).date() > parse_contract_symbol(symbol).expiry:
                continue  # it has no figure, and lacks in no file
            is_said = doubted.get(symbol, symbol in holdings.account_only or symbol in state.unsettled)
            known = self._may_be_known(symbol, now)
            if not is_said and here not in known:
                yield f"{symbol}: the file has {here}, the account {known}, and the line stands as if it knew"
            elif is_said and symbol not in state.unsettled and known == {here}:
                yield f"{symbol}: the file has what the account has, and it is said to be in doubt"

    def _may_be_known(self, symbol: str, now: float) -> set[int]:
        """How much of it the account had when it was asked, with any of what happened since, as not all is told."""
        view = self._desk.account_state.view
        assert view is not None
        asked = (view.as_of - self._account.opened).total_seconds()
        found = {self._account.quantities(asked).get(symbol, 0)}
        for happening in self._account.happenings:
            if asked < happening.at <= now:
                for changed, change in happening.changes:
                    found |= {one + change for one in found} if changed == symbol else set()
        return found

    def _doubted(self) -> dict[str, bool]:
        """Of each line of the file, whether its figures say that its quantity is in doubt."""
        wall_ns = self._stage.clocks.wall_ns()
        live = self._desk.state.snapshot(
            wall_ns, running=True, running_since=None, streams=STREAMS, account=self._desk.account_state
        )
        times = {"timestamp": wall_ns, "received_ns": wall_ns}
        quotes = {one: RestQuote(symbol=one, bid_price=5.0, ask_price=5.1, **times) for one in self._file}
        lines = price_entries(
            self._portfolio.positions,
            self._portfolio,
            replace(live, quotes=quotes),
            stale_after_seconds=STALE_AFTER,
            wide_spread_pct=1_000.0,
        )
        found = lines.findings[QuoteWarning.QUANTITY_IN_DOUBT]
        return {symbol: bool(found[place]) for place, symbol in enumerate(self._file)}


def _line(symbol: str, count: int) -> Position | ShareHolding:
    if len(symbol) < 10:
        return ShareHolding(id=symbol, symbol=symbol, shares=float(count), cost_basis=50.0)
    terms = parse_contract_symbol(symbol)
    return Position(
        id=symbol,
        symbol=terms.underlying,
        option_type=terms.option_type,
        expiry=terms.expiry,
        strike=terms.strike,
        contracts=count,
        cost_basis=1.0,
    )
