"""The promises of the tree itself: floors, scripts, pins, generated pages, the wheel, and nothing of this machine."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from options_helper.errors import ConfigError
from options_helper.live.screen import State
from options_helper.model.market_hours import regular_session
from options_helper.model.portfolio import parse_portfolio
from tests.kit.first_paths import FIRST_FILES, FIRST_PATHS
from tests.kit.waiting import A_PROCESS

pytestmark = pytest.mark.processes

HEAVY = {"alpaca", "exchange_calendars", "nats", "numpy", "pandas", "streamlit", "websockets"}


@pytest.fixture(scope="session")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def committed(repository: Path) -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("this is no git checkout, so nothing is committed")
    paths = [repository / name for name in listing.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=A_PROCESS)


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_imports_point_downwards(repository: Path):
    linted = run(tool("lint-imports"), cwd=repository)

    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    "line",
    [
        "from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n",
        "from datetime import date\n\nTODAY = date.today()\n",
        "import time\n\nNOW = time.time()\n",
        "from time import time_ns\n\nNOW = time_ns()\n",
        "import pandas as pd\n\nNOW = pd.Timestamp.now()\n",
    ],
)
@pytest.mark.parametrize(("module", "refused"), [("analysis/marks", True), ("cli", True), ("clock", False)])
def test_the_wall_clock_is_read_in_one_place(repository: Path, module: str, line: str, *, refused: bool):
    """What reads it elsewhere cannot be tested for another day."""
    checked = subprocess.run(
        [tool("ruff"), "check", "--select=TID251", f"--stdin-filename=options_helper/{module}.py", "-"],
        input=line,
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("options_helper.clock" in checked.stdout) is refused, checked.stdout
    assert checked.returncode == int(refused)


def test_the_drawing_of_the_house_has_every_folder(repository: Path):
    page = (repository / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    drawing = page.partition("## The house")[2].partition("```text\n")[2].partition("```")[0]
    folders = {path.parent.name for path in (repository / "options_helper").glob("*/**/__init__.py")}

    assert {folder for folder in folders if f"{folder}/" not in drawing} == set()


@pytest.mark.parametrize("module", FIRST_PATHS)
def test_what_others_were_told_to_import_is_still_there(module: str):
    found = importlib.import_module(module)

    assert [name for name in FIRST_PATHS[module] if not hasattr(found, name)] == []


def test_files_are_where_others_were_told_to_find_them(repository: Path):
    assert [path for path in FIRST_FILES if not (repository / path).exists()] == []


def test_modules_are_where_texts_and_comments_say(repository: Path, committed: list[Path]):
    """A file that moved takes along what points to it."""
    names = [f"/{path.relative_to(repository).as_posix()}" for path in committed]
    texts = {
        path: path.read_text(encoding="utf-8") for path in committed if path.suffix in {".md", ".py", ".toml"}
    }
    named = {
        (path.name, match[0])
        for path, text in texts.items()
        for match in re.finditer(r"(?<![\w./}-])(?:[\w-]+/)+[\w-]+\.(?:py|sh|md)\b", text)
    }

    assert named
    assert [one for one in sorted(named) if not any(name.endswith(f"/{one[1]}") for name in names)] == []


def test_folders_and_names_of_the_package_are_where_the_pages_say(repository: Path, committed: list[Path]):
    """`data/streaming/connection`, `analysis.osi`, `options_helper.live.screen.build_screen`."""
    package = repository / "options_helper"
    folders = "|".join(path.parent.name for path in package.glob("*/__init__.py"))
    pages = [path.read_text(encoding="utf-8") for path in committed if path.suffix == ".md"]
    paths = {name for page in pages for name in re.findall(rf"`((?:{folders}|tests|apps)/[\w/]*)`", page)}
    dotted = {
        name.removeprefix("options_helper.")
        for page in pages
        for name in re.findall(rf"(?:\boptions_helper\.|`)(?:{folders}|settings|clock)(?:\.\w+)+", page)
        for name in [name.strip("`")]
        if not name.endswith(".py")
    }

    assert paths
    assert [
        name for name in sorted(paths) if not ((repository / name).is_dir() or (package / name).is_dir())
    ] == []
    assert dotted
    assert [name for name in sorted(dotted) if not _is_importable(f"options_helper.{name}")] == []


def test_every_page_with_a_command_says_once_how_it_is_called(repository: Path):
    """After `sh scripts/setup` its name alone is not found."""
    pages = {path.name: path.read_text(encoding="utf-8") for path in (repository / "docs").glob("*.md")}
    with_commands = {
        name for name, page in pages.items() if re.search(r"^\$? ?options-helper ", page, re.MULTILINE)
    }

    assert with_commands
    assert {
        name: pages[name].count("(index.md#how-it-is-called)") for name in with_commands
    } == dict.fromkeys(with_commands, 1)
    assert "## How it is called" in pages["index.md"]


def _is_importable(name: str) -> bool:
    """Whether it is a module, or a name in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_the_commands_are_there_before_anything_heavy_is(repository: Path):
    """`--help` answers at once."""
    listed = run(
        sys.executable,
        "-c",
        "import sys; from typer.testing import CliRunner; from options_helper.cli import app;"
        "print(CliRunner().invoke(app, ['ui', '--help']).output);"
        f"print('heavy:', sorted({HEAVY} & sys.modules.keys()))",
        cwd=repository,
    )

    assert "--portfolio" in listed.stdout, listed.stderr
    assert "heavy: []" in listed.stdout


