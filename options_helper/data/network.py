"""What the environment says of the way out, in one rule for streams and REST: whom to trust, and which proxy is named.

Text from here never holds a proxy's name and password.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from options_helper.errors import ConfigError

# The first that is set counts: requests' own order, then OpenSSL's. Without any, the list that certifi brings.
CERTIFICATE_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
# Lower case counts before upper case, also where it is set to nothing, as in every program that knows them.
PROXY_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
BYPASS_VARIABLES: Final = ("no_proxy", "NO_PROXY")
UNREADABLE_ADDRESS: Final = "an address that cannot be read"

CERTIFICATE_REMEDY: Final = (
    "Where a company's firewall or a virus scanner looks into the traffic, name the file of its root certificate in "
    "REQUESTS_CA_BUNDLE, which counts for REST and streams alike; see also that the date of this computer is right."
)


class Proxy(NamedTuple):
    """A proxy on the way out."""

    variable: str  # that names it
    shown: str  # host and port
    address: SecretStr  # which may hold a name and a password


class TrustedRoots(NamedTuple):
    """The certificates that vouch for a server, and what named them."""

    path: Path  # a file, or a folder as OpenSSL makes it
    variable: str | None  # None: certifi's list


def trusted_roots(environ: Mapping[str, str] = os.environ) -> TrustedRoots:
    """Which certificates count, for streams and REST alike; ConfigError where a variable names what is not there."""
    for variable in CERTIFICATE_VARIABLES:
        if named := environ.get(variable, "").strip():
            path = Path(named)
            if not path.exists():
                raise ConfigError(
                    f"{variable} names {path}, which is not there, so no server can be trusted. Correct it or unset it."
                )
            return TrustedRoots(path, variable)
    from certifi import where

    return TrustedRoots(Path(where()), None)


def readable_roots(environ: Mapping[str, str] = os.environ) -> TrustedRoots:
    """`trusted_roots`, of which a file was read; ConfigError where it holds no certificates.

    It is read again only where it has changed: REST asks before each request.
    """
    roots = trusted_roots(environ)
    if roots.variable is not None:
        with suppress(FileNotFoundError):  # gone this moment, which reading it says
            found = roots.path.stat()
            _read_once(roots, (found.st_ino, found.st_size, found.st_mtime_ns))
            return roots
        _context_of(roots)
    return roots


@lru_cache(maxsize=4)
def _read_once(roots: TrustedRoots, _version: tuple[int, int, int]) -> None:
    _context_of(roots)


def tls_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """A client's context that trusts `trusted_roots` and nobody else; ConfigError where they cannot be read."""
    return _context_of(trusted_roots(environ))


def _context_of(roots: TrustedRoots) -> ssl.SSLContext:
    path, variable = roots
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=str(path))
    except OSError as error:
        raise ConfigError(
            f"{variable or 'The list of certificates'} ({path}) cannot be read as certificates "
            f"({type(error).__name__}). Name a PEM file."
        ) from error


def certificate_problem(error: BaseException | None) -> str | None:
    """Why a server's certificate was not believed, in OpenSSL's few words; None where that was not the trouble."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        # OpenSSL's errors have a text where urllib3's have the error that was the reason.
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, ssl.SSLCertVerificationError):
            return (one.verify_message or "it does not verify").rstrip(".")
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return None


def proxy_for(host: str, environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """The proxy that is named for this host, for REST and streams alike; None where there is none.

    What the computer's own settings say (Mac, Windows) is not looked at: there REST may take one and streams do not.
    """
    from requests.utils import should_bypass_proxies

    bypass = next((environ[name] for name in BYPASS_VARIABLES if environ.get(name)), None)
    for variable in PROXY_VARIABLES:
        if variable.isupper() and variable.lower() in environ:
            continue
        if named := environ.get(variable, "").strip():
            if should_bypass_proxies(f"https://{host}/", no_proxy=bypass):
                return None
            return Proxy(variable, without_password(named), SecretStr(named))
    return None


def without_password(address: str) -> str:
    """Host and port of a proxy's address with its scheme where that is unusual; never a name or a password.

    `UNREADABLE_ADDRESS` where it is none: a sign in a password that is not escaped makes a host and a port of it.
    """
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return UNREADABLE_ADDRESS
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return UNREADABLE_ADDRESS
    scheme = "" if parts.scheme == "http" else f"{parts.scheme}://"
    return f"{scheme}{parts.hostname or 'no host'}{port}"
