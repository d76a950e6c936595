"""The Stats services: events of a domain, and counts by type and hour.

In: a domain and a span of time [from, to). Out: pages of events, newest first, or counts, oldest first.
"""

from datetime import UTC, datetime

from kannon.components.api.authenticator import Admin
from kannon.components.api.services.arguments import BEGINNING, domain_name, found
from kannon.db import domains, stats_read
from kannon.db.pool import Database
from kannon.db.stats_read import Span
from kannon.errors import InvalidArgument
from kannon.mail.labels import check_tag
from kannon.pb.stats.apiv1 import statsapiv1_pb2 as v1
from kannon.pb.stats.apiv2 import statsapiv2_pb2 as v2
from kannon.wire.admin import to_aggregated
from kannon.wire.events import to_stats
from kannon.wire.times import optional_time, required_time

MAX_EVENTS = 10_000
"""Events in one answer, about 2 MB. A larger `take` is cut to this."""


class StatsV1Methods:
    """kannon.StatsApiV1."""

    def __init__(self, db: Database) -> None:
        self._db, self._fail_fast = db, db.fail_fast()

    async def GetStats(self, caller: Admin, request: v1.GetStatsReq) -> v1.GetStatsRes:
        domain, span = await self._domain_and_span(request)
        page, total = await stats_read.list_stats(
            self._db, domain, span, skip=request.skip, take=min(request.take, MAX_EVENTS), tag=request.tag
        )
        return v1.GetStatsRes(total=total, stats=[to_stats(event) for event in page])

    async def GetStatsAggregated(self, caller: Admin, request: v1.GetStatsAggregatedReq) -> v1.GetStatsAggregatedRes:
        domain, span = await self._domain_and_span(request)
        counts = await stats_read.count_stats_by_hour(self._db, domain, span, request.tag)
        return v1.GetStatsAggregatedRes(stats=[to_aggregated(count) for count in counts])

    async def _domain_and_span(self, request: v1.GetStatsReq | v1.GetStatsAggregatedReq) -> tuple[str, Span]:
        domain = domain_name(request.domain)
        check_tag(request.tag)
        from_time = optional_time(request, "from_date") or BEGINNING
        to_time = optional_time(request, "to_date") or datetime.now(UTC)
        found(await domains.find_domain(self._fail_fast, domain), f'domain: no domain "{domain}"')
        return domain, Span(from_time, to_time)


class StatsV2Methods:
    """kannon.stats.apiv2.StatsApiV2."""

    def __init__(self, db: Database) -> None:
        self._db, self._fail_fast = db, db.fail_fast()

    async def GetAggregatedStats(self, caller: Admin, request: v2.GetAggregatedStatsReq) -> v2.GetAggregatedStatsRes:
        domain = domain_name(request.domain)
        check_tag(request.tag)
        span = Span(required_time(request, "from_date"), required_time(request, "to_date"))
        if span.from_time >= span.to_time:
            raise InvalidArgument("from_date", "must be before to_date")
        found(await domains.find_domain(self._fail_fast, domain), f'domain: no domain "{domain}"')
        counts = await stats_read.list_aggregated_stats(self._db, domain, span, request.tag)
        return v2.GetAggregatedStatsRes(stats=[to_aggregated(count) for count in counts])
