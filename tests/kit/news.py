"""Articles as the wire has them."""

from __future__ import annotations

from typing import Any

from options_helper.model.instants import timestamp_extension
from tests.kit.fakes import NOON


def news_message(
    article_id: int = 1,
    headline: str = "Apple opens a shop",
    *,
    made_ns: int = NOON,
    updated_ns: int | None = None,
    symbols: tuple[str, ...] = ("AAPL",),
    **more: Any,
) -> dict[str, Any]:
    """An article, as a msgpack socket sends it."""
    return {
        "T": "n",
        "id": article_id,
        "headline": headline,
        "summary": "",
        "author": "A. Writer",
        "created_at": timestamp_extension(made_ns),
        "updated_at": timestamp_extension(made_ns if updated_ns is None else updated_ns),
        "content": "",
        "url": f"https://example.com/{article_id}",
        "symbols": list(symbols),
        "source": "benzinga",
        **more,
    }
