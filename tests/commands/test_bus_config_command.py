"""The commands `bus config` and `bus check`, and what the docs say of a network, as a stranger meets them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from options_helper.bus.roles import Role
from options_helper.bus.seeds import read_seed
from options_helper.bus.server_config import users_in
from options_helper.cli import app
from options_helper.errors import ConfigError
from tests.kit.bus import CURRENT, SYSTEM, NatsServer, nats_server
from tests.kit.fakes import deliver
from tests.kit.secured import DESK, SecuredBus, certificate, secured_bus, trusted
from tests.kit.serving import quotes, serving
from tests.kit.waiting import A_PROCESS, wait_until


def typed(*words: str) -> str:
    ended = CliRunner().invoke(app, list(words))
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.output


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecuredBus]:
    monkeypatch.chdir(tmp_path)
    for name in ("OH_BUS_SEED_FILE", "OH_BUS_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    with secured_bus(tmp_path) as made:
        yield made


def ends_with(code: int, words: Sequence[str]) -> bool:
    return CliRunner().invoke(app, list(words)).exit_code == code


def checked(
    bus: SecuredBus, name: str | None, monkeypatch: pytest.MonkeyPatch, *more: str
) -> tuple[int, str]:
    if name is not None:
        monkeypatch.setenv("OH_BUS_SEED_FILE", str(bus.folder / f"{name}.seed"))
    monkeypatch.setenv("OH_BUS_CA_FILE", str(bus.ca_file))
    ended = CliRunner().invoke(app, ["bus", "check", bus.url, "--desk", DESK, *more])
    assert isinstance(ended.exception, SystemExit | None), ended.exception
    return ended.exit_code, ended.output


def test_on_this_computer_it_writes_a_configuration_without_certificates_and_says_what_next(tmp_path: Path):
    output = typed("bus", "config", str(tmp_path / "bus"), "--viewer", "laptop")
    text = (tmp_path / "bus" / "nats-server.conf").read_text()

    assert 'listen: "127.0.0.1:4222"' in text
    assert "tls" not in text
    assert [(user.name, user.role) for user in users_in(text)] == [
        ("owner", Role.OWNER),
        ("laptop", Role.VIEWER),
    ]
    for word in ("nats-server -c", "stream serve --bus nats://127.0.0.1:4222", "bus check", "chmod 600"):
        assert word in output
    assert "own devices" not in output, "nobody else reaches it"
    for path in (tmp_path / "bus").glob("*.seed"):
        secret = read_seed(path).text.get_secret_value()
        assert secret not in output
        assert secret not in text
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(SYSTEM is None, reason="there is no nats-server of the system here")
def test_an_old_server_reads_the_configuration_of_this_computer_alone(tmp_path: Path):
    from options_helper.bus.access import BusAccess
    from options_helper.bus.address import BusAddress
    from options_helper.commands.bus_config import ConfigRequest, write_config
    from options_helper.doctor.bus import look_at_bus
    from options_helper.doctor.findings import Verdict

    def configured(port: int) -> Path:
        return write_config(ConfigRequest(tmp_path / "bus", listen=f"127.0.0.1:{port}")).config

    assert SYSTEM is not None
    with NatsServer(SYSTEM, configured) as old:
        looked = look_at_bus(BusAddress.parse(old.url, None, BusAccess(tmp_path / "bus" / "owner.seed")))

    assert {one.what: one.finding.verdict for one in looked} == {
        "connection": Verdict.OK,
        "server": Verdict.OK,
        "rights": Verdict.OK,
        "owner": Verdict.WARNING,
    }, looked


def test_beyond_this_computer_it_needs_a_certificate_and_says_whose_the_data_are(tmp_path: Path):
    with pytest.raises(ConfigError, match="--cert and --key"):
        typed("bus", "config", str(tmp_path / "bus"), "--listen", "0.0.0.0:4222")
    assert not (tmp_path / "bus").exists()

    proof, key = certificate(tmp_path, "bus.example.net")
    output = typed(
        *("bus", "config", str(tmp_path / "bus"), "--listen", "0.0.0.0:4222"),
        *("--cert", str(proof), "--key", str(key)),
    )
    text = (tmp_path / "bus" / "nats-server.conf").read_text()
    assert "handshake_first: true" in text
    assert f'cert_file: "{proof}"' in text
    assert output.count("account holder's own devices") == 1
    assert f"tls://{socket.gethostname()}:4222" in output


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--cert", "{cert}"], "belong together"),
        (["--cert", "{cert}", "--key", "none.pem"], r"there is no .*none\.pem"),
        (["--cert", "{cert}", "--key", "{cert}"], "are no certificate and its key"),
        (["--viewer", "../x"], "is no name for a user"),
        (["--viewer", "a", "--recorder", "a"], "a is named twice"),
        (["--viewer", "owner"], "owner is named twice"),
        (["--listen", "nowhere:70000"], "is no place to listen"),
        (["--listen", ":4222"], "is no place to listen"),
        (["--desk", "a.b"], "is no name for a desk"),
        (["--revoke", "nobody"], "no user nobody to revoke"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(words, why, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    proof, _ = certificate(tmp_path, "bus.example.net")

    with pytest.raises(ConfigError, match=why):
        typed("bus", "config", "bus", *(word.format(cert=proof) for word in words))
    assert not (tmp_path / "bus").exists()


def test_nothing_is_overwritten_without_being_told(tmp_path: Path):
    folder = tmp_path / "bus"
    typed("bus", "config", str(folder), "--viewer", "laptop", "--listen", "127.0.0.1:4333", "--desk", "home")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    with pytest.raises(ConfigError, match=r"is there already\. With --overwrite"):
        typed("bus", "config", str(folder), "--viewer", "phone")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    (folder / "laptop.seed").unlink()  # it is on the laptop by now
    typed("bus", "config", str(folder), "--viewer", "phone", "--overwrite")
    after = (folder / "nats-server.conf").read_text()
    assert [user.name for user in users_in(after)] == ["owner", "laptop", "phone"]
    assert users_in(after)[:2] == users_in(before["nats-server.conf"].decode()), "with the seeds they have"
    assert 'listen: "127.0.0.1:4333"' in after
    assert (folder / "owner.seed").read_bytes() == before["owner.seed"]
    assert not (folder / "laptop.seed").exists()


def test_who_is_revoked_is_gone_and_may_come_back_with_another_seed_only(tmp_path: Path):
    folder = tmp_path / "bus"
    typed("bus", "config", str(folder), "--viewer", "laptop", "--recorder", "nas")
    first = read_seed(folder / "laptop.seed").public_key

    output = typed("bus", "config", str(folder), "--revoke", "laptop", "--overwrite")
    text = (folder / "nats-server.conf").read_text()
    assert first not in text
    assert "Removed" in output
    assert not (folder / "laptop.seed").exists()

    typed("bus", "config", str(folder), "--account-viewer", "laptop", "--overwrite")
    again = read_seed(folder / "laptop.seed")
    assert again.public_key != first
    assert again.role is Role.ACCOUNT_VIEWER

    with pytest.raises(ConfigError, match=r"laptop is there as account-viewer\. Revoke it"):
        typed("bus", "config", str(folder), "--viewer", "laptop", "--overwrite")


def test_a_seed_that_is_there_and_a_configuration_of_somebody_elses_are_left_alone(tmp_path: Path):
    folder = tmp_path / "bus"
    folder.mkdir()
    (folder / "owner.seed").write_text("mine")
    with pytest.raises(ConfigError, match=r"owner\.seed is there already"):
        typed("bus", "config", str(folder))
    assert (folder / "owner.seed").read_text() == "mine"

    (folder / "nats-server.conf").write_text("listen: 1.2.3.4\n")
    with pytest.raises(ConfigError, match="was written by somebody else"):
        typed("bus", "config", str(folder), "--overwrite")
    typed("bus", "config", str(tmp_path / "two"), "--desk", "a")
    with pytest.raises(ConfigError, match="is of the desk a"):
        typed("bus", "config", str(tmp_path / "two"), "--desk", "b", "--overwrite")


@pytest.mark.parametrize(
    ("name", "can"), [("laptop", "follow prices"), ("nas", "record"), ("owner", "publish prices")]
)
def test_check_tries_what_the_role_may_and_says_so(bus, name, can, monkeypatch):
    with serving(bus.user("owner"), deliver(*quotes(0, 1))) as owner:
        wait_until(lambda: owner.events() == 2)
        code, output = checked(bus, name, monkeypatch)

    assert code == 0, output
    assert "TLS before anything else" in output
    assert can in output
    assert "and nothing else" in output
    assert "served by here" in output
    assert not [seed for seed in bus.seeds if seed in output]


def test_check_as_json_has_each_right(bus, monkeypatch):
    code, output = checked(bus, "study", monkeypatch, "--json")
    found = json.loads(output)

    assert (code, found["verdict"]) == (0, "warning")
    rights = next(one for one in found["checks"] if one["check"] == "rights")
    assert rights["details"]["read positions"] == "yes"
    assert rights["details"]["publish prices"] == "no"
    owner = next(one for one in found["checks"] if one["check"] == "owner")
    assert "nobody has served the desk home" in owner["words"]
    assert "stream serve" in owner["remedy"]


def test_check_says_what_is_wrong_and_what_to_do(bus: SecuredBus, monkeypatch, tmp_path: Path):
    code, output = checked(bus, None, monkeypatch)
    assert code == 1
    assert "wants to know who asks. Set OH_BUS_SEED_FILE" in output

    monkeypatch.setenv("OH_BUS_SEED_FILE", str(bus.folder / "laptop.seed"))
    ended = CliRunner().invoke(app, ["bus", "check", bus.url, "--desk", "another"])
    assert ended.exit_code == 1
    assert "laptop (viewer) may not follow prices" in ended.output

    # What the server lets it do is more than its role.
    mine = tmp_path / "mine.seed"
    shutil.copy(bus.folder / "study.seed", mine)
    mine.write_text(mine.read_text().replace("account-viewer", "viewer"))
    monkeypatch.setenv("OH_BUS_SEED_FILE", str(mine))
    ended = CliRunner().invoke(app, ["bus", "check", bus.url, "--desk", DESK])
    assert ended.exit_code == 1
    assert (
        "may follow orders and fills, follow the account, read positions, which is not the role's"
        in ended.output
    )


def test_check_of_a_server_that_speaks_first_says_what_it_says(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("OH_BUS_CA_FILE", str(trusted(tmp_path)))
    with nats_server() as plain:
        ended = CliRunner().invoke(app, ["bus", "check", f"tls://127.0.0.1:{plain.port}"])

        assert ended.exit_code == 1
        assert "does not begin with TLS" in ended.output
        assert "speaks first, readable for anybody: it does not encrypt at all" in ended.output

        ended = CliRunner().invoke(app, ["bus", "check", plain.url])
        assert ended.exit_code == 0
        assert "the server has no roles" in ended.output


def test_the_doctor_looks_at_a_bus_that_is_named(bus: SecuredBus, monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OH_BUS_SEED_FILE", str(bus.folder / "laptop.seed"))
    monkeypatch.setenv("OH_BUS_CA_FILE", str(bus.ca_file))

    ended = CliRunner().invoke(app, ["doctor", "--json", "--bus", bus.url, "--desk", DESK])
    found = {one["check"]: one for one in json.loads(ended.output)["checks"]}
    assert found["bus"]["verdict"] == "warning"
    assert "and nothing else" in found["bus"]["details"]["rights"]
    assert not [seed for seed in bus.seeds if seed in ended.output]

    ended = CliRunner().invoke(app, ["doctor", "--json", "--offline", "--bus", bus.url, "--desk", DESK])
    found = {one["check"]: one for one in json.loads(ended.output)["checks"]}
    assert found["bus"]["verdict"] == "skipped"
    ended = CliRunner().invoke(app, ["doctor", "--json", "--offline"])
    assert "bus" not in {one["check"] for one in json.loads(ended.output)["checks"]}


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("openssl") is None, reason="the docs' commands need openssl")
def test_the_network_of_the_docs_is_one_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each command as it stands there, on this computer and another port."""
    page = Path(__file__).resolve().parents[2] / "docs" / "MORE_THAN_ONE_COMPUTER.md"
    text = page.read_text(encoding="utf-8").partition("## Other computers")[2].partition("\n## ")[0]
    making, configuring, owning, viewing, changing = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)

    def here(commands: str, port: int = 0) -> str:
        changed = commands.replace("desk.lan", "localhost").replace("0.0.0.0:4222", f"127.0.0.1:{port}")
        return changed.replace(":4222", f":{port}")

    def shell(commands: str) -> str:
        done = subprocess.run(
            ["sh", "-eu", "-c", commands],
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=A_PROCESS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shell(here(making))
    # Newer Pythons are strict about what a certificate says of itself.
    assert "OK" in shell("openssl verify -x509_strict -CAfile bus/ca.pem bus/server.pem")
    assert (tmp_path / "bus" / "ca-key.pem").stat().st_mode & 0o077 == 0

    def configured(port: int) -> Path:
        shell(here(configuring, port))
        return tmp_path / "bus" / "nats-server.conf"

    with NatsServer(CURRENT, configured) as server:
        lines = here(owning, server.port).splitlines()
        assert "owner (owner) may" in shell("\n".join(lines[:2]))
        assert lines[2].startswith("options-helper stream serve --bus tls://")

        for name in ("laptop.seed", "ca.pem"):
            shutil.copy(tmp_path / "bus" / name, tmp_path)
        lines = here(viewing, server.port).splitlines()
        assert "laptop (account-viewer) may" in shell("\n".join(lines[:3]))
        assert lines[3].startswith("options-helper ui --bus tls://")

        shell(changing)
        server.reload()
        monkeypatch.setenv("OH_BUS_CA_FILE", "ca.pem")
        for seed, code in (("laptop.seed", 1), ("bus/tablet.seed", 0)):
            monkeypatch.setenv("OH_BUS_SEED_FILE", seed)
            words = ["bus", "check", f"tls://localhost:{server.port}", "--desk", "home"]
            wait_until(partial(ends_with, code, words))


def test_an_account_viewer_may_be_for_some_accounts_which_its_seed_and_the_configuration_say(tmp_path: Path):
    folder = tmp_path / "bus"
    said = typed(
        "bus", "config", str(folder), "--account-viewer", "phone=roth,ira", "--account-viewer", "study"
    )

    assert "phone  account-viewer of roth, ira: " in said
    assert "study  account-viewer: " in said
    assert (
        "Seed of phone, account-viewer of roth, ira on the desk desk." in (folder / "phone.seed").read_text()
    )
    with pytest.raises(ConfigError, match=r"phone is there as account-viewer of roth, ira\. Revoke it"):
        typed("bus", "config", str(folder), "--account-viewer", "phone=all", "--overwrite")
    with pytest.raises(ConfigError, match=r"'IRA' is no account's name\. Write phone=ira"):
        typed("bus", "config", str(tmp_path / "other"), "--account-viewer", "phone=IRA")


def test_a_configuration_that_is_written_again_keeps_which_accounts_each_may_see(tmp_path: Path):
    folder = tmp_path / "bus"
    typed("bus", "config", str(folder), "--account-viewer", "phone=ira")
    seed = (folder / "phone.seed").read_text()

    typed("bus", "config", str(folder), "--viewer", "kitchen", "--account-viewer", "phone=ira", "--overwrite")

    text = (folder / "nats-server.conf").read_text()
    assert "# phone: account-viewer of ira\n" in text
    assert "oh.desk.accts.told.ira.>" in text
    assert (folder / "phone.seed").read_text() == seed
