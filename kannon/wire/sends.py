"""SendHTMLReq, SendTemplateReq and kannon.mailer.v1.SendRequest → SendRequest, and SendResult ⇄ SendRes.

In: parsed protobuf messages. Out: the values of kannon.mail.send_request. A time that does not exist and an unknown
tracking mode of the batch raise InvalidArgument. A recipient is converted when it is asked for: a request may have
100,000 recipients, and protobuf holds them more compactly than Python does.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from google.protobuf.struct_pb2 import Value

from kannon.errors import InvalidArgument
from kannon.mail.batch import Attachment, Content, Engine, Recipient
from kannon.mail.send_request import RawOptions, RejectedRecipient, RejectReason, SendRequest, SendResult
from kannon.mail.tracking import NOT_STATED, TrackingMode, TrackingPolicy, UnsupportedTracking
from kannon.pb.admin.v1.templates_pb2 import TemplateSample
from kannon.pb.mailer.apiv1 import mailerapiv1_pb2 as pb
from kannon.pb.mailer.types import mailer_types_pb2 as types_pb
from kannon.pb.mailer.v1 import mailer_pb2 as v1
from kannon.wire.events import from_timestamp, timestamp
from kannon.wire.times import optional_time
from kannon.wire.tracking import to_policy

SendMessage = pb.SendHTMLReq | pb.SendTemplateReq | v1.SendRequest


def to_send_request(message: SendMessage, idempotency_key: str = "") -> SendRequest:
    """Raises InvalidArgument."""
    return SendRequest(
        content=_to_content(message),
        recipients=_Recipients(message.recipients),
        source=MessageSource(message),
        template_id=_template_id(message),
        scheduled_at=optional_time(message, "scheduled_time"),
        tracking=to_policy(message.tracking),
        idempotency_key="" if message.validate_only else idempotency_key,
        validate_only=message.validate_only,
        bcc=tuple(message.headers.bcc),
        tag=message.tag,
        metadata=dict(message.metadata),
    )


def to_raw_request(message: v1.SendRawRequest, idempotency_key: str = "") -> SendRequest:
    """Raises InvalidArgument. An axis of tracking that is not stated is off: the message stays as it is."""
    stated = to_policy(message.tracking)
    tracking = TrackingPolicy(stated.opens or TrackingMode.OFF, stated.links or TrackingMode.OFF)
    return SendRequest(
        content=Content(sender_email="", subject="", raw=message.message, require_tls=message.require_tls),
        recipients=[Recipient(email) for email in message.recipients],
        source=MessageSource(message),
        scheduled_at=optional_time(message, "scheduled_time"),
        tracking=tracking,
        idempotency_key="" if message.validate_only else idempotency_key,
        validate_only=message.validate_only,
        raw=RawOptions(smtputf8=message.smtputf8),
        tag=message.tag,
        metadata=dict(message.metadata),
    )


def _template_id(message: SendMessage) -> str | None:
    if isinstance(message, v1.SendRequest):
        return message.template_id if message.HasField("template_id") else None
    return message.template_id if isinstance(message, pb.SendTemplateReq) else None


def _to_content(message: SendMessage) -> Content:
    return Content(
        sender_email=message.sender.email,
        sender_alias=message.sender.alias,
        subject=message.subject,
        html="" if isinstance(message, pb.SendTemplateReq) else message.html,
        text=message.text,
        header_to=tuple(message.headers.to),
        header_cc=tuple(message.headers.cc),
        reply_to=tuple(message.headers.reply_to),
        header_fields=tuple((each.name, each.value) for each in message.headers.fields),
        global_fields=to_values(message, message.global_fields),
        engine=to_engine("" if isinstance(message, pb.SendTemplateReq) else message.engine),
        unsubscribe_url=(
            message.one_click_unsubscribe.url_template if message.HasField("one_click_unsubscribe") else None
        ),
        attachments=tuple(Attachment(a.filename, a.content, a.content_type, a.content_id) for a in message.attachments),
        require_tls=message.require_tls,
    )


def to_engine(name: str) -> Engine:
    """Raises InvalidArgument."""
    try:
        return Engine(name or Engine.PLAIN)
    except ValueError:
        raise InvalidArgument("engine", f'"{name[:50]}" is neither plain nor jinja') from None


def to_values(message: SendMessage | types_pb.Recipient | TemplateSample, fields: Mapping[str, str]) -> dict[str, Any]:
    """The data with the fields, which win."""
    if not message.HasField("data"):
        return dict(fields)
    return {key: _to_json(value) for key, value in message.data.fields.items()} | dict(fields)


def _to_json(value: Value) -> Any:
    """A whole number is an int: `{{ 3 }}` is written 3, not 3.0. protobuf bounds the depth of what it parses."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) < 1 << 53 else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return {key: _to_json(each) for key, each in value.struct_value.fields.items()}
        case "list_value":
            return [_to_json(each) for each in value.list_value.values]
    return None


class _Recipients(Sequence[Recipient]):
    def __init__(self, messages: Sequence[types_pb.Recipient]) -> None:
        self._messages = messages

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Recipient]:
        return map(_to_recipient, self._messages)

    @overload
    def __getitem__(self, index: int) -> Recipient: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Recipient]: ...
    def __getitem__(self, index: int | slice) -> Recipient | Sequence[Recipient]:
        if isinstance(index, slice):
            return _Recipients(self._messages[index])
        return _to_recipient(self._messages[index])


def _to_recipient(message: types_pb.Recipient) -> Recipient:
    tracking = NOT_STATED
    if message.HasField("tracking"):
        try:
            tracking = to_policy(message.tracking)
        except InvalidArgument:
            tracking = UnsupportedTracking()
    return Recipient(message.email, to_values(message, message.fields), tracking)


@dataclass(frozen=True, slots=True)
class MessageSource:
    """kannon.mail.send_request.Source."""

    message: SendMessage | v1.SendRawRequest

    def size(self) -> int:
        return self.message.ByteSize()

    def digest(self) -> bytes:
        """Also tells the two kinds of request apart. Stored answers are found by it, so it must stay the same."""
        name = self.message.DESCRIPTOR.full_name.encode()
        return hashlib.sha256(name + b"\0" + self.message.SerializeToString(deterministic=True)).digest()


def to_send_res(result: SendResult) -> pb.SendRes:
    return pb.SendRes(
        message_id=result.message_id,
        template_id=result.template_id,
        scheduled_time=timestamp(result.scheduled_at),
        accepted_count=result.accepted_count,
        rejected_count=len(result.rejected),
        rejected_recipients=[
            pb.RejectedRecipient(email=each.email, reason=f"{each.reason} {each.detail}".rstrip())
            for each in result.rejected
        ],
    )


def _to_rejected(message: pb.RejectedRecipient) -> RejectedRecipient:
    reason, _, detail = message.reason.partition(" ")
    return RejectedRecipient(message.email, RejectReason(reason), detail)


class SendResCodec:
    """The form in which the first answer to an idempotency key is stored: the SendRes itself, for a day."""

    def encode(self, result: SendResult) -> bytes:
        return to_send_res(result).SerializeToString()

    def decode(self, stored: bytes) -> SendResult:
        message = pb.SendRes.FromString(stored)
        return SendResult(
            message_id=message.message_id,
            template_id=message.template_id,
            scheduled_at=from_timestamp(message.scheduled_time),
            accepted_count=message.accepted_count,
            rejected=[_to_rejected(each) for each in message.rejected_recipients],
        )
