"""CPU of the page for one and for ten viewers, one refresh a second, against Streamlit's floor and as it comes.

The floor is a page of one piece of HTML with about as many bytes as ours sends at a refresh: what Streamlit itself
takes for them. It is watched at the same time, so that what else the machine does meets both. Each row says its ratio
to the floor and to one viewer of the same book, and what a refresh sends, once the messages of an opening are over.

Then a refresh while prices are asked for over REST without a pause, against one while nothing is.

Reach: the second to the tenth viewer of 50 positions take half of the first or less, each; a refresh is six messages,
and with those of the tab that is open, each five seconds, fewer than eight; of 250 positions it is at most 40 KB; no
refresh over 150 ms at 250; asking for prices changes the middle one by less than half. The viewers speak Streamlit's
own protocol, so that no browser's work is counted; what the server does without viewers is taken off.
As it comes, Streamlit collects all garbage after each refresh, over everything that was ever imported.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from tables import NOW_NS, UNDERLYINGS, singles, snapshot_of
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from apps.streamlit.components.board_message import FULL_AT_FIRST
from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer

SCRIPT = Path(__file__).with_name("_page.py")
# A page whose refresh is one short piece of HTML: what Streamlit itself takes.
FLOOR = Path(__file__).with_name("_floor.py")
# Streamlit reads its options below the folder it is started in: the page's own, or none.
OUR_FOLDER = Path(__file__).parents[1] / "apps" / "streamlit"
STREAMLIT = Subprotocol("streamlit")
REFRESH_SECONDS = 1
SETTLING_SECONDS = 7.0  # until a start, or a tab that was closed, is over
OPENING_SECONDS = 90.0  # at most, until no tab is sent its table in full any more
# The server's processor time is counted in hundredths of a second.
IDLE_SECONDS = 10.0
WATCHED_SECONDS = 10.0
VIEWERS = 2  # beside seeding
MANY = 10
MOST_MESSAGES = 8
MOST_KILOBYTES = 40
SIZES = (50, 250)
FLOOR_KILOBYTES = {50: 26, 250: 32}  # of a refresh
SEEDED_POSITIONS = 250
SEED_ROUNDS = 3
# Of each answer, so that one seeding takes as long as over the net.
ANSWER_SECONDS = 0.1


@dataclass(slots=True)
class Viewer:
    """One tab without a browser: it asks for a refresh whenever the page told it to."""

    url: str
    durations: list[float] = field(default_factory=list)  # seconds from asking to the last message
    messages: int = 0  # of all fragments, since the last `forget`
    size: int = 0  # their bytes
    stopping: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Open the page and honour its timers until told to stop."""
        with connect(self.url, subprotocols=[STREAMLIT], max_size=None) as connection:
            self._request_page(connection, fragment="")
            self._follow(connection)

    def forget(self) -> None:
        """Begin to count anew."""
        self.durations.clear()
        self.messages = self.size = 0

    def _follow(self, connection: ClientConnection) -> None:
        intervals: dict[str, float] = {}
        due: dict[str, float] = {}
        # Of a full run the name is empty. Nothing is asked for while one is under way: the server would do both in one
        # order or the other, and what begins then looks alike.
        running: tuple[str, float] | None = "", time.monotonic()
        while not self.stopping.is_set():
            now = time.monotonic()
            if running is None and due and min(due.values()) <= now:
                fragment = min(due, key=lambda name: due[name])
                due[fragment] = now + intervals[fragment]
                self._request_page(connection, fragment)
                running = fragment, now
            message = self._receive(connection)
            if message is None:
                continue
            kind = message.WhichOneof("type")
            if (kind == "new_session" and running is None) or _is_followed_by_full_run(message):
                intervals.clear()
                due.clear()  # it arms its timers anew
                running = "", time.monotonic()
            elif kind == "auto_rerun":
                timer = message.auto_rerun
                intervals[timer.fragment_id] = timer.interval
                due[timer.fragment_id] = time.monotonic() + timer.interval
            elif kind == "script_finished" and running is not None:
                if intervals.get(running[0]) == REFRESH_SECONDS:
                    self.durations.append(time.monotonic() - running[1])
                running = None

    def _receive(self, connection: ClientConnection) -> ForwardMsg | None:
        try:
            content = connection.recv(0.02)
        except TimeoutError:
            return None
        self.messages += 1
        self.size += len(content)
        message = ForwardMsg()
        message.ParseFromString(content if isinstance(content, bytes) else content.encode())
        return message

    def _request_page(self, connection: ClientConnection, fragment: str) -> None:
        message = BackMsg()
        message.rerun_script.query_string = f"refresh={REFRESH_SECONDS}"
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = bool(fragment)
        message.rerun_script.context_info.timezone = "America/New_York"
        connection.send(message.SerializeToString())


def _is_followed_by_full_run(message: ForwardMsg) -> bool:
    """Whether a run was ended for the sake of another one, of the whole script."""
    return message.WhichOneof("type") == "script_finished" and (
        message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN
    )


