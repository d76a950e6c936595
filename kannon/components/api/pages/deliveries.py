"""/deliveries: the queue, the next due first. /deliveries/ID: why a mail has not arrived, and what can be done."""

from grpclib.const import Status
from starlette.responses import Response

from kannon.components.api.pages.forms import Form
from kannon.components.api.pages.outcome import STATES, look, state_word, word
from kannon.components.api.pages.place import PAGE, Place
from kannon.components.api.rpc import Refusal
from kannon.pb.admin.v1 import operations_pb2 as pb
from kannon.pb.admin.v1 import suppressions_pb2

ENDS = frozenset({"delivered", "bounced", "failed", "rejected"})


async def list_(place: Place) -> Response:
    domain, state, email = place.query("domain"), place.query("state"), place.query("email")
    batch, cursor = place.query("batch"), place.query("after")
    request = pb.ListDeliveriesRequest(
        domain=domain, state=state, email=email, message_id=batch, cursor=cursor, take=PAGE
    )
    found = await place.call("Operations.ListDeliveries", request)
    return place.show(
        "deliveries.html",
        deliveries=found.deliveries,
        total=found.total,
        cursor=cursor,
        next_cursor=found.next_cursor,
        filters={"domain": domain, "state": state, "email": email, "batch": batch},
        states=STATES,
        state_word=state_word,
    )


async def show(place: Place) -> Response:
    delivery_id = place.part("id")
    timeline = await place.call("Operations.GetTimeline", pb.GetTimelineRequest(delivery_id=int(delivery_id)))
    waiting = timeline.waiting if timeline.HasField("waiting") else None
    events = list(timeline.events)
    subject = waiting or events[0]
    return place.show(
        "delivery.html",
        id=delivery_id,
        waiting=waiting,
        events=events,
        email=subject.email,
        domain=subject.domain,
        batch=subject.message_id,
        ended=next((each for each in reversed(events) if each.type in ENDS), None),
        look=look,
        word=word,
        state_word=state_word,
    )


async def retry(place: Place, form: Form) -> Response:
    delivery_id = place.part("id")
    await place.call("Operations.RetryNow", pb.RetryNowRequest(delivery_id=int(delivery_id)))
    return place.go(f"/deliveries/{delivery_id}", done="retried")


async def cancel(place: Place, form: Form) -> Response:
    delivery_id = place.part("id")
    await place.call("Operations.CancelDelivery", pb.CancelDeliveryRequest(delivery_id=int(delivery_id)))
    return place.go(f"/deliveries/{delivery_id}", done="cancelled")


async def suppress(place: Place, form: Form) -> Response:
    """The address of the delivery, for its domain."""
    delivery_id = place.part("id")
    timeline = await place.call("Operations.GetTimeline", pb.GetTimelineRequest(delivery_id=int(delivery_id)))
    subject = timeline.waiting if timeline.HasField("waiting") else timeline.events[0]
    if subject.email.rpartition("@")[2].startswith("track."):
        raise Refusal(Status.FAILED_PRECONDITION, "this event does not say whose it is")
    entry = suppressions_pb2.Suppression(email=subject.email, note=f"delivery {delivery_id}")
    request = suppressions_pb2.AddSuppressionsRequest(domain=subject.domain, suppressions=[entry])
    await place.call("Suppressions.AddSuppressions", request)
    return place.go(f"/deliveries/{delivery_id}", done="suppressed")


PAGES = {"/deliveries": list_, "/deliveries/{id:int}": show}
ACTIONS = {
    "/deliveries/{id:int}/retry": retry,
    "/deliveries/{id:int}/cancel": cancel,
    "/deliveries/{id:int}/suppress": suppress,
}
