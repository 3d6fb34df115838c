"""The page that `page_refresh.py` compares ours with: five kilobytes of text, other ones at each refresh."""

from __future__ import annotations

import time

import streamlit as st


def live() -> None:
    """One refresh."""
    with SLOT:
        st.html(f"<p>{f'{time.monotonic():.3f} ' * 500}</p>")


st.set_page_config(layout="wide")
SLOT = st.container()
st.fragment(live, run_every=1)()
