"""What of the streams' health is told, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from options_helper.data.streaming.callbacks.health_news import HealthNews
from options_helper.model.callbacks import CallbackKind, Told
from options_helper.model.gaps import Gap
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.builders import AS_OF, gap, health

OPEN = gap("stocks", AS_OF)
CLOSED = gap("stocks", AS_OF, AS_OF + timedelta(seconds=2))
LATER = gap("stocks", AS_OF + timedelta(seconds=5), AS_OF + timedelta(seconds=6))


def stocks(*gaps: Gap, phase: Phase = Phase.LIVE, **more: Any) -> dict[StreamName, StreamHealth]:
    more.setdefault("gap_count", len(gaps))
    return {StreamName.STOCKS: health("stocks", phase, requested=("AAPL",), gaps=gaps, **more)}


def gaps_of(told: list[Told]) -> list[Gap]:
    return [one.value for one in told if one.kind is CallbackKind.GAP]


def test_each_change_of_a_phase_is_told_once_and_to_the_stream_s_symbols():
    news = HealthNews()
    looks = (Phase.CONNECTING, Phase.LIVE, Phase.LIVE, Phase.RECONNECTING)

    told = [one for phase in looks for one in news.observe(stocks(phase=phase))]

    assert [one.value.phase for one in told] == [Phase.CONNECTING, Phase.LIVE, Phase.RECONNECTING]
    assert {(one.kind, one.symbols) for one in told} == {(CallbackKind.HEALTH, ("AAPL",))}


def test_a_gap_is_told_when_it_opens_and_when_it_is_over():
    news = HealthNews()

    told = [gaps_of(news.observe(look)) for look in (stocks(), stocks(OPEN), stocks(OPEN), stocks(CLOSED))]

    assert told == [[], [OPEN], [], [CLOSED]]


def test_what_opened_and_closed_between_two_looks_is_told_once_and_in_order():
    news = HealthNews()
    news.observe(stocks(OPEN))

    assert gaps_of(news.observe(stocks(CLOSED, LATER))) == [CLOSED, LATER]
    assert gaps_of(news.observe(stocks(CLOSED, LATER))) == []


def test_gaps_that_are_kept_no_longer_are_not_told_again():
    news = HealthNews()
    news.observe(stocks(CLOSED, gap_count=200))

    assert gaps_of(news.observe(stocks(LATER, gap_count=201))) == [LATER]


def test_a_stream_that_began_anew_counts_its_gaps_anew():
    news = HealthNews()
    news.observe(stocks(CLOSED, LATER))

    assert gaps_of(news.observe(stocks())) == []
    assert gaps_of(news.observe(stocks(OPEN))) == [OPEN]


def test_gaps_come_before_the_phase():
    told = HealthNews().observe(stocks(CLOSED))

    assert [one.kind for one in told] == [CallbackKind.GAP, CallbackKind.HEALTH]


def test_who_is_new_is_told_of_open_gaps_and_of_every_stream_that_is_on():
    news = HealthNews()
    look = stocks(CLOSED, OPEN, phase=Phase.RECONNECTING)
    look[StreamName.OPTIONS] = health("options", Phase.OFF)
    news.observe(look)

    gap_told, health_told = news.present()

    assert gap_told == Told(CallbackKind.GAP, ("AAPL",), OPEN)
    assert (health_told.kind, health_told.value.phase) == (CallbackKind.HEALTH, Phase.RECONNECTING)


def test_who_is_new_is_not_told_of_what_is_over():
    news = HealthNews()
    news.observe(stocks(CLOSED))

    assert [told.kind for told in news.present()] == [CallbackKind.HEALTH]
