"""Certificates by ACME, from Pebble: ordered for names that are ours, renewed, and served by every node."""

import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from anyio.streams.tls import TLSAttribute
from cryptography import x509
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from kannon.acme.check import AcmeProblem
from kannon.acme.client import AcmeClient
from kannon.bus.bus import Bus
from kannon.components.bump import Bump
from kannon.components.certificates import ASK_RENEWAL, NOT_OURS, RATE_LIMITED, AcmeServer, Certificates
from kannon.db.certificates import account_key, find_order_state, list_challenges
from kannon.db.pool import Database
from kannon.dns_lookup import make_lookup
from kannon.mail.dns.records import Kind
from kannon.server_tls import IssuedCertificates, ServerTls
from tests.support.certificates import Authority, make_authority
from tests.support.dns_server import DnsServer, serving_dns
from tests.support.kannon_process import free_port
from tests.support.pebble import Pebble, running_pebble
from tests.support.pool import insert_domain

OWN = "mail.example.org"
STATS = "stats.example.com"


@dataclass
class Clock:
    moved: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.moved


@dataclass
class World:
    """A node with bump on `http` and `https`, Pebble, and a name server."""

    db: Database
    pebble: Pebble
    dns: DnsServer
    nameserver: str
    http: int = 0
    https: int = 0
    clock: Clock = field(default_factory=Clock)
    issued: IssuedCertificates = field(default_factory=IssuedCertificates)

    def certificates(self, issued: IssuedCertificates | None = None) -> Certificates:
        look_up = make_lookup([self.nameserver])

        async def find_addresses(name: str) -> Collection[str]:
            return await look_up(name, Kind.ADDRESS)

        def make_client(key: str) -> AcmeClient:
            return AcmeClient(self.pebble.directory, "ops@example.org", key, self.pebble.ca.pem)

        server = AcmeServer(self.pebble.directory, make_client)
        return Certificates(self.db, issued or self.issued, server, [OWN], find_addresses, self.clock)

    async def serial(self, name: str, port: int = 0) -> int:
        """Of the certificate at a handshake, verified from Pebble's root. Raises ssl.SSLError."""
        context = ssl.create_default_context(cadata=await self.pebble.root())
        stream = await anyio.connect_tcp(
            "127.0.0.1", port or self.https, ssl_context=context, tls_hostname=name, tls_standard_compatible=False
        )
        async with stream:
            await stream.send(f"GET /healthz HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n".encode())
            assert (await stream.receive()).startswith(b"HTTP/1.1 200")
            der = stream.extra(TLSAttribute.peer_certificate_binary)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


@asynccontextmanager
async def bump_of(db: Database, bus: Bus, http: int, issued: IssuedCertificates) -> AsyncIterator[int]:
    """The port of HTTPS."""

    async def no_keys(_: datetime) -> dict[str, str]:
        return {}

    async def challenges() -> dict[str, str]:
        return await list_challenges(db)

    bump = Bump(
        bus,
        no_keys,
        listen=f"127.0.0.1:{http}",
        listen_tls="127.0.0.1:0",
        tls=ServerTls(None, issued),
        list_challenges=challenges,
        clock=lambda: datetime.now(UTC),
        new_id=lambda: "id",
    )
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        await group.start(bump.run, stop)
        yield bump.addresses[1][1]
        stop.set()


@pytest.fixture
async def world(db: Database, bus: Bus, ca: Authority, tmp_path: Path) -> AsyncIterator[World]:
    here = ["127.0.0.1"]
    dns = DnsServer({(OWN, "A"): here, (STATS, "A"): here, ("stats.elsewhere.example", "A"): ["192.0.2.1"]}, ttl=0)
    http = free_port()
    async with serving_dns(dns) as nameserver, running_pebble(tmp_path, ca, http, nameserver) as pebble:
        world = World(db, pebble, dns, nameserver, http)
        async with bump_of(db, bus, http, world.issued) as world.https:
            yield world


async def test_the_life_of_a_certificate(world: World, db: Database, bus: Bus) -> None:
    """Ordered when a handshake asks for it, with every fifth nonce refused; served by another node too; kept in an
    outage at renewal; renewed at two thirds of its life; replaced when it is revoked."""
    await insert_domain(db, "example.com")
    node = world.certificates()
    with pytest.raises((ssl.SSLError, anyio.EndOfStream, anyio.BrokenResourceError)):
        await world.serial(STATS)
    await node.look()
    first = await world.serial(STATS)
    assert set(node.expiries()) == {OWN, STATS}
    assert await world.serial(OWN) != first
    async with db.acquire() as connection:
        stored = [row["private_key"] for row in await connection.fetch("SELECT private_key FROM certificates")]
    assert [each[:5] for each in stored] == ["aes1.", "aes1."]

    other = IssuedCertificates()
    async with bump_of(db, bus, free_port(), other) as port:
        await world.certificates(other).look()
        assert await world.serial(STATS, port) == first

    await node.look()
    assert await world.serial(STATS) == first, "nothing was due"

    world.pebble.stop()
    world.clock.moved = timedelta(days=61)  # of 90
    await node.look()
    assert node.expiries().keys() == {OWN, STATS}
    state = await find_order_state(db, STATS)
    assert state is not None
    assert state.failures == 1
    assert timedelta(minutes=4) < state.retry_at - world.clock() <= timedelta(minutes=5)
    await world.pebble.start()  # with another root, and no account of ours
    await node.look()
    assert await find_order_state(db, STATS) == state, "not before its time"
    world.clock.moved += timedelta(minutes=6)
    await node.look()
    second = await world.serial(STATS)
    assert second != first

    world.clock.moved = timedelta(0)
    await revoke(world, db, STATS)
    await node.look()
    assert await world.serial(STATS) == second, "the server is asked every few hours"
    world.clock.moved = ASK_RENEWAL + timedelta(minutes=1)
    await node.look()
    assert await world.serial(STATS) not in (first, second)


