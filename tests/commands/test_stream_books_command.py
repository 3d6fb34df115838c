"""`options-helper stream books`: the same books for a seed, ladders and lines, and a recording that adds up."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from options_helper.cli import app
from options_helper.commands.book_providers import BookProvider
from options_helper.commands.books_display import BooksLines
from options_helper.commands.books_request import books_request
from options_helper.commands.books_run import conclude, require_same_books
from options_helper.commands.books_view import BooksView, book_lines, refusals, screen
from options_helper.commands.books_watch import BooksWatch
from options_helper.commands.capture_session import Ending
from options_helper.data.recording.book_recorder import BookSampling
from options_helper.data.recording.latest_books import LatestBooks
from options_helper.data.recording.loss_log import loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.session_notes import SessionNote, save_note, session_notes
from options_helper.data.recording.verify import audit
from options_helper.errors import ConfigError
from options_helper.model.announcement import MarketKind
from options_helper.model.events import BookLevel
from options_helper.model.instants import datetime_nanoseconds, utc_datetime
from options_helper.model.order_book import Book, BookCounts, BookState
from options_helper.model.snapshot import StreamHealth
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat_file import CAPTURE_FILE, read_heartbeat
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from tests.kit.pace import runs
from tests.kit.programs import Program
from tests.kit.rebuilt import partitions
from tests.kit.waiting import A_PROCESS, wait_until

AS_OF = datetime(2026, 11, 27, 15, tzinfo=UTC)
AS_OF_NS = datetime_nanoseconds(AS_OF)
SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def own_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["stream", "books", *arguments])


def rehearsed(*arguments: str, provider: str = "alpaca-crypto", symbols: str = "BTC/USD,ETH/USD") -> str:
    ended = invoke(
        "--provider", provider, "--symbols", symbols, "--dry-run", "--interval", "100ms", "--duration", "300ms",
        *arguments,
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    return str(ended.output)


def test_the_output_of_a_seed_is_the_same_to_the_letter():
    output = rehearsed("--seed", "7", "--levels", "3")

    assert rehearsed("--seed", "7", "--levels", "3") == output
    assert rehearsed("--seed", "8", "--levels", "3") != output
    first, *lines, last = output.splitlines()
    assert first.startswith("15:00:00Z invented, seed 7 (SIMULATED MARKET")
    assert lines[0].startswith("15:00:00Z BTC/USD synced 0.0 s  bid ")
    assert "top 3: " in lines[0]
    assert last == "Ended, because its time is over. Nothing that was received was lost."


def test_a_dry_run_needs_no_keys_and_connects_to_nothing(monkeypatch: pytest.MonkeyPatch):
    """A fixture fails every test that reaches for another computer."""
    monkeypatch.delenv("APCA_API_KEY_ID", raising=False)

    assert "NSE:TCS synced" in rehearsed(provider="breeze", symbols="nse:tcs")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--provider", "alpaca-crypto", "--symbols", "AAPL"), "'AAPL' is no pair of a coin and a currency"),
        (("--provider", "alpaca-crypto", "--symbols", "*"), "name each pair"),
        (("--provider", "alpaca-crypto", "--symbols", " , "), "name those whose books you want"),
        (("--provider", "alpaca-crypto", "--symbols", "BTC/USD", "--interval", "1ms"), "ten times a second"),
        (("--provider", "alpaca-crypto", "--symbols", "BTC/USD", "--duration", "soon"), "--duration"),
        (("--provider", "alpaca-crypto", "--symbols", "BTC/USD", "--location", "mars"), "no crypto location 'mars'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_a_sentence(
    arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("APCA_API_KEY_ID", DEMO_KEY)
    monkeypatch.setenv("APCA_API_SECRET_KEY", DEMO_SECRET)

    ended = invoke(*arguments)

    assert isinstance(ended.exception, ConfigError)
    assert says in str(ended.exception)


def book(state: BookState = BookState.SYNCED, *, age_seconds: float = 0.5, reason: str = "") -> Book:
    levels = state.has_levels
    return Book(
        "BTC/USD",
        state,
        "crypto",
        bids=(BookLevel(100.0, 1.5), BookLevel(99.5, 2.0)) if levels else (),
        asks=(BookLevel(100.5, 0.25),) if levels else (),
        bid_levels=2 * levels,
        ask_levels=1 * levels,
        received_ns=AS_OF_NS - int(age_seconds * SECOND),
        made_ns=AS_OF_NS - SECOND,
        reason=reason,
        counts=BookCounts(messages=1),
    )


def view(*books: Book, symbols: tuple[str, ...] = ("BTC/USD",)) -> BooksView:
    return BooksView(AS_OF, symbols, {one.symbol: one for one in books}, "alpaca crypto us · live")


@pytest.mark.parametrize(
    ("of", "line"),
    [
        (
            book(),
            (
                "15:00:00Z BTC/USD synced 0.5 s  bid 100.0 × 1.50  ask 100.5 × 0.25  spread 0.5 (49.88 bp)  "
                "top 2: 3.50 bid, 0.25 asked"
            ),
        ),
        (book(BookState.LOST, reason="Cut."), "15:00:00Z BTC/USD lost 0.5 s Cut."),
        (None, "15:00:00Z BTC/USD waiting - Nothing has come for it yet."),
    ],
)
def test_a_pipe_gets_a_line_for_each_book(of: Book | None, line: str):
    assert list(book_lines(view(*filter(None, (of,))), 5)) == [line]


def test_a_book_of_rest_is_called_so_and_has_no_message_of_the_stream():
    rest = replace(book(age_seconds=12), state=BookState.WAITING, source="rest", reason="Not whole yet.")
    (line,) = book_lines(view(rest), 1)

    assert line.startswith("15:00:00Z BTC/USD waiting from REST, made 12.0 s ago  bid 100.0 × 1.50")
    assert "BTC/USD  waiting  from REST, made 12.0 s ago" in drawn(view(rest))[0]


@pytest.mark.parametrize(
    ("connections", "error", "says"),
    [
        (1, "Not streamed: BTC/USD (1 in all). There is none.", "Not streamed: BTC/USD (1 in all). There is none."),
        (1, "The connection was cut.", "Its provider refused it."),
        (0, "All were refused: there is none.", "All were refused: there is none."),
    ],
)  # fmt: skip
def test_a_symbol_that_is_refused_is_not_waited_for(connections: int, error: str, says: str):
    health = StreamHealth(
        StreamName.CRYPTO, refused_symbols=("BTC/USD",), last_error=error, connections=connections
    )
    refused, books = BooksView(AS_OF, ("BTC/USD", "ETH/USD"), {}, "", refusals(health)), BooksWatch()
    books.see(refused, 0.0)

    assert list(book_lines(refused, 5)) == [
        f"15:00:00Z BTC/USD refused - {says}",
        "15:00:00Z ETH/USD waiting - Nothing has come for it yet.",
    ]
    assert books.troubles() == ["Nothing came for ETH/USD.", f"The book of BTC/USD was refused. {says}"]


def test_silence_is_never_freshness():
    (line,) = book_lines(view(book(age_seconds=12)), 5)

    assert "BTC/USD quiet 12.0 s" in line
    assert line.endswith("Nothing has come for it for 12 s: a quiet market and a dead feed look the same.")


def drawn(of: BooksView, levels: int = 3) -> list[str]:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(screen(of, levels))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def test_a_terminal_gets_a_ladder_that_keeps_its_height():
    """A table that grows and shrinks cannot be read."""
    lines = drawn(view(book()))

    assert "BTC/USD  synced  0.5 s" in lines[0]
    assert lines[4].split() == ["▪▪▪", "1.50", "1.50", "100.0", "100.5", "0.25", "0.25", "▪"]
    assert lines[5].split() == ["▪▪▪▪▪▪▪▪", "3.50", "2.00", "99.5"]
    assert "spread 0.5 (49.88 bp) · imbalance of 2 levels +0.87" in "\n".join(lines)
    assert lines[-1].startswith("alpaca crypto us · live")
    assert len(drawn(view(book(BookState.LOST)))) == len(lines) - 1, "but for the line of what it is worth"


def test_whose_books_they_are_is_said_at_the_beginning_and_each_half_minute():
    console = Console(file=io.StringIO(), width=200)
    lines = BooksLines(console, 5)
    for second in (0, 10, 29, 30, 31):
        at = AS_OF.replace(second=second % 60)
        lines.show(BooksView(at, (), {}, f"truth at {second}"))

    said = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert said == ["15:00:00Z truth at 0", "15:00:30Z truth at 30"]


def ended_after(*looks: Book | None, losses: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Exit code and last sentences of a run that saw one book at these looks, ten seconds apart."""
    console, books = Console(file=io.StringIO(), width=200), BooksWatch()
    for number, one in enumerate(looks):
        books.see(view(*filter(None, (one,))), number * 10.0)
    code = conclude(BooksLines(console, 5), Ending.DURATION, books, losses)
    return code, console.file.getvalue().splitlines()  # type: ignore[attr-defined]


