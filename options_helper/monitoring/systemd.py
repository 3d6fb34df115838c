"""Tell systemd how the service is."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify_systemd(message: str) -> None:
    """Say `READY=1`, `WATCHDOG=1` or `STOPPING=1` to the service manager that started this process, if one did."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        # A leading @ stands for the zero byte of an abstract name.
        to.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)
