"""The risk of a whole book: every line, underlying and sum says what it rests on, and nothing missing is a 0."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import erf, exp, fsum, log, pi, sqrt
from typing import Any

import numpy as np
import pytest

from options_helper.analysis.risk.beta import Beta
from options_helper.analysis.risk.book_reading import reading_of
from options_helper.analysis.risk.book_risk import assess_book
from options_helper.analysis.risk.book_values import (
    EUROPEAN,
    LATTICE,
    SHARES,
    BookFigures,
    Profits,
    SpotSource,
    theta_parts,
)
from options_helper.analysis.risk.extremes import Limit
from options_helper.analysis.risk.figures_together import AccountFigures, figures_together
from options_helper.analysis.risk.greeks import FigureState
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.payoff_view import PayoffView, payoff_view, subjects
from options_helper.analysis.risk.pricing import value
from options_helper.analysis.risk.scenario import curve
from options_helper.model.contract_records import ContractRecord, Deliverable
from options_helper.model.contract_symbols import OptionType, other_type
from options_helper.model.events import Quote
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.market_hours import NEW_YORK, Session
from options_helper.model.portfolio import MultiLegPosition, Position
from options_helper.model.risk_inputs import (
    CorporateActions,
    DailyCloses,
    Dividend,
    ExpiryChain,
    RiskInputs,
    SessionClose,
    VendorGreeks,
)
from options_helper.model.snapshot import LiveSnapshot
from tests.kit.builders import (
    AAPL_CALL,
    AS_OF,
    EXPIRY,
    holding,
    leg,
    portfolio,
    position,
    quote,
    snapshot_with,
)

RATE = 0.04
VOLATILITY = 0.3
# Of AS_OF, to 16:00 in New York on the day of expiry.
YEARS = (datetime(2026, 12, 18, 21, 0, tzinfo=UTC) - AS_OF).total_seconds() / (365 * 86_400)
AAPL_PUT = "AAPL261218P00180000"
# Read, and nothing announced.
NO_DIVIDENDS = CorporateActions("AAPL", AS_OF, date(2027, 3, 1))


def normal(x: float) -> float:
    """The cumulative normal distribution."""
    return (1 + erf(x / sqrt(2))) / 2


def black(spot: float, strike: float, *, call: bool = True, years: float = YEARS) -> dict[str, float]:
    """Black and Scholes by the textbook (Hull, ch. 15 and 19), per share."""
    root = VOLATILITY * sqrt(years)
    d1 = (log(spot / strike) + (RATE + VOLATILITY**2 / 2) * years) / root
    d2, density = d1 - root, exp(-d1 * d1 / 2) / sqrt(2 * pi)
    sign, discounted = (1 if call else -1), strike * exp(-RATE * years)
    return {
        "price": sign * (spot * normal(sign * d1) - discounted * normal(sign * d2)),
        "delta": sign * normal(sign * d1),
        "gamma": density / (spot * root),
        "vega": spot * density * sqrt(years),
        "theta": -spot * density * VOLATILITY / (2 * sqrt(years))
        - sign * RATE * discounted * normal(sign * d2),
        "rho": sign * years * discounted * normal(sign * d2),
    }


def quoted(symbol: str, price: float, **more: Any) -> Quote:
    """A quote two cents wide around a price."""
    return quote(symbol, price - 0.01, price + 0.01, **more)


def market(*quotes: Quote, actions: CorporateActions | None = NO_DIVIDENDS, **more: Any) -> LiveSnapshot:
    """A snapshot of these quotes, in which the dividends of AAPL were read."""
    known = {} if actions is None else {actions.symbol: actions}
    return replace(snapshot_with(*quotes, **more), risk_inputs=RiskInputs(actions=known))


def risk_of(*entries: Any, live: LiveSnapshot, **more: Any) -> BookFigures:
    """The figures of a book of these entries."""
    return assess_book(
        portfolio(*entries), live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25, **more
    )


CALL = black(180, 180)
USUAL = market(quoted("AAPL", 180.0), quoted(AAPL_CALL, CALL["price"]))


def test_a_call_without_dividends_is_worth_what_the_textbook_says():
    """Position units: shares, dollars a point, dollars a calendar day; two short contracts turn every sign."""
    book = risk_of(position(contracts=-2), live=USUAL)

    (line,) = book.lines
    assert line.model == EUROPEAN
    assert line.iv == pytest.approx(VOLATILITY, abs=1e-4)
    assert line.iv_low is not None
    assert line.iv_high is not None
    assert line.iv_low < VOLATILITY < line.iv_high
    assert line.delta == pytest.approx(-200 * CALL["delta"], abs=0.01)
    assert line.gamma == pytest.approx(-200 * CALL["gamma"], rel=1e-3)
    assert line.vega == pytest.approx(-2 * CALL["vega"], rel=1e-3)
    assert line.theta == pytest.approx(-200 * CALL["theta"] / 365, rel=1e-3)
    assert line.rho == pytest.approx(-2 * CALL["rho"], rel=1e-3)
    assert line.forward == pytest.approx(180 * exp(RATE * YEARS))
    assert (line.iv_state, line.dividends_state, line.reasons) == ("ok", "none", ())
    assert line.delta_state is FigureState.OK


def test_a_put_that_may_be_exercised_is_priced_by_the_lattice_and_a_short_one_has_a_positive_delta():
    """Its second voice is the European model, of the position like the delta."""
    put = black(180, 180, call=False)
    live = market(quoted("AAPL", 180.0), quoted(AAPL_PUT, put["price"] + 0.02))

    (line,) = risk_of(position(option_type="put", contracts=-1), live=live).lines

    assert line.model == LATTICE
    assert line.delta is not None
    assert 0 < line.delta < 100
    assert line.second_delta == pytest.approx(line.delta, abs=2)
    assert line.second_iv is not None
    assert line.iv is not None
    assert line.second_iv > line.iv
    # Two cents of quote are less than exercising early is worth.
    assert line.voices_apart
    assert any("European model" in one for one in line.reasons)


def test_shares_are_delta_and_count_as_no_leg():
    """The sum has them; its coverage is of option legs."""
    book = risk_of(position(), holding(shares=-50), live=USUAL)

    assert book.lines[1].model == SHARES
    assert (book.lines[1].delta, book.lines[1].gamma) == (-50, 0)
    assert book.sums.delta.amount == pytest.approx(100 * CALL["delta"] - 50, abs=0.01)
    assert book.sums.delta.coverage.words == "1 of 1 leg"


def test_long_and_short_of_one_contract_leave_exactly_nothing():
    """Whatever the model says of it, it says the same twice."""
    long, short = position(contracts=3, identity="long"), position(contracts=-3, identity="short")

    sums = risk_of(long, short, live=USUAL).sums

    assert [sums.delta.amount, sums.gamma.amount, sums.vega.amount, sums.theta.amount] == [0, 0, 0, 0]


def test_a_leg_without_a_quote_is_missing_in_the_sum_and_says_so():
    """It is not 0, and the sum is not whole."""
    book = risk_of(position(), position(strike=200), live=USUAL)

    missing = book.lines[1]
    assert (missing.delta, missing.iv, missing.iv_state, missing.delta_state) == (
        None,
        None,
        "no_quote",
        "unknown",
    )
    assert missing.greek_age_seconds is None
    assert missing.model is None
    assert "no quote" in missing.reasons[0]
    assert book.sums.vega.coverage.words == "1 of 2 legs"
    assert not book.sums.delta.is_whole


def test_a_book_of_which_nothing_is_known_has_no_sums():
    """A page without any price shows blanks with reasons."""
    book = risk_of(position(), live=snapshot_with())

    assert book.sums.delta.amount is None
    assert book.beta_weighted.dollars_per_percent is None
    assert book.underlyings[0].spot is None
    assert book.lines[0].reasons


def test_an_empty_book_has_no_risk():
    """And nothing breaks."""
    book = risk_of(live=USUAL)

    assert (book.lines, book.underlyings, book.alarms) == ((), (), ())


@pytest.mark.parametrize(("of_quote", "of_spot"), [(45.0, 0.0), (0.0, 45.0)])
def test_a_figure_is_as_old_as_the_oldest_of_its_inputs_and_says_what_lies_apart(
    of_quote: float, of_spot: float
):
    """A quote that stands still while its market is open never gives a figure that looks new."""
    live = market(quoted("AAPL", 180.0, age=of_spot), quoted(AAPL_CALL, CALL["price"], age=of_quote))

    (line,) = risk_of(position(), live=live).lines

    assert line.delta is not None
    assert line.greek_age_seconds == pytest.approx(45, abs=0.01)
    assert any("45 s apart" in one for one in line.reasons)
    assert any("stale" in one for one in line.reasons) == bool(of_quote)


def test_an_adjusted_contract_has_no_figures_and_says_why():
    """What it delivers is not known; its multiplier alone does not tell it."""
    live = market(quoted("AAPL", 180.0), quoted("AAPL1261218C00180000", CALL["price"]))

    (line,) = risk_of(position("AAPL1", multiplier=100), live=live).lines

    assert (line.delta, line.iv, line.theta) == (None, None, None)
    assert any("adjusted" in one.lower() for one in line.reasons)


ADJUSTED = "AAPL1261218C00180000"


def delivering(symbol: str, *parts: tuple[str | None, str | None]) -> ExpiryFacts:
    """What Alpaca's record says that a contract at 100 dollars a point delivers."""
    deliverables = tuple(Deliverable(of, None if amount is None else Decimal(amount)) for of, amount in parts)
    record = ContractRecord(symbol=symbol, multiplier=Decimal(100), deliverables=deliverables)
    return ExpiryFacts(records={symbol: record})


