"""Several processes find what one finds, in the same order, and the work of one that is killed is done all the same."""

from __future__ import annotations

import multiprocessing
from gzip import decompress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday.members import encode_member
from options_helper.data.intraday.scope import EVERYTHING, Scope
from options_helper.data.recording.journal import sessions
from options_helper.data.recording.session_notes import session_notes
from options_helper.data.recording.shares import WHOLE, Share
from options_helper.data.recording.verify import audit
from options_helper.data.recording.verify_rows import Task, look
from options_helper.errors import ConfigError
from tests.data.recording.test_rebuild import began, received, record_session
from tests.kit.captured import members_of
from tests.kit.fakes import NOON, quote_message, trade_message

SYMBOLS = ("AAPL", "MSFT", "SPY", "TSLA", "QQQ")


def recorded(root: Path) -> None:
    """Two sessions of five symbols, quotes and trades."""
    for number in range(2):
        since = NOON + number * 1_000_000_000
        messages = [
            [quote_message(symbol, bid=place + 1), trade_message(symbol, 10.0 + place)]
            for place in range(12)
            for symbol in SYMBOLS
        ]
        records = [received(since + place, *one) for place, one in enumerate(messages)]
        record_session(root, f"session-{number}", [began(since, flush_events=5), *records])


def spoiled(root: Path) -> None:
    """One file lacks its last rows, one some amid it, one is gone, and one has some twice."""
    first, second, third, fourth, *_ = [part.path for part in find_parts(root)]
    first.write_bytes(b"".join(members_of(first)[:-1]))
    head, one, *rest = members_of(second)
    second.write_bytes(b"".join([head, bytes(len(one)), *rest]))
    third.unlink()
    fourth.write_bytes(b"".join([*members_of(fourth), members_of(fourth)[-1]]))


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(symbols=frozenset({"MSFT", "AAPL", "SPY"}))])
def test_three_processes_say_of_a_spoiled_recording_what_one_says(tmp_path: Path, scope: Scope):
    recorded(tmp_path)
    sound = audit(tmp_path, scope, processes=3)
    assert (sound.ok, sound) == (True, audit(tmp_path, scope))
    spoiled(tmp_path)
    told: dict[int, list[Path]] = {1: [], 3: []}

    found = {count: audit(tmp_path, scope, told[count].append, processes=count) for count in told}

    assert found[3] == found[1]
    assert len(found[1].problems) > 3
    assert sorted(told[3]) == sorted(told[1])


@pytest.mark.parametrize(
    ("order", "found"), [((1, 0), "the rows are in another order"), ((0, 0), "1 rows are not in the journal")]
)
def test_rows_that_are_as_many_as_the_journals_and_not_the_same_are_found(
    tmp_path: Path, order: tuple[int, int], found: str
):
    recorded(tmp_path)
    path = next(find_parts(tmp_path)).path
    head, member, *rest = members_of(path)
    lines = decompress(member).splitlines(keepends=True)
    contents = [line.partition(b",")[2] for line in lines]
    lines[:2] = [b"%d,%s" % (number, contents[place]) for number, place in enumerate(order, 1)]
    path.write_bytes(b"".join([head, encode_member(b"".join(lines), 1, len(lines)), *rest]))

    assert any(found in problem for problem in audit(tmp_path).problems)


def test_what_a_process_had_to_look_at_is_looked_at_also_where_it_was_killed(tmp_path: Path):
    recorded(tmp_path)
    notes = {note.session: note for note in session_notes(tmp_path)}
    task = Task(tmp_path, EVERYTHING, sessions(tmp_path), notes, frozenset(), being_written=False)
    alone = look(task, 1, bool)
    killed: list[int | None] = []

    def kill_the_others(_: Path) -> None:
        for process in multiprocessing.active_children() if not killed else ():
            process.kill()
            process.join()
            killed.append(process.exitcode)

    assert look(task, 3, kill_the_others) == alone
    assert len(killed) == 2
    assert multiprocessing.active_children() == []


def test_none_is_left_where_the_first_of_them_fails(tmp_path: Path):
    recorded(tmp_path)

    def refuse(path: Path) -> None:
        raise ConfigError(path.name)

    with pytest.raises(ConfigError):
        audit(tmp_path, done=refuse, processes=2)

    assert multiprocessing.active_children() == []


@given(
    st.integers(1, 5),
    st.dictionaries(st.text(max_size=5), st.integers(0, 4)),
    st.lists(st.text(max_size=5), max_size=9),
)
def test_each_symbol_is_in_one_share(count: int, places: dict[str, int], symbols: list[str]):
    within = {symbol: place % count for symbol, place in places.items()}
    shares = [Share(number, count, within) for number in range(count)]

    for symbol in (*symbols, *within):
        assert sum(share.has(symbol) for share in shares) == 1
        assert WHOLE.has(symbol)
