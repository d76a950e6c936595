"""Who may call: the admin token, API keys, and what an outsider learns (nothing)."""

import base64
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.client import UnaryUnaryMethod
from grpclib.const import Status

from kannon.accept.failed_logins import FailedLogins
from kannon.components.api.access import KEY_METHODS
from kannon.components.api.authenticator import AdminAuthenticator, parse_basic
from kannon.components.api.rpc import CallMetadata
from kannon.db.pool import Database
from kannon.errors import InvalidArgument, Unauthenticated
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as admin
from kannon.pb.admin.apiv1.adminapiv1_grpc import HZServiceStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendTemplateReq
from tests.support.api import ADMIN, TOKEN, RunningApi, a_send, basic, refusal, running_api
from tests.support.services import OPEN, SERVICES

REFUSED_ADMIN = (Status.UNAUTHENTICATED, "invalid admin token")
REFUSED_TENANT = (Status.UNAUTHENTICATED, "invalid or wrong auth")


def admin_calls(api: RunningApi) -> list[tuple[Any, Any]]:
    """Every method that only the admin token opens, with a request that is otherwise wrong."""
    return [
        (UnaryUnaryMethod(api.channel, f"/{service.full_name}/{method.name}", request, reply), request())
        for service in SERVICES
        if service.full_name != OPEN and service.name != "Mailer"
        for method in service.methods
        if f"/{service.full_name}/{method.name}" not in KEY_METHODS
        for request, reply in [(GetMessageClass(method.input_type), GetMessageClass(method.output_type))]
    ]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"x-kannon-admin-token": TOKEN + "x"},
        {"x-kannon-admin-token": TOKEN[:-1]},
        {"x-kannon-admin-token": TOKEN.upper()},
        {"authorization": f"Bearer {TOKEN}x"},
        basic("example.com", TOKEN),
    ],
    ids=str,
)
async def test_without_the_token_no_admin_method_says_anything_else(db: Database, metadata: dict[str, str]) -> None:
    async with running_api(db) as api:
        for method, request in admin_calls(api):
            assert await refusal(method(request, metadata=metadata)) == REFUSED_ADMIN


