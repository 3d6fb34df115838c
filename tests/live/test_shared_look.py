"""However many look, what they see is computed once."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.data.portfolio_file import PortfolioFile
from options_helper.live.session import AccountPart, measure_part
from options_helper.live.shared_look import SharedLook
from options_helper.model.portfolio import load_portfolio
from options_helper.model.rates import RateTable
from tests.portal import scenes

SAMPLE = load_portfolio(scenes.SAMPLE)
DAY = date(2026, 11, 20)


@pytest.fixture
def computed(monkeypatch) -> list[dict[str, Any]]:
    """What each computation was asked for."""
    asked: list[dict[str, Any]] = []

    def counted(*things, **more):
        asked.append(more)
        return look_at_book(*things, **more)

    monkeypatch.setattr("options_helper.live.shared_look.look_at_book", counted)
    return asked


def look(shared: SharedLook, snapshot, *, stale: float = 30, choices: RiskChoices | None = None):
    return shared.look(
        SAMPLE, snapshot, choices or RiskChoices(), stale_after_seconds=stale, wide_spread_pct=25
    )


def test_ten_viewers_of_one_snapshot_are_one_computation(computed):
    shared, snapshot = SharedLook(), scenes.live()
    seen: list[object] = []
    viewers = [threading.Thread(target=lambda: seen.append(look(shared, snapshot))) for _ in range(10)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()

    assert len(computed) == 1
    assert len(set(map(id, seen))) == 1


def test_each_way_of_looking_has_its_own(computed):
    shared, snapshot = SharedLook(), scenes.stale()
    soon, late = look(shared, snapshot, stale=5), look(shared, snapshot, stale=3_600)

    assert list(soon.positions["warnings"]) != list(late.positions["warnings"])
    assert (look(shared, snapshot, stale=5), look(shared, snapshot, stale=3_600)) == (soon, late)
    assert len(computed) == 2


def test_another_snapshot_and_another_choice_are_another_look(computed):
    shared, snapshot = SharedLook(), scenes.live()
    first = look(shared, snapshot)
    dearer = look(shared, snapshot, choices=RiskChoices(RateTable((1.0,), (0.2,), DAY, "a test")))
    again = look(shared, scenes.live())

    assert len({id(first), id(dearer), id(again)}) == 3
    assert first.risk.sums != dearer.risk.sums
    assert [more["earlier"] for more in computed] == [None, first, dearer]


def test_the_second_way_of_looking_costs_no_second_volatility(computed):
    shared, snapshot = SharedLook(), scenes.live()
    look(shared, snapshot, stale=5)

    assert look(shared, snapshot, stale=3_600).risk.computed.computed == 0


@pytest.mark.parametrize(
    "scene", [scenes.live, scenes.stale, scenes.partial, scenes.quiet, scenes.with_account()]
)
@pytest.mark.parametrize("thresholds", [(0.0, 0.0), (30.0, 25.0), (1e9, 1e9)])
def test_the_history_reads_from_any_look_what_it_would_work_out_itself(scene, thresholds, monkeypatch):
    """A viewer's thresholds colour the table; they change no price, so no line of the chart hangs on who looked."""
    snapshot, own = scene(), PortfolioFile(Path("book.json"), "", portfolio=SAMPLE)
    looked, alone = SharedLook(), SharedLook()
    stale, wide = thresholds
    looked.look(SAMPLE, snapshot, RiskChoices(), stale_after_seconds=stale, wide_spread_pct=wide)
    part = AccountPart("", snapshot, own, None, alone)
    itself = measure_part(part)
    monkeypatch.setattr("options_helper.live.session.price_entries", None)  # nothing is priced again

    assert itself is not None
    assert itself.marks
    assert measure_part(replace(part, looks=looked)) == itself
    assert alone.any_of(SAMPLE, snapshot) is None
    assert looked.any_of(SAMPLE, replace(snapshot)) is None, "another snapshot"
