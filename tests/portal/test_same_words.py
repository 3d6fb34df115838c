"""Page, watch and `today` say the same words of what can be done, with the amounts and without."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date

import pytest

from options_helper.analysis.alerts.figures import book_readings
from options_helper.analysis.alerts.messages import firing_of
from options_helper.analysis.attention.entries import AttentionKind
from options_helper.analysis.book_look import BookLook, look_at_book
from options_helper.analysis.live_health import Level
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.commands.today_display import json_text, lines_of
from options_helper.data.alerts_file import parse_rules
from options_helper.live.attention import attention
from options_helper.model.alerts import SubjectKind, Verdict
from options_helper.model.portfolio import PortfolioEntry
from options_helper.model.snapshot import LiveSnapshot
from tests.analysis.attention.world import FRIDAY, HALF_DAY, dividend, live_at
from tests.kit.builders import holding, leg, portfolio, position, structure
from tests.portal.scenes import with_account
from tests.portal.test_attention import screen_of

MONDAY, DECEMBER = date(2026, 11, 23), date(2026, 12, 18)
BOOKS: dict[str, list[PortfolioEntry]] = {
    "a pair without its money": [
        structure(
            leg("long", 60, contracts=3, expiry=FRIDAY),
            leg("short", 64, contracts=3, expiry=FRIDAY),
            symbol="KO",
        )
    ],
    "a surplus": [
        structure(
            leg("long", 60, contracts=1, expiry=FRIDAY),
            leg("short", 61, contracts=3, expiry=FRIDAY),
            symbol="KO",
        )
    ],
    "two pins": [
        position("KO", 62.2, "put", contracts=-1, expiry=FRIDAY, identity="at"),
        position("KO", 62.25, "call", contracts=-2, expiry=FRIDAY, identity="near"),
    ],
    "before an ex-date": [
        position("KO", 55, contracts=1, expiry=HALF_DAY, identity="held"),
        position("KO", 50, contracts=-2, expiry=DECEMBER, identity="sold"),
    ],
    "shares short": [holding("KO", -300), position("KO", 50, contracts=2, expiry=DECEMBER, identity="call")],
    "too much of it": [position("KO", 58, contracts=3, expiry=FRIDAY, identity="calls")],
}


def look_at(held: list[PortfolioEntry]) -> tuple[BookLook, LiveSnapshot]:
    prices = {"KO": (62.21, 62.23), "KO261127C00055000": (7.23, 7.3), "KO261218C00050000": (12.3, 12.5)}
    live = live_at(
        "2026-11-20 15:30", dict(prices), held=held, power=12_500, actions=[dividend("KO", MONDAY, 0.5)]
    )
    book = portfolio(*held)
    return look_at_book(book, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25), live


def messages(
    held: list[PortfolioEntry], look: BookLook, live: LiveSnapshot, kind: AttentionKind
) -> tuple[str, str]:
    """What a watch sends of all that needs a hand of one kind: with the amounts, and without."""
    figure = f"attention:{kind}"
    text = f'[[rules]]\nname = "r"\nsubject = "book"\nfigure = "{figure}"\n'
    rule = next(one for one in parse_rules(text, "alerts.toml") if one.name == "r")
    reading = book_readings([rule], portfolio(*held), live, look)[SubjectKind.BOOK, figure][""]
    at = live.as_of.astimezone(UTC)
    firing = firing_of(rule, "", reading, Verdict.MET, key="r", crossed_at=at, now=at)
    return firing.text_with_amounts, firing.text


@pytest.mark.parametrize("hide", [False, True], ids=["with amounts", "without"])
@pytest.mark.parametrize("name", BOOKS)
def test_what_can_be_done_is_said_in_the_same_words_on_the_page_in_a_message_and_by_today(
    name: str, *, hide: bool
):
    held = BOOKS[name]
    look, live = look_at(held)
    entries = [one for one in look.attention.entries if one.remedy and one.level is not Level.INFO]
    screen = replace(screen_of(with_account(), hide_amounts=hide), attention=look.attention, banners=())
    on_page = {(item.kind, item.remedy) for item in attention(screen)}
    shown = {kind for kind, _ in on_page}
    in_json = {(one["kind"], one["remedy"]) for one in json.loads(json_text(look.attention, ()))["attention"]}
    printed = {line.strip() for line in lines_of(look.attention, ())}

    assert entries
    for entry in entries:
        said = entry.discreet_remedy if hide else entry.remedy
        if (
            entry.kind in shown
        ):  # tables say of some kinds what is to be done, and a graver kind stands for its end
            assert (entry.kind, said) in on_page
        assert said in messages(held, look, live, entry.kind)[hide]
        assert (entry.kind.value, entry.remedy) in in_json
        assert entry.remedy in printed


def test_every_kind_of_remedy_is_among_these_books():
    """Else the words above would be those of a few."""
    said = " ".join(one.remedy for held in BOOKS.values() for one in look_at(held)[0].attention.entries)

    for words in (
        "together with",
        "the surplus",
        "Sell ",
        "not to exercise",
        "Or exercise",
        "before the ex-date",
        "Buy back",
        "What can be done about each",
    ):
        assert words in said, words
