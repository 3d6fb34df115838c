"""What is said of several accounts' books, as of one: rows side by side, and sums that say which account they lack.

The accounts' prices are the same, and quantities are never netted: what two accounts hold of one contract is two rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache, partial
from math import fsum
from types import MappingProxyType
from typing import Any, Final, TypeVar

import numpy as np

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.entries import AttentionKind, Entry, in_order
from options_helper.analysis.book_look import BookLook
from options_helper.analysis.columns import ACCOUNT_COLUMN
from options_helper.analysis.holdings import Holdings
from options_helper.analysis.risk.figures_together import (
    AccountFigures,
    figures_together,
    id_of,
    in_all_or_of,
)
from options_helper.analysis.row_table import LateColumns, RowTable
from options_helper.analysis.totals import Carried, LiveTotals, Tally
from options_helper.model.portfolio import Portfolio, PortfolioEntry

T = TypeVar("T")

_TALLIES: Final = (
    "pnl",
    "pnl_natural",
    "at_mark",
    "at_natural",
    "opened_for",
    "long_premium",
    "day",
    "day_realized",
    "day_unrealized",
)


@dataclass(frozen=True, slots=True)
class AccountLook:
    """One account's book, under the name that its user gave it, and what is said of it."""

    account: str
    portfolio: Portfolio
    look: BookLook


class _Same:
    """Portfolios by name that equal others where they are the very same objects: comparing contents takes long."""

    def __init__(self, parts: Sequence[tuple[str, Portfolio]]) -> None:
        self.parts = tuple(parts)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Same)
            and len(self.parts) == len(other.parts)
            and all(
                one == its and held is theirs
                for (one, held), (its, theirs) in zip(self.parts, other.parts, strict=True)
            )
        )

    def __hash__(self) -> int:
        return hash(tuple((name, id(held)) for name, held in self.parts))


def portfolio_together(parts: Sequence[tuple[str, Portfolio]]) -> Portfolio:
    """Everything that these accounts hold, entries under `id_of`; cash where each of them says how much it has.

    Of the very same portfolios it is the same object again.
    """
    return _portfolio(_Same(parts))


@lru_cache(maxsize=8)  # asked at each refresh; a portfolio never changes
def _portfolio(same: _Same) -> Portfolio:
    parts = same.parts
    entries: list[PortfolioEntry] = [
        entry.changed(id=id_of(account, entry.id)) for account, held in parts for entry in held.positions
    ]
    return Portfolio(positions=tuple(entries), cash=_whole(held.cash for _, held in parts))


def look_together(parts: Sequence[AccountLook], unread: Sequence[str] = ()) -> BookLook:
    """All of it as one look, of one part at least; of `unread` accounts nothing is known, so no sum is whole then."""
    return BookLook(
        positions=_rows([(one.account, one.look.positions) for one in parts]),
        structures=_rows([(one.account, one.look.structures) for one in parts]),
        legs=_rows([(one.account, one.look.legs) for one in parts]),
        totals=_totals([(one.account, one.look.totals) for one in parts], unread),
        risk=figures_together([AccountFigures(one.account, one.look.risk) for one in parts], unread),
        attention=_attention([(one.account, one.look.attention) for one in parts], unread),
    )


def _rows(parts: Sequence[tuple[str, RowTable]]) -> RowTable:
    """The rows of all, with whose they are; an id is unique among them."""
    first = parts[0][1]
    # Made when they are read, as those of each account are.
    columns: dict[str, Any] = {name: partial(_column, name, parts) for name in first.kinds}
    columns[ACCOUNT_COLUMN.name] = [account for account, table in parts for _ in range(len(table))]
    return RowTable(
        tuple(id_of(account, one) for account, table in parts for one in table.identities),
        {**first.kinds, ACCOUNT_COLUMN.name: ACCOUNT_COLUMN.kind},
        LateColumns(columns),
    )


def _column(name: str, parts: Sequence[tuple[str, RowTable]]) -> Any:
    if name in ("id", "position_id"):
        return [id_of(account, one) for account, table in parts for one in table[name]]
    columns = [table[name] for _, table in parts]
    if all(isinstance(values, np.ndarray) for values in columns):
        return np.concatenate(columns)
    return [value for values in columns for value in values]


