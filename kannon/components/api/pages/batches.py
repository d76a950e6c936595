"""/batches: all, the newest first. /batches/ID: how far it is, what became of it, who read it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.responses import Response

from kannon.components.api.pages import chart
from kannon.components.api.pages.forms import Form
from kannon.components.api.pages.outcome import LOOKS, look, state_word, word
from kannon.components.api.pages.place import PAGE, Place
from kannon.components.api.pages.view import segment
from kannon.pb.admin.v1 import operations_pb2 as pb
from kannon.pb.admin.v1 import overview_pb2
from kannon.pb.stats.apiv1 import statsapiv1_pb2 as stats

_DAY = 24


async def list_(place: Place) -> Response:
    domain, tag, cursor = place.query("domain"), place.query("tag"), place.query("after")
    request = pb.ListBatchesRequest(domain=domain, tag=tag, cursor=cursor, take=PAGE)
    found = await place.call("Operations.ListBatches", request)
    return place.show(
        "batches.html", batches=found.batches, domain=domain, tag=tag, cursor=cursor, next_cursor=found.next_cursor
    )


async def show(place: Place) -> Response:
    message_id = place.part("id")
    progress = await place.call("Operations.GetBatch", pb.GetBatchRequest(message_id=message_id))
    engagement = await place.call("Overview.GetEngagement", overview_pb2.GetEngagementRequest(message_id=message_id))
    counts = {each.type: each.count for each in progress.events}
    return place.show(
        "batch.html",
        batch=progress.batch,
        waiting=dict(progress.waiting),
        events=progress.events,
        bar=chart.shares(_parts(progress.batch, counts)),
        reading=_reading(engagement),
        links=engagement.links,
        look=look,
        word=word,
        state_word=state_word,
        **await _recipients(place, progress.batch),
    )


def _parts(batch: pb.Batch, counts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    return [
        ("delivered", "s1", counts.get("delivered", 0)),
        ("waiting", "s2", batch.waiting_count),
        ("bounced", "s3", counts.get("bounced", 0)),
        ("failed", "s4", counts.get("failed", 0)),
    ]


async def _recipients(place: Place, batch: pb.Batch) -> dict[str, object]:
    """A page of the events of one type, or of the waiting deliveries."""
    kind, cursor = place.query("show") or "waiting", place.query("after")
    if kind in LOOKS:
        request = stats.GetStatsReq(
            domain=batch.domain, message_id=batch.message_id, types=[kind], page_token=cursor, take=PAGE
        )
        found = await place.call("StatsApiV1.GetStats", request)
        return {"kind": kind, "rows": found.stats, "cursor": cursor, "next_cursor": found.next_page_token}
    wanted = pb.ListDeliveriesRequest(message_id=batch.message_id, cursor=cursor, take=PAGE)
    waiting = await place.call("Operations.ListDeliveries", wanted)
    return {"kind": "waiting", "rows": waiting.deliveries, "cursor": cursor, "next_cursor": waiting.next_cursor}


def _reading(engagement: overview_pb2.GetEngagementResponse) -> chart.Columns | None:
    """The first day of opens and clicks; None without any."""
    if not engagement.hours:
        return None
    by_type: dict[str, dict[datetime, int]] = {"opened": {}, "clicked": {}}
    for each in engagement.hours:
        by_type[each.type][each.hour.ToDatetime(UTC)] = each.count
    first = min(each.hour.ToDatetime(UTC) for each in engagement.hours)
    hours = chart.hours_back(first, 1)
    while len(hours) < _DAY:
        hours.append(datetime.fromtimestamp(hours[-1].timestamp() + 3600, UTC))
    return chart.columns(hours, {"opened": ("s1", by_type["opened"]), "clicked": ("s2", by_type["clicked"])})


async def pause(place: Place, form: Form) -> Response:
    await place.call("Operations.Pause", pb.PauseRequest(message_id=place.part("id")))
    return place.go(f"/batches/{segment(place.part('id'))}", done="paused")


async def resume(place: Place, form: Form) -> Response:
    await place.call("Operations.Resume", pb.ResumeRequest(message_id=place.part("id")))
    return place.go(f"/batches/{segment(place.part('id'))}", done="resumed")


async def cancel(place: Place, form: Form) -> Response:
    await place.call("Operations.CancelBatch", pb.CancelBatchRequest(message_id=place.part("id")))
    return place.go(f"/batches/{segment(place.part('id'))}", done="cancelled")


PAGES = {"/batches": list_, "/batches/{id}": show}
ACTIONS = {"/batches/{id}/pause": pause, "/batches/{id}/resume": resume, "/batches/{id}/cancel": cancel}
