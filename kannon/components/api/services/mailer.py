"""pkg.kannon.mailer.apiv1.Mailer and kannon.mailer.v1.Mailer: sends, for tenants.

In: protobuf requests whose API key is valid. Out: SendRes. Only converts; kannon.accept.service does the work.
"""

from collections.abc import Awaitable, Callable

import structlog

from kannon.accept.service import AcceptService
from kannon.components.api.callers import TenantCaller
from kannon.components.api.services.arguments import found, plain_text
from kannon.db.batches import reschedule_batch
from kannon.db.pool import Database
from kannon.errors import FailedPrecondition, InvalidArgument
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendRes, SendTemplateReq
from kannon.pb.mailer.v1 import mailer_pb2 as v1
from kannon.wire.events import timestamp
from kannon.wire.sends import SendMessage, to_raw_request, to_send_request, to_send_res
from kannon.wire.times import required_time

MAX_MESSAGE_ID = 300  # msg_<24>@<domain of at most 253>
log = structlog.get_logger(__name__)


class MailerMethods:
    def __init__(self, service: AcceptService) -> None:
        self._service = service

    async def SendHTML(self, caller: TenantCaller, request: SendHTMLReq) -> SendRes:
        return await self._send(caller, request)

    async def SendTemplate(self, caller: TenantCaller, request: SendTemplateReq) -> SendRes:
        return await self._send(caller, request)

    async def _send(self, caller: TenantCaller, request: SendMessage) -> SendRes:
        result = await self._service.accept(caller.tenant, to_send_request(request, caller.idempotency_key))
        return to_send_res(result)


class MailerV1Methods:
    """`notify_dispatcher` saves the time until its next look."""

    def __init__(self, service: AcceptService, db: Database, notify_dispatcher: Callable[[], Awaitable[None]]) -> None:
        self._service = service
        self._db = db
        self._notify_dispatcher = notify_dispatcher

    async def Send(self, caller: TenantCaller, request: v1.SendRequest) -> SendRes:
        result = await self._service.accept(caller.tenant, to_send_request(request, caller.idempotency_key))
        return to_send_res(result)

    async def SendRaw(self, caller: TenantCaller, request: v1.SendRawRequest) -> SendRes:
        result = await self._service.accept(caller.tenant, to_raw_request(request, caller.idempotency_key))
        return to_send_res(result)

    async def Reschedule(self, caller: TenantCaller, request: v1.RescheduleRequest) -> v1.RescheduleResponse:
        message_id, domain = request.message_id, caller.tenant.domain
        if not message_id:
            raise InvalidArgument("message_id", "must not be empty")
        plain_text(message_id, "message_id", longest=MAX_MESSAGE_ID)
        at = required_time(request, "scheduled_time")
        await self._db.fail_fast().ping()  # a large batch has no short time limit
        moved = found(await reschedule_batch(self._db, domain, message_id, at), f'message_id: no batch "{message_id}"')
        if moved.cancelled:
            raise FailedPrecondition(f'batch "{message_id}" is cancelled')
        if not moved.moved:
            raise FailedPrecondition(f'batch "{message_id}" has no delivery that can be moved: a sender had them all')
        await self._notify_dispatcher()
        log.info("batch rescheduled", batch=message_id, at=moved.scheduled_at.isoformat(), moved=moved.moved)
        return v1.RescheduleResponse(
            scheduled_time=timestamp(moved.scheduled_at), moved_count=moved.moved, left_count=moved.left
        )
