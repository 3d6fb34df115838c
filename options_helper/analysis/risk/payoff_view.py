"""One entry, or all that is held on one underlying, over the price of that underlying: at the end, today, and what if.

At the end the lines are exact (`payoff`), today and in a what-if they are the model's through today's marks
(`scenario`). All are profits: dollars less what was paid, or, where that is not known, less what it is worth now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import ceil, floor, log10
from typing import Final

import numpy as np

from options_helper.analysis.marks import Numbers
from options_helper.analysis.risk.book_values import BookFigures, LineRisk, price_line
from options_helper.analysis.risk.extremes import Extreme, Held
from options_helper.analysis.risk.payoff import Payoff
from options_helper.analysis.risk.probability import Chance, Outlook, expected_move, probability_of_profit
from options_helper.analysis.risk.scenario import Curve, ScenarioLines, curve, curve_at_first_end
from options_helper.analysis.risk.what_if import NOW, WhatIf

_POINTS: Final = 61
_NARROWEST: Final = 0.1  # of the price, to either side
_WIDEST: Final = 0.5
_BEYOND_STRIKES: Final = 0.04


@dataclass(frozen=True, slots=True)
class Subject:
    """What a payoff can be drawn of; `key` is the same at each refresh."""

    key: str
    name: str
    held: Held
    underlying: str


@dataclass(frozen=True, slots=True, eq=False)
class PayoffView:
    """Curves over m prices of the underlying; dollars, NaN where a curve is not known."""

    subject: Subject
    spot: float
    prices: Numbers  # (m,) dollars per share, ascending
    at_end: Numbers  # profit when the first of it expires; exact where `is_exact`
    today: Numbers
    elsewhere: Numbers | None  # in the what-if, its days, volatility and rate; None: nothing was asked
    now: float  # profit at the marks: the curve of today at the spot
    there: float | None  # profit in the what-if at its own price
    there_price: float | None
    is_exact: bool  # at the end a price alone decides
    end: date | None  # of the first contract; None: shares alone
    break_evens: tuple[float, ...]
    best: Extreme
    worst: Extreme
    worst_by_account: Extreme | None  # of an underlying where the account's quantities are others, and known
    is_from_cost: bool  # else from what it is worth now, as the cost is not known
    move: float | None  # one standard deviation of the price until the end, dollars to either side
    chance: Chance
    by_model: str  # "4 of 4 legs"
    notes: tuple[str, ...]  # sentences
    whose: str = "the account's"  # by whose quantities `worst_by_account` is


def subjects(book: BookFigures) -> tuple[Subject, ...]:
    """Each underlying with all that is held on it, and each entry with options on one underlying."""
    return (
        *(_of_underlying(held) for held in book.extremes.underlyings if _has_option(held)),
        *(
            Subject(f"e:{held.name}", _name_of_entry(held, book), held, held.lines[0].instrument.underlying)
            for held in book.extremes.entries
            if _has_option(held) and len({line.instrument.underlying for line in held.lines}) == 1
        ),
    )


def _of_underlying(held: Held) -> Subject:
    return Subject(f"u:{held.name}", f"{held.name}, all of it", held, held.name)


def _has_option(held: Held) -> bool:
    return any(line.instrument.is_option for line in held.lines)


def _name_of_entry(held: Held, book: BookFigures) -> str:
    return shortened([line.label for line in book.lines if line.position_id == held.name])


def shortened(labels: Iterable[str]) -> str:
    """An entry in words, from those of its lines."""
    found = list(dict.fromkeys(labels))
    more = f" and {len(found) - 2} more" if len(found) > 2 else ""
    return f"{' / '.join(found[:2])}{more}"


def payoff_view(book: BookFigures, subject: Subject, what_if: WhatIf = NOW) -> PayoffView | str:
    """The curves; or a sentence that says why there are none."""
    lines = [line for line in book.lines if _belongs(line, subject) and not line.has_ended]
    priced = price_line(lines)
    if priced is None or (spot := priced.spot) is None:
        return f"{subject.underlying} has no price yet, and without one there is nothing to draw."
    held = subject.held
    prices = _prices(spot, held)
    factors = prices / spot
    scenario = _scenario_of(book, subject)
    paid = None if held.basis is None else float(held.basis)
    today = curve(scenario, factors)
    basis = today.now if paid is None else paid
    payoff = held.payoff
    first = None if payoff is not None else curve_at_first_end(scenario, factors)
    is_exact = payoff is not None
    outlook = _outlook(scenario)
    there = None if what_if.is_now else curve(scenario, np.array([1.0]), what_if)
    beside = None if what_if.is_now else curve(scenario, factors, _without_spot(what_if))
    return PayoffView(
        subject=subject,
        spot=spot,
        prices=prices,
        at_end=_at_end(payoff, first, prices) - basis,
        today=today.worth - basis,
        elsewhere=None if beside is None else beside.worth - basis,
        now=today.now - basis,
        there=None if there is None else float(there.worth[0]) - basis,
        there_price=None if there is None else spot * (1 + what_if.spot_percent / 100),
        is_exact=is_exact,
        end=held.first_end,
        break_evens=_break_evens(payoff, basis, first, prices),
        best=held.best,
        worst=held.worst,
        worst_by_account=book.doubt.worst_of(subject.underlying) if subject.key.startswith("u:") else None,
        is_from_cost=paid is not None,
        move=expected_move(spot, outlook, None).simple,
        chance=probability_of_profit(held, outlook),
        by_model=today.words,
        notes=(
            *_doubts(lines, book),
            *_price_words(book, subject),
            *_notes(today, first, held),
            *(() if beside is None or not beside.at_floor else (_at_floor(beside),)),
            *_ended(book, subject),
        ),
        whose="each account's" if book.accounts else "the account's",
    )


def _belongs(line: LineRisk, subject: Subject) -> bool:
    if line.underlying != subject.underlying:
        return False
    return subject.key.startswith("u:") or line.position_id == subject.held.name


def _scenario_of(book: BookFigures, subject: Subject) -> ScenarioLines:
    """Its part of the book's scenario, which has the option lines in the book's order, and then the others."""
    options = [line for line in book.lines if line.iv_state is not None]
    others = [line for line in book.lines if line.iv_state is None]

    def places(lines: Sequence[LineRisk]) -> list[int]:
        return [n for n, line in enumerate(lines) if _belongs(line, subject) and not line.has_ended]

    return book.scenario.take(
        np.array(places(options), dtype=np.int64), np.array(places(others), dtype=np.int64)
    )


def _prices(spot: float, held: Held) -> Numbers:
    """Around a rounded price, so that the axis does not breathe, as wide as the strikes need; with each kink."""
    strikes = [float(line.instrument.strike) for line in held.lines if line.instrument.strike is not None]
    step = 10.0 ** floor(log10(spot)) / 20
    middle = round(spot / step) * step
    farthest = max((abs(strike / middle - 1) for strike in strikes), default=0.0) + _BEYOND_STRIKES
    width = ceil(20 * min(max(_NARROWEST, farthest), _WIDEST)) / 20
    low, high = middle * (1 - width), middle * (1 + width)
    kinks = [strike for strike in strikes if low < strike < high]
    if (payoff := held.payoff) is not None and held.basis is not None:
        kinks += [float(price) for price in payoff.break_evens(held.basis) if low < price < high]
    return np.unique(np.concatenate([np.linspace(low, high, _POINTS), kinks, [spot]]))


def _at_end(payoff: Payoff | None, first: Curve | None, prices: Numbers) -> Numbers:
    """Worth in dollars when the first of it expires."""
    if payoff is not None:
        return np.array([float(payoff.at(Decimal(str(price)))) for price in prices.tolist()])
    return np.full(len(prices), np.nan) if first is None else first.worth


def _break_evens(
    payoff: Payoff | None, basis: float, first: Curve | None, prices: Numbers
) -> tuple[float, ...]:
    """Exact where a price alone decides; else where the model's curve passes, between two drawn prices."""
    if payoff is not None:
        return tuple(float(price) for price in payoff.break_evens(Decimal(str(round(basis, 6)))))
    if first is None:
        return ()
    profit = first.worth - basis
    crossed = np.flatnonzero(np.sign(profit[:-1]) * np.sign(profit[1:]) < 0)
    slope = (profit[crossed + 1] - profit[crossed]) / (prices[crossed + 1] - prices[crossed])
    return tuple((prices[crossed] - profit[crossed] / slope).tolist())


