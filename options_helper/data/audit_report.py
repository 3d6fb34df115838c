"""The audit of a recording as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from options_helper.data.auditing import Audit, MinuteAudit, SessionAudit, SymbolDay
from options_helper.data.market_hours import NEW_YORK
from options_helper.data.streaming.events import utc_datetime

_SHOWN_GAPS: Final = 50
_RIGHT: Final = frozenset(
    {"rows", "gaps", "lost", "frames", "events", "unreadable", "minutes", "trades", "volume"}
)


def audit_lines(audit: Audit) -> Iterator[str]:
    """Tables of what there is, then what does not add up, then the verdict. Times are New York's."""
    yield from _table(
        ("kind", "dataset", "symbol", "day", "rows", "first", "last", "gaps", "lost", ""),
        map(_symbol_day, audit.partitions),
    )
    if audit.sessions:
        yield ""
        yield from _table(
            ("session", "from", "to", "frames", "events", "unreadable", "ended"),
            map(_session, audit.sessions),
        )
    if audit.gaps:
        yield ""
        rows = (
            (gap.stream, gap.since, gap.until, _number(gap.lost_events), gap.reason) for gap in audit.gaps
        )
        yield from _table(("gap in", "since (UTC)", "until (UTC)", "lost", "why"), list(rows)[:_SHOWN_GAPS])
        if len(audit.gaps) > _SHOWN_GAPS:
            yield f"… and {len(audit.gaps) - _SHOWN_GAPS} more gaps, all in --json"
    if audit.minutes:
        yield ""
        yield "Captured trades against the feed's minute bars, which leave out some conditions:"
        by_symbol = groupby(audit.minutes, key=lambda minute: (minute.kind, minute.symbol))
        yield from _table(
            ("kind", "symbol", "minutes", "trades", "volume", "furthest off"),
            [(kind, symbol, *_minutes(list(found))) for (kind, symbol), found in by_symbol],
        )
    yield ""
    yield from (f"! {problem}" for problem in audit.problems)
    if audit.being_written:
        yield "A recorder is at work here; what it has not written yet was not looked for."
    yield "It all adds up." if audit.ok else f"{len(audit.problems)} things do not add up."


def _symbol_day(one: SymbolDay) -> tuple[str, ...]:
    said = "" if not one.problems else f"! {len(one.problems)}"
    times = (_time(one.first_ns), _time(one.last_ns))
    return (
        one.kind, one.dataset, one.symbol, str(one.day), f"{one.rows:,}", *times, str(one.gaps), f"{one.lost:,}", said,
    )  # fmt: skip


def _session(one: SessionAudit) -> tuple[str, ...]:
    ended = "as it should" if one.ended else "without warning, or not yet"
    return (
        one.session, _time(one.began_ns), _time(one.last_ns), f"{one.frames:,}", f"{one.events:,}",
        f"{one.rejected:,}", ended,
    )  # fmt: skip


def _minutes(minutes: Sequence[MinuteAudit]) -> tuple[str, ...]:
    """How many, the share of trades and of volume that was captured, and the minute with the largest difference."""
    counted = [minute for minute in minutes if minute.bar_trades is not None]
    worst = max(counted, key=_difference, default=None)
    return (
        f"{len(minutes):,}",
        _share(sum(one.captured_trades for one in counted), sum(one.bar_trades or 0 for one in counted)),
        _share(sum(one.captured_volume for one in minutes), sum(one.bar_volume or 0.0 for one in minutes)),
        ""
        if worst is None or not _difference(worst)
        else f"{_time(worst.minute_ns)}: {worst.captured_trades:,} of {worst.bar_trades:,}",
    )


def _difference(minute: MinuteAudit) -> int:
    return abs(minute.captured_trades - (minute.bar_trades or 0))


def _share(captured: float, announced: float) -> str:
    return f"{captured / announced:.1%}" if announced else ""


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _time(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return ""
    return f"{utc_datetime(nanoseconds).astimezone(NEW_YORK):%H:%M:%S}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        fields = [
            text.rjust(width) if name in _RIGHT else text.ljust(width)
            for name, text, width in zip(columns, line, widths, strict=True)
        ]
        yield "  ".join(fields).rstrip()
