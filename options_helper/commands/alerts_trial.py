"""Print what became of a test message at each target."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime

import typer

from options_helper.clock import utc_now
from options_helper.data.notify.targets import DEFAULT_TARGETS_FILE, Targets, load_targets
from options_helper.data.notify.trial import LIFE_SIGN, Tried, try_all
from options_helper.errors import ConfigError


def show_trial(
    name: str | None, *, as_json: bool, environ: Mapping[str, str] = os.environ, now: datetime | None = None
) -> int:
    """Try them and print how it went; the exit code. ConfigError where there is nothing to try."""
    targets = chosen(load_targets(environ), name)
    results = try_all(targets, now or utc_now())
    if as_json:
        typer.echo(json.dumps([_facts(one) for one in results], indent=1))
    else:
        width = max(len(one.shown) for one in results)
        for one in results:
            typer.echo(f"{one.shown:{width}}  {'took it' if one.why is None else f'FAILED: {one.why}'}")
    return 0 if all(one.why is None for one in results) else 1


def chosen(targets: Targets, name: str | None) -> Targets:
    """All, or the one of this name; ConfigError where there is none."""
    if name is None:
        if not targets.by_name and targets.life_sign is None:
            raise ConfigError(
                f'There are no targets. Write [targets.phone] and url = "ntfy://…" into {DEFAULT_TARGETS_FILE}, '
                "and make it yours alone with chmod 600."
            )
        return targets
    if name == LIFE_SIGN and targets.life_sign is not None:
        return Targets(life_sign=targets.life_sign)
    if name not in targets.by_name:
        known = ", ".join(sorted(targets.by_name)) or "none"
        raise ConfigError(f"No target is named {name!r}. Known are: {known}.")
    return Targets({name: targets.by_name[name]})


def _facts(one: Tried) -> dict[str, object]:
    return {"target": one.name, "service": one.scheme, "took_it": one.why is None, "why": one.why}
