"""What happened to the account's orders and contracts, each event once, with the way it came to be known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import streamlit as st

from apps.streamlit.components.formatting import UNKNOWN, clock, plain
from apps.streamlit.components.live_rest import REASON_ABOVE
from apps.streamlit.components.style import ROW_PIXELS, ArrowTable, arrow_table, pixels_for, table_height
from options_helper.live.screen import ScreenModel, said_of_each
from options_helper.model.account import ExecutionKind, RestPhase, RestReport, RestTask, Source
from options_helper.model.announcement import MarketKind
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import new_york_date
from options_helper.model.order_updates import BlotterEntry
from options_helper.model.text import format_price, format_symbol

EVENT_LABELS: Final[Mapping[str, str]] = {
    "partial_fill": "partial fill",
    "assignment": "assigned",
    "cash_settlement": "settled in cash",
    "exercise": "exercised",
    "expiry": "expired",
    "option_trade": "shares moved by assignment or exercise",
    "trade_bust": "trade withdrawn",
    "trade_correct": "trade corrected",
}
# Nothing is paid for a contract that goes this way.
WITHOUT_PRICE: Final = (ExecutionKind.ASSIGNMENT, ExecutionKind.EXERCISE, ExecutionKind.EXPIRY)
NEWS: Final = (ExecutionKind.FILL, ExecutionKind.CASH_SETTLEMENT, *WITHOUT_PRICE)
SOURCE_LABELS: Final[Mapping[Source, str]] = {Source.STREAM: "stream", Source.REST: "REST, backfilled"}
TOASTS_AT_MOST: Final = 3
MAX_ROWS: Final = 10


def fills_table(screen: ScreenModel) -> None:
    """Draw the order updates, newest first, and say since when all of them are known."""
    fills = screen.snapshot.fills
    st.caption(plain(" ".join(said_of_each(screen, known_since))))
    if not fills:
        return
    frame = screen.once(fills_frame)
    st.dataframe(
        frame,
        key="fills-table",
        hide_index=True,
        height=table_height(min(len(fills), MAX_ROWS)),
        row_height=ROW_PIXELS,
        placeholder=UNKNOWN,
        column_config={
            "Time": st.column_config.TextColumn(width=112, help=f"In {screen.options.zone.key}."),
            "Side, qty": st.column_config.TextColumn(
                width=pixels_for(frame["Side, qty"].to_pylist(), 66),
                help="The quantity is of this event alone.",
            ),
            "Account": st.column_config.TextColumn(width=72),
            "Contract": st.column_config.TextColumn(width=146),
            "Price $": st.column_config.TextColumn(width=pixels_for(frame["Price $"].to_pylist(), 56)),
            "Event": st.column_config.TextColumn(width=84),
            "Order so far": st.column_config.TextColumn(
                width=96, help="What the order has got in all, of what it asked for."
            ),
            "Status": st.column_config.TextColumn(width=116),
            "Order type": st.column_config.TextColumn(width=84),
            "Source": st.column_config.TextColumn(
                width=130, help="REST, backfilled: the stream did not tell it, the account's own record did."
            ),
        },
        alt="Fills and order updates, newest first",
    )


def fills_frame(screen: ScreenModel) -> ArrowTable:
    """The order updates as the page writes them, newest first."""
    newest_first = screen.snapshot.fills[::-1]
    hidden = screen.options.preferences.hide_amounts
    names = _names(screen)
    return arrow_table(
        {
            # What a trader looks for first comes first, because a phone shows no more than that.
            "Time": [_time(fill, screen) for fill in newest_first],
            "Side, qty": [_side_and_quantity(fill, hidden=hidden) for fill in newest_first],
            **_account_column(screen, newest_first),
            "Contract": [_contract(fill, names) for fill in newest_first],
            "Price $": [_paid(fill) for fill in newest_first],
            "Event": [_event(fill) for fill in newest_first],
            "Order so far": [UNKNOWN if hidden else _order_so_far(fill) for fill in newest_first],
            "Average $": [_price(fill.filled_avg_price) for fill in newest_first],
            "Status": [_plain(fill.status) for fill in newest_first],
            "Order type": [_plain(fill.order_type) for fill in newest_first],
            "Source": [SOURCE_LABELS[fill.source] for fill in newest_first],
        }
    )


def _account_column(screen: ScreenModel, fills: Sequence[BlotterEntry]) -> dict[str, list[str]]:
    """Whose each of them is, where several accounts are shown."""
    if not screen.accounts:
        return {}
    account_of = _accounts_of_fills(screen)
    return {"Account": [account_of.get(id(fill), UNKNOWN) for fill in fills]}


def _accounts_of_fills(screen: ScreenModel) -> Mapping[int, str]:
    """By the fill itself: two accounts' executions may look alike."""
    return {id(fill): name for name, one in screen.accounts.items() for fill in one.snapshot.fills}


def fill_key(fill: BlotterEntry) -> tuple[Any, ...]:
    """What makes one event this event, whichever way it was told first."""
    if fill.order_id and fill.filled_qty is not None:
        return (fill.order_id, fill.symbol, fill.filled_qty)
    return (fill.identity,)


