"""A typed client of a running Kannon, for Python programs and for the command line.

    async with Client("127.0.0.1:50051", admin_token=token) as kannon:
        await kannon.create_domain("example.com")

In: an address and credentials. Out: the protobuf messages of the answers. A refused call is `CallRefused` with its
status; a server that cannot be reached, or cannot serve now, is `Unavailable`.
"""

import base64
import os
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from kannon.errors import KannonError, Unavailable
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as admin
from kannon.pb.admin.apiv1.adminapiv1_grpc import ApiStub, HZServiceStub
from kannon.pb.admin.v1 import dkim_pb2 as dkim
from kannon.pb.admin.v1 import operations_pb2 as operations
from kannon.pb.admin.v1 import parked_pb2 as parked
from kannon.pb.admin.v1 import suppressions_pb2 as suppressions
from kannon.pb.admin.v1.dkim_grpc import DkimStub
from kannon.pb.admin.v1.operations_grpc import OperationsStub
from kannon.pb.admin.v1.parked_grpc import ParkedStub
from kannon.pb.admin.v1.suppressions_grpc import SuppressionsStub
from kannon.pb.mailer.apiv1.mailerapiv1_grpc import MailerStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendRes, SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from kannon.pb.stats.apiv1 import statsapiv1_pb2 as stats_v1
from kannon.pb.stats.apiv1.statsapiv1_grpc import StatsApiV1Stub
from kannon.pb.stats.apiv2 import statsapiv2_pb2 as stats_v2
from kannon.pb.stats.apiv2.statsapiv2_grpc import StatsApiV2Stub
from kannon.pb.tracking.types.tracking_pb2 import TrackingMode, TrackingPolicy

CALL_SECONDS = 60.0
NO_FIELDS: Mapping[str, str] = MappingProxyType({})
Recipients = Iterable[str] | Mapping[str, Mapping[str, str]]
_WINDOW_BYTES = 16 << 20
SendRequest = SendHTMLReq | SendTemplateReq
Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class CallRefused(KannonError):
    """The server's answer was a status other than OK; the text is the server's."""

    def __init__(self, status: Status, text: str) -> None:
        super().__init__(text or status.name.lower().replace("_", " "))
        self.status = status


@dataclass(frozen=True, slots=True)
class Tls:
    """`ca_file` empty: the system's authorities. With `pinned` the server's certificate must be the one in `ca_file`,
    whatever name it carries."""

    ca_file: Path | None = None
    pinned: bool = False

    def context(self) -> ssl.SSLContext:
        """Raises OSError, ssl.SSLError."""
        context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        if self.pinned:
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["h2"])
        return context


