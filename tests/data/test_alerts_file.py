"""The file of rules: what each field may say, and a sentence with file, rule and field for what it may not."""

from __future__ import annotations

import os
from datetime import time
from pathlib import Path

import pytest

from options_helper.data.alerts_file import RulesFile, load_rules, parse_rules, reread_rules, rules_file
from options_helper.errors import ConfigError
from options_helper.model.alerts import (
    ALWAYS,
    BUILT_IN,
    REGULAR,
    HoursKind,
    Operator,
    Rule,
    RuleHours,
    RuleSeverity,
    Side,
    Subject,
    SubjectKind,
)


def rule_of(**fields: str) -> Rule:
    """The one rule of a file; values are TOML."""
    usual = {"name": '"stop"', "subject": '"underlying:SPY"', "figure": '"price"', "operator": '"<"'}
    usual |= {"level": "500"} | fields
    return parse_rules(entry(usual), "alerts.toml")[-1]


def entry(fields: dict[str, str]) -> str:
    return "\n".join(["[[rules]]", *(f"{name} = {value}" for name, value in fields.items() if value)]) + "\n"


def test_a_rule_has_everything_that_it_says():
    rule = rule_of(
        for_seconds="30",
        rearm_margin="1.5",
        cooldown="600",
        hours='"09:45-15:45"',
        severity='"critical"',
        targets='["phone"]',
        unknown_seconds="60",
    )

    assert rule == Rule(
        "stop",
        Subject(SubjectKind.UNDERLYING, "SPY"),
        "price",
        Operator.BELOW,
        500.0,
        for_seconds=30.0,
        rearm_margin=1.5,
        cooldown_seconds=600.0,
        hours=RuleHours(HoursKind.WINDOW, time(9, 45), time(15, 45)),
        unknown_seconds=60.0,
        severity=RuleSeverity.CRITICAL,
        targets=("phone",),
    )


def test_what_is_not_said_is_as_usual_for_the_figure():
    price = rule_of()
    loss = rule_of(subject='"book"', figure='"pnl_today"', level="-500")
    flat = rule_of(subject='"book"', figure='"pnl_today"', level="0")
    phase = rule_of(
        subject='"stream:options"', figure='"phase"', operator='"is"', level='["failed", "stalled"]'
    )

    assert (price.hours, price.rearm_margin) == (REGULAR, 2.5)
    assert (loss.rearm_margin, flat.rearm_margin) == (50.0, 1.0)
    assert (phase.hours, phase.words) == (ALWAYS, ("failed", "stalled"))


@pytest.mark.parametrize(
    ("subject", "figure", "level"),
    [
        ("each underlying", "price", 0.5),
        ("underlying:DOGE/USD", "price", 0.1534),
        ("each leg", "mark", 0.05),
        ("each short leg", "mark", 0.02),
        ("each short leg", "mark", 0.01),
        ("each short leg", "natural", 0.03),
        ("each short leg", "mark", 0.0),
    ],
)
def test_a_low_price_returns_by_a_tick(subject: str, figure: str, level: float):
    """A middle that moves by half cents, between 0.015 and 0.025, fired at each turn."""
    assert rule_of(subject=f'"{subject}"', figure=f'"{figure}"', level=f"{level}").rearm_margin == 0.01


@pytest.mark.parametrize("subject", ["each underlying", "underlying:SHIB/USD"])
@pytest.mark.parametrize("level", [0.0000125, 0.009])
def test_a_price_below_a_tick_can_return(subject: str, level: float):
    """A cent is 800 times the price of such a coin."""
    rule = rule_of(subject=f'"{subject}"', level=f"{level:.7f}")

    assert 0 < rule.rearm_margin < 0.02 * level


