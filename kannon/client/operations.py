"""Statistics, batches, deliveries, pauses, suppressions, dead letters, destinations, nodes, health: for
the administrator."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from functools import cached_property

from grpclib.const import Status

from kannon.client.calls import CallRefused, Calls, timestamp
from kannon.errors import Unavailable
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as admin
from kannon.pb.admin.apiv1.adminapiv1_grpc import HZServiceStub
from kannon.pb.admin.v1 import audit_pb2 as audit
from kannon.pb.admin.v1 import destinations_pb2 as destinations
from kannon.pb.admin.v1 import nodes_pb2 as nodes
from kannon.pb.admin.v1 import operations_pb2 as operations
from kannon.pb.admin.v1 import overview_pb2 as overview
from kannon.pb.admin.v1 import pages_pb2 as pages
from kannon.pb.admin.v1 import parked_pb2 as parked
from kannon.pb.admin.v1 import records_pb2 as records
from kannon.pb.admin.v1 import suppressions_pb2 as suppressions
from kannon.pb.admin.v1.audit_grpc import AuditStub
from kannon.pb.admin.v1.destinations_grpc import DestinationsStub
from kannon.pb.admin.v1.nodes_grpc import NodesStub
from kannon.pb.admin.v1.operations_grpc import OperationsStub
from kannon.pb.admin.v1.overview_grpc import OverviewStub
from kannon.pb.admin.v1.pages_grpc import PagesStub
from kannon.pb.admin.v1.parked_grpc import ParkedStub
from kannon.pb.admin.v1.records_grpc import RecordsStub
from kannon.pb.admin.v1.suppressions_grpc import SuppressionsStub
from kannon.pb.stats.apiv1 import statsapiv1_pb2 as stats_v1
from kannon.pb.stats.apiv1.statsapiv1_grpc import StatsApiV1Stub
from kannon.pb.stats.apiv2 import statsapiv2_pb2 as stats_v2
from kannon.pb.stats.apiv2.statsapiv2_grpc import StatsApiV2Stub
from kannon.pb.stats.v1 import events_pb2 as events
from kannon.pb.stats.v1.events_grpc import EventsStub


class OperationCalls(Calls):
    @cached_property
    def _stats_v1(self) -> StatsApiV1Stub:
        return StatsApiV1Stub(self._channel)

    @cached_property
    def _stats_v2(self) -> StatsApiV2Stub:
        return StatsApiV2Stub(self._channel)

    @cached_property
    def _events(self) -> EventsStub:
        return EventsStub(self._channel)

    @cached_property
    def _operations(self) -> OperationsStub:
        return OperationsStub(self._channel)

    @cached_property
    def _destinations(self) -> DestinationsStub:
        return DestinationsStub(self._channel)

    @cached_property
    def _nodes(self) -> NodesStub:
        return NodesStub(self._channel)

    @cached_property
    def _suppressions(self) -> SuppressionsStub:
        return SuppressionsStub(self._channel)

    @cached_property
    def _parked(self) -> ParkedStub:
        return ParkedStub(self._channel)

    @cached_property
    def _overview(self) -> OverviewStub:
        return OverviewStub(self._channel)

    @cached_property
    def _records(self) -> RecordsStub:
        return RecordsStub(self._channel)

    @cached_property
    def _audit(self) -> AuditStub:
        return AuditStub(self._channel)

    @cached_property
    def _pages(self) -> PagesStub:
        return PagesStub(self._channel)

    @cached_property
    def _hz(self) -> HZServiceStub:
        return HZServiceStub(self._channel)

    # Statistics

    async def list_stats(
        self,
        domain: str,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        skip: int = 0,
        take: int = 100,
        tag: str = "",
        message_id: str = "",
        email: str = "",
        types: Sequence[str] = (),
        page_token: str = "",
    ) -> stats_v1.GetStatsRes:
        """Events in [from, to), the newest first, and their number; those of a tag, a batch, a recipient and of some
        types, if given. `page_token` is the next_page_token of an answer to the same request."""
        request = stats_v1.GetStatsReq(
            domain=domain,
            from_date=timestamp(from_time),
            to_date=timestamp(to_time),
            skip=skip,
            take=take,
            tag=tag,
            message_id=message_id,
            email=email,
            types=types,
            page_token=page_token,
        )
        return await self._rpc(self._stats_v1.GetStats, request)

    async def count_stats(
        self, domain: str, *, from_time: datetime, to_time: datetime, tag: str = ""
    ) -> stats_v2.GetAggregatedStatsRes:
        """Counts by type and hour. With a tag only of the events that have it."""
        request = stats_v2.GetAggregatedStatsReq(
            domain=domain, from_date=timestamp(from_time), to_date=timestamp(to_time), tag=tag
        )
        return await self._rpc(self._stats_v2.GetAggregatedStats, request)

    # Batches and deliveries

    async def list_events(
        self,
        domain: str = "",
        *,
        types: Sequence[str] = (),
        message_id: str = "",
        email: str = "",
        tag: str = "",
        cursor: str = "",
        take: int = 100,
        newest_first: bool = False,
    ) -> events.ListEventsResponse:
        """A page in the order in which they are stored; read on with its cursor while there are more."""
        request = events.ListEventsRequest(
            domain=domain,
            types=types,
            message_id=message_id,
            email=email,
            tag=tag,
            cursor=cursor,
            take=take,
            newest_first=newest_first,
        )
        return await self._call(self._events.List, request, self._reader)

    async def watch_events(
        self,
        domain: str = "",
        *,
        types: Sequence[str] = (),
        message_id: str = "",
        email: str = "",
        tag: str = "",
        cursor: str = "",
        retry_seconds: float = 1.0,
    ) -> AsyncGenerator[events.WatchEventsResponse, None]:
        """Events as they are stored, each once, without end. After an interruption, or where this program was too slow,
        it goes on from the last cursor. The first connection may raise Unavailable."""
        began = False
        while True:
            request = events.WatchEventsRequest(
                domain=domain, types=types, message_id=message_id, email=email, tag=tag, cursor=cursor
            )
            try:
                async for response in self._stream(self._events.Watch, request):
                    began, cursor = True, response.cursor
                    yield response
            except Unavailable:
                if not began:
                    raise
                await asyncio.sleep(retry_seconds)
            except CallRefused as error:
                if error.status is not Status.RESOURCE_EXHAUSTED or not began:
                    raise

    async def list_batches(
        self,
        domain: str,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        skip: int = 0,
        take: int = 100,
        tag: str = "",
    ) -> operations.ListBatchesResponse:
        """Batches created in [from, to), the newest first. With a tag only the batches that have it."""
        request = operations.ListBatchesRequest(
            domain=domain, from_date=timestamp(from_time), to_date=timestamp(to_time), skip=skip, take=take, tag=tag
        )
        return await self._rpc(self._operations.ListBatches, request)

    async def find_batch(self, message_id: str) -> operations.GetBatchResponse:
        return await self._rpc(self._operations.GetBatch, operations.GetBatchRequest(message_id=message_id))

    async def list_deliveries(
        self,
        domain: str = "",
        *,
        message_id: str = "",
        email: str = "",
        state: str = "",
        skip: int = 0,
        take: int = 100,
        tag: str = "",
    ) -> operations.ListDeliveriesResponse:
        """Deliveries without an outcome, the next due first. An empty text matches all; a tag needs a domain."""
        request = operations.ListDeliveriesRequest(
            domain=domain, message_id=message_id, email=email, state=state, skip=skip, take=take, tag=tag
        )
        return await self._rpc(self._operations.ListDeliveries, request)

    async def find_timeline(
        self, delivery_id: int = 0, *, message_id: str = "", email: str = ""
    ) -> operations.GetTimelineResponse:
        """The state and events of a delivery, given by its id or by its batch and address."""
        request = operations.GetTimelineRequest(delivery_id=delivery_id, message_id=message_id, email=email)
        return await self._rpc(self._operations.GetTimeline, request)

    async def find_by_message_id(self, header_message_id: str) -> operations.FindByMessageIdResponse:
        """The delivery under way that has this Message-ID."""
        request = operations.FindByMessageIdRequest(header_message_id=header_message_id)
        return await self._rpc(self._operations.FindByMessageId, request)

    async def get_overview(self, *, hours: int = 24) -> overview.GetOverviewResponse:
        """Of all domains: counts by hour and type, and what waits."""
        return await self._rpc(self._overview.GetOverview, overview.GetOverviewRequest(hours=hours))

    async def get_engagement(self, message_id: str) -> overview.GetEngagementResponse:
        """Opens and clicks of a batch by hour, and its links by clicks."""
        return await self._rpc(self._overview.GetEngagement, overview.GetEngagementRequest(message_id=message_id))

    async def check_records(self, domain: str) -> records.CheckRecordsResponse:
        """The DNS records of a domain, as the server's name servers answer now."""
        return await self._rpc(self._records.CheckRecords, records.CheckRecordsRequest(domain=domain))

    async def get_config(self) -> nodes.GetConfigResponse:
        """In force at the server that answers, without its secrets."""
        return await self._rpc(self._nodes.GetConfig, nodes.GetConfigRequest())

    async def cancel_batch(self, message_id: str) -> operations.CancelBatchResponse:
        """Cancels for good: the server makes no further attempt."""
        return await self._rpc(self._operations.CancelBatch, operations.CancelBatchRequest(message_id=message_id))

    async def cancel_delivery(self, delivery_id: int) -> operations.CancelDeliveryResponse:
        """Cancels for good: the server makes no further attempt."""
        request = operations.CancelDeliveryRequest(delivery_id=delivery_id)
        return await self._rpc(self._operations.CancelDelivery, request)

    async def pause(self, *, message_id: str = "", domain: str = "", destination: str = "") -> operations.Pause:
        """Pauses a batch, a sender domain or a recipient domain; give exactly one. Raises ValueError."""
        request = operations.PauseRequest(**_one_of(message_id, domain, destination))
        return (await self._rpc(self._operations.Pause, request)).pause

    async def resume(self, *, message_id: str = "", domain: str = "", destination: str = "") -> int:
        """Ends a pause. Returns the number of deliveries that are due now."""
        request = operations.ResumeRequest(**_one_of(message_id, domain, destination))
        return (await self._rpc(self._operations.Resume, request)).released_count

    async def list_pauses(self) -> list[operations.Pause]:
        return list((await self._rpc(self._operations.ListPauses, operations.ListPausesRequest())).pauses)

    async def retry_now(
        self, *, message_id: str = "", delivery_id: int = 0, domain: str = "", destination: str = ""
    ) -> int:
        """Retries the deliveries that match all given filters, at least one. Returns their number."""
        request = operations.RetryNowRequest(
            message_id=message_id, delivery_id=delivery_id, domain=domain, destination=destination
        )
        return (await self._rpc(self._operations.RetryNow, request)).count

    # Suppressions

    async def list_suppressions(
        self,
        domain: str,
        *,
        cause: str = "",
        tag: str = "",
        after: str = "",
        after_tag: str | None = None,
        take: int = 1000,
    ) -> suppressions.ListSuppressionsResponse:
        """In the order of addresses and tags: after all entries of `after`, or after the one of `after_tag`.
        `cause` and `tag` empty: any."""
        request = suppressions.ListSuppressionsRequest(
            domain=domain, cause=cause, tag=tag, after=after, after_tag=after_tag, take=take
        )
        return await self._rpc(self._suppressions.ListSuppressions, request)

    async def find_suppressions(
        self, domain: str, email: str, tag: str | None = None
    ) -> suppressions.GetSuppressionResponse:
        """The entries of one address; `tag` None: of any tag, empty: the one for all mail."""
        request = suppressions.GetSuppressionRequest(domain=domain, email=email, tag=tag)
        return await self._rpc(self._suppressions.GetSuppression, request)

    async def add_suppressions(self, domain: str, entries: Sequence[suppressions.Suppression]) -> int:
        """Returns the number of new or changed entries. At most 10,000 in one call, which may be repeated."""
        request = suppressions.AddSuppressionsRequest(domain=domain, suppressions=entries)
        return (await self._rpc(self._suppressions.AddSuppressions, request)).count

    async def remove_suppressions(self, domain: str, emails: Sequence[str], tag: str | None = None) -> list[str]:
        """Returns the addresses that were removed. `tag` None: all their entries, empty: those for all mail."""
        request = suppressions.RemoveSuppressionsRequest(domain=domain, emails=emails, tag=tag)
        return list((await self._rpc(self._suppressions.RemoveSuppressions, request)).removed)

    async def suppression_enabled(self, domain: str) -> bool:
        request = suppressions.GetSuppressionPolicyRequest(domain=domain)
        return (await self._rpc(self._suppressions.GetSuppressionPolicy, request)).enabled

    async def set_suppression(self, domain: str, *, enabled: bool) -> None:
        request = suppressions.SetSuppressionPolicyRequest(domain=domain, enabled=enabled)
        await self._rpc(self._suppressions.SetSuppressionPolicy, request)

    # Dead letters

    async def list_dead_letters(self, *, after: int = 0, take: int = 100) -> parked.ListParkedResponse:
        """Messages that no component can handle, the oldest first."""
        return await self._rpc(self._parked.ListParked, parked.ListParkedRequest(after=after, take=take))

    async def retry_dead_letter(self, sequence: int) -> None:
        await self._rpc(self._parked.RetryParked, parked.RetryParkedRequest(sequence=sequence))

    async def delete_dead_letter(self, sequence: int) -> None:
        await self._rpc(self._parked.DeleteParked, parked.DeleteParkedRequest(sequence=sequence))

    # Destinations

    async def list_destinations(self, host: str = "", *, take: int = 100) -> destinations.ListDestinationsResponse:
        """The state of the mail servers with `host` in their names, from every sender; the busiest first."""
        request = destinations.ListDestinationsRequest(host=host, take=take)
        return await self._rpc(self._destinations.ListDestinations, request)

    # Nodes

    async def list_nodes(self) -> nodes.ListNodesResponse:
        """Every process of the installation that answers in time."""
        return await self._rpc(self._nodes.ListNodes, nodes.ListNodesRequest())

    # Health

    async def failing_checks(self) -> Mapping[str, str]:
        """Name → problem; empty if every check succeeds."""
        return dict((await self._call(self._hz.HZ, admin.HZRequest(), {})).result)

    # The audit log and the pages

    async def list_audit(
        self, *, before: int = 0, take: int = 100, domain: str = "", action: str = ""
    ) -> audit.ListAuditResponse:
        """The newest first; of those before an id, of a domain, of an action (Service.Method), if given."""
        request = audit.ListAuditRequest(before=before, take=take, domain=domain, action=action)
        return await self._rpc(self._audit.ListAudit, request)

    async def create_login_link(self) -> pages.CreateLoginLinkResponse:
        """Logs a browser in, once and within a minute."""
        return await self._rpc(self._pages.CreateLoginLink, pages.CreateLoginLinkRequest())


def _one_of(message_id: str, domain: str, destination: str) -> dict[str, str]:
    """The one field of a oneof. Protobuf would silently keep only the last of several."""
    given = {"message_id": message_id, "domain": domain, "destination": destination}
    given = {field: text for field, text in given.items() if text}
    if len(given) != 1:
        raise ValueError("exactly one of message_id, domain and destination is needed")
    return given
