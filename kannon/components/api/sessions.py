"""Logins to the pages: by a token, or by a link that works once and for a minute. All nodes share them.

In: a token, a link, or the secret of a session's cookie. Out: a session, or None. A session ends after SESSION, at the
logout, and when the token behind it is no longer the configured one.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta

import structlog

from kannon.components.api.callers import ADMIN, VIEWER
from kannon.components.api.pages.session import Session
from kannon.db import logins
from kannon.db.logins import LINK, SESSION, Login
from kannon.db.pool import Database

SESSION_LIFETIME = timedelta(hours=12)
LINK_LIFETIME = timedelta(minutes=1)
_SECRET_BYTES = 32
_MAX_SECRET = 100
log = structlog.get_logger(__name__)


class Sessions:
    """`viewer_token` may be empty. Every method raises Unavailable while PostgreSQL is away."""

    def __init__(self, db: Database, admin_token: str, viewer_token: str) -> None:
        self._db = db
        self._admin = _authority(admin_token)
        self._viewer = _authority(viewer_token)

    async def log_in(self, token: str, peer: str) -> Session | None:
        given = _authority(token)
        if _equal(given, self._admin):
            return await self._start(Login(viewer=False, authority=given), peer)
        if _equal(given, self._viewer):
            return await self._start(Login(viewer=True, authority=given), peer)
        return None

    async def create_link(self) -> str:
        """For the administrator."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        await logins.insert_login(self._db, _digest(secret), LINK, Login(False, self._admin), LINK_LIFETIME)
        return secret

    async def use_link(self, secret: str, peer: str) -> Session | None:
        login = await logins.take_link(self._db, _digest(secret)) if len(secret) <= _MAX_SECRET else None
        return await self._start(login, peer) if login is not None and self._stands(login) else None

    async def find(self, secret: str) -> Session | None:
        login = await logins.find_session(self._db, _digest(secret)) if len(secret) <= _MAX_SECRET else None
        return _session(secret, login) if login is not None and self._stands(login) else None

    async def end(self, session: Session) -> None:
        await logins.delete_session(self._db, _digest(session.secret))

    async def _start(self, login: Login, peer: str) -> Session:
        """Always with a secret of its own: what the browser brought is not taken over."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        await logins.insert_login(self._db, _digest(secret), SESSION, login, SESSION_LIFETIME)
        session = _session(secret, login)
        log.info("logged in to the pages", by=session.name, peer=peer)
        return session

    def _stands(self, login: Login) -> bool:
        return _equal(login.authority, self._viewer if login.viewer else self._admin)


def _session(secret: str, login: Login) -> Session:
    return Session(secret, VIEWER if login.viewer else ADMIN)


def _authority(token: str) -> bytes:
    return hashlib.sha256(b"login" + token.encode()).digest() if token else b""


def _equal(given: bytes, wanted: bytes) -> bool:
    return bool(wanted) and hmac.compare_digest(given, wanted)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
