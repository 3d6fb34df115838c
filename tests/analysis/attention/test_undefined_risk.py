"""What is sold without cover is named by its contracts, with how much of it and what can be done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.entries import AttentionKind
from options_helper.analysis.live_health import Level
from options_helper.analysis.payoffs import undefined_risks
from options_helper.model.contract_records import ContractRecord, Deliverable
from options_helper.model.portfolio import PortfolioEntry
from tests.analysis.attention.world import attention, live_at, of_kind, only
from tests.kit.builders import EXPIRY, holding, leg, portfolio, position, share_leg, structure

KIND = AttentionKind.UNDEFINED_RISK
JUNE = date(2027, 6, 18)
NAKED = position("AAPL", 180, contracts=-1, identity="naked")
COVERED = structure(share_leg(), leg("short", 180))
RATIO = structure(leg("long", 180), leg("short", 185, contracts=3))
SHORT_SHARES = holding(shares=-100)
CALL_180, CALL_185 = "AAPL261218C00180000", "AAPL261218C00185000"
NOT_ALL = "sold, and nothing that is held as long covers all of it"
NO_LIMIT = "What it could cost is undefined: there is no limit."


def judged(*book: PortfolioEntry, account: Sequence[PortfolioEntry] | None = None) -> Attention:
    theirs = None if account is None else portfolio(*account)
    return attention(book, live_at("2026-11-20 12:00", {}, held=book, account=theirs))


@pytest.mark.parametrize(
    ("book", "symbols", "part", "dollars"),
    [
        ([NAKED], (CALL_180,), "1 contract of AAPL 18 Dec 26 180 C", 100),
        ([RATIO], (CALL_185,), "2 of 3 contracts of AAPL 18 Dec 26 185 C", 200),
        (
            [NAKED, structure(leg("long", 190), leg("short", 185), identity="vertical")],
            (CALL_180,),
            "1 contract of AAPL 18 Dec 26 180 C",
            100,
        ),
        (
            [NAKED, position("AAPL", 185, contracts=-1, identity="another")],
            (CALL_180, CALL_185),
            "calls on 200 shares until 18 Dec 26",
            200,
        ),
    ],
    ids=["call", "ratio", "beside a vertical", "two"],
)
def test_what_nothing_covers_is_named_with_how_much_of_it(
    book: list[PortfolioEntry], symbols: tuple[str, ...], part: str, dollars: int
):
    found = only(judged(*book), KIND)

    assert (found.level, found.symbols, found.shares) == (Level.ERROR, symbols, -dollars)
    assert f"{NOT_ALL}. {NO_LIMIT}" in found.what
    assert (
        found.amounts
        == f"Uncovered: {part}, so each dollar by which AAPL rises beyond costs ${dollars} more."
    )
    if len(symbols) > 1:  # the shares are how much it is, and no contracts that anybody closes
        part = "1 contract of AAPL 18 Dec 26 180 C and 1 contract of AAPL 18 Dec 26 185 C"
    assert found.remedy == f"Close {part}, or cover that with calls that end no sooner, or with the shares."


def test_no_call_covers_shares_that_were_sold_for_good():
    found = only(judged(SHORT_SHARES, position("AAPL", 180)), KIND)

    assert (found.symbols, found.remedy) == (
        ("AAPL",),
        "Buy back 100 shares: a call bought against them ends, and they do not.",
    )


@pytest.mark.parametrize(
    ("counts", "expiry", "with_puts"),
    [
        ((-100, -1), EXPIRY, "AAPL 18 Dec 26 200 P"),
        ((-100, -3), EXPIRY, "1 of 3 contracts of AAPL 18 Dec 26 200 P"),  # two of them nothing covers now
        ((-300, -1), EXPIRY, "AAPL 18 Dec 26 200 P"),
        ((-100, -1), date(2026, 11, 20), "AAPL 20 Nov 26 200 P"),
    ],
)
def test_shares_that_stand_behind_a_sold_put_are_bought_back_with_it_and_never_alone(
    counts: tuple[int, int], expiry: date, with_puts: str
):
    """What the put loses in a fall the shares win; where it is assigned, that buys them back."""
    shares, contracts = counts
    sold = position("AAPL", 200, "put", contracts=contracts, expiry=expiry, identity="put")
    label = sold.instrument.label
    book = [holding("AAPL", float(shares)), sold]
    live = live_at("2026-11-20 12:00", {"AAPL": (194.59, 194.61)}, held=book, power=40_000)
    found = only(attention(book, live), KIND)

    assert found.remedy == (
        f"Buy back {-shares} shares together with {with_puts}: alone that leaves {label} uncovered. "
        f"Left as they are, the assignment of {label} buys back as many."
    )
    assert not re.search(r"\d+ shares|of 3", found.discreet_remedy)


def test_where_the_share_has_no_price_all_sold_puts_are_named_with_the_shares():
    found = only(judged(SHORT_SHARES, position("AAPL", 200, "put", contracts=-1, identity="put")), KIND)

    assert found.remedy == (
        "Buy back 100 shares together with the puts that are sold: alone that leaves these uncovered."
    )


def test_a_put_against_shares_sold_short_is_neither_closed_alone_nor_told_without_them():
    """A covered put on its last day: left alone the assignment makes it flat."""
    book = [holding("AAPL", -100.0), position("AAPL", 200, "put", contracts=-1, expiry=date(2026, 11, 20))]
    prices = {"AAPL": (194.59, 194.61), "AAPL261120P00200000": (5.3, 5.5)}

    for power in (8_810, 40_000):
        found = only(
            attention(book, live_at("2026-11-20 12:00", prices, held=book, power=power)),
            AttentionKind.IN_THE_MONEY_SHORT,
        )
        assert "which buys back 100 AAPL that are sold short" in found.amounts
        assert "AAPL 20 Nov 26 200 P" in found.remedy
        assert "100 AAPL shares sold short" in found.remedy
        assert "leaves the AAPL shares sold short" in found.remedy


NO_BID = "nobody bids for it, so what time value that gives up is not known"
BUY_BACK = "Buy back 100 shares: a call bought against them ends, and they do not."
ASSIGNED = [
    SHORT_SHARES,
    position("AAPL", 180, identity="long"),
    position("AAPL", 175, "put", identity="put"),
]


@pytest.mark.parametrize(
    ("bid", "power", "words"),
    [
        (10.5, 18_000, " Or exercise {}: that takes $18,000, and it gives up 0.50 a share of time value."),
        (9.8, 18_000, " Or exercise {}: that takes $18,000, and it gives up 0.00 a share of time value."),
        (
            None,
            18_000,
            f" Or exercise {{}}: that takes $18,000, and {NO_BID}.",
        ),
        (
            10.5,
            None,
            " Or exercise {}, if the money is there: that takes $18,000, and it gives up 0.50 a share of time value.",
        ),
        (10.5, 17_999, ""),
    ],
)
def test_shares_that_an_assignment_left_short_are_delivered_by_ones_own_call_where_its_money_is_there(
    bid: float | None, power: float | None, words: str
):
    prices = {"AAPL": (189.99, 190.01), CALL_180: (bid, 11.0)}
    live = live_at("2026-11-20 12:00", prices, held=ASSIGNED, power=power)

    found = only(attention(ASSIGNED, live), KIND)
    assert found.remedy == BUY_BACK + words.format("AAPL 18 Dec 26 180 C")
    assert "$" not in found.discreet_remedy


@pytest.mark.parametrize(
    ("others", "price"),
    [
        (
            [position("AAPL", 170, "put", contracts=-1, identity="sold put")],
            190.0,
        ),  # the short shares pay for it
        ([position("AAPL", 185, contracts=-1, identity="sold call")], 190.0),  # it covers that one
        ([], 179.0),  # to buy them costs less
    ],
    ids=["sold put", "sold call", "out of the money"],
)
def test_and_not_where_something_else_is_worse_then(others: list[PortfolioEntry], price: float):
    book = [*ASSIGNED, *others]
    live = live_at(
        "2026-11-20 12:00", {"AAPL": (price - 0.01, price + 0.01), CALL_180: (10.5, 11.0)}, held=book
    )

    assert "exercise" not in only(attention(book, live), KIND).remedy


def test_nobody_delivers_an_index():
    found = only(judged(position("SPX", 6_000, contracts=-1)), KIND)

    assert found.shares is None
    assert found.amounts.endswith("so each point by which SPX rises beyond costs $100 more.")
    assert found.remedy.endswith("or cover that with calls that end no sooner.")


@pytest.mark.parametrize(
    ("power", "words"),
    [
        (None, ", or cover that with calls that end no sooner, or with the shares."),
        (19_000, ", or cover that with calls that end no sooner, or with the shares."),
        (18_000, ", or cover that with calls that end no sooner."),
        (0, "."),
    ],
)
def test_it_is_not_to_be_covered_by_what_there_is_no_money_for(power: float | None, words: str):
    live = live_at("2026-11-20 12:00", {"AAPL": (189, 190)}, held=[NAKED], power=power)

    assert only(attention([NAKED], live), KIND).remedy == f"Close 1 contract of AAPL 18 Dec 26 180 C{words}"


def test_an_index_has_no_shares_in_any_word():
    """Two contracts of which no one is all that is uncovered."""
    book = [position("SPX", 6_000, contracts=-1), position("SPX", 6_100, contracts=-2, identity="another")]
    found = only(judged(*book), KIND)

    assert found.amounts.startswith("Uncovered: calls of $300 a point until 18 Dec 26, so each point")
    assert found.remedy.startswith(
        "Close 1 contract of SPX 18 Dec 26 6000 C and 2 contracts of SPX 18 Dec 26 6100 C, or cover"
    )
    assert "share" not in f"{found.sentence} {found.remedy} {found.discreet_remedy}"


def test_without_amounts_neither_sentence_says_how_much_is_held():
    found = only(judged(RATIO), KIND)

    assert found.what == f"AAPL 18 Dec 26 185 C: {NOT_ALL}. {NO_LIMIT}"
    assert found.discreet_remedy == (
        "Close what is uncovered, or cover that with calls that end no sooner, or with the shares."
    )


@pytest.mark.parametrize(
    "book",
    [
        [COVERED],
        [NAKED, holding()],
        [NAKED, position("AAPL", 200, expiry=JUNE)],
        [position("AAPL", 180, "put", contracts=-1)],  # the share can fall to 0, and no further
        [structure()],
    ],
    ids=["covered call", "shares elsewhere", "longer call", "put", "vertical"],
)
def test_what_has_an_end_is_not_named(book: list[PortfolioEntry]):
    assert not of_kind(judged(*book), KIND)


@pytest.mark.parametrize(("shares", "covers"), [(100, False), (110, True)])
def test_an_adjusted_call_takes_as_many_shares_as_its_record_says(shares: float, *, covers: bool):
    sold = position("AAPL1", 180, contracts=-1, multiplier=100)
    symbol = sold.instruments[0].live_symbol
    record = ContractRecord(symbol=symbol, deliverables=(Deliverable("AAPL", Decimal(110)),))
    book = [sold, holding(shares=shares)]
    found = attention(book, live_at("2026-11-20 12:00", {}, held=book, records=[record]))

    assert bool(of_kind(found, KIND)) is not covers


def test_no_part_of_a_contract_is_to_be_closed():
    """It delivers 110 shares, and 100 are there."""
    sold = position("AAPL1", 180, contracts=-1, multiplier=100)
    record = ContractRecord(
        symbol=sold.instruments[0].live_symbol, deliverables=(Deliverable("AAPL", Decimal(110)),)
    )
    book = [sold, holding(shares=100)]
    found = attention(book, live_at("2026-11-20 12:00", {}, held=book, records=[record]))
    entry = only(found, KIND)

    assert entry.amounts.startswith(
        "Uncovered: 10 shares of 1 contract of AAPL1 18 Dec 26 180 C, so each dollar"
    )
    assert entry.remedy == (
        "Close 1 contract of AAPL1 18 Dec 26 180 C, or cover that with calls that end no sooner, or with 10 shares."
    )
    # Nor is it silent about what cannot be told while AAPL has no price.
    assert sold.instruments[0].live_symbol in found.unjudged[AttentionKind.EARLY_EXERCISE]


@pytest.mark.parametrize(
    ("multiplier", "counted"),
    [(100, "as if usual."), (None, "as if usual, at 100 a contract, since its multiplier is not known.")],
)
def test_an_adjusted_call_of_which_nothing_is_told_is_said_to_be_counted(
    multiplier: int | None, counted: str
):
    sold = position("AAPL1", 180, contracts=-1, multiplier=multiplier)
    found = attention([sold], live_at("2026-11-20 12:00", {}, held=[sold]))

    assert only(found, KIND).what.endswith(f" AAPL1 18 Dec 26 180 C, adjusted, is counted {counted}")


def test_what_an_adjusted_contract_that_was_sold_delivers_has_to_be_known():
    sold = position("AAPL1", 180, contracts=-1, multiplier=100)
    parts = (Deliverable("AAPL", Decimal(10)), Deliverable("ACME", Decimal(5)))
    record = ContractRecord(symbol=sold.instruments[0].live_symbol, deliverables=parts)
    found = attention(
        [sold], live_at("2026-11-20 12:00", {"AAPL": (189, 190)}, held=[sold], records=[record])
    )

    (said,) = found.not_judged
    assert said.startswith(
        "AAPL1 18 Dec 26 180 C: it is adjusted (10 AAPL and 5 ACME each), so whether it is in the money,"
    )
    assert sold.instruments[0].live_symbol in found.unjudged[AttentionKind.EARLY_EXERCISE]


def test_a_call_that_ends_first_covers_no_longer_one():
    longer = position("AAPL", 200, contracts=-1, expiry=JUNE)

    assert only(judged(longer, position("AAPL", 180)), KIND).symbols == ("AAPL270618C00200000",)


def test_what_has_ended_is_gone():
    live = live_at("2026-12-21 12:00", {}, held=[NAKED])

    assert not of_kind(attention([NAKED], live), KIND)


@pytest.mark.parametrize(
    ("book", "account", "level", "whose"),
    [
        ([COVERED], [NAKED], Level.ERROR, ", by the account's quantities"),
        ([NAKED], [NAKED, holding()], Level.WARNING, ", by the file's quantities and not by the account's"),
        ([holding("MSFT")], [holding("MSFT"), NAKED], Level.ERROR, ", of what the account alone holds"),
    ],
    ids=["the account's", "the file's", "the account alone"],
)
def test_it_is_judged_by_what_the_account_holds(
    book: list[PortfolioEntry], account: list[PortfolioEntry], level: Level, whose: str
):
    found = only(judged(*book, account=account), KIND)

    assert (found.level, found.symbols) == (level, (CALL_180,))
    assert f"{NOT_ALL}{whose}." in found.what


def test_while_a_quantity_is_read_anew_nobody_can_say():
    live = live_at("2026-11-20 12:00", {}, held=[COVERED])
    live = replace(live, account=replace(live.account, unsettled=frozenset({"AAPL"})))
    found = attention([COVERED], live)

    assert not of_kind(found, KIND)
    assert found.unjudged[KIND] == {"AAPL", CALL_180}


@pytest.mark.parametrize(
    "book", [[NAKED], [RATIO], [SHORT_SHARES], [COVERED], [structure()], [NAKED, COVERED]]
)
def test_it_is_told_wherever_the_greatest_loss_is_undefined(book: list[PortfolioEntry]):
    """The tile and the list say the same of one book."""
    assert bool(of_kind(judged(*book), KIND)) is bool(undefined_risks(portfolio(*book)))


@pytest.mark.parametrize(
    ("asks", "part"),
    [
        ((0.01, 4.1), "1 contract of AAPL 20 Nov 26 270 C"),
        ((5.0, 4.1), "1 contract of AAPL 18 Dec 26 280 C"),
        ((None, 4.1), "1 contract of AAPL 18 Dec 26 280 C"),  # nobody knows what it costs
        ((-0.01, 4.1), "1 contract of AAPL 18 Dec 26 280 C"),  # nor where more is bid than that
    ],
)
def test_of_what_ends_it_the_cheapest_is_named_and_until_when_it_lasts(
    asks: tuple[float | None, float], part: str
):
    """Shares cover what runs longest, so until today's call has ended another one is uncovered."""
    today, later = date(2026, 11, 20), date(2026, 12, 18)
    book = [
        structure(share_leg(), leg("short", 270, expiry=today)),
        position("AAPL", 280, contracts=-1, expiry=later, identity="later"),
    ]
    prices = {
        "AAPL": (250.99, 251.01),
        "AAPL261120C00270000": (None, None)
        if asks[0] is None
        else (0.02, 0.01)
        if asks[0] < 0
        else (0.0, asks[0]),
        "AAPL261218C00280000": (4.0, asks[1]),
    }
    found = only(attention(book, live_at("2026-11-20 12:00", prices, held=book, power=9_000)), KIND)

    assert "Uncovered: 1 contract of AAPL 18 Dec 26 280 C until 20 Nov 26, so" in found.amounts
    assert found.remedy.startswith(f"Close {part}, or ")
    assert found.remedy.endswith(
        "or wait until 20 Nov 26: it is covered then if AAPL 20 Nov 26 270 C ends worthless."
    )


def test_what_the_account_does_not_hold_is_not_to_be_closed():
    """To close it would open the opposite; the account's own are another matter."""
    held = position("AAPL", 190, contracts=1, identity="held")
    sold = position("AAPL", 180, contracts=-2, identity="sold")
    by_file = only(judged(held, sold, account=[held]), KIND)
    by_account = only(judged(held, account=[held, sold]), KIND)

    assert (by_file.level, by_file.remedy) == (
        Level.WARNING,
        "Correct the file: by the account's quantities nothing of this is to be closed.",
    )
    assert by_account.remedy.startswith("Close 1 of 2 contracts of AAPL 18 Dec 26 180 C")
