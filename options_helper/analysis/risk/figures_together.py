"""The risk of several accounts as one: Greeks add up, and what is held in one account covers nothing in another.

A broker assigns, and asks for margin, account by account. So the worst of all together is the sum of each account's own
worst, and a call that is sold in one stays uncovered beside the shares of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from itertools import chain
from math import fsum
from typing import Any, TypeVar

import numpy as np
from msgspec import structs

from options_helper.analysis.marks import Numbers
from options_helper.analysis.risk.beta import BetaWeighted
from options_helper.analysis.risk.book_values import BookFigures, Profits, UnderlyingRisk
from options_helper.analysis.risk.extremes import (
    NO_BASIS,
    BookRisk,
    EndedLegs,
    Extreme,
    Held,
    Limit,
    added,
    sum_if_known,
)
from options_helper.analysis.risk.greeks import GreekSum, GreekSums
from options_helper.analysis.risk.quantity_doubt import QuantityDoubt
from options_helper.analysis.risk.scenario import ScenarioLines
from options_helper.analysis.risk.terms import CashDividends, Market, Terms

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """One account's, under the name that its user gave it."""

    account: str
    figures: BookFigures


def id_of(account: str, identity: str) -> str:
    """What an entry of an account is called among those of all: accounts may hold the same, under the same id."""
    return f"{account}/{identity}"


def figures_together(parts: Sequence[AccountFigures], unread: Sequence[str] = ()) -> BookFigures:
    """All of them as one book, entries under `id_of`; of the accounts that are `unread` nothing is known.

    There is at least one part. A sum without an unread account is not whole, and the worst is not known then. What the
    next look begins with (`computed`) stays each account's own; here it is the first one's.
    """
    of_all = [part.figures for part in parts]
    first = of_all[0]
    sums_by_entry = {
        id_of(part.account, name): sums for part in parts for name, sums in part.figures.sums_by_entry.items()
    }
    return BookFigures(
        as_of=first.as_of,
        lines=tuple(
            structs.replace(line, position_id=id_of(part.account, line.position_id))
            for part in parts
            for line in part.figures.lines
        ),
        underlyings=_underlyings(parts),
        sums=_summed([one.sums for one in of_all], unread),
        sums_by_entry=sums_by_entry,
        sums_by_expiry=_by_key([one.sums_by_expiry for one in of_all]),
        beta_weighted=_weighted([one.beta_weighted for one in of_all], unread),
        extremes=_extremes([(part.account, part.figures.extremes) for part in parts], unread),
        doubt=_doubt(parts, unread),
        profits=_profits(parts, unread),
        alarms=in_all_or_of(
            {part.account: part.figures.alarms for part in parts}, lambda account, said: f"{account}: {said}"
        ),
        computed=first.computed,
        scenario=_scenario([one.scenario for one in of_all]),
        accounts=tuple(part.account for part in parts),
    )


def in_all_or_of(said: Mapping[str, Sequence[T]], name: Callable[[str, T], T]) -> tuple[T, ...]:
    """What is said of every account, once; what is said of some, `name`d after the account, in the order of these."""
    everywhere = [one for one in next(iter(said.values()), ()) if all(one in of for of in said.values())]
    if len(said) < 2:
        everywhere = []
    return (
        *dict.fromkeys(everywhere),
        *dict.fromkeys(
            name(account, one)
            for account, all_said in said.items()
            for one in all_said
            if one not in everywhere
        ),
    )


def _summed(parts: Sequence[GreekSums], unread: Sequence[str]) -> GreekSums:
    joined = {
        name: GreekSum.joined([getattr(part, name) for part in parts]) for name in GreekSums.__struct_fields__
    }
    lacking = len(unread)
    return GreekSums(
        **{name: structs.replace(one, missing=one.missing + lacking) for name, one in joined.items()}
    )


def _by_key(parts: Sequence[Mapping[K, GreekSums]]) -> dict[K, GreekSums]:
    keys = dict.fromkeys(key for part in parts for key in part)
    return {key: _summed([part[key] for part in parts if key in part], ()) for key in keys}


