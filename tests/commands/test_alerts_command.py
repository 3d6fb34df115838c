"""`alerts test`, and the doctor's look at targets: who took a message, without an address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from options_helper.cli import app
from options_helper.doctor.findings import Check, Finding, Verdict
from options_helper.doctor.run import Checkup, Environment
from options_helper.errors import ConfigError
from tests.kit.notified import fake_mail, fake_ntfy


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def alerts_test(*arguments: str, **urls: str) -> Result:
    environ = {f"OH_ALERT_{name}": url for name, url in urls.items()}
    return CliRunner().invoke(app, ["alerts", "test", *arguments], env=environ)


def test_each_target_is_tried_once_and_told_of():
    with fake_ntfy() as phone, fake_mail() as mail, fake_ntfy() as check:
        sign = f"http://127.0.0.1:{check.port}/hidden-check"
        said = alerts_test(TARGET_PHONE=phone.url, TARGET_MAIL=mail.url, LIFE_SIGN=sign)

    assert said.exit_code == 0, said.output
    assert [line.split() for line in said.output.splitlines()] == [
        ["phone", "(ntfy)", "took", "it"],
        ["mail", "(mailto)", "took", "it"],
        ["life_sign", "(https)", "took", "it"],
    ]
    assert (phone.titles, len(mail.mails), check.titles) == (["options-helper: test"], 1, ["/hidden-check"])


def test_one_that_refuses_is_exit_code_1_and_only_the_named_one_is_tried():
    with fake_ntfy(status=403) as phone, fake_ntfy() as desk:
        one = alerts_test("phone", "--json", TARGET_PHONE=phone.url, TARGET_DESK=desk.url)
        all_of_them = alerts_test(TARGET_PHONE=phone.url, TARGET_DESK=desk.url)

    assert json.loads(one.output) == [
        {"target": "phone", "service": "ntfy", "took_it": False, "why": "it answered with HTTP 403"}
    ]
    assert (one.exit_code, all_of_them.exit_code) == (1, 1)
    assert (len(phone.posted), len(desk.posted)) == (2, 1)
    assert "hidden-" not in one.output + all_of_them.output


@pytest.mark.parametrize(
    ("arguments", "urls", "says"),
    [
        ((), {}, "There are no targets"),
        (("desk",), {"TARGET_PHONE": "ntfy://hidden-topic"}, "No target is named 'desk'. Known are: phone"),
        ((), {"TARGET_PHONE": "hidden-topic"}, "does not begin with a service"),
    ],
)
def test_where_there_is_nothing_to_try_that_is_said(
    arguments: tuple[str, ...], urls: dict[str, str], says: str
):
    said = alerts_test(*arguments, **urls)

    assert isinstance(said.exception, ConfigError)
    assert says in str(said.exception)
    assert "hidden-" not in str(said.exception)


def doctors_finding(*, offline: bool = False, **environ: str) -> Finding | None:
    checkup = Checkup(offline=offline, environment=Environment(environ={"HOME": ".", **environ}))
    return next((line.finding for line in checkup.lines() if line.check is Check.ALERTS), None)


def test_the_doctor_tries_each_target():
    with fake_ntfy() as phone, fake_ntfy(status=404) as desk:
        well = doctors_finding(OH_ALERT_TARGET_PHONE=phone.url)
        ill = doctors_finding(OH_ALERT_TARGET_PHONE=phone.url, OH_ALERT_TARGET_DESK=desk.url)
        idle = doctors_finding(offline=True, OH_ALERT_TARGET_PHONE=phone.url)

    assert well is not None
    assert ill is not None
    assert idle is not None
    assert (well.verdict, ill.verdict, idle.verdict) == (Verdict.OK, Verdict.FAILED, Verdict.SKIPPED)
    assert "desk (ntfy): it answered with HTTP 404" in ill.message
    assert len(phone.posted) == 2
    assert "hidden-" not in f"{well}{ill}{idle}"


def test_the_doctor_says_nothing_where_there_is_no_target_and_what_is_wrong_with_the_file(tmp_path: Path):
    assert doctors_finding() is None
    path = tmp_path / "config" / "alert-targets.toml"
    path.parent.mkdir()
    path.write_text('[targets.phone]\nurl = "ntfy://hidden-topic"\n', encoding="utf-8")
    path.chmod(0o644)

    finding = doctors_finding()

    assert finding is not None
    assert finding.verdict is Verdict.FAILED
    assert "chmod 600" in f"{finding.message} {finding.remedy}"
