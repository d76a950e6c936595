"""Webhook endpoints, for the administrator."""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from kannon.client.calls import Calls, timestamp
from kannon.pb.admin.v1 import webhooks_pb2 as pb
from kannon.pb.admin.v1.webhooks_grpc import WebhooksStub


class WebhookCalls(Calls):
    @cached_property
    def _webhooks(self) -> WebhooksStub:
        return WebhooksStub(self._channel)

    async def create_endpoint(
        self, domain: str, url: str, *, types: Sequence[str] = (), max_batch: int = 1
    ) -> pb.CreateEndpointResponse:
        """With its secret, which no other answer has. No types: all."""
        request = pb.CreateEndpointRequest(domain=domain, url=url, types=types, max_batch=max_batch)
        return await self._rpc(self._webhooks.CreateEndpoint, request)

    async def list_endpoints(self, domain: str = "") -> list[pb.Endpoint]:
        """The oldest first. Without a domain those of all."""
        request = pb.ListEndpointsRequest(domain=domain)
        return list((await self._rpc(self._webhooks.ListEndpoints, request)).endpoints)

    async def find_endpoint(self, endpoint_id: str) -> pb.GetEndpointResponse:
        """And the number of events that wait for it."""
        return await self._rpc(self._webhooks.GetEndpoint, pb.GetEndpointRequest(id=endpoint_id))

    async def list_attempts(self, endpoint_id: str, *, take: int = 100) -> list[pb.Attempt]:
        """The newest first."""
        request = pb.ListAttemptsRequest(id=endpoint_id, take=take)
        return list((await self._rpc(self._webhooks.ListAttempts, request)).attempts)

    async def rotate_secret(self, endpoint_id: str) -> pb.RotateSecretResponse:
        return await self._rpc(self._webhooks.RotateSecret, pb.RotateSecretRequest(id=endpoint_id))

    async def test_endpoint(self, endpoint_id: str) -> str:
        """Returns the id of the event, which is the request_id of its attempt."""
        return (await self._rpc(self._webhooks.TestEndpoint, pb.TestEndpointRequest(id=endpoint_id))).event_id

    async def replay_events(self, endpoint_id: str, *, from_time: datetime, to_time: datetime | None = None) -> int:
        """Events in [from, to) come again, with the same ids. Returns their number."""
        request = pb.ReplayEventsRequest(id=endpoint_id, from_date=timestamp(from_time), to_date=timestamp(to_time))
        return (await self._rpc(self._webhooks.ReplayEvents, request)).count

    async def set_endpoint_enabled(self, endpoint_id: str, *, enabled: bool) -> pb.Endpoint:
        request = pb.SetEndpointEnabledRequest(id=endpoint_id, enabled=enabled)
        return (await self._rpc(self._webhooks.SetEndpointEnabled, request)).endpoint

    async def delete_endpoint(self, endpoint_id: str) -> None:
        await self._rpc(self._webhooks.DeleteEndpoint, pb.DeleteEndpointRequest(id=endpoint_id))