def _underlyings(parts: Sequence[AccountFigures]) -> tuple[UnderlyingRisk, ...]:
    of_name: dict[str, list[tuple[str, UnderlyingRisk]]] = {}
    for part in parts:
        for one in part.figures.underlyings:
            of_name.setdefault(one.symbol, []).append((part.account, one))
    return tuple(_underlying(several) for several in of_name.values())


def _underlying(several: Sequence[tuple[str, UnderlyingRisk]]) -> UnderlyingRisk:
    if len(several) == 1:
        account, alone = several[0]
        return structs.replace(alone, ended=_named_legs(account, alone.ended))
    of_all = [one for _, one in several]
    # The price of the whole is of the first expiry that any account holds, as within one.
    priced = min(
        of_all,
        key=lambda one: (one.spot is None, one.spot_expiry is None, one.spot_expiry or date.max),
    )
    held = [(account, one.held) for account, one in several if one.held is not None]
    return structs.replace(
        priced,
        sums=_summed([one.sums for one in of_all], ()),
        held=_held_together(held),
        ended=EndedLegs(
            tuple(line for account, one in several for line in _named_legs(account, one.ended).lines)
        ),
        next_expiry=min((one.next_expiry for one in of_all if one.next_expiry is not None), default=None),
        pnl_today=_whole(one.pnl_today for one in of_all),
        unrealized=_whole(one.unrealized for one in of_all),
    )


def _held_together(several: Sequence[tuple[str, Held]]) -> Held | None:
    """What several accounts hold on one underlying; each account's own extremes, added up."""
    if len(several) < 2:
        return several[0][1] if several else None
    held = [one for _, one in several]
    lacking = dict.fromkeys(one.why_no_basis for one in held if one.basis is None)
    return Held(
        held[0].name,
        tuple(line for one in held for line in one.lines),
        sum_if_known(one.basis for one in held),
        _added([(account, one.least) for account, one in several]),
        _added([(account, one.most) for account, one in several]),
        "; ".join(lacking) or NO_BASIS,
        accounts=len(several),
    )


def _added(several: Sequence[tuple[str, Extreme]]) -> Extreme:
    """The sum; where it is no number, that of the gravest, with the account."""
    for limit in (Limit.UNDEFINED, Limit.UNLIMITED, Limit.UNKNOWN):
        if reasons := [f"{account}: {one.reason}" for account, one in several if one.limit is limit]:
            return Extreme(limit, reason="; ".join(reasons))
    return added(one for _, one in several)


def _extremes(parts: Sequence[tuple[str, BookRisk]], unread: Sequence[str]) -> BookRisk:
    of_name: dict[str, list[tuple[str, Held]]] = {}
    for account, part in parts:
        for one in part.underlyings:
            of_name.setdefault(one.name, []).append((account, one))
    underlyings = (_held_together(several) for several in of_name.values())
    not_known = [(account, Extreme(Limit.UNKNOWN, reason="what it holds is not known")) for account in unread]
    return BookRisk(
        entries=tuple(
            replace(one, name=id_of(account, one.name)) for account, part in parts for one in part.entries
        ),
        underlyings=tuple(one for one in underlyings if one is not None),
        worst=_added([*((account, part.worst) for account, part in parts), *not_known]),
        undefined=tuple(id_of(account, name) for account, part in parts for name in part.undefined),
        ended=EndedLegs(
            tuple(line for account, part in parts for line in _named_legs(account, part.ended).lines)
        ),
    )


def _named_legs(account: str, ended: EndedLegs) -> EndedLegs:
    return EndedLegs(tuple((id_of(account, name), line) for name, line in ended.lines))


def _doubt(parts: Sequence[AccountFigures], unread: Sequence[str]) -> QuantityDoubt:
    doubts = [part.figures.doubt for part in parts]
    by_account = None
    if any(one.by_account is not None for one in doubts):
        by_account = _extremes(
            [(part.account, part.figures.doubt.by_account or part.figures.extremes) for part in parts], unread
        )
    return QuantityDoubt(
        symbols=frozenset(chain.from_iterable(one.symbols for one in doubts)),
        labels=_once(one.labels for one in doubts),
        unread=_once(one.unread for one in doubts),
        account_only=_once(one.account_only for one in doubts),
        lacking=next((one.lacking for one in doubts if one.account_only), doubts[0].lacking),
        of_lines=_once(one.of_lines for one in doubts),
        underlyings=_once(one.underlyings for one in doubts),
        by_account=by_account,
    )


