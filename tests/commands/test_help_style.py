"""One look for every command's help, whatever the terminal's width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from options_helper.cli import app


def commands(group: Any = None, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command and group by its path."""
    group = group or typer.main.get_command(app)
    yield path
    for name, one in getattr(group, "commands", {}).items():
        yield from commands(one, *path, name)


EVERY = list(commands())


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_help_is_plain_lines_and_h_is_help(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch):
    """No box that cuts names, no mark of what the docs are written in, no type of a switch, no bracket twice."""
    monkeypatch.setenv("COLUMNS", "80")
    short, long = (CliRunner().invoke(app, [*path, option]) for option in ("-h", "--help"))

    assert short.exit_code == long.exit_code == 0
    assert short.output == long.output
    assert "Usage: " in short.output
    assert not re.findall(r"[`╭│]|<bool>|\[\[|\[default:\s+\(", short.output)
    assert "-h, --help" in short.output


def test_the_shell_can_complete_the_commands():
    result = CliRunner().invoke(app, ["--help"])

    assert "--install-completion" in result.output
    assert "--show-completion" in result.output


@pytest.mark.parametrize(
    "path",
    [
        ("doctor",),
        ("portfolio", "check"),
        ("portfolio", "reconcile"),
        ("stream", "health"),
        ("stream", "verify"),
    ],
    ids=" ".join,
)
def test_what_a_script_needs_to_know_is_there_as_json(path: tuple[str, ...]):
    assert "--json" in CliRunner().invoke(app, [*path, "-h"]).output
