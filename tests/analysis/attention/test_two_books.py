"""What ends, ends in the account's quantities and takes its money: where the file has others, both are said."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.delivery import Outcome
from options_helper.analysis.attention.entries import AttentionKind
from options_helper.analysis.attention.remedies import SEE_FIRST
from options_helper.analysis.live_health import Level
from options_helper.model.portfolio import Portfolio, PortfolioEntry
from options_helper.model.snapshot import LiveSnapshot
from tests.analysis.attention.test_early_exercise import DECEMBER, early
from tests.analysis.attention.test_early_exercise import SHORT_CALL as EARLY_CALL
from tests.analysis.attention.test_expiring import IN_THE_MONEY, LONG_CALL, SHORT_CALL
from tests.analysis.attention.world import FRIDAY, attention, dividend, live_at, of_kind, only, sold_since
from tests.analysis.risk.test_book_risk import index_chain
from tests.kit.builders import holding, leg, portfolio, position, quote, structure

C555, C560 = "SPY261120C00555000", "SPY261120C00560000"
SPREAD = structure(
    leg("long", 555, expiry=FRIDAY), leg("short", 560, expiry=FRIDAY), symbol="SPY", net_debit=300
)
LABELS = ("by the account's", "in doubt", "the account alone")


def beside(
    file: list[PortfolioEntry],
    account: list[PortfolioEntry],
    power: float | None = 1e6,
    at: str = "2026-11-20 14:30",
) -> Attention:
    """SPY at 565 and AAPL at 190, the account holding these entries."""
    prices = {**IN_THE_MONEY, "AAPL": (190.0, 190.02)}
    return attention(file, live_at(at, prices, held=file, account=portfolio(*account), power=power))


def unread(live: LiveSnapshot, symbol: str) -> LiveSnapshot:
    assert live.account.view is not None
    return replace(
        live, account=replace(live.account, view=replace(live.account.view, left_out=frozenset({symbol})))
    )


def test_what_the_account_holds_is_laid_beside_its_money_and_the_files_is_said_too():
    found = beside([LONG_CALL], [LONG_CALL.changed(contracts=1)], power=50_000)

    expiring, lacking = only(found, AttentionKind.EXPIRING), only(found, AttentionKind.LONG_WITHOUT_MONEY)
    assert expiring.amounts == (
        "If it expires now, by the account's quantities: +100 SPY for $56,000; options buying power $50,000: short by "
        "$6,000. By the file's: +200 SPY for $112,000."
    )
    for entry in (expiring, lacking):
        assert (entry.shares, entry.needs, entry.has) == (100, 56_000, 50_000)


def test_what_is_apart_beside_it_is_not_said_of_what_ends():
    """The same underlying's contracts of another expiry: nobody needs both quantities of those that are the same."""
    later = position("SPY", 570, contracts=1, expiry=DECEMBER, identity="later")
    found = beside([LONG_CALL, later], [LONG_CALL, later.changed(contracts=2)], power=50_000)

    said = " ".join(one.sentence for one in found.entries if one.kind is not AttentionKind.FILE_ACCOUNT)
    assert "+200 SPY for $112,000" in said
    assert "the file's" not in said


def test_money_that_is_enough_for_the_account_is_not_told_to_lack_by_the_file():
    found = beside([LONG_CALL], [LONG_CALL.changed(contracts=1)], power=60_000)

    assert of_kind(found, AttentionKind.LONG_WITHOUT_MONEY) == []


@pytest.mark.parametrize("power", [None, 30_000.0])
def test_what_may_be_sold_hangs_on_the_shares_that_the_account_has_though_no_more_is_missing_without_them(
    power: float | None,
):
    """A call that delivers to a sold one may be sold where shares are there instead, whatever the file knows of it."""
    ours = [
        position("SPY", 180, contracts=-1, expiry=FRIDAY, identity="sold"),
        position("SPY", 560, contracts=1, expiry=FRIDAY, identity="bought"),
    ]
    found = beside(ours, [*ours, holding("SPY", 300)], power)

    assert only(found, AttentionKind.LONG_WITHOUT_MONEY).symbols == (C560,)
    lacking = beside([*ours, holding("SPY", 300)], ours, power)
    assert of_kind(lacking, AttentionKind.LONG_WITHOUT_MONEY) == []


