"""The accept service, called with values as each API calls it, without gRPC and protobuf."""

import json
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

import anyio
import pytest

from kannon.accept.limiter import SendLimiter
from kannon.accept.service import AcceptService
from kannon.db.batches import find_attachments, find_batches
from kannon.db.pool import Database
from kannon.db.queue import claim_due, claim_to_validate, settle_validated
from kannon.db.suppressions import insert_suppressions
from kannon.errors import AlreadyExists, DiskLow, InvalidArgument
from kannon.mail.batch import Attachment, Recipient
from kannon.mail.send_request import Limits, RejectedRecipient, RejectReason, SendResult, Tenant
from kannon.mail.suppression import Cause, Suppression
from kannon.mail.tracking import IDENTIFIED, TrackingMode, TrackingPolicy
from tests.support.api import NoBus
from tests.support.pool import insert_domain
from tests.support.sends import BOB, send_request

DOMAIN = "example.com"
TENANT = Tenant(DOMAIN, IDENTIFIED)
REJECTED = RejectedRecipient("", RejectReason.INVALID_EMAIL)


class JsonCodec:
    def encode(self, result: SendResult) -> bytes:
        return json.dumps(asdict(result), default=str).encode()

    def decode(self, stored: bytes) -> SendResult:
        values = json.loads(stored)
        values["scheduled_at"] = datetime.fromisoformat(values["scheduled_at"])
        values["rejected"] = [RejectedRecipient(a, RejectReason(b), c) for a, b, c in values["rejected"]]
        return SendResult(**values)


@dataclass
class Counts:
    """kannon.accept.service.Metrics."""

    seen: list[tuple[int, list[str]]] = field(default_factory=list)

    def accepted(self, count: int, reasons: Collection[str]) -> None:
        self.seen.append((count, list(reasons)))


@dataclass
class Running:
    service: AcceptService
    bus: NoBus
    counts: Counts


@pytest.fixture
async def running(db: Database) -> AsyncIterator[Running]:
    await insert_domain(db, DOMAIN)
    bus, counts = NoBus(), Counts()
    service = AcceptService(db, Limits(1 << 20, 1000), bus, JsonCodec(), SendLimiter(), metrics=counts)
    async with anyio.create_task_group() as group:
        group.start_soon(service.run)
        yield Running(service, bus, counts)
        group.cancel_scope.cancel()


async def stored(db: Database) -> list[str]:
    async with db.acquire() as connection:
        return [row["email"] for row in await connection.fetch("SELECT email FROM sending_pool_emails ORDER BY id")]


async def test_an_accepted_send_reaches_the_builder_unchanged(running: Running, db: Database) -> None:
    recipients = [BOB, Recipient(""), Recipient("ann@example.net", {}, TrackingPolicy(links=TrackingMode.OFF))]
    request = send_request(
        recipients,
        header_to=("t@example.com",),
        header_cc=("c@example.com",),
        reply_to=("Us <us@example.org>", "r@example.com"),
        global_fields={"a": "1"},
        unsubscribe_url="https://example.com/",
        attachments=(Attachment("f", b"x", "text/plain", "id"),),
    )
    result = await running.service.accept(TENANT, request)
    assert (result.accepted_count, result.rejected) == (2, [REJECTED])
    batch, attachment_bytes = (await find_batches(db, [result.message_id])).loaded[result.message_id]
    attachments = (await find_attachments(db, [result.message_id]))[result.message_id]
    assert replace(batch.content, attachments=attachments) == request.content
    assert attachment_bytes == 1
    assert (batch.template_id, batch.scheduled_at) == (result.template_id, result.scheduled_at)
    await settle_validated(db, valid=[row.id for row in await claim_to_validate(db, 10)], rejected=[])
    assert [delivery.recipient for delivery in await claim_due(db, 10)] == [
        Recipient("bob@example.net", {"name": "Bob"}, IDENTIFIED),
        Recipient("ann@example.net", {}, TrackingPolicy(TrackingMode.IDENTIFIED, TrackingMode.OFF)),
    ]


async def test_a_send_is_counted_and_the_validator_notified_after_the_commit(running: Running) -> None:
    await running.service.accept(TENANT, send_request([BOB, Recipient("")]))
    assert (running.counts.seen, running.bus.notifications) == ([(1, ["invalid_email"])], 1)


