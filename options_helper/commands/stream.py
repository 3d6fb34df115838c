"""The `stream` commands: record market data and look after what was recorded."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from options_helper.commands.book_providers import BookProvider
from options_helper.commands.common_options import (
    DeskOption,
    DurationOption,
    FollowOption,
    JsonOption,
    MetricsPortOption,
    RecordingStateOption,
)
from options_helper.commands.help_style import plain_typer
from options_helper.commands.serve import serve
from options_helper.data.intraday.pace import FLUSH_ROWS, FLUSH_SECONDS, MOST_LEVELS
from options_helper.errors import ConfigError

if TYPE_CHECKING:
    from options_helper.commands.capture_run import CaptureRequest
    from options_helper.data.intraday.scope import Scope

stream = plain_typer(
    name="stream",
    help="Record the market-data streams, check the recordings and play them back.",
    no_args_is_help=True,
)


class CaptureFormat(StrEnum):
    """What a finished day is kept as."""

    CSV = "csv"
    PARQUET = "parquet"
    BOTH = "both"


@stream.command()
def capture(
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", file_okay=False, help="The folder to record into.")
    ],
    stocks: Annotated[
        list[str] | None, typer.Option("--stocks", metavar="SPY,AAPL", help="Stocks to record.")
    ] = None,
    option_contracts: Annotated[
        list[str] | None,
        typer.Option("--option-contracts", metavar="SYMBOLS", help="Contracts, such as SPY261218C00700000."),
    ] = None,
    options_underlyings: Annotated[
        list[str] | None,
        typer.Option(
            "--options-underlyings", metavar="SPY", help="Record contracts of these, looked up at Alpaca."
        ),
    ] = None,
    expiries: Annotated[
        list[str] | None,
        typer.Option(
            "--expiries",
            metavar="DAYS",
            help="Of the underlyings: days (2026-12-18), spans (2026-12-01..2026-12-31), the next days (30d).",
            show_default="all",
        ),
    ] = None,
    moneyness: Annotated[
        str,
        typer.Option(
            metavar="PERCENT",
            help="Of the underlyings: strikes so near the price, or `all`. Price: last trade.",
        ),
    ] = "10%",
    max_contracts: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Record so many contracts at most; what is left out is said."),
    ] = 250,
    portfolio: Annotated[
        Path | None,
        typer.Option("--portfolio", metavar="PATH", help="Record everything that this portfolio holds."),
    ] = None,
    bars: Annotated[bool, typer.Option(help="Minute bars, of stocks.")] = True,
    quotes: Annotated[bool, typer.Option(help="Quotes.")] = True,
    trades: Annotated[bool, typer.Option(help="Trades, their corrections and cancels.")] = True,
    halts: Annotated[
        bool, typer.Option("--halts", help="Trading halts and limit bands too, of stocks.")
    ] = False,
    crypto: Annotated[
        list[str] | None,
        typer.Option("--crypto", metavar="BTC/USD,ETH/USD", help="Coins: quotes, trades and minute bars."),
    ] = None,
    crypto_location: Annotated[
        str, typer.Option(metavar="PLACE", help="Where the coins are traded: us, us-1 or eu-1.")
    ] = "us",
    news: Annotated[
        list[str] | None,
        typer.Option("--news", metavar="AAPL,MSFT", help="News of these symbols, or `all`."),
    ] = None,
    stock_feed: Annotated[
        str | None,
        typer.Option(metavar="FEED", help="The feed of the stocks.", show_default="from the settings"),
    ] = None,
    options_feed: Annotated[
        str | None,
        typer.Option(metavar="FEED", help="The feed of the contracts.", show_default="from the settings"),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Record so long (60s, 2h), waiting not counted.", show_default="no end"
        ),
    ] = None,
    market_hours: Annotated[
        bool,
        typer.Option(
            "--market-hours",
            help="Wait for the open, stop after the close, go on with the next session.",
        ),
    ] = False,
    flush_events: Annotated[
        int, typer.Option(min=1, metavar="N", help="Write a file when it has so many new rows,")
    ] = FLUSH_ROWS,
    flush_seconds: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="or when the oldest of them has waited so long.")
    ] = FLUSH_SECONDS,
    journal: Annotated[
        bool, typer.Option(help="Write every frame to a journal first; the files can be made from it again.")
    ] = True,
    form: Annotated[
        CaptureFormat,
        typer.Option(
            "--format",
            help="Rows are always written as CSV; `parquet` and `both` add a copy of finished days.",
        ),
    ] = CaptureFormat.CSV,
    state: RecordingStateOption = None,
    metrics_port: MetricsPortOption = None,
    bus: FollowOption = None,
    desk: DeskOption = "desk",
    page: Annotated[
        bool,
        typer.Option(
            "--page", help="Serve the live portfolio too, on the same connections; see `options-helper ui`."
        ),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Of the page; 0 takes any free port.")
    ] = 8501,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its size; connect to nothing.")
    ] = False,
) -> None:
    """Record the market-data streams into a folder, until Ctrl-C or SIGTERM.

    Lists have commas, and options that take one may be repeated. Credentials and feeds come from the environment or
    from config/alpaca.env. Contracts beyond the limit are left out, the latest expiries and farthest strikes first.

    The first signal ends the capture in order: everything received is written, within ten seconds. The second one
    leaves with what is at hand in the journal.

    With `--market-hours` it connects half a minute before the feeds begin to move, and stays a minute longer than
    they do, for the last minute's bar; options on funds and indices trade to 16:15 in New York. Contracts of
    underlyings are looked up anew for each day.

    With `--page` the live portfolio is served beside it, and both share one connection for each feed: the page's Stop
    leaves the recording as it is, and the recording's own switch on the page leaves the page. What is printed is then
    said in lines.

    With `--format parquet` or `both` the files of a day that is over in New York are made smaller and get a Parquet
    copy: when the capture begins, half an hour after midnight, and when it ends other than by a signal. Today's files
    stay CSV until a capture runs on another day. A CSV is never deleted.

    With `--bus` it records what `stream serve` streams, without keys: the rows of the symbols that are named, with the
    owner's receipts. It goes on where the folder's journal had got, so a cut, a kill or a pause costs nothing as long
    as the bus has it; what that has no more is a row in the folder's gaps, to the event.

    Exit codes: 0, nothing received was lost; 1, something was lost, refused or put off, a stream failed, or a finished
    day could not be sealed, and the summary says which; 2, nothing was recorded: an option, the settings, or an
    underlying whose contracts cannot be had; 75, the same, but it may pass: another recorder that writes into the
    folder, a folder that is full or not there, a port that is taken. A lost connection that came back is a row in the
    folder's gaps, and no failure.
    """
    from options_helper.capture.plan import Selection
    from options_helper.commands.bus_request import asked_bus
    from options_helper.commands.capture_bus import Followed, require_carried
    from options_helper.commands.capture_options import (
        read_coins,
        read_contracts,
        read_filter,
        read_news,
        read_seconds,
        read_symbols,
        require_flush_seconds,
    )
    from options_helper.commands.capture_plan_display import show_plan
    from options_helper.commands.capture_run import CaptureRequest, run_capture
    from options_helper.data.accounts_file import load_market_settings
    from options_helper.data.intraday_store import StorePolicy
    from options_helper.model.portfolio import load_portfolio

    settings = load_market_settings()
    selection = Selection(
        stocks=read_symbols("--stocks", stocks),
        option_contracts=read_contracts("--option-contracts", option_contracts),
        underlyings=read_symbols("--options-underlyings", options_underlyings),
        wanted=read_filter(expiries, moneyness),
        portfolio=None if portfolio is None else load_portfolio(portfolio),
        quotes=quotes,
        trades=trades,
        bars=bars,
        stock_feed=stock_feed or settings.stock_feed,
        options_feed=options_feed or settings.options_feed,
        max_contracts=max_contracts,
        halts=halts,
        crypto=read_coins("--crypto", crypto),
        crypto_location=crypto_location,
        news=read_news("--news", news),
    )
    request = CaptureRequest(
        selection,
        out,
        duration_seconds=read_seconds("--duration", duration),
        market_hours=market_hours,
        policy=StorePolicy(flush_rows=flush_events, flush_seconds=require_flush_seconds(flush_seconds)),
        journal=journal,
        parquet=form is not CaptureFormat.CSV,
        metrics_port=metrics_port,
        state=state,
    )
    followed = None
    if bus is not None:
        require_carried(selection, settings, journal=journal, page=page)
        followed = Followed(asked_bus(bus, desk), stock_feed, options_feed)
    if dry_run:
        show_plan(request, settings)
        return
    if page:
        raise typer.Exit(_capture_with_page(request, portfolio, port))
    raise typer.Exit(run_capture(request, settings, followed))


stream.command()(serve)


def _capture_with_page(request: CaptureRequest, portfolio: Path | None, port: int) -> int:
    from options_helper.commands.page_launcher import open_page
    from options_helper.commands.page_recording import recording_environment, without_portfolio

    recording = recording_environment(request.out, without_portfolio(request))
    return open_page(
        "127.0.0.1", port, portfolio=portfolio, recording=recording, browser=False, say=typer.echo
    )


@stream.command()
def health(
    *,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="The heartbeat file, or the folder of a recording.",
            show_default="the run that is alive",
        ),
    ] = None,
    max_lag: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="How old the heartbeat, and an open market's newest event, may be."
        ),
    ] = "30s",
    as_json: JsonOption = False,
) -> None:
    """Say whether a capture or the dashboard is well; the exit code is 0 only if it is.

    The silence of a closed market is healthy; an old heartbeat or a process that is gone never is. Without `--state` it
    is about the one run that is alive, or, where none is, about the last one; where several are, it asks which.

    Exit codes: 0, it is well; 1, it is not, or nothing runs; 2, several runs are alive and none was named.
    """
    from options_helper.commands.health import STREAMING, show_health
    from options_helper.monitoring.heartbeat_file import CAPTURE_FILE

    raise typer.Exit(show_health(state, max_lag, STREAMING, CAPTURE_FILE, as_json=as_json))


@stream.command()
def books(
    *,
    provider: Annotated[
        BookProvider, typer.Option(help="Who sends the books; Alpaca has them for coins alone.")
    ],
    symbols: Annotated[
        list[str],
        typer.Option("--symbols", metavar="BTC/USD,ETH/USD", help="Whose books; of Breeze NSE:RELIANCE."),
    ],
    levels: Annotated[
        int, typer.Option(min=1, max=MOST_LEVELS, metavar="N", help="Show, and sample, so many levels.")
    ] = 10,
    interval: Annotated[
        str, typer.Option(metavar="TIME", help="How often they are shown, and sampled (100ms, 1s).")
    ] = "1s",
    duration: DurationOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", file_okay=False, help="Record into this folder, too."),
    ] = None,
    location: Annotated[
        str, typer.Option(metavar="PLACE", help="Of Alpaca's coins: us, us-1 (Kraken) or eu-1.")
    ] = "us",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Invented books, without a network; the same ones for a seed.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the invented books.")] = 1,
) -> None:
    """Show order books as ladders, until Ctrl-C; a pipe gets a line for each book.

    Each has its state and its age. Only a book that is *synced* is whole; one that nothing has come for in five seconds
    is called *quiet*, because a quiet market and a dead feed look the same. Not financial advice.

    With `--out` each change is recorded, the best levels at each interval, and what was lost, as `stream capture` does;
    `stream verify`, `rebuild`, `list` and `export` look after it. Beside that, books/latest/SYMBOL/latest.json in the
    folder has each book as it stands, replaced whole once a second.

    With `--dry-run` nothing is connected, and no key is needed. Without a folder time is invented too: the output of a
    seed and a duration is the same, to the letter.

    Exit codes: 0, nothing that was received was lost, and each book was whole at the end; 1, something was, or a book
    was not: never, no more, or silent for more than five seconds; 2, an option, the settings or the folder.
    """
    from options_helper.commands.books_rehearsal import Rehearsal
    from options_helper.commands.books_request import (
        books_request,
        invented_request,
        read_book_symbols,
        read_sampling,
    )
    from options_helper.commands.books_run import rehearse, run_books
    from options_helper.commands.capture_options import read_seconds, require_folder
    from options_helper.data.accounts_file import load_market_settings

    wanted, sampling = read_book_symbols(provider, symbols), read_sampling(levels, interval)
    seconds = read_seconds("--duration", duration)
    if out is not None:
        require_folder(out)
    if not dry_run:
        request = books_request(provider, wanted, location, sampling, seconds)
        raise typer.Exit(run_books(request, load_market_settings(), out))
    request = invented_request(provider, wanted, seed, sampling, seconds)
    if out is not None:
        raise typer.Exit(run_books(request, load_market_settings(), out))
    feed = Rehearsal(
        wanted,
        seed,
        whole=provider is BookProvider.BREEZE,
        levels=sampling.levels,
        interval_seconds=sampling.interval_seconds,
    )
    raise typer.Exit(rehearse(feed, request))


RecordingArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder that was recorded into.", show_default=False)
]
DayOption = Annotated[
    str | None,
    typer.Option("--day", metavar="DAY", help="One New York day, as 2026-12-18.", show_default="all days"),
]
SymbolsOption = Annotated[
    str | None,
    typer.Option("--symbols", metavar="A,B,…", help="Only these symbols.", show_default="all symbols"),
]


@stream.command("list")
def list_command(
    directory: RecordingArgument,
    *,
    day: DayOption = None,
    symbols: SymbolsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a folder holds: symbols, days, rows, size, and which gaps and losses are known.

    Told by what stands beside the files, so it is quick. `stream verify` reads each byte of them, and holds each row
    against the journal; without one it can say that the files are whole, not that each row is what was received.
    """
    from options_helper.commands.stream_run import list_recording

    root, scope = _scope(directory, day, symbols)
    raise typer.Exit(list_recording(root, scope, as_json=as_json))