@pytest.mark.parametrize(
    ("subject", "figure", "expected"),
    [
        ("leg:aapl  261218C00180000", "mark", Subject(SubjectKind.LEG, "AAPL261218C00180000")),
        ("leg:BRK-B", "mark", Subject(SubjectKind.LEG, "BRK.B")),
        ("underlying:brk-b", "price", Subject(SubjectKind.UNDERLYING, "BRK.B")),
        ("underlying:BTC/USD", "price", Subject(SubjectKind.UNDERLYING, "BTC/USD")),
        ("underlying:SPXW", "price", Subject(SubjectKind.UNDERLYING, "SPX")),
        ("leg:btc/usd", "mark", Subject(SubjectKind.LEG, "BTC/USD")),
        ("structure:My Condor", "unrealized", Subject(SubjectKind.STRUCTURE, "My Condor")),
        ("expiry:2026-12-18", "dte", Subject(SubjectKind.EXPIRY, "2026-12-18")),
        ("each short leg", "mark", Subject(SubjectKind.LEG, None, Side.SHORT)),
        ("each structure", "unrealized", Subject(SubjectKind.STRUCTURE)),
        ("book", "theta", Subject(SubjectKind.BOOK, "")),
        ("each job", "watermark_age", Subject(SubjectKind.JOB)),
        ("ingest:AAPL 1Min", "watermark_age", Subject(SubjectKind.JOB, "AAPL 1Min")),
    ],
)
def test_a_subject_is_a_name_or_each_of_a_kind(subject: str, figure: str, expected: Subject):
    assert rule_of(subject=f'"{subject}"', figure=f'"{figure}"').subject == expected


def test_flags_and_counts_need_no_level():
    overdue = rule_of(subject='"capture"', figure='"heartbeat_overdue"', operator="", level="")
    fills = rule_of(subject='"account"', figure='"fills"', operator="", level="")
    calm = rule_of(subject='"book"', figure='"attention:pin"', operator='"is"', level="false")

    assert (overdue.operator, overdue.level) == (Operator.IS, 1.0)
    assert fills.operator is Operator.RISES
    assert (calm.operator, calm.level) == (Operator.IS, 0.0)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"colour": "1"}, "alerts.toml, rule 'stop': 'colour' is no known field. Known are name,"),
        ({"subject": '"SPY"'}, "alerts.toml, rule 'stop', subject: 'SPY' is none."),
        ({"subject": '"expiry:soon"'}, "alerts.toml, rule 'stop', subject: 'soon' is no day"),
        ({"figure": '"colour"'}, "alerts.toml, rule 'stop', figure: 'colour' is none. Known are price,"),
        (
            {"subject": '"stream:options"', "figure": '"theta"'},
            "alerts.toml, rule 'stop', figure: stream has no theta, because theta is a figure of: book,",
        ),
        ({"operator": '"near"'}, "alerts.toml, rule 'stop', operator: 'near'; price is held against"),
        ({"operator": ""}, "alerts.toml, rule 'stop', operator: missing; price is held against"),
        ({"operator": '"is"'}, "alerts.toml, rule 'stop', operator: 'is'; price is held against"),
        ({"level": ""}, "alerts.toml, rule 'stop', level: it is missing, or is no number in $ a share."),
        (
            {"level": '"500"'},
            (
                "alerts.toml, rule 'stop', level: it is missing, or is no number in $ a share: write it without "
                "quotation marks."
            ),
        ),
        (
            {"cooldown": '"300"'},
            "alerts.toml, rule 'stop', cooldown: input should be a valid number: write it without quotation marks.",
        ),
        ({"level": "true"}, "alerts.toml, rule 'stop', level: it is missing, or is no number"),
        ({"level": "nan"}, "alerts.toml, rule 'stop', level: it is missing, or is no number"),
        ({"for_seconds": "-1"}, "alerts.toml, rule 'stop', for_seconds: input should be greater than"),
        ({"cooldown": '"5m"'}, "alerts.toml, rule 'stop', cooldown: input should be a valid number."),
        ({"hours": '"16:00-09:30"'}, "alerts.toml, rule 'stop', hours: '16:00-09:30' is none."),
        ({"hours": '"25:00-26:00"'}, "alerts.toml, rule 'stop', hours: '25:00-26:00' is none."),
        ({"severity": '"loud"'}, "alerts.toml, rule 'stop', severity: 'loud' is none."),
        (
            {"subject": '"underlying:BTCUSD"'},
            "alerts.toml, rule 'stop', subject: 'BTCUSD' is no share; a coin is written underlying:BTC/USD.",
        ),
        ({"name": ""}, "alerts.toml, rule 1, name: it is missing."),
        (
            {"subject": '"stream:options"', "figure": '"phase"', "operator": '"is"', "level": '"deaf"'},
            "alerts.toml, rule 'stop', level: a phase is one of off, connecting,",
        ),
        (
            {"subject": '"account"', "figure": '"fills"', "operator": '"rises"', "level": "2"},
            "alerts.toml, rule 'stop', level: what rises has no level.",
        ),
    ],
)
def test_what_is_no_rule_is_a_sentence_with_file_rule_and_field(fields: dict[str, str], sentence: str):
    with pytest.raises(ConfigError) as caught:
        rule_of(**fields)

    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[rules", "alerts.toml is no TOML"),
        ("[[alerts]]", "alerts.toml: 'alerts' stands outside of [[rules]]."),
        ("rules = 1", "alerts.toml: rules is no list of tables."),
        ('without = ["sleep"]', "alerts.toml, without: it is a list of built-in rules. They are overdue"),
    ],
)
def test_what_is_no_file_of_rules_is_a_sentence(text: str, sentence: str):
    with pytest.raises(ConfigError) as caught:
        parse_rules(text, "alerts.toml")

    assert str(caught.value).startswith(sentence)


