"""Accepts a send: a tenant and its request in, a committed batch out.

Every way in calls `accept`. It returns when template, batch, attachments and deliveries are committed together. Small
sends that arrive at the same time share their statements and their commit. Order of effects: commit, then notify the
validator, once for each commit; a crash in between costs the second until the validator polls, never mail. Knows no
protobuf.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio
import structlog

from kannon.accept.idempotency import KeyedLock, ResultCodec, store_once
from kannon.accept.limiter import SendLimiter
from kannon.accept.partials import expand_texts
from kannon.accept.quotas import Quotas
from kannon.accept.recipients import check_recipients, leave_out_malformed, leave_out_suppressed
from kannon.accept.store import OwnStore, SharedStore, Store
from kannon.db.batches import ONE_STATEMENT, NewBatch
from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.errors import InvalidArgument
from kannon.mail import ids
from kannon.mail.address import check_recipient as check_address
from kannon.mail.batch import Batch, Engine
from kannon.mail.bcc import with_copies
from kannon.mail.build.jinja import JinjaTemplate
from kannon.mail.message_id import make_message_id
from kannon.mail.raw import prepare_raw
from kannon.mail.send_check import (
    check_raw_rest,
    check_rest,
    check_subject_and_sender,
    check_template,
    compile_jinja,
)
from kannon.mail.send_request import MAX_ADDRESS, Limits, RejectReason, SendRequest, SendResult, Tenant
from kannon.mail.simulator import simulated_name
from kannon.mail.suppression import address_key
from kannon.metrics.null_metrics import NULL_METRICS

if TYPE_CHECKING:
    from kannon.db.pool import Connection

_SHARED_BYTES = 64 << 10
"""Of a request that shares its statement with others; a larger one gains nothing by it."""
_SMALL_BYTES = 2 << 20
_INLINE_RAW_BYTES = 256 << 10
"""Checking them takes about a millisecond."""
_NOTIFY_SECONDS = 1.0  # the validator looks by itself a few seconds later
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
        check_disk: Callable[[], None] = lambda: None,
        background: Database | None = None,
    ) -> None:
        """`check_disk` raises DiskLow while there is no room for another send. `background`: connections to count with,
        beside those that sends hold while they are counted."""
        self._db = db
        self._limits = limits
        self._notifier = notifier
        self._codec = codec
        self._limiter = limiter
        self._suppression = suppression
        self._metrics = metrics
        self._check_disk = check_disk
        self._calls = KeyedLock()
        self._quotas = Quotas((background or db).fail_fast())
        self._shared = SharedStore(db.fail_fast(), self._report)

    async def run(self) -> None:
        """Stores the sends that share their statements; until cancelled, when no call of `accept` is under way."""
        async with anyio.create_task_group() as group:
            for part in self._shared.parts:
                group.start_soon(part.run)
            group.start_soon(self._quotas.run)

    async def accept(self, tenant: Tenant, request: SendRequest) -> SendResult:
        """Raises CallerError or Unavailable; then nothing is stored. `run` is under way. With `validate_only` the same
        checks and the validator's run, and nothing is stored either."""
        self._check_disk()
        if request.idempotency_key:
            async with self._calls.hold((tenant.domain, request.idempotency_key)):
                result, new = await self._admit(tenant, request)
        else:
            size = request.source.size()
            if _is_shareable(request, size):
                return await self._store_batch(tenant, request, size, self._shared)
            result, new = await self._admit(tenant, request)
        if new:
            await self._report([result])
        return result

    async def check_recipient(self, tenant: Tenant, email: str) -> RejectReason | None:
        """The reason for which `accept`, or later the validator, rejects this recipient of a raw message, whatever
        its tag, which the message itself has. Raises Unavailable."""
        if check_address(email) is not None or len(email) > MAX_ADDRESS:
            return RejectReason.INVALID_EMAIL
        if name := simulated_name(email):
            return RejectReason.SUPPRESSED if name == "suppressed" else None
        if self._suppression and tenant.suppresses:
            key = address_key(email)
            if key in await self._shared.suppressed(tenant.domain, "", {key}):
                return RejectReason.SUPPRESSED
        return None

    async def _admit(self, tenant: Tenant, request: SendRequest) -> tuple[SendResult, bool]:
        """Also returns whether the batch is new. A small send takes milliseconds on a healthy database, so short
        time-outs report an outage early. A large send waits for its tenant's turn, and may take its time once the
        database has shown that it answers."""
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
        """On a connection of its own: a send with a key waits for the key, and a larger one would delay its group."""

        async def store(connection: "Connection") -> SendResult:
            return await self._store_batch(tenant, request, 0, OwnStore(connection))

        if request.idempotency_key:
            return await store_once(db, (tenant.domain, request.idempotency_key), digest, self._codec, store)
        async with db.acquire() as connection:
            return await store(connection), not request.validate_only

    async def _store_batch(self, tenant: Tenant, request: SendRequest, size: int, store: Store) -> SendResult:
        jinja, version = None, 1
        if request.content.raw is not None:
            request = await self._complete_raw(tenant, request, request.content.raw)
        else:
            jinja, version, request = await self._check_content(tenant, request, store)
            request = with_copies(request)
        rows, rejections = await check_recipients(request, tenant, jinja)
        if self._suppression and tenant.suppresses:
            rows = await leave_out_suppressed(store, request, tenant.domain, rows, rejections)
        if request.validate_only:
            rows = await leave_out_malformed(request, rows, rejections)
        rejected = [rejections[position] for position in sorted(rejections)]
        if request.validate_only:
            now = datetime.now(UTC)
            due_at = max(request.scheduled_at or now, now)
            return SendResult("", request.template_id or "", due_at, len(rows), rejected)
        new_template = request.template_id is None and request.content.raw is None
        new = NewBatch(_new_batch(tenant.domain, request, version), rows, rejected, new_template=new_template)
        return await self._insert(tenant, store, new, size)

    async def _insert(self, tenant: Tenant, store: Store, new: NewBatch, size: int) -> SendResult:
        """Counts, then stores. A crash in between counts mails that are not sent."""
        if not tenant.quotas or not new.rows:
            return await store.insert(new, size)
        await self._quotas.take(tenant.quotas, len(new.rows))
        try:
            return await store.insert(new, size)
        except Exception:
            self._quotas.refund(tenant.quotas, len(new.rows))
            raise

    async def _check_content(
        self, tenant: Tenant, request: SendRequest, store: Store
    ) -> tuple[JinjaTemplate | None, int, SendRequest]:
        """The compiled template if its engine is jinja, its version, and the request without partials."""
        content, version = request.content, 1
        check_subject_and_sender(request.content, tenant)
        if request.template_id is None:
            html_bytes: int | None = len(request.content.html.encode())
        else:
            stored = await store.template(request.template_id, tenant.domain)
            html_bytes = stored.bytes if stored is not None else None
            version = stored.version if stored is not None else 1
            if stored is not None and stored.jinja is not None:
                content = replace(content, html=stored.jinja, engine=Engine.JINJA)
            else:
                content = replace(content, engine=Engine.PLAIN)
        check_template(request, html_bytes)
        check_rest(replace(request, content=content), tenant, self._limits, html_bytes or 0)
        if request.content.unsubscribe_url == "" and not self._suppression:
            raise InvalidArgument(
                "one_click_unsubscribe.url_template",
                "must be given while suppression is off: Kannon's own link suppresses the address",
            )
        if content.engine is Engine.JINJA:
            texts = {"html": content.html, "text": content.text, "subject": content.subject}
            expanded = await expand_texts(texts, partial(store.partials, tenant.domain))
            if expanded != texts:
                content = replace(content, html=expanded["html"], text=expanded["text"], subject=expanded["subject"])
                # Stored with the send if the HTML has partials: its mails then do not change with them.
                own_html = request.template_id is None or expanded["html"] != texts["html"]
                version = 1 if own_html else version
                request = replace(
                    request,
                    content=content if own_html else replace(content, html=""),
                    template_id=None if own_html else request.template_id,
                )
        return compile_jinja(content), version, request

    async def _complete_raw(self, tenant: Tenant, request: SendRequest, message: bytes) -> SendRequest:
        check_raw_rest(request, tenant, self._limits)
        name = make_message_id(secrets.token_bytes(16), tenant.domain)
        options = request.raw
        prepare = partial(
            prepare_raw,
            message,
            tenant.domain,
            datetime.now(UTC),
            name,
            smtputf8=options.smtputf8,
            remove=options.remove,
            trace=options.trace,
        )
        raw = prepare() if len(message) <= _INLINE_RAW_BYTES else await asyncio.to_thread(prepare)
        content = replace(request.content, sender_email=str(raw.sender), subject=raw.subject, raw=raw.content)
        return replace(request, content=content)

    async def _report(self, results: Sequence[SendResult]) -> None:
        for result in results:
            self._metrics.accepted(result.accepted_count, [each.reason for each in result.rejected])
            log.info(
                "batch accepted", batch=result.message_id, accepted=result.accepted_count, rejected=len(result.rejected)
            )
        try:
            with anyio.move_on_after(_NOTIFY_SECONDS):
                await self._notifier.notify_validator()
        except Exception as error:
            log.warning("cannot notify the validator", batch=results[0].message_id, reason=str(error))


def _is_shareable(request: SendRequest, size: int) -> bool:
    return size <= _SHARED_BYTES and len(request.recipients) <= ONE_STATEMENT


def _is_large(request: SendRequest) -> bool:
    """The size is the last question, since it costs the most."""
    return (
        len(request.recipients) > ONE_STATEMENT
        or sum(len(attachment.content) for attachment in request.content.attachments) > _SMALL_BYTES
        or request.source.size() > _SMALL_BYTES
    )


def _new_batch(domain: str, request: SendRequest, template_version: int) -> Batch:
    template_id = request.template_id or ""
    if request.template_id is None and request.content.raw is None:
        template_id = ids.template_id(domain, secrets.token_bytes(ids.DRAW_BYTES))
    return Batch(
        message_id=ids.batch_id(domain, secrets.token_bytes(ids.DRAW_BYTES)),
        domain=domain,
        template_id=template_id,
        template_version=template_version,
        content=request.content,
        scheduled_at=request.scheduled_at,
        tag=request.tag,
        metadata=request.metadata,
    )