@contextmanager
def serving(
    positions: int, *, ours: bool, script: Path = SCRIPT, **more: str
) -> Iterator[tuple[int, psutil.Process]]:
    """The page's server on a free port, with a run of this size and `more` in its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (
        "--server.headless",
        "true",
        "--server.address",
        "127.0.0.1",
        "--browser.gatherUsageStats",
        "false",
    )
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port), *options]
    chosen = {"BENCH_POSITIONS": str(positions), "BENCH_FREEZE": "1" if ours else "", **more}
    environment = {**os.environ, **chosen}
    folder = tempfile.TemporaryDirectory()
    server = subprocess.Popen(
        command, cwd=OUR_FOLDER if ours else folder.name, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while not _answers(port):
            if time.monotonic() > deadline or server.poll() is not None:
                sys.exit("the page's server did not start")
            time.sleep(0.1)
        yield port, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()
        folder.cleanup()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def cpu_shares(processes: Sequence[psutil.Process], seconds: float) -> list[float]:
    """Percent of a core that each of the processes takes, meanwhile."""
    before, began = [process.cpu_times() for process in processes], time.monotonic()
    time.sleep(seconds)
    after, ended = [process.cpu_times() for process in processes], time.monotonic()
    return [
        100 * (now.user + now.system - was.user - was.system) / (ended - began)
        for was, now in zip(before, after, strict=True)
    ]


@contextmanager
def watching(port: int, viewers: int) -> Iterator[list[Viewer]]:
    """So many viewers, each on a thread of its own."""
    url = f"ws://127.0.0.1:{port}/_stcore/stream"
    tabs = [Viewer(url) for _ in range(viewers)]
    threads = [threading.Thread(target=tab.watch, daemon=True) for tab in tabs]
    for thread in threads:
        thread.start()
    try:
        yield tabs
    finally:
        for tab, thread in zip(tabs, threads, strict=True):
            tab.stopping.set()
            thread.join()


@dataclass(frozen=True, slots=True)
class Taken:
    """What so many viewers took together."""

    viewers: int
    share: float  # percent of a core, less what the server takes without them
    durations: list[float]  # milliseconds of each refresh
    messages: float  # of one refresh, those of the slower fragment spread over them
    kilobytes: float

    @property
    def words(self) -> str:
        """The columns of the table."""
        ranked = sorted(self.durations)
        return (
            f"{self.viewers:>7} {self.share:7.2f} % {statistics.median(ranked):7.1f} ms "
            f"{ranked[int(0.95 * len(ranked))]:6.1f} ms {ranked[-1]:6.1f} ms {self.messages:8.1f} {self.kilobytes:7.1f}"
        )


@dataclass(frozen=True, slots=True)
class Page:
    """What is served."""

    positions: int
    ours: bool = True  # with our settings of Streamlit, and of its collector
    floor_kilobytes: int = 0  # of the floor; 0: it is our page

    @contextmanager
    def served(self) -> Iterator[tuple[int, psutil.Process]]:
        """The port, and the server."""
        script = FLOOR if self.floor_kilobytes else SCRIPT
        more = {"BENCH_BYTES": str(self.floor_kilobytes * 1024)}
        with serving(self.positions, ours=self.ours, script=script, **more) as served:
            yield served


def measure(pages: Sequence[Page], viewers: Sequence[int]) -> list[list[Taken]]:
    """What each of these numbers of viewers takes of each page, one number after the other, of all pages at once."""
    with ExitStack() as served:
        servers = [served.enter_context(page.served()) for page in pages]
        with ExitStack() as first:
            for port, _ in servers:
                first.enter_context(watching(port, 1))
            # The first viewer's imports, and the start of the run, are nobody's steady state.
            time.sleep(2 * SETTLING_SECONDS)
        time.sleep(SETTLING_SECONDS)
        alone = cpu_shares([process for _, process in servers], IDLE_SECONDS)
        return [_watched(servers, count, alone) for count in viewers]


def _watched(
    servers: Sequence[tuple[int, psutil.Process]], viewers: int, alone: Sequence[float]
) -> list[Taken]:
    with ExitStack() as open_tabs:
        pages = [open_tabs.enter_context(watching(port, viewers)) for port, _ in servers]
        tabs = [tab for page in pages for tab in page]
        deadline = time.monotonic() + OPENING_SECONDS
        while not all(len(tab.durations) > FULL_AT_FIRST for tab in tabs):
            if time.monotonic() > deadline:
                sys.exit(
                    f"no {FULL_AT_FIRST} refreshes in {OPENING_SECONDS:g} s: the machine is too busy to measure"
                )
            time.sleep(0.1)
        for tab in tabs:
            tab.forget()
        shares = cpu_shares([process for _, process in servers], WATCHED_SECONDS)
        return [_taken(page, share - idle) for page, share, idle in zip(pages, shares, alone, strict=True)]


def _taken(tabs: Sequence[Viewer], share: float) -> Taken:
    durations = [1e3 * seconds for tab in tabs for seconds in tab.durations]
    messages, size = sum(tab.messages for tab in tabs), sum(tab.size for tab in tabs)
    refreshes = len(durations)
    if not refreshes:
        sys.exit(f"no refresh in {WATCHED_SECONDS:g} s: the machine is too busy to measure")
    return Taken(len(tabs), share, durations, messages / refreshes, size / refreshes / 1024)


def beside_seeding(flag: Path) -> tuple[list[float], list[float], int]:
    """Milliseconds of each refresh while nothing is asked for, and while prices are, in turn; and how many requests."""
    quiet: list[float] = []
    busy: list[float] = []
    faults = Faults(rest_slow=ANSWER_SECONDS)
    with SimulatorServer(SilentMarket(start_ns=NOW_NS), faults=faults) as market:
        quote_all(market)
        more = {"BENCH_REST": market.stream_url, "BENCH_SEED_WHILE": str(flag)}
        with (
            serving(SEEDED_POSITIONS, ours=True, script=SCRIPT, **more) as (port, _),
            watching(port, VIEWERS) as tabs,
        ):
            time.sleep(SETTLING_SECONDS)
            for index in range(2 * SEED_ROUNDS):
                is_busy = index % 2 == 1
                flag.touch() if is_busy else flag.unlink(missing_ok=True)
                time.sleep(1)
                for tab in tabs:
                    tab.forget()
                time.sleep(WATCHED_SECONDS / 2)
                taken = busy if is_busy else quiet
                taken.extend(1e3 * seconds for tab in tabs for seconds in tab.durations)
        return quiet, busy, sum(market.requests.values())


def quote_all(market: SimulatorServer) -> None:
    """Give every symbol a latest quote and trade, so that answers are as long as Alpaca's."""
    stamp = timestamp_extension(NOW_NS)
    contracts = [item.live_symbol for item in singles(SEEDED_POSITIONS).instruments]
    for stream, symbols in ((StreamName.STOCKS, UNDERLYINGS), (StreamName.OPTIONS, contracts)):
        for kind, facts in (("q", {"bp": 1.0, "ap": 1.1, "bs": 1, "as": 1}), ("t", {"p": 1.05, "s": 1})):
            market.push(stream, [{"T": kind, "S": symbol, "t": stamp, **facts} for symbol in symbols])


