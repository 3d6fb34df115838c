"""What the rules have fired: which, when, told to whom; acknowledged once for all tabs and programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import streamlit as st

from apps.streamlit.components.formatting import clock, plain
from options_helper.alerting.books import Scope
from options_helper.data.firing_log import Delivered, LoggedFiring
from options_helper.data.lease_course import Holder
from options_helper.live.screen import ScreenModel
from options_helper.live.session import LiveSession

SHOWN_AT_MOST: Final = 20
EVENTS_AT_MOST: Final = 5
TOASTS_AT_MOST: Final = 3
NOBODY: Final = "Nobody judges the rules and sends messages now. What fired before is here."
SIGNS: Final = {"info": "○", "warning": "●"}


def alerts_panel(screen: ScreenModel, session: LiveSession) -> None:
    """Draw who delivers, and what fired, the newest first; a button for what nobody has acknowledged.

    Of several accounts one after the other: each has a log, and who sends, of its own.
    """
    for name, one in screen.accounts.items():
        st.markdown(plain(name))
        alerts_panel(one, session)
    if screen.accounts:
        return
    account = screen.account or None
    # Newer than what the screen is of: what was acknowledged a moment ago has no button any more.
    screen = replace(screen, alerts=session.alerts(account))
    st.caption(plain(sender_words(screen)))
    for logged in screen.alerts.firings[:SHOWN_AT_MOST]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(plain(firing_words(logged, screen)), width="stretch")
            if logged.acknowledged_at is None:
                st.button(
                    "Acknowledge",
                    key=f"acknowledge {logged.firing.key} {screen.account}".strip(),
                    on_click=session.acknowledge,
                    args=(logged.firing.key, account),
                )
    more = len(screen.alerts.firings) - SHOWN_AT_MOST
    if more > 0:
        st.caption(f"Older ones in the log: {more}.")
    if not screen.alerts.firings:
        st.caption("Nothing has fired for this account.")


def sender_words(screen: ScreenModel) -> str:
    """Which program judges and sends, or that none does; and what is wrong with the log."""
    alerts = screen.alerts
    if screen.run is None:
        return "Known after Start: the log belongs to an account."
    processes = {(one.host, one.pid) for one in alerts.senders.values()}
    if not processes:
        said = NOBODY
    elif len(processes) == 1 and len(alerts.senders) == len(Scope):
        said = f"Judged and sent by {_named(alerts.senders[Scope.BOOK], screen)}."
    else:
        said = " ".join(_of_scope(scope, alerts.senders.get(scope), screen) for scope in Scope)
    return f"{said} {alerts.problem}" if alerts.problem else said


def _named(sender: Holder, screen: ScreenModel) -> str:
    since = clock(sender.since, screen.options.zone, today=screen.now)
    return f"{sender.who} (process {sender.pid} on {sender.host}) since {since}"


def _of_scope(scope: Scope, sender: Holder | None, screen: ScreenModel) -> str:
    """The account's rules and those of this portfolio may be judged by two programs."""
    by = "nobody" if sender is None else _named(sender, screen)
    return f"What is of the {scope}: judged and sent by {by}."


def firing_words(logged: LoggedFiring, screen: ScreenModel) -> str:
    """`● 10:41:02 half the profit, SPY condor: … Told phone 10:41:03. Acknowledged 10:42:00.`"""
    firing = logged.firing
    parts = [
        f"{SIGNS.get(firing.severity, '■')} {_at(firing.fired_at, screen)} {firing.rule}: {_text(logged, screen)}",
        *(_told(name, one, screen) for name, one in logged.deliveries.items()),
    ]
    if not logged.deliveries:
        parts.append("No target is named, so it was told nobody.")
    if logged.acknowledged_at is not None:
        parts.append(f"Acknowledged {_at(logged.acknowledged_at, screen)}.")
    return " ".join(parts)


def _text(logged: LoggedFiring, screen: ScreenModel) -> str:
    firing = logged.firing
    return firing.text if screen.options.preferences.hide_amounts else firing.text_with_amounts


def _told(name: str, delivered: Delivered, screen: ScreenModel) -> str:
    if delivered.at is None or delivered.outcome is None:
        return f"Not yet told {name}."
    why = f": {delivered.why}" if delivered.why else ""
    return f"{name} {delivered.outcome} {_at(delivered.at, screen)}{why}."


def _at(moment: datetime, screen: ScreenModel) -> str:
    return clock(moment, screen.options.zone, today=screen.now)


def announce_firings(screen: ScreenModel) -> None:
    """Raise a toast for what fired since this tab looked first."""
    keys = {one.firing.key for one in screen.alerts.firings}
    seen: set[str] | None = st.session_state.get("seen_firings")
    if screen.run is None:
        return
    st.session_state["seen_firings"] = keys | (seen or set())
    if seen is None:
        return
    news = [one for one in screen.alerts.firings if one.firing.key not in seen]
    for one in news[:TOASTS_AT_MOST]:
        st.toast(plain(f"{one.firing.rule}: {_text(one, screen)}"), icon=":material/notifications:")
    if len(news) > TOASTS_AT_MOST:
        st.toast(f"{len(news) - TOASTS_AT_MOST} more have fired; they are under Alerts.")


def firing_events(screen: ScreenModel) -> Iterator[dict[str, Any]]:
    """The newest firings as notifications of the browser."""
    for one in screen.alerts.firings[:EVENTS_AT_MOST]:
        yield {"id": f"firing {one.firing.key}", "text": f"{one.firing.rule}: {_text(one, screen)}"}
