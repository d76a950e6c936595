"""kannon.admin.v1.Webhooks: the endpoints of a domain, their attempts, tests and replays.

In: requests of the administrator. Out: endpoints without their secrets, but for the answer that makes one. Each change
is logged with its caller, and the component webhooks notified.
"""

import base64
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from kannon.components.api.callers import Caller
from kannon.components.api.services.arguments import domain_name, found, plain_text
from kannon.db import webhooks
from kannon.db.pool import Database
from kannon.errors import FailedPrecondition, InvalidArgument, LimitExceeded, NotFound
from kannon.mail import ids
from kannon.mail.webhook import MAX_BATCH, MAX_URL, Endpoint, url_problem
from kannon.pb.admin.v1 import webhooks_pb2 as pb
from kannon.wire.times import optional_time
from kannon.wire.webhooks import from_types, to_attempt, to_endpoint

MAX_ENDPOINTS = 20
"""Of a domain: each event is queued once for each."""
MAX_LISTED = 1000
MAX_ATTEMPTS = 100
BY_OPERATOR = "by the administrator"
_SECRET_BYTES = 24  # Standard Webhooks: 24 to 64
_MAX_ID = 64
log = structlog.get_logger(__name__)


class WebhookMethods:
    """`allow_http` is `webhooks.allow_http`. `notify` tells the component that something is due; it raises nothing."""

    def __init__(self, db: Database, *, allow_http: bool, notify: Callable[[], Awaitable[None]]) -> None:
        self._db = db
        self._allow_http = allow_http
        self._notify = notify

    async def CreateEndpoint(self, caller: Caller, request: pb.CreateEndpointRequest) -> pb.CreateEndpointResponse:
        domain = domain_name(request.domain)
        plain_text(request.url, "url", longest=MAX_URL)
        if problem := url_problem(request.url, allow_http=self._allow_http):
            raise InvalidArgument("url", problem)
        types = from_types(request.types)
        if request.max_batch > MAX_BATCH:
            raise InvalidArgument("max_batch", f"must not exceed {MAX_BATCH}")
        if await webhooks.count_endpoints(self._db, domain) >= MAX_ENDPOINTS:
            raise LimitExceeded(f'domain: "{domain}" has {MAX_ENDPOINTS} endpoints already')
        endpoint_id = ids.webhook_endpoint_id(secrets.token_bytes(ids.DRAW_BYTES))
        wanted = Endpoint(endpoint_id, domain, request.url, _new_secret(), types, request.max_batch or 1)
        endpoint = found(await webhooks.insert_endpoint(self._db, wanted), f'domain: no domain "{domain}"')
        log.info("webhook endpoint created", endpoint=endpoint.id, domain=domain, by=caller.attribution)
        return pb.CreateEndpointResponse(endpoint=to_endpoint(endpoint), secret=wanted.secret)

    async def ListEndpoints(self, caller: Caller, request: pb.ListEndpointsRequest) -> pb.ListEndpointsResponse:
        domain = domain_name(request.domain) if request.domain else ""
        endpoints = await webhooks.list_endpoints(self._db, domain, MAX_LISTED)
        return pb.ListEndpointsResponse(endpoints=[to_endpoint(each) for each in endpoints])

    async def GetEndpoint(self, caller: Caller, request: pb.GetEndpointRequest) -> pb.GetEndpointResponse:
        endpoint, waiting = await self._find(caller, request.id)
        return pb.GetEndpointResponse(endpoint=to_endpoint(endpoint), waiting=waiting)

    async def ListAttempts(self, caller: Caller, request: pb.ListAttemptsRequest) -> pb.ListAttemptsResponse:
        endpoint, _ = await self._find(caller, request.id)
        attempts = await webhooks.list_attempts(self._db, endpoint.id, min(request.take, MAX_ATTEMPTS))
        return pb.ListAttemptsResponse(attempts=[to_attempt(each) for each in attempts])

    async def RotateSecret(self, caller: Caller, request: pb.RotateSecretRequest) -> pb.RotateSecretResponse:
        endpoint, _ = await self._find(caller, request.id)
        secret = _new_secret()
        endpoint = _there(await webhooks.rotate_secret(self._db, endpoint.id, secret), request.id)
        log.info("webhook secret rotated", endpoint=endpoint.id, domain=endpoint.domain, by=caller.attribution)
        return pb.RotateSecretResponse(endpoint=to_endpoint(endpoint), secret=secret)

    async def TestEndpoint(self, caller: Caller, request: pb.TestEndpointRequest) -> pb.TestEndpointResponse:
        endpoint, _ = await self._find(caller, request.id)
        if not endpoint.enabled:
            raise FailedPrecondition(f"id: the endpoint is off ({endpoint.disabled_reason}); enable it first")
        event_id = f"test_{secrets.token_hex(12)}"
        data = {"domain": endpoint.domain, "endpoint_id": endpoint.id}
        await webhooks.queue_test(self._db, endpoint.id, event_id, data)
        await self._notify()
        return pb.TestEndpointResponse(event_id=event_id)

    async def ReplayEvents(self, caller: Caller, request: pb.ReplayEventsRequest) -> pb.ReplayEventsResponse:
        endpoint, _ = await self._find(caller, request.id)
        from_time = optional_time(request, "from_date")
        if from_time is None:
            raise InvalidArgument("from_date", "must be given")
        to_time = optional_time(request, "to_date") or datetime.now(UTC)
        if to_time <= from_time:
            raise InvalidArgument("to_date", "must be after from_date")
        if not endpoint.enabled:
            raise FailedPrecondition(f"id: the endpoint is off ({endpoint.disabled_reason}); enable it first")
        # With the long time-outs: the count may read millions of events.
        db = replace(self._db, hold_timeout=None)
        count = await webhooks.insert_replay(db, endpoint, from_time, to_time)
        await self._notify()
        log.info("webhook events replayed", endpoint=endpoint.id, count=count, by=caller.attribution)
        return pb.ReplayEventsResponse(count=count)

    async def SetEndpointEnabled(
        self, caller: Caller, request: pb.SetEndpointEnabledRequest
    ) -> pb.SetEndpointEnabledResponse:
        endpoint, _ = await self._find(caller, request.id)
        if request.enabled:
            changed = await webhooks.enable_endpoint(self._db, endpoint.id)
            await self._notify()
        else:
            changed = await webhooks.disable_endpoint(self._db, endpoint.id, BY_OPERATOR)
        log.info("webhook endpoint switched", endpoint=endpoint.id, enabled=request.enabled, by=caller.attribution)
        return pb.SetEndpointEnabledResponse(endpoint=to_endpoint(_there(changed, request.id)))

    async def DeleteEndpoint(self, caller: Caller, request: pb.DeleteEndpointRequest) -> pb.DeleteEndpointResponse:
        endpoint, _ = await self._find(caller, request.id)
        if not await webhooks.delete_endpoint(self._db, endpoint.id):
            raise _missing(request.id)
        log.info("webhook endpoint deleted", endpoint=endpoint.id, domain=endpoint.domain, by=caller.attribution)
        return pb.DeleteEndpointResponse()

    async def _find(self, caller: Caller, endpoint_id: str) -> tuple[Endpoint, int]:
        plain_text(endpoint_id, "id", longest=_MAX_ID)
        result = await webhooks.find_endpoint(self._db, endpoint_id)
        if result is None or (caller.domain and result[0].domain != caller.domain):
            raise _missing(endpoint_id)
        return result


def _there(endpoint: Endpoint | None, endpoint_id: str) -> Endpoint:
    """It may have been deleted meanwhile."""
    if endpoint is None:
        raise _missing(endpoint_id)
    return endpoint


def _missing(endpoint_id: str) -> NotFound:
    return NotFound(f'id: no webhook endpoint "{endpoint_id}"')


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
