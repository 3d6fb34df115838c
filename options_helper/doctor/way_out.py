"""Look at what the environment says of the way out: proxies and certificates. No proxy's password is told."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from options_helper.data.network import (
    BYPASS_VARIABLES,
    CERTIFICATE_VARIABLES,
    PROXY_VARIABLES,
    proxy_for,
    readable_roots,
    without_password,
)
from options_helper.doctor.findings import Finding, Verdict, explained
from options_helper.errors import ConfigError
from options_helper.settings import Settings


def check_way_out(settings: Settings | None, environ: Mapping[str, str]) -> Finding:
    """Which proxy and which certificates count on the way to Alpaca, and does that hold for streams as for REST?"""
    details = _variables(environ)
    try:
        roots = readable_roots(environ)
    except ConfigError as error:
        found = explained(error, "Correct that variable, or unset it.")
        return Finding(found.verdict, found.message, found.remedy, details)
    trusted = "the certificates that certifi lists"
    if roots.variable is not None:
        trusted = f"{roots.path} alone, which {roots.variable} names"
    said = f"trusted: {trusted}, for REST and streams alike"
    if (proxied := _proxied(settings or Settings(), environ)) is None:
        named = [name for name in PROXY_VARIABLES if name in details]
        none = f"{named[0]} does not count for Alpaca's hosts" if named else "no proxy is named"
        return Finding(Verdict.OK, f"{none}; {said}", None, details)
    host, variable, proxy = proxied
    return Finding(
        Verdict.WARNING,
        f"REST goes to {host} through the proxy {proxy}, which {variable} names; streams take no proxy; {said}.",
        "See that the stream lines below are ok: streams need a direct way out on port 443. To reach REST without the "
        "proxy as well, name the host in NO_PROXY.",
        details,
    )


def _proxied(settings: Settings, environ: Mapping[str, str]) -> tuple[str, str, str] | None:
    """The first of the account's and the data's hosts that is asked through a proxy; plain HTTP never is."""
    for url in (settings.base_url, settings.data_url):
        host = urlsplit(url).hostname or ""
        if url.startswith("https:") and (found := proxy_for(host, environ)) is not None:
            return host, *found
    return None


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What is set, in words that may be shown."""
    proxies = {name: without_password(environ[name].strip()) for name in PROXY_VARIABLES if environ.get(name)}
    others = {
        name: environ[name] for name in (*BYPASS_VARIABLES, *CERTIFICATE_VARIABLES) if environ.get(name)
    }
    return {**proxies, **others}
