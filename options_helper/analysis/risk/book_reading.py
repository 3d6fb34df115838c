"""From a book's figures at one instant to what its change is split by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from options_helper.analysis.priced_lines import numbers
from options_helper.analysis.risk.book_values import BookFigures, LineRisk
from options_helper.analysis.risk.leg_risk import taken
from options_helper.analysis.risk.readings import Reading

_NOW: Final = "the price now"


def keyed_lines(book: BookFigures) -> Iterator[tuple[str, LineRisk]]:
    """Each line with the key that a reading has it under: its entry's id, and which of its lines it is."""
    seen: Counter[str] = Counter()
    for line in book.lines:
        yield f"{line.position_id} {seen[line.position_id]}", line
        seen[line.position_id] += 1


def reading_of(book: BookFigures, *, is_heard: bool = True) -> Reading:
    """What all lines are at this instant; where the streams cannot be heard (`is_heard`), none has a mark.

    What fills have cost is not in it: a quantity that changes counts at the mark, and `Change.unpriced` counts those.
    """
    lines = book.lines
    is_option = np.array([line.iv_state is not None for line in lines], dtype=bool)
    mark = numbers(line.mark if is_heard else None for line in lines)
    slope = np.full(len(lines), np.nan)
    slope[is_option] = book.scenario.slope
    slope[~is_option] = [
        np.nan if line.multiplier is None else line.quantity * line.multiplier
        for line, option in zip(lines, is_option, strict=True)
        if not option
    ]
    place_of = {key: place for place, key in enumerate(book.computed.keys)}
    legs = np.array([place_of[lines[n].symbol] for n in np.flatnonzero(is_option).tolist()], dtype=np.int64)
    greeks = taken(book.computed.greeks, legs)

    def of_options(values: np.ndarray) -> np.ndarray:
        column = np.full(len(lines), np.nan)
        column[is_option] = values
        return column

    return Reading(
        at=book.as_of,
        keys=tuple(key for key, _ in keyed_lines(book)),
        is_option=is_option,
        slope=slope,
        paid=np.zeros(len(lines)),
        mark=mark,
        source=_objects([line.mark_source for line in lines]),
        spot=numbers(line.spot for line in lines),
        forward=_objects([_NOW if line.iv_at is None else f"the close of {line.iv_at}" for line in lines]),
        volatility=of_options(book.scenario.volatility),
        delta=of_options(greeks.delta),
        vega=of_options(greeks.vega),
        theta=of_options(greeks.theta),
    )


def _objects(values: list[object]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
