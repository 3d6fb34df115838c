"""Which of an owner's accounts somebody follows, and where on the bus that one is; or why it cannot be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from options_helper.bus.address import BusAddress, is_loopback
from options_helper.bus.names import DEFAULT_DESK
from options_helper.bus.seeds import Seed
from options_helper.bus.truth import DeskHealth
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId, StreamName, fills_of
from options_helper.model.text import named

TRUTH: Final = "truth"


@dataclass(frozen=True, slots=True)
class AccountPlace:
    """Where an account is on a desk."""

    account: str  # as the bus calls it: "default" is the desk's own, whatever its name

    @property
    def is_own(self) -> bool:
        """Whether it is the desk's own, whose words are with the desk's."""
        return self.account == DEFAULT_ACCOUNT

    @property
    def stream(self) -> StreamId:
        """Its order updates, as the owner publishes them."""
        return StreamName.FILLS if self.is_own else fills_of(self.account)


OWN: Final = AccountPlace(DEFAULT_ACCOUNT)


def place_of(account: str, health: DeskHealth | None) -> AccountPlace | None:
    """Where an account is by the owner's word; None where it is not served, or nobody has said.

    "default" is whichever the desk's own is.
    """
    if account == DEFAULT_ACCOUNT:
        return OWN
    if health is None or not health.accounts or account not in health.accounts:
        return None
    return OWN if account == health.accounts[0] else AccountPlace(account)


def alerts_key(address: BusAddress, account: str, own: str | None) -> str | None:
    """What the alerts of an account on this bus are kept under; the desk's own account is called `own`, if anything.

    The same for whoever names that one and for whoever does not. None: under what the settings say, as before there
    were several: of the own account of this computer's only desk.
    """
    is_own, local = account in (DEFAULT_ACCOUNT, own), is_loopback(address.host)
    if is_own and local and address.names.desk == DEFAULT_DESK:
        return None
    # However it is spelled, this computer is one.
    where = address.url.replace(address.host, "localhost") if local else address.url
    return "\0".join(("bus", where, address.names.desk, "" if is_own else account))


def earlier_alerts_key(address: BusAddress, account: str, own: str | None) -> str | None:
    """Under what else they are kept: by a program that had not heard yet that it is the desk's own; None: nothing."""
    key = alerts_key(address, account, None)
    return None if key == alerts_key(address, account, own) else key


def why_not_served(account: str, health: DeskHealth | None) -> str | None:
    """Why nothing of that account can be shown, as a sentence; None where it can, or nobody has said yet."""
    if health is None or place_of(account, health) is not None:
        return None
    if health.accounts is None:
        return (
            f"The account {account} cannot be told from another: the owner (version {health.program}) is of before "
            "several could be served, and does not say which its one account is. Run this program's version there."
        )
    if health.accounts == (DEFAULT_ACCOUNT,):
        return f"The owner serves one account, which has no name there; so it is not known whether it is {account}."
    return (
        f"The owner serves {named(health.accounts, len(health.accounts))}, and not {account}: "
        f"`stream serve --together-with {account}` would."
    )


def why_not_seen(account: str, place: AccountPlace, seed: Seed | None) -> str:
    """Why this seed may not have it, as a sentence."""
    who = "which is of none" if seed is None else f"that of {seed.who}"
    shown = "the desk's own account" if account == DEFAULT_ACCOUNT else f"the account {account}"
    wanted = "" if place.is_own else f"={place.account}"
    return (
        f"This computer's seed, {who}, is not for {shown}. "
        f"`bus config --account-viewer NAME{wanted}` writes one that is."
    )
