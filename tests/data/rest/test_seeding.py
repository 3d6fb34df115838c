"""What is taken from snapshots over plain HTTP: events with their own age, the right previous close, and no guesses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.rest.client import OPTION_SYMBOLS_A_REQUEST, STOCK_SYMBOLS_A_REQUEST
from options_helper.data.rest.seeding import REFUSALS_AT_MOST, SeedBatch, read_snapshots, seed
from options_helper.errors import RestError
from options_helper.model.account import PreviousClose
from options_helper.model.events import RestQuote, RestTrade
from options_helper.model.streams import StreamName

STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS
TODAY = date(2026, 3, 20)
TIME = "2026-03-20T15:59:58.123456789Z"
TIME_NS = 1_774_022_398_123_456_789
QUOTE = {"t": TIME, "bp": 1.05, "bs": 3, "bx": "C", "ap": 1.1, "as": 7, "ax": "N", "c": "A"}
TRADE = {"t": TIME, "p": 1.07, "s": 2, "x": "C", "c": "g"}
CALL = "AAPL260320C00180000"
REFUSAL = "Alpaca (example, /path) answered with HTTP 400: invalid symbol{}. Check the symbols and the feed."


def bar(day: str, close: object = 1.2) -> dict[str, Any]:
    """A daily bar; it begins at midnight in New York, where summer time has begun on 2026-03-08."""
    return {"t": f"{day}T04:00:00Z", "o": 1, "h": 2, "l": 0.5, "c": close, "v": 10}


def read(snapshot: object, symbol: str = CALL) -> SeedBatch:
    return read_snapshots(OPTIONS, [symbol], {symbol: snapshot}, TODAY)


class Answers:
    """A REST side that answers from a table and refuses batches with a symbol that it does not know."""

    def __init__(
        self, *, refuses: Sequence[str] = (), names: bool = False, error: RestError | None = None
    ) -> None:
        self.refuses = frozenset(refuses)
        self.names = names
        self.error = error
        self.requested: list[tuple[str, list[str], str]] = []

    def stock_snapshots(self, symbols: Sequence[str], feed: str) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return self._answer("stocks", symbols, feed)

    def option_snapshots(self, symbols: Sequence[str], feed: str) -> dict[str, Any]:
        return self._answer("options", symbols, feed)

    def _answer(self, kind: str, symbols: Sequence[str], feed: str) -> dict[str, Any]:
        self.requested.append((kind, list(symbols), feed))
        if at_fault := [symbol for symbol in symbols if symbol in self.refuses]:
            raise RestError(REFUSAL.format(f": {at_fault[0]}" if self.names else ""), status=400)
        return {symbol: {"latestQuote": QUOTE} for symbol in symbols}


def seeded(
    rest: Answers, stocks: Sequence[str] = (), contracts: Sequence[str] = (), stock_feed: str = "iex"
) -> Iterator[SeedBatch]:
    return seed(rest, stocks, contracts, stock_feed=stock_feed, options_feed="opra", today=TODAY)


def test_a_quote_and_a_trade_have_the_exchange_s_time_and_are_as_old_as_it():
    batch = read({"latestQuote": QUOTE, "latestTrade": TRADE})

    (quote,), (trade,) = batch.quotes, batch.trades
    assert quote == RestQuote(
        symbol=CALL,
        timestamp=TIME_NS,
        received_ns=TIME_NS,
        bid_price=1.05,
        bid_size=3,
        bid_exchange="C",
        ask_price=1.1,
        ask_size=7,
        ask_exchange="N",
        conditions="A",
    )
    assert trade == RestTrade(
        symbol=CALL,
        timestamp=TIME_NS,
        received_ns=TIME_NS,
        price=1.07,
        size=2,
        exchange="C",
        conditions="g",
    )
    assert quote.received_at == datetime(2026, 3, 20, 15, 59, 58, 123456, tzinfo=UTC)
    assert batch.unreadable == ()


def test_a_stock_s_trade_keeps_its_id_tape_and_conditions():
    batch = read({"latestTrade": {**TRADE, "i": 52983525029461, "z": "C", "c": ["@", "I"]}}, "AAPL")

    (trade,) = batch.trades
    assert (trade.trade_id, trade.tape, trade.conditions) == (52983525029461, "C", ["@", "I"])


def test_a_zero_bid_is_a_bid():
    (quote,) = read({"latestQuote": {**QUOTE, "bp": 0, "bs": 0}}).quotes

    assert (quote.bid_price, quote.bid_size) == (0, 0)


@pytest.mark.parametrize(
    ("field", "value", "read_as"),
    [
        ("bp", None, None),
        ("bp", "1.05", 1.05),
        ("bp", "much", None),
        ("bp", [1.05], None),
        ("bp", True, None),
        ("bp", float("nan"), None),
        ("bp", "1e999", None),
        ("bs", None, None),
        ("bs", 0.5, 0.5),
        ("bs", "1e999999999", None),
        ("bx", "an exchange nobody knows", "an exchange nobody knows"),
        ("bx", None, None),
        ("bx", {"name": "C"}, None),
        ("c", None, None),
        ("c", ["R", None], ["R"]),
    ],
)
def test_an_odd_value_costs_one_field(field: str, value: object, read_as: object):
    names = {"bp": "bid_price", "bs": "bid_size", "bx": "bid_exchange", "c": "conditions"}

    (quote,) = read({"latestQuote": {**QUOTE, field: value}}).quotes

    assert getattr(quote, names[field]) == read_as
    assert quote.ask_price == 1.1


@pytest.mark.parametrize("snapshot", [None, {}, {"latestQuote": None, "latestTrade": None}, {"greeks": None}])
def test_of_what_nothing_is_said_nothing_is_made(snapshot: object):
    assert read(snapshot) == SeedBatch(OPTIONS, 1)


def test_a_contract_that_never_traded_has_no_trade():
    """Alpaca writes the year 1 where there was none."""
    assert read({"latestTrade": {"t": "0001-01-01T00:00:00Z", "p": 0, "s": 0}}) == SeedBatch(OPTIONS, 1)


@pytest.mark.parametrize(
    ("snapshot", "says"),
    [
        ("text", "snapshot is no map"),
        ({"latestQuote": "text"}, "latestQuote has no time"),
        ({"latestQuote": {**QUOTE, "t": None}}, "latestQuote has no time"),
        ({"latestQuote": {**QUOTE, "t": "noon"}}, "latestQuote has no time"),
        ({"latestQuote": {**QUOTE, "t": 10**30}}, "latestQuote has no time"),
        ({"latestQuote": {"t": TIME}}, "latestQuote has no price"),
        ({"latestTrade": {**TRADE, "p": None}}, "latestTrade has no price"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_costs_no_other(snapshot: object, says: str):
    snapshots = {"BAD": snapshot, CALL: {"latestQuote": QUOTE}}

    batch = read_snapshots(OPTIONS, ["BAD", CALL], snapshots, TODAY)

    assert [quote.symbol for quote in batch.quotes] == [CALL]
    assert len(batch.unreadable) == 1
    assert batch.unreadable[0].startswith("BAD: ")
    assert says in batch.unreadable[0]


@pytest.mark.parametrize(
    ("daily", "previous", "close"),
    [
        (bar("2026-03-20", 9), bar("2026-03-19", 1.25), ("1.25", 19)),  # during the session
        (bar("2026-03-19", 1.25), bar("2026-03-18", 9), ("1.25", 19)),  # before the open
        (bar("2026-03-12", 1.25), bar("2026-03-10", 9), ("1.25", 12)),  # not traded for a week
        (None, bar("2026-03-19", 1.25), ("1.25", 19)),
        (bar("2026-03-19", 1.25), None, ("1.25", 19)),
        (bar("2026-03-20", 9), None, None),
        (bar("2026-03-20", 9), bar("2026-03-20", 9), None),
        (bar("2026-03-23", 9), bar("2026-03-20", 9), None),
        (None, bar("2026-03-19", None), None),
        (None, bar("2026-03-19", 0), None),
        (None, bar("never"), None),
        (None, {"t": 10**30, "c": 9}, None),
        (None, "text", None),
        (bar("2026-03-19", None), bar("2026-03-18", 1.25), ("1.25", 18)),
    ],
)
def test_the_previous_close_is_that_of_the_newest_day_before_today(
    daily: object, previous: object, close: tuple[str, int] | None
):
    expected = close and PreviousClose(CALL, Decimal(close[0]), date(2026, 3, close[1]))

    assert read({"dailyBar": daily, "prevDailyBar": previous}).closes == ((expected,) if expected else ())


def test_a_close_belongs_to_the_day_in_new_york():
    """In winter its midnight is 05:00 in UTC; four hours would be the day before."""
    batch = read_snapshots(
        STOCKS,
        ["A", "B"],
        {
            "A": {"prevDailyBar": {"t": "2026-01-15T05:00:00Z", "c": 1}},
            "B": {"prevDailyBar": {"t": "2026-01-15T04:00:00Z", "c": 1}},
        },
        TODAY,
    )

    assert [close.day.day for close in batch.closes] == [15, 14]


def test_what_was_not_asked_for_is_not_taken():
    assert read_snapshots(STOCKS, ["AAPL"], {"MSFT": {"latestQuote": QUOTE}}, TODAY) == SeedBatch(STOCKS, 1)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(TIME),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("tpcsixzb"), inner, max_size=4)
    ),
    max_leaves=6,
)
parts = st.sampled_from(["latestQuote", "latestTrade", "dailyBar", "prevDailyBar", "greeks"])


@given(st.dictionaries(parts, anything | st.just(QUOTE) | st.just(TRADE), max_size=4) | anything)
def test_nothing_a_server_sends_costs_the_rest(snapshot: object):
    batch = read_snapshots(OPTIONS, ["ODD", CALL], {"ODD": snapshot, CALL: {"latestQuote": QUOTE}}, TODAY)

    assert CALL in {quote.symbol for quote in batch.quotes}


def test_as_few_requests_are_made_as_the_limits_allow():
    rest = Answers()
    stocks = [f"S{number}" for number in range(STOCK_SYMBOLS_A_REQUEST + 1)]
    contracts = [f"C{number}" for number in range(2 * OPTION_SYMBOLS_A_REQUEST)]

    found = list(seeded(rest, stocks, contracts))

    assert [(kind, len(symbols), feed) for kind, symbols, feed in rest.requested] == [
        ("stocks", STOCK_SYMBOLS_A_REQUEST, "iex"),
        ("stocks", 1, "iex"),
        ("options", OPTION_SYMBOLS_A_REQUEST, "opra"),
        ("options", OPTION_SYMBOLS_A_REQUEST, "opra"),
    ]
    assert sum(batch.requested for batch in found) == len(stocks) + len(contracts)
    assert {quote.symbol for batch in found for quote in batch.quotes} == {*stocks, *contracts}


def test_an_answer_is_handed_over_before_the_next_is_asked_for():
    rest = Answers()
    batches = seeded(rest, ["AAPL"], [CALL])

    assert next(batches).stream is STOCKS
    assert len(rest.requested) == 1
    assert next(batches).stream is OPTIONS


def test_a_feed_that_cannot_be_asked_is_not():
    rest = Answers()

    found = list(seeded(rest, ["FAKEPACA"], [CALL], stock_feed="test"))

    assert [batch.stream for batch in found] == [OPTIONS]
    assert [kind for kind, _, _ in rest.requested] == ["options"]


def test_with_nothing_to_ask_nothing_is_asked():
    rest = Answers()

    assert list(seeded(rest)) == []
    assert rest.requested == []


CONTRACTS = [f"C{number}" for number in range(OPTION_SYMBOLS_A_REQUEST)]


def quoted(batches: Iterable[SeedBatch]) -> set[str]:
    return {quote.symbol for batch in batches for quote in batch.quotes}


def collect(batches: Iterable[SeedBatch], found: list[SeedBatch]) -> None:
    for batch in batches:
        found.append(batch)  # noqa: PERF402 - what came before an error is to be kept


def refused(batches: Iterable[SeedBatch]) -> set[str]:
    return {symbol for batch in batches for symbol in batch.refused}


@pytest.mark.parametrize("at_fault", [["C41"], ["C0", "C41", "C99"], CONTRACTS])
def test_a_symbol_that_the_server_names_costs_one_request(at_fault: list[str]):
    rest = Answers(refuses=at_fault, names=True)

    found = list(seeded(rest, contracts=CONTRACTS))

    assert quoted(found) == {*CONTRACTS} - {*at_fault}
    assert refused(found) == {*at_fault}
    assert len(rest.requested) == len(at_fault) + (at_fault != CONTRACTS)
    assert sum(batch.requested for batch in found) == len(CONTRACTS)


@pytest.mark.parametrize(
    ("symbols", "at_fault"),
    [
        (["BRK", "BRK.B", "B"], "BRK.B"),
        (["BRK", "BRK.B", "B"], "BRK"),
        (["BRK", "BRK B"], "BRK B"),
        (["^VIX", "VIX"], "^VIX"),
        (["A", "AAPL", "AA"], "AA"),
    ],
)
def test_the_symbol_that_is_named_and_no_other_is_taken_out(symbols: list[str], at_fault: str):
    rest = Answers(refuses=[at_fault], names=True)

    found = list(seeded(rest, symbols))

    assert refused(found) == {at_fault}
    assert [line for batch in found for line in batch.unreadable] == [
        f"{at_fault}: {REFUSAL.format(f': {at_fault}')}"
    ]
    assert len(rest.requested) == 2


def test_a_symbol_that_is_refused_and_not_named_costs_only_itself():
    rest = Answers(refuses=["C41"])

    found = list(seeded(rest, contracts=CONTRACTS))

    assert quoted(found) == {*CONTRACTS} - {"C41"}
    assert refused(found) == {"C41"}
    assert sum(batch.requested for batch in found) == len(CONTRACTS)
    assert len(rest.requested) <= 2 * 7 + 1  # a hundred is halved seven times


@given(
    at_fault=st.sets(st.sampled_from(CONTRACTS), max_size=7)
    | st.integers(0, 93).map(lambda first: {*CONTRACTS[first : first + 7]}),
    names=st.booleans(),
)
def test_wherever_the_refused_stand_no_good_one_is_lost(*, at_fault: set[str], names: bool):
    found = list(seeded(Answers(refuses=[*at_fault], names=names), contracts=CONTRACTS))

    assert quoted(found) == {*CONTRACTS} - at_fault
    assert refused(found) == at_fault


def test_half_of_a_batch_may_be_refused():
    at_fault = CONTRACTS[:50]

    found = list(seeded(Answers(refuses=at_fault), contracts=CONTRACTS))

    assert quoted(found) == {*CONTRACTS[50:]}
    assert refused(found) == {*at_fault}


def test_each_batch_has_its_own_refusals():
    """What is refused in the first does not use up the patience with the last."""
    stocks = [f"S{number}" for number in range(4 * STOCK_SYMBOLS_A_REQUEST)]
    at_fault = stocks[::100]

    found = list(seeded(Answers(refuses=at_fault), stocks))

    assert quoted(found) == {*stocks} - {*at_fault}
    assert refused(found) == {*at_fault}


def test_a_server_that_refuses_everything_is_not_asked_symbol_by_symbol():
    """Nor is it searched again for the next batch; and no symbol is said to be at fault."""
    contracts = [f"C{number}" for number in range(3 * OPTION_SYMBOLS_A_REQUEST)]
    rest = Answers(refuses=contracts)
    found: list[SeedBatch] = []

    with pytest.raises(RestError, match="invalid symbol"):
        collect(seeded(rest, contracts=contracts), found)

    assert len(rest.requested) == REFUSALS_AT_MOST + 1 + 2
    assert found == []


@pytest.mark.parametrize("contracts", [["C0"], ["C0", "C1", "C2"]])
def test_where_nothing_is_answered_no_symbol_is_said_to_be_at_fault(contracts: list[str]):
    """It may be the feed; who remembers refused symbols would never ask for these again."""
    found: list[SeedBatch] = []

    with pytest.raises(RestError, match="invalid symbol"):
        collect(seeded(Answers(refuses=contracts), contracts=contracts), found)

    assert found == []


def test_a_batch_that_is_refused_does_not_cost_the_others():
    more = [f"D{number}" for number in range(OPTION_SYMBOLS_A_REQUEST)]
    found: list[SeedBatch] = []

    with pytest.raises(RestError, match="invalid symbol"):
        collect(seeded(Answers(refuses=CONTRACTS), contracts=[*CONTRACTS, *more]), found)

    assert quoted(found) == {*more}


def test_a_feed_that_the_plan_lacks_does_not_cost_the_other():
    rest = Answers(error=RestError("no such feed", status=403))
    found: list[SeedBatch] = []

    with pytest.raises(RestError, match="no such feed"):
        collect(seeded(rest, ["AAPL"], [CALL]), found)

    assert [batch.stream for batch in found] == [OPTIONS]


def test_where_nobody_answers_the_other_is_not_waited_for_as_well():
    rest = Answers(error=RestError("cannot be reached"))

    with pytest.raises(RestError, match="cannot be reached"):
        list(seeded(rest, ["AAPL"], [CALL]))

    assert rest.requested == []


def test_the_vendors_own_greeks_are_read_raw_with_their_holes_and_the_time_of_the_quote_beside_them():
    greeks = {"delta": 0.5, "gamma": "0.01", "theta": None, "vega": float("inf"), "odd": 1}

    (found,) = read({"latestQuote": QUOTE, "greeks": greeks, "impliedVolatility": 0.31}).greeks

    assert (found.implied_volatility, found.delta, found.gamma) == (0.31, 0.5, 0.01)
    assert (found.theta, found.vega, found.rho) == (None, None, None)
    assert found.quoted_at == datetime(2026, 3, 20, 15, 59, 58, 123456, UTC)
    assert found.read_at is None


@pytest.mark.parametrize("greeks", [None, {}, [], "none", {"delta": None}, {"delta": "x"}, {"delta": True}])
def test_a_contract_of_which_the_vendor_has_no_greeks_has_none_and_keeps_its_prices(greeks: object):
    batch = read({"latestQuote": QUOTE, "greeks": greeks, "impliedVolatility": None})

    assert batch.greeks == ()
    assert [quote.symbol for quote in batch.quotes] == [CALL]


def test_greeks_without_a_quote_have_no_time():
    (found,) = read({"greeks": {"delta": 0.0}}).greeks

    assert (found.delta, found.quoted_at) == (0.0, None)


def test_a_share_has_no_greeks():
    assert read_snapshots(STOCKS, ["AAPL"], {"AAPL": {"greeks": {"delta": 1}}}, TODAY).greeks == ()


class TestCoins:
    """Of them what they were worth at midnight in New York is asked for, since no session of theirs ends."""

    MIDNIGHT = "2026-03-20T04:00:00Z"
    LOCATION = "us-1"

    class Past(Answers):
        """A REST side that tells minutes of the past."""

        def __init__(self, answers: Sequence[dict[str, Any]], refused: str = "") -> None:
            super().__init__()
            self.answers, self.refused = answers, refused
            self.asked: list[tuple[str, str, dict[str, Any]]] = []

        def past(self, kind: str, path: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
            self.asked.append((kind, path, query))
            if self.refused and self.refused in query["symbols"]:
                raise RestError(REFUSAL.format(f": {self.refused}"), status=400)
            yield from self.answers

    def seeded(self, past: Past, *pairs: str) -> list[SeedBatch]:
        return list(
            seed(
                past,
                (),
                (),
                stock_feed="iex",
                options_feed="opra",
                today=TODAY,
                coins=pairs,
                coin_location=self.LOCATION,
            )
        )

    @staticmethod
    def minute(time: str, close: object) -> dict[str, Any]:
        return {"t": time, "o": 1, "h": 9e9, "l": 1, "c": close, "v": 0, "n": 0, "vw": 1}

    def test_the_last_minute_before_midnight_is_where_the_day_began(self):
        pages = [
            {"bars": {"BTC/USD": [self.minute("2026-03-20T03:12:00Z", 59_000)]}},
            {"bars": {"BTC/USD": [self.minute("2026-03-20T03:59:00Z", 60_000.5)]}},
        ]
        past = self.Past(pages)

        (batch,) = self.seeded(past, "BTC/USD")

        assert batch.closes == (PreviousClose("BTC/USD", Decimal("60000.5"), date(2026, 3, 19)),)
        assert (batch.stream, batch.requested, batch.quotes) == (StreamName.CRYPTO, 1, ())
        ((kind, path, query),) = past.asked
        assert (kind, path) == ("crypto", "/crypto/us-1/bars")
        assert (query["start"], query["timeframe"]) == ("2026-03-20T03:00:00.000000000Z", "1Min")
        assert query["end"] < self.MIDNIGHT

    @pytest.mark.parametrize(
        "rows", [None, [], [{"t": "2026-03-20T03:59:00Z", "c": 0}], [{"t": None, "c": 1}]]
    )
    def test_what_is_not_told_is_not_known(self, rows: object):
        (batch,) = self.seeded(self.Past([{"bars": {"BTC/USD": rows}}]), "BTC/USD")

        assert batch.closes == ()

    def test_a_coin_that_is_refused_costs_no_other_its_price(self):
        told = {"bars": {"ETH/USD": [self.minute("2026-03-20T03:59:00Z", 3_000)]}}

        batches = self.seeded(self.Past([told], refused="OLD/USD"), "OLD/USD", "ETH/USD")

        assert [one.symbol for batch in batches for one in batch.closes] == ["ETH/USD"]
        assert [symbol for batch in batches for symbol in batch.refused] == ["OLD/USD"]

    def test_nobody_is_asked_where_there_are_none(self):
        past = self.Past([])

        assert self.seeded(past) == []
        assert past.asked == []
