"""What ends today: whose instant comes first, what it brings, what it lacks, and what may end on either side."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from math import sqrt

import pytest

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.cockpit import CockpitLine, EndState
from options_helper.analysis.attention.delivery import Outcome
from options_helper.analysis.attention.entries import AttentionKind, Entry, Who
from options_helper.analysis.live_health import Level
from options_helper.model.contract_records import ContractRecord, Deliverable
from options_helper.model.portfolio import PortfolioEntry
from tests.analysis.attention.world import FRIDAY, HALF_DAY, attention, live_at, of_kind, only, sold_since
from tests.kit.builders import holding, leg, new_york, position, structure

SPY_CALL, SPY_PUT = "SPY261120C00560000", "SPY261120P00560000"
LONG_CALL = position("SPY", 560, "call", contracts=2, expiry=FRIDAY, identity="long")
SHORT_CALL = position("SPY", 560, "call", contracts=-2, expiry=FRIDAY, identity="short")
IN_THE_MONEY = {"SPY": (564.99, 565.01), SPY_CALL: (5.0, 5.2)}


def clocks(entry: Entry) -> list[tuple[Who, str]]:
    return [(one.who, f"{one.at:%H:%M}") for one in entry.deadlines if one.counts_down]


class TestDeadlines:
    """The broker's pages disagree: both stand there, and the stricter one counts down."""

    def test_both_of_the_brokers_instants_are_named_with_their_source(self):
        entry = only(
            attention([LONG_CALL], live_at("2026-11-20 14:30", IN_THE_MONEY, held=[LONG_CALL])),
            AttentionKind.EXPIRING,
        )

        assert clocks(entry) == [
            (Who.BROKER, "15:00"),
            (Who.BROKER, "15:15"),
            (Who.BROKER, "16:00"),
            (Who.EXCHANGE, "16:15"),
        ]
        assert entry.by == new_york("2026-11-20 15:00")
        sources = [one.source for one in entry.deadlines if one.sells_out]
        assert "2026-06-17" in sources[0]
        assert "15:15" in sources[1]
        assert entry.level is Level.ERROR
        assert "from 15:00, 15:15 by another page" in entry.what

    @pytest.mark.parametrize(
        ("at", "by", "said"),
        [
            ("14:59:59", "15:00", "from 15:00"),
            ("15:00:00", "15:15", "Since 15:00"),
            ("15:15:00", "16:00", "Since 15:00"),
            ("16:00:00", "16:15", "Since 15:00"),
        ],
    )
    def test_what_has_passed_is_said_and_the_next_one_counts_down(self, at: str, by: str, said: str):
        entry = only(
            attention([LONG_CALL], live_at(f"2026-11-20 {at}", IN_THE_MONEY, held=[LONG_CALL])),
            AttentionKind.EXPIRING,
        )

        assert (f"{entry.by:%H:%M}", said in entry.what) == (by, True)

    def test_after_the_end_of_its_trading_it_expires_no_more(self):
        live = live_at("2026-11-20 16:15", IN_THE_MONEY, held=[LONG_CALL])

        assert of_kind(attention([LONG_CALL], live), AttentionKind.EXPIRING) == []

    def test_a_half_day_moves_all_of_them_and_says_that_this_is_inferred(self):
        call = position("AAPL", 180, expiry=HALF_DAY, contracts=1)
        live = live_at("2026-11-27 10:00", {"AAPL": (190.0, 190.02)}, held=[call])

        entry = only(attention([call], live), AttentionKind.EXPIRING)

        assert clocks(entry) == [
            (Who.BROKER, "12:00"),
            (Who.BROKER, "12:15"),
            (Who.BROKER, "13:00"),
            (Who.EXCHANGE, "13:00"),
        ]
        assert "half day" in entry.deadlines[0].source

    @pytest.mark.parametrize(
        ("late", "ends"), [({"SPY": False}, "16:00"), ({"SPY": True}, "16:15"), ({}, "16:15")]
    )
    def test_whether_the_options_close_late_is_the_asset_records_to_say(
        self, late: dict[str, bool], ends: str
    ):
        live = live_at("2026-11-20 14:30", IN_THE_MONEY, held=[LONG_CALL], late_close=late)

        entry = only(attention([LONG_CALL], live), AttentionKind.EXPIRING)

        (exchange,) = [one for one in entry.deadlines if one.who is Who.EXCHANGE and one.counts_down]
        assert f"{exchange.at:%H:%M}" == ends
        assert ("asset record" in exchange.source, "list of brokers" in exchange.source) == (True, not late)

    def test_what_ends_in_the_next_session_is_told_the_day_before_over_a_weekend_too(self):
        monday = position("SPY", 560, expiry=date(2026, 11, 23))
        saturday = live_at("2026-11-21 12:00", {"SPY": (564.99, 565.01)}, held=[monday])

        entry = only(attention([monday], saturday), AttentionKind.EXPIRING)

        assert (entry.level, entry.by) == (Level.WARNING, new_york("2026-11-23 15:00"))


