"""When the options around the money are asked for: again and again while they are traded, as nobody streams them.

They say what an index costs and check what a share does; and what is out of the money at the strike of a leg in the
money may say its volatility. How much is asked is bounded, whatever is held: who was asked longest ago is next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Final

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.expiry_chains import ChainRequest, chain_requests, money_of, read_chain
from options_helper.data.rest.seeding import FEEDS_WITHOUT_REST, SeedBatch, seed, session_closes
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.held_course import HeldCourse, HoldsReadings, contracts_of
from options_helper.data.streaming.polling.moment import Moment
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.question import Asking
from options_helper.data.streaming.polling.reports import with_more
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.data.streaming.state.session_end import SessionEnd
from options_helper.errors import RestError
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.alpaca_symbols import is_index, underlying_symbol
from options_helper.model.contract_hours import latest_session, option_trading_ends_at
from options_helper.model.contract_symbols import other_type, parse_contract_symbol
from options_helper.model.events import Quote
from options_helper.model.market_hours import ToldSessions, new_york_date, next_change, regular_session
from options_helper.model.problems import Problem
from options_helper.model.risk_inputs import ExpiryChain, SessionClose

# Of a look; at one each 15 seconds that is 24 and 8 requests a minute.
INDEX_EXPIRIES_A_LOOK: Final = 6
SHARES_A_LOOK: Final = 2
# A look has at most one request of these, and they are looked at every so many looks.
PARTNERS_AT_MOST: Final = 100
LOOKS_TO_PARTNERS: Final = 4

Expiry = tuple[str, date]


@dataclass(frozen=True, slots=True)
class AskChain:
    """Ask for the options of one expiry."""

    request: ChainRequest
    feed: str
    asked: Moment

    def read(self, rest: AlpacaRest) -> Mapping[str, ExpiryChain]:
        """By class and expiry; blocks, RestError."""
        return read_chain(rest, self.request, feed=self.feed, today=self.asked.today, read_at=self.asked.now)


@dataclass(frozen=True, slots=True)
class AskLatest:
    """Ask for the latest prices of these."""

    shares: tuple[str, ...]
    contracts: tuple[str, ...]
    stock_feed: str
    options_feed: str
    today: date

    def read(self, rest: AlpacaRest) -> tuple[SeedBatch, ...]:
        """All of them; blocks, RestError."""
        feeds = {"stock_feed": self.stock_feed, "options_feed": self.options_feed}
        return tuple(seed(rest, self.shares, self.contracts, today=self.today, **feeds))


class ChainCourse(HeldCourse):
    """Asks at a steady pace while contracts are traded, and seldom else. `state` knows what shares cost."""

    TASKS = (RestTask.CHAINS,)

    def __init__(
        self, holder: HoldsReadings, config: LiveStreamConfig, policy: WatchPolicy, state: LiveState
    ) -> None:
        super().__init__(holder, config, policy)
        self._state = state
        self._money: dict[Expiry, float] = {}
        self._asked: dict[Expiry, int] = {}  # in which look
        self._looks = 0
        self._session_end = SessionEnd()

    def _questions(self) -> Asking[float]:
        """Ask for those whose turn it is."""
        config, contracts = self._config, contracts_of(self._config)
        spots = _spots(contracts, self._state.quote)
        every = chain_requests(contracts, self._at.today, spots, self._money)
        self._drop_all_but(every)
        if not contracts or config.options_feed in FEEDS_WITHOUT_REST:
            return self._policy.poll
        chosen = [*self._next(every, of_index=True), *self._next(every, of_index=False)]
        self._report(RestTask.CHAINS, phase=RestPhase.REQUESTING)
        try:
            yield from self._ask(chosen, contracts, spots)
        except RestError as error:
            self._report(RestTask.CHAINS, phase=RestPhase.FAILED, problems=(Problem.of(error),))
            return self._policy.again
        finally:
            self._looks += 1
        now = self._at.now
        self._report(RestTask.CHAINS, phase=RestPhase.DONE, finished_at=now, problems=())
        return _pause(contracts, now, self._state.clock.told, self._policy)

    def _next(self, requests: Iterable[ChainRequest], *, of_index: bool) -> list[ChainRequest]:
        """Those that were asked longest ago."""
        at_most = INDEX_EXPIRIES_A_LOOK if of_index else SHARES_A_LOOK
        some = [one for one in requests if one.of_index == of_index]
        return sorted(some, key=lambda one: self._asked.get((one.underlying, one.expiry), -1))[:at_most]

    def _ask(
        self, requests: Iterable[ChainRequest], contracts: tuple[str, ...], spots: Mapping[str, float]
    ) -> Asking[None]:
        for request in requests:
            self._asked[request.underlying, request.expiry] = self._looks
            found = yield AskChain(request, self._config.options_feed, self._at)
            self._take(request, found)
        if self._looks % LOOKS_TO_PARTNERS == 0:
            yield from self._ask_partners(contracts, spots)
        yield from self._ask_closes(spots)

    def _ask_closes(self, shares: Iterable[str]) -> Asking[None]:
        """What shares cost at the close, once it is over: until the next open it says what the last quotes are of."""
        now, known = self._at.now, self._holder.risk_inputs.session_closes
        session = latest_session(now, self._state.clock.told)
        if session is None or now < session.closes:
            return
        day = session.opens.date()
        missing = tuple(
            one
            for one in shares
            if (close := known.get((one, day))) is None or close.read_at < session.closes
        )
        if not missing:
            return
        found: dict[tuple[str, date], SessionClose] = {}
        for batch in (yield self._latest(shares=missing)):
            found |= session_closes(batch.newest_closes, self._at.now)
        inputs = self._holder.risk_inputs
        self._holder.risk_inputs = replace(inputs, session_closes=with_more(inputs.session_closes, found))

    def _latest(self, *, shares: tuple[str, ...] = (), contracts: tuple[str, ...] = ()) -> AskLatest:
        config = self._config
        return AskLatest(shares, contracts, config.stock_feed, config.options_feed, self._at.today)

    def _take(self, request: ChainRequest, found: Mapping[str, ExpiryChain]) -> None:
        """Keep what one expiry is quoted at."""
        # As both are now: an answer may have waited for its turn.
        read_at, spot = self._at.now, self._state.quote(request.underlying)
        inputs = self._holder.risk_inputs
        chains = {
            name: replace(
                one,
                read_at=read_at,
                spot=spot,
                quotes=self._of_session(
                    one.quotes, inputs.chains[name].quotes if name in inputs.chains else {}
                ),
            )
            for name, one in found.items()
        }
        self._holder.risk_inputs = replace(inputs, chains=with_more(inputs.chains, chains))
        # Not by what is left standing, or the next look would be for other strikes, and lose the session's quotes.
        money, expiry = money_of(chains.values()), (request.underlying, request.expiry)
        if money is None:
            # The next look takes all strikes again.
            self._money.pop(expiry, None)
        else:
            self._money[expiry] = money

    def _ask_partners(self, contracts: tuple[str, ...], spots: Mapping[str, float]) -> Asking[None]:
        """Quotes of what is out of the money at the strikes of the legs in the money."""
        wanted = [other_type(one) for one in contracts if self._is_in_the_money(one, spots)]
        streamed = set(contracts)
        missing = tuple(one for one in dict.fromkeys(wanted) if one not in streamed)[:PARTNERS_AT_MOST]
        found: dict[str, Quote] = {}
        if missing:
            for batch in (yield self._latest(contracts=missing)):
                found |= {quote.symbol: quote for quote in batch.quotes}
        inputs = self._holder.risk_inputs
        quotes = self._of_session(found, inputs.partners)
        self._holder.risk_inputs = replace(inputs, partners=with_more({}, quotes))

    def _of_session(self, found: Mapping[str, Quote], known: Mapping[str, Quote]) -> Mapping[str, Quote]:
        """These, and for one that was made after the session of its contract that of the session, if it is known."""
        now_ns = self._at.ns
        if not self._session_end.is_over(now_ns, self._state.clock.told):
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
        inputs = self._holder.risk_inputs
        kept = {name: one for name, one in inputs.chains.items() if is_wanted(one)}
        if len(kept) < len(inputs.chains):
            self._holder.risk_inputs = replace(inputs, chains=with_more({}, kept))


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
