"""Look at all that a start needs, each thing on its own and against a deadline."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from options_helper import settings as settings_module
from options_helper.bus.address import BusAddress
from options_helper.clock import utc_now
from options_helper.data.accounts_file import FILE_NAME, Accounts, load_accounts
from options_helper.data.rest.budget_ledger import COMMAND
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.market_time import is_demo, known_day, market_day
from options_helper.data.rest.rate_limit import RequestLimits, RestPolicy
from options_helper.data.sdk_import import load_sdk
from options_helper.data.state_folder import state_folder
from options_helper.data.streaming.connection.alpaca_sdk import ConnectionTiming
from options_helper.doctor.alerts import check_alerts, named_targets
from options_helper.doctor.breeze import check_breeze
from options_helper.doctor.bus import check_bus
from options_helper.doctor.computer import (
    Installed,
    check_disk,
    check_packages,
    check_page_packages,
    check_python,
)
from options_helper.doctor.configuration import check_keys, check_portfolio, read_settings
from options_helper.doctor.findings import (
    INSTALL,
    NETWORK_CHECKS,
    Check,
    Finding,
    Line,
    Verdict,
    explained,
)
from options_helper.doctor.rest import check_account, check_calendar, check_clock, check_market_data
from options_helper.doctor.streams import (
    STREAM_TIMING,
    Visit,
    holder_of,
    option_visit,
    order_visit,
    stock_visit,
    visit_stream,
)
from options_helper.doctor.way_out import check_way_out
from options_helper.errors import ConfigError, OptionsHelperError
from options_helper.model.market_hours import MarketDay, new_york_date
from options_helper.monitoring.stream_holders import market_key
from options_helper.settings import BreezeSettings, Settings

log = logging.getLogger(__name__)

LOCAL_SECONDS: Final = 5.0
REST_SECONDS: Final = 12.0
STREAM_SECONDS: Final = 18.0
# Connections opened at the same moment can be refused with 429.
STAGGER_SECONDS: Final = 0.2
# Somebody waits for the answer, so there is one try.
REST_POLICY: Final = RestPolicy(connect_seconds=5.0, read_seconds=5.0, attempts=1)


def _installed_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _requirements() -> Sequence[str] | None:
    try:
        return importlib.metadata.requires("options-helper") or ()
    except importlib.metadata.PackageNotFoundError:
        return None


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything outside that is looked at, and how long it may take."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    env_file: Path = field(default_factory=lambda: settings_module.DEFAULT_ENV_FILE)
    now: Callable[[], datetime] = utc_now
    installed: Installed = _installed_version
    requirements: Callable[[], Sequence[str] | None] = _requirements
    free_bytes: Callable[[Path], int] = _free_bytes
    local_seconds: float = LOCAL_SECONDS
    rest_policy: RestPolicy = REST_POLICY
    rest_seconds: float = REST_SECONDS
    stream_timing: ConnectionTiming = STREAM_TIMING
    stream_seconds: float = STREAM_SECONDS


@dataclass(frozen=True, slots=True)
class Probe:
    """A look that must come to an end: `run` gets an event that is set when nobody waits for it any more."""

    check: Check
    run: Callable[[threading.Event], Finding]
    deadline_seconds: float
    account: str | None = None  # of which of several, where it is not the one with the market data


class Checkup:
    """Looks at everything once. `portfolio` is the file that was named, None: the one that the page would open."""

    def __init__(
        self,
        *,
        portfolio: Path | None = None,
        offline: bool = False,
        bus: BusAddress | None = None,
        environment: Environment | None = None,
    ) -> None:
        self._portfolio = portfolio
        self._bus = bus
        self._offline = offline
        self._environment = environment or Environment()

    def lines(self) -> Iterator[Line]:
        """Each line as soon as it and those before it are known; all of them within the longest deadline. Blocks."""
        running = [_Running(probe) for probe in self._probes()]
        for one in running:
            one.start()
        try:
            for one in running:
                yield one.line()
        finally:
            for one in running:
                one.give_up()

    def _probes(self) -> list[Probe]:
        environment = self._environment
        accounts = self._accounts()
        settings, read = read_settings(environment.environ, environment.env_file, accounts)
        runs: dict[Check, Callable[[], Finding]] = {
            Check.PYTHON: lambda: check_python(sys.version_info[:3]),
            Check.PACKAGES: lambda: check_packages(environment.requirements(), environment.installed),
            Check.PAGE_PACKAGES: lambda: check_page_packages(
                environment.requirements(), environment.installed
            ),
            Check.SETTINGS: lambda: read,
            Check.KEYS: lambda: check_keys(settings, environment.environ, environment.env_file),
            Check.WAY_OUT: lambda: check_way_out(settings, environment.environ),
            Check.DISK: lambda: check_disk(_folders(environment.environ), environment.free_bytes),
        }
        local = {check: self._local(check, run) for check, run in runs.items()}
        local[Check.PORTFOLIO] = self._portfolio_probe(settings)
        known = (local[check] for check in Check if check in local)
        return [
            *known,
            *self._network_probes(settings),
            *self._other_accounts_probes(accounts),
            *self._breeze_probes(),
            *self._bus_probes(),
            *self._alert_probes(),
        ]

    def _accounts(self) -> Accounts | None:
        """Those that are named; None where what names them cannot be used, of which the settings' line tells."""
        try:
            return load_accounts(self._environment.environ, self._environment.env_file)
        except ConfigError:
            return None

    def _portfolio_probe(self, settings: Settings | None) -> Probe:
        environment = self._environment

        def run(stopping: threading.Event) -> Finding:
            return check_portfolio(self._portfolio, environment.environ, self._market_day(settings, stopping))

        needs_rest = settings is not None and is_demo(settings) and not self._offline
        return Probe(
            Check.PORTFOLIO, run, environment.rest_seconds if needs_rest else environment.local_seconds
        )

    def _market_day(self, settings: Settings | None, stopping: threading.Event) -> MarketDay:
        """By which expiries are judged; what cannot be asked has a line of its own that says so."""
        now, policy = self._environment.now(), self._environment.rest_policy
        if settings is None or not is_demo(settings):
            return MarketDay(new_york_date(now), at=now)
        if not self._offline:
            with suppress(OptionsHelperError), AlpacaRest(settings, stopping=stopping, policy=policy) as rest:
                return market_day(rest, settings, now)
        return known_day(settings, now)

    def _network_probes(self, settings: Settings | None) -> list[Probe]:
        if self._offline:
            return self._skipped("--offline")
        if settings is None:
            return self._skipped("the settings cannot be used")
        if not settings.has_credentials:
            return self._skipped("there are no keys")
        # Where it is missing, each look says so; here it only saves the looks from waiting for one another's import.
        with suppress(ConfigError):
            load_sdk()
        return [*self._rest_probes(settings), *self._stream_probes(settings)]

    def _other_accounts_probes(self, accounts: Accounts | None) -> list[Probe]:
        """Two for each account but the one with the market data: does it open, and does its stream?"""
        others = [] if accounts is None else [one for one in accounts.names if one != accounts.market_data]
        return [probe for name in others if accounts for probe in self._account_probes(name, accounts)]

    def _account_probes(self, name: str, accounts: Accounts) -> list[Probe]:
        try:
            settings = accounts.settings(name)
        except ConfigError as error:
            said = explained(error, f"Correct it in {FILE_NAME}.")
            return [replace(self._local(Check.ACCOUNT, lambda: said), account=name)]
        if self._offline:
            skipped = Finding(Verdict.SKIPPED, "not looked at: --offline")
            checks = (Check.ACCOUNT, Check.ORDER_STREAM)
            return [replace(self._local(check, lambda: skipped), account=name) for check in checks]
        visit, limits = order_visit(settings, self._environment.stream_timing), RequestLimits(COMMAND)
        probes = (
            self._rest_probe(Check.ACCOUNT, settings, lambda rest: check_account(rest, settings), limits),
            self._stream_probe(Check.ORDER_STREAM, visit, STAGGER_SECONDS, None),
        )
        return [replace(probe, account=name) for probe in probes]

    def _breeze_probes(self) -> list[Probe]:
        """One where somebody has begun to set Breeze up, whatever there is of Alpaca's."""
        environment = self._environment
        try:
            settings = BreezeSettings.load(environment.environ, environment.env_file)
        except ConfigError as error:
            said = explained(error, f"Correct it in the environment or in {environment.env_file}.")
            return [self._local(Check.BREEZE, lambda: said)]
        if not (settings.enabled or settings.has_keys):
            return []
        if (
            reason := "--offline"
            if self._offline
            else ""
            if settings.enabled
            else "BREEZE_ENABLED is not yes"
        ):
            skipped = Finding(Verdict.SKIPPED, f"not looked at: {reason}")
            return [self._local(Check.BREEZE, lambda: skipped)]

        # Here and not on its thread: two looks that load the same library at once may find half of it.
        with suppress(ModuleNotFoundError):
            importlib.import_module("options_helper.data.breeze.account")

        def run(stopping: threading.Event) -> Finding:
            return check_breeze(settings, environment.now, stopping)

        return [Probe(Check.BREEZE, run, environment.stream_seconds)]

    def _bus_probes(self) -> list[Probe]:
        """One where a bus was named."""
        address = self._bus
        if address is None:
            return []
        if self._offline:
            skipped = Finding(Verdict.SKIPPED, "not looked at: --offline")
            return [self._local(Check.BUS, lambda: skipped)]
        return [Probe(Check.BUS, lambda _: check_bus(address), self._environment.stream_seconds)]

    def _alert_probes(self) -> list[Probe]:
        """One where somebody has named a target; each gets a message, unless nothing is to be connected to."""
        environment = self._environment
        try:
            targets = named_targets(environment.environ)
        except ConfigError as error:
            said = explained(
                error, "Correct it; config/alert-targets.toml is explained in the docs, under Alerts."
            )
            return [self._local(Check.ALERTS, lambda: said)]
        if not targets.by_name and targets.life_sign is None:
            return []
        return [
            Probe(
                Check.ALERTS,
                lambda _: check_alerts(targets, environment.now(), offline=self._offline),
                environment.stream_seconds,
            )
        ]

    def _local(self, check: Check, run: Callable[[], Finding]) -> Probe:
        return Probe(check, lambda _: run(), self._environment.local_seconds)

    def _skipped(self, reason: str) -> list[Probe]:
        finding = Finding(Verdict.SKIPPED, f"not looked at: {reason}")
        return [self._local(check, lambda: finding) for check in NETWORK_CHECKS]

    def _rest_probes(self, settings: Settings) -> list[Probe]:
        environment, limits = self._environment, RequestLimits(COMMAND)

        def probe(check: Check, judge: Callable[[AlpacaRest], Finding]) -> Probe:
            return self._rest_probe(check, settings, judge, limits)

        return [
            probe(Check.CLOCK, lambda rest: check_clock(rest, settings, environment.now)),
            probe(Check.CALENDAR, lambda rest: check_calendar(rest, environment.now)),
            probe(Check.ACCOUNT, lambda rest: check_account(rest, settings)),
            probe(Check.MARKET_DATA, lambda rest: check_market_data(rest, settings)),
        ]

    def _rest_probe(
        self, check: Check, settings: Settings, judge: Callable[[AlpacaRest], Finding], limits: RequestLimits
    ) -> Probe:
        environment = self._environment

        def run(stopping: threading.Event) -> Finding:
            client = AlpacaRest(settings, stopping=stopping, policy=environment.rest_policy, limits=limits)
            with client as rest:
                return judge(rest)

        return Probe(check, run, environment.rest_seconds)

    def _stream_probes(self, settings: Settings) -> list[Probe]:
        timing = self._environment.stream_timing
        today = known_day(settings, self._environment.now()).date
        key = market_key(settings, self._environment.environ)
        visits = {
            Check.STOCK_STREAM: stock_visit(settings, timing),
            Check.OPTION_STREAM: option_visit(settings, timing, today),
            Check.ORDER_STREAM: order_visit(settings, timing),
        }
        return [
            self._stream_probe(check, visit, STAGGER_SECONDS * index, key)
            for index, (check, visit) in enumerate(visits.items())
        ]

    def _stream_probe(self, check: Check, visit: Visit, delay_seconds: float, key: str | None) -> Probe:
        environment = self._environment

        def run(stopping: threading.Event) -> Finding:
            stopping.wait(delay_seconds)
            return visit_stream(visit, lambda: holder_of(visit, environment.environ, environment.now(), key))

        return Probe(check, run, environment.stream_seconds)


