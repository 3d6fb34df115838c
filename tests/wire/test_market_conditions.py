"""What makes a simulated market peculiar, seen by the clients that the program uses: each does what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final

import numpy as np
import pytest

from options_helper.analysis.risk.beta import beta_of
from options_helper.analysis.risk.book_risk import assess_book
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.dividends import (
    DividendState,
    LegDividends,
    cash_dividends,
    dividends_of_leg,
)
from options_helper.analysis.risk.forward import (
    ParityForward,
    SpotAlarm,
    StrikePairs,
    parity_forward,
    spot_alarm,
    without_early_exercise,
)
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms, value
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.risk_readings import read_corporate_actions, read_daily_closes
from options_helper.data.rest.seeding import SeedBatch, seed
from options_helper.data.streaming.alpaca_stream import AlpacaOptionStreamer, AlpacaStockStreamer
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.alpaca_symbols import contract_symbol
from options_helper.model.contract_hours import settles_at
from options_helper.model.contract_symbols import OptionType
from options_helper.model.events import RestQuote
from options_helper.model.portfolio import Portfolio
from options_helper.model.risk_inputs import CorporateActions, VendorGreeks
from options_helper.simulator.market.conditions import Conditions
from options_helper.simulator.market.pricing import RATE
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, new_york, portfolio, position
from tests.kit.simulated import PATIENT_REST, settings_for
from tests.kit.waiting import until_no_thread, wait_until
from tests.wire.test_engine import PATIENT

AT: Final = new_york("2026-11-20 10:00")
TODAY, EXPIRY = date(2026, 11, 20), date(2026, 12, 18)
TYPES: Final[tuple[OptionType, ...]] = ("call", "put")
STRIKES = tuple(float(strike) for strike in range(420, 585, 5))
INDEX_STRIKES = tuple(float(strike) for strike in range(6000, 7000, 50))

Simulators = Callable[..., SimulatorServer]


def strip(symbol: str, strikes: tuple[float, ...]) -> Iterator[Any]:
    """A call and a put of each strike, whose cost says nothing about prices."""
    for strike in strikes:
        for kind in TYPES:
            yield position(symbol, strike, kind, expiry=EXPIRY, cost_basis=None)


BOOK = portfolio(holding("MSFT", cost_basis=500.0), *strip("MSFT", STRIKES))
INDEX_BOOK = portfolio(*strip("SPXW", INDEX_STRIKES))


@dataclass(frozen=True)
class Asked:
    """All that a client of the market is told before anything moves."""

    rest: AlpacaRest
    book: Portfolio
    batches: list[SeedBatch]

    @property
    def quotes(self) -> Mapping[str, RestQuote]:
        return {quote.symbol: quote for batch in self.batches for quote in batch.quotes}

    @property
    def greeks(self) -> Mapping[str, VendorGreeks]:
        return {one.symbol: one for batch in self.batches for one in batch.greeks}

    def bid_and_ask(self, symbol: str) -> tuple[float, float]:
        quote = self.quotes[symbol]
        assert quote.bid_price is not None
        assert quote.ask_price is not None
        return quote.bid_price, quote.ask_price

    def mid(self, symbol: str) -> float:
        return sum(self.bid_and_ask(symbol)) / 2

    def actions(self, symbol: str = "MSFT") -> CorporateActions:
        return read_corporate_actions(self.rest, [symbol], TODAY, AT)[symbol]

    def dividends(self, expiry: date = EXPIRY) -> LegDividends:
        ends = settles_at("MSFT", expiry)
        assert ends is not None
        return dividends_of_leg(self.actions(), AT, ends)

    def pairs(self, symbol: str, strikes: tuple[float, ...]) -> StrikePairs:
        sides = {
            kind: np.array([self.bid_and_ask(symbol_of(symbol, strike, kind)) for strike in strikes])
            for kind in TYPES
        }
        call, put = sides["call"], sides["put"]
        return StrikePairs(np.array(strikes), call[:, 0], call[:, 1], put[:, 0], put[:, 1])


def symbol_of(symbol: str, strike: float, kind: OptionType) -> str:
    return contract_symbol(symbol, EXPIRY, kind, strike)


def years_of(symbol: str) -> float:
    settled_at = settles_at(symbol, EXPIRY)
    assert settled_at is not None
    return (settled_at.astimezone(UTC) - AT.astimezone(UTC)).total_seconds() / 60 / 525_600


Ask = Callable[..., Asked]


@pytest.fixture
def ask(running_simulator: Simulators) -> Iterator[Ask]:
    """Ask a market of these conditions for everything that its book holds."""
    made: list[AlpacaRest] = []

    def ask_market(book: Portfolio = BOOK, **conditions: Any) -> Asked:
        server = running_simulator(SeededMarket(book, start=AT, conditions=Conditions(**conditions)))
        rest = AlpacaRest(settings_for(server), policy=PATIENT_REST)
        made.append(rest)
        contracts = [one.live_symbol for one in book.instruments if one.is_option]
        shares = [one.live_symbol for one in book.instruments if not one.is_option]
        batches = seed(rest, shares, contracts, stock_feed="iex", options_feed="indicative", today=TODAY)
        return Asked(rest, book, list(batches))

    yield ask_market
    for each in made:
        each.stop()


def model_of(
    asked: Asked, *, is_american: bool, dividends: CashDividends
) -> tuple[list[str], np.ndarray[Any, Any]]:
    """What each contract with a vendor's volatility is worth by our model, computed from what the client was told."""
    symbols = [
        symbol_of("MSFT", strike, kind)
        for strike in STRIKES
        for kind in TYPES
        if symbol_of("MSFT", strike, kind) in asked.greeks
    ]
    count = len(symbols)
    terms = Terms(
        np.array([int(symbol[-8:]) / 1000 for symbol in symbols]),
        np.array([symbol[-9] == "C" for symbol in symbols]),
        np.full(count, is_american),
        np.full(count, years_of("MSFT")),
    )
    market = Market(
        np.full(count, asked.mid("MSFT")),
        np.full(count, RATE),
        np.zeros(count),
        CashDividends(
            np.repeat(dividends.years[:, :1], count, axis=1),
            np.repeat(dividends.amounts[:, :1], count, axis=1),
        ),
    )
    volatility = np.array([asked.greeks[symbol].implied_volatility or np.nan for symbol in symbols])
    return symbols, value(terms, market, volatility)


