"""Write what a NATS server needs for a desk with roles: its configuration, and a seed for each user."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from options_helper.bus.address import DEFAULT_PORT, is_loopback
from options_helper.bus.admission import OWN_DEVICES
from options_helper.bus.names import DEFAULT_DESK, Names
from options_helper.bus.roles import ALL_ACCOUNTS, OWN_ACCOUNT, Role, part_of
from options_helper.bus.seeds import Seed, make_seed, read_seed, seed_text
from options_helper.bus.server_config import (
    OWNER_NAME,
    ServerPlan,
    User,
    desk_in,
    require_names,
    server_text,
    users_in,
    with_users,
)
from options_helper.data.atomic_file import replace_file
from options_helper.errors import ConfigError
from options_helper.model.streams import DEFAULT_ACCOUNT, is_account_name

CONFIG_NAME: Final = "nats-server.conf"
_LISTEN: Final = re.compile(r'^listen: "(.*):(\d+)"$', re.MULTILINE)
_PATHS: Final = {
    name: re.compile(rf'^ +{name}: "(.*)"$', re.MULTILINE) for name in ("cert_file", "key_file", "store_dir")
}


@dataclass(frozen=True, slots=True)
class ConfigRequest:
    """Everything the command line says; None: as it was, or the default."""

    folder: Path
    desk: str | None = None
    listen: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    roles: Sequence[tuple[str, Role]] = ()
    accounts: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # of account viewers; else the desk's own
    revoked: Sequence[str] = ()
    overwrite: bool = False


def account_viewer_of(text: str) -> tuple[str, tuple[str, ...]]:
    """The user that `phone` or `phone=ira,roth` names, and which accounts it may see; ConfigError for neither."""
    name, has_accounts, listed = text.partition("=")
    if not has_accounts:
        return name, OWN_ACCOUNT
    accounts = tuple(dict.fromkeys(one.strip() for one in listed.split(",")))
    if ALL_ACCOUNTS in accounts:
        return name, (ALL_ACCOUNTS,)
    for one in accounts:
        if one != DEFAULT_ACCOUNT and not is_account_name(one):
            raise ConfigError(
                f"--account-viewer {text}: {one!r} is no account's name. Write {name}=ira, {name}=ira,roth or "
                f"{name}=all, or {name} for the desk's own account, which is called {DEFAULT_ACCOUNT} beside others."
            )
    return name, accounts


@dataclass(frozen=True, slots=True)
class Written:
    """What was done."""

    plan: ServerPlan
    config: Path
    users: tuple[User, ...]
    seeds: dict[str, Path] = field(default_factory=dict)  # those that are new
    removed: tuple[Path, ...] = ()


def write_config(request: ConfigRequest) -> Written:
    """Write it. ConfigError where that cannot be, and for what is there and was not said to be written again."""
    require_names([OWNER_NAME, *(name for name, _ in request.roles)])
    path = request.folder / CONFIG_NAME
    before = _text_of(path)
    if before is not None and not request.overwrite:
        raise ConfigError(
            f"{path} is there already. With --overwrite it is written again: whoever it names stays, with the seed "
            "they have, except whom you --revoke."
        )
    plan = _plan(request, before or "")
    _require_certificate(plan)
    known = users_in(before or "")
    roles = dict(request.roles)
    if OWNER_NAME not in {user.name for user in known} - set(request.revoked):
        roles = {OWNER_NAME: Role.OWNER, **roles}
    stay = {user.name: user.part for user in known if user.name not in request.revoked}
    wanted = [make_seed(name, role, request.accounts.get(name, OWN_ACCOUNT)) for name, role in roles.items()]
    new = {
        name: seed
        for (name, role), seed in zip(roles.items(), wanted, strict=True)
        if stay.get(name) != part_of(role, seed.accounts)
    }
    users = with_users(
        known,
        [User(name, roles[name], seed.public_key, seed.accounts) for name, seed in new.items()],
        request.revoked,
    )
    text = server_text(plan, users)  # whatever cannot be is said before anything is written
    try:
        request.folder.mkdir(parents=True, exist_ok=True)
        removed = _remove_revoked(request, known)
        seeds = {name: _write_seed(request.folder, name, seed, plan.names.desk) for name, seed in new.items()}
        replace_file(path, text.encode(), durable=True)
    except OSError as error:
        raise ConfigError(f"Cannot write into {request.folder}: {error.strerror}.") from error
    return Written(plan, path, users, seeds, removed)


def _text_of(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{path} cannot be read. Choose another folder.") from None
    if desk_in(text) is None:
        raise ConfigError(f"{path} was written by somebody else. Choose another folder.")
    return text


def _plan(request: ConfigRequest, before: str) -> ServerPlan:
    desk = desk_in(before)
    if desk is not None and request.desk not in (None, desk):
        raise ConfigError(
            f"{request.folder} is of the desk {desk}. Choose another folder for {request.desk}."
        )
    listened = _LISTEN.search(before)
    listen = request.listen or (":".join(listened.groups()) if listened else f"127.0.0.1:{DEFAULT_PORT}")
    host, port = _host_and_port(listen)
    stored = _PATHS["store_dir"].search(before)
    return ServerPlan(
        Names(request.desk or desk or DEFAULT_DESK),
        host,
        port,
        Path(stored[1]) if stored else request.folder.absolute() / "store",
        _chosen(request.certificate, _PATHS["cert_file"], before),
        _chosen(request.key, _PATHS["key_file"], before),
    )


def _chosen(named: Path | None, line: re.Pattern[str], before: str) -> Path | None:
    if named is not None:
        return named.absolute()
    found = line.search(before)
    return Path(found[1]) if found else None


def _host_and_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":") if listen.count(":") == 1 or "]:" in listen else (listen, "", "")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port or str(DEFAULT_PORT)).isdecimal() or int(port or DEFAULT_PORT) > 65_535:
        raise ConfigError(f"--listen {listen} is no place to listen at; one is 0.0.0.0:{DEFAULT_PORT}.")
    return host, int(port or DEFAULT_PORT)


def _require_certificate(plan: ServerPlan) -> None:
    """A server that is told of a certificate it cannot use does not start."""
    if plan.certificate is None or plan.key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(plan.certificate, plan.key, password="")
    except OSError as error:  # ssl's own errors are such too
        missing = next((path for path in (plan.certificate, plan.key) if not path.is_file()), None)
        why = (
            "are no certificate and its key" if missing is None else f"cannot be used: there is no {missing}"
        )
        raise ConfigError(
            f"{plan.certificate} and {plan.key} {why}. Name both, as PEM, the key unencrypted."
        ) from error


def _remove_revoked(request: ConfigRequest, known: Sequence[User]) -> tuple[Path, ...]:
    """The seeds of those who are not admitted any more, where they are here; they open nothing."""
    keys = {user.name: user.public_key for user in known}
    removed = []
    for name in request.revoked:
        path = _seed_path(request.folder, name)
        if path.exists() and read_seed(path).public_key == keys[name]:
            path.unlink()
            removed.append(path)
    return tuple(removed)


def _write_seed(folder: Path, name: str, seed: Seed, desk: str) -> Path:
    path = _seed_path(folder, name)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            f"{path} is there already, and the configuration names no such user. Move it away first."
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(seed_text(seed, desk))
    return path


def _seed_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.seed"


def told(written: Written) -> list[str]:
    """What was written, and what to do next."""
    plan = written.plan
    lines = [f"Written: {written.config}, for the desk {plan.names.desk}"]
    width = max(len(user.name) for user in written.users)
    for user in written.users:
        where = written.seeds.get(user.name)
        lines.append(
            f"  {user.name:{width}}  {user.part}: {user.role.meaning}; "
            + (f"its seed is new: {where}" if where else "it keeps the seed it has")
        )
    lines += [f"Removed: {path}, which opens nothing any more" for path in written.removed]
    return [*lines, *_next_steps(written)]


def _next_steps(written: Written) -> list[str]:
    plan = written.plan
    beyond = not is_loopback(plan.host)
    wildcard = plan.host in ("0.0.0.0", "::")  # noqa: S104 - to be told from a name that others can use
    host = socket.gethostname() if wildcard else plan.host
    shown = f"[{host}]" if ":" in host else host
    url = f"{plan.scheme}://{shown}:{plan.port}"
    trust = (
        ""
        if plan.certificate is None
        else "\n   export OH_BUS_CA_FILE=THE_CERTIFICATE_OF_WHOEVER_SIGNED_THE_SERVERS"
    )
    lines = [
        "",
        "Next:",
        f"1. Start the server, or have one that runs read this again (kill -HUP): nats-server -c {written.config}",
        "2. On the owner's computer:",
        f"   export OH_BUS_SEED_FILE={_seed_path(written.config.parent, OWNER_NAME)}{trust}",
        f"   options-helper stream serve --bus {url} --desk {plan.names.desk}",
        "3. Bring each other user's seed to its computer, over ssh or by hand, for you alone (chmod 600). There:",
        f"   export OH_BUS_SEED_FILE=NAME.seed{trust}",
        f"   options-helper bus check {url} --desk {plan.names.desk}",
        f"   options-helper ui --bus {url} --desk {plan.names.desk}",
    ]
    if wildcard:
        lines.append(
            f"   {host} is this computer's own name; the certificate has to be made out to the name that is used."
        )
    if beyond:
        lines += ["", OWN_DEVICES]
    return lines