def test_two_rules_of_one_name_are_refused():
    usual = entry({"name": '"a"', "subject": '"book"', "figure": '"dte"', "operator": '"<"', "level": "1"})

    with pytest.raises(ConfigError, match="rule 'a', name: two rules are called so"):
        parse_rules(usual + usual, "alerts.toml")


def test_built_in_rules_hold_without_a_file_and_give_way_to_those_of_their_name(tmp_path: Path):
    own = entry({"name": '"overdue heartbeat"', "subject": '"capture"', "figure": '"heartbeat_overdue"'})

    rules = parse_rules('without = ["exhausted budget"]\n' + own, "alerts.toml")

    assert load_rules(tmp_path / "none.toml") == BUILT_IN
    assert [rule.name for rule in rules] == ["late watermark", "refused key", "overdue heartbeat"]
    assert rules[-1].subject.name == "capture"


def test_a_file_that_changes_is_read_again_and_a_broken_one_leaves_what_was_before(tmp_path: Path):
    path = tmp_path / "alerts.toml"
    first = reread_rules(RulesFile(path))
    usual = {"name": '"a"', "subject": '"book"', "figure": '"dte"', "operator": '"<"', "level": "1"}
    path.write_text(entry(usual), encoding="utf-8")

    read = reread_rules(first)
    unchanged = reread_rules(read)
    path.write_text(entry(usual | {"colour": "1"}), encoding="utf-8")
    broken = reread_rules(read)
    path.unlink()
    gone = reread_rules(read)
    still = reread_rules(gone)
    path.write_text(entry(usual), encoding="utf-8")
    back = reread_rules(still)

    assert (first.rules, first.problem) == (BUILT_IN, None)
    assert [rule.name for rule in read.rules][-1] == "a"
    assert unchanged is read
    assert broken.rules == read.rules
    assert broken.problem is not None
    assert "colour" in broken.problem
    for one in (gone, still):
        assert one.rules == read.rules, "no file that somebody deletes takes alerts away without a word"
        assert one.problem is not None
        assert "alerts.toml is gone" in one.problem
    assert (back.rules, back.problem) == (read.rules, None)


def test_the_environment_may_name_another_file(tmp_path: Path):
    usual, mine = rules_file(environ={}), {"OH_ALERT_RULES": str(tmp_path / "mine.toml")}
    assert (usual.path, reread_rules(rules_file(tmp_path / "n.toml", {})).problem is None) == (
        Path("config/alerts.toml"),
        False,
    )
    named = reread_rules(rules_file(environ=mine))
    assert (named.path, named.rules) == (tmp_path / "mine.toml", BUILT_IN)
    assert named.problem == f"There is no {named.path}; check the name."


@pytest.mark.skipif(os.name == "nt", reason="permissions are another thing there")
def test_a_file_that_is_no_text_is_a_sentence(tmp_path: Path):
    path = tmp_path / "alerts.toml"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_rules(path)
    with pytest.raises(ConfigError, match="Cannot read"):
        load_rules(tmp_path)
