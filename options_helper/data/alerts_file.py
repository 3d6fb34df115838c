"""The user's rules: a TOML file that is read again when it changes, and a sentence for whatever in it is no rule."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from options_helper.data.portfolio_file import Stamp, stamp_of
from options_helper.errors import ConfigError
from options_helper.model.alerts import (
    ATTENTION,
    ATTENTION_KINDS,
    BUILT_IN,
    FIGURES,
    Figure,
    FigureType,
    HoursKind,
    Operator,
    Rule,
    RuleHours,
    RuleSeverity,
    Side,
    Subject,
    SubjectKind,
    figure_named,
)
from options_helper.model.alpaca_symbols import pair_without_slash, to_alpaca_symbol, underlying_symbol
from options_helper.model.contract_symbols import compact_symbol, is_contract_symbol
from options_helper.model.snapshot import Phase
from options_helper.model.text import without_quotes

DEFAULT_RULES_FILE: Final = Path("config/alerts.toml")
FILE_VARIABLE: Final = "OH_ALERT_RULES"
RUN_ROLES: Final = ("dashboard", "capture", "watch", "daemon")

_EXAMPLE: Final = (
    'Write [[rules]], then name = "SPY falls", subject = "underlying:SPY", figure = "price", operator = "below" and '
    "level = 500, each on a line of its own."
)
_OPERATORS: Final[Mapping[str, Operator]] = {
    **{str(one): one for one in Operator},
    "above": Operator.ABOVE,
    "at_least": Operator.AT_LEAST,
    "at least": Operator.AT_LEAST,
    "below": Operator.BELOW,
    "at_most": Operator.AT_MOST,
    "at most": Operator.AT_MOST,
    "==": Operator.IS,
    "!=": Operator.IS_NOT,
    "is_not": Operator.IS_NOT,
}
_COMPARING: Final = (Operator.ABOVE, Operator.AT_LEAST, Operator.BELOW, Operator.AT_MOST)
_SAME_OR_NOT: Final = (Operator.IS, Operator.IS_NOT)
_ALLOWED: Final[Mapping[FigureType, tuple[Operator, ...]]] = {
    FigureType.NUMBER: _COMPARING,
    FigureType.COUNT: (Operator.RISES, *_COMPARING),
    FigureType.FLAG: _SAME_OR_NOT,
    FigureType.WORD: _SAME_OR_NOT,
}
_WINDOW: Final = re.compile(r"(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)")
_EACH: Final = {
    "job": SubjectKind.JOB,
    "leg": SubjectKind.LEG,
    "short leg": SubjectKind.LEG,
    "long leg": SubjectKind.LEG,
} | {
    str(kind): kind
    for kind in SubjectKind
    if kind not in (SubjectKind.BOOK, SubjectKind.ACCOUNT, SubjectKind.LEG)
}
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Entry(BaseModel):
    """One `[[rules]]` as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    subject: str
    figure: str
    operator: str | None = None
    level: float | bool | str | list[str] | None = None
    for_seconds: _Seconds = 0.0
    rearm_margin: _Seconds | None = None
    cooldown: _Seconds = 0.0
    hours: str | None = None
    unknown_seconds: _Seconds = 300.0
    severity: str = RuleSeverity.WARNING
    targets: list[str] = []


# Of a file that is gone: whatever is there next is read.
_GONE: Final[Stamp] = (0, 0)


@dataclass(frozen=True, slots=True)
class RulesFile:
    """A file of rules as it was read last; of one that is broken or gone the rules before stay in force."""

    path: Path
    rules: tuple[Rule, ...] = BUILT_IN
    problem: str | None = None  # a sentence; what is in force then is what was read before
    stamp: Stamp | None = None
    is_named: bool = False  # by the user: that there is none is no choice of theirs


def rules_file(named: Path | None = None, environ: Mapping[str, str] = os.environ) -> RulesFile:
    """The file that somebody named, on the command line or in the environment, else the usual one; not read yet."""
    by_environment = environ.get(FILE_VARIABLE)
    path = named or Path(by_environment or DEFAULT_RULES_FILE).expanduser()
    return RulesFile(path, is_named=bool(named or by_environment))


def reread_rules(file: RulesFile) -> RulesFile:
    """Read it again where it has changed since; of one that is gone the rules before stay in force. Never raises."""
    stamp = stamp_of(file.path)
    if stamp is not None and stamp == file.stamp:
        return file
    if stamp is None and file.stamp is not None:
        gone = (
            f"{file.path.name} is gone. Its rules hold until it is there again, or this program begins anew."
        )
        return replace(file, stamp=_GONE, problem=gone)
    if stamp is None and file.is_named:
        return replace(file, problem=f"There is no {file.path}; check the name.")
    try:
        rules = load_rules(file.path)
    except ConfigError as error:
        return replace(file, stamp=stamp, problem=str(error))
    return replace(file, stamp=stamp, rules=rules, problem=None)