WAITING, CROSSED, LOST = (
    book(state, reason="Why.") for state in (BookState.WAITING, BookState.CROSSED, BookState.LOST)
)
BOOK = "The book of BTC/USD"
SILENT_12 = "Nothing has come for it for 12 s: a quiet market and a dead feed look the same."
NOTHING_LOST = "Ended, because its time is over. Nothing that was received was lost"


@pytest.mark.parametrize(
    ("looks", "says"),
    [
        ((None, None), "Nothing came for BTC/USD."),
        ((LOST, WAITING, WAITING), f"{BOOK} was never whole: lost for 10 s, waiting for 10 s. Why."),
        ((LOST, CROSSED, CROSSED), f"{BOOK} was never whole: lost for 10 s, crossed for 10 s. Why."),
        ((LOST, book(), LOST, LOST), f"{BOOK} was lost at the end. Why. After it was whole first: lost for 10 s."),
        ((book(), CROSSED), f"{BOOK} was crossed at the end. Why."),
        ((book(), book(age_seconds=12)), f"{BOOK} was quiet at the end. {SILENT_12}"),
    ],
)  # fmt: skip
def test_an_end_without_a_whole_book_is_told_and_an_exit_code(looks: tuple[Book | None, ...], says: str):
    """Whoever reads the code alone must not take it for a run in which the books could be used."""
    assert ended_after(*looks) == (1, [says, f"{NOTHING_LOST}, but see above."])