@pytest.mark.parametrize(
    ("script", "page"),
    [("cli_page.py", "CLI.md"), ("columns_page.py", "COLUMNS.md")],
    ids=["commands", "columns"],
)
def test_a_page_that_is_written_from_the_code_is_fresh(
    repository: Path, tmp_path: Path, script: str, page: str
):
    """`sh scripts/docs` writes it."""
    written = tmp_path / page

    made = run(sys.executable, f"scripts/{script}", str(written), cwd=repository)

    assert made.returncode == 0, made.stderr
    assert (repository / "docs" / page).read_text(encoding="utf-8") == written.read_text(encoding="utf-8")


def test_every_portfolio_in_the_docs_is_one(repository: Path):
    page = (repository / "docs" / "PORTAL_STREAMLIT.md").read_text(encoding="utf-8")
    examples = re.findall(r"```json\n(.+?)```", page, flags=re.DOTALL)

    assert len(examples) == 3
    for example in examples:
        portfolio = parse_portfolio(example, "example.json")
        assert portfolio.positions
        # Contracts are listed for days on which the exchange is open.
        assert all(item.expiry is None or regular_session(item.expiry) for item in portfolio.instruments)


def test_every_word_that_can_stand_first_on_the_page_is_in_the_docs(repository: Path):
    page = (repository / "docs" / "PORTAL_STREAMLIT.md").read_text(encoding="utf-8")
    words = page.partition("## The truth bar")[2].partition("One word (")[2].partition(")")[0]

    assert words.split(", ") == [state.value.upper() for state in State]


def test_the_program_in_the_docs_uses_what_there_is(repository: Path, monkeypatch: pytest.MonkeyPatch):
    """It runs as far as one can without keys."""
    page = (repository / "docs" / "REFERENCE.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.+?)```", page, flags=re.DOTALL)
    monkeypatch.chdir(repository)

    with pytest.raises(ConfigError, match="There are no Alpaca keys"):
        exec(example, {})  # noqa: S102 - our own page


def test_nothing_committed_knows_the_machine_it_was_written_on(repository: Path, committed: list[Path]):
    """No folder of a machine, no address of a package index."""
    stranger = re.compile(r"(?<![\w.$}~*-])/(?:work|root|opt|home)/\w|file:/{2}|python[h]osted|pypi[.]org")
    found = [
        f"{path.relative_to(repository)}: {match[0]}"
        for path in committed
        for match in stranger.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]

    assert found == []


def test_scripts_are_plain_shell(repository: Path, committed: list[Path]):
    scripts = [path for path in committed if path.parent.name == "scripts" and not path.suffix]

    assert scripts
    for script in scripts:
        assert script.read_text(encoding="utf-8").startswith("#!/bin/sh\n"), script
        assert script.stat().st_mode & 0o111, f"{script} is not executable"
        assert run("sh", "-n", str(script), cwd=repository).returncode == 0, script


def test_setup_names_the_checkout_in_letters_that_every_locale_reads(repository: Path):
    """Python 3.11 reads this file by the locale: one that has no ö ends it before the program begins."""
    (pth,) = Path(sysconfig.get_path("purelib")).glob("*options_helper.pth")
    named = pth.read_bytes().decode("ascii").strip()

    assert not Path(named).is_absolute(), "letters of the folder's own name are in it"
    assert (pth.parent / named).resolve() == repository


def test_every_dependency_is_pinned_and_nothing_else_is_said(repository: Path, project: dict[str, Any]):
    lines = (repository / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    extras = project["project"]["optional-dependencies"].values()
    wanted = {
        re.split(r"[\[<>=!~ ;]", requirement)[0].lower()
        for requirement in [
            *project["project"]["dependencies"],
            *(item for extra in extras for item in extra),
        ]
    }

    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.+!]+( ; .+)?", pin) for pin in pins)
    assert wanted - {pin.partition("==")[0] for pin in pins} == set()


def test_a_wheel_holds_the_page_its_options_and_the_sample(repository: Path, tmp_path: Path):
    """What works in a checkout works after `pip install`."""
    built = run(tool("hatchling"), "build", "-t", "wheel", "-d", str(tmp_path), cwd=repository)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")

    asked = run(
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r});"
        "from options_helper.commands import page_launcher;"
        "from pathlib import Path;"
        "print(page_launcher.PAGE_SCRIPT.is_file(), page_launcher.PAGE_SCRIPT.with_name('.streamlit').is_dir(),"
        " page_launcher.demo_portfolio().is_file(), page_launcher.sample_portfolio())",
        cwd=tmp_path,
    )

    assert asked.stdout.split() == [
        "True",
        "True",
        "True",
        str(tmp_path / "site" / "options_helper" / "sample_portfolio.json"),
    ]
    # Streamlit looks for the files of the page's components by a manifest, which must lie in the package.
    found = run(
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r});"
        "from streamlit.components.v2.manifest_scanner import scan_component_manifests;"
        "print(*(f'{one.name} {path}' for manifest, root in scan_component_manifests()"
        " if manifest.name == 'options-helper' for one in manifest.components"
        " for path in (root / one.asset_dir).iterdir()), sep='\\n')",
        cwd=tmp_path,
    )
    # The checkout is installed here as well, under the same name, and nobody says which of the two is told first.
    assets = tmp_path / "site" / "options_helper" / "live" / "assets"
    files = ("board.css", "board.js", "pieces.js", "window.js")
    shipped = {
        f"{component} {assets / name}" for component in ("board", "pieces", "window") for name in files
    }
    assert shipped <= set(found.stdout.splitlines()), found.stderr
