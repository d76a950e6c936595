"""What a program reads of a refusal: google.rpc's details over every protocol, and Retry-After over HTTP."""

import base64
import struct
from typing import Any

import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status as RpcStatus
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from kannon.db.pool import Database
from kannon.pb.admin.v1.keys_grpc import KeysStub
from kannon.pb.admin.v1.keys_pb2 import Quota, SetDomainQuotaRequest
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient
from tests.components.api.test_http import MAIL, SEND, VERSIONS, over_http
from tests.support.api import ADMIN, RunningApi, a_send

WEB = {"content-type": "application/grpc-web+proto"}


def details_of(error: dict[str, Any]) -> list[Any]:
    """Connect: base64 without padding."""
    known = {kind.DESCRIPTOR.full_name: kind for kind in (BadRequest, RetryInfo)}
    return [known[each["type"]].FromString(base64.b64decode(each["value"] + "==")) for each in error["details"]]


def field_of(details: BadRequest) -> tuple[str, str]:
    [violation] = details.field_violations
    return violation.field, violation.description


def web_trailers(content: bytes) -> dict[str, str]:
    """gRPC-Web: the last frame."""
    flag, length = struct.unpack(">BI", content[:5])
    if flag != 0x80:
        return web_trailers(content[5 + length :])
    lines = content[5 : 5 + length].decode().strip().split("\r\n")
    return dict(line.split(": ", 1) for line in lines)


def framed_send() -> bytes:
    message = a_send(subject="").SerializeToString()
    return struct.pack(">BI", 0, len(message)) + message


async def use_up(api: RunningApi) -> None:
    quota = SetDomainQuotaRequest(domain="example.com", quota=Quota(per_day=1))
    await KeysStub(api.channel).SetDomainQuota(quota, metadata=ADMIN)


async def test_grpc_names_the_field_and_the_time_to_wait(db: Database) -> None:
    async with over_http(db) as (api, _, key):
        with pytest.raises(GRPCError) as refused:
            await api.mailer.SendHTML(a_send(subject=""), metadata=key)
        [details] = refused.value.details
        assert (refused.value.status, refused.value.message) == (Status.INVALID_ARGUMENT, "subject: must not be empty")
        assert field_of(details) == ("subject", "must not be empty")
        await use_up(api)
        await api.mailer.SendHTML(a_send(), metadata=key)
        with pytest.raises(GRPCError) as refused:
            await api.mailer.SendHTML(a_send(), metadata=key)
        [details] = refused.value.details
        assert refused.value.status is Status.RESOURCE_EXHAUSTED
        assert 0 < details.retry_delay.seconds <= 86_400


@VERSIONS
async def test_connect_and_grpc_web_do_too(db: Database, version: str) -> None:
    async with over_http(db, version) as (api, client, key):
        bad = await client.post(SEND, json=MAIL | {"recipients": [{"fields": {"a": 1}}]}, headers=key)
        assert [field_of(each) for each in details_of(bad.json())] == [
            ("recipients[0].fields.a", "must be a string"),
        ]
        assert "retry-after" not in bad.headers
        web = web_trailers((await client.post(SEND, content=framed_send(), headers=WEB | key)).content)
        status = RpcStatus.FromString(base64.b64decode(web["grpc-status-details-bin"] + "=="))
        details = BadRequest()
        assert status.details[0].Unpack(details)
        assert (status.code, field_of(details)) == (3, ("subject", "must not be empty"))
        await use_up(api)
        assert (await client.post(SEND, json=MAIL, headers=key)).status_code == 200
        late = await client.post(SEND, json=MAIL, headers=key)
        [info] = details_of(late.json())
        assert late.status_code == 429
        assert 0 < int(late.headers["retry-after"]) == info.retry_delay.seconds <= 86_400
        never = [{"email": f"bob{n}@example.net"} for n in range(2)]
        too_large = await client.post(SEND, json=MAIL | {"recipients": never}, headers=key)
        assert too_large.status_code == 429
        assert "retry-after" not in too_large.headers
        assert "details" not in too_large.json()


async def test_a_refusal_without_a_field_has_no_details(db: Database) -> None:
    async with over_http(db) as (api, client, _):
        missing = await client.post(
            "/pkg.kannon.admin.apiv1.Api/GetDomain", json={"domain": "a.example"}, headers=ADMIN
        )
        assert "details" not in missing.json()
        with pytest.raises(GRPCError) as refused:
            await api.mailer.SendHTML(a_send(recipients=[Recipient(email="a@b.de")]), metadata={})
        assert refused.value.details is None