def load_rules(path: Path) -> tuple[Rule, ...]:
    """All rules in force: the built-in ones and those of the file, if there is one.

    ConfigError, a sentence with file, rule and field, for what is no rule.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return BUILT_IN
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}. Make it a readable text file.") from error
    except UnicodeDecodeError:
        raise ConfigError(f"Cannot read {path}: it is not UTF-8 text. Save it as UTF-8.") from None
    return parse_rules(text, path.name)


def parse_rules(text: str, name: str) -> tuple[Rule, ...]:
    """Rules from TOML, after the built-in ones that it neither replaces nor leaves out; ConfigError as above."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is no TOML: {error}. {_EXAMPLE}") from None
    if strangers := sorted(content.keys() - {"rules", "without"}):
        raise ConfigError(f"{name}: {strangers[0]!r} stands outside of [[rules]]. {_EXAMPLE}")
    rows = content.get("rules", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{name}: rules is no list of tables. {_EXAMPLE}")
    own = [_rule(row, f"{name}, rule {_place(row, place)}") for place, row in enumerate(rows, 1)]
    names = [rule.name for rule in own]
    if twice := next((one for one in names if names.count(one) > 1), None):
        raise ConfigError(
            f"{name}, rule {twice!r}, name: two rules are called so. Give each a name of its own."
        )
    without = _without(content.get("without", []), name)
    return (*(rule for rule in BUILT_IN if rule.name not in {*names, *without}), *own)


def _place(row: Mapping[str, Any], place: int) -> str:
    name = row.get("name")
    return repr(name) if isinstance(name, str) and name else str(place)


def _without(names: Any, file: str) -> Sequence[str]:
    known = [rule.name for rule in BUILT_IN]
    if not isinstance(names, list) or not all(one in known for one in names):
        raise ConfigError(f"{file}, without: it is a list of built-in rules. They are {', '.join(known)}.")
    return names


def _rule(row: Mapping[str, Any], where: str) -> Rule:
    entry = _entry(row, where)
    subject = _subject(entry.subject, f"{where}, subject")
    figure = _figure(entry.figure, subject, f"{where}, figure")
    operator = _operator(entry, figure, f"{where}, operator")
    level, words = _level(entry, figure, operator, f"{where}, level")
    margin = abs(level) * figure.rearm_share
    if figure.unit == "$ a share" and 0 < abs(level) < figure.tick:
        margin *= (
            2  # A price of less than a tick, as of a coin at 0.0000125, could never come back by a tick.
        )
    else:
        margin = max(margin, figure.tick)
    return Rule(
        name=entry.name,
        subject=subject,
        figure=entry.figure,
        operator=operator,
        level=level,
        words=words,
        for_seconds=entry.for_seconds,
        rearm_margin=margin if entry.rearm_margin is None else entry.rearm_margin,
        cooldown_seconds=entry.cooldown,
        hours=figure.hours if entry.hours is None else _hours(entry.hours, f"{where}, hours"),
        unknown_seconds=entry.unknown_seconds,
        severity=_severity(entry.severity, f"{where}, severity"),
        targets=tuple(entry.targets),
    )


def _entry(row: Mapping[str, Any], where: str) -> _Entry:
    try:
        # To TOML 500 and 500.0 are two kinds of number, and to nobody else.
        return _Entry.model_validate(
            {key: float(one) if type(one) is int else one for key, one in row.items()}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            known = ", ".join(_Entry.model_fields)
            raise ConfigError(f"{where}: {field!r} is no known field. Known are {known}.") from None
        said = "it is missing" if first["type"] == "missing" else first["msg"][:1].lower() + first["msg"][1:]
        said += without_quotes(first["input"]) if first["type"] == "float_type" else ""
        raise ConfigError(f"{where}, {field}: {said}. {_EXAMPLE}") from None


def _subject(text: str, where: str) -> Subject:
    word = " ".join(text.split())
    if word in (SubjectKind.BOOK, SubjectKind.ACCOUNT):
        return Subject(SubjectKind(word), "")
    if word in RUN_ROLES:
        return Subject(SubjectKind.RUN, word)
    if (each := word.removeprefix("each ")) != word and each in _EACH:
        side = each.partition(" ")[0]
        return Subject(_EACH[each], None, Side(side) if side in tuple(Side) else None)
    kind, colon, name = (part.strip() for part in word.partition(":"))
    if not colon or not name or kind in (SubjectKind.BOOK, SubjectKind.ACCOUNT, SubjectKind.RUN):
        raise ConfigError(_no_subject(text, where))
    try:
        return Subject(SubjectKind(kind), _name(SubjectKind(kind), name, where))
    except ValueError:
        raise ConfigError(_no_subject(text, where)) from None


def _no_subject(text: str, where: str) -> str:
    return (
        f"{where}: {text!r} is none. It is book, account, {', '.join(RUN_ROLES)}, "
        'or names one, as "underlying:SPY", "leg:AAPL261218C00180000", "structure:ID", "expiry:2026-12-18", '
        '"stream:options", "ingest:JOB", "provider:HOST", or is "each underlying", "each short leg" and the like.'
    )


def _name(kind: SubjectKind, name: str, where: str) -> str:
    if kind in (SubjectKind.LEG, SubjectKind.UNDERLYING) and (pair := pair_without_slash(name)) is not None:
        raise ConfigError(f"{where}: {name!r} is no share; a coin is written {kind}:{pair}.")
    match kind:
        case SubjectKind.LEG:
            return compact_symbol(name.upper()) if is_contract_symbol(name) else to_alpaca_symbol(name)
        case SubjectKind.UNDERLYING:
            return underlying_symbol(name)
        case SubjectKind.EXPIRY:
            try:
                return date.fromisoformat(name).isoformat()
            except ValueError:
                raise ConfigError(f"{where}: {name!r} is no day; one is written expiry:2026-12-18.") from None
        case _:
            return name


def _figure(name: str, subject: Subject, where: str) -> Figure:
    figure = figure_named(name)
    if figure is None:
        known = f"{', '.join(FIGURES)}, {ATTENTION}KIND with one of {', '.join(ATTENTION_KINDS)}"
        raise ConfigError(f"{where}: {name!r} is none. Known are {known}.")
    if subject.kind not in figure.subjects:
        of = ", ".join(sorted(figure.subjects))
        raise ConfigError(
            f"{where}: {subject.kind} has no {name}, because {figure.words} is a figure of: {of}."
        )
    return figure


def _operator(entry: _Entry, figure: Figure, where: str) -> Operator:
    allowed = _ALLOWED[figure.type]
    if entry.operator is None and figure.type is not FigureType.NUMBER and entry.level in (None, True):
        return allowed[0]
    found = _OPERATORS.get(" ".join((entry.operator or "").split()))
    if found is None or found not in allowed:
        of = "missing" if entry.operator is None else f"{entry.operator!r}"
        raise ConfigError(f"{where}: {of}; {figure.words} is held against a level by {', '.join(allowed)}.")
    return found


def _level(entry: _Entry, figure: Figure, operator: Operator, where: str) -> tuple[float, tuple[str, ...]]:
    """A number, or the words in its place."""
    level = entry.level
    match figure.type:
        case FigureType.WORD:
            words = tuple(level) if isinstance(level, list) else (level,)
            if not words or not all(one in tuple(Phase) for one in words):
                raise ConfigError(f"{where}: a phase is one of {', '.join(Phase)}, or a list of them.")
            return 0.0, tuple(map(str, words))
        case FigureType.FLAG:
            if not isinstance(level, bool | None):
                raise ConfigError(f"{where}: {figure.words} is true or false; without a level it is true.")
            return float(level is not False), ()
        case FigureType.COUNT if operator is Operator.RISES:
            if level is not None:
                raise ConfigError(f"{where}: what rises has no level. Leave it out.")
            return 0.0, ()
        case FigureType.NUMBER | FigureType.COUNT:
            if not isinstance(level, float) or not math.isfinite(level):
                unit = f" in {figure.unit}" if figure.unit else ""
                raise ConfigError(f"{where}: it is missing, or is no number{unit}{without_quotes(level)}.")
            return level, ()


def _hours(text: str, where: str) -> RuleHours:
    word = text.strip()
    if word in (HoursKind.ALWAYS, HoursKind.REGULAR):
        return RuleHours(HoursKind(word))
    found = _WINDOW.fullmatch(word)
    try:
        begins, ends = (_time(found[1], found[2]), _time(found[3], found[4])) if found else (time(0), time(0))
    except ValueError:
        begins = ends = time(0)
    if not begins < ends:
        raise ConfigError(
            f'{where}: {text!r} is none. They are "always", "regular", which is the exchange\'s session, or a window '
            'of New York\'s times such as "09:45-15:45".'
        )
    return RuleHours(HoursKind.WINDOW, begins, ends)


def _time(hour: str, minute: str) -> time:
    return time(int(hour), int(minute))


def _severity(text: str, where: str) -> RuleSeverity:
    try:
        return RuleSeverity(text)
    except ValueError:
        raise ConfigError(f"{where}: {text!r} is none. It is one of {', '.join(RuleSeverity)}.") from None
