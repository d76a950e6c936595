"""Mailer: the checks of a send, the rows it stores, and its answer."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Status

from kannon.db.pool import Database
from kannon.db.suppressions import insert_suppressions
from kannon.mail.send_request import Limits
from kannon.mail.suppression import Cause, Suppression
from kannon.pb.admin.apiv1.adminapiv1_pb2 import CreateTemplateReq, SetTrackingPolicyReq
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import Attachment, SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Headers, OneClickUnsubscribe, Recipient, Sender
from tests.support.api import ADMIN, NoBus, RunningApi, a_send, policy, refusal, running_api

OFF, ANONYMOUS, PSEUDONYMOUS, IDENTIFIED, FULL = range(1, 6)


async def rows(db: Database, table: str) -> list[dict[str, Any]]:
    async with db.acquire() as connection:
        return [dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")]


async def tenant(api: RunningApi, domain: str = "example.com") -> dict[str, str]:
    await api.create_domain(domain)
    return await api.create_key(domain)


async def test_a_send_is_stored_completely_and_answered(db: Database) -> None:
    bus = NoBus()
    async with running_api(db, bus=bus) as api:
        key = await tenant(api)
        before = datetime.now(UTC)
        answer = await api.mailer.SendHTML(
            a_send(
                sender=Sender(email="News@Example.com", alias="Zoë, Inc."),
                global_fields={"season": "winter"},
                headers=Headers(
                    to=["List <list@example.com>"], cc=["cc@example.com"], reply_to=["Us <us@example.org>"]
                ),
                one_click_unsubscribe=OneClickUnsubscribe(url_template="https://example.com/u?e={{ email }}"),
                attachments=[
                    Attachment(filename="a.txt", content=b"one"),
                    Attachment(filename="a.txt", content=b"two", content_type="text/plain", content_id="x@y"),
                ],
                recipients=[
                    Recipient(email=" bob@example.net ", fields={"name": "Bob"}),
                    Recipient(email="no address"),
                ],
            ),
            metadata=key,
        )
    assert bus.notifications == 1
    assert answer.accepted_count == 2  # the validator checks the syntax of addresses
    assert answer.rejected_count == 0
    [batch] = await rows(db, "messages")
    assert answer.message_id == batch["message_id"]
    assert answer.message_id.startswith("msg_")
    assert answer.message_id.endswith("@example.com")
    assert answer.scheduled_time.ToDatetime(UTC) == batch["scheduled_at"] >= before
    assert (batch["sender_email"], batch["sender_alias"]) == ("News@Example.com", "Zoë, Inc.")
    assert (batch["header_to"], batch["header_cc"]) == (["List <list@example.com>"], ["cc@example.com"])
    assert batch["header_reply_to"] == ["Us <us@example.org>"]
    assert json.loads(batch["global_fields"]) == {"season": "winter"}
    assert batch["unsubscribe_url"] == "https://example.com/u?e={{ email }}"
    assert (batch["accepted_count"], batch["rejected_count"]) == (2, 0)
    [template] = await rows(db, "templates")
    assert (template["template_id"], template["type"]) == (answer.template_id, "transient")
    assert template["html"] == "<p>Hello {{ name }}</p>"
    assert [
        (a["position"], bytes(a["content"]), a["content_type"], a["content_id"]) for a in await rows(db, "attachments")
    ] == [
        (1, b"one", "", ""),
        (2, b"two", "text/plain", "x@y"),
    ]
    deliveries = await rows(db, "sending_pool_emails")
    assert [(d["email"], json.loads(d["fields"])) for d in deliveries] == [
        ("bob@example.net", {"name": "Bob"}),
        ("no address", {}),
    ]
    for delivery in deliveries:
        assert delivery["state"] == "to_validate"
        assert delivery["due_at"] == delivery["next_attempt_at"] == batch["scheduled_at"]
        assert (delivery["opens"], delivery["links"]) == (IDENTIFIED, IDENTIFIED)
    assert deliveries[0]["secret"] != deliveries[1]["secret"]


async def test_a_transient_template_can_be_sent_again_but_not_by_another_tenant(db: Database) -> None:
    async with running_api(db) as api:
        key, other = await tenant(api), await tenant(api, "other.org")
        first = await api.mailer.SendHTML(a_send(), metadata=key)
        again = SendTemplateReq(
            sender=Sender(email="a@example.com"),
            subject="s",
            template_id=first.template_id,
            recipients=[Recipient(email="b@example.net")],
        )
        second = await api.mailer.SendTemplate(again, metadata=key)
        again.sender.email = "a@other.org"
        status, text = await refusal(api.mailer.SendTemplate(again, metadata=other))
    assert second.template_id == first.template_id
    assert second.message_id != first.message_id
    assert status is Status.NOT_FOUND
    assert text.startswith("template_id:")
    assert len(await rows(db, "templates")) == 1


BAD_SENDS: dict[str, tuple[dict[str, Any], Status, str]] = {
    "empty subject": ({"subject": ""}, Status.INVALID_ARGUMENT, "subject"),
    "blank subject": ({"subject": " \t"}, Status.INVALID_ARGUMENT, "subject"),
    "CR in subject": ({"subject": "a\rb"}, Status.INVALID_ARGUMENT, "subject"),
    "LF in subject": ({"subject": "a\nBcc: x@y.z"}, Status.INVALID_ARGUMENT, "subject"),
    "NUL in subject": ({"subject": "a\0"}, Status.INVALID_ARGUMENT, "subject"),
    "no sender": ({"sender": None}, Status.INVALID_ARGUMENT, "sender.email"),
    "empty sender": ({"sender": Sender(alias="x")}, Status.INVALID_ARGUMENT, "sender.email"),
    "sender without host": ({"sender": Sender(email="news")}, Status.INVALID_ARGUMENT, "sender.email"),
    "two senders": ({"sender": Sender(email="a@example.com, b@example.com")}, Status.INVALID_ARGUMENT, "sender.email"),
    "LF in sender": ({"sender": Sender(email="a@example.com\n")}, Status.INVALID_ARGUMENT, "sender.email"),
    "CR in alias": ({"sender": Sender(email="a@example.com", alias="a\rb")}, Status.INVALID_ARGUMENT, "sender.alias"),
    "LF in alias": ({"sender": Sender(email="a@example.com", alias="a\nb")}, Status.INVALID_ARGUMENT, "sender.alias"),
    "NUL in alias": ({"sender": Sender(email="a@example.com", alias="\0")}, Status.INVALID_ARGUMENT, "sender.alias"),
    "NUL in html": ({"html": "a\0b"}, Status.INVALID_ARGUMENT, "html"),
    "foreign sender": (
        {"sender": Sender(email="a@evil.com")},
        Status.PERMISSION_DENIED,
        'sender domain "evil.com" is not authorized for tenant "example.com"',
    ),
    "sender below the tenant": (
        {"sender": Sender(email="a@x.example.com")},
        Status.PERMISSION_DENIED,
        'sender domain "x.example.com" is not authorized',
    ),
    "sender at a public suffix": ({"sender": Sender(email="a@com")}, Status.INVALID_ARGUMENT, "sender.email"),
    "bad header to": ({"headers": Headers(to=["a@b.de", "nobody"])}, Status.INVALID_ARGUMENT, "headers.to[1]"),
    "bad reply-to": (
        {"headers": Headers(reply_to=["a@b.de", "c@d.ef\nBcc: x@y.z"])},
        Status.INVALID_ARGUMENT,
        "headers.reply_to[1]",
    ),
    "bad header cc": ({"headers": Headers(cc=["a@b.de\nBcc: c@d.ef"])}, Status.INVALID_ARGUMENT, "headers.cc[0]"),
    "empty header to": ({"headers": Headers(to=[""])}, Status.INVALID_ARGUMENT, "headers.to[0]"),
    "opens above the ceiling": (
        {"tracking": policy(FULL, OFF)},
        Status.INVALID_ARGUMENT,
        "tracking.opens: full is above the domain's ceiling identified",
    ),
    "links above the ceiling": (
        {"tracking": policy(OFF, FULL)},
        Status.INVALID_ARGUMENT,
        "tracking.links: full is above the domain's ceiling identified",
    ),
    "unknown opens mode": ({"tracking": policy(9, OFF)}, Status.INVALID_ARGUMENT, "tracking.opens"),
    "negative links mode": ({"tracking": policy(OFF, -1)}, Status.INVALID_ARGUMENT, "tracking.links"),
    "NUL in a global field": ({"global_fields": {"a": "\0"}}, Status.INVALID_ARGUMENT, "global_fields"),
    "NUL in a file name": (
        {"attachments": [Attachment(filename="a"), Attachment(filename="\0")]},
        Status.INVALID_ARGUMENT,
        "attachments[1].filename",
    ),
    "no media type": (
        {"attachments": [Attachment(filename="a", content_type="text")]},
        Status.INVALID_ARGUMENT,
        "attachments[0].content_type",
    ),
    "LF in media type": (
        {"attachments": [Attachment(filename="a", content_type="text/plain; a=b\nX: y")]},
        Status.INVALID_ARGUMENT,
        "attachments[0].content_type",
    ),
    "LF in content id": (
        {"attachments": [Attachment(filename="a", content_id="a\nb")]},
        Status.INVALID_ARGUMENT,
        "attachments[0].content_id",
    ),
    "time beyond the years": (
        {"scheduled_time": Timestamp(seconds=10**15)},
        Status.INVALID_ARGUMENT,
        "scheduled_time",
    ),
    "too many nanoseconds": (
        {"scheduled_time": Timestamp(seconds=1, nanos=10**9)},
        Status.INVALID_ARGUMENT,
        "scheduled_time",
    ),
    "message too large": ({"html": "x" * (1 << 20) + "x"}, Status.RESOURCE_EXHAUSTED, "bytes"),
    "attachment too large once encoded": (
        {"attachments": [Attachment(filename="a", content=bytes(800_000))]},
        Status.RESOURCE_EXHAUSTED,
        "bytes",
    ),
    "too many recipients": (
        {"recipients": [Recipient(email=f"u{i}@example.net") for i in range(1001)]},
        Status.RESOURCE_EXHAUSTED,
        "1001 recipients",
    ),
}
BAD_URLS = [
    "http://example.com/u",
    "https://",
    "https:///u",
    "mailto:u@example.com",
    "//example.com",
    "u",
    "https://{{ host }}/u",
    "https://example.com/\r\nBcc: x",
    "https://[::1/u",
    "https://example.com/\0",
]
for url in BAD_URLS:
    BAD_SENDS[f"unsubscribe URL {url!r}"] = (
        {"one_click_unsubscribe": OneClickUnsubscribe(url_template=url)},
        Status.INVALID_ARGUMENT,
        "one_click_unsubscribe.url_template",
    )


async def test_a_bad_send_is_refused_by_field_and_leaves_nothing(db: Database) -> None:
    seen = {}
    bus = NoBus()
    async with running_api(db, bus=bus) as api:
        key = await tenant(api)
        for name, (change, _, _) in BAD_SENDS.items():
            seen[name] = await refusal(api.mailer.SendHTML(a_send(**change), metadata=key))
    assert bus.notifications == 0
    for name, (_, status, beginning) in BAD_SENDS.items():
        assert seen[name][0] is status, (name, seen[name])
        assert beginning in seen[name][1], (name, seen[name])
    for table in ("templates", "messages", "attachments", "sending_pool_emails"):
        assert await rows(db, table) == []


async def test_errors_are_named_in_the_order_of_the_checks(db: Database) -> None:
    """Each step corrects the error that the answer names; the next answer names the next error."""
    request = SendTemplateReq(
        subject="\n",
        sender=Sender(email="a@evil.com", alias="\n"),
        headers=Headers(to=["nobody"]),
        tracking=policy(FULL, FULL),
        one_click_unsubscribe=OneClickUnsubscribe(url_template="http://x"),
        recipients=[Recipient(email="b@example.net")] * 1001,
    )
    order = []
    async with running_api(db) as api:
        key = await tenant(api)
        template = await api.admin.CreateTemplate(CreateTemplateReq(domain="example.com", html="x"), metadata=ADMIN)

        async def step(status: Status) -> None:
            found, text = await refusal(api.mailer.SendTemplate(request, metadata=key))
            assert found is status, text
            order.append(text.split(":")[0].split(" ")[0])

        await step(Status.INVALID_ARGUMENT)
        request.subject = "s"
        await step(Status.INVALID_ARGUMENT)
        request.sender.alias = ""
        await step(Status.PERMISSION_DENIED)
        request.sender.email = "a@example.com"
        await step(Status.NOT_FOUND)
        request.template_id = template.template.template_id
        await step(Status.INVALID_ARGUMENT)
        request.ClearField("headers")
        await step(Status.INVALID_ARGUMENT)
        request.tracking.opens = OFF  # type: ignore[assignment]
        await step(Status.INVALID_ARGUMENT)
        request.ClearField("tracking")
        await step(Status.INVALID_ARGUMENT)
        request.ClearField("one_click_unsubscribe")
        await step(Status.RESOURCE_EXHAUSTED)
        del request.recipients[1:]
        await step(Status.OK)
    assert order == [
        "subject", "sender.alias", "sender", "template_id", "headers.to[0]", "tracking.opens", "tracking.links",
        "one_click_unsubscribe.url_template", "1001", "",
    ]  # fmt: skip


async def test_recipients_are_checked_one_by_one_in_order(db: Database) -> None:
    recipients = [
        Recipient(email="ann@example.net", fields={"id": "1"}),
        Recipient(email="  "),
        Recipient(email="x" * 321),
        Recipient(email=" ann@EXAMPLE.net", fields={"id": "1"}),
        Recipient(email="Ann@example.net", fields={"id": "1"}),  # another mailbox: local parts are case-sensitive
        Recipient(email="mode@example.net", fields={"id": "1"}, tracking=policy(7, 0)),
        Recipient(email="high@example.net", fields={"id": "1"}, tracking=policy(0, FULL)),
        Recipient(email="nourl@example.net"),
        Recipient(email="line@example.net", fields={"id": "1", "who": "a\nb"}),
        Recipient(email="nul@example.net", fields={"id": "1", "other": "\0"}),
        Recipient(email="low@example.net", fields={"id": "1"}, tracking=policy(OFF, 0)),
        Recipient(email="break@example.net", fields={"id": "1", "other": "line\nbreaks are fine in the body"}),
    ]
    async with running_api(db) as api:
        key = await tenant(api)
        answer = await api.mailer.SendHTML(
            a_send(
                subject="For {{who}}",
                global_fields={"who": "all"},
                recipients=recipients,
                tracking=policy(PSEUDONYMOUS, 0),
                one_click_unsubscribe=OneClickUnsubscribe(url_template="https://example.com/{{id}}"),
            ),
            metadata=key,
        )
    assert [(r.email, r.reason) for r in answer.rejected_recipients] == [
        ("  ", "invalid_email"),
        ("x" * 321, "invalid_email"),
        (" ann@EXAMPLE.net", "duplicate"),
        ("mode@example.net", "unsupported_tracking_mode"),
        ("high@example.net", "tracking_above_ceiling"),
        ("nourl@example.net", "unsubscribe_url_unresolved"),
        ("line@example.net", "invalid_field"),
        ("nul@example.net", "invalid_field"),
    ]
    assert (answer.accepted_count, answer.rejected_count) == (4, 8)
    assert {d["email"]: (d["opens"], d["links"]) for d in await rows(db, "sending_pool_emails")} == {
        "ann@example.net": (PSEUDONYMOUS, IDENTIFIED),
        "Ann@example.net": (PSEUDONYMOUS, IDENTIFIED),
        "low@example.net": (OFF, IDENTIFIED),
        "break@example.net": (PSEUDONYMOUS, IDENTIFIED),
    }


@pytest.mark.parametrize("recipients", [[], [Recipient(email="")]], ids=["none", "all rejected"])
async def test_a_send_without_an_accepted_recipient_succeeds(db: Database, recipients: list[Recipient]) -> None:
    async with running_api(db) as api:
        key = await tenant(api)
        answer = await api.mailer.SendHTML(a_send(recipients=recipients), metadata=key)
    assert answer.accepted_count == 0
    assert answer.rejected_count == len(recipients)
    assert answer.template_id
    assert await rows(db, "sending_pool_emails") == []


async def test_a_batch_too_large_for_one_statement_is_copied(db: Database) -> None:
    async with running_api(db, limits=Limits(1 << 20, 5000)) as api:
        key = await tenant(api)
        answer = await api.mailer.SendHTML(
            a_send(recipients=[Recipient(email=f"u{i}@example.net", fields={"n": str(i)}) for i in range(1501)]),
            metadata=key,
        )
    deliveries = await rows(db, "sending_pool_emails")
    assert answer.accepted_count == len(deliveries) == 1501
    assert {(d["email"], json.loads(d["fields"])["n"]) for d in deliveries} == {
        (f"u{i}@example.net", str(i)) for i in range(1501)
    }


async def test_the_answer_repeats_the_schedule_and_a_past_time_means_now(db: Database) -> None:
    later = Timestamp()
    later.FromDatetime(datetime.now(UTC).replace(microsecond=123456) + timedelta(days=3))
    async with running_api(db) as api:
        key = await tenant(api)
        future = await api.mailer.SendHTML(a_send(scheduled_time=later), metadata=key)
        before = datetime.now(UTC)
        past = await api.mailer.SendHTML(a_send(scheduled_time=Timestamp(seconds=-1)), metadata=key)
    assert future.scheduled_time == later
    assert before <= past.scheduled_time.ToDatetime(UTC) <= datetime.now(UTC)
    assert {d["next_attempt_at"] for d in await rows(db, "sending_pool_emails")} == {
        later.ToDatetime(UTC),
        past.scheduled_time.ToDatetime(UTC),
    }


async def test_a_parent_of_the_tenant_may_send_unless_it_is_a_public_suffix(db: Database) -> None:
    async with running_api(db) as api:
        key, british = await tenant(api, "mail.example.com"), await tenant(api, "example.co.uk")
        parent = await refusal(api.mailer.SendHTML(a_send(), metadata=key))
        suffix = await refusal(api.mailer.SendHTML(a_send(sender=Sender(email="a@co.uk")), metadata=british))
    assert parent == (Status.OK, "")
    assert suffix == (
        Status.PERMISSION_DENIED,
        'sender domain "co.uk" is not authorized for tenant "example.co.uk"',
    )


async def test_tracking_is_resolved_when_the_send_is_accepted(db: Database) -> None:
    async with running_api(db) as api:
        key = await tenant(api)
        lower = SetTrackingPolicyReq(domain="example.com", tracking=policy(ANONYMOUS, OFF))
        await api.mailer.SendHTML(a_send(), metadata=key)
        await api.admin.SetTrackingPolicy(lower, metadata=ADMIN)
        await api.mailer.SendHTML(a_send(), metadata=key)
    assert sorted((d["opens"], d["links"]) for d in await rows(db, "sending_pool_emails")) == [
        (ANONYMOUS, OFF),
        (IDENTIFIED, IDENTIFIED),
    ]


async def test_a_send_succeeds_although_the_validator_cannot_be_notified(db: Database) -> None:
    async with running_api(db, bus=NoBus(error=RuntimeError("no bus"))) as api:
        key = await tenant(api)
        answer = await api.mailer.SendHTML(a_send(), metadata=key)
    assert answer.accepted_count == 1


async def test_a_suppression_by_tag_is_about_sends_with_that_tag(db: Database) -> None:
    async with running_api(db) as api:
        key = await tenant(api)
        [recipient, *_] = a_send().recipients
        entry = Suppression("example.com", recipient.email, Cause.UNSUBSCRIBED, datetime.now(UTC), tag="news")
        await insert_suppressions(db, "example.com", [entry])
        counts = {}
        for tag in ("news", "receipts", ""):
            sent = await api.mailer.SendHTML(a_send(tag=tag), metadata=key)
            counts[tag] = [(each.email, each.reason) for each in sent.rejected_recipients]
    assert counts == {"news": [(recipient.email, "suppressed")], "receipts": [], "": []}


async def test_kannons_own_unsubscribe_link_needs_no_url_and_no_earlier_suppression(db: Database) -> None:
    async with running_api(db) as api:
        key = await tenant(api)
        sent = await api.mailer.SendHTML(a_send(one_click_unsubscribe=OneClickUnsubscribe()), metadata=key)
    assert sent.accepted_count > 0
    [batch] = await rows(db, "messages")
    assert (batch["own_unsubscribe"], batch["unsubscribe_url"]) == (True, "")
