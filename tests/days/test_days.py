"""Bad days by the hundred; a seed that fails is printed, and told in a line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.days.play import play, play_seed
from tests.days.shrink import shrink
from tests.days.story import story
from tests.days.troubles import bad_day
from tests.days.twice import differing_days

FAILED_ONCE = [
    int(line.split()[0])
    for line in (Path(__file__).parent / "failed_seeds.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]
# A handful with all other tests; `sh scripts/test --days` plays more, the same ones among them, and what failed once,
# and `sh scripts/check-long` many.
DAYS = int(os.environ.get("DAYS", "4"))
# So that several workers share them.
PARTS = min(16, DAYS)
# Fresh ones, chosen once for all workers; the report's header has them.
FIRST = int(os.environ["DAYS_FROM"])


def holds(seed: int) -> str:
    """Nothing, or the story of the day made short."""
    outcome = play_seed(seed)
    return "" if outcome.broken is None else f"{outcome.broken}\n{story(shrink(outcome))}"


@pytest.mark.days
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_law_holds_on_bad_days(part: int):
    for seed in range(FIRST + part, FIRST + DAYS, PARTS):
        assert not (told := holds(seed)), f"python -m tests.days --seed {seed} --story\n{told}"


@pytest.mark.days
@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_what_failed_once_holds(seed: int):
    assert not holds(seed)


def test_a_seed_replays_to_the_same_step():
    first, second = play_seed(3), play_seed(3)
    assert first.digest == second.digest


@pytest.mark.days
@pytest.mark.timeout(600)
def test_a_seed_is_the_same_day_in_another_process_and_another_order():
    """Two of these were not: a killed ingestion's lock ended with the next collection of garbage."""
    assert not differing_days((871588133, 71000074, 71000141, *range(8)))


def test_leaving_a_trouble_out_changes_no_other():
    day = bad_day(5)
    fewer = day.with_troubles(day.troubles[1:])
    assert play(fewer).day.troubles == day.troubles[1:]
    assert bad_day(5) == day
