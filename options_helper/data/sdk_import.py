"""Import alpaca-py, here alone: by one thread at a time, and without the pandas that only its frames need."""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from typing import Any, Final

from options_helper.data.late_import import late_imports
from options_helper.errors import ConfigError

# Each is an entrance to the same circle of imports: several threads at once would block each other.
MODULES: Final = (
    "alpaca.data.live",
    "alpaca.data.historical",
    "alpaca.trading.stream",
    "alpaca.trading.client",
)
# Which of its modules import what is large and what they hardly use: `.df` of its models, the dates of one request.
LATE: Final = {
    "alpaca.data.models.base": frozenset({"numpy", "pandas"}),
    "alpaca.trading.requests": frozenset({"pandas"}),
}

# alpaca-py connects through the websockets library's older interface, which is for its authors to change; here it would
# be an error under `python -W error`. A filter for good: taking it back would change those of all threads.
_OLD_INTERFACE: Final = r"websockets\.legacy is deprecated"

_importing: Final = threading.RLock()


def load_sdk() -> None:
    """Have alpaca-py and what it is asked with at hand; ConfigError, saying what to install, where one is missing.

    Callable from any thread. pandas and NumPy are left out where nobody has imported them yet; the SDK imports them
    when it first makes a frame.
    """
    try:
        with _importing, late_imports(LATE):
            warnings.filterwarnings("ignore", _OLD_INTERFACE, DeprecationWarning)
            for name in MODULES:
                importlib.import_module(name)
    except ImportError as error:
        package = (error.name or "alpaca").partition(".")[0]
        raise ConfigError(
            f"This needs {package}, which is not installed. Install it: pip install 'options-helper[ui,alpaca]'"
        ) from error


def sdk_class(module: str, name: str) -> type[Any]:
    """A class of one of `MODULES`; ConfigError as `load_sdk`."""
    load_sdk()
    found: type[Any] = getattr(sys.modules[module], name)
    return found
