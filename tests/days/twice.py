"""That a seed is the same day every time: whatever was played before it, in whichever process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.days.play import play_seed


def differing_days(seeds: Sequence[int], subject: str | None = None) -> list[int]:
    """Those that another process, which orders its sets otherwise, has as another day when it plays them backwards."""
    command = [sys.executable, "-m", "tests.days", "--digests", *map(str, reversed(seeds))]
    command += [] if subject is None else ["--subject", subject]
    hashes = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, env={**os.environ, "PYTHONHASHSEED": hashes}, stdout=subprocess.PIPE, text=True
    ) as other:
        here = {seed: play_seed(seed).digest for seed in seeds}
        said, _ = other.communicate()
    there = dict(line.split() for line in said.splitlines())
    return [seed for seed in seeds if there.get(str(seed)) != here[seed]]