def test_a_leg_of_a_structure_that_the_account_lacks_changes_what_the_whole_brings():
    """By the file both legs deliver to each other; the account has the short one alone."""
    found = beside([SPREAD], [position("SPY", 560, contracts=-1, expiry=FRIDAY)])

    entry = only(found, AttentionKind.EXPIRING)
    assert (entry.shares, entry.level) == (-100, Level.ERROR)
    assert "by the account's quantities: −100 SPY and receives $56,000" in entry.amounts
    assert "100 SPY are to be delivered that are not free" in entry.amounts
    assert "By the file's: receives $500." in entry.amounts
    assert "100 SPY are to be delivered" in only(found, AttentionKind.IN_THE_MONEY_SHORT).amounts


def test_shares_that_the_account_lacks_cover_no_call():
    covered = [holding("SPY", 200), SHORT_CALL]
    found = beside(covered, [SHORT_CALL])

    assert "200 SPY are to be delivered that are not free" in only(found, AttentionKind.EXPIRING).amounts


def test_an_assignment_is_told_by_either_quantity():
    later = position("SPY", 560, contracts=-1, expiry=DECEMBER)
    entry = only(beside([later], [later.changed(contracts=-3)]), AttentionKind.IN_THE_MONEY_SHORT)

    assert entry.amounts == (
        "Assigned, by the account's quantity: −300 SPY and receives $168,000; by the file's: −100 SPY and receives "
        "$56,000."
    )
    assert entry.shares == -300


@pytest.mark.parametrize("expiry", [FRIDAY, DECEMBER])
def test_who_is_assigned_is_the_one_who_has_sold_in_the_account(expiry: date):
    """Whatever the file says that was sold."""
    bought = position("SPY", 560, contracts=2, expiry=expiry)
    sold = bought.changed(contracts=-3)

    short = only(beside([bought], [sold]), AttentionKind.IN_THE_MONEY_SHORT)
    assert short.shares == -300
    assert "by the account's quantity: −300 SPY" in short.amounts
    assert "the file has its opposite" in short.amounts
    assert of_kind(beside([sold], [bought]), AttentionKind.IN_THE_MONEY_SHORT) == []
    assert of_kind(beside([sold], []), AttentionKind.IN_THE_MONEY_SHORT) == []


def test_what_the_account_alone_holds_ends_and_is_assigned_too():
    found = beside([holding("SPY", 10)], [holding("SPY", 10), SHORT_CALL])

    expiring, short = only(found, AttentionKind.EXPIRING), only(found, AttentionKind.IN_THE_MONEY_SHORT)
    assert "It is in the account alone." in expiring.what
    assert "which is in the account alone" in short.what
    assert expiring.shares == short.shares == -200
    for entry in (expiring, short):
        assert "of what the account alone holds: −200 SPY" in entry.amounts
    (line,) = found.cockpit
    assert (line.account_alone, line.if_now_words) == (
        True,
        "−200 SPY and receives $112,000 (in the account alone)",
    )


def test_a_crossed_quote_of_what_the_account_alone_holds_is_not_believed_either():
    """Nor is one of its underlying, whose middle it had."""
    crossed = {"SPY": (566.0, 564.0), C560: (6.5, 6.0)}
    live = live_at("2026-11-20 14:30", crossed, account=portfolio(LONG_CALL))
    line = attention([], live).cockpit[0]

    assert (line.spot, line.time_value, line.to_strike) == (None, None, None)
    priced = live_at("2026-11-20 14:30", {**crossed, "SPY": (565.0, 565.0)}, account=portfolio(LONG_CALL))
    assert attention([], priced).cockpit[0].time_value_words == "bid above ask"


def test_a_short_call_of_the_account_alone_is_exercised_early_too():
    call = position("AAPL", 180, contracts=-1, expiry=DECEMBER)
    live = live_at(
        "2026-11-19 12:00",
        {"AAPL": (189.99, 190.01), "AAPL261218C00180000": (10.1, 10.3)},
        account=portfolio(holding("AAPL", 5), call),
        actions=[dividend("AAPL", FRIDAY, 0.26)],
    )

    entry = only(attention([holding("AAPL", 5)], live), AttentionKind.EARLY_EXERCISE)

    assert "AAPL 18 Dec 26 180 C, which is in the account alone," in entry.what
    assert entry.amounts.startswith("Assigned, of what the account alone holds: −100 AAPL")


