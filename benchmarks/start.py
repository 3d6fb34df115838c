"""CPU and memory of what runs without a page: against alpaca-py's own import, in a process that does nothing else.

Reach: a script's start until its stream is live costs no more CPU than that import, and no process needs more than
90 MB. Each is a process of its own, one of each kind in turn, and every figure the median of its kind. Of what runs for
a second or so, that second is in it.
"""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROUNDS = 5
REACH_MB = 90
PORTFOLIO = Path(__file__).parents[1] / "portfolio.json"
# What the kernel counts as the most memory of a process begins with that of whoever starts it, so this one imports
# nothing that is large.
COMMAND = (sys.executable, "-c", "from options_helper.entry import main; main()")
SDK = "import alpaca.data.live, alpaca.data.historical, alpaca.trading.client, alpaca.trading.stream"
SCRIPT = """
import time
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.settings import Settings

manager = LiveStreamManager(Settings.load())
manager.start(LiveStreamConfig(stocks=("SPY",), stream_options=False))
while manager.snapshot().streams["stocks"].phase != "live":
    time.sleep(0.02)
manager.stop()
"""
KINDS: Mapping[str, tuple[str, ...]] = {
    "alpaca-py, imported": (sys.executable, "-c", SDK),
    "the same, by load_sdk": (
        sys.executable,
        "-c",
        "from options_helper.data.sdk_import import load_sdk; load_sdk()",
    ),
    "a script, start to live": (sys.executable, "-c", SCRIPT),
    "--help": (*COMMAND, "--help"),
    "stream capture, 1 s": (*COMMAND, "stream", "capture", "--out", "out", "--stocks", "SPY", "--duration", "1s"),
    "watch, 1 s": (*COMMAND, "watch", str(PORTFOLIO), "--duration", "1s"),
    "today": (*COMMAND, "today", str(PORTFOLIO)),
}  # fmt: skip


def main() -> None:
    """Print CPU and memory of each kind, and what they are of the first."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder, _simulator(Path(folder)) as environ:
        for _ in range(ROUNDS):
            for kind, command in KINDS.items():
                found[kind].append(_cost(command, Path(folder), environ))
    medians = {
        kind: [statistics.median(part) for part in zip(*costs, strict=True)] for kind, costs in found.items()
    }
    base_seconds, base_mb = next(iter(medians.values()))
    print(f"{'':24} {'CPU s':>7} {'of it':>6} {'MB':>5} {'of it':>6}")
    for kind, (seconds, mb) in medians.items():
        print(
            f"{kind:24} {seconds:7.2f} {seconds / base_seconds:6.2f} {mb:5.0f} {mb / base_mb:6.2f}"
            f"{'  more than ' + str(REACH_MB) if mb > REACH_MB and kind != 'alpaca-py, imported' else ''}"
        )


def _cost(command: tuple[str, ...], folder: Path, environ: Mapping[str, str]) -> tuple[float, float]:
    """Seconds of CPU, and MB at most."""
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    # `today` ends with 1 where something needs a hand.
    text = (folder / "said.txt").read_text()
    if code not in {0, 1} or "Traceback" in text:
        raise SystemExit(f"{shlex.join(command)} ended with {code}: {text}")
    unit = 1 << (20 if sys.platform == "darwin" else 10)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / unit


@contextmanager
def _simulator(folder: Path) -> Iterator[dict[str, str]]:
    """A market of the portfolio in a process of its own, and the variables that lead there."""
    command = [*COMMAND, "simulate", "--portfolio", str(PORTFOLIO)]
    environ = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("export "):
                continue
            name, _, value = shlex.split(line)[1].partition("=")
            environ[name] = value
            if name == "OH_RISK_RATES":  # the last
                break
        yield environ
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
