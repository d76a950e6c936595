"""kannon.admin.v1.Keys: API keys with their scopes, networks and quotas, and the quota of a domain.

In: requests of the administrator. Out: keys without their secrets; only CreateKey answers with one. Each change is
logged with its caller.
"""

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from kannon.components.api.callers import Admin
from kannon.components.api.services.arguments import MAX_PAGE, domain_name, found, plain_text
from kannon.db import api_keys, domains
from kannon.db.api_keys import KeyRights
from kannon.db.pool import Database
from kannon.errors import InvalidArgument
from kannon.mail import ids
from kannon.mail.tenants import MAX_API_KEY_NAME, ApiKey, Limits, Scope, parse_networks, parse_scopes
from kannon.pb.admin.v1 import keys_pb2 as pb
from kannon.wire.admin import to_key
from kannon.wire.times import optional_time

_DEFAULT_TAKE = 100
log = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class KeyMethods:
    """`tenants_changed` follows each commit that changes what a key or a domain may do."""

    def __init__(self, db: Database, tenants_changed: Callable[[], None]) -> None:
        self._db = db
        self._tenants_changed = tenants_changed

    async def CreateKey(self, caller: Admin, request: pb.CreateKeyRequest) -> pb.CreateKeyResponse:
        domain = domain_name(request.domain)
        _check_name(request.name)
        expires_at = optional_time(request, "expires_at")
        if expires_at is not None and expires_at <= _now():
            raise InvalidArgument("expires_at", "is in the past")
        quota = _limits(request.quota)
        rights = KeyRights(
            parse_scopes(request.scopes, "scopes") or (Scope.SEND,),
            parse_networks(request.networks, "networks"),
            quota.per_second,
            quota.per_day,
        )
        key, secret = await create_key(self._db, domain, request.name, expires_at, rights)
        log.info("API key created", domain=domain, key=key.id, scopes=_names(key), by=caller.attribution)
        return pb.CreateKeyResponse(key=to_key(key, _now()), secret=secret)

    async def UpdateKey(self, caller: Admin, request: pb.UpdateKeyRequest) -> pb.UpdateKeyResponse:
        domain = domain_name(request.domain)
        if request.HasField("name"):
            _check_name(request.name)
        scopes = parse_scopes(request.scopes.scopes, "scopes") if request.HasField("scopes") else None
        if scopes == ():
            raise InvalidArgument("scopes", "must not be empty; revoke the key instead")
        quota = _limits(request.quota) if request.HasField("quota") else None
        rights = KeyRights(
            scopes,
            parse_networks(request.networks.networks, "networks") if request.HasField("networks") else None,
            None if quota is None else quota.per_second,
            None if quota is None else quota.per_day,
        )
        name = request.name if request.HasField("name") else None
        key_id = _key_id(request.id, domain)
        key = await api_keys.update_api_key(self._db, domain, key_id, name=name, rights=rights)
        key = found(key, _no_key(key_id, domain))
        self._tenants_changed()
        log.info("API key changed", domain=domain, key=key.id, scopes=_names(key), by=caller.attribution)
        return pb.UpdateKeyResponse(key=to_key(key, _now()))

    async def GetKey(self, caller: Admin, request: pb.GetKeyRequest) -> pb.GetKeyResponse:
        domain = domain_name(request.domain)
        key_id = _key_id(request.id, domain)
        key = found(await api_keys.find_api_key(self._db, domain, key_id), _no_key(key_id, domain))
        return pb.GetKeyResponse(key=to_key(key, _now()))

    async def ListKeys(self, caller: Admin, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
        domain = domain_name(request.domain)
        found(await domains.find_domain(self._db, domain), _no_domain(domain))
        take = min(request.take or _DEFAULT_TAKE, MAX_PAGE)
        page, total = await api_keys.list_api_keys(
            self._db, domain, only_active=request.only_active, skip=request.skip, take=take
        )
        now = _now()
        return pb.ListKeysResponse(keys=[to_key(key, now) for key in page], total=total)

    async def GetDomainQuota(self, caller: Admin, request: pb.GetDomainQuotaRequest) -> pb.GetDomainQuotaResponse:
        domain = domain_name(request.domain)
        limits = found(await domains.find_limits(self._db, domain), _no_domain(domain))
        return pb.GetDomainQuotaResponse(quota=_quota(limits))

    async def SetDomainQuota(self, caller: Admin, request: pb.SetDomainQuotaRequest) -> pb.SetDomainQuotaResponse:
        domain = domain_name(request.domain)
        wanted = _limits(request.quota)
        limits = found(await domains.update_limits(self._db, domain, wanted), _no_domain(domain))
        self._tenants_changed()
        log.info(
            "domain quota set",
            domain=domain,
            per_second=limits.per_second,
            per_day=limits.per_day,
            by=caller.attribution,
        )
        return pb.SetDomainQuotaResponse(quota=_quota(limits))


async def create_key(
    db: Database, domain: str, name: str, expires_at: datetime | None, rights: KeyRights
) -> tuple[ApiKey, str]:
    """The key and its secret. Raises NotFound where there is no such domain."""
    secret = ids.api_key_secret(secrets.token_bytes(ids.DRAW_BYTES))
    key = await api_keys.insert_api_key(
        db,
        ids.api_key_id(secrets.token_bytes(ids.DRAW_BYTES)),
        domain,
        name=name,
        prefix=secret[: ids.PREFIX_LENGTH],
        secret_sha256=hashlib.sha256(secret.encode()).digest(),
        expires_at=expires_at,
        rights=rights,
    )
    return found(key, _no_domain(domain)), secret


def _limits(message: pb.Quota) -> Limits:
    limits = Limits(message.per_second, message.per_day)
    limits.check("quota")
    return limits


def _quota(limits: Limits) -> pb.Quota:
    return pb.Quota(per_second=limits.per_second, per_day=limits.per_day)


def _names(key: ApiKey) -> list[str]:
    return [scope.value for scope in key.scopes]


def _check_name(name: str) -> None:
    if not name.strip():
        raise InvalidArgument("name", "must not be empty")
    plain_text(name, "name", longest=MAX_API_KEY_NAME)


def _key_id(text: str, domain: str) -> str:
    if not text:
        raise InvalidArgument("id", "must not be empty")
    return found(text if ids.is_api_key_id(text) else None, _no_key(text, domain))


def _no_key(key_id: str, domain: str) -> str:
    return f'id: no API key "{key_id[:100]}" of domain "{domain}"'


def _no_domain(domain: str) -> str:
    return f'domain: no domain "{domain}"'
