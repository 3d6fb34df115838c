"""Where file and account differ, why that is likely, and what to put into the file; the page never writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import streamlit as st

from apps.streamlit.components.formatting import UNKNOWN, clock, plain
from apps.streamlit.components.live_rest import REASON_ABOVE
from apps.streamlit.components.style import ROW_PIXELS, ArrowTable, arrow_table, pixels_for, table_height
from options_helper.analysis.reconcile.reconciliation import ReconciledRow, proposed_edit, reconcile
from options_helper.live.screen import ScreenModel
from options_helper.model.account import AccountPositions, RestPhase, RestReport, RestTask
from options_helper.model.announcement import MarketKind
from options_helper.model.market_hours import new_york_date
from options_helper.model.text import format_count, with_minus

MAX_ROWS: Final = 12
AMOUNTS: Final = (
    "File qty",
    "Account qty",
    "File cost $",
    "Account cost $",
    "File value $",
    "Account value $",
)
AGREEMENT: Final[Mapping[bool | None, str]] = {True: "yes", False: "NO", None: UNKNOWN}


def file_and_account(screen: ScreenModel) -> None:
    """Draw the comparison with the change of the file to copy, or say why there is none; account by account."""
    for name, one in screen.accounts.items():
        st.markdown(plain(name))
        file_and_account(one)
    if screen.accounts:
        return
    if screen.of_account:
        st.caption(plain(_of_account(screen)))
        return
    view = screen.snapshot.account.view
    _comparison([] if view is None else screen.once(reconciled_rows, view), screen, view)


def _comparison(rows: Sequence[ReconciledRow], screen: ScreenModel, view: AccountPositions | None) -> None:
    if view is None:
        st.caption(plain(_not_known(screen)))
        return
    st.caption(plain(_summary(rows, screen, view)))
    if not rows:
        return
    frame = screen.once(account_frame, rows)
    st.dataframe(
        frame,
        key=f"account-table {screen.account}".strip(),
        hide_index=True,
        height=table_height(min(frame.num_rows, MAX_ROWS)),
        row_height=ROW_PIXELS,
        placeholder=UNKNOWN,
        column_config=_column_config(rows),
        alt="File against account, what differs first",
    )
    if text := proposed_edit(rows):
        _edit(text, screen)


def _of_account(screen: ScreenModel) -> str:
    view = screen.snapshot.account.view
    if not screen.loaded or view is None:
        return screen.nothing_because
    read_at = clock(view.as_of, screen.options.zone, today=screen.snapshot.as_of)
    return (
        "The portfolio is the account's, so there is no file to compare it with. "
        f"It was read {read_at}; fills since then are in it. Costs are Alpaca's average prices, without fees. "
        "Structures follow from rules, and from what was held together before. Nothing is written: "
        "options-helper portfolio import makes a file of it."
    )


def reconciled_rows(screen: ScreenModel, view: AccountPositions) -> list[ReconciledRow]:
    """File against account with this page's marks, what differs first."""
    today = new_york_date(screen.snapshot.as_of)
    account = screen.snapshot.account
    found = reconcile(
        screen.portfolio,
        view,
        account.executions if account.executions_day == today else (),
        today=today,
        marks=_marks(screen),
        moves=account.moves if account.executions_day == today else (),
        told=screen.snapshot.told_sessions,
    )
    return sorted(found.rows, key=lambda row: row.agrees is not False)


def account_frame(screen: ScreenModel, rows: Sequence[ReconciledRow]) -> ArrowTable:
    """The comparison under the headings the page shows."""
    columns: dict[str, Any] = {
        "Contract": [row.label for row in rows],
        # A phone shows no more than the first three.
        "File qty": _quantities(row.file_quantity for row in rows),
        "Account qty": _quantities(row.account_quantity for row in rows),
        "Agrees": [AGREEMENT[row.agrees] for row in rows],
        "File cost $": _amounts(row.file_cost for row in rows),
        "Account cost $": _amounts(row.account_cost for row in rows),
        "File value $": _amounts(row.file_value for row in rows),
        "Account value $": _amounts(row.account_value for row in rows),
        "Likely cause": ["; ".join(row.reasons) or None for row in rows],
    }
    hidden = AMOUNTS if screen.options.preferences.hide_amounts else ()
    return arrow_table({name: values for name, values in columns.items() if name not in hidden})