async def test_a_request_to_validate_is_checked_like_a_send_and_stores_nothing(running: Running, db: Database) -> None:
    people = [BOB, Recipient(""), Recipient("no address"), BOB]
    result = await running.service.accept(TENANT, send_request(people, validate_only=True))
    assert (result.message_id, result.accepted_count) == ("", 1)
    assert [(each.email, each.reason.value) for each in result.rejected] == [
        ("", "invalid_email"),
        ("no address", "invalid_email"),
        ("bob@example.net", "duplicate"),
    ]
    with pytest.raises(InvalidArgument, match="subject"):
        await running.service.accept(TENANT, send_request(subject="", validate_only=True))
    large = [Recipient(f"{number}@example.net") for number in range(300)]
    assert (await running.service.accept(TENANT, send_request(large, validate_only=True))).accepted_count == 300
    assert (running.counts.seen, running.bus.notifications, await stored(db)) == ([], 0, [])


async def test_a_refused_send_is_neither_counted_nor_notified(running: Running, db: Database) -> None:
    for key in ("", "key"):
        with pytest.raises(InvalidArgument, match="subject"):
            await running.service.accept(TENANT, send_request(subject="", idempotency_key=key))
    assert (running.counts.seen, running.bus.notifications, await stored(db)) == ([], 0, [])


async def test_a_repeat_gets_the_stored_result_and_is_not_counted(running: Running, db: Database) -> None:
    request = send_request([BOB, Recipient("")], body=b"one", idempotency_key="key")
    first = await running.service.accept(TENANT, request)
    assert await running.service.accept(TENANT, request) == first
    with pytest.raises(AlreadyExists, match="idempotency-key"):
        await running.service.accept(TENANT, send_request(body=b"another", idempotency_key="key"))
    assert len(running.counts.seen) == 1
    assert await stored(db) == ["bob@example.net"]


@pytest.mark.parametrize("count", [3, 300], ids=["small", "large"])
async def test_suppressed_recipients_are_rejected_in_the_order_of_the_request(
    running: Running, db: Database, count: int
) -> None:
    emails = [f"u{number}@example.net" for number in range(count)]
    recipients = [Recipient(email) for email in ["", f" {emails[0]}", *emails]]
    at = datetime.now(UTC)
    for email in (emails[0], emails[-1]):
        await insert_suppressions(db, DOMAIN, [Suppression(DOMAIN, email.upper(), Cause.MANUAL, at)])
    expected = [
        REJECTED,
        RejectedRecipient(f" {emails[0]}", RejectReason.SUPPRESSED),
        RejectedRecipient(emails[0], RejectReason.DUPLICATE),
        RejectedRecipient(emails[-1], RejectReason.SUPPRESSED),
    ]
    result = await running.service.accept(Tenant(DOMAIN, IDENTIFIED, suppresses=True), send_request(recipients))
    assert (result.accepted_count, result.rejected) == (count - 2, expected)
    assert await stored(db) == emails[1:-1]


async def test_of_the_simulator_only_its_suppressed_address_is_suppressed(running: Running, db: Database) -> None:
    at = datetime.now(UTC)
    await insert_suppressions(db, DOMAIN, [Suppression(DOMAIN, "bounce@simulator.kannon", Cause.BOUNCED, at)])
    names = ["bounce", "suppressed", "Suppressed+1", "suppressed-1"]
    recipients = [Recipient(f"{name}@simulator.kannon") for name in names]
    tenant = Tenant(DOMAIN, IDENTIFIED, suppresses=True)
    result = await running.service.accept(tenant, send_request(recipients))
    assert result.rejected == [
        RejectedRecipient("suppressed@simulator.kannon", RejectReason.SUPPRESSED),
        RejectedRecipient("Suppressed+1@simulator.kannon", RejectReason.SUPPRESSED),
    ]
    assert await stored(db) == ["bounce@simulator.kannon", "suppressed-1@simulator.kannon"]


async def test_many_sends_with_one_key_are_stored_once(running: Running, db: Database) -> None:
    """The sends are large, so they use COPY and run concurrently."""
    recipients = [Recipient(f"u{number}@example.net") for number in range(500)]
    request = send_request(recipients, idempotency_key="key")
    results = []

    async def send() -> None:
        results.append(await running.service.accept(TENANT, request))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(send)
    assert len({result.message_id for result in results}) == 1
    assert len(await stored(db)) == 500


async def test_no_send_is_stored_while_the_disk_is_low(db: Database) -> None:
    await insert_domain(db, DOMAIN)

    def low() -> None:
        raise DiskLow("disk.reserve")

    service = AcceptService(db, Limits(1 << 20, 100), NoBus(), JsonCodec(), SendLimiter(), check_disk=low)
    with pytest.raises(DiskLow):
        await service.accept(TENANT, send_request([BOB]))
    assert await stored(db) == []
