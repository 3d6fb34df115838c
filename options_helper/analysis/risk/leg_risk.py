"""From inputs to volatility and Greeks of all legs, look after look: only what moved is computed, within a budget.

The result of one look goes into the next, so nothing is kept here. A leg moved when its quote, its partner's, the spot,
the rate, the carry, a dividend or the minute did. Legs that need the lattice and for which the budget does not suffice
keep their figures, and the age of these; those whose figures are oldest come first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np

from options_helper.analysis.marks import Flags, Integers, Numbers
from options_helper.analysis.risk.implied_volatility import (
    ImpliedVolatility,
    OptionQuotes,
    VolatilityReason,
    implied_volatility,
    with_partners,
)
from options_helper.analysis.risk.inversion import LEAST_VEGA, Solution, european_vega, solve
from options_helper.analysis.risk.pricing import (
    Market,
    PerShareGreeks,
    Terms,
    can_be_priced,
    greeks,
    needs_lattice,
)

T = TypeVar("T")

_MINUTES_A_YEAR: Final = 525_600
# Legs of the lattice in one look; a thousand take some 50 ms.
DEFAULT_BUDGET: Final = 500


@dataclass(frozen=True, slots=True, eq=False)
class LegInputs:
    """What is known of n legs at one look."""

    keys: tuple[str, ...]  # which leg is which from look to look; each once
    terms: Terms
    market: Market
    quotes: OptionQuotes
    # Spot and years to settlement when the quote was made, which say its volatility: in the session those of now, after
    # it those of the close. The Greeks are of now, so that overnight time passes and a volatility stays what it was.
    quoted_spot: Numbers
    quoted_years: Numbers
    as_of: Numbers  # when the oldest of the leg's inputs was so, in epoch seconds
    # Of the other type at the same strike and expiry, NaN where none was asked for; and as in "180 put".
    partners: OptionQuotes
    partner_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LegRisk:
    """The figures of the legs of one look, and what the next begins with."""

    keys: tuple[str, ...]
    volatility: ImpliedVolatility
    greeks: PerShareGreeks
    as_of: Numbers  # of the oldest input of each leg's figures, epoch seconds
    is_waiting: Flags  # its inputs moved since, and the budget did not suffice
    computed: int  # legs that this look computed
    fingerprint: Numbers  # (m, n), what the figures are of


def refresh(inputs: LegInputs, earlier: LegRisk | None = None, budget: int = DEFAULT_BUDGET) -> LegRisk:
    """The figures of all legs; `budget` is how many legs that have figures already may go through the lattice."""
    now = _fingerprint(inputs)
    if earlier is None or not earlier.keys:
        everything = np.arange(len(inputs.keys))
        volatility, per_share = _compute(inputs, everything, None)
        return LegRisk(
            inputs.keys,
            volatility,
            per_share,
            inputs.as_of,
            np.zeros(len(everything), dtype=bool),
            len(everything),
            now,
        )
    places = _places(inputs.keys, earlier.keys)
    known = places >= 0
    moved = ~known
    moved[known] = ~np.all(_same(now[:, known], earlier.fingerprint[:, places[known]]), axis=0)
    chosen = _within_budget(moved, known, _ages_first(earlier, places), inputs, budget)
    kept = ~chosen
    legs = np.flatnonzero(chosen)
    old = places[kept]
    waiting = moved & kept
    as_of = inputs.as_of.copy()
    as_of[waiting] = earlier.as_of[places[waiting]]
    now[:, waiting] = earlier.fingerprint[:, places[waiting]]
    volatility, per_share = taken(earlier.volatility, places), taken(earlier.greeks, places)
    if legs.size:
        fresh = _compute(inputs, legs, _start(earlier.volatility.solution, places[legs]))
        volatility = _joined(fresh[0], legs, earlier.volatility, old, kept)
        per_share = _joined(fresh[1], legs, earlier.greeks, old, kept)
    return LegRisk(
        inputs.keys,
        volatility,
        per_share,
        as_of,
        waiting,
        len(legs),
        now,
    )


def _compute(
    inputs: LegInputs, legs: Integers, earlier: Solution | None
) -> tuple[ImpliedVolatility, PerShareGreeks]:
    """Volatility and Greeks of some of the legs."""
    found = implied_volatility(*_when_quoted(inputs, legs), inputs.quotes.take(legs), earlier=earlier)
    asked = np.flatnonzero(~found.is_known & ~np.isnan(inputs.partners.mid[legs]))
    if asked.size:
        found = _asked_of_partners(found, inputs, legs, asked)
    bounded, highest = _bounded_by_ask(found, inputs, legs)
    each = np.concatenate([legs, legs[bounded]])
    # Those of the bounds as so many more legs: a pass over few costs hardly more than one over none.
    of_all = greeks(
        inputs.terms.take(each), inputs.market.take(each), np.concatenate([found.volatility, highest])
    )
    own = np.arange(len(legs))
    bound = found.delta_bound.copy()
    bound[bounded] = of_all.delta[len(legs) :]
    per_share = taken(of_all, own)
    sharpened = _sharpened(found, *_of_now(inputs, legs), per_share)
    return replace(found, delta_bound=bound, solution=sharpened), per_share


def _bounded_by_ask(found: ImpliedVolatility, inputs: LegInputs, legs: Integers) -> tuple[Integers, Numbers]:
    """Worthless legs out of the money, by their place in `found`, with the volatility that the ask allows.

    Nobody bids for them, or a cent is so much of them that no volatility can be read from it. Their delta grows with
    the volatility.
    """
    (terms, market), quotes = _of_now(inputs, legs), inputs.quotes.take(legs)
    may_be = (terms.sign * (market.spot - terms.strike) < 0) & (quotes.ask > 0)
    highest = np.where(found.reason == VolatilityReason.NO_BID, found.solution.volatility, np.nan)
    cent = np.flatnonzero(may_be & (found.reason == VolatilityReason.LOW_VEGA))
    if cent.size:
        some = legs[cent]
        by_ask = solve(*_when_quoted(inputs, some), quotes.ask[cent], quotes.tick[cent], None)
        highest[cent] = by_ask.volatility
    bounded = np.flatnonzero(may_be & (highest >= 0))  # a comparison with NaN is false
    return bounded, highest[bounded]


def _of_now(inputs: LegInputs, legs: Integers) -> tuple[Terms, Market]:
    """Terms and market of some of the legs, each once and in their order; of all of them nothing is copied."""
    if len(legs) == len(inputs.keys):
        return inputs.terms, inputs.market
    return inputs.terms.take(legs), inputs.market.take(legs)


def _when_quoted(inputs: LegInputs, legs: Integers) -> tuple[Terms, Market]:
    """Terms and market of when the quotes of some of the legs were made; what has ended by now has ended."""
    terms, market = _of_now(inputs, legs)
    years = np.where(terms.years > 0, inputs.quoted_years[legs], terms.years)
    return replace(terms, years=years), replace(market, spot=inputs.quoted_spot[legs])


def _sharpened(found: ImpliedVolatility, terms: Terms, market: Market, per_share: PerShareGreeks) -> Solution:
    """The solution with the vega that the Greeks found: what the next search begins with is not of long ago."""
    own = found.solution.volatility
    as_if_european = european_vega(terms, market, own)
    is_own = (found.volatility == own) & (as_if_european > LEAST_VEGA)
    ratio = np.divide(per_share.vega, as_if_european, out=found.solution.vega_ratio.copy(), where=is_own)
    return Solution(own, ratio, found.solution.european)


def _asked_of_partners(
    found: ImpliedVolatility, inputs: LegInputs, legs: Integers, asked: Integers
) -> ImpliedVolatility:
    """The volatilities of `legs`, the `asked` ones among them (by their place in `found`) rescued where they can be."""
    some = legs[asked]
    terms, market = _when_quoted(inputs, some)
    others = replace(terms, is_call=~terms.is_call)
    partner = implied_volatility(others, market, inputs.partners.take(some))
    names = [inputs.partner_names[leg] for leg in some.tolist()]
    rescued = with_partners(taken(found, asked), partner, terms, market, names)
    rest = np.ones(len(legs), dtype=bool)
    rest[asked] = False
    return _joined(rescued, asked, found, np.flatnonzero(rest), rest)


def _fingerprint(inputs: LegInputs) -> Numbers:
    """What a leg's figures are of, (m, n); dividends by amount and by how long before the leg's end they are."""
    terms, market, quotes, partners = inputs.terms, inputs.market, inputs.quotes, inputs.partners
    minutes = np.floor(terms.years * _MINUTES_A_YEAR)
    paid = market.dividends.until(terms.years)
    before_end = np.round((terms.years - market.dividends.years) * _MINUTES_A_YEAR)
    return np.array(
        [
            quotes.bid,
            quotes.ask,
            quotes.mid,
            quotes.tick,
            partners.bid,
            partners.ask,
            partners.mid,
            inputs.quoted_spot,
            np.floor(inputs.quoted_years * _MINUTES_A_YEAR),
            market.spot,
            market.rate,
            market.carry,
            paid.sum(axis=0),
            np.sum(paid * before_end, axis=0),
            terms.strike,
            terms.is_call,
            terms.is_american,
            minutes,
        ]
    )


def _same(one: Numbers, other: Numbers) -> Flags:
    same: Flags = (one == other) | (np.isnan(one) & np.isnan(other))
    return same


def _places(keys: tuple[str, ...], earlier: tuple[str, ...]) -> Integers:
    """Where each leg stood in the earlier look, -1 for nowhere."""
    known = {key: place for place, key in enumerate(earlier)}
    return np.array([known.get(key, -1) for key in keys], dtype=np.int64)


def _ages_first(earlier: LegRisk, places: Integers) -> Numbers:
    """By when each leg's figures were so: what has none comes before all."""
    as_of = np.full(len(places), -np.inf)
    known = places >= 0
    as_of[known] = earlier.as_of[places[known]]
    return as_of


