"""Look at a bus: does it answer, begin with TLS, serve a desk, and let this computer do what its role says?"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from options_helper.bus.address import BusAddress
from options_helper.bus.admission import OWN_DEVICES, Admissions
from options_helper.bus.connection import BusConnection
from options_helper.bus.roles import ALL_ACCOUNTS, Role, abilities, rights_of
from options_helper.bus.seeds import Seed
from options_helper.bus.truth import DeskHealth, decode
from options_helper.doctor.findings import Finding, Verdict, explained
from options_helper.errors import ConfigError, OptionsHelperError, StreamError, StreamRefused
from options_helper.model.streams import DEFAULT_ACCOUNT

GREETING_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 15.0
_ANOTHER_SEED: Final = "Make another: options-helper bus config DIR --overwrite --account-viewer NAME=ACCOUNT"
_GREETING: Final = re.compile(rb"^INFO (\{.*\})")


@dataclass(frozen=True, slots=True)
class Looked:
    """One thing that was looked at."""

    what: str
    finding: Finding


def look_at_bus(address: BusAddress) -> tuple[Looked, ...]:
    """Everything in order, up to what makes the rest pointless. Blocks; about a quarter of a minute at most."""
    try:
        return asyncio.run(asyncio.wait_for(_look(address), LOOK_SECONDS))
    except TimeoutError:
        return (Looked("connection", _no_answer(address)),)


def check_bus(address: BusAddress) -> Finding:
    """All of it in one line, with the rest as details."""
    looked = look_at_bus(address)
    details = {one.what: one.finding.message for one in looked}
    order = (Verdict.FAILED, Verdict.WARNING)
    worst = next((one.finding for verdict in order for one in looked if one.finding.verdict is verdict), None)
    if worst is not None:
        return Finding(worst.verdict, worst.message, worst.remedy, details)
    return Finding(
        Verdict.OK, "; ".join(details[one.what] for one in looked if one.what != "rights"), None, details
    )


def _no_answer(address: BusAddress) -> Finding:
    return Finding(
        Verdict.FAILED,
        f"The bus at {address.url} took the connection and did not answer in {LOOK_SECONDS:g} s.",
        "Look at the server's log.",
    )


async def _look(address: BusAddress) -> tuple[Looked, ...]:
    # Somebody has just changed something, so it is asked whatever was said before.
    bus = BusConnection(address, Admissions())
    try:
        try:
            await bus.open("options-helper check")
        except (StreamError, ConfigError) as error:
            return (Looked("connection", await _why_not(address, error)),)
        connected = Looked("connection", _how_connected(address, bus))
        health = await _told_by_owner(address, bus)
        rights = await _rights(address, bus, health)
        owner = Finding(Verdict.SKIPPED, "not looked at: the rights are not those of a role on this desk")
        if rights.finding.verdict is not Verdict.FAILED:
            owner = _owner(address, bus.seed, health)
        return (connected, Looked("server", _server(bus)), rights, Looked("owner", owner))
    except OptionsHelperError as error:
        return (Looked("connection", explained(error, "Look at the server's log.")),)
    finally:
        await bus.close()


def _how_connected(address: BusAddress, bus: BusConnection) -> Finding:
    seed = bus.seed
    who = "without a seed" if seed is None else f"as {seed.who}"
    how = "TLS before anything else" if address.is_encrypted else "not encrypted, on this computer only"
    return Finding(Verdict.OK, f"{address.url} answers, {how}; logged in {who}")


async def _why_not(address: BusAddress, error: OptionsHelperError) -> Finding:
    """What the error says, and what the server says of itself to anybody who just listens."""
    found = explained(error, "Correct it and look again.")
    told = await asyncio.to_thread(greeting, address)
    if told is None:
        return found
    version = told.get("version", "of an unknown version")
    offered = told.get("tls_required") or told.get("tls_available")
    tls = "it offers TLS afterwards" if offered else "it does not encrypt at all"
    return Finding(
        found.verdict,
        f"{found.message} It is nats-server {version} and speaks first, readable for anybody: {tls}.",
        found.remedy,
    )


def greeting(address: BusAddress, seconds: float = GREETING_SECONDS) -> Mapping[str, Any] | None:
    """What a server says to whoever just connects; None where it waits to be spoken to, as it does with TLS first.

    Nothing is sent.
    """
    parts = urlsplit(address.url)
    if not address.is_encrypted:
        return None
    with (
        suppress(OSError, ValueError),
        socket.create_connection((parts.hostname or "", parts.port or 0), seconds) as one,
    ):
        one.settimeout(seconds)
        found = _GREETING.match(one.recv(65_536))
        if found is not None:
            told: Mapping[str, Any] = json.loads(found[1])
            return told
    return None


def _server(bus: BusConnection) -> Finding:
    facts = bus.facts
    said = f"nats-server {'.'.join(map(str, facts.version))}"
    if facts.warnings:
        first, _, remedy = facts.warnings[0].partition(". ")
        return Finding(Verdict.WARNING, f"{said}: {first}.", remedy)
    if facts.listens_beyond:
        return Finding(Verdict.OK, f"{said}. {OWN_DEVICES}")
    return Finding(Verdict.OK, f"{said}, for this computer only")


async def _told_by_owner(address: BusAddress, bus: BusConnection) -> DeskHealth | None:
    """The owner's newest word; None where there is none, or this computer may not read it."""
    names = address.names
    try:
        stored = await bus.kept(names.state_store, names.state("health"))
    except StreamRefused:
        return None
    return None if stored is None else decode(stored.data, DeskHealth)


