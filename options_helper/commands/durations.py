"""Read and write a stretch of time as people write it on a command line: 30s, 5m, 1.5h, 2d, 1h30m."""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
# What a number without a unit means behind a number with one.
_NEXT: Final = {"d": "h", "h": "m", "m": "s", "min": "s"}
_REST: Final = re.compile(r"(?<=[a-z])\d+$")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d)\s*")


def parse_duration(text: str) -> float:
    """The seconds in it; a bare number is seconds. ValueError where it is no stretch of time."""
    wanted = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", wanted):
        return float(wanted)
    if (rest := _REST.search(wanted)) and (unit := re.search(r"[a-z]+$", wanted[: rest.start()])):
        wanted += _NEXT.get(unit[0], "?")
    if not wanted or _PART.sub("", wanted):
        raise ValueError(f"{text!r} is no stretch of time. Write for instance 30s, 5m, 1h30m.")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(wanted))


def format_duration(seconds: float) -> str:
    """A stretch of time as people say it: "45 s", "12 min", "3 h 5 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