def outside(asked: Asked, symbols: list[str], worth: np.ndarray[Any, Any], slack: float = 0.01) -> list[str]:
    """The contracts whose quote does not hold the model's value; a vendor's volatility is rounded, hence the slack."""
    return [
        symbol
        for symbol, one in zip(symbols, worth, strict=True)
        if not asked.bid_and_ask(symbol)[0] - slack <= one <= asked.bid_and_ask(symbol)[1] + slack
    ]


def test_american_quotes_hold_the_value_with_the_announced_dividend_and_not_the_one_without_either(ask: Ask):
    asked = ask(american=True)
    announced = cash_dividends([asked.dividends()], AT)

    symbols, american = model_of(asked, is_american=True, dividends=announced)
    _, european = model_of(asked, is_american=False, dividends=announced)
    _, without = model_of(asked, is_american=True, dividends=CashDividends.none(1))

    assert asked.dividends().state is DividendState.KNOWN
    assert len(symbols) > len(STRIKES)
    assert outside(asked, symbols, american) == []
    assert outside(asked, symbols, european)
    assert outside(asked, symbols, without)


def test_a_skew_makes_low_strikes_dearer(ask: Ask):
    plain, skewed = ask(), ask(skew=5.0)
    low, high = symbol_of("MSFT", 480, "put"), symbol_of("MSFT", 520, "call")

    def slope(asked: Asked) -> float:
        volatilities = [asked.greeks[symbol].implied_volatility for symbol in (low, high)]
        assert None not in volatilities
        return float(volatilities[0] or 0) - float(volatilities[1] or 0)

    assert slope(skewed) > 3 * slope(plain) > 0


def index_forward(asked: Asked) -> ParityForward:
    found = parity_forward(asked.pairs("SPXW", INDEX_STRIKES), rate=RATE, years=years_of("SPXW"))
    assert found is not None
    return found


def test_index_options_have_one_forward_at_every_strike_and_dividends_lower_it(ask: Ask):
    plain, paying = ask(INDEX_BOOK), ask(INDEX_BOOK, index_yield=0.12)
    forward = index_forward(paying)

    for strike in INDEX_STRIKES:
        (call_bid, call_ask), (put_bid, put_ask) = (
            paying.bid_and_ask(symbol_of("SPXW", strike, kind)) for kind in TYPES
        )
        grown = np.exp(RATE * years_of("SPXW"))
        assert (
            strike + (call_bid - put_ask) * grown <= forward.forward <= strike + (call_ask - put_bid) * grown
        )
    lower = index_forward(plain).forward * np.exp(-0.12 * years_of("SPXW"))
    assert forward.low <= lower <= forward.high
    contract = paying.rest.option_contract(symbol_of("SPXW", INDEX_STRIKES[0], "call"))
    assert contract is not None
    assert contract["style"] == "european"


