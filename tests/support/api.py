"""A running API on loopback, a client of it, and the tenants that tests begin with."""

import base64
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from kannon.bus.dead_letters import DeadLetter
from kannon.components.api import Api, ApiSettings
from kannon.components.api.component import ApiBus, Metrics
from kannon.components.api.services.health import Check
from kannon.db.pool import Database
from kannon.dns_lookup import make_lookup, make_txt_lookup
from kannon.errors import Unavailable
from kannon.mail.destination import SenderView
from kannon.mail.event import Event
from kannon.mail.send_request import Limits
from kannon.metrics.null_metrics import NULL_METRICS
from kannon.pb.admin.apiv1.adminapiv1_grpc import ApiStub
from kannon.pb.admin.apiv1.adminapiv1_pb2 import CreateAPIKeyRequest, CreateDomainRequest
from kannon.pb.admin.v1 import nodes_pb2
from kannon.pb.mailer.apiv1.mailerapiv1_grpc import MailerStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from kannon.pb.tracking.types.tracking_pb2 import TrackingPolicy

TOKEN = "test-admin-token"
VIEWER_TOKEN = "test-viewer-token"
ADMIN = {"x-kannon-admin-token": TOKEN}
LIMITS = Limits(max_bytes=1 << 20, max_recipients=1000)


@dataclass
class NoBus:
    """Stands in for the bus, in tests that are not about it."""

    notifications: int = 0
    key_changes: int = 0
    error: Exception | None = None

    async def notify_validator(self) -> None:
        self.notifications += 1
        if self.error is not None:
            raise self.error

    async def notify_dispatcher(self) -> None:
        await self.notify_validator()

    async def notify_keys_changed(self) -> None:
        self.key_changes += 1

    async def notify_webhooks(self) -> None:
        pass

    async def publish_events(self, events: Sequence[Event]) -> None:
        raise Unavailable("NATS: not connected")

    async def list_dead_letters(self, *, after: int, take: int) -> tuple[list[DeadLetter], int]:
        raise Unavailable("NATS: not connected")

    async def retry_dead_letters(self, sequence: int) -> bool:
        raise Unavailable("NATS: not connected")

    async def delete_dead_letters(self, sequence: int) -> bool:
        raise Unavailable("NATS: not connected")

    async def gather_destinations(self) -> list[SenderView]:
        raise Unavailable("NATS: not connected")

    async def gather_nodes(self) -> list[nodes_pb2.Node]:
        raise Unavailable("NATS: not connected")


@dataclass
class RunningApi:
    api: Api
    channel: Channel
    bus: ApiBus
    stop: anyio.Event
    host: str
    port: int
    admin: ApiStub = field(init=False)
    mailer: MailerStub = field(init=False)

    def __post_init__(self) -> None:
        self.admin = ApiStub(self.channel)
        self.mailer = MailerStub(self.channel)

    async def create_domain(self, name: str) -> None:
        await self.admin.CreateDomain(CreateDomainRequest(domain=name), metadata=ADMIN)

    async def create_key(self, domain: str, name: str = "test") -> dict[str, str]:
        """The metadata of a call with this key."""
        response = await self.admin.CreateAPIKey(CreateAPIKeyRequest(domain=domain, name=name), metadata=ADMIN)
        return basic(domain, response.key)


@asynccontextmanager
async def running_api(
    db: Database,
    *,
    checks: Mapping[str, Check] | None = None,
    limits: Limits = LIMITS,
    max_request_bytes: int = 4 << 20,
    bus: ApiBus | None = None,
    suppression: bool = True,
    nameservers: Sequence[str] = ("127.0.0.1:1",),
    retry_window: timedelta = timedelta(hours=24),
    background: Database | None = None,
    clock: Callable[[], float] = time.monotonic,
    metrics: Metrics = NULL_METRICS,
    admin_token: str = TOKEN,
    failed_login: Callable[[str], float] | None = None,
    cors_origins: Sequence[str] = (),
) -> AsyncIterator[RunningApi]:
    settings = ApiSettings(
        "127.0.0.1",
        0,
        admin_token,
        max_request_bytes,
        limits,
        suppression,
        retry_window,
        viewer_token=VIEWER_TOKEN,
        cors_origins=cors_origins,
    )
    bus = bus or NoBus()
    look_up = make_txt_lookup(nameservers)
    look_up_record = make_lookup(nameservers)
    api = Api(settings, db, bus, checks or {}, look_up, look_up_record, metrics, background=background, clock=clock)
    if failed_login is not None:
        api.failed_login = failed_login
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        await group.start(api.run, stop)
        host, port = api.addresses[0]
        channel = Channel(host, port)
        try:
            yield RunningApi(api, channel, bus, stop, host, port)
        finally:
            channel.close()
            stop.set()


def basic(domain: str, key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{domain}:{key}".encode()).decode()}


def a_send(**changes: Any) -> SendHTMLReq:
    """A send that is accepted, for the tenant example.com."""
    values: dict[str, Any] = {
        "sender": Sender(email="news@example.com", alias="News"),
        "subject": "Hello",
        "html": "<p>Hello {{ name }}</p>",
        "recipients": [Recipient(email="bob@example.net", fields={"name": "Bob"})],
    }
    return SendHTMLReq(**(values | changes))


def policy(opens: int, links: int) -> TrackingPolicy:
    message = TrackingPolicy()
    message.opens = opens  # type: ignore[assignment]  # proto enums are ints at run time
    message.links = links  # type: ignore[assignment]
    return message


async def refusal(call: Any) -> tuple[Status, str]:
    """The status and text that an awaited call ends with; (OK, "") if it succeeds."""
    try:
        await call
    except GRPCError as error:
        return error.status, error.message or ""
    return Status.OK, ""