class Client:
    """Connects at the first call. Safe to use from several tasks of one event loop."""

    def __init__(
        self,
        server: str,
        *,
        admin_token: str = "",
        api_key: tuple[str, str] | None = None,
        attribution: str = "",
        tls: Tls | None = None,
        timeout_seconds: float = CALL_SECONDS,
    ) -> None:
        """`server` is host:port; `api_key` is (domain, key) and opens `send`; `admin_token` opens everything else."""
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f'"{server}" is not of the form host:port')
        self._server = server
        self._timeout = timeout_seconds
        self._admin = {"x-kannon-admin-token": admin_token} if admin_token else {}
        if attribution:
            self._admin["x-kannon-attribution"] = attribution
        self._tenant = {} if api_key is None else _basic(*api_key)
        self._channel = Channel(
            host.removeprefix("[").removesuffix("]"),
            int(port),
            ssl=None if tls is None else tls.context(),
            config=Configuration(http2_connection_window_size=_WINDOW_BYTES, http2_stream_window_size=_WINDOW_BYTES),
        )
        self._api, self._hz, self._mailer = (
            ApiStub(self._channel),
            HZServiceStub(self._channel),
            MailerStub(self._channel),
        )
        self._operations = OperationsStub(self._channel)
        self._suppressions = SuppressionsStub(self._channel)
        self._parked = ParkedStub(self._channel)
        self._dkim = DkimStub(self._channel)
        self._stats_v1, self._stats_v2 = StatsApiV1Stub(self._channel), StatsApiV2Stub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    # Domains

    async def list_domains(self) -> list[admin.Domain]:
        return list((await self._ask(self._api.GetDomains, admin.GetDomainsReq())).domains)

    async def find_domain(self, domain: str) -> admin.Domain:
        return (await self._ask(self._api.GetDomain, admin.GetDomainReq(domain=domain))).domain

    async def create_domain(self, domain: str) -> admin.Domain:
        return await self._ask(self._api.CreateDomain, admin.CreateDomainRequest(domain=domain))

    async def set_tracking(self, domain: str, *, opens: TrackingMode, links: TrackingMode) -> admin.Domain:
        """The most that the domain's batches may track; batches taken before keep what they have."""
        tracking = TrackingPolicy(opens=opens, links=links)
        request = admin.SetTrackingPolicyReq(domain=domain, tracking=tracking)
        return (await self._ask(self._api.SetTrackingPolicy, request)).domain

    # DKIM keys

    async def list_dkim_keys(self, domain: str) -> list[dkim.DkimKey]:
        """All that there ever were, oldest first."""
        return list((await self._ask(self._dkim.ListDkimKeys, dkim.ListDkimKeysRequest(domain=domain))).keys)

    async def create_dkim_key(self, domain: str, *, algorithm: str = "") -> dkim.DkimKey:
        """The next key, which signs nothing yet; `algorithm` empty: rsa-sha256."""
        request = dkim.CreateDkimKeyRequest(domain=domain, algorithm=algorithm)
        return (await self._ask(self._dkim.CreateDkimKey, request)).key

    async def activate_dkim_key(self, domain: str, selector: str, *, force: bool = False) -> dkim.DkimKey:
        """Refused until the DNS shows it, unless `force`."""
        request = dkim.ActivateDkimKeyRequest(domain=domain, selector=selector, force=force)
        return (await self._ask(self._dkim.ActivateDkimKey, request)).key

    async def retire_dkim_key(self, domain: str, selector: str) -> dkim.DkimKey:
        """For an Ed25519 key, whose signature is the second one."""
        request = dkim.RetireDkimKeyRequest(domain=domain, selector=selector)
        return (await self._ask(self._dkim.RetireDkimKey, request)).key

    async def delete_dkim_key(self, domain: str, selector: str, *, force: bool = False) -> dkim.DkimKey:
        """Refused while mail that it signed may be on its way, unless `force`."""
        request = dkim.DeleteDkimKeyRequest(domain=domain, selector=selector, force=force)
        return (await self._ask(self._dkim.DeleteDkimKey, request)).key

    # API keys

    async def create_api_key(
        self, domain: str, name: str, *, expires_at: datetime | None = None
    ) -> tuple[admin.APIKey, str]:
        """The key and its secret, which is never shown again."""
        request = admin.CreateAPIKeyRequest(domain=domain, name=name, expires_at=_timestamp(expires_at))
        response = await self._ask(self._api.CreateAPIKey, request)
        return response.api_key, response.key

    async def list_api_keys(
        self, domain: str, *, only_active: bool = False, limit: int = 100, offset: int = 0
    ) -> tuple[list[admin.APIKey], int]:
        request = admin.ListAPIKeysRequest(domain=domain, only_active=only_active, limit=limit, offset=offset)
        response = await self._ask(self._api.ListAPIKeys, request)
        return list(response.api_keys), response.total

    async def find_api_key(self, domain: str, key_id: str) -> admin.APIKey:
        return (await self._ask(self._api.GetAPIKey, admin.GetAPIKeyRequest(domain=domain, id=key_id))).api_key

    async def deactivate_api_key(self, domain: str, key_id: str) -> admin.APIKey:
        request = admin.DeactivateAPIKeyRequest(domain=domain, id=key_id)
        return (await self._ask(self._api.DeactivateAPIKey, request)).api_key

    # Templates

    async def create_template(self, domain: str, *, html: str, title: str = "") -> admin.Template:
        request = admin.CreateTemplateReq(domain=domain, html=html, title=title)
        return (await self._ask(self._api.CreateTemplate, request)).template

    async def update_template(self, template_id: str, *, html: str, title: str) -> admin.Template:
        request = admin.UpdateTemplateReq(template_id=template_id, html=html, title=title)
        return (await self._ask(self._api.UpdateTemplate, request)).template

    async def find_template(self, template_id: str) -> admin.Template:
        return (await self._ask(self._api.GetTemplate, admin.GetTemplateReq(template_id=template_id))).template

    async def delete_template(self, template_id: str) -> admin.Template:
        return (await self._ask(self._api.DeleteTemplate, admin.DeleteTemplateReq(template_id=template_id))).template

    async def list_templates(self, domain: str, *, skip: int = 0, take: int = 100) -> tuple[list[admin.Template], int]:
        request = admin.GetTemplatesReq(domain=domain, skip=skip, take=take)
        response = await self._ask(self._api.GetTemplates, request)
        return list(response.templates), response.total

    # Mail

    async def send(self, request: SendRequest, *, idempotency_key: str = "") -> SendRes:
        """Returns when the batch is stored for good. With an idempotency key it may be repeated after any failure."""
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
        """`sender` is an address, or `Name <address>`; `recipients` are addresses, or a mapping of addresses to their
        fields; `fields` are everybody's. For attachments and the like make the request yourself and `send` it."""
        request = SendHTMLReq(html=html)
        return await self.send(
            _filled(request, sender, subject, recipients, fields, at), idempotency_key=idempotency_key
        )

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
        """As `send_html`, with a template in place of the HTML."""
        request = SendTemplateReq(template_id=template_id)
        return await self.send(
            _filled(request, sender, subject, recipients, fields, at), idempotency_key=idempotency_key
        )

    # Statistics

    async def list_stats(
        self,
        domain: str,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        skip: int = 0,
        take: int = 100,
    ) -> stats_v1.GetStatsRes:
        """Events, newest first, and how many there are in [from, to)."""
        request = stats_v1.GetStatsReq(
            domain=domain, from_date=_timestamp(from_time), to_date=_timestamp(to_time), skip=skip, take=take
        )
        return await self._ask(self._stats_v1.GetStats, request)

    async def count_stats(
        self, domain: str, *, from_time: datetime, to_time: datetime
    ) -> stats_v2.GetAggregatedStatsRes:
        """Per type and hour."""
        request = stats_v2.GetAggregatedStatsReq(
            domain=domain, from_date=_timestamp(from_time), to_date=_timestamp(to_time)
        )
        return await self._ask(self._stats_v2.GetAggregatedStats, request)

    # Mail under way

    async def list_batches(
        self,
        domain: str,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        skip: int = 0,
        take: int = 100,
    ) -> operations.ListBatchesResponse:
        """Those made in [from, to), newest first."""
        request = operations.ListBatchesRequest(
            domain=domain, from_date=_timestamp(from_time), to_date=_timestamp(to_time), skip=skip, take=take
        )
        return await self._ask(self._operations.ListBatches, request)

    async def find_batch(self, message_id: str) -> operations.GetBatchResponse:
        return await self._ask(self._operations.GetBatch, operations.GetBatchRequest(message_id=message_id))

    async def list_deliveries(
        self,
        domain: str = "",
        *,
        message_id: str = "",
        email: str = "",
        state: str = "",
        skip: int = 0,
        take: int = 100,
    ) -> operations.ListDeliveriesResponse:
        """Those without an outcome, the next due first; empty texts restrict nothing."""
        request = operations.ListDeliveriesRequest(
            domain=domain, message_id=message_id, email=email, state=state, skip=skip, take=take
        )
        return await self._ask(self._operations.ListDeliveries, request)

    async def find_timeline(
        self, delivery_id: int = 0, *, message_id: str = "", email: str = ""
    ) -> operations.GetTimelineResponse:
        """Of a delivery by its id, or by its batch and address: why it has not arrived."""
        request = operations.GetTimelineRequest(delivery_id=delivery_id, message_id=message_id, email=email)
        return await self._ask(self._operations.GetTimeline, request)

    async def cancel_batch(self, message_id: str) -> operations.CancelBatchResponse:
        """For good: no further attempt is made."""
        return await self._ask(self._operations.CancelBatch, operations.CancelBatchRequest(message_id=message_id))

    async def cancel_delivery(self, delivery_id: int) -> operations.CancelDeliveryResponse:
        """For good: no further attempt is made."""
        request = operations.CancelDeliveryRequest(delivery_id=delivery_id)
        return await self._ask(self._operations.CancelDelivery, request)

    async def pause(self, *, message_id: str = "", domain: str = "", destination: str = "") -> operations.Pause:
        """One of them: a batch, a domain of ours, or a domain of recipients."""
        request = operations.PauseRequest(**_one_of(message_id, domain, destination))
        return (await self._ask(self._operations.Pause, request)).pause

    async def resume(self, *, message_id: str = "", domain: str = "", destination: str = "") -> int:
        """How many deliveries are due now that were put aside."""
        request = operations.ResumeRequest(**_one_of(message_id, domain, destination))
        return (await self._ask(self._operations.Resume, request)).released_count

    async def list_pauses(self) -> list[operations.Pause]:
        return list((await self._ask(self._operations.ListPauses, operations.ListPausesRequest())).pauses)

    async def retry_now(
        self, *, message_id: str = "", delivery_id: int = 0, domain: str = "", destination: str = ""
    ) -> int:
        """How many are tried at once; each of them narrows down what is meant, one at least is needed."""
        request = operations.RetryNowRequest(
            message_id=message_id, delivery_id=delivery_id, domain=domain, destination=destination
        )
        return (await self._ask(self._operations.RetryNow, request)).count

    # Suppressions

    async def list_suppressions(
        self, domain: str, *, cause: str = "", after: str = "", take: int = 1000
    ) -> suppressions.ListSuppressionsResponse:
        """In the order of the addresses, those behind the address `after`."""
        request = suppressions.ListSuppressionsRequest(domain=domain, cause=cause, after=after, take=take)
        return await self._ask(self._suppressions.ListSuppressions, request)

    async def find_suppression(self, domain: str, email: str) -> suppressions.Suppression:
        request = suppressions.GetSuppressionRequest(domain=domain, email=email)
        return (await self._ask(self._suppressions.GetSuppression, request)).suppression

    async def add_suppressions(self, domain: str, entries: Sequence[suppressions.Suppression]) -> int:
        """How many are new or changed; at most 10,000 in one call, which may be repeated."""
        request = suppressions.AddSuppressionsRequest(domain=domain, suppressions=entries)
        return (await self._ask(self._suppressions.AddSuppressions, request)).count

    async def remove_suppressions(self, domain: str, emails: Sequence[str]) -> list[str]:
        """Those that were removed."""
        request = suppressions.RemoveSuppressionsRequest(domain=domain, emails=emails)
        return list((await self._ask(self._suppressions.RemoveSuppressions, request)).removed)

    async def suppression_enabled(self, domain: str) -> bool:
        request = suppressions.GetSuppressionPolicyRequest(domain=domain)
        return (await self._ask(self._suppressions.GetSuppressionPolicy, request)).enabled

    async def set_suppression(self, domain: str, *, enabled: bool) -> None:
        request = suppressions.SetSuppressionPolicyRequest(domain=domain, enabled=enabled)
        await self._ask(self._suppressions.SetSuppressionPolicy, request)

    # Parked messages

    async def list_parked(self, *, after: int = 0, take: int = 100) -> parked.ListParkedResponse:
        """Messages that nobody could handle, in the order in which they were set aside."""
        return await self._ask(self._parked.ListParked, parked.ListParkedRequest(after=after, take=take))

    async def retry_parked(self, sequence: int) -> None:
        await self._ask(self._parked.RetryParked, parked.RetryParkedRequest(sequence=sequence))

    async def delete_parked(self, sequence: int) -> None:
        await self._ask(self._parked.DeleteParked, parked.DeleteParkedRequest(sequence=sequence))

    async def failing_checks(self) -> Mapping[str, str]:
        """Name → what is wrong; empty when all is well."""
        return dict((await self._call(self._hz.HZ, admin.HZRequest(), {})).result)

    async def _ask(self, method: UnaryUnaryMethod[Request, Response], request: Request) -> Response:
        return await self._call(method, request, self._admin)

    async def _call(
        self, method: UnaryUnaryMethod[Request, Response], request: Request, metadata: Mapping[str, str]
    ) -> Response:
        try:
            return await method(request, timeout=self._timeout, metadata=metadata)
        except GRPCError as error:
            if error.status is Status.UNAVAILABLE:
                raise Unavailable(f"{self._server}: {error.message or 'unavailable'}") from None
            raise CallRefused(error.status, error.message or "") from None
        except TimeoutError:
            raise Unavailable(f"{self._server} did not answer within {self._timeout:g} s") from None
        except (OSError, StreamTerminatedError, ProtocolError) as error:
            raise Unavailable(f"{self._server} cannot be reached: {_reason(error)}") from None


