"""The units in scripts/systemd: systemd takes them, what they start is there, and what they may write is enough."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from options_helper.cli import app, main
from options_helper.commands.capture_options import require_folder
from options_helper.errors import ConfigError, OptionsHelperError, StoreError, Unavailable

UNITS = Path(__file__).resolve().parents[2] / "scripts" / "systemd"
PROGRAM = "/srv/options-helper/.venv/bin/options-helper"
KNOWN = {
    "Unit": {
        "After", "Conflicts", "Description", "StartLimitBurst", "StartLimitIntervalSec", "Wants",
    },
    "Service": {
        "Environment", "ExecStart", "NoNewPrivileges", "NotifyAccess", "PrivateTmp", "ProtectHome", "ProtectSystem",
        "ReadWritePaths", "Restart", "RestartPreventExitStatus", "RestartSec", "StateDirectory", "StateDirectoryMode",
        "TimeoutStartSec", "TimeoutStopSec", "Type", "UMask", "User", "WatchdogSec", "WorkingDirectory",
    },
    "Timer": {"AccuracySec", "OnCalendar", "Persistent"},
    "Install": {"WantedBy"},
}  # fmt: skip

all_units = pytest.mark.parametrize("name", sorted(path.name for path in UNITS.iterdir()))
services = pytest.mark.parametrize("name", sorted(path.name for path in UNITS.glob("*.service")))


def settings(name: str) -> Iterator[tuple[str, str, str]]:
    """Each (section, key, value); what is none of these fails."""
    section = ""
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        yield section, key, value


def service(name: str) -> dict[str, str]:
    return {key: value for section, key, value in settings(name) if section == "Service"}


@all_units
def test_every_setting_is_one_that_is_known_in_its_section(name: str):
    """For where there is no systemd; a misspelt one would be ignored with a warning that nobody reads."""
    assert [
        (section, key) for section, key, value in settings(name) if key not in KNOWN[section] or not value
    ] == []


@all_units
def test_systemd_takes_it(name: str, tmp_path: Path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    # Where a checkout lies may have spaces, which a unit would have to quote.
    program = tmp_path / "options-helper"
    program.symlink_to(sys.executable)
    for path in UNITS.iterdir():
        unit = path.read_text(encoding="utf-8").replace(PROGRAM, str(program))
        (tmp_path / path.name).write_text(unit.replace("User=recorder", "User=daemon"), encoding="utf-8")

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert [line for line in checked.stderr.splitlines() if "options-" in line] == []


@services
def test_it_may_write_what_it_has_to_and_nothing_else(name: str):
    facts = service(name)

    out = re.search(r"--out (\S+)", facts["ExecStart"])
    # A watch writes into the state folder alone.
    assert (out is None) == (" watch " in facts["ExecStart"])
    assert (facts["ProtectSystem"], facts.get("ReadWritePaths")) == ("strict", out and out[1])
    # The home is read-only, and the state folder would be in it.
    assert (facts["StateDirectory"], facts["Environment"]) == ("options-helper", "XDG_STATE_HOME=%S")


@services
def test_what_it_starts_is_there(name: str):
    program, *words = service(name)["ExecStart"].split()
    assert program == PROGRAM
    command = [word for word in words if re.fullmatch("[a-z]+", word)]

    said = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output

    assert [word for word in words if word.startswith("--") and word not in said] == []


@services
def test_what_stays_is_watched_and_a_wrong_setting_is_not_tried_again(name: str):
    facts = service(name)
    if facts["Type"] == "oneshot":
        assert "Restart" not in facts, "its timer starts it again"
    else:
        assert (facts["Type"], facts["NotifyAccess"], facts["WatchdogSec"]) == ("notify", "main", "60")
        assert (facts["Restart"], facts["RestartPreventExitStatus"]) == ("on-failure", "2")


def test_the_timer_starts_a_service_that_is_there_and_ends():
    assert service("options-ingest.service")["Type"] == "oneshot"
    assert ("Timer", "Persistent", "yes") in list(settings("options-ingest.timer"))


@all_units
def test_the_page_tells_of_it(name: str, repository: Path):
    pages = [
        (repository / "docs" / page).read_text(encoding="utf-8")
        for page in ("STREAM_CAPTURE.md", "ALERTS.md")
    ]
    assert f"`{name}`" in "".join(pages)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a wrong option"), 2),
        (StoreError("another ingestion writes"), 75),
        (Unavailable("the port is taken"), 75),
    ],
)
def test_what_may_pass_has_an_exit_code_that_is_tried_again(
    error: OptionsHelperError, code: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("options_helper.cli.app", Mock(side_effect=error))

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == code
    prevented = {service(path.name).get("RestartPreventExitStatus") for path in UNITS.glob("*.service")}
    assert prevented == {None, "2"}


def test_a_folder_that_is_not_there_for_the_moment_may_pass(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(Unavailable):
        require_folder(tmp_path / "file" / "out")


@services
def test_what_may_pass_is_waited_for_through_a_night(name: str):
    facts = {key: value for _, key, value in settings(name)}
    if facts["Type"] != "oneshot":
        assert facts["StartLimitIntervalSec"] == "1d"
        assert int(facts["StartLimitBurst"]) * int(facts["RestartSec"]) >= 8 * 3600
