"""Tells systemd how the process fares: READY, STOPPING, STATUS, WATCHDOG, EXTEND_TIMEOUT (sd_notify(3)).

In: NOTIFY_SOCKET and its siblings from the environment, handed in by the command line. Out: datagrams on that socket.
Without the socket every call does nothing. A datagram that cannot be sent is dropped: systemd's absence stops no mail.
"""

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Systemd:
    """Where to report (`address` None: nowhere) and how often the watchdog wants to hear of us."""

    address: str | None = None
    watchdog_seconds: float | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        address = environ.get("NOTIFY_SOCKET") or None
        if address is not None and address[0] not in "/@":  # vsock and others
            address = None
        return cls(address, _watchdog_seconds(environ) if address else None)

    def notify(self, **fields: str | int) -> None:
        """`notify(READY=1, STATUS="…")` sends both in one datagram."""
        if self.address is None:
            return
        # unix(7): an abstract address begins with NUL where systemd writes @.
        target = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        text = "\n".join(f"{key}={' '.join(str(value).split())}" for key, value in fields.items())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto(text.encode(), target)


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    # sd_watchdog_enabled(3): meant for another process if WATCHDOG_PID is not ours.
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    usec = environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isascii() and usec.isdecimal() and int(usec) > 0 else None