async def test_the_admin_token_sends_for_a_named_domain(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")

        async def send(metadata: dict[str, str]) -> tuple[Status, str]:
            return await refusal(api.mailer.SendHTML(a_send(), metadata=metadata))

        assert await send(ADMIN | {"x-kannon-domain": "Example.com"}) == (Status.OK, "")
        wrong = {"x-kannon-admin-token": TOKEN + "x"}
        for domain in ("example.com", "unknown.example"):
            assert await send(wrong | {"x-kannon-domain": domain}) == REFUSED_ADMIN
            assert await send({"x-kannon-domain": domain}) == REFUSED_ADMIN
        for domain in ("unknown.example", "no domain"):
            answer = await send(ADMIN | {"x-kannon-domain": domain})
            assert answer == (Status.NOT_FOUND, f'x-kannon-domain: no domain "{domain}"')


async def test_an_api_key_opens_no_admin_method(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        for method, request in admin_calls(api):
            assert await refusal(method(request, metadata=key)) == REFUSED_ADMIN


async def test_what_opens_the_mailer_and_what_does_not(db: Database) -> None:
    async with running_api(db) as api:
        for domain in ("example.com", "other.org"):
            await api.create_domain(domain)
        made = await api.admin.CreateAPIKey(admin.CreateAPIKeyRequest(domain="example.com", name="x"), metadata=ADMIN)
        secret = made.key
        good = basic("example.com", secret)["authorization"]
        for header in (good, good.replace("Basic", "basic"), basic(" EXAMPLE.com", secret)["authorization"]):
            assert await refusal(api.mailer.SendHTML(a_send(), metadata={"authorization": header})) == (Status.OK, "")
        wrong: list[dict[str, str]] = [
            {},
            ADMIN,
            basic("example.com", TOKEN),
            basic("other.org", secret),
            basic("absent.org", secret),
            basic("example.com", secret[:-1]),
            basic("example.com", secret + "\0"),
            basic("example.com", ""),
            basic("", secret),
            basic("\0", secret),
            {"authorization": good.removeprefix("Basic ")},
            {"authorization": "Bearer " + good.removeprefix("Basic ")},
            {"authorization": "Basic"},
            {"authorization": "Basic !!!"},
            {"authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
            {"authorization": "Basic " + base64.b64encode(b"no colon").decode()},
            {"authorization": "Basic " + "A" * 5000},
        ]
        for metadata in wrong:
            assert await refusal(api.mailer.SendHTML(a_send(subject=""), metadata=metadata)) == REFUSED_TENANT
            assert await refusal(api.mailer.SendTemplate(SendTemplateReq(), metadata=metadata)) == REFUSED_TENANT


@pytest.mark.parametrize(
    "change", ["deactivated_at = now()", "expires_at = now()", "expires_at = now() - interval '1 day'"]
)
async def test_a_key_that_ended_gets_the_same_answer(db: Database, change: str) -> None:
    """The change is made by another process, here by the database itself: it holds within a second."""
    now = 0.0
    async with running_api(db, clock=lambda: now) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        assert await refusal(api.mailer.SendHTML(a_send(), metadata=key)) == (Status.OK, "")
        async with db.acquire() as connection:
            await connection.execute(f"UPDATE api_keys SET {change}")
        now = 1.0
        assert await refusal(api.mailer.SendHTML(a_send(), metadata=key)) == REFUSED_TENANT


async def test_deactivation_holds_from_its_answer_on(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        made = await api.admin.CreateAPIKey(
            admin.CreateAPIKeyRequest(domain="example.com", name="x", expires_at=Timestamp(seconds=4102444800)),
            metadata=ADMIN,
        )
        key = basic("example.com", made.key)
        assert await refusal(api.mailer.SendHTML(a_send(), metadata=key)) == (Status.OK, "")
        request = admin.DeactivateAPIKeyRequest(domain="example.com", id=made.api_key.id)
        await api.admin.DeactivateAPIKey(request, metadata=ADMIN)
        assert await refusal(api.mailer.SendHTML(a_send(), metadata=key)) == REFUSED_TENANT


async def test_hz_is_open(db: Database) -> None:
    async with running_api(db) as api:
        assert dict((await HZServiceStub(api.channel).HZ(admin.HZRequest())).result) == {}


@pytest.mark.parametrize(
    ("attribution", "status"),
    [
        ("ann@example.com", Status.OK),
        ("x" * 256, Status.OK),
        ("x" * 257, Status.INVALID_ARGUMENT),
        ("a\tb", Status.INVALID_ARGUMENT),
    ],
    ids=["plain", "longest", "too long", "control character"],
)
async def test_attribution_is_bounded_and_clean(db: Database, attribution: str, status: Status) -> None:
    # grpclib's client refuses to send some of these; tests/components/api/test_server.py sends raw bytes.

    gate = AdminAuthenticator(TOKEN, FailedLogins())
    call = CallMetadata(ADMIN | {"x-kannon-attribution": attribution}, "peer")
    if status is Status.OK:
        assert (await gate.authenticate(call)).attribution == attribution
    else:
        with pytest.raises(InvalidArgument, match=r"^x-kannon-attribution: "):
            await gate.authenticate(call)


async def test_an_empty_configured_token_opens_nothing() -> None:

    gate = AdminAuthenticator("", FailedLogins())
    for given in ({}, {"x-kannon-admin-token": ""}):
        with pytest.raises(Unauthenticated):
            await gate.authenticate(CallMetadata(given, "peer"))


def test_basic_is_read_as_rfc_7617_has_it() -> None:
    header = "Basic " + base64.b64encode("Exämple.com:a:b".encode()).decode()
    assert parse_basic(header) == ("xn--exmple-cua.com", "a:b")
    assert parse_basic("") == ("", "")


def test_failed_logins_wait_their_turn_peer_by_peer() -> None:
    now = 0.0
    failed = FailedLogins(burst=3, per_second=2, longest_wait=1.2, clock=lambda: now)
    assert [failed.charge("a") for _ in range(6)] == [0, 0, 0, 0.5, 1.0, 1.2]
    assert failed.charge("b") == 0
    now = 60.0
    assert failed.charge("a") == 0


def test_failed_logins_of_many_peers_take_bounded_memory() -> None:
    failed = FailedLogins(burst=1, per_second=1, peers=2, clock=lambda: 0.0)
    for peer in "abc":
        failed.charge(peer)
    assert failed.charge("c") > 0
    assert failed.charge("a") == 0  # the longest silent one was forgotten
