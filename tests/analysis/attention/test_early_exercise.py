"""Calls before an ex-date and puts on carry: who gains by exercising early, and until when something can be done."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.entries import AttentionKind, Who
from options_helper.analysis.live_health import Level
from options_helper.model.contract_records import ContractRecord, Deliverable
from options_helper.model.risk_inputs import CorporateActions, Dividend
from tests.analysis.attention.world import FRIDAY, attention, dividend, live_at, of_kind, only
from tests.kit.builders import holding, leg, new_york, position, structure

DECEMBER = date(2026, 12, 18)
SHORT_CALL = position("AAPL", 180, "call", contracts=-1, expiry=DECEMBER, identity="short")
LONG_CALL = SHORT_CALL.changed(id="long", contracts=1)
CALL, PUT = "AAPL261218C00180000", "AAPL261218P00180000"
MONDAY = date(2026, 11, 23)


def early(
    at: str, bid: float | None, ex_date: date, *, book=(SHORT_CALL,), put=(None, None), with_risk=False
):
    """AAPL at 190 pays 0.26 on that day; the call has 10 dollars of intrinsic value."""
    prices = {"AAPL": (189.99, 190.01), CALL: (bid, None if bid is None else bid + 0.2), PUT: put}
    live = live_at(at, prices, held=book, actions=[dividend("AAPL", ex_date, 0.26)])
    return attention(list(book), live, with_risk=with_risk)


@pytest.mark.parametrize(
    ("at", "ex_date", "is_told"),
    [
        ("2026-11-20 12:00", FRIDAY, False),  # it is ex already
        ("2026-11-19 12:00", FRIDAY, True),
        ("2026-11-20 12:00", MONDAY, True),  # the weekend is no session
        ("2026-11-22 12:00", MONDAY, True),
        ("2026-11-25 12:00", date(2026, 11, 27), True),  # Thanksgiving lies between
        ("2026-11-19 12:00", MONDAY, False),  # one session too early
    ],
)
def test_a_short_call_is_told_on_the_session_before_the_ex_date(at: str, ex_date: date, *, is_told: bool):
    assert bool(of_kind(early(at, 10.1, ex_date), AttentionKind.EARLY_EXERCISE)) is is_told


@pytest.mark.parametrize(("bid", "is_told"), [(10.25, True), (10.26, False), (10.27, False), (9.9, True)])
def test_its_time_value_at_the_bid_is_laid_beside_the_dividend(bid: float, *, is_told: bool):
    found = of_kind(early("2026-11-19 12:00", bid, FRIDAY), AttentionKind.EARLY_EXERCISE)

    assert bool(found) is is_told


def test_the_put_of_its_strike_is_a_second_sign():
    """A call keeps more than the dividend at the bid, and its put is offered for less: one of the quotes is odd."""
    (entry,) = of_kind(early("2026-11-19 12:00", 10.5, FRIDAY, put=(0.1, 0.25)), AttentionKind.EARLY_EXERCISE)

    assert "the put of its strike is offered at 0.25" in entry.what


def test_without_a_bid_that_is_said():
    (entry,) = of_kind(early("2026-11-19 12:00", None, FRIDAY), AttentionKind.EARLY_EXERCISE)

    assert "nobody bids for it" in entry.what


def test_a_quote_by_which_more_is_bid_than_asked_says_nothing():
    """Neither of the call, whose time value it was taken for, nor of the put of its strike."""
    prices: dict[str, tuple[float | None, float | None]] = {
        "AAPL": (189.99, 190.01),
        CALL: (10.9, 10.1),
        PUT: (0.3, 0.1),
    }
    pays = [dividend("AAPL", FRIDAY, 0.26)]
    live = live_at("2026-11-19 12:00", prices, held=[SHORT_CALL], actions=pays)

    entry = only(attention([SHORT_CALL], live), AttentionKind.EARLY_EXERCISE)

    assert (
        "more is bid for it than asked, which is not believed, so its time value is not known" in entry.what
    )
    assert "the put of its strike is offered" not in entry.what


@pytest.mark.parametrize(
    ("quoted", "said"),
    [
        ("2026-11-20 15:59:59", "its time value at the bid is 0.10, less than the dividend"),
        (
            "2026-11-20 16:30:00",
            "what is quoted on it is of after its session, so its time value is not known",
        ),
    ],
)
def test_what_is_left_standing_after_the_session_is_no_bid(quoted: str, said: str):
    """Neither of the call nor of the put of its strike."""
    prices: dict[str, tuple[float | None, float | None]] = {
        "AAPL": (189.99, 190.01),
        CALL: (10.1, 10.3),
        PUT: (0.05, 0.2),
    }
    live = live_at(
        "2026-11-20 18:00",
        prices,
        held=[SHORT_CALL],
        actions=[dividend("AAPL", MONDAY, 0.26)],
        contracts_quoted=quoted,
    )

    entry = only(attention([SHORT_CALL], live), AttentionKind.EARLY_EXERCISE)

    assert said in entry.what
    assert ("the put of its strike is offered" in entry.what) is ("time value at the bid" in said)


def test_how_near_an_assignment_is_cannot_be_said_by_a_bid_of_after_the_session():
    live = live_at(
        "2026-11-20 18:00",
        {"AAPL": (189.99, 190.01), CALL: (10.1, 10.3)},
        held=[SHORT_CALL],
        actions=[dividend("AAPL", date(2027, 12, 1), 0.26)],
    )

    entry = only(attention([SHORT_CALL], live), AttentionKind.IN_THE_MONEY_SHORT)

    assert "What is quoted on it is of after its session, so how near that is cannot be said." in entry.remedy


def test_the_last_chance_is_the_end_of_trading_before_the_ex_date():
    """And over the weekend it has passed."""
    friday, sunday = (
        only(early(at, 10.1, MONDAY), AttentionKind.EARLY_EXERCISE)
        for at in ("2026-11-20 12:00", "2026-11-22 12:00")
    )

    assert friday.by == sunday.by == new_york("2026-11-20 16:00")
    assert (friday.level, friday.shares) == (Level.ERROR, -100)
    assert "Close it" in friday.remedy
    assert "Look at the account" in sunday.remedy


def test_who_holds_the_call_is_told_what_keeping_it_gives_up():
    entry = only(early("2026-11-19 12:00", 10.1, FRIDAY, book=(LONG_CALL,)), AttentionKind.EARLY_EXERCISE)

    assert (entry.level, entry.shares, entry.needs) == (Level.WARNING, 100, 18_000)
    assert "keeping it would give up $16" in entry.amounts
    assert [one.who for one in entry.deadlines] == [Who.BROKER, Who.EXCHANGE]


def test_a_call_out_of_the_money_is_nobodys_to_exercise():
    out = position("AAPL", 200, "call", contracts=-1, expiry=DECEMBER)
    live = live_at(
        "2026-11-19 12:00",
        {"AAPL": (189.99, 190.01)},
        held=[out],
        actions=[dividend("AAPL", FRIDAY, 0.26)],
    )

    assert of_kind(attention([out], live), AttentionKind.EARLY_EXERCISE) == []


def test_an_index_call_is_european():
    call = position("SPXW", 6000, contracts=-1, expiry=DECEMBER)
    live = live_at(
        "2026-11-19 12:00", {"SPX": (6599.0, 6601.0)}, held=[call], actions=[dividend("SPX", FRIDAY, 5)]
    )

    found = attention([call], live)

    assert of_kind(found, AttentionKind.EARLY_EXERCISE) == []
    assert "settled in cash" in only(found, AttentionKind.IN_THE_MONEY_SHORT).what


def test_unread_dividends_are_no_absence_of_dividends():
    live = live_at("2026-11-19 12:00", {"AAPL": (189.99, 190.01), CALL: (10.1, 10.3)}, held=[SHORT_CALL])

    found = attention([SHORT_CALL], live)

    assert found.not_judged == (
        (
            "AAPL: whether its short calls may be exercised for a dividend cannot be judged, since its dividends were "
            "not read."
        ),
    )
    assert found.needs_a_hand


def on_the_eve(*dividends: Dividend, bid: float = 10.5, unreadable: tuple[str, ...] = ()) -> Attention:
    """The session before Friday's ex-date; AAPL at 190."""
    prices: dict[str, tuple[float | None, float | None]] = {"AAPL": (189.99, 190.01), CALL: (bid, bid + 0.2)}
    actions = CorporateActions(
        "AAPL", new_york("2026-11-19 08:00"), date(2027, 11, 20), dividends, unreadable=unreadable
    )
    live = live_at("2026-11-19 12:00", prices, held=[SHORT_CALL], actions=[actions])
    return attention([SHORT_CALL], live)


