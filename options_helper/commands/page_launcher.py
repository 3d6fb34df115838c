"""Start the page, and with it a market to look at, as one thing: it opens together and ends together."""

from __future__ import annotations

import contextlib
import errno
import http.client
import importlib.util
import logging
import os
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from options_helper.bus.address import BUS_VARIABLE, DESK_ACCOUNTS_VARIABLE, BusAddress
from options_helper.bus.first_look import look_at_desk
from options_helper.commands.page_server import PARENT_VARIABLE
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.errors import ConfigError, OptionsHelperError
from options_helper.monitoring.heartbeat import PAGE_VARIABLE

log = logging.getLogger(__name__)

PACKAGE: Final = Path(__file__).resolve().parents[1]
# Beside the package, in a checkout as in an installed wheel.
PAGE_SCRIPT: Final = PACKAGE.parent / "apps" / "streamlit" / "streamlit_app.py"
PAGE_PATH: Final = "Live_Portfolio"

STARTING_SECONDS: Final = 60.0
# Streamlit needs 0.3 to 0.6 s to end its streams and itself; Ctrl-C has to end everything within two.
ENDING_SECONDS: Final = 1.4
# What a recording needs besides, with a disk that answers, and with one that does not.
RECORDING_SECONDS: Final = 25.0
_POLL_SECONDS: Final = 0.1
_ENDING_POLL_SECONDS: Final = 0.02

# What a market offers: the variables with which the page finds it.
Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page is served."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this computer can reach it."""
        return self.host == "localhost" or (_is_ip(self.host) and ip_address(self.host).is_loopback)

    @property
    def reachable_host(self) -> str:
        """The host under which this computer itself reaches it."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be told from real hosts
        return everywhere.get(self.host, self.host)

    @property
    def url(self) -> str:
        """What goes into the browser."""
        host = f"[{self.reachable_host}]" if ":" in self.reachable_host else self.reachable_host
        return f"http://{host}:{self.port}"


def open_page(
    host: str,
    port: int,
    *,
    portfolio: Path | None,
    from_account: bool = False,
    market: AbstractContextManager[Environment] | None = None,
    recording: Environment | None = None,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> int:
    """Serve the page until Ctrl-C or SIGTERM; blocks. OptionsHelperError when it cannot start or ends by itself.

    `market` is started first and stopped last; without one the page uses the user's own settings. `recording` has the
    variables of one in the page's process, which writes to this terminal, has its time to end, and ends the page when
    it ends by itself. Returns its exit code, or 0.
    """
    _require_extras()
    address = claim_address(host, port)
    if not address.loopback:
        say(_exposure_warning(address))
    with ShutdownSignals() as shutdown, market or nullcontext({}) as market_environment:
        environment = {
            **os.environ,
            **page_environment(address, portfolio, from_account=from_account),
            **market_environment,
            **(recording or {}),
        }
        with _page_server(address, environment, shutdown, records=recording is not None) as server:
            if _answers(address, server, shutdown):
                say(f"The live portfolio is at {address.url}/{PAGE_PATH}   (Ctrl-C ends it)")
                if browser and has_display():
                    webbrowser.open(f"{address.url}/{PAGE_PATH}")
            _wait(server, shutdown, records=recording is not None)
    return server.returncode if recording is not None else 0


def told_accounts(address: BusAddress) -> Environment:
    """The variable with the accounts that the owner there serves now; empty where nobody answers, or it did not say.

    The page learns of them otherwise once it has begun. Waits for some seconds where the bus is far away.
    """
    try:
        health = look_at_desk(address)
    except OptionsHelperError as error:
        log.info("which accounts are served is not known yet: %s", error)
        return {DESK_ACCOUNTS_VARIABLE: ""}
    accounts = () if health is None or health.ended else health.accounts or ()
    return {DESK_ACCOUNTS_VARIABLE: ",".join(accounts) if any(accounts) else ""}


def claim_address(host: str, port: int) -> Address:
    """Find out whether the address is free, before anything starts; port 0 becomes one that is."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            probe.listen()
            return Address(host, probe.getsockname()[1])
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(_address_problem(host, port, error)) from error


def page_environment(
    address: Address, portfolio: Path | None, *, from_account: bool = False
) -> dict[str, str]:
    """Variables for the page's process that hold with and without a simulated market."""
    environment = {
        PARENT_VARIABLE: str(os.getpid()),
        PAGE_VARIABLE: f"{address.url}/{PAGE_PATH}",
        # A page follows a bus where this command was told to; a demo that followed one would show it as its own.
        BUS_VARIABLE: "",
    }
    if portfolio is not None:
        environment["OH_PORTFOLIO"] = str(portfolio.resolve())
        environment["OH_PORTFOLIO_ROOTS"] = str(portfolio.resolve().parent)
    if from_account:
        environment["OH_PORTFOLIO_SOURCE"] = "account"
    if not address.loopback:
        # A list in the environment is separated by spaces; the user's own list is better than our guess.
        environment["STREAMLIT_SERVER_ALLOWED_HOSTS"] = os.environ.get(
            "STREAMLIT_SERVER_ALLOWED_HOSTS", " ".join(_names_of(address.host))
        )
    return environment


