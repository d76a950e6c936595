"""The API through gRPC's own library (C core), which most clients of other languages are made of."""

from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from kannon.db.pool import Database
from kannon.mail.send_request import Limits
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as admin
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendRes
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient
from tests.support.api import ADMIN, RunningApi, a_send, running_api

SEND = "/pkg.kannon.mailer.apiv1.Mailer/SendHTML"
Metadata = tuple[tuple[str, str], ...]


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db, limits=Limits(8 << 20, 100_000), max_request_bytes=16 << 20) as api:
        await api.create_domain("example.com")
        yield api


async def send(
    channel: grpc.aio.Channel, request: SendHTMLReq, metadata: Metadata, timeout: float | None = 30
) -> SendRes:
    method = channel.unary_unary(
        SEND, request_serializer=SendHTMLReq.SerializeToString, response_deserializer=SendRes.FromString
    )
    response: SendRes = await method(request, metadata=metadata, timeout=timeout)
    return response


async def test_many_calls_on_one_channel(api: RunningApi, db: Database) -> None:
    key = tuple((await api.create_key("example.com")).items())
    async with grpc.aio.insecure_channel(f"{api.host}:{api.port}") as channel:
        answers = [await send(channel, a_send(), key) for _ in range(150)]  # more than streams may be open at once
    assert len({answer.message_id for answer in answers}) == 150


async def test_a_large_request_and_its_large_answer(api: RunningApi) -> None:
    key = tuple((await api.create_key("example.com")).items())
    recipients = [Recipient(email=f"user{i}@example.net", fields={"n": str(i) * 20}) for i in range(40_000)]
    async with grpc.aio.insecure_channel(f"{api.host}:{api.port}") as channel:
        answer = await send(channel, a_send(recipients=recipients + recipients[:10_000]), key)
    assert (answer.accepted_count, answer.rejected_count) == (40_000, 10_000)
    assert {each.reason for each in answer.rejected_recipients} == {"duplicate"}


async def test_refusals_as_the_library_shows_them(api: RunningApi) -> None:
    key = tuple((await api.create_key("example.com")).items())
    too_large = a_send(html="x" * (17 << 20))
    cases: list[tuple[SendHTMLReq, Metadata, grpc.StatusCode]] = [
        (a_send(), (), grpc.StatusCode.UNAUTHENTICATED),
        (too_large, (), grpc.StatusCode.UNAUTHENTICATED),
        (too_large, key, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (a_send(subject="€\n"), key, grpc.StatusCode.INVALID_ARGUMENT),
    ]
    async with grpc.aio.insecure_channel(f"{api.host}:{api.port}") as channel:
        for request, metadata, status in cases:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await send(channel, request, metadata)
            assert refused.value.code() is status, refused.value
        assert (await send(channel, a_send(), key)).accepted_count == 1


async def test_gzipped_messages_are_read_and_other_compressions_refused(api: RunningApi) -> None:
    key = tuple((await api.create_key("example.com")).items())
    options = {"compression": grpc.Compression.Gzip}
    async with grpc.aio.insecure_channel(f"{api.host}:{api.port}", **options) as channel:
        assert (await send(channel, a_send(html="x" * 10_000), key)).accepted_count == 1
    options = {"compression": grpc.Compression.Deflate}
    async with grpc.aio.insecure_channel(f"{api.host}:{api.port}", **options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await send(channel, a_send(html="x" * 10_000), key)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert refused.value.details() == "grpc-encoding: the supported encodings are identity and gzip"


async def test_a_deadline_of_the_librarys(api: RunningApi, db: Database) -> None:
    key = tuple((await api.create_key("example.com")).items())
    async with grpc.aio.insecure_channel(f"{api.host}:{api.port}") as channel, db.transaction() as connection:
        await connection.execute("LOCK TABLE sending_pool_emails IN EXCLUSIVE MODE")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await send(channel, a_send(), key, timeout=0.3)
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_the_attribution_of_an_admin_call(api: RunningApi) -> None:
    async with grpc.aio.insecure_channel(f"{api.host}:{api.port}") as channel:
        method = channel.unary_unary(
            "/pkg.kannon.admin.apiv1.Api/GetDomains",
            request_serializer=admin.GetDomainsReq.SerializeToString,
            response_deserializer=admin.GetDomainsResponse.FromString,
        )
        metadata = (*ADMIN.items(), ("x-kannon-attribution", "ann@example.com"))
        response = await method(admin.GetDomainsReq(), metadata=metadata)
    assert [d.domain for d in response.domains] == ["example.com"]
