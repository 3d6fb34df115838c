"""Who is short of a share over its ex-date owes the dividend, and what assignment leaves an account so is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.live_health import Level
from options_helper.model.portfolio import PortfolioEntry
from options_helper.model.risk_inputs import CorporateActions, Dividend
from tests.analysis.attention.world import FRIDAY, attention, dividend, live_at, of_kind, only
from tests.kit.builders import holding, leg, new_york, portfolio, position, share_leg, structure

DECEMBER, MONDAY = date(2026, 12, 18), date(2026, 11, 23)


def sold(strike: float = 180, contracts: int = 2, expiry: date = DECEMBER) -> PortfolioEntry:
    return position(
        "AAPL", strike, "call", contracts=-contracts, expiry=expiry, identity=f"{strike:g} {expiry}"
    )


def at_noon(*book: PortfolioEntry, account: list[PortfolioEntry] | None = None):
    """AAPL at 190 goes ex 0.26 on Monday; every call in the money has a tenth of a dollar of time value at the bid."""
    prices: dict[str, tuple[float | None, float | None]] = {"AAPL": (189.99, 190.01)}
    for line in (line for entry in book for line in entry.lines if line.instrument.is_option):
        bid = max(0.0, 190 - (line.instrument.strike or 0.0)) + 0.1
        prices[line.instrument.live_symbol] = (bid, bid + 0.1)
    held = book if account is None else account
    return live_at("2026-11-20 12:00", prices, held=held, actions=[dividend("AAPL", MONDAY, 0.26)])


def calls(*book: PortfolioEntry) -> list[Entry]:
    return of_kind(attention(book, at_noon(*book)), AttentionKind.EARLY_EXERCISE)


SHORT = "Assigned, it owes the dividend on shares that are not free."


@pytest.mark.parametrize(
    ("shares", "said", "owed"),
    [
        (200, "Assigned: −200 AAPL and receives $36,000, and without the dividend.", None),
        (300, "Assigned: −200 AAPL and receives $36,000, and without the dividend.", None),
        (
            0,
            (
                "Assigned: −200 AAPL and receives $36,000; 200 AAPL are to be delivered that are not free: "
                "$52 of dividend is owed on them."
            ),
            52,
        ),
        (
            100,
            (
                "Assigned: −200 AAPL and receives $36,000; 100 of them are free and go without the dividend; "
                "100 AAPL are to be delivered that are not free: $26 of dividend is owed on them."
            ),
            26,
        ),
        # What is sold short already brings none.
        (
            -100,
            (
                "Assigned: −200 AAPL and receives $36,000; 200 AAPL are to be delivered that are not free: "
                "$52 of dividend is owed on them."
            ),
            52,
        ),
    ],
)
def test_a_call_whose_shares_are_not_there_owes_the_dividend(shares: float, said: str, owed: float | None):
    (entry,) = calls(sold(), *([holding("AAPL", shares)] if shares else []))

    assert (entry.amounts, entry.needs) == (said, owed)
    assert (SHORT in entry.what) is (owed is not None)


def test_without_amounts_that_it_owes_is_said_all_the_same():
    (entry,) = calls(sold())

    assert SHORT in entry.what
    assert not any(part in entry.what for part in ("200", "$52"))


def test_a_share_is_delivered_once():
    """Two calls, and shares for one of them: the deeper one has them."""
    deep, other = calls(sold(170, 1), sold(180, 1), holding("AAPL", 100))

    assert (deep.needs, other.needs) == (None, 26)
    assert "since what is free goes to AAPL 18 Dec 26 170 C first: $26 of dividend" in other.amounts


def test_what_a_bought_call_brings_comes_after_the_ex_date():
    (entry,) = calls(structure(leg("short", 180, expiry=DECEMBER), leg("long", 185, expiry=DECEMBER)))[:1]

    assert (entry.symbols, entry.needs) == (("AAPL261218C00180000",), 26)


def test_shares_that_go_today_are_not_there_tomorrow():
    """A call of today takes the shares; what a put of today may bring counts for nothing."""
    gone = sold(150, 1, FRIDAY)
    comes = position("AAPL", 250, "put", contracts=-1, expiry=FRIDAY)

    assert [one.needs for one in calls(sold(180, 1), gone, holding("AAPL", 100))] == [26]
    assert [one.needs for one in calls(sold(180, 1), comes)] == [26]


def test_the_accounts_shares_count_and_not_the_files():
    live = at_noon(sold(180, 1), holding("AAPL", 100), account=[sold(180, 1)])

    entry = only(attention([sold(180, 1), holding("AAPL", 100)], live), AttentionKind.EARLY_EXERCISE)

    assert entry.needs == 26


def test_shares_of_which_nobody_knows_are_not_taken_to_be_there_nor_to_be_missing():
    book = [sold(180, 1), holding("AAPL", 100)]
    live = at_noon(*book)
    account = replace(live.account, moved=frozenset({"AAPL"}), unsettled=frozenset({"AAPL"}))

    entry = only(attention(book, replace(live, account=account)), AttentionKind.EARLY_EXERCISE)

    assert entry.needs is None
    assert "Whether the AAPL to be delivered are free is not known" in entry.what
    assert entry.amounts.endswith("; on those that are not free $0.26 a share is owed.")


def test_the_shares_of_a_covered_call_are_its_partner():
    covered = structure(share_leg(), leg("short", 180, expiry=DECEMBER))

    (entry,) = calls(covered)

    assert "Partner: AAPL shares, which are delivered." in entry.what
    assert portfolio(covered).quantities["AAPL"] == 100


def over(*book: PortfolioEntry, account: list[PortfolioEntry] | None = None) -> Entry:
    return only(attention(book, at_noon(*book, account=account)), AttentionKind.EX_DIVIDEND)


class TestShares:
    """What goes ex is told of shares too, whether or not there is an option on them."""

    def test_who_is_short_owes(self):
        entry = over(holding("AAPL", -1000))

        assert entry.what == (
            "AAPL goes ex $0.26 on 23 Nov 26. The account is short of it over that day, and owes the dividend."
        )
        assert (entry.amounts, entry.needs) == ("Short of 1000 AAPL, $260 is owed.", 260)
        assert (entry.level, entry.symbols) == (Level.WARNING, ("AAPL",))
        assert entry.by == new_york("2026-11-20 16:00")

    def test_who_holds_them_is_told_what_they_bring(self):
        entry = over(holding("AAPL", 100))

        assert entry.what == "AAPL goes ex $0.26 on 23 Nov 26. Its shares are held."
        assert (entry.amounts, entry.needs, entry.level) == (
            "100 AAPL held over it bring $26.",
            None,
            Level.INFO,
        )

    def test_a_special_dividend_is_paid_to_shares_too(self):
        book = [holding("AAPL", -100)]
        pays = CorporateActions(
            "AAPL",
            new_york("2026-11-20 08:00"),
            date(2027, 11, 20),
            (Dividend("AAPL", MONDAY, 5, special=True),),
        )
        live = live_at("2026-11-20 12:00", {"AAPL": (189.99, 190.01)}, held=book, actions=[pays])

        assert only(attention(book, live), AttentionKind.EX_DIVIDEND).needs == 500

    def test_a_special_one_on_the_day_of_a_regular_one_is_owed_beside_it(self):
        book = [holding("AAPL", -1_000)]
        pays = CorporateActions(
            "AAPL",
            new_york("2026-11-20 08:00"),
            date(2027, 11, 20),
            (Dividend("AAPL", MONDAY, 0.35), Dividend("AAPL", MONDAY, 2.5, special=True)),
        )
        live = live_at("2026-11-20 12:00", {"AAPL": (189.99, 190.01)}, held=book, actions=[pays])

        entry = only(attention(book, live), AttentionKind.EX_DIVIDEND)

        assert (entry.needs, entry.amounts) == (2_850, "Short of 1000 AAPL, $2,850 is owed.")
        assert "$0.35" in entry.what
        assert "$2.5" in entry.what

    def test_what_is_later_is_to_be_known(self):
        book = [holding("AAPL", -100)]
        live = live_at(
            "2026-11-19 12:00",
            {"AAPL": (189.99, 190.01)},
            held=book,
            actions=[dividend("AAPL", MONDAY, 0.26)],
        )

        entry = only(attention(book, live), AttentionKind.EX_DIVIDEND)

        assert (entry.level, entry.needs) == (Level.INFO, 26)

    @pytest.mark.parametrize(
        ("shares", "owed", "said"),
        [
            (0, 26, "Short of 100 AAPL, $26 is owed."),
            (100, None, ""),
            (300, None, "200 AAPL held over it bring $52."),
        ],
    )
    def test_what_ends_today_counts_at_the_price_of_now(self, shares: float, owed: float | None, said: str):
        """A naked call of Friday leaves the account short over a Monday's ex-date."""
        found = attention(
            book := [sold(150, 1, FRIDAY), *([holding("AAPL", shares)] if shares else [])], at_noon(*book)
        )

        entries = of_kind(found, AttentionKind.EX_DIVIDEND)

        assert [(one.needs, one.amounts) for one in entries] == [(owed, said)]
        assert ("by what ends today, at the price of now" in entries[0].what) is (owed is not None)

    def test_the_accounts_shares_count(self):
        entry = over(holding("AAPL", 100), account=[holding("AAPL", -50)])

        assert (entry.needs, entry.amounts) == (13, "Short of 50 AAPL, $13 is owed.")

    def test_in_doubt_it_says_whose_quantity_it_is(self):
        book = [holding("AAPL", -100)]
        live = at_noon(*book)
        account = replace(live.account, unsettled=frozenset({"AAPL"}))

        entry = only(attention(book, replace(live, account=account)), AttentionKind.EX_DIVIDEND)

        assert entry.amounts == "By the file's quantity, which is in doubt: short of 100 AAPL, $26 is owed."

    def test_one_entry_has_options_and_shares(self):
        entry = over(sold(180, 1), holding("AAPL", 100))

        assert (
            entry.what == "AAPL goes ex $0.26 on 23 Nov 26 in the life of its options. Its shares are held."
        )
        assert entry.symbols == ("AAPL261218C00180000", "AAPL")

    @pytest.mark.parametrize(("shares", "is_said"), [(-100, True), (100, False)])
    def test_unread_is_not_none(self, shares: float, *, is_said: bool):
        book = [holding("AAPL", shares)]
        live = live_at("2026-11-20 12:00", {"AAPL": (189.99, 190.01)}, held=book)

        found = attention(book, live)

        said = "AAPL: whether a dividend is owed on what is sold short cannot be judged, since none was read."
        assert (said in found.not_judged) is is_said
        assert found.unjudged[AttentionKind.EX_DIVIDEND] == {"AAPL"}

    def test_nor_is_one_that_is_announced_and_cannot_be_read(self):
        book = [holding("AAPL", -100)]
        actions = CorporateActions(
            "AAPL", new_york("2026-11-20 08:00"), date(2027, 11, 20), unreadable=("One is announced.",)
        )
        live = live_at("2026-11-20 12:00", {"AAPL": (189.99, 190.01)}, held=book, actions=[actions])

        found = attention(book, live)

        assert found.not_judged == (
            (
                "AAPL: whether a dividend is owed on what is sold short cannot be judged, since one that is announced "
                "cannot be read."
            ),
        )
        assert found.unjudged[AttentionKind.EX_DIVIDEND] == {"AAPL"}