def _profits(parts: Sequence[AccountFigures], unread: Sequence[str]) -> Profits:
    of_all = [part.figures.profits for part in parts]

    def by_entry(name: str) -> dict[str, float | None]:
        return {
            id_of(part.account, identity): amount
            for part in parts
            for identity, amount in getattr(part.figures.profits, name).items()
        }

    def of_book(name: str) -> float | None:
        return None if unread else _whole(getattr(one, name) for one in of_all)

    return Profits(
        today=by_entry("today"),
        unrealized=by_entry("unrealized"),
        book_today=of_book("book_today"),
        today_reasons=in_all_or_of(
            {part.account: part.figures.profits.today_reasons for part in parts},
            lambda account, said: f"{account}: {said}",
        ),
        book_unrealized=of_book("book_unrealized"),
        book_natural=of_book("book_natural"),
        natural_lacks=tuple(
            id_of(part.account, name) for part in parts for name in part.figures.profits.natural_lacks
        ),
    )


def _weighted(parts: Sequence[BetaWeighted], unread: Sequence[str]) -> BetaWeighted:
    held = [one for one in parts if one.of]
    shares = [one.shares for one in held if one.counted]
    dollars = [one.dollars_per_percent for one in held if one.dollars_per_percent is not None]
    return BetaWeighted(
        index=parts[0].index,
        shares=_whole(shares) if shares or not held else None,
        dollars_per_percent=fsum(dollars) if dollars or not held else None,
        counted=sum(one.counted for one in parts),
        of=sum(one.of for one in parts) + len(unread),
        missing=(
            *_once(one.missing for one in parts),
            *(f"What the account {account} holds is not known." for account in unread),
        ),
        bounds=_once(one.bounds for one in parts),
        share_ends=_ends((one.shares, one.share_ends) for one in held if one.counted),
        dollar_ends=_ends((one.dollars_per_percent, one.dollar_ends) for one in held),
    )


def _ends(parts: Iterable[tuple[float | None, tuple[float, float] | None]]) -> tuple[float, float] | None:
    """Between what the sum of these amounts lies, of which some have ends; None: none has, or one is not known."""
    each = [(amount, ends) for amount, ends in parts]
    if not any(ends for _, ends in each) or any(amount is None for amount, _ in each):
        return None
    known = [ends or (amount or 0.0, amount or 0.0) for amount, ends in each]
    return fsum(low for low, _ in known), fsum(high for _, high in known)


def _scenario(parts: Sequence[ScenarioLines]) -> ScenarioLines:
    """The legs of one after those of the other, as the lines are."""
    markets = [one.market for one in parts]
    return ScenarioLines(
        labels=tuple(label for one in parts for label in one.labels),
        terms=Terms(
            *(np.concatenate([getattr(one.terms, field.name) for one in parts]) for field in fields(Terms))
        ),
        market=Market(
            spot=np.concatenate([one.spot for one in markets]),
            rate=np.concatenate([one.rate for one in markets]),
            carry=np.concatenate([one.carry for one in markets]),
            dividends=_dividends([one.dividends for one in markets]),
        ),
        volatility=np.concatenate([one.volatility for one in parts]),
        mark=np.concatenate([one.mark for one in parts]),
        slope=np.concatenate([one.slope for one in parts]),
        share_labels=tuple(label for one in parts for label in one.share_labels),
        share_worth=np.concatenate([one.share_worth for one in parts]),
    )


def _dividends(parts: Sequence[CashDividends]) -> CashDividends:
    most = max(len(one.years) for one in parts)

    def filled(values: Numbers) -> Numbers:
        return np.concatenate([values, np.zeros((most - len(values), values.shape[1]))])

    return CashDividends(
        np.concatenate([filled(one.years) for one in parts], axis=1),
        np.concatenate([filled(one.amounts) for one in parts], axis=1),
    )


def _whole(amounts: Iterable[float | None]) -> float | None:
    """The sum; None while one is not known."""
    found = list(amounts)
    known = [one for one in found if one is not None]
    return fsum(known) if len(known) == len(found) else None


def _once(several: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(several)))
