"""Invented news follow from a seed, say that they are invented, and are now and then corrected."""

from __future__ import annotations

from datetime import date
from typing import Any

from options_helper.data.streaming.messages import decode_frame
from options_helper.model.events import News
from options_helper.model.instants import NANOSECONDS
from options_helper.model.news import to_article
from options_helper.model.portfolio import Portfolio
from options_helper.model.streams import StreamName
from options_helper.simulator.market.market import Interest
from options_helper.simulator.market.newsroom import Newsroom
from options_helper.simulator.market.seeded import SeededMarket
from tests.kit.builders import position
from tests.kit.fakes import NOON, frame

HOUR_NS = 3_600 * NANOSECONDS


def written(seed: int = 7, *, steps: int = 60) -> list[dict[str, Any]]:
    newsroom = Newsroom(["AAPL", "MSFT"], seed, NOON)
    return [news for step in range(steps + 1) for news in newsroom.due(NOON + HOUR_NS * step // steps)]


def test_the_same_seed_writes_the_same_however_often_it_is_asked():
    assert written() == written()
    assert written() != written(seed=8)
    assert sorted(written(steps=1), key=str) == sorted(written(steps=600), key=str)


def test_every_article_says_that_it_is_invented_and_can_be_read():
    events, rejected, _ = decode_frame(frame(*written()))

    assert rejected == ()
    for event in events:
        assert isinstance(event, News)
        article = to_article(event)
        assert article.headline.startswith("Invented: ")
        assert article.source == "simulator (invented)"
        assert "Nothing of this happened" in (article.text or "")
        assert article.link is not None
        assert set(article.symbols) <= {"AAPL", "MSFT"}


def test_some_are_corrected_later_and_some_say_no_author_or_summary():
    by_id: dict[int, list[dict[str, Any]]] = {}
    for news in written():
        by_id.setdefault(news["id"], []).append(news)

    corrected = [forms for forms in by_id.values() if len(forms) == 2]
    assert 0 < len(corrected) < len(by_id)
    assert all(first["updated_at"] != second["updated_at"] for first, second in corrected)
    assert {bool(news["author"]) for (news, *_) in by_id.values()} == {True, False}
    assert {bool(news["summary"]) for (news, *_) in by_id.values()} == {True, False}


def test_about_nothing_nothing_is_written():
    assert list(Newsroom([], 7, NOON).due(NOON + HOUR_NS)) == []


def test_the_market_of_a_portfolio_has_news_of_its_underlyings_whoever_listens():
    market = SeededMarket(Portfolio(positions=(position("AAPL", 180.0, expiry=date(2026, 12, 18)),)))
    steps = market.steps(Interest())
    first = next(step for step in steps if step.stream is StreamName.NEWS)

    assert [news["symbols"] for news in first.messages] == [["AAPL"]] * 3
