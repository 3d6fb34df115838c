"""Look at what the user wrote: settings and where each is from, keys, the portfolio file. No secret is told."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from options_helper.analysis.reconcile.portfolio_check import (
    CORRECT_AS_OF,
    REMOVE_AS_OF,
    ahead,
    expired_by,
    has_expired,
    judged_as_of,
)
from options_helper.data.accounts_file import FILE_NAME, Accounts, load_accounts
from options_helper.data.betas_file import load_betas
from options_helper.data.dividends_file import load_dividends
from options_helper.data.earnings_file import load_earnings
from options_helper.data.portfolio_file import DEFAULT_NAME, PortfolioFile, reread
from options_helper.data.rest.market_time import is_demo
from options_helper.doctor.findings import Finding, Verdict, explained
from options_helper.errors import ConfigError
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import MarketDay
from options_helper.model.portfolio import Portfolio
from options_helper.model.streams import DEFAULT_ACCOUNT
from options_helper.model.text import format_count, named
from options_helper.settings import (
    BREEZE_VARIABLES,
    BUS_VARIABLES,
    ENV_PREFIXES,
    FRED_VARIABLES,
    RISK_VARIABLES,
    VARIABLES,
    RiskSettings,
    Settings,
)

_KNOWN: Final = VARIABLES | BREEZE_VARIABLES | BUS_VARIABLES | FRED_VARIABLES | RISK_VARIABLES
_OURS: Final = ("OH_ALPACA_", "OH_RISK_")
_ENVIRONMENT: Final = "environment"
# A value of nothing else counts as not set.
_BLANK: Final = " \t\r\n'\""
_DEFAULT: Final = "default"
_ACCOUNTS_OWN: Final = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "APCA_API_BASE_URL")
_ATTRIBUTES: Final = {
    "APCA_API_BASE_URL": "base_url",
    "OH_ALPACA_STOCK_FEED": "stock_feed",
    "OH_ALPACA_OPTIONS_FEED": "options_feed",
    "OH_ALPACA_STREAM_URL": "stream_url",
    "OH_ALPACA_DATA_URL": "data_url",
    "OH_ALPACA_REST_PER_MINUTE": "rest_per_minute",
    "OH_ALPACA_COMPRESSION": "compression",
    "OH_ALPACA_MARKET_TIME": "market_time",
}


def setting_origins(environ: Mapping[str, str], env_file: Path) -> dict[str, str]:
    """Where each setting comes from: the environment, the file, or nowhere; never what it is."""
    here = {name for name, value in environ.items() if name in VARIABLES and value.strip(_BLANK)}
    in_file = set(_names_in(env_file))
    return {
        name: _ENVIRONMENT if name in here else str(env_file) if name in in_file else _DEFAULT
        for name in sorted(VARIABLES)
    }


def _names_in(env_file: Path) -> list[str]:
    """The names that the file gives a value."""
    try:
        lines = env_file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        # `Settings.load` reads the same file, and complains.
        return []
    pairs = [line.strip().removeprefix("export ").partition("=") for line in lines]
    return [
        name.strip()
        for name, _, value in pairs
        if name.strip().startswith(ENV_PREFIXES) and value.strip(_BLANK) and not value.strip().startswith("#")
    ]


def read_settings(
    environ: Mapping[str, str], env_file: Path, accounts: Accounts | None = None
) -> tuple[Settings | None, Finding]:
    """The settings, None when they cannot be used, and what is to be said of them; of several, who has market data."""
    try:
        settings = (accounts or load_accounts(environ, env_file)).settings()
    except ConfigError as error:
        return None, explained(error, f"Correct it in the environment or in {env_file}.")
    try:
        risk = RiskSettings.load(environ, env_file)
        load_betas(risk.betas_file)
        load_earnings(risk.events_file)
        load_dividends(risk.dividends_file)
    except ConfigError as error:
        # Only the risk figures need them; everything else can be looked at.
        return settings, explained(error, f"Correct it in the environment, in {env_file}, or in that file.")
    origins = _origins(settings, environ, env_file)
    details = {
        name: f"{_shown(settings, name)} ({_format_origin(origins[name])})" for name in sorted(VARIABLES)
    }
    if stray := _stray_names(environ, env_file):
        return settings, Finding(Verdict.WARNING, *_about_stray(stray), details)
    kind = "paper account" if settings.paper else "LIVE account"
    if accounts is not None and accounts.are_several:
        kind = f"accounts {', '.join(accounts.names)}; market data from {accounts.market_data}, a {kind}"
    where = "found" if env_file.is_file() else "not there"
    feeds = f"stocks from {settings.stock_feed}, options from {settings.options_feed}"
    return settings, Finding(Verdict.OK, f"{kind}; {feeds}; {env_file} is {where}", None, details)


def _origins(settings: Settings, environ: Mapping[str, str], env_file: Path) -> dict[str, str]:
    """As above; of a named account its keys and its address are from where accounts are named."""
    origins = setting_origins(environ, env_file)
    if settings.account != DEFAULT_ACCOUNT:
        origins |= dict.fromkeys(_ACCOUNTS_OWN, f"account {settings.account} of {FILE_NAME}")
    return origins


def _shown(settings: Settings, name: str) -> str:
    if name == "APCA_API_KEY_ID":
        return masked(settings.api_key)
    if name == "APCA_API_SECRET_KEY":
        return "not set" if settings.api_secret is None else "set"
    value = getattr(settings, _ATTRIBUTES[name])
    return "not set" if value is None else str(value)


def masked(key: SecretStr | None) -> str:
    """Enough of a key to tell it from another; nothing of one so short that it would be half told."""
    if key is None:
        return "not set"
    text = key.get_secret_value()
    return f"{text[:4]}…" if len(text) >= 12 else "set"


def _format_origin(origin: str) -> str:
    return origin if origin in (_ENVIRONMENT, _DEFAULT) else f"from {origin}"


def _stray_names(environ: Mapping[str, str], env_file: Path) -> list[str]:
    # Other programs have APCA_ variables of their own; a file of ours, or a name of ours, is meant for us.
    ours = [name for name in environ if name.startswith(_OURS)]
    return sorted({*ours, *_names_in(env_file)} - _KNOWN)


def _about_stray(names: Sequence[str]) -> tuple[str, str]:
    meant = difflib.get_close_matches(names[0], _KNOWN, n=1)
    remedy = (
        f"Write {meant[0]} if that is meant." if meant else "Take it out, or compare with the example file."
    )
    return f"{', '.join(names)} is no setting and has no effect.", remedy


def check_keys(settings: Settings | None, environ: Mapping[str, str], env_file: Path) -> Finding:
    """Are there keys, and do they look like those of the account that is named?"""
    if settings is None:
        return Finding(Verdict.SKIPPED, "not looked at: the settings cannot be used")
    if settings.api_key is None or settings.api_secret is None:
        return _keys_missing(settings, env_file)
    origins = _origins(settings, environ, env_file)
    origin = _format_origin(origins["APCA_API_KEY_ID"])
    if origins["APCA_API_SECRET_KEY"] != origins["APCA_API_KEY_ID"]:
        origin += f", the secret: {_format_origin(origins['APCA_API_SECRET_KEY'])}"
    if is_demo(settings):
        return Finding(Verdict.OK, f"the simulator's own ({origin}); they open nothing else")
    said = f"{masked(settings.api_key)} ({origin})"
    if problem := _other_account(settings.api_key.get_secret_value(), settings):
        return Finding(Verdict.WARNING, f"{said}: {problem}", _SWITCH_ACCOUNT)
    return Finding(Verdict.OK, said)


_SWITCH_ACCOUNT: Final = (
    "Use a key of the account that APCA_API_BASE_URL names: https://paper-api.alpaca.markets for paper, "
    "https://api.alpaca.markets for live."
)


def _keys_missing(settings: Settings, env_file: Path) -> Finding:
    missing = [
        name
        for name, value in (
            ("APCA_API_KEY_ID", settings.api_key),
            ("APCA_API_SECRET_KEY", settings.api_secret),
        )
        if value is None
    ]
    file = "has none either" if env_file.is_file() else "is not in this folder"
    return Finding(
        Verdict.FAILED,
        f"{' and '.join(missing)} not set, and {env_file} {file}.",
        f"Write them into {env_file} as NAME=value, or set them in the environment; or look at the page without keys: "
        "options-helper ui --demo",
    )


def _other_account(key: str, settings: Settings) -> str | None:
    """Alpaca's paper keys begin with PK, its live keys with AK."""
    host = urlsplit(settings.base_url).hostname or ""
    if not host.endswith("alpaca.markets"):
        return None
    if key.startswith("PK") and not settings.paper:
        return "it looks like a paper account's key, and the live account is named."
    if key.startswith("AK") and settings.paper:
        return "it looks like a live account's key, and the paper account is named."
    return None


