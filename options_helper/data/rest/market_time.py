"""What time it is in the market that is asked: a simulator's own with a simulator's keys, everybody's otherwise."""

from __future__ import annotations

from datetime import datetime

from options_helper.data.rest.client import AlpacaRest
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.settings import DEMO_KEY, Settings


def is_demo(settings: Settings) -> bool:
    """Whether a simulator of ours is asked, whose time is that of the session it plays."""
    key = settings.api_key
    return settings.local_market and key is not None and key.get_secret_value() == DEMO_KEY


def server_time(rest: AlpacaRest) -> datetime | None:
    """The time that the server's clock tells, in UTC; None when its answer holds none. Blocks; RestError."""
    server_ns = epoch_nanoseconds(rest.clock().get("timestamp"))
    return None if server_ns is None else utc_datetime(server_ns)


def known_time(settings: Settings, now: datetime) -> datetime:
    """The market's time as far as it is known without asking: in a demo where its session begins, else `now`."""
    return settings.market_time or now if is_demo(settings) else now


def market_time(rest: AlpacaRest, settings: Settings, now: datetime) -> datetime:
    """The market's time: a demo is asked for it, for any other market it is `now`. Blocks; RestError."""
    return (server_time(rest) if is_demo(settings) else None) or known_time(settings, now)
