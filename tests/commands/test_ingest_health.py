"""`ingest health`: what cron and systemd are told of an ingestion, and by which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from options_helper.clock import utc_now
from options_helper.commands.ingest import ingest
from options_helper.errors import ConfigError
from options_helper.monitoring.heartbeat import JobBeat, Role
from options_helper.monitoring.heartbeat_file import (
    INGESTION_FILE,
    file_of,
    remember_run,
    write_heartbeat,
)
from tests.kit.heartbeats import heartbeat, heartbeat_file


def ingest_health(*arguments: str) -> Result:
    return CliRunner().invoke(ingest, ["health", *arguments])


def ingesting(path: Path, **job: Any) -> Path:
    """The heartbeat of an ingestion that lives, written now."""
    jobs = {"chains": JobBeat(every_seconds=900.0, **job)}
    beat = heartbeat(role=Role.INGESTION, streams={}, written_at=utc_now(), rows_waiting=None, jobs=jobs)
    write_heartbeat(path, beat)
    return path


def test_the_exit_code_is_nought_only_when_all_is_well(tmp_path: Path):
    well = ingest_health("--state", str(ingesting(tmp_path / "well", late_seconds=10.0)))
    late = ingest_health("--state", str(ingesting(tmp_path / "late", late_seconds=5_000.0)))
    nothing = ingest_health("--state", str(tmp_path / "nothing"))

    assert (well.exit_code, late.exit_code, nothing.exit_code) == (0, 1, 1)
    assert [one.output.split(":")[0] for one in (well, late, nothing)] == ["running", "stale", "not_running"]
    assert "The job chains is 83 min behind: nothing is stored." in late.output


def test_a_folder_stands_for_the_ingestion_into_it_and_not_for_the_capture_there(tmp_path: Path):
    heartbeat_file(tmp_path, problem="The disk is full.", written_at=utc_now())
    ingesting(tmp_path / INGESTION_FILE)

    assert ingest_health("--state", str(tmp_path)).output.startswith("running: The ingestion runs")


def test_without_a_name_it_is_the_ingestion_that_is_alive_and_no_capture(tmp_path: Path):
    assert "nothing has run" in ingest_health().output
    remember_run(heartbeat_file(tmp_path, written_at=utc_now()), Role.CAPTURE)
    remember_run(ingesting(tmp_path / INGESTION_FILE), Role.INGESTION)

    assert ingest_health().output.startswith("running: The ingestion runs")


def test_where_two_are_alive_none_is_chosen_by_chance(tmp_path: Path):
    remember_run(ingesting(tmp_path / INGESTION_FILE), Role.INGESTION)
    ingesting(file_of(Role.INGESTION).with_name("ingestion-1.json"))

    result = ingest_health()

    assert isinstance(result.exception, ConfigError)
    assert "2 runs are alive" in str(result.exception)


def test_a_monitor_reads_findings_and_jobs(tmp_path: Path):
    path = ingesting(tmp_path / "health", failing=3, problem="HTTP 503.", watermark_age_seconds=60.0)

    said = json.loads(ingest_health("--json", "--state", str(path)).output)

    assert (said["status"], said["healthy"], said["role"]) == ("failed", False, "ingestion")
    (finding,) = said["findings"]
    assert {name: finding[name] for name in ("concern", "severity", "subject", "sentence")} == {
        "concern": "job failing",
        "severity": "error",
        "subject": "chains",
        "sentence": "The job chains has failed 3 times running. HTTP 503.",
    }
    assert said["heartbeat"]["jobs"]["chains"]["watermark_age_seconds"] == 60.0


def test_sessions_that_came_without_a_row_are_worth_a_look_and_no_error(tmp_path: Path):
    path = ingesting(tmp_path / "health", empty=2, again_at=utc_now().replace(2026, 11, 27, 9, 20, 0))

    result = ingest_health("--state", str(path))

    assert result.exit_code == 0
    assert "Of the job chains, 2 sessions came without a single row." in result.output
    assert "again at 2026-11-27 09:20:00 UTC" in result.output


def test_a_lag_that_is_no_time_is_a_sentence(tmp_path: Path):
    result = ingest_health("--max-lag", "soon", "--state", str(tmp_path))

    with pytest.raises(ConfigError, match="'soon' is no stretch of time"):
        raise result.exception or AssertionError
