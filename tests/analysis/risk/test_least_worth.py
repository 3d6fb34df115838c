"""The least worth is never above what some way of the price leaves, and for one end it is the payoff's least."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import cache
from itertools import product
from math import exp, log, sqrt
from statistics import NormalDist
from typing import Any, NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from options_helper.analysis.payoffs import undefined_risks
from options_helper.analysis.risk.least_worth import least_worth
from options_helper.model.portfolio import Leg, PortfolioLine, ShareLeg
from tests.kit.builders import EXPIRY, leg, portfolio, share_leg, structure

NEAR = date(2026, 11, 27)
LATER = date(2027, 1, 15)
# Between strikes and above all of them, too: what is sold at 20 is assigned at 25 and not at 20.
PRICES = tuple(range(0, 65, 5))


def least(*legs: Leg | ShareLeg, forever: bool = False) -> Decimal | None:
    return least_worth([structure(*legs).lines], forever=forever)


def put(side: str, strike: float, **more: Any) -> Leg:
    return leg(side, strike, "put", **more)


def test_what_two_prices_can_do_is_no_payoff_at_one():
    """The share is worthless when the put ends, and at the strike of the calls when these do."""
    legs = (
        leg("long", 20.0, contracts=2, expiry=LATER),
        leg("short", 10.0, expiry=LATER),
        put("short", 10.0),
    )

    assert least(*legs) == -2_000


def test_fractions_of_a_share_and_of_a_dollar_are_exact():
    """The put is worth most where the shares are worth nothing, and they fall together until its strike."""
    shares = "12.345678901"

    found = least(put("long", 92.125), share_leg("long", float(shares)))

    assert found == Decimal(shares) * Decimal("92.125")


def test_a_price_between_two_strikes_a_tenth_of_a_cent_apart_is_a_price_too():
    """Above 100 the call that is sold is assigned, and what runs longer is exercised against it."""
    legs = (leg("short", 100.0), leg("long", 100.0, expiry=LATER), put("long", 100.001))

    assert least(*legs) == 0


def test_after_a_fill_the_least_is_of_what_is_held_now():
    kept = structure(leg("short", 100.0), leg("long", 105.0)).lines
    before, after = (
        structure(leg("long", 110.0), leg("short", 120.0, contracts=one)).lines for one in (1, 2)
    )

    assert least_worth([kept, before]) == -500
    assert least_worth([kept, after]) is None
    assert least_worth([kept, before]) == -500


def test_a_collar_whose_put_ends_first_insures_nothing_after_it():
    """One whose call ends first does until the put ends."""
    shares = share_leg()

    assert least(put("long", 95.0), leg("short", 105.0, expiry=LATER), shares) == 0
    assert least(put("long", 95.0, expiry=LATER), leg("short", 105.0), shares) == 9_500
    assert least(put("long", 95.0, expiry=LATER), leg("short", 105.0), shares, forever=True) == 0


def test_a_put_that_ends_today_protects_no_shares_beside_a_vertical_of_next_week():
    """Its end finds the share above the strike; nobody has to deliver it into the put, and it falls then."""
    covered_call = (share_leg(), leg("short", 500.0))
    today = put("long", 465.0, expiry=NEAR)

    assert least(*covered_call, today) == 0
    assert least(*covered_call, today, leg("long", 505.0)) == 0
    assert least(*covered_call, today, leg("long", 505.0, expiry=LATER)) == 0


def test_a_put_that_ends_today_protects_nothing_that_is_sold_until_later():
    assert least(put("long", 180.0, expiry=NEAR), put("short", 180.0)) == -18_000


def test_a_sold_call_takes_of_what_runs_longer_no_more_than_is_assigned():
    """A diagonal for a credit and the put of another: only one of them can be in the money."""
    legs = (
        leg("short", 175.0),
        leg("long", 180.0, expiry=LATER),
        put("short", 170.0),
        put("long", 160.0, expiry=LATER),
    )

    assert least(*legs) == -1_000


def test_a_short_that_ends_out_of_the_money_leaves_what_covers_it_to_its_own_end():
    """At 183 the call that was sold ends without worth, nobody sells the other, and it ends without worth itself."""
    legs = (leg("short", 185.0), put("long", 187.0), leg("long", 180.0, expiry=LATER))

    assert least(*legs) == 200


def test_a_book_in_which_too_many_ways_lead_to_the_end_is_judged_end_by_end_and_not_too_high():
    """Calls of ten weeks and many strikes against one lot of shares and its put."""
    weeks = [date(2026, 12, 4 + day) for day in range(10)]
    sold = [leg("short", 100.0 + 5 * place, expiry=day) for day in weeks for place in range(12)]
    found = least(
        share_leg("long", 100.0 * len(sold)), put("long", 90.0, contracts=len(sold), expiry=LATER), *sold
    )

    assert found is not None
    assert 0 <= found <= 9_000 * len(sold)


class TestOfEuropeanContracts:
    """What can be exercised at its end alone is worth less than what exercising would bring, and never counts so."""

    def test_a_put_diagonal_on_an_index_loses_the_interest_on_its_strike(self):
        """At 4 % a year and no price at all 25100 P of a year is worth 24,117 and not 25,100."""
        legs = (
            put("short", 25_000.0, expiry=date(2026, 12, 18)),
            put("long", 25_100.0, expiry=date(2027, 12, 17)),
        )
        at_four = 100 * (25_100 * exp(-0.04 * 364 / 365) - 25_000)

        found, of_a_share = least_worth([structure(*legs, symbol="NDXP").lines]), least(*legs)

        assert of_a_share == 0
        assert found is not None
        assert 100 * (25_100 * exp(-0.1) - 25_001) < found < at_four < -88_000

    def test_a_call_calendar_on_an_index_loses_the_dividends(self):
        legs = (leg("short", 690.0, expiry=NEAR), leg("long", 690.0, expiry=date(2027, 2, 26)))
        found = least_worth([structure(*legs, symbol="XSP").lines])

        assert found is not None
        assert -100 * 690 * 0.05 * 93 / 365 < found <= -100 * 690 * 0.05 * 91 / 365

    def test_what_ends_with_it_stands_for_it_in_full(self):
        """One price decides on both, so nothing is worth less."""
        legs = (put("short", 6_900.0), put("long", 6_850.0), leg("short", 7_000.0), leg("long", 7_050.0))

        assert least_worth([structure(*legs, symbol="SPXW").lines]) == -5_000

    def test_what_the_file_says_of_a_style_goes_before_the_root(self):
        european = (
            put("short", 100.0, expiry=NEAR),
            put("long", 100.0, expiry=LATER, exercise_style="european"),
        )
        american = (put("short", 100.0, expiry=NEAR), put("long", 100.0, expiry=LATER))

        assert least(*american) == 0
        assert (least(*european) or 0) < -100

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from(("call", "put")),
        st.lists(st.integers(8, 12), min_size=1, max_size=3),
        st.lists(st.integers(8, 12), min_size=3, max_size=4),
        st.sampled_from((NEAR, EXPIRY)),
        st.sampled_from((date(2026, 12, 24), LATER, date(2027, 12, 17))),
    )
    def test_no_price_interest_dividend_or_volatility_leaves_less_when_the_first_ends(
        self, kind: Any, sold: list[int], held: list[int], first: date, last: date
    ):
        """Worth of the rest by Black's formula, which is the market's where nothing else is known."""
        legs = (
            *(leg("short", 10.0 * strike, kind, expiry=first) for strike in sold),
            *(leg("long", 10.0 * strike, kind, expiry=last) for strike in held),
        )
        found, years = least_worth([structure(*legs, symbol="SPX").lines]), (last - first).days / 365
        assert found is not None

        for price, rate, carry, volatility in product(
            (0.01, 20.0, 60.0, *(70.0 + 5 * n for n in range(13)), 160.0),
            (0.0, 0.04, 0.1),
            (0.0, 0.013, 0.025),
            (0.001, 0.2, 0.9),
        ):
            market = _Market(price, rate, carry, volatility)
            worth = sum(black(kind, 10.0 * strike, years, market) for strike in held)
            worth -= sum(intrinsic(kind, price, 10.0 * strike) for strike in sold)
            assert float(found) <= 100 * worth + 1e-6, market


def intrinsic(kind: str, price: float, strike: float) -> float:
    return max(0.0, price - strike if kind == "call" else strike - price)


class _Market(NamedTuple):
    price: float
    rate: float
    carry: float  # what it pays, a year
    volatility: float


def black(kind: str, strike: float, years: float, market: _Market) -> float:
    """The textbook's formula, for a price that pays a yield."""
    spread, sign = market.volatility * sqrt(years), 1.0 if kind == "call" else -1.0
    upper = (log(market.price / strike) + (market.rate - market.carry) * years) / spread + spread / 2
    normal = NormalDist().cdf
    return sign * (
        market.price * exp(-market.carry * years) * normal(sign * upper)
        - strike * exp(-market.rate * years) * normal(sign * (upper - spread))
    )


