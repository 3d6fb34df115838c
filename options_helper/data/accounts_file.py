"""Several accounts with Alpaca, by the names that the user gave them: each its keys, market data from one of them."""

from __future__ import annotations

import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import SecretStr

from options_helper import settings as settings_module
from options_helper.data.private_file import read_private_text
from options_helper.errors import ConfigError
from options_helper.model.streams import ACCOUNT_NAME_RULE, DEFAULT_ACCOUNT, is_account_name
from options_helper.settings import ACCOUNTS_VARIABLE, VARIABLES, Settings

FILE_NAME: Final = "accounts.toml"
_FIELDS: Final = frozenset({"key", "secret", "paper", "env_file", "market_data", "rest_per_minute"})
# Whatever else stands in the place of a field's name may be a key.
_FIELD: Final = re.compile(r"[a-z_]{1,20}")
_EXAMPLE: Final = (
    'Write [accounts.ira] and below it paper = false, key = "…" and secret = "…", or env_file = "ira.env".'
)


@dataclass(frozen=True, slots=True)
class Accounts:
    """All that are configured; without a file the one of the environment, called "default"."""

    by_name: Mapping[str, Settings]
    market_data: str = DEFAULT_ACCOUNT  # whose keys open market data
    names: tuple[str, ...] = (DEFAULT_ACCOUNT,)  # in the file's order, those that cannot be used too
    # By the name of an account that cannot be used, why; it costs none of the others.
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    why_one: str = ""  # of an account without a name, why there are no others, as a sentence
    is_complete: bool = False  # the environment names all there is, as a simulator's does

    @property
    def are_several(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.names) > 1

    def settings(self, name: str | None = None) -> Settings:
        """An account's; None: of the one that has the market data. ConfigError for one that cannot be used."""
        wanted = self.market_data if name is None else name
        if wanted not in self.names:
            if self.why_one:
                raise ConfigError(f"There is no account {wanted!r}: {self.why_one}")
            raise ConfigError(
                f"There is no account {wanted!r} in {FILE_NAME}; it has {', '.join(self.names)}."
            )
        if problem := self.problems.get(wanted):
            raise ConfigError(problem)
        settings = self.by_name[wanted]
        if wanted == self.market_data:
            return settings
        if problem := self.problems.get(self.market_data):
            raise ConfigError(f"Market data are asked with the keys of another account. {problem}")
        return replace(settings, data_account=self.by_name[self.market_data])

    def settings_for(self, named: str | None, written: str | None, file: str) -> Settings:
        """Of the account that somebody named, or else the one that is written in a portfolio's file.

        ConfigError where the two are not the same: quantities and P&L would be compared with another account's. A
        simulator has one account, whose positions are whatever the file says.
        """
        _require_the_same(named, written, file)
        return self.settings(named or (None if self.is_complete else written))


def _require_the_same(named: str | None, written: str | None, file: str) -> None:
    if named is not None and written is not None and named != written:
        raise ConfigError(
            f"{file} is of the account {written!r}, and {named!r} was asked for. "
            'Take that account\'s file, or correct "account" in this one.'
        )


def load_accounts(environ: Mapping[str, str] = os.environ, env_file: Path | None = None) -> Accounts:
    """Read `accounts.toml` beside `config/alpaca.env`, or the file that `OH_ALPACA_ACCOUNTS` names.

    Where there is none, everything is as `Settings.load` says.

    A complete environment, such as a demo's, needs no file, and none is read. ConfigError, a sentence without any
    secret, for what is no such file, and for one that others may read.
    """
    env_file = env_file or settings_module.DEFAULT_ENV_FILE
    named = environ.get(ACCOUNTS_VARIABLE, "").strip()
    path = Path(named).expanduser() if named else env_file.with_name(FILE_NAME)
    # What is named is read whatever else there is: a simulator of several accounts names its own.
    is_complete = not named and _is_complete(environ)
    text = None if is_complete else read_private_text(path, "keys")
    if named and text is None:
        raise ConfigError(f"{ACCOUNTS_VARIABLE} names {path}, which is not there.")
    if text is None:
        why = (
            f"the environment is complete, as a simulator's is, so {FILE_NAME} is not read."
            if is_complete
            else f"accounts are named in {path}, which is not there. {_EXAMPLE}"
        )
        only = {DEFAULT_ACCOUNT: Settings.load(environ, env_file)}
        return Accounts(MappingProxyType(only), why_one=why, is_complete=is_complete)
    return parse_accounts(text, path, Settings.load(environ, env_file))


def load_settings(
    account: str | None = None, environ: Mapping[str, str] = os.environ, env_file: Path | None = None
) -> Settings:
    """The settings of an account by its name, None: of the one that has the market data. ConfigError as above."""
    return load_accounts(environ, env_file).settings(account)


def load_market_settings() -> Settings:
    """For who wants market data and nobody's orders: by the keys of the account that has them. ConfigError as above."""
    return load_settings().without_name


def load_desk_settings(named: str | None = None, written: str | None = None, file: str = "") -> Settings:
    """For who follows an owner over a bus, which needs no keys: of the account by that name there.

    That is the one that was `named`, or is `written` in the portfolio's `file`; with neither the desk's own, whatever
    its name. ConfigError where the two are not the same, or what was named can be no account's name.
    """
    _require_the_same(named, written, file)
    account = named or written
    if account is None:
        return Settings.load().without_name
    if not is_account_name(account):
        raise ConfigError(f"An account cannot be called {account!r}: {ACCOUNT_NAME_RULE}.")
    return replace(Settings.load(), account=account)


