"""Move this process's clock to another instant, so that a test which is green on one day only is found."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine

# A child process has the computer's clock, simulated days have one of their own, and what takes long is left to the
# run of the real day.
FOLDERS_LEFT_OUT = ("wire", "faults", "browser")
MARKERS_LEFT_OUT = ("processes", "days", "real_data", "exhaustive")


def moment(text: str) -> datetime:
    """The instant of `--at`, in UTC: a zone of its own would become the zone of the process as well.

    Raises `ValueError` for what is no instant.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no offset from UTC")
    return found.astimezone(UTC)


def move_clock(config: pytest.Config, instant: datetime) -> None:
    """Start the clock at an instant, from where it goes on, until the run is over; the monotonic clock stays as it is.

    Modules imported already are reached as well: the functions are replaced and not their names.
    """
    traveller = time_machine.travel(instant, tick=True)
    traveller.start()
    config.add_cleanup(traveller.stop)


def left_out(item: pytest.Item) -> bool:
    """Whether a test is none for a moved clock."""
    return any(item.get_closest_marker(name) for name in MARKERS_LEFT_OUT)
