"""What a path typed into a browser can reach, and how a file is followed while it is edited."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from options_helper.data.portfolio_file import default_text, known_roots, open_portfolio_file, reread

SHARES = {"id": "shares", "symbol": "AAPL", "shares": 100, "cost_basis": 250.0}


def write(path: Path, *entries: dict[str, object], changed_at: int = 1_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"positions": entries}), encoding="utf-8")
    # Two writes within the file system's clock tick would look like one.
    os.utime(path, (changed_at, changed_at))
    return path


def test_a_portfolio_in_a_known_folder_opens(tmp_path):
    write(tmp_path / "books" / "ira.json", SHARES)

    portfolio_file = open_portfolio_file("books/ira.json", [tmp_path])

    assert portfolio_file.problem is None
    assert portfolio_file.portfolio is not None
    assert portfolio_file.name == "books/ira.json"


def test_the_folder_named_at_launch_comes_before_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    launched = write(tmp_path / "demo" / "portfolio.json", SHARES)
    write(tmp_path / "portfolio.json")
    environment = {"OH_PORTFOLIO": str(launched), "OH_PORTFOLIO_ROOTS": str(launched.parent)}
    roots = known_roots(environment)

    assert default_text(roots, environment) == "portfolio.json"
    assert open_portfolio_file(default_text(roots, environment), roots).path == launched


def test_without_a_launcher_the_working_folder_is_the_only_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert known_roots({}) == (tmp_path,)
    assert default_text(known_roots({}), {}) == "portfolio.json"


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("text", ["../secret.json", "{outside}", "link.json"])
def test_a_file_outside_is_refused_in_the_same_words_whether_it_exists_or_not(tmp_path, text, exists):
    root, outside = tmp_path / "root", tmp_path / "secret.json"
    root.mkdir()
    (root / "link.json").symlink_to(outside)
    if exists:
        write(outside, SHARES)

    portfolio_file = open_portfolio_file(text.format(outside=outside), [root])

    assert portfolio_file.portfolio is None
    assert portfolio_file.problem is not None
    assert "must lie in the working folder" in portfolio_file.problem
    assert str(tmp_path) not in portfolio_file.problem


def test_only_json_files_of_a_sensible_size_are_read(tmp_path):
    (tmp_path / "notes.txt").write_text("api_secret=123")
    (tmp_path / "huge.json").write_bytes(b" " * 1_000_001)
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")

    problems = {name: open_portfolio_file(name, [tmp_path]).problem for name in ("notes.txt", "huge.json")}
    problems |= {
        name: open_portfolio_file(name, [tmp_path]).problem
        for name in ("folder.json", "pipe.json", "no.json")
    }

    assert problems == {
        "notes.txt": "notes.txt is no .json file.",
        "huge.json": "huge.json is larger than 1 MB; a portfolio is a short list of positions.",
        "folder.json": "folder.json is not a regular file.",
        "pipe.json": "pipe.json is not a regular file.",
        "no.json": "There is no no.json; check the name, or create the file.",
    }


def test_an_edited_file_is_read_again_and_an_untouched_one_is_not(tmp_path):
    path = write(tmp_path / "portfolio.json", SHARES)
    first = open_portfolio_file("portfolio.json", [tmp_path])

    assert reread(first) is first

    write(path, SHARES, {**SHARES, "id": "more"}, changed_at=2_000)
    second = reread(first)
    assert second.portfolio is not None
    assert len(second.portfolio.positions) == 2


def test_a_broken_or_vanished_file_keeps_the_last_good_portfolio_and_says_so(tmp_path):
    path = write(tmp_path / "portfolio.json", SHARES)
    good = open_portfolio_file("portfolio.json", [tmp_path])

    path.write_text("{")
    broken = reread(good)
    path.unlink()
    gone = reread(broken)
    write(path, SHARES, changed_at=2_000)
    mended = reread(gone)

    assert broken.portfolio == gone.portfolio == good.portfolio
    assert broken.problem is not None
    assert "not valid JSON" in broken.problem
    assert gone.problem == "There is no portfolio.json; check the name, or create the file."
    assert mended.problem is None


@pytest.mark.parametrize("text", ["a\0b.json", "x" * 300 + ".json"])
def test_a_name_that_no_file_can_have_is_a_sentence(text: str, tmp_path: Path):
    portfolio_file = open_portfolio_file(text, [tmp_path])

    assert portfolio_file.portfolio is None
    assert portfolio_file.problem


def test_links_in_a_circle_are_a_sentence(tmp_path: Path):
    (tmp_path / "a.json").symlink_to(tmp_path / "b.json")
    (tmp_path / "b.json").symlink_to(tmp_path / "a.json")

    assert open_portfolio_file("a.json", [tmp_path]).problem
