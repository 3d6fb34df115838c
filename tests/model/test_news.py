"""An article is text, with what is known of where it comes from and of when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from options_helper.data.streaming.messages import decode_frame
from options_helper.model.events import News, stamp
from options_helper.model.instants import timestamp_extension, utc_datetime
from options_helper.model.news import Article, to_article
from tests.kit.fakes import NOON, frame
from tests.kit.news import news_message

SECOND = 10**9


def article(**fields: object) -> Article:
    (news,) = decode_frame(frame({**news_message(), **fields})).events
    assert isinstance(news, News)
    stamp(news, NOON + 5 * SECOND)
    return to_article(news)


def test_an_article_says_what_from_whom_and_when():
    one = article(summary="<p>A <b>shop</b> in Berlin</p>", updated_at="2026-11-05T17:00:02.5Z")

    assert (one.article_id, one.headline, one.text) == (1, "Apple opens a shop", "A shop in Berlin")
    assert (one.source, one.author, one.symbols) == ("benzinga", "A. Writer", ("AAPL",))
    assert one.link == "https://example.com/1"
    assert one.created_at == utc_datetime(NOON)
    assert one.updated_at == datetime(2026, 11, 5, 17, 0, 2, 500_000, UTC)
    assert one.received_at == utc_datetime(NOON + 5 * SECOND)
    assert one.is_updated
    assert one.age_seconds(utc_datetime(NOON + 10 * SECOND)) == 7.5


def test_without_a_summary_the_beginning_of_the_content_is_the_text():
    one = article(content="<h1>Shop</h1><script>alert(1)</script><p>" + "word " * 10_000)

    assert (one.text or "").startswith("Shop word word")
    assert len(one.text or "") == 2_000


def test_what_is_not_said_is_not_known():
    nothing = dict.fromkeys(("headline", "summary", "author", "content", "url", "source", "symbols"))
    one = article(**nothing, created_at=None, updated_at="never")

    assert one.headline == "(no headline)"
    assert (one.text, one.source, one.author, one.link, one.symbols) == (None, None, None, None, ())
    assert (one.created_at, one.updated_at, one.is_updated) == (None, None, False)
    assert one.age_seconds(one.received_at) is None


def test_a_time_beyond_every_calendar_is_not_known():
    assert article(created_at=timestamp_extension(10**21)).created_at is None


def test_hostile_names_and_addresses_are_text_or_nothing():
    one = article(
        headline="<img src=x onerror=alert(1)>Up &lt;b&gt;50 %",
        author="<a href='javascript:alert(1)'>Me</a>",
        symbols=["AAPL", "<b>X</b>", ""],
        url="javascript:alert(1)",
    )

    assert (one.headline, one.author) == ("Up <b>50 %", "Me")
    assert one.symbols == ("AAPL", "X")
    assert one.link is None


def test_a_clock_that_is_put_right_moves_the_receipt():
    one = article()

    assert one.received_later(3 * SECOND).received_at - one.received_at == timedelta(seconds=3)
