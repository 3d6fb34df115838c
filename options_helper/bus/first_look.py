"""What is found of a desk before anything follows it: whether its bus is there, and what its owner said last."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from options_helper.bus.address import BusAddress
from options_helper.bus.connection import BusConnection
from options_helper.bus.truth import DeskHealth, decode
from options_helper.errors import ConfigError, StreamError, StreamRefused, Unavailable
from options_helper.model.streams import StreamId

# An owner's first word comes before its streams begin, its second half a second later; a busy computer needs longer.
FEEDS_SECONDS: Final = 10.0


def look_at_desk(
    address: BusAddress, feeds_of: Sequence[StreamId] = (), *, patience: float = FEEDS_SECONDS
) -> DeskHealth | None:
    """The owner's newest word, None where nobody has served this desk yet; blocks for some seconds at most.

    An owner that has not told the feeds of those streams yet gets `patience` seconds to do so; what it said last is
    the answer then, too. ConfigError where the desk cannot be followed: the extra is missing, or the bus refuses;
    Unavailable where that may pass.
    """
    try:
        return asyncio.run(_look(address, feeds_of, patience))
    except StreamRefused as error:
        raise ConfigError(str(error)) from error
    except StreamError as error:
        raise Unavailable(str(error)) from error


async def _look(address: BusAddress, feeds_of: Sequence[StreamId], patience: float) -> DeskHealth | None:
    bus, names = BusConnection(address), address.names
    words: asyncio.Queue[bytes] = asyncio.Queue()
    try:
        await bus.open("options-helper, a first look")
        if feeds_of:
            await bus.subscribe(names.told("health"), lambda _, data, __: words.put_nowait(data))
        stored = await bus.kept(names.state_store, names.state("health"))
        health = None if stored is None else decode(stored.data, DeskHealth)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while _has_more_to_say(health, feeds_of):
                    health = decode(await words.get(), DeskHealth) or health
    finally:
        await bus.close()
    return health


def _has_more_to_say(health: DeskHealth | None, feeds_of: Sequence[StreamId]) -> bool:
    return health is not None and not health.ended and any(health.feed_of(one) is None for one in feeds_of)