def parse_accounts(text: str, path: Path, common: Settings) -> Accounts:
    """Accounts from TOML; files are named from `path`, and `common` has what is not an account's own."""
    name = path.name
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Its message may quote what stands there, and that is a secret.
        place = re.search(r"line \d+", str(error))
        raise ConfigError(f"{name} is no TOML{f', see {place[0]}' if place else ''}. {_EXAMPLE}") from None
    if content.keys() - {"accounts"}:
        raise ConfigError(f"{name}: something stands outside of [accounts.NAME]. {_EXAMPLE}")
    tables = content.get("accounts", {})
    if (
        not isinstance(tables, dict)
        or not tables
        or not all(isinstance(one, dict) for one in tables.values())
    ):
        raise ConfigError(f"{name}: each account is a table of its own. {_EXAMPLE}")
    for account in tables:
        if not is_account_name(account):
            raise ConfigError(f"{name}: an account cannot be called as one is here: {ACCOUNT_NAME_RULE}.")
    market_data = _market_data(tables, name)
    found: dict[str, Settings] = {}
    problems: dict[str, str] = {}
    for account, fields in tables.items():
        where = f"{name}, account {account}"
        try:
            found[account] = _account(account, fields, where, path.parent, common)
        except ConfigError as error:
            said = str(error)
            problems[account] = said if said.startswith(where) else f"{where}: {said}"
    _require_keys_of_their_own(found, name)
    return Accounts(MappingProxyType(found), market_data, tuple(tables), MappingProxyType(problems))


def _market_data(tables: Mapping[str, Mapping[str, Any]], name: str) -> str:
    for account, fields in tables.items():
        if not isinstance(fields.get("market_data", False), bool):
            raise ConfigError(f"{name}, account {account}: market_data is true or false.")
    chosen = [account for account, fields in tables.items() if fields.get("market_data")]
    if len(tables) == 1:
        return next(iter(tables))
    if len(chosen) != 1:
        which = f"{' and '.join(chosen)} have" if chosen else "no account has"
        raise ConfigError(
            f"{name}: {which} market_data = true. Write it below one account, the one with the best data plan."
        )
    return chosen[0]


def _account(account: str, fields: Mapping[str, Any], where: str, folder: Path, common: Settings) -> Settings:
    if strangers := sorted(fields.keys() - _FIELDS):
        shown = repr(strangers[0]) if _FIELD.fullmatch(strangers[0]) else "something"
        raise ConfigError(f"{where}: {shown} is no known field. Known are {', '.join(sorted(_FIELDS))}.")
    paper = fields.get("paper")
    if paper is not None and not isinstance(paper, bool):
        raise ConfigError(f"{where}: paper is true, or false for an account with money.")
    has_keys = "key" in fields or "secret" in fields
    if has_keys and "env_file" in fields:
        raise ConfigError(f"{where}: key and secret stand here, or in env_file, not in both.")
    if "env_file" in fields:
        settings = _from_env_file(fields["env_file"], where, folder, common)
    elif has_keys:
        if paper is None:
            raise ConfigError(
                f"{where}: paper is missing. Write paper = true, or false for an account with money."
            )
        settings = replace(
            common, api_key=_key(fields, "key", where), api_secret=_key(fields, "secret", where)
        )
    else:
        settings = common
    if not settings.has_credentials:
        raise ConfigError(f"{where}: there are no keys. {_EXAMPLE}")
    if "rest_per_minute" in fields:
        per_minute = fields["rest_per_minute"]
        if isinstance(per_minute, bool) or not isinstance(per_minute, int):
            raise ConfigError(f"{where}: rest_per_minute is no whole number.")
        settings = replace(settings, rest_per_minute=per_minute)
    return replace(settings.for_account(paper=paper), account=account)


def _from_env_file(named: Any, where: str, folder: Path, common: Settings) -> Settings:
    """Keys, address and pace as the file says; feeds and the like are everybody's."""
    if not isinstance(named, str) or not named.strip():
        raise ConfigError(f"{where}: env_file is no file's name. {_EXAMPLE}")
    path = folder / Path(named.strip()).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"{where}: env_file {path} is not there. Write APCA_API_KEY_ID and APCA_API_SECRET_KEY into it."
        )
    own = Settings.load({}, path)
    return replace(
        common,
        api_key=own.api_key,
        api_secret=own.api_secret,
        base_url=own.base_url,
        rest_per_minute=own.rest_per_minute,
    )


def _key(fields: Mapping[str, Any], name: str, where: str) -> SecretStr:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where}: {name} is missing, or is no text. {_EXAMPLE}")
    return SecretStr(value.strip())


def _require_keys_of_their_own(found: Mapping[str, Settings], name: str) -> None:
    """One account under two names would be counted twice."""
    by_key: dict[SecretStr | None, list[str]] = defaultdict(list)
    for account, settings in found.items():
        by_key[settings.api_key].append(account)
    if same := next((names for names in by_key.values() if len(names) > 1), None):
        raise ConfigError(
            f"{name}: {' and '.join(same)} have the same key, so they are one account. Take one of them out."
        )


def _is_complete(environ: Mapping[str, str]) -> bool:
    return all(environ.get(variable, "").strip() for variable in VARIABLES)
