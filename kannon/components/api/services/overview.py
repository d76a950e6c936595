"""kannon.admin.v1.Overview: how it goes with all domains together, and with one batch.

An overview of 24 hours holds for a second, so that many browsers that watch do not cost a query each.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio

from kannon.components.api.callers import Admin
from kannon.components.api.services.arguments import MAX_MESSAGE_ID, found, plain_text
from kannon.db import inspect, metrics, stats_read
from kannon.db.pool import Database
from kannon.errors import InvalidArgument
from kannon.mail.event import HourlyCount
from kannon.pb.admin.v1 import overview_pb2 as pb
from kannon.wire.events import timestamp

DEFAULT_HOURS = 24
MAX_HOURS = 744
MAX_LINKS = 100
TTL_SECONDS = 1.0


class OverviewMethods:
    def __init__(self, db: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._lock = anyio.Lock()
        self._usual: tuple[float, pb.GetOverviewResponse] | None = None

    async def GetOverview(self, caller: Admin, request: pb.GetOverviewRequest) -> pb.GetOverviewResponse:
        hours = request.hours or DEFAULT_HOURS
        if hours > MAX_HOURS:
            raise InvalidArgument("hours", f"must not exceed {MAX_HOURS}")
        if hours != DEFAULT_HOURS:
            return await self._read(hours)
        async with self._lock:
            if self._usual is None or self._clock() >= self._usual[0]:
                response = await self._read(hours)
                self._usual = self._clock() + TTL_SECONDS, response
            return self._usual[1]

    async def _read(self, hours: int) -> pb.GetOverviewResponse:
        now = datetime.now(UTC)
        first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
        counts = await stats_read.count_all_events_by_hour(self._db, first)
        waiting = await metrics.count_deliveries(self._db)
        return pb.GetOverviewResponse(
            hours=[_to_hour(count) for count in counts],
            waiting=[
                pb.StateCount(state=each.state.value, count=each.count, overdue_seconds=each.overdue_seconds)
                for each in waiting
            ],
        )

    async def GetEngagement(self, caller: Admin, request: pb.GetEngagementRequest) -> pb.GetEngagementResponse:
        message_id = request.message_id
        if not message_id:
            raise InvalidArgument("message_id", "must not be empty")
        plain_text(message_id, "message_id", longest=MAX_MESSAGE_ID)
        exists = await inspect.batch_exists(self._db, message_id)
        found(exists or None, f'message_id: no batch "{message_id}"')
        hours, links = await stats_read.count_engagement(self._db, message_id, most_links=MAX_LINKS)
        return pb.GetEngagementResponse(
            hours=[_to_hour(count) for count in hours],
            links=[pb.LinkCount(url=url, count=count) for url, count in links],
        )


def _to_hour(count: HourlyCount) -> pb.HourCount:
    return pb.HourCount(hour=timestamp(count.hour), type=count.type.value, count=count.count)