def test_an_adjusted_contract_has_the_figures_of_what_its_record_delivers():
    """A right to 110 shares and 250 dollars for 18,000 is 110 rights to a share for 161.36."""
    each = black(180, (18_000 - 250) / 110)
    price = 110 * each["price"] / 100
    facts = delivering(ADJUSTED, ("AAPL", "110"), (None, "250"))
    live = replace(market(quoted("AAPL", 180.0), quoted(ADJUSTED, price)), expiry_facts=facts)

    book = risk_of(position("AAPL1", contracts=-2, multiplier=100), live=live)

    (line,) = book.lines
    assert line.iv == pytest.approx(VOLATILITY, abs=1e-3)
    assert line.delta == pytest.approx(-220 * each["delta"], abs=0.2)
    assert line.gamma == pytest.approx(-220 * each["gamma"], rel=1e-2)
    assert line.vega == pytest.approx(-2.2 * each["vega"], rel=1e-2)
    assert line.mark == pytest.approx(price)
    assert any(
        "it delivers 110 AAPL and $250.00, so its figures are those of 110 rights" in one
        for one in line.reasons
    )
    # The curve of today goes through the marks, and what it changed by is a hundred times what its price did.
    assert curve(book.scenario, np.ones(1)).worth[0] == pytest.approx(-200 * price)
    reading = reading_of(book)
    assert reading.mark[0] * reading.slope[0] == pytest.approx(-200 * price)
    assert book.max_loss.limit is Limit.UNDEFINED


@pytest.mark.parametrize(("kind", "contracts"), [("call", 2), ("call", -2), ("put", 1), ("put", -1)])
def test_the_payoff_of_an_adjusted_contract_is_what_its_record_delivers_for_what_exercising_costs(
    kind: str, contracts: int
):
    symbol = ADJUSTED.replace("C", "P") if kind == "put" else ADJUSTED
    facts = delivering(symbol, ("AAPL", "110"), (None, "250"))
    held = position("AAPL1", option_type=kind, contracts=contracts, multiplier=100, cost_basis=3.0)
    live = replace(market(quoted("AAPL", 180.0)), expiry_facts=facts)

    (entry,) = risk_of(held, live=live).extremes.entries

    assert entry.basis == 300 * contracts
    assert entry.payoff is not None
    for price in (0, 100, 161, 162, 180, 500):
        exercised = 110 * price + 250 - 18_000
        worth = contracts * max(exercised if kind == "call" else -exercised, 0)
        assert float(entry.payoff.at(Decimal(price))) == pytest.approx(worth, abs=1e-6)
    (even,) = entry.break_evens or ()
    sign = 1 if kind == "call" else -1
    assert 110 * float(even) + 250 - 18_000 == pytest.approx(sign * 300)


