"""Where a bus is: one address, and the desk on it that is meant."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from options_helper.bus.names import Names
from options_helper.errors import ConfigError

DEFAULT_PORT: Final = 4222
BUS_VARIABLE: Final = "OH_BUS_URL"
DESK_VARIABLE: Final = "OH_BUS_DESK"


@dataclass(frozen=True, slots=True)
class BusAddress:
    """A NATS server on this computer, and the desk that is followed there or served."""

    url: str  # nats://host:port
    names: Names = field(default_factory=Names)

    @classmethod
    def parse(cls, url: str, desk: str | None = None) -> BusAddress:
        """Read `nats://127.0.0.1:4222`; ConfigError for what is no such address, or is of another computer."""
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        try:
            host, port = parts.hostname, parts.port or DEFAULT_PORT
        except ValueError:
            host, port = None, DEFAULT_PORT
        if parts.scheme != "nats" or not host or parts.path.strip("/") or parts.query or parts.fragment:
            raise ConfigError(f"{_shown(url)!r} is no address of a bus; one is nats://127.0.0.1:4222.")
        if parts.username is not None or parts.password is not None:
            raise ConfigError("The address of a bus has no user and no password in it.")
        if not _is_loopback(host):
            raise ConfigError(
                f"The bus at {host} is on another computer, and what it says would cross the network unencrypted and "
                "unsigned. Only a server on this computer is used: nats://127.0.0.1:4222, or a tunnel that ends here."
            )
        shown = f"[{host}]" if ":" in host else host
        return cls(f"nats://{shown}:{port}", Names(desk) if desk else Names())


def bus_of(environ: Mapping[str, str]) -> BusAddress | None:
    """The bus that `ui --bus` leads its page to; None where there is none. ConfigError as `BusAddress.parse`."""
    url = environ.get(BUS_VARIABLE)
    return BusAddress.parse(url, environ.get(DESK_VARIABLE)) if url else None


def bus_environment(address: BusAddress) -> dict[str, str]:
    """The variables that `bus_of` reads."""
    return {BUS_VARIABLE: address.url, DESK_VARIABLE: address.names.desk}


def _shown(url: str) -> str:
    """The address without what may be a password."""
    return f"…@{url.rpartition('@')[2]}" if "@" in url else url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
