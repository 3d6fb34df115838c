"""The commands; each imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from options_helper import __version__
from options_helper.commands.alerts import alerts
from options_helper.commands.bus import bus as bus_commands
from options_helper.commands.common_options import DeskOption, DetailOption, FollowOption
from options_helper.commands.exit_codes import code_of
from options_helper.commands.help_style import plain_typer
from options_helper.commands.ingest import ingest
from options_helper.commands.logs import set_up_logging
from options_helper.commands.portfolio import portfolio as portfolio_commands
from options_helper.commands.risk import risk
from options_helper.commands.stream import stream
from options_helper.commands.today import today
from options_helper.commands.watch import watch
from options_helper.errors import ConfigError, OptionsHelperError

app = plain_typer(
    name="options-helper",
    help="A live, read-only view of an options portfolio on Alpaca's streams. Not financial advice.",
    no_args_is_help=True,
    # A traceback is for a bug report; a decorated one prints the values of variables, secrets among them.
    pretty_exceptions_enable=False,
)

app.add_typer(portfolio_commands)
app.command()(risk)
app.command()(today)
app.command()(watch)
app.add_typer(alerts)
app.add_typer(stream)
app.add_typer(bus_commands)
app.add_typer(ingest)

PortfolioOption = Annotated[
    Path | None,
    typer.Option("--portfolio", metavar="PATH", help="The portfolio file.", show_default="portfolio.json"),
]
ReplayOption = Annotated[
    Path | None,
    typer.Option("--replay", metavar="DIR", help="Play recorded market data again, in place of Alpaca's."),
]
SpeedOption = Annotated[
    float | None,
    typer.Option(
        "--speed", metavar="X", help="Pace of a replay; 0 is as fast as possible.", show_default="1"
    ),
]

FurtherAccountOption = Annotated[
    list[str] | None,
    typer.Option(
        "--further-account",
        metavar="NAME=FILE",
        help="Another account in the simulated market, which holds what this portfolio file says; may be repeated.",
    ),
]


def main() -> None:
    """Run a command; an error that the user can act on is a sentence, any other keeps its traceback.

    Its exit code is 2, or 75 where it may pass by itself: a folder that another writes into, a port that is taken.
    """
    try:
        app()
    except OptionsHelperError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(code_of(error))


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the option's value
    if wanted:
        typer.echo(f"options-helper {__version__}")
        raise typer.Exit


@app.callback()
def options_helper(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """A live, read-only view of an options portfolio on Alpaca's streams. Not financial advice."""
    set_up_logging()


@app.command()
def ui(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Show a made-up portfolio on a simulated market; needs no keys.")
    ] = False,
    replay: ReplayOption = None,
    speed: SpeedOption = None,
    portfolio: PortfolioOption = None,
    account: Annotated[
        bool, typer.Option("--account", help="Show the account's positions in place of a portfolio file.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="DIR",
            file_okay=False,
            help="Record what the page streams into this folder too, from Start on; the page has a switch for it.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(metavar="HOST", help="Where to listen. Anything but this computer shows it to others."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0 takes any free port.")] = 8501,
    bus: FollowOption = None,
    desk: DeskOption = "desk",
    detail: DetailOption = "full",
    further_account: FurtherAccountOption = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
) -> None:
    """Open the live portfolio in a browser.

    Credentials and feeds come from the environment or from config/alpaca.env. Nothing connects before Start is
    pressed in the page, and no order is ever placed. With `--bus` the streams are those of `stream serve`, and
    no keys are needed.

    With `--record` page and recorder share one connection for each feed. The page's Stop ends what it shows; the
    recording goes on until its own switch or the command's end. The exit code is then that of `stream capture`: 1 where
    something of the recording was lost.
    """
    from options_helper.bus.address import bus_environment
    from options_helper.commands import page_launcher
    from options_helper.commands.bus_request import asked_bus
    from options_helper.simulator.market.conditions import DEMO_CONDITIONS
    from options_helper.simulator.session import (
        further_accounts,
        replayed_market,
        serve_market,
        simulated_market,
    )

    _require_consistent(demo=demo, replay=replay, speed=speed, portfolio=portfolio)
    if account and replay is not None:
        raise ConfigError("--replay plays a recorded market, which has no account. Leave --account away.")
    if account and portfolio is not None and not demo:
        raise ConfigError("--account takes the account's positions, and --portfolio a file's. Choose one.")
    if bus is not None and (demo or replay is not None):
        raise ConfigError(
            "--bus follows another program's streams, and --demo and --replay play some. Choose one."
        )
    if bus is not None and record is not None:
        raise ConfigError(
            "--record records this program's own streams, and --bus follows another's. Choose one."
        )
    market: AbstractContextManager[Mapping[str, str]] | None = None
    if further_account and not demo:
        raise ConfigError(
            "--further-account is another account of a demo's market; your own are named in config/accounts.toml."
        )
    if demo:
        portfolio = portfolio or page_launcher.demo_portfolio()
        further = further_accounts(further_account or [])
        market = serve_market(
            simulated_market(portfolio, conditions=DEMO_CONDITIONS, further=further), further=tuple(further)
        )
    elif replay is not None:
        market = serve_market(replayed_market(replay, _pace(speed)))
    elif bus is not None:
        address = asked_bus(bus, desk, detail)
        market = nullcontext({**bus_environment(address), **page_launcher.told_accounts(address)})
    recording = None
    if record is not None:
        from options_helper.commands.page_recording import recording_environment

        recording = recording_environment(record)
    code = page_launcher.open_page(
        host,
        port,
        portfolio=portfolio,
        from_account=account,
        market=market,
        recording=recording,
        browser=not no_browser,
        say=typer.echo,
    )
    raise typer.Exit(code)


