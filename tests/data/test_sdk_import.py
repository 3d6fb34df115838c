"""alpaca-py comes without pandas and NumPy, and makes its frames all the same."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from options_helper.data.sdk_import import LATE, load_sdk, sdk_class
from options_helper.errors import ConfigError
from tests.kit.waiting import A_PROCESS

LARGE = {"numpy", "pandas"}
BAR = "{'t': '2026-11-20T15:00:00Z', 'o': 1, 'h': 3, 'l': 1, 'c': 2, 'v': 10, 'n': 1, 'vw': 2}"
PROGRAM = f"""
import sys
from options_helper.data.sdk_import import load_sdk, sdk_class
load_sdk()
sdk_class("alpaca.data.historical", "StockHistoricalDataClient")("key", "secret", raw_data=True)
print("large:", sorted({LARGE} & sys.modules.keys()))
from alpaca.data.models import BarSet
from alpaca.trading.requests import GetCorporateAnnouncementsRequest
frame = BarSet({{"SPY": [{BAR}]}}).df
import pandas
print(type(frame) is pandas.DataFrame, frame.loc["SPY"].high.tolist(), frame.index.names)
ask = lambda until: GetCorporateAnnouncementsRequest(ca_types=[], since="2026-01-01", until=until)
print(ask("2026-02-01").until)
try:
    ask("2026-12-01")
except ValueError as error:
    print("limited to 90 days" in str(error))
"""


@pytest.mark.processes
def test_the_sdk_has_pandas_when_it_makes_a_frame_and_not_before():
    """In a new process: in this one they are loaded."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        timeout=A_PROCESS,
    )

    assert done.stdout.splitlines() == [
        "large: []",
        "True [3.0] ['symbol', 'timestamp']",
        "2026-02-01",
        "True",
    ], done.stderr


def test_those_modules_of_the_sdk_and_no_others_import_what_is_large():
    """A new version may use it elsewhere, and would bring it back."""
    spec = importlib.util.find_spec("alpaca")
    assert spec is not None
    root = Path(str(spec.origin)).parent
    found: dict[str, set[str]] = {}
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if not re.search("numpy|pandas", text):
            continue
        module = ".".join(["alpaca", *path.relative_to(root).with_suffix("").parts])
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                named = [node.module or ""]
            else:
                continue
            if large := LARGE & {name.partition(".")[0] for name in named}:
                found.setdefault(module, set()).update(large)

    assert found == LATE


def test_a_class_is_the_sdk_s_own():
    from alpaca.data.live import StockDataStream

    assert sdk_class("alpaca.data.live", "StockDataStream") is StockDataStream


def test_a_part_that_is_missing_is_named_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as changed:
        changed.setitem(sys.modules, "alpaca.trading.client", None)
        with pytest.raises(ConfigError, match=r"needs alpaca, .*pip install 'options-helper\[ui,alpaca\]'"):
            load_sdk()

    # Another thread can load it: the lock is free again.
    elsewhere = threading.Thread(target=load_sdk, daemon=True)
    elsewhere.start()
    elsewhere.join(A_PROCESS)
    assert not elsewhere.is_alive()
