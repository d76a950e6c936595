"""/: is all well? Health, 24 hours by outcome, rates against the limits of mailbox providers, what waits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.responses import Response

from kannon.components.api.pages import chart
from kannon.components.api.pages.outcome import OUTCOMES, word
from kannon.components.api.pages.place import Place
from kannon.components.api.pages.remembered import Remembered
from kannon.components.api.pages.view import percent
from kannon.pb.admin.apiv1.adminapiv1_pb2 import HZRequest
from kannon.pb.admin.v1 import destinations_pb2, nodes_pb2, operations_pb2, overview_pb2

HOURS = 24
LAST_BATCHES = 8
MOST_DESTINATIONS = 1000
COMPLAINTS_WARN, COMPLAINTS_BAD = 0.1, 0.3
"""Percent of delivered mail. Gmail's and Yahoo's rules for senders: below 0.1 %, never 0.3 %."""
BOUNCES_WARN, BOUNCES_BAD = 2.0, 5.0
"""Percent of all outcomes: what most providers of mail services tell their customers to stay below."""


@dataclass(frozen=True, slots=True)
class Rate:
    name: str
    share: str
    look: str
    note: str


async def show(place: Place) -> Response:
    overview = await place.call("Overview.GetOverview", overview_pb2.GetOverviewRequest(hours=HOURS))
    health = await place.call("HZService.HZ", HZRequest())
    batches = await place.call("Operations.ListBatches", operations_pb2.ListBatchesRequest(take=LAST_BATCHES))
    pauses = await place.call("Operations.ListPauses", operations_pb2.ListPausesRequest())
    destinations = gathered_destinations(place).latest()
    return place.show(
        "overview.html",
        failing=dict(health.result),
        nodes=gathered_nodes(place).latest(),
        columns=outcomes(overview.hours),
        rates=rates(overview.hours),
        waiting=overview.waiting,
        total_waiting=sum(each.count for each in overview.waiting),
        overdue=max((each.overdue_seconds for each in overview.waiting), default=0.0),
        batches=batches.batches,
        pauses=pauses.pauses,
        destinations=destinations,
        trouble=[] if destinations is None else [each for each in destinations.destinations if in_trouble(each)][:8],
    )


def gathered_destinations(place: Place) -> Remembered[destinations_pb2.ListDestinationsResponse]:
    request = destinations_pb2.ListDestinationsRequest(take=MOST_DESTINATIONS)
    return place.remembered("Destinations.ListDestinations", request)


def gathered_nodes(place: Place) -> Remembered[nodes_pb2.ListNodesResponse]:
    return place.remembered("Nodes.ListNodes", nodes_pb2.ListNodesRequest())


def in_trouble(destination: destinations_pb2.Destination) -> bool:
    return destination.HasField("next_probe_seconds") or destination.last_verdict in ("deferred", "bounced", "failed")


def outcomes(counts: Iterable[overview_pb2.HourCount]) -> chart.Columns:
    by_type: dict[str, dict[datetime, int]] = {}
    for each in counts:
        by_type.setdefault(each.type, {})[each.hour.ToDatetime(UTC)] = each.count
    named = {word(kind): (mark, by_type.get(kind, {})) for kind, mark in OUTCOMES}
    return chart.columns(chart.hours_back(datetime.now(UTC), HOURS), named)


def rates(counts: Sequence[overview_pb2.HourCount]) -> list[Rate]:
    total: dict[str, int] = {}
    for each in counts:
        total[each.type] = total.get(each.type, 0) + each.count
    delivered, bounced = total.get("delivered", 0), total.get("bounced", 0)
    complained, ended = total.get("complained", 0), delivered + bounced + total.get("failed", 0)
    return [
        Rate("Delivered", percent(delivered, ended), "", f"{delivered} of {ended} that ended"),
        Rate("Bounced", percent(bounced, ended), _look(bounced, ended, BOUNCES_WARN, BOUNCES_BAD), "below 2 % is good"),
        Rate(
            "Complained",
            percent(complained, delivered),
            _look(complained, delivered, COMPLAINTS_WARN, COMPLAINTS_BAD),
            "providers want less than 0.1 %",
        ),
    ]


def _look(part: int, whole: int, warn: float, bad: float) -> str:
    share = 100 * part / whole if whole else 0.0
    if share >= bad:
        return "bad"
    return "warn" if share >= warn else "good" if whole else ""


PAGES = {"/": show}
