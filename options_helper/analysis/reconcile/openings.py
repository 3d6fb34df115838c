"""What the account holds and the file does not: legs to which a structure was rolled, and structures opened since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from options_helper.analysis.reconcile.account_import import NotImportableError, entry_of
from options_helper.analysis.reconcile.grouping import group_entries
from options_helper.analysis.structure_kinds import structure_kind
from options_helper.model.account import AccountPosition
from options_helper.model.portfolio import (
    MultiLegPosition,
    PortfolioEntry,
    PortfolioLine,
    Position,
    ShareHolding,
)


def opened_since(positions: Iterable[AccountPosition]) -> list[Position | ShareHolding]:
    """Each position as an entry of its own, without those that no file can hold."""
    return list(_entries(positions))


def _entries(positions: Iterable[AccountPosition]) -> Iterator[Position | ShareHolding]:
    for position in positions:
        try:
            yield entry_of(position)
        except NotImportableError:
            continue


def rolls(
    structures: Iterable[MultiLegPosition],
    gone: Collection[str],
    opened: Sequence[Position | ShareHolding],
) -> dict[str, str]:
    """Which contract took the place of which, by symbol: another strike or a later expiry, all else alike.

    A structure is rolled where part of it is still there, where there is one successor and no other for each leg that
    is `gone`, and where what comes out has a name.
    """
    found: dict[str, str] = {}
    for structure in structures:
        lost = [line for line in structure.lines if line.instrument.live_symbol in gone]
        if not lost or len(lost) == len(structure.lines):
            continue
        free = [one for one in opened if one.instrument.live_symbol not in found.values()]
        pairs = {line.instrument.live_symbol: _successors(line, free) for line in lost}
        chosen = [new[0] for new in pairs.values() if len(new) == 1]
        if len(chosen) == len(lost) == len({one.id for one in chosen}) and _has_name(structure, pairs):
            found |= {old: new[0].instrument.live_symbol for old, new in pairs.items()}
    return found


def _successors(line: PortfolioLine, opened: Iterable[Position | ShareHolding]) -> list[Position]:
    old = line.instrument
    return [
        one
        for one in opened
        if isinstance(one, Position)
        and (one.symbol, one.option_type) == (old.symbol, old.option_type)
        and one.contracts == line.quantity
        and old.expiry is not None
        and one.expiry >= old.expiry
    ]


def _has_name(structure: MultiLegPosition, pairs: Mapping[str, Sequence[Position]]) -> bool:
    legs = [
        leg.changed(expiry=pairs[symbol][0].expiry, strike=pairs[symbol][0].strike)
        if symbol in pairs
        else leg
        for symbol, leg in zip(
            [one.live_symbol for one in structure.instruments], structure.legs, strict=True
        )
    ]
    return structure_kind(structure.changed(legs=tuple(legs), net_debit=None)) is not None


def new_entries(opened: Sequence[Position | ShareHolding]) -> dict[str, PortfolioEntry]:
    """By symbol, the entry in which it is to be added: a structure where a rule makes one of whole positions."""
    grouped = group_entries(opened).entries
    parts = Counter(one.live_symbol for entry in grouped for one in entry.instruments)
    alone = {one.instrument.live_symbol: one for one in opened}
    return {
        one.live_symbol: entry if _is_whole(entry, parts) else alone[one.live_symbol]
        for entry in grouped
        for one in entry.instruments
    }


def _is_whole(entry: PortfolioEntry, parts: Mapping[str, int]) -> bool:
    """Whether nothing of its contracts is in another entry as well."""
    return all(parts[one.live_symbol] == 1 for one in entry.instruments)