LEGS = st.builds(
    lambda side, strike, kind, contracts, expiry: leg(side, strike, kind, contracts=contracts, expiry=expiry),
    st.sampled_from(("long", "short")),
    st.integers(1, 5).map(lambda tens: 10.0 * tens),
    st.sampled_from(("call", "put")),
    st.integers(1, 2),
    st.sampled_from((NEAR, EXPIRY, LATER)),
)
SHARES = st.lists(
    st.builds(share_leg, st.sampled_from(("long", "long", "short")), st.sampled_from((100.0, 200.0))),
    max_size=1,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LEGS, min_size=1, max_size=5), SHARES)
@example([put("long", 40.0, expiry=NEAR), leg("short", 50.0), leg("long", 50.0)], [share_leg("long", 100.0)])
def test_no_way_of_the_price_leaves_less(legs: list[Leg], shares: list[ShareLeg]):
    lines = structure(*legs, *shares).lines
    found = least_worth([lines])

    assert (found is None) == bool(undefined_risks(portfolio(structure(*legs, *shares))))
    if found is None:
        return
    worst = worst_way(lines)
    assert found <= worst
    if len({line.instrument.expiry for line in lines} - {None}) == 1:
        assert found == worst
    # Apart, as entries of their own, they are the same lines.
    assert found <= (least_worth([(line,) for line in lines]) or 0) <= worst
    assert (least_worth([lines], forever=True) or 0) <= found