def test_so_many_shares_as_an_adjusted_call_delivers_cover_it():
    facts = delivering(ADJUSTED, ("AAPL", "110"))
    live = replace(market(quoted("AAPL", 180.0)), expiry_facts=facts)
    sold = position("AAPL1", contracts=-1, multiplier=100)

    def worst(shares: float) -> Limit:
        return risk_of(sold, holding(shares=shares), live=live).max_loss.limit

    assert (worst(100), worst(110)) == (Limit.UNDEFINED, Limit.NUMBER)


@pytest.mark.parametrize(
    "parts",
    [
        (("AAPL", "100"), ("SPUN", "10")),
        (("AAPL", "100"), (None, None)),
        (("AAPL", None),),
        ((None, "18250"),),
        (("SPUN", "100"),),
    ],
    ids=["two shares", "cash to be told", "shares to be told", "cash alone", "another share"],
)
def test_what_delivers_more_than_a_share_and_dollars_has_no_figures_and_names_it(
    parts: tuple[tuple[str | None, str | None], ...],
):
    live = replace(
        market(quoted("AAPL", 180.0), quoted(ADJUSTED, CALL["price"])),
        expiry_facts=delivering(ADJUSTED, *parts),
    )

    (line,) = risk_of(position("AAPL1", multiplier=100), live=live).lines

    assert (line.delta, line.iv, line.theta) == (None, None, None)
    assert line.iv_reason == "an adjusted contract delivers something else"
    assert any(one.startswith("An adjusted contract: it delivers ") for one in line.reasons)


def test_a_contract_that_only_its_record_knows_as_adjusted_is_no_usual_one():
    """Its symbol has no digit; where its record has no payoff, it is counted as a hundred shares, and that is said."""
    each = black(180, 18_000 / 110)
    quotes = quoted("AAPL", 180.0), quoted(AAPL_CALL, 110 * each["price"] / 100)
    usual = delivering(AAPL_CALL, ("AAPL", "100"))
    odd = delivering(AAPL_CALL, ("AAPL", "110"))

    spun = delivering(AAPL_CALL, ("AAPL", "100"), ("SPUN", "10"))
    of_usual, of_odd, of_spun = (
        risk_of(position(), live=replace(market(*quotes), expiry_facts=facts)) for facts in (usual, odd, spun)
    )

    assert of_odd.lines[0].delta == pytest.approx(110 * each["delta"], abs=0.1)
    assert of_usual.lines[0].delta is not None
    assert of_usual.lines[0].delta < 100
    said = (
        "AAPL 18 Dec 26 180 C delivers 100 AAPL and 10 SPUN by Alpaca's record; payoff and greatest loss count it as a "
        "usual contract."
    )
    assert said in of_spun.alarms
    assert not any("Alpaca's record" in one for book in (of_usual, of_odd) for one in book.alarms)
    payoff = of_odd.extremes.entries[0].payoff
    assert payoff is not None
    assert payoff.rise == 110


def test_what_has_ended_is_counted_nowhere():
    """It is still a line, which says so."""
    ended = position(expiry=date(2026, 11, 13), identity="ended")

    book = risk_of(position(), ended, live=USUAL)

    assert book.lines[1].has_ended
    assert book.extremes.ended.labels == ("AAPL 13 Nov 26 180 C",)
    assert book.underlyings[0].ended == book.extremes.ended
    assert "AAPL 13 Nov 26 180 C has ended, and what its end costs or brings is in no figure." in book.alarms
    assert book.lines[1].iv_state == "expired"
    assert book.sums.delta.coverage.of == 1
    assert book.sums.delta.is_whole


def test_dividends_that_were_not_read_are_unknown_and_an_alarm():
    """Unknown is not none."""
    live = market(quoted("AAPL", 180.0), quoted(AAPL_CALL, CALL["price"]), actions=None)

    book = risk_of(position(), live=live)

    assert book.lines[0].dividends_state == "unknown"
    assert any("dividends are not known" in one for one in book.alarms)


def test_an_announced_dividend_lowers_the_forward():
    """By what it is worth at the end."""
    paid = Dividend("AAPL", date(2026, 12, 4), 1.0)
    live = market(
        quoted("AAPL", 180.0),
        quoted(AAPL_CALL, CALL["price"]),
        actions=replace(NO_DIVIDENDS, dividends=(paid,)),
    )

    (line,) = risk_of(position(), live=live).lines

    assert line.dividends_state == "known"
    assert line.forward == pytest.approx(180 * exp(RATE * YEARS) - 1, abs=0.01)


@pytest.mark.parametrize(
    ("at", "minutes"),
    [
        ("2026-10-30 16:00", (7 * 24 + 1) * 60),  # over a weekend, and the hour that a change of clocks takes
        ("2026-11-06 14:30", 90),
        ("2026-11-06 16:01", 0),
    ],
)
def test_the_time_of_a_leg_counts_nights_weekends_and_changed_clocks_and_never_falls_below_nothing(
    at: str, minutes: int
):
    moment = datetime.fromisoformat(at).replace(tzinfo=NEW_YORK)
    told = {date(2026, 11, 6): Session(moment, moment + timedelta(minutes=5))}
    live = snapshot_with(as_of=moment)
    book = portfolio(position(expiry=date(2026, 11, 6)))

    years, by_market = (
        assess_book(book, one, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25).scenario.terms.years
        for one in (live, replace(live, told_sessions=told))
    )
    assert years[0] * 525_600 == pytest.approx(minutes)
    assert by_market[0] * 525_600 == pytest.approx(5)