def _column_config(rows: Sequence[ReconciledRow]) -> dict[str, Any]:
    # As text, because a number of Streamlit's has a hyphen for a minus.
    text, number = st.column_config.TextColumn, partial(st.column_config.TextColumn, alignment="right")
    return {
        "Contract": text(pinned=True, width=176),
        "File qty": number(width=_width(62, (row.file_quantity for row in rows))),
        "Account qty": number(width=_width(86, (row.account_quantity for row in rows))),
        "Agrees": text(width=62, help="By quantity and cost. A dash: not known."),
        "File cost $": number(
            width=96,
            help="Dollars for the whole line. A dash: not named, or of a structure.",
        ),
        "Account cost $": number(width=104),
        "File value $": number(width=96, help="At this page's marks. A dash: no mark."),
        "Account value $": number(width=108, help="By Alpaca, which takes the last trade."),
        "Likely cause": text(width=300),
    }


def _width(least: int, quantities: Iterable[Decimal | None]) -> int:
    """Coins are held in many digits."""
    return pixels_for(filter(None, _quantities(quantities)), least)


def _not_known(screen: ScreenModel) -> str:
    report = screen.snapshot.account.reports[RestTask.POSITIONS]
    if screen.snapshot.market is MarketKind.REPLAY:
        return "A replay has no account to compare the file with."
    if screen.run is None:
        return "The account is not known before Start: it is asked for its positions then."
    return _how_far(report)


def _how_far(report: RestReport) -> str:
    match report.phase:
        case RestPhase.OFF:
            return "The account is not known: without the fills stream it is not asked for."
        case RestPhase.WAITING if not report.problems:
            return "The account is not known yet: its positions were not asked for yet."
        case RestPhase.FAILED:
            return f"The account is not known: its positions could not be read{_why_above(report)}."
        case _ if report.problems:
            return f"The account is not known; it is asked again{_why_above(report)}."
        case _:
            return "The account is not known yet: it was asked and has not answered."


def _why_above(report: RestReport) -> str:
    """Where the cause is told, with what to do: once for all that it keeps away."""
    return f", {REASON_ABOVE}" if report.problems else ""


def _summary(rows: Sequence[ReconciledRow], screen: ScreenModel, view: AccountPositions) -> str:
    differing = sum(row.agrees is False for row in rows)
    unknown = sum(row.agrees is None for row in rows)
    verdict = "What can be compared agrees" if unknown else "File and account agree"
    if differing:
        verdict = f"{differing} of {format_count(len(rows), 'line')} differ"
    doubt = f", {unknown} cannot be compared" if unknown else ""
    read_at = clock(view.as_of, screen.options.zone, today=screen.snapshot.as_of)
    return f"{verdict}{doubt}. The account was read {read_at}; values of the file are at this page's marks."


def _edit(text: str, screen: ScreenModel) -> None:
    if screen.options.preferences.hide_amounts:
        st.caption("The proposed edit holds amounts, which are hidden.")
        return
    st.caption("Copy what you want of it; the page never writes the file.")
    st.code(text, language=None, wrap_lines=True)


def _marks(screen: ScreenModel) -> dict[str, float]:
    marks: dict[str, float] = {}
    for table in (screen.positions, screen.legs):
        priced = zip(table["live_symbol"], table.values("mark"), strict=True)
        marks.update((symbol, mark) for symbol, mark in priced if mark is not None)
    return marks


def _quantities(values: Iterable[Decimal | None]) -> list[str | None]:
    return [with_minus(float(value), "+.15g") if isinstance(value, Decimal) else None for value in values]


def _amounts(values: Iterable[Decimal | None]) -> list[str | None]:
    return [with_minus(float(value), "+,.2f") if isinstance(value, Decimal) else None for value in values]
