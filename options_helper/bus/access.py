"""By what a program shows a bus who it is, and which certificates it trusts; both are files that settings name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from options_helper.bus.seeds import Seed, read_seed
from options_helper.errors import ConfigError
from options_helper.model.streams import DEFAULT_ACCOUNT
from options_helper.settings import BUS_VARIABLES, read_variables

SEED_VARIABLE: Final = "OH_BUS_SEED_FILE"
CA_VARIABLE: Final = "OH_BUS_CA_FILE"


@dataclass(frozen=True, slots=True)
class BusAccess:
    """The files; what is secret is read from them at each connection and kept by nobody."""

    seed_file: Path | None = None
    ca_file: Path | None = None  # None: the certificates that this computer trusts

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, env_file: Path | None = None) -> BusAccess:
        """Read the environment, then `config/alpaca.env` for what the environment leaves open, as `Settings.load`."""
        values = read_variables(BUS_VARIABLES, environ, env_file)
        return cls(_path(values.get(SEED_VARIABLE)), _path(values.get(CA_VARIABLE)))

    def seed(self) -> Seed | None:
        """The seed as it is now, so that a new one is used without a restart; ConfigError where it cannot be."""
        return None if self.seed_file is None else read_seed(self.seed_file)

    def sees(self, account: str = DEFAULT_ACCOUNT) -> bool:
        """Whether this user may have an account's positions and orders, as far as its seed's own note says.

        Otherwise by trying. Without a name, or "default": the desk's own account, whatever it is called.
        """
        seed = self.seed()
        return seed is None or seed.sees(account) is not False

    def require_usable(self) -> None:
        """Raise ConfigError now for what `seed` and a connection would raise later."""
        self.seed()
        if self.ca_file is not None and not self.ca_file.is_file():
            raise ConfigError(
                f"{CA_VARIABLE} names {self.ca_file}, and there is no such file. "
                "Name the certificate of whoever signed the server's, such as bus-ca.pem."
            )

    @property
    def environment(self) -> dict[str, str]:
        """The variables that `load` reads."""
        named = {SEED_VARIABLE: self.seed_file, CA_VARIABLE: self.ca_file}
        return {name: str(path.absolute()) for name, path in named.items() if path is not None}


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text).expanduser()
