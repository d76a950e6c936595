"""Calls over HTTP: JSON, Connect and gRPC-Web, over HTTP/1.1 and over HTTP/2 with prior knowledge."""

import base64
import gzip
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from kannon.db.pool import Database
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendRes
from tests.support.api import ADMIN, TOKEN, RunningApi, a_send, running_api
from tests.support.h2_client import framed, grpc_headers, h2_client
from tests.support.patience import patience

SEND = "/pkg.kannon.mailer.apiv1.Mailer/SendHTML"
ADMIN_API = "/pkg.kannon.admin.apiv1.Api"
DOMAINS = f"{ADMIN_API}/GetDomains"
MAIL = {
    "sender": {"email": "news@example.com", "alias": "News"},
    "subject": "Hello",
    "html": "<p>Hello {{ name }}</p>",
    "recipients": [{"email": "bob@example.net", "fields": {"name": "Bob"}}],
}
VERSIONS = pytest.mark.parametrize("version", ["1.1", "2"])


@asynccontextmanager
async def over_http(
    db: Database, version: str = "1.1", **settings: Any
) -> AsyncIterator[tuple[RunningApi, httpx.AsyncClient, dict[str, str]]]:
    """The API, a client of it, and the credentials of example.com."""
    async with running_api(db, **settings) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        client = httpx.AsyncClient(
            base_url=f"http://{api.host}:{api.port}", http1=version == "1.1", http2=version == "2", timeout=30
        )
        async with client:
            yield api, client, key


def error(response: httpx.Response) -> tuple[int, str, str]:
    said = response.json()
    return response.status_code, said["code"], said["message"]


async def batches(db: Database) -> int:
    async with db.acquire() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM messages"))


@VERSIONS
async def test_json_sends_a_mail(db: Database, version: str) -> None:
    async with over_http(db, version) as (_, client, key):
        response = await client.post(SEND, json=MAIL, headers=key)
        again = await client.post(SEND, json=MAIL, headers=key)
    assert response.http_version == f"HTTP/{version}"
    assert response.headers["content-type"] == "application/json"
    said = response.json()
    assert said["acceptedCount"] == 1
    assert said["rejectedCount"] == 0
    assert said["rejectedRecipients"] == []
    assert said["messageId"] != again.json()["messageId"]
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT message_id, email, fields FROM sending_pool_emails ORDER BY id")
    assert [(row["email"], json.loads(row["fields"])) for row in rows] == [("bob@example.net", {"name": "Bob"})] * 2
    assert rows[0]["message_id"] == said["messageId"]


@VERSIONS
async def test_connect_speaks_protobuf_and_gzip(db: Database, version: str) -> None:
    async with over_http(db, version) as (_, client, key):
        headers = {"content-type": "application/proto", "content-encoding": "gzip", "connect-protocol-version": "1"}
        body = gzip.compress(a_send().SerializeToString())
        response = await client.post(SEND, content=body, headers=headers | key)
    assert response.status_code == 200
    assert response.headers["content-encoding"] == "gzip"
    assert SendRes.FromString(response.content).accepted_count == 1


@VERSIONS
async def test_grpc_web_ends_with_its_trailers(db: Database, version: str) -> None:
    async with over_http(db, version) as (_, client, key):
        headers = {"content-type": "application/grpc-web+proto"}
        message = a_send().SerializeToString()
        good = await client.post(SEND, content=struct.pack(">BI", 0, len(message)) + message, headers=headers | key)
        bad = await client.post(SEND, content=struct.pack(">BI", 0, len(message)) + message, headers=headers)
    flag, length = struct.unpack(">BI", good.content[:5])
    assert flag == 0
    assert SendRes.FromString(good.content[5 : 5 + length]).accepted_count == 1
    assert good.content[5 + length] == 0x80
    assert b"grpc-status: 0" in good.content
    assert b"grpc-status: 16" in bad.content


