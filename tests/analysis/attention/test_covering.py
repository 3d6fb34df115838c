"""Who closes what is named for calls that nothing covers has no call left that nothing covers, and nothing is worse.

The words are read as a holder reads them and done to the book. What is left is judged anew by the risk view's own
computation and by the tests' own, and no other closing of that book does the same for less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.analysis.attention.entries import AttentionKind
from options_helper.analysis.deliveries import usual_instruments
from options_helper.analysis.risk.extremes import Limit, book_risk
from options_helper.model.portfolio import PortfolioEntry
from tests.analysis.attention.law import (
    DECEMBER,
    KO,
    Book,
    Held,
    bid_of,
    closed,
    entries_of,
    entry_of,
    look,
    naked,
    records_of,
    structure_of,
    worse,
)
from tests.analysis.attention.world import FRIDAY, HALF_DAY, of_kind
from tests.kit.builders import portfolio

IN_PLACE = "In place of that, to end the risk too: "
ITEM = re.compile(r"(?:(?P<count>\d+)(?: of (?P<held>\d+))? contracts? of )?(?P<label>KO.*)")


def remedy_of(book: Book, money: float | None, entries: list[PortfolioEntry] | None = None) -> str:
    """What is said of what is uncovered; empty: nothing is."""
    found = of_kind(look(book, money, entries=entries), AttentionKind.UNDEFINED_RISK)
    return found[0].remedy if found else ""


def named(remedy: str, book: Book) -> dict[str, float]:
    """The contracts, and shares, that a holder closes who does all that it says; it says nothing twice."""
    counts: dict[str, float] = {}
    if bought := re.match(r"Buy back (\d+) shares", remedy):
        counts["KO"] = float(bought[1])
    said = re.search(r"(?i)\b(close|shares together with) (?P<all>KO.*|\d.*)", remedy.rsplit(IN_PLACE, 1)[-1])
    if said is None:
        return counts
    clause = re.split(r", the sold leg|: alone that|, or cover|, or wait|\.", said["all"], maxsplit=1)[0]
    for item in re.split(r" together with | and |, ", clause):
        found = ITEM.fullmatch(item)
        assert found is not None, (item, remedy)
        (one,) = (one for one in book if one.label == found["label"])
        count = float(found["count"] or abs(one.count))
        assert found["held"] is None or float(found["held"]) == abs(one.count) > count, remedy
        assert found["held"] is not None or count == abs(one.count), remedy
        assert one.symbol not in counts, remedy
        counts[one.symbol] = count
    return counts


def is_lawful(book: Book, counts: dict[str, float], money: float) -> bool:
    """Whether nothing is uncovered after it, at any end, and nothing worse at any price of any."""
    ends = {one.ends for one in book}
    if any(naked(closed(book, counts), day) for day in ends):
        return False
    strikes = {one.a_share for one in book if one.kind != "shares"}
    prices = (0.0, KO, 1_000.0, *(strike + by for strike in strikes for by in (-0.2, 0.2)))
    return not any(
        worse(book, counts, day, money, prices=prices, counts_bought=True) for day in ends - {date.max}
    )


def cost(book: Book, counts: dict[str, float]) -> float:
    """Dollars at the ask of what is bought back."""
    return round(
        sum(
            counts.get(one.symbol, 0) * 100 * (bid_of(one) + 0.02)
            for one in book
            if one.count < 0 and one.kind != "shares"
        ),
        4,
    )


def lawful_closings(book: Book, money: float, legs: Sequence[Held]) -> Iterator[dict[str, float]]:
    """All there are of these legs; shares sold short are bought back with each."""
    short = {one.symbol: -one.count for one in book if one.kind == "shares" and one.count < 0}
    for row in product(*(range(round(abs(one.count)) + 1) for one in legs)):
        counts = {one.symbol: float(count) for one, count in zip(legs, row, strict=True) if count}
        if is_lawful(book, {**short, **counts}, money):
            yield {**short, **counts}


def broken(book: Book, money: float | None, remedy: str) -> str:
    """Which promise it breaks; empty: none."""
    counts, there = named(remedy, book), money or 0.0
    left = closed(book, counts)
    after = portfolio(*entries_of(left), cash=money)
    usual = usual_instruments(after.instruments, {one.symbol: one for one in records_of(left)})
    if book_risk(after, usual=usual).worst.limit is Limit.UNDEFINED:
        return "the greatest loss is still undefined"
    if not is_lawful(book, counts, there):
        return "something is worse"
    options = [one for one in book if one.kind != "shares"]
    if "KO" in counts and any(one.kind == "put" and one.count < 0 for one in book):
        return ""  # of what stands behind puts not the least is looked for
    sold = [one for one in options if one.kind == "call" and one.count < 0]
    if of_sold := list(lawful_closings(book, there, sold)):
        best = min(cost(book, one) for one in of_sold)
        return "" if counts in of_sold and cost(book, counts) == best else f"sold calls alone cost {best}"
    rest = {one.symbol for one in options}
    fewest, least = min(
        (sum(one[s] for s in one if s in rest), cost(book, one))
        for one in lawful_closings(book, there, options)
    )
    has = sum(counts[s] for s in counts if s in rest), cost(book, counts)
    return "" if has == (fewest, least) else f"{has} in place of {(fewest, least)}"


def options(kinds: Sequence[str], ends: Sequence[date]) -> st.SearchStrategy[Held]:
    usual = st.builds(
        Held,
        st.sampled_from([-3.0, -2.0, -1.0, -1.0, 1.0, 2.0]),
        st.sampled_from([55.0, 60.0, 64.0, 70.0]),
        st.sampled_from(kinds),
        st.sampled_from(ends),
    )
    odd = st.builds(
        Held,
        st.sampled_from([-2.0, -1.0, 1.0]),
        st.sampled_from([60.0, 77.0]),
        st.sampled_from(kinds),
        st.sampled_from(ends),
        st.just("KO1"),
    )
    return st.one_of(usual, usual, odd)


def books(kinds: Sequence[str], ends: Sequence[date]) -> st.SearchStrategy[Book]:
    return st.builds(
        lambda held, shares: (*held, *([Held(shares)] if shares else [])),
        st.lists(options(kinds, ends), min_size=1, max_size=4, unique_by=lambda one: one.symbol),
        st.sampled_from([0.0, 0.0, 0.0, 100.0, 150.0, -100.0]),
    )


MONEY = st.sampled_from([None, 0.0, 300.0, 9_000.0, 40_000.0])
CALLS, ALL = ("call",), ("call", "call", "put")
BOOKS = st.one_of(
    books(CALLS, [DECEMBER]),
    books(CALLS, [FRIDAY]),
    books(ALL, [HALF_DAY, DECEMBER]),
    books(ALL, [FRIDAY, HALF_DAY, DECEMBER]),
)


@settings(max_examples=250, deadline=None)  # each is a whole look at a book
@given(BOOKS, MONEY, st.randoms(use_true_random=False))
def test_what_is_named_ends_the_risk_leaves_nothing_worse_and_no_other_does_so_for_less(book, money, random):
    cut = random.randint(0, len(book))
    entries = [structure_of(book[:cut], "one")] if cut > 1 else []
    entries += [entry_of(one) for one in book[cut if cut > 1 else 0 :]]
    random.shuffle(entries)

    remedy = remedy_of(book, money, entries)
    assert bool(remedy) is any(naked(book, one.ends) for one in book)
    if remedy:
        assert broken(book, money, remedy) == "", remedy


@settings(max_examples=60, deadline=None)
@given(BOOKS, MONEY, st.randoms(use_true_random=False))
def test_it_is_the_same_in_whatever_order_the_file_has_its_lines(book, money, random):
    entries = entries_of(book)
    first = look(book, money, entries=entries).entries
    random.shuffle(entries)
    again = look(book, money, entries=entries).entries

    said, anew = (
        sorted(f"{one.kind} {sorted(one.symbols)} {one.remedy}" for one in each) for each in (first, again)
    )
    assert said == anew


def call(count: float, strike: float, root: str = "KO", ends: date = DECEMBER) -> Held:
    return Held(count, strike, "call", ends, root)


LABEL = "18 Dec 26"
# What is missing then is to exercise what is held, where shares were missing that cost more.
IN_MONEY = "in place of shares that would cost more."
NONE_BUT_THE_SOLD = (
    f"Close 1 contract of KO {LABEL} 70 C. That leaves more money missing above 70, {IN_MONEY}"
)
NOT_THE_ADJUSTED = f"Close 2 contracts of KO {LABEL} 60 C. That leaves more money missing, {IN_MONEY}"
TRADERS = [
    # One sold call would do, and the long one that was named with it covered another.
    ((call(1, 60), call(-1, 55), call(-1, 70)), NONE_BUT_THE_SOLD),
    ((call(3, 55), call(-3, 64), call(-2, 70)), f"Close 2 contracts of KO {LABEL} 70 C."),
    ((call(2, 55), call(-2, 60), call(-1, 50)), f"Close 1 of 2 contracts of KO {LABEL} 60 C."),
    ((call(2, 55), call(-2, 60), call(-1, 60, "KO1")), NOT_THE_ADJUSTED),
]


@pytest.mark.parametrize(("book", "remedy"), TRADERS)
def test_the_books_in_which_another_call_was_left_naked(book: Book, remedy: str):
    assert {remedy_of(book, 0, entries_of(each)) for each in permutations(book)} == {remedy}
    assert broken(book, 0, remedy) == ""


def test_shares_sold_short_are_bought_back_before_what_covers_them_goes():
    book = (call(1, 55), call(-2, 60), Held(-100))
    remedy = remedy_of(book, 0)

    assert remedy.startswith(
        "Buy back 100 shares: a call bought against them ends, and they do not. Then close 1 of 2"
    )
    assert "Or exercise" not in remedy
    assert broken(book, 0, remedy) == ""


def test_a_vertical_is_kept_where_the_money_is_there():
    vertical = (call(2, 55), call(-2, 60))
    book = (*vertical, call(-1, 60, "KO1"))
    remedy = remedy_of(book, 20_000, [structure_of(vertical, "vertical"), entry_of(book[2])])

    assert broken(book, 20_000, remedy) == "", remedy


@pytest.mark.parametrize(
    ("book", "money"),
    [
        (tuple(call(n % 5 - 3, 40 + n) for n in range(20) if n % 5 != 3), 0.0),
        ((call(150, 55), call(-400, 60), call(-300, 64), call(70, 70), call(-90, 60, "KO1")), 0.0),
        ((call(150, 55), call(-400, 60), call(-300, 64), call(70, 70), call(-90, 60, "KO1")), 1e9),
        (tuple(call(-1, 40 + n, ends=(HALF_DAY, DECEMBER)[n % 2]) for n in range(30)), 1e9),
        ((*(call(-200, 40 + n) for n in range(9)), call(350, 58), Held(77)), 1e9),
    ],
    ids=["many legs", "many contracts", "with money", "many sold", "many of many"],
)
def test_of_more_than_can_be_held_against_each_other_what_is_named_is_as_lawful(book: Book, money: float):
    remedy = remedy_of(book, money)

    counts = named(remedy, book) or {one.symbol: abs(one.count) for one in book}
    assert is_lawful(book, counts, money), remedy
    assert ("Less of that may be enough: not all was tried." in remedy) is ("together with" in remedy), remedy


def test_the_oracle_knows_what_the_trader_found():
    """Without this it could pass whatever is said."""
    book = (call(1, 60), call(-1, 55), call(-1, 70))

    assert broken(book, 0, f"Close KO {LABEL} 55 C together with KO {LABEL} 60 C.").startswith(
        "the greatest loss"
    )
    assert broken(book, 0, f"Close KO {LABEL} 55 C.") == "something is worse"
    assert broken(book, 9_000, f"Close KO {LABEL} 55 C.").startswith("sold calls alone cost")
