"""What time and day it is in the market that is asked: a simulator's own with its keys, everybody's otherwise."""

from __future__ import annotations

from datetime import datetime

from options_helper.data.rest.client import AlpacaRest
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import MarketDay, new_york_date
from options_helper.settings import DEMO_KEY, Settings


def is_demo(settings: Settings) -> bool:
    """Whether a simulator of ours is asked, whose time is that of the session it plays."""
    key = settings.market_data.api_key
    return settings.local_market and key is not None and key.get_secret_value() == DEMO_KEY


def server_time(rest: AlpacaRest) -> datetime | None:
    """The time that the server's clock tells, in UTC; None when its answer holds none. Blocks; RestError."""
    server_ns = epoch_nanoseconds(rest.clock().get("timestamp"))
    return None if server_ns is None else utc_datetime(server_ns)


def known_day(settings: Settings, now: datetime) -> MarketDay:
    """The market's day as far as it is known without asking: in a demo where its session begins, else New York's."""
    played = settings.market_time if is_demo(settings) else None
    return _day_at(played or now, plays=played is not None)


def market_day(rest: AlpacaRest, settings: Settings, now: datetime) -> MarketDay:
    """The market's day: a demo is asked for it, for any other market it is New York's at `now`. Blocks; RestError."""
    played = server_time(rest) if is_demo(settings) else None
    return known_day(settings, now) if played is None else _day_at(played, plays=True)


def _day_at(moment: datetime, *, plays: bool) -> MarketDay:
    return MarketDay(new_york_date(moment), plays=plays, at=moment)
