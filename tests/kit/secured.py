"""A bus with TLS and roles, as `bus config` writes it, on this computer; its certificate is made for the tests."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

from options_helper.bus.access import BusAccess
from options_helper.bus.address import BusAddress
from options_helper.bus.roles import Role
from options_helper.commands.bus_config import ConfigRequest, write_config
from tests.kit.bus import CURRENT, NatsServer

DESK: Final = "home"
# One user of each role; the owner is always there.
ROLES: Final = (("laptop", Role.VIEWER), ("study", Role.ACCOUNT_VIEWER), ("nas", Role.RECORDER))
USERS: Final = {"owner": Role.OWNER, **dict(ROLES)}


@functools.cache
def authority() -> trustme.CA:
    """Who signs the certificates of a test run."""
    return trustme.CA()


def certificate(folder: Path, *names: str, signed_by: trustme.CA | None = None) -> tuple[Path, Path]:
    """A certificate for these names, and its key."""
    made = (signed_by or authority()).issue_cert(*names)
    paths = folder / "server.pem", folder / "server-key.pem"
    paths[0].write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
    made.private_key_pem.write_to_path(str(paths[1]))
    return paths


def trusted(folder: Path, signed_by: trustme.CA | None = None) -> Path:
    """The certificate of who signs."""
    path = folder / "ca.pem"
    (signed_by or authority()).cert_pem.write_to_path(str(path))
    return path


@dataclass(frozen=True, slots=True)
class User:
    """What one user's programs need to know."""

    address: BusAddress

    @property
    def environment(self) -> dict[str, str]:
        """For a process of its own."""
        return self.address.access.environment


@dataclass(frozen=True, slots=True)
class SecuredBus:
    """The server that runs, and how each user reaches it."""

    server: NatsServer
    folder: Path
    ca_file: Path

    @property
    def url(self) -> str:
        """Where it is."""
        return f"tls://127.0.0.1:{self.server.port}"

    def user(self, name: str) -> User:
        """One of its users."""
        return User(self.as_user(self.folder / f"{name}.seed"))

    def as_user(self, seed_file: Path | None, ca_file: Path | None = None) -> BusAddress:
        """The address for whoever has that seed."""
        return BusAddress.parse(self.url, DESK, BusAccess(seed_file, ca_file or self.ca_file))

    @property
    def seeds(self) -> list[str]:
        """All secrets that were made."""
        return [path.read_text().splitlines()[-1] for path in sorted(self.folder.glob("*.seed"))]

    def revoke(self, name: str, *added: tuple[str, Role]) -> None:
        """Admit that user no longer, from now on."""
        write_config(ConfigRequest(self.folder, revoked=(name,), roles=added, overwrite=True))
        self.server.reload()


@contextmanager
def secured_bus(
    folder: Path,
    *,
    binary: str | Path = CURRENT,
    roles: Sequence[tuple[str, Role]] = ROLES,
    accounts: Mapping[str, tuple[str, ...]] | None = None,
) -> Iterator[SecuredBus]:
    """A server that runs, with a user of each role; account viewers may see those `accounts`."""
    proof, key = certificate(folder, "127.0.0.1", "localhost")
    config = folder / "bus"

    def configured(port: int) -> Path:
        request = ConfigRequest(
            config,
            desk=DESK,
            listen=f"127.0.0.1:{port}",
            certificate=proof,
            key=key,
            roles=roles,
            accounts=accounts or {},
        )
        return write_config(request).config

    with NatsServer(binary, configured) as server:
        yield SecuredBus(server, config, trusted(folder))
