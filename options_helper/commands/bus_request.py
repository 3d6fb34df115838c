"""The bus that a command line names, with the seed and the certificates that the settings name."""

from __future__ import annotations

from options_helper.bus.access import BusAccess
from options_helper.bus.address import BusAddress


def asked_bus(url: str, desk: str) -> BusAddress:
    """Its address; ConfigError where it cannot be used, or what the settings name cannot."""
    address = BusAddress.parse(url, desk, BusAccess.load())
    address.access.require_usable()
    return address