async def test_credentials_are_the_same_and_bearer_too(db: Database) -> None:
    async with over_http(db) as (_, client, key):
        secret = base64.b64decode(key["authorization"].split()[1]).decode().split(":")[1]
        for headers in (key, {"authorization": f"Bearer {secret}"}, ADMIN | {"x-kannon-domain": "example.com"}):
            assert (await client.post(SEND, json=MAIL, headers=headers)).status_code == 200
        admin = {"authorization": f"Bearer {TOKEN}"}
        assert (await client.post(SEND, json=MAIL, headers=admin | {"x-kannon-domain": "example.com"})).is_success
        assert (await client.post(DOMAINS, json={}, headers=admin)).json()["domains"][0]["domain"] == "example.com"
        refused = (401, "unauthenticated", "invalid or wrong auth")
        for headers in ({}, admin, {"authorization": f"Bearer {secret}x"}, {"authorization": "Bearer"}):
            assert error(await client.post(SEND, json=MAIL, headers=headers)) == refused
        wrong = (401, "unauthenticated", "invalid admin token")
        for headers in ({}, key, {"authorization": f"Bearer {secret}"}):
            assert error(await client.post(DOMAINS, json={}, headers=headers)) == wrong


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"sendar": {}}', "sendar: there is no such field"),
        (b'{"recipients": [{}, {"emial": ""}]}', "recipients[1].emial: there is no such field"),
        (b'{"recipients": [{"fields": {"a": 1}}]}', "recipients[0].fields.a: must be a string"),
        (b'{"recipients": {}}', "recipients: must be a JSON array"),
        (b'{"subject": 1}', "subject: must be a string"),
        (b'{"subject": "a", "subject": "b"}', "subject: is given twice in one object"),
        (b'{"globalFields": {}, "global_fields": {}}', "global_fields: is given twice, in both spellings"),
        (b'{"subject": "\\ud800"}', "subject: is not valid Unicode"),
        (b'{"attachments": [{"content": "a*b="}]}', "attachments[0].content: must be a string of base64"),
        (b'{\n "subject": x}', "body: is not JSON at line 2, column 13: expecting value"),
        (b'{"subject": "a"} {}', "body: is not JSON at line 1, column 18: extra data"),
        (b'{"subject": NaN}', "body: NaN is not JSON"),
        (b'{"subject": ' + b"1" * 5000 + b"}", "body: holds a number of too many digits"),
        (b'{"subject": "\xff"}', "body: is not UTF-8 at byte 14"),
        (b"[" * 1_000_000, "body: is nested too deeply"),
        (b"[]", "body: must be a JSON object"),
        (b"", "subject: must not be empty"),
    ],
    ids=lambda value: repr(value[:40]),
)
async def test_a_bad_body_gets_one_clear_answer(db: Database, body: bytes, message: str) -> None:
    async with over_http(db) as (_, client, key):
        headers = key | {"content-type": "application/json"}
        assert error(await client.post(SEND, content=body, headers=headers)) == (400, "invalid_argument", message)
        assert await batches(db) == 0


async def test_statuses_are_those_of_connect(db: Database) -> None:
    async with over_http(db, max_request_bytes=10_000) as (_, client, key):
        json_type = {"content-type": "application/json"}
        text = "the message has 20000 bytes, more than the 10000 allowed"
        large = await client.post(SEND, content=bytes(20_000), headers=json_type | key)
        assert error(large) == (429, "resource_exhausted", text)
        missing = await client.post(f"{ADMIN_API}/GetDomain", json={"domain": "a.example"}, headers=ADMIN)
        assert error(missing) == (404, "not_found", 'domain: no domain "a.example"')
        twice = await client.post(f"{ADMIN_API}/CreateDomain", json={"domain": "example.com"}, headers=ADMIN)
        assert error(twice)[:2] == (409, "already_exists")
        late = await client.post(SEND, json=MAIL, headers=key | {"connect-timeout-ms": "0"})
        assert error(late)[:2] == (504, "deadline_exceeded")
        assert error(await client.post("/nothing/here", json={}))[:2] == (404, "unimplemented")
        assert error(await client.get(SEND))[:2] == (405, "unknown")
        for kind in ("text/plain", "application/xml", "application/jsonx", ""):
            answer = await client.post(SEND, content=b"{}", headers=key | {"content-type": kind})
            assert error(answer)[:2] == (415, "unknown")
        zipped = await client.post(SEND, content=b"x", headers=key | json_type | {"content-encoding": "br"})
        assert error(zipped)[:2] == (501, "unimplemented")
        assert await batches(db) == 0


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (gzip.compress(bytes(100_000), mtime=0), (429, "resource_exhausted")),
        (gzip.compress(b"{}", mtime=0)[:-9], (400, "invalid_argument")),
        (b"not gzip", (400, "invalid_argument")),
    ],
)
async def test_gzip_is_bounded(db: Database, body: bytes, answer: tuple[int, str]) -> None:
    async with over_http(db) as (_, client, key):
        headers = key | {"content-type": "application/json", "content-encoding": "gzip"}
        assert error(await client.post(SEND, content=body, headers=headers))[:2] == answer


async def raw(api: RunningApi, sent: bytes, *, end: bool = False) -> bytes:
    """All that the server says until it closes the connection."""
    async with await anyio.connect_tcp(api.host, api.port) as stream:
        await stream.send(sent)
        if end:
            await stream.send_eof()
        got = b""
        with patience():
            try:
                async for data in stream:
                    got += data
            except anyio.BrokenResourceError:
                pass
        return got


