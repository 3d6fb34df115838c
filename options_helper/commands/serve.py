"""The command `stream serve`: the owner of an account's streams, for all who follow it on the bus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from options_helper.commands.common_options import DeskOption, DurationOption, MetricsPortOption, StateOption

BusOption = Annotated[str, typer.Option("--bus", metavar="URL", help="The NATS server; it needs JetStream.")]


def serve(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A portfolio whose symbols are streamed.", show_default="none"),
    ] = None,
    *,
    bus: BusOption = "nats://127.0.0.1:4222",
    desk: DeskOption = "desk",
    account: Annotated[
        bool, typer.Option("--account", help="Stream what the account holds, and no file.")
    ] = False,
    together_with: Annotated[
        list[str] | None,
        typer.Option(
            "--together-with",
            metavar="NAME|all",
            help="Serve these accounts too: the fills and positions of each, under its name.",
        ),
    ] = None,
    stocks: Annotated[
        list[str] | None, typer.Option("--stocks", metavar="SPY,AAPL", help="Stocks to stream as well.")
    ] = None,
    option_contracts: Annotated[
        list[str] | None,
        typer.Option("--option-contracts", metavar="SYMBOLS", help="Contracts to stream as well."),
    ] = None,
    news: Annotated[
        list[str] | None,
        typer.Option(
            "--news", metavar="AAPL,MSFT", help="News of these too, or `*` for all; viewers may want more."
        ),
    ] = None,
    halts: Annotated[
        bool,
        typer.Option("--halts", help="Trading halts and limit bands too, of all stocks that are streamed."),
    ] = False,
    books: Annotated[
        list[str] | None,
        typer.Option("--books", metavar="BTC/USD", help="Order books of these coins too."),
    ] = None,
    max_stocks: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="What your plan allows; Basic: 30.", show_default="any number"),
    ] = None,
    max_contracts: Annotated[
        int, typer.Option(min=1, metavar="N", help="What your plan allows; Basic: 200.")
    ] = 1_000,
    keep: Annotated[
        float, typer.Option("--keep", min=0.01, metavar="GB", help="The bus keeps so much market data.")
    ] = 2.0,
    duration: DurationOption = None,
    metrics_port: MetricsPortOption = None,
    state: StateOption = None,
) -> None:
    """Hold the account's streams for all who follow them on a bus, until Ctrl-C or SIGTERM.

    The bus is a NATS server with JetStream, which you start: `nats-server -js -a 127.0.0.1`. It keeps market data for
    four hours and orders for a week, and is asked for nothing else. The extra `bus` is needed. No order is sent, and
    the Alpaca keys stay with this program. A server that other computers reach begins with TLS (tls://…) and asks for
    keys: `options-helper bus config` writes its configuration, and OH_BUS_SEED_FILE names the owner's seed.

    Whoever follows has the symbols streamed that it wants, as far as the plan allows. Nobody's are taken away for
    another's, and what nobody has wanted for two minutes is left.

    Of several accounts (config/accounts.toml) one has the prices: the one that FILE names, or the one with market_data.
    With `--together-with` the others are asked beside it, each with its own keys. What one of them is refused holds up
    neither the prices nor another.

    While the bus is away what comes waits, for 100,000 events; more is dropped and counted. A second owner on the same
    desk stands by, and leads when the first one has gone.

    Exit codes: 0, it was asked to end or its time is over, and all that came was stored; 1, something was not, the bus
    lost what it had acknowledged, or what came could not be taken in any more; 2, an option, the settings or the keys;
    75, the bus cannot be reached, which may pass.
    """
    from options_helper.commands.bus_request import asked_bus
    from options_helper.commands.capture_options import (
        read_coins,
        read_contracts,
        read_names,
        read_news,
        read_seconds,
        read_symbols,
    )
    from options_helper.commands.serve_run import ServeRequest, further_of, run_serve, settings_of
    from options_helper.errors import ConfigError

    if account and file is not None:
        raise ConfigError("--account streams what the account holds, and FILE what a file holds. Choose one.")
    request = ServeRequest(
        asked_bus(bus, desk),
        file=file,
        from_account=account,
        stocks=read_symbols("--stocks", stocks),
        option_contracts=read_contracts("--option-contracts", option_contracts),
        news=read_news("--news", news),
        halts=halts,
        books=read_coins("--books", books),
        max_stocks=max_stocks,
        max_contracts=max_contracts,
        keep_bytes=int(keep * 1024**3),
        duration_seconds=read_seconds("--duration", duration),
        metrics_port=metrics_port,
        state=state,
        together_with=read_names(together_with),
    )
    settings = settings_of(request)
    raise typer.Exit(run_serve(request, settings, further=further_of(request, settings.account)))