def _within_budget(moved: Flags, known: Flags, as_of: Numbers, inputs: LegInputs, budget: int) -> Flags:
    """Which legs are computed: all that cost nearly nothing or have no figures yet, and the oldest of the others."""
    possible = can_be_priced(inputs.terms, inputs.market)
    costs: Flags = moved & known & possible & needs_lattice(inputs.terms, inputs.market)
    costly = np.flatnonzero(costs)
    chosen = moved & ~costs
    chosen[costly[np.argsort(as_of[costly], kind="stable")[:budget]]] = True
    return chosen


def _start(earlier: Solution, places: Integers) -> Solution:
    """What the search of these legs begins with, NaN for a leg without an earlier look."""

    def of(values: Numbers) -> Numbers:
        return np.where(places >= 0, np.append(values, np.nan)[places], np.nan)

    return Solution(of(earlier.volatility), of(earlier.vega_ratio), of(earlier.european))


def taken(values: T, legs: Integers) -> T:
    """Some of the legs of a value whose fields are arrays, one element a leg, or values like it."""
    parts = (getattr(values, field.name) for field in fields(values))  # type: ignore[arg-type]
    return type(values)(*(taken(part, legs) if is_dataclass(part) else part[legs] for part in parts))


def _joined(fresh: T, at: Integers, earlier: T, places: Integers, kept: Flags) -> T:
    """A value of all legs: `fresh` for those `at`, and for the `kept` ones the earlier, which stood in `places`."""

    def join(new: Any, old: Any) -> Any:
        if is_dataclass(new):
            return _joined(new, at, old, places, kept)
        whole = np.empty(len(kept), dtype=new.dtype)
        whole[at], whole[kept] = new, old[places]
        return whole

    names = [field.name for field in fields(fresh)]  # type: ignore[arg-type]
    return type(fresh)(*(join(getattr(fresh, name), getattr(earlier, name)) for name in names))
