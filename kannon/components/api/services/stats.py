"""The Stats services: events of a domain, and counts by type and hour.

In: a domain and a span of time [from, to). Out: pages of events, newest first, or counts, oldest first.
"""

from datetime import UTC, datetime, timedelta

from kannon.components.api.callers import Caller
from kannon.components.api.services.arguments import BEGINNING, MAX_MESSAGE_ID, domain_name, found, plain_text
from kannon.db import domains, stats_read
from kannon.db.pool import Database
from kannon.db.stats_read import EventCursor, EventFilter, Span
from kannon.errors import InvalidArgument
from kannon.mail.event import Event, EventType
from kannon.mail.labels import check_tag
from kannon.mail.send_request import MAX_ADDRESS
from kannon.pb.stats.apiv1 import statsapiv1_pb2 as v1
from kannon.pb.stats.apiv2 import statsapiv2_pb2 as v2
from kannon.wire.admin import to_aggregated
from kannon.wire.events import to_stats
from kannon.wire.times import optional_time, required_time

MAX_TOKEN = 400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_EVENTS = 10_000
"""Events in one answer, about 2 MB. A larger `take` is cut to this."""


class StatsV1Methods:
    """kannon.StatsApiV1."""

    def __init__(self, db: Database) -> None:
        self._db, self._fail_fast = db, db.fail_fast()

    async def GetStats(self, caller: Caller, request: v1.GetStatsReq) -> v1.GetStatsRes:
        domain, span = await self._domain_and_span(request)
        take = min(request.take, MAX_EVENTS)
        which, after = _filter(request), _cursor(request.page_token)
        page, total = await stats_read.list_stats(
            self._db, domain, span, skip=request.skip, take=take, which=which, after=after
        )
        more = _page_token(page[-1]) if page and len(page) == take else ""
        return v1.GetStatsRes(total=total, stats=[to_stats(event) for event in page], next_page_token=more)

    async def GetStatsAggregated(self, caller: Caller, request: v1.GetStatsAggregatedReq) -> v1.GetStatsAggregatedRes:
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

    async def GetAggregatedStats(self, caller: Caller, request: v2.GetAggregatedStatsReq) -> v2.GetAggregatedStatsRes:
        domain = domain_name(request.domain)
        check_tag(request.tag)
        span = Span(required_time(request, "from_date"), required_time(request, "to_date"))
        if span.from_time >= span.to_time:
            raise InvalidArgument("from_date", "must be before to_date")
        found(await domains.find_domain(self._fail_fast, domain), f'domain: no domain "{domain}"')
        counts = await stats_read.list_aggregated_stats(self._db, domain, span, request.tag)
        return v2.GetAggregatedStatsRes(stats=[to_aggregated(count) for count in counts])


def _filter(request: v1.GetStatsReq) -> EventFilter:
    plain_text(request.message_id, "message_id", longest=MAX_MESSAGE_ID)
    plain_text(request.email, "email", longest=MAX_ADDRESS)
    if unknown := [each for each in request.types if each not in frozenset(EventType)]:
        raise InvalidArgument("types", f'"{unknown[0]}" is none of {", ".join(EventType)}')
    return EventFilter(
        message_id=request.message_id,
        email=request.email.strip(),
        types=[EventType(each) for each in dict.fromkeys(request.types)],
        tag=request.tag,
    )


def _page_token(event: Event) -> str:
    return f"{(event.at - _EPOCH) // timedelta(microseconds=1)}.{event.event_id}"


def _cursor(page_token: str) -> EventCursor | None:
    if not page_token:
        return None
    plain_text(page_token, "page_token", longest=MAX_TOKEN)
    micros, dot, event_id = page_token.partition(".")
    try:
        at = _EPOCH + timedelta(microseconds=int(micros))
    except (ValueError, OverflowError):
        raise InvalidArgument("page_token", "is not the next_page_token of an answer") from None
    if not dot:
        raise InvalidArgument("page_token", "is not the next_page_token of an answer")
    return EventCursor(at, event_id)
