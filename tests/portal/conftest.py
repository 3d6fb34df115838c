"""A page in AppTest whose streams are scenes, and a session that no other test sees."""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from apps.streamlit.components.style import WORD_JOINER
from options_helper.live.session import LiveSession, install_session, process_session
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings
from tests.portal import scenes
from tests.portal.scenes import SAMPLE, ShowingManager

APP = Path(__file__).parents[2] / "apps" / "streamlit" / "streamlit_app.py"
SECRET = "a-secret-nobody-may-see"  # noqa: S105 - it is looked for everywhere and opens nothing


class Portal:
    """The portal's process: its working folder, its session, its tabs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.managers: list[ShowingManager] = []
        self.scene: Callable[[], LiveSnapshot] = scenes.live
        self.scenes: dict[
            str, Callable[[], LiveSnapshot]
        ] = {}  # of accounts that have one of their own, by name
        self.session = LiveSession(build_manager=self._build, housekeeping_seconds=3_600)

    def _build(self, settings: Settings) -> ShowingManager:
        self.managers.append(
            ShowingManager(lambda: self._present_scene(settings.account), settings.market_kind)
        )
        return self.managers[-1]

    def _present_scene(self, account: str) -> LiveSnapshot:
        return self.scenes.get(account, self.scene)()

    @property
    def runs(self) -> int:
        """How many connections would have been made."""
        return sum(len(manager.runs) for manager in self.managers)

    def open(self, **address: str) -> AppTest:
        """Open a tab on the live portfolio; `address` is what its link asks for."""
        tab = AppTest.from_file(str(APP), default_timeout=30)
        for name, value in address.items():
            tab.query_params[name] = value
        tab.switch_page("pages/12_Live_Portfolio.py").run()
        assert not tab.exception
        return tab

    def show(self, scene: Callable[[], LiveSnapshot]) -> AppTest:
        """Open a tab, press Start, and see this scene."""
        self.scene = scene
        tab = self.open()
        press(tab, "start")
        return tab


def press(tab: AppTest, button: str) -> None:
    """Press a button of the page's body."""
    tab.button(key=f"{button}-page").click().run()
    assert not tab.exception


def html(tab: AppTest) -> str:
    """What the page's own HTML says, style left out, and what only tells a browser where no line may end."""
    return unescape(markup(tab)).replace(WORD_JOINER, "")


def markup(tab: AppTest) -> str:
    """The page's own HTML as it is sent."""
    return "\n".join(element.proto.body for element in tab.get("html") if "<style>" not in element.proto.body)


def pieces(tab: AppTest, css_class: str) -> str:
    """Those pieces of the page's HTML that have an element of this class."""
    bodies = [element.proto.body for element in tab.get("html") if "<style>" not in element.proto.body]
    return unescape("\n".join(body for body in bodies if css_class in body)).replace(WORD_JOINER, "")


def warned(tab: AppTest) -> str:
    """What needs a hand, and what stands against the whole page, as text."""
    said = "\n".join(pieces(tab, name) for name in ("oh-banner", "oh-items"))
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", said))


def state(tab: AppTest) -> str:
    """The word that stands first on the page."""
    return html(tab).split('data-state="')[1].split('"')[0]


def tile(tab: AppTest, name: str) -> str:
    """The tile of this name, from its start to the next one's."""
    return html(tab).split(f'data-tile="{name}"')[1].split("data-tile=")[0]


def table(tab: AppTest, column: str) -> pd.DataFrame:
    """The first table that has this column."""
    frame: pd.DataFrame = next(element.value for element in tab.dataframe if column in element.value.columns)
    return frame


def board(tab: AppTest) -> pd.DataFrame:
    """The table as it is sent: texts by the names of rows and columns; what is empty is "", warnings are lists."""
    (full,) = [
        json.loads(element.proto.bytes)["full"]
        for element in tab.get("bidi_component")
        if element.proto.component_name == "options-helper.board"
    ]
    columns = full["columns"][1:]
    names = [row["name"] for row in full["rows"]]
    rows = [
        [_said(wire, column) for wire, column in zip(full["cells"][row["key"]], columns, strict=True)]
        for row in full["rows"]
    ]
    return pd.DataFrame(rows, index=names, columns=[column["heading"] for column in columns])


def _said(wire: Any, column: dict[str, Any]) -> Any:
    if column["pills"]:
        return [words for words, _ in wire[3]] if isinstance(wire, list) and len(wire) > 3 else []
    return wire if isinstance(wire, str) else wire[0]


def choose(tab: AppTest, *headings: str) -> AppTest:
    """Have the table show these columns."""
    tab.multiselect(key="columns").set_value(list(headings)).run()
    return tab


def number(text: str) -> float:
    """The amount that a cell says: "−1,076"."""
    return float(text.replace("−", "-").replace(",", ""))


def everything(tab: AppTest) -> str:
    """Every text that was sent to the browser."""
    return "\n".join(str(element.proto) for element in tab.main) + str(tab.sidebar) + html(tab)


@pytest.fixture(scope="session", autouse=True)
def components_found_once() -> Iterator[None]:
    """Let all AppTests of a process share what they find among the installed packages.

    Each looks through all of them for the page's components, as a server does at its start; that takes longer than to
    draw the page.
    """
    with pytest.MonkeyPatch.context() as patch:
        found = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", found)
        yield


@pytest.fixture
def portal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    """A portal with keys and the sample portfolio, where nothing has been started."""
    shutil.copy(SAMPLE, tmp_path / "portfolio.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APCA_API_KEY_ID", "a-key")
    monkeypatch.setenv("APCA_API_SECRET_KEY", SECRET)
    # Whatever should try to connect after all finds nobody.
    monkeypatch.setenv("APCA_API_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OH_ALPACA_STREAM_URL", "ws://127.0.0.1:9")
    before: Any = process_session()
    portal = Portal(tmp_path)
    install_session(portal.session)
    # All AppTests of a process share one cache, whatever its scope.
    st.cache_resource.clear()
    yield portal
    install_session(before)
    st.cache_resource.clear()
