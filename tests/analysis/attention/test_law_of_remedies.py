"""No remedy, carried out alone, leaves the account worse off than doing nothing does, at any price of the end.

Of an exercise that is so too, except that shares can fall to 0, which it has to say, with the time value that it gives
up; and its money has to be there, whatever else ends meanwhile takes.

Each is read as a holder reads it, done to the book, and what is left is held against the book as it was, by a
computation of the test's own: calls and shares sold short without cover, the greatest loss of what ends together, and
the shares and dollars that are missing at its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.live_health import Level
from options_helper.model.portfolio import PortfolioEntry
from tests.analysis.attention.law import (
    DECEMBER,
    KO,
    PRICES,
    Book,
    Held,
    closed,
    free,
    look,
    missing,
    naked,
    worse,
)
from tests.analysis.attention.world import (
    FRIDAY,
    HALF_DAY,
    attention,
    live_at,
    of_kind,
    only,
)
from tests.kit.builders import leg, structure


def exercised(book: Book, symbol: str, count: float) -> Book:
    """What is held after so many calls have become shares."""
    left, size = closed(book, {symbol: count}), next(one.size for one in book if one.symbol == symbol)
    return (*(one for one in left if one.kind != "shares"), Held(shares_of(book) + size * count))


def shares_of(book: Book) -> float:
    return sum(one.count for one in book if one.kind == "shares")


def exercise(entry: Entry, book: Book) -> tuple[Held, float] | None:
    """The call that it says may be exercised, and how many of it; None: it says so of none."""
    found = re.search(r"Or exercise (?P<what>[^:]+): ", entry.remedy)
    if found is None:
        return None
    what = found["what"]
    if what.startswith("it"):
        return next((one, one.count) for one in book if entry.symbols == (one.symbol,))
    one = next(one for one in book if re.search(rf"{re.escape(one.label)}(?! \d)", what))
    part = re.match(r"(\d+) of \d+ contracts? of", what)
    return one, float(part[1]) if part else one.count


def worse_exercised(entry: Entry, book: Book, call: Held, count: float, money: float | None) -> Iterator[str]:
    """In what that leaves more than doing nothing does and does not say so."""
    said, cost = f"{entry.sentence} {entry.remedy}", count * 100 * call.strike
    after, ends = exercised(book, call.symbol, count), [one.ends for one in book if one.kind != "shares"]
    if call.kind != "call" or not 0 < count <= call.count:
        yield "it is not held"
    for day in {one.ends for one in book}:
        if naked(after, day) > naked(book, day):
            yield f"naked until {day}"
    together = [
        min(
            -paid + shares_of(held) * price + sum(one.worth(price) for one in held if one.ends in ends)
            for price in (*PRICES, *(one.a_share for one in book))
        )
        for held, paid in ((book, 0.0), (after, cost))
    ]
    if together[1] < together[0] - 1e-6 and "can fall to 0" not in said:
        yield f"loss of {together}"
    if "0.01 a share of time value" not in said:  # all is bid a cent above what exercising brings
        yield "the time value it gives up"
    if money is not None and money >= cost:
        yield from missing_once_exercised(book, after, call, cost, money)
    elif money is not None or "if the money is there" not in entry.remedy:
        yield "money"


def missing_once_exercised(book: Book, after: Book, call: Held, cost: float, money: float) -> Iterator[str]:
    before_it = {FRIDAY, call.ends}
    most = {day: max(missing(book, day, price, 0, 0)[1] for price in PRICES) for day in before_it}
    for day in before_it:
        # What else ends before has taken its own at the worst; that of today may come before it or after.
        others = 0.0 if day == FRIDAY else most[FRIDAY]
        for price in PRICES:
            had = missing(book, day, price, free(book, day), money - others)
            has = missing(after, day, price, free(after, day), money - others - cost)
            if any(now > then + 1e-6 for now, then in zip(has, had, strict=True)):
                yield f"missing on {day} at {price}: {had} to {has}"


def alternatives(remedy: str) -> Iterator[str]:
    """What may be done, each without its reasons."""
    for each in re.split(
        " Or instead: | In place of that, to end the risk too: | Or exercise | Then (?=close)", remedy
    ):
        yield re.split(r": |(?<=\.) | To close | But not |, or wait |, or cover ", each, maxsplit=1)[0]


def done(said: str, entry: Entry, book: Book) -> dict[str, float]:
    """The contracts that a holder closes who does it; none where it says of no leg to close it."""
    if not re.match("(?i)close|sell|buy back", said):
        return {}
    bought = re.match(r"Buy back (\d+) shares", said)
    counts = {"KO": float(bought[1])} if bought else {}
    for one in book:
        found = re.search(rf"(?:(\d+)(?: of \d+)?(?: contracts? of)? )?{re.escape(one.label)}(?! \d)", said)
        is_it = re.match("(?i)(close|sell) it", said) and entry.symbols == (one.symbol,)
        if found or is_it:
            counts[one.symbol] = float(found[1]) if found and found[1] else abs(one.count)
    return counts


def broken(
    found: Attention,
    book: Book,
    money: float | None,
    aside: Callable[[float], float] = lambda price: 0.0,
) -> list[str]:
    """Each remedy after which something is worse, with what; whatever money is there where that is not known."""
    ends = {one.symbol: one.ends for one in book if one.kind != "shares"}
    said = []
    for entry in found.entries:
        if (call := exercise(entry, book)) is not None:
            said += [f"{entry.remedy!r}: {why}" for why in worse_exercised(entry, book, *call, money)]
        if "not to exercise" in entry.remedy and not re.search(
            r"not to exercise (it|them|so many), which gives up \d+\.\d\d a share", entry.remedy
        ):
            said.append(f"{entry.remedy!r}: what is given up")
        first: dict[str, float] = {}
        for words in alternatives(entry.remedy):
            counts = done(words, entry, book)
            if not counts:
                continue
            if words.startswith("Buy back"):
                first = counts  # which is done before all else
            counts = {**counts, **{symbol: max(n, counts.get(symbol, 0.0)) for symbol, n in first.items()}}
            own = next((ends[one] for one in entry.symbols if one in ends), FRIDAY)
            said += [
                f"{entry.kind} {entry.symbols}: {entry.remedy!r}: {counts}: {why}"
                for there in ([money] if money is not None else [0.0, 9_000.0, 50_000.0])
                for end in (dict.fromkeys([own, *ends.values()]) if first else [own])
                if (why := worse(book, counts, end, there, aside, counts_bought=_ends_risk(entry)))
            ]
    return said


def _ends_risk(entry: Entry) -> bool:
    """Whether it ends what has no limit: dollars may be missing then in place of shares that would cost more."""
    return entry.kind is AttentionKind.UNDEFINED_RISK


STRIKES = st.sampled_from([50.0, 55.0, 60.0, 61.0, 62.2, 64.0, 70.0])
KINDS = st.sampled_from(["call", "put"])
COUNTS = st.integers(-3, 3).filter(bool).map(float)
ROOTS = st.sampled_from(["KO", "KO", "KO", "KO1"])  # one in four is adjusted
TODAY = st.builds(Held, COUNTS, STRIKES, KINDS, st.just(FRIDAY), ROOTS)
LATER = st.builds(Held, COUNTS, STRIKES, KINDS, st.sampled_from([HALF_DAY, DECEMBER]), ROOTS)
SHARES = st.sampled_from([0.0, 0.0, 100.0, 200.0, -100.0]).map(Held)
BOOKS = st.builds(
    lambda now, then, shares: (*now, *then, shares),
    st.lists(TODAY, min_size=1, max_size=4, unique_by=lambda one: one.symbol),
    st.lists(LATER, max_size=3, unique_by=lambda one: one.symbol),
    SHARES,
)


@settings(max_examples=150, deadline=None)  # each is a whole look at a book
@given(BOOKS, st.sampled_from([None, 0.0, 300.0, 3_000.0, 9_000.0, 40_000.0]))
def test_who_does_what_a_remedy_says_is_nowhere_worse_off_than_who_does_nothing(
    book: Book, money: float | None
):
    assert broken(look(book, money), book, money) == []


@settings(max_examples=100, deadline=None)
@given(
    BOOKS, st.sets(st.integers(0, 7)), st.sampled_from([-1.0, 0.0, 2.0]), st.sampled_from([300.0, 9_000.0])
)
def test_a_remedy_is_only_about_what_the_account_holds(
    book: Book, which: set[int], times: float, money: float
):
    """Of some it has none, another number, or sold what the file holds: no closing opens anything."""
    theirs = (
        replace(one, count=float(round(one.count * times))) if n in which and one.kind != "shares" else one
        for n, one in enumerate(book)
    )
    account = tuple(one for one in theirs if one.count)
    found = look(book, money, account=account)

    held = {one.symbol: one.count for one in account}
    for entry in found.entries:
        for words in alternatives(entry.remedy):
            for symbol, count in done(words, entry, account).items():
                assert count <= abs(held[symbol]), entry
                # An entry that says of a sold leg to sell it would speak of the file's.
                assert not (words.startswith("Sell it") and held[symbol] < 0), entry
    assert broken(found, account, money) == []


PUTS_AND_CALLS = st.lists(
    st.builds(
        lambda count, strike, kind: Held(count if kind == "call" else -count, strike, kind, FRIDAY),
        st.integers(1, 3).map(float),
        STRIKES,
        KINDS,
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.symbol,
).map(tuple)


@settings(max_examples=100, deadline=None)
@given(PUTS_AND_CALLS, st.sampled_from([0.0, 300.0, 3_000.0, 9_000.0, 40_000.0]))
def test_so_it_is_where_the_strikes_of_sold_puts_are_set_aside(book: Book, money: float):
    """Whatever the price is, each put that is assigned then has its strike there; a call that is held has nothing."""

    def aside(price: float) -> float:
        return sum(-one.delivered(price)[1] for one in book if one.kind == "put")

    assert broken(look(book, money, is_aside_known=True), book, money, aside) == []


def test_the_oracle_knows_a_naked_leg_from_a_covered_one():
    """Without this it could pass whatever is said."""
    bull = (Held(1, 60, "call", FRIDAY), Held(-1, 64, "call", FRIDAY))
    bear = (Held(1, 64, "put", FRIDAY), Held(-1, 60, "put", FRIDAY))

    assert worse(bull, {bull[0].symbol: 1}, FRIDAY, 9_000) == f"naked until {FRIDAY}"
    assert worse(bear, {bear[0].symbol: 1}, FRIDAY, 9_000) == "loss"
    assert worse(bull, {bull[1].symbol: 1}, FRIDAY, 3_000).startswith("missing at 64.")
    covered = (Held(-100), Held(-1, 64, "put", FRIDAY))
    assert worse(covered, {"KO": 100}, FRIDAY, 9_000) == f"naked puts until {FRIDAY}"
    assert worse(covered, {covered[1].symbol: 1}, FRIDAY, 9_000) == "short at 0.0: 0.0 to 100.0"
    assert worse(covered, {covered[1].symbol: 1, "KO": 100}, FRIDAY, 9_000) == ""
    assert worse(bull, {one.symbol: 1 for one in bull}, FRIDAY, 3_000) == ""
    assert done("Close KO 20 Nov 26 60 C and KO 20 Nov 26 64 C together", _entry(bull[0].symbol), bull) == {
        one.symbol: 1 for one in bull
    }


def _entry(*symbols: str) -> Entry:
    return Entry(kind=AttentionKind.PIN, level=Level.ERROR, subject="KO", symbols=symbols, what="")


class TestTheTradersBooks:
    """What a careful trader found, each in a book of its own."""

    def test_a_bull_call_spread_whose_sold_leg_is_out_of_the_money_is_closed_as_a_pair(self):
        """Its long leg is in the money and pinned, and 64,500 dollars are not there."""
        book = [
            structure(
                leg("long", 645, expiry=FRIDAY), leg("short", 652, expiry=FRIDAY), symbol="SPY", net_debit=300
            )
        ]
        found = _spy(book, 646.51, 3_000)

        pair = "SPY 20 Nov 26 645 C and SPY 20 Nov 26 652 C together, the sold leg first"
        lacking = only(found, AttentionKind.LONG_WITHOUT_MONEY)
        assert lacking.remedy.startswith(
            f"Close {pair}: SPY 20 Nov 26 645 C alone leaves SPY 20 Nov 26 652 C uncovered"
        )
        assert only(_spy(book, 645.01, 3_000), AttentionKind.PIN).remedy == (
            "Close SPY 20 Nov 26 645 C together with SPY 20 Nov 26 652 C, the sold leg first: "
            "alone that leaves SPY 20 Nov 26 652 C uncovered."
        )

    def test_the_long_leg_of_a_vertical_is_neither_sold_alone_before_an_ex_date_nor_exercised_without_the_money(
        self,
    ):
        book = (Held(2, 55, "call", HALF_DAY), Held(-2, 60, "call", HALF_DAY))
        entries = {one.symbols: one for one in of_kind(look(book, 9_000), AttentionKind.EARLY_EXERCISE)}

        (long, short), labels = (
            (entries[one.symbol,] for one in book),
            ("KO 27 Nov 26 55 C", "KO 27 Nov 26 60 C"),
        )
        assert "Exercised: +200 KO for $11,000; options buying power $9,000: short by $2,000" in long.amounts
        assert long.remedy == (
            f"Close {labels[0]} together with {labels[1]}, the sold leg first: alone that leaves {labels[1]} uncovered."
        )
        assert short.remedy == (  # for one of the two calls the money is there
            f"Close {labels[1]} together with 1 of 2 contracts of {labels[0]}, the sold leg first: "
            "alone that leaves more money missing."
        )

    @pytest.mark.parametrize(
        ("money", "said"),
        [
            (5_400, ""),
            (5_600, " Or exercise it and nothing else that takes its money before the ex-date: "),
            (12_000, " Or exercise it before the ex-date: "),
            (None, " Or exercise it before the ex-date, if the money is there: "),
        ],
    )
    def test_a_call_of_ones_own_is_exercised_only_with_the_money_of_all_of_them(
        self, money: float | None, said: str
    ):
        book = (Held(1, 55, "call", HALF_DAY), Held(1, 50, "call", DECEMBER))
        found = of_kind(look(book, money), AttentionKind.EARLY_EXERCISE)

        entry = next(one for one in found if one.symbols == (book[0].symbol,))
        then = f"{said}then it is shares, which can fall to 0." if said else ""
        assert entry.remedy == f"Sell it before the ex-date.{then}"

    def test_what_ends_today_takes_its_money_before_a_call_is_exercised(self):
        """60 C takes 6,000 of the 9,000 today."""
        book = (Held(1, 55, "call", HALF_DAY), Held(1, 60, "call", FRIDAY))
        entry = only(look(book, 9_000), AttentionKind.EARLY_EXERCISE)

        assert (
            "options buying power $9,000, $3,000 of it left by what else ends soon: short by $2,500"
            in entry.amounts
        )
        assert entry.remedy == "Sell it before the ex-date."

    def test_a_call_is_not_exercised_with_money_that_a_put_of_today_may_take(self):
        """At the price of now 60 P takes nothing; below it, 6,000 of the 9,000 dollars."""
        book = (Held(1, 55, "call", HALF_DAY), Held(-1, 60, "put", FRIDAY))
        entry = only(look(book, 9_000), AttentionKind.EARLY_EXERCISE)

        assert entry.remedy == (
            "Sell it before the ex-date. To exercise it would take money or shares that what else ends may need."
        )
        assert "Or exercise it before" in only(look(book, 11_500), AttentionKind.EARLY_EXERCISE).remedy

    def test_nor_where_a_call_of_today_takes_the_shares_that_it_would_bring(self):
        """Then nothing delivers into 60 C of next week, which the call itself does."""
        book = (Held(1, 55, "call", HALF_DAY), Held(-1, 60, "call", HALF_DAY), Held(-1, 50, "call", FRIDAY))
        long = next(
            one
            for one in of_kind(look(book, 40_000), AttentionKind.EARLY_EXERCISE)
            if one.symbols == (book[0].symbol,)
        )

        assert long.remedy.endswith("To exercise it would take money or shares that what else ends may need.")

    def test_a_partner_is_said_to_end_worthless_only_on_its_last_day(self):
        legs = [leg("short", 60, expiry=HALF_DAY), leg("long", 65, expiry=HALF_DAY)]
        book = [structure(*legs, symbol="KO")]
        prices: dict[str, tuple[float | None, float | None]] = {"KO": (KO - 0.01, KO + 0.01)}

        def words(at: str) -> str:
            return only(
                attention(book, live_at(at, prices, held=book)), AttentionKind.IN_THE_MONEY_SHORT
            ).what

        assert "Partner: KO 27 Nov 26 65 C, which is out of the money now." in words("2026-11-20 12:00")
        assert "Partner: KO 27 Nov 26 65 C, which is out of the money now." in words("2026-11-25 12:00")
        assert "Partner: KO 27 Nov 26 65 C, which ends worthless." in words("2026-11-27 12:00")


def _spy(book: list[PortfolioEntry], price: float, power: float) -> Attention:
    prices: dict[str, tuple[float | None, float | None]] = {"SPY": (price - 0.01, price + 0.01)}
    return attention(book, live_at("2026-11-20 14:30", prices, held=book, power=power))
