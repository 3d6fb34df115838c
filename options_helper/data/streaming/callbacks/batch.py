"""Calls that a thread makes one after another without the lock, and what others may know of them meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest
from operator import length_hint
from typing import Any, Final

from options_helper.data.streaming.callbacks.delivery import Callback, Delivery, Failure

_NO_MORE: Final = object()


class Batch:
    """Values of one or several deliveries, in the order of their calls.

    The thread that makes the calls takes each from `calls`, and adds to `ends` when it is over. Each is one step of the
    interpreter, so that under the lock, and without stopping that thread, others can take back what is not begun and
    count what is over: of what was begun, one at most is not.
    """

    __slots__ = (
        "_is_of_one",
        "_owners",
        "_settled",
        "_size",
        "_unbegun",
        "calls",
        "ends",
        "failures",
        "is_abandoned",
    )

    def __init__(self, parts: Sequence[tuple[Delivery, Sequence[Any]]], began: float) -> None:
        self._is_of_one = len(parts) == 1
        self._owners, values = _in_turn(parts)
        self._size = len(values)  # without those that were taken back
        self._unbegun = iter(values)
        self.calls: Iterator[tuple[Callback, Any]] = zip(
            [owner.callback for owner in self._owners], self._unbegun, strict=False
        )
        self.ends = [began]  # of the beginning, and of each call
        self.failures: dict[int, Failure] = {}  # by the place of the call
        self._settled = 0
        self.is_abandoned = False  # the call under way counts no more

    @property
    def over(self) -> int:
        """How many calls are over, and so the place of the one under way."""
        return len(self.ends) - 1

    @property
    def begun(self) -> int:
        """How many calls were begun."""
        return self._size - length_hint(self._unbegun)

    @property
    def is_long(self) -> bool:
        """Whether some are not begun."""
        return length_hint(self._unbegun) > 0

    @property
    def under_way(self) -> Delivery | None:
        """Whose call is under way: exact on the thread that makes it, and where nothing can be begun any more."""
        over = self.over
        return self._owners[over] if not self.is_abandoned and self.begun > over else None

    @property
    def has_called(self) -> tuple[Delivery, ...]:
        """Whose calls were begun, each once, in the order of their last ones."""
        if self._is_of_one:
            return tuple(self._owners[: min(1, self.begun)])
        called = dict.fromkeys(reversed(self._owners[: self.begun]))
        return tuple(reversed(called))

    @property
    def to_come(self) -> tuple[Delivery, ...]:
        """Whose calls are not begun, each once, in order."""
        return tuple(dict.fromkeys(self._owners[self.begun : self._size]))

    def take_back(self) -> dict[Delivery, list[Any]]:
        """What is not begun, which now will not be, by whose it is; in order."""
        rest = list(self._unbegun)
        self._size -= len(rest)
        back: dict[Delivery, list[Any]] = {}
        for owner, value in zip(self._owners[self._size :], rest, strict=False):
            back.setdefault(owner, []).append(value)
        return back

    def settle(self, now: float) -> list[tuple[Delivery, Failure]]:
        """Count what is over, with those whose it is; failures that are worth a line in the log."""
        over = self.over
        if self.is_abandoned:
            return []
        to_log = self._settle_until(over) if over > self._settled else []
        if (owner := self.under_way) is not None:
            owner.slowest = max(owner.slowest, now - self.ends[-1])
        return to_log

    def _settle_until(self, over: int) -> list[tuple[Delivery, Failure]]:
        first, self._settled = self._settled, over
        owners = self._owners[first:over]
        took = [end - began for began, end in pairwise(self.ends[first : over + 1])]
        if self._is_of_one and not self.failures:
            owners[0].settle(len(owners), max(took))
            return []
        if not self.failures:
            for owner, seconds in zip(owners, took, strict=True):
                owner.settle(1, seconds)
            return []
        to_log: list[tuple[Delivery, Failure]] = []
        for place, (owner, seconds) in enumerate(zip(owners, took, strict=True), first):
            failure = self.failures.get(place)
            if failure is None:
                owner.settle(1, seconds)
            elif owner.settle_failure(failure.text, seconds):
                to_log.append((owner, failure))
        return to_log

    def hand_over(self, value: Any, outcome: object) -> Delivery:
        """Let an event loop await what the call under way returned; all that was begun is over with it."""
        owner = self._owners[self.over]
        owner.await_lent(value, self.ends[-1], outcome)
        self._size -= 1
        return owner


def _in_turn(parts: Sequence[tuple[Delivery, Sequence[Any]]]) -> tuple[list[Delivery], Sequence[Any]]:
    """Whose each call is, and its value: one of each delivery, then the next one of each that has more."""
    if len(parts) == 1:
        ((owner, values),) = parts
        return [owner] * len(values), values
    owners = [owner for owner, _ in parts]
    if all(len(values) == 1 for _, values in parts):
        return owners, [values[0] for _, values in parts]
    turns = zip_longest(*(values for _, values in parts), fillvalue=_NO_MORE)
    calls = [
        (owner, value)
        for turn in turns
        for owner, value in zip(owners, turn, strict=True)
        if value is not _NO_MORE
    ]
    return [owner for owner, _ in calls], [value for _, value in calls]