def test_what_is_kept_from_look_to_look_is_worked_out_anew_when_what_it_follows_from_is_another():
    """The same portfolio each second: its dividends change with the day, the reading, the choices and its end."""
    book = portfolio(position())
    contract = book.instruments[0].live_symbol
    mine = Dividend("AAPL", date(2026, 12, 16), 0.5, said_by="their page", entered=date(2026, 11, 2))
    paid = replace(NO_DIVIDENDS, dividends=(Dividend("AAPL", date(2026, 11, 24), 1.0),))

    def look(at: datetime, actions: CorporateActions, choices: RiskChoices) -> tuple[str, float | None]:
        fresh = {"as_of": at}
        live = market(
            quoted(contract, CALL["price"], **fresh), quoted("AAPL", 180, **fresh), actions=actions, **fresh
        )
        (line,) = assess_book(book, live, choices, stale_after_seconds=30, wide_spread_pct=25).lines
        return str(line.dividends_state), line.forward

    usual, own = RiskChoices(), RiskChoices(own_dividends={"AAPL": (mine,)})
    days = AS_OF, datetime(2026, 11, 24, 15, 0, tzinfo=UTC), datetime(2026, 12, 18, 21, 0, tzinfo=UTC)
    for _ in range(2):
        assert look(days[0], NO_DIVIDENDS, usual)[0] == "none"
        assert look(days[0], paid, usual)[0] == "known"
        assert look(days[1], paid, usual)[0] == "none"
        assert look(days[1], paid, own)[0] == "known"
        assert look(days[2], paid, own)[0] == "none"
    forwards = [look(days[0], actions, usual)[1] or 0.0 for actions in (NO_DIVIDENDS, paid)]
    assert forwards[0] - forwards[1] == pytest.approx(1.0, abs=0.01)


def test_the_vendors_delta_is_of_the_position():
    """It stands beside ours, and never in its place."""
    greeks = VendorGreeks(AAPL_CALL, implied_volatility=0.31, delta=0.5)
    live = snapshot_with(quoted("AAPL", 180.0))
    live = replace(live, risk_inputs=RiskInputs(vendor_greeks={AAPL_CALL: greeks}))

    (line,) = risk_of(position(contracts=-2), live=live).lines

    assert line.vendor_delta == -100
    assert line.delta is None


def vendor_says(
    delta: float | None, volatility: float | None = VOLATILITY, *, ago: float = 0.0
) -> LiveSnapshot:
    """The usual market, and the vendor's own of the call's quote of so many seconds ago."""
    quoted_at = AS_OF - timedelta(seconds=ago)
    greeks = VendorGreeks(AAPL_CALL, implied_volatility=volatility, delta=delta, quoted_at=quoted_at)
    return replace(USUAL, risk_inputs=replace(USUAL.risk_inputs, vendor_greeks={AAPL_CALL: greeks}))


def test_a_vendor_that_says_otherwise_is_flagged_with_what_its_hedge_would_be():
    """By delta from 0.02 on, or by volatility beyond the quote's own band, where nothing is said of delta."""
    by_delta = risk_of(position(contracts=-2), live=vendor_says(CALL["delta"] + 0.03))
    by_volatility = risk_of(position(), live=vendor_says(None, VOLATILITY + 0.02))

    assert by_delta.lines[0].vendor_apart
    assert "Alpaca's own Greeks (Black-Scholes) say otherwise: −6.0 shares of delta from ours." in (
        by_delta.lines[0].reasons
    )
    assert any(
        one.startswith("Alpaca's own Greeks") and "AAPL 18 Dec 26 180 C" in one for one in by_delta.alarms
    )
    assert any("+2.0 points of volatility" in one for one in by_volatility.lines[0].reasons)
    assert by_volatility.lines[0].vendor_iv == pytest.approx(VOLATILITY + 0.02)


def test_a_contract_that_several_lines_have_is_named_once_in_what_is_said_of_it():
    lines = [position(contracts=-2, identity=one) for one in ("first", "second")]
    book = risk_of(*lines, live=vendor_says(CALL["delta"] + 0.03))

    assert len(book.lines) == 2
    assert book.alarms
    assert all(one.count("AAPL 18 Dec 26 180 C") <= 1 for one in book.alarms), book.alarms
    assert any(one.startswith("Alpaca's own Greeks") for one in book.alarms)
    unknown = risk_of(*lines, live=replace(USUAL, quotes={}))
    assert all(one.count("AAPL 18 Dec 26 180 C") <= 1 for one in unknown.alarms), unknown.alarms
    assert any("not known" in one and "180 C" in one for one in unknown.alarms)


@pytest.mark.parametrize(
    "live",
    [
        vendor_says(CALL["delta"] + 0.01),
        vendor_says(None, None),
        vendor_says(CALL["delta"] + 0.2, VOLATILITY + 0.2, ago=60),
    ],
    ids=["it agrees", "it is silent", "it speaks of a quote of a minute ago"],
)
def test_a_vendor_that_agrees_or_speaks_of_another_moment_is_not_flagged(live: LiveSnapshot):
    book = risk_of(position(), live=live)

    assert not book.lines[0].vendor_apart
    assert book.lines[0].reasons == ()


def test_a_volatility_of_a_partner_says_whose_it_is_and_is_as_old_as_its_quote():
    """It was asked for some while ago, and the leg's own quote is new."""
    deep, partner = "AAPL261218C00160000", "AAPL261218P00160000"
    intrinsic = 180 - 160 * exp(-RATE * YEARS)
    asked = quoted(partner, black(180, 160, call=False)["price"], age=42)
    live = market(quoted("AAPL", 180.0), quoted(deep, intrinsic))
    live = replace(live, risk_inputs=replace(live.risk_inputs, partners={partner: asked}))

    (line,) = risk_of(position(strike=160), live=live).lines

    assert (line.symbol, line.iv_state) == (deep, "from_partner")
    assert line.greek_age_seconds == pytest.approx(42, abs=0.01)
    assert "It has the volatility of the 160 put, whose quote is 42 s old." in line.reasons


