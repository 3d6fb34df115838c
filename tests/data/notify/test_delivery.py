"""Delivery by the real Apprise: each message once to each target, whatever another target does, and no address told."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from pathlib import Path

import pytest
from pydantic import SecretStr

from options_helper.data.notify import sending
from options_helper.data.notify.delivery import Delivery
from options_helper.data.notify.lifesign import LifeSign
from options_helper.data.notify.messages import Attempt, Message, Outcome, Urgency
from options_helper.data.notify.sending import Sent, send
from options_helper.data.notify.target_queue import WAITING_AT_MOST, Pacing
from options_helper.data.notify.targets import LifeSignTarget, Target
from options_helper.errors import ConfigError
from tests.kit.notified import fake_mail, fake_ntfy
from tests.kit.ports import free_port
from tests.kit.waiting import AT_ONCE, FOREVER, wait_until

QUICK = Pacing(pause_seconds=0.01, longest_pause_seconds=0.02)


def message(key: str = "m1", **more) -> Message:
    texts = {"text": "SPY is 0.4 % from its strike", "text_with_amounts": "You lose $1,234"}
    return Message(key, f"SPY is tested ({key})", **texts, urgency=Urgency.WARNING, **more)


def target(name: str, url: str, **more) -> Target:
    return Target(name, SecretStr(url), **more)


@contextmanager
def delivering(*targets: Target, **more) -> Iterator[tuple[Delivery, list[Attempt]]]:
    told: list[Attempt] = []
    more = {"before": lambda *_: True, "pacing": QUICK} | more
    delivery = Delivery(targets, tell=told.append, **more)
    try:
        yield delivery, told
    finally:
        delivery.stop()


def outcomes(told: list[Attempt], name: str) -> list[Outcome]:
    return [one.outcome for one in told if one.target == name]


def test_a_message_comes_once_to_each_of_its_targets_and_to_no_other():
    with fake_ntfy() as phone, fake_ntfy() as other, fake_mail() as mail:
        targets = (target("phone", phone.url), target("mail", mail.url), target("other", other.url))
        with delivering(*targets) as (delivery, told):
            delivery.offer(message(), ["phone", "mail", "phone"])
            wait_until(lambda: len(told) == 2, saw=lambda: told)

    assert {(one.target, one.outcome) for one in told} == {
        ("phone", Outcome.DELIVERED),
        ("mail", Outcome.DELIVERED),
    }
    assert (phone.titles, other.posted) == (["SPY is tested (m1)"], [])
    assert len(mail.mails) == 1
    assert message_from_string(mail.mails[0])["Subject"] == "SPY is tested (m1)"


def test_no_amount_leaves_unless_the_target_says_so():
    with fake_ntfy() as strangers, fake_ntfy() as own:
        targets = (target("strangers", strangers.url), target("own", own.url, amounts=True))
        with delivering(*targets) as (delivery, told):
            delivery.offer(message(), ["strangers", "own"])
            wait_until(lambda: len(told) == 2, saw=lambda: told)

    assert "$" not in str(strangers.posted)
    assert "$1,234" in str(own.posted)
    assert f"[{message().reference}]" in str(strangers.posted), "it tells a repetition from another message"


def test_a_mute_a_refusing_and_an_absent_target_hold_nothing_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sending, "ANSWER_SECONDS", FOREVER)
    with fake_ntfy() as mute, fake_ntfy(status=500) as refusing, fake_ntfy() as well:
        mute.mute.set()
        targets = (
            target("mute", mute.url),
            target("refusing", refusing.url),
            target("absent", f"ntfy://127.0.0.1:{free_port()}/topic"),
            target("well", well.url),
        )
        with delivering(*targets) as (delivery, told):
            delivery.offer(message("m0"), ["mute", "refusing", "absent"])
            wait_until(
                lambda: (
                    mute.posted and len(outcomes(told, "absent")) > 1 and len(outcomes(told, "refusing")) > 1
                )
            )
            delivery.offer(message("m1"), ["mute", "well"])
            wait_until(lambda: outcomes(told, "well"), saw=lambda: told)
            began = time.monotonic()
            delivery.stop()
            lasted = time.monotonic() - began
        mute.ending.set()

    assert lasted < AT_ONCE, "a stop waits a second at most for a target that does not answer"
    assert well.titles == ["SPY is tested (m1)"]
    assert len(mute.posted) == 1
    assert {one.why for one in told if one.target == "refusing"} == {"it answered with HTTP 500"}
    assert {one.why for one in told if one.target == "absent"} == {"the connection was refused"}


def test_what_failed_is_tried_until_it_is_delivered():
    with fake_ntfy(status=503) as phone, delivering(target("phone", phone.url)) as (delivery, told):
        delivery.offer(message(), ["phone"])
        wait_until(lambda: len(told) >= 2, saw=lambda: told)
        phone.status = 200
        wait_until(lambda: told[-1].outcome is Outcome.DELIVERED, saw=lambda: told)

    assert [one.number for one in told] == list(range(1, len(told) + 1))
    assert not any("Sent again" in str(one) for one in phone.posted), "a server that refuses has not taken it"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_address_that_is_wrong_is_given_up_after_the_second_try(status: int):
    with fake_ntfy(status=status) as phone, delivering(target("phone", phone.url)) as (delivery, told):
        delivery.offer(message(), ["phone"])
        wait_until(lambda: len(told) == 2, saw=lambda: told)

    assert [one.outcome for one in told] == [Outcome.FAILED, Outcome.GAVE_UP]
    assert told[-1].why == f"it answered with HTTP {status}"


def test_a_target_that_is_asked_too_often_is_tried_on():
    with fake_ntfy(status=429) as phone, delivering(target("phone", phone.url)) as (delivery, told):
        delivery.offer(message(), ["phone"])
        wait_until(lambda: len(told) > 3, saw=lambda: told)

    assert {one.outcome for one in told} == {Outcome.FAILED}


def test_without_an_answer_it_is_sent_once_more_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sending, "ANSWER_SECONDS", 0.2)
    with fake_ntfy() as phone, delivering(target("phone", phone.url)) as (delivery, told):
        phone.mute.set()
        delivery.offer(message(), ["phone"])
        wait_until(lambda: len(told) == 2, saw=lambda: told)

    assert [one.outcome for one in told] == [Outcome.UNANSWERED, Outcome.GAVE_UP]
    assert ["may have come before" in str(one) for one in phone.posted] == [False, True]


def test_a_try_without_an_end_counts_as_unanswered():
    ending = threading.Event()

    def drip(*_) -> Sent:
        ending.wait(FOREVER)
        return Sent(Outcome.DELIVERED)

    pacing = Pacing(pause_seconds=0.01, longest_pause_seconds=0.02, longest_try_seconds=0.05)
    with delivering(target("slow", "ntfy://x"), send=drip, pacing=pacing) as (delivery, told):
        delivery.offer(message(), ["slow"])
        wait_until(lambda: len(told) == 2, saw=lambda: told)
        ending.set()

    assert [one.why for one in told] == ["it came to no end"] * 2


def test_what_may_have_come_from_a_program_before_says_so_at_each_try():
    """The one before was killed in the midst of a try; a refusal now says nothing of that one."""
    answers = [Sent(Outcome.FAILED, "refused"), Sent(Outcome.DELIVERED)]
    posted: list[Message] = []

    def refusing_once(_: Target, sent: Message) -> Sent:
        posted.append(sent)
        return answers[len(posted) - 1]

    with delivering(target("phone", "ntfy://x"), send=refusing_once) as (delivery, told):
        delivery.offer(message(may_have_come=True), ["phone"])
        wait_until(lambda: len(told) == 2, saw=lambda: told)

    assert [one.may_have_come for one in posted] == [True, True]


def test_after_the_longest_time_it_is_given_up():
    pacing = Pacing(pause_seconds=0.01, longest_pause_seconds=0.02, give_up_seconds=0.0)
    with (
        fake_ntfy(status=500) as phone,
        delivering(target("phone", phone.url), pacing=pacing) as (delivery, told),
    ):
        delivery.offer(message(), ["phone"])
        wait_until(lambda: told, saw=lambda: told)

    assert [one.outcome for one in told] == [Outcome.GAVE_UP]


def test_what_a_target_cannot_take_any_more_is_told_of():
    ending, busy = threading.Event(), threading.Event()

    def block(*_) -> Sent:
        busy.set()
        ending.wait(FOREVER)
        return Sent(Outcome.DELIVERED)

    with delivering(target("slow", "ntfy://x"), send=block) as (delivery, told):
        delivery.offer(message("first"), ["slow"])
        busy.wait(FOREVER)
        for number in range(WAITING_AT_MOST + 1):
            delivery.offer(message(str(number)), ["slow"])
        delivery.offer(message("lost"), ["nowhere"])
        waiting = delivery.waiting
        ending.set()
        delivery.stop()

    assert [(one.key, one.target, one.outcome) for one in told[:2]] == [
        (str(WAITING_AT_MOST), "slow", Outcome.GAVE_UP),
        ("lost", "nowhere", Outcome.GAVE_UP),
    ]
    assert waiting == WAITING_AT_MOST + 1


def test_what_may_not_be_sent_is_not():
    asked: list[str] = []

    def before(one: Message, name: str, number: int) -> bool:
        asked.append(f"{one.key} {name} {number}")
        return False

    with fake_ntfy() as phone, delivering(target("phone", phone.url), before=before) as (delivery, told):
        delivery.offer(message(), ["phone"])
        wait_until(lambda: asked and not delivery.waiting)

    assert (asked, phone.posted, told) == (["m1 phone 1"], [], [])


def test_books_that_refuse_cost_one_message_and_not_the_next():
    refusals = iter([OSError("disk full")])

    def before(*_) -> bool:
        for error in refusals:
            raise error
        return True

    with fake_ntfy() as phone, delivering(target("phone", phone.url), before=before) as (delivery, told):
        delivery.offer(message("m1"), ["phone"])
        delivery.offer(message("m2"), ["phone"])
        wait_until(lambda: told, saw=lambda: told)

    assert [one.key for one in told] == ["m2"]


FAILING = {
    "an answer 500": ("ntfy://hidden-user:hidden-word@127.0.0.1:{refusing}/hidden-topic", 500),
    "an answer 404": ("ntfy://127.0.0.1:{refusing}/hidden-topic?token=hidden-word", 404),
    "nobody there": ("ntfy://hidden-user:hidden-word@127.0.0.1:{unused}/hidden-topic", 0),
    "no mail there": ("mailto://hidden-user:hidden-word@127.0.0.1:{unused}/?to=hidden@example.org", 0),
    "a webhook": ("json://hidden-user:hidden-word@127.0.0.1:{refusing}/hidden-topic", 500),
    "no such service": ("hiddenservice://hidden-word/hidden-topic", 0),
    "half an address": ("slack://hidden-word/hidden-topic", 0),
    "a bad port": ("ntfy://hidden-word@127.0.0.1:99999999/hidden-topic", 0),
    "a host that is none": ("ntfy://hidden-user:hidden-word@./hidden-topic", 0),
}


@pytest.mark.parametrize("failing", FAILING)
def test_no_failure_tells_an_address(
    failing: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    """At any level of the log, in any result, and on the terminal."""
    url, status = FAILING[failing]
    caplog.set_level(logging.DEBUG)
    with fake_ntfy(status=status or 200) as refusing:
        address = target("phone", url.format(refusing=refusing.port, unused=free_port()))
        with delivering(address) as (delivery, told):
            delivery.offer(message(), ["phone"])
            wait_until(lambda: told, saw=lambda: told)

    written = capfd.readouterr()
    everything = f"{caplog.text}{written.out}{written.err}{told!r}{address!r}{delivery!r}"
    assert "hidden-" not in everything
    assert told[0].why


@pytest.mark.parametrize("name", ["requests_oauthlib.oauth1_auth", "some.library", "apprise.plugins.new"])
def test_what_any_library_logs_while_it_is_sent_goes_no_further(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """A filter at a logger is not asked about what its children say."""
    caplog.set_level(logging.DEBUG)

    class Telling:
        def notify(self, **_) -> bool:
            try:
                int("https://hidden-word@service")
            except ValueError:
                logging.getLogger(name).exception("posting to %s", "https://hidden-word@service: timed out")
            return False

    apprise = sending.require_apprise()
    monkeypatch.setattr(apprise.Apprise, "instantiate", lambda *_, **__: Telling())
    sent = send(target("phone", "ntfy://x"), message())
    logging.getLogger(name).warning("afterwards it is heard again")

    assert sent == Sent(Outcome.UNANSWERED, "it did not answer"), "it was read here all the same"
    assert "hidden-" not in caplog.text
    assert "afterwards it is heard again" in caplog.text


def test_without_apprise_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)

    sent = send(target("phone", "ntfy://x"), message())

    assert sent.is_final
    assert "options-helper[notify]" in (sent.why or "")
    with pytest.raises(ConfigError, match=r"options-helper\[notify\]"):
        sending.require_apprise()


def test_a_dead_mans_service_is_called_while_all_is_well(caplog: pytest.LogCaptureFixture):
    is_well = True
    with fake_ntfy() as service:
        address = LifeSignTarget(SecretStr(f"http://127.0.0.1:{service.port}/hidden-check?x=1"))
        sign = LifeSign(address, is_well=lambda: is_well)
        sign.start()
        wait_until(lambda: sign.last.answered_at)
        sign.stop()
        is_well = False
        silent = LifeSign(address, is_well=lambda: is_well)
        silent.start()
        wait_until(lambda: silent.last.problem)
        silent.stop()

    assert service.titles == ["/hidden-check?x=1"]
    assert silent.last.problem == "not called, because nothing is watched"
    assert "hidden-" not in caplog.text


@pytest.mark.parametrize("status", [500, 0])
def test_a_dead_mans_service_that_does_not_answer_is_told_of_without_its_address(
    status: int, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    with fake_ntfy(status=status or 200) as service:
        port = service.port if status else free_port()
        sign = LifeSign(
            LifeSignTarget(SecretStr(f"http://127.0.0.1:{port}/hidden-check")), is_well=lambda: True
        )
        sign.start()
        wait_until(lambda: sign.last.problem)
        sign.stop()

    assert "not reached" in caplog.text
    assert "hidden-" not in f"{caplog.text}{sign.last!r}"


def test_a_file_of_targets_is_none_of_the_repositorys(repository: Path):
    assert "alert-targets.toml" in (repository / ".gitignore").read_text(encoding="utf-8")


def test_an_answer_that_comes_during_a_stop_is_taken():
    """Else the next program would send the same once more."""
    is_trying, may_answer = threading.Event(), threading.Event()

    def slow(*_) -> Sent:
        is_trying.set()
        may_answer.wait(FOREVER)
        return Sent(Outcome.DELIVERED)

    told: list[Attempt] = []
    delivery = Delivery([target("slow", "ntfy://x")], before=lambda *_: True, tell=told.append, send=slow)
    delivery.offer(message(), ["slow"])
    assert is_trying.wait(FOREVER)
    stopping = threading.Thread(target=delivery.stop, args=(FOREVER,))
    stopping.start()
    may_answer.set()
    stopping.join()

    assert [one.outcome for one in told] == [Outcome.DELIVERED]