def demo_portfolio() -> Path:
    """The book that the demo opens, made to show what the risk figures can and cannot say."""
    return PACKAGE / "simulator" / "demo_portfolio.json"


def sample_portfolio() -> Path:
    """Find the portfolio to begin with: in a checkout at its root, in a wheel inside the package."""
    return next(
        path
        for path in (PACKAGE.parent / "portfolio.json", PACKAGE / "sample_portfolio.json")
        if path.exists()
    )


def nearest_portfolio() -> Path:
    """Find the portfolio of the working folder, or else the sample."""
    here = Path("portfolio.json")
    return here if here.exists() else sample_portfolio()


def has_display() -> bool:
    """Whether a browser opened here would be seen."""
    if sys.platform.startswith(("win", "darwin", "cygwin")):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _require_extras() -> None:
    missing = [
        extra for extra, module in (("ui", "streamlit"), ("alpaca", "alpaca")) if not _importable(module)
    ]
    if missing:
        raise ConfigError(
            f"The page needs the extra {' and '.join(missing)}. Install it: pip install 'options-helper[ui,alpaca]'"
        )


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _address_problem(host: str, port: int, error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return (
                f"Port {port} on {host} is taken, perhaps by another dashboard. "
                f"Close that, or choose another: --port {port + 1}"
            )
        case errno.EACCES:
            return f"Port {port} needs a privilege that this user lacks. Choose one above 1023: --port 8501"
        case _:
            return f"The page cannot listen on {host}, port {port}: it is no address of this computer. Try 127.0.0.1."


def _exposure_warning(address: Address) -> str:
    return (
        f"WARNING: everybody who can reach {address.host}:{address.port} sees this portfolio and can press Start and "
        "Stop; the page asks for no password. "
        f"Safer: leave --host away and use a tunnel, ssh -L {address.port}:127.0.0.1:{address.port} <this computer>"
    )


def _names_of(host: str) -> list[str]:
    """Return the names under which a browser may ask for the page when it is served to others."""
    here = socket.gethostname()
    names = ["127.0.0.1", "localhost", host, here, socket.getfqdn()]
    with contextlib.suppress(OSError):
        names += [str(entry[4][0]) for entry in socket.getaddrinfo(here, None)]
    return list(dict.fromkeys(names))


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@contextmanager
def _page_server(
    address: Address, environment: Environment, shutdown: ShutdownSignals, *, records: bool
) -> Iterator[subprocess.Popen[bytes]]:
    options = {
        "server.address": address.host,
        "server.port": str(address.port),
        "server.headless": "true",
        # Without a name for itself, Streamlit asks a server on the internet for this computer's address.
        "browser.serverAddress": address.reachable_host,
        "browser.gatherUsageStats": "false",
        "logger.level": "warning",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    # -P: a file in the working folder must not stand in for a module.
    command = [
        sys.executable,
        "-P",
        "-m",
        "options_helper.commands.page_server",
        "run",
        str(PAGE_SCRIPT),
        *flags,
    ]
    server = subprocess.Popen(  # noqa: S603 - our own interpreter and our own script
        command,
        env=dict(environment),
        # Its greeting names other addresses than ours; its complaints go to stderr. A recording parts its own words
        # from that.
        stdout=None if records else subprocess.DEVNULL,
        # Ctrl-C in the terminal is for the launcher, which then ends the page in order.
        start_new_session=True,
    )
    try:
        yield server
    finally:
        _end(server, shutdown, ENDING_SECONDS + (RECORDING_SECONDS if records else 0.0))


def _end(server: subprocess.Popen[bytes], shutdown: ShutdownSignals, seconds: float) -> None:
    """Let it end in order; a further signal is passed on, for a recording then leaves with what is at hand."""
    passed_on = shutdown.count
    server.terminate()
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        if (asked := shutdown.wait(_ENDING_POLL_SECONDS)) > passed_on:
            passed_on = asked
            server.terminate()
    if server.poll() is None:
        log.warning("the page's server did not end within %.1f s and is killed", seconds)
        server.kill()
        server.wait()


def _answers(address: Address, server: subprocess.Popen[bytes], shutdown: ShutdownSignals) -> bool:
    """Wait until the page's server is up; False when it ended or was ended first."""
    deadline = time.monotonic() + STARTING_SECONDS
    while server.poll() is None and not shutdown.wait(_POLL_SECONDS):
        if _is_healthy(address):
            return True
        if time.monotonic() > deadline:
            raise OptionsHelperError(f"The page did not answer within {STARTING_SECONDS:.0f} s. Try again.")
    return False


def _is_healthy(address: Address) -> bool:
    connection = http.client.HTTPConnection(address.reachable_host, address.port, timeout=1)
    try:
        connection.request("GET", "/_stcore/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _wait(server: subprocess.Popen[bytes], shutdown: ShutdownSignals, *, records: bool) -> None:
    while not shutdown.wait(_POLL_SECONDS):
        if server.poll() is not None:
            if records:
                return  # it has said why
            code = server.returncode
            raise OptionsHelperError(
                f"The page's server ended by itself (exit code {code}); its reason is above."
            )
