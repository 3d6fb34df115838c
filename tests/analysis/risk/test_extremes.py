"""The most that can be lost is a number, undefined, or not known with a reason; it is never a guess."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from math import exp
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from options_helper.analysis.payoffs import (
    NEVER,
    Given,
    Uncovered,
    end_of,
    slope_of,
    uncovered_ends,
)
from options_helper.analysis.risk.extremes import BookRisk, Extreme, Limit, book_risk, least_of
from options_helper.model.portfolio import Leg, PortfolioEntry, PortfolioLine, ShareLeg
from tests.kit.builders import AAPL_CALL, EXPIRY, holding, leg, portfolio, position, share_leg, structure

NEAR = date(2026, 11, 27)
LATER = date(2027, 1, 15)
UNKNOWN = "unknown"
CONDOR = (leg("long", 170, "put"), leg("short", 175, "put"), leg("short", 180), leg("long", 185))


def put(side: str, strike: float, **more: Any) -> Leg:
    return leg(side, strike, "put", **more)


def risk(*entries: PortfolioEntry, **more: Any) -> BookRisk:
    return book_risk(portfolio(*entries), **more)


def only(found: BookRisk) -> tuple[Extreme, Extreme]:
    (entry,) = found.entries
    return entry.worst, entry.best


def amounts(found: BookRisk) -> tuple[Any, Any]:
    """The numbers, or the words where there is none."""
    worst, best = (one.limit.value if one.amount is None else float(one.amount) for one in only(found))
    return worst, best


@pytest.mark.parametrize(
    ("entry", "worst", "best"),
    [
        (structure(*CONDOR, net_debit=-120.0), -380, 120),
        (structure(leg("long", 180), leg("short", 185), net_debit=300.0), -300, 200),
        (position(contracts=-1, option_type="put", cost_basis=3.0), -17_700, 300),
        (position(contracts=-1, cost_basis=3.0), "undefined", 300),
        (position(contracts=2, cost_basis=3.0), -600, "unlimited"),
        (structure(share_leg(), leg("short", 180), net_debit=17_250.0), -17_250, 750),
        (structure(share_leg(), put("long", 170), leg("short", 180), net_debit=17_500.0), -500, 500),
        (structure(leg("long", 180), leg("short", 185, contracts=2), net_debit=-50.0), "undefined", 550),
        (holding(shares=100, cost_basis=250.0), -25_000, "unlimited"),
        (holding(shares=-100, cost_basis=250.0), "undefined", 25_000),
        # Over two expiries: the debit is all that a calendar can lose, and what it can win nobody knows.
        (structure(leg("short", 180), leg("long", 180, expiry=LATER), net_debit=200.0), -200, UNKNOWN),
        (structure(put("short", 180), put("long", 180, expiry=LATER), net_debit=200.0), -200, UNKNOWN),
        (structure(leg("long", 180), leg("short", 180, expiry=LATER), net_debit=-200.0), "undefined", 200),
        # When the near put has ended, the far one is sold alone.
        (structure(put("long", 180), put("short", 180, expiry=LATER), net_debit=-200.0), -17_800, 200),
        (structure(leg("short", 185), leg("long", 180, expiry=LATER), net_debit=400.0), -400, UNKNOWN),
        (structure(leg("short", 175), leg("long", 180, expiry=LATER), net_debit=100.0), -600, UNKNOWN),
        (structure(share_leg(), put("long", 170, expiry=LATER), leg("short", 180), net_debit=17_500.0), -500, UNKNOWN),
        (structure(leg("long", 180), leg("short", 185, symbol="MSFT"), net_debit=10.0), "undefined", "unlimited"),
        (structure(leg("long", 180), put("short", 50, symbol="MSFT"), net_debit=10.0), -5_010, "unlimited"),
        (structure(symbol="AAPL1", net_debit=10.0), UNKNOWN, UNKNOWN),
        (structure(net_debit=None), UNKNOWN, UNKNOWN),
        (position(contracts=1, cost_basis=None), UNKNOWN, "unlimited"),
        (position(contracts=-1, cost_basis=None), "undefined", UNKNOWN),
    ],
    ids=["condor", "debit", "naked put", "naked call", "long calls", "covered call", "collar", "ratio", "shares",
         "short shares", "calendar", "put calendar", "short calendar", "short put calendar", "diagonal",
         "diagonal for less", "diagonal collar", "two names", "two names with an end", "adjusted", "no cost",
         "call without cost", "naked without cost"],
)  # fmt: skip
def test_an_entry_wins_and_loses_so_much_at_most(entry: PortfolioEntry, worst: Any, best: Any):
    assert amounts(risk(entry)) == (worst, best)


def european(symbol: str, kind: str = "put") -> PortfolioEntry:
    legs = (leg("short", 6_900, kind, expiry=NEAR), leg("long", 6_900, kind, expiry=LATER))
    return structure(*legs, symbol=symbol, net_debit=3_000.0, identity=f"{symbol} {kind}")


def test_a_worst_that_counts_with_interest_or_dividends_says_so():
    """What cannot be exercised before its end stands for what ends sooner by less than its strike."""
    puts, calls, both = (
        risk(*(european("SPXW", kind) for kind in kinds)).worst
        for kinds in (("put",), ("call",), ("put", "call"))
    )

    assert puts.amount == pytest.approx(Decimal(-3_000 + 690_000 * (exp(-0.1 * 50 / 365) - 1)), abs=3)
    assert puts.holds_words == "at interest up to 10 % a year"
    assert calls.amount == pytest.approx(Decimal(-3_000 - 690_000 * 0.05 * 50 / 365), abs=3)
    assert calls.holds_words == "at dividends up to 5 % of the strike a year"
    assert both.given_words == "at interest up to 10 % and dividends up to 5 % of the strike a year"
    assert only(risk(european("AAPL")))[0] == Extreme(Limit.NUMBER, Decimal(-3_000))


def test_what_is_written_on_another_price_of_each_expiry_covers_nothing_that_ends_before_it():
    worst = only(risk(european("VIX")))[0]

    assert (worst.limit, worst.reason) == (
        Limit.UNKNOWN,
        "options on VIX of each expiry are written on a price of its own, so what ends later covers nothing",
    )


VERTICALS = st.lists(
    st.tuples(
        st.sampled_from((NEAR, EXPIRY, LATER)),
        st.sampled_from(("put", "call")),
        st.integers(1, 5),
        st.integers(1, 5),
        st.integers(1, 2),
    ).filter(lambda one: one[2] != one[3]),
    min_size=1,
    max_size=4,
)


@given(st.sampled_from(("SPXW", "XSP", "VIX")), VERTICALS)
@example("VIX", [(NEAR, "put", 4, 3, 2), (LATER, "put", 4, 3, 2)])
@example("SPXW", [(EXPIRY, "put", 4, 3, 1), (LATER, "put", 4, 3, 1)])
@example(
    "SPXW", [(day, kind, 3, far, 1) for day in (EXPIRY, LATER) for kind, far in (("put", 2), ("call", 4))]
)
def test_where_each_expiry_is_covered_within_itself_the_worst_is_that_of_each_and_counts_with_nothing(
    symbol: str, verticals: list[tuple[date, Any, int, int, int]]
):
    """Nothing that ends later stands for anything, so each expiry finds its own worst price."""
    entries = [
        structure(
            leg("short", 10 * sold, kind, expiry=day, contracts=contracts),
            leg("long", 10 * held, kind, expiry=day, contracts=contracts),
            symbol=symbol,
            net_debit=0.0,
            identity=f"{number}",
        )
        for number, (day, kind, sold, held, contracts) in enumerate(verticals)
    ]

    worst = risk(*entries).worst

    of_each = [
        min(sum(at_end(one, price) for one in verticals if one[0] == day) for price in range(0, 70, 10))
        for day in {one[0] for one in verticals}
    ]
    assert worst == Extreme(Limit.NUMBER, Decimal(sum(of_each)))


def at_end(vertical: tuple[date, Any, int, int, int], price: int) -> int:
    _, kind, sold, held, contracts = vertical
    sign = 1 if kind == "call" else -1
    return 100 * contracts * (max(0, sign * (price - 10 * held)) - max(0, sign * (price - 10 * sold)))


@given(st.sampled_from(("put", "call")), st.integers(1, 5), st.integers(1, 5), VERTICALS)
def test_where_a_later_european_contract_covers_the_condition_stays_whatever_is_beside_it(
    kind: Any, sold: int, held: int, verticals: list[tuple[date, Any, int, int, int]]
):
    calendar = structure(
        leg("short", 10 * sold, kind, expiry=NEAR),
        leg("long", 10 * held, kind, expiry=LATER),
        symbol="SPXW",
        net_debit=0.0,
        identity="calendar",
    )
    beside = [
        structure(
            leg("short", 10 * one, "put", expiry=day, contracts=contracts),
            leg("long", 10 * other, "put", expiry=day, contracts=contracts),
            symbol="SPXW",
            net_debit=0.0,
            identity=f"{number}",
        )
        for number, (day, _, one, other, contracts) in enumerate(verticals)
    ]

    assert (Given.INTEREST if kind == "put" else Given.DIVIDENDS) in risk(calendar).worst.given
    if kind == "call":  # which nothing else covers
        assert Given.DIVIDENDS in risk(calendar, *beside).worst.given


def test_what_is_no_number_says_why():
    naked, short_put = risk(position(contracts=-2)), risk(structure(net_debit=None))
    calendar = risk(structure(leg("short", 180), leg("long", 180, expiry=LATER)))

    assert only(naked)[0].reason == (
        "calls on 200 shares are sold until 18 Dec 26, and nothing that is held as long covers them"
    )
    assert only(risk(position("SPXW", 6_800, contracts=-1)))[0].reason == (
        "calls of $100 a point are sold until 18 Dec 26, and nothing that is held as long covers them"
    )
    assert only(short_put)[0].reason == "what was paid is not known"
    assert only(calendar)[1].reason == (
        "it ends on 2 days: 18 Dec 26, 15 Jan 27, and what is left at the first of them has no payoff yet"
    )
    assert only(risk(holding(shares=-50)))[0].reason == (
        "50 shares are sold short, and nothing that is held as long covers them"
    )


@pytest.mark.parametrize(
    ("entry", "sold"),
    [
        (
            structure(leg("short", 440), leg("short", 470, expiry=NEAR), leg("long", 450, expiry=NEAR)),
            "calls on 100 shares are sold until 18 Dec 26",
        ),
        # A later call covers no shares for ever, and covers the nearer call.
        (
            structure(share_leg("short", 50.0), leg("short", 180), leg("long", 180, expiry=LATER)),
            "50 shares are sold short",
        ),
        (
            structure(leg("short", 180), leg("short", 180, contracts=2, expiry=LATER)),
            "calls on 200 shares are sold until 15 Jan 27 and calls on 100 shares are sold until 18 Dec 26",
        ),
        (
            structure(leg("long", 180, expiry=LATER), leg("short", 185, contracts=3)),
            "calls on 200 shares are sold until 18 Dec 26",
        ),
    ],
    ids=["a vertical before it", "shares beside a calendar", "two ends", "a ratio over two ends"],
)
def test_an_undefined_loss_names_what_is_uncovered(entry: PortfolioEntry, sold: str):
    assert only(risk(entry))[0].reason == f"{sold}, and nothing that is held as long covers them"


def test_of_several_entries_the_uncovered_one_is_named():
    found = risk(
        position("MSFT", 440, contracts=-1, identity="runs on"),
        position("MSFT", 470, contracts=-1, expiry=NEAR, identity="covered"),
        position("MSFT", 450, contracts=1, expiry=NEAR, identity="cover"),
    )

    assert found.undefined == ("runs on",)


ENDS = (NEAR, EXPIRY, LATER)


@given(
    st.lists(
        st.builds(
            lambda side, contracts, expiry: leg(side, 100.0, contracts=contracts, expiry=expiry),
            st.sampled_from(("long", "short")),
            st.integers(1, 3),
            st.sampled_from(ENDS),
        ),
        min_size=1,
        max_size=6,
    ),
    st.lists(
        st.builds(share_leg, st.sampled_from(("long", "short")), st.sampled_from((100.0, 200.0))), max_size=2
    ),
)
def test_buying_back_what_is_named_and_nothing_less_bounds_the_loss(legs: list[Leg], shares: list[ShareLeg]):
    """At each named end so much is sold; bought back it is a number again, and with a share less it is not."""
    lines = structure(*legs, *shares).lines
    named = uncovered_ends(lines)
    bought = [_bought_back(one) for one in named]

    assert least_of((*lines, *bought)).limit is Limit.NUMBER
    for place, one in enumerate(named):
        sold_then = sum(
            -slope_of(line) for line in lines if end_of(line.instrument) == one.end and line.quantity < 0
        )
        assert 0 < one.slope <= sold_then
        rest = (*lines, *bought[:place], *bought[place + 1 :])
        assert least_of(rest).limit is Limit.UNDEFINED
        assert uncovered_ends(rest) == (one,)


def _bought_back(one: Uncovered) -> PortfolioLine:
    """As many shares, or a call on as many that ends then."""
    if one.end == NEVER:
        return structure(share_leg("long", float(one.slope))).lines[0]
    return structure(leg("long", 100.0, contracts=int(one.slope) // 100, expiry=one.end.day)).lines[0]


class TestUnderlyings:
    """Shares and contracts of several entries stand for each other."""

    def test_shares_of_another_entry_cover_a_call(self):
        found = risk(
            position(contracts=-1, cost_basis=3.0, identity="call"), holding(shares=100, cost_basis=170.0)
        )
        (aapl,) = found.underlyings

        assert found.entries[0].worst.limit is Limit.UNDEFINED
        assert aapl.name == "AAPL"
        assert aapl.worst.amount == found.worst.amount == -16_700
        assert aapl.break_evens == (Decimal(167),)
        assert found.undefined == ()

    def test_the_book_is_the_sum_of_each_underlyings_worst(self):
        found = risk(
            structure(*CONDOR, net_debit=-120.0, identity="condor"),
            position("MSFT", 400, contracts=1, cost_basis=5.0),
            position("SPY", 500, "put", contracts=-1, cost_basis=4.0),
        )

        assert [float(one.worst.amount) for one in found.underlyings] == [-380, -500, -49_600]
        assert found.worst.amount == -50_480

    def test_two_expiries_of_one_underlying_are_two_risks(self):
        later = [one.changed(expiry=LATER) for one in CONDOR]
        found = risk(
            structure(*CONDOR, net_debit=-120.0, identity="near"),
            structure(*later, net_debit=-150.0, identity="far"),
        )

        assert found.worst.amount == -1_000 + 270
        assert found.underlyings[0].payoff is None

    def test_a_covered_call_beside_condors_of_other_days_has_an_end(self):
        later = [one.changed(expiry=LATER) for one in CONDOR]
        found = risk(
            holding(shares=100, cost_basis=170.0),
            position(contracts=-1, cost_basis=3.0, identity="call"),
            structure(*later, net_debit=-150.0, identity="far"),
        )

        assert found.worst.amount == -16_700 - 350

    def test_a_put_insures_shares_beside_condors_of_other_days_while_it_lasts_and_not_until_the_last_of_them(
        self,
    ):
        later = [one.changed(expiry=LATER) for one in CONDOR]
        shares = holding(shares=100, cost_basis=175.0)
        far = structure(*later, net_debit=-150.0, identity="far")
        lasting = position("AAPL", 170, "put", contracts=1, cost_basis=2.0, expiry=LATER, identity="put")
        ending = position("AAPL", 170, "put", contracts=1, cost_basis=2.0, identity="put")
        near = structure(*CONDOR, net_debit=-120.0, identity="near")

        # A put that lasts insures the shares until the last contract ends, and the figure says so.
        (until,) = risk(shares, lasting, near).underlyings
        assert until.worst == Extreme(Limit.NUMBER, Decimal(-500 - 200 - 380), until=LATER)
        # One that ends before finds the shares above its strike, and they fall then.
        assert risk(shares, ending, far).worst == Extreme(Limit.NUMBER, Decimal(-17_500 - 200 - 350))

    def test_a_put_that_ends_later_covers_one_beside_condors_of_both_days(self):
        later = [one.changed(expiry=LATER) for one in CONDOR]
        found = risk(
            position("AAPL", 180, "put", contracts=-1, cost_basis=3.0, identity="near"),
            position("AAPL", 180, "put", contracts=1, cost_basis=5.0, expiry=LATER, identity="far"),
            structure(*CONDOR, net_debit=-120.0, identity="near condor"),
            structure(*later, net_debit=-150.0, identity="far condor"),
        )

        assert found.worst.amount == -200 - 380 - 350

    def test_one_that_is_undefined_makes_the_book_so(self):
        found = risk(structure(*CONDOR, net_debit=-120.0), position("MSFT", 400, contracts=-1))

        assert found.worst.limit is Limit.UNDEFINED
        assert found.worst.reason.startswith("MSFT: calls on 100 shares are sold")
        assert found.undefined == ("MSFT-400-call-2026-12-18",)

    def test_one_that_is_not_known_is_not_nothing(self):
        found = risk(structure(*CONDOR, net_debit=-120.0), structure(symbol="AAPL1", identity="odd"))

        assert found.worst.limit is Limit.UNKNOWN
        assert "adjusted" in found.worst.reason

    def test_an_adjusted_call_that_is_sold_alone_is_named_beside_the_shares_that_it_is_counted_as(self):
        sold = position("AAPL1", 180, contracts=-1)

        assert risk(sold).worst.reason == (
            "AAPL: calls on 100 shares are sold until 18 Dec 26 (AAPL1 18 Dec 26 180 C counted as if usual, and "
            "adjusted), and nothing that is held as long covers them"
        )
        # With shares it may be covered or not.
        assert risk(sold, holding(shares=100)).worst.limit is Limit.UNKNOWN

    def test_a_cost_that_is_missing_is_named(self):
        found = risk(structure(*CONDOR, net_debit=-120.0), position("MSFT", cost_basis=None, identity="gift"))

        assert found.worst.reason == "what was paid is not known of gift"

    def test_what_was_paid_for_two_names_at_once_is_of_neither_and_of_the_book(self):
        pair = structure(put("long", 180), put("short", 50, symbol="MSFT"), net_debit=10.0)
        found = risk(pair)

        assert [one.worst.limit for one in found.underlyings] == [Limit.UNKNOWN, Limit.UNKNOWN]
        assert found.underlyings[0].worst.reason == (
            "part of it was paid together with what is on another underlying"
        )
        assert found.worst.amount == -5_010

    def test_another_basis_counts_from_what_it_is_worth_now(self):
        found = risk(structure(*CONDOR, net_debit=-120.0), basis={"structure": Decimal(-80)})

        assert found.worst.amount == -420
        assert found.entries[0].best.amount == 80


class TestEnded:
    """What has ended is in no figure, and no cost is kept of what it was part of."""

    def test_a_leg_that_has_ended_takes_the_cost_with_it_and_is_named_as_the_reason(self):
        entry = structure(leg("short", 180), leg("long", 180, expiry=LATER))
        found = risk(entry, ended={AAPL_CALL})
        why = (
            "AAPL 18 Dec 26 180 C has ended and its settlement is owed; "
            "the file has the cost of all legs together, and not of those that are left"
        )

        assert len(found.entries[0].lines) == 1
        assert only(found)[0].reason == why
        assert found.underlyings[0].worst.reason == f"{entry.id}: {why}"
        assert found.worst.reason == f"{entry.id}: {why}"

    def test_where_no_cost_was_in_the_file_the_ended_leg_is_not_the_reason(self):
        entry = structure(leg("short", 180), leg("long", 180, expiry=LATER), net_debit=None)

        assert only(risk(entry, ended={AAPL_CALL}))[0].reason == "what was paid is not known"

    def test_each_reason_has_its_entries(self):
        ended = structure(leg("short", 180), leg("long", 180, expiry=LATER))
        gift = position("MSFT", cost_basis=None, identity="gift")

        reason = risk(ended, gift, ended={AAPL_CALL}).worst.reason

        assert reason.startswith(f"{ended.id}: AAPL 18 Dec 26 180 C has ended")
        assert reason.endswith("; what was paid is not known of gift")

    def test_costs_of_legs_are_kept(self):
        legs = (leg("short", 180, cost_basis=2.0), leg("long", 180, expiry=LATER, cost_basis=5.0))
        found = risk(structure(*legs, net_debit=300.0), ended={AAPL_CALL})

        assert only(found)[0].amount == -500

    def test_an_entry_that_has_ended_is_in_no_figure_and_named(self):
        found = risk(position(), ended={AAPL_CALL})

        assert found.entries == ()
        assert found.worst.amount == 0
        assert found.ended.labels == ("AAPL 18 Dec 26 180 C",)
        assert found.ended.words == "1 leg that has ended is not in it"
        assert (found.known_worst.limit, found.known_worst.amount) == (Limit.UNKNOWN, None)

    def test_what_has_ended_is_named_by_its_entry_and_its_underlying(self):
        legs = (leg("short", 180), leg("long", 180, expiry=LATER))
        found = risk(structure(*legs), ended={AAPL_CALL})
        (entry,), (underlying,) = found.entries, found.underlyings

        assert found.ended.of_entry(entry.name).labels == ("AAPL 18 Dec 26 180 C",)
        assert found.ended.on(underlying.name).labels == ("AAPL 18 Dec 26 180 C",)
        assert not found.ended.of_entry("another").lines
        assert not found.ended.on("MSFT").lines

    def test_of_what_has_ended_only_what_is_not_settled_in_cash_may_bring_shares(self):
        index = position("SPX", 6_000.0)
        found = risk(position(), index, ended={AAPL_CALL, index.instrument.live_symbol}).ended

        assert len(found.lines) == 2
        assert found.delivering.labels == ("AAPL 18 Dec 26 180 C",)


class TestUntil:
    """What shares can lose after the last contract is not in a worst, and it says until when it holds."""

    def test_what_a_put_insures_is_insured_until_its_end(self):
        found = risk(structure(share_leg(), put("long", 170), net_debit=17_600.0))

        assert found.worst == Extreme(Limit.NUMBER, Decimal(-600), until=EXPIRY)
        assert found.worst.until_words == "until 18 Dec 26"
        assert found.entries[0].worst == found.underlyings[0].worst == found.worst

    @pytest.mark.parametrize(
        "entry",
        [
            structure(*CONDOR, net_debit=-120.0),
            structure(share_leg(), leg("short", 180), net_debit=17_250.0),
            structure(leg("short", 180), leg("long", 180, expiry=LATER), net_debit=200.0),
            structure(share_leg(), put("long", 170), leg("short", 180, expiry=LATER), net_debit=17_500.0),
            holding(shares=100, cost_basis=250.0),
        ],
        ids=["condor", "covered call", "calendar", "a put that ends first", "shares"],
    )
    def test_what_nothing_later_makes_worse_holds_for_ever(self, entry: PortfolioEntry):
        assert risk(entry).worst.until is None

    def test_a_books_worst_holds_until_the_first_of_its_parts(self):
        insured = structure(share_leg(), put("long", 170, expiry=LATER), net_debit=17_600.0)
        msft = [share_leg(symbol="MSFT"), put("long", 380, symbol="MSFT")]
        both = risk(insured, structure(*msft, net_debit=40_000.0, identity="msft"))

        assert [one.worst.until for one in both.underlyings] == [LATER, EXPIRY]
        assert both.worst == Extreme(Limit.NUMBER, Decimal(-600 - 2_000), until=EXPIRY)
