"""kannon.admin.v1.Suppressions: lists, adds and removes suppressed addresses of a domain, and switches suppression.

In: requests of the administrator. Out: pages and counts. Each change is logged with its caller.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from kannon.components.api.callers import Admin, Caller
from kannon.components.api.services.arguments import MAX_PAGE, domain_name, found, plain_text
from kannon.db import suppressions
from kannon.db.pool import Database
from kannon.errors import InvalidArgument, LimitExceeded, NotFound
from kannon.mail.labels import check_tag
from kannon.mail.send_request import MAX_ADDRESS
from kannon.mail.suppression import Suppression
from kannon.pb.admin.v1 import suppressions_pb2 as pb
from kannon.wire.suppressions import from_cause, from_suppression, to_suppression

MAX_ENTRIES = 10_000
MAX_NOTE = 500
log = structlog.get_logger(__name__)


class SuppressionMethods:
    """`tenants_changed` follows each commit that makes a domain leave out addresses, or no longer."""

    def __init__(self, db: Database, tenants_changed: Callable[[], None]) -> None:
        self._db = db
        self._tenants_changed = tenants_changed

    async def ListSuppressions(
        self, caller: Caller, request: pb.ListSuppressionsRequest
    ) -> pb.ListSuppressionsResponse:
        domain = await self._domain(request.domain)
        plain_text(request.after, "after", longest=MAX_ADDRESS)
        after = suppressions.Place(request.after, request.after_tag if request.HasField("after_tag") else None)
        _check_tag(request.after_tag, "after_tag")
        _check_tag(request.tag, "tag")
        page, total = await suppressions.list_suppressions(
            self._db,
            domain,
            cause=from_cause(request.cause),
            after=after,
            take=min(request.take, MAX_PAGE),
            tag=request.tag,
        )
        return pb.ListSuppressionsResponse(suppressions=[to_suppression(s) for s in page], total=total)

    async def GetSuppression(self, caller: Caller, request: pb.GetSuppressionRequest) -> pb.GetSuppressionResponse:
        domain = await self._domain(request.domain)
        _check_address(request.email, "email")
        _check_tag(request.tag, "tag")
        tag = request.tag if request.HasField("tag") else None
        entries = await suppressions.find_suppressions(self._db, domain, request.email, tag)
        first, *others = found(entries or None, f'email: "{request.email}" is not suppressed')
        return pb.GetSuppressionResponse(suppression=to_suppression(first), others=map(to_suppression, others))

    async def AddSuppressions(self, caller: Caller, request: pb.AddSuppressionsRequest) -> pb.AddSuppressionsResponse:
        domain = await self._domain(request.domain)
        _check_count(len(request.suppressions))
        now = datetime.now(UTC)
        entries = [_entry(message, domain, position, now) for position, message in enumerate(request.suppressions)]
        live = [entry for entry in entries if entry.expires_at is None or entry.expires_at > now]
        count = await suppressions.insert_suppressions(self._db, domain, live)
        self._tenants_changed()
        log.info("suppressions added", domain=domain, submitted=len(entries), count=count, by=caller.attribution)
        return pb.AddSuppressionsResponse(count=count)

    async def RemoveSuppressions(
        self, caller: Caller, request: pb.RemoveSuppressionsRequest
    ) -> pb.RemoveSuppressionsResponse:
        domain = await self._domain(request.domain)
        _check_count(len(request.emails))
        for position, email in enumerate(request.emails):
            _check_address(email, f"emails[{position}]")
        _check_tag(request.tag, "tag")
        tag = request.tag if request.HasField("tag") else None
        removed = await suppressions.delete_suppressions(self._db, domain, request.emails, tag)
        log.info("suppressions removed", domain=domain, count=len(removed), by=caller.attribution)
        return pb.RemoveSuppressionsResponse(removed=removed)

    async def GetSuppressionPolicy(
        self, caller: Caller, request: pb.GetSuppressionPolicyRequest
    ) -> pb.GetSuppressionPolicyResponse:
        domain = domain_name(request.domain)
        enabled = await suppressions.find_suppression_enabled(self._db, domain)
        return pb.GetSuppressionPolicyResponse(enabled=found(enabled, f'domain: no domain "{domain}"'))

    async def SetSuppressionPolicy(
        self, caller: Admin, request: pb.SetSuppressionPolicyRequest
    ) -> pb.SetSuppressionPolicyResponse:
        domain = domain_name(request.domain)
        if not await suppressions.update_suppression_enabled(self._db, domain, enabled=request.enabled):
            raise NotFound(f'domain: no domain "{domain}"')
        self._tenants_changed()
        log.info("suppression policy set", domain=domain, enabled=request.enabled, by=caller.attribution)
        return pb.SetSuppressionPolicyResponse(enabled=request.enabled)

    async def _domain(self, text: str) -> str:
        domain = domain_name(text)
        found(await suppressions.find_suppression_enabled(self._db, domain), f'domain: no domain "{domain}"')
        return domain


def _entry(message: pb.Suppression, domain: str, position: int, now: datetime) -> Suppression:
    where = f"suppressions[{position}]"
    _check_address(message.email, f"{where}.email")
    plain_text(message.note, f"{where}.note", longest=MAX_NOTE)
    _check_tag(message.tag, f"{where}.tag")
    try:
        return from_suppression(message, domain, now)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}.{error.field}", error.problem) from None


def _check_address(email: str, field: str) -> None:
    """A loose check: any address that a send may contain can be suppressed."""
    plain_text(email, field, longest=MAX_ADDRESS)
    local, at, host = email.strip().rpartition("@")
    if not (local and at and host):
        raise InvalidArgument(field, "must be an address")


def _check_tag(tag: str, field: str) -> None:
    """As a send may have it."""
    try:
        check_tag(tag)
    except InvalidArgument as error:
        raise InvalidArgument(field, error.problem) from None


def _check_count(count: int) -> None:
    if count > MAX_ENTRIES:
        raise LimitExceeded(f"{count} addresses; the limit of one call is {MAX_ENTRIES}")
