"""Write the page of commands from the commands themselves; a test checks that it is fresh."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CALLED = "In a checkout, `options-helper` is [called](index.md#how-it-is-called) `.venv/bin/options-helper`."
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
    title, _, rest = page.partition("\n")
    page = f"{title}\n\n{CALLED}\n{rest}"
    # Markdown needs no escape for an apostrophe, and a reader of the plain file is spared it.
    Path(target).write_text(page.replace("&#x27;", "'").strip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
