"""A structure is called what a trader calls it, however its legs are written down; what has no name gets none."""

from __future__ import annotations

from datetime import date
from itertools import permutations
from pathlib import Path

import pytest

from options_helper.analysis.structure_kinds import StructureKind, structure_kind
from options_helper.model.portfolio import Leg, ShareLeg
from tests.kit.builders import EXPIRY, leg, share_leg, structure

LATER = date(2027, 1, 15)


def leg_of(text: str) -> Leg | ShareLeg:
    """`+100` shares, `-1 P95` or `+2 C100 later`."""
    quantity, *terms = text.split()
    side, count = ("long" if quantity[0] == "+" else "short"), abs(float(quantity))
    if not terms:
        return share_leg(side, count)
    name, *later = terms
    return leg(
        "long" if side == "long" else "short",
        float(name[1:]),
        "call" if name[0] == "C" else "put",
        contracts=int(count),
        expiry=LATER if later else EXPIRY,
    )


NAMED = [
    ("vertical", "+2 C100, -2 C110"),
    ("vertical", "+1 P95, -1 P100"),
    ("ratio spread", "+1 C100, -2 C110"),
    ("ratio spread", "-3 P90, +2 P100"),
    ("back spread", "-1 C100, +2 C110"),
    ("back spread", "+2 P90, -1 P100"),
    ("butterfly", "+1 C100, -2 C110, +1 C120"),
    ("butterfly", "-3 P90, +6 P95, -3 P100"),
    ("broken wing butterfly", "+1 C100, -2 C110, +1 C125"),
    ("broken wing butterfly", "+2 P80, -4 P90, +2 P95"),
    ("condor", "+1 C100, -1 C110, -1 C120, +1 C130"),
    ("broken wing condor", "+1 P80, -1 P90, -1 P100, +1 P105"),
    ("iron condor", "+2 P90, -2 P95, -2 C110, +2 C120"),
    ("iron condor", "-1 P90, +1 P95, +1 C110, -1 C115"),
    ("iron butterfly", "+1 P90, -1 P100, -1 C100, +1 C110"),
    ("box spread", "+1 C100, -1 C110, -1 P100, +1 P110"),
    ("box spread", "-2 C100, +2 C110, +2 P100, -2 P110"),
    ("jade lizard", "-1 P90, -1 C110, +1 C115"),
    ("reverse jade lizard", "+1 P85, -1 P90, -1 C110"),
    ("calendar", "-1 C100, +1 C100 later"),
    ("calendar", "+4 P95, -4 P95 later"),
    ("double calendar", "-1 P90, +1 P90 later, -1 C110, +1 C110 later"),
    ("double calendar", "+1 C100, -1 C100 later, +1 C110, -1 C110 later"),
    ("diagonal", "-1 C110, +1 C100 later"),
    ("short diagonal", "+1 C110, -1 C100 later"),
    ("double diagonal", "-1 P90, +1 P85 later, -1 C110, +1 C115 later"),
    ("straddle", "+1 P100, +1 C100"),
    ("strangle", "-2 P90, -2 C110"),
    ("inverted strangle", "-1 P110, -1 C90"),
    ("synthetic long", "+1 C100, -1 P100"),
    ("synthetic short", "-3 C100, +3 P100"),
    ("risk reversal", "+1 C110, -1 P90"),
    ("risk reversal", "-1 C110, +1 P90"),
    ("covered call", "+100, -1 C110"),
    ("covered call", "+250, -1 C110, -1 C115 later"),
    ("covered put", "-100, -1 P90"),
    ("protective put", "+100, +1 P90"),
    ("protective call", "-200, +2 C110"),
    ("collar", "+100, +1 P90, -1 C110"),
    ("collar", "+300, +2 P90, -2 C110 later"),
    ("conversion", "+100, +1 P100, -1 C100"),
    ("reversal", "-100, -1 P100, +1 C100"),
    ("covered straddle", "+100, -1 P100, -1 C100"),
    ("covered strangle", "+100, -1 P90, -1 C110"),
]
NAMELESS = [
    "+1 C100",
    "+1 C100, +1 C110",
    "+1 C100, -1 P100 later",
    "+1 P100, +2 C100",
    "+1 C100, -2 C110, +2 C120",
    "-1 P112, -1 C110, +1 C115",
    "+1 P100, -1 P110, -1 C105, +1 C115",
    "-1 C100, +2 C100 later",
    "-1 C100, +1 C110 later, +1 C120 later",
    "-1 P90, +1 P90 later, +1 C110, -1 C110 later",
    "+100",
    "+99, -1 C110",
    "+100, -2 C110",
    "-100, -1 C110",
    "+100, +1 C110",
    "+100, +1 P110, -1 C90",
    "+100, +2 P90, -1 C110",
    "+200, -1 C110, +1 C120",
]


def legs_of(text: str) -> list[Leg | ShareLeg]:
    return [leg_of(one) for one in text.split(", ")]


@pytest.mark.parametrize(("kind", "held"), NAMED)
def test_a_structure_has_its_name_whatever_the_order_of_its_legs(kind: str, held: str):
    for legs in permutations(legs_of(held)):
        assert structure_kind(structure(*legs)) == kind


@pytest.mark.parametrize("held", NAMELESS)
def test_what_no_rule_knows_as_a_whole_has_no_name(held: str):
    assert structure_kind(structure(*legs_of(held))) is None


def test_every_name_is_tried():
    assert {kind for kind, _ in NAMED} == set(StructureKind)


def test_a_contract_that_is_written_twice_counts_once():
    halves = structure(leg("long", 100), leg("short", 110), leg("short", 110), leg("long", 120))
    closed = structure(leg("long", 100), leg("short", 100), leg("long", 110), leg("short", 120))

    assert structure_kind(halves) == "butterfly"
    assert structure_kind(closed) == "vertical"


def test_legs_of_another_root_or_underlying_are_no_spread_of_one():
    roots = structure(leg("long", 6800), leg("short", 6850, symbol="SPXW"), symbol="SPX")
    names = structure(share_leg(symbol="KO"), leg("short", 180), symbol="PEP")

    assert (structure_kind(roots), structure_kind(names)) == (None, None)


def test_shares_of_a_class_stand_beside_the_contracts_on_them():
    assert structure_kind(structure(share_leg(), leg("short", 510), symbol="BRK-B")) == "covered call"


def test_shares_cover_nothing_that_is_settled_in_cash():
    assert structure_kind(structure(share_leg(), leg("short", 510, delivery="cash"))) is None


def test_adjusted_contracts_have_the_shape_that_they_have():
    adjusted = structure(leg("long", 100), leg("short", 110), symbol="AAPL1", multiplier=150)
    covered = structure(share_leg(shares=150), leg("short", 110), symbol="AAPL1", multiplier=150)

    assert (structure_kind(adjusted), structure_kind(covered)) == ("vertical", "covered call")


@pytest.mark.parametrize("kind", StructureKind)
def test_every_name_is_in_the_docs(kind: StructureKind, repository: Path):
    page = (repository / "docs" / "PORTAL_STREAMLIT.md").read_text(encoding="utf-8")

    assert f"| {kind.value} |" in page.partition("### Names of structures")[2]
