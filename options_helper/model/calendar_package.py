"""exchange_calendars, loaded when a year is asked of that no table has: it takes more than half a second."""

from __future__ import annotations

import warnings
from typing import Any, Final

_TIME_ZONE_WARNING: Final = "Series.values returning an ndarray that drops timezone"


def calendar_package() -> Any:
    """The package with all its calendars.

    It is imported as a whole, because two threads that begin with two of its parts would each hold what the other waits
    for: the first to come loads it, and the others wait until that is done.
    """
    import exchange_calendars

    # What exchange_calendars 4.13 does with pandas 3 is for its authors to change; here it would stand in a terminal.
    # A filter for good and not for this call: taking it back would change those of all threads.
    warnings.filterwarnings("ignore", _TIME_ZONE_WARNING, DeprecationWarning)
    return exchange_calendars
