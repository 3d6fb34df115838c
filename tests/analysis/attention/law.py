"""The law of a remedy, computed by the tests' own means: what a closing leaves, held against doing nothing.

Calls, puts and shares sold short without cover, the greatest loss of what ends together, and the shares and dollars
that are missing at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from options_helper.analysis.attention.assess import Attention
from options_helper.model.contract_records import ContractRecord, Deliverable
from options_helper.model.portfolio import PortfolioEntry
from tests.analysis.attention.world import attention, dividend, live_at, sold_since
from tests.kit.builders import holding, leg, portfolio, position, share_leg, structure

KO, MONDAY, DECEMBER = 62.22, date(2026, 11, 23), date(2026, 12, 18)
PRICES = [0.0, *(n / 4 + 0.1 for n in range(400)), 1_000.0]


@dataclass(frozen=True)
class Held:
    """So many contracts, or so many shares where there is no strike; sold where negative."""

    count: float
    strike: float = 0.0
    kind: str = "shares"
    ends: date = date.max
    root: str = "KO"  # "KO1": adjusted, each contract is 110 shares for a hundred times its strike

    @property
    def symbol(self) -> str:
        if self.kind == "shares":
            return "KO"
        return f"{self.root}{self.ends:%y%m%d}{self.kind[0].upper()}{round(self.strike * 1000):08d}"

    @property
    def label(self) -> str:
        if self.kind == "shares":
            return "KO shares sold short"
        return f"{self.root} {self.ends.day} {self.ends:%b %y} {self.strike:g} {self.kind[0].upper()}"

    @property
    def size(self) -> int:
        """Shares of each."""
        return 1 if self.kind == "shares" else 110 if self.root == "KO1" else 100

    @property
    def a_share(self) -> float:
        """Its strike for each share that it delivers."""
        return self.strike * 100 / self.size

    @property
    def units(self) -> float:
        return self.count * self.size

    def inside(self, price: float) -> float:
        return price - self.a_share if self.kind == "call" else self.a_share - price

    def worth(self, price: float) -> float:
        return self.units * max(0.0, self.inside(price))

    def delivered(self, price: float) -> tuple[float, float]:
        """Shares and dollars that its end at that price brings."""
        bought = self.units if self.kind == "call" else -self.units
        return (bought, -bought * self.a_share) if self.inside(price) >= 0.01 else (0.0, 0.0)


Book = tuple[Held, ...]


def closed(book: Book, counts: Mapping[str, float]) -> Book:
    """What is left after so much of it was closed."""
    left = []
    for one in book:
        gone = min(abs(one.count), counts.get(one.symbol, 0.0))
        left.append(replace(one, count=one.count - gone if one.count > 0 else one.count + gone))
    return tuple(left)


def naked(book: Book, ends: date) -> float:
    """Shares of calls, and shares, that are sold at that day's end beyond what is held."""
    return max(0.0, -sum(one.units for one in book if one.kind != "put" and one.ends >= ends))


def naked_puts(book: Book, ends: date) -> float:
    """Shares of puts sold until that day beyond what is held as long, and beyond the shares that are sold short.

    What such a put loses in a fall those shares win.
    """
    sold = -sum(one.units for one in book if one.kind == "put" and one.ends == ends)
    longer = sum(one.units for one in book if one.kind == "put" and one.count > 0 and one.ends > ends)
    return max(0.0, sold - longer - short(book))


def short(book: Book, brought: float = 0.0) -> float:
    """Shares that are sold short once so many came."""
    return max(0.0, -brought - sum(one.count for one in book if one.kind == "shares"))


def greatest_loss(book: Book, ends: date) -> float:
    """Of what ends that day, from 0 to the last strike; that it has no end above is told by `naked`."""
    strikes = [one.a_share for one in book if one.ends == ends]
    return max(
        0.0, *(-sum(one.worth(price) for one in book if one.ends == ends) for price in (0.0, *strikes))
    )


def missing(book: Book, ends: date, price: float, shares: float, money: float) -> tuple[float, float]:
    brought = [one.delivered(price) for one in book if one.ends == ends]
    return (
        max(0.0, -shares - sum(of for of, _ in brought)),
        max(0.0, -money - sum(dollars for _, dollars in brought)),
    )


def free(book: Book, ends: date) -> float:
    """Shares that no call needs which ends another day."""
    held = sum(one.count for one in book if one.kind == "shares")
    calls = sum(one.units for one in book if one.kind == "call" and one.ends != ends)
    return max(0.0, held - max(0.0, -calls))


