"""Logs an SMTP client in: the domain is the user name, an API key the password.

In: both, and the peer's address. Out: a Login, or Unauthenticated with one text for every reason. The look-up is made
in every case, and after a burst of failures of a peer the answers to further ones are delayed.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import structlog

from kannon.accept.failed_logins import FailedLogins
from kannon.errors import Unauthenticated
from kannon.mail.address import canonical_domain
from kannon.mail.send_request import Tenant

FRESH_SECONDS = 5.0
"""A session asks again after this time: a key that is deactivated meanwhile sends nothing more."""
log = structlog.get_logger()

FindTenant = Callable[[str, bytes, str], Awaitable[Tenant | None]]
"""Of a domain, the SHA-256 of a key, and the peer. Raises PermissionDenied where the key may not send from there."""


@dataclass(slots=True)
class Login:
    tenant: Tenant
    secret_sha256: bytes
    checked_at: float


class Authenticator:
    def __init__(self, find_tenant: FindTenant) -> None:
        self._find_tenant = find_tenant
        self._failed = FailedLogins(burst=10, per_second=2.0)

    async def log_in(self, user: str, password: str, peer: str) -> Login:
        """Raises Unauthenticated, PermissionDenied or Unavailable."""
        try:
            domain = canonical_domain(user)
        except ValueError:
            domain = ""
        digest = hashlib.sha256(password.encode()).digest()
        tenant = await self._find_tenant(domain, digest, peer)
        if tenant is None:
            await anyio.sleep(self._failed.charge(peer))
            log.warning("wrong API key", peer=peer, domain=domain)
            raise Unauthenticated("authentication failed")
        return Login(tenant, digest, time.monotonic())

    async def refresh(self, login: Login, peer: str) -> None:
        """Looks the key up again if the last time is a while ago. Raises Unauthenticated and as `log_in`."""
        if time.monotonic() - login.checked_at < FRESH_SECONDS:
            return
        tenant = await self._find_tenant(login.tenant.domain, login.secret_sha256, peer)
        if tenant is None:
            raise Unauthenticated("the API key is not valid any longer")
        login.tenant, login.checked_at = tenant, time.monotonic()
