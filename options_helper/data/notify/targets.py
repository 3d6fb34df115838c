"""Where messages go: the user's file of addresses, which are secrets and never become text here."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from options_helper.data.private_file import read_private_text
from options_helper.errors import ConfigError

DEFAULT_TARGETS_FILE: Final = Path("config/alert-targets.toml")
FILE_VARIABLE: Final = "OH_ALERT_TARGETS"
# `OH_ALERT_TARGET_PHONE` is the address of the target `phone`.
TARGET_VARIABLE: Final = "OH_ALERT_TARGET_"
LIFE_SIGN_VARIABLE: Final = "OH_ALERT_LIFE_SIGN"
_EXAMPLE: Final = 'Write [targets.phone] and below it url = "ntfy://…".'
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,29}", re.IGNORECASE)
_THIS_COMPUTER: Final = ("127.0.0.1", "localhost", "::1")
_MOST_MINUTES: Final = 1_440.0


@dataclass(frozen=True, slots=True)
class Target:
    """An address in Apprise's spelling, by the name that the user gave it."""

    name: str
    url: SecretStr
    amounts: bool = False  # whether a message to it may say dollars

    @property
    def scheme(self) -> str:
        """The kind of service, which is all of the address that may be shown."""
        scheme = self.url.get_secret_value().partition("://")[0]
        return scheme.lower() if _SCHEME.fullmatch(scheme) else "unknown"

    def __str__(self) -> str:
        return f"{self.name} ({self.scheme})"


@dataclass(frozen=True, slots=True)
class LifeSignTarget:
    """A dead-man's service, which raises an alarm of its own where it is not called for too long."""

    url: SecretStr
    every_minutes: float = 5.0


@dataclass(frozen=True, slots=True)
class Targets:
    """All that the user named."""

    by_name: Mapping[str, Target] = field(default_factory=lambda: MappingProxyType({}))
    life_sign: LifeSignTarget | None = None
    file: str | None = field(default=None, compare=False)  # the name of theirs; None: there is none


NO_TARGETS: Final = Targets()


def targets_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the file is looked for."""
    return Path(environ.get(FILE_VARIABLE) or DEFAULT_TARGETS_FILE).expanduser()


def load_targets(environ: Mapping[str, str] = os.environ, path: Path | None = None) -> Targets:
    """Read the file, then the environment, which goes before it; none of both is no error.

    ConfigError, a sentence without any address, for what is no such file, for one that others may read, and where the
    environment names one that is not there.
    """
    path = path or targets_file(environ)
    if environ.get(FILE_VARIABLE) and not path.exists():
        raise ConfigError(f"There is no {path}; check {FILE_VARIABLE}.")
    found = _read(path)
    own = {
        name.removeprefix(TARGET_VARIABLE).lower(): url
        for name, url in environ.items()
        if name.startswith(TARGET_VARIABLE) and url.strip()
    }
    named = {
        name: _target({"url": url}, name, f"{TARGET_VARIABLE}{name.upper()}") for name, url in own.items()
    }
    # What the file says of amounts holds for the address of the environment too.
    kept = {
        name: replace(one, amounts=found.by_name[name].amounts)
        for name, one in named.items()
        if name in found.by_name
    }
    life_sign = found.life_sign
    if url := environ.get(LIFE_SIGN_VARIABLE, "").strip():
        life_sign = _life_sign({"url": url}, LIFE_SIGN_VARIABLE)
    return Targets(MappingProxyType({**found.by_name, **named, **kept}), life_sign, found.file)


def _read(path: Path) -> Targets:
    text = read_private_text(path, "addresses")
    return NO_TARGETS if text is None else replace(parse_targets(text, path.name), file=path.name)


def parse_targets(text: str, name: str) -> Targets:
    """Targets from TOML; ConfigError, which begins with `name` and quotes nothing, where it is none."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Its message may quote what stands there, and that is a secret.
        place = re.search(r"line \d+", str(error))
        raise ConfigError(f"{name} is no TOML{f', see {place[0]}' if place else ''}. {_EXAMPLE}") from None
    if strangers := sorted(content.keys() - {"targets", "life_sign"}):
        raise ConfigError(
            f"{name}: {_shown(strangers[0])} stands outside of [targets] and [life_sign]. {_EXAMPLE}"
        )
    table = content.get("targets", {})
    if not isinstance(table, dict) or not all(isinstance(one, dict) for one in table.values()):
        raise ConfigError(f"{name}: each target is a table of its own. {_EXAMPLE}")
    targets = {one: _target(fields, one, f"{name}, target {_shown(one)}") for one, fields in table.items()}
    life_sign = content.get("life_sign")
    return Targets(
        MappingProxyType(targets), None if life_sign is None else _life_sign(life_sign, f"{name}, life_sign")
    )


def _target(fields: Mapping[str, Any], name: str, where: str) -> Target:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: the name of a target has letters, digits, - and _ only. {_EXAMPLE}")
    _require_known(fields, {"url", "amounts"}, where)
    amounts = fields.get("amounts", False)
    if not isinstance(amounts, bool):
        raise ConfigError(f"{where}: amounts is true or false.")
    url = _address(fields, where)
    if (
        not _SCHEME.fullmatch(url.get_secret_value().partition("://")[0])
        or "://" not in url.get_secret_value()
    ):
        raise ConfigError(
            f"{where}: url does not begin with a service such as ntfy:// or mailto://. {_EXAMPLE}"
        )
    return Target(name, url, amounts)


def _life_sign(fields: Any, where: str) -> LifeSignTarget:
    if not isinstance(fields, Mapping):
        raise ConfigError(f'{where} is no table. Write [life_sign] and below it url = "https://…".')
    _require_known(fields, {"url", "every_minutes"}, where)
    url, minutes = _address(fields, where), fields.get("every_minutes", 5.0)
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 1 <= minutes <= _MOST_MINUTES:
        raise ConfigError(f"{where}: every_minutes is a number from 1 to {_MOST_MINUTES:g}.")
    try:
        parts = urlsplit(url.get_secret_value())
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if not host or not (scheme == "https" or (scheme == "http" and host in _THIS_COMPUTER)):
        raise ConfigError(
            f"{where}: url is no https:// address. What is called there is a secret, and is encrypted."
        )
    return LifeSignTarget(url, float(minutes))


def _address(fields: Mapping[str, Any], where: str) -> SecretStr:
    url = fields.get("url")
    if not isinstance(url, str) or not url.strip():
        raise ConfigError(f"{where}: url is missing, or is no text. {_EXAMPLE}")
    return SecretStr(url.strip())


def _require_known(fields: Mapping[str, Any], known: set[str], where: str) -> None:
    if strangers := sorted(fields.keys() - known):
        raise ConfigError(
            f"{where}: {_shown(strangers[0])} is no known field. Known are {', '.join(sorted(known))}."
        )


def _shown(key: str) -> str:
    """A key as it may be told: an address that was written on the wrong side of a sign is one no more."""
    return repr(key) if _NAME.fullmatch(key) else "a name with other signs than letters and digits"
