"""The page shows what was written, as text, with its source and its times, and where the run streams news."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest

from options_helper.model.account import RestPhase, RestReport, RestTask
from options_helper.model.events import News, stamp
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.news import Article, to_article
from options_helper.model.problems import Problem
from options_helper.model.snapshot import LiveSnapshot
from tests.portal import scenes
from tests.portal.conftest import Portal, html, markup, press
from tests.portal.scenes import OPEN

SECOND = 10**9


def article(article_id: int = 1, *, age: float = 60.0, is_asked: bool = False, **fields: Any) -> Article:
    made_ns = datetime_nanoseconds(OPEN - timedelta(seconds=age))
    known = {
        "headline": "Apple opens a shop",
        "summary": "In Berlin.",
        "author": "A. Writer",
        "url": "https://www.example.com/1",
        "source": "benzinga",
        "symbols": ["AAPL"],
        "timestamp": made_ns,
        "created": made_ns,
    }
    news = News(article_id=article_id, **(known | fields))
    stamp(news, made_ns + 2 * SECOND)
    return to_article(news, is_asked=is_asked)


def scene(*articles: Article, problem: str | None = None) -> LiveSnapshot:
    snapshot = scenes.live()
    report = RestReport(
        RestTask.NEWS,
        RestPhase.FAILED if problem else RestPhase.DONE,
        problems=(Problem(problem),) if problem else (),
    )
    reports = MappingProxyType({**snapshot.account.reports, RestTask.NEWS: report})
    return replace(snapshot, news=articles, account=replace(snapshot.account, reports=reports))


def show(portal: Portal, snapshot: LiveSnapshot, of: str = "the portfolio's symbols") -> Any:
    portal.scene = lambda: snapshot
    tab = portal.open()
    tab.selectbox(key="news").set_value(of).run()
    press(tab, "start")
    return tab


def test_an_article_has_its_symbols_source_author_age_and_times(portal: Portal):
    tab = show(
        portal,
        scene(article(created=datetime_nanoseconds(OPEN - timedelta(seconds=90))), article(2, is_asked=True)),
    )
    text = re.sub("<[^>]*>", "", html(tab))

    assert "Apple opens a shop" in text
    assert "In Berlin." in text
    assert (
        "AAPL · benzinga · A. Writer · 60 s old · made 15:30:34 UTC · updated 15:31:04 UTC · received 15:31:06 UTC"
        in text
    )
    assert "asked for 15:31:06 UTC" in text
    assert 'href="https://www.example.com/1"' in markup(tab)
    assert 'rel="noopener noreferrer"' in markup(tab)


def test_nothing_of_an_article_is_read_as_html_or_markdown(portal: Portal):
    hostile = article(
        headline='&lt;img src=x onerror="alert(1)"&gt; **bold** <script>alert(2)</script> :material/key:',
        summary="</div></div>&lt;/div&gt;&lt;script&gt;alert(3)&lt;/script&gt; $x^2$ [click](javascript:alert(4))",
        author="<style>* { display: none }</style>Mallory",
        source='" onmouseover="alert(5)',
        url="javascript:alert(6)",
        symbols=["<b>AAPL</b>"],
    )
    sent = markup(show(portal, scene(hostile)))

    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt; **bold**" in sent
    assert "alert(2)" not in sent
    assert "&lt;/div&gt;&lt;script&gt;alert(3)&lt;/script&gt;" in sent
    assert "<script" not in sent
    assert "javascript:alert(6)" not in sent
    assert "&quot; onmouseover=&quot;alert(5)" in sent
    assert "Mallory" in sent


@pytest.mark.parametrize("of", ["the portfolio's symbols", "every symbol"])
def test_the_run_asks_for_what_was_chosen(portal: Portal, of: str):
    show(portal, scene(), of)
    (config,) = portal.managers[0].runs

    assert ("*" in config.news) is (of == "every symbol")
    assert of == "every symbol" or "AAPL" in config.news
    assert not any(len(symbol) > 6 for symbol in config.news)


def test_without_an_article_the_panel_says_that_this_is_normal(portal: Portal):
    assert "No article about the portfolio's symbols so far; hours without one are normal." in html(
        show(portal, scene())
    )


def test_what_could_not_be_asked_for_is_said_beside_the_articles(portal: Portal):
    tab = show(portal, scene(article(), problem="Alpaca answered with HTTP 500."))

    assert "What was written before the stream was there is not known, for the reason above." in html(tab)


def test_only_the_newest_are_drawn_and_the_others_counted(portal: Portal):
    tab = show(portal, scene(*(article(number, headline=f"No. {number}.") for number in range(60))))

    assert html(tab).count('class="oh-article"') == 25
    assert "the newest 25 of 60 articles" in html(tab)


def test_a_run_without_news_has_no_panel(portal: Portal):
    portal.scene = lambda: scene(article())
    tab = portal.open()
    press(tab, "start")

    assert portal.managers[0].runs[0].news == ()
    assert "Apple opens a shop" not in html(tab)
