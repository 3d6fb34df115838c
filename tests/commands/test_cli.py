"""What a person at a terminal meets: sentences, exit codes, and a page that opens and ends as one thing."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from options_helper import __version__
from options_helper.cli import main
from options_helper.commands import page_launcher
from options_helper.data.breeze.account import BreezeAccount
from options_helper.errors import ConfigError
from options_helper.settings import BREEZE_VARIABLES, BreezeSettings, Settings
from tests.kit.programs import Program
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until

pytestmark = pytest.mark.processes


def command(*arguments: str, cwd: Path, python: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself; `python` runs first, in the same process."""
    program = f"{python}\nfrom options_helper.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=A_PROCESS,
        check=False,
    )


class OpenPage:
    """A running `options-helper ui`."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.launcher = psutil.Process(process.pid)
        (self.server,) = self.launcher.children()

    def end_by(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(AT_ONCE)
        psutil.wait_procs([self.server], timeout=AT_ONCE)


@contextlib.contextmanager
def open_page(*arguments: str, cwd: Path) -> Iterator[OpenPage]:
    words = ("ui", "--no-browser", "--port", "0", *arguments)
    # As at a terminal: Ctrl-C reaches the whole foreground group.
    with Program(*words, cwd=cwd, stderr=None, start_new_session=True) as process:
        family = []
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            url = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert url, f"no address in {line!r}"
            family = psutil.Process(process.pid).children(recursive=True)
            yield OpenPage(process, url[0])
        finally:
            process.kill()
            for child in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()


def get(url: str) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=AT_ONCE)
    with contextlib.closing(connection):
        connection.request("GET", parts.path)
        return connection.getresponse().status


def answers(netloc: str) -> bool:
    host, _, port = netloc.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def has_ended(process: psutil.Process) -> bool:
    """Gone, or waiting to be collected by a parent that is not ours."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class NoMarket(contextlib.nullcontext[dict[str, str]]):
    """Fails to start, so that the page is not served after all."""

    def __enter__(self) -> dict[str, str]:
        raise InterruptedError


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_version_is_said(tmp_path: Path):
    assert command("--version", cwd=tmp_path).stdout == f"options-helper {__version__}\n"


def test_an_error_for_the_user_is_a_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(sys, "argv", ["options-helper", "ui", "--portfolio", str(tmp_path / "mine.json")])

    with pytest.raises(SystemExit, match="2"):
        main()

    assert (
        capsys.readouterr().err
        == f"--portfolio {tmp_path / 'mine.json'}: there is no such file. Check the path.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ui", "--demo", "--replay", "."], "--demo and --replay are two different markets"),
        (["ui", "--demo", "--speed", "2"], "--speed is the pace of a replay"),
        (["ui", "--replay", ".", "--speed", "-1"], "--speed -1 is no pace"),
        (["simulate", "--replay", "nowhere"], "--replay nowhere: there is no such folder"),
        (["simulate", "--breeze", "--port", "9"], "--breeze serves a market of its own"),
        (["simulate", "--fault", "gremlins"], "--fault gremlins: there is no fault of that name"),
    ],
)
def test_a_contradiction_is_a_sentence(arguments: list[str], sentence: str, tmp_path: Path):
    ended = command(*arguments, cwd=tmp_path)

    assert ended.returncode == 2
    assert ended.stderr.startswith(sentence)
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_a_sentence(taken_port: int, tmp_path: Path):
    ended = command("ui", "--no-browser", "--port", str(taken_port), cwd=tmp_path)

    assert ended.returncode == 2
    assert ended.stderr == (
        f"Port {taken_port} on 127.0.0.1 is taken, perhaps by another dashboard. "
        f"Close that, or choose another: --port {taken_port + 1}\n"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "x" * 300])
def test_a_host_that_is_not_here_is_a_sentence(host: str):
    with pytest.raises(ConfigError, match="it is no address of this computer"):
        page_launcher.claim_address(host, 0)


