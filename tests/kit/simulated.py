"""Settings that lead a client to a simulator, and nowhere else."""

from __future__ import annotations

from typing import Protocol

from pydantic import SecretStr

from options_helper.data.rest.rate_limit import RestPolicy
from options_helper.settings import DEMO_KEY, DEMO_SECRET, MOST_REST_PER_MINUTE, Settings
from tests.kit.waiting import FOREVER

# One try for a server that answers, however busy the machine is.
PATIENT_REST = RestPolicy(connect_seconds=FOREVER, read_seconds=FOREVER, answer_seconds=FOREVER, attempts=1)


class Addresses(Protocol):
    """Where a simulator is found; a `SimulatorServer` is one."""

    @property
    def stream_url(self) -> str:
        """Of its streams."""

    @property
    def rest_url(self) -> str:
        """Of its account and its data."""


def settings_for(server: Addresses, secret: str = DEMO_SECRET) -> Settings:
    """What a user of that simulator has in the environment."""
    return Settings(
        api_key=SecretStr(DEMO_KEY),
        api_secret=SecretStr(secret),
        base_url=server.rest_url,
        stream_url=server.stream_url,
        data_url=server.rest_url,
        # A test that asks again and again within seconds would wait for the end of Alpaca's minute.
        rest_per_minute=MOST_REST_PER_MINUTE,
    )
