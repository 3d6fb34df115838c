"""Import alpaca-py by one thread at a time: its parts import one another, so several at once block each other."""

from __future__ import annotations

import importlib
import threading
import warnings
from typing import Final

from options_helper.errors import ConfigError

# Each is an entrance to the same circle of imports.
MODULES: Final = (
    "alpaca.data.live",
    "alpaca.data.historical",
    "alpaca.trading.stream",
    "alpaca.trading.client",
)

# alpaca-py connects through the websockets library's older interface, which is for its authors to change; here it would
# be an error under `python -W error`. A filter for good: taking it back would change those of all threads.
_OLD_INTERFACE: Final = r"websockets\.legacy is deprecated"

_importing: Final = threading.Lock()


def load_sdk() -> None:
    """Have alpaca-py and what it is asked with at hand; ConfigError, saying what to install, where one is missing."""
    try:
        with _importing:
            warnings.filterwarnings("ignore", _OLD_INTERFACE, DeprecationWarning)
            for name in MODULES:
                importlib.import_module(name)
    except ImportError as error:
        package = (error.name or "alpaca").partition(".")[0]
        raise ConfigError(
            f"This needs {package}, which is not installed. Install it: pip install 'options-helper[ui,alpaca]'"
        ) from error
