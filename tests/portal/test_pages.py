"""What every page promises before anything is connected."""

from __future__ import annotations

import runpy
import threading
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "apps" / "streamlit"
SCRIPTS = [PAGES / "streamlit_app.py", *sorted((PAGES / "pages").glob("*.py"))]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_page_runs_without_a_server_and_without_credentials(script):
    # Which threads, and not how many: one of a test before this may end meanwhile.
    before = set(threading.enumerate())
    runpy.run_path(str(script), run_name="__main__")
    assert not set(threading.enumerate()) - before
