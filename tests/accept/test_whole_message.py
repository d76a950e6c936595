"""What a send may have beside HTML and recipients: an own text part, header fields, Bcc, a tag and metadata."""

import email
import email.policy
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from grpclib.const import Status

from kannon.components.dispatcher import Builder, BuildOptions
from kannon.db.pool import Database
from kannon.db.queue import claim_due
from kannon.db.stats_read import Span, list_stats
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.mail.envelope import Envelope
from kannon.mail.event import Event, EventType
from kannon.mail.tracking import TrackingMode
from kannon.pb.admin.v1 import operations_pb2 as operations
from kannon.pb.admin.v1.operations_grpc import OperationsStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import Attachment
from kannon.pb.mailer.types.mailer_types_pb2 import HeaderField, Headers, Recipient
from kannon.pb.stats.apiv1 import statsapiv1_pb2 as stats_v1
from kannon.pb.stats.apiv1.statsapiv1_grpc import StatsApiV1Stub
from kannon.pb.stats.apiv2 import statsapiv2_pb2 as stats_v2
from kannon.pb.stats.apiv2.statsapiv2_grpc import StatsApiV2Stub
from kannon.wire.events import timestamp
from tests.support.api import ADMIN, a_send, refusal, running_api

OPTIONS = BuildOptions("", autoescape=True, token_ttl=timedelta(days=90), bounce_ttl=timedelta(days=31))


def now() -> datetime:
    return datetime.now(UTC)


async def mails(db: Database) -> dict[str, EmailMessage]:
    """By recipient: what the waiting deliveries become."""
    async with db.acquire() as connection:
        await connection.execute("UPDATE sending_pool_emails SET state = 'scheduled'")
    deliveries = await claim_due(db, 100)
    async with Builder(db, OPTIONS, workers=0, clock=now) as builder:
        built = await builder.build(deliveries, now())
    found: dict[str, EmailMessage] = {}
    for each in built:
        assert isinstance(each, Envelope), each
        found[each.rcpt_to] = email.message_from_bytes(each.body, EmailMessage, policy=email.policy.default)
    return found


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    content = found.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


async def test_a_mail_has_the_callers_own_text_and_header_fields(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        request = a_send(
            text="Dear {{ name }},\r\n\r\n1 < 2 & {{{ name }}}\n",
            html="<p>Dear {{ name }}</p>",
            headers=Headers(
                fields=[
                    HeaderField(name="X-Campaign", value="spring {{ name }}"),
                    HeaderField(name="References", value=" ".join(f"<{n}.abcdefghijkl@example.com>" for n in range(9))),
                    HeaderField(name="Comments", value="one"),
                    HeaderField(name="Comments", value="zwei ß"),
                ]
            ),
            recipients=[Recipient(email="bob@example.net", fields={"name": "<Böb>"})],
        )
        await api.mailer.SendHTML(request, metadata=key)
    mail = (await mails(db))["bob@example.net"]
    assert part(mail, "plain") == "Dear <Böb>,\n\n1 < 2 & <Böb>\n"
    assert part(mail, "html").startswith("<p>Dear &lt;Böb&gt;</p>")
    assert mail["X-Campaign"] == "spring <Böb>"
    assert str(mail["References"]).split() == [f"<{n}.abcdefghijkl@example.com>" for n in range(9)]
    assert mail.get_all("Comments") == ["one", "zwei ß"]


async def test_a_mail_without_html_is_its_text_alone(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        attachment = Attachment(filename="a.txt", content=b"x", content_id="inline@x")
        await api.mailer.SendHTML(a_send(html="", text="Hi {{ name }}", attachments=[attachment]), metadata=key)
    mail = (await mails(db))["bob@example.net"]
    assert [each.get_content_type() for each in mail.walk() if not each.is_multipart()] == ["text/plain", "text/plain"]
    assert part(mail, "plain").strip() == "Hi Bob"


async def test_a_blind_copy_shows_what_its_original_shows(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        copied = Headers(bcc=["archive@example.org", "bob@example.net", " second@example.org "])
        answer = await api.mailer.SendHTML(a_send(subject="To {{ email }}", headers=copied), metadata=key)
    assert [(each.email, each.reason) for each in answer.rejected_recipients] == [("bob@example.net", "duplicate")]
    found = await mails(db)
    assert sorted(found) == ["archive@example.org", "bob@example.net", "second@example.org"]
    for mail in found.values():
        assert (mail["To"], mail["Subject"], mail["Bcc"]) == ("bob@example.net", "To bob@example.net", None)
        assert "Hello Bob" in part(mail, "plain")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"headers": Headers(fields=[HeaderField(name="From", value="x")])}, "headers.fields[0].name: From is written"),
    ({"headers": Headers(fields=[HeaderField(name="dkim-signature", value="x")])}, "dkim-signature is reserved"),
    ({"headers": Headers(fields=[HeaderField(name="Content-Type", value="x")])}, "Content-Type is reserved"),
    ({"headers": Headers(fields=[HeaderField(name="X-Kannon-Tag", value="x")])}, "X-Kannon-Tag is reserved"),
    ({"headers": Headers(fields=[HeaderField(name="X A", value="x")])}, "is not the name of a header field"),
    ({"headers": Headers(fields=[HeaderField(name="X:A", value="x")])}, "is not the name of a header field"),
    ({"headers": Headers(fields=[HeaderField(name="Ä", value="x")])}, "is not the name of a header field"),
    ({"headers": Headers(fields=[HeaderField(name="", value="x")])}, "is not the name of a header field"),
    ({"headers": Headers(fields=[HeaderField(name="X" * 77, value="x")])}, "is longer than 76 characters"),
    ({"headers": Headers(fields=[HeaderField(name="X-A", value="a\r\nBcc: b@c.de")])}, "must not contain a line"),
    ({"headers": Headers(fields=[HeaderField(name="X-A", value="a\0")])}, "must not contain control characters"),
    ({"headers": Headers(fields=[HeaderField(name="X-A", value=" ")])}, "headers.fields[0].value: must not be empty"),
    ({"headers": Headers(fields=[HeaderField(name="X-A", value="a" * 901)])}, "without white space"),
    ({"headers": Headers(fields=[HeaderField(name="X-A", value="a " * 1001)])}, "is longer than 2000 characters"),
    ({"headers": Headers(fields=[HeaderField(name="X-A", value="a")] * 51)}, "51 fields are more than the 50"),
    ({"headers": Headers(bcc=["nobody"])}, "headers.bcc[0]: address has no @"),
    ({"headers": Headers(bcc=["a@b.de"]), "recipients": [Recipient(email=f"{n}@b.de") for n in (1, 2)]}, "needs"),
    ({"headers": Headers(bcc=["a@b.de"] * 101)}, "headers.bcc: 101 addresses are more than the 100 allowed"),
    ({"tag": "t" * 65}, "tag: is longer than 64 characters"),
    ({"tag": "a\n"}, "tag: must not contain control characters"),
    ({"tag": " a"}, "tag: begins or ends with white space"),
    ({"metadata": {str(n): "" for n in range(21)}}, "metadata: has 21 pairs, more than the 20 allowed"),
    ({"metadata": {"k" * 65: ""}}, "metadata: a key is longer than 64 characters"),
    ({"metadata": {"": "x"}}, "metadata: a key is empty"),
    ({"metadata": {"k": "v" * 257}}, "metadata[k]: is longer than 256 characters"),
    ({"metadata": {"k": "\0"}}, "metadata[k]: must not contain a NUL"),
    ({"text": "\0"}, "text: must not contain a NUL"),
]


