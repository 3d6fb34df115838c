"""Say numbers, ages and times the same way everywhere on the page; what is not known is a dash, never a zero."""

from __future__ import annotations

import re
from datetime import datetime
from math import isnan
from typing import Final
from zoneinfo import ZoneInfo

from options_helper.model.text import HIDDEN

UNKNOWN: Final = "—"


def money(amount: float | None, *, signed: bool = False, hidden: bool = False) -> str:
    """Dollars and cents: `$1,234.50`, or with its sign `+$1,234.50`."""
    if amount is None or isnan(amount):
        return UNKNOWN
    if hidden:
        return HIDDEN
    rounded = round(amount, 2)
    return f"{_sign(rounded, signed=signed)}${abs(rounded):,.2f}"


def percent(value: float | None, *, signed: bool = False) -> str:
    """Percent points with two digits: `+8.25 %`."""
    if value is None or isnan(value):
        return UNKNOWN
    rounded = round(value, 2)
    return f"{_sign(rounded, signed=signed)}{abs(rounded):,.2f} %"


def arrow(amount: float | None) -> str:
    """▲ for a gain, ▼ for a loss, nothing where neither is known: the sign for eyes that see no colour."""
    if amount is None or isnan(amount) or not round(amount, 2):
        return ""
    return "▲" if amount > 0 else "▼"


def age(seconds: float | None) -> str:
    """How long ago, as short as it can be said: `0.4 s`, `47 s`, `3 min`, `2 h`, `5 d`."""
    if seconds is None or isnan(seconds):
        return UNKNOWN
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.0f} d"


def rate(per_second: float) -> str:
    """Events per second: `0.2/s`, `12/s`."""
    return f"{per_second:.1f}/s" if 0 < per_second < 9.95 else f"{per_second:,.0f}/s"


def clock(moment: datetime | None, zone: ZoneInfo, *, today: datetime | None = None) -> str:
    """The time in the viewer's zone, with the zone's name, and with the date unless it is today's."""
    if moment is None:
        return UNKNOWN
    local = moment.astimezone(zone)
    # Some zones have no letters of their own, only an offset such as +03.
    name = local.tzname() if (local.tzname() or "").isalpha() else zone.key
    time = f"{local:%H:%M:%S} {name}"
    if today is None or today.astimezone(zone).date() == local.date():
        return time
    return f"{local:%a} {local.day} {local:%b %Y} {time}"


def _sign(amount: float, *, signed: bool) -> str:
    if amount < 0:
        return "−"
    return "+" if signed and amount > 0 else ""


def plain(text: str) -> str:
    """A text of any origin for a place that reads Markdown: each character stands for itself."""
    escaped = re.sub(r"[#$&*<>\[\\\]_`|~]", lambda found: f"&#{ord(found[0])};", text)
    # Streamlit looks for `:name:` in what that gives; an invisible joiner keeps the colon from the name.
    return re.sub(r":(?=[A-Za-z/+-])", ":\u2060", escaped).replace("\n", " ")
