"""What a command exits with where an error ends it."""

from __future__ import annotations

from typing import Final

from options_helper.errors import OptionsHelperError, StoreError, Unavailable

# EX_TEMPFAIL of sysexits.h: a service is worth another start.
MAY_PASS: Final = 75
WRONG: Final = 2
# Python's own, for whatever nobody expected.
BROKEN: Final = 1


def code_of(error: OptionsHelperError) -> int:
    """2, or 75 where it may pass by itself: a folder that another writes into, a port that is taken."""
    return MAY_PASS if isinstance(error, StoreError | Unavailable) else WRONG
