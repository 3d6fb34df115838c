"""A scene shows the same in every process: its tests pass and fail alike whatever seed texts are hashed by."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from tests.portal import scenes

for scene in (scenes.live, scenes.stale, scenes.partial):
    print(scene())
"""


@pytest.mark.processes
def test_a_scene_is_the_same_in_every_process(repository: Path):
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=repository,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(printed) == 1
