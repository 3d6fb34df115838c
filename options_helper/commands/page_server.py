"""The process of the page: Streamlit, and a watch that ends it when the launcher is gone.

A launcher that is killed outright cannot end its child, and an orphan would keep the account's one connection.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

from options_helper.commands.logs import set_up_logging

PARENT_VARIABLE = "OH_PARENT_PID"
# Where a recording in this process goes; without it nothing is recorded here, and a recorder is not even loaded.
FOLDER_VARIABLE = "OH_RECORD_DIR"
_POLL_SECONDS = 0.2


def main() -> None:
    """Be `streamlit` with the arguments given, for as long as the launcher lives."""
    set_up_logging()
    parent = os.environ.pop(PARENT_VARIABLE, None)
    if parent:
        threading.Thread(target=_watch, args=(int(parent),), name="parent-watch", daemon=True).start()
    if FOLDER_VARIABLE in os.environ:
        from options_helper.commands.recorded_page import serve_recorded

        sys.exit(serve_recorded(_serve))
    _serve()


def _serve() -> None:
    sys.argv[0] = "streamlit"
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)


def _watch(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
