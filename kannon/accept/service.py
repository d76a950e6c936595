"""A send, from the checked credentials to the committed batch.

In: a tenant and its request. Out: an `Answer`, returned only when template, batch, attachments and deliveries are
committed together. Order of effects: commit, then nudge the validator; a crash in between costs the validator's polling
second, never mail. A batch of any size leaves the event loop free every few hundred recipients.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from json import dumps
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.lowlevel
import structlog

from kannon.accept.limiter import SendLimiter
from kannon.db import idempotency
from kannon.db.batches import ONE_STATEMENT, NewBatch, NewDelivery, insert_batch
from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.suppressions import find_suppressed
from kannon.db.templates import find_template_bytes
from kannon.mail import ids
from kannon.mail.send_request import (
    MAX_ADDRESS,
    Limits,
    RecipientChecker,
    RejectReason,
    Submission,
    Tenant,
    check_rest,
    check_subject_and_sender,
    check_template,
)
from kannon.mail.suppression import address_key
from kannon.metrics.null_metrics import NULL_METRICS
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendRes
from kannon.wire.sends import Answer, Asked, SendRequest, recipients_of, request_digest, to_send_res, to_submission

if TYPE_CHECKING:
    from kannon.db.pool import Connection

SMALL_BYTES = 2 << 20
_RECIPIENTS_PER_TURN = 250  # 1 to 3 ms of judging
log = structlog.get_logger(__name__)


class Notifier(Protocol):
    """Of the bus: tells the validators that there is work. May fail; they look for themselves every second."""

    async def notify_validator(self) -> None: ...


class Meter(Protocol):
    def taken(self, accepted: int, refusals: Collection[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class AcceptService:
    """`suppression` False: `suppression.enabled` is off, nobody is left out."""

    db: Database
    limits: Limits
    waker: Notifier
    limiter: SendLimiter = field(default_factory=SendLimiter)
    suppression: bool = True
    meter: Meter = NULL_METRICS
    _turns: "KeyedLock" = field(default_factory=lambda: KeyedLock())

    async def submit(self, tenant: Tenant, request: SendRequest, idempotency_key: str) -> SendRes:
        """Raises CallerError, Unavailable; then nothing is stored."""
        if not idempotency_key:
            response = await self._admitted(tenant, request)
        else:
            async with self._turns.of((tenant.domain, idempotency_key)):
                response = await self._admitted(tenant, request, idempotency_key)
        try:
            await self.waker.notify_validator()
        except Exception as error:
            log.warning("validator not woken", reason=str(error))
        return response

    async def _admitted(self, tenant: Tenant, request: SendRequest, key: str = "") -> SendRes:
        """A small send takes milliseconds where all is well, so it says soon when it is not. A large one waits for its
        turn, and may take its time once the database has shown that it answers."""
        prompt = self.db.prompt()
        if not _is_large(request):
            return await self._store(prompt, tenant, request, key, request_digest(request) if key else b"")
        async with self.limiter.place(tenant.domain):
            await prompt.ping()
            digest = await asyncio.to_thread(request_digest, request) if key else b""
            return await self._store(self.db, tenant, request, key, digest)

    @repeat_on_conflict
    async def _store(self, db: Database, tenant: Tenant, request: SendRequest, key: str, digest: bytes) -> SendRes:
        """With a key, claim, batch and answer are one transaction: either all of it happened or none."""
        if not key:
            async with db.acquire() as connection:
                return await self._take(connection, tenant, request)
        async with db.transaction() as connection:
            answered = await idempotency.claim_key(connection, tenant.domain, key, digest)
            if answered is not None:
                return SendRes.FromString(answered)
            response = await self._take(connection, tenant, request)
            await idempotency.store_answer(connection, tenant.domain, key, response.SerializeToString())
        return response

    async def _take(self, connection: "Connection", tenant: Tenant, request: SendRequest) -> SendRes:
        send = to_submission(request)
        check_subject_and_sender(send, tenant)
        if send.html is None:
            html_bytes = await find_template_bytes(connection, send.template_id, tenant.domain)
        else:
            html_bytes = len(send.html.encode())
        check_template(send, html_bytes)
        check_rest(send, tenant, self.limits, html_bytes or 0)
        leaves_out = self.suppression and tenant.suppresses
        suppressed = await _find_suppressed(connection, tenant, request) if leaves_out else frozenset()
        deliveries, rejected = await _judge(RecipientChecker(send, tenant, suppressed), recipients_of(request))
        batch = _batch(send, tenant, len(rejected))
        scheduled_at = await insert_batch(connection, batch, deliveries)
        self.meter.taken(len(deliveries), [reason for _, reason in rejected])
        log.info("batch taken", batch=batch.message_id, accepted=len(deliveries), rejected=len(rejected))
        answer = Answer(batch.message_id, batch.template_id, scheduled_at, len(deliveries), rejected)
        return to_send_res(answer)


def _is_large(request: SendRequest) -> bool:
    """The size of all of it is asked last: to tell it, protobuf serializes a message."""
    return (
        len(request.recipients) > ONE_STATEMENT
        or sum(len(attachment.content) for attachment in request.attachments) > SMALL_BYTES
        or request.ByteSize() > SMALL_BYTES
    )


class KeyedLock:
    """Repeats of one key in this process wait here, not each with a connection of its own; between processes the row
    of the key makes them wait."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], tuple[anyio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, key: tuple[str, str]) -> AsyncIterator[None]:
        lock, users = self._locks.get(key, (anyio.Lock(), 0))
        self._locks[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = lock, users - 1


async def _find_suppressed(connection: "Connection", tenant: Tenant, request: SendRequest) -> frozenset[str]:
    """One query a send, however many recipients it has."""
    keys: set[str] = set()
    for position, recipient in enumerate(request.recipients, 1):
        if len(recipient.email) <= MAX_ADDRESS and "\x00" not in recipient.email:
            keys.add(address_key(recipient.email))
        if position % _RECIPIENTS_PER_TURN == 0:
            await anyio.lowlevel.checkpoint()
    return await find_suppressed(connection, tenant.domain, keys)


async def _judge(
    gate: RecipientChecker, recipients: Iterable[Asked]
) -> tuple[list[NewDelivery], list[tuple[str, RejectReason]]]:
    deliveries: list[NewDelivery] = []
    rejected: list[tuple[str, RejectReason]] = []
    for position, asked in enumerate(recipients, 1):
        verdict = gate.judge(asked.email, asked.fields, asked.tracking)
        if isinstance(verdict, RejectReason):
            rejected.append((asked.email, verdict))
        else:
            fields = dumps(verdict.fields) if verdict.fields else "{}"
            deliveries.append(NewDelivery(verdict.email, fields, int(verdict.policy.opens), int(verdict.policy.links)))
        if position % _RECIPIENTS_PER_TURN == 0:
            await anyio.lowlevel.checkpoint()
    return deliveries, rejected


def _batch(send: Submission, tenant: Tenant, rejected_count: int) -> NewBatch:
    template_id = send.template_id
    if send.html is not None:
        template_id = ids.template_id(tenant.domain, secrets.token_bytes(ids.DRAW_BYTES))
    return NewBatch(
        message_id=ids.batch_id(tenant.domain, secrets.token_bytes(ids.DRAW_BYTES)),
        domain=tenant.domain,
        template_id=template_id,
        html=send.html,
        sender_email=send.sender_email,
        sender_alias=send.sender_alias,
        subject=send.subject,
        header_to=send.header_to,
        header_cc=send.header_cc,
        global_fields=send.global_fields,
        unsubscribe_url=send.unsubscribe_url or "",
        attachments=send.attachments,
        scheduled_at=send.scheduled_at,
        rejected_count=rejected_count,
    )