def _without_spot(what_if: WhatIf) -> WhatIf:
    return WhatIf(0.0, what_if.vol_points, what_if.term_days, what_if.days, what_if.rate_points)


def _outlook(scenario: ScenarioLines) -> Outlook:
    """What the legs that end first say of the price then."""
    years = scenario.terms.years
    ahead = years[years > 0]
    first = np.flatnonzero(years == ahead.min()) if len(ahead) else np.zeros(0, dtype=np.int64)
    forwards = scenario.market.take(first).forward(years[first])
    return Outlook(
        forward=float(forwards[0]) if len(first) else None,
        years=float(ahead.min()) if len(ahead) else 0.0,
        strikes=scenario.terms.strike[first],
        volatilities=scenario.volatility[first],
    )


def _price_words(book: BookFigures, subject: Subject) -> Iterable[str]:
    """Where the price comes from, if not from its own quote or trade."""
    words = (one.spot_words for one in book.underlyings if one.symbol == subject.underlying)
    return filter(None, words)


def _doubts(lines: Sequence[LineRisk], book: BookFigures) -> Iterable[str]:
    """That the curves are of the file's quantities, where an account's are others."""
    by_account: dict[str | None, list[str]] = {}
    for line in lines:
        if line.quantity_in_doubt:
            by_account.setdefault(book.account_of(line.position_id), []).append(line.label)
    for account, labels in by_account.items():
        whose = "the account" if account is None else f"the account {account}"
        yield (
            f"Drawn is what the file holds; {whose} holds another quantity, or may, of "
            f"{', '.join(dict.fromkeys(labels))}."
        )


def _at_floor(there: Curve) -> str:
    return f"What if: a volatility is never below 0, where it stops for {', '.join(there.at_floor)}."


def _ended(book: BookFigures, subject: Subject) -> Iterable[str]:
    """What of it has ended, so that no curve has it."""
    ended = book.extremes.ended
    if not subject.key.startswith("u:"):
        return ended.of_entry(subject.held.name).sentences
    name = subject.underlying
    return (*ended.on(name).sentences, *book.doubt.ended_sentences(name))


def _notes(today: Curve, first: Curve | None, held: Held) -> Iterable[str]:
    if held.accounts > 1:
        yield (
            f"Most and least are those of {held.accounts} accounts, each as if it were alone, added up: what is held "
            "in one covers nothing in another. The curves are all of it at one price."
        )
    if today.by_intrinsic:
        yield f"Without a volatility, so at intrinsic value: {', '.join(today.by_intrinsic)}."
    if today.without_mark:
        yield f"Without a mark, so at what the model says: {', '.join(today.without_mark)}."
    if today.left_out:
        yield f"Not drawn: {'; '.join(today.left_out)}."
    if first is not None and held.why_no_payoff:
        yield (
            f"There is no payoff at one end: {held.why_no_payoff}. Drawn is the first one, with the legs that live on "
            "at what the model says with their volatilities of now; that is no promise."
        )
