"""The file of targets: what it says, whom it is refused to, and that no address ever becomes text."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from options_helper.data.notify.targets import NO_TARGETS, load_targets, parse_targets
from options_helper.errors import ConfigError

HIDDEN = "hidden-token"
PHONE = f'[targets.phone]\nurl = "ntfy://{HIDDEN}@ntfy.sh/topic"\n'


def written(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "alert-targets.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_each_target_has_a_name_and_an_address_that_is_not_shown(tmp_path: Path):
    found = load_targets({}, written(tmp_path, PHONE + "amounts = true\n"))

    phone = found.by_name["phone"]
    assert phone.url.get_secret_value() == f"ntfy://{HIDDEN}@ntfy.sh/topic"
    assert (str(phone), phone.amounts) == ("phone (ntfy)", True)
    assert HIDDEN not in repr(found)


def test_amounts_stay_here_unless_the_target_says_otherwise():
    assert not parse_targets(PHONE, "file").by_name["phone"].amounts


def test_without_a_file_there_are_no_targets(tmp_path: Path):
    assert load_targets({}, tmp_path / "none.toml") == NO_TARGETS


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_file_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path, mode: int):
    with pytest.raises(ConfigError, match="chmod 600"):
        load_targets({}, written(tmp_path, PHONE, mode))


def test_a_file_that_the_environment_names_and_that_is_not_there_is_told(tmp_path: Path):
    """Else nobody is sent anything, for a letter in a name."""
    with pytest.raises(ConfigError, match=r"There is no .*none\.toml; check OH_ALERT_TARGETS\."):
        load_targets({"OH_ALERT_TARGETS": str(tmp_path / "none.toml")})


def test_the_environment_goes_before_the_file_and_leaves_what_it_does_not_name(tmp_path: Path):
    path = written(tmp_path, PHONE + 'amounts = true\n[targets.mail]\nurl = "mailto://a:b@example.org"\n')

    found = load_targets({"OH_ALERT_TARGET_PHONE": "tgram://1/2"}, path)

    assert {name: str(one) for name, one in found.by_name.items()} == {
        "phone": "phone (tgram)",
        "mail": "mail (mailto)",
    }
    assert found.by_name["phone"].amounts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PHONE.replace("url", "uri"), "'uri' is no known field"),
        (PHONE.replace("ntfy://", ""), "does not begin with a service"),
        (PHONE + "amounts = 1\n", "true or false"),
        ("[targets.phone]\n", "url is missing"),
        ("[targets]\nphone = 1\n", "a table of its own"),
        ('[target.phone]\nurl = "x"\n', "'target' stands outside"),
        (f'[targets."ntfy://{HIDDEN}"]\nurl = "x"\n', "letters, digits"),
        (f'[targets.phone]\n"ntfy://{HIDDEN}" = "url"\n', "no known field"),
        (f'[targets.phone]\nurl = "ntfy://{HIDDEN}\n', "no TOML, see line 2"),
        (f"[targets.phone]\nurl = ntfy://{HIDDEN}\n", "no TOML, see line 2"),
        (f'[life_sign]\nurl = "http://{HIDDEN}.example.org/x"\n', "no https:// address"),
        (f'[life_sign]\nurl = "https://[{HIDDEN}"\n', "no https:// address"),
        ('[life_sign]\nurl = "https://example.org"\nevery_minutes = 0\n', "every_minutes is a number"),
        ("life_sign = 3\n", "is no table"),
    ],
)
def test_what_is_wrong_is_said_without_quoting_an_address(text: str, said: str):
    with pytest.raises(ConfigError) as caught:
        parse_targets(text, "alert-targets.toml")

    assert said in str(caught.value)
    assert "alert-targets.toml" in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert HIDDEN not in shown


def test_a_dead_mans_service_has_an_address_and_a_pace():
    found = parse_targets(
        f'[life_sign]\nurl = "https://hc.example.org/{HIDDEN}"\nevery_minutes = 10\n', "file"
    )

    assert found.life_sign is not None
    assert found.life_sign.every_minutes == 10
    assert HIDDEN not in repr(found)
