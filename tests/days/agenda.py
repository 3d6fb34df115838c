"""What happens when: the only scheduler of a simulated day. What is due at once comes in the order of asking."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

from tests.days.clocks import NS, Clocks

Action = Callable[[], Any]

_TRACE: Final = 2**64 - 1


class Entry:
    """Something that is due; `cancel` takes it back."""

    __slots__ = ("action", "asked_ns", "at_ns", "is_product", "is_timer", "order")

    def __init__(
        self, at_ns: int, order: int, action: Action, asked_ns: int, *, is_product: bool, is_timer: bool
    ) -> None:
        self.at_ns = at_ns
        self.asked_ns = asked_ns
        self.order = order
        self.action: Action | None = action
        self.is_product = is_product
        self.is_timer = is_timer  # counted by a clock of the process's, and not asked for by the day

    def cancel(self) -> None:
        """It will not happen."""
        self.action = None


class Agenda:
    """The world's actions and the product's; the latter wait while the process does not run.

    A timer counts by the process's clock, so a suspend makes it later; what begins at a time of day does not.
    """

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        # By when and in which order.
        self._heap: list[tuple[int, int, Entry]] = []
        self._order = 0
        self._held_up: list[Entry] = []
        self._asleep_since: int | None = None
        # Of all that was done, in which order and when: another number where anything differs.
        self.trace = 0

    @property
    def is_asleep(self) -> bool:
        """Whether the product's process does not run."""
        return self._asleep_since is not None

    def at(self, at_ns: int, action: Action, *, product: bool = False, timer: bool = False) -> Entry:
        """Do this then, or now if then is past."""
        self._order += 1
        now = self.clocks.true_ns
        entry = Entry(max(at_ns, now), self._order, action, now, is_product=product, is_timer=timer)
        heapq.heappush(self._heap, (entry.at_ns, entry.order, entry))
        return entry

    def after(self, seconds: float, action: Action, *, product: bool = False) -> Entry:
        """Do this so much later."""
        return self.at(self.clocks.true_ns + int(seconds * NS), action, product=product, timer=product)

    def timer(self, seconds: float, action: Action) -> Entry:
        """One of the product's: it waits while the process does not run."""
        return self.after(seconds, action, product=True)

    def sleep(self) -> None:
        """The product's process stops running."""
        self._asleep_since = self.clocks.true_ns

    def wake(self, *, suspended: bool) -> None:
        """It runs again; in a suspend its timers stood still, otherwise those that are over fire now."""
        since = self._asleep_since
        if since is None:
            return
        self._asleep_since = None
        now = self.clocks.true_ns
        if suspended:
            self.clocks.stood_still(now - since)
        waiting = [*self._held_up, *(entry for _, _, entry in self._heap)]
        mine = [entry for entry in waiting if entry.is_product and entry.action]
        for entry in mine:
            # What was asked for meanwhile begins to count now.
            stood_still = entry.is_timer and (suspended or entry.asked_ns > since)
            late_ns = now - max(since, entry.asked_ns) if stood_still else 0
            entry.at_ns = max(now, entry.at_ns + late_ns)
        world = [entry for entry in waiting if not entry.is_product]
        self._heap = [(entry.at_ns, entry.order, entry) for entry in (*world, *mine)]
        self._held_up = []
        heapq.heapify(self._heap)

    def run(self, until_ns: int) -> None:
        """Let everything happen that is due until then."""
        clocks = self.clocks
        while self._heap and self._heap[0][0] <= until_ns:
            _, _, entry = heapq.heappop(self._heap)
            if entry.action is None:
                continue
            if entry.is_product and self._asleep_since is not None:
                self._held_up.append(entry)
                continue
            clocks.advance(max(entry.at_ns, clocks.true_ns))
            self.trace = (self.trace * 1_000_003 + entry.order + clocks.true_ns) & _TRACE
            entry.action()
        clocks.advance(max(until_ns, clocks.true_ns))
