"""The instant before and the instant after, half days and both sides of a strike: carry, reports, late closes."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.entries import AttentionKind, Entry, Who
from options_helper.analysis.live_health import Level
from options_helper.model.earnings import Earnings
from tests.analysis.attention.world import FRIDAY, HALF_DAY, attention, dividend, live_at, of_kind, only
from tests.kit.builders import new_york, position

DECEMBER = date(2026, 12, 18)
PUT = position("AAPL", 250, "put", contracts=-1, expiry=DECEMBER)
SYMBOL = "AAPL261218P00250000"


class TestCarry:
    """A short put that is dearer to wait with than to exercise may be assigned on any night."""

    def told(
        self, at: str, *, spot: float = 190.0, beyond: float = 0.1, ex_date: date | None = None
    ) -> list[Entry]:
        bid = max(250 - spot, 0) + beyond
        prices = {"AAPL": (spot - 0.005, spot + 0.005), SYMBOL: (bid, bid + 0.2)}
        actions = [dividend("AAPL", ex_date or date(2027, 12, 1), 0.70)]
        live = live_at(at, prices, held=[PUT], actions=actions)
        return of_kind(attention([PUT], live, with_risk=True), AttentionKind.EARLY_EXERCISE)

    @pytest.mark.parametrize(
        ("at", "by"),
        [
            ("2026-11-20 15:59:59", "2026-11-20 16:00"),
            ("2026-11-20 16:00", "2026-11-23 16:00"),
            ("2026-11-25 15:59:59", "2026-11-25 16:00"),
            ("2026-11-25 16:00", "2026-11-27 13:00"),  # Thanksgiving, and a half day after it
            ("2026-11-27 12:59:59", "2026-11-27 13:00"),
            ("2026-11-27 13:00", "2026-11-30 16:00"),
        ],
    )
    def test_it_can_be_closed_until_the_end_of_the_session_before_the_next_night(self, at: str, by: str):
        (entry,) = self.told(at)

        assert entry.by == new_york(by)

    @pytest.mark.parametrize(("spot", "is_told"), [(249.99, True), (250.0, False), (250.01, False)])
    def test_on_the_other_side_of_its_strike_nobody_exercises_it(self, spot: float, *, is_told: bool):
        assert bool(self.told("2026-11-20 12:00", spot=spot)) is is_told

    @pytest.mark.parametrize(
        ("ex_date", "is_told"),
        # 0.77 of interest less a dividend of 0.70 that is still to come are less than 0.10 of time value.
        [(FRIDAY, True), (date(2026, 11, 23), False), (DECEMBER, False), (date(2026, 12, 21), True)],
    )
    def test_a_dividend_of_the_next_session_is_spared_and_one_of_today_is_not(
        self, ex_date: date, *, is_told: bool
    ):
        assert bool(self.told("2026-11-20 12:00", ex_date=ex_date)) is is_told

    @pytest.mark.parametrize(("at", "is_told"), [("2026-12-17 12:00", True), ("2026-12-18 09:00", False)])
    def test_on_its_last_day_it_is_assigned_that_day_and_not_early(self, at: str, *, is_told: bool):
        assert bool(self.told(at, beyond=-0.5)) is is_told


class TestReports:
    """An expiry spans a report from the day on which it is written down to the end of the report's day."""

    CALL = position("AAPL", 180, "call", expiry=FRIDAY)

    def told(self, at: str, day: date, *, held=CALL) -> list[Entry]:
        live = live_at(at, {"AAPL": (189.99, 190.01)}, held=[held])
        report = Earnings("AAPL", day, "you", date(2026, 11, 1))
        return of_kind(attention([held], live, earnings=[report]), AttentionKind.EARNINGS)

    @pytest.mark.parametrize(
        ("at", "day", "is_told"),
        [
            ("2026-11-19 23:59:59", date(2026, 11, 19), True),
            ("2026-11-20 00:00", date(2026, 11, 19), False),
            ("2026-11-20 12:00", FRIDAY, True),
            ("2026-11-20 12:00", date(2026, 11, 21), False),  # the day after the expiry
            ("2026-11-20 15:59:59", FRIDAY, True),
            (
                "2026-11-20 16:00",
                FRIDAY,
                False,
            ),  # it has ended, and whoever reports in the evening is late for it
        ],
    )
    def test_it_is_told_until_the_day_or_the_leg_is_over(self, at: str, day: date, *, is_told: bool):
        assert bool(self.told(at, day)) is is_told

    @pytest.mark.parametrize(
        ("day", "level"),
        [
            (FRIDAY, Level.WARNING),
            (date(2026, 11, 23), Level.WARNING),  # the next session, over a weekend
            (date(2026, 11, 24), Level.INFO),
        ],
    )
    def test_it_is_graver_on_its_day_and_the_session_before(self, day: date, level: Level):
        (entry,) = self.told("2026-11-20 12:00", day, held=self.CALL.changed(expiry=DECEMBER))

        assert entry.level is level

    @pytest.mark.parametrize(
        ("day", "by"),
        [
            (HALF_DAY, new_york("2026-11-27 13:00")),
            (date(2026, 11, 30), new_york("2026-11-30 16:00")),
            (date(2026, 11, 26), None),  # no session on Thanksgiving
        ],
    )
    def test_by_the_close_of_that_day(self, day: date, by: datetime | None):
        (entry,) = self.told("2026-11-20 12:00", day, held=self.CALL.changed(expiry=DECEMBER))

        assert entry.by == by


class TestLateCloses:
    """What is traded until 16:15 needs a hand until then; the asset's record goes before the list of brokers."""

    def told(self, at: str, day: date, *, late: bool | None) -> Attention:
        call = position("SPY", 560, "call", contracts=1, expiry=day)
        records = {} if late is None else {"SPY": late}
        return attention([call], live_at(at, {"SPY": (564.99, 565.01)}, held=[call], late_close=records))

    @pytest.mark.parametrize(
        ("at", "late", "is_told"),
        [
            ("2026-11-20 15:59:59", False, True),
            ("2026-11-20 16:00", False, False),
            ("2026-11-20 16:14:59", True, True),
            ("2026-11-20 16:15", True, False),
            ("2026-11-20 16:14:59", None, True),
        ],
    )
    def test_the_instant_before_it_can_be_closed_and_after_it_not(
        self, at: str, *, late: bool | None, is_told: bool
    ):
        assert bool(of_kind(self.told(at, FRIDAY, late=late), AttentionKind.EXPIRING)) is is_told

    @pytest.mark.parametrize(("late", "ends"), [(True, "13:15"), (False, "13:00"), (None, "13:15")])
    def test_on_a_half_day_it_keeps_its_quarter_of_an_hour(self, ends: str, *, late: bool | None):
        entry = only(self.told("2026-11-27 10:00", HALF_DAY, late=late), AttentionKind.EXPIRING)

        (exchange,) = [one for one in entry.deadlines if one.who is Who.EXCHANGE and one.counts_down]
        assert f"{exchange.at:%H:%M}" == ends