def alarm(asked: Asked) -> SpotAlarm | None:
    """Whether the options contradict the quote of their share, by all that is known of it."""
    years, count = years_of("MSFT"), len(STRIKES)
    leg = asked.dividends()
    spot = asked.mid("MSFT")
    bid, offered = asked.bid_and_ask("MSFT")
    market = Market(
        np.full(count, spot), np.full(count, RATE), np.zeros(count), cash_dividends([leg] * count, AT)
    )
    calls, puts = (
        Terms(
            np.array(STRIKES), np.full(count, is_call), np.full(count, fill_value=True), np.full(count, years)
        )
        for is_call in (True, False)
    )
    volatility = np.full(count, 0.25)
    pairs = without_early_exercise(asked.pairs("MSFT", STRIKES), calls, puts, market, volatility)
    parity = parity_forward(pairs, rate=RATE, years=years)
    assert parity is not None
    return spot_alarm(
        parity,
        spot=spot,
        spot_half_width=(offered - bid) / 2,
        forward=float(market.forward(np.full(count, years))[0]),
        rate=RATE,
        years=years,
    )


def test_a_plain_market_gives_no_alarm_about_its_spot(ask: Ask):
    assert alarm(ask(american=True)) is None


@pytest.mark.parametrize("condition", ["off_spot", "hard_to_borrow"])
def test_options_contradict_a_spot_that_is_odd(ask: Ask, condition: str):
    found = alarm(ask(american=True, **{condition: "MSFT"}))

    assert found is not None
    # The odd quote is 1.3 % too low; who is short and pays to borrow sells the forward lower.
    ratio = found.implied_spot / found.quoted_spot
    assert 1.01 < ratio < 1.016 if condition == "off_spot" else 0.97 < ratio < 0.99


def test_who_lends_a_share_is_told_that_it_is_hard_to_borrow(ask: Ask):
    asked = ask(hard_to_borrow="MSFT")

    asset = asked.rest.asset("MSFT")
    assert asset is not None
    assert asset["easy_to_borrow"] is False


def test_a_special_dividend_and_a_split_are_announced_and_not_in_the_prices(ask: Ask):
    peculiar, plain = ask(special_dividend="MSFT", split="MSFT"), ask()

    found = peculiar.dividends()

    assert [one.special for one in peculiar.actions().dividends].count(True) == 1
    assert found.dividends == plain.dividends().dividends
    assert ["special dividend" in note or "forward split (4 shares" in note for note in found.notes] == [
        True
    ] * 2
    assert peculiar.mid(symbol_of("MSFT", 500, "call")) == plain.mid(symbol_of("MSFT", 500, "call"))


def test_a_dividend_that_nobody_announces_is_in_the_prices_all_the_same(ask: Ask):
    silent, plain = ask(silent_dividend="MSFT"), ask()

    assert silent.dividends().state is DividendState.NONE
    assert silent.mid(symbol_of("MSFT", 500, "call")) == plain.mid(symbol_of("MSFT", 500, "call"))


def test_an_announced_dividend_without_an_amount_leaves_dividends_unknown(ask: Ask):
    found = ask(unreadable_dividend="MSFT").dividends()

    assert found.state is DividendState.UNKNOWN
    assert "whose amount or day is not known" in found.notes[0]


def test_a_vendor_with_holes_lacks_greeks_and_volatilities_and_no_price(ask: Ask):
    whole, holey = ask(), ask(greek_holes=True)

    assert holey.quotes == whole.quotes
    assert holey.greeks.keys() <= whole.greeks.keys()
    found = [holey.greeks.get(symbol) for symbol in whole.greeks]
    assert any(one is not None and one.delta is None for one in found)
    assert any(one is not None and one.implied_volatility is None for one in found)
    assert any(one is not None and one.theta is None and one.delta is not None for one in found)
    assert any(one is not None and one == whole.greeks[one.symbol] for one in found)


def test_a_year_of_daily_closes_gives_a_share_its_beta(ask: Ask):
    closes = read_daily_closes(ask().rest, ["MSFT", "SPY", "NOBODY"], TODAY, AT)

    share, index = closes["MSFT"].closes, closes["SPY"].closes
    beta = beta_of("MSFT", share, "SPY", index)

    assert len(share) > 252
    assert max(share) == date(2026, 11, 19)
    assert closes["NOBODY"].closes == {}
    # The market makes 0.6 of a share's moves and 0.97 of the fund's.
    assert beta.r_squared == pytest.approx((0.6 * 0.97) ** 2, abs=0.15)


