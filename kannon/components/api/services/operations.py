"""kannon.admin.v1.Operations: shows batches and deliveries under way; cancels, pauses and retries them.

In: requests of the administrator. Out: pages, timelines, counts. No call needs the bus: a cancellation is committed as
a mark before the answer, and kannon.components.api.cancel_worker completes it.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from kannon.components.api.callers import Admin, Caller
from kannon.components.api.services.arguments import BEGINNING, MAX_MESSAGE_ID, MAX_PAGE, domain_name, found, plain_text
from kannon.db import cancellations, domains, inspect, pauses
from kannon.db.inspect import HELD, DeliveryFilter
from kannon.db.pool import Database
from kannon.db.stats_read import Span
from kannon.errors import InvalidArgument, NotFound
from kannon.mail.delivery import State
from kannon.mail.labels import check_tag
from kannon.mail.pauses import Scope, name_variants
from kannon.mail.send_request import MAX_ADDRESS
from kannon.pb.admin.v1 import operations_pb2 as pb
from kannon.wire.events import to_stats
from kannon.wire.operations import to_batch, to_delivery, to_pause, to_progress
from kannon.wire.times import optional_time

_LARGEST_ID = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CURSOR = 400
_SCOPES = {"message_id": Scope.BATCH, "domain": Scope.DOMAIN, "destination": Scope.DESTINATION}
log = structlog.get_logger(__name__)

NotifyCancelWorker = Callable[[], None]
NotifyDispatcher = Callable[[], Awaitable[None]]


class OperationsMethods:
    """`notify_cancel_worker` and `notify_dispatcher` save the time until their next look. Long lists and changes of
    whole batches have no short time limit, so a quick query comes first: it fails while PostgreSQL is away."""

    def __init__(
        self, db: Database, *, notify_cancel_worker: NotifyCancelWorker, notify_dispatcher: NotifyDispatcher
    ) -> None:
        self._db, self._fail_fast = db, db.fail_fast()
        self._notify_cancel_worker = notify_cancel_worker
        self._notify_dispatcher = notify_dispatcher

    async def ListBatches(self, caller: Caller, request: pb.ListBatchesRequest) -> pb.ListBatchesResponse:
        domain = domain_name(request.domain) if request.domain else ""
        from_time = optional_time(request, "from_date") or BEGINNING
        to_time = optional_time(request, "to_date") or datetime.now(UTC) + timedelta(days=1)
        check_tag(request.tag)
        _check_cursor(request)
        take = min(request.take, MAX_PAGE)
        if domain:
            await self._check_domain(domain)
        if domain and not request.cursor:
            page, total = await inspect.list_batches(
                self._db, domain, Span(from_time, to_time), skip=request.skip, take=take, tag=request.tag
            )
        else:
            after = _batch_cursor(request.cursor)
            made, total = Span(from_time, to_time), 0
            page = await inspect.list_batches_after(self._db, domain, made, after=after, take=take, tag=request.tag)
        more = _to_cursor(page[-1].created_at, page[-1].message_id) if page and len(page) == take else ""
        return pb.ListBatchesResponse(batches=[to_batch(b) for b in page], total=total, next_cursor=more)

    async def GetBatch(self, caller: Caller, request: pb.GetBatchRequest) -> pb.GetBatchResponse:
        message_id = _message_id(request.message_id)
        progress = await inspect.find_batch_progress(self._fail_fast, message_id)
        return to_progress(found(progress, _no_batch(message_id)))

    async def ListDeliveries(self, caller: Caller, request: pb.ListDeliveriesRequest) -> pb.ListDeliveriesResponse:
        if request.state and request.state not in frozenset(State):
            raise InvalidArgument("state", f"is none of {', '.join(State)}")
        plain_text(request.message_id, "message_id", longest=MAX_MESSAGE_ID)
        plain_text(request.email, "email", longest=MAX_ADDRESS)
        check_tag(request.tag)
        domain = domain_name(request.domain) if request.domain else ""
        if domain:
            await self._check_domain(domain)
        else:
            await self._fail_fast.ping()
        _check_cursor(request)
        page, total, after = await inspect.list_waiting(
            self._db,
            domain=domain,
            message_id=request.message_id,
            email=request.email,
            state=request.state,
            skip=request.skip,
            take=min(request.take, MAX_PAGE),
            tag=request.tag,
            after=_delivery_cursor(request.cursor),
        )
        more = "" if after is None else _to_cursor(*after)
        return pb.ListDeliveriesResponse(deliveries=[to_delivery(d) for d in page], total=total, next_cursor=more)

    async def GetTimeline(self, caller: Caller, request: pb.GetTimelineRequest) -> pb.GetTimelineResponse:
        delivery_id = await self._delivery_of(caller, request)
        events, waiting = await inspect.find_timeline(self._fail_fast, delivery_id)
        domains_found = {each.domain for each in (*events, waiting) if each is not None}
        if not domains_found or (caller.domain and domains_found != {caller.domain}):
            raise NotFound(_no_delivery(delivery_id))
        return pb.GetTimelineResponse(
            events=[to_stats(event) for event in events], waiting=None if waiting is None else to_delivery(waiting)
        )

    async def FindByMessageId(self, caller: Admin, request: pb.FindByMessageIdRequest) -> pb.FindByMessageIdResponse:
        text = request.header_message_id.strip().removeprefix("<").removesuffix(">")
        plain_text(text, "header_message_id", longest=MAX_MESSAGE_ID)
        local, _, domain = text.rpartition("@")
        if not local:
            raise InvalidArgument("header_message_id", "is not the Message-ID of a mail")
        name = domain_name(domain, "header_message_id")
        delivery_id = await inspect.find_by_message_id(self._fail_fast, local.lower(), name)
        missing = f'header_message_id: no delivery under way has the Message-ID "{text}"'
        return pb.FindByMessageIdResponse(delivery_id=found(delivery_id, missing))

    async def _delivery_of(self, caller: Caller, request: pb.GetTimelineRequest) -> int:
        if request.delivery_id:
            return _delivery_id(request.delivery_id)
        if not request.message_id:
            raise InvalidArgument("delivery_id", "is required, or message_id and email")
        message_id, email = _message_id(request.message_id), request.email.strip()
        if not email:
            raise InvalidArgument("email", "must not be empty")
        plain_text(email, "email", longest=MAX_ADDRESS)
        delivery_id = None
        if not caller.domain or message_id.rpartition("@")[2] == caller.domain:
            delivery_id = await inspect.find_delivery_id(self._fail_fast, message_id, email)
        return found(delivery_id, f'email: no delivery to "{email}" in batch "{message_id}"')

    async def CancelBatch(self, caller: Admin, request: pb.CancelBatchRequest) -> pb.CancelBatchResponse:
        message_id = _message_id(request.message_id)
        await self._check_batch(message_id)
        marked = found(await cancellations.cancel_batch(self._db, message_id), _no_batch(message_id))
        await pauses.end_pause(self._fail_fast, Scope.BATCH, message_id)
        self._notify_cancel_worker()
        log.info(
            "batch cancelled",
            batch=message_id,
            cancelled=marked.cancelled,
            under_way=marked.under_way,
            by=caller.attribution,
        )
        return pb.CancelBatchResponse(cancelled_count=marked.cancelled, under_way_count=marked.under_way)

    async def CancelDelivery(self, caller: Admin, request: pb.CancelDeliveryRequest) -> pb.CancelDeliveryResponse:
        delivery_id = _delivery_id(request.delivery_id)
        waiting = await inspect.find_waiting(self._fail_fast, delivery_id)
        found(waiting, f"delivery_id: delivery {delivery_id} is not under way")
        marked = await cancellations.cancel_delivery(self._fail_fast, delivery_id)
        self._notify_cancel_worker()
        log.info("delivery cancelled", delivery=delivery_id, under_way=marked.under_way, by=caller.attribution)
        return pb.CancelDeliveryResponse(under_way=marked.under_way > 0)

    async def Pause(self, caller: Admin, request: pb.PauseRequest) -> pb.PauseResponse:
        scope, subject = await self._subject(request)
        pause = await pauses.insert_pause(self._fail_fast, scope, subject)
        log.info("paused", scope=scope.value, subject=subject, by=caller.attribution)
        return pb.PauseResponse(pause=to_pause(pause))

    async def Resume(self, caller: Admin, request: pb.ResumeRequest) -> pb.ResumeResponse:
        scope, subject = await self._subject(request)
        await pauses.end_pause(self._fail_fast, scope, subject)
        released = await pauses.finish_pauses(self._fail_fast)  # page by page
        await self._notify_dispatcher()
        log.info("resumed", scope=scope.value, subject=subject, released=released, by=caller.attribution)
        return pb.ResumeResponse(released_count=released)

    async def ListPauses(self, caller: Admin, request: pb.ListPausesRequest) -> pb.ListPausesResponse:
        return pb.ListPausesResponse(pauses=[to_pause(pause) for pause in await pauses.list_pauses(self._fail_fast)])

    async def RetryNow(self, caller: Admin, request: pb.RetryNowRequest) -> pb.RetryNowResponse:
        which = DeliveryFilter(
            message_id=_message_id(request.message_id) if request.message_id else "",
            delivery_id=_delivery_id(request.delivery_id) if request.delivery_id else 0,
            domain=domain_name(request.domain) if request.domain else "",
            destinations=_destinations(request.destination),
        )
        if which == DeliveryFilter():
            raise InvalidArgument("message_id", "is required, or delivery_id, domain or destination")
        if which.message_id:
            await self._check_batch(which.message_id)
        if which.domain:
            await self._check_domain(which.domain)
        await self._fail_fast.ping()
        count = await inspect.retry_now(self._db, which)
        await self._notify_dispatcher()
        log.info("deliveries retried", **which.log_fields(), count=count, by=caller.attribution)
        return pb.RetryNowResponse(count=count)

    async def _subject(self, request: pb.PauseRequest | pb.ResumeRequest) -> tuple[Scope, str]:
        """The scope and name of a pause. A batch or tenant domain must exist."""
        field = request.WhichOneof("subject")
        if field is None:
            raise InvalidArgument("subject", "is required: message_id, domain or destination")
        scope, text = _SCOPES[field], getattr(request, field)
        if scope is Scope.BATCH:
            await self._check_batch(_message_id(text))
            return scope, text
        name = domain_name(text, field)
        if scope is Scope.DOMAIN:
            await self._check_domain(name)
        return scope, name

    async def _check_domain(self, domain: str) -> None:
        found(await domains.find_domain(self._fail_fast, domain), f'domain: no domain "{domain}"')

    async def _check_batch(self, message_id: str) -> None:
        if not await inspect.batch_exists(self._fail_fast, message_id):
            raise NotFound(_no_batch(message_id))


def _check_cursor(request: pb.ListBatchesRequest | pb.ListDeliveriesRequest) -> None:
    plain_text(request.cursor, "cursor", longest=MAX_CURSOR)
    if request.cursor and request.skip:
        raise InvalidArgument("skip", "excludes cursor")
    if request.tag and not request.domain:
        raise InvalidArgument("tag", "needs domain")
    if request.tag and request.cursor and isinstance(request, pb.ListDeliveriesRequest):
        raise InvalidArgument("cursor", "excludes tag")


def _to_cursor(at: datetime, last: str | int) -> str:
    """The place of the last row of a page; a delivery that is held has no time, and is after all others."""
    micros = "held" if at >= HELD else str((at - _EPOCH) // timedelta(microseconds=1))
    return f"{micros}.{last}"


def _batch_cursor(cursor: str) -> tuple[datetime, str] | None:
    micros, _, message_id = cursor.partition(".")
    return (_cursor_time(micros), message_id) if cursor else None


def _delivery_cursor(cursor: str) -> tuple[datetime, int] | None:
    micros, _, number = cursor.partition(".")
    if cursor and not (number.isascii() and number.isdecimal() and int(number) <= _LARGEST_ID):
        raise InvalidArgument("cursor", "is not the next_cursor of an answer")
    return (HELD if micros == "held" else _cursor_time(micros), int(number)) if cursor else None


def _cursor_time(micros: str) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=int(micros))
    except (ValueError, OverflowError):
        raise InvalidArgument("cursor", "is not the next_cursor of an answer") from None


def _destinations(text: str) -> list[str] | tuple[()]:
    return name_variants(Scope.DESTINATION, domain_name(text, "destination")) if text else ()


def _message_id(text: str) -> str:
    if not text:
        raise InvalidArgument("message_id", "must not be empty")
    plain_text(text, "message_id", longest=MAX_MESSAGE_ID)
    return text


def _delivery_id(number: int) -> int:
    if not 0 < number <= _LARGEST_ID:
        raise InvalidArgument("delivery_id", "is not the id of a delivery")
    return number


def _no_batch(message_id: str) -> str:
    return f'message_id: no batch "{message_id}"'


def _no_delivery(delivery_id: int) -> str:
    return f"delivery_id: no delivery {delivery_id}"
