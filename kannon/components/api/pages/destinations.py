"""/destinations: each set of mail servers as each sender sees it now; pause and resume a domain of recipients."""

from starlette.responses import Response

from kannon.components.api.pages.forms import Form
from kannon.components.api.pages.overview import in_trouble
from kannon.components.api.pages.place import Place
from kannon.pb.admin.v1 import destinations_pb2
from kannon.pb.admin.v1 import operations_pb2 as pb

MOST = 200


async def show(place: Place) -> Response:
    host = place.query("host")
    request = destinations_pb2.ListDestinationsRequest(host=host, take=MOST)
    found = await place.call("Destinations.ListDestinations", request)
    pauses = await place.call("Operations.ListPauses", pb.ListPausesRequest())
    return place.show(
        "destinations.html",
        host=host,
        destinations=found.destinations,
        total=found.total,
        senders=found.senders,
        pauses=pauses.pauses,
        in_trouble=in_trouble,
    )


async def pause(place: Place, form: Form) -> Response:
    await place.call("Operations.Pause", pb.PauseRequest(destination=form.text("destination")))
    return place.go("/destinations", done="paused")


async def resume(place: Place, form: Form) -> Response:
    """Of a batch, a domain or a destination."""
    kind = form.text("kind")
    subject = {kind: form.text("subject")} if kind in ("message_id", "domain", "destination") else {}
    await place.call("Operations.Resume", pb.ResumeRequest(**subject))
    return place.go("/destinations", done="resumed")


async def retry(place: Place, form: Form) -> Response:
    await place.call("Operations.RetryNow", pb.RetryNowRequest(destination=form.text("destination")))
    return place.go("/destinations", done="retried")


PAGES = {"/destinations": show}
ACTIONS = {"/destinations/pause": pause, "/destinations/resume": resume, "/destinations/retry": retry}
