"""Seeds: the secrets by which a user of the bus signs that it is the one, each in a file of its own."""

from __future__ import annotations

import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from options_helper.bus.roles import ALL_ACCOUNTS, OWN_ACCOUNT, Role, accounts_in, part_of
from options_helper.errors import ConfigError

_SEED: Final = re.compile(r"^\s*(SU[A-Z2-7]{56})\s*$", re.MULTILINE)
_NOTE: Final = re.compile(
    r"^# Seed of (?P<name>[\w-]+), (?P<role>[a-z-]+)(?: of (?P<accounts>[a-z0-9_, -]+?))?"
    r" on the desk (?P<desk>[\w-]+)\.",
    re.MULTILINE,
)
_FOR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MOST_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Seed:
    """One user's secret; what the file's note says of it is for sentences, and for nothing that a server decides."""

    text: SecretStr
    public_key: str
    name: str | None = None
    role: Role | None = None
    accounts: tuple[str, ...] = OWN_ACCOUNT  # that an account viewer may see

    @property
    def who(self) -> str:
        """The user, as a sentence names it."""
        if self.name is None or self.role is None:
            return "this seed's user"
        return f"{self.name} ({part_of(self.role, self.accounts)})"

    def sees(self, account: str) -> bool | None:
        """Whether it may have this account's positions and orders; "default" is the desk's own. None: nobody noted."""
        if self.role is None:
            return None
        if self.role is not Role.ACCOUNT_VIEWER:
            return self.role.sees_account
        return account in self.accounts or ALL_ACCOUNTS in self.accounts


def make_seed(name: str, role: Role, accounts: tuple[str, ...] = OWN_ACCOUNT) -> Seed:
    """A new one."""
    nkeys = _nkeys()
    text: str = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER).decode()
    return Seed(SecretStr(text), _public_key(text), name, role, accounts)


def seed_text(seed: Seed, desk: str) -> str:
    """What stands in its file."""
    part = "" if seed.role is None else part_of(seed.role, seed.accounts)
    return (
        f"# Seed of {seed.name}, {part} on the desk {desk}. A secret: whoever has it is that user.\n"
        f"{seed.text.get_secret_value()}\n"
    )


def read_seed(path: Path) -> Seed:
    """The seed of a file; ConfigError, which quotes nothing of it, where it is none or others may read it."""
    text = _text_of(path)
    found = _SEED.findall(text)
    if len(found) != 1:
        raise ConfigError(
            f"{path} holds no seed of a bus: a line of 58 letters and digits that begins with SU. "
            "`options-helper bus config` writes such files."
        )
    note = _NOTE.search(text)
    if note is None:
        return Seed(SecretStr(found[0]), _public_key(found[0]))
    role = next((one for one in Role if one == note["role"]), None)
    accounts = accounts_in(note["accounts"])
    return Seed(SecretStr(found[0]), _public_key(found[0]), note["name"], role, accounts)


def _text_of(path: Path) -> str:
    try:
        # Of the open file, so that it is the one that is read.
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name != "nt" and mode & _FOR_OTHERS:
                raise ConfigError(
                    f"{path} holds a secret, and others on this computer may read it. "
                    f"Make it yours alone: chmod 600 {path}"
                )
            return file.read(_MOST_BYTES).decode()
    except OSError as error:
        raise ConfigError(
            f"Cannot read {path}, which OH_BUS_SEED_FILE names: {error.strerror}. "
            "Name the file that `options-helper bus config` wrote for this computer."
        ) from None
    except UnicodeDecodeError:
        # The decoder's own message quotes what it read.
        raise ConfigError(f"{path} is no text. Copy the seed's file again.") from None


def _public_key(text: str) -> str:
    nkeys = _nkeys()
    try:
        pair = nkeys.from_seed(bytearray(text.encode()))
        public: str = pair.public_key.decode()
    except (ValueError, nkeys.NkeysError):
        # What is wrong with it is nobody's business but its own.
        raise ConfigError("A seed is damaged. Copy its file again.") from None
    return public


def _nkeys() -> Any:
    try:
        import nkeys
    except ImportError as error:
        raise ConfigError(
            "A seed of the bus needs the extra `bus`, which is not installed: pip install 'options-helper[bus]'."
        ) from error
    return nkeys
