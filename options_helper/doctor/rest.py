"""Look at Alpaca's plain HTTP side: its clock beside ours, the account, market data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from options_helper.data.rest.calendar_watch import ask_told_sessions
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.market_time import is_demo, server_time
from options_helper.doctor.findings import Finding, Verdict, explained
from options_helper.errors import OptionsHelperError
from options_helper.model.clock_skew import WORTH_SAYING_SECONDS
from options_helper.model.market_hours import in_regular_hours, next_change
from options_helper.model.told_sessions import format_hours, format_told
from options_helper.model.tolerant import field, word
from options_helper.settings import Settings

# Market hours, expiries and the day of a P&L are judged by this computer's clock.
SKEW_FAILURE_SECONDS: Final = 60.0
STOCK: Final = "SPY"


def check_clock(rest: AlpacaRest, settings: Settings, now: Callable[[], datetime]) -> Finding:
    """Does this computer agree with the server about the time? Half the round trip is the doubt."""
    sent_at = now()
    server_now = server_time(rest)
    received_at = now()
    if server_now is None:
        return Finding(Verdict.FAILED, "The server's clock cannot be read from its answer.", _CHECK_ADDRESS)
    if is_demo(settings):
        said = f"{server_now:%Y-%m-%d %H:%M:%S} UTC"
        return Finding(
            Verdict.OK, f"a simulated market plays its own time ({said}); there is nothing to compare"
        )
    doubt = (received_at - sent_at) / 2
    ahead = (sent_at + doubt - server_now).total_seconds()
    return judge_skew(ahead, doubt.total_seconds())


def judge_skew(ahead_seconds: float, doubt_seconds: float) -> Finding:
    """What it means that this computer's clock is so far ahead of the server's, or behind where negative."""
    direction = "ahead of" if ahead_seconds > 0 else "behind"
    said = f"{abs(ahead_seconds):,.1f} s {direction} the server (± {doubt_seconds:.1f} s)"
    certain = abs(ahead_seconds) - doubt_seconds
    if certain < WORTH_SAYING_SECONDS:
        return Finding(Verdict.OK, said)
    verdict = Verdict.WARNING if certain < SKEW_FAILURE_SECONDS else Verdict.FAILED
    return Finding(
        verdict,
        f"This computer's clock is {said}; a run puts ages and hours right by theirs, and recordings keep this one's.",
        "Let the system set its clock: timedatectl set-ntp true (Linux), or the date settings (Mac, Windows).",
    )


_CHECK_ADDRESS: Final = "Check APCA_API_BASE_URL: does Alpaca, or a simulator, answer there?"


def check_calendar(rest: AlpacaRest, now: Callable[[], datetime]) -> Finding:
    """Does the market say of its hours what our calendar says? Where not, the market is believed."""
    try:
        at = server_time(rest) or now()
        told = ask_told_sessions(rest, at)
    except OptionsHelperError as error:
        return explained(error, "Check the network and APCA_API_BASE_URL; the program's own calendar stands.")
    change = next_change(at, told)
    is_open = in_regular_hours(at, told)
    when = "not known" if change is None else f"{change:%a %d %b %H:%M} ET"
    said = f"the market is {'open; it closes' if is_open else 'closed; it opens'} {when}"
    details = {day.isoformat(): format_hours(session) for day, session in sorted(told.items())}
    if not told:
        return Finding(Verdict.OK, f"{said}; it says of its hours what the program's calendar says")
    return Finding(
        Verdict.OK,
        f"{said}. It differs from the program's calendar, and is believed: {format_told(told)}",
        None,
        details,
    )


def check_account(rest: AlpacaRest, settings: Settings) -> Finding:
    """Do the keys open the account, and may it be used? No amount and no account number is told."""
    try:
        account = rest.account()
    except OptionsHelperError as error:
        return explained(error, "Check the network and APCA_API_BASE_URL.")
    kind = "paper" if settings.paper else "LIVE, shown and never traded"
    status = word(field(account, "status"))
    if status is None:
        return Finding(Verdict.FAILED, "What answers is no account.", _CHECK_ADDRESS)
    said = f"{kind}, at {urlsplit(settings.base_url).netloc}: {status}"
    blocked = [flag for flag in ("account_blocked", "trading_blocked") if field(account, flag) is True]
    if status != "ACTIVE" or blocked:
        problem = ", ".join([said, *(flag.replace("_", " ") for flag in blocked)])
        return Finding(
            Verdict.WARNING,
            f"{problem}.",
            "Look into Alpaca's dashboard; its support knows why the account is so.",
        )
    return Finding(Verdict.OK, said)


def check_market_data(rest: AlpacaRest, settings: Settings) -> Finding:
    """Do the keys open plain market data?"""
    try:
        rest.latest_stock_trades((STOCK,))
    except OptionsHelperError as error:
        return explained(error, "Check the network and OH_ALPACA_DATA_URL.")
    return Finding(Verdict.OK, f"{urlsplit(settings.data_url).netloc} answers")
