"""The bus that a command line names, with the seed and the certificates that the settings name."""

from __future__ import annotations

from options_helper.bus.access import BusAccess
from options_helper.bus.address import BusAddress
from options_helper.bus.detail import Detail
from options_helper.errors import ConfigError


def asked_bus(url: str, desk: str, detail: str = Detail.FULL) -> BusAddress:
    """Its address; ConfigError where it cannot be used, or what the settings name cannot."""
    if detail not in tuple(Detail):
        raise ConfigError(f"--detail is full or slow, and not {detail!r}.")
    address = BusAddress.parse(url, desk, BusAccess.load(), Detail(detail))
    address.access.require_usable()
    return address