def test_an_index_is_priced_by_the_options_that_were_asked_for_and_by_streamed_ones_if_these_are_newer():
    """Held strikes alone imply nothing; and what is a quarter of a minute old does not go before what is new."""
    held = index_chain(6_000, strikes=range(5_800, 5_801))
    asked = {one.symbol: one for one in index_chain(6_100, strikes=range(5_900, 6_301, 50))}
    chain = ExpiryChain("SPX", EXPIRY, AS_OF, asked, None)
    old = ExpiryChain("SPX", EXPIRY, AS_OF, {k: aged(one, 15) for k, one in asked.items()}, None)
    streamed = index_chain(6_000, strikes=range(5_900, 6_101, 50))

    def forward_of(live: LiveSnapshot, chain: ExpiryChain) -> float | None:
        inputs = RiskInputs(chains={"SPXW261218": chain})
        return risk_of(position("SPXW", 5_800), live=replace(live, risk_inputs=inputs)).lines[0].forward

    assert forward_of(snapshot_with(*held), chain) == pytest.approx(6_100, abs=0.5)
    assert forward_of(snapshot_with(*held), old) == pytest.approx(6_100, abs=0.5)
    assert forward_of(snapshot_with(*held, *streamed), chain) == pytest.approx(6_100, abs=0.5)
    assert forward_of(snapshot_with(*held, *streamed), old) == pytest.approx(6_000, abs=0.5)


def aged(one: Quote, seconds: float) -> Quote:
    """The same quote, received so many seconds before."""
    return quote(one.symbol, one.bid_price, one.ask_price, age=seconds)


def test_a_missing_beta_is_named_and_not_taken_for_one():
    """Its legs are not in the sum."""
    book = risk_of(position(), live=USUAL)

    assert book.beta_weighted.dollars_per_percent is None
    assert any("beta of AAPL is not known" in one for one in book.alarms)


def test_ones_own_beta_turns_delta_into_dollars_for_a_percent():
    """0.01 · delta · S · beta; in shares of the index where it has a price."""
    live = market(*USUAL.quotes.values(), quoted("SPY", 600.0))
    choices = RiskChoices(own_betas={"AAPL": 1.5})

    book = assess_book(portfolio(position()), live, choices, stale_after_seconds=30, wide_spread_pct=25)

    dollars = 100 * CALL["delta"] * 180 * 1.5
    assert book.beta_weighted.dollars_per_percent == pytest.approx(0.01 * dollars, rel=1e-3)
    assert book.beta_weighted.shares == pytest.approx(dollars / 600, rel=1e-3)


def test_a_naked_call_is_undefined_and_a_naked_put_is_a_number():
    """The share can fall to 0 and no further."""
    call = risk_of(position(contracts=-1), live=USUAL)
    put = risk_of(position(option_type="put", contracts=-1, cost_basis=5.0), live=USUAL)

    assert call.max_loss.limit is Limit.UNDEFINED
    assert any("undefined" in one for one in call.alarms)
    assert put.max_loss.amount == -(18_000 - 500)


def index_chain(forward: float, *, strikes: range, expiry: str = "261218") -> list[Quote]:
    """Calls and puts on SPX whose prices obey parity at this forward."""
    discount = exp(-RATE * YEARS)
    found = []
    for strike in strikes:
        call = black(forward * discount, strike)["price"]
        put = black(forward * discount, strike, call=False)["price"]
        found += [
            quote(f"SPXW{expiry}{kind}{strike * 1000:08d}", price - 0.1, price + 0.1)
            for kind, price in (("C", call), ("P", put))
        ]
    return found


def test_a_dividend_of_ones_own_is_in_the_price_where_none_was_read():
    own = Dividend("AAPL", date(2026, 12, 1), 2.0, said_by="their page", entered=date(2026, 11, 2))
    live = market(*USUAL.quotes.values(), actions=None)
    look = {"stale_after_seconds": 30, "wide_spread_pct": 25}

    unknown, known = (
        assess_book(portfolio(position()), live, choices, **look)
        for choices in (RiskChoices(), RiskChoices(own_dividends={"AAPL": (own,)}))
    )

    (before,), (after,) = unknown.lines, known.lines
    assert (before.dividends_state, after.dividends_state) == ("unknown", "known")
    assert before.forward is not None
    assert after.forward == pytest.approx(before.forward - 2.0, abs=0.02)
    assert any("your $2 on 1 Dec 26 (their page, entered 2 Nov 26) counts" in one for one in after.reasons)
    assert any("AAPL: its dividends are not known" in one for one in unknown.alarms)
    assert not any("dividends are not known" in one for one in known.alarms)


def test_an_index_leg_is_priced_on_the_forward_that_its_expiry_implies():
    """No index price is needed, and its dividends are in the forward."""
    live = snapshot_with(*index_chain(6_000, strikes=range(5_900, 6_101, 50)))
    entry = position("SPXW", 6_000, contracts=-1)

    (line,) = risk_of(entry, live=live).lines

    assert line.model == EUROPEAN
    assert line.forward == pytest.approx(6_000, abs=0.5)
    assert line.iv == pytest.approx(VOLATILITY, abs=1e-3)
    assert line.dividends_state == "none"


def test_a_price_that_options_imply_says_so_with_its_expiry():
    """Discounted it is no price that anybody quotes, so no figure may stand beside it without a word."""
    index = risk_of(
        position("SPXW", 6_000), live=snapshot_with(*index_chain(6_000, strikes=range(5_900, 6_101, 50)))
    )
    share = risk_of(position(), holding("AAPL", 10), live=USUAL)
    nothing = risk_of(position(), live=snapshot_with())

    (line,), (spx,) = index.lines, index.underlyings
    assert line.spot == spx.spot == pytest.approx(6_000 * exp(-RATE * YEARS), abs=0.5)
    assert line.spot_source is spx.spot_source is SpotSource.OPTIONS
    assert spx.spot_words == (
        "SPX has the price that its options imply: the parity forward of 18 Dec 26, discounted."
    )
    for book, source in ((share, SpotSource.OWN), (nothing, None)):
        assert {one.spot_source for one in book.lines} == {source}
        assert {one.spot_source for one in book.underlyings} == {source}
    assert (share.underlyings[0].spot_words, nothing.underlyings[0].spot_words) == ("", "")


