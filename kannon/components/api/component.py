"""The api component: listens, serves until the stop, then lets running calls complete.

In: settings and the dependencies of its services. Out: a gRPC server. While PostgreSQL is away it runs and its calls
are UNAVAILABLE. A taken address (AddressInUse) or an unreadable certificate (ConfigError) prevents the start.
"""

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

import anyio
import structlog
from anyio.abc import TaskStatus
from google.protobuf.descriptor import ServiceDescriptor

from kannon.accept import service as accept_service
from kannon.accept.failed_logins import FailedLogins
from kannon.accept.key_usage import KeyUsage
from kannon.accept.limiter import PLACES, SendLimiter
from kannon.accept.service import AcceptService, Notifier
from kannon.components.api import rpc
from kannon.components.api.access import open_to_keys
from kannon.components.api.audit_log import StoredAuditLog
from kannon.components.api.authenticator import AdminAuthenticator, KeyAuthenticator, TenantAuthenticator
from kannon.components.api.cancel_worker import CancelWorker, OutcomeBus
from kannon.components.api.changes import audited, open_to_viewers
from kannon.components.api.event_tail import EventTail
from kannon.components.api.grpc.method import GrpcMethod
from kannon.components.api.grpc.standard import standard_methods
from kannon.components.api.http.connect import Calls
from kannon.components.api.http.pages import pages
from kannon.components.api.http.router import Router
from kannon.components.api.pages.mount import PageParts, mounts
from kannon.components.api.retention import Retention
from kannon.components.api.rpc import CallMetadata, Rpc, Service
from kannon.components.api.server import Server
from kannon.components.api.services.admin import AdminMethods
from kannon.components.api.services.audit import AuditMethods
from kannon.components.api.services.dead_letters import DeadLetterBus, DeadLetterMethods
from kannon.components.api.services.destinations import DestinationMethods, SenderBus
from kannon.components.api.services.dkim import DkimMethods, TxtLookup
from kannon.components.api.services.events import EventMethods
from kannon.components.api.services.health import Check, HZMethods
from kannon.components.api.services.keys import KeyMethods
from kannon.components.api.services.mailer import MailerMethods, MailerV1Methods
from kannon.components.api.services.nodes import NodeBus, NodeMethods
from kannon.components.api.services.operations import OperationsMethods
from kannon.components.api.services.overview import OverviewMethods
from kannon.components.api.services.pages import PageMethods
from kannon.components.api.services.records import Lookup, RecordMethods
from kannon.components.api.services.reputation import ReputationMethods
from kannon.components.api.services.stats import StatsV1Methods, StatsV2Methods
from kannon.components.api.services.suppressions import SuppressionMethods
from kannon.components.api.services.templates import TemplatesMethods
from kannon.components.api.services.webhooks import WebhookMethods
from kannon.components.api.sessions import Sessions
from kannon.components.api.tenant_cache import TenantCache
from kannon.db import api_keys, events
from kannon.db.pool import Database
from kannon.db.schema import check_schema
from kannon.errors import AddressInUse, Unavailable
from kannon.mail.dns.records import ServerNames
from kannon.mail.guard import NO_GUARD, GuardRule
from kannon.mail.send_request import Limits, Tenant
from kannon.mail.tenants import KeyGrant
from kannon.metrics.null_metrics import NULL_METRICS
from kannon.pb.admin.apiv1 import adminapiv1_pb2
from kannon.pb.admin.v1 import (
    audit_pb2,
    destinations_pb2,
    dkim_pb2,
    keys_pb2,
    nodes_pb2,
    operations_pb2,
    overview_pb2,
    pages_pb2,
    parked_pb2,
    records_pb2,
    reputation_pb2,
    suppressions_pb2,
    templates_pb2,
    webhooks_pb2,
)
from kannon.pb.mailer.apiv1 import mailerapiv1_pb2
from kannon.pb.mailer.v1 import mailer_pb2
from kannon.pb.stats.apiv1 import statsapiv1_pb2
from kannon.pb.stats.apiv2 import statsapiv2_pb2
from kannon.pb.stats.v1 import events_pb2
from kannon.server_tls import make_server_tls
from kannon.wire.sends import SendResCodec

