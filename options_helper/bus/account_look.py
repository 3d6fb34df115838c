"""Whether what a desk tells of an account may be shown as that account's, and what is to be said where not.

Decided from the owner's words and the moments at which they were heard; knows no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from options_helper.bus.accounts import TRUTH, AccountPlace, place_of, why_not_seen, why_not_served
from options_helper.bus.follower import Desk
from options_helper.bus.legs import UNHEARD_SECONDS
from options_helper.bus.seeds import Seed
from options_helper.bus.truth import DeskHealth
from options_helper.model.streams import DEFAULT_ACCOUNT


@dataclass(frozen=True, slots=True)
class AccountLook:
    """How a viewer looks at an account: by which name, "default" for the desk's own, and by whose seed."""

    account: str
    seed: Seed | None = None

    def sees(self, account: str) -> bool:
        """Whether the seed may see what the bus calls so, as far as its own note says."""
        return self.seed is None or self.seed.sees(account) is not False

    @property
    def may_be_seen(self) -> bool:
        """Whether the account may be, for all that is known before an owner says which is the desk's own."""
        return self.sees(self.account) or self.sees(DEFAULT_ACCOUNT)

    @property
    def is_for_prices(self) -> bool:
        """Whether the seed is for no account at all, and none was named."""
        role = None if self.seed is None else self.seed.role
        return self.account == DEFAULT_ACCOUNT and role is not None and not role.sees_account

    def name(self, desk: Desk) -> str:
        """What it is called; empty where nobody has said."""
        if self.account != DEFAULT_ACCOUNT:
            return self.account
        return "" if desk.health is None or not desk.health.accounts else desk.health.accounts[0]

    def unseen(self, health: DeskHealth | None) -> tuple[str, ...]:
        """Which of the owner's accounts this seed may not see."""
        accounts = () if health is None else health.accounts or ()
        places = ((one, place_of(one, health)) for one in accounts)
        return tuple(one for one, place in places if place is not None and not self.sees(place.account))

    def problem(self, desk: Desk) -> str | None:
        """Why nothing of it is to be believed now, as a sentence; None while there is no reason not to."""
        if self.is_for_prices:
            return None
        if not self.may_be_seen:
            return why_not_seen(
                self.account, place_of(self.account, desk.health) or AccountPlace(self.account), self.seed
            )
        if desk.place is None:
            return None if self.account == DEFAULT_ACCOUNT else why_not_served(self.account, desk.health)
        if not self.sees(desk.place.account):
            return why_not_seen(self.account, desk.place, self.seed)
        return desk.account_problem or self._why_not_told(desk) or self._why_not_heard(desk)

    def _why_not_told(self, desk: Desk) -> str | None:
        told = desk.health if desk.place is None or desk.place.is_own else desk.account_health
        if told is not None and (untold := told.untold.get(TRUTH)) is not None:
            return f"What the owner knows of {self._words(desk)} could not be told: {untold}"
        if desk.account is not None and desk.account.name not in ("", self.name(desk)):
            return (
                f"The owner has not told of {self._words(desk)} yet: what is there is of {desk.account.name}."
            )
        return None

    def _why_not_heard(self, desk: Desk) -> str | None:
        """Why what was told last of a further account is of before, though its owner is heard."""
        main, own = desk.health, desk.account_health
        if desk.place is None or desk.place.is_own or main is None or main.ended:
            return None
        if own is not None and (main.host, main.pid) != (own.host, own.pid):
            return f"Another owner has taken over, and has not told of {self._words(desk)} yet."
        # Beside the owner's last word, and not beside now: where nobody is heard, the streams say so.
        last = desk.account_heard_at if desk.account_heard_at is not None else desk.account_since
        if desk.heard_at is None or last is None:
            return None
        if (lag := desk.heard_at - last) > UNHEARD_SECONDS:
            return f"The owner has not told of {self._words(desk)} for {lag:.0f} s, though it is heard."
        return None

    def _words(self, desk: Desk) -> str:
        name = self.name(desk)
        return f"the account {name}" if name not in ("", DEFAULT_ACCOUNT) else "the account"
