"""kannon.admin.v1.Destinations: the state of the mail servers that Kannon sends to, gathered from all senders."""

from typing import Protocol

from kannon.components.api.callers import Admin
from kannon.components.api.services.arguments import MAX_PAGE
from kannon.mail.destination import SenderView
from kannon.pb.admin.v1 import destinations_pb2 as pb
from kannon.wire.destinations import to_destination


class SenderBus(Protocol):
    async def gather_destinations(self) -> list[SenderView]: ...


class DestinationMethods:
    def __init__(self, bus: SenderBus) -> None:
        self._bus = bus

    async def ListDestinations(self, caller: Admin, request: pb.ListDestinationsRequest) -> pb.ListDestinationsResponse:
        views = await self._bus.gather_destinations()
        host = request.host.lower()
        found = [(view.sender, each) for view in views for each in view.destinations if host in each.site]
        found.sort(key=lambda item: (-item[1].busy, item[1].site, item[0]))
        return pb.ListDestinationsResponse(
            destinations=[to_destination(*item) for item in found[: min(request.take, MAX_PAGE)]],
            total=sum(view.total for view in views),
            senders=len(views),
        )
