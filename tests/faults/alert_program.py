"""A program that judges a number from a file again and again, as a watch judges snapshots, until it is killed.

Rules and targets are those of files in the same folder, as they are at each look.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from options_helper.alerting.books import Scope, books_at
from options_helper.alerting.judging import Observed, RuleJudge
from options_helper.alerting.runner import AlertRunner
from options_helper.clock import utc_now
from options_helper.data.alerts_file import RulesFile
from options_helper.data.notify.targets import load_targets
from options_helper.model.alerts import Reading, SubjectKind
from options_helper.model.snapshot import LiveSnapshot


def main() -> None:
    """Judge until killed: the folder, and who this is."""
    folder, who = Path(sys.argv[1]), sys.argv[2]
    runner: AlertRunner[Observed] = AlertRunner(
        books_at(folder / "alerts", who, utc_now()),
        RuleJudge(RulesFile(folder / "rules.toml"), Scope.BOOK, utc_now),
        lambda: load_targets({"OH_ALERT_TARGETS": str(folder / "targets.toml")}),
        every_seconds=0.2,
    )
    runner.start()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    pause = threading.Event()
    while not pause.wait(0.005):
        price = float((folder / "price").read_text(encoding="ascii"))
        readings = {(SubjectKind.UNDERLYING, "price"): {"SPY": Reading(price, "SPY", "a file")}}
        runner.observe(Observed(LiveSnapshot(utc_now()), readings))


if __name__ == "__main__":
    main()