@pytest.mark.parametrize(("module", "extra"), [("streamlit", "ui"), ("alpaca", "alpaca")])
def test_a_missing_extra_is_a_sentence(module: str, extra: str, tmp_path: Path):
    ended = command("ui", cwd=tmp_path, python=f"import sys; sys.modules[{module!r}] = None")

    assert ended.returncode == 2
    assert ended.stderr == (
        f"The page needs the extra {extra}. Install it: pip install 'options-helper[ui,alpaca]'\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_page_opens_without_keys_and_one_signal_ends_everything(number: signal.Signals, tmp_path: Path):
    with open_page(cwd=tmp_path) as page:
        assert get(f"{page.url}/_stcore/health") == 200
        assert get(f"{page.url}/Live_Portfolio") == 200

        page.end_by(number)

        assert page.process.returncode == 0
        assert has_ended(page.server)


def test_a_demo_brings_its_own_keys_and_ends_with_its_market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A user's real keys are for Alpaca, whatever is in the environment."""
    monkeypatch.setenv("APCA_API_KEY_ID", "PKREAL")
    monkeypatch.setenv("OH_ALPACA_STOCK_FEED", "sip")
    with open_page("--demo", cwd=tmp_path) as page:
        given = page.server.environ()
        market = urlsplit(given["OH_ALPACA_STREAM_URL"])

        assert (given["APCA_API_KEY_ID"], given["APCA_API_SECRET_KEY"]) == ("demo-key", "demo-secret")
        assert given["APCA_API_BASE_URL"] == given["OH_ALPACA_DATA_URL"] == f"http://{market.netloc}"
        assert given["OH_ALPACA_STOCK_FEED"] == "iex"
        assert Path(given["OH_PORTFOLIO"]).is_file()
        assert answers(market.netloc)

        page.end_by(signal.SIGINT)

        assert not answers(market.netloc)


@contextlib.contextmanager
def simulating(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A market that is served; ended at the end, however that comes."""
    with Program("simulate", *arguments, cwd=cwd, stderr=None) as process:
        try:
            yield process
        finally:
            process.kill()


def exported_by(process: subprocess.Popen[str], lines: int) -> dict[str, str]:
    """The variables that it prints in so many lines."""
    assert process.stdout is not None
    printed = "".join(process.stdout.readline() for _ in range(lines))
    return dict(re.findall(r"export (\w+)=(\S+)", printed))


def test_simulate_prints_what_leads_a_client_there_and_ends_by_a_signal(repository: Path, tmp_path: Path):
    portfolio = str(repository / "portfolio.json")
    with simulating("--portfolio", portfolio, "--fault", "mute", cwd=tmp_path) as process:
        exported = exported_by(process, 8)

        assert answers(urlsplit(exported["APCA_API_BASE_URL"]).netloc)
        assert Settings.load(exported).has_credentials

        process.send_signal(signal.SIGTERM)
        assert process.wait(AT_ONCE) == 0


def test_simulate_serves_a_fake_breeze_where_that_is_asked_for(tmp_path: Path):
    with simulating("--breeze", cwd=tmp_path) as process:
        exported = exported_by(process, 1 + len(BREEZE_VARIABLES))

        assert BreezeAccount(BreezeSettings.load(exported)).log_in().user == "DEMOUSER"

        process.send_signal(signal.SIGTERM)
        assert process.wait(AT_ONCE) == 0


def test_a_folder_without_a_recording_is_a_sentence(tmp_path: Path):
    ended = command("ui", "--replay", ".", "--no-browser", cwd=tmp_path)

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr


def test_every_fault_can_be_listed(tmp_path: Path):
    listed = command("simulate", "--fault", "list", cwd=tmp_path)

    assert re.search(r"^auth_error +answer the authentication", listed.stdout, flags=re.MULTILINE)


def test_a_broken_portfolio_ends_a_demo_with_a_sentence(tmp_path: Path):
    broken = tmp_path / "mine.json"
    broken.write_text('{"positions": [{"id": "a"', encoding="utf-8")

    ended = command("ui", "--demo", "--portfolio", str(broken), cwd=tmp_path)

    assert ended.returncode == 2
    assert ended.stderr.startswith("mine.json")
    assert "Traceback" not in ended.stderr


def test_a_killed_launcher_leaves_no_orphan(tmp_path: Path):
    """The page's process would keep the account's one connection."""
    with open_page(cwd=tmp_path) as page:
        page.process.kill()

        wait_until(lambda: has_ended(page.server))


def test_a_page_that_ends_by_itself_ends_the_launcher_with_a_sentence(tmp_path: Path):
    with open_page(cwd=tmp_path) as page:
        page.server.kill()

        assert page.process.wait(AT_ONCE) == 2


def test_the_page_listens_on_this_computer_only_and_asks_nobody_for_its_address(tmp_path: Path):
    with open_page(cwd=tmp_path) as page:
        listening = {entry.laddr.ip for entry in page.server.net_connections() if entry.status == "LISTEN"}

        command_line = page.server.cmdline()

    assert listening == {"127.0.0.1"}
    # Streamlit asks a server on the internet for our address, unless it is told one.
    assert "--browser.serverAddress" in command_line


def test_a_file_in_the_working_folder_stands_in_for_no_module(tmp_path: Path):
    (tmp_path / "streamlit.py").write_text("raise SystemExit('the wrong module')", encoding="utf-8")

    with open_page(cwd=tmp_path) as page:
        assert get(f"{page.url}/_stcore/health") == 200


def test_serving_others_names_the_hosts_a_browser_may_ask_for():
    address = page_launcher.Address("0.0.0.0", 8501)  # noqa: S104 - what a user would type
    environment = page_launcher.page_environment(address, None)

    assert not address.loopback
    assert address.url == "http://127.0.0.1:8501"
    assert socket.gethostname() in environment["STREAMLIT_SERVER_ALLOWED_HOSTS"].split(" ")


def test_serving_others_is_said_loudly():
    said: list[str] = []

    with pytest.raises(InterruptedError):
        page_launcher.open_page("0.0.0.0", 0, portfolio=None, market=NoMarket({}), say=said.append)  # noqa: S104

    assert said[0].startswith("WARNING: everybody who can reach 0.0.0.0:")
    assert "asks for no password" in said[0]


def test_at_home_the_pages_own_list_of_hosts_stands():
    assert "STREAMLIT_SERVER_ALLOWED_HOSTS" not in page_launcher.page_environment(
        page_launcher.Address("::1", 8501), None
    )
    assert page_launcher.Address("::1", 8501).url == "http://[::1]:8501"


def test_the_page_is_told_where_the_portfolio_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    environment = page_launcher.page_environment(page_launcher.Address("127.0.0.1", 1), Path("mine.json"))

    assert environment["OH_PORTFOLIO"] == str(tmp_path / "mine.json")
    assert environment["OH_PORTFOLIO_ROOTS"] == str(tmp_path)
    assert environment["OH_PARENT_PID"] == str(os.getpid())
    assert "OH_PORTFOLIO_SOURCE" not in environment


def test_the_page_is_told_to_begin_with_the_account():
    address = page_launcher.Address("127.0.0.1", 1)
    environment = page_launcher.page_environment(address, None, from_account=True)
    assert environment["OH_PORTFOLIO_SOURCE"] == "account"


def test_a_browser_opens_only_where_there_is_a_display(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    assert page_launcher.has_display()

    monkeypatch.delenv("DISPLAY")
    assert not page_launcher.has_display()