def test_all_that_is_paid_on_one_day_calls_for_a_call():
    """A fund pays its income and its gains on one day; neither alone is more than the time value."""
    found = on_the_eve(Dividend("AAPL", FRIDAY, 0.3), Dividend("AAPL", FRIDAY, 0.4))

    entry = only(found, AttentionKind.EARLY_EXERCISE)
    assert "AAPL goes ex $0.7 on 20 Nov 26: its time value at the bid is 0.50" in entry.what
    assert entry.needs == pytest.approx(70)
    assert "$70 of dividend is owed" in entry.amounts


def test_a_special_one_of_the_same_day_is_owed_too_and_calls_for_no_call():
    """Contracts are adjusted for it, shares are not."""
    special = Dividend("AAPL", FRIDAY, 2.0, special=True)

    assert of_kind(on_the_eve(special), AttentionKind.EARLY_EXERCISE) == []
    entry = only(on_the_eve(Dividend("AAPL", FRIDAY, 0.6), special), AttentionKind.EARLY_EXERCISE)

    assert "goes ex $0.6 on 20 Nov 26" in entry.what
    assert entry.needs == pytest.approx(260)


def test_a_dividend_that_is_announced_and_cannot_be_read_is_none_that_is_known():
    said = "A dividend of AAPL is announced, and its amount cannot be read."

    found = on_the_eve(unreadable=(said,))

    assert found.not_judged == (
        (
            "AAPL: whether its short calls may be exercised for a dividend cannot be judged, since one that is "
            "announced cannot be read."
        ),
    )
    assert CALL in found.unjudged[AttentionKind.EARLY_EXERCISE]
    assert CALL in found.unjudged[AttentionKind.EX_DIVIDEND]


