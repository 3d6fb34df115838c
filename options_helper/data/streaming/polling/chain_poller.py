"""Ask for the options around the money, again and again while they are traded: nobody streams them.

They say what an index costs and check what a share does; and what is out of the money at the strike of a leg in the
money may say its volatility. How much is asked is bounded, whatever is held: who was asked longest ago is next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Final

from options_helper.data.rest.expiry_chains import ChainRequest, chain_requests, money_of, read_chain
from options_helper.data.rest.seeding import FEEDS_WITHOUT_REST, seed, session_closes
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.held_poller import HeldPoller, contracts_of
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.reports import with_more
from options_helper.data.streaming.state.session_end import SessionEnd
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.alpaca_symbols import is_index, underlying_symbol
from options_helper.model.contract_hours import latest_session, option_trading_ends_at
from options_helper.model.contract_symbols import other_type, parse_contract_symbol
from options_helper.model.events import Quote
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.market_hours import ToldSessions, new_york_date, next_change, regular_session
from options_helper.model.risk_inputs import ExpiryChain, SessionClose

# Of a look; at one each 15 seconds that is 24 and 8 requests a minute.
INDEX_EXPIRIES_A_LOOK: Final = 6
SHARES_A_LOOK: Final = 2
# A look has at most one request of these, and they are looked at every so many looks.
PARTNERS_AT_MOST: Final = 100
LOOKS_TO_PARTNERS: Final = 4

Expiry = tuple[str, date]


class ChainPoller(HeldPoller):
    """Asks at a steady pace from a moment after the start on; nobody waits for it."""

    TASKS = (RestTask.CHAINS,)

    def __init__(self, context: PollContext, config: LiveStreamConfig, policy: WatchPolicy) -> None:
        super().__init__("live-chains", context, config, policy, every=policy.chains)
        # Only the thread that asks knows these.
        self._money: dict[Expiry, float] = {}
        self._asked: dict[Expiry, int] = {}  # in which look
        self._looks = 0
        self._session_end = SessionEnd()

    def _poll(self) -> float:
        """Ask for those whose turn it is; seconds until the next look."""
        config, context = self._config, self._context
        contracts = contracts_of(config)
        with context.lock:
            told = context.state.clock.told
            spots = _spots(contracts, context.state.quote)
        every = chain_requests(contracts, context.today(), spots, self._money)
        self._drop_all_but(every)
        if not contracts or config.options_feed in FEEDS_WITHOUT_REST:
            return self._policy.poll
        chosen = [*self._next(every, of_index=True), *self._next(every, of_index=False)]
        is_done = context.attempt(RestTask.CHAINS, lambda: self._ask(chosen, contracts, spots))
        self._looks += 1
        if is_done is None:
            return self._policy.again
        context.report(RestTask.CHAINS, phase=RestPhase.DONE, finished_at=context.now(), problem=None)
        return _pause(contracts, context.now(), told, self._policy)

    def _next(self, requests: Iterable[ChainRequest], *, of_index: bool) -> list[ChainRequest]:
        """Those that were asked longest ago."""
        at_most = INDEX_EXPIRIES_A_LOOK if of_index else SHARES_A_LOOK
        some = [one for one in requests if one.of_index == of_index]
        return sorted(some, key=lambda one: self._asked.get((one.underlying, one.expiry), -1))[:at_most]

    def _ask(
        self, requests: Iterable[ChainRequest], contracts: tuple[str, ...], spots: Mapping[str, float]
    ) -> bool:
        for request in requests:
            self._asked[request.underlying, request.expiry] = self._looks
            self._read(request)
        if self._looks % LOOKS_TO_PARTNERS == 0:
            self._read_partners(contracts, spots)
        self._read_closes(spots)
        return True

    def _read_closes(self, shares: Iterable[str]) -> None:
        """What shares cost at the close, once it is over: until the next open it says what the last quotes are of."""
        context = self._context
        with context.lock:
            at, known = context.now(), context.risk_inputs.session_closes
            session = latest_session(at, context.state.clock.told)
        if session is None or at < session.closes:
            return
        day = session.opens.date()
        missing = [
            one
            for one in shares
            if (close := known.get((one, day))) is None or close.read_at < session.closes
        ]
        began = self._session
        feeds = {"stock_feed": self._config.stock_feed, "options_feed": self._config.options_feed}
        found: dict[tuple[str, date], SessionClose] = {}
        for batch in seed(context.rest(), missing, (), today=context.today(), **feeds):
            found |= session_closes(batch.newest_closes, context.now())
        with context.lock:
            if began == self._session:
                context.risk_inputs = replace(
                    context.risk_inputs,
                    session_closes=with_more(context.risk_inputs.session_closes, found),
                )

    def _read(self, request: ChainRequest) -> None:
        context, expiry = self._context, (request.underlying, request.expiry)
        session = self._session
        found = read_chain(
            context.rest(),
            request,
            feed=self._config.options_feed,
            today=context.today(),
            read_at=context.now(),
        )
        money = money_of(found.values())
        if money is None:
            # The next look takes all strikes again.
            self._money.pop(expiry, None)
        else:
            self._money[expiry] = money
        with context.lock:
            if session != self._session:
                return
            # As both are now: an answer may have waited for its turn.
            read_at, spot = context.now(), context.state.quote(request.underlying)
            before = context.risk_inputs.chains
            chains = {
                name: replace(
                    one,
                    read_at=read_at,
                    spot=spot,
                    quotes=self._of_session(one.quotes, before[name].quotes if name in before else {}),
                )
                for name, one in found.items()
            }
            context.risk_inputs = replace(
                context.risk_inputs, chains=with_more(context.risk_inputs.chains, chains)
            )

    def _read_partners(self, contracts: tuple[str, ...], spots: Mapping[str, float]) -> None:
        """Quotes of what is out of the money at the strikes of the legs in the money."""
        wanted = [other_type(one) for one in contracts if self._is_in_the_money(one, spots)]
        streamed = set(contracts)
        missing = [one for one in dict.fromkeys(wanted) if one not in streamed][:PARTNERS_AT_MOST]
        context = self._context
        session, found = self._session, dict[str, Quote]()
        feeds = {"stock_feed": self._config.stock_feed, "options_feed": self._config.options_feed}
        for batch in seed(context.rest(), (), missing, today=context.today(), **feeds):
            found |= {quote.symbol: quote for quote in batch.quotes}
        with context.lock:
            if session == self._session:
                quotes = self._of_session(found, context.risk_inputs.partners)
                context.risk_inputs = replace(context.risk_inputs, partners=with_more({}, quotes))

    def _of_session(self, found: Mapping[str, Quote], known: Mapping[str, Quote]) -> Mapping[str, Quote]:
        """These, and for one that was made after the session of its contract that of the session, if it is known."""
        now_ns = datetime_nanoseconds(self._context.now())
        if not self._session_end.is_over(now_ns, self._context.state.clock.told):
            return found
        return MappingProxyType(
            {
                symbol: known[symbol] if self._session_end.leaves_out(quote, known, now_ns) else quote
                for symbol, quote in found.items()
            }
        )

    def _is_in_the_money(self, contract: str, spots: Mapping[str, float]) -> bool:
        terms = parse_contract_symbol(contract)
        underlying = underlying_symbol(terms.underlying)
        spot = self._money.get((underlying, terms.expiry)) if is_index(underlying) else spots.get(underlying)
        if spot is None or terms.adjusted:
            return False
        return spot > terms.strike if terms.option_type == "call" else spot < terms.strike

    def _drop_all_but(self, requests: Iterable[ChainRequest]) -> None:
        """Forget what belongs to nothing that is held, so that memory does not grow with the days."""
        wanted = {(one.underlying, one.expiry) for one in requests}

        def is_wanted(chain: ExpiryChain) -> bool:
            return (chain.underlying, chain.expiry) in wanted

        self._money = {expiry: at for expiry, at in self._money.items() if expiry in wanted}
        self._asked = {expiry: look for expiry, look in self._asked.items() if expiry in wanted}
        context = self._context
        with context.lock:
            kept = {name: one for name, one in context.risk_inputs.chains.items() if is_wanted(one)}
            if len(kept) < len(context.risk_inputs.chains):
                context.risk_inputs = replace(context.risk_inputs, chains=with_more({}, kept))


def _spots(contracts: Iterable[str], quote_of: Callable[[str], Quote | None]) -> dict[str, float]:
    """The prices of what contracts are written on, where both sides are quoted."""
    names = {underlying_symbol(parse_contract_symbol(one).underlying) for one in contracts}
    quotes = {name: quote for name in names if (quote := quote_of(name)) is not None}
    return {
        name: (quote.bid_price + quote.ask_price) / 2
        for name, quote in quotes.items()
        if quote.bid_price and quote.ask_price
    }


def _pause(contracts: Iterable[str], at: datetime, told: ToldSessions, policy: WatchPolicy) -> float:
    """Seconds until the next look: short while any of them is traded, or was a minute ago; else not beyond the open."""
    day = new_york_date(at)
    session = regular_session(day, told)
    if session is not None and session.opens <= at:
        ends = (option_trading_ends_at(one, day, told) or session.closes for one in contracts)
        if at < max(ends, default=session.closes) + timedelta(minutes=1):
            return policy.chains
    opens = next_change(at, told)
    until_open = policy.closed if opens is None else (opens - at).total_seconds()
    return max(policy.chains, min(policy.closed, until_open))
