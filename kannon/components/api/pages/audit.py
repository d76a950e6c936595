"""/audit: who changed what."""

from starlette.responses import Response

from kannon.components.api.changes import CHANGES
from kannon.components.api.pages.place import PAGE, Place
from kannon.pb.admin.v1 import audit_pb2 as pb


async def show(place: Place) -> Response:
    domain, action, before = place.query("domain"), place.query("action"), place.number("before")
    request = pb.ListAuditRequest(before=before, take=PAGE + 1, domain=domain, action=action)
    entries = list((await place.call("Audit.ListAudit", request)).entries)
    last = entries[PAGE - 1].id if len(entries) > PAGE else 0
    return place.show(
        "audit.html", entries=entries[:PAGE], last=last, domain=domain, action=action, actions=sorted(CHANGES)
    )


PAGES = {"/audit": show}