class TestShortPuts:
    """A put is exercised when the interest on its strike is more than what waiting is worth."""

    PUT = position("AAPL", 250, "put", contracts=-1, expiry=DECEMBER)
    SYMBOL = "AAPL261218P00250000"

    @pytest.mark.parametrize(
        ("beyond", "pays", "is_told"),
        # 28 days and a bit at 4 % on 250 dollars are 0.77, and a dividend of 0.60 that falls before is spared.
        [(0.70, None, True), (0.85, None, False), (0.10, 0.60, True), (0.25, 0.60, False)],
    )
    def test_carry_is_interest_less_the_dividends_to_come(
        self, beyond: float, pays: float | None, *, is_told: bool
    ):
        prices = {"AAPL": (189.99, 190.01), self.SYMBOL: (60 + beyond, 60 + beyond + 3)}
        actions = [dividend("AAPL", date(2026, 12, 1) if pays else date(2027, 12, 1), pays or 1.0)]
        live = live_at("2026-11-20 12:00", prices, held=[self.PUT], actions=actions)

        found = of_kind(attention([self.PUT], live, with_risk=True), AttentionKind.EARLY_EXERCISE)

        assert bool(found) is is_told
        if found:
            assert "of interest on its strike" in found[0].what
            assert found[0].by == new_york("2026-11-20 16:00")

    @pytest.mark.parametrize(
        ("bid", "call", "told"),
        [
            (20.85, (0.03, 0.05), "its time value at the bid is 0.85, beside 0.65 of interest on its strike"),
            (None, (0.03, 0.05), "nobody bids for it, beside 0.65 of interest on its strike"),
            # The call of its strike costs more: its volatility is such that waiting is worth something.
            (20.85, (1.50, 1.52), None),
        ],
    )
    def test_what_by_the_model_is_worth_no_more_than_exercising_it_is_told_whatever_is_bid(
        self, bid: float | None, call: tuple[float, float], told: str | None
    ):
        """Its own bid says more than the interest, or there is none; the volatility is that of the call."""
        put = position("AAPL", 210, "put", contracts=-1, expiry=DECEMBER)
        prices = {
            "AAPL": (189.99, 190.01),
            "AAPL261218P00210000": (bid, 23.85),
            "AAPL261218C00210000": call,
        }
        none = [dividend("AAPL", date(2027, 12, 1), 1.0)]
        live = live_at("2026-11-20 12:00", prices, held=[put], actions=none)

        found = of_kind(attention([put], live, with_risk=True), AttentionKind.EARLY_EXERCISE)

        signs = f"by the model it is worth no more than exercising it now; {told}."
        assert [one.what.split("any night: ")[1].strip() for one in found] == ([signs] if told else [])

    def test_on_a_weekend_it_can_be_closed_on_monday(self):
        prices = {"AAPL": (189.99, 190.01), self.SYMBOL: (60.1, 63.0)}
        live = live_at(
            "2026-11-21 12:00",
            prices,
            held=[self.PUT],
            actions=[dividend("AAPL", date(2027, 12, 1), 1.0)],
            contracts_quoted="2026-11-20 15:59:59",
        )

        entry = only(attention([self.PUT], live, with_risk=True), AttentionKind.EARLY_EXERCISE)

        assert entry.by == new_york("2026-11-23 16:00")


