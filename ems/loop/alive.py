"""The sign of life of a process to whoever supervises it, in systemd's own words (sd_notify): the same for both."""

from __future__ import annotations

import os
import socket

READY, STILL_THERE, LEAVING = "READY=1", "WATCHDOG=1", "STOPPING=1"
STARTING = "EXTEND_TIMEOUT_USEC=900000000"  # still not ready after long work: a quarter of an hour more, from now on


def tell_supervisor(words: str) -> None:
    """Say READY, STARTING, STILL_THERE or LEAVING to the socket in NOTIFY_SOCKET; without one nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as wire:
        try:
            wire.sendto(words.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return  # a supervisor that does not listen will find out by the silence