class TestIfItExpiresNow:
    """Shares and dollars of all that ends together."""

    def test_a_long_call_without_the_money_says_what_it_lacks(self):
        live = live_at("2026-11-20 14:30", IN_THE_MONEY, held=[LONG_CALL], power=18_250)

        entry = only(attention([LONG_CALL], live), AttentionKind.LONG_WITHOUT_MONEY)

        assert (entry.shares, entry.needs, entry.has) == (200, 112_000, 18_250)
        assert "+200 SPY for $112,000; options buying power $18,250: short by $93,750" in entry.amounts
        assert "112,000" not in entry.what
        assert entry.level is Level.ERROR

    def test_with_the_money_it_needs_none(self):
        live = live_at("2026-11-20 14:30", IN_THE_MONEY, held=[LONG_CALL], power=112_000)

        assert of_kind(attention([LONG_CALL], live), AttentionKind.LONG_WITHOUT_MONEY) == []

    def test_two_that_can_each_be_paid_and_not_both_are_told(self):
        other = position("AAPL", 180, contracts=1, expiry=FRIDAY)
        prices = {**IN_THE_MONEY, "AAPL": (190.0, 190.02)}
        live = live_at("2026-11-20 14:30", prices, held=[LONG_CALL, other], power=112_000)

        found = of_kind(attention([LONG_CALL, other], live), AttentionKind.LONG_WITHOUT_MONEY)

        assert {one.subject for one in found} == {"SPY", "AAPL"}
        by_subject = {one.subject: one.amounts for one in found}
        left = "options buying power $112,000, {} of it left by what else ends soon: short by $18,000"
        assert left.format("$94,000") in by_subject["SPY"]
        assert left.format("$0") in by_subject["AAPL"]

    def test_unknown_buying_power_is_said_and_is_no_0(self):
        live = live_at("2026-11-20 14:30", IN_THE_MONEY, held=[LONG_CALL], power=None)

        entry = only(attention([LONG_CALL], live), AttentionKind.LONG_WITHOUT_MONEY)

        assert (entry.has, entry.needs) == (None, 112_000)
        assert "not known" in entry.what

    def test_both_legs_of_a_spread_in_the_money_offset_each_other(self):
        spread = structure(
            leg("long", 555, expiry=FRIDAY), leg("short", 560, expiry=FRIDAY), symbol="SPY", net_debit=300
        )
        live = live_at("2026-11-20 14:30", {"SPY": (564.99, 565.01)}, held=[spread], power=0)

        found = attention([spread], live)

        assert (
            only(found, AttentionKind.EXPIRING).shares,
            of_kind(found, AttentionKind.LONG_WITHOUT_MONEY),
        ) == (0, [])
        assert "exercised too" in only(found, AttentionKind.IN_THE_MONEY_SHORT).what

    def test_one_leg_of_a_spread_in_the_money_brings_its_shares(self):
        spread = structure(
            leg("long", 555, expiry=FRIDAY), leg("short", 570, expiry=FRIDAY), symbol="SPY", net_debit=300
        )
        live = live_at("2026-11-20 14:30", {"SPY": (564.99, 565.01)}, held=[spread], power=10_000)

        entry = only(attention([spread], live), AttentionKind.LONG_WITHOUT_MONEY)

        assert (entry.shares, entry.needs) == (100, 55_500)

    def test_shares_behind_a_covered_call_are_not_there_for_a_put(self):
        """100 shares, a call written on them that goes on, and a put that would sell them."""
        put = position("AAPL", 200, "put", contracts=1, expiry=FRIDAY, identity="put")
        call = position("AAPL", 210, "call", contracts=-1, identity="call")
        prices = {"AAPL": (190.0, 190.02)}

        covered = [holding(), call, put]
        lacking = attention(covered, live_at("2026-11-20 14:30", prices, held=covered))
        free = attention([holding(), put], live_at("2026-11-20 14:30", prices, held=[holding(), put]))

        entry = only(lacking, AttentionKind.LONG_WITHOUT_MONEY)
        assert entry.shares == -100
        assert "100 AAPL are to be delivered that are not free" in entry.amounts
        assert of_kind(free, AttentionKind.LONG_WITHOUT_MONEY) == []

    @pytest.mark.parametrize(("spot", "shares"), [(560.0, 0), (560.01, 200), (559.99, 0)])
    def test_a_cent_decides(self, spot: float, shares: float):
        live = live_at("2026-11-20 14:30", {"SPY": (spot, spot)}, held=[LONG_CALL])

        assert only(attention([LONG_CALL], live), AttentionKind.EXPIRING).shares == shares

    def test_what_an_adjusted_contract_brings_is_not_known(self):
        adjusted = position("SPY1", 560, expiry=FRIDAY)
        found = attention([adjusted], live_at("2026-11-20 14:30", {"SPY": (564.99, 565.01)}, held=[adjusted]))

        entry = only(found, AttentionKind.EXPIRING)
        assert (entry.shares, entry.needs) == (None, None)
        assert found.not_judged

    def test_what_delivers_another_number_of_shares_by_its_record_is_not_counted_as_a_hundred(self):
        """Its strike times a hundred buys 110 shares, so a price of one share says not even whether it is inside."""
        symbol = LONG_CALL.instrument.live_symbol
        prices: dict[str, tuple[float | None, float | None]] = {"SPY": (564.99, 565.01)}

        def of(size: int) -> Attention:
            record = ContractRecord(symbol=symbol, multiplier=Decimal(100), size=Decimal(size))
            live = live_at("2026-11-20 14:30", prices, held=[LONG_CALL], records=[record])
            return attention([LONG_CALL], live)

        usual, odd = (only(of(size), AttentionKind.EXPIRING) for size in (100, 110))
        assert usual.shares == 200
        assert (odd.shares, odd.needs) == (None, None)
        assert "delivers something else" in odd.amounts
        assert of_kind(of(110), AttentionKind.LONG_WITHOUT_MONEY) == []
        assert any("cannot be judged" in one for one in of(110).not_judged)

    def test_what_an_adjusted_contract_delivers_by_its_record_is_what_it_brings(self):
        """110 shares and $12.50 for $56,000: in the money from 508.98 a share on."""
        adjusted = position("SPY1", 560, contracts=-2, expiry=FRIDAY, multiplier=100)
        symbol = adjusted.instrument.live_symbol
        parts = (Deliverable("SPY", Decimal(110)), Deliverable(None, Decimal("12.5")))
        record = ContractRecord(symbol=symbol, multiplier=Decimal(100), deliverables=parts)

        def at(spot: float) -> Attention:
            prices: dict[str, tuple[float | None, float | None]] = {"SPY": (spot, spot), symbol: (60.5, 61.6)}
            live = live_at("2026-11-20 14:30", prices, held=[adjusted], records=[record])
            return attention([adjusted], live)

        entry = only(at(564.0), AttentionKind.EXPIRING)
        assert (entry.shares, entry.needs) == (-220, None)
        assert "−220 SPY and receives $111,975" in entry.amounts
        assert (
            "SPY1 20 Nov 26 560 C delivers 110 SPY and $12.50 by Alpaca's record; its strike and prices are told for "
            "each share of that."
        ) in entry.what
        short = only(at(564.0), AttentionKind.IN_THE_MONEY_SHORT)
        assert "in the money by 55.02" in short.what
        assert "220 SPY are to be delivered that are not free" in short.amounts
        assert only(at(508.97), AttentionKind.EXPIRING).shares == 0
        (line,) = at(564.0).cockpit
        assert line.time_value == pytest.approx(60.5 / 1.1 - 55.0227, abs=1e-3)
        assert not any("adjusted" in one for one in at(564.0).not_judged)

    def test_what_an_adjusted_contract_delivers_by_its_record_is_named(self):
        """Of what is not written on, nobody here has a price."""
        adjusted = position("SPY1", 560, contracts=1, expiry=FRIDAY, multiplier=100)
        symbol = adjusted.instrument.live_symbol
        parts = (Deliverable("SPY", Decimal(110)), Deliverable("ACME", Decimal(5)))
        record = ContractRecord(symbol=symbol, multiplier=Decimal(100), deliverables=parts)
        live = live_at("2026-11-20 14:30", {"SPY": (564.99, 565.01)}, held=[adjusted], records=[record])

        entry = only(attention([adjusted], live), AttentionKind.EXPIRING)

        assert (
            "delivers something else: 110 SPY and 5 ACME for each contract by Alpaca's record"
            in entry.amounts
        )

    def test_shares_behind_an_adjusted_call_are_not_said_to_be_free_or_not(self):
        """A call that may deliver 110 shares, or shares and cash, is sold against some of those that are held."""
        put = position("AAPL", 560, "put", expiry=FRIDAY)
        sold = position("AAPL1", 600, contracts=-1, identity="adjusted")
        bought = position("AAPL1", 600, contracts=1, multiplier=100, identity="adjusted")
        prices: dict[str, tuple[float | None, float | None]] = {"AAPL": (549.99, 550.01)}

        def of(*beside: PortfolioEntry) -> Attention:
            return attention([put, *beside], live_at("2026-11-20 14:30", prices, held=[put, *beside]))

        doubtful = only(of(holding("AAPL", 200), sold), AttentionKind.LONG_WITHOUT_MONEY)
        assert "whether the AAPL to be delivered are free is not known" in doubtful.amounts
        assert "whether the account can exercise is not known" in doubtful.what
        # One that is held takes none, and brings none for sure beside a call that is sold.
        assert of_kind(of(holding("AAPL", 100), bought), AttentionKind.LONG_WITHOUT_MONEY) == []
        short_call = position("AAPL", 600, contracts=-1, identity="sold")
        lacking = only(of(holding("AAPL", 100), bought, short_call), AttentionKind.LONG_WITHOUT_MONEY)
        assert "100 AAPL are to be delivered that are not free" in lacking.amounts

    def test_without_a_price_nothing_is_judged_and_that_is_said(self):
        found = attention([LONG_CALL], live_at("2026-11-20 14:30", {}, held=[LONG_CALL]))

        assert "cannot be judged" in only(found, AttentionKind.EXPIRING).amounts
        assert found.needs_a_hand
        assert found.not_judged == ("SPY 20 Nov 26 560 C: whether it is in the money cannot be judged.",)


