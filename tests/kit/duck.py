"""Run DuckDB in a process of its own: at its end it writes a page about itself, which is no part of a test's result."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.kit.waiting import A_PROCESS


def result_of(code: str, name: str, *arguments: str) -> Any:
    """What the code leaves under `name`, as JSON has it; it finds the arguments in `sys.argv`."""
    program = f"import sys\n{code}\nimport json\nprint(json.dumps({name}, default=str))"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=A_PROCESS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
