"""/dead-letters: messages of the bus that no component could handle."""

from starlette.responses import Response

from kannon.components.api.pages.forms import Form
from kannon.components.api.pages.place import PAGE, Place
from kannon.pb.admin.v1 import parked_pb2 as pb


async def show(place: Place) -> Response:
    after = place.number("after")
    found = await place.call("Parked.ListParked", pb.ListParkedRequest(after=after, take=PAGE))
    messages = list(found.messages)
    last = messages[-1].sequence if len(messages) == PAGE else 0
    return place.show("dead_letters.html", messages=messages, total=found.total, after=after, last=last)


async def retry(place: Place, form: Form) -> Response:
    await place.call("Parked.RetryParked", pb.RetryParkedRequest(sequence=form.number("sequence")))
    return place.go("/dead-letters", done="republished")


async def delete(place: Place, form: Form) -> Response:
    await place.call("Parked.DeleteParked", pb.DeleteParkedRequest(sequence=form.number("sequence")))
    return place.go("/dead-letters", done="deleted")


PAGES = {"/dead-letters": show}
ACTIONS = {"/dead-letters/retry": retry, "/dead-letters/delete": delete}