def test_a_book_that_was_restored_is_told_and_costs_nothing():
    assert ended_after(LOST, book()) == (0, [f"{NOTHING_LOST}."]), (
        "what comes before the first whole book is no fault"
    )
    code, (told, last) = ended_after(
        book(), CROSSED, LOST, replace(book(), counts=BookCounts(9, resyncs=2, differed=1))
    )

    assert told == (
        "The book of BTC/USD is whole; meanwhile it was crossed for 10 s, lost for 10 s, asked for anew 2 times, "
        "other than REST said 1 time."
    )
    assert (code, last) == (0, f"{NOTHING_LOST}.")


def test_what_was_received_and_lost_is_told_with_the_books():
    code, said = ended_after(book(), losses=("3 messages dropped.",))

    assert (code, said) == (
        1,
        ["3 messages dropped.", "Ended, because its time is over. Something is missing, see above."],
    )


def test_the_latest_book_is_a_file_that_is_replaced_once_a_second_and_read_by_all(tmp_path: Path):
    latest = LatestBooks(tmp_path, "alpaca crypto us")
    path = tmp_path / "books" / "latest" / "BTC%2FUSD" / "latest.json"
    latest.write({"BTC/USD": book()}, AS_OF, "simulated")
    latest.write({"BTC/USD": book(BookState.LOST)}, AS_OF.replace(microsecond=999_999), "simulated")
    facts = msgspec.json.decode(path.read_bytes())

    assert facts["bids"] == [[100.0, 1.5], [99.5, 2.0]]
    assert (facts["state"], facts["age_seconds"], facts["recording"]) == ("synced", 0.5, True)
    assert (facts["source"], facts["market"]) == ("alpaca crypto us", "simulated")
    assert path.stat().st_mode & 0o777 == 0o644
    latest.write({"BTC/USD": book(BookState.LOST)}, AS_OF.replace(second=1), "simulated")
    assert msgspec.json.decode(path.read_bytes())["state"] == "lost"
    latest.write({"BTC/USD": book()}, AS_OF.replace(second=1), "simulated", ended=True)
    ended = msgspec.json.decode(path.read_bytes())
    assert (ended["recording"], ended["state"]) == (False, "ended"), "nobody looks after it any more"
    assert list(path.parent.iterdir()) == [path], "nothing half written is left"


def test_the_latest_book_of_a_silent_feed_is_not_called_synced(tmp_path: Path):
    LatestBooks(tmp_path, "x").write({"BTC/USD": book(age_seconds=12)}, AS_OF, "alpaca")

    assert latest_of(tmp_path, "BTC%2FUSD")["state"] == "quiet"


@pytest.mark.parametrize(
    ("told", "label"),
    [
        (MarketKind.ALPACA, "alpaca crypto us"),
        (MarketKind.LOCAL, "alpaca crypto us (NOT ALPACA: a market on this computer)"),
        (MarketKind.REPLAY, "alpaca crypto us (REPLAY MARKET)"),
    ],
)
def test_no_market_but_the_providers_goes_without_a_word(told: MarketKind, label: str):
    request = books_request(BookProvider.ALPACA_CRYPTO, ("BTC/USD",), "us", BookSampling(), None)

    assert (request.market_of(told), request.whose(told)) == (told, label)


