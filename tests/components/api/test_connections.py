"""How many connections there may be, and which one makes room."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kannon.components.api import connections
from kannon.components.api.connections import MAX_CONNECTIONS, MAX_PER_PEER, ConnectionTable
from kannon.db.pool import Database
from kannon.pb.admin.apiv1.adminapiv1_pb2 import GetDomainsReq
from tests.support.api import ADMIN, TOKEN, running_api
from tests.support.certificates import make_authority
from tests.support.h2_client import H2Client, framed, grpc_headers, h2_client
from tests.support.h2_server import call_is_answered, serving
from tests.support.patience import patience

GET_DOMAINS = "/pkg.kannon.admin.apiv1.Api/GetDomains"


@dataclass(eq=False)
class Open:
    peer: str
    idle_since: float | None = 0.0
    authenticated: bool = False
    calls: dict[object, asyncio.Task[None]] = field(default_factory=dict)
    closed: bool = False

    def cancel_streaming(self) -> None: ...

    def close_if_idle(self, now: float) -> None: ...

    def close_gracefully(self) -> None:
        self.closed = True


def table_of(*members: Open) -> ConnectionTable:
    table = ConnectionTable()
    for each in members:
        table.add(each)
    return table


def test_a_peer_has_its_share_and_loopback_has_all() -> None:
    same_customer = [Open(f"2001:db8::{i:x}") for i in range(MAX_PER_PEER)]
    table = table_of(*(Open("192.0.2.1") for _ in range(MAX_PER_PEER)), *same_customer)
    assert not table.admit("192.0.2.1")
    assert not table.admit("::ffff:192.0.2.1")
    assert not table.admit("2001:db8::ffff")
    assert table.admit("192.0.2.2")
    assert table.admit("2001:db8:0:1::1")
    table.remove(same_customer[0])
    table.remove(same_customer[0])
    assert table.admit("2001:db8::ffff")
    for address in ("127.0.0.1", "127.1.2.3", "::1"):
        table = table_of(*(Open(address) for _ in range(MAX_CONNECTIONS - 1)))
        assert table.admit(address)


def test_the_oldest_idle_connection_without_authentication_makes_room() -> None:
    serving_a_call = Open("192.0.2.1", idle_since=None)
    authenticated = Open("192.0.2.1", idle_since=1.0, authenticated=True)
    newer, older = Open("192.0.2.1", idle_since=3.0), Open("192.0.2.1", idle_since=2.0)
    others = [Open("127.0.0.1", idle_since=None) for _ in range(MAX_CONNECTIONS - 4)]
    table = table_of(serving_a_call, authenticated, newer, older, *others)
    for expected in (older, newer):
        assert table.admit("192.0.2.2")
        table.add(Open("192.0.2.2", idle_since=None))
        assert expected.closed
    assert not table.admit("192.0.2.2")
    assert not serving_a_call.closed
    assert not authenticated.closed


async def test_a_client_finds_room_among_idle_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    async with serving() as (_, host, port):
        silent = [await asyncio.open_connection(host, port) for _ in range(2)]
        async with h2_client(host, port) as unauthenticated:
            stream = await unauthenticated.open(grpc_headers("/nothing/here"))
            assert (await unauthenticated.answer(stream)).status == 12
            for reader, _ in silent:
                await call_is_answered(host, port)
                with patience(), pytest.raises(ConnectionError):
                    await read_all(reader)
        for _, writer in silent:
            writer.close()


async def test_connections_in_their_tls_handshake_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    async with serving(make_authority(tmp_path).issue("localhost")) as (server, host, port):
        silent = [await asyncio.open_connection(host, port) for _ in range(4)]
        with patience():
            for reader, _ in silent[:2]:
                assert not await reader.read()
        assert len(list(server._connections)) == 2
        for _, writer in silent:
            writer.close()


async def test_authenticated_connections_stay(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    async with running_api(db) as api, h2_client(api.host, api.port) as first, h2_client(api.host, api.port) as second:
        for client in (first, second):
            assert await get_domains(client) == 0
        reader, writer = await asyncio.open_connection(api.host, api.port)
        with patience():
            assert not await reader.read()
        writer.close()
        assert await get_domains(first) == 0


async def test_a_wrong_token_does_not_authenticate(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 1)
    async with running_api(db) as api, h2_client(api.host, api.port) as first:
        assert await get_domains(first, "wrong") == 16
        await api.admin.GetDomains(GetDomainsReq(), metadata=ADMIN)
        with patience():
            await first.until_closed()


async def get_domains(client: H2Client, token: str = TOKEN) -> int | None:
    stream = await client.open(grpc_headers(GET_DOMAINS, ("x-kannon-admin-token", token)))
    await client.send(stream, framed(b""))
    return (await client.answer(stream)).status


async def read_all(reader: asyncio.StreamReader) -> None:
    while await reader.read(1000):
        pass
    raise ConnectionError  # its end and its reset are the same here