def _basic(domain: str, key: str) -> dict[str, str]:
    """RFC 7617."""
    return {"authorization": "Basic " + base64.b64encode(f"{domain}:{key}".encode()).decode()}


def _filled(
    request: SendRequest,
    sender: str,
    subject: str,
    recipients: Recipients,
    fields: Mapping[str, str],
    at: datetime | None,
) -> SendRequest:
    alias, address = parseaddr(sender)
    recipients = [recipients] if isinstance(recipients, str) else recipients
    everyone = recipients.items() if isinstance(recipients, Mapping) else ((each, NO_FIELDS) for each in recipients)
    request.sender.CopyFrom(Sender(email=address, alias=alias))
    request.subject = subject
    request.recipients.extend(Recipient(email=email, fields=own) for email, own in everyone)
    request.global_fields.update(fields)
    if (scheduled := _timestamp(at)) is not None:
        request.scheduled_time.CopyFrom(scheduled)
    return request


def _one_of(message_id: str, domain: str, destination: str) -> dict[str, str]:
    """Of a oneof; a second one would only take the place of the first."""
    given = {"message_id": message_id, "domain": domain, "destination": destination}
    given = {field: text for field, text in given.items() if text}
    if len(given) != 1:
        raise ValueError("exactly one of message_id, domain and destination is needed")
    return given


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    value = Timestamp()
    value.FromDatetime(at)
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
