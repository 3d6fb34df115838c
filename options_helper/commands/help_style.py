"""One look for every command's help: plain lines that fit any terminal, `-h` as well as `--help`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

CONTEXT: Final = {"help_option_names": ["-h", "--help"]}


class _PlainCommand(TyperCommand):
    """A command whose help is a list: no table cuts its names, and no mark is left of what the docs are written in."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help as lines."""
        self.rich_markup_mode = None
        super().format_help(ctx, formatter)
        _plain(formatter)


class _PlainGroup(TyperGroup):
    """Commands under one name, whose help looks like theirs."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help as lines."""
        self.rich_markup_mode = None
        super().format_help(ctx, formatter)
        _plain(formatter)


class _PlainTyper(typer.Typer):
    """A Typer application whose commands have this look."""

    def __init__(self, **facts: Any) -> None:
        super().__init__(
            **{"cls": _PlainGroup, "context_settings": CONTEXT, "rich_markup_mode": "markdown", **facts}
        )

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **facts: Any
    ) -> Callable[[Any], Any]:
        """Register a command, as Typer does."""
        return super().command(name, cls=cls or _PlainCommand, **facts)


def plain_typer(**facts: Any) -> typer.Typer:
    """An application, or a group of one, whose commands have this look; `facts` are Typer's own."""
    return _PlainTyper(**facts)


def _plain(formatter: Any) -> None:
    text = "".join(formatter.buffer).replace("`", "")
    # What stands for a default in words is in brackets already.
    formatter.buffer[:] = [re.sub(r"\[default:(\s+)\(([^()]*)\)", r"[default:\1\2", text)]