@settings(max_examples=100, deadline=None)
@given(st.lists(LEGS.filter(lambda one: one.side == "long"), min_size=1, max_size=5), SHARES)
def test_where_nothing_is_sold_it_is_exactly_the_worst_way(legs: list[Leg], shares: list[ShareLeg]):
    lines = structure(*legs, *(one for one in shares if one.side == "long")).lines

    assert least_worth([lines]) == worst_way(lines)


def worst_way(lines: tuple[PortfolioLine, ...]) -> int:
    """Dollars, the least over every way of the price on the grid.

    Everything is held to its own end, shares to the last; for what is assigned the holder may exercise as much of what
    runs longer, and does what is best, knowing the prices until then and no later one.
    """
    ends = sorted({line.instrument.expiry for line in lines if line.instrument.expiry is not None})
    held = tuple(
        _Held(
            is_put=line.instrument.option_type == "put",
            strike=int(line.instrument.strike or 0),
            end=ends.index(line.instrument.expiry) if line.instrument.expiry else len(ends) - 1,
            lots=int(line.quantity) // (100 if line.instrument.expiry is None else 1),
            is_share=line.instrument.expiry is None,
        )
        for line in lines
    )
    return 100 * _from_end(0, held, len(ends))


class _Held(NamedTuple):
    is_put: bool
    strike: int
    end: int
    lots: int  # of contracts, or hundreds of shares; short is negative
    is_share: bool

    def over(self, price: int) -> int:
        return max(self.strike - price if self.is_put else price - self.strike, 0)


@cache
def _from_end(end: int, held: tuple[_Held, ...], ends: int) -> int:
    """The worst of what is still to come, where at each price the holder does what is best."""
    if end == ends:
        return 0
    return min(
        max(_worth(end, held, taken, price, ends) for taken in _choices(end, held, price)) for price in PRICES
    )


def _worth(end: int, held: tuple[_Held, ...], taken: tuple[int, ...], price: int, ends: int) -> int:
    left = tuple(one._replace(lots=one.lots - gone) for one, gone in zip(held, taken, strict=True))
    here = sum(gone * one.over(price) for one, gone in zip(held, taken, strict=True))
    here += sum(one.lots * one.over(price) for one in left if one.end == end)
    return here + _from_end(end + 1, left, ends)


def _choices(end: int, held: tuple[_Held, ...], price: int) -> list[tuple[int, ...]]:
    """How much of each line may be exercised before its end: of its kind no more than is assigned."""
    assigned = {
        is_put: -sum(
            min(one.lots, 0)
            for one in held
            if one.end == end and one.is_put == is_put and one.over(price) and not one.is_share
        )
        for is_put in (True, False)
    }
    most = [
        min(max(one.lots, 0), assigned[one.is_put]) if one.end > end or one.is_share else 0 for one in held
    ]
    return [
        taken
        for taken in product(*(range(count + 1) for count in most))
        if all(
            sum(count for count, one in zip(taken, held, strict=True) if one.is_put == is_put) <= of_kind
            for is_put, of_kind in assigned.items()
        )
    ]
