"""Credentials, feeds and addresses, from the environment and `config/alpaca.env`; secrets never become text here."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from options_helper.errors import ConfigError
from options_helper.model import streams
from options_helper.model.announcement import MarketKind
from options_helper.model.rates import DEFAULT_RATES, RateTable, parse_rates

STOCK_FEEDS: Final = streams.STOCKS.feed_names
OPTION_FEEDS: Final = streams.OPTIONS.feed_names
CRYPTO_LOCATIONS: Final = streams.CRYPTO.feed_names
NEWS_STREAM_PATH: Final = "/v1beta1/news"

DEFAULT_BASE_URL: Final = "https://paper-api.alpaca.markets"
LIVE_BASE_URL: Final = "https://api.alpaca.markets"
DEFAULT_STREAM_URL: Final = "wss://stream.data.alpaca.markets"
DEFAULT_DATA_URL: Final = "https://data.alpaca.markets"
DEFAULT_REST_PER_MINUTE: Final = 200
MOST_REST_PER_MINUTE: Final = 10_000
# Of the market-data streams. Inflating costs more than it saves, except on a link that is slow or paid by the byte.
NO_COMPRESSION: Final = "none"
COMPRESSIONS: Final = (NO_COMPRESSION, "deflate")
DEFAULT_ENV_FILE: Final = Path("config/alpaca.env")
DEFAULT_BETAS_FILE: Final = Path("config/betas.toml")
DEFAULT_DIVIDENDS_FILE: Final = Path("config/dividends.toml")
DEFAULT_EVENTS_FILE: Final = Path("config/events.toml")

NO_KEYS: Final = (
    "There are no Alpaca keys. Set APCA_API_KEY_ID and APCA_API_SECRET_KEY in the environment or in config/alpaca.env. "
    "Without an account, options-helper ui --demo shows a simulated market, and options-helper simulate serves one."
)

ENV_PREFIXES: Final = ("APCA_", "OH_ALPACA_", "OH_RISK_", "OH_BUS_", "BREEZE_", "FRED_")
# Another file of accounts than the one beside `config/alpaca.env`; empty: that one.
ACCOUNTS_VARIABLE: Final = "OH_ALPACA_ACCOUNTS"
VARIABLES: Final = frozenset(
    {
        "APCA_API_KEY_ID",
        "APCA_API_SECRET_KEY",
        "APCA_API_BASE_URL",
        "OH_ALPACA_STOCK_FEED",
        "OH_ALPACA_OPTIONS_FEED",
        "OH_ALPACA_STREAM_URL",
        "OH_ALPACA_DATA_URL",
        "OH_ALPACA_REST_PER_MINUTE",
        "OH_ALPACA_COMPRESSION",
        "OH_ALPACA_MARKET_TIME",
    }
)
BREEZE_VARIABLES: Final = frozenset(
    {
        "BREEZE_ENABLED",
        "BREEZE_API_KEY",
        "BREEZE_API_SECRET",
        "BREEZE_SESSION",
        "BREEZE_REST_URL",
        "BREEZE_STREAM_URL",
        "BREEZE_MASTER_URL",
    }
)
RISK_VARIABLES: Final = frozenset(
    {"OH_RISK_RATES", "OH_RISK_ASSUME_DIVIDENDS", "OH_RISK_BETAS", "OH_RISK_EVENTS", "OH_RISK_DIVIDENDS"}
)
FRED_VARIABLES: Final = frozenset({"FRED_API_KEY", "FRED_URL"})
BUS_VARIABLES: Final = frozenset({"OH_BUS_SEED_FILE", "OH_BUS_CA_FILE"})
DEFAULT_FRED_URL: Final = "https://api.stlouisfed.org"
DEFAULT_BREEZE_REST_URL: Final = "https://api.icicidirect.com/breezeapi/api/v1"
DEFAULT_BREEZE_STREAM_URL: Final = "wss://livestream.icicidirect.com"
DEFAULT_BREEZE_MASTER_URL: Final = "https://directlink.icicidirect.com/MotherAppMaster/SecurityMaster.zip"
BREEZE_LOGIN: Final = (
    "Log in at https://api.icicidirect.com/apiuser/login with your app key, and put the API_Session that the browser "
    "shows into BREEZE_SESSION, in the environment or in config/alpaca.env"
)
_HTTP_SCHEMES: Final = ("https", "http")
_WEBSOCKET_SCHEMES: Final = ("wss", "ws")
_ENCRYPTED_SCHEMES: Final = ("https", "wss")
_ON: Final = ("yes", "true", "on", "1")
_OFF: Final = ("no", "false", "off", "0")
# What gets into a key by a wrong way of writing it down: quotation marks that were not closed, the end of a statement,
# a place to be filled in. Letters, digits and the signs of Base64 are what keys are made of.
_NO_KEY_HAS: Final = frozenset("\"'`;,<>{}$\\")


def stock_stream_path(feed: str) -> str:
    """Where the market-data host serves a stock feed."""
    _require_member(feed, STOCK_FEEDS, "stock feed")
    version = "v1beta1" if feed in ("boats", "overnight") else "v2"
    return f"/{version}/{feed}"


def option_stream_path(feed: str) -> str:
    """Where the market-data host serves an option feed."""
    _require_member(feed, OPTION_FEEDS, "options feed")
    return f"/v1beta1/{feed}"


def crypto_stream_path(location: str) -> str:
    """Where the market-data host serves the coins of a place."""
    _require_member(location, CRYPTO_LOCATIONS, "crypto location")
    return f"/v1beta3/crypto/{location}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is needed to reach Alpaca, or a simulator; a value that cannot work raises ConfigError at once.

    Keys are sent to the three addresses, so each must be encrypted or on this computer.
    """

    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None
    base_url: str = DEFAULT_BASE_URL
    stock_feed: str = "iex"
    options_feed: str = "indicative"
    stream_url: str = DEFAULT_STREAM_URL
    data_url: str = DEFAULT_DATA_URL
    # What Alpaca allows an account by default.
    rest_per_minute: int = DEFAULT_REST_PER_MINUTE
    compression: str = NO_COMPRESSION
    # Where the session begins that a simulator plays; of no account for Alpaca, whose time is everybody's.
    market_time: datetime | None = None
    # Whose these are, where the user has named several accounts.
    account: str = streams.DEFAULT_ACCOUNT
    # The account whose keys open market data, where that is another one.
    data_account: Settings | None = None

    def __post_init__(self) -> None:
        _require_key_text(self.api_key, "APCA_API_KEY_ID")
        _require_key_text(self.api_secret, "APCA_API_SECRET_KEY")
        _require_member(self.stock_feed, STOCK_FEEDS, "OH_ALPACA_STOCK_FEED")
        _require_member(self.options_feed, OPTION_FEEDS, "OH_ALPACA_OPTIONS_FEED")
        _require_address(self.base_url, _HTTP_SCHEMES, "APCA_API_BASE_URL")
        _require_address(self.stream_url, _WEBSOCKET_SCHEMES, "OH_ALPACA_STREAM_URL")
        _require_address(self.data_url, _HTTP_SCHEMES, "OH_ALPACA_DATA_URL")
        _require_rate(self.rest_per_minute)
        _require_member(self.compression, COMPRESSIONS, "OH_ALPACA_COMPRESSION")

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, env_file: Path | None = None) -> Settings:
        """Read the environment, then `config/alpaca.env` for what the environment leaves open.

        A complete environment, such as a demo's, needs no file, and none is read. A missing file is no error, and an
        empty value counts as not set.
        """
        values = read_variables(VARIABLES, environ, env_file)
        return cls(
            api_key=_secret(values.get("APCA_API_KEY_ID")),
            api_secret=_secret(values.get("APCA_API_SECRET_KEY")),
            base_url=_without_version(values.get("APCA_API_BASE_URL", DEFAULT_BASE_URL)),
            stock_feed=values.get("OH_ALPACA_STOCK_FEED", "iex").lower(),
            options_feed=values.get("OH_ALPACA_OPTIONS_FEED", "indicative").lower(),
            stream_url=values.get("OH_ALPACA_STREAM_URL", DEFAULT_STREAM_URL).rstrip("/"),
            data_url=values.get("OH_ALPACA_DATA_URL", DEFAULT_DATA_URL).rstrip("/"),
            rest_per_minute=_rate(values.get("OH_ALPACA_REST_PER_MINUTE")),
            compression=values.get("OH_ALPACA_COMPRESSION", NO_COMPRESSION).lower(),
            market_time=_instant(values.get("OH_ALPACA_MARKET_TIME")),
        )

    @property
    def has_credentials(self) -> bool:
        """Whether there is a key and a secret; nothing is said about their being right."""
        return self.api_key is not None and self.api_secret is not None

    def require_credentials(self) -> tuple[str, str]:
        """Key and secret in the clear, for the SDK; ConfigError with the remedy where one is missing."""
        if self.api_key is None or self.api_secret is None:
            raise ConfigError(NO_KEYS)
        return self.api_key.get_secret_value(), self.api_secret.get_secret_value()

    @property
    def market_data(self) -> Settings:
        """What market data are asked with: the same, or the account whose keys open them."""
        return self.data_account or self

    @property
    def without_name(self) -> Settings:
        """The same where it is of no account which of several it is: for market data alone, and on a bus."""
        return replace(self, account=streams.DEFAULT_ACCOUNT)

    @property
    def paper(self) -> bool:
        """Whether orders seen here are on paper; an account on this computer is a simulator's, never one with money."""
        host = urlsplit(self.base_url).hostname or ""
        # The name of the host, and not the letters somewhere in the address: money is what must not be overlooked.
        return host.partition(".")[0].partition("-")[0] == "paper" or _is_loopback(host)

    def for_account(self, *, paper: bool | None) -> Settings:
        """The same for the account of that kind; None leaves it as it is.

        Only Alpaca has both kinds: an override must not carry a simulator's session elsewhere.
        """
        host = urlsplit(self.base_url).hostname or ""
        if paper is None or paper == self.paper or not host.endswith(".alpaca.markets"):
            return self
        return replace(self, base_url=DEFAULT_BASE_URL if paper else LIVE_BASE_URL)

    @property
    def local_market(self) -> bool:
        """Whether market data come from this computer, which no market of Alpaca's does."""
        return _is_loopback(urlsplit(self.stream_url).hostname)

    @property
    def market_kind(self) -> MarketKind:
        """Whose market the address leads to, which is all that is known before the handshake."""
        return MarketKind.LOCAL if self.local_market else MarketKind.ALPACA

    @property
    def trading_stream_url(self) -> str:
        """Where the account's order updates are streamed: the account's own address, as a websocket."""
        return "ws" + self.base_url.removeprefix("http") + "/stream"

    @staticmethod
    def require_safe(url: str) -> None:
        """Raise ConfigError, naming the host, when a key sent to `url` could be read on the way."""
        _require_address(url, _HTTP_SCHEMES + _WEBSOCKET_SCHEMES, "address")