@app.command()
def simulate(
    *,
    portfolio: PortfolioOption = None,
    replay: ReplayOption = None,
    speed: SpeedOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0 takes any free port.")] = 0,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Another number, another market.")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=VALUE]", help="Let something go wrong; may be repeated. `--fault list` shows all."
        ),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="Let the made-up market be peculiar; may be repeated. `--condition list` shows all.",
        ),
    ] = None,
    breeze: Annotated[
        bool, typer.Option("--breeze", help="Serve a fake of ICICI's Breeze in place of Alpaca's market.")
    ] = False,
    further_account: FurtherAccountOption = None,
) -> None:
    """Serve a simulated market on this computer.

    It speaks Alpaca's protocol to any client, until Ctrl-C, and prints the variables that lead a client here. With
    `--further-account ira=ira.json` there is another account of that name, with keys, orders and positions of its own;
    the first is called `main` then. With
    `--breeze` it speaks ICICI's, and a few made-up instruments of NSE, BSE and NFO tick once a second.
    """
    from options_helper.commands import page_launcher
    from options_helper.commands.shutdown_signals import ShutdownSignals
    from options_helper.simulator.faults import Faults, fault_meanings
    from options_helper.simulator.market.conditions import Conditions, condition_meanings
    from options_helper.simulator.session import (
        further_accounts,
        replayed_market,
        serve_market,
        simulated_market,
    )

    for named, told in ((fault, fault_meanings), (condition, condition_meanings)):
        if named == ["list"]:
            for name, meaning in told().items():
                typer.echo(f"{name:24} {meaning}")
            return
    _require_consistent(demo=False, replay=replay, speed=speed, portfolio=portfolio)
    if breeze:
        if replay is not None or portfolio is not None or fault or condition or port or further_account:
            raise ConfigError(
                "--breeze serves a market of its own; leave out --portfolio, --replay, --fault, --condition, --port "
                "and --further-account."
            )
        from options_helper.simulator.breeze.server import BREEZE_PACE_SECONDS, BreezeServer

        with (
            ShutdownSignals() as shutdown,
            BreezeServer(seed=seed or 0, pace_seconds=BREEZE_PACE_SECONDS) as server,
        ):
            _show_way(server.variables)
            shutdown.wait()
        return
    if replay is not None and (seed is not None or portfolio is not None or condition or further_account):
        raise ConfigError(
            "--seed, --portfolio, --condition and --further-account make up a market; --replay plays a recorded one. "
            "Choose one."
        )
    further = further_accounts(further_account or [])
    faults, conditions = Faults.parse(fault or []), Conditions.parse(condition or [])
    if replay is None:
        market = simulated_market(portfolio or page_launcher.nearest_portfolio(), seed, conditions, further)
    else:
        market = replayed_market(replay, _pace(speed))
    with (
        ShutdownSignals() as shutdown,
        serve_market(market, port=port, faults=faults, further=tuple(further)) as variables,
    ):
        _show_way(variables)
        shutdown.wait()


def _show_way(variables: Mapping[str, str]) -> None:
    typer.echo("# A market is served until Ctrl-C. To use it, in another terminal:")
    for name, value in variables.items():
        if not value:
            continue
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def doctor(
    *,
    portfolio: PortfolioOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Look only at this computer; connect to nothing.")
    ] = False,
    bus: Annotated[
        str | None,
        typer.Option("--bus", metavar="URL", help="Look at this bus as well.", show_default="none"),
    ] = None,
    desk: DeskOption = "desk",
) -> None:
    """Look at all that the page and a recording need, and say what to do where something is not well.

    Python and packages, settings and where each is from, keys (masked), the portfolio file, the disk; then, with the
    keys: the clock against the server's, the account, market data, and each stream for a moment: connect,
    authenticate, ask for one symbol, hear the answer, leave. It takes some seconds, and 20 at most. A stream that a
    dashboard or a recording uses stays with it.

    Exit codes: 0, all well, or warnings only; 1, something failed; 2, it could not look.
    """
    try:
        from options_helper.commands.bus_request import asked_bus
        from options_helper.commands.doctor import run_checkup
        from options_helper.doctor.run import Checkup
    except ModuleNotFoundError as error:
        package = (error.name or "a package").partition(".")[0]
        raise ConfigError(
            f"The installation is not whole: {package} is missing. Install it again: "
            "pip install 'options-helper[ui,alpaca]', or in a checkout: sh scripts/setup"
        ) from error

    address = None if bus is None else asked_bus(bus, desk)
    raise typer.Exit(run_checkup(Checkup(portfolio=portfolio, offline=offline, bus=address), as_json=as_json))


def _require_consistent(
    *, demo: bool, replay: Path | None, speed: float | None, portfolio: Path | None
) -> None:
    if demo and replay is not None:
        raise ConfigError("--demo and --replay are two different markets. Choose one.")
    if speed is not None and replay is None:
        raise ConfigError("--speed is the pace of a replay. Name the recording too: --replay DIR")
    if speed is not None and not 0 <= speed < float("inf"):
        raise ConfigError(
            f"--speed {speed:g} is no pace. Use 1 for the recorded one, 10 for ten times, 0 for all speed."
        )
    if replay is not None and not replay.is_dir():
        raise ConfigError(f"--replay {replay}: there is no such folder. Name the folder of a recording.")
    if portfolio is not None and not portfolio.is_file():
        raise ConfigError(f"--portfolio {portfolio}: there is no such file. Check the path.")


def _pace(speed: float | None) -> float:
    return 1.0 if speed is None else speed
