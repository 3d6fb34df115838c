"""What every test stands on: no stray threads, no real credentials, any clock, recorded data and a browser."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import socket
import threading
import zlib
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from options_helper.clock import utc_now
from options_helper.data.network import BYPASS_VARIABLES, PROXY_VARIABLES
from options_helper.settings import ENV_PREFIXES
from tests.kit.moved_clock import FOLDERS_LEFT_OUT, left_out, moment, move_clock
from tests.kit.pace import runs
from tests.kit.recordings import Recordings
from tests.kit.waiting import AT_ONCE, wait_until

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent
# Tests in these folders have a marker of the same name.
CIRCLES = ("wire", "faults", "browser")
SLOW = ("browser", "processes", "days", "real_data", "exhaustive", "faults")
# Tests in these folders each wait or work for themselves; those of a module elsewhere share what was read, made or
# worked out.
ALONE = ("wire", "faults", "commands", "portal", "days")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OWNED_THREADS = ("live-", "simulator", "doctor-", "parent-watch")

# How fast a shared machine draws examples says nothing about the code. Each run draws others, and check-long ten times
# as many.
hypothesis.settings.register_profile(
    "shared machine",
    max_examples=runs(25, 250),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("shared machine")
# Another day needs no more than a few of them.
hypothesis.settings.register_profile(
    "any day", hypothesis.settings.get_profile("shared machine"), max_examples=10
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that moves the clock."""
    parser.addoption(
        "--at",
        metavar="INSTANT",
        help="run the tests of one process as if it were then: 2028-02-29T15:00:00+00:00",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Move the clock, in each worker as well, and choose the simulated days for all workers."""
    os.environ.setdefault("DAYS_FROM", str(_first_day()))
    at = config.getoption("--at")
    if at is None:
        return
    try:
        instant = moment(at)
    except ValueError as error:
        raise pytest.UsageError(f"--at: {error}") from error
    hypothesis.settings.load_profile("any day")
    move_clock(config, instant)


def _first_day() -> int:
    """The first simulated day of a run: each state of the product has days of its own, and the same ones each time.

    So they are fresh with every change, and whoever runs a commit again finds what its author did, or nothing.
    """
    found = 0
    for path in sorted((REPOSITORY / "options_helper").rglob("*.py")):
        found = zlib.crc32(path.read_bytes(), found)
    return found


def pytest_report_header() -> list[str]:
    """Say which time it is for the tests, and which simulated days they play."""
    return [
        f"clock: {utc_now().astimezone().isoformat(timespec='seconds')}",
        f"simulated days: DAYS_FROM={os.environ['DAYS_FROM']} repeats them",
    ]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two workers for each processor: tests wait for more than half of their time."""
    return min(2 * (os.cpu_count() or 1), 16)


class TestsTogether(LoadScopeScheduling):  # type: ignore[misc]
    """What one worker does in one go, in the order of the collection: a test, a module, or a chain with Chromium.

    There are two of these. The browser tests of a module share a server and a Chromium; without a graphics card this
    draws on the processors that the others need, so there are never more than two of it. The module with the most
    tests takes as long as the rest.
    """

    def _split_scope(self, nodeid: str) -> str:
        if in_folder(nodeid, "browser"):
            return "live portfolio" if "/test_live_portfolio_in_a_browser.py::" in nodeid else "browser"
        return nodeid if any(in_folder(nodeid, name) for name in ALONE) else nodeid.partition("::")[0]


def in_folder(nodeid: str, name: str) -> bool:
    """Whether a test is in a folder of this name."""
    return f"/{name}/" in nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TestsTogether:
    """Share out the tests in this way."""
    # By the number of their tests, modules of many short ones would begin before the slow tests.
    config.option.loadscopereorder = False
    return TestsTogether(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Spare a run with a moved clock the import of what it leaves out."""
    moved = config.getoption("--at") is not None
    return True if moved and collection_path.name in FOLDERS_LEFT_OUT else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without looking for garbage, and look for none in what was collected while the tests run.

    Nine thousand tests are a million objects that stay, in each worker.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test with the folder it is in, and with what it asks for."""
    for circle in set(CIRCLES).intersection(item.path.relative_to(TESTS).parts):
        item.add_marker(circle)
    if "real_data" in getattr(item, "fixturenames", ()):
        item.add_marker("real_data")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, since the last test decides when a parallel run ends."""
    if config.getoption("--at") is not None:
        config.hook.pytest_deselected(items=[item for item in items if left_out(item)])
        items[:] = [item for item in items if not left_out(item)]
    items.sort(key=slowness)


def slowness(item: pytest.Item) -> int:
    """The place of a test's kind in a run: the browser's first, which are the longest chains."""
    return next((place for place, name in enumerate(SLOW) if item.get_closest_marker(name)), len(SLOW))


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Fail a test that ends while a thread it started still runs."""
    before = set(threading.enumerate())
    yield
    started = [thread for thread in threading.enumerate() if thread not in before]
    owned = [thread for thread in started if thread.name.startswith(OWNED_THREADS)]
    for thread in owned:
        thread.join(timeout=AT_ONCE)
    left = [thread.name for thread in owned if thread.is_alive()]
    assert not left, f"the test left threads running: {', '.join(left)}"


@pytest.fixture(scope="session")
def folders_nobody_made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One after the other; of nine thousand tests most need no folder that is there."""
    base = tmp_path_factory.getbasetemp() / "not-made"
    return (base / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def no_real_credentials(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folders_nobody_made: Iterator[Path]
) -> None:
    """Hide the developer's own keys, so that no test can reach an account, and the way out of their network."""
    for name in os.environ:
        if name.startswith((*ENV_PREFIXES, "OH_")) or name in (*PROXY_VARIABLES, *BYPASS_VARIABLES):
            monkeypatch.delenv(name)
    # What a test puts beside that file, its accounts for one, it puts into its own folder.
    has_folder = "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") if has_folder else next(folders_nobody_made)
    monkeypatch.setattr("options_helper.settings.DEFAULT_ENV_FILE", folder / "no-alpaca.env")


@pytest.fixture(autouse=True)
def no_other_computer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test's own process connect to this computer only; whoever catches the error, the test fails."""
    strangers: list[str] = []

    def here_only(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
        def connect_here(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
                strangers.append(str(address[0]))
                raise ConnectionRefusedError(f"a test wanted to connect to {address[0]}")
            return connect(self, address)

        return connect_here

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, here_only(getattr(socket.socket, name)))
    yield
    assert strangers == [], "a test wanted to connect to another computer"


@pytest.fixture(autouse=True)
def no_connection_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which an event loop is closed over an open connection.

    The collector finds it later, closes it and complains, in the midst of a test that has no part in it.
    """
    left: list[str] = []
    close = BaseSelectorEventLoop.close

    def look_and_close(loop: Any) -> None:
        # Each transport that still has a socket; with TLS it is the one underneath.
        left.extend(repr(one) for one in list(loop._transports.values()) if one._sock is not None)  # noqa: SLF001
        close(loop)

    monkeypatch.setattr(BaseSelectorEventLoop, "close", look_and_close)
    yield
    assert left == [], "an event loop was closed over open connections"


@pytest.fixture(autouse=True)
def no_socket_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that still refers to an open socket which it had connected or accepted, for the same reason."""
    # Of a server whose thread may accept one while this looks.
    lock, met = threading.Lock(), WeakSet[socket.socket]()

    def meet(one: socket.socket) -> None:
        with lock:
            met.add(one)

    def still_open() -> list[str]:
        with lock:
            found = list(met)
        return [repr(one) for one in found if one.fileno() != -1]

    accept, connect, connect_ex = socket.socket.accept, socket.socket.connect, socket.socket.connect_ex

    def accepted(self: socket.socket) -> tuple[socket.socket, Any]:
        other, address = accept(self)
        meet(other)
        return other, address

    def connected(self: socket.socket, address: Any) -> None:
        meet(self)
        connect(self, address)

    def connected_ex(self: socket.socket, address: Any) -> int:
        meet(self)
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "accept", accepted)
    monkeypatch.setattr(socket.socket, "connect", connected)
    monkeypatch.setattr(socket.socket, "connect_ex", connected_ex)
    yield
    wait_until(lambda: not still_open(), saw=still_open)


@pytest.fixture(autouse=True)
def state_of_its_own(monkeypatch: pytest.MonkeyPatch, folders_nobody_made: Iterator[Path]) -> None:
    """Keep heartbeats and budgets of a test out of the developer's own state folder, and out of the test's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(next(folders_nobody_made)))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of recorded market data, which lies beside the repository and is never copied into it."""
    folder = REPOSITORY.parent / "shared" / "data" / "real"
    if not folder.is_dir():
        pytest.skip("the recorded market data is not beside this checkout (../shared/data/real)")
    return folder


@pytest.fixture(scope="session")
def recordings(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """The recorded market data in the layout of a capture, for all tests of this run to read."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    shared = folder / "recordings"
    shared.mkdir(exist_ok=True)
    return Recordings(real_data, shared)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium to drive."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium is installed; on Debian or Ubuntu: apt-get install chromium")
