"""Articles over plain HTTP, by when they were last changed, page by page."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from options_helper.model.instants import epoch_nanoseconds
from options_helper.simulator.faults import Message
from options_helper.simulator.rest.context import (
    Answer,
    Query,
    RequestContext,
    instant,
    one_of,
    page_of,
    whole_number,
)

ARTICLES_A_PAGE: Final = 10
ARTICLES_A_PAGE_AT_MOST: Final = 50


def news(query: Query, context: RequestContext) -> Answer:
    """A page of the articles about any of the symbols, or of all."""
    limit = whole_number(query, "limit", ARTICLES_A_PAGE, at_most=ARTICLES_A_PAGE_AT_MOST)
    since_ns, until_ns = instant(query, "start"), instant(query, "end")
    wanted = frozenset(filter(None, query.get("symbols", "").split(",")))
    found = [
        article
        for article in context.last_values.articles()
        if _is_within(article, since_ns, until_ns)
        and (not wanted or not wanted.isdisjoint(article.get("symbols") or ()))
    ]
    newest_first = one_of(query, "sort", "desc", ("asc", "desc")) == "desc"
    found.sort(key=_updated_ns, reverse=newest_first)
    with_content = one_of(query, "include_content", "false", ("true", "false")) == "true"
    page, following = page_of(found, query.get("page_token"), context.at_most(limit))
    rows = [_row(article, with_content=with_content) for article in page]
    return HTTPStatus.OK, {"news": rows, "next_page_token": following}


def _is_within(article: Message, since_ns: int | None, until_ns: int | None) -> bool:
    updated_ns = _updated_ns(article)
    return (since_ns is None or updated_ns >= since_ns) and (until_ns is None or updated_ns <= until_ns)


def _updated_ns(article: Message) -> int:
    return epoch_nanoseconds(article.get("updated_at")) or 0


def _row(article: Message, *, with_content: bool) -> dict[str, Any]:
    row = {name: value for name, value in article.items() if name != "T"}
    return row if with_content else {**row, "content": ""}
