"""What is asked of Alpaca's news, and what is read of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.news import read_articles, read_latest_news, read_news, read_news_span
from options_helper.errors import TooManyPages

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


def changed_at(second: int, article_id: int = 1) -> dict[str, Any]:
    return {**ROW, "id": article_id, "updated_at": f"2026-11-05T17:00:{second:02d}Z"}


class EndlessRest(ScriptedRest):
    """Has more pages than are followed."""

    def news(self, query: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        yield from super().news(query)
        raise TooManyPages("more pages")


def test_of_more_pages_than_are_followed_it_says_how_far_it_came():
    """Changes of that last moment may stand on the next page: they are left to the next question with it."""
    rest = EndlessRest([changed_at(1), changed_at(2, 2)], [changed_at(3, 3), changed_at(3, 4)])

    span = read_news_span(cast("AlpacaRest", rest), SINCE, SINCE + timedelta(hours=2), ["AAPL"])

    assert [one.article_id for one in span.articles] == [1, 2]
    assert span.until == datetime(2026, 11, 5, 17, 0, 3, tzinfo=UTC)
    assert rest.queries[0]["end"] == "2026-11-05T17:59:59.999999+00:00"


def test_all_rounds_of_symbols_end_where_the_first_of_them_did():
    class FirstIsEndless(ScriptedRest):
        def news(self, query: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
            self.queries.append(query)
            if len(self.queries) == 1:
                yield [changed_at(1), changed_at(5, 2)]
                raise TooManyPages("more pages")
            yield [changed_at(4, 3), changed_at(9, 4)]

    symbols = [f"S{number}" for number in range(101)]
    span = read_news_span(cast("AlpacaRest", FirstIsEndless()), SINCE, SINCE + timedelta(hours=2), symbols)

    assert [one.article_id for one in span.articles] == [1, 3]
    assert span.until.second == 5


def test_pages_that_come_no_farther_than_they_began_are_an_error():
    """Asked again from there, the answer would be the same."""
    rest = EndlessRest([changed_at(0)])
    since = datetime(2026, 11, 5, 17, tzinfo=UTC)

    with pytest.raises(TooManyPages):
        read_news_span(cast("AlpacaRest", rest), since, since + timedelta(hours=1), ["AAPL"])


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