@stream.command()
def verify(
    directory: RecordingArgument,
    *,
    day: DayOption = None,
    symbols: SymbolsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a recording: each byte, row and number, the journal, the gaps, and trades against minute bars.

    With `--day` only the files of that day are read, and the journals of the captures that wrote them.

    Exit code 1 when something does not add up: damage, missing rows, rows that only the journal has, lost events.
    Nothing is changed.
    """
    from options_helper.commands.stream_run import verify_recording

    root, scope = _scope(directory, day, symbols)
    raise typer.Exit(verify_recording(root, scope, as_json=as_json))


@stream.command()
def rebuild(
    directory: RecordingArgument,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="NEW", help="A new folder for what is rebuilt.")],
    day: DayOption = None,
    symbols: SymbolsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the partitions of a recording once more, from its journal, into a new folder.

    They are what the capture wrote, row for row and member for member, where it wrote all of it; after a kill they
    are more. Exit code 1 when the journal is damaged.
    """
    from options_helper.commands.capture_options import require_folder
    from options_helper.commands.stream_run import rebuild_recording

    require_folder(out)
    root, scope = _scope(directory, day, symbols)
    raise typer.Exit(rebuild_recording(root, out, scope, as_json=as_json))


@stream.command()
def export(
    directory: RecordingArgument,
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="A new file: ….parquet, ….csv or ….csv.gz.")
    ],
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="quotes, trades, bars, book_updates, articles, …")
    ] = "quotes",
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="stocks, options, crypto, books or news.")
    ] = "stocks",
    symbols: SymbolsOption = None,
    day: DayOption = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="Or: from this day on,", show_default="the first"),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--to", metavar="DAY", help="to this one, included.", show_default="the last"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put the rows of a symbol's day, or of a range of symbols and days, into one Parquet or CSV file.

    They are by symbol and day, in the order of receipt. A column has one type, whatever is in it. Where a file is
    damaged its Parquet copy is read; exit code 1 when rows are missing all the same.
    """
    from options_helper.commands.capture_options import read_day
    from options_helper.commands.stream_run import export_recording, symbols_in
    from options_helper.data.intraday.scope import Scope

    root, one = _recording(directory), read_day("--day", day)
    if one is not None and (since is not None or until is not None):
        raise ConfigError(
            "--day goes with neither --from nor --to. Write one day, or the first and the last."
        )
    scope = Scope(one or read_day("--from", since), one or read_day("--to", until), symbols_in(root, symbols))
    code = export_recording(root, out, kind=kind, dataset=dataset, scope=scope, as_json=as_json)
    raise typer.Exit(code)


@stream.command()
def seal(
    directory: RecordingArgument,
    *,
    day: DayOption = None,
    symbols: SymbolsOption = None,
    parquet: Annotated[bool, typer.Option(help="A Parquet copy beside each file.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Make the files of days that are over small and final, with a Parquet copy beside each.

    Each new file is read back and compared before it takes the old one's place, and the CSV stays. A day that is
    sealed already is left as it is, but for a copy in the form of an earlier version, which is made anew. May run
    while a capture records another day. Exit code 1 when a file could not be sealed; the others are.
    """
    from options_helper.clock import utc_now
    from options_helper.commands.stream_run import seal_recording

    root, scope = _scope(directory, day, symbols)
    raise typer.Exit(seal_recording(root, scope, utc_now(), parquet=parquet, as_json=as_json))