def _owner(address: BusAddress, seed: Seed | None, health: DeskHealth | None) -> Finding:
    names = address.names
    if health is None:
        return Finding(
            Verdict.WARNING,
            f"nobody has served the desk {names.desk} here yet.",
            f"Start its owner: options-helper stream serve --bus {address.url} --desk {names.desk}",
        )
    served = f"served by {health.where} (process {health.pid}, version {health.program})"
    if health.ended:
        return Finding(
            Verdict.WARNING, f"the desk {names.desk} was {served}, which has ended.", "Start it again."
        )
    accounts = health.accounts or ()
    if len(accounts) > 1:
        served += f", with the accounts {', '.join(accounts)}, of which {accounts[0]} is its own"
    if seed is not None and accounts and (why := _for_none_of(seed, accounts)) is not None:
        return Finding(Verdict.WARNING, f"the desk {names.desk} is {served}. {why}", _ANOTHER_SEED)
    return Finding(Verdict.OK, f"the desk {names.desk} is {served}")


def _for_none_of(seed: Seed, accounts: Sequence[str]) -> str | None:
    """Which accounts this seed names that are not there under that name; None where all are."""
    if seed.role is not Role.ACCOUNT_VIEWER:
        return None
    for one in seed.accounts:
        if one == accounts[0]:
            return f"The seed is for {one} by its name, and the desk's own account is for a seed without one."
        if one not in (DEFAULT_ACCOUNT, ALL_ACCOUNTS, *accounts):
            return f"The seed is for the account {one}, which is not served."
    return None


async def _rights(address: BusAddress, bus: BusConnection, health: DeskHealth | None) -> Looked:
    """What the server lets this computer do, tried one by one, and held against its role."""
    all_of_them = abilities(address.names, () if health is None else (health.accounts or ())[1:])
    may = {one.words: await bus.may(one.subject, follow=one.follow) for one in all_of_them}
    details = {words: "yes" if allowed else "no" for words, allowed in may.items()}
    seed = bus.seed
    if seed is None or seed.role is None:
        return Looked("rights", _without_role(may, details, seed))
    rights = rights_of(seed.role, address.names, seed.public_key, seed.accounts)
    should = {one.words: rights.allow(one.subject, follow=one.follow) for one in all_of_them}
    too_much = [words for words, allowed in may.items() if allowed and not should[words]]
    too_little = [words for words, allowed in may.items() if should[words] and not allowed]
    remedy = "Have the server's configuration written again, for this desk: options-helper bus config"
    if too_little:
        return Looked(
            "rights",
            Finding(
                Verdict.FAILED,
                f"{seed.who} may not {_listed(too_little)}, which the role needs.",
                remedy,
                details,
            ),
        )
    if too_much:
        return Looked(
            "rights",
            Finding(
                Verdict.FAILED,
                f"{seed.who} may {_listed(too_much)}, which is not the role's.",
                remedy,
                details,
            ),
        )
    can = [words for words, allowed in may.items() if allowed]
    return Looked(
        "rights", Finding(Verdict.OK, f"{seed.who} may {_listed(can)}, and nothing else", None, details)
    )


def _without_role(may: Mapping[str, bool], details: Mapping[str, str], seed: Seed | None) -> Finding:
    if all(may.values()):
        return Finding(
            Verdict.OK,
            "whoever is on this computer may do everything: the server has no roles",
            None,
            details,
        )
    said = ", ".join(words for words, allowed in may.items() if allowed) or "nothing"
    who = "without a seed" if seed is None else "with this seed, whose file does not say its role"
    return Finding(Verdict.OK, f"{who}, this computer may: {said}", None, details)


def _listed(words: list[str]) -> str:
    return ", ".join(words)
