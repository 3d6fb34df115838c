"""An owner's batches, written to a test's own bus one by one, so that a test says what is there and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from options_helper.bus.address import BusAddress
from options_helper.bus.batch import Head, encode, opening
from options_helper.bus.connection import BusConnection
from options_helper.bus.names import Names
from options_helper.bus.stores import stores_of
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.data.streaming.messages import count_messages
from options_helper.model.streams import StreamName
from tests.kit.fakes import NOON
from tests.kit.waiting import AT_ONCE

STOCKS: Final = StreamName.STOCKS
NAMES: Final = Names()
MILLISECOND: Final = 1_000_000
T = TypeVar("T")


def frames(payloads: Sequence[bytes], first_ns: int = NOON) -> list[Record]:
    """Records of these, a millisecond apart."""
    return [
        Record(RecordKind.FRAME, first_ns + number * MILLISECOND, payload, STOCKS, count_messages(payload))
        for number, payload in enumerate(payloads)
    ]


class WrittenDesk:
    """Writes batches of the stocks, as owners of one term after another would; `sent` counts all events."""

    def __init__(self, address: BusAddress, *, keep_bytes: int = 64 * 1024 * 1024) -> None:
        self._address, self._keep_bytes = address, keep_bytes
        self.epoch, self.number, self.sent = NOON, 0, 0
        self._at_ns = NOON
        self.make_stores()

    def _run(self, work: Callable[[BusConnection], Coroutine[Any, Any, T]]) -> T:
        async def connected() -> T:
            bus = BusConnection(self._address)
            await bus.open("a test")
            try:
                return await work(bus)
            finally:
                await bus.close()

        return asyncio.run(asyncio.wait_for(connected(), AT_ONCE))

    def make_stores(self) -> None:
        """As an owner does when it begins."""

        async def make(bus: BusConnection) -> None:
            for wish in stores_of(NAMES, self._keep_bytes):
                await bus.keep(wish)

        self._run(make)

    def next_term(self, *, forgets: bool = False) -> None:
        """Another owner; `forgets`: it knows nothing of how many events there were."""
        self.epoch, self.number = self.epoch + 1, 0
        if forgets:
            self.sent = 0

    def open(self, feed: str) -> None:
        """The next owner's first batch, which says of which feed its streams are."""
        self.next_term()
        self.store(self.batch([opening(self._at_ns, STOCKS, feed)]))

    def batch(self, records: Sequence[Record]) -> bytes:
        """The next one's bytes; it counts as sent."""
        events = sum(record.events for record in records)
        data = encode(Head(self.epoch, self.number, self.sent, events), records)
        self.number += 1
        self.sent += events
        return data

    def skip(self, payloads: Sequence[bytes]) -> bytes:
        """A batch of these that nobody stores."""
        made = frames(payloads, self._at_ns)
        self._at_ns += len(made) * MILLISECOND
        return self.batch(made)

    def write(self, *batches: Sequence[bytes]) -> None:
        """Store a batch for each of these lists of frames."""
        self.store(*[self.skip(payloads) for payloads in batches])

    def store(self, *datas: bytes) -> None:
        """Store these bytes, whatever they are."""

        async def store(bus: BusConnection) -> None:
            for data in datas:
                await bus.store(NAMES.published(STOCKS), data)

        self._run(store)
