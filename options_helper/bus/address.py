"""Where a bus is: one address, the desk on it that is meant, and by what a program shows who it is."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from options_helper.bus.access import BusAccess
from options_helper.bus.detail import Detail
from options_helper.bus.names import Names
from options_helper.errors import ConfigError

DEFAULT_PORT: Final = 4222
BUS_VARIABLE: Final = "OH_BUS_URL"
DESK_VARIABLE: Final = "OH_BUS_DESK"
DETAIL_VARIABLE: Final = "OH_BUS_DETAIL"
# Which accounts the owner there had when the page was led to it, its own the first.
DESK_ACCOUNTS_VARIABLE: Final = "OH_BUS_ACCOUNTS"
PLAIN: Final = "nats"
ENCRYPTED: Final = "tls"
_NO_ADDRESS: Final = "is no address of a bus; one is nats://127.0.0.1:4222, or tls://bus.example.net:4222"


@dataclass(frozen=True, slots=True)
class BusAddress:
    """A NATS server, and the desk that is followed there or served. Beyond this computer: encrypted, with a seed."""

    url: str  # nats://host:port or tls://host:port
    names: Names = field(default_factory=Names)
    access: BusAccess = field(default_factory=BusAccess)
    detail: Detail = Detail.FULL  # how much of its prices a viewer is to have

    @classmethod
    def parse(
        cls,
        url: str,
        desk: str | None = None,
        access: BusAccess | None = None,
        detail: Detail = Detail.FULL,
    ) -> BusAddress:
        """Read an address; ConfigError for what is none, and for what could be read or forged on the way."""
        parts = urlsplit(url if "://" in url else f"{PLAIN}://{url}")
        try:
            host, port = parts.hostname, parts.port or DEFAULT_PORT
        except ValueError:
            host, port = None, DEFAULT_PORT
        if (
            parts.scheme not in (PLAIN, ENCRYPTED)
            or not host
            or parts.path.strip("/")
            or parts.query
            or parts.fragment
        ):
            raise ConfigError(f"{_shown(url)!r} {_NO_ADDRESS}.")
        if parts.username is not None or parts.password is not None:
            raise ConfigError("The address of a bus has no user and no password in it.")
        access = access or BusAccess()
        if not is_loopback(host):
            _require_protection(host, parts.scheme, access)
        shown = f"[{host}]" if ":" in host else host
        return cls(f"{parts.scheme}://{shown}:{port}", Names(desk) if desk else Names(), access, detail)

    @property
    def is_encrypted(self) -> bool:
        """Whether nothing is said before the server has proved who it is, and all is encrypted."""
        return self.url.startswith(f"{ENCRYPTED}://")

    @property
    def host(self) -> str:
        """The server's name or number."""
        return urlsplit(self.url).hostname or ""


def _require_protection(host: str, scheme: str, access: BusAccess) -> None:
    """Beyond this computer both are required: what crosses a network is read and forged by whoever stands there."""
    if scheme != ENCRYPTED:
        raise ConfigError(
            f"The bus at {host} is on another computer, and what it says would cross the network unencrypted. "
            f"Use {ENCRYPTED}://{host} and a server that begins with TLS, as `options-helper bus config` writes it."
        )
    if access.seed_file is None:
        raise ConfigError(
            f"The bus at {host} is on another computer, and nothing here says who asks. Set OH_BUS_SEED_FILE to the "
            "file that `options-helper bus config` wrote for this computer."
        )


def bus_of(environ: Mapping[str, str]) -> BusAddress | None:
    """The bus that `ui --bus` leads its page to; None where there is none. ConfigError as `BusAddress.parse`."""
    url = environ.get(BUS_VARIABLE)
    if not url:
        return None
    asked = environ.get(DETAIL_VARIABLE, Detail.FULL)
    try:
        detail = Detail(asked)
    except ValueError:
        raise ConfigError(f"{DETAIL_VARIABLE} is full or slow, and not {asked!r}.") from None
    return BusAddress.parse(url, environ.get(DESK_VARIABLE), BusAccess.load(environ), detail)


def bus_environment(address: BusAddress) -> dict[str, str]:
    """The variables that `bus_of` reads."""
    return {
        BUS_VARIABLE: address.url,
        DESK_VARIABLE: address.names.desk,
        DETAIL_VARIABLE: address.detail,
        **address.access.environment,
    }


def desk_accounts_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Those that were told with the bus; none where nobody served it then, or its owner did not say."""
    return tuple(filter(None, environ.get(DESK_ACCOUNTS_VARIABLE, "").split(",")))


def _shown(url: str) -> str:
    """The address without what may be a password."""
    return f"…@{url.rpartition('@')[2]}" if "@" in url else url


def is_loopback(host: str) -> bool:
    """Whether nothing that goes there leaves this computer."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