def request(key: dict[str, str], body: bytes, *lines: str, version: str = "1.1") -> bytes:
    head = [f"POST {SEND} HTTP/{version}", "host: localhost", "content-type: application/json"]
    head += [f"{name}: {value}" for name, value in key.items()]
    return "\r\n".join([*head, *lines, "", ""]).encode() + body


BODY = json.dumps(MAIL).encode()


async def test_requests_that_a_proxy_may_read_otherwise_are_refused_or_end_the_connection(db: Database) -> None:
    async with over_http(db) as (api, _, key):
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
        follows = request(key, BODY, f"content-length: {len(BODY)}")
        for lines in (
            ["content-length: 3", "content-length: 4"],
            ["content-length: +3"],
            ["transfer-encoding: chunked, identity"],
            ["transfer-encoding: xchunked"],
            ["content-length : 3"],
            ["content-length: 3", " folded"],
        ):
            said = await raw(api, request(key, BODY + follows, *lines), end=True)
            assert said.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")), (lines, said)
            assert said.count(b"HTTP/1.1 ") == 1
        both = request(key, chunked + follows, "transfer-encoding: chunked", "content-length: 4")
        assert (await raw(api, both)).count(b"HTTP/1.1 ") == 1
        assert await batches(db) <= 1


async def test_http_1_0_and_expect_are_answered(db: Database) -> None:
    async with over_http(db) as (api, _, key):
        old = await raw(api, request(key, BODY, f"content-length: {len(BODY)}", version="1.0"))
        assert old.startswith(b"HTTP/1.1 200")
        expecting = request(key, BODY, f"content-length: {len(BODY)}", "expect: 100-continue", "connection: close")
        said = await raw(api, expecting)
        assert b"HTTP/1.1 200" in said
        assert await batches(db) == 2


