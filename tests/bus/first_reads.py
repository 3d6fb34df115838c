"""Several threads are the first to read each kind of message of a bus; as a program, since a fault ends the process."""

import sys
import threading

from options_helper.bus.truth import DeskAccount, DeskRisk, decode, encode
from options_helper.model.account import AccountState
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.risk_inputs import RiskInputs

BEGIN = threading.Barrier(8)
MESSAGES = {
    DeskAccount: encode(DeskAccount(AccountState(), (), ExpiryFacts())),
    DeskRisk: encode(DeskRisk.of(RiskInputs())),
}


def read() -> None:
    """All of them, at once with the others."""
    BEGIN.wait()
    for kind, data in MESSAGES.items():
        decode(data, kind)


if __name__ == "__main__":
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
