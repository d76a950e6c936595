"""The server below the methods: bounds, broken clients, deadlines, draining."""

import asyncio
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from grpclib.const import Status
from grpclib.health.v1.health_pb2 import HealthCheckResponse
from h2.errors import ErrorCodes

from kannon.components.api import Api, ApiSettings, first_bytes, server, shared
from kannon.components.api.grpc import bodies, connection
from kannon.db.pool import Database
from kannon.dns_lookup import make_lookup, make_txt_lookup
from kannon.errors import AddressInUse, ConfigError
from kannon.pb.admin.apiv1.adminapiv1_pb2 import GetDomainsReq, GetDomainsResponse
from tests.support.api import ADMIN, LIMITS, TOKEN, NoBus, a_send, refusal, running_api
from tests.support.h2_client import H2Client, framed, grpc_headers, h2_client
from tests.support.patience import patience

GET_DOMAINS = "/pkg.kannon.admin.apiv1.Api/GetDomains"
SEND = "/pkg.kannon.mailer.apiv1.Mailer/SendHTML"
CHECK = "/grpc.health.v1.Health/Check"
ADMIN_HEADER = ("x-kannon-admin-token", TOKEN)


async def ask(
    client: H2Client, path: str, body: bytes, *headers: tuple[str | bytes, str | bytes]
) -> tuple[int | None, str]:
    stream = await client.open(grpc_headers(path, *headers))
    await client.send(stream, body)
    answer = await client.answer(stream)
    return answer.status, answer.message


async def test_a_message_over_the_limit_is_refused_by_its_prefix(db: Database) -> None:
    async with running_api(db, max_request_bytes=1000) as api, h2_client(api.host, api.port) as client:
        for path in (GET_DOMAINS, CHECK):
            stream = await client.open(grpc_headers(path, ADMIN_HEADER))
            # Five bytes of four GiB; the rest is never sent, and nobody waits for it.
            await client.send(stream, framed(b"", length=2**32 - 1), end=False)
            answer = await client.answer(stream)
            assert answer.status == Status.RESOURCE_EXHAUSTED.value
            assert "1000" in answer.message
        assert (await ask(client, GET_DOMAINS, framed(b""), ADMIN_HEADER))[0] == 0


async def test_credentials_are_judged_before_a_byte_of_the_body(db: Database) -> None:
    async with running_api(db) as api, h2_client(api.host, api.port) as client:
        for path, text in ((SEND, "invalid or wrong auth"), (GET_DOMAINS, "invalid admin token")):
            stream = await client.open(grpc_headers(path))
            answer = await client.answer(stream)
            assert (answer.status, answer.message) == (Status.UNAUTHENTICATED.value, text)


BROKEN_BODIES = {
    "compressed": (framed(b"", compressed=True), Status.UNIMPLEMENTED),
    "no message": (b"", Status.UNIMPLEMENTED),
    "half a prefix": (b"\0\0", Status.INVALID_ARGUMENT),
    "shorter than announced": (framed(b"abc", length=10), Status.INVALID_ARGUMENT),
    "not protobuf": (framed(b"\xff\xff\xff"), Status.INVALID_ARGUMENT),
    "text that is not UTF-8": (framed(b"\x0a\x02\xff\xfe"), Status.INVALID_ARGUMENT),
}


async def test_broken_bodies_get_a_status(db: Database) -> None:
    async with running_api(db) as api, h2_client(api.host, api.port) as client:
        for name, (body, status) in BROKEN_BODIES.items():
            found, text = await ask(client, "/pkg.kannon.admin.apiv1.Api/GetDomain", body, ADMIN_HEADER)
            assert found == status.value, (name, text)
        assert (await ask(client, GET_DOMAINS, framed(b""), ADMIN_HEADER))[0] == 0


async def test_a_body_in_many_and_in_empty_frames_is_read(db: Database) -> None:
    async with running_api(db) as api, h2_client(api.host, api.port) as client:
        await api.create_domain("example.com")
        stream = await client.open(grpc_headers(GET_DOMAINS, ADMIN_HEADER))
        for byte in framed(b"\x7a\x03abc"):  # an unknown field
            await client.send(stream, bytes([byte]), end=False)
            await client.send(stream, b"", end=False)
        await client.send(stream, b"", end=True)
        answer = await client.answer(stream)
    assert answer.status == 0
    assert GetDomainsResponse.FromString(answer.data[5:]).domains[0].domain == "example.com"