def test_a_quantity_that_could_not_be_read_leaves_the_files_with_its_doubt():
    live = live_at("2026-11-20 14:30", IN_THE_MONEY, held=[LONG_CALL], account=portfolio())
    found = attention([LONG_CALL], unread(live, C560))

    entry = only(found, AttentionKind.EXPIRING)
    assert entry.amounts.startswith(
        "If it expires now, by the file's quantities, which are in doubt: +200 SPY for $112,000"
    )
    assert found.cockpit[0].if_now_words == "+200 SPY for $112,000 (by the file, quantity in doubt)"


def test_a_pin_says_both_sides_by_both():
    put = position("AAPL", 190, "put", contracts=-1, expiry=FRIDAY)
    entry = only(beside([put], [put.changed(contracts=-2)], at="2026-11-20 15:50"), AttentionKind.PIN)

    assert entry.amounts == (
        "Above 190, by the account's quantities: nothing; below: +200 AAPL for $38,000. By the file's, above: nothing; "
        "below: +100 AAPL for $19,000."
    )
    assert (entry.needs, entry.has) == (38_000, 1e6)


def test_the_cockpit_has_either_side_of_a_leg_and_of_its_structure():
    whole, long, short = beside([SPREAD], [position("SPY", 560, contracts=-1, expiry=FRIDAY)]).cockpit

    assert (whole.if_now, whole.if_now_by_account) == (Outcome(0, 500), Outcome(-100, 56_000))
    assert whole.if_now_words == "−100 SPY and receives $56,000 by the account, receives $500 by the file"
    assert (long.quantity, long.in_account, long.if_now_by_account) == (1, 0, Outcome(0, 0))
    assert (short.quantity_in_doubt, short.in_account, short.if_now_by_account) == (False, None, None)


def test_how_much_of_it_each_of_two_entries_has_the_account_does_not_say():
    pair = [LONG_CALL, LONG_CALL.changed(id="second")]
    found = beside(pair, [LONG_CALL.changed(contracts=1)])

    assert only(found, AttentionKind.EXPIRING).shares == 100
    assert [one.in_account for one in found.cockpit] == [None, None]
    assert all("quantity in doubt" in (one.if_now_words or "") for one in found.cockpit)


class TestOneContractInSeveralEntries:
    """Grouping splits what the account holds as one: who is assigned on it is assigned once, on all of it."""

    VERTICAL = structure(
        leg("long", 550, expiry=FRIDAY), leg("short", 555, expiry=FRIDAY), symbol="SPY", net_debit=300
    )
    REST = position("SPY", 555, contracts=-2, expiry=FRIDAY, identity="rest")
    SPLIT = (VERTICAL, REST)

    def test_it_is_told_once_with_all_of_it_and_with_the_partners_of_each(self):
        found = beside(list(self.SPLIT), list(self.SPLIT))

        assigned = only(found, AttentionKind.IN_THE_MONEY_SHORT)
        assert (assigned.symbols, assigned.shares) == ((C555,), -300)
        assert "Partner: SPY 20 Nov 26 550 C" in assigned.what
        assert only(found, AttentionKind.EXPIRING).what.startswith("2 lines expire today")

    def test_one_that_is_alone_has_its_name(self):
        pair = [SHORT_CALL, SHORT_CALL.changed(id="second")]

        assert only(beside(pair, pair), AttentionKind.EXPIRING).what.startswith("SPY 20 Nov 26 560 C expires")

    def test_a_pin_is_told_once(self):
        pair = [SHORT_CALL, SHORT_CALL.changed(id="second")]
        prices = {"SPY": (559.99, 560.01)}
        found = attention(pair, live_at("2026-11-20 15:50", prices, held=pair))

        assert only(found, AttentionKind.PIN).shares == -400

    def test_entries_that_cancel_each_other_out_have_nothing_that_is_assigned_or_pinned(self):
        pair = [SHORT_CALL, SHORT_CALL.changed(id="second", contracts=2)]
        prices = {"SPY": (559.99, 560.01)}
        pinned = attention(pair, live_at("2026-11-20 15:50", prices, held=pair))

        assert of_kind(pinned, AttentionKind.PIN) == []
        assert of_kind(beside(pair, pair), AttentionKind.IN_THE_MONEY_SHORT) == []

    def test_the_cockpit_has_the_legs_of_each_entry(self):
        found = beside(list(self.SPLIT), list(self.SPLIT))
        legs = [(one.position_id, one.quantity) for one in found.cockpit if not one.is_structure]

        assert legs == [("structure", 1), ("structure", -1), ("rest", -2)]

    def test_by_the_accounts_quantity_it_is_told_once_too(self):
        found = beside(list(self.SPLIT), [self.VERTICAL, self.REST.changed(contracts=-1)])
        assigned = only(found, AttentionKind.IN_THE_MONEY_SHORT)

        assert assigned.shares == -200
        assert "by the account's quantity: −200 SPY" in assigned.amounts
        assert "by the file's: −300 SPY" in assigned.amounts

    def test_before_an_ex_date_it_is_told_once(self):
        twice = (EARLY_CALL, EARLY_CALL.changed(id="second"))
        found = early("2026-11-19 12:00", 10.1, FRIDAY, book=twice)

        assert only(found, AttentionKind.EARLY_EXERCISE).shares == 200 * EARLY_CALL.contracts