def test_the_price_of_an_index_is_of_the_first_expiry_held_in_whatever_order_the_file_has_them():
    later = date(2027, 1, 15)
    live = snapshot_with(
        *index_chain(6_000, strikes=range(5_900, 6_101, 50)),
        *index_chain(6_050, strikes=range(5_900, 6_101, 50), expiry="270115"),
    )
    near, far = position("SPXW", 6_000, contracts=-1), position("SPXW", 6_100, expiry=later)
    unquoted = position("SPXW", 6_000, expiry=date(2026, 12, 4))
    apart = figures_together(
        [AccountFigures(name, risk_of(one, live=live)) for name, one in (("ira", far), ("main", near))]
    )

    books = [risk_of(*several, live=live) for several in ((near, far), (far, near), (unquoted, far, near))]
    for book in (*books, apart):
        (spx,) = book.underlyings
        by_first = next(one for one in book.lines if one.expiry == EXPIRY)
        assert spx.spot == by_first.spot == pytest.approx(6_000 * exp(-RATE * YEARS), abs=0.5)
        assert (spx.spot_expiry, spx.spot_age_seconds) == (EXPIRY, by_first.spot_age_seconds)
        drawn = payoff_view(book, subjects(book)[0])
        assert isinstance(drawn, PayoffView)
        assert drawn.spot == spx.spot


@pytest.mark.parametrize(("made", "is_of_session"), [(-60, True), (900, True), (901, False), (3_600, False)])
def test_what_is_quoted_on_an_index_after_its_session_implies_no_forward(made: int, *, is_of_session: bool):
    """Its options are traded until 16:15, and what is left standing then is no quote."""
    quotes = [
        quote(
            one.symbol, one.bid_price, one.ask_price, age=(NIGHT - CLOSE).total_seconds() - made, as_of=NIGHT
        )
        for one in index_chain(6_000, strikes=range(5_900, 6_101, 50))
    ]

    (line,) = risk_of(position("SPXW", 6_000), live=snapshot_with(*quotes, as_of=NIGHT)).lines

    assert (line.spot is not None) is is_of_session
    assert any("Fewer than three strikes" in one for one in line.reasons) is not is_of_session


@pytest.mark.parametrize(("made", "lends"), [(-1, True), (1, False)])
def test_a_partner_lends_the_volatility_of_its_session_alone(made: int, *, lends: bool):
    """What is quoted on it after the close is no more believed than if it were held itself."""
    years = (datetime(2026, 12, 18, 21, 0, tzinfo=UTC) - CLOSE).total_seconds() / (365 * 86_400)
    ago = (NIGHT - CLOSE).total_seconds()
    put = black(180, 150, call=False, years=years)["price"]
    live = market(
        quoted("AAPL", 180.0, as_of=NIGHT),
        # In the money, and bid for at what exercising brings.
        quote("AAPL261218C00150000", 29.9, 31.5, age=ago + 1, as_of=NIGHT),
        quoted("AAPL261218P00150000", put, age=ago - made, as_of=NIGHT),
        as_of=NIGHT,
    )
    close = SessionClose("AAPL", date(2026, 11, 20), 180.0, NIGHT)
    live = replace(live, risk_inputs=replace(live.risk_inputs, session_closes={("AAPL", close.day): close}))

    (line,) = risk_of(position("AAPL", 150), live=live).lines

    assert (line.iv_state == "from_partner") is lends
    assert (line.iv is None) is not lends


@pytest.mark.parametrize("symbol", ["OEX", "SPXW"])
def test_an_index_without_any_price_says_why(symbol: str):
    (line,) = risk_of(position(symbol, 2_900), live=snapshot_with()).lines

    assert (line.delta, line.spot_source) == (None, None)
    assert any("Fewer than three strikes" in one for one in line.reasons)


def test_an_index_leg_without_a_chain_says_what_is_missing():
    """Two strikes imply no forward that could be relied on."""
    live = snapshot_with(*index_chain(6_000, strikes=range(5_950, 6_001, 50)))

    (line,) = risk_of(position("SPXW", 6_000), live=live).lines

    assert line.delta is None
    assert any("Fewer than three strikes" in one for one in line.reasons)


def test_a_structure_and_an_underlying_have_sums_of_their_own():
    """And the profits that the tables computed, once each."""
    spread = MultiLegPosition(
        id="spread", symbol="AAPL", net_debit=2.0, legs=(leg("long", 180), leg("short", 190))
    )
    live = market(*USUAL.quotes.values(), quoted("AAPL261218C00190000", black(180, 190)["price"]))
    profits = Profits(today={"spread": 5.0}, unrealized={"spread": 12.0}, book_unrealized=12.0)

    book = risk_of(spread, live=live, profits=profits)

    expected = 100 * (CALL["delta"] - black(180, 190)["delta"])
    assert book.sums_by_entry["spread"].delta.amount == pytest.approx(expected, abs=0.01)
    (aapl,) = book.underlyings
    assert (aapl.symbol, aapl.pnl_today, aapl.unrealized, aapl.next_expiry) == ("AAPL", 5.0, 12.0, EXPIRY)
    assert aapl.sums.delta.amount == pytest.approx(expected, abs=0.01)
    assert list(book.sums_by_expiry) == [EXPIRY]


def test_a_later_look_computes_only_what_moved():
    """And says the same as one that begins anew."""
    held: tuple[Position, ...] = (position(), position(strike=190, identity="other"))
    first = market(*USUAL.quotes.values(), quoted("AAPL261218C00190000", 2.5))
    before = risk_of(*held, live=first)
    second = market(*USUAL.quotes.values(), quoted("AAPL261218C00190000", 2.6))

    after = risk_of(*held, live=second, earlier=before.computed)

    assert after.computed.computed == 1
    anew = risk_of(*held, live=second)
    assert after.lines[1].iv == pytest.approx(anew.lines[1].iv, abs=1e-6)
    assert after.lines[0] == before.lines[0]


def test_after_the_close_a_volatility_stays_what_the_last_quotes_said():
    """Only time runs on in the Greeks; otherwise each night would raise every volatility."""
    close = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    later = close + timedelta(hours=10)

    def look(at: datetime) -> BookFigures:
        age = (at - close).total_seconds() + 1
        quotes = [
            quoted("AAPL", 180.0, age=age, as_of=at),
            quoted(AAPL_CALL, CALL["price"], age=age, as_of=at),
        ]
        return risk_of(position(), live=market(*quotes, as_of=at))

    at_close, at_night = look(close).lines[0], look(later).lines[0]

    assert at_night.iv == pytest.approx(at_close.iv, abs=1e-9)
    assert at_night.forward is not None
    assert at_close.forward is not None
    assert at_night.forward < at_close.forward