BROKEN_HEADERS: dict[str, tuple[tuple[str | bytes, str | bytes], int]] = {
    "timeout without unit": (("grpc-timeout", "10"), Status.INVALID_ARGUMENT.value),
    "endless timeout": (("grpc-timeout", "9" * 400 + "S"), Status.INVALID_ARGUMENT.value),
    "timeout that has passed": (("grpc-timeout", "1n"), Status.DEADLINE_EXCEEDED.value),
    "binary value that is none": (("x-bin", "a"), Status.INVALID_ARGUMENT.value),
    "binary value beyond ASCII": ((b"x-bin", b"\xff\xff"), Status.INVALID_ARGUMENT.value),
    "attribution that is not UTF-8": ((b"x-kannon-attribution", b"\xff"), Status.INVALID_ARGUMENT.value),
    "attribution that is too long": (("x-kannon-attribution", "x" * 257), Status.INVALID_ARGUMENT.value),
    "attribution in UTF-8": ((b"x-kannon-attribution", "Zoë".encode()), 0),
}


async def test_broken_headers_get_a_status_and_leave_the_connection(db: Database) -> None:
    async with running_api(db) as api, h2_client(api.host, api.port) as client:
        for name, (header, status) in BROKEN_HEADERS.items():
            assert (await ask(client, GET_DOMAINS, framed(b""), ADMIN_HEADER, header))[0] == status, name


async def test_unknown_methods_and_content_types_are_refused(db: Database) -> None:
    async with running_api(db) as api, h2_client(api.host, api.port) as client:
        assert (await ask(client, "/pkg.kannon.admin.apiv1.Api/Nothing", framed(b"")))[0] == Status.UNIMPLEMENTED.value
        headers = [(n, "application/json" if n == "content-type" else v) for n, v in grpc_headers(GET_DOMAINS)]
        stream = await client.open(headers, end=True)
        assert (await client.answer(stream)).headers[":status"] == "415"


async def test_frames_of_unknown_types_are_ignored(db: Database) -> None:
    async with running_api(db) as api, h2_client(api.host, api.port) as client:
        await client.raw(b"\x00\x00\x06" + b"\xee" + b"\x00" + bytes(4) + b"grease")  # length, type, flags, stream
        assert (await ask(client, GET_DOMAINS, framed(b""), ADMIN_HEADER))[0] == 0


async def test_a_client_that_resets_its_call_stops_the_work(db: Database) -> None:
    """The lock is held by us: the send waits for it until its client leaves, and nothing is stored."""
    async with running_api(db) as api, h2_client(api.host, api.port) as client:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        async with db.transaction() as connection:
            await connection.execute("LOCK TABLE sending_pool_emails IN EXCLUSIVE MODE")
            stream = await client.open(grpc_headers(SEND, *key.items()))
            await client.send(stream, framed(a_send().SerializeToString()))
            await _until_someone_waits(connection)
            client.h2.reset_stream(stream)
            await client.flush()
            assert (await ask(client, GET_DOMAINS, framed(b""), ADMIN_HEADER))[0] == 0
            await _until_nobody_waits(connection)
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM messages") == 0


