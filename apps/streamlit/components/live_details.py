"""What happened to the account's orders, and what the streams did with every event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import Any, Final

import streamlit as st

from apps.streamlit.components.live_screen import Screen
from apps.streamlit.components.look import ROW_PIXELS, ArrowTable, arrow_table, draw, table_height, tag
from apps.streamlit.components.words import UNKNOWN, clock
from options_helper.analysis.osi import contract_words, parse_contract_symbol
from options_helper.data.streaming.snapshot import Gap, StreamHealth
from options_helper.errors import SymbolError

Fill = Mapping[str, Any]

FILL_EVENTS: Final = ("fill", "partial_fill")
NAMED_AT_MOST: Final = 12
TOASTS_AT_MOST: Final = 3
MAX_ROWS: Final = 10


def fills_table(screen: Screen) -> None:
    """Draw the order updates, newest first."""
    fills = screen.snapshot.fills
    if not fills:
        st.caption("No fills or order updates in this run; what happened before Start is not known here.")
        return
    st.caption("Positions come from the portfolio file: a fill does not change them until you edit it.")
    st.dataframe(
        fills_frame(fills, screen),
        key="fills-table",
        hide_index=True,
        height=table_height(min(len(fills), MAX_ROWS)),
        row_height=ROW_PIXELS,
        column_config={
            "Contract": st.column_config.TextColumn(width=190),
        },
        alt="Fills and order updates, newest first",
    )


def fills_frame(fills: tuple[Fill, ...], screen: Screen) -> ArrowTable:
    """The order updates as the page writes them, newest first."""
    newest_first = fills[::-1]
    hidden = screen.look.preferences.hide_amounts
    return arrow_table(
        {
            "Time": [
                clock(fill["timestamp"] or fill.get("received_at"), screen.look.zone, today=screen.now)
                for fill in newest_first
            ],
            "Event": [_plain(fill["event"]) for fill in newest_first],
            "Contract": [_contract(fill) for fill in newest_first],
            "Side": [_plain(fill["side"]) for fill in newest_first],
            "Quantity": [UNKNOWN if hidden else _quantity(fill) for fill in newest_first],
            "Price $": [_price(fill.get("price")) for fill in newest_first],
            "Average price $": [_price(fill["filled_avg_price"]) for fill in newest_first],
            "Status": [_plain(fill["status"]) for fill in newest_first],
            "Order type": [_plain(fill.get("order_type")) for fill in newest_first],
        }
    )


def fill_key(fill: Fill) -> tuple[Any, ...]:
    """What makes one update this update and no other."""
    return (fill.get("order_id"), fill.get("execution_id"), fill.get("event"), fill.get("timestamp_ns"))


def announce_fills(screen: Screen) -> None:
    """Raise a toast for each fill this tab has not seen; those from before its first look are not news."""
    fills = {fill_key(fill): fill for fill in screen.snapshot.fills if fill["event"] in FILL_EVENTS}
    seen: set[tuple[Any, ...]] | None = st.session_state.get("seen_fills")
    st.session_state["seen_fills"] = set(fills) | (seen or set())
    if seen is None:
        return
    news = [fill for key, fill in fills.items() if key not in seen]
    for fill in news[-TOASTS_AT_MOST:]:
        sentence = _fill_sentence(fill, hidden=screen.look.preferences.hide_amounts)
        st.toast(sentence, icon=":material/receipt_long:")
    # A tab that was hidden for an hour wakes up to all of them at once.
    if len(news) > TOASTS_AT_MOST:
        st.toast(f"{len(news) - TOASTS_AT_MOST} more fills are in the table below.")


def _fill_sentence(fill: Fill, *, hidden: bool) -> str:
    quantity = "" if hidden or fill.get("fill_qty") is None else f"{_plain(fill['fill_qty'])} "
    price = "" if fill.get("price") is None else f" at ${_price(fill['price'])}"
    side = (fill["side"] or "").replace("_", " ")
    return f"{_plain(fill['event']).capitalize()}: {side} {quantity}{_contract(fill)}{price}"


def _contract(fill: Fill) -> str:
    symbol = fill["symbol"]
    if symbol is None:
        return f"{len(fill.get('legs') or ())} legs"
    try:
        parsed = parse_contract_symbol(symbol)
    except SymbolError:
        return str(symbol)
    return contract_words(parsed.underlying, parsed.expiry, parsed.option_type, float(parsed.strike))


def _quantity(fill: Fill) -> str:
    done, asked = fill["filled_qty"], fill["qty"]
    return f"{_plain(done)} of {_plain(asked)}"


def _plain(value: Any) -> str:
    return UNKNOWN if value is None else str(value).replace("_", " ")


def _price(value: Decimal | None) -> str:
    """An amount with its cents, and whatever digits it has beyond them."""
    if value is None:
        return UNKNOWN
    exponent = value.as_tuple().exponent
    return f"{value:,f}" if isinstance(exponent, int) and exponent < -2 else f"{value:,.2f}"


def stream_details(screen: Screen) -> None:
    """Draw the ledger of every stream: nothing that was received is unaccounted for, nothing lost is hidden."""
    draw(_ledger(screen) + _gaps(screen), screen.look.colours)


def _ledger(screen: Screen) -> str:
    streams = list(screen.snapshot.streams.values())
    head = "".join(f"<th>{escape(health.name.capitalize())}</th>" for health in streams)
    rows = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(f'<td>{escape(cell(health))}</td>' for health in streams)}</tr>"
        for name, cell in _facts(screen).items()
    )
    return f'<div class="oh-scroll"><table class="oh-table"><tr><th></th>{head}</tr>{rows}</table></div>'


def _facts(screen: Screen) -> dict[str, Callable[[StreamHealth], str]]:
    def when(moment: datetime | None) -> str:
        return clock(moment, screen.look.zone, today=screen.now)

    return {
        "phase": lambda health: health.phase,
        "feed": lambda health: health.feed or UNKNOWN,
        "received": lambda health: f"{health.received:,}",
        "applied": lambda health: f"{health.applied:,}",
        "dropped, queue full": lambda health: f"{health.dropped:,}",
        "rejected, unreadable": lambda health: f"{health.rejected:,}",
        "queued": lambda health: f"{health.queued:,}",
        "accounts for all": lambda health: "yes" if health.accounted else "NO",
        "connected since": lambda health: when(health.connected_since),
        "connections": lambda health: f"{health.connections:,}",
        "reconnect attempts": lambda health: f"{health.reconnect_attempts:,}",
        "next try": lambda health: when(health.next_try_at),
        "last event": lambda health: when(health.last_event_at),
        "subscriptions": lambda health: f"{len(health.acknowledged):,} of {len(health.asked):,} acknowledged",
        "refused": lambda health: _named(health.refused_symbols),
        "last error": lambda health: health.last_error or "none",
        "last rejected": lambda health: _named(health.last_rejections),
    }


def _gaps(screen: Screen) -> str:
    gaps = [gap for health in screen.snapshot.streams.values() for gap in health.gaps]
    if not gaps:
        return tag("p", "No gaps: no connection was lost.", "oh-quiet")
    newest = sorted(gaps, key=lambda gap: gap.since, reverse=True)[:NAMED_AT_MOST]
    rows = "".join(_gap_row(gap, screen) for gap in newest)
    return f'<table class="oh-table"><tr><th>Gap in</th><th>from</th><th>to</th><th>because</th></tr>{rows}</table>'


def _gap_row(gap: Gap, screen: Screen) -> str:
    since = clock(gap.since, screen.look.zone, today=screen.now)
    until = clock(gap.until, screen.look.zone, today=screen.now) if gap.until else "still open"
    return f"<tr>{''.join(tag('td', text, '') for text in (gap.stream, since, until, gap.reason))}</tr>"


def _named(texts: tuple[str, ...]) -> str:
    more = f" and {len(texts) - NAMED_AT_MOST} more" if len(texts) > NAMED_AT_MOST else ""
    return ", ".join(texts[:NAMED_AT_MOST]) + more or "none"