def announce_fills(screen: ScreenModel) -> None:
    """Raise a toast for what is news in this tab: not what was there at its first look, nor what the day began with.

    What was backfilled is news once the fills of this run had been read at the look before.
    """
    fills = {fill_key(fill): fill for fill in screen.snapshot.fills if fill.execution_kind in NEWS}
    seen: set[tuple[Any, ...]] | None = st.session_state.get("seen_fills")
    st.session_state["seen_fills"] = set(fills) | (seen or set())
    run_with_known_day = _run_with_known_day(screen)
    knew_the_day = run_with_known_day is not None and st.session_state.get("known_day") == run_with_known_day
    st.session_state["known_day"] = run_with_known_day
    if seen is None:
        return
    news = [fill for key, fill in fills.items() if key not in seen and (knew_the_day or not fill.backfilled)]
    for fill in news[-TOASTS_AT_MOST:]:
        st.toast(plain(fill_sentence(fill, screen)), icon=":material/receipt_long:")
    # A tab that was hidden for an hour wakes up to all of them at once.
    if len(news) > TOASTS_AT_MOST:
        st.toast(f"{len(news) - TOASTS_AT_MOST} more fills are in the table of fills.")


def _run_with_known_day(screen: ScreenModel) -> datetime | None:
    """The beginning of the run, once the fills of its day were read; None before."""
    was_read = screen.snapshot.account.reports[RestTask.FILLS].finished_at is not None
    return screen.snapshot.running_since if was_read else None


def known_since(screen: ScreenModel) -> Iterator[str]:
    """What is known of the day, and how; and that none of it changes the file; in sentences."""
    report = screen.snapshot.account.reports[RestTask.FILLS]
    if screen.run is None:
        yield "Known after Start: today's fills are asked for then, and the stream tells the rest."
        return
    if screen.snapshot.market is MarketKind.REPLAY:
        yield "A replay has no account, so it has no fills."
        return
    if report.finished_at is None:
        yield _not_read_yet(report)
        return
    read_at = clock(report.finished_at, screen.options.zone, today=screen.snapshot.as_of)
    day = short_date(new_york_date(report.finished_at))
    yield f"Known since midnight in New York ({day}), by the stream and by the account's record, read {read_at}."
    if report.problems:
        outcome = "failed" if report.phase is RestPhase.FAILED else "is held up"
        yield f"Reading it again {outcome}, {REASON_ABOVE}."
    if screen.snapshot.account.doubts:
        yield "Some of it is in doubt: Details say what."
    yield f"Times are of {screen.options.zone.key}."
    yield (
        "Positions are the account's, so each fill is in them."
        if screen.of_account
        else "Positions come from the portfolio file: a fill does not change them until you edit it."
    )


def _not_read_yet(report: RestReport) -> str:
    only_stream = "here is only what the stream told since Start"
    why = f", {REASON_ABOVE}" if report.problems else ""
    if report.phase is RestPhase.FAILED:
        return f"The account's record of the day could not be read{why}, so {only_stream}."
    if report.phase is RestPhase.OFF:
        return f"The account's record of the day was not asked for, so {only_stream}."
    return f"The account's record of the day has not been read yet{why}; until then {only_stream}."


def fill_sentence(fill: BlotterEntry, screen: ScreenModel) -> str:
    """`Fill: buy 1 AAPL 18 Dec 26 180 C at $2.05`; without the quantity where amounts are hidden."""
    hidden = screen.options.preferences.hide_amounts
    contract = _contract(fill, _names(screen))
    quantity = "" if hidden or fill.fill_qty is None else f"{_plain(fill.fill_qty)} "
    price = "" if fill.price is None or fill.execution_kind in WITHOUT_PRICE else f" at ${_price(fill.price)}"
    side = f"{_plain(fill.side)} " if fill.side else ""
    late = " (backfilled)" if fill.backfilled else ""
    whose = f" ({name})" if (name := _accounts_of_fills(screen).get(id(fill))) else ""
    return f"{_event(fill).capitalize()}: {side}{quantity}{contract}{price}{late}{whose}"


def _time(fill: BlotterEntry, screen: ScreenModel) -> str:
    happened_at = fill.timestamp
    if happened_at is None and fill.backfilled and fill.day is not None:
        return short_date(fill.day)
    moment = happened_at or fill.received_at
    if moment is None:
        return UNKNOWN
    # The zone is named once, above: in a narrow cell it would cost the time of day.
    local, today = (one.astimezone(screen.options.zone) for one in (moment, screen.snapshot.as_of))
    day = "" if local.date() == today.date() else f"{local.day} {local:%b} "
    return f"{day}{local:%H:%M:%S}"


def _event(fill: BlotterEntry) -> str:
    return EVENT_LABELS.get(fill.event or "") or _plain(fill.event)


def _contract(fill: BlotterEntry, names: Mapping[str, str]) -> str:
    symbol = fill.symbol
    if symbol is None:
        return f"{len(fill.legs or ())} legs"
    return names.get(symbol) or format_symbol(symbol)


def _names(screen: ScreenModel) -> dict[str, str]:
    """What the file's lines are called, by Alpaca's symbol: BRK-B is BRKB there."""
    names: dict[str, str] = {}
    for table in (screen.positions, screen.legs):
        names.update(zip(table["live_symbol"], table["words"], strict=True))
    return names


def _side_and_quantity(fill: BlotterEntry, *, hidden: bool) -> str:
    """`sell 3`; what happens without an order has no side, and what moves nothing no quantity."""
    quantity = None if hidden else fill.fill_qty
    return " ".join(_plain(part) for part in (fill.side, quantity) if part is not None) or UNKNOWN


def _order_so_far(fill: BlotterEntry) -> str:
    done, requested = fill.filled_qty, fill.qty
    return UNKNOWN if done is None and requested is None else f"{_plain(done)} of {_plain(requested)}"


def _paid(fill: BlotterEntry) -> str:
    return UNKNOWN if fill.execution_kind in WITHOUT_PRICE else _price(fill.price)


def _plain(value: Any) -> str:
    if value is None:
        return UNKNOWN
    # A quantity as short as it can be said: REST writes "3.000000000".
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value).replace("_", " ")


def _price(value: Decimal | None) -> str:
    return UNKNOWN if value is None else format_price(value)
