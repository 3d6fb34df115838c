"""Rules of when somebody is told, what they are judged by, and what comes of it; and which figure is whose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec import Struct


class SubjectKind(StrEnum):
    """Of what a figure can be."""

    LEG = "leg"  # a contract or a share, by Alpaca's symbol
    STRUCTURE = "structure"  # an entry of the portfolio file, by its id; one of a single leg too
    UNDERLYING = "underlying"
    EXPIRY = "expiry"  # by its day, 2026-12-18
    BOOK = "book"
    ACCOUNT = "account"
    STREAM = "stream"
    RUN = "run"  # a dashboard, capture, watch or daemon, by its role and process
    JOB = "ingest"
    PROVIDER = "provider"

    @property
    def is_of_book(self) -> bool:
        """Whether it is of one portfolio, of which an account may be looked at by several."""
        return self in _OF_A_BOOK


_OF_A_BOOK: Final = frozenset(
    {SubjectKind.LEG, SubjectKind.STRUCTURE, SubjectKind.UNDERLYING, SubjectKind.EXPIRY, SubjectKind.BOOK}
)


class Side(StrEnum):
    """Which legs of all."""

    LONG = "long"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a rule is about. A name of None is each that has the figure; of a run, the name may be its role alone."""

    kind: SubjectKind
    name: str | None = None  # empty: the book, the account
    side: Side | None = None  # of each leg, only these

    @property
    def is_each(self) -> bool:
        """Whether it stands for as many as there are."""
        return self.name is None or self.kind is SubjectKind.RUN

    def __str__(self) -> str:
        if self.name is None:
            kind = "job" if self.kind is SubjectKind.JOB else self.kind
            return " ".join(filter(None, ("each", self.side, kind)))
        if self.kind is SubjectKind.RUN:
            return self.name
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)


class FigureType(StrEnum):
    """What values a figure has."""

    NUMBER = "number"
    COUNT = "count"  # of what has come in a period, so that each rise is news
    FLAG = "yes or no"
    WORD = "word"


class HoursKind(StrEnum):
    """When a rule is judged, in New York."""

    ALWAYS = "always"
    REGULAR = "regular"  # the exchange's regular session, half days and holidays known
    WINDOW = "window"  # between two times of a trading day


@dataclass(frozen=True, slots=True)
class RuleHours:
    """When a rule is judged; `begins` and `ends` are New York's times of a window, which may span no midnight."""

    kind: HoursKind = HoursKind.ALWAYS
    begins: time = time(0)
    ends: time = time(0)


ALWAYS: Final = RuleHours()
REGULAR: Final = RuleHours(HoursKind.REGULAR)


@dataclass(frozen=True, slots=True)
class Figure:
    """What can be judged of which subjects, in which unit, and how a rule treats it that says nothing of that."""

    words: str
    unit: str  # "$", "$ a share", "%", "shares", "days", "s" or none
    subjects: frozenset[SubjectKind]
    type: FigureType = FigureType.NUMBER
    is_amount: bool = False  # says how much somebody holds
    hours: RuleHours = REGULAR
    tick: float = 0.01  # the least by which a figure returns before a rule can fire anew
    rearm_share: float = 0.10  # of the level


def _of(*kinds: SubjectKind) -> frozenset[SubjectKind]:
    return frozenset(kinds)


_LEG, _STRUCTURE, _UNDERLYING = SubjectKind.LEG, SubjectKind.STRUCTURE, SubjectKind.UNDERLYING
_EXPIRY, _BOOK = SubjectKind.EXPIRY, SubjectKind.BOOK
_HELD: Final = _of(_LEG, _STRUCTURE, _UNDERLYING, _EXPIRY, _BOOK)

