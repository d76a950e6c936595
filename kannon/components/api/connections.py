"""The open connections of the API, and which of them makes room for a new one.

In: connections as they are accepted, idle and closed. Out: whether a new one is admitted. Refuses a peer that has its
share, and any peer while all places are taken by connections that are authenticated or serve a call.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import structlog

from kannon.peers import LOOPBACK, peer_key

MAX_CONNECTIONS = 500
"""The other components of the process need file descriptors too."""
MAX_PER_PEER = 100
"""A fifth of all: a program with a pool of connections, or several machines behind one address, needs fewer. Loopback
may have all of them: a proxy speaks for many clients."""

FIRST_CALL_SECONDS = 30.0
"""A connection that has not made its first call by then is closed."""
IDLE_SECONDS = 600.0
"""So is one without a call for this long; clients reconnect by themselves."""
LINGER_SECONDS = 1.0
"""From the last words of the server to the end of the connection. Closing at once, with unread bytes in the socket,
would make the kernel send a reset, which may overtake those words."""

log = structlog.get_logger(__name__)


class Connection(Protocol):
    """`idle_since` is a time of the event loop's clock; None while the connection serves a call."""

    peer: str
    authenticated: bool
    calls: dict[object, asyncio.Task[None]]

    @property
    def idle_since(self) -> float | None: ...

    def cancel_streaming(self) -> None:
        """Cancels the calls that have no end of their own."""

    def close_if_idle(self, now: float) -> None: ...

    def close_gracefully(self) -> None:
        """GOAWAY where the protocol has it, then the end of the connection. Only when no call runs."""


class ConnectionTable:
    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._peers: Counter[str] = Counter()
        self._full = False

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._open))

    def calls(self) -> set[asyncio.Task[None]]:
        return {task for connection in self._open for task in connection.calls.values()}

    def admit(self, peer: str) -> bool:
        """Whether a new connection of this peer may be added. Where all places are taken, closes the one that has been
        idle longest without ever having been authenticated."""
        key = peer_key(peer)
        if key != LOOPBACK and self._peers[key] >= MAX_PER_PEER:
            log.debug("connection refused: limit per peer", peer=peer, limit=MAX_PER_PEER)
            return False
        if len(self._open) < MAX_CONNECTIONS:
            self._full = False
            return True
        if not self._full:  # one line for each time that the limit is reached
            self._full = True
            log.warning("connection limit reached", limit=MAX_CONNECTIONS)
        oldest = self._oldest_idle()
        if oldest is None:
            log.debug("connection refused: connection limit", peer=peer)
            return False
        self.remove(oldest)
        oldest.close_gracefully()
        return True

    def add(self, connection: Connection) -> None:
        self._open.add(connection)
        self._peers[peer_key(connection.peer)] += 1

    def remove(self, connection: Connection) -> None:
        """May be repeated."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        key = peer_key(connection.peer)
        self._peers[key] -= 1
        if self._peers[key] <= 0:
            del self._peers[key]

    def _oldest_idle(self) -> Connection | None:
        oldest, oldest_since = None, float("inf")
        for connection in self._open:
            since = None if connection.authenticated else connection.idle_since
            if since is not None and since < oldest_since:
                oldest, oldest_since = connection, since
        return oldest
