"""Whose prices are asked for when, as a conversation: questions out, answers in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import pytest

from options_helper.data.rest.seeding import SeedBatch
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.moment import Done, Moment
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.price_course import AskPrices, PriceCourse
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.errors import RestError
from options_helper.model.account import AccountState, PreviousClose, RestPhase, RestReport, RestTask
from options_helper.model.events import RestQuote
from options_helper.model.instants import timestamp_extension
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.streams import StreamId, StreamName
from tests.kit.fakes import NOON

STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS
CALL, SOLD = "MSFT261218C00530000", "MSFT261218P00500000"
CONFIG = LiveStreamConfig(stocks=("AAPL", "MSFT"), option_contracts=(CALL,), stream_fills=False)
SECOND = 1_000_000_000
NOW, TOMORROW = Moment(NOON), Moment(NOON + 86_400 * SECOND)
POLICY = WatchPolicy()
WAIT, AGAIN = Done(POLICY.poll), Done(POLICY.again)


@dataclass
class Holder:
    """Where what was asked is kept."""

    account_state: AccountState = field(default_factory=AccountState)
    risk_inputs: RiskInputs = field(default_factory=RiskInputs)


class Talk:
    """A course, and who holds what it found."""

    def __init__(self, config: LiveStreamConfig = CONFIG) -> None:
        self.holder, self.state = Holder(), LiveState(fills_cache_size=3)
        self.course = PriceCourse(self.holder, self.state, config, POLICY)
        self.course.begin()

    @property
    def report(self) -> RestReport:
        return self.holder.account_state.reports[RestTask.PRICES]

    def round(self, at: Moment = NOW, **failing: str) -> list[tuple[StreamId, tuple[str, ...]]]:
        """What is asked until nothing is due; of the streams that are named the answer is that error."""
        asked = []
        step = self.course.ask(at)
        while isinstance(step, AskPrices):
            asked.append((step.stream, step.symbols))
            why = failing.get(step.stream)
            step = self.course.answered(at, None if why is None else RestError(why))
        self.ended = step
        return asked


def quote(symbol: str, bid: float, at_ns: int = NOON) -> RestQuote:
    moment = timestamp_extension(at_ns)
    return RestQuote(symbol=symbol, timestamp=moment, received_ns=at_ns, bid_price=bid, ask_price=bid + 1)


def test_all_is_asked_for_once_and_then_nothing():
    talk = Talk()
    assert talk.round() == [(STOCKS, ("AAPL", "MSFT")), (OPTIONS, (CALL,))]
    assert (talk.ended, talk.report.phase, talk.report.of) == (WAIT, RestPhase.DONE, 3)
    assert talk.round() == []
    assert talk.ended == WAIT


def test_what_could_not_be_had_is_asked_for_again_soon_and_it_is_said_why():
    talk = Talk()
    talk.round(options="Nobody answers.")
    assert talk.ended == AGAIN
    assert (talk.report.phase, talk.report.problem) == (RestPhase.FAILED, "Nobody answers.")
    assert talk.round() == [(OPTIONS, (CALL,))]
    assert (talk.report.phase, talk.report.problem) == (RestPhase.DONE, None)


def test_a_round_that_was_left_in_its_midst_is_asked_anew():
    talk = Talk()
    talk.course.ask(NOW)
    assert talk.round() == [(STOCKS, ("AAPL", "MSFT")), (OPTIONS, (CALL,))]
    assert talk.round() == []


def test_new_symbols_are_asked_for_with_their_stream_and_fewer_are_not():
    talk = Talk()
    talk.round()
    fewer = LiveStreamConfig(stocks=("AAPL",), option_contracts=(CALL,))
    assert not talk.course.change_symbols(fewer)
    assert talk.round() == []
    assert talk.course.change_symbols(CONFIG)
    assert talk.round() == [(STOCKS, ("AAPL", "MSFT"))]


def test_what_is_wanted_while_it_is_being_asked_for_is_asked_for_once_more():
    talk = Talk(LiveStreamConfig(stocks=("AAPL",)))
    talk.course.ask(NOW)
    talk.course.want(STOCKS)
    talk.course.answered(NOW, None)
    assert talk.round() == [(STOCKS, ("AAPL",))]


def test_what_was_sold_today_is_asked_for_until_the_day_is_over():
    talk = Talk(LiveStreamConfig(stocks=("AAPL",)))
    talk.round()
    assert talk.course.want_closes_of([SOLD, "BTC/USD"])
    assert talk.round() == [(OPTIONS, (SOLD,))]
    assert talk.round(TOMORROW) == [(STOCKS, ("AAPL",))]


def test_coins_are_asked_where_they_are_traded_for_the_price_at_which_the_day_began():
    config = LiveStreamConfig(stocks=("AAPL",), crypto=("BTC/USD",), crypto_location="us-1")
    talk = Talk(config)
    assert talk.round() == [(STOCKS, ("AAPL",)), (StreamName.CRYPTO, ("BTC/USD",))]
    talk.course.want(StreamName.CRYPTO)
    step = talk.course.ask(NOW)
    assert isinstance(step, AskPrices)
    assert (step.of(StreamName.CRYPTO), step.of(STOCKS), step.coin_location) == (("BTC/USD",), (), "us-1")
    close = PreviousClose("BTC/USD", Decimal(60_000), date(2026, 11, 4))
    talk.course.taken(NOW, SeedBatch(StreamName.CRYPTO, 1, closes=(close,)))
    assert talk.holder.account_state.closes == {"BTC/USD": close}
    assert talk.round(TOMORROW) == [(STOCKS, ("AAPL",)), (StreamName.CRYPTO, ("BTC/USD",))]


def test_all_coins_are_no_symbol_to_ask_for():
    talk = Talk(LiveStreamConfig(stocks=("AAPL",), crypto=("*",), crypto_channels=("trades",)))
    assert talk.round() == [(STOCKS, ("AAPL",))]


def test_what_was_sold_is_no_price_of_a_stream():
    talk = Talk(LiveStreamConfig(stocks=("AAPL",)))
    talk.course.want_closes_of(["MSFT"])
    talk.course.taken(NOW, SeedBatch(STOCKS, 2, quotes=(quote("AAPL", 5.0), quote("MSFT", 6.0))))
    snapshot = talk.state.snapshot(NOON, running=True, running_since=None, streams={})
    assert list(snapshot.quotes) == ["AAPL"]


def test_a_new_day_has_its_own_closes():
    talk = Talk()
    talk.round()
    close = PreviousClose("AAPL", Decimal(100), date(2026, 11, 4))
    talk.course.taken(NOW, SeedBatch(STOCKS, 1, closes=(close,)))
    assert talk.holder.account_state.closes == {"AAPL": close}
    assert len(talk.round(TOMORROW)) == 2
    assert not talk.holder.account_state.closes


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_symbol_that_nobody_knows_is_asked_for_no_more_and_named(*, is_alone: bool):
    talk = Talk(LiveStreamConfig(stocks=("ZZZZ",) if is_alone else ("AAPL", "ZZZZ")))
    talk.course.ask(NOW)
    talk.course.taken(NOW, SeedBatch(STOCKS, 1, refused=("ZZZZ",)))
    talk.course.answered(NOW, None)
    assert talk.report.problem == "Alpaca knows no prices of ZZZZ."
    talk.course.want(STOCKS)
    assert talk.round() == [] if is_alone else [(STOCKS, ("AAPL",))]


def test_a_price_of_later_than_a_clock_can_be_wrong_is_not_shown_and_said():
    talk = Talk()
    talk.course.ask(NOW)
    talk.course.taken(NOW, SeedBatch(STOCKS, 1, quotes=(quote("AAPL", 5.0, NOON + 61 * SECOND),)))
    talk.course.answered(NOW, None)
    talk.course.answered(NOW, None)
    assert talk.report.problem is not None
    assert "1 price of AAPL came with a time that lies ahead of now and is not shown" in talk.report.problem
