"""Look at where alerts go, where somebody has set that up: the file, Apprise, and a message to each target."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from options_helper.data.notify.sending import require_apprise
from options_helper.data.notify.targets import Targets, load_targets
from options_helper.data.notify.trial import Tried, try_all
from options_helper.doctor.findings import Finding, Verdict
from options_helper.model.text import format_count


def named_targets(environ: Mapping[str, str]) -> Targets:
    """What is set up; ConfigError for a file that cannot be used, or that others may read."""
    return load_targets(environ)


def check_alerts(targets: Targets, at: datetime, *, offline: bool) -> Finding:
    """Does each target take a message? Offline it is only said which there are. ConfigError without Apprise."""
    if targets.by_name:
        require_apprise()
    names = ", ".join(str(one) for one in targets.by_name.values()) or "no target"
    if offline:
        return Finding(Verdict.SKIPPED, f"not tried: --offline; {names}")
    tried = try_all(targets, at)
    failed = [one for one in tried if one.why is not None]
    details = {one.shown: one.why or "took it" for one in tried}
    if failed:
        return Finding(
            Verdict.FAILED,
            f"A test message did not reach {_named(failed)}.",
            "Correct its address in config/alert-targets.toml, and try it: options-helper alerts test",
            details,
        )
    return Finding(
        Verdict.OK,
        f"{format_count(len(tried), 'target')} took a test message: {_named(tried)}",
        None,
        details,
    )


def _named(tried: list[Tried] | tuple[Tried, ...]) -> str:
    return ", ".join(one.shown if one.why is None else f"{one.shown}: {one.why}" for one in tried)
