"""The page that `page_refresh.py` compares ours with: BENCH_BYTES of text in one piece, other ones at each refresh."""

from __future__ import annotations

import os
import time

import streamlit as st


def live() -> None:
    """One refresh."""
    with SLOT:
        word = f"{time.monotonic():.3f} "
        st.html(f"<p>{word * (int(os.environ['BENCH_BYTES']) // len(word))}</p>")


st.set_page_config(layout="wide")
SLOT = st.container()
st.fragment(live, run_every=1)()
