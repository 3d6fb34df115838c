"""Which expiries span a day on which a company reports, by the user's own list; nobody else is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.attention.expiring import Moment
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.live_health import Level
from options_helper.model.contract_symbols import short_date
from options_helper.model.earnings import Earnings
from options_helper.model.market_hours import regular_session


def earnings_entries(book: Sequence[HeldLine], events: Sequence[Earnings], moment: Moment) -> Iterator[Entry]:
    """An entry for each report that is ahead, or of today, and that a leg lives to see."""
    for event in events:
        spanning = [
            one
            for one in book
            if one.instrument.underlying == event.symbol
            and not one.ended
            and one.instrument.expiry is not None
            and one.instrument.expiry >= event.day
        ]
        if event.day < moment.today or not spanning:
            continue
        session = regular_session(event.day, moment.told)
        expiries = sorted({one.instrument.expiry for one in spanning if one.instrument.expiry})
        spans = (
            f"the expiry of {short_date(expiries[0])} spans"
            if len(expiries) == 1
            else f"{len(expiries)} expiries from {short_date(expiries[0])} on span"
        )
        soon = event.day in (moment.today, moment.following)
        yield Entry(
            kind=AttentionKind.EARNINGS,
            level=Level.WARNING if soon else Level.INFO,
            subject=event.symbol,
            symbols=tuple(dict.fromkeys(one.instrument.live_symbol for one in spanning)),
            what=(
                f"{event.symbol}: {spans} earnings of {short_date(event.day)} ({event.said_by}, entered "
                f"{short_date(event.entered)})."
            ),
            by=None if session is None else session.closes,
            remedy="A report may come before the open or after the close of that day.",
        )