FIGURES: Final[Mapping[str, Figure]] = MappingProxyType(
    {
        # Half a percent of a price of 500 is 2.50; a tenth of it would never come back.
        "price": Figure("price", "$ a share", _of(_UNDERLYING), rearm_share=0.005),
        "mark": Figure("mark", "$ a share", _of(_LEG)),
        "natural": Figure("price for closing now", "$ a share", _of(_LEG)),
        "pnl_today": Figure(
            "profit today", "$", _of(_STRUCTURE, _UNDERLYING, _BOOK), is_amount=True, tick=1.0
        ),
        "unrealized": Figure(
            "unrealized profit", "$", _of(_LEG, _STRUCTURE, _UNDERLYING, _BOOK), is_amount=True, tick=1.0
        ),
        "percent_of_max_profit": Figure("share of the greatest profit", "%", _of(_STRUCTURE), tick=1.0),
        "delta": Figure("delta", "shares", _HELD, is_amount=True, tick=1.0),
        "delta_beta_weighted": Figure(
            "beta-weighted delta", "shares of the index", _of(_BOOK), is_amount=True, tick=1.0
        ),
        "theta": Figure("theta", "$ a day", _HELD, is_amount=True, tick=1.0),
        "iv": Figure("implied volatility", "%", _of(_LEG), tick=0.1),
        "dte": Figure("days to expiry", "days", _of(_LEG, _STRUCTURE, _EXPIRY, _BOOK), tick=1.0),
        "spread": Figure("spread", "% of the mid", _of(_LEG), tick=0.1),
        "age": Figure("age of the price", "s", _of(_LEG, _UNDERLYING), tick=1.0),
        "distance_to_strike": Figure("distance to the strike", "% of the price", _of(_LEG), tick=0.1),
        "buying_power": Figure(
            "options buying power", "$", _of(SubjectKind.ACCOUNT), is_amount=True, hours=ALWAYS, tick=1.0
        ),
        "fills": Figure("fills today", "", _of(SubjectKind.ACCOUNT), FigureType.COUNT, hours=ALWAYS),
        "phase": Figure("phase", "", _of(SubjectKind.STREAM), FigureType.WORD, hours=ALWAYS),
        "heartbeat_overdue": Figure(
            "overdue heartbeat", "", _of(SubjectKind.RUN), FigureType.FLAG, hours=ALWAYS
        ),
        "watermark_age": Figure("age of the watermark", "s", _of(SubjectKind.JOB), hours=ALWAYS, tick=1.0),
        "watermark_late": Figure("late watermark", "", _of(SubjectKind.JOB), FigureType.FLAG, hours=ALWAYS),
        "refused_key": Figure("refused key", "", _of(SubjectKind.PROVIDER), FigureType.FLAG, hours=ALWAYS),
        "exhausted_budget": Figure(
            "exhausted budget", "", _of(SubjectKind.PROVIDER), FigureType.FLAG, hours=ALWAYS
        ),
    }
)
ATTENTION: Final = "attention:"
ATTENTION_KINDS: Final = (
    "pin",
    "long_without_money",
    "in_the_money_short",
    "early_exercise",
    "undefined_risk",
    "am_settled",
    "expiring",
    "deaf",
    "clock_skew",
    "unpriced",
    "file_account",
    "stale",
    "wide",
    "ex_dividend",
    "earnings",
)
_ATTENTION_FIGURES: Final[Mapping[str, Figure]] = MappingProxyType(
    {
        f"{ATTENTION}{kind}": Figure(
            f"attention of kind {kind}", "", _of(_LEG, _UNDERLYING, _BOOK), FigureType.FLAG, hours=ALWAYS
        )
        for kind in ATTENTION_KINDS
    }
)


def figure_named(name: str) -> Figure | None:
    """The figure of this name; None: there is none."""
    return FIGURES.get(name) or _ATTENTION_FIGURES.get(name)