CLOSE = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
NIGHT = CLOSE + timedelta(hours=3)


def at_night(
    *, spot: float = 180.0, at: datetime = NIGHT, read_at: datetime | None = NIGHT, **known: Any
) -> LiveSnapshot:
    """A call whose last quote was at a close of 180, hours ago, and a share that is quoted on."""
    years = (datetime(2026, 12, 18, 21, 0, tzinfo=UTC) - CLOSE).total_seconds() / (365 * 86_400)
    ago = (at - CLOSE).total_seconds() + 1
    live = market(
        quoted("AAPL", spot, as_of=at),
        quoted(AAPL_CALL, black(180, 180, years=years)["price"], age=ago, as_of=at),
        as_of=at,
        **known,
    )
    close = None if read_at is None else SessionClose("AAPL", date(2026, 11, 20), 180.0, read_at)
    closes = {} if close is None else {("AAPL", close.day): close}
    return replace(live, risk_inputs=replace(live.risk_inputs, session_closes=closes))


@pytest.mark.parametrize(
    "at", [NIGHT, CLOSE + timedelta(hours=15)], ids=["in the evening", "before the open"]
)
def test_when_nothing_is_traded_the_price_of_the_close_says_the_volatility_and_the_price_of_now_the_delta(
    at: datetime,
):
    """A share that is bid up at night makes no option cheaper."""
    (line,) = risk_of(position(), live=at_night(spot=190.0, at=at, read_at=at)).lines

    assert line.iv == pytest.approx(VOLATILITY, abs=1e-3)
    assert line.iv_at == CLOSE.astimezone(NEW_YORK)
    left = (datetime(2026, 12, 18, 21, 0, tzinfo=UTC) - at).total_seconds() / (365 * 86_400)
    assert line.delta == pytest.approx(100 * black(190, 180, years=left)["delta"], abs=0.1)
    assert "AAPL was 180.00 at the close and is 190.00 now; options are not traded." in line.reasons
    assert not any("apart" in one for one in line.reasons)


@pytest.mark.parametrize("read_at", [None, CLOSE - timedelta(minutes=1)], ids=["never", "before the close"])
def test_a_close_that_was_not_read_is_said_and_the_newest_price_stands_in_for_it(read_at: datetime | None):
    """What a bar had a minute before its end is no close."""
    (line,) = risk_of(position(), live=at_night(read_at=read_at)).lines

    assert line.iv == pytest.approx(VOLATILITY, abs=1e-3)
    assert any("at the close is not known" in one for one in line.reasons)


def test_a_dividend_of_the_night_was_in_the_price_of_the_close():
    """The quote of the close knew that it would go, and the share is without it now."""
    at = CLOSE + timedelta(hours=15)
    years = (datetime(2026, 12, 18, 21, 0, tzinfo=UTC) - CLOSE).total_seconds() / (365 * 86_400)
    paid = replace(NO_DIVIDENDS, dividends=(Dividend("AAPL", date(2026, 11, 21), 2.0),))
    live = at_night(spot=178.0, at=at, read_at=at, actions=paid)
    option = quoted(AAPL_CALL, black(178, 180, years=years)["price"], age=54_001, as_of=at)
    live = replace(live, quotes={**live.quotes, AAPL_CALL: option})

    (line,) = risk_of(position(), live=live).lines

    assert line.iv == pytest.approx(VOLATILITY, abs=2e-3)


def test_in_the_session_the_quotes_of_now_say_the_volatility():
    (line,) = risk_of(position(), live=USUAL).lines

    assert line.iv_at is None


def test_at_night_an_index_keeps_its_volatility_and_its_forward():
    """Its options' forward is of the close; only time runs."""
    strikes = range(5_900, 6_101, 50)
    entry = position("SPXW", 6_000)

    def look(at: datetime) -> Any:
        quotes = [
            quote(one.symbol, one.bid_price, one.ask_price, age=(at - CLOSE).total_seconds() + 901, as_of=at)
            for one in index_chain(6_000, strikes=strikes)
        ]
        return risk_of(entry, live=snapshot_with(*quotes, as_of=at)).lines[0]

    evening, morning = look(NIGHT), look(CLOSE + timedelta(hours=15))

    assert evening.iv == pytest.approx(morning.iv, abs=1e-6)
    assert evening.forward == pytest.approx(morning.forward, abs=0.01)
    assert evening.delta == pytest.approx(morning.delta, abs=0.2)


@pytest.mark.parametrize(
    ("bid", "expiry", "reason"),
    [
        (0.0, EXPIRY, "no bid"),
        # So near its end a point of volatility is less than half a cent of it.
        (0.01, date(2026, 11, 27), "a point of volatility is less than half a tick"),
    ],
)
@pytest.mark.parametrize(("contracts", "option_type"), [(-3, "call"), (2, "put")])
def test_what_is_worthless_has_a_delta_between_nothing_and_what_its_ask_allows(
    contracts: int, option_type: OptionType, bid: float, expiry: date, reason: str
):
    """A worthless leg is no hole in the delta; what else it has is not known."""
    strike, kind = (240, "C") if option_type == "call" else (130, "P")
    worthless = quote(f"AAPL{expiry:%y%m%d}{kind}{strike:05d}000", bid, 0.05)
    book = risk_of(
        position(strike=strike, option_type=option_type, contracts=contracts, expiry=expiry),
        live=market(quoted("AAPL", 180.0), worthless),
    )

    (line,) = book.lines
    assert line.iv_reason == reason
    assert (line.delta_state, line.gamma, line.theta) == (FigureState.BOUND, None, None)
    assert line.delta is not None
    # At the volatility at which it would cost the five cents of its ask.
    assert 0.2 < abs(line.delta) / abs(contracts) < 2
    assert line.delta * contracts * (1 if option_type == "call" else -1) > 0
    assert any(one.startswith("Its delta lies between 0 and ") for one in line.reasons)
    assert book.sums.delta.coverage.words == "0 of 1 leg (1 bound)"