@stream.command()
def repair(
    directory: RecordingArgument,
    *,
    day: DayOption = None,
    symbols: SymbolsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mend the files of a recording that are damaged or gone, and bring what stands beside them up to date.

    A finished day is made anew from its Parquet copy, where that is whole. Elsewhere the damaged bytes are cut out,
    and kept beside the file; `stream rebuild` has the rows, if there is a journal. Exit code 1 when a file could not
    be mended.
    """
    from options_helper.commands.stream_run import repair_recording

    root, scope = _scope(directory, day, symbols)
    raise typer.Exit(repair_recording(root, scope, as_json=as_json))


@stream.command()
def replay(
    directory: RecordingArgument,
    *,
    speed: Annotated[float, typer.Option(metavar="X", help="Pace; 0 is as fast as the clients read.")] = 1.0,
    day: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="One New York day, as 2026-12-18.", show_default="all days"),
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Only these symbols.", show_default="all symbols")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0 takes any free port.")] = 0,
) -> None:
    """Serve a recording as a market of its own, until Ctrl-C, and print the variables that lead a client here.

    To see it in the page at once: `options-helper ui --replay DIR`.
    """
    from options_helper.commands.capture_options import read_day
    from options_helper.commands.shutdown_signals import ShutdownSignals
    from options_helper.simulator.market.replay import ReplayMarket
    from options_helper.simulator.session import serve_market

    wanted = None if symbols is None else {one.strip() for one in symbols.split(",") if one.strip()}
    market = ReplayMarket(_recording(directory), speed=speed, day=read_day("--day", day), symbols=wanted)
    with ShutdownSignals() as shutdown, serve_market(market, port=port) as variables:
        typer.echo("# The recording is served until Ctrl-C. To use it, in another terminal:")
        for name, value in variables.items():
            typer.echo(f"export {name}={value}")
        shutdown.wait()


def _scope(directory: Path, day: str | None, symbols: str | None) -> tuple[Path, Scope]:
    from options_helper.commands.capture_options import read_day
    from options_helper.commands.stream_run import scope_of

    root = _recording(directory)
    return root, scope_of(root, read_day("--day", day), symbols)


def _recording(directory: Path) -> Path:
    if not directory.is_dir():
        raise ConfigError(f"{directory}: there is no such folder. Name the folder of a recording.")
    return directory
