"""Who calls: the administrator by a token, a tenant by an API key.

In: metadata and the peer's address. Out: `Admin`, `TenantCaller`, or Unauthenticated with one text for every reason.
Failed logins of one peer are answered no faster than a few a second; right credentials are never delayed.
"""

import base64
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import structlog

from kannon.components.api.calls import Credentials
from kannon.errors import InvalidArgument, Unauthenticated
from kannon.mail.address import canonical_domain
from kannon.mail.send_request import Tenant

MAX_ATTRIBUTION_BYTES = 256
MAX_IDEMPOTENCY_KEY = 255
_MAX_BASIC = 1024  # base64 of a domain, a colon and a key is below 500

log = structlog.get_logger(__name__)

FindTenant = Callable[[str, bytes], Awaitable[Tenant | None]]


@dataclass(frozen=True, slots=True)
class Admin:
    """`attribution`: who asked, as they say; logged, never consulted."""

    attribution: str


@dataclass(frozen=True, slots=True)
class TenantCaller:
    """A tenant's call to the Mailer; `idempotency_key` is empty where none was given."""

    tenant: Tenant
    idempotency_key: str


class FailedLogins:
    """A leaky bucket per peer: `burst` failures at once, then `per_second`; each further one waits its turn."""

    def __init__(
        self,
        *,
        burst: int = 50,
        per_second: float = 10.0,
        longest_wait: float = 2.0,
        peers: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._per_second = per_second
        self._longest_wait = longest_wait
        self._peers = peers
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def charge(self, peer: str) -> float:
        """Counts one failure; returns the seconds its answer has to wait."""
        now = self._clock()
        full_at = max(self._full_at.pop(peer, now), now) + 1 / self._per_second
        self._full_at[peer] = full_at
        if len(self._full_at) > self._peers:
            self._full_at.popitem(last=False)
        return min(max(0.0, full_at - now - self._burst / self._per_second), self._longest_wait)


class AdminAuthenticator:
    """`x-kannon-admin-token`. An empty configured token lets nobody in."""

    def __init__(self, token: str, failed: FailedLogins) -> None:
        self._digest = hashlib.sha256(token.encode()).digest() if token else None
        self._failed = failed

    async def authenticate(self, credentials: Credentials) -> Admin:
        given = hashlib.sha256(credentials.metadata.get("x-kannon-admin-token", "").encode()).digest()
        # Hashing first makes both sides equally long, whatever was given.
        if self._digest is None or not hmac.compare_digest(given, self._digest):
            await anyio.sleep(self._failed.charge(credentials.peer))
            log.warning("wrong admin token", peer=credentials.peer)
            raise Unauthenticated("invalid admin token")
        return Admin(_attribution(credentials))


class TenantAuthenticator:
    """`authorization: Basic base64(domain:key)`. The look-up is made in every case, also for what cannot be a key."""

    def __init__(self, find_tenant: FindTenant, failed: FailedLogins) -> None:
        self._find_tenant = find_tenant
        self._failed = failed

    async def authenticate(self, credentials: Credentials) -> TenantCaller:
        domain, secret = parse_basic(credentials.metadata.get("authorization", ""))
        tenant = await self._find_tenant(domain, hashlib.sha256(secret.encode()).digest())
        if tenant is None:
            await anyio.sleep(self._failed.charge(credentials.peer))
            log.warning("wrong API key", peer=credentials.peer, domain=domain)
            raise Unauthenticated("invalid or wrong auth")
        return TenantCaller(tenant, _idempotency_key(credentials))


def parse_basic(header: str) -> tuple[str, str]:
    """RFC 7617 §2: domain and key. What is malformed becomes a pair that opens nothing."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _MAX_BASIC:
        return "", ""
    try:
        user, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        return (canonical_domain(user), secret) if colon else ("", "")
    except ValueError:
        return "", ""


def _attribution(credentials: Credentials) -> str:
    text = _utf8(credentials.metadata.get("x-kannon-attribution", ""), "x-kannon-attribution")
    if len(text.encode()) > MAX_ATTRIBUTION_BYTES:
        raise InvalidArgument("x-kannon-attribution", f"must not exceed {MAX_ATTRIBUTION_BYTES} bytes")
    return text


def _idempotency_key(credentials: Credentials) -> str:
    text = _utf8(credentials.metadata.get("idempotency-key", ""), "idempotency-key")
    if len(text) > MAX_IDEMPOTENCY_KEY:
        raise InvalidArgument("idempotency-key", f"must not exceed {MAX_IDEMPOTENCY_KEY} characters")
    return text


def _utf8(value: str, name: str) -> str:
    """Header values arrive as Latin-1, one character a byte."""
    try:
        text = value.encode("latin-1").decode()
    except ValueError:
        raise InvalidArgument(name, "is not UTF-8") from None
    if any(c < " " or "\x7f" <= c <= "\x9f" for c in text):
        raise InvalidArgument(name, "must not hold control characters")
    return text
