"""Ask for articles: the newest ones, or all since an instant, as after a gap that the stream does not fill."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from options_helper.data.rest.client import AlpacaRest, batches
from options_helper.decoders import converter
from options_helper.errors import TooManyPages
from options_helper.model.events import News
from options_helper.model.instants import utc_datetime
from options_helper.model.news import ALL_SYMBOLS

# The most that Alpaca gives at a time.
ARTICLES_A_PAGE: Final = 50
# No number is documented; so many of the longest sort keep the address below 1 KB.
_SYMBOLS_A_REQUEST: Final = 100


@dataclass(frozen=True, slots=True)
class NewsPage:
    """What one answer brought; an article is received when nobody has stamped it yet."""

    articles: tuple[News, ...]
    unreadable: tuple[str, ...] = ()  # a sentence each


@dataclass(frozen=True, slots=True)
class NewsSpan:
    """All articles of a stretch of time, which may end before what was asked for."""

    articles: tuple[News, ...]
    unreadable: tuple[str, ...]  # a sentence each
    until: datetime  # not part of it


def read_news(
    rest: AlpacaRest,
    since: datetime,
    until: datetime | None = None,
    symbols: Sequence[str] = (ALL_SYMBOLS,),
) -> Iterator[NewsPage]:
    """All articles that were made or changed from `since` to `until`, both included, oldest change first.

    Page by page, and for many symbols in several rounds, so that one article may come more than once. Blocks while it
    asks, raises RestError.
    """
    span = {"start": since.isoformat(), **({} if until is None else {"end": until.isoformat()})}
    for query in _queries(symbols):
        for rows in rest.news({**query, **span, "sort": "asc", "limit": ARTICLES_A_PAGE}):
            yield read_articles(rows)


def read_news_span(rest: AlpacaRest, since: datetime, until: datetime, symbols: Sequence[str]) -> NewsSpan:
    """The articles that were made or changed from `since` on and before `until`, or before the end that could be read.

    An answer has so many pages at most; of more, the newest changes are left for another question. Blocks while it
    asks, raises RestError.
    """
    # Alpaca includes the end.
    span = {"start": since.isoformat(), "end": (until - timedelta(microseconds=1)).isoformat()}
    pages: list[NewsPage] = []
    ends = [until]
    for query in _queries(symbols):
        newest = since
        try:
            for rows in rest.news({**query, **span, "sort": "asc", "limit": ARTICLES_A_PAGE}):
                pages.append(read_articles(rows))
                newest = max([newest, *map(_changed, pages[-1].articles)])
        except TooManyPages:
            if newest <= since:  # it would be the same again
                raise
            ends.append(newest)
    articles = [one for page in pages for one in page.articles if _changed(one) < min(ends)]
    return NewsSpan(tuple(articles), tuple(said for page in pages for said in page.unreadable), min(ends))


def read_latest_news(rest: AlpacaRest, symbols: Sequence[str] = (ALL_SYMBOLS,)) -> Iterator[NewsPage]:
    """The newest articles, newest first, a page for each round of symbols; blocks while it asks, raises RestError."""
    for query in _queries(symbols):
        pages = rest.news({**query, "sort": "desc", "limit": ARTICLES_A_PAGE})
        yield from map(read_articles, (rows for rows in [next(pages, None)] if rows is not None))


_article: Final = converter(News)


def read_articles(rows: Iterable[Mapping[str, Any]]) -> NewsPage:
    """The rows of an answer as articles; one that cannot be read costs itself and is said."""
    articles: list[News] = []
    unreadable: list[str] = []
    for row in rows:
        try:
            articles.append(_article({**row, "T": "n"}))
        except msgspec.ValidationError as error:
            unreadable.append(f"The article {row.get('id')!r:.40} cannot be read and is left out: {error}.")
    return NewsPage(tuple(articles), tuple(unreadable))


def _changed(article: News) -> datetime:
    """When it was last changed; of one that does not say, long ago."""
    return utc_datetime(article.timestamp_ns or 0)


def _queries(symbols: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What to ask, once for all symbols, or for so many at a time."""
    common = {"include_content": "true"}
    if ALL_SYMBOLS in symbols:
        yield common
        return
    for some in batches(symbols, _SYMBOLS_A_REQUEST):
        yield {**common, "symbols": ",".join(some)}
