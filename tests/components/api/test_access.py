"""What an API key may call: every method of every service against every scope, and never another domain's mail."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpclib.client import UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from kannon.accept.failed_logins import FailedLogins
from kannon.accept.key_usage import KeyUsage
from kannon.components.api.access import KEY_METHODS
from kannon.components.api.authenticator import KeyAuthenticator
from kannon.components.api.rpc import CallMetadata
from kannon.db.pool import Database
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.db.suppressions import insert_suppressions
from kannon.errors import PermissionDenied
from kannon.mail.event import Event, EventType
from kannon.mail.send_request import Tenant
from kannon.mail.suppression import Cause, Suppression
from kannon.mail.tenants import KeyGrant, Scope, parse_networks
from kannon.mail.tracking import IDENTIFIED
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as admin
from kannon.pb.admin.v1 import keys_pb2 as pb
from kannon.pb.admin.v1 import operations_pb2 as operations
from kannon.pb.admin.v1 import suppressions_pb2 as suppressions
from kannon.pb.admin.v1 import templates_pb2 as templates
from kannon.pb.admin.v1 import webhooks_pb2 as webhooks
from kannon.pb.admin.v1.keys_grpc import KeysStub
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient
from kannon.pb.stats.apiv1 import statsapiv1_pb2 as v1
from kannon.pb.stats.apiv2 import statsapiv2_pb2 as v2
from kannon.pb.stats.v1 import events_pb2 as events
from tests.support.api import ADMIN, RunningApi, a_send, basic, refusal, running_api
from tests.support.pool import insert_domain
from tests.support.services import SERVICES
from tests.support.webhooks import add_endpoint

OWN, OTHER = "own.example", "other.example"
READ, SUPPRESSIONS, TEMPLATES = Scope.READ, Scope.SUPPRESSIONS, Scope.TEMPLATES
OPEN, ONLY_ADMIN = "open", "admin"
ACCESS: dict[str, str] = {
    "pkg.kannon.mailer.apiv1.Mailer": "SendHTML:send SendTemplate:send",
    "kannon.mailer.v1.Mailer": "Send:send SendRaw:send Reschedule:send",
    "pkg.kannon.admin.apiv1.Api": "GetDomains:admin GetDomain:admin CreateDomain:admin SetTrackingPolicy:admin"
    " CreateTemplate:templates UpdateTemplate:templates DeleteTemplate:templates GetTemplate:templates"
    " GetTemplates:templates CreateAPIKey:admin ListAPIKeys:admin GetAPIKey:admin DeactivateAPIKey:admin",
    "pkg.kannon.admin.apiv1.HZService": "HZ:open",
    "kannon.StatsApiV1": "GetStats:read GetStatsAggregated:read",
    "kannon.stats.apiv2.StatsApiV2": "GetAggregatedStats:read",
    "kannon.stats.v1.Events": "List:read Watch:read",
    "kannon.admin.v1.Operations": "ListBatches:read GetBatch:read ListDeliveries:read GetTimeline:read"
    " FindByMessageId:admin CancelBatch:admin CancelDelivery:admin Pause:admin Resume:admin ListPauses:admin"
    " RetryNow:admin",
    "kannon.admin.v1.Suppressions": "ListSuppressions:suppressions GetSuppression:suppressions"
    " AddSuppressions:suppressions RemoveSuppressions:suppressions GetSuppressionPolicy:suppressions"
    " SetSuppressionPolicy:admin",
    "kannon.admin.v1.Parked": "ListParked:admin RetryParked:admin DeleteParked:admin",
    "kannon.admin.v1.Destinations": "ListDestinations:admin",
    "kannon.admin.v1.Audit": "ListAudit:admin",
    "kannon.admin.v1.Pages": "CreateLoginLink:admin",
    "kannon.admin.v1.Nodes": "ListNodes:admin GetConfig:admin",
    "kannon.admin.v1.Overview": "GetOverview:admin GetEngagement:admin",
    "kannon.admin.v1.Records": "CheckRecords:admin",
    "kannon.admin.v1.Webhooks": "CreateEndpoint:webhooks ListEndpoints:webhooks GetEndpoint:webhooks"
    " ListAttempts:webhooks RotateSecret:webhooks TestEndpoint:webhooks ReplayEvents:webhooks"
    " SetEndpointEnabled:webhooks DeleteEndpoint:webhooks",
    "kannon.admin.v1.Templates": "ListVersions:templates GetVersion:templates RestoreVersion:templates"
    " PreviewTemplate:templates LintTemplate:templates",
    "kannon.admin.v1.Dkim": "ListDkimKeys:admin CreateDkimKey:admin ActivateDkimKey:admin RetireDkimKey:admin"
    " DeleteDkimKey:admin",
    "kannon.admin.v1.Keys": "CreateKey:admin UpdateKey:admin GetKey:admin ListKeys:admin GetDomainQuota:admin"
    " SetDomainQuota:admin",
    "kannon.admin.v1.Reputation": "GetGuard:admin SetGuard:admin GetReports:admin",
}
"""The scope that each method needs. A new method needs an entry here."""
NEEDS = {
    f"/{service}/{name}": needs
    for service, methods in ACCESS.items()
    for name, _, needs in (method.partition(":") for method in methods.split())
}


@dataclass
class Tenants:
    """Two domains with one batch, template, suppression and event each, and keys of the first."""

    api: RunningApi
    messages: dict[str, str]
    templates: dict[str, str]
    deliveries: dict[str, int]

    async def key(self, *scopes: Scope, domain: str = OWN) -> dict[str, str]:
        request = pb.CreateKeyRequest(domain=domain, name="k", scopes=[scope.value for scope in scopes])
        return basic(domain, (await KeysStub(self.api.channel).CreateKey(request, metadata=ADMIN)).secret)

    async def call(self, path: str, request: Any, metadata: dict[str, str]) -> Any:
        """The response; of a stream the first one."""
        method = METHODS[path]
        types = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        if not method.server_streaming:
            return await UnaryUnaryMethod[Any, Any](self.api.channel, path, *types)(request, metadata=metadata)
        async with UnaryStreamMethod[Any, Any](self.api.channel, path, *types).open(metadata=metadata) as stream:
            await stream.send_message(request, end=True)
            response = await stream.recv_message()
            await stream.cancel()
            return response

    async def status(self, path: str, request: Any, metadata: dict[str, str]) -> tuple[Status, str]:
        return await refusal(self.call(path, request, metadata))


METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method for service in SERVICES for method in service.methods
}


@pytest.fixture
async def tenants(db: Database) -> AsyncIterator[Tenants]:
    async with running_api(db) as api:
        found = Tenants(api, {}, {}, {})
        now = datetime.now(UTC)
        await ensure_partitions(db, [week_of(now)])
        for number, domain in enumerate((OWN, OTHER), 1):
            await insert_domain(db, domain)
            template = admin.CreateTemplateReq(domain=domain, html="<p>x</p>", title="t")
            made = await api.admin.CreateTemplate(template, metadata=ADMIN)
            found.templates[domain] = made.template.template_id
            send = a_send(recipients=[Recipient(email="bob@example.net")])
            send.sender.email = f"news@{domain}"
            sent = await api.mailer.SendHTML(send, metadata=ADMIN | {"x-kannon-domain": domain})
            found.messages[domain] = sent.message_id
            async with db.acquire() as connection:
                found.deliveries[domain] = await connection.fetchval(
                    "SELECT id FROM sending_pool_emails WHERE domain = $1", domain
                )
            event = Event(
                f"e{number}",
                EventType.ACCEPTED,
                domain,
                sent.message_id,
                "bob@example.net",
                now,
                delivery_id=found.deliveries[domain],
            )
            await insert_events(db, [event])
            await add_endpoint(db, f"https://{domain}.test/", name=domain, domain=domain)
            entry = Suppression(domain, "gone@example.net", Cause.MANUAL, now)
            await insert_suppressions(db, domain, [entry])
        yield found


def test_every_method_has_its_scope_here_and_in_the_product() -> None:
    assert set(NEEDS) == set(METHODS)
    by_key = {path: access.scope.value for path, access in KEY_METHODS.items()}
    assert by_key == {path: needs for path, needs in NEEDS.items() if needs not in (OPEN, ONLY_ADMIN, Scope.SEND)}


async def test_a_key_opens_what_its_scopes_say_and_nothing_else(tenants: Tenants) -> None:
    for scope in Scope:
        key = await tenants.key(scope)
        for path, needs in NEEDS.items():
            if needs == ONLY_ADMIN:
                continue
            status, text = await tenants.status(path, GetMessageClass(METHODS[path].input_type)(), key)
            if needs in (OPEN, scope):
                assert status not in (Status.UNAUTHENTICATED, Status.PERMISSION_DENIED), (path, scope)
            else:
                assert (status, text) == (
                    Status.PERMISSION_DENIED,
                    f'the API key does not have the scope "{needs}"',
                ), (path, scope)


async def test_all_scopes_together_open_no_method_of_the_administrator(tenants: Tenants) -> None:
    key = await tenants.key(*Scope)
    for path in (path for path, needs in NEEDS.items() if needs == ONLY_ADMIN):
        status = await tenants.status(path, GetMessageClass(METHODS[path].input_type)(), key)
        assert status == (Status.UNAUTHENTICATED, "invalid admin token"), path


def of_domain(tenants: Tenants, domain: str) -> dict[str, list[Any]]:
    """For each method that keys may call: requests for what belongs to a domain."""
    message, template = tenants.messages[domain], tenants.templates[domain]
    endpoint = f"whe_{domain}"
    a_span = v2.GetAggregatedStatsReq(domain=domain)
    a_span.from_date.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    a_span.to_date.FromDatetime(datetime(2100, 1, 1, tzinfo=UTC))
    entry = suppressions.Suppression(email="new@example.net")
    samples = [templates.TemplateSample(template_id=template), templates.TemplateSample(domain=domain, html="x")]
    return {
        "/kannon.StatsApiV1/GetStats": [v1.GetStatsReq(domain=domain, take=10)],
        "/kannon.StatsApiV1/GetStatsAggregated": [v1.GetStatsAggregatedReq(domain=domain)],
        "/kannon.stats.apiv2.StatsApiV2/GetAggregatedStats": [a_span],
        "/kannon.stats.v1.Events/List": [events.ListEventsRequest(domain=domain)],
        "/kannon.stats.v1.Events/Watch": [events.WatchEventsRequest(domain=domain, cursor="0")],
        "/kannon.admin.v1.Operations/ListBatches": [operations.ListBatchesRequest(domain=domain, take=10)],
        "/kannon.admin.v1.Operations/GetBatch": [operations.GetBatchRequest(message_id=message)],
        "/kannon.admin.v1.Operations/ListDeliveries": [operations.ListDeliveriesRequest(domain=domain, take=10)],
        "/kannon.admin.v1.Operations/GetTimeline": [
            operations.GetTimelineRequest(delivery_id=tenants.deliveries[domain]),
            operations.GetTimelineRequest(message_id=message, email="bob@example.net"),
        ],
        "/kannon.admin.v1.Suppressions/ListSuppressions": [
            suppressions.ListSuppressionsRequest(domain=domain, take=10)
        ],
        "/kannon.admin.v1.Suppressions/GetSuppression": [
            suppressions.GetSuppressionRequest(domain=domain, email="gone@example.net")
        ],
        "/kannon.admin.v1.Suppressions/AddSuppressions": [
            suppressions.AddSuppressionsRequest(domain=domain, suppressions=[entry])
        ],
        "/kannon.admin.v1.Suppressions/RemoveSuppressions": [
            suppressions.RemoveSuppressionsRequest(domain=domain, emails=["gone@example.net"])
        ],
        "/kannon.admin.v1.Suppressions/GetSuppressionPolicy": [suppressions.GetSuppressionPolicyRequest(domain=domain)],
        "/kannon.admin.v1.Webhooks/CreateEndpoint": [
            webhooks.CreateEndpointRequest(domain=domain, url="https://hooks.test/")
        ],
        "/kannon.admin.v1.Webhooks/ListEndpoints": [webhooks.ListEndpointsRequest(domain=domain)],
        "/kannon.admin.v1.Webhooks/GetEndpoint": [webhooks.GetEndpointRequest(id=endpoint)],
        "/kannon.admin.v1.Webhooks/ListAttempts": [webhooks.ListAttemptsRequest(id=endpoint, take=10)],
        "/kannon.admin.v1.Webhooks/RotateSecret": [webhooks.RotateSecretRequest(id=endpoint)],
        "/kannon.admin.v1.Webhooks/TestEndpoint": [webhooks.TestEndpointRequest(id=endpoint)],
        "/kannon.admin.v1.Webhooks/ReplayEvents": [
            webhooks.ReplayEventsRequest(id=endpoint, from_date=a_span.from_date)
        ],
        "/kannon.admin.v1.Webhooks/SetEndpointEnabled": [webhooks.SetEndpointEnabledRequest(id=endpoint, enabled=True)],
        "/kannon.admin.v1.Webhooks/DeleteEndpoint": [webhooks.DeleteEndpointRequest(id=endpoint)],
        "/kannon.admin.v1.Templates/ListVersions": [templates.ListVersionsRequest(template_id=template)],
        "/kannon.admin.v1.Templates/GetVersion": [templates.GetVersionRequest(template_id=template, version=1)],
        "/kannon.admin.v1.Templates/RestoreVersion": [templates.RestoreVersionRequest(template_id=template, version=1)],
        "/kannon.admin.v1.Templates/PreviewTemplate": [
            templates.PreviewTemplateRequest(sample=each) for each in samples
        ],
        "/kannon.admin.v1.Templates/LintTemplate": [templates.LintTemplateRequest(sample=each) for each in samples],
        "/pkg.kannon.admin.apiv1.Api/CreateTemplate": [admin.CreateTemplateReq(domain=domain, html="x")],
        "/pkg.kannon.admin.apiv1.Api/UpdateTemplate": [admin.UpdateTemplateReq(template_id=template, html="y")],
        "/pkg.kannon.admin.apiv1.Api/GetTemplate": [admin.GetTemplateReq(template_id=template)],
        "/pkg.kannon.admin.apiv1.Api/GetTemplates": [admin.GetTemplatesReq(domain=domain, take=10)],
        "/pkg.kannon.admin.apiv1.Api/DeleteTemplate": [admin.DeleteTemplateReq(template_id=template)],
    }


async def test_a_key_sees_its_own_domain(tenants: Tenants) -> None:
    """Also where the request leaves the domain out."""
    key = await tenants.key(*Scope)
    requests = of_domain(tenants, OWN)
    assert set(requests) == set(KEY_METHODS)
    for path, several in requests.items():
        for request in several:
            if "domain" in request.DESCRIPTOR.fields_by_name and "Create" not in path:
                without = type(request)()
                without.CopyFrom(request)
                without.ClearField("domain")
                assert OTHER not in str(await tenants.call(path, without, key))
            assert OTHER not in str(await tenants.call(path, request, key)), path


async def test_another_domains_mail_does_not_exist_for_a_key(tenants: Tenants) -> None:
    """The answer is the one for what does not exist, and nothing of the other domain changes."""
    key = await tenants.key(*Scope)
    for path, several in of_domain(tenants, OTHER).items():
        for request in several:
            status, text = await tenants.status(path, request, key)
            assert status is Status.NOT_FOUND, (path, status, text)
            absent = type(request)()
            absent.ParseFromString(request.SerializeToString().replace(OTHER.encode(), b"ether.example"))
            if absent != request:
                status, expected = await tenants.status(path, absent, key)
                assert (status, expected.replace("ether.example", OTHER)) == (Status.NOT_FOUND, text), path
    for path, several in of_domain(tenants, OTHER).items():
        for request in several:
            assert await tenants.status(path, request, ADMIN) == (Status.OK, ""), path


async def test_lists_of_deliveries_hold_nothing_of_another_batch(tenants: Tenants) -> None:
    key = await tenants.key(READ)
    request = operations.ListDeliveriesRequest(message_id=tenants.messages[OTHER], take=10)
    found = await tenants.call("/kannon.admin.v1.Operations/ListDeliveries", request, key)
    assert (len(found.deliveries), found.total) == (0, 0)
    listed = await tenants.call(
        "/kannon.stats.v1.Events/List", events.ListEventsRequest(message_id=tenants.messages[OTHER]), key
    )
    assert len(listed.events) == 0


async def test_a_key_of_the_old_service_sends_and_nothing_else(tenants: Tenants) -> None:
    key = await tenants.api.create_key(OWN)
    send = a_send(recipients=[Recipient(email="bob@example.net")])
    send.sender.email = f"news@{OWN}"
    assert await refusal(tenants.api.mailer.SendHTML(send, metadata=key)) == (Status.OK, "")
    listed = await KeysStub(tenants.api.channel).ListKeys(pb.ListKeysRequest(domain=OWN), metadata=ADMIN)
    assert [list(each.scopes) for each in listed.keys] == [["send"]]
    refused = await tenants.status("/kannon.stats.v1.Events/List", events.ListEventsRequest(), key)
    assert refused[0] is Status.PERMISSION_DENIED


async def test_an_exhausted_quota_says_when_to_come_again(tenants: Tenants) -> None:
    stub = KeysStub(tenants.api.channel)
    key = await tenants.key(Scope.SEND)
    send = a_send(recipients=[Recipient(email="bob@example.net")])
    send.sender.email = f"news@{OWN}"
    quota = pb.SetDomainQuotaRequest(domain=OWN, quota=pb.Quota(per_day=1))
    assert (await stub.SetDomainQuota(quota, metadata=ADMIN)).quota.per_day == 1
    assert await refusal(tenants.api.mailer.SendHTML(send, metadata=key)) == (Status.OK, "")
    async with tenants.api.mailer.SendHTML.open(metadata=key) as stream:
        await stream.send_message(send, end=True)
        with pytest.raises(GRPCError, match="is used up: 1 a day") as refused:
            await stream.recv_message()
        assert refused.value.status is Status.RESOURCE_EXHAUSTED
        assert 0 < int(str(stream.trailing_metadata["retry-after"])) <= 86_400  # type: ignore[index]
    assert (await refusal(tenants.api.mailer.SendHTML(send, metadata=ADMIN | {"x-kannon-domain": OWN})))[
        0
    ] is Status.RESOURCE_EXHAUSTED
    await stub.SetDomainQuota(pb.SetDomainQuotaRequest(domain=OWN), metadata=ADMIN)
    assert await refusal(tenants.api.mailer.SendHTML(send, metadata=key)) == (Status.OK, "")


async def test_a_change_of_a_key_holds_from_its_answer_on(tenants: Tenants) -> None:
    stub = KeysStub(tenants.api.channel)
    made = await stub.CreateKey(
        pb.CreateKeyRequest(domain=OWN, name="app", scopes=["read", "send", "read"], networks=["127.0.0.1", "::1/128"]),
        metadata=ADMIN,
    )
    assert (list(made.key.scopes), list(made.key.networks)) == (["send", "read"], ["127.0.0.1/32", "::1/128"])
    key, path, request = basic(OWN, made.secret), "/kannon.stats.v1.Events/List", events.ListEventsRequest()
    assert await tenants.status(path, request, key) == (Status.OK, "")
    change = pb.UpdateKeyRequest(domain=OWN, id=made.key.id, networks=pb.Networks(networks=["192.0.2.0/24"]))
    changed = (await stub.UpdateKey(change, metadata=ADMIN)).key
    assert (changed.name, list(changed.scopes), list(changed.networks)) == ("app", ["send", "read"], ["192.0.2.0/24"])
    refused = (Status.PERMISSION_DENIED, "the API key must not be used from 127.0.0.1")
    assert await tenants.status(path, request, key) == refused
    change = pb.UpdateKeyRequest(domain=OWN, id=made.key.id, networks=pb.Networks(), scopes=pb.Scopes(scopes=["send"]))
    await stub.UpdateKey(change, metadata=ADMIN)
    assert (await tenants.status(path, request, key))[1] == 'the API key does not have the scope "read"'
    change = pb.UpdateKeyRequest(domain=OWN, id=made.key.id, name="new", quota=pb.Quota(per_second=5, per_day=7))
    changed = (await stub.UpdateKey(change, metadata=ADMIN)).key
    assert (changed.name, changed.quota, list(changed.scopes)) == ("new", pb.Quota(per_second=5, per_day=7), ["send"])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": ""}, "name: must not be empty"),
        (
            {"scopes": ["sent"]},
            'scopes: "sent" is not a scope; the scopes are send, read, suppressions, te',
        ),
        ({"networks": ["10.0.0.0/33"]}, 'networks: "10.0.0.0/33" is not an address or a network in CIDR form'),
        ({"networks": ["10.0.0.1/8"]}, 'networks: "10.0.0.1/8" is not an address or a network in CIDR form (bits bey'),
        ({"networks": ["10.0.0.1"] * 101}, "networks: must not have more than 100 networks"),
        ({"quota": pb.Quota(per_second=-1)}, "quota.per_second: must not be negative"),
        ({"quota": pb.Quota(per_day=-1)}, "quota.per_day: must not be negative"),
        ({"quota": pb.Quota(per_second=2**40)}, "quota.per_second: must not exceed 1000000"),
        ({"domain": "absent.example"}, 'domain: no domain "absent.example"'),
        ({"domain": "no domain"}, "domain: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_key_is_refused_by_its_field(tenants: Tenants, fields: dict[str, Any], text: str) -> None:
    request = pb.CreateKeyRequest(**({"domain": OWN, "name": "k"} | fields))
    assert (await refusal(KeysStub(tenants.api.channel).CreateKey(request, metadata=ADMIN)))[1].startswith(text)


async def test_a_wrong_change_is_refused_by_its_field(tenants: Tenants) -> None:
    stub = KeysStub(tenants.api.channel)
    key = (await stub.CreateKey(pb.CreateKeyRequest(domain=OWN, name="k"), metadata=ADMIN)).key
    for changes, text in (
        ({"scopes": pb.Scopes()}, "scopes: must not be empty; revoke the key instead"),
        ({"id": ""}, "id: must not be empty"),
        ({"id": "key_1"}, f'id: no API key "key_1" of domain "{OWN}"'),
        ({"domain": OTHER}, f'id: no API key "{key.id}" of domain "{OTHER}"'),
        ({"name": " "}, "name: must not be empty"),
    ):
        request = pb.UpdateKeyRequest(**({"domain": OWN, "id": key.id} | changes))
        assert (await refusal(stub.UpdateKey(request, metadata=ADMIN)))[1] == text


GRANT = KeyGrant("key_1", Tenant(OWN, IDENTIFIED), frozenset({READ}))


@pytest.mark.parametrize(
    ("networks", "peer", "allowed"),
    [
        ([], "", True),
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "", False),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["2001:db8::/32"], "10.0.0.1", False),
    ],
)
def test_the_networks_of_a_key(networks: list[str], peer: str, allowed: bool) -> None:
    grant = replace(GRANT, networks=parse_networks(networks, "networks"))
    if allowed:
        grant.check(READ, peer)
    else:
        with pytest.raises(PermissionDenied, match="must not be used from"):
            grant.check(READ, peer)


async def test_the_last_use_is_written_once_for_many_calls(tenants: Tenants, db: Database) -> None:
    stub = KeysStub(tenants.api.channel)
    key = (await stub.CreateKey(pb.CreateKeyRequest(domain=OWN, name="k"), metadata=ADMIN)).key
    assert not key.HasField("last_used_at")
    at = datetime(2026, 3, 4, tzinfo=UTC)
    usage = KeyUsage(db, clock=lambda: at)
    for number in range(100):
        usage.used(key.id, f"192.0.2.{number}")
    await usage.flush()
    usage.used("key_gone", "192.0.2.1")
    await usage.flush()
    older = KeyUsage(db, clock=lambda: datetime(2026, 3, 3, tzinfo=UTC))
    older.used(key.id, "198.51.100.1")
    await older.flush()
    found = (await stub.GetKey(pb.GetKeyRequest(domain=OWN, id=key.id), metadata=ADMIN)).key
    assert (found.last_used_at.ToDatetime(UTC), found.last_used_from) == (at, "192.0.2.99")


async def test_a_valid_key_is_noted_and_never_delayed(db: Database) -> None:
    async def find(domain: str, secret: bytes) -> KeyGrant | None:
        return GRANT

    uses: list[tuple[str, str]] = []
    keys = KeyAuthenticator(find, FailedLogins(burst=0), lambda *use: uses.append(use))
    call = CallMetadata(basic(OWN, "secret"), "192.0.2.1")
    with anyio.fail_after(60):
        for _ in range(1000):
            await keys.authenticate(READ, call)
            with pytest.raises(PermissionDenied):
                await keys.authenticate(Scope.SEND, call)
    assert uses == [("key_1", "192.0.2.1")] * 1000
