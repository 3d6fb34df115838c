"""What all lines of a book were at one instant: the input from which it is said what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from options_helper.analysis.marks import Flags, Integers, Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """n lines at one instant: options and shares, each under a key of its own, all inputs of the same moment.

    NaN is "not known". Shares have no Greeks here: they are delta alone.
    """

    at: datetime
    keys: tuple[str, ...]
    underlying: NDArray[np.object_]  # symbol; None: not said
    is_option: Flags
    slope: Numbers  # dollars for each dollar of mark: quantity times multiplier, short is negative; 0: nothing held
    paid: Numbers  # dollars that fills since the strip began have cost, all together; negative: brought
    fills: Integers  # changes of the quantity that are in `paid`, since some moment before the strip began
    mark: Numbers  # dollars per share
    source: NDArray[np.object_]  # MarkSource, or None
    spot: Numbers  # dollars per share, as the model takes it
    forward: NDArray[np.object_]  # a name for where `spot` comes from; under another name it is another price
    volatility: Numbers  # per year, as a fraction
    delta: Numbers  # per share
    vega: Numbers  # dollars per share and 1.00 of volatility
    theta: Numbers  # dollars per share and year

    @property
    def is_known(self) -> Flags:
        """Where it has a worth: a mark, or nothing is held."""
        return np.asarray(np.isfinite(self.slope) & ((self.slope == 0) | np.isfinite(self.mark)))

    @property
    def worth(self) -> Numbers:
        """Dollars at the mark; NaN where it is not known."""
        return np.where(self.slope == 0, 0.0, self.slope * self.mark)

    @property
    def has_greeks(self) -> Flags:
        """Where all is known that a step is split by."""
        known = np.isfinite(self.spot) & np.isfinite(self.volatility)
        return np.asarray(known & np.isfinite(self.delta) & np.isfinite(self.vega) & np.isfinite(self.theta))

    def of_keys(self, keys: Iterable[str]) -> Reading:
        """These of its lines, in this order."""
        place_of = {key: place for place, key in enumerate(self.keys)}
        wanted = tuple(keys)
        places = np.array([place_of[key] for key in wanted], dtype=np.int64)
        return self._changed(wanted, lambda _, column: column[places])

    def beside(self, other: Reading) -> Reading:
        """Its lines, and after them those of the other."""
        return self._changed(
            (*self.keys, *other.keys), lambda name, column: np.concatenate([column, getattr(other, name)])
        )

    def where(self, here: Flags, other: Reading) -> Reading:
        """Its lines here, elsewhere those of the other, which has the same keys."""
        return self._changed(
            self.keys, lambda name, column: np.where(here, column, getattr(other, name)).astype(column.dtype)
        )

    def flat(self, paid: Numbers, fills: Integers) -> Reading:
        """The same lines, of which nothing is held and nothing is known but what fills have cost."""
        known = {"slope": np.zeros(len(paid)), "paid": paid, "fills": fills}
        unknown = np.full(len(paid), np.nan)
        return self._changed(
            self.keys, lambda name, column: known.get(name, unknown if name in _NUMBERS else column)
        )

    def unheard(self) -> Reading:
        """The same lines where the streams cannot be heard: none has a mark."""
        return replace(self, mark=np.full(len(self.keys), np.nan))

    def finite(self) -> Reading:
        """The same with NaN in place of what is no number."""
        return self._changed(
            self.keys,
            lambda name, column: (
                np.where(np.isfinite(column), column, np.nan) if name in _NUMBERS else column
            ),
        )

    def _changed(self, keys: tuple[str, ...], change: Callable[[str, NDArray[Any]], NDArray[Any]]) -> Self:
        columns: dict[str, Any] = {name: change(name, getattr(self, name)) for name in _COLUMNS}
        return type(self)(self.at, keys, **columns)


_NUMBERS: Final = ("slope", "paid", "mark", "spot", "volatility", "delta", "vega", "theta")
_COLUMNS: Final = ("underlying", "is_option", "source", "forward", "fills", *_NUMBERS)