class TestShorts:
    """A short leg in the money is assigned, today for sure."""

    def test_of_today_it_is_grave_and_says_what_is_delivered(self):
        entry = only(
            attention([SHORT_CALL], live_at("2026-11-20 14:30", IN_THE_MONEY, held=[SHORT_CALL])),
            AttentionKind.IN_THE_MONEY_SHORT,
        )

        assert (entry.level, entry.shares) == (Level.ERROR, -200)
        assert "200 SPY are to be delivered that are not free" in entry.amounts

    def test_of_a_later_expiry_it_is_to_be_known(self):
        later = position("SPY", 560, contracts=-1, expiry=date(2026, 12, 18))
        live = live_at("2026-11-20 14:30", {"SPY": (564.99, 565.01)}, held=[later])

        assert only(attention([later], live), AttentionKind.IN_THE_MONEY_SHORT).level is Level.INFO

    def test_an_index_pays_in_cash(self):
        call = position("SPXW", 6600, contracts=-1, expiry=FRIDAY)
        live = live_at("2026-11-20 14:30", {"SPX": (6609.9, 6610.1)}, held=[call])

        found = attention([call], live)

        assert "settled in cash" in only(found, AttentionKind.IN_THE_MONEY_SHORT).what
        assert (only(found, AttentionKind.EXPIRING).shares, only(found, AttentionKind.EXPIRING).needs) == (
            0,
            1000,
        )
        # Nothing is delivered, so the broker's instants are not its.
        assert [one.who for one in only(found, AttentionKind.EXPIRING).deadlines] == [Who.EXCHANGE]


