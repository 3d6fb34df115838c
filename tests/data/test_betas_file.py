"""Own betas come from a small file, and a slip of the finger in it is a sentence."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from options_helper.data.betas_file import OwnBetas, load_betas, parse_betas
from options_helper.errors import ConfigError


def test_betas_are_read_by_the_spelling_of_the_streams(tmp_path: Path):
    path = tmp_path / "betas.toml"
    path.write_text(
        'as_of = 2026-11-27\n[betas]\nnvda = 1.9\n"BRK-B" = 0.8\n"btc/usd" = 2\nGLD = 0\nSQQQ = -3\n',
        encoding="utf-8",
    )

    own = load_betas(path)

    assert dict(own.betas) == {"NVDA": 1.9, "BRK.B": 0.8, "BTC/USD": 2.0, "GLD": 0.0, "SQQQ": -3.0}
    assert (own.as_of, own.source) == (date(2026, 11, 27), "betas.toml")


def test_without_a_file_there_are_none(tmp_path: Path):
    assert load_betas(tmp_path / "betas.toml") == OwnBetas()
    assert dict(parse_betas("", "betas.toml").betas) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[betas]\nNVDA 1.9", "is no TOML"),
        ("NVDA = 1.9", "'NVDA' stands outside of \\[betas\\]"),
        ("betas = 3", "betas is no table"),
        ("as_of = 2026", "as_of is no day"),
        ("as_of = 2026-11-27T10:00:00", "as_of is no day"),
        ("[betas]\nNVDA = '1.9'", "the beta of NVDA is no number: write it without quotation marks"),
        ("[betas]\nNVDA = true", "the beta of NVDA is no number"),
        ("[betas]\nNVDA = nan", "the beta of NVDA is no number"),
        ("[betas]\nNVDA = 190", "NVDA has a beta of 190"),
        ("[betas]\nBRK.B = 0.8", '"BRK.B" = 0.8'),
        ('[betas]\n"BRK-B" = 0.8\n"BRK.B" = 0.9', "names BRK.B twice"),
    ],
)
def test_what_is_no_beta_is_said_with_what_to_write(text: str, said: str):
    with pytest.raises(ConfigError, match=said) as raised:
        parse_betas(text, "betas.toml")

    assert str(raised.value).startswith("betas.toml")


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path):
    with pytest.raises(ConfigError, match="readable text file"):
        load_betas(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"[betas]\n\xe4 = 1\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_betas(tmp_path / "latin.toml")