def worse(
    before: Book,
    counts: Mapping[str, float],
    ends: date,
    money: float,
    aside: Callable[[float], float] = lambda price: 0.0,
    *,
    prices: Sequence[float] = PRICES,
    counts_bought: bool = False,
) -> str:
    """In what closing so much leaves more than doing nothing does; empty: in nothing.

    With `counts_bought` a dollar that is missing is none where shares are missing no longer that would have cost it,
    at the lowest price at which the same is exercised.
    """
    after, shares = closed(before, counts), free(before, ends)
    # What closing the sold ones ends of uncovered calls is not there to be spent again.
    sold = {one.symbol: counts[one.symbol] for one in before if one.count < 0 and one.symbol in counts}
    for day in {one.ends for one in before}:
        if naked(after, day) > naked(closed(before, sold), day):
            return f"naked until {day}"
    if greatest_loss(after, ends) > greatest_loss(before, ends) + 1e-6:
        return "loss"
    # Puts that cover each other are in the greatest loss; shares that are sold short stand behind those of any day.
    for day in {one.ends for one in before if one.kind == "put" and counts.get("KO")}:
        if naked_puts(after, day) > naked_puts(before, day):
            return f"naked puts until {day}"
    for price in prices:
        there = money + aside(price)
        had, has = (missing(book, ends, price, shares, there) for book in (before, after))
        if counts_bought:
            passed = (one.a_share for one in before if one.ends == ends and one.a_share <= price)
            had = had[0], had[1] + max(0.0, had[0] - has[0]) * max(passed, default=0.0)
        if any(more > less + 1e-6 for more, less in zip(has, had, strict=True)):
            return f"missing at {price}: {had} to {has}"
        # An assignment of puts buys back shares that are sold short, and nothing is short after it.
        puts = (
            [one for one in book if one.kind != "call" and one.ends in (ends, date.max)]
            for book in (before, after)
        )
        left = [
            short(tuple(book), sum(one.delivered(price)[0] for one in book if one.kind == "put"))
            for book in puts
        ]
        if short(before) and left[1] > left[0]:
            return f"short at {price}: {left[0]} to {left[1]}"
    return ""


def entries_of(book: Book) -> list[PortfolioEntry]:
    return [entry_of(one) for one in book if one.count]


def entry_of(one: Held) -> PortfolioEntry:
    if one.kind == "shares":
        return holding("KO", one.count)
    return position(
        one.root,
        one.strike,
        one.kind,  # type: ignore[arg-type]
        contracts=round(one.count),
        expiry=one.ends,
        identity=one.symbol,
        multiplier=100 if one.root == "KO1" else None,
    )


def structure_of(book: Book, identity: str) -> PortfolioEntry:
    """The same as one entry."""
    legs = (
        share_leg("long" if one.count > 0 else "short", abs(one.count))
        if one.kind == "shares"
        else leg(
            "long" if one.count > 0 else "short",
            one.strike,
            one.kind,  # type: ignore[arg-type]
            contracts=round(abs(one.count)),
            expiry=one.ends,
            **({"symbol": "KO1", "multiplier": 100} if one.root == "KO1" else {}),
        )
        for one in book
        if one.count
    )
    return structure(*legs, symbol="KO", identity=identity)


def records_of(book: Book) -> tuple[ContractRecord, ...]:
    """What Alpaca says of those that are adjusted."""
    return tuple(
        ContractRecord(symbol=one.symbol, deliverables=(Deliverable("KO", Decimal(110)),))
        for one in book
        if one.root == "KO1"
    )


def bid_of(one: Held) -> float:
    """A cent above what exercising brings, a point of the contract."""
    return round(max(0.0, one.inside(KO)) * one.size / 100 + 0.01, 2)


def look(
    book: Book,
    money: float | None,
    *,
    account: Book | None = None,
    is_aside_known: bool = False,
    entries: list[PortfolioEntry] | None = None,
) -> Attention:
    """With quotes of all of it, each a line of its own unless `entries` are given.

    The account holds the same, unless another book is given.
    """
    held = entries_of(book) if entries is None else entries
    theirs = None if account is None else portfolio(*entries_of(account))
    prices: dict[str, tuple[float | None, float | None]] = {"KO": (KO - 0.01, KO + 0.01)}
    for one in (*book, *(account or ())):
        if one.kind != "shares":
            prices[one.symbol] = (bid_of(one), round(bid_of(one) + 0.02, 2))
    live = live_at(
        "2026-11-20 14:30",
        prices,
        held=held,
        account=theirs,
        power=money,
        actions=[dividend("KO", MONDAY, 0.5)],
        records=records_of((*book, *(account or ()))),
    )
    return attention(held, live if is_aside_known else sold_since(live, "KO"))
