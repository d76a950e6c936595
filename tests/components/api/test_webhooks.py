"""Webhook endpoints through the API: made, listed, rotated, tested, replayed, switched and removed."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Status

from kannon.components.api.services.webhooks import MAX_ENDPOINTS
from kannon.db.pool import Database
from kannon.db.webhooks import find_endpoint
from kannon.mail.webhook import WebhookType
from kannon.pb.admin.v1 import webhooks_pb2 as pb
from kannon.pb.admin.v1.webhooks_grpc import WebhooksStub
from tests.support.api import ADMIN, RunningApi, refusal, running_api
from tests.support.webhooks import event, store, waiting

DOMAIN = "example.com"
URL = "https://app.example.com/hook?a=b"
GONE = "whe_" + "0" * 24


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db) as api:
        await api.create_domain(DOMAIN)
        yield api


@pytest.fixture
def stub(api: RunningApi) -> WebhooksStub:
    return WebhooksStub(api.channel)


async def create(stub: WebhooksStub, **changes: object) -> pb.CreateEndpointResponse:
    request = pb.CreateEndpointRequest(**({"domain": DOMAIN, "url": URL} | changes))  # type: ignore[arg-type]
    return await stub.CreateEndpoint(request, metadata=ADMIN)


async def test_the_secret_is_in_one_answer_only(stub: WebhooksStub) -> None:
    created = await create(stub, types=["delivery.bounced", "batch.finished", "delivery.bounced"], max_batch=50)
    endpoint = created.endpoint
    assert created.secret.startswith("whsec_")
    assert len(base64.b64decode(created.secret.removeprefix("whsec_"))) == 24
    assert endpoint.id.startswith("whe_")
    assert (endpoint.domain, endpoint.url, endpoint.max_batch, endpoint.enabled) == (DOMAIN, URL, 50, True)
    assert list(endpoint.types) == ["delivery.bounced", "batch.finished"]
    listed = await stub.ListEndpoints(pb.ListEndpointsRequest(domain=DOMAIN), metadata=ADMIN)
    everywhere = await stub.ListEndpoints(pb.ListEndpointsRequest(), metadata=ADMIN)
    found = await stub.GetEndpoint(pb.GetEndpointRequest(id=endpoint.id), metadata=ADMIN)
    assert list(listed.endpoints) == list(everywhere.endpoints) == [found.endpoint] == [endpoint]
    assert created.secret not in str(listed) + str(found)


async def test_a_new_secret_leaves_the_former_one_valid_for_a_day(stub: WebhooksStub, db: Database) -> None:
    created = await create(stub)
    rotated = await stub.RotateSecret(pb.RotateSecretRequest(id=created.endpoint.id), metadata=ADMIN)
    found = await find_endpoint(db, created.endpoint.id)
    assert found is not None
    assert (found[0].secret, found[0].previous_secret) == (rotated.secret, created.secret)
    left = rotated.endpoint.previous_secret_until.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(hours=24)


async def test_off_and_on(stub: WebhooksStub, db: Database) -> None:
    endpoint = (await create(stub)).endpoint
    await store(db, [event(1)])
    request = pb.SetEndpointEnabledRequest(id=endpoint.id, enabled=False)
    off = (await stub.SetEndpointEnabled(request, metadata=ADMIN)).endpoint
    assert (off.enabled, off.disabled_reason) == (False, "by the administrator")
    await store(db, [event(2)])
    status, text = await refusal(stub.TestEndpoint(pb.TestEndpointRequest(id=endpoint.id), metadata=ADMIN))
    assert (status, "is off (by the administrator)" in text) == (Status.FAILED_PRECONDITION, True)
    request = pb.SetEndpointEnabledRequest(id=endpoint.id, enabled=True)
    assert (await stub.SetEndpointEnabled(request, metadata=ADMIN)).endpoint.enabled
    found = await stub.GetEndpoint(pb.GetEndpointRequest(id=endpoint.id), metadata=ADMIN)
    assert found.waiting == await waiting(db) == 1


async def test_a_test_is_an_event_and_a_replay_counts(stub: WebhooksStub, db: Database) -> None:
    now = datetime.now(UTC)
    await store(db, [event(n, at=now - timedelta(hours=n)) for n in range(1, 11)])
    endpoint = (await create(stub, types=["delivery.delivered"])).endpoint
    tested = await stub.TestEndpoint(pb.TestEndpointRequest(id=endpoint.id), metadata=ADMIN)
    assert tested.event_id.startswith("test_")
    assert await waiting(db) == 1
    since = Timestamp()
    since.FromDatetime(now - timedelta(hours=5, minutes=30))
    request = pb.ReplayEventsRequest(id=endpoint.id, from_date=since)
    assert (await stub.ReplayEvents(request, metadata=ADMIN)).count == 5


async def test_a_removed_endpoint_leaves_nothing(stub: WebhooksStub, db: Database) -> None:
    endpoint = (await create(stub)).endpoint
    await store(db, [event(1)])
    await stub.DeleteEndpoint(pb.DeleteEndpointRequest(id=endpoint.id), metadata=ADMIN)
    assert await waiting(db) == 0
    status, _ = await refusal(stub.GetEndpoint(pb.GetEndpointRequest(id=endpoint.id), metadata=ADMIN))
    assert status is Status.NOT_FOUND


BAD: dict[str, tuple[dict[str, object], Status, str]] = {
    "no such domain": ({"domain": "other.example"}, Status.NOT_FOUND, 'domain: no domain "other.example"'),
    "bad domain": ({"domain": "x y"}, Status.INVALID_ARGUMENT, "domain: "),
    "no URL": ({"url": ""}, Status.INVALID_ARGUMENT, 'url: is not of the form "https://host/path"'),
    "http": ({"url": "http://example.com/"}, Status.INVALID_ARGUMENT, "url: must begin with https://"),
    "ftp": ({"url": "ftp://example.com/"}, Status.INVALID_ARGUMENT, "url: is not of the form"),
    "no host": ({"url": "https:///x"}, Status.INVALID_ARGUMENT, "url: is not of the form"),
    "bad port": ({"url": "https://x:99999/"}, Status.INVALID_ARGUMENT, "url: is no URL"),
    "bad brackets": ({"url": "https://[::1/"}, Status.INVALID_ARGUMENT, "url: is no URL"),
    "fragment": ({"url": "https://example.com/#a"}, Status.INVALID_ARGUMENT, "url: must not have a fragment"),
    "space": ({"url": "https://example.com/a b"}, Status.INVALID_ARGUMENT, "url: has characters"),
    "line break": ({"url": "https://example.com/\r\nx: y"}, Status.INVALID_ARGUMENT, "url: must not contain control"),
    "long": ({"url": "https://example.com/" + "a" * 2048}, Status.INVALID_ARGUMENT, "url: must not exceed 2048"),
    "type": ({"types": ["delivery.sent"]}, Status.INVALID_ARGUMENT, 'types[0]: "delivery.sent" is none of'),
    "batch": ({"max_batch": 101}, Status.INVALID_ARGUMENT, "max_batch: must not exceed 100"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_endpoint_is_refused_by_field(stub: WebhooksStub, name: str) -> None:
    change, status, beginning = BAD[name]
    seen, text = await refusal(create(stub, **change))
    assert seen is status
    assert text.startswith(beginning), text


async def test_unknown_ids_are_not_found_everywhere(stub: WebhooksStub) -> None:
    now = Timestamp()
    now.GetCurrentTime()
    for call in (
        stub.GetEndpoint(pb.GetEndpointRequest(id=GONE), metadata=ADMIN),
        stub.ListAttempts(pb.ListAttemptsRequest(id=GONE, take=1), metadata=ADMIN),
        stub.RotateSecret(pb.RotateSecretRequest(id=GONE), metadata=ADMIN),
        stub.TestEndpoint(pb.TestEndpointRequest(id=GONE), metadata=ADMIN),
        stub.ReplayEvents(pb.ReplayEventsRequest(id=GONE, from_date=now), metadata=ADMIN),
        stub.SetEndpointEnabled(pb.SetEndpointEnabledRequest(id=GONE), metadata=ADMIN),
        stub.DeleteEndpoint(pb.DeleteEndpointRequest(id=GONE), metadata=ADMIN),
    ):
        assert await refusal(call) == (Status.NOT_FOUND, f'id: no webhook endpoint "{GONE}"')


async def test_a_replay_needs_a_span(stub: WebhooksStub) -> None:
    endpoint = (await create(stub)).endpoint
    status, text = await refusal(stub.ReplayEvents(pb.ReplayEventsRequest(id=endpoint.id), metadata=ADMIN))
    assert (status, text) == (Status.INVALID_ARGUMENT, "from_date: must be given")
    ahead = Timestamp()
    ahead.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    request = pb.ReplayEventsRequest(id=endpoint.id, from_date=ahead)
    status, text = await refusal(stub.ReplayEvents(request, metadata=ADMIN))
    assert (status, text) == (Status.INVALID_ARGUMENT, "to_date: must be after from_date")


async def test_a_domain_has_a_limited_number_of_endpoints(stub: WebhooksStub) -> None:
    for _ in range(MAX_ENDPOINTS):
        await create(stub)
    status, text = await refusal(create(stub))
    assert (status, f"has {MAX_ENDPOINTS} endpoints already" in text) == (Status.RESOURCE_EXHAUSTED, True)


async def test_only_the_administrator_may_call(stub: WebhooksStub) -> None:
    status, _ = await refusal(stub.ListEndpoints(pb.ListEndpointsRequest()))
    assert status is Status.UNAUTHENTICATED


def test_every_type_can_be_asked_for() -> None:
    assert len(set(WebhookType)) == 16