@contextmanager
def streaming(server: SimulatorServer, book: Portfolio) -> Iterator[LiveStreamManager]:
    """A started manager with alpaca-py's own clients."""
    manager = LiveStreamManager(
        settings_for(server),
        stock_stream_cls=partial(AlpacaStockStreamer, timing=PATIENT),
        option_stream_cls=partial(AlpacaOptionStreamer, timing=PATIENT),
        rest_cls=partial(AlpacaRest, policy=PATIENT_REST),
        watch=WatchPolicy(initial_delay=0.1, poll=0.3, again=0.2),
    )
    contracts = tuple(one.live_symbol for one in book.instruments if one.is_option)
    manager.start(LiveStreamConfig(stocks=("MSFT",), option_contracts=contracts, stream_fills=False))
    try:
        yield manager
    finally:
        manager.stop()
        until_no_thread("live-")


NEAR = portfolio(holding("MSFT", cost_basis=500.0), *strip("MSFT", (495.0, 500.0, 505.0)))


def test_a_stale_share_stands_still_while_its_options_go_on(running_simulator: Simulators):
    market = SeededMarket(NEAR, start=AT, conditions=Conditions(stale_spot="MSFT"))
    with streaming(running_simulator(market), NEAR) as manager:

        def newest_option() -> datetime | None:
            times = [quote.exchange_at for quote in manager.snapshot().option_quotes.values()]
            return max((at for at in times if at is not None), default=None)

        def ahead() -> bool:
            share, option = manager.snapshot().quotes.get("MSFT"), newest_option()
            return share is not None and option is not None and option > AT

        wait_until(ahead, saw=lambda: manager.snapshot().quotes)
        first = newest_option()
        wait_until(lambda: (newest_option() or AT) > (first or AT), saw=newest_option)
        share = manager.snapshot().quotes["MSFT"]

    assert share.exchange_at == AT
    assert isinstance(share, RestQuote)  # asked for: nothing of it was streamed


def test_a_run_prices_an_index_by_the_options_around_the_money_and_doubts_a_share_by_them(
    running_simulator: Simulators,
):
    """Nobody streams them: they are asked for beside the streams."""
    held = portfolio(
        position("SPXW", 6400, "put", contracts=-1, expiry=EXPIRY), *strip("MSFT", (480.0,)), holding("MSFT")
    )
    made = SeededMarket(
        held, start=AT, conditions=Conditions(american=True, index_yield=0.03, off_spot="MSFT")
    )

    def book() -> BookFigures:
        return assess_book(
            held, manager.snapshot(), RiskChoices(), stale_after_seconds=30, wide_spread_pct=25
        )

    with streaming(running_simulator(made), held) as manager:
        wait_until(
            lambda: (
                book().lines[0].delta is not None and any("options imply" in one for one in book().alarms)
            ),
            saw=lambda: (book().lines[0].reasons, manager.snapshot().account.reports[RestTask.CHAINS]),
        )
        index = book().lines[0]

    level = made.price("SPX")
    assert level is not None
    assert index.forward == pytest.approx(level * np.exp((RATE - 0.03) * 28 / 365), rel=0.002)
    assert index.dividends_state == "none"
    assert index.greek_age_seconds is not None


def test_a_run_has_dividends_closes_and_greeks_in_its_snapshot_each_with_when_it_was_read(
    running_simulator: Simulators,
):
    tasks = (RestTask.PRICES, RestTask.DIVIDENDS, RestTask.CLOSES)
    with streaming(running_simulator(SeededMarket(NEAR, start=AT)), NEAR) as manager:
        wait_until(
            lambda: all(manager.snapshot().account.reports[task].phase is RestPhase.DONE for task in tasks),
            saw=lambda: manager.snapshot().account.reports,
        )
        snapshot = manager.snapshot()

    inputs = snapshot.risk_inputs
    assert inputs.actions.keys() == {"MSFT"}
    assert date(2026, 11, 23) in {one.ex_date for one in inputs.actions["MSFT"].dividends}
    assert {symbol: len(one.closes) > 252 for symbol, one in inputs.closes.items()} == {
        "SPY": True,
        "MSFT": True,
    }
    greeks = inputs.vendor_greeks[symbol_of("MSFT", 500, "call")]
    assert greeks.delta is not None
    assert 0 < greeks.delta < 1
    assert greeks.quoted_at is not None
    for read_at in (inputs.actions["MSFT"].read_at, inputs.closes["SPY"].read_at, greeks.read_at):
        assert read_at is not None
        assert AT <= read_at <= snapshot.as_of