class TestPins:
    """Within half a deviation of what is left, or two spreads: it may end on either side."""

    SHORT_PUT = position("AAPL", 200, "put", contracts=-1, expiry=FRIDAY)
    PUT = "AAPL261120P00200000"

    def prices(self, spot: float) -> dict[str, tuple[float, float]]:
        return {"AAPL": (spot - 0.005, spot + 0.005), self.PUT: (1.0, 1.01)}

    @pytest.mark.parametrize(
        ("offset", "is_pin"), [(0.019, True), (0.021, False), (-0.019, True), (-0.021, False)]
    )
    def test_two_spreads_of_the_share_are_enough(self, offset: float, *, is_pin: bool):
        live = live_at("2026-11-20 15:50", self.prices(200 + offset), held=[self.SHORT_PUT])

        assert bool(of_kind(attention([self.SHORT_PUT], live), AttentionKind.PIN)) is is_pin

    @pytest.mark.parametrize(("part", "is_pin"), [(0.99, True), (1.01, False)])
    def test_half_a_deviation_by_its_own_volatility_is(self, part: float, *, is_pin: bool):
        """Three hours before the close; volatility and band depend on the price themselves."""
        low, high = 0.0, 5.0
        for _ in range(30):
            middle = (low + high) / 2
            line = self.cockpit(200 + middle)
            assert line.iv is not None
            assert line.pin_band is not None
            assert line.pin_band == pytest.approx(0.5 * (200 + middle) * line.iv * sqrt(180 / 525_600))
            low, high = (middle, high) if middle < part * line.pin_band else (low, middle)

        assert (self.cockpit(200 + low).state is EndState.PIN) is is_pin

    def cockpit(self, spot: float) -> CockpitLine:
        live = live_at("2026-11-20 13:00", self.prices(spot), held=[self.SHORT_PUT])
        return attention([self.SHORT_PUT], live, with_risk=True).cockpit[0]

    def test_both_sides_are_told(self):
        live = live_at("2026-11-20 15:50", self.prices(200.0), held=[self.SHORT_PUT])

        entry = only(attention([self.SHORT_PUT], live), AttentionKind.PIN)

        assert entry.amounts == "Above 200: nothing; below: +100 AAPL for $20,000."
        assert (entry.needs, entry.shares) == (20_000, 100)

    @pytest.mark.parametrize(
        ("at", "warned"),
        [
            ("2026-11-20 16:00:01", True),
            ("2026-11-20 23:00", True),
            ("2026-11-22 12:00", True),
            ("2026-11-23 09:29:59", True),
            ("2026-11-23 09:30", False),
        ],
    )
    def test_after_the_close_the_warning_stays_until_the_morning(self, at: str, *, warned: bool):
        live = live_at(at, self.prices(200.0), held=[self.SHORT_PUT])

        assert bool(of_kind(attention([self.SHORT_PUT], live), AttentionKind.PIN)) is warned

    def test_a_day_before_the_expiry_nothing_is_pinned(self):
        live = live_at("2026-11-19 15:50", self.prices(200.0), held=[self.SHORT_PUT])

        assert of_kind(attention([self.SHORT_PUT], live), AttentionKind.PIN) == []