@pytest.mark.parametrize(("by_file", "by_record"), [(100, None), (None, Decimal(100)), (100, Decimal(10))])
@pytest.mark.parametrize(("bid", "is_told"), [(29.25, True), (29.3, False)])
def test_an_adjusted_call_is_judged_by_the_shares_that_it_delivers(
    bid: float, by_file: int | None, by_record: Decimal | None, *, is_told: bool
):
    """110 shares for $18,000: its strike is 163.64 a share, and 0.26 on each is 28.60 a contract."""
    sold = position("AAPL1", 180, "call", contracts=-1, expiry=DECEMBER, multiplier=by_file)
    symbol = sold.instrument.live_symbol
    parts = (Deliverable("AAPL", Decimal(110)),)
    record = ContractRecord(symbol=symbol, multiplier=by_record, deliverables=parts)
    prices = {"AAPL": (189.99, 190.01), symbol: (bid, bid + 0.2)}
    live = live_at(
        "2026-11-19 12:00",
        prices,
        held=[sold],
        actions=[dividend("AAPL", FRIDAY, 0.26)],
        records=[record],
    )
    found = attention([sold], live)
    told = of_kind(found, AttentionKind.EARLY_EXERCISE)

    assert bool(told) is is_told
    for entry in told:
        assert "its time value at the bid is 0.23, less than the dividend" in entry.what
        assert entry.what.endswith(
            "AAPL1 18 Dec 26 180 C delivers 110 AAPL by Alpaca's record; its strike and prices are told for each "
            "share of that."
        )
        assert entry.shares == -110
    assert only(found, AttentionKind.EX_DIVIDEND).symbols == (symbol,)
    assert found.not_judged == ()


def test_ex_dates_in_the_life_of_a_leg_are_to_be_known():
    later = position("AAPL", 200, expiry=date(2027, 1, 15), identity="later")
    live = live_at(
        "2026-11-20 12:00",
        {"AAPL": (189.99, 190.01)},
        held=[LONG_CALL, later],
        actions=[dividend("AAPL", date(2027, 1, 5), 0.26)],
    )

    entry = only(attention([LONG_CALL, later], live), AttentionKind.EX_DIVIDEND)

    assert (entry.level, entry.symbols) == (Level.INFO, ("AAPL270115C00200000",))
    assert "$0.26 on 5 Jan 27" in entry.what
    assert entry.by == new_york("2027-01-04 16:00")


def test_a_dividend_of_ones_own_calls_for_a_call_where_none_was_read_and_says_whose_it_is():
    own = Dividend("AAPL", FRIDAY, 0.26, said_by="their page", entered=date(2026, 11, 2))
    live = live_at("2026-11-19 12:00", {"AAPL": (189.99, 190.01), CALL: (10.1, 10.3)}, held=[SHORT_CALL])

    found = attention([SHORT_CALL], live, own_dividends={"AAPL": (own,)})

    entry = only(found, AttentionKind.EARLY_EXERCISE)
    assert "AAPL goes ex your $0.26 on 20 Nov 26 (their page, entered 2 Nov 26)" in entry.what
    assert "your $0.26" in only(found, AttentionKind.EX_DIVIDEND).what
    assert found.not_judged == ()


def test_a_call_that_others_are_sold_against_is_not_to_be_sold_alone():
    """Exercised it brings the shares that they may have to deliver; sold it leaves them uncovered."""
    later = date(2027, 1, 15)
    backed = structure(leg("long", 180, expiry=DECEMBER), leg("short", 210, expiry=later))

    alone = only(early("2026-11-19 12:00", 10.1, FRIDAY, book=[LONG_CALL]), AttentionKind.EARLY_EXERCISE)
    (entry,) = of_kind(early("2026-11-19 12:00", 10.1, FRIDAY, book=[backed]), AttentionKind.EARLY_EXERCISE)

    assert alone.remedy == (
        "Sell it before the ex-date. Or exercise it before the ex-date: then it is shares, which can fall to 0."
    )
    assert entry.remedy.startswith(
        "Close AAPL 18 Dec 26 180 C together with AAPL 15 Jan 27 210 C, the sold leg first: "
        "alone that leaves AAPL 15 Jan 27 210 C uncovered."
    )


@pytest.mark.parametrize(("shares", "is_alone"), [(0, False), (100, True)])
def test_what_a_call_is_sold_against_may_stand_in_another_entry_and_shares_cover_it_too(
    shares: int, *, is_alone: bool
):
    sold = position("AAPL", 210, "call", contracts=-1, expiry=date(2027, 1, 15), identity="sold")
    book = [LONG_CALL, sold, *([holding("AAPL", shares)] if shares else [])]

    entry = only(early("2026-11-19 12:00", 10.1, FRIDAY, book=book), AttentionKind.EARLY_EXERCISE)

    assert ("alone that leaves AAPL 15 Jan 27 210 C uncovered" in entry.remedy) is not is_alone