async def revoke(world: World, db: Database, name: str) -> None:
    """As an operator who has lost the key does, with another client's account."""
    from acme import client, errors, messages
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    state = await find_order_state(db, name)
    assert state is not None
    assert state.certificate is not None
    chain = state.certificate.chain
    key = JWKEC(key=load_pem_private_key((await account_key(db, world.pebble.directory, "")).encode(), None))

    def call() -> None:
        net = client.ClientNetwork(key, alg=ES256)
        net.verify_ssl = world.pebble.ca.pem  # type: ignore[assignment]
        opened = client.ClientV2(client.ClientV2.get_directory(world.pebble.directory, net), net)
        for _ in range(10):
            try:
                net.account = opened.query_registration(
                    opened.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
                )
            except errors.ConflictError as known:
                net.account = messages.RegistrationResource(body=messages.Registration(), uri=known.location)
                break
            except messages.Error:
                continue
        for _ in range(10):
            try:
                opened.revoke(x509.load_pem_x509_certificate(chain.encode()), 1)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
            else:
                return

    await anyio.to_thread.run_sync(call)


async def test_names_that_are_not_ours_get_no_order(world: World, db: Database) -> None:
    await insert_domain(db, "elsewhere.example")
    await insert_domain(db, "no-record.example")
    node = world.certificates()
    asked = ["stats.unknown.example", "stats.elsewhere.example", "stats.no-record.example", "example.com", "x" * 300]
    for name in asked:
        world.issued.find(name)
    await node.look()
    assert node.expiries().keys() == {OWN}
    for name in asked:
        assert await find_order_state(db, name) is None
    # The record is corrected; the name is looked at again after a while.
    world.dns.zone["stats.elsewhere.example", "A"] = ["127.0.0.1"]
    world.issued.find("stats.elsewhere.example")
    await node.look()
    assert node.expiries().keys() == {OWN}
    world.clock.moved = NOT_OURS + timedelta(seconds=1)
    world.issued.find("stats.elsewhere.example")
    await node.look()
    assert node.expiries().keys() == {OWN, "stats.elsewhere.example"}


async def test_many_nodes_order_once(world: World, db: Database) -> None:
    nodes = [IssuedCertificates() for _ in range(4)]
    cycles = [world.certificates(each) for each in nodes]
    async with anyio.create_task_group() as group:
        for each in cycles:
            group.start_soon(each.look)
    for each in cycles:
        await each.look()
    assert all(each.has(OWN) for each in nodes)
    assert len({str(each.expiries()) for each in cycles}) == 1
    log = (world.pebble.folder / "pebble.log").read_text()
    assert log.count("Issued certificate serial") == 1


async def test_a_challenge_that_fails_says_why(world: World, db: Database) -> None:
    """The record points here, but the ACME server reaches another program at the port."""
    world.pebble.stop()
    world.pebble.http_port = free_port()
    await world.pebble.start()
    await world.certificates().look()
    async with db.acquire() as connection:
        problem = await connection.fetchval("SELECT problem FROM certificates WHERE name = $1", OWN)
    assert problem.startswith(f"{OWN}: ")
    assert "refused" in problem


@pytest.mark.parametrize("limit", [True, False])
async def test_the_wait_after_a_failure(
    world: World, db: Database, limit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:

    def order(self: AcmeClient, name: str, publish: object) -> object:
        raise AcmeProblem("no", rate_limited=limit)

    monkeypatch.setattr(AcmeClient, "order", order)
    waits = []
    node = world.certificates()
    for _ in range(4):
        before = world.clock()
        await node.look()
        state = await find_order_state(db, OWN)
        assert state is not None
        waits.append((state.retry_at - before) / timedelta(minutes=1))
        world.clock.moved += state.retry_at - before + timedelta(seconds=1)
    expected = [RATE_LIMITED / timedelta(minutes=1)] * 4 if limit else [5, 10, 20, 40]
    assert waits == pytest.approx(expected, abs=0.2)