class TestSettledAtTheOpen:
    """SPX on a third Friday is traded for the last time on Thursday, and the opening prices of Friday decide."""

    INDEX = position("SPX", 6600, "put", expiry=FRIDAY)

    @pytest.mark.parametrize(
        ("at", "level", "said"),
        [
            ("2026-11-18 12:00", Level.WARNING, "on 19 Nov 26"),
            ("2026-11-19 12:00", Level.ERROR, "today until 16:15"),
            ("2026-11-19 16:15", Level.WARNING, "Not traded any more"),
            ("2026-11-20 09:29", Level.WARNING, "Not traded any more"),
        ],
    )
    def test_it_is_said_from_the_day_before_until_the_open(self, at: str, level: Level, said: str):
        live = live_at(at, {"SPX": (6500.0, 6500.2)}, held=[self.INDEX])

        entry = only(attention([self.INDEX], live), AttentionKind.AM_SETTLED)

        assert (entry.level, said in entry.what) == (level, True)

    @pytest.mark.parametrize("at", ["2026-11-17 12:00", "2026-11-20 09:30"])
    def test_before_and_after_that_it_is_not(self, at: str):
        live = live_at(at, {"SPX": (6500.0, 6500.2)}, held=[self.INDEX])

        assert of_kind(attention([self.INDEX], live), AttentionKind.AM_SETTLED) == []

    def test_the_contracts_record_goes_before_its_root(self):
        """And where it says nothing, that its root decided is said."""
        record = ContractRecord(symbol="SPX261120P06600000", settled_at_open=False)
        by_root = live_at("2026-11-19 12:00", {"SPX": (6500.0, 6500.2)}, held=[self.INDEX])
        by_record = live_at(
            "2026-11-19 12:00", {"SPX": (6500.0, 6500.2)}, held=[self.INDEX], records=[record]
        )

        assert "by its root" in only(attention([self.INDEX], by_root), AttentionKind.AM_SETTLED).what
        assert of_kind(attention([self.INDEX], by_record), AttentionKind.AM_SETTLED) == []