@dataclass(frozen=True, slots=True)
class RiskSettings:
    """What the risk figures take from the user; nothing secret, and nothing that is asked of anybody."""

    rates: RateTable = DEFAULT_RATES
    assume_dividends: bool = False  # beyond what is announced, go on as the last four went
    betas_file: Path = DEFAULT_BETAS_FILE  # need not exist
    events_file: Path = DEFAULT_EVENTS_FILE  # of reports; need not exist
    dividends_file: Path = DEFAULT_DIVIDENDS_FILE  # need not exist

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, env_file: Path | None = None) -> RiskSettings:
        """Read the environment, then `config/alpaca.env` for what the environment leaves open, as `Settings.load`."""
        values = read_variables(RISK_VARIABLES, environ, env_file)
        rates = values.get("OH_RISK_RATES")
        return cls(
            DEFAULT_RATES if rates is None else parse_rates(rates, "OH_RISK_RATES"),
            _switch(values.get("OH_RISK_ASSUME_DIVIDENDS", "no"), "OH_RISK_ASSUME_DIVIDENDS"),
            Path(values.get("OH_RISK_BETAS", DEFAULT_BETAS_FILE)).expanduser(),
            Path(values.get("OH_RISK_EVENTS", DEFAULT_EVENTS_FILE)).expanduser(),
            Path(values.get("OH_RISK_DIVIDENDS", DEFAULT_DIVIDENDS_FILE)).expanduser(),
        )


