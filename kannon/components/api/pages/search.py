"""/search?q=: a mail by its recipient, its batch, its delivery id or its Message-ID, under way or over."""

from google.protobuf.message import Message
from grpclib.const import Status
from starlette.responses import Response

from kannon.components.api.pages.outcome import look, state_word, word
from kannon.components.api.pages.place import PAGE, Place
from kannon.components.api.pages.view import segment
from kannon.components.api.rpc import Refusal
from kannon.pb.admin.v1 import operations_pb2 as pb
from kannon.pb.stats.v1 import events_pb2

_MAX_DELIVERY = 19  # digits
_UNKNOWN = (Status.NOT_FOUND, Status.INVALID_ARGUMENT)


async def show(place: Place) -> Response:
    text = place.query("q").strip("<> ")
    if text.isascii() and text.isdecimal() and len(text) < _MAX_DELIVERY:
        if await _exists(place, "Operations.GetTimeline", pb.GetTimelineRequest(delivery_id=int(text))):
            return place.go(f"/deliveries/{int(text)}")
    elif text.startswith("msg_") and await _exists(place, "Operations.GetBatch", pb.GetBatchRequest(message_id=text)):
        return place.go(f"/batches/{segment(text)}")
    elif text and (delivery_id := await _by_message_id(place, text)):
        return place.go(f"/deliveries/{delivery_id}")
    cursor = place.query("after")
    waiting, events = await _to_address(place, text, cursor) if "@" in text else ([], events_pb2.ListEventsResponse())
    return place.show(
        "search.html",
        q=text,
        cursor=cursor,
        waiting=waiting,
        events=events.events,
        next_cursor=events.next_cursor if events.more else "",
        look=look,
        word=word,
        state_word=state_word,
    )


async def _exists(place: Place, method: str, request: Message) -> bool:
    try:
        await place.call(method, request)
    except Refusal as refused:
        if refused.status in _UNKNOWN:
            return False
        raise
    return True


async def _by_message_id(place: Place, text: str) -> int:
    """The delivery with this Message-ID; 0 where there is none under way."""
    try:
        found = await place.call("Operations.FindByMessageId", pb.FindByMessageIdRequest(header_message_id=text))
    except Refusal as refused:
        if refused.status in _UNKNOWN:
            return 0
        raise
    delivery_id: int = found.delivery_id
    return delivery_id


async def _to_address(place: Place, text: str, cursor: str) -> tuple[list[pb.Delivery], events_pb2.ListEventsResponse]:
    try:
        waiting = await place.call("Operations.ListDeliveries", pb.ListDeliveriesRequest(email=text, take=PAGE))
        request = events_pb2.ListEventsRequest(email=text, take=PAGE, newest_first=True, cursor=cursor)
        events = await place.call("Events.List", request)
    except Refusal as refused:
        if refused.status is Status.INVALID_ARGUMENT:
            return [], events_pb2.ListEventsResponse()
        raise
    return list(waiting.deliveries), events


PAGES = {"/search": show}
