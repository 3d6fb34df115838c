"""Tell whether an id that names what its entry holds still does, because an edit may leave less or the opposite."""

from __future__ import annotations

import re
from typing import Final, assert_never

from options_helper.analysis.structure_kinds import StructureKind, structure_kind
from options_helper.model.portfolio import MultiLegPosition, PortfolioEntry, Position, ShareHolding

_KINDS: Final = tuple(kind.replace(" ", "-") for kind in StructureKind)


def fits(identity: str, entry: PortfolioEntry) -> bool:
    """Whether nothing in an id speaks against what the entry holds; a name that says nothing always fits."""
    words = re.findall(r"[a-z]+", identity.lower())
    named = [kind for kind in _KINDS if kind in "-".join(words)]
    match entry:
        case Position():
            covers = entry.option_type == "call" and entry.contracts < 0
            possible = {"covered-call"} if covers else set()
            return possible.issuperset(named) and "spread" not in words and _side_fits(words, entry.contracts)
        case ShareHolding():
            return _side_fits(words, entry.shares)
        case MultiLegPosition():
            kind = structure_kind(entry)
            own = kind.replace(" ", "-") if kind else ""
            return all(one in own for one in named)
        case _:
            assert_never(entry)


def _side_fits(words: list[str], quantity: float) -> bool:
    return ("short" if quantity > 0 else "long") not in words