def greeks_words() -> str:
    """Of how many of the legs there is a delta, by size."""
    found = []
    for positions in SIZES:
        book = singles(positions)
        look = look_at_book(
            book, snapshot_of(book), RiskChoices(), stale_after_seconds=30, wide_spread_pct=25
        )
        found.append(look.risk.sums.delta.coverage.words)
    return ", ".join(found)


def main() -> None:
    """One and ten viewers of 50 and of 250 positions beside the floor, the other ways, and refreshes beside seeding."""
    print(f"One refresh a second, {WATCHED_SECONDS:g} s each; Greeks of {greeks_words()}")
    print(f"{'':26}{'viewers':>7} {'CPU':>9} {'p50':>10} {'p95':>9} {'max':>9} {'messages':>8} {'KB':>7}")
    ours: dict[int, list[Taken]] = {}
    for positions in SIZES:
        pages = (Page(positions), Page(0, floor_kilobytes=FLOOR_KILOBYTES[positions]))
        taken = measure(pages, (1, MANY))
        ours[positions] = [one for one, _ in taken]
        for one, of_floor in taken:
            ratios = (
                f"{one.share / of_floor.share:6.1f}x floor {one.share / taken[0][0].share:6.1f}x one viewer"
            )
            print(f"{f'{positions:,} positions':26}{one.words} {ratios}")
            print(f"{'  floor':26}{of_floor.words}", flush=True)
    for positions, as_ours in ((50, False), (20, True), (1_000, True)):
        ((one,),) = measure((Page(positions, ours=as_ours),), (1,))
        print(
            f"{f'{positions:,} positions' + ('' if as_ours else ', as it comes'):26}{one.words}", flush=True
        )
    one, many = ours[SIZES[0]]
    further = (many.share - one.share) / (MANY - 1)
    print(f"each further viewer of {SIZES[0]} positions takes {further / one.share:.2f} of the first")
    assert further < one.share / 2, f"{MANY} viewers take {many.share / one.share:.1f} times one's share"
    for alone, _ in ours.values():
        assert alone.messages < MOST_MESSAGES, f"{alone.messages:.1f} messages a refresh"
    assert ours[SIZES[-1]][0].kilobytes <= MOST_KILOBYTES, f"{ours[SIZES[-1]][0].kilobytes:.0f} KB a refresh"
    with tempfile.TemporaryDirectory() as folder:
        quiet, busy, requests = beside_seeding(Path(folder) / "seed")
    assert requests > SEED_ROUNDS, f"only {requests} requests: nothing was asked for"
    before, beside = statistics.median(quiet), statistics.median(busy)
    print(
        f"{SEEDED_POSITIONS} positions: refresh p50 {before:.1f} ms, while prices are asked for {beside:.1f} ms "
        f"(max {max(quiet):.0f} and {max(busy):.0f} ms, {requests} requests): {beside / before:.2f}x"
    )
    assert beside < 1.5 * before, f"seeding makes a refresh {beside / before:.2f} times as long"


if __name__ == "__main__":
    main()
