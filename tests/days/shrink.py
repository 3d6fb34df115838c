"""Make a failing day short: what can be left out without the same law holding again is left out."""

from __future__ import annotations

from dataclasses import replace

from tests.days.clocks import NS
from tests.days.day import Day
from tests.days.play import Outcome, play


def shrink(failed: Outcome, tries: int = 200) -> Outcome:
    """The shortest outcome found that breaks the same law."""
    assert failed.broken is not None
    law = failed.broken.law
    best = _ended_early(failed)
    size = max(1, len(best.day.troubles) // 2)
    while size:
        at = 0
        while at < len(best.day.troubles) and tries > 0:
            tries -= 1
            fewer = best.day.troubles[:at] + best.day.troubles[at + size :]
            outcome = play(best.day.with_troubles(fewer))
            if outcome.broken is not None and outcome.broken.law == law:
                best = _ended_early(outcome)
            else:
                at += size
        size //= 2
    return best


def _ended_early(outcome: Outcome) -> Outcome:
    """The same, without what would come after it."""
    assert outcome.broken is not None
    day: Day = replace(
        outcome.day,
        until_ns=min(outcome.day.until_ns, outcome.broken.at_ns + NS),
        troubles=tuple(one for one in outcome.day.troubles if outcome.day.at(one.at) <= outcome.broken.at_ns),
    )
    return replace(outcome, day=day)
