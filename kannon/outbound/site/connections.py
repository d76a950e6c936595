"""The open connections of one destination: which are idle, and which of them end.

In: sessions as they open and as deliveries return them. Out: an idle session. Whether a session may be used again is
the site's decision.
"""

import asyncio
from collections.abc import Callable

from kannon.outbound.client.session import Session


class Connections:
    """`on_close` is called after a connection has ended, whatever ended it."""

    def __init__(self, on_close: Callable[[], None]) -> None:
        self._on_close = on_close
        self._sessions: set[Session] = set()
        self._idle: list[Session] = []  # the last one used is taken first, so that surplus connections stay idle
        self.opening = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, session: Session) -> bool:
        return session in self._sessions

    @property
    def total(self) -> int:
        """With those that are being opened."""
        return len(self._sessions) + self.opening

    @property
    def in_flight(self) -> int:
        return len(self._sessions) - len(self._idle)

    @property
    def has_idle(self) -> bool:
        return bool(self._idle)

    def add(self, session: Session) -> None:
        self._sessions.add(session)
        session.closed.add_done_callback(lambda _: self._discard(session))

    def put_idle(self, session: Session) -> None:
        self._idle.append(session)

    def take_idle(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if session.usable:
                return session
        return None

    def idle_since(self) -> list[float]:
        return [session.idle_since for session in self._idle]

    def close_idle(self, before: float) -> None:
        """QUIT to those that have been idle since `before` or longer."""
        for session in [each for each in self._idle if each.idle_since <= before]:
            self._idle.remove(session)
            session.quit()

    def close_surplus(self, limit: int) -> None:
        """QUIT to idle ones, as many as there are connections beyond `limit`; the last one used stays longest."""
        surplus = max(0, len(self._sessions) - limit)
        for session in self._idle[:surplus]:
            self._idle.remove(session)
            session.quit()

    def close(self) -> list["asyncio.Future[None]"]:
        """QUIT to all. The futures end with the connections."""
        self._idle.clear()
        for session in self._sessions:
            session.quit()
        return [session.closed for session in self._sessions]

    def abort(self) -> int:
        """How many were still open."""
        still_open = [session for session in self._sessions if not session.closed.done()]
        for session in still_open:
            session.abort()
        return len(still_open)

    def _discard(self, session: Session) -> None:
        self._sessions.discard(session)
        if session in self._idle:
            self._idle.remove(session)
        self._on_close()
