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
    """Which proxy and which certificates count on the way to Alpaca?"""
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
    host = _proxied_host(settings or Settings(), environ)
    proxy = None if host is None else proxy_for(host, environ)
    if proxy is None:
        named = [name for name in PROXY_VARIABLES if name in details]
        none = f"{named[0]} does not count for Alpaca's hosts" if named else "no proxy is named"
        return Finding(Verdict.OK, f"{none}; {said}", None, details)
    through = f"the way to {host} goes through the proxy {proxy.shown}, which {proxy.variable} names"
    if "://" in proxy.shown:
        return Finding(
            Verdict.WARNING,
            f"{through[0].upper()}{through[1:]}; streams take proxies that begin with http:// alone; {said}.",
            "Name such a one in HTTPS_PROXY, or the host in NO_PROXY where it can be reached without.",
            details,
        )
    return Finding(Verdict.OK, f"{through}, for REST and streams alike; {said}", None, details)


def _proxied_host(settings: Settings, environ: Mapping[str, str]) -> str | None:
    """The first of the hosts that is reached through a proxy; what is not encrypted never is."""
    for url in (settings.base_url, settings.data_url, settings.stream_url):
        host = urlsplit(url).hostname or ""
        if url.startswith(("https:", "wss:")) and proxy_for(host, environ) is not None:
            return host
    return None


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What is set, in words that may be shown."""
    proxies = {name: without_password(environ[name].strip()) for name in PROXY_VARIABLES if environ.get(name)}
    others = {
        name: environ[name] for name in (*BYPASS_VARIABLES, *CERTIFICATE_VARIABLES) if environ.get(name)
    }
    return {**proxies, **others}