@dataclass(frozen=True, slots=True)
class FredSettings:
    """What is needed to ask FRED; nothing is asked of it without a key. ConfigError for a value that cannot work."""

    api_key: SecretStr | None = None
    url: str = DEFAULT_FRED_URL

    def __post_init__(self) -> None:
        text = "" if self.api_key is None else self.api_key.get_secret_value()
        if not (text.isascii() and (text.isalnum() or not text)):
            raise ConfigError(
                "FRED_API_KEY has a sign in it that no key of FRED's has. Copy it again from your account at FRED."
            )
        _require_address(self.url, _HTTP_SCHEMES, "FRED_URL")

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, env_file: Path | None = None) -> FredSettings:
        """Read the environment, then `config/alpaca.env` for what the environment leaves open, as `Settings.load`."""
        values = read_variables(FRED_VARIABLES, environ, env_file)
        return cls(_secret(values.get("FRED_API_KEY")), values.get("FRED_URL", DEFAULT_FRED_URL).rstrip("/"))

    def require_key(self) -> str:
        """The key in the clear; ConfigError with the remedy where there is none."""
        if self.api_key is None:
            raise ConfigError(
                "There is no FRED_API_KEY. Set it in the environment or in config/alpaca.env; FRED gives one for free. "
                "Or leave the job fred out."
            )
        return self.api_key.get_secret_value()


