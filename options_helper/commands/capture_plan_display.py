"""Show what a capture would record, and record nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from rich import filesize

from options_helper.capture.plan import CapturePlan, plan_capture
from options_helper.clock import utc_now
from options_helper.commands.capture_display import format_market_time
from options_helper.commands.capture_options import require_folder
from options_helper.commands.capture_run import CaptureRequest
from options_helper.model.streams import StreamName
from options_helper.settings import NO_KEYS, Settings

_LABELS: Final = {
    StreamName.STOCKS: "Stocks: ",
    StreamName.OPTIONS: "Options:",
    StreamName.CRYPTO: "Crypto: ",
    StreamName.NEWS: "News:   ",
}


def show_plan(request: CaptureRequest, settings: Settings, *, now: Callable[[], datetime] = utc_now) -> None:
    """Print what would be recorded; connects to nothing and writes nothing."""
    from rich.console import Console

    console = Console(highlight=False)
    require_folder(request.out)
    plan = plan_capture(request.selection, None if request.selection.underlyings else ())
    for line in [*_stream_lines(plan), *_plan_lines(request, plan, settings, now())]:
        console.print(_wrapped(line, console.width), markup=False, soft_wrap=True)


def _stream_lines(plan: CapturePlan) -> Iterator[str]:
    streams = plan.streams
    for name, label in _LABELS.items():
        symbols = list(streams.symbols(name))
        if name is StreamName.OPTIONS and plan.not_expanded:
            symbols.append(f"up to {plan.room} contracts of {', '.join(plan.not_expanded)}")
        if symbols:
            yield f"{label} {', '.join(symbols)}"
            yield f"         {_what(plan, name)}"


def _what(plan: CapturePlan, name: StreamName) -> str:
    if name is StreamName.NEWS:
        return "articles, as they were sent"
    streams = plan.streams
    return f"{', '.join(streams.channels(name))}; feed {streams.feed(name)}"


def _wrapped(line: str, width: int) -> str:
    """For a narrow terminal, without a cut through a symbol or a path."""
    return textwrap.fill(
        line, width, subsequent_indent=" " * 9, break_long_words=False, break_on_hyphens=False
    )


def _plan_lines(
    request: CaptureRequest, plan: CapturePlan, settings: Settings, now: datetime
) -> Iterator[str]:
    size = plan.estimate()
    most = "up to " if plan.not_expanded else ""
    yield f"Folder:  {request.out}"
    yield f"Files:   {most}{plan.partitions:,} a day, <kind>/<dataset>/<timeframe>/<SYMBOL>/<day>.csv.gz"
    if request.journal:
        yield "Journal: journal/<day>/…, written first"
    parts = [(size.file_bytes, "CSV")]
    parts += [(size.journal_bytes, "journal")] if request.journal else []
    parts += [(size.parquet_bytes, "Parquet copies once finished")] if request.parquet else []
    sizes = [f"{filesize.decimal(count)} of {what}" for count, what in parts]
    yield (
        f"Size:    {most}about {size.rows:,} rows a day, {', '.join(sizes)}. "
        "A rough guess for much traded symbols; the busiest bring ten times as much, quiet ones a hundredth."
    )
    yield f"Hours:   {_format_hours(request, plan, now)}"
    if not settings.has_credentials:
        yield f"Keys:    {NO_KEYS}"
    if plan.not_expanded:
        yield (
            f"Note:    the contracts of {', '.join(plan.not_expanded)} are not looked up, because that needs the "
            f"network; there is room for {plan.room}."
        )
    for warning in plan.warnings:
        yield f"Note:    {warning}"
    yield "Dry run: nothing was connected and nothing was written."


def _format_hours(request: CaptureRequest, plan: CapturePlan, now: datetime) -> str:
    length = "until it is stopped"
    if request.duration_seconds is not None:
        length = f"for {request.duration_seconds:g} s"
    if not request.market_hours:
        return f"at once, {length}"
    change = plan.hours.next_change(now)
    if plan.hours.connected(now):
        until = f", now until {format_market_time(change)}" if change else ""
    else:
        until = f", next from {format_market_time(change)}" if change else ""
    return f"while the market is open, {length}{until}"