def test_the_cockpit_has_each_leg_and_each_structure_of_today():
    """With both sides of each strike, the partners, and what exercising would give up."""
    spread = structure(
        leg("long", 555, expiry=FRIDAY), leg("short", 560, expiry=FRIDAY), symbol="SPY", net_debit=300
    )
    later = position("SPY", 560, expiry=date(2026, 12, 18))
    prices = {"SPY": (556.99, 557.01), "SPY261120C00555000": (2.3, 2.4)}
    found = attention([spread, later], live_at("2026-11-20 14:30", prices, held=[spread, later]))

    whole, long, short = found.cockpit

    assert (whole.is_structure, whole.if_now, whole.above) == (
        True,
        Outcome(100, -55_500),
        Outcome(0, 500),
    )
    assert long.state is EndState.IN_THE_MONEY
    assert long.to_strike == pytest.approx(2.0)
    assert long.given_up_by_exercise == pytest.approx(30)
    assert (short.state, short.below, short.above) == (
        EndState.OUT_OF_THE_MONEY,
        Outcome(0, 0),
        Outcome(-100, 56_000),
    )
    assert short.partners == "Partner: SPY 20 Nov 26 555 C, which is exercised too."


@pytest.mark.parametrize(
    ("power", "lacks"),
    [
        (10_000, " (options buying power $10,000: short by $8,000)"),
        (18_000, ""),
    ],
)
def test_the_dearer_side_of_a_pin_says_what_it_lacks(power: float, lacks: str):
    """By the price of now nothing is assigned, and a few cents lower everything is."""
    put = position("AAPL", 180, "put", contracts=-1, expiry=FRIDAY)
    prices = {"AAPL": (180.04, 180.08), "AAPL261120P00180000": (0.2, 0.22)}
    live = sold_since(live_at("2026-11-20 15:50", prices, held=[put], power=power), "AAPL")
    found = attention([put], live)

    pin = only(found, AttentionKind.PIN)
    assert pin.amounts == f"Above 180: nothing; below: +100 AAPL for $18,000{lacks}."


@pytest.mark.parametrize(
    ("power", "lacks"), [(10_000, "; options buying power $10,000: short by $8,000"), (18_000, "")]
)
def test_an_assignment_that_may_come_any_day_says_what_it_lacks(power: float, lacks: str):
    put = position("AAPL", 180, "put", contracts=-1, expiry=date(2026, 12, 18))
    prices = {"AAPL": (169.99, 170.01), "AAPL261218P00180000": (12.0, 12.2)}
    live = sold_since(live_at("2026-11-20 12:00", prices, held=[put], power=power), "AAPL")
    found = attention([put], live)

    assert only(found, AttentionKind.IN_THE_MONEY_SHORT).amounts == f"Assigned: +100 AAPL for $18,000{lacks}."


@pytest.mark.parametrize(
    ("partner_ends", "said"),
    [
        (date(2026, 11, 27), "Partner: SPY 27 Nov 26 555 C, which ends before it, on 27 Nov 26."),
        (date(2027, 1, 15), "Partner: SPY 15 Jan 27 555 C, which goes on."),
    ],
)
def test_a_partner_goes_on_only_where_it_ends_later(partner_ends: date, said: str):
    """A long leg that ends weeks before the short one is gone by then, and was said to go on."""
    diagonal = structure(
        leg("short", 560, expiry=date(2026, 12, 18)),
        leg("long", 555, expiry=partner_ends),
        symbol="SPY",
        net_debit=300,
    )
    live = live_at("2026-11-20 14:30", {"SPY": (564.99, 565.01)}, held=[diagonal])

    assert said in only(attention([diagonal], live), AttentionKind.IN_THE_MONEY_SHORT).what
