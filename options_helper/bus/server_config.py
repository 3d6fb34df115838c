"""The configuration of a NATS server with the roles of one desk, as text; and the users that such a text names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from options_helper.bus.address import is_loopback
from options_helper.bus.names import Names
from options_helper.bus.roles import OWN_ACCOUNT, Role, accounts_in, part_of, rights_of
from options_helper.errors import ConfigError

OWNER_NAME: Final = "owner"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_USER: Final = re.compile(
    r"^ +# (?P<name>[\w-]+): (?P<role>[a-z-]+)(?: of (?P<accounts>[a-z0-9_, -]+))?\n"
    r" +\{ nkey: (?P<key>U[A-Z2-7]{55})",
    re.MULTILINE,
)
_HEAD: Final = re.compile(r"^# The desk (?P<desk>[\w-]+) of options-helper\.", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class User:
    """One who may log in."""

    name: str
    role: Role
    public_key: str
    accounts: tuple[str, ...] = OWN_ACCOUNT  # that an account viewer may see

    @property
    def part(self) -> str:
        """Role and accounts, in words."""
        return part_of(self.role, self.accounts)


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """Where a server listens, what it keeps where, and what it shows to whoever connects."""

    names: Names
    host: str
    port: int
    store: Path
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            raise ConfigError(
                "--cert and --key belong together: a certificate, and the key that it was made with."
            )
        if self.certificate is None and not is_loopback(self.host):
            raise ConfigError(
                f"A server that listens at {self.host} is reached by other computers, so it needs a certificate: "
                "--cert and --key. The docs say how to make one (More than one computer, The network)."
            )

    @property
    def scheme(self) -> str:
        """What an address of it begins with."""
        return "nats" if self.certificate is None else "tls"


def require_names(names: Iterable[str]) -> None:
    """Raise ConfigError for what cannot be the name of a user and of its file, or stands there twice."""
    seen: set[str] = set()
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is no name for a user: 1 to 32 letters, digits, - and _.")
        if name in seen:
            raise ConfigError(f"{name} is named twice. Each user has one name and one role.")
        seen.add(name)


def server_text(plan: ServerPlan, users: Sequence[User]) -> str:
    """The file; the server reads it again on SIGHUP."""
    parts = [
        f"# The desk {plan.names.desk} of options-helper. `options-helper bus config` wrote it, and reads it again.",
        "# No secret is in it: who has a seed's file is that user.",
        f"listen: {_quoted(f'{_bracketed(plan.host)}:{plan.port}')}",
        "max_payload: 8MB",
        "max_pending: 64MB",
        'write_deadline: "5s"',
        'ping_interval: "10s"',
        _jetstream(plan),
    ]
    if plan.certificate is not None and plan.key is not None:
        parts.append(
            "tls {\n"
            f"  cert_file: {_quoted(plan.certificate)}\n"
            f"  key_file: {_quoted(plan.key)}\n"
            "  # Whoever does not begin with TLS is told nothing.\n"
            "  handshake_first: true\n"
            "}"
        )
    shown = "\n".join(_user(plan.names, user) for user in users)
    return "\n".join([*parts, f"authorization {{\n  users: [\n{shown}\n  ]\n}}\n"])


def _jetstream(plan: ServerPlan) -> str:
    # Servers of before 2.10 do not know how often to sync; one with a certificate is newer.
    sync = "" if plan.certificate is None else '\n  sync_interval: "1s"'
    return f"jetstream {{\n  store_dir: {_quoted(plan.store)}\n  max_file_store: 25GB{sync}\n}}"


def _user(names: Names, user: User) -> str:
    rights = rights_of(user.role, names, user.public_key, user.accounts)
    answers = "\n      allow_responses: true" if rights.answers else ""
    return (
        f"    # {user.name}: {user.part}\n"
        f"    {{ nkey: {user.public_key}, permissions: {{\n"
        f"      publish: [{_list(rights.publish)}]\n"
        f"      subscribe: [{_list(rights.subscribe)}]{answers}\n"
        "    } }"
    )


def _list(subjects: Iterable[str]) -> str:
    return ", ".join(map(_quoted, subjects))


def _quoted(value: object) -> str:
    text = str(value)
    if not text.isprintable() or '"' in text or "\\" in text:
        raise ConfigError(
            f"{text!r} cannot stand in a server's configuration. Use a path without such signs."
        )
    return f'"{text}"'


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def desk_in(text: str) -> str | None:
    """The desk that a written configuration is of; None where it is none of ours."""
    found = _HEAD.search(text)
    return None if found is None else found["desk"]


def users_in(text: str) -> tuple[User, ...]:
    """The users that a written configuration names."""
    return tuple(
        User(one["name"], Role(one["role"]), one["key"], accounts_in(one["accounts"]))
        for one in _USER.finditer(text)
    )


def with_users(before: Sequence[User], added: Sequence[User], revoked: Iterable[str]) -> tuple[User, ...]:
    """The users after a change; ConfigError where there is no such one, or is one of that name with another role."""
    gone = set(revoked)
    by_name = {user.name: user for user in before}
    if unknown := gone - by_name.keys():
        raise ConfigError(
            f"There is no user {', '.join(sorted(unknown))} to revoke. There are: {', '.join(by_name)}."
        )
    for user in added:
        known = by_name.get(user.name)
        if known is not None and known.part != user.part and user.name not in gone:
            raise ConfigError(
                f"{user.name} is there as {known.part}. Revoke it in the same command to give it another role."
            )
    kept = {name: user for name, user in by_name.items() if name not in gone}
    return tuple({**kept, **{user.name: user for user in added}}.values())
