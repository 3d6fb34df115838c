"""The audit of a recording, as a person and as a program reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

import msgspec

from options_helper.data.recording.journal_rows import SessionAudit
from options_helper.data.recording.verify import Audit, MinuteAudit, SymbolDay, format_new_york
from options_helper.model.instants import nanosecond_text, utc_datetime
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.text import named, table_lines

_SHOWN_GAPS: Final = 50
_RIGHT: Final = frozenset(
    {
        "rows",
        "size",
        "gaps",
        "lost",
        "frames",
        "events",
        "unreadable",
        "minutes",
        "trades",
        "volume",
        "partly heard",
    }
)


def audit_lines(audit: Audit) -> Iterator[str]:
    """Tables of what there is, then what does not add up, then the verdict."""
    yield "Times are those of receipt, by the recorder's clock, in New York."
    yield from _table(
        ("kind", "dataset", "symbol", "day", "rows", "first received", "last received", "gaps", "lost", ""),
        map(_symbol_day, audit.partitions),
    )
    if audit.sessions:
        yield ""
        yield from _table(
            ("session", "began", "last received", "frames", "events", "unreadable", "ended"),
            map(_session, audit.sessions),
        )
    for one in audit.sessions:
        yield from (
            f"Journal {one.session}: {part} Their rows are in the files, and cannot be made again."
            for part in one.deleted
        )
    yield from _gap_lines(audit)
    if audit.minutes:
        yield ""
        yield "Captured trades against the feed's minute bars, which leave out some conditions, by the exchange's time:"
        by_symbol = groupby(audit.minutes, key=lambda minute: (minute.kind, minute.symbol))
        yield from _table(
            ("kind", "symbol", "minutes", "trades", "volume", "furthest off", "partly heard"),
            [(kind, symbol, *_minutes(list(found))) for (kind, symbol), found in by_symbol],
        )
        if any(minute.partly for minute in audit.minutes):
            yield "Minutes that were heard in part are left out of the shares."
    if audit.silent:
        yield ""
        yield f"Asked for, and nothing came: {named(tuple(symbol for _, symbol in audit.silent))}"
    yield from unheard_lines(audit.unheard)
    yield ""
    yield from (f"! {problem}" for problem in audit.problems)
    if audit.being_written:
        yield "A recorder is at work here; what it has not written yet was not looked for."
    yield "It all adds up." if audit.ok else _count(len(audit.problems))


def unheard_lines(unheard: Sequence[str]) -> Iterator[str]:
    """What was asked for and is on no line of the table, because it comes when something happens."""
    if unheard:
        yield ""
        yield f"Asked for, and nothing of it happened: {'; '.join(unheard)}"


def _gap_lines(audit: Audit) -> Iterator[str]:
    """What was not heard, and what history said of it."""
    if audit.gaps:
        yield ""
        rows = (
            (
                gap.stream,
                format_new_york(gap.since_ns),
                "" if gap.until_ns is None else format_new_york(gap.until_ns),
                _number(gap.lost),
                gap.reason,
            )
            for gap in audit.gaps
        )
        yield from _table(("gap in", "since", "until", "lost", "why"), list(rows)[:_SHOWN_GAPS])
        if len(audit.gaps) > _SHOWN_GAPS:
            yield f"… and {len(audit.gaps) - _SHOWN_GAPS} more gaps, all in --json"
    if audit.closings:
        yield ""
        asked = [(one.stream, format_new_york(one.since_ns), one.words) for one in audit.closings]
        yield from _table(("gap in", "since", "what history says of it"), asked[:_SHOWN_GAPS])
        if len(audit.closings) > _SHOWN_GAPS:
            yield f"… and of {len(audit.closings) - _SHOWN_GAPS} more gaps, all in --json"


def audit_facts(audit: Audit) -> dict[str, object]:
    """The audit as a program reads it."""
    gaps = [
        {
            "session": gap.session,
            "stream": gap.stream,
            "since_ns": gap.since_ns,
            "until_ns": gap.until_ns,
            "since": nanosecond_text(gap.since_ns),
            "until": None if gap.until_ns is None else nanosecond_text(gap.until_ns),
            "lost_events": gap.lost,
            "reason": gap.reason,
        }
        for gap in audit.gaps
    ]
    closings = [{**msgspec.to_builtins(one), "words": one.words} for one in audit.closings]
    rest = msgspec.to_builtins(replace(audit, gaps=(), closings=()))
    return {"ok": audit.ok, **rest, "gaps": gaps, "closings": closings}


def _count(problems: int) -> str:
    return "1 thing does not add up." if problems == 1 else f"{problems} things do not add up."


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
    """Of those heard whole: their number, the captured share, the largest difference; then how many were not."""
    whole = [minute for minute in minutes if not minute.partly]
    counted = [minute for minute in whole if minute.bar_trades is not None]
    worst = max(counted, key=_difference, default=None)
    return (
        f"{len(whole):,}",
        _share(sum(one.captured_trades for one in counted), sum(one.bar_trades or 0 for one in counted)),
        _share(sum(one.captured_volume for one in whole), sum(one.bar_volume or 0.0 for one in whole)),
        ""
        if worst is None or not _difference(worst)
        else f"{_time(worst.minute_ns)}: {worst.captured_trades:,} of {worst.bar_trades:,}",
        _number((len(minutes) - len(whole)) or None),
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
    return table_lines(columns, rows, right=_RIGHT)
