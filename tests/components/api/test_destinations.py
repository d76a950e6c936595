"""Destinations of several senders through the API and the command, on a real bus."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from grpclib.const import Status
from nats.aio.msg import Msg

from kannon.bus.bus import Bus
from kannon.bus.streams import GATHER_DESTINATIONS
from kannon.components.sender import Sender
from kannon.config import Dns
from kannon.config import Sender as Settings
from kannon.db.pool import Database
from kannon.mail.verdict import Stage
from kannon.outbound import Deliverer
from kannon.pb.admin.v1 import destinations_pb2 as pb
from kannon.pb.admin.v1.destinations_grpc import DestinationsStub
from tests.support.api import ADMIN, TOKEN, RunningApi, refusal, running_api
from tests.support.command import Command
from tests.support.envelopes import an_envelope
from tests.support.eventually import eventually
from tests.support.smtp_peer import Peer, free_port, serving


@pytest.fixture
async def api(db: Database, bus: Bus) -> AsyncIterator[RunningApi]:
    async with running_api(db, bus=bus) as api:
        yield api


@pytest.fixture
def stub(api: RunningApi) -> DestinationsStub:
    return DestinationsStub(api.channel)


@asynccontextmanager
async def sending(bus: Bus, *ports: int) -> AsyncIterator[Sender]:
    """A sender whose mail for d0.test, d1.test, … goes to these ports."""
    routes = [{"domain": f"d{n}.test", "host": "127.0.0.1", "port": port} for n, port in enumerate(ports)]
    settings = Settings.model_validate({"hostname": "me.test", "routes": routes})
    sender = Sender(Deliverer(settings, Dns()), bus, clock=lambda: datetime.now(UTC))
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        await group.start(lambda *, task_status: sender.run(stop, task_status=task_status))
        yield sender
        stop.set()


async def listed(stub: DestinationsStub, host: str = "", *, take: int = 100) -> pb.ListDestinationsResponse:
    return await stub.ListDestinations(pb.ListDestinationsRequest(host=host, take=take), metadata=ADMIN)


async def test_without_a_sender_nobody_answers(stub: DestinationsStub) -> None:
    assert await listed(stub) == pb.ListDestinationsResponse()


async def test_it_is_the_administrators(stub: DestinationsStub) -> None:
    assert (await refusal(stub.ListDestinations(pb.ListDestinationsRequest())))[0] is Status.UNAUTHENTICATED


async def test_without_nats_it_is_unavailable(db: Database) -> None:
    async with running_api(db) as api:
        said = await refusal(
            DestinationsStub(api.channel).ListDestinations(pb.ListDestinationsRequest(), metadata=ADMIN)
        )
    assert said[0] is Status.UNAVAILABLE


async def test_every_sender_says_how_its_destinations_are_doing(stub: DestinationsStub, bus: Bus) -> None:
    gate = asyncio.Event()
    busy, refusing, dead = Peer(gate=gate), Peer({Stage.RCPT: "550 5.1.1 nobody here"}), free_port()
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(serving(peer)) for peer in (busy, refusing)]
        first = await stack.enter_async_context(sending(bus, *ports, dead))
        mails = [an_envelope(f"x{n}@d0.test", delivery_id=n) for n in range(1, 6)]
        mails += [an_envelope("y@d1.test", delivery_id=10), an_envelope("z@d2.test", delivery_id=11)]
        await bus.publish_envelopes(mails)
        await eventually(lambda: len(busy.mails) == 2 and sum(bool(each.last) for each in first.destinations()) == 2)
        await stack.enter_async_context(sending(bus, *ports))
        answer = await listed(stub)
        assert (answer.senders, answer.total, len(answer.destinations)) == (2, 3, 3)
        most, down, other = answer.destinations[0], *sorted(answer.destinations[1:], key=lambda each: each.last_verdict)
        assert most.sender == f"{socket.gethostname()}:{os.getpid()}"
        assert (most.site, most.waiting, most.in_flight) == (f"127.0.0.1:{ports[0]}", 3, 2)
        assert (most.connections, most.last_verdict) == (2, "")
        assert most.connection_limit in (1, 2)  # 1 until the two senders have divided it
        assert not most.HasField("next_probe_seconds")
        assert (down.site, down.connections) == (f"127.0.0.1:{dead}", 0)
        assert down.last_verdict == down.last_failure == "connect: 127.0.0.1: Connection refused"
        assert down.next_probe_seconds >= 0
        assert down.HasField("next_probe_seconds")
        assert other.last_verdict == "rcpt: 550 nobody here"
        assert [each.site for each in (await listed(stub, f"1:{dead}")).destinations] == [f"127.0.0.1:{dead}"]
        assert len((await listed(stub, take=1)).destinations) == 1
        gate.set()
        await eventually(lambda: any(each.last.startswith("delivered: 250") for each in first.destinations()))


async def test_an_answer_that_cannot_be_read_is_left_out(stub: DestinationsStub, bus: Bus) -> None:
    async def babble(message: Msg) -> None:
        await message.respond(b"\xff\xff")

    subscription = await bus._connection.client.subscribe(GATHER_DESTINATIONS, cb=babble)
    async with sending(bus):
        assert (await listed(stub)).senders == 1
    await subscription.unsubscribe()


async def test_the_command(api: RunningApi, bus: Bus, tmp_path: Path) -> None:
    kannon = Command(tmp_path, {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN})
    peer = Peer()
    async with serving(peer) as port, sending(bus, port) as sender:
        await bus.publish_envelopes([an_envelope("x@d0.test")])
        await eventually(lambda: any(each.last for each in sender.destinations()))
        said = await kannon("queue", "destinations")
        assert said.code == 0, said.err
        [row] = said.rows
        verdict = "delivered: 250 queued as 1"
        assert row[:6] == [f"127.0.0.1:{port}", "0", "0", "1 of 3", "opportunistic: clear text", verdict], row
        as_json = (await kannon("queue", "destinations", "127.0", "--json")).json
        assert as_json["destinations"][0]["connections"] == 1
        assert (await kannon("queue", "destinations", "elsewhere")).out == ""