@pytest.mark.parametrize(
    ("url", "market", "label"),
    [
        ("wss://livestream.icicidirect.com", "breeze", "breeze"),
        ("ws://127.0.0.1:9", "local", "breeze (NOT BREEZE: a market on this computer)"),
    ],
)
def test_a_fake_of_breeze_is_not_called_breeze(
    url: str, market: str, label: str, monkeypatch: pytest.MonkeyPatch
):
    """What Alpaca's address is says nothing of Breeze's."""
    monkeypatch.setenv("BREEZE_STREAM_URL", url)

    request = books_request(BookProvider.BREEZE, ("NSE:TCS",), "us", BookSampling(), None)

    assert (request.market_of(MarketKind.ALPACA), request.whose(MarketKind.ALPACA)) == (market, label)


def test_a_folder_that_refuses_the_latest_books_costs_nothing_but_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "books").write_text("in the way")
    latest = LatestBooks(tmp_path, "x")
    for second in range(3):
        latest.write({"BTC/USD": book()}, AS_OF.replace(second=second), "alpaca")

    assert len(caplog.records) == 1


def test_a_folder_has_the_books_of_one_place(tmp_path: Path):
    """A file is named by the symbol alone."""
    save_note(tmp_path, SessionNote(**NOTE, asked={"crypto": ("BTC/USD",)}, feeds={"crypto": "eu-1"}))
    sampling = BookSampling()

    with pytest.raises(ConfigError, match="has order books of crypto eu-1, and those of crypto us would"):
        require_same_books(
            tmp_path, books_request(BookProvider.ALPACA_CRYPTO, ("BTC/USD",), "us", sampling, None)
        )
    require_same_books(
        tmp_path, books_request(BookProvider.ALPACA_CRYPTO, ("BTC/USD",), "eu-1", sampling, None)
    )


NOTE: dict[str, Any] = {
    "session": "one",
    "began_ns": AS_OF_NS,
    "seen_ns": AS_OF_NS,
    "journal": True,
    "flush_events": 500,
    "flush_seconds": 1.0,
}


def recording(out: Path, *more: str) -> subprocess.Popen[str]:
    """A process that records invented books."""
    return Program(
        "stream", "books", "--provider", "alpaca-crypto",
        "--symbols", "BTC/USD,ETH/USD", "--dry-run", "--out", str(out), "--interval", "200ms", *more,
        env={**os.environ, "XDG_STATE_HOME": str(out / "state")},
    )  # fmt: skip


def latest_of(out: Path, symbol: str) -> dict[str, Any]:
    path = out / "books" / "latest" / symbol / "latest.json"
    return dict(msgspec.json.decode(path.read_bytes())) if path.exists() else {}


@pytest.mark.faults
@pytest.mark.processes
def test_a_recording_adds_up_and_comes_back_after_kills(tmp_path: Path):
    """Killed in its midst, gone on with, ended by Ctrl-C: rows and journal agree, and a rebuild is equal."""
    out, kills = tmp_path / "recorded", runs(1, 20)
    for number in range(kills):
        with recording(out) as killed:
            wait_until(partial(_has_gone_on, out, number + 1), timeout=A_PROCESS)
            killed.send_signal(signal.SIGKILL)
    with recording(out) as ended:
        wait_until(partial(_has_gone_on, out, kills + 1), timeout=A_PROCESS)
        ended.send_signal(signal.SIGINT)
        output, _ = ended.communicate(timeout=A_PROCESS)

    assert ended.returncode == 0, output
    assert "Ended, because it was asked to end. Nothing that was received was lost." in output
    assert len(session_notes(out)) == kills + 1
    found = audit(out)
    assert found.problems == ()
    assert found.silent == ()
    assert [row.stream for row in loss_rows(out)] == ["invented/default/books"] * kills
    rebuild(out, tmp_path / "rebuilt")
    # Row for row; whoever made the rows of one before put its own off, and so wrote other members.
    assert rows_of(tmp_path / "rebuilt") == rows_of(out)
    assert latest_of(out, "BTC%2FUSD")["recording"] is False
    heartbeat = read_heartbeat(out / CAPTURE_FILE)
    assert heartbeat is not None
    assert list(heartbeat.streams) == ["invented/default/books"]


def rows_of(root: Path) -> dict[str, bytes]:
    return {name: gzip.decompress(data) for name, data in partitions(root).items()}


def _has_gone_on(out: Path, sessions: int) -> bool:
    """Whether so many have begun, and the last has made the rows that the others left, and has books of its own."""
    notes = sorted(session_notes(out), key=lambda note: note.number)
    if len(notes) != sessions or not all(note.completed for note in notes[:-1]):
        return False
    began = utc_datetime(notes[-1].began_ns).isoformat()
    latest = latest_of(out, "ETH%2FUSD")
    return latest.get("state") == "synced" and str(latest["received_at"]) > began
