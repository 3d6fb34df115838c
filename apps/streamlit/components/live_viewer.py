"""Tie one browser tab to the process's session: its lease and its zone."""

from __future__ import annotations

import gc
from functools import cache
from typing import Final, cast
from uuid import uuid4
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit import runtime

from options_helper.live.session import LiveSession, process_session

# Objects that are there more than at the last collection. A refresh makes some thousands, which go with the next ones
# without any collection; by Python's own 700 they were walked some five times each.
COLLECTED_EVERY: Final = 20_000


@cache
def settle_process() -> None:
    """Once in a process: keep what was imported out of every later garbage collection, and collect less often.

    Walking pandas and Altair each time would cost more than a refresh does.
    """
    import altair as alt  # noqa: F401 - imported so that it is frozen as well
    import pandas as pd

    # Each refresh makes small tables anew, and Arrow's strings are dear to make: a third of a refresh of 50 positions.
    pd.set_option("mode.string_storage", "python")
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_EVERY, *gc.get_threshold()[1:])


@cache
def settle_streams() -> None:
    """Once in a process, when streams are live: the same for what they imported; too short to be noticed."""
    gc.freeze()


def page_session() -> LiveSession:
    """The process's session; in a bare run without a server, one that nobody else sees."""
    if runtime.exists():
        return process_session()
    return cast("LiveSession", st.session_state.setdefault("live_session", LiveSession()))


def note_viewer(session: LiveSession) -> None:
    """Say that this tab is looking; called at every drawing, and undone by Streamlit when the tab goes."""
    if runtime.exists():
        session.acquire(_lease())


def viewer_name() -> str:
    """What tells this tab from every other, the same at each of its refreshes."""
    return cast("str", st.session_state.setdefault("viewer", uuid4().hex))


@st.cache_resource(
    scope="session", show_spinner=False, on_release=lambda viewer: process_session().release(viewer)
)
def _lease() -> str:
    # Released on the server's event loop, where every other tab waits: nothing but a count may happen there.
    return uuid4().hex


def viewer_zone() -> ZoneInfo:
    """The zone the browser is in, or UTC where it does not say."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ValueError, OSError):
        return ZoneInfo("UTC")
