"""Sends mail, with an API key or the admin token."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from email.utils import parseaddr
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

from kannon.client.calls import Calls, timestamp
from kannon.pb.mailer.apiv1.mailerapiv1_grpc import MailerStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendRes, SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from kannon.pb.mailer.v1 import mailer_pb2 as v1
from kannon.pb.mailer.v1.mailer_grpc import MailerStub as MailerV1Stub

NO_FIELDS: Mapping[str, str] = MappingProxyType({})
Recipients = Iterable[str] | Mapping[str, Mapping[str, str]]
SendRequest = SendHTMLReq | SendTemplateReq | v1.SendRequest | v1.SendRawRequest
Filled = TypeVar("Filled", SendHTMLReq, SendTemplateReq)


class SendCalls(Calls):
    @cached_property
    def _mailer(self) -> MailerStub:
        return MailerStub(self._channel)

    @cached_property
    def _mailer_v1(self) -> MailerV1Stub:
        return MailerV1Stub(self._channel)

    async def send(self, request: SendRequest, *, idempotency_key: str = "") -> SendRes:
        """Returns when the batch is committed. With an idempotency key the caller may repeat it after any failure."""
        metadata = self._tenant | ({"idempotency-key": idempotency_key} if idempotency_key else {})
        if isinstance(request, SendHTMLReq):
            return await self._call(self._mailer.SendHTML, request, metadata)
        if isinstance(request, SendTemplateReq):
            return await self._call(self._mailer.SendTemplate, request, metadata)
        if isinstance(request, v1.SendRawRequest):
            return await self._call(self._mailer_v1.SendRaw, request, metadata)
        return await self._call(self._mailer_v1.Send, request, metadata)

    async def send_raw(
        self,
        message: bytes,
        recipients: Iterable[str],
        *,
        at: datetime | None = None,
        tag: str = "",
        metadata: Mapping[str, str] = NO_FIELDS,
        idempotency_key: str = "",
    ) -> SendRes:
        """A complete message (RFC 5322, CRLF line ends) to the envelope's recipients. It is not tracked; for that and
        other options build the request and `send` it."""
        request = v1.SendRawRequest(
            message=message, recipients=recipients, tag=tag, metadata=metadata, scheduled_time=timestamp(at)
        )
        return await self.send(request, idempotency_key=idempotency_key)

    async def reschedule(self, message_id: str, at: datetime) -> v1.RescheduleResponse:
        """Moves the deliveries of a batch that no sender has had."""
        request = v1.RescheduleRequest(message_id=message_id, scheduled_time=timestamp(at))
        return await self._call(self._mailer_v1.Reschedule, request, self._tenant)

    async def send_html(
        self,
        sender: str,
        subject: str,
        html: str,
        recipients: Recipients,
        *,
        fields: Mapping[str, str] = NO_FIELDS,
        at: datetime | None = None,
        idempotency_key: str = "",
    ) -> SendRes:
        """`sender` is an address or `Name <address>`. `recipients` are addresses, or a mapping of addresses to fields.
        `fields` apply to all recipients. For attachments and other options build the request and `send` it."""
        request = SendHTMLReq(html=html)
        return await self.send(_fill(request, sender, subject, recipients, fields, at), idempotency_key=idempotency_key)

    async def send_template(
        self,
        sender: str,
        subject: str,
        template_id: str,
        recipients: Recipients,
        *,
        fields: Mapping[str, str] = NO_FIELDS,
        at: datetime | None = None,
        idempotency_key: str = "",
    ) -> SendRes:
        """The same as `send_html`, with a template instead of the HTML."""
        request = SendTemplateReq(template_id=template_id)
        return await self.send(_fill(request, sender, subject, recipients, fields, at), idempotency_key=idempotency_key)


def _fill(
    request: Filled,
    sender: str,
    subject: str,
    recipients: Recipients,
    fields: Mapping[str, str],
    at: datetime | None,
) -> Filled:
    alias, address = parseaddr(sender)
    recipients = [recipients] if isinstance(recipients, str) else recipients
    pairs = recipients.items() if isinstance(recipients, Mapping) else ((each, NO_FIELDS) for each in recipients)
    request.sender.CopyFrom(Sender(email=address, alias=alias))
    request.subject = subject
    request.recipients.extend(Recipient(email=email, fields=own) for email, own in pairs)
    request.global_fields.update(fields)
    if (scheduled := timestamp(at)) is not None:
        request.scheduled_time.CopyFrom(scheduled)
    return request
