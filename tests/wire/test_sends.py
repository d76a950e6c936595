"""Send requests as values, and results as answered and as stored."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from kannon.errors import InvalidArgument
from kannon.mail import batch
from kannon.mail.send_request import RejectedRecipient, RejectReason, SendResult
from kannon.mail.tracking import NOT_STATED, TrackingMode, TrackingPolicy, UnsupportedTracking
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import Attachment, SendHTMLReq, SendRes, SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Headers, OneClickUnsubscribe, Recipient, Sender
from kannon.wire.sends import SendResCodec, to_send_request
from tests.support.api import policy

FULL_REQUEST = SendHTMLReq(
    sender=Sender(email="a@example.com", alias="A"),
    subject="s",
    html="<p>x</p>",
    scheduled_time=Timestamp(seconds=1),
    recipients=[Recipient(email="b@example.net", fields={"name": "Bob", "id": "1"})],
    attachments=[Attachment(filename="f", content=b"x")],
    global_fields={"a": "1", "b": "2"},
)
TEMPLATE_REQUEST = SendTemplateReq(
    sender=Sender(email="a@example.com"), subject="s", template_id="template_x@example.com"
)


def test_a_request_keeps_all_its_fields() -> None:
    message = SendHTMLReq.FromString(FULL_REQUEST.SerializeToString())
    message.headers.CopyFrom(Headers(to=["t@example.com"], cc=["c@example.com"], reply_to=["r@example.com"]))
    message.one_click_unsubscribe.CopyFrom(OneClickUnsubscribe(url_template="https://example.com/"))
    message.tracking.CopyFrom(policy(2, 0))
    request = to_send_request(message, "key")
    assert request.content == batch.Content(
        sender_email="a@example.com",
        sender_alias="A",
        subject="s",
        html="<p>x</p>",
        header_to=("t@example.com",),
        header_cc=("c@example.com",),
        reply_to=("r@example.com",),
        global_fields={"a": "1", "b": "2"},
        unsubscribe_url="https://example.com/",
        attachments=(batch.Attachment("f", b"x"),),
    )
    assert request.template_id is None
    assert request.idempotency_key == "key"
    assert request.scheduled_at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=1)
    assert request.tracking == TrackingPolicy(TrackingMode.ANONYMOUS, TrackingMode.UNSPECIFIED)
    assert request.source.size() == len(message.SerializeToString())


def test_a_request_without_options_has_none() -> None:
    request = to_send_request(TEMPLATE_REQUEST)
    assert request.content == batch.Content(sender_email="a@example.com", subject="s")
    assert (request.template_id, request.scheduled_at) == ("template_x@example.com", None)
    assert request.tracking == NOT_STATED
    assert list(request.recipients) == []


def test_recipients_are_a_sequence_of_values() -> None:
    stated = [None, policy(1, 3), policy(9, 0)]
    messages = [Recipient(email=f"u{i}@b.de", fields={"i": str(i)}, tracking=each) for i, each in enumerate(stated)]
    recipients = to_send_request(SendHTMLReq(recipients=messages)).recipients
    assert list(recipients) == [
        batch.Recipient("u0@b.de", {"i": "0"}, NOT_STATED),
        batch.Recipient("u1@b.de", {"i": "1"}, TrackingPolicy(TrackingMode.OFF, TrackingMode.PSEUDONYMOUS)),
        batch.Recipient("u2@b.de", {"i": "2"}, UnsupportedTracking()),
    ]
    assert len(recipients) == 3
    assert recipients[-1] == list(recipients)[2]
    assert list(recipients[1:]) == list(recipients)[1:]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (SendHTMLReq(tracking=policy(9, 0)), "tracking.opens"),
        (SendHTMLReq(tracking=policy(0, -1)), "tracking.links"),
        (SendHTMLReq(scheduled_time=Timestamp(seconds=10**15)), "scheduled_time"),
    ],
    ids=["opens", "links", "time"],
)
def test_an_unknown_value_is_refused_with_its_field(change: SendHTMLReq, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        to_send_request(change)
    assert refused.value.field == field


def test_the_digest_of_a_request_does_not_change() -> None:
    """A repeat may cross an upgrade: with another digest it would get ALREADY_EXISTS."""
    assert to_send_request(FULL_REQUEST).source.digest().hex() == (
        "6cf4fd955f74c0ff2526d03328278cbbd7e3c7dc0ce39783f3ece5e9037392b5"
    )
    assert to_send_request(TEMPLATE_REQUEST).source.digest().hex() == (
        "1c2c292937861ccdf47645909848133f18e1c05dec6d7dd7411a36ebeea57102"
    )


def test_a_stored_result_is_the_answer_itself_and_reads_back() -> None:
    result = SendResult(
        "msg_x@example.com",
        "template_x@example.com",
        datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC),
        7,
        [RejectedRecipient(" ", RejectReason.INVALID_EMAIL), RejectedRecipient("a@b.de", RejectReason.SUPPRESSED)],
    )
    stored = SendResCodec().encode(result)
    assert SendRes.FromString(stored).rejected_count == 2
    assert SendResCodec().decode(stored) == result
