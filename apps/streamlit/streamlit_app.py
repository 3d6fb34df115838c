"""The way in: what there is, and a link to it."""

from __future__ import annotations

import streamlit as st

from apps.streamlit.components.style import STYLE, apply_style

st.set_page_config(page_title="options-helper", page_icon="📈", layout="centered")
apply_style(STYLE)
st.title("options-helper")
st.write(
    "A live view of an options portfolio on Alpaca's streams. "
    "Every figure says where it came from and how old it is, and nothing that was lost is hidden."
)
st.page_link("pages/12_Live_Portfolio.py", label="Open the live portfolio", icon="📈")
st.page_link("pages/13_Order_Book.py", label="Open the order book", icon="📚")
st.caption(
    "Read-only: no order is ever placed, and nothing connects before you press Start. Not financial advice."
)