async def test_a_body_that_stalls_is_given_up(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kannon.components.api.http.body.STALL_SECONDS", 0.05)
    async with over_http(db) as (api, _, key):
        said = await raw(api, request(key, b"3\r\n{  \r\n", "transfer-encoding: chunked"))
        assert said.startswith(b"HTTP/1.1 504")
        assert b"the message did not arrive in time" in said


async def test_an_early_answer_reaches_a_client_that_still_sends(db: Database) -> None:
    async with over_http(db, max_request_bytes=1000) as (_, client, _key):
        answer = await client.post(SEND, content=bytes(2 << 20), headers={"content-type": "application/json"})
        assert error(answer) == (401, "unauthenticated", "invalid or wrong auth")


async def test_large_bodies_take_turns_with_those_of_grpc(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kannon.components.api.http.body.LARGE_BYTES", 10)
    monkeypatch.setattr("kannon.components.api.shared.LARGE_AT_ONCE", 1)
    async with over_http(db) as (api, client, key):
        async with await anyio.connect_tcp(api.host, api.port) as stream:
            await stream.send(request(key, b"{", "content-length: 1000"))
            with anyio.move_on_after(0.3) as scope:
                await client.post(SEND, json=MAIL, headers=key)
            assert scope.cancelled_caught
        assert (await client.post(SEND, json=MAIL, headers=key)).status_code == 200


async def test_cors_is_off_unless_an_origin_is_named(db: Database) -> None:
    async with over_http(db) as (_, client, key):
        plain = await client.post(SEND, json=MAIL, headers=key | {"origin": "https://a.example"})
        assert "access-control-allow-origin" not in plain.headers


async def test_pages_about_the_api(db: Database) -> None:
    async def fails() -> None:
        raise OSError

    async with over_http(db, checks={"nats": fails}) as (_, client, _key):
        assert (await client.get("/healthz")).json() == {"healthy": True}
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"ready": False, "failing": {"nats": "unavailable"}}
        docs = await client.get("/docs")
        assert "SendHTML" in docs.text
        assert "<script" not in docs.text
        assert (await client.get("/openapi.json")).json()["openapi"] == "3.1.0"
        assert error(await client.post("/docs"))[:2] == (405, "unimplemented")
        websocket = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        assert (await client.get("/", headers=websocket | {"sec-websocket-key": "AAAA"})).status_code in (400, 403)


async def test_grpc_takes_gzip_and_json_too(db: Database) -> None:
    async with over_http(db) as (api, _, key):
        credentials = list(key.items())
        async with h2_client(api.host, api.port) as client:
            message = gzip.compress(a_send().SerializeToString())
            stream = await client.open(grpc_headers(SEND, ("grpc-encoding", "gzip"), *credentials))
            await client.send(stream, framed(message, compressed=True))
            answer = await client.answer(stream)
            assert (answer.status, SendRes.FromString(answer.data[5:]).accepted_count) == (0, 1)
            kinds = {"content-type": "application/grpc+json"}
            headers = [(name, kinds.get(str(name), value)) for name, value in grpc_headers(SEND, *credentials)]
            stream = await client.open(headers)
            await client.send(stream, framed(BODY))
            answer = await client.answer(stream)
            assert (answer.status, json.loads(answer.data[5:])["acceptedCount"]) == (0, 1)
            stream = await client.open(grpc_headers(SEND, ("grpc-encoding", "gzip"), *credentials))
            await client.send(stream, framed(gzip.compress(bytes(200_000)), compressed=True))
            assert (await client.answer(stream)).status == 8


def json_headers(key: dict[str, str], *extra: tuple[str, str]) -> list[tuple[str | bytes, str | bytes]]:
    kinds = {"content-type": "application/json"}
    named = [(name, kinds.get(str(name), value)) for name, value in grpc_headers(SEND, *key.items(), *extra)]
    return [each for each in named if each[0] != "te"]


async def test_a_body_of_another_length_is_an_error_of_its_request_alone(db: Database) -> None:
    async with over_http(db) as (api, _, key), h2_client(api.host, api.port) as client:
        for length, sent in ((10, b"{}"), (1, b"{}")):
            stream = await client.open(json_headers(key, ("content-length", str(length))))
            await client.send(stream, sent)
            answer = await client.answer(stream)
            assert answer.headers[":status"] == "400"
            assert f"content-length: the body has 2 bytes, not {length}".encode() in answer.data
        stream = await client.open(json_headers(key))
        await client.send(stream, BODY)
        assert (await client.answer(stream)).headers[":status"] == "200"


async def test_what_a_refused_client_still_sends_does_not_end_the_connection(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kannon.components.api.http.body.LINGER_SECONDS", 0.01)
    async with over_http(db) as (api, _, key), h2_client(api.host, api.port) as client:
        stopped = await client.open(json_headers({}, ("content-length", "100000")))
        await client.send(stopped, b"{", end=False)
        assert (await client.answer(stopped)).headers[":status"] == "401"
        await client.send(stopped, b"still sending", end=False)
        sent = await client.open(json_headers(key))
        await client.send(sent, BODY)
        assert (await client.answer(sent)).headers[":status"] == "200"
        short = await client.open(json_headers({}, ("content-length", "100000")))
        await client.send(short, b"{", end=False)
        assert (await client.answer(short)).headers[":status"] == "401"
        await client.send(short, b"no more", end=True)
        sent = await client.open(json_headers(key))
        await client.send(sent, BODY)
        assert (await client.answer(sent)).headers[":status"] == "200"
        assert client.goaway is None


async def test_the_limit_of_a_message_is_without_its_envelope(db: Database) -> None:
    message = a_send().SerializeToString()
    async with over_http(db, max_request_bytes=len(message)) as (_, client, key):
        headers = key | {"content-type": "application/grpc-web+proto"}
        good = await client.post(SEND, content=framed(message), headers=headers)
        assert b"grpc-status: 0" in good.content
        large = await client.post(SEND, content=framed(message + b"\0"), headers=headers)
        assert b"grpc-status: 8" in large.content


@pytest.mark.parametrize(("path", "kind", "status"), [("/nothing", "application/json", 404), (SEND, "text/plain", 415)])
async def test_every_early_answer_reaches_a_client_that_still_sends(
    db: Database, path: str, kind: str, status: int
) -> None:
    async with over_http(db) as (_, client, _key):
        for _ in range(5):
            answer = await client.post(path, content=bytes(4 << 20), headers={"content-type": kind})
            assert answer.status_code == status


async def test_cors_lets_the_named_origin_send_and_read_refusals(db: Database) -> None:
    async with over_http(db, cors_origins=["https://a.example"]) as (_, client, key):
        wanted = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        asked = await client.options(SEND, headers={"origin": "https://a.example"} | wanted)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, "https://a.example")
        assert asked.headers["access-control-allow-headers"] == "authorization"
        assert asked.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in asked.headers
        sent = await client.post(SEND, json=MAIL, headers=key | {"origin": "https://a.example"})
        assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (200, "https://a.example")
        refused = await client.post(SEND, json=MAIL, headers={"origin": "https://a.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://a.example")
        assert "retry-after" in refused.headers["access-control-expose-headers"]
        for origin in ("https://b.example", "http://a.example", "https://a.example.evil", "null"):
            other = await client.options(SEND, headers={"origin": origin} | wanted)
            assert error(other)[0] == 405
            assert "access-control-allow-origin" not in other.headers


async def test_wrong_credentials_are_answered_although_the_expected_body_never_comes(db: Database) -> None:
    async with over_http(db) as (api, _, _key):
        said = await raw(api, request({}, b"", "content-length: 1000000", "expect: 100-continue", "connection: close"))
        assert b"HTTP/1.1 401" in said
