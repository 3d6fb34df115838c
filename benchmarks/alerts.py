"""CPU of judging 1,000 rules over 250 legs, at each snapshot: against the look at the same book that a refresh takes.

Of the rules 850 name a leg each, 40 an underlying, 100 the book, and 10 are about each leg; every figure is asked for.
The look is one at which each quote has moved since the look before. Beside it: what the figures take, what the judging
takes, and a snapshot at which every rule about a single thing fires.

Reach: figures and judging together take at most half of the look; the judging alone a fifth.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType

from tables import AS_OF, UNDERLYINGS, singles, snapshot_of

from options_helper.analysis.alerts.evaluator import evaluate
from options_helper.analysis.alerts.figures import book_readings
from options_helper.analysis.book_look import BookLook, look_at_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.model.alerts import (
    ALWAYS,
    FIGURES,
    Elapsed,
    Operator,
    Rule,
    RuleState,
    Subject,
    SubjectKind,
)
from options_helper.model.events import Quote
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot

LEGS = 250
ROUNDS = 15
AT_ONCE = Elapsed(0.0)
WHOLE_REACH = 0.5
JUDGING_REACH = 0.2


def rules_for(portfolio: Portfolio) -> tuple[Rule, ...]:
    """A thousand of them that are never met: levels that nothing reaches."""
    symbols = [one.live_symbol for one in portfolio.instruments]

    def figures(kind: SubjectKind) -> list[str]:
        numbers = ("buying_power", "fills", "phase")
        return [name for name, one in FIGURES.items() if kind in one.subjects and name not in numbers]

    of_leg, of_underlying, of_book = map(figures, (SubjectKind.LEG, SubjectKind.UNDERLYING, SubjectKind.BOOK))
    wanted = [
        *((Subject(SubjectKind.LEG, symbols[n % LEGS]), of_leg[n % len(of_leg)]) for n in range(850)),
        *(
            (Subject(SubjectKind.UNDERLYING, UNDERLYINGS[n]), of_underlying[n % len(of_underlying)])
            for n in range(40)
        ),
        *((Subject(SubjectKind.BOOK, ""), of_book[n % len(of_book)]) for n in range(100)),
        *((Subject(SubjectKind.LEG), of_leg[n % len(of_leg)]) for n in range(10)),
    ]
    return tuple(
        Rule(str(n), subject, figure, Operator.ABOVE, 1e9, hours=ALWAYS, unknown_seconds=1e9)
        for n, (subject, figure) in enumerate(wanted)
    )


def moved(live: LiveSnapshot, by: float) -> LiveSnapshot:
    """Every quote of a contract so many cents higher, a second later."""

    def higher(quote: Quote) -> Quote:
        bid, ask = quote.bid_price, quote.ask_price
        return Quote(
            symbol=quote.symbol,
            timestamp=quote.timestamp,
            received_ns=quote.received_ns,
            bid_price=None if bid is None else bid + by,
            ask_price=None if ask is None else ask + by,
        )

    quotes = MappingProxyType({symbol: higher(quote) for symbol, quote in live.quotes.items()})
    return replace(live, quotes=quotes, as_of=live.as_of + timedelta(seconds=1))


def look_at(portfolio: Portfolio, live: LiveSnapshot, earlier: BookLook | None = None) -> BookLook:
    """As the page does it."""
    return look_at_book(
        portfolio, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25, earlier=earlier
    )


def milliseconds(act: Callable[[], object]) -> float:
    """The CPU that it takes."""
    began = time.process_time()
    act()
    return 1_000 * (time.process_time() - began)


def main() -> None:
    """Print the figures and end with 1 where the reach is missed."""
    portfolio = singles(LEGS)
    live = snapshot_of(portfolio)
    rules = rules_for(portfolio)
    met = tuple(replace(rule, operator=Operator.BELOW) for rule in rules)
    lives = (live, moved(live, 0.01))
    looks = [look_at(portfolio, one) for one in lives]
    spent: dict[str, list[float]] = {name: [] for name in ("look", "figures", "judging", "all fire")}
    states: Mapping[str, RuleState] = {}
    readings = book_readings(rules, portfolio, live, looks[0])
    armed = evaluate(rules, readings, {}, at=AS_OF, now=AS_OF, elapsed=AT_ONCE).states
    # The same conditions, known and armed, under the names that the rules that are met have.
    firing = {
        f"{new.key}{key.removeprefix(old.key)}": replace(armed[key], is_armed=True, is_known=True)
        for old, new in zip(rules, met, strict=True)
        for key in ([f"{old.key}; {old.subject.name}"] if old.subject.name is not None else [])
        if key in armed
    }
    for round_ in range(ROUNDS):
        now = round_ % 2
        observe = partial(book_readings, rules, portfolio, lives[now], looks[now])
        readings = observe()
        states = evaluate(rules, readings, states, at=AS_OF, now=AS_OF, elapsed=AT_ONCE).states
        acts: dict[str, Callable[[], object]] = {
            "look": partial(look_at, portfolio, lives[now], looks[1 - now]),
            "figures": observe,
            "judging": partial(evaluate, rules, readings, states, at=AS_OF, now=AS_OF, elapsed=AT_ONCE),
            "all fire": partial(evaluate, met, readings, firing, at=AS_OF, now=AS_OF, elapsed=AT_ONCE),
        }
        for name, act in acts.items():
            spent[name].append(milliseconds(act))
    fired = len(evaluate(met, readings, firing, at=AS_OF, now=AS_OF, elapsed=AT_ONCE).firings)
    middle = {name: statistics.median(times) for name, times in spent.items()}
    whole = (middle["figures"] + middle["judging"]) / middle["look"]
    judging = middle["judging"] / middle["look"]
    print(f"{len(rules):,} rules, {len(states):,} conditions, {LEGS} legs")
    for name, took in middle.items():
        print(f"{name:9} {took:7.2f} ms  {took / middle['look']:5.2f} of the look")
    print(f"{fired:,} fired at once")
    print(f"figures and judging: {whole:.2f} of the look, at most {WHOLE_REACH}")
    print(f"judging alone: {judging:.2f}, at most {JUDGING_REACH}")
    if whole > WHOLE_REACH or judging > JUDGING_REACH:
        sys.exit("the reach is missed")


if __name__ == "__main__":
    main()