async def test_a_deadline_is_kept(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        async with db.transaction() as connection:
            await connection.execute("LOCK TABLE sending_pool_emails IN EXCLUSIVE MODE")
            with pytest.raises(TimeoutError):
                await api.mailer.SendHTML(a_send(), metadata=key, timeout=0.2)
            await _until_nobody_waits(connection)
        async with h2_client(api.host, api.port) as client, db.transaction() as connection:
            await connection.execute("LOCK TABLE sending_pool_emails IN EXCLUSIVE MODE")
            body = framed(a_send().SerializeToString())
            found, _ = await ask(client, SEND, body, *key.items(), ("grpc-timeout", "200m"))
            assert found == Status.DEADLINE_EXCEEDED.value


async def test_a_stop_lets_running_calls_complete_and_takes_no_new_ones(db: Database) -> None:
    async with running_api(db) as api, h2_client(api.host, api.port) as busy, h2_client(api.host, api.port) as idle:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        assert (await ask(idle, GET_DOMAINS, framed(b""), ADMIN_HEADER))[0] == 0
        async with db.transaction() as connection:
            await connection.execute("LOCK TABLE sending_pool_emails IN EXCLUSIVE MODE")
            running = await busy.open(grpc_headers(SEND, *key.items()))
            await busy.send(running, framed(a_send().SerializeToString()))
            await _until_someone_waits(connection)
            api.stop.set()
            with patience():
                await _until_refused(api.host, api.port)
            late = await ask(busy, GET_DOMAINS, framed(b""), ADMIN_HEADER)
            assert late == (Status.UNAVAILABLE.value, "the server is stopping")
        answer = await busy.answer(running)
        assert answer.status == 0
        with patience():
            await busy.until_closed()
            await idle.until_closed()
        assert busy.goaway == ErrorCodes.NO_ERROR
        assert idle.goaway == ErrorCodes.NO_ERROR
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM messages") == 1


async def test_a_stop_does_not_wait_for_streams_without_an_end(db: Database) -> None:
    async with running_api(db) as api, h2_client(api.host, api.port) as client:
        stream = await client.open(grpc_headers("/grpc.health.v1.Health/Watch"))
        await client.send(stream, framed(b""))
        serving = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
        while not client.answers[stream].data.endswith(serving):
            await client.read()
        api.stop.set()
        with patience():
            await client.until_closed()


async def test_idle_connections_are_closed(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_WATCH_SECONDS", 0.01)
    monkeypatch.setattr(connection, "FIRST_CALL_SECONDS", 0.05)
    monkeypatch.setattr(first_bytes, "FIRST_CALL_SECONDS", 0.05)
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.1)
    async with running_api(db) as api:
        reader, writer = await asyncio.open_connection(api.host, api.port)  # says nothing at all
        async with h2_client(api.host, api.port) as used:
            assert (await ask(used, GET_DOMAINS, framed(b""), ADMIN_HEADER))[0] == 0
            with patience():
                while await reader.read(1000):
                    pass
                await used.until_closed()
            assert used.goaway == ErrorCodes.NO_ERROR
        writer.close()


async def test_a_body_that_stalls_is_given_up(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "STALL_SECONDS", 0.05)
    async with running_api(db) as api, h2_client(api.host, api.port) as client:
        stream = await client.open(grpc_headers(GET_DOMAINS, ADMIN_HEADER))
        await client.send(stream, framed(b"abc", length=10), end=False)
        assert (await client.answer(stream)).status == Status.DEADLINE_EXCEEDED.value


async def test_large_bodies_take_turns(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGE_BYTES", 10)
    monkeypatch.setattr(shared, "LARGE_AT_ONCE", 1)
    large = framed(b"\x7a\x14" + bytes(20))
    async with running_api(db) as api, h2_client(api.host, api.port) as client:
        first = await client.open(grpc_headers(GET_DOMAINS, ADMIN_HEADER))
        await client.send(first, large[:10], end=False)
        second = await client.open(grpc_headers(GET_DOMAINS, ADMIN_HEADER))
        await client.send(second, large)
        assert (await ask(client, GET_DOMAINS, framed(b""), ADMIN_HEADER))[0] == 0  # small ones pass
        assert not client.answers[second].ended
        await client.send(first, large[10:])
        assert (await client.answer(first)).status == 0
        assert (await client.answer(second)).status == 0


async def test_an_unexpected_error_shows_nothing_of_itself(db: Database) -> None:
    async with db.acquire() as connection:
        await connection.execute("ALTER TABLE domains RENAME COLUMN domain TO renamed")
    async with running_api(db) as api:
        answer = await refusal(api.admin.GetDomains(GetDomainsReq(), metadata=ADMIN))
    assert answer == (Status.INTERNAL, "internal error")


async def test_a_taken_address_is_the_operators_fault(db: Database) -> None:
    async with running_api(db) as api:
        other = Api(
            ApiSettings(api.host, api.port, TOKEN, 1000, LIMITS), db, NoBus(), {}, make_txt_lookup([]), make_lookup([])
        )
        with pytest.raises(AddressInUse, match=rf"^api\.listen: 127\.0\.0\.1:{api.port}: [A-Z][^\n]+$"):
            await other.run(anyio.Event(), task_status=anyio.TASK_STATUS_IGNORED)


async def test_a_certificate_that_cannot_be_read_is_the_operators_fault(db: Database, tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    for text in (None, "not a certificate"):
        if text is not None:
            file.write_text(text)
        settings = ApiSettings("127.0.0.1", 0, TOKEN, 1000, LIMITS, tls_cert=str(file), tls_key=str(file))
        api = Api(settings, db, NoBus(), {}, make_txt_lookup([]), make_lookup([]))
        with pytest.raises(ConfigError, match=r"^configuration: api\.tls_cert, api\.tls_key: [^\n]+$"):
            await api.run(anyio.Event(), task_status=anyio.TASK_STATUS_IGNORED)


async def _until_someone_waits(connection: Any) -> None:
    with patience():
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await anyio.lowlevel.checkpoint()


async def _until_nobody_waits(connection: Any) -> None:
    with patience():
        while await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await anyio.lowlevel.checkpoint()


async def _until_refused(host: str, port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return
        writer.close()
        await anyio.lowlevel.checkpoint()
