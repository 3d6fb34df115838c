"""Whether a server lets a program in, and lets it do something: sentences where not, and how soon to ask again."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from options_helper.bus.address import BusAddress, is_loopback
from options_helper.bus.seeds import Seed
from options_helper.errors import StreamError, StreamRefused

# A program has several connections and asks for each again; together they ask no more often than this.
PAUSES: Final = (5.0, 15.0, 30.0, 60.0)
# Earlier ones cannot begin with TLS (2.10.0), or lose what they have acknowledged when they are killed (2.10.23).
OLDEST_BEYOND: Final = (2, 10, 23)
OWN_DEVICES: Final = (
    "The bus listens to other computers. Alpaca's data are for the account holder's own devices; anybody else needs "
    "the consent of Alpaca and of the exchanges."
)
_CONFIG: Final = "`options-helper bus config` writes one"
_REFUSAL: Final = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"')
_WRONG_NAME: Final = (62, 64)  # OpenSSL's codes for a certificate of another name, and of another address


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself before anybody has logged in."""

    version: tuple[int, int, int]
    listens_on: str
    asks_who: bool  # for a key, before anything else
    encrypts: bool

    @property
    def listens_beyond(self) -> bool:
        """Whether other computers reach it, for all that it says itself."""
        return not is_loopback(self.listens_on)

    @property
    def notices(self) -> tuple[str, ...]:
        """What whoever serves it is told once."""
        return (*self.warnings, OWN_DEVICES) if self.listens_beyond else self.warnings

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is dangerous about it, with what to do."""
        found = []
        shown = ".".join(map(str, self.version))
        if self.listens_beyond and not (self.asks_who and self.encrypts):
            lacks = [
                what
                for what, is_there in (("encryption", self.encrypts), ("asking who it is", self.asks_who))
                if not is_there
            ]
            found.append(
                f"The server lets other computers in ({self.listens_on}) without {' and without '.join(lacks)}: "
                f"whoever reaches it reads all of it. Start it with -a 127.0.0.1, or with a configuration; {_CONFIG}."
            )
        if (self.listens_beyond or self.encrypts) and self.version < OLDEST_BEYOND:
            found.append(
                f"nats-server {shown} is too old for other computers: before {'.'.join(map(str, OLDEST_BEYOND))} it "
                "may lose what it has acknowledged. Install a newer one."
            )
        return tuple(found)


def not_admitted(address: BusAddress, seed: Seed | None) -> StreamRefused:
    """The server knows no such user."""
    if seed is None:
        return StreamRefused(
            f"The bus at {address.url} wants to know who asks. Set OH_BUS_SEED_FILE to the file that "
            "`options-helper bus config` wrote for this computer."
        )
    return StreamRefused(
        f"The bus at {address.url} does not admit {seed.who}: the seed in {address.access.seed_file} was "
        "revoked, or is of another server. Get a new one from `options-helper bus config`, or have the server read its "
        "configuration again."
    )


def not_trusted(address: BusAddress, error: ssl.SSLCertVerificationError) -> StreamRefused:
    """Somebody else may stand where the server should."""
    if error.verify_code in _WRONG_NAME:
        return StreamRefused(
            f"The certificate of the bus at {address.url} is made out to another name than {address.host}. "
            "Use the name that stands in it, or make one for this name."
        )
    trusted = "this computer trusts" if address.access.ca_file is None else f"{address.access.ca_file} has"
    return StreamRefused(
        f"The certificate of the bus at {address.url} is signed by none that {trusted} ({error.verify_message}). "
        "Set OH_BUS_CA_FILE to the certificate of whoever signed it."
    )


def not_tls_first(address: BusAddress) -> StreamRefused:
    """What answers there speaks before it encrypts, or never encrypts; nothing was sent to it."""
    return StreamRefused(
        f"What listens at {address.url} does not begin with TLS, so nothing was sent to it. Have the server begin with "
        f"it: nats-server 2.10.23 or newer, with handshake_first: true in its tls block; {_CONFIG}."
    )


def silent(address: BusAddress) -> StreamError:
    """It took the connection and said nothing: it is ill, or it waits for the other kind of beginning."""
    if address.is_encrypted:
        return StreamError(
            f"What listens at {address.url} did not answer the beginning of TLS in time. If it stays so, its "
            "configuration lacks handshake_first: true, or it is older than 2.10.23 and cannot do that."
        )
    return StreamError(
        f"What listens at {address.url} says nothing. If it is a bus that begins with TLS, its address is "
        f"{address.url.replace('nats', 'tls', 1)}."
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """What a server did not let a user do."""

    follows: bool  # otherwise it wanted to publish
    subject: str
    sentence: str

    def is_of(self, subject: str, *, follows: bool) -> bool:
        """Whether it is the answer to that."""
        return self.follows is follows and self.subject == subject


def not_allowed(said: str, seed: Seed | None, spelling: Mapping[str, str]) -> Refused | None:
    """What a server's word means; None where it speaks of something else than rights.

    `spelling` has subjects by their small letters, in which the client repeats them.
    """
    found = _REFUSAL.search(said)
    if found is None:
        return None
    follows, subject = found[1] == "subscription", spelling.get(found[2], found[2])
    who = "this program, which has no seed" if seed is None else seed.who
    return Refused(
        follows,
        subject,
        f"The bus does not let {who} {'follow' if follows else 'publish to'} {subject}. Use a seed of a role that may, "
        "or write the server's configuration again: `options-helper bus config`.",
    )


class Admissions:
    """Which servers refused which seeds, so that none is asked again and again; from any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # Guarded by the lock: when to ask next, how often it was refused, and what was said.
        self._lock = threading.Lock()
        self._refused: dict[tuple[str, ...], tuple[float, int, str]] = {}

    def require(self, key: tuple[str, ...]) -> None:
        """Raise what was said last, where it is too soon to ask again."""
        with self._lock:
            again_at, _, said = self._refused.get(key, (0.0, 0, ""))
            if said and self._monotonic() < again_at:
                raise StreamRefused(said)

    def refuse(self, key: tuple[str, ...], said: str) -> None:
        """Remember it."""
        with self._lock:
            _, times, _ = self._refused.get(key, (0.0, 0, ""))
            pause = PAUSES[min(times, len(PAUSES) - 1)]
            self._refused[key] = (self._monotonic() + pause, times + 1, said)

    def admit(self, key: tuple[str, ...]) -> None:
        """Forget it."""
        with self._lock:
            self._refused.pop(key, None)
