"""How the asking beside the streams is getting on: one quiet line that never moves, and all of it in the details."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, assert_never

from apps.streamlit.components.formatting import UNKNOWN, clock
from apps.streamlit.components.style import tag
from options_helper.live.screen import ScreenModel
from options_helper.model.account import RestPhase, RestReport, RestTask
from options_helper.model.problems import Problem, sentences

# What else says that something could not be asked for points to the line, which has the cause.
REASON_ABOVE: Final = "for the reason above"
QUIET: Final = (
    RestTask.CALENDAR,
    RestTask.BOOKS,
    RestTask.DIVIDENDS,
    RestTask.CLOSES,
    RestTask.CHAINS,
    RestTask.EXPIRIES,
)


def rest_line(screen: ScreenModel) -> str:
    """One line of HTML, cut off where it does not fit; with a problem as many as that takes."""
    reports = [
        report
        for report in screen.snapshot.account.reports.values()
        # These are news only where they could not be asked for; what they say differently is told elsewhere.
        if report.phase is not RestPhase.OFF and (report.problems or report.task not in QUIET)
    ]
    if not reports:
        return tag("div", "Beside the streams nothing is asked for.", "oh-rest")
    said = sentences(problem for report in reports for problem in report.problems)
    parts = [
        *(tag("span", _in_short(report, screen), _tone(report), **_marks(report)) for report in reports),
        *(tag("span", sentence, "") for sentence in said),
    ]
    css_class = "oh-rest oh-troubled" if said else "oh-rest"
    return f'<div class="{css_class}">{" · ".join(parts)}</div>'


def rest_is_troubled(screen: ScreenModel) -> bool:
    """Whether something was asked for in vain, in a run."""
    return screen.run is not None and any(
        report.problems for report in screen.snapshot.account.reports.values()
    )


def rest_table(screen: ScreenModel) -> str:
    """Each task's report in full, and why what was traded today is in doubt, if it is."""
    account = screen.snapshot.account
    rows = "".join(
        f"<tr>{''.join(tag('td', text, '') for text in _in_full(report, screen))}</tr>"
        for report in account.reports.values()
    )
    head = "".join(f"<th>{name}</th>" for name in ("Asked by REST", "phase", "done", "last success"))
    said = _by_task(account.reports.values())
    # Below the table, because a phone has no room for a column of sentences.
    below = "".join(tag("p", sentence, "oh-note oh-caveat") for sentence in (*said, *_doubts(screen)))
    return f'<div class="oh-scroll"><table class="oh-table"><tr>{head}</tr>{rows}</table></div>{below}'


def _by_task(reports: Iterable[RestReport]) -> Iterator[str]:
    """Each cause once: whose task it is, and which questions they were."""
    tasks: dict[str, dict[RestTask, None]] = {}
    problems: dict[str, list[Problem]] = {}
    for report in reports:
        for problem in report.problems:
            tasks.setdefault(problem.cause, {})[report.task] = None
            problems.setdefault(problem.cause, []).append(problem)
    for cause, some in problems.items():
        yield f"{', '.join(tasks[cause])}: {' '.join(sentences(some, with_questions=True))}"


def _in_short(report: RestReport, screen: ScreenModel) -> str:
    what = f"{report.task} asked for"
    # A last success does not tell how this attempt is getting on.
    last_success = None if report.problems else report.finished_at
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
    return "oh-caveat" if report.problems or report.phase is RestPhase.FAILED else ""


def _doubts(screen: ScreenModel) -> Iterator[str]:
    doubts = screen.snapshot.account.doubts
    if doubts and screen.options.preferences.hide_amounts:
        yield f"{len(doubts)} doubts about today's trades; what they say holds amounts, which are hidden."
    else:
        yield from doubts


def _marks(report: RestReport) -> dict[str, str]:
    return {"data-task": report.task, "data-phase": report.phase}
