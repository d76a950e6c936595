"""Finds the tenant whose API key may send, for ways in that have no API call.

In: a domain, the SHA-256 of a key, and the peer's address. Out: the tenant, or None for a key that opens nothing.
Raises PermissionDenied where the key lacks the scope `send` or may not be used from that address. A use is noted.
"""

from collections.abc import Awaitable, Callable

from kannon.accept.key_usage import KeyUsage
from kannon.db import api_keys
from kannon.db.pool import Database
from kannon.mail.send_request import Tenant
from kannon.mail.tenants import Scope


def sending_key(db: Database, usage: KeyUsage) -> Callable[[str, bytes, str], Awaitable[Tenant | None]]:
    async def find_tenant(domain: str, secret_sha256: bytes, peer: str) -> Tenant | None:
        grant = await api_keys.find_tenant(db, domain, secret_sha256)
        if grant is None:
            return None
        grant.check(Scope.SEND, peer)
        usage.used(grant.key_id, peer)
        return grant.tenant

    return find_tenant
