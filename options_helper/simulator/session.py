"""A market that runs in this process, and the variables by which a client finds it instead of Alpaca."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final

from options_helper.errors import ConfigError
from options_helper.model.announcement import MarketKind
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import new_york_date
from options_helper.model.portfolio import load_portfolio
from options_helper.model.streams import ACCOUNT_NAME_RULE, is_account_name
from options_helper.settings import (
    ACCOUNTS_VARIABLE,
    DEFAULT_REST_PER_MINUTE,
    DEMO_KEY,
    DEMO_SECRET,
    NO_COMPRESSION,
)
from options_helper.simulator.faults import NO_FAULTS, Faults
from options_helper.simulator.market.conditions import NO_CONDITIONS, Conditions
from options_helper.simulator.market.market import Market
from options_helper.simulator.market.pricing import RATE
from options_helper.simulator.server import SimulatorServer

FIRST_NAME: Final = "main"  # of the account whose keys open the prices, where there are others


def simulated_market(
    portfolio: Path,
    seed: int | None = None,
    conditions: Conditions = NO_CONDITIONS,
    further: Mapping[str, Path] = MappingProxyType({}),
) -> Market:
    """Make up a market for everything the portfolio holds, and those of `further` accounts, by their names.

    ConfigError when one cannot be read.
    """
    from options_helper.simulator.market.seeded import DEFAULT_SEED, SeededMarket

    held = load_portfolio(portfolio)
    return SeededMarket(
        held,
        seed=DEFAULT_SEED if seed is None else seed,
        conditions=conditions,
        further={key_of(name): load_portfolio(path) for name, path in further.items()},
    )


def key_of(account: str) -> str:
    """The key of a further account of a simulator; its secret is made of it."""
    return f"{DEMO_KEY}-{account}"


def _secret_of(account: str) -> str:
    return f"{DEMO_SECRET}-{account}"


def replayed_market(directory: Path, speed: float) -> Market:
    """Play recorded files again at `speed` times their pace, 0 for as fast as they can be read."""
    from options_helper.simulator.market.replay import ReplayMarket

    return ReplayMarket(directory, speed=speed)


@contextmanager
def serve_market(
    market: Market, *, port: int = 0, faults: Faults = NO_FAULTS, further: Sequence[str] = ()
) -> Iterator[Mapping[str, str]]:
    """Serve the market on loopback for the time of the context, and say how to find it.

    The keys are the simulator's own, so that a user's real ones stay where they are. Where there are `further`
    accounts, their names and keys are in a file that is there for so long; the first one is called `main` then.
    """
    accounts = {key_of(name): _secret_of(name) for name in further}
    with (
        SimulatorServer(
            market, port=port, faults=faults, key=DEMO_KEY, secret=DEMO_SECRET, accounts=accounts
        ) as server,
        _accounts_file(further) as file,
    ):
        now = utc_datetime(server.now_ns)
        # What its prices earn; a recording is of a market whose rate is the user's to say.
        rates = {"OH_RISK_RATES": f"{new_york_date(now)} {RATE}"}
        yield {
            "APCA_API_KEY_ID": DEMO_KEY,
            "APCA_API_SECRET_KEY": DEMO_SECRET,
            "APCA_API_BASE_URL": server.rest_url,
            "OH_ALPACA_DATA_URL": server.rest_url,
            "OH_ALPACA_STREAM_URL": server.stream_url,
            "OH_ALPACA_STOCK_FEED": "iex",
            "OH_ALPACA_OPTIONS_FEED": "indicative",
            "OH_ALPACA_REST_PER_MINUTE": str(DEFAULT_REST_PER_MINUTE),
            "OH_ALPACA_COMPRESSION": NO_COMPRESSION,
            # Before anything is connected, a page has to know of what day the book is to be shown.
            "OH_ALPACA_MARKET_TIME": now.isoformat(timespec="seconds"),
            # Said also where there is none: a user's own accounts are no simulator's.
            ACCOUNTS_VARIABLE: file,
            **(rates if market.kind is MarketKind.SIMULATED else {}),
        }


@contextmanager
def _accounts_file(further: Sequence[str]) -> Iterator[str]:
    """A file with the accounts of a simulator, as a user's own is written; without further ones, none."""
    if not further:
        yield ""
        return
    with TemporaryDirectory(prefix="options-helper-accounts-") as folder:
        file = Path(folder) / "accounts.toml"
        tables = {
            FIRST_NAME: f'market_data = true\nkey = "{DEMO_KEY}"\nsecret = "{DEMO_SECRET}"\n',
            **{name: f'key = "{key_of(name)}"\nsecret = "{_secret_of(name)}"\n' for name in further},
        }
        file.touch(mode=0o600)
        file.write_text(
            "\n".join(f"[accounts.{name}]\npaper = true\n{keys}" for name, keys in tables.items()),
            encoding="utf-8",
        )
        yield str(file)


def further_accounts(named: Sequence[str]) -> dict[str, Path]:
    """Names and portfolios of what is written as NAME=FILE; ConfigError for what is not."""
    found: dict[str, Path] = {}
    for one in named:
        name, _, path = one.partition("=")
        if not path or not is_account_name(name):
            raise ConfigError(f"--further-account {one}: write NAME=FILE, where {ACCOUNT_NAME_RULE}.")
        if name == FIRST_NAME or name in found:
            raise ConfigError(
                f"--further-account {one}: there is an account {name} already; the first is called {FIRST_NAME}."
            )
        found[name] = Path(path)
    return found