def test_keeping_a_call_gives_up_by_the_accounts_quantity():
    held = position("AAPL", 180, contracts=1, expiry=DECEMBER)
    live = live_at(
        "2026-11-19 12:00",
        {"AAPL": (189.99, 190.01), "AAPL261218C00180000": (10.1, 10.3)},
        held=[held],
        account=portfolio(held.changed(contracts=5)),
        actions=[dividend("AAPL", FRIDAY, 0.26)],
    )

    assert (
        "keeping it would give up $80" in only(attention([held], live), AttentionKind.EARLY_EXERCISE).amounts
    )


LINES = st.lists(
    st.builds(
        lambda name, strike, kind, contracts: position(
            name, strike, kind, contracts=contracts, expiry=FRIDAY, identity=f"{name}{strike}{kind}"
        ),
        st.sampled_from(["AAPL", "SPY"]),
        st.sampled_from([180, 560]),
        st.sampled_from(["call", "put"]),
        st.integers(-3, 3).filter(bool),
    ),
    max_size=4,
    unique_by=lambda one: one.id,
)
SHARES = st.sampled_from([(), (holding("AAPL", 100.0),), (holding("SPY", 300.0),)])


@given(LINES, SHARES, LINES, SHARES, st.one_of(st.none(), st.floats(0, 1e6)))
def test_every_figure_is_what_the_account_alone_would_say_and_is_labelled_where_the_file_says_another(
    ours: list[PortfolioEntry],
    our_shares: tuple[PortfolioEntry, ...],
    theirs: list[PortfolioEntry],
    their_shares: tuple[PortfolioEntry, ...],
    power: float | None,
):
    file, account = [*ours, *our_shares], [*theirs, *their_shares]
    apart = _apart(portfolio(*file), portfolio(*account))
    found, alone = beside(file, account, power), beside(account, account, power)
    told = {one.subject: one for one in of_kind(alone, AttentionKind.EXPIRING)}

    for entry in of_kind(found, AttentionKind.EXPIRING):
        expected = told.get(entry.subject)
        assert entry.shares == (expected.shares if expected else 0)
        assert entry.needs == (expected.needs if expected else None)
        if any(label in entry.amounts for label in LABELS):
            assert entry.subject in apart
        else:
            assert entry.subject not in _apart(portfolio(*ours), portfolio(*theirs)), "what ends is apart"
            # What is set aside hangs on the shares that the account has beside it.
            assert entry.amounts == told[entry.subject].amounts
    assert told.keys() <= {one.subject for one in of_kind(found, AttentionKind.EXPIRING)}
    lacking, as_alone = (
        sorted(sorted(one.symbols) for one in of_kind(each, AttentionKind.LONG_WITHOUT_MONEY))
        for each in (found, alone)
    )
    assert lacking == as_alone
    for entry in found.entries:
        assert entry.needs is None or entry.has == power


def _apart(ours: Portfolio, theirs: Portfolio) -> set[str]:
    """The underlyings of which the two hold different quantities."""
    underlyings = {one.live_symbol: one.underlying for one in (*ours.instruments, *theirs.instruments)}
    return {
        name
        for symbol, name in underlyings.items()
        if ours.quantities.get(symbol) != theirs.quantities.get(symbol)
    }


