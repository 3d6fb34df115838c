"""Where the program begins: Ctrl-C ends it without a traceback, also while it still loads."""

from __future__ import annotations

import signal


def main() -> None:
    """Load the commands and run one; on the main thread."""
    # Nothing has begun yet that would have to be ended in order.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from options_helper.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()
