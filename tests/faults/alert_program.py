"""A program that judges a number from a file again and again, as a watch judges snapshots, until it is killed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from options_helper.alerting.books import books_at
from options_helper.alerting.runner import AlertRunner, Judged
from options_helper.analysis.alerts.evaluator import evaluate
from options_helper.clock import utc_now
from options_helper.data.notify.targets import Target, Targets
from options_helper.model.alerts import Operator, Reading, Rule, RuleState, Subject, SubjectKind

RULE = Rule(
    "SPY rises", Subject(SubjectKind.UNDERLYING, "SPY"), "price", Operator.ABOVE, 560.0, targets=("phone",)
)


def judge(price: float, states: Mapping[str, RuleState]) -> Judged:
    """By the one rule."""
    readings = {(SubjectKind.UNDERLYING, "price"): {"SPY": Reading(price, "SPY", "a file")}}
    return Judged(evaluate([RULE], readings, states, at=utc_now(), now=utc_now()), rules=1)


def main() -> None:
    """Judge until killed: folder, address of the target, and who this is."""
    folder, url, who = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    targets = Targets({"phone": Target("phone", SecretStr(url))})
    runner = AlertRunner(
        books_at(folder / "alerts", who, utc_now()), judge, lambda: targets, every_seconds=0.2
    )
    runner.start()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    pause = threading.Event()
    while not pause.wait(0.005):
        runner.observe(float((folder / "price").read_text(encoding="ascii")))


if __name__ == "__main__":
    main()
