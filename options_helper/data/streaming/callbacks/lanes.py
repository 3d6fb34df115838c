"""Where callbacks run: what a thread and an event loop have in common.

Of one callback a lane calls in the order in which things were offered. On a thread the callbacks take turns; on an
event loop they overlap. Whoever owns the lanes shares one lock with them; nothing of a user's runs under it.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from options_helper.data.streaming.callbacks.delivery import Delivery, Failure

log = logging.getLogger(__name__)

# Who waits at so many looks, over so long, is held up. Looks as well as seconds: where the whole process stood still,
# it was nobody's fault.
STUCK_LOOKS: Final = 3
STUCK_SECONDS: Final = 0.05


@dataclass(slots=True)
class Shared:
    """What the lanes of one owner share: one lock, which guards all of their state, and what it is good for."""

    monotonic: Callable[[], float] = time.monotonic
    lock: threading.Lock = field(default_factory=threading.Lock)
    # Notified when a call is over while somebody waits for it.
    settled: threading.Condition = field(init=False)
    is_awaited: bool = False
    is_open: bool = False  # whether anything is offered now

    def __post_init__(self) -> None:
        self.settled = threading.Condition(self.lock)


class Lane(ABC):
    """Calls what is ready. Every method is called under the lock, but for `join`, which waits."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        # Whose turn it is: each callback for which something waits stands here once, behind those that waited before.
        self.ready: OrderedDict[Delivery, None] = OrderedDict()
        # Taken from there, and not begun yet.
        self.unbegun: set[Delivery] = set()
        self._is_ending = False

    def queue(self, delivery: Delivery) -> None:
        """Something waits for it: it has a turn, if it has none yet. One that hears of gaps goes before all others."""
        self.ready[delivery] = None
        if delivery.goes_first:
            self._put_first(delivery)

    def _put_first(self, delivery: Delivery) -> None:
        self.ready.move_to_end(delivery, last=False)

    def drop(self, delivery: Delivery) -> None:
        """It has no turn any more."""
        self.ready.pop(delivery, None)

    @abstractmethod
    def wake(self) -> bool:
        """Something is ready; False where the lane is gone, and nothing will be called."""

    @abstractmethod
    def end(self) -> None:
        """Begin no more calls."""

    @abstractmethod
    def join(self, seconds: float) -> None:
        """Wait so long for the thread, if it is the lane's own and not this one."""

    @abstractmethod
    def sibling(self) -> Lane:
        """A new one of its kind, for those that a stuck one must not hold up."""

    @property
    @abstractmethod
    def is_here(self) -> bool:
        """Whether this is the thread on which it calls."""

    @abstractmethod
    def is_calling(self, delivery: Delivery) -> bool:
        """Whether it is this callback that is asking."""

    @property
    def holds_up(self) -> bool:
        """Whether something waits to be begun, so that it is worth asking whether the lane is stuck."""
        return bool(self.ready or self.unbegun)

    @abstractmethod
    def is_stuck(self) -> bool:
        """Whether a call holds up others that are ready; to be asked again and again."""

    def _hand_on(self, delivery: Delivery) -> None:
        """Where it was moved while this lane was with its call: what waits is for the other one now."""
        lane = delivery.lane
        if lane is not None and lane is not self and delivery.waiting:
            lane.queue(delivery)
            lane.wake()

    def _say_settled(self) -> None:
        if self._shared.is_awaited:
            self._shared.settled.notify_all()


def log_failure(delivery: Delivery, failure: Failure | None) -> None:
    """Say how a callback failed; never under the lock."""
    log.error(
        "the callback %s failed; it is logged once, and counted",
        delivery,
        exc_info=failure.error if failure else None,
    )
