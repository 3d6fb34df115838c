"""What is asked of Alpaca's news, and what is read of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.news import read_articles, read_latest_news, read_news

ROW = {
    "id": 1,
    "headline": "Apple opens a shop",
    "summary": "",
    "author": "A. Writer",
    "created_at": "2026-11-05T17:00:00Z",
    "updated_at": "2026-11-05T17:00:01Z",
    "content": "",
    "url": "https://example.com/1",
    "symbols": ["AAPL"],
    "source": "benzinga",
    "images": [{"size": "thumb", "url": "https://example.com/1.png"}],
}
SINCE = datetime(2026, 11, 5, 16, tzinfo=UTC)


class ScriptedRest:
    """Has pages, and remembers how it was asked."""

    def __init__(self, *pages: list[dict[str, Any]]) -> None:
        self.queries: list[Mapping[str, Any]] = []
        self._pages = pages

    def news(self, query: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        self.queries.append(query)
        return iter(self._pages)


def test_all_since_an_instant_are_asked_for_oldest_change_first():
    rest = ScriptedRest([ROW], [{**ROW, "id": 2}])

    pages = list(read_news(cast("AlpacaRest", rest), SINCE, symbols=["AAPL", "BRK.B"]))

    assert [article.article_id for page in pages for article in page.articles] == [1, 2]
    (query,) = rest.queries
    assert (query["start"], query["sort"], query["symbols"]) == (
        "2026-11-05T16:00:00+00:00",
        "asc",
        "AAPL,BRK.B",
    )
    assert "end" not in query


def test_of_all_symbols_none_is_named_and_of_many_some_at_a_time():
    rest = ScriptedRest([ROW])
    list(read_news(cast("AlpacaRest", rest), SINCE, SINCE, ["AAPL", "*"]))
    list(read_news(cast("AlpacaRest", rest), SINCE, symbols=[f"S{number}" for number in range(250)]))

    assert "symbols" not in rest.queries[0]
    assert rest.queries[0]["end"] == "2026-11-05T16:00:00+00:00"
    assert [len(query["symbols"].split(",")) for query in rest.queries[1:]] == [100, 100, 50]


def test_of_the_newest_one_page_is_enough():
    rest = ScriptedRest([ROW], [{**ROW, "id": 2}])

    (page,) = read_latest_news(cast("AlpacaRest", rest))

    assert [article.article_id for article in page.articles] == [1]
    assert rest.queries[0]["sort"] == "desc"


def test_a_row_that_cannot_be_read_costs_itself_and_is_said():
    page = read_articles([{**ROW, "id": "x"}, ROW, {}])

    assert [article.article_id for article in page.articles] == [1]
    assert len(page.unreadable) == 2
    assert page.unreadable[0].startswith("The article 'x' cannot be read and is left out: ")
