"""The order book's entry in the menu; nothing connects until Start is pressed."""

from __future__ import annotations

from apps.streamlit.components.order_book_page import render_order_book_page

render_order_book_page()