def test_a_bound_in_the_beta_weighted_delta_is_an_alarm_that_names_the_leg():
    live = market(
        quoted("SPY", 500.0), quote("SPY261218P00400000", 0.0, 0.05), quoted("SPY261218P00500000", 8.0)
    )
    legs = [position("SPY", strike, "put", contracts=1, identity=str(strike)) for strike in (400, 500)]
    bounded, sure = risk_of(*legs, live=live), risk_of(legs[1], live=live)

    assert bounded.beta_weighted.bounds == ("SPY 18 Dec 26 400 P",)
    said = "In the beta-weighted delta stand bounds, each of a delta between 0 and that: SPY 18 Dec 26 400 P."
    assert said in bounded.alarms
    assert (sure.beta_weighted.bounds, said in sure.alarms) == ((), False)


@pytest.mark.parametrize(
    ("days", "legs_left"), [((0, 28), 1), ((28, 56), 0), ((0, 0), 2)], ids=["both", "a rate", "what is left"]
)
def test_theta_is_told_apart_into_a_days_and_what_is_left(days: tuple[int, int], legs_left: int):
    friday = date(2026, 11, 20)
    expiries = [friday + timedelta(days=one) for one in days]
    legs = [
        position(strike=strike, contracts=contracts, expiry=expiry, identity=str(strike))
        for strike, contracts, expiry in zip((180, 185), (1, -2), expiries, strict=True)
    ]
    quotes = [quoted(one.instruments[0].live_symbol, 5.0) for one in legs]
    book = risk_of(*legs, live=market(quoted("AAPL", 181.0), *quotes))
    parts = theta_parts(book.lines)

    assert parts.last_day_legs == legs_left
    assert (parts.time_value_left is None, parts.per_day is None) == (legs_left == 0, legs_left == 2)
    assert book.sums.theta.amount == pytest.approx((parts.per_day or 0) + (parts.time_value_left or 0))


def test_in_the_quarter_of_an_hour_after_its_settlement_a_leg_is_in_no_sum_and_lacks_in_none():
    """SPY's options are traded until 16:15, at what they settled at."""
    at = datetime(2026, 12, 18, 21, 5, tzinfo=UTC)
    live = snapshot_with(
        quoted("SPY", 603.0, as_of=at), quoted("SPY261218C00600000", 3.0, as_of=at), as_of=at
    )

    book = risk_of(position("SPY", 600, expiry=date(2026, 12, 18)), live=live)

    (line,) = book.lines
    assert (line.has_ended, line.is_over, line.iv_state) == (False, True, "expired")
    assert (book.sums.delta.coverage.of, book.beta_weighted.of, book.alarms) == (0, 0, ())


def test_a_beta_is_worked_out_once_for_a_reading_of_the_closes_and_anew_for_another():
    """A year of two closes each; a refresh asks for all of them."""
    book, days = portfolio(holding("AAPL")), [date(2026, 1, 1) + timedelta(days=n) for n in range(200)]

    def read(slope: float) -> RiskInputs:
        moves = [0.01 * ((n * 7) % 11 - 5) for n in range(len(days))]
        of_index = {day: 100 * exp(fsum(moves[: n + 1])) for n, day in enumerate(days)}
        of_share = {day: 100 * exp(slope * fsum(moves[: n + 1])) for n, day in enumerate(days)}
        return RiskInputs(
            closes={
                name: DailyCloses(name, AS_OF, closes)
                for name, closes in (("SPY", of_index), ("AAPL", of_share))
            }
        )

    def beta(inputs: RiskInputs, second: int, **chosen: Any) -> Beta:
        live = replace(
            snapshot_with(quote("AAPL", 180.0, 180.1)),
            as_of=AS_OF + timedelta(seconds=second),
            risk_inputs=inputs,
        )
        found = assess_book(book, live, RiskChoices(**chosen), stale_after_seconds=30, wide_spread_pct=25)
        (underlying,) = found.underlyings
        return underlying.beta

    once, again = read(1.5), read(2.0)
    first = beta(once, 0)

    assert first.value == pytest.approx(1.5)
    assert beta(once, 1) is first
    assert beta(replace(once, chains={}), 2) is first, "what else was read changes no beta"
    assert beta(again, 3).value == pytest.approx(2.0)
    assert beta(once, 4, own_betas={"AAPL": 0.7}).value == 0.7
    assert beta(once, 5, index="AAPL").value == 1.0


def test_where_exercising_a_put_now_is_worth_as_much_as_waiting_is_said_by_the_prices_of_now():
    """Also of legs that wait for their turn: their Greeks are of before, and what exercising brings is of now."""
    strikes = [160.0 + 10 * n for n in range(12)]
    puts = [position(option_type="put", strike=strike) for strike in strikes]

    def at(spot: float) -> LiveSnapshot:
        found = [quoted("AAPL", spot)]
        for one in puts:
            symbol = one.lines[0].instrument.live_symbol
            call = black(spot, one.strike)["price"]
            inside = max(one.strike - spot, 0.0)
            found.append(quoted(symbol, max(black(spot, one.strike, call=False)["price"] + 0.05, inside)))
            found.append(quoted(other_type(symbol), max(call, 0.02)))
        return market(*found)

    def regions(book: BookFigures) -> list[bool | None]:
        scenario = book.scenario
        outside = scenario.market.spot - scenario.terms.strike
        waiting = value(scenario.terms, scenario.market, scenario.volatility) + outside
        return [
            False if out >= 0 else None if np.isnan(worth) else bool(worth < 0.005)
            for worth, out in zip(waiting, outside, strict=True)
        ]

    first = risk_of(*puts, live=at(180.0))
    later = risk_of(*puts, live=at(150.0), earlier=first.computed, budget=0)

    assert [one.in_exercise_region for one in first.lines] == regions(first)
    assert {True, False} <= set(regions(first))
    assert later.computed.is_waiting.any()
    assert [one.in_exercise_region for one in later.lines] == regions(later) != regions(first)
