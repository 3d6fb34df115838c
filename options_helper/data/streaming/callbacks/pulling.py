"""Values that are fetched by whoever awaits them, in place of a callback that is called with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from options_helper.data.streaming.callbacks.delivery import Delivery
from options_helper.data.streaming.callbacks.lanes import Lane, Shared


class PullLane(Lane):
    """Lets whoever awaits the values of one delivery know that there are some. It calls nobody."""

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(shared)
        self._loop = loop
        self._news = asyncio.Event()

    def wake(self) -> bool:
        """Let the loop look; False where it is closed."""
        self.ready.clear()  # whoever fetches looks at the queue itself
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:
            return False
        return True

    def end(self) -> None:
        """Let whoever waits know that nothing comes any more."""
        self._is_ending = True
        self.wake()

    def join(self, seconds: float) -> None:
        """There is no thread."""

    def sibling(self) -> Lane:
        """Nobody is held up by another, so this is for nobody."""
        return PullLane(self._shared, self._loop)

    @property
    def is_here(self) -> bool:
        """Whether this is the thread of the loop on which they are fetched."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:  # there is no loop on this thread
            return False

    def is_calling(self, delivery: Delivery) -> bool:  # noqa: ARG002 - no delivery
        """It calls nobody."""
        return False

    def is_stuck(self) -> bool:
        """Never: it calls nobody."""
        return False

    async def next_of(self, delivery: Delivery) -> Any:
        """The next value, as soon as there is one; StopAsyncIteration at the end. It counts as delivered."""
        while True:
            with self._shared.lock:
                now = self._shared.monotonic()
                call = delivery.begin(now)
                if call is not None:
                    delivery.end(call, now)
                    self._say_settled()
                    return call.value
                if self._is_ending:
                    raise StopAsyncIteration
                self._news.clear()
            await self._news.wait()


class Pull:
    """An asynchronous iterator over what comes, until it is closed, or the streams are stopped."""

    def __init__(self, lane: PullLane, delivery: Delivery, remove: Callable[[Delivery], None]) -> None:
        self._lane = lane
        self._delivery = delivery
        self._remove = remove

    def __aiter__(self) -> Pull:
        return self

    async def __anext__(self) -> Any:
        """The next value."""
        return await self._lane.next_of(self._delivery)

    def close(self) -> None:
        """Bring no more, and let the iteration end; what waits is given up. Harmless when repeated."""
        self._remove(self._delivery)
