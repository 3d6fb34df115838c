"""Certificates, proxies and names with several addresses: the real clients on the way out, streams and REST alike."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from options_helper.data.network import (
    CERTIFICATE_VARIABLES,
    PROXY_VARIABLES,
    readable_roots,
    tls_context,
    trusted_roots,
)
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.rate_limit import RestPolicy
from options_helper.data.streaming.alpaca_stream import AlpacaOptionStreamer, AlpacaStockStreamer
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.breeze.streamer import BreezeStreamer, Pass
from options_helper.data.streaming.connection.alpaca_sdk import ConnectionTiming
from options_helper.data.streaming.connection.connection_runner import LoggingSink
from options_helper.data.streaming.connection.reading_pause import PAUSE_SECONDS
from options_helper.errors import ConfigError, OptionsHelperError, StreamError, StreamRefused
from options_helper.model.streams import StreamName
from options_helper.settings import DEMO_KEY, DEMO_SECRET, BreezeSettings, Settings
from options_helper.simulator.breeze.server import BreezeServer
from options_helper.simulator.server import SimulatorServer
from tests.kit.fakes import frame, quote_message
from tests.kit.waiting import AT_ONCE, wait_until

ONE_TRY = RestPolicy(attempts=1)
SOON = ConnectionTiming(opening=0.5, acknowledgement=AT_ONCE)

StartSimulator = Callable[..., SimulatorServer]


class Certificate(NamedTuple):
    """Of 127.0.0.1, signed by itself."""

    file: Path
    key: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A fresh one; without openssl there is nothing to make it with."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificate")
    made = Certificate(folder / "server.pem", folder / "server.key")
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(made.key), "-out", str(made.file)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's own shell says of certificates and proxies counts for nothing here."""
    for name in (
        *CERTIFICATE_VARIABLES,
        *PROXY_VARIABLES,
        "http_proxy",
        "HTTP_PROXY",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


class Between:
    """Something on the way: what ends the encryption, or a proxy. `said` is what each connection began with."""

    def __init__(
        self, target: str, *, tls: ssl.SSLContext | None = None, answer: bytes | None = None
    ) -> None:
        self._target = urlsplit(target)
        self._tls = tls
        self._answer = answer  # of a proxy, to each CONNECT; one with "200" lets through
        self.said: list[bytes] = []
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="in between", daemon=True)
        self._thread.start()
        assert self._listening.wait(AT_ONCE)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(AT_ONCE)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda *_: None)  # a refused handshake is what some tests want
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end(server))
        self._loop.close()

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self._answer is not None:
                self.said.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self._answer)
                if b" 200 " not in self._answer:
                    await writer.drain()
                    return writer.close()
            there, out = await asyncio.open_connection(self._target.hostname, self._target.port)
            self._writers.append(out)
            await asyncio.gather(self._pump(reader, out), self._pump(there, writer))
        return writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await reader.read(65_536):
            if self._answer is None:
                self.said.append(block)
            writer.write(block)
        writer.close()


Putting = Callable[..., Between]


@pytest.fixture
def between() -> Iterator[Putting]:
    """Put something between a client and a server; the test's end takes it away."""
    made: list[Between] = []

    def put(target: str, **options: Any) -> Between:
        made.append(Between(target, **options))
        return made[-1]

    yield put
    for each in made:
        each.close()


