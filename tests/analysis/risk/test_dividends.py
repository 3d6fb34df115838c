"""Which dividends fall into a leg's life: announced or assumed, special ones apart, and unknown is not none."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.risk.dividends import (
    DividendState,
    LegDividends,
    cash_dividends,
    dividends_of_leg,
    expected_dividends,
)
from options_helper.analysis.risk.pricing import Market, Terms, value
from options_helper.model.contract_hours import settles_at
from options_helper.model.risk_inputs import ContractChange, CorporateActions, Dividend
from tests.kit.builders import new_york

AT = new_york("2026-11-20 10:00")
DECEMBER, NEXT_YEAR = date(2026, 12, 18), date(2027, 12, 17)
PAID = tuple(
    Dividend("MSFT", day, 0.83)
    for day in (date(2025, 11, 20), date(2026, 2, 19), date(2026, 5, 21), date(2026, 8, 20))
)
ANNOUNCED = Dividend("MSFT", date(2026, 12, 2), 0.91)
ACTIONS = CorporateActions("MSFT", AT, date(2027, 3, 20), (*PAID, ANNOUNCED))


def ends(expiry: date) -> datetime:
    ended = settles_at("MSFT", expiry)
    assert ended is not None
    return ended


def of_leg(actions: CorporateActions | None = ACTIONS, expiry: date = DECEMBER, **more: bool) -> LegDividends:
    return dividends_of_leg(actions, AT, ends(expiry), **more)


def test_an_announced_dividend_in_the_legs_life_is_known_with_the_time_at_which_it_was_read():
    assert of_leg() == LegDividends(DividendState.KNOWN, (ANNOUNCED,), read_at=AT)


@pytest.mark.parametrize(
    ("expiry", "state"),
    [
        (date(2026, 12, 1), DividendState.NONE),  # it ends before the ex-date
        (date(2026, 12, 2), DividendState.KNOWN),  # the share opens without it
    ],
)
def test_the_ex_date_itself_still_counts(expiry: date, state: DividendState):
    assert of_leg(expiry=expiry).state is state


def test_what_went_ex_today_is_paid_for_no_more():
    today = replace(ACTIONS, dividends=(replace(ANNOUNCED, ex_date=date(2026, 11, 20)),))

    assert of_leg(today).state is DividendState.NONE


def test_what_was_not_read_is_unknown_and_what_pays_nothing_is_none():
    assert of_leg(None).state is DividendState.UNKNOWN
    assert of_leg(None).notes
    assert of_leg(replace(ACTIONS, dividends=())) == LegDividends(DividendState.NONE, read_at=AT)


def test_one_that_is_announced_and_cannot_be_read_leaves_all_unknown_and_what_can_be_read_counts():
    found = of_leg(replace(ACTIONS, unreadable=("One is announced.",)))

    assert (found.state, found.dividends, found.notes) == (
        DividendState.UNKNOWN,
        (ANNOUNCED,),
        ("One is announced.",),
    )


def test_a_special_dividend_is_said_and_not_subtracted():
    special = replace(ANNOUNCED, special=True, amount=3.0)

    found = of_leg(replace(ACTIONS, dividends=(special,)))

    assert (found.state, found.dividends) == (DividendState.NONE, ())
    assert "special dividend of $3 goes ex on 2 Dec 26" in found.notes[0]


def test_a_split_in_the_legs_life_is_said_and_one_after_it_is_not():
    split = ContractChange("MSFT", "forward_splits", date(2026, 12, 10), 4.0)
    found = of_leg(replace(ACTIONS, changes=(split, replace(split, day=date(2027, 1, 4)))))

    assert found.notes == (
        "A forward split (4 shares for one) on 10 Dec 26 changes what the contract delivers; it is not computed.",
    )


def test_beyond_what_is_announced_the_next_one_is_said_and_not_subtracted():
    found = of_leg(expiry=NEXT_YEAR)

    assert found.dividends == (ANNOUNCED,)
    (note,) = found.notes
    assert note.startswith(
        "Going by the last year, $0.83 on 18 Feb 27 would be the next dividend; it is not announced"
    )


def test_assumed_dividends_go_on_like_those_of_the_last_year_and_are_marked():
    found = of_leg(expiry=NEXT_YEAR, assume=True)

    assert [(one.ex_date, one.amount, one.assumed) for one in found.dividends] == [
        (date(2026, 12, 2), 0.91, False),
        (date(2027, 2, 18), 0.83, True),
        (date(2027, 5, 20), 0.83, True),
        (date(2027, 8, 19), 0.83, True),
        (date(2027, 12, 1), 0.91, True),
    ]
    assert found.state is DividendState.KNOWN
    assert "4 of its dividends are assumed" in found.notes[0]


@pytest.mark.parametrize(("every", "a_year"), [(7, 50), (30, 12), (91, 4), (182, 2), (364, 1)])
def test_however_often_a_share_pays_the_next_year_has_as_many(every: int, a_year: int):
    last = date(2026, 11, 2)
    paid = tuple(
        Dividend("X", last - timedelta(days=every * back), 1.0) for back in reversed(range(380 // every + 1))
    )
    expected = expected_dividends(CorporateActions("X", AT, DECEMBER, paid), AT.date())

    assert len([one for one in expected if one.ex_date <= last + timedelta(days=364)]) == a_year
    assert [one.ex_date for one in expected] == sorted({one.ex_date for one in expected})


def test_a_share_that_stopped_paying_is_expected_to_pay_nothing():
    stopped = replace(ACTIONS, dividends=(Dividend("MSFT", date(2025, 11, 5), 0.83),))

    assert expected_dividends(stopped, AT.date()) == []
    assert of_leg(stopped, NEXT_YEAR, assume=True).state is DividendState.NONE


@given(
    days=st.lists(st.dates(date(2025, 11, 6), date(2027, 3, 20)), max_size=6),
    expiry=st.dates(date(2026, 11, 21), date(2028, 12, 15)),
    assume=st.booleans(),
)
def test_only_what_goes_ex_in_the_legs_life_is_ever_subtracted(
    days: list[date], expiry: date, *, assume: bool
):
    paying = tuple(Dividend("X", day, 1.0) for day in sorted(days))
    found = dividends_of_leg(
        CorporateActions("X", AT, DECEMBER, paying), AT, new_york(f"{expiry} 16:00"), assume=assume
    )

    assert all(AT.date() < one.ex_date <= expiry for one in found.dividends)
    assert (found.state is DividendState.NONE) == (not found.dividends)
    assert assume or not any(one.assumed for one in found.dividends)
    columns = cash_dividends([found], AT)
    assert np.all(columns.years > 0)
    assert columns.amounts.sum() == len(found.dividends)


def test_columns_have_calendar_years_to_the_ex_date_and_zeros_where_a_leg_has_fewer():
    columns = cash_dividends([of_leg(), of_leg(None), of_leg(expiry=NEXT_YEAR, assume=True)], AT)

    assert columns.years.shape == columns.amounts.shape == (5, 3)
    assert columns.years[0, 0] == pytest.approx((11 + 14 / 24) / 365)
    assert columns.amounts[:, 0].tolist() == [0.91, 0, 0, 0, 0]
    assert columns.amounts[:, 1].tolist() == [0] * 5
    assert cash_dividends([], AT).years.shape == (0, 0)


def test_a_change_of_clocks_before_the_ex_date_takes_its_hour():
    autumn = new_york("2026-10-30 00:00")
    monday = LegDividends(DividendState.KNOWN, (replace(ANNOUNCED, ex_date=date(2026, 11, 2)),))

    assert cash_dividends([monday], autumn).years[0, 0] * 365 * 24 == pytest.approx(3 * 24 + 1)


def test_a_covered_call_before_its_ex_date_is_worth_more_than_the_share_less_the_dividend_says():
    """The trap: the dividend's whole value taken off the spot would put the price below what exercising brings."""
    leg = of_leg()
    years = np.array([(ends(DECEMBER) - AT).total_seconds() / 60 / 525_600])
    market = Market(np.array([500.0]), np.array([0.04]), np.zeros(1), cash_dividends([leg], AT))
    deep = Terms(np.array([430.0]), np.array([True]), np.array([True]), years)

    assert value(deep, market, np.array([0.15]))[0] >= 70.0


