"""Reports the state of the process to systemd: READY, STOPPING, STATUS, WATCHDOG, EXTEND_TIMEOUT (sd_notify(3)).

In: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, passed in by the command line. Out: datagrams on that socket. Without
the socket every call does nothing. A datagram that cannot be sent is dropped, because mail does not depend on systemd.
"""

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Systemd:
    """The socket (`address` None: no reports) and the interval of the watchdog."""

    address: str | None = None
    watchdog_seconds: float | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        address = environ.get("NOTIFY_SOCKET") or None
        if address is not None and address[0] not in "/@":  # vsock and others
            address = None
        return cls(address, _watchdog_seconds(environ) if address else None)

    def notify(self, **fields: str | int) -> None:
        """Sends all fields in one datagram: `notify(READY=1, STATUS="…")`."""
        if self.address is None:
            return
        # unix(7): an abstract address begins with NUL where systemd writes @.
        target = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        text = "\n".join(f"{key}={' '.join(str(value).split())}" for key, value in fields.items())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto(text.encode(), target)


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    # sd_watchdog_enabled(3): another WATCHDOG_PID means that the watchdog is for another process.
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    usec = environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isascii() and usec.isdecimal() and int(usec) > 0 else None
