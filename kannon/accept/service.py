"""Accepts a send: a tenant and its request in, a committed batch out.

Every way in calls `accept`. It returns when template, batch, attachments and deliveries are committed together.
Order of effects: commit, then notify the validator; a crash in between costs the second until the validator polls,
never mail. Knows no protobuf.
"""

import asyncio
import secrets
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from kannon.accept.idempotency import KeyedLock, ResultCodec, store_once
from kannon.accept.limiter import SendLimiter
from kannon.accept.recipients import check_recipients, leave_out_suppressed
from kannon.db.batches import ONE_STATEMENT, insert_batch
from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.templates import find_template_bytes
from kannon.mail import ids
from kannon.mail.batch import Batch
from kannon.mail.send_check import check_rest, check_subject_and_sender, check_template
from kannon.mail.send_request import Limits, SendRequest, SendResult, Tenant
from kannon.metrics.null_metrics import NULL_METRICS

if TYPE_CHECKING:
    from kannon.db.pool import Connection

_SMALL_BYTES = 2 << 20
log = structlog.get_logger(__name__)


class Notifier(Protocol):
    """The bus: notifies the validators of new deliveries. It may fail, since the validators also poll every second."""

    async def notify_validator(self) -> None: ...


class Metrics(Protocol):
    def accepted(self, count: int, reasons: Collection[str]) -> None: ...


class AcceptService:
    """`suppression` False (`suppression.enabled` is off): suppressed addresses are accepted too."""

    def __init__(
        self,
        db: Database,
        limits: Limits,
        notifier: Notifier,
        codec: ResultCodec,
        limiter: SendLimiter,
        *,
        suppression: bool = True,
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        self._db = db
        self._limits = limits
        self._notifier = notifier
        self._codec = codec
        self._limiter = limiter
        self._suppression = suppression
        self._metrics = metrics
        self._calls = KeyedLock()

    async def accept(self, tenant: Tenant, request: SendRequest) -> SendResult:
        """Raises CallerError or Unavailable; then nothing is stored."""
        if request.idempotency_key:
            async with self._calls.hold((tenant.domain, request.idempotency_key)):
                result, new = await self._admit(tenant, request)
        else:
            result, new = await self._admit(tenant, request)
        if new:
            await self._report(result)
        return result

    async def _admit(self, tenant: Tenant, request: SendRequest) -> tuple[SendResult, bool]:
        """A small send takes milliseconds on a healthy database, so short time-outs report an outage early. A large
        send waits for its tenant's turn, and may take its time once the database has shown that it answers."""
        fail_fast = self._db.fail_fast()
        if not _is_large(request):
            digest = request.source.digest() if request.idempotency_key else b""
            return await self._store(fail_fast, tenant, request, digest)
        async with self._limiter.place(tenant.domain):
            await fail_fast.ping()
            digest = await asyncio.to_thread(request.source.digest) if request.idempotency_key else b""
            return await self._store(self._db, tenant, request, digest)

    @repeat_on_conflict
    async def _store(
        self, db: Database, tenant: Tenant, request: SendRequest, digest: bytes
    ) -> tuple[SendResult, bool]:
        """Also returns whether the batch is new."""
        store = partial(self._store_batch, tenant, request)
        if request.idempotency_key:
            return await store_once(db, (tenant.domain, request.idempotency_key), digest, self._codec, store)
        async with db.acquire() as connection:
            return await store(connection), True

    async def _store_batch(self, tenant: Tenant, request: SendRequest, connection: "Connection") -> SendResult:
        check_subject_and_sender(request.content, tenant)
        if request.template_id is None:
            html_bytes: int | None = len(request.content.html.encode())
        else:
            html_bytes = await find_template_bytes(connection, request.template_id, tenant.domain)
        check_template(request, html_bytes)
        check_rest(request, tenant, self._limits, html_bytes or 0)
        rows, rejections = await check_recipients(request, tenant)
        if self._suppression and tenant.suppresses:
            rows = await leave_out_suppressed(connection, request, tenant.domain, rows, rejections)
        batch = _new_batch(tenant.domain, request)
        due_at = await insert_batch(
            connection, batch, rows, new_template=request.template_id is None, rejected_count=len(rejections)
        )
        rejected = [rejections[position] for position in sorted(rejections)]
        return SendResult(batch.message_id, batch.template_id, due_at, len(rows), rejected)

    async def _report(self, result: SendResult) -> None:
        self._metrics.accepted(result.accepted_count, [reason for _, reason in result.rejected])
        log.info(
            "batch accepted", batch=result.message_id, accepted=result.accepted_count, rejected=len(result.rejected)
        )
        try:
            await self._notifier.notify_validator()
        except Exception as error:
            log.warning("cannot notify the validator", batch=result.message_id, reason=str(error))


def _is_large(request: SendRequest) -> bool:
    """The size is the last question, since it costs the most."""
    return (
        len(request.recipients) > ONE_STATEMENT
        or sum(len(attachment.content) for attachment in request.content.attachments) > _SMALL_BYTES
        or request.source.size() > _SMALL_BYTES
    )


def _new_batch(domain: str, request: SendRequest) -> Batch:
    template_id = request.template_id
    if template_id is None:
        template_id = ids.template_id(domain, secrets.token_bytes(ids.DRAW_BYTES))
    return Batch(
        message_id=ids.batch_id(domain, secrets.token_bytes(ids.DRAW_BYTES)),
        domain=domain,
        template_id=template_id,
        content=request.content,
        scheduled_at=request.scheduled_at,
    )