class Operator(StrEnum):
    """How a figure is held against the level."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    IS = "is"
    IS_NOT = "is not"
    RISES = "rises"  # a count has become greater


class RuleSeverity(StrEnum):
    """How much a rule matters to its owner."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, checked: its figure is one of its subject's, and operator and level are of the figure's type."""

    name: str
    subject: Subject
    figure: str
    operator: Operator = Operator.IS
    level: float = 1.0  # in the figure's unit; of a flag 1 is yes
    words: tuple[str, ...] = ()  # in place of a level, of a word
    for_seconds: float = 0.0  # it holds for so long before the rule fires
    rearm_margin: float = 0.0  # by so much the figure returns before it can fire anew
    cooldown_seconds: float = 0.0  # from one firing to the next
    hours: RuleHours = ALWAYS
    unknown_seconds: float = 300.0  # after so long without a judgement, that is told
    severity: RuleSeverity = RuleSeverity.WARNING
    targets: tuple[str, ...] = ()  # empty: all that the user named

    @property
    def key(self) -> str:
        """What decides of a state whether it is of this rule; who is told, and how gravely, changes nothing of it."""
        said = (
            self.name,
            str(self.subject),
            self.figure,
            str(self.operator),
            "|".join(self.words) or f"{self.level:g}",
            f"{self.for_seconds:g}",
        )
        return "; ".join(said)


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure of one subject at one instant; a value of None is not known, and `why` says why."""

    value: float | str | None
    label: str  # what a person calls the subject
    source: str = ""
    age_seconds: float | None = None
    why: str = ""
    said: str = ""  # what is so and what can be done, in place of label, figure and value, without an amount
    said_with_amounts: str = ""  # the same with amounts; empty: there are none in it
    caveat: str = ""  # what speaks against it: it is not of the first grade
    period: str = ""  # of a count: what it is counted over; in another it begins at 0
    side: Side | None = None  # of a leg
    is_held: bool = True  # False: only a rule that names it is about it, and none about each
    part: str = ""  # of a sum that is not known: what of it is, with its amount


# What holds without a file: a run that is silent, a job that is behind, a key or a budget that stops one.
BUILT_IN: Final = (
    Rule(
        "overdue heartbeat",
        Subject(SubjectKind.RUN),
        "heartbeat_overdue",
        severity=RuleSeverity.CRITICAL,
    ),
    Rule("late watermark", Subject(SubjectKind.JOB), "watermark_late"),
    Rule("refused key", Subject(SubjectKind.PROVIDER), "refused_key", severity=RuleSeverity.CRITICAL),
    # Who asks for much often has used a minute up; that it lasts is news.
    Rule("exhausted budget", Subject(SubjectKind.PROVIDER), "exhausted_budget", for_seconds=120.0),
)


# Readings by subject kind and figure, then by the subject's name; who lacks in it has no such figure.
Readings = Mapping[tuple[SubjectKind, str], Mapping[str, Reading]]


class Verdict(StrEnum):
    """What a rule says of a subject at one instant."""

    MET = "met"
    NOT_MET = "not met"
    UNKNOWN = "cannot be judged"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One figure that a rule was judged by."""

    name: str
    value: str  # as it is read
    source: str
    age_seconds: float | None = None  # None: it has none
    is_amount: bool = False  # says how much somebody holds, which may not leave


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One crossing of one rule; `key` is made of rule, subject and crossing, so the same crossing has the same key."""

    key: str
    rule: str
    subject: str
    crossed_at: datetime  # of the snapshot that shows it, on the market's clock
    fired_at: datetime  # UTC, by this computer's clock
    severity: str
    title: str
    text: str  # without an amount
    text_with_amounts: str
    evidence: tuple[Evidence, ...] = ()
    targets: tuple[str, ...] = ()  # whom it is sent to, by their names; empty: all that the user named


class Elapsed(NamedTuple):
    """A moment by which lengths are told: of a clock that nobody sets, and that goes on while the computer sleeps."""

    seconds: float
    since: str = ""  # what they are counted from, as this start of the computer; lengths are within one count


@dataclass(frozen=True, slots=True)
class RuleState:
    """Where one rule stands with one subject; it changes with what happens and not with time, so it is kept cheaply.

    Instants are on the market's clock, and are for people: how long something lasts is told by the seconds beside them.
    """

    is_armed: bool = True  # the next crossing fires
    is_known: bool = (
        False  # it has been judged before: what is true at the first look is listed, and fires not
    )
    met_since: datetime | None = None  # of what has not fired yet
    unknown_since: datetime | None = None
    is_unknown_told: bool = False
    fired_at: datetime | None = None  # the last crossing
    count: float | None = None  # of what rises: up to where it has been told
    period: str = ""
    counted_since: str = ""  # what the seconds are counted from
    met_elapsed: float | None = None
    unknown_elapsed: float | None = None
    fired_elapsed: float | None = None  # None too where it fired in another count


class Judgement(Struct, frozen=True, gc=False):
    """What one rule says of one subject now; there are as many as conditions at each look."""

    rule: Rule
    subject: str
    verdict: Verdict
    reading: Reading
    state: RuleState
    is_awake: bool = True  # False: outside of its hours, so it cannot fire now


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one look brought: the state to keep, what fired, and where every rule stands."""

    states: Mapping[str, RuleState] = field(default_factory=lambda: MappingProxyType({}))
    firings: tuple[Firing, ...] = ()
    judgements: tuple[Judgement, ...] = ()