def _totals(parts: Sequence[tuple[str, LiveTotals]], unread: Sequence[str]) -> LiveTotals:
    of_all = [totals for _, totals in parts]
    reasons = in_all_or_of(
        {account: totals.day_reasons for account, totals in parts}, lambda account, said: f"{account}: {said}"
    )
    return LiveTotals(
        **{name: _tally([getattr(one, name) for one in of_all], unread) for name in _TALLIES},
        holdings=_holdings([(account, totals.holdings) for account, totals in parts], unread),
        closed_today=_once(one.closed_today for one in of_all),
        day_behind=tuple(symbol for one in of_all for symbol in one.day_behind),
        day_reasons=(*(f"What {account} made today is not known." for account in unread), *reasons),
        day_base=max((one.day_base for one in of_all if one.day_base is not None), default=None),
        not_believed=tuple(words for one in of_all for words in one.not_believed),
        undefined_risks=tuple(
            id_of(account, one) for account, totals in parts for one in totals.undefined_risks
        ),
        cash=None if unread else _whole(one.cash for one in of_all),
        lines=tuple(line for one in of_all for line in one.lines),
        carried=Carried(
            fsum(one.carried.realized for one in of_all),
            fsum(one.carried.fees for one in of_all),
            sum(one.carried.entries for one in of_all),
        ),
    )


def _tally(parts: Sequence[Tally], unread: Sequence[str]) -> Tally:
    """The sum; an account of which nothing is known counts as one part that lacks, and never as nothing."""
    return Tally(
        fsum(one.known for one in parts),
        sum(one.counted for one in parts),
        sum(one.of for one in parts) + len(unread),
        tuple(grade for one in parts for grade in one.grades),
        (*(name for one in parts for name in one.missing), *(f"all of {account}" for account in unread)),
    )


def _holdings(parts: Sequence[tuple[str, Holdings]], unread: Sequence[str]) -> Holdings:
    """What differs in any of them; the oldest of their readings."""
    of_all = [one for _, one in parts]
    read_at = [one.read_at for one in of_all if one.read_at is not None]
    unanswered = [f"{account}: {one.unanswered}" for account, one in parts if one.unanswered]
    cash = [one.cash for one in of_all]
    return Holdings(
        read_at=min(read_at) if len(read_at) == len(of_all) else None,
        account_only=tuple(symbol for one in of_all for symbol in one.account_only),
        file_only=tuple(symbol for one in of_all for symbol in one.file_only),
        other_quantity=tuple(symbol for one in of_all for symbol in one.other_quantity),
        unread=tuple(symbol for one in of_all for symbol in one.unread),
        moved=tuple(symbol for one in of_all for symbol in one.moved),
        cash=None if unread or None in cash else sum((one for one in cash if one is not None), Decimal(0)),
        unanswered="; ".join(unanswered),
        not_compared_of=tuple(
            f"of {account} {one.not_compared}" for account, one in parts if one.not_compared
        ),
        is_account=all(one.is_account for one in of_all),
        lacking_of=tuple(account for account, one in parts if one.account_only),
        without=tuple(unread),
    )


def _attention(parts: Sequence[tuple[str, Attention]], unread: Sequence[str]) -> Attention:
    """What needs a hand in any account, each with the account's name; buying power of one buys nothing in another."""
    of_all = [one for _, one in parts]
    asked = [one.activities_at for one in of_all if one.morning_after]

    def entry_of(account: str, one: Entry) -> Entry:
        return replace(one, subject=f"{one.subject} ({account})")

    return Attention(
        as_of=of_all[0].as_of,
        entries=in_order(in_all_or_of({account: one.entries for account, one in parts}, entry_of)),
        cockpit=tuple(
            replace(line, position_id=id_of(account, line.position_id), label=f"{line.label} ({account})")
            for account, one in parts
            for line in one.cockpit
        ),
        morning_after=tuple(
            sorted(
                (
                    replace(ended, label=f"{ended.label} ({account})")
                    for account, one in parts
                    for ended in one.morning_after
                ),
                key=lambda ended: ended.ended,
            )
        ),
        not_judged=(
            *in_all_or_of(
                {account: one.not_judged for account, one in parts},
                lambda account, said: f"{account}: {said}",
            ),
            *(f"What the account {account} holds is not known." for account in unread),
        ),
        unjudged=MappingProxyType(
            {
                kind: frozenset().union(*(one.unjudged.get(kind, frozenset()) for one in of_all))
                for kind in AttentionKind
            }
        ),
        buying_power=None,
        buying_power_at=None,
        activities_at=None if None in asked else min((at for at in asked if at is not None), default=None),
    )


def _whole(amounts: Iterable[float | None]) -> float | None:
    """The sum; None while one is not known."""
    found = list(amounts)
    known = [one for one in found if one is not None]
    return fsum(known) if known and len(known) == len(found) else None


def _once(several: Iterable[Sequence[T]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(one for each in several for one in each))
