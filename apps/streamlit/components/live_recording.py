"""The recording beside the page: its switch, and what the bar says of it, whether the page's own run is on or not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import streamlit as st

from apps.streamlit.components.formatting import plain
from apps.streamlit.components.style import tag
from options_helper.commands.page_server import FOLDER_VARIABLE
from options_helper.live.session import LiveSession
from options_helper.model.text import format_count, named

if TYPE_CHECKING:
    from options_helper.commands.page_recording import PageRecording, RecordingView

HOW_TO: Final = "To record what is streamed, open the page with `options-helper ui --record DIR`."


def page_recording() -> PageRecording | None:
    """The recording of this process; None where it has no folder, and then nothing of a recorder is loaded."""
    if FOLDER_VARIABLE not in os.environ:
        return None
    from options_helper.commands.page_recording import process_recording

    return process_recording()


def recording_switch(session: LiveSession) -> None:
    """Draw the switch and what it has come to, for all tabs; where it is on, the recording begins with a run."""
    recording, run = page_recording(), session.run
    if recording is None:
        st.caption(HOW_TO)
        return
    if run is not None and run.ended is None:
        recording.follow(run)
    view = recording.view()
    st.caption(plain(_sentence(view)))
    if view.is_on:
        st.button(
            "End the recording",
            key="record-off",
            help="Writes what was received. The page goes on.",
            on_click=recording.switch_off,
        )
    else:
        st.button(
            "Record",
            key="record-on",
            help="Records what the page streams, from Start on and whatever Stop does later.",
            on_click=_switch_on,
            args=(recording, session),
        )


def _switch_on(recording: PageRecording, session: LiveSession) -> None:
    recording.switch_on(session.run)


def recording_tag(session: LiveSession) -> str:
    """What the bar says of the recording; nothing where none is wanted."""
    recording = page_recording()
    if recording is None:
        return ""
    view = recording.view()
    if not view.is_told:
        return ""
    words = f"{'▲' if view.is_troubled else '●'} {_words(view, is_alone=not session.running)}"
    if missing := unrecorded(session, view):
        words += f", without {format_count(len(missing), 'symbol')}"
    kind = "oh-label" if view.is_troubled else "oh-recording"
    return tag(
        "span", words, kind, title=_sentence(view, missing), **{"data-recording": view.state.name.lower()}
    )


def unrecorded(session: LiveSession, view: RecordingView) -> tuple[str, ...]:
    """What the page streams and the recording does not, since the portfolio has changed."""
    from options_helper.commands.page_recording import symbols_of

    run = session.run
    if run is None or run.ended is not None or not view.symbols:
        return ()
    return tuple(symbol for symbol in symbols_of(run) if symbol not in view.symbols)


def _words(view: RecordingView, *, is_alone: bool) -> str:
    rows = view.rows
    if rows is None:
        return f"recording {view.state}"
    # After Stop it must not look as if everything had ended.
    return f"recording{' goes on' if is_alone else ''}: {format_count(rows, 'row')}"


def _sentence(view: RecordingView, missing: tuple[str, ...] = ()) -> str:
    beat = view.beat
    parts = [f"The recording into {view.folder} {view.state}."]
    if beat is not None and beat.rows is not None:
        counts = (format_count(beat.rows, "row"), format_count(beat.gaps, "gap"), f"{beat.lost:,} lost")
        parts.append(f"{', '.join(counts)}.")
    if view.problem is not None:
        parts.append(view.problem)
    if missing:
        parts.append(
            f"Not recorded, because it came later: {named(missing)}. End the recording and begin it again."
        )
    return " ".join(parts)