_CLOSE_SECONDS = 10.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`host`, `port` to listen on (port 0: any); `tls_cert` and `tls_key` are paths of PEM files, both or neither.
    `suppression` is `suppression.enabled`, `retry_window` is `retry.window`, `retention` is `stats.retention`."""

    host: str
    port: int
    admin_token: str
    max_request_bytes: int
    limits: Limits
    suppression: bool = True
    retry_window: timedelta = timedelta(hours=24)
    retention: timedelta = timedelta(days=365)
    guard: GuardRule = NO_GUARD
    tls_cert: str = ""
    tls_key: str = ""
    webhooks_allow_http: bool = False
    cors_origins: Sequence[str] = ()
    viewer_token: str = ""
    servers: ServerNames = field(default_factory=lambda: ServerNames("localhost", "localhost"))
    describe_config: Callable[[], str] = str


class ApiBus(Notifier, OutcomeBus, DeadLetterBus, SenderBus, NodeBus, Protocol):
    """The bus, for the API."""

    async def notify_dispatcher(self) -> None: ...
    async def notify_keys_changed(self) -> None: ...
    async def notify_webhooks(self) -> None: ...


class Metrics(accept_service.Metrics, rpc.Metrics, Protocol):
    """Of sends and of calls."""


class Api:
    """`addresses` is where it listens, once started."""

    name = "api"

    def __init__(
        self,
        settings: ApiSettings,
        db: Database,
        bus: ApiBus,
        checks: Mapping[str, Check],
        look_up: TxtLookup,
        look_up_record: Lookup,
        metrics: Metrics = NULL_METRICS,
        *,
        background: Database | None = None,
        clock: Callable[[], float] = time.monotonic,
        check_disk: Callable[[], None] = lambda: None,
    ) -> None:
        """`background`: connections for the work beside the calls, so that neither waits for the other. The health
        checks use them too: they ask whether PostgreSQL answers, not whether a connection is free."""
        self._settings = settings
        self._db = db
        self._background = background or db
        self._bus = bus
        self._checks = checks
        self._look_up = look_up
        self._look_up_record = look_up_record
        self._metrics = metrics
        self._clock = clock
        self._check_disk = check_disk
        self.failed_login: Callable[[str], float] = FailedLogins().charge
        self.addresses: list[tuple[str, int]] = []

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None]) -> None:
        settings = self._settings
        # RFC 9113 §3.2: HTTP/2 over TLS is "h2". A browser offers both and gets HTTP/1.1; a gRPC client offers "h2".
        files = make_server_tls("api", settings.tls_cert, settings.tls_key, alpn=["http/1.1", "h2"])
        tls = files.context if files is not None else None
        cancel_worker = CancelWorker(self._background, self._bus)
        accept = self._accept_service()
        usage = KeyUsage(self._background.fail_fast())
        background = self._background.fail_fast()
        tail = EventTail(
            lambda after, take: events.list_new_events(background, after=after, take=take),
            partial(events.find_last_position, background),
        )
        sessions = Sessions(self._db.fail_fast(), self._settings.admin_token, self._settings.viewer_token)
        server = self._server(self._rpcs(cancel_worker, accept, usage, tail, sessions), sessions)
        try:
            self.addresses = await self._listen(server, tls)
            log.info("api is listening", addresses=[f"{host}:{port}" for host, port in self.addresses])
            async with anyio.create_task_group() as group:
                group.start_soon(server.serve)
                group.start_soon(accept.run)
                group.start_soon(usage.run)
                group.start_soon(tail.run)
                group.start_soon(cancel_worker.run)
                group.start_soon(Retention(self._background, self._settings.retention).run)
                task_status.started()
                await stop.wait()
                await server.drain()
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_SECONDS):
                await server.close()

    async def _listen(self, server: Server, tls: ssl.SSLContext | None) -> list[tuple[str, int]]:
        settings = self._settings
        try:
            return await server.listen(settings.host, settings.port, tls)
        except OSError as error:
            raise AddressInUse.because("api.listen", f"{settings.host}:{settings.port}", error) from None

    def _accept_service(self) -> AcceptService:
        return AcceptService(
            self._db,
            self._settings.limits,
            self._bus,
            SendResCodec(),
            # The other half serves small sends and the administrator.
            SendLimiter(min(PLACES, max(1, self._db.size // 2))),
            suppression=self._settings.suppression,
            metrics=self._metrics,
            check_disk=self._check_disk,
            background=self._background,
        )

    def _rpcs(
        self,
        cancel_worker: CancelWorker,
        accept: AcceptService,
        usage: KeyUsage,
        tail: EventTail,
        sessions: Sessions,
    ) -> list[Rpc[Any]]:
        fail_fast = self._db.fail_fast()
        failed = FailedLogins()
        admin_authenticator = AdminAuthenticator(self._settings.admin_token, failed, self._settings.viewer_token)
        admin = admin_authenticator.authenticate

        async def find_grant(domain: str, secret_sha256: bytes) -> KeyGrant | None:
            return await api_keys.find_tenant(fail_fast, domain, secret_sha256)

        async def find_tenant_of_domain(domain: str) -> Tenant | None:
            return await api_keys.find_tenant_of_domain(fail_fast, domain)

        operations = OperationsMethods(
            self._db, notify_cancel_worker=cancel_worker.notify, notify_dispatcher=self._notify_dispatcher
        )
        dkim = DkimMethods(fail_fast, self._look_up, self._settings.retry_window, self._bus.notify_keys_changed)
        tenants = TenantCache(find_grant, clock=self._clock)
        keys = KeyAuthenticator(tenants.find, failed, usage.used)
        tenant = TenantAuthenticator(keys, admin_authenticator, find_tenant_of_domain).authenticate
        admin_methods = AdminMethods(fail_fast, self._settings.limits.max_bytes, tenants.clear)
        template_methods = TemplatesMethods(fail_fast, self._settings.limits.max_bytes)
        webhooks = WebhookMethods(
            fail_fast, allow_http=self._settings.webhooks_allow_http, notify=self._bus.notify_webhooks
        )
        window = self._settings.retry_window
        records = RecordMethods(fail_fast, self._look_up_record, self._settings.servers, window)
        services: list[Service[Any]] = [
            Service(_service(mailerapiv1_pb2, "Mailer"), MailerMethods(accept), tenant),
            Service(_service(mailer_pb2, "Mailer"), MailerV1Methods(accept, self._db, self._notify_dispatcher), tenant),
            Service(_service(adminapiv1_pb2, "Api"), admin_methods, admin),
            Service(_service(adminapiv1_pb2, "HZService"), HZMethods(self._checks), _open_to_anyone),
            Service(_service(statsapiv1_pb2, "StatsApiV1"), StatsV1Methods(self._db), admin),
            Service(_service(statsapiv2_pb2, "StatsApiV2"), StatsV2Methods(self._db), admin),
            Service(_service(operations_pb2, "Operations"), operations, admin),
            Service(_service(suppressions_pb2, "Suppressions"), SuppressionMethods(fail_fast, tenants.clear), admin),
            Service(_service(parked_pb2, "Parked"), DeadLetterMethods(self._bus), admin),
            Service(_service(destinations_pb2, "Destinations"), DestinationMethods(self._bus), admin),
            Service(_service(nodes_pb2, "Nodes"), NodeMethods(self._bus, self._settings.describe_config), admin),
            Service(_service(dkim_pb2, "Dkim"), dkim, admin),
            Service(_service(templates_pb2, "Templates"), template_methods, admin),
            Service(_service(webhooks_pb2, "Webhooks"), webhooks, admin),
            Service(_service(keys_pb2, "Keys"), KeyMethods(fail_fast, tenants.clear), admin),
            Service(_service(reputation_pb2, "Reputation"), ReputationMethods(fail_fast, self._settings.guard), admin),
            Service(_service(events_pb2, "Events"), EventMethods(self._db, tail), admin),
            Service(_service(audit_pb2, "Audit"), AuditMethods(fail_fast), admin),
            Service(_service(overview_pb2, "Overview"), OverviewMethods(self._db), admin),
            Service(_service(records_pb2, "Records"), records, admin),
            Service(_service(pages_pb2, "Pages"), PageMethods(sessions), admin),
        ]
        audit = StoredAuditLog(fail_fast)
        rpcs = [each for service in services for each in service.rpcs(self._metrics)]
        rpcs = [open_to_keys(audited(each, audit), keys, admin_authenticator) for each in rpcs]
        return [open_to_viewers(each, admin_authenticator) for each in rpcs]

    def _server(self, rpcs: list[Rpc[Any]], sessions: Sessions) -> Server:
        """Each method once for gRPC, once for HTTP and once for the pages."""
        ready = partial(check_schema, self._background.fail_fast())
        names = dict.fromkeys(each.descriptor.containing_service.full_name for each in rpcs)
        standard = standard_methods(list(names), ready)
        max_bytes = self._settings.max_request_bytes
        calls, own_pages = Calls(rpcs, max_message_bytes=max_bytes), pages(HZMethods(self._checks))
        pages_parts = PageParts(rpcs, sessions, self.failed_login, secure=bool(self._settings.tls_cert))
        return Server(
            standard | {each.path: GrpcMethod(each).handler() for each in rpcs},
            Router(calls, own_pages, mounts(pages_parts), self._settings.cors_origins),
            max_message_bytes=max_bytes,
        )

    async def _notify_dispatcher(self) -> None:
        """Saves the time until its next poll."""
        try:
            await self._bus.notify_dispatcher()
        except Unavailable as error:
            log.debug("cannot notify the dispatcher", reason=str(error))


async def _open_to_anyone(metadata: CallMetadata) -> None:
    return None


def _service(module: Any, name: str) -> ServiceDescriptor:
    descriptor: ServiceDescriptor = module.DESCRIPTOR.services_by_name[name]
    return descriptor
