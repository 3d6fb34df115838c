"""The live portfolio's entry in the menu; nothing connects until Start is pressed."""

from __future__ import annotations

from apps.streamlit.components.live_portfolio_page import render_live_portfolio_page

render_live_portfolio_page()
