"""How the asking beside the streams is getting on: one quiet line that never moves, and all of it in the details."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, assert_never

from apps.streamlit.components.formatting import UNKNOWN, clock
from apps.streamlit.components.style import tag
from options_helper.live.screen import ScreenModel
from options_helper.model.account import RestPhase, RestReport, RestTask

# "Alpaca (api.alpaca.markets, /v2/orders) answered …"; a task's problem may hold several of these.
PATH: Final = re.compile(r", /[^)\s]*\)")
QUIET: Final = (
    RestTask.CALENDAR,
    RestTask.BOOKS,
    RestTask.DIVIDENDS,
    RestTask.CLOSES,
    RestTask.CHAINS,
    RestTask.EXPIRIES,
)
NEXT_ANSWER: Final = re.compile(r"(?<=\.) (?=Alpaca \()")


def rest_line(screen: ScreenModel) -> str:
    """One line of HTML, cut off where it does not fit; with a problem as many as that takes."""
    reports = [
        report
        for report in screen.snapshot.account.reports.values()
        # These are news only where they could not be asked for; what they say differently is told elsewhere.
        if report.phase is not RestPhase.OFF and (report.problem or report.task not in QUIET)
    ]
    if not reports:
        return tag("div", "Beside the streams nothing is asked for.", "oh-rest")
    sentences = _without_paths(_problems(reports))
    parts = [
        *(tag("span", _in_short(report, screen), _tone(report), **_marks(report)) for report in reports),
        *(tag("span", sentence, "") for sentence in sentences),
    ]
    css_class = "oh-rest oh-troubled" if sentences else "oh-rest"
    return f'<div class="{css_class}">{" · ".join(parts)}</div>'


def rest_is_troubled(screen: ScreenModel) -> bool:
    """Whether something was asked for in vain, in a run."""
    return screen.run is not None and any(
        report.problem for report in screen.snapshot.account.reports.values()
    )


def rest_table(screen: ScreenModel) -> str:
    """Each task's report in full, and why what was traded today is in doubt, if it is."""
    account = screen.snapshot.account
    rows = "".join(
        f"<tr>{''.join(tag('td', text, '') for text in _in_full(report, screen))}</tr>"
        for report in account.reports.values()
    )
    head = "".join(f"<th>{name}</th>" for name in ("Asked by REST", "phase", "done", "last success"))
    said = [
        f"{', '.join(tasks)}: {problem}" for problem, tasks in _problems(account.reports.values()).items()
    ]
    # Below the table, because a phone has no room for a column of sentences.
    sentences = "".join(tag("p", sentence, "oh-note oh-caveat") for sentence in (*said, *_doubts(screen)))
    return f'<div class="oh-scroll"><table class="oh-table"><tr>{head}</tr>{rows}</table></div>{sentences}'


def _problems(reports: Iterable[RestReport]) -> dict[str, list[RestTask]]:
    """Which tasks have which problem: one server's trouble is every task's, and is said once."""
    problems: dict[str, list[RestTask]] = {}
    for report in reports:
        if report.problem:
            problems.setdefault(report.problem, []).append(report.task)
    return problems


def _without_paths(problems: Iterable[str]) -> list[str]:
    """Each sentence once: where only the path differs, one server says the same of several questions."""
    each = (one for problem in problems for one in NEXT_ANSWER.split(PATH.sub(")", problem)))
    return list(dict.fromkeys(each))


def _in_short(report: RestReport, screen: ScreenModel) -> str:
    what = f"{report.task} asked for"
    # A last success does not tell how this attempt is getting on.
    last_success = None if report.problem else report.finished_at
    match report.phase:
        case RestPhase.OFF | RestPhase.WAITING:
            return f"{report.task} not asked for yet"
        case RestPhase.FAILED:
            return f"✕ {report.task} FAILED"
        case RestPhase.REQUESTING if report.of is not None:
            return f"{what}: {report.done:,} of {report.of:,}"
        case RestPhase.REQUESTING | RestPhase.DONE if last_success is not None:
            # What is asked for each minute would flicker between asking and done.
            how_many = "" if report.of is None else f": {report.of:,}"
            return f"{what}{how_many}, done {clock(last_success, screen.options.zone, today=screen.snapshot.as_of)}"
        case RestPhase.REQUESTING | RestPhase.DONE:
            return what
        case _:
            assert_never(report.phase)


def _in_full(report: RestReport, screen: ScreenModel) -> tuple[str, ...]:
    return (
        report.task,
        report.phase,
        UNKNOWN if report.phase is RestPhase.OFF else _done(report),
        clock(report.finished_at, screen.options.zone, today=screen.snapshot.as_of),
    )


def _done(report: RestReport) -> str:
    if report.of is not None:
        return f"{report.done:,} of {report.of:,}"
    if report.finished_at is None:
        return UNKNOWN
    # The stream has told most fills before they are asked for.
    return f"{report.done:,} new" if report.task is RestTask.FILLS else f"{report.done:,}"


def _tone(report: RestReport) -> str:
    return "oh-caveat" if report.problem or report.phase is RestPhase.FAILED else ""


def _doubts(screen: ScreenModel) -> Iterator[str]:
    doubts = screen.snapshot.account.doubts
    if doubts and screen.options.preferences.hide_amounts:
        yield f"{len(doubts)} doubts about today's trades; what they say holds amounts, which are hidden."
    else:
        yield from doubts


def _marks(report: RestReport) -> dict[str, str]:
    return {"data-task": report.task, "data-phase": report.phase}
