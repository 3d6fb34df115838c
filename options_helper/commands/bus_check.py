"""Try a bus and print what was found, as a checkup prints it."""

from __future__ import annotations

from options_helper.bus.address import BusAddress
from options_helper.commands.doctor import SUMMARIES
from options_helper.doctor.bus import Looked, look_at_bus
from options_helper.doctor.findings import Verdict


def run_check(address: BusAddress, *, as_json: bool) -> int:
    """Look, tell, and return the exit code: 1 when something failed."""
    looked = look_at_bus(address)
    verdicts = {one.finding.verdict for one in looked}
    worst = next((one for one in (Verdict.FAILED, Verdict.WARNING) if one in verdicts), Verdict.OK)
    if as_json:
        _print_json(looked, worst)
    else:
        _print_lines(looked, worst)
    return 1 if worst is Verdict.FAILED else 0


def _print_json(looked: tuple[Looked, ...], worst: Verdict) -> None:
    import msgspec
    import typer

    content = {
        "verdict": worst,
        "checks": [
            {
                "check": one.what,
                "verdict": one.finding.verdict,
                "words": one.finding.message,
                "remedy": one.finding.remedy,
                "details": dict(one.finding.details),
            }
            for one in looked
        ],
    }
    typer.echo(msgspec.json.format(msgspec.json.encode(content)).decode())


def _print_lines(looked: tuple[Looked, ...], worst: Verdict) -> None:
    import typer

    for one in looked:
        remedy = f" {one.finding.remedy}" if one.finding.remedy else ""
        typer.echo(f"{one.finding.verdict:9}{one.what.capitalize():12}{one.finding.message}{remedy}")
    typer.echo(f"\n{SUMMARIES[worst]}")