class TestOneVerdict:
    """Of one leg that may be exercised early there is one entry, with all that speaks for it and against it."""

    def test_a_call_before_its_ex_date_is_not_told_a_second_time(self):
        found = early("2026-11-19 12:00", 10.1, FRIDAY)

        assert of_kind(found, AttentionKind.IN_THE_MONEY_SHORT) == []
        assert len(of_kind(found, AttentionKind.EARLY_EXERCISE)) == 1

    def test_its_own_time_value_speaks_against_what_the_put_says(self):
        entry = only(early("2026-11-19 12:00", 10.5, FRIDAY, put=(0.1, 0.25)), AttentionKind.EARLY_EXERCISE)

        assert (
            "its own time value at the bid, 0.50, is no less than the dividend and speaks against it"
            in entry.what
        )

    def test_its_partner_is_told_there(self):
        spread = structure(
            leg("short", 180, expiry=DECEMBER), leg("long", 200, expiry=DECEMBER), net_debit=-900
        )
        entry = only(early("2026-11-19 12:00", 10.1, FRIDAY, book=(spread,)), AttentionKind.EARLY_EXERCISE)

        assert "Partner: AAPL 18 Dec 26 200 C" in entry.what


class TestHowNear:
    """What a holder would give up by exercising a short leg is a figure, not a hint."""

    @pytest.mark.parametrize(
        ("bid", "said"),
        [
            (10.4, "Its time value at the bid is 0.40 a share"),
            (10.0, "at or below what exercising brings"),
            (9.8, "at or below what exercising brings"),
            (None, "Nobody bids for it"),
        ],
    )
    def test_of_a_short_call(self, bid: float | None, said: str):
        found = early("2026-11-19 12:00", bid, DECEMBER)

        assert said in only(found, AttentionKind.IN_THE_MONEY_SHORT).remedy

    def test_what_is_european_cannot_be_exercised_before_its_end(self):
        call = position("SPX", 180, contracts=-1, expiry=DECEMBER)
        live = live_at("2026-11-19 12:00", {"SPX": (189.99, 190.01)}, held=[call])

        assert only(attention([call], live), AttentionKind.IN_THE_MONEY_SHORT).remedy == (
            "It cannot be exercised before its end."
        )


@pytest.mark.parametrize(
    ("bid", "spot", "words"),
    [(4.98, 565.0, "at or below intrinsic"), (5.0, 565.0, "at or below intrinsic"), (5.1, 565.0, "0.10"),
     (0.0, 550.0, "0.00"), (None, 565.0, "no bid"), (6.5, 565.0, "bid above ask"), (6.5, None, None)],
)  # fmt: skip
def test_time_value_is_none_below_zero_and_says_why_there_is_none(
    bid: float | None, spot: float | None, words: str | None
):
    live = live_at("2026-11-20 14:30", {"SPY": (spot, spot), C560: (bid, 6.0)}, held=[LONG_CALL])

    assert attention([LONG_CALL], live).cockpit[0].time_value_words == words


def test_what_is_judged_by_a_price_that_options_imply_says_so():
    """No quote says what an index costs, so in the money is by its options."""
    call = position("SPXW", 5_990, contracts=-1)
    chain = index_chain(6_000, strikes=range(5_900, 6_101, 50))
    live = live_at("2026-12-18 14:30", {}, held=[call])
    quotes = {
        one.symbol: quote(one.symbol, one.bid_price, one.ask_price, age=1, as_of=live.as_of) for one in chain
    }
    found = attention([call], replace(live, quotes=MappingProxyType(quotes)), with_risk=True)

    said = "SPX has the price that its options imply (parity forward, discounted)."
    for kind in (AttentionKind.EXPIRING, AttentionKind.IN_THE_MONEY_SHORT):
        assert only(found, kind).what.endswith(said)
    assert (found.cockpit[0].to_strike_words or "").endswith(" (from options)")


