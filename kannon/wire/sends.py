"""SendHTMLReq and SendTemplateReq → the values of kannon.mail.send_request, and the answer → SendRes.

In: parsed requests. Out: `Submission`, and the recipients one at a time (a batch may have 100,000 of them). A time that
is no time is InvalidArgument.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kannon.mail.batch import Attachment
from kannon.mail.send_request import NOTHING_STATED, RejectReason, StatedTracking, Submission
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import RejectedRecipient, SendHTMLReq, SendRes, SendTemplateReq
from kannon.wire.events import timestamp
from kannon.wire.times import optional_time

SendRequest = SendHTMLReq | SendTemplateReq


@dataclass(frozen=True, slots=True)
class Asked:
    """One recipient as the caller wrote it."""

    email: str
    fields: Mapping[str, str]
    tracking: StatedTracking


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a send. `rejected`: addresses as submitted, in order, each with its reason."""

    message_id: str
    template_id: str
    scheduled_at: datetime
    accepted_count: int
    rejected: Sequence[tuple[str, RejectReason]]


def to_submission(request: SendRequest) -> Submission:
    """Raises InvalidArgument."""
    return Submission(
        sender_email=request.sender.email,
        sender_alias=request.sender.alias,
        subject=request.subject,
        recipient_count=len(request.recipients),
        html=request.html if isinstance(request, SendHTMLReq) else None,
        template_id="" if isinstance(request, SendHTMLReq) else request.template_id,
        scheduled_at=optional_time(request, "scheduled_time"),
        header_to=tuple(request.headers.to),
        header_cc=tuple(request.headers.cc),
        global_fields=dict(request.global_fields),
        tracking=StatedTracking(request.tracking.opens, request.tracking.links),
        unsubscribe_url=(
            request.one_click_unsubscribe.url_template if request.HasField("one_click_unsubscribe") else None
        ),
        attachments=tuple(Attachment(a.filename, a.content, a.content_type, a.content_id) for a in request.attachments),
    )


def recipients_of(request: SendRequest) -> Iterator[Asked]:
    for recipient in request.recipients:
        tracking = NOTHING_STATED
        if recipient.HasField("tracking"):
            tracking = StatedTracking(recipient.tracking.opens, recipient.tracking.links)
        yield Asked(recipient.email, dict(recipient.fields), tracking)


def request_digest(request: SendRequest) -> bytes:
    """The same for the same request, whatever order its maps were written in; also tells the two kinds apart."""
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + request.SerializeToString(deterministic=True)).digest()


def to_send_res(answer: Answer) -> SendRes:
    return SendRes(
        message_id=answer.message_id,
        template_id=answer.template_id,
        scheduled_time=timestamp(answer.scheduled_at),
        accepted_count=answer.accepted_count,
        rejected_count=len(answer.rejected),
        rejected_recipients=[RejectedRecipient(email=email, reason=reason.value) for email, reason in answer.rejected],
    )
