"""What cannot be believed, what the user wrote down, and properties that hold for any book."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from math import isfinite
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.attention.entries import AttentionKind, in_order
from options_helper.analysis.live_health import Level
from options_helper.model.clock_skew import ClockSkew
from options_helper.model.earnings import Earnings
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from tests.analysis.attention.world import FRIDAY, attention, live_at, of_kind, only
from tests.kit.builders import health, holding, leg, new_york, portfolio, position, quote, structure

CALL = position("AAPL", 180, expiry=date(2026, 12, 18))
SYMBOL = "AAPL261218C00180000"
FINE = {"AAPL": (189.99, 190.01), SYMBOL: (11.0, 11.1)}


def test_a_book_that_is_fine_needs_no_hand():
    found = attention([CALL], live_at("2026-11-20 12:00", FINE, held=[CALL]))

    assert (found.entries, found.not_judged, found.needs_a_hand) == ((), (), False)


@pytest.mark.parametrize(
    ("prices", "kind", "level"),
    [
        ({"AAPL": (189.99, 190.01)}, AttentionKind.UNPRICED, Level.ERROR),
        ({**FINE, SYMBOL: (9.0, 13.0)}, AttentionKind.WIDE, Level.INFO),
    ],
)
def test_what_is_quoted_badly_is_told_once(
    prices: dict[str, tuple[float, float]], kind: AttentionKind, level: Level
):
    entry = only(attention([CALL], live_at("2026-11-20 12:00", prices, held=[CALL])), kind)

    assert (entry.level, entry.symbols) == (level, (SYMBOL,))


@pytest.mark.parametrize(("age", "is_stale"), [(30, False), (31, True)])
def test_an_old_quote_is_stale_while_the_market_moves(age: float, *, is_stale: bool):
    live = live_at("2026-11-20 12:00", FINE, held=[CALL])
    old = quote(SYMBOL, 11.0, 11.1, age=age, as_of=live.as_of)
    live = replace(live, quotes=MappingProxyType({**live.quotes, SYMBOL: old}))

    assert bool(of_kind(attention([CALL], live), AttentionKind.STALE)) is is_stale


def test_file_and_account_apart_are_told_with_their_symbols():
    live = live_at("2026-11-20 12:00", FINE, held=[CALL], account=portfolio(CALL, holding("MSFT")))

    entry = only(attention([CALL], live), AttentionKind.FILE_ACCOUNT)

    assert (entry.symbols, entry.what) == (("MSFT",), "The account holds what the file lacks: MSFT shares.")


@pytest.mark.parametrize(
    ("phase", "level"),
    [
        (Phase.FAILED, Level.ERROR),
        (Phase.RECONNECTING, Level.WARNING),
        (Phase.STALLED, Level.WARNING),
        (Phase.STOPPED, Level.WARNING),
        (Phase.QUIET, None),
        (Phase.LIVE, None),
    ],
)
def test_a_stream_that_hears_nothing_is_deaf(phase: Phase, level: Level | None):
    live = live_at("2026-11-20 12:00", FINE, held=[CALL])
    stocks = health("stocks", phase, feed="iex", requested=("AAPL",))
    live = replace(live, streams=MappingProxyType({**live.streams, StreamName.STOCKS: stocks}))

    found = of_kind(attention([CALL], live), AttentionKind.DEAF)

    assert [one.level for one in found] == ([] if level is None else [level])


def test_a_stream_that_was_stopped_with_the_run_is_not_deaf():
    live = live_at("2026-11-20 12:00", FINE, held=[CALL])
    stocks = health("stocks", Phase.STOPPED, feed="iex", requested=("AAPL",))
    live = replace(live, running=False, streams=MappingProxyType({**live.streams, StreamName.STOCKS: stocks}))

    assert not of_kind(attention([CALL], live), AttentionKind.DEAF)


@pytest.mark.parametrize(("ahead", "is_told"), [(1.0, False), (60.0, True)])
def test_a_wrong_clock_is_told(ahead: float, *, is_told: bool):
    live = replace(live_at("2026-11-20 12:00", FINE, held=[CALL]), clock_skew=ClockSkew(ahead, 0.5))

    assert bool(of_kind(attention([CALL], live), AttentionKind.CLOCK_SKEW)) is is_told


@pytest.mark.parametrize(
    ("day", "level"),
    [
        (date(2026, 11, 19), None),
        (date(2026, 11, 20), Level.WARNING),
        (date(2026, 11, 23), Level.WARNING),
        (date(2026, 12, 18), Level.INFO),
        (date(2026, 12, 21), None),
    ],
)
def test_an_expiry_that_spans_a_report_says_who_says_so_and_since_when(day: date, level: Level | None):
    report = Earnings("AAPL", day, "you", date(2026, 11, 1))

    found = of_kind(
        attention([CALL], live_at("2026-11-20 12:00", FINE, held=[CALL]), earnings=[report]),
        AttentionKind.EARNINGS,
    )

    assert [one.level for one in found] == ([] if level is None else [level])
    assert all("(you, entered 1 Nov 26)" in one.what for one in found)


STRIKES = st.sampled_from([170, 180, 190, 200])
KINDS = st.sampled_from(["call", "put"])
CONTRACTS = st.integers(-3, 3).filter(bool)
EXPIRIES = st.sampled_from([FRIDAY, date(2026, 11, 23), date(2026, 12, 18)])
SINGLES = st.builds(
    lambda strike, kind, contracts, expiry, name: position(
        name,
        strike,
        kind,
        contracts=contracts,
        expiry=expiry,
        identity=f"{name}{strike}{kind}{contracts}{expiry}",
    ),
    STRIKES,
    KINDS,
    CONTRACTS,
    EXPIRIES,
    st.sampled_from(["AAPL", "SPX"]),
)
SPREADS = st.builds(
    lambda low, high, kind, expiry: structure(
        leg("long", low, kind, expiry=expiry),
        leg("short", high, kind, expiry=expiry),
        identity=f"{low}{high}{kind}{expiry}",
        net_debit=1.0,
    ),
    st.sampled_from([170, 180]),
    st.sampled_from([190, 200]),
    KINDS,
    EXPIRIES,
)
BOOKS = st.lists(st.one_of(SINGLES, SPREADS), max_size=5, unique_by=lambda one: one.id)
MOMENTS = st.sampled_from(
    [
        "2026-11-20 09:00",
        "2026-11-20 14:59",
        "2026-11-20 15:59",
        "2026-11-20 16:10",
        "2026-11-21 12:00",
        "2026-11-23 09:29",
    ]
)


@given(
    BOOKS,
    MOMENTS,
    st.one_of(st.none(), st.floats(150, 220)),
    st.one_of(st.none(), st.floats(0, 1e6)),
)
def test_whatever_is_held_every_number_is_one_and_every_instant_has_a_zone(
    book: list[object], at: str, spot: float | None, power: float | None
):
    prices = {} if spot is None else {"AAPL": (spot, spot + 0.02), "SPX": (spot, spot + 0.02)}
    found = attention(book, live_at(at, prices, held=book, power=power))  # type: ignore[arg-type]

    for entry in found.entries:
        for number in (entry.needs, entry.has, entry.shares):
            assert number is None or isfinite(number)
        assert entry.needs is None or entry.needs > 0
        instants = [one.at for one in entry.deadlines] + ([entry.by] if entry.by else [])
        assert all(one.tzinfo is not None for one in instants)
        assert [one.at for one in entry.deadlines] == sorted(one.at for one in entry.deadlines)
        assert all(one.source for one in entry.deadlines)
        assert "nan" not in entry.sentence
        assert entry.what.endswith(".")
    assert in_order(reversed(found.entries)) == found.entries


@given(st.integers(1, 5), st.sampled_from([170, 180]), st.floats(150, 220))
def test_a_covered_ending_needs_neither_money_nor_shares(contracts: int, strike: int, spot: float):
    """Calls written on shares that are there: whatever the price, nothing is missing."""
    book = [
        holding("AAPL", 100.0 * contracts),
        position("AAPL", strike, contracts=-contracts, expiry=FRIDAY),
    ]
    live = live_at("2026-11-20 14:00", {"AAPL": (spot, spot + 0.02)}, held=book, power=0)

    for entry in attention(book, live).entries:
        assert "short by" not in entry.amounts
        assert "not free" not in entry.amounts


def test_the_order_is_worst_first_then_by_when():
    book = [
        position("AAPL", 180, contracts=-1, expiry=FRIDAY, identity="today"),
        position("AAPL", 170, contracts=-1, expiry=date(2026, 11, 23), identity="monday"),
    ]
    live = live_at("2026-11-20 12:00", {"AAPL": (189.99, 190.01)}, held=book)

    levels = [one.level for one in attention(book, live).entries]

    assert levels == sorted(levels, key=[Level.ERROR, Level.WARNING, Level.INFO].index)
    assert attention(book, live).entries[0].by == new_york("2026-11-20 15:00")
