"""What is found of a desk before anything follows it: whether its bus is there, and what its owner said last."""

from __future__ import annotations

import asyncio

from options_helper.bus.address import BusAddress
from options_helper.bus.connection import BusConnection
from options_helper.bus.truth import DeskHealth, decode
from options_helper.errors import ConfigError, StreamError, StreamRefused, Unavailable


def look_at_desk(address: BusAddress) -> DeskHealth | None:
    """The owner's newest word, None where nobody has served this desk yet; blocks for some seconds at most.

    ConfigError where it cannot be followed: the extra is missing, or the bus refuses; Unavailable where that may pass.
    """
    try:
        return asyncio.run(_look(address))
    except StreamRefused as error:
        raise ConfigError(str(error)) from error
    except StreamError as error:
        raise Unavailable(str(error)) from error


async def _look(address: BusAddress) -> DeskHealth | None:
    bus, names = BusConnection(address), address.names
    try:
        await bus.open("options-helper, a first look")
        stored = await bus.kept(names.state_store, names.state("health"))
    finally:
        await bus.close()
    return None if stored is None else decode(stored.data, DeskHealth)
