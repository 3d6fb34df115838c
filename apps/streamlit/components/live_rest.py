"""How the asking beside the streams is getting on: one quiet line that never moves, and all of it in the details."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import assert_never

from apps.streamlit.components.live_screen import Screen
from apps.streamlit.components.look import tag
from apps.streamlit.components.words import UNKNOWN, clock
from options_helper.data.account import RestPhase, RestReport


def rest_line(screen: Screen) -> str:
    """One line of HTML, cut off where it does not fit."""
    reports = [
        report for report in screen.snapshot.account.reports.values() if report.phase is not RestPhase.OFF
    ]
    if not reports:
        return tag("div", "Beside the streams nothing is asked for.", "oh-rest")
    said = [_in_short(report, screen) for report in reports]
    # One server's trouble fails every task, and one sentence of it is enough.
    problems = dict.fromkeys(report.problem or "" for report in reports if report.phase is RestPhase.FAILED)
    parts = [
        tag("span", words, "oh-caveat" if report.phase is RestPhase.FAILED else "", **_marks(report))
        for report, words in zip(reports, said, strict=True)
    ]
    parts += [tag("span", problem, "") for problem in problems if problem]
    title = " · ".join([*said, *problems])
    return f'<div class="oh-rest" title="{escape(title)}">{" · ".join(parts)}</div>'


def rest_table(screen: Screen) -> str:
    """Each task's report in full, and why what was traded today is in doubt, if it is."""
    account = screen.snapshot.account
    rows = "".join(
        f"<tr>{''.join(tag('td', text, '') for text in _in_full(report, screen))}</tr>"
        for report in account.reports.values()
    )
    head = "".join(f"<th>{name}</th>" for name in ("Asked by REST", "phase", "done", "last success"))
    said = [f"{report.task}: {report.problem}" for report in account.reports.values() if report.problem]
    # Below the table, because a phone has no room for a column of sentences.
    sentences = "".join(tag("p", sentence, "oh-note oh-caveat") for sentence in (*said, *_doubts(screen)))
    return f'<div class="oh-scroll"><table class="oh-table"><tr>{head}</tr>{rows}</table></div>{sentences}'


def _in_short(report: RestReport, screen: Screen) -> str:
    asked_for = f"{report.task} asked for"
    match report.phase:
        case RestPhase.OFF | RestPhase.WAITING:
            return f"{report.task} not asked for yet"
        case RestPhase.FAILED:
            return f"✕ {report.task} FAILED"
        case RestPhase.ASKING if report.of is not None:
            return f"{asked_for}: {report.done:,} of {report.of:,}"
        case RestPhase.ASKING | RestPhase.DONE if report.finished_at is not None:
            # What is asked for each minute would flicker between asking and done.
            how_many = "" if report.of is None else f": {report.of:,}"
            return (
                f"{asked_for}{how_many}, done {clock(report.finished_at, screen.look.zone, today=screen.now)}"
            )
        case RestPhase.ASKING | RestPhase.DONE:
            return asked_for
        case _:
            assert_never(report.phase)


def _in_full(report: RestReport, screen: Screen) -> tuple[str, ...]:
    done = f"{report.done:,}" if report.of is None else f"{report.done:,} of {report.of:,}"
    return (
        report.task,
        report.phase,
        UNKNOWN if report.phase is RestPhase.OFF else done,
        clock(report.finished_at, screen.look.zone, today=screen.now),
    )


def _doubts(screen: Screen) -> Iterator[str]:
    doubts = screen.snapshot.account.doubts
    if doubts and screen.look.preferences.hide_amounts:
        yield f"{len(doubts)} doubts about today's trades; what they say holds amounts, which are hidden."
    else:
        yield from doubts


def _marks(report: RestReport) -> dict[str, str]:
    return {"data-task": report.task, "data-phase": report.phase}