OWN = Dividend("MSFT", date(2027, 2, 18), 0.95, said_by="their page", entered=date(2026, 11, 20))
WORDS = "our $0.95 on 18 Feb 27 (their page, entered 20 Nov 26)"
MARCH = date(2027, 3, 19)


class TestOwn:
    """What the user wrote down counts where nothing is announced, is labelled, and never hides an announcement."""

    def own(
        self, actions: CorporateActions | None, expiry: date = MARCH, *mine: Dividend, assume: bool = False
    ):
        return dividends_of_leg(actions, AT, ends(expiry), own=mine or (OWN,), assume=assume)

    def test_it_beats_unknown(self):
        found = self.own(None)

        assert (found.state, found.dividends) == (DividendState.KNOWN, (OWN,))
        assert found.notes == (f"Its dividends were not read; y{WORDS} counts.",)
        assert not found.is_unread

    def test_before_the_next_one_of_the_list_there_is_none(self):
        found = self.own(None, DECEMBER)

        assert (found.state, found.dividends, found.is_unread) == (DividendState.NONE, (), False)
        assert found.notes == (
            f"Its dividends were not read; none falls into its life by your list, whose next is y{WORDS}.",
        )

    def test_a_list_that_is_over_says_nothing_of_what_is_to_come(self):
        found = self.own(None, MARCH, replace(OWN, ex_date=AT.date()))

        assert (found.state, found.is_unread) == (DividendState.UNKNOWN, True)

    def test_what_is_not_announced_is_subtracted_beside_what_is(self):
        found = self.own(ACTIONS)

        assert (found.state, found.dividends) == (DividendState.KNOWN, (ANNOUNCED, OWN))
        assert f"Y{WORDS} is not announced, and subtracted." in found.notes

    def test_it_leaves_no_guess_of_the_same_dividend(self):
        """The last year's would go on about then: its sentence is gone, and with `assume` its dividend too."""
        like_last_year = date(2027, 2, 18)
        known, assumed = self.own(ACTIONS), self.own(ACTIONS, assume=True)

        assert any("18 Feb 27 would be the next" in note for note in of_leg(expiry=MARCH).notes)
        assert not any("would be the next" in note for note in known.notes)
        assert [one for one in assumed.dividends if one.ex_date == like_last_year] == [OWN]

    @pytest.mark.parametrize(
        "mine",
        [replace(OWN, ex_date=ANNOUNCED.ex_date), replace(OWN, ex_date=date(2026, 12, 10), amount=0.91),
         replace(OWN, ex_date=date(2026, 12, 20), amount=0.91)],
        ids=["another amount", "another day", "a day after the leg's end"],
    )  # fmt: skip
    def test_what_is_announced_otherwise_counts_as_announced_and_that_is_said(self, mine: Dividend):
        found = self.own(ACTIONS, DECEMBER, mine)

        assert found.dividends == (ANNOUNCED,)
        (note,) = found.notes
        assert note.startswith(f"Your ${mine.amount:g} on ")
        assert note.endswith("is not what is announced: $0.91 on 2 Dec 26, which counts.")

    def test_what_is_announced_in_the_very_words_needs_none(self):
        found = self.own(ACTIONS, DECEMBER, replace(OWN, ex_date=ANNOUNCED.ex_date, amount=0.91))

        assert found == of_leg()

    def test_an_announcement_after_the_legs_end_takes_it_out(self):
        later = replace(ACTIONS, dividends=(*PAID, replace(ANNOUNCED, ex_date=date(2026, 12, 22))))
        found = self.own(later, DECEMBER, replace(OWN, ex_date=date(2026, 12, 10)))

        assert (found.state, found.dividends) == (DividendState.NONE, ())
        assert any("which counts" in note for note in found.notes)

    def test_it_beats_an_announcement_that_cannot_be_read(self):
        found = self.own(replace(ACTIONS, unreadable=("One is announced.",)))

        assert (found.state, found.dividends) == (DividendState.KNOWN, (ANNOUNCED, OWN))
        assert "One is announced." in found.notes


def test_of_one_reading_and_day_it_is_worked_out_once_and_of_another_anew():
    """Each leg asks at each refresh."""
    end, later = ends(DECEMBER), AT + timedelta(seconds=1)
    first = dividends_of_leg(ACTIONS, AT, end)
    another = replace(ACTIONS, read_at=later)
    own = Dividend("MSFT", date(2027, 1, 5), 1.0, said_by="their page", entered=AT.date())

    assert dividends_of_leg(ACTIONS, later, end) is first
    assert dividends_of_leg(another, later, end).read_at == later, "it was read again"
    assert dividends_of_leg(ACTIONS, new_york("2026-12-02 10:00"), end).state is DividendState.NONE, (
        "another day"
    )
    assert own in dividends_of_leg(ACTIONS, later, ends(date(2027, 1, 15)), own=(own,)).dividends
    assert own not in dividends_of_leg(ACTIONS, later, ends(date(2027, 1, 15))).dividends
    assert dividends_of_leg(None, later, end).state is DividendState.UNKNOWN
