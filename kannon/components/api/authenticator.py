"""Authenticates callers: the administrator by a token, a tenant by an API key.

In: metadata and the peer's address. Out: `Admin`, `KeyCaller`, `TenantCaller`, or Unauthenticated with one text for
every reason. A valid key that the peer may not use, or without the scope, is PermissionDenied.
After a burst of failed logins, a peer gets a few answers a second; valid credentials are never delayed.
"""

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable

import anyio
import structlog

from kannon.accept.failed_logins import FailedLogins
from kannon.components.api.callers import VIEWER, Admin, Caller, KeyCaller, TenantCaller
from kannon.components.api.rpc import CallMetadata
from kannon.components.api.tenant_cache import FindGrant
from kannon.db.api_keys import ANY_DOMAIN
from kannon.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from kannon.mail.address import canonical_domain
from kannon.mail.send_request import Tenant
from kannon.mail.tenants import KeyGrant, Scope

MAX_ATTRIBUTION_BYTES = 256
MAX_IDEMPOTENCY_KEY = 255
_MAX_BASIC = 1024  # base64 of a domain, a colon and a key is below 500

log = structlog.get_logger(__name__)

FindTenantOfDomain = Callable[[str], Awaitable[Tenant | None]]


class Token:
    """A configured secret. An empty one equals nothing."""

    def __init__(self, text: str) -> None:
        self.digest = hashlib.sha256(text.encode()).digest() if text else None

    def equals(self, given: str) -> bool:
        # Digests have one length, so the comparison reveals nothing about the length of the token.
        return self.digest is not None and hmac.compare_digest(hashlib.sha256(given.encode()).digest(), self.digest)


class AdminAuthenticator:
    """`x-kannon-admin-token`, or `authorization: Bearer` with the token. With an empty configured token every call is
    refused."""

    def __init__(self, token: str, failed: FailedLogins, viewer_token: str = "") -> None:
        self._token = Token(token)
        self._viewer_token = Token(viewer_token)
        self._failed = failed

    def is_admin(self, call: CallMetadata) -> bool:
        return self._token.equals(_given_token(call))

    def is_viewer(self, call: CallMetadata) -> bool:
        return self._viewer_token.equals(_given_token(call))

    def viewer(self, call: CallMetadata) -> Admin:
        return Admin(_attribution(call), call.peer, VIEWER)

    async def authenticate(self, call: CallMetadata) -> Admin:
        if not self.is_admin(call):
            await anyio.sleep(self._failed.charge(call.peer))
            log.warning("wrong admin token", peer=call.peer)
            raise Unauthenticated("invalid admin token")
        return Admin(_attribution(call), call.peer)


class KeyAuthenticator:
    """`authorization: Basic base64(domain:key)` or `Bearer key`. `used` hears of each valid use: the key's id and the
    peer.

    Malformed credentials are looked up too, so timing reveals nothing.
    """

    def __init__(self, find_grant: FindGrant, failed: FailedLogins, used: Callable[[str, str], None]) -> None:
        self._find_grant = find_grant
        self._failed = failed
        self._used = used

    async def authenticate(self, scope: Scope, call: CallMetadata) -> KeyGrant:
        key = bearer(call)
        domain, secret = (ANY_DOMAIN, key) if key else parse_basic(call.metadata.get("authorization", ""))
        grant = await self._find_grant(domain, hashlib.sha256(secret.encode()).digest())
        if grant is None:
            await anyio.sleep(self._failed.charge(call.peer))
            log.warning("wrong API key", peer=call.peer, domain=domain)
            raise Unauthenticated("invalid or wrong auth")
        try:
            grant.check(scope, call.peer)
        except PermissionDenied as error:
            log.warning("API key refused", peer=call.peer, domain=domain, key=grant.key_id, reason=str(error))
            raise
        self._used(grant.key_id, call.peer)
        return grant


class TenantAuthenticator:
    """An API key with the scope `send`, or the admin token with `x-kannon-domain`."""

    def __init__(
        self, keys: KeyAuthenticator, admin: AdminAuthenticator, find_tenant_of_domain: FindTenantOfDomain
    ) -> None:
        self._keys = keys
        self._admin = admin
        self._find_tenant_of_domain = find_tenant_of_domain

    async def authenticate(self, call: CallMetadata) -> TenantCaller:
        key = bearer(call)
        if (key or "authorization" not in call.metadata) and "x-kannon-domain" in call.metadata:
            return await self._authenticate_admin(call)
        grant = await self._keys.authenticate(Scope.SEND, call)
        return TenantCaller(grant.tenant, _idempotency_key(call), _key_name(grant), call.peer)

    async def _authenticate_admin(self, call: CallMetadata) -> TenantCaller:
        caller = await self._admin.authenticate(call)
        given = call.metadata["x-kannon-domain"]
        try:
            tenant = await self._find_tenant_of_domain(canonical_domain(given))
        except ValueError:
            tenant = None
        if tenant is None:
            raise NotFound(f'x-kannon-domain: no domain "{given}"')
        log.info("admin sends for a domain", domain=tenant.domain, by=caller.attribution)
        return TenantCaller(tenant, _idempotency_key(call), caller.name, call.peer)


class ScopeAuthenticator:
    """The admin token, or an API key with the scope."""

    def __init__(self, scope: Scope, keys: KeyAuthenticator, admin: AdminAuthenticator) -> None:
        self._scope = scope
        self._keys = keys
        self._admin = admin

    async def authenticate(self, call: CallMetadata) -> Caller:
        if (
            self._admin.is_admin(call)
            or "x-kannon-admin-token" in call.metadata
            or "authorization" not in call.metadata
        ):
            return await self._admin.authenticate(call)
        grant = await self._keys.authenticate(self._scope, call)

        async def check() -> None:
            await self._keys.authenticate(self._scope, call)

        return KeyCaller(grant.tenant.domain, _key_name(grant), check, call.peer)


def _key_name(grant: KeyGrant) -> str:
    return f"API key {grant.key_id}"


def _given_token(call: CallMetadata) -> str:
    return call.metadata.get("x-kannon-admin-token") or bearer(call)


def bearer(call: CallMetadata) -> str:
    """RFC 6750 §2.1: the token; empty where there is none."""
    scheme, _, token = call.metadata.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def parse_basic(header: str) -> tuple[str, str]:
    """RFC 7617 §2: domain and key. A malformed header gives two empty strings, which match no key."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _MAX_BASIC:
        return "", ""
    try:
        user, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        return (canonical_domain(user), secret) if colon else ("", "")
    except ValueError:
        return "", ""


def _attribution(call: CallMetadata) -> str:
    text = _utf8(call.metadata.get("x-kannon-attribution", ""), "x-kannon-attribution")
    if len(text.encode()) > MAX_ATTRIBUTION_BYTES:
        raise InvalidArgument("x-kannon-attribution", f"must not exceed {MAX_ATTRIBUTION_BYTES} bytes")
    return text


def _idempotency_key(call: CallMetadata) -> str:
    text = _utf8(call.metadata.get("idempotency-key", ""), "idempotency-key")
    if len(text) > MAX_IDEMPOTENCY_KEY:
        raise InvalidArgument("idempotency-key", f"must not exceed {MAX_IDEMPOTENCY_KEY} characters")
    return text


def _utf8(value: str, name: str) -> str:
    """Header values arrive as Latin-1, one character per byte."""
    try:
        text = value.encode("latin-1").decode()
    except ValueError:
        raise InvalidArgument(name, "is not UTF-8") from None
    if any(c < " " or "\x7f" <= c <= "\x9f" for c in text):
        raise InvalidArgument(name, "must not contain control characters")
    return text
