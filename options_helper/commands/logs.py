"""How the faces write the program's log: to stderr, with the time, and only what a user should know."""

from __future__ import annotations

import logging


def set_up_logging() -> None:
    """Send warnings and errors to stderr; harmless when logging is set up already."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