@dataclass(frozen=True, slots=True)
class BreezeSettings:
    """What is needed to reach ICICI's Breeze, or a fake of it; a value that cannot work raises ConfigError at once.

    Nothing is asked of Breeze unless it is enabled. As Alpaca's, the keys go to addresses that are encrypted or on this
    computer; the list of instruments holds no secret and follows the same rule, since symbols are found by it.
    """

    enabled: bool = False
    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None
    session: SecretStr | None = None  # the API_Session of one day
    rest_url: str = DEFAULT_BREEZE_REST_URL
    stream_url: str = DEFAULT_BREEZE_STREAM_URL
    master_url: str = DEFAULT_BREEZE_MASTER_URL

    def __post_init__(self) -> None:
        # Breeze's keys have any sign in them but those that cannot stand in a header.
        _require_header_text(self.api_key, "BREEZE_API_KEY")
        _require_header_text(self.api_secret, "BREEZE_API_SECRET")
        _require_header_text(self.session, "BREEZE_SESSION")
        _require_address(self.rest_url, _HTTP_SCHEMES, "BREEZE_REST_URL")
        _require_address(self.stream_url, _WEBSOCKET_SCHEMES, "BREEZE_STREAM_URL")
        _require_address(self.master_url, _HTTP_SCHEMES, "BREEZE_MASTER_URL")

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, env_file: Path | None = None) -> BreezeSettings:
        """Read the environment, then `config/alpaca.env` for what the environment leaves open, as `Settings.load`."""
        values = read_variables(BREEZE_VARIABLES, environ, env_file)
        return cls(
            enabled=_switch(values.get("BREEZE_ENABLED", "no"), "BREEZE_ENABLED"),
            api_key=_secret(values.get("BREEZE_API_KEY")),
            api_secret=_secret(values.get("BREEZE_API_SECRET")),
            session=_secret(values.get("BREEZE_SESSION")),
            rest_url=values.get("BREEZE_REST_URL", DEFAULT_BREEZE_REST_URL).rstrip("/"),
            stream_url=values.get("BREEZE_STREAM_URL", DEFAULT_BREEZE_STREAM_URL).rstrip("/"),
            master_url=values.get("BREEZE_MASTER_URL", DEFAULT_BREEZE_MASTER_URL),
        )

    @property
    def local_market(self) -> bool:
        """Whether its stream comes from this computer, which no market of ICICI's does."""
        return _is_loopback(urlsplit(self.stream_url).hostname)

    @property
    def has_keys(self) -> bool:
        """Whether somebody has begun to set it up."""
        return self.api_key is not None or self.session is not None

    def require_session(self) -> tuple[str, str]:
        """App key and session in the clear; ConfigError with the remedy where it is off or one is missing."""
        if not self.enabled:
            raise ConfigError(
                "Breeze is switched off. It has been tried against a fake server only; to use it all the same, set "
                "BREEZE_ENABLED=yes in the environment or in config/alpaca.env."
            )
        if self.api_key is None:
            raise ConfigError(
                "There is no BREEZE_API_KEY. Set it to the app key that ICICI's Breeze page shows you."
            )
        if self.session is None:
            raise ConfigError(f"There is no BREEZE_SESSION. {BREEZE_LOGIN}.")
        return self.api_key.get_secret_value(), self.session.get_secret_value()

    def require_secret(self) -> tuple[str, str]:
        """App key and secret in the clear, for what must be signed; ConfigError where one is missing."""
        if self.api_key is None or self.api_secret is None:
            raise ConfigError(
                "There is no BREEZE_API_SECRET. Set it to the secret beside the app key on Breeze's page."
            )
        return self.api_key.get_secret_value(), self.api_secret.get_secret_value()


def read_variables(
    names: frozenset[str], environ: Mapping[str, str], env_file: Path | None = None
) -> dict[str, str]:
    """What the environment says of ours, and the file for what it leaves open; no file is read where it is complete."""
    values = _relevant(environ)
    if values.keys() >= names:
        return values
    return {**_read_env_file(env_file or DEFAULT_ENV_FILE), **values}


def _relevant(values: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text
        for name, value in values.items()
        if name.startswith(ENV_PREFIXES) and (text := _without_quotes(value.strip()))
    }


