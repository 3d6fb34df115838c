"""Draw a checkup: line by line as it goes for a person, all at once for a program."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from options_helper import __version__
from options_helper.clock import utc_now
from options_helper.doctor.findings import Check, Line, Verdict, facts, worst
from options_helper.doctor.run import Checkup

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_STYLES: Final = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.FAILED: "bold red",
    Verdict.SKIPPED: "dim",
}
SUMMARIES: Final = {
    Verdict.OK: "What was looked at is well.",
    Verdict.WARNING: "It works; the warnings say what may surprise.",
    Verdict.FAILED: "Something does not work; begin with the first line that says failed.",
}
# Their details are worth a line each; those of the others are for programs.
_SHOWN_IN_FULL: Final = frozenset({Check.SETTINGS})
_VERDICT_WIDTH: Final = 9
_CHECK_WIDTH: Final = 15


def run_checkup(
    checkup: Checkup,
    *,
    as_json: bool,
    console: Console | None = None,
    now: Callable[[], datetime] = utc_now,
) -> int:
    """Look, tell, and return the exit code: 1 when something failed. Blocks until all is looked at."""
    if as_json:
        lines = list(checkup.lines())
        _print_json(lines, now())
    else:
        lines = _print_lines(checkup, console or _console())
    return 1 if worst(lines) is Verdict.FAILED else 0


def _print_json(lines: list[Line], now: datetime) -> None:
    import msgspec
    import typer

    content = facts(lines, now, __version__)
    typer.echo(msgspec.json.format(msgspec.json.encode(content)).decode())


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _print_lines(checkup: Checkup, console: Console) -> list[Line]:
    """Print each line when it is known; while one is waited for, a terminal shows that something goes on."""
    lines: list[Line] = []
    with console.status("looking …"):
        for line in checkup.lines():
            _print_line(console, line)
            lines.append(line)
    console.print(f"\n{SUMMARIES[worst(lines)]}", markup=False)
    return lines


def _print_line(console: Console, line: Line) -> None:
    from rich.table import Table

    verdict, check, message = _columns(line)
    if console.is_terminal:
        grid = Table.grid()
        grid.add_column(width=_VERDICT_WIDTH)
        grid.add_column(width=_CHECK_WIDTH)
        grid.add_column(overflow="fold")
        grid.add_row(verdict, check, message)
        console.print(grid)
    else:
        # A log or a pipe has no width: each line is one line.
        text = f"{verdict.plain:{_VERDICT_WIDTH}}{check:{_CHECK_WIDTH}}{message.plain}"
        console.print(text, markup=False, soft_wrap=True)
    if line.check in _SHOWN_IN_FULL:
        _print_details(console, line)


def _print_details(console: Console, line: Line) -> None:
    from rich.table import Table
    from rich.text import Text

    width = max(map(len, line.finding.details), default=0)
    indent = " " * (_VERDICT_WIDTH + _CHECK_WIDTH)
    for name, value in line.finding.details.items():
        if console.is_terminal:
            grid = Table.grid()
            grid.add_column(width=len(indent) + width + 2, no_wrap=True)
            grid.add_column(overflow="fold")
            grid.add_row(Text(f"{indent}{name}", "dim"), Text(str(value), "dim"))
            console.print(grid)
        else:
            console.print(f"{indent}{name:{width}}  {value}", markup=False, soft_wrap=True, style="dim")


def _columns(line: Line) -> tuple[Text, str, Text]:
    from rich.text import Text

    finding = line.finding
    message = Text(finding.message)
    if finding.remedy is not None:
        message.append(f" {finding.remedy}", style="bold")
    name = line.check.replace("_", " ").capitalize()
    return Text(finding.verdict, style=_STYLES[finding.verdict]), name, message