@pytest.mark.parametrize(
    ("contracts", "said"),
    [
        (-1, "each point above 6000 costs $100, and there is no jump at the strike."),
        (2, "each point above 6000 pays $200, and there is no jump at the strike."),
    ],
)
def test_a_pin_that_is_settled_in_cash_has_no_cliff(contracts: int, said: str):
    """A cent beyond the strike is no dollar, and ten points are what they are."""
    call = position("SPXW", 6_000, contracts=contracts)
    live = live_at("2026-12-18 15:50", {}, held=[call])
    quotes = {
        one.symbol: quote(one.symbol, one.bid_price, one.ask_price, age=1, as_of=live.as_of)
        for one in index_chain(6_001, strikes=range(5_900, 6_101, 50))
    }
    found = attention([call], replace(live, quotes=MappingProxyType(quotes)), with_risk=True)

    pin = only(found, AttentionKind.PIN)
    assert pin.amounts == f"Settled in cash: {said}"
    assert (pin.needs, pin.shares) == (None, None)


def test_a_quoted_price_needs_no_word_of_where_it_comes_from():
    found = beside([SHORT_CALL], [SHORT_CALL])

    assert not any("options imply" in entry.what for entry in found.entries)
    assert found.cockpit[0].to_strike_words == "+5.00"


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (
            9,
            (
                "If it expires now, by the account's quantities as last known, which are in doubt: +900 SPY "
                "for $504,000; options buying power $50,000: short by $454,000. By the file's: +200 SPY for $112,000."
            ),
        ),
        (
            1,
            (
                "If it expires now, by the file's quantities, which are in doubt: +200 SPY for $112,000; "
                "options buying power $50,000: short by $62,000."
            ),
        ),
    ],
)
def test_while_the_account_is_read_anew_a_warning_does_not_shrink(held: int, said: str):
    """What it held last counts where that takes more than the file's, and is labelled."""
    theirs = portfolio(LONG_CALL.changed(contracts=held))
    live = live_at("2026-11-20 14:30", IN_THE_MONEY, held=[LONG_CALL], account=theirs, power=50_000)
    live = replace(
        live, account=replace(live.account, unsettled=frozenset({LONG_CALL.instrument.live_symbol}))
    )

    assert only(attention([LONG_CALL], live), AttentionKind.EXPIRING).amounts == said


@pytest.mark.parametrize(("file", "account"), [(-2, 2), (2, -2), (-2, 3), (2, 1)])
@pytest.mark.parametrize("power", [1_000.0, None])
def test_in_the_moments_after_a_fill_nothing_of_it_is_named_to_be_closed(
    file: int, account: int, power: float | None
):
    """By the one it was sold and by the other it is held: to do what is said of the one opens the other."""
    ours, theirs = (
        position("SPY", 555, "call", contracts=n, expiry=FRIDAY, identity="nc") for n in (file, account)
    )
    prices = {"SPY": (564.99, 565.01), C555: (10.0, 10.02)}
    live = live_at("2026-11-20 14:30", prices, held=[ours], account=portfolio(theirs), power=power)
    live = replace(live, account=replace(live.account, unsettled=frozenset({C555})))

    for entry in attention([ours], live).entries:
        if entry.kind not in {AttentionKind.FILE_ACCOUNT, AttentionKind.WIDE}:
            assert entry.remedy == SEE_FIRST
            assert "with all that ends with it" not in entry.amounts


SOLD, ALONE = "KO 20 Nov 26 55 C", "alone that leaves more money missing"


@pytest.mark.parametrize(
    ("sold", "bought", "said"),
    [
        (-1, 1, "Close it, or roll it to a later expiry."),
        (
            -2,
            2,
            f"Close {SOLD} together with 1 of 2 contracts of KO 20 Nov 26 60 C, the sold leg first: {ALONE}.",
        ),
    ],
)
def test_what_is_closed_is_as_much_as_the_account_holds_and_not_as_the_file(
    sold: int, bought: int, said: str
):
    """The file has sold three: closed by its line, "together with what it covers", or all of both."""
    bought_call = position("KO", 60, contracts=bought, expiry=FRIDAY, identity="bought")
    ours, theirs = (
        [position("KO", 55, contracts=count, expiry=FRIDAY, identity="sold"), bought_call]
        for count in (-3, sold)
    )
    live = live_at(
        "2026-11-20 14:30", {"KO": (62.21, 62.23)}, held=ours, account=portfolio(*theirs), power=9_000
    )
    found = attention(ours, sold_since(live, "KO"))

    (short,) = [one for one in of_kind(found, AttentionKind.IN_THE_MONEY_SHORT) if "C00055" in one.symbols[0]]
    assert short.remedy == said