def _without_quotes(value: str) -> str:
    """As in the file: what starts a container leaves the quotation marks of its list where they are."""
    is_quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1].strip() if is_quoted else value


def _read_env_file(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        # The decoder's own message quotes bytes of the file, which may be a secret's; it is not repeated.
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"Cannot read {path.name}: {reason}. Make it a readable text file.") from None
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        values |= _read_env_line(line, f"{path.name}, line {number}")
    return _relevant(values)


def _read_env_line(line: str, where: str) -> dict[str, str]:
    name, equals, value = line.strip().removeprefix("export ").partition("=")
    name = name.strip()
    if not name.startswith(ENV_PREFIXES):
        return {}
    if not equals:
        raise ConfigError(f"{where}: there is a name but no value. Write it as NAME=value.")
    return {name: _unquoted(value.strip(), where)}


def _unquoted(value: str, where: str) -> str:
    quote = value[:1]
    if quote not in ("'", '"'):
        # As in a shell: a hash starts a comment only where a word could start.
        return "" if quote == "#" else value.partition(" #")[0]
    content, closed, _ = value[1:].partition(quote)
    if not closed:
        raise ConfigError(f"{where}: the quotation mark is never closed. Close it or leave both away.")
    return content


def _secret(value: str | None) -> SecretStr | None:
    return None if value is None else SecretStr(value)


def _switch(text: str, name: str) -> bool:
    said = text.lower()
    if said not in (*_ON, *_OFF):
        raise ConfigError(f"{name} {text!r} is neither yes nor no.")
    return said in _ON


def _rate(text: str | None) -> int:
    if text is None:
        return DEFAULT_REST_PER_MINUTE
    try:
        return int(text)
    except ValueError:
        raise _no_rate(repr(text)) from None


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        in_utc = moment.astimezone(UTC)
    except (OverflowError, ValueError):
        raise _no_instant(text) from None
    if moment.tzinfo is None:
        raise _no_instant(text)
    return in_utc


def _no_instant(text: str) -> ConfigError:
    return ConfigError(
        f"OH_ALPACA_MARKET_TIME {text!r} is no time with a zone, such as 2026-11-20T15:00:00+00:00. "
        "Copy what `options-helper simulate` prints, or leave it out."
    )


def _without_version(base_url: str) -> str:
    # Alpaca's own dashboard shows the address with /v2, which every client adds again.
    return base_url.rstrip("/").removesuffix("/v2").rstrip("/")


def _require_key_text(key: SecretStr | None, name: str) -> None:
    text = "" if key is None else key.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text or not _NO_KEY_HAS.isdisjoint(text):
        raise ConfigError(
            f"{name} has a space or a sign in it that no key has. Copy it again from Alpaca's dashboard."
        )


def _require_header_text(key: SecretStr | None, name: str) -> None:
    text = "" if key is None else key.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ConfigError(
            f"{name} has a space or a sign in it that no key has. Copy it again from Breeze's page."
        )


def _require_member(value: str, members: tuple[str, ...], name: str) -> None:
    if value not in members:
        raise ConfigError(f"{name} {value!r} is not known. Use one of: {', '.join(members)}.")


def _require_rate(per_minute: int) -> None:
    if not 1 <= per_minute <= MOST_REST_PER_MINUTE:
        raise _no_rate(str(per_minute))


def _no_rate(value: str) -> ConfigError:
    return ConfigError(
        f"OH_ALPACA_REST_PER_MINUTE {value} is no number of requests. "
        f"Use a whole number from 1 to {MOST_REST_PER_MINUTE}; {DEFAULT_REST_PER_MINUTE} is what Alpaca allows."
    )


def _require_address(url: str, schemes: tuple[str, ...], name: str) -> None:
    # An address can hold a password, so a complaint names the host and never repeats the whole.
    parts = _split_address(url)
    if parts is None or parts.scheme not in schemes:
        raise ConfigError(f"{name} is no address that starts with {schemes[0]}:// and names a host.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"{name} ({parts.hostname}) may hold a scheme, a host, a port and a path, and nothing else."
        )
    if parts.scheme not in _ENCRYPTED_SCHEMES and not _is_loopback(parts.hostname):
        raise ConfigError(
            f"{name}: keys are not sent to {parts.hostname} without encryption. "
            f"Use {schemes[0]}://, or a simulator on 127.0.0.1."
        )


def _split_address(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        named = url.startswith(f"{parts.scheme}://") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if named else None


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


# They open nothing but a simulator of ours.
DEMO_KEY: Final = "demo-key"
DEMO_SECRET: Final = "demo-secret"  # noqa: S105 - a made-up secret for a made-up market
