"""Write the page of commands from the commands themselves; a test checks that it is fresh."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TYPER = Path(sys.executable).with_name("typer")


def main(target: str) -> None:
    """Write the page to `target`."""
    command = [
        str(TYPER),
        "options_helper.cli",
        "utils",
        "docs",
        "--name",
        "options-helper",
        "--title",
        "Commands",
    ]
    page = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own tool
    # Markdown needs no escape for an apostrophe, and a reader of the plain file is spared it.
    Path(target).write_text(page.replace("&#x27;", "'").strip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
