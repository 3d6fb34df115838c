"""What a line is worth by what is known, and what the page says of it: its mark, its session, its age, its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from options_helper.analysis.marks import MarkSource, QuoteWarning
from options_helper.analysis.priced_lines import PricedLines, price_entries
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.events import RestQuote
from options_helper.model.portfolio import Portfolio, Position, ShareHolding
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.days.clocks import NS
from tests.days.prices.held_world import JUNK, HeldWorld, date_of, expiry_of
from tests.days.stage import Stage

if TYPE_CHECKING:
    from tests.days.prices.held_desk import HeldDesk

# A page is drawn more often; what it says changes with what is known, and that is looked at each second.
_LOOKS_APART: Final = 15
STALE_AFTER: Final = 30.0
# Clocks may be wrong by so much, and a session begin or end for one of them.
_ABOUT_NS: Final = 60 * NS
_STREAMS: Final = {
    StreamName.STOCKS: StreamHealth(StreamName.STOCKS, phase=Phase.LIVE, feed="iex"),
    StreamName.OPTIONS: StreamHealth(StreamName.OPTIONS, phase=Phase.LIVE, feed="indicative"),
}
_SHARES: Final = ("AAPL", "MSFT", "SPY")


class MarksOracle:
    """Prices a portfolio of shares and of contracts that end, and compares it with what is so."""

    def __init__(self, stage: Stage, world: HeldWorld) -> None:
        self._stage, self._world = stage, world
        self.broken: str | None = None
        self._looks = 0
        contracts = tuple(_position(one) for one in world.ending)
        self._portfolio = Portfolio(
            cash=None,
            positions=(
                *(ShareHolding(id=one, symbol=one, shares=100.0, cost_basis=50.0) for one in _SHARES),
                *contracts,
            ),
        )

    def look(self, desk: HeldDesk) -> None:
        """Draw a page now and then."""
        self._looks += 1
        if self._looks % _LOOKS_APART or self.broken is not None:
            return
        if self._world.prices.knows_time(desk.prices) is None or not self._world.prices.is_settled(
            desk.prices
        ):
            return
        if any(abs(self._stage.clocks.true_ns - edge) < _ABOUT_NS for edge in self._stage.day.edges()):
            return
        live = self._snapshot(desk)
        lines = price_entries(
            self._portfolio.positions,
            self._portfolio,
            live,
            stale_after_seconds=STALE_AFTER,
            wide_spread_pct=1_000.0,
        )
        told = (*self._lies_of_shares(live, lines), *self._lies_of_contracts(desk, live, lines))
        self.broken = next(iter(told), None)
        if self.broken:
            self._stage.check(sampled=False)

    def _snapshot(self, desk: HeldDesk) -> LiveSnapshot:
        """What is known, with the contracts' quotes as they are now: nobody streams these here."""
        now_ns = self._stage.clocks.true_ns
        context = desk.prices.context
        live = desk.prices.state.snapshot(
            self._stage.clocks.wall_ns(),
            running=True,
            running_since=None,
            streams=_STREAMS,
            account=context.account_state,
            risk_inputs=context.risk_inputs,
            expiry_facts=context.expiry_facts,
        )
        quotes = dict(live.quotes)
        for contract in self._world.ending:
            made_ns, bid = self._world.option_quote(contract, now_ns)
            times = {"timestamp": made_ns, "received_ns": made_ns}
            quotes[contract] = RestQuote(
                symbol=contract, bid_price=bid, ask_price=round(bid + 0.1, 2), **times
            )
        return replace(live, quotes=quotes)

    def _lies_of_shares(self, live: LiveSnapshot, lines: PricedLines) -> Iterator[str]:
        is_open = self._stage.day.is_open(self._stage.clocks.true_ns)
        for place, symbol in enumerate(_SHARES):
            quote = live.quotes.get(symbol)
            mark = lines.mark[place]
            if quote is None or quote.bid_price is None or quote.ask_price is None:
                if mark == mark:  # noqa: PLR0124 - NaN alone differs from itself
                    yield f"{symbol} is worth {mark}, and nobody knows its price"
                continue
            if abs(mark - (quote.bid_price + quote.ask_price) / 2) > 1e-6:
                yield f"{symbol} is worth {mark}, and quoted at {quote.bid_price}"
            age = live.as_of.timestamp() - quote.received_ns / NS
            is_stale = bool(lines.findings[QuoteWarning.STALE_QUOTE][place])
            if is_stale != (is_open and age > STALE_AFTER) and abs(age - STALE_AFTER) > 1:
                yield f"{symbol} is {'' if is_stale else 'not '}stale at an age of {age:.0f} s"
            begun = [
                one.opens_ns for one in self._stage.day.sessions if one.opens_ns <= self._stage.clocks.true_ns
            ]
            is_of_before = bool(lines.findings[QuoteWarning.OTHER_SESSION][place])
            if begun and is_of_before != ((quote.timestamp_ns or 0) < begun[-1]):
                yield f"{symbol} is {'' if is_of_before else 'not '}said to be of another session"

    def _lies_of_contracts(self, desk: HeldDesk, live: LiveSnapshot, lines: PricedLines) -> Iterator[str]:
        now_ns = self._stage.clocks.true_ns
        records = desk.prices.context.expiry_facts.records
        for place, contract in enumerate(self._world.ending, len(_SHARES)):
            is_told = contract in records
            at_open = self._world.settles_at_open(contract) and is_told
            has_ended = self._has_ended(contract, now_ns, at_open=at_open)
            if bool(lines.ended[place]) != has_ended:
                yield f"{contract} has {'' if has_ended else 'not '}ended, and the page says otherwise"
            expires_today = expiry_of(contract) == date_of(now_ns)
            said = bool(lines.findings[QuoteWarning.SETTLED_AT_OPEN][place])
            if said != (at_open and (has_ended or expires_today)):
                yield f"{contract} is {'' if said else 'not '}said to be settled at the open"
            quote, mark = live.quotes[contract], lines.mark[place]
            is_priced = mark == mark  # noqa: PLR0124 - NaN alone differs from itself
            if has_ended:
                if is_priced:
                    yield f"{contract} has ended, and is worth {mark}"
            elif quote.bid_price == JUNK:
                if lines.columns["mark_source"][place] is MarkSource.MID:
                    yield f"{contract} is worth the middle of what was left standing"
            elif abs(mark - (quote.bid_price or 0) - 0.05) > 1e-6 or not is_priced:
                yield f"{contract} is worth {mark}, and quoted at {quote.bid_price}"

    def _has_ended(self, contract: str, now_ns: int, *, at_open: bool) -> bool:
        """By the written-down sessions; what expires on a day that has none is settled in the session before."""
        expiry = expiry_of(contract)
        session = next((one for one in self._stage.day.sessions if date_of(one.opens_ns) == expiry), None)
        if session is not None:
            return now_ns >= (session.opens_ns if at_open else session.closes_ns)
        before = [one for one in self._stage.day.sessions if date_of(one.opens_ns) < expiry]
        is_closed = expiry.weekday() >= 5 or f"{expiry:%m-%d}" in ("11-26", "01-01", "12-25")
        if is_closed and before:
            return now_ns >= (before[-1].opens_ns if at_open else before[-1].closes_ns)
        return expiry < date_of(now_ns)


def _position(contract: str) -> Position:
    terms = parse_contract_symbol(contract)
    return Position(
        id=contract,
        symbol=terms.underlying,
        option_type=terms.option_type,
        expiry=terms.expiry,
        strike=terms.strike,
        contracts=1,
        cost_basis=1.0,
    )