@pytest.fixture
def encrypted(running_simulator: StartSimulator, certificate: Certificate, between: Putting) -> Between:
    """A simulator behind encryption, with a certificate that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    return between(running_simulator().rest_url, tls=context)


def settings_to(port: int, *, scheme: str = "s", host: str = "127.0.0.1") -> Settings:
    return Settings(
        api_key=SecretStr(DEMO_KEY),
        api_secret=SecretStr(DEMO_SECRET),
        base_url=f"http{scheme}://{host}:{port}",
        data_url=f"http{scheme}://{host}:{port}",
        stream_url=f"ws{scheme}://{host}:{port}",
    )


def ask_rest(settings: Settings) -> None:
    with AlpacaRest(settings, policy=ONE_TRY) as rest:
        assert "timestamp" in rest.clock()


class Acknowledged(LoggingSink):
    """Leaves as soon as the stream is acknowledged."""

    def __init__(self) -> None:
        self.symbols: tuple[str, ...] = ()
        self.is_acknowledged = False
        self.leave: Callable[[], None] = lambda: None

    def subscribed(self, requested: Any, acknowledged: Any, refusals: Any) -> None:
        super().subscribed(requested, acknowledged, refusals)
        self.symbols = tuple(acknowledged)
        self.is_acknowledged = True
        self.leave()


def open_stream(settings: Settings, timing: ConnectionTiming | None = None) -> None:
    sink = Acknowledged()
    streamer = AlpacaStockStreamer(
        settings, feed="iex", sink=sink, timing=timing or ConnectionTiming(opening=AT_ONCE)
    )
    streamer.subscribe(("SPY",), channels=("quotes",))
    sink.leave = streamer.stop
    streamer.run()
    assert sink.symbols == ("SPY",)


def open_option_stream(settings: Settings) -> None:
    sink = Acknowledged()
    contract = "SPY301220C00600000"
    options = AlpacaOptionStreamer(
        settings, feed="indicative", sink=sink, timing=ConnectionTiming(opening=AT_ONCE)
    )
    options.subscribe((contract,), channels=("quotes",))
    sink.leave = options.stop
    options.run()
    assert sink.symbols == (contract,)


def open_order_stream(settings: Settings) -> None:
    sink = Acknowledged()
    orders = AlpacaTradingStreamer(settings, sink=sink, timing=ConnectionTiming(opening=AT_ONCE))
    orders.subscribe_trade_updates()
    sink.leave = orders.stop
    orders.run()
    assert sink.is_acknowledged


@pytest.mark.parametrize("ask", [open_option_stream, open_order_stream], ids=["options", "orders"])
def test_options_and_orders_take_the_same_way_out(
    encrypted: Between,
    certificate: Certificate,
    between: Putting,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[Settings], None],
):
    proxy = between(f"http://127.0.0.1:{encrypted.port}", answer=b"HTTP/1.1 200 Connected\r\n\r\n")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))

    ask(settings_to(encrypted.port))

    assert len(proxy.said) == 1


class Unhurried(Acknowledged):
    """Notes when it was asked whether what comes next may wait, and when frames came."""

    def __init__(self, *, is_patient: bool = True) -> None:
        super().__init__()
        self._is_patient = is_patient
        self.asked: list[float] = []
        self.came: list[float] = []

    def may_wait(self) -> bool:
        self.asked.append(time.monotonic())
        return self._is_patient

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        self.came.append(time.monotonic())

    @property
    def has_paused(self) -> bool:
        """Whether something came after a pause."""
        return len(self.asked) > 3 and self.came[-1] > self.asked[3]


@pytest.mark.parametrize("scheme", ["", "s"], ids=["plain", "TLS"])
def test_what_follows_is_read_after_a_pause_and_none_of_it_is_lost(
    running_simulator: StartSimulator,
    certificate: Certificate,
    between: Putting,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
):
    server = running_simulator()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if scheme else None
    if context is not None:
        context.load_cert_chain(certificate.file, certificate.key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    port = between(server.rest_url, tls=context).port
    sink = Unhurried()
    streamer = AlpacaStockStreamer(
        settings_to(port, scheme=scheme),
        feed="iex",
        sink=sink,
        timing=ConnectionTiming(opening=AT_ONCE),
    )
    streamer.subscribe(("SPY",), channels=("quotes",))
    reader = threading.Thread(target=streamer.run, daemon=True)
    reader.start()
    try:
        wait_until(lambda: sink.is_acknowledged)
        sent = 0
        while sent < 200 or not sink.has_paused:
            server.push_frame(StreamName.STOCKS, frame(quote_message("SPY")))
            server.flush()
            sent += 1
        wait_until(lambda: len(sink.came) >= sent, saw=lambda: len(sink.came))
    finally:
        streamer.stop()
        reader.join(AT_ONCE)

    assert len(sink.came) == sent
    assert not [
        (asked, came) for asked in sink.asked for came in sink.came if asked < came < asked + PAUSE_SECONDS
    ]


BOTH = pytest.mark.parametrize("ask", [ask_rest, open_stream], ids=["REST", "streams"])
Asking = Callable[[Settings], None]


@BOTH
def test_a_certificate_that_nobody_vouches_for_gets_no_key_and_says_what_to_do(
    encrypted: Between, ask: Asking
):
    with pytest.raises(OptionsHelperError, match="certificate") as failed:
        ask(settings_to(encrypted.port))

    assert "self-signed" in str(failed.value) or "self signed" in str(failed.value)
    assert "REQUESTS_CA_BUNDLE, which counts for REST and streams alike" in str(failed.value)
    assert "the date of this computer is right" in str(failed.value)
    assert DEMO_KEY.encode() not in b"".join(encrypted.said)


@BOTH
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_that_the_environment_names_counts_for_rest_and_streams_alike(
    encrypted: Between, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, variable: str, ask: Asking
):
    monkeypatch.setenv(variable, str(certificate.file))

    ask(settings_to(encrypted.port))


@BOTH
@pytest.mark.parametrize("content", [None, b"no certificate"], ids=["not there", "no certificate"])
def test_a_list_of_certificates_that_cannot_be_used_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Asking, content: bytes | None
):
    named = tmp_path / "corporate.pem"
    if content is not None:
        named.write_bytes(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(named))

    with pytest.raises(OptionsHelperError, match=r"REQUESTS_CA_BUNDLE.*corporate\.pem"):
        ask(settings_to(9))


def test_a_list_of_certificates_is_read_again_only_where_it_has_changed(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    named = tmp_path / "corporate.pem"
    shutil.copy(certificate.file, named)
    read: list[str] = []
    known = ssl.create_default_context

    def counted(*arguments: Any, **more: Any) -> ssl.SSLContext:
        read.append(str(more.get("cafile")))
        return known(*arguments, **more)

    monkeypatch.setattr(ssl, "create_default_context", counted)
    environ = {"REQUESTS_CA_BUNDLE": str(named)}

    for _ in range(3):
        assert readable_roots(environ).path == named
    assert read == [str(named)]
    named.write_bytes(b"no certificate")
    for _ in range(2):
        with pytest.raises(ConfigError, match="cannot be read as certificates"):
            readable_roots(environ)


def test_without_a_variable_streams_trust_what_rest_trusts_and_not_the_computer_s_own_list():
    roots = trusted_roots({})

    assert roots.variable is None
    assert tls_context({}).cert_store_stats()["x509_ca"] == roots.path.read_text("utf-8").count("BEGIN CERT")
    with pytest.raises(ConfigError, match=r"SSL_CERT_DIR names .* not there"):
        tls_context({"SSL_CERT_DIR": "/nowhere/at/all"})


@BOTH
def test_a_server_that_does_not_encrypt_is_not_told_to_have_a_bad_certificate(
    running_simulator: StartSimulator, ask: Asking
):
    plain = urlsplit(running_simulator().rest_url).port or 0

    with pytest.raises(OptionsHelperError) as failed:
        ask(settings_to(plain))

    assert "REQUESTS_CA_BUNDLE" not in str(failed.value)


PROXY_PASSWORD = "proxySentinel"  # noqa: S105 - a made-up one


@BOTH
def test_rest_and_streams_go_through_the_proxy_that_is_named(
    encrypted: Between,
    certificate: Certificate,
    between: Putting,
    monkeypatch: pytest.MonkeyPatch,
    ask: Asking,
):
    """And the keys go through it encrypted."""
    proxy = between(f"http://127.0.0.1:{encrypted.port}", answer=b"HTTP/1.1 200 Connected\r\n\r\n")
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.file))

    ask(settings_to(encrypted.port))

    assert proxy.said[0].startswith(f"CONNECT 127.0.0.1:{encrypted.port}".encode())
    assert b"Proxy-Authorization: Basic bWU6cHJveHlTZW50aW5lbA==" in proxy.said[0]
    assert DEMO_KEY.encode() not in b"".join(proxy.said)


@BOTH
def test_a_host_that_no_proxy_names_is_reached_without(
    encrypted: Between, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, ask: Asking
):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.file))

    ask(settings_to(encrypted.port))


@BOTH
def test_a_simulator_on_this_computer_is_reached_without(
    running_simulator: StartSimulator, monkeypatch: pytest.MonkeyPatch, ask: Asking
):
    for name in ("http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    ask(settings_to(urlsplit(running_simulator().rest_url).port or 0, scheme=""))


@BOTH
@pytest.mark.parametrize(
    ("status", "says"),
    [
        (b"407 Proxy Authentication Required", r"wants to know who asks \(407\)"),
        (b"403 Forbidden", "does not lead to .*NO_PROXY"),
    ],
)
def test_a_proxy_that_refuses_is_named_and_its_password_is_not(
    between: Putting, monkeypatch: pytest.MonkeyPatch, ask: Asking, status: bytes, says: str
):
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
    proxy = between("http://127.0.0.1:9", answer=answer)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}")

    with pytest.raises(OptionsHelperError, match=says) as failed:
        ask(settings_to(9))

    assert f"127.0.0.1:{proxy.port}" in str(failed.value)
    assert PROXY_PASSWORD not in str(failed.value)
    assert len(proxy.said) == 1


@BOTH
def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, ask: Asking):
    monkeypatch.setenv("ALL_PROXY", f"http://me:{PROXY_PASSWORD}@127.0.0.1:9")

    with pytest.raises(
        OptionsHelperError, match=r"The proxy 127\.0\.0\.1:9.*HTTPS_PROXY or ALL_PROXY"
    ) as failed:
        ask(settings_to(9))

    assert PROXY_PASSWORD not in str(failed.value)


@BOTH
@pytest.mark.parametrize("sign", ["/", "#", "?", "1/"])
def test_a_proxy_s_password_with_a_sign_that_is_not_escaped_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ask: Asking, sign: str
):
    """Such a sign ends the host, so that the name is taken for the host, and the password's begin for the port."""
    begin = "9876" if sign[:-1] else "passwordSentinel"
    monkeypatch.setenv("HTTPS_PROXY", f"http://nameSentinel:{begin}{sign}{PROXY_PASSWORD}@127.0.0.1:9")

    with pytest.raises(OptionsHelperError) as failed:
        ask(settings_to(9))

    for part in ("nameSentinel", "passwordSentinel", "9876", PROXY_PASSWORD):
        assert part not in f"{failed.value}{caplog.text}"