def _folders(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a program of ours writes without being told to: the working folder, and the user's state."""
    try:
        return Path.cwd(), state_folder(environ)
    except RuntimeError:
        # A user without a home.
        return (Path.cwd(),)


class _Running:
    """One probe on a thread of its own, which is left behind when it does not come to an end."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._stopping = threading.Event()
        self._done = threading.Event()
        # Written by the probe's thread before it sets _done, read by others only after that.
        self._line: Line | None = None
        self._began = 0.0
        self._thread = threading.Thread(target=self._work, name=f"doctor-{probe.check}", daemon=True)

    def start(self) -> None:
        """Start the thread; the deadline counts from now."""
        self._began = time.monotonic()
        self._thread.start()

    def line(self) -> Line:
        """What was found, waited for until the deadline; of another account with its name in front."""
        line, account = self._found(), self._probe.account
        if account is None:
            return line
        return replace(line, finding=replace(line.finding, message=f"{account}: {line.finding.message}"))

    def _found(self) -> Line:
        deadline = self._began + self._probe.deadline_seconds
        if self._done.wait(max(0.0, deadline - time.monotonic())) and self._line is not None:
            return self._line
        return Line(self._probe.check, _no_end(self._probe), self._probe.deadline_seconds)

    def give_up(self) -> None:
        """Tell a look that is still at it that nobody waits."""
        self._stopping.set()

    def _work(self) -> None:
        finding = self._result()
        self._line = Line(self._probe.check, finding, time.monotonic() - self._began)
        self._done.set()

    def _result(self) -> Finding:
        try:
            return self._probe.run(self._stopping)
        except OptionsHelperError as error:
            return explained(error, "Correct it and look again.")
        except ModuleNotFoundError as error:
            package = (error.name or "a package").partition(".")[0]
            return Finding(Verdict.FAILED, f"This needs {package}, which is not installed.", INSTALL)
        except Exception as error:
            # A thread's last line. A foreign error's message could quote what was sent, so it is not repeated.
            log.debug("the look at %s failed", self._probe.check, exc_info=True)
            return Finding(
                Verdict.FAILED,
                f"The look itself failed ({type(error).__name__}).",
                "Try again; if it stays, please report it with this line.",
            )


def _no_end(probe: Probe) -> Finding:
    remedy = (
        "Check the network and a firewall or proxy in between: something takes connections and does not answer."
        if probe.check in (*NETWORK_CHECKS, Check.BREEZE)
        else "A disk or a network folder does not answer: check what is mounted here."
    )
    return Finding(Verdict.FAILED, f"No answer within {probe.deadline_seconds:g} s.", remedy)