def check_portfolio(named: Path | None, environ: Mapping[str, str], today: MarketDay) -> Finding:
    """Can the file be read, and is what it holds still alive on that day of the market's, or on its own?"""
    path = named or Path(environ.get("OH_PORTFOLIO") or DEFAULT_NAME)
    if not path.exists():
        return _no_portfolio(path, Verdict.WARNING if named is None else Verdict.FAILED)
    portfolio_file = reread(PortfolioFile(path, name=str(path)))
    if portfolio_file.portfolio is None:
        error = ConfigError(portfolio_file.problem or f"{path} names no file.")
        return explained(error, "Correct it there; `options-helper portfolio check` looks again.")
    return _judged(path, portfolio_file.portfolio, today)


def _no_portfolio(path: Path, verdict: Verdict) -> Finding:
    remedy = "Name yours: --portfolio PATH, or let the account write one: options-helper portfolio import"
    return Finding(verdict, f"There is no {path} here.", remedy)


def _judged(path: Path, portfolio: Portfolio, today: MarketDay) -> Finding:
    """What `portfolio check` finds as well: one day decides for both."""
    contracts = {item.label: item for item in portfolio.instruments if item.is_option}
    positions = format_count(len(portfolio.positions), "position")
    held = f"{path}: {positions}, {format_count(len(contracts), 'contract')}"
    day = judged_as_of(portfolio, today)
    if day is None:
        return Finding(Verdict.WARNING, f"{held}; {ahead(portfolio, today)}", CORRECT_AS_OF)
    is_picture = portfolio.as_of not in (None, today.date)
    if is_picture:
        held += f"; it is a picture of {short_date(day)} and judged as of that day. {expired_by(portfolio, today)}"
    elif today.plays:
        held += f"; judged by {today.today}"
    if expired := [label for label, one in contracts.items() if has_expired(one, today, portfolio.as_of)]:
        return _about_expired(held.removesuffix("."), expired)
    return Finding(Verdict.WARNING, held, REMOVE_AS_OF) if is_picture else Finding(Verdict.OK, held)


def _about_expired(held: str, expired: Sequence[str]) -> Finding:
    remedy = "Remove each once the account has dropped it; `options-helper portfolio reconcile` tells."
    return Finding(Verdict.WARNING, f"{held}; expired: {named(expired, 3)}.", remedy)