def test_a_proxy_that_cannot_be_read_says_how_to_write_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pass/word@127.0.0.1:9")

    with pytest.raises(StreamError, match=r"HTTPS_PROXY names has an address that cannot be read.*/ as %2F"):
        open_stream(settings_to(9))


@BOTH
def test_a_lower_case_proxy_of_nothing_is_no_proxy(
    encrypted: Between, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, ask: Asking
):
    """Which is how one turns off a proxy that is set for the whole computer."""
    monkeypatch.setenv("https_proxy", "")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.file))

    ask(settings_to(encrypted.port))


def test_a_proxy_s_first_address_that_swallows_everything_does_not_keep_a_stream_from_the_second(
    encrypted: Between,
    certificate: Certificate,
    between: Putting,
    black_hole: int,
    monkeypatch: pytest.MonkeyPatch,
):
    proxy = between(f"http://127.0.0.1:{encrypted.port}", answer=b"HTTP/1.1 200 Connected\r\n\r\n")
    addresses(monkeypatch, black_hole, proxy.port)
    monkeypatch.setenv("HTTPS_PROXY", "http://localhost:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.file))

    open_stream(settings_to(encrypted.port))

    assert len(proxy.said) == 1


def test_a_proxy_that_breaks_off_or_says_nothing_is_named_by_a_stream(
    monkeypatch: pytest.MonkeyPatch, between: Putting
):
    proxy = between("http://127.0.0.1:9", answer=b"")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(StreamError, match=rf"The proxy 127\.0\.0\.1:{proxy.port}.* broke off on the way to"):
        open_stream(settings_to(9))

    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(
            StreamError, match=rf"The proxy 127\.0\.0\.1:{port} did not open the way to .* within"
        ):
            open_stream(settings_to(9), SOON)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (ask_rest, r"SOCKS proxy socks5://127\.0\.0\.1:9.*pip install 'requests\[socks\]'"),
        (open_stream, r"begin with http:// alone, and ALL_PROXY names socks5://127\.0\.0\.1:9"),
    ],
)
def test_a_socks_proxy_has_its_own_sentence(monkeypatch: pytest.MonkeyPatch, ask: Asking, says: str):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")

    with pytest.raises(OptionsHelperError, match=says):
        ask(settings_to(9))


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port where connections are begun and never taken, as those that a broken route swallows."""
    with contextlib.ExitStack() as held:
        hole = held.enter_context(socket.socket())
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(4):  # the queue of those that nobody accepts is full from now on
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(hole.getsockname())
        yield hole.getsockname()[1]


def addresses(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """From now on the name `localhost` leads to these ports, in this order, whichever is asked for."""
    known = socket.getaddrinfo

    def lookup(host: Any, *more: Any, **named: Any) -> Any:
        if host != "localhost":
            return known(host, *more, **named)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def test_a_first_address_that_swallows_everything_does_not_keep_a_stream_from_the_second(
    running_simulator: StartSimulator, black_hole: int, monkeypatch: pytest.MonkeyPatch
):
    """Broken IPv6 is the usual case: a name has two addresses, and the first leads nowhere."""
    port = urlsplit(running_simulator().rest_url).port or 0
    addresses(monkeypatch, black_hole, port)

    open_stream(settings_to(port, scheme="", host="localhost"))


def test_a_stream_that_no_address_takes_says_so_and_names_the_host(
    black_hole: int, monkeypatch: pytest.MonkeyPatch
):
    addresses(monkeypatch, black_hole)

    with pytest.raises(StreamError, match="No address of localhost:9 took the iex connection within"):
        open_stream(settings_to(9, scheme="", host="localhost"), SOON)


def test_a_stream_names_the_host_and_the_step_that_took_too_long():
    """A listener that never answers; then, encrypted, one that never shakes hands."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        for scheme, step in (("", "no answer to its handshake, and so no welcome"), ("s", "its encryption")):
            with pytest.raises(StreamError, match=rf"127\.0\.0\.1:{port}.*{step} within"):
                open_stream(settings_to(port, scheme=scheme), SOON)