async def test_what_is_wrong_is_named(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        for changes, said in WRONG:
            status, text = await refusal(api.mailer.SendHTML(a_send(**changes), metadata=key))
            assert status is Status.INVALID_ARGUMENT, said
            assert said in text
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM messages") == 0


async def test_events_repeat_tag_and_metadata_and_are_counted_by_tag(db: Database) -> None:
    at = now()
    start = at - timedelta(hours=2)
    await ensure_partitions(db, [week_of(at)])
    labels: dict[str, Any] = {"tag": "receipt", "metadata": {"order": "4711", "shop": "ä"}}
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        tagged = (await api.mailer.SendHTML(a_send(**labels), metadata=key)).message_id
        plain = (await api.mailer.SendHTML(a_send(), metadata=key)).message_id
        page = [
            Event("1", EventType.ACCEPTED, "example.com", tagged, "bob@example.net", at, delivery_id=1),
            Event("2", EventType.DELIVERED, "example.com", tagged, "bob@example.net", at, delivery_id=1),
            Event("3", EventType.OPENED, "example.com", tagged, "", at, TrackingMode.ANONYMOUS),
            Event("4", EventType.DELIVERED, "example.com", plain, "bob@example.net", at, delivery_id=2),
        ]
        await insert_events(db, page)
        await insert_events(db, page)
        stats = StatsApiV1Stub(api.channel)
        request = stats_v1.GetStatsReq(domain="example.com", from_date=timestamp(start), take=9, tag="receipt")
        answer = await stats.GetStats(request, metadata=ADMIN)
        assert answer.total == 2
        assert [(e.type, e.tag, dict(e.metadata)) for e in answer.stats] == [
            (kind, "receipt", labels["metadata"]) for kind in ("delivered", "accepted")
        ]
        raw = stats_v1.GetStatsAggregatedReq(domain="example.com", from_date=timestamp(start), tag="receipt")
        assert [(c.type, c.count) for c in (await stats.GetStatsAggregated(raw, metadata=ADMIN)).stats] == [
            ("accepted", 1),
            ("delivered", 1),
        ]
        hours = stats_v2.GetAggregatedStatsReq(
            domain="example.com", from_date=timestamp(start), to_date=timestamp(now()), tag="receipt"
        )
        counted = await StatsApiV2Stub(api.channel).GetAggregatedStats(hours, metadata=ADMIN)
        assert [(c.type, c.count) for c in counted.stats] == [("accepted", 1), ("delivered", 1), ("opened", 1)]
        view = OperationsStub(api.channel)
        listed = await view.ListBatches(
            operations.ListBatchesRequest(domain="example.com", take=9, tag="receipt"), metadata=ADMIN
        )
        assert (listed.total, [(b.message_id, b.tag, dict(b.metadata)) for b in listed.batches]) == (
            1,
            [(tagged, "receipt", labels["metadata"])],
        )
        waiting = await view.ListDeliveries(
            operations.ListDeliveriesRequest(domain="example.com", take=9, tag="receipt"), metadata=ADMIN
        )
        assert (waiting.total, [d.message_id for d in waiting.deliveries]) == (1, [tagged])
        refused = operations.ListDeliveriesRequest(tag="receipt")
        assert await refusal(view.ListDeliveries(refused, metadata=ADMIN)) == (
            Status.INVALID_ARGUMENT,
            "tag: needs domain",
        )
    everything, total = await list_stats(db, "example.com", Span(start, now()), skip=0, take=9)
    assert (total, sorted(e.tag for e in everything)) == (3, ["", "receipt", "receipt"])
