"""Look at ICICI's Breeze, where somebody has set it up: the day's session, the list of instruments, the secret."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from options_helper.doctor.findings import Finding, Verdict
from options_helper.model.indian_hours import INDIA, indian_days_known_until
from options_helper.settings import BreezeSettings

# A share that both exchanges list since long before there was a Breeze; its price is asked for to try the secret.
SHARE: Final = "NSE:RELIANCE"
_WORTH_SAYING: Final = timedelta(days=30)


def check_breeze(settings: BreezeSettings, now: Callable[[], datetime], stopping: threading.Event) -> Finding:
    """Does it open with this session, and is the rest of what a stream needs there? Raises where it does not."""
    from options_helper.data.breeze.account import BreezeAccount

    settings.require_session()
    account = BreezeAccount(settings, now=now, stopping=stopping)
    try:
        access = account.log_in()
        master = account.master()
        share = master.find(SHARE)
        signed = "no BREEZE_API_SECRET, which streams do without"
        if share is not None and settings.api_secret is not None:
            price = account.last_price(access, share)
            signed = f"the secret is right ({SHARE} was last traded at {'?' if price is None else f'{price:,.2f}'})"
    finally:
        account.close()
    said = (
        f"{urlsplit(settings.rest_url).hostname}: the session is good, {len(master):,} instruments, {signed}"
    )
    return _with_calendar(said, now())


def _with_calendar(said: str, now: datetime) -> Finding:
    last = indian_days_known_until()
    if last - now.astimezone(INDIA).date() > _WORTH_SAYING:
        return Finding(Verdict.OK, said)
    return Finding(
        Verdict.WARNING,
        f"{said}; the calendar of India ends on {last:%d %b %Y}, and beyond it no silence is called a stall",
        "Install a newer exchange-calendars, which comes out each year: pip install -U exchange-calendars",
    )
