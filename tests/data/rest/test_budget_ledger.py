"""Who of several programs may send a request now: values only, and any sequence of askers and deaths."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.rest.budget_ledger import (
    COMMAND,
    IDLE,
    INGESTION,
    MINUTE,
    PAGE,
    RECORDER,
    TICKS_A_SECOND,
    Ledger,
    Member,
    Share,
    Turn,
    decide,
    share_of,
    take_alone,
    tick_of,
)

NOW = 10_000.0
SHARES = {"page": PAGE, "recorder": RECORDER, "ingestion": INGESTION, "command": COMMAND}


class Programs:
    """Several programs of one account, on one clock."""

    def __init__(self, per_minute: int = 200) -> None:
        self.now, self.per_minute = NOW, per_minute
        self.ledger = Ledger("boot")
        self.living: set[str] = set()
        self.left: list[tuple[float, str]] = []

    def ask(self, name: str, **more: Any) -> Turn:
        """One wants to send a request."""
        self.living.add(name)
        tick = tick_of(self.now)
        ledger = self.ledger.of("boot", self.living, tick)
        sent = next((one.sent for one in ledger.members if one.token == name), ())
        facts = {"per_minute": self.per_minute, "at_most": 10_000, **more}
        member = Member(name, SHARES[name], asked=tick, sent=sent, **facts)
        self.ledger, turn = decide(ledger.with_member(member), name, self.now)
        if not turn.wait:
            self.left.append((self.now, name))
        return turn

    def ask_all(self, name: str, **more: Any) -> int:
        """Send until it has to wait; how many left."""
        before = len(self.left)
        while not self.ask(name, **more).wait:
            pass
        return len(self.left) - before

    def die(self, name: str) -> None:
        self.living.discard(name)


def test_who_is_alone_has_the_whole_minute_and_ingestion_half_of_it():
    assert Programs().ask_all("page") == 200
    assert Programs().ask_all("ingestion") == 100


def test_three_that_ask_have_their_shares_and_together_the_minute():
    programs = Programs()
    for name in ("page", "recorder", "ingestion"):
        programs.ask(name)

    assert [1 + programs.ask_all(name) for name in ("page", "recorder", "ingestion")] == [100, 50, 50]


def test_what_ingestion_has_used_leaves_the_page_half_of_the_minute_at_once():
    programs = Programs()
    programs.ask_all("ingestion")

    assert programs.ask_all("page") == 100


def test_a_killed_program_gives_its_share_back_and_what_it_sent_still_counts():
    programs = Programs()
    programs.ask("page")
    programs.ask_all("recorder")
    programs.die("recorder")

    turn = programs.ask("page")
    assert (turn.share, turn.programs) == (200, 1)
    assert 2 + programs.ask_all("page") == 200 - 66


def test_who_has_nothing_to_ask_leaves_its_share_to_the_others_until_it_asks_again():
    programs = Programs()
    programs.ask("recorder")
    programs.now += (IDLE + 1) / TICKS_A_SECOND

    assert programs.ask("page").share == 200
    programs.ask("recorder")
    assert programs.ask("page").share == 133


def test_a_program_s_own_limit_counts_below_its_share():
    assert Programs().ask_all("ingestion", at_most=7) == 7


def test_where_settings_differ_the_smallest_minute_counts():
    programs = Programs()
    programs.ask("page", per_minute=10_000)

    assert 1 + programs.ask_all("recorder", per_minute=30) + programs.ask_all("page", per_minute=10_000) == 30


def test_each_has_one_request_where_the_minute_has_fewer_than_programs():
    programs = Programs(per_minute=1)
    assert programs.ask("page").wait == 0
    assert programs.ask("recorder").wait > 59


def test_a_pause_holds_all_and_costs_nobody_a_request():
    programs = Programs(per_minute=2)
    programs.ledger = Ledger("boot", held_until=NOW + 30)

    assert programs.ask("page").wait == 30
    programs.now += 30
    assert programs.ask_all("page") == 2


def test_another_start_of_the_computer_has_another_ledger():
    old = Ledger("before", held_until=NOW + 500, sent=((tick_of(NOW), 200),))

    assert old.of("boot", (), tick_of(NOW)) == Ledger("boot")


def test_who_cannot_see_the_others_keeps_to_its_share_as_if_all_were_there():
    def member(share: Share) -> Member:
        return Member("", share, 200, 10_000, 0)

    assert [share_of(member(one), 200) for one in (PAGE, RECORDER, INGESTION)] == [100, 50, 50]
    assert take_alone(member(PAGE), NOW + 3, NOW).turn.wait == 3


ACTIONS = st.tuples(
    st.sampled_from(sorted(SHARES)), st.sampled_from(["ask", "ask", "ask_all", "die"]), st.integers(0, 40)
)


@given(st.integers(1, 12), st.lists(ACTIONS, max_size=60))
def test_no_minute_has_more_requests_whoever_asks_and_dies(
    per_minute: int, actions: list[tuple[str, str, int]]
):
    programs = Programs(per_minute)
    for name, action, seconds in actions:
        programs.now += seconds / 3
        getattr(programs, action)(name)

    moments = [at for at, _ in programs.left]
    assert all(later - earlier > 60 for earlier, later in zip(moments, moments[per_minute:], strict=False))


@given(st.integers(1, 12), st.lists(ACTIONS, max_size=40), st.sampled_from(sorted(SHARES)))
def test_who_waits_as_told_is_let_through_when_others_ask_no_more(
    per_minute: int, actions: list[tuple[str, str, int]], name: str
):
    programs = Programs(per_minute)
    for other, action, seconds in actions:
        programs.now += seconds / 3
        getattr(programs, action)(other)

    waits = 0
    while wait := programs.ask(name).wait:
        programs.now += wait
        waits += 1

    assert waits <= 3
    assert tick_of(programs.now) - tick_of(NOW) <= sum(seconds for *_, seconds in actions) * 7 + MINUTE + 20
