"""From a book's figures at one instant to what its change is split by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from options_helper.analysis.priced_lines import numbers
from options_helper.analysis.risk.book_values import BookFigures, LineRisk
from options_helper.analysis.risk.fill_costs import HeldLine
from options_helper.analysis.risk.leg_risk import taken
from options_helper.analysis.risk.readings import Reading

_NOW: Final = "the price now"


def keyed_lines(book: BookFigures) -> Iterator[tuple[str, LineRisk]]:
    """Each line with the key that a reading has it under: its entry's id, its symbol, and which of such lines it is.

    An entry that becomes another contract under its old id is so another line, and none whose mark has jumped.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for line in book.lines:
        named = (line.position_id, line.symbol)
        yield f"{line.position_id} {line.symbol} {seen[named]}", line
        seen[named] += 1


def entry_of(key: str) -> str:
    """The id of the entry that a line of this key is of; of what was traded and held by none, its symbol."""
    return key.rsplit(" ", 2)[0]


def held_lines(book: BookFigures) -> dict[str, HeldLine]:
    """The lines by key, as the costs of fills are put to them."""
    return {
        key: HeldLine(
            line.symbol,
            line.underlying,
            line.quantity,
            line.multiplier,
            float("nan") if line.mark is None else line.mark,
        )
        for key, line in keyed_lines(book)
    }


def reading_of(book: BookFigures) -> Reading:
    """What all lines are at this instant; what fills have cost is put in by `FillCosts`."""
    lines = book.lines
    is_option = np.array([line.iv_state is not None for line in lines], dtype=bool)
    mark = numbers(line.mark for line in lines)
    # Of an option for each share that it delivers, as its Greeks are.
    mark[is_option] = book.scenario.mark
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
        underlying=_objects([line.underlying for line in lines]),
        is_option=is_option,
        slope=slope,
        paid=np.zeros(len(lines)),
        fills=np.zeros(len(lines), dtype=np.int64),
        mark=mark,
        source=_objects([line.mark_source for line in lines]),
        spot=numbers(line.spot for line in lines),
        forward=_objects([_forward(line) for line in lines]),
        volatility=of_options(book.scenario.volatility),
        delta=of_options(greeks.delta),
        vega=of_options(greeks.vega),
        theta=of_options(greeks.theta),
    )


def _forward(line: LineRisk) -> str:
    """A name for what the forward is made of: the price, where it is taken from, and what is known of dividends.

    A dividend that becomes known moves the forward, and with it the volatility of the very same mark.
    """
    price = _NOW if line.iv_at is None else f"the close of {line.iv_at}"
    return f"{price}; {line.spot_source}; dividends {line.dividends_state}"


def _objects(values: list[object]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