@pytest.fixture
def breeze() -> Iterator[BreezeServer]:
    with BreezeServer() as server:
        yield server


def open_breeze(server: BreezeServer, **addresses: str) -> None:
    settings = BreezeSettings.load({**server.variables, **addresses})
    sink = Acknowledged()
    timing = ConnectionTiming(opening=AT_ONCE)
    streamer = BreezeStreamer(lambda: settings, Pass(), sink=sink, timing=timing)
    streamer.subscribe(("NSE:RELIANCE",))
    sink.leave = streamer.stop
    streamer.run()
    assert sink.is_acknowledged


@pytest.fixture
def encrypted_breeze(breeze: BreezeServer, certificate: Certificate, between: Putting) -> dict[str, str]:
    """The addresses of that server behind encryption, with a certificate that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    http = f"https://127.0.0.1:{between(breeze.variables['BREEZE_REST_URL'], tls=context).port}"
    stream = between(breeze.variables["BREEZE_STREAM_URL"], tls=context).port
    return {
        "BREEZE_REST_URL": f"{http}/breezeapi/api/v1",
        "BREEZE_MASTER_URL": f"{http}/SecurityMaster.zip",
        "BREEZE_STREAM_URL": f"wss://127.0.0.1:{stream}",
    }


@pytest.mark.parametrize("plain", [(), ("BREEZE_REST_URL", "BREEZE_MASTER_URL")], ids=["REST", "stream"])
def test_breeze_trusts_whom_the_environment_names_and_nobody_else(
    breeze: BreezeServer,
    encrypted_breeze: dict[str, str],
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    plain: tuple[str, ...],
):
    addresses = {name: url for name, url in encrypted_breeze.items() if name not in plain}
    with pytest.raises(StreamError, match=r"certificate that is not trusted here.*REQUESTS_CA_BUNDLE"):
        open_breeze(breeze, **addresses)

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    open_breeze(breeze, **addresses)


def test_breezes_stream_goes_through_the_proxy_that_is_named(
    breeze: BreezeServer,
    encrypted_breeze: dict[str, str],
    certificate: Certificate,
    between: Putting,
    monkeypatch: pytest.MonkeyPatch,
):
    stream = encrypted_breeze["BREEZE_STREAM_URL"]
    proxy = between(stream, answer=b"HTTP/1.1 200 Connected\r\n\r\n")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))

    open_breeze(breeze, BREEZE_STREAM_URL=stream)

    assert proxy.said[0].startswith(f"CONNECT 127.0.0.1:{urlsplit(stream).port}".encode())


def test_breezes_key_follows_no_redirect(breeze: BreezeServer, between: Putting):
    elsewhere = b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    server = between("http://127.0.0.1:9", answer=elsewhere)

    with pytest.raises(StreamRefused, match="Keys are never sent to where it points"):
        open_breeze(breeze, BREEZE_STREAM_URL=f"ws://127.0.0.1:{server.port}")
