"""Sends mail, with an API key or the admin token."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from email.utils import parseaddr
from functools import cached_property
from types import MappingProxyType

from kannon.client.calls import Calls, timestamp
from kannon.pb.mailer.apiv1.mailerapiv1_grpc import MailerStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendRes, SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender

NO_FIELDS: Mapping[str, str] = MappingProxyType({})
Recipients = Iterable[str] | Mapping[str, Mapping[str, str]]
SendRequest = SendHTMLReq | SendTemplateReq


class SendCalls(Calls):
    @cached_property
    def _mailer(self) -> MailerStub:
        return MailerStub(self._channel)

    async def send(self, request: SendRequest, *, idempotency_key: str = "") -> SendRes:
        """Returns when the batch is committed. With an idempotency key the caller may repeat it after any failure."""
        metadata = self._tenant | ({"idempotency-key": idempotency_key} if idempotency_key else {})
        if isinstance(request, SendHTMLReq):
            return await self._call(self._mailer.SendHTML, request, metadata)
        return await self._call(self._mailer.SendTemplate, request, metadata)

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
    request: SendRequest,
    sender: str,
    subject: str,
    recipients: Recipients,
    fields: Mapping[str, str],
    at: datetime | None,
) -> SendRequest:
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
