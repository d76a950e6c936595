"""The processes of an installation through the API and the command, on a real bus."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from grpclib.const import Status
from nats.aio.msg import Msg

from kannon import __version__
from kannon.bus.bus import Bus
from kannon.bus.streams import GATHER_NODES
from kannon.components import node
from kannon.components.node import NodeReply
from kannon.db.pool import Database
from kannon.pb.admin.v1 import nodes_pb2 as pb
from kannon.pb.admin.v1.nodes_grpc import NodesStub
from tests.support.api import ADMIN, TOKEN, RunningApi, refusal, running_api
from tests.support.command import Command
from tests.support.patience import patience

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@dataclass(frozen=True)
class State:
    name: str
    phase: str


@pytest.fixture
async def api(db: Database, bus: Bus) -> AsyncIterator[RunningApi]:
    async with running_api(db, bus=bus) as api:
        yield api


@asynccontextmanager
async def running(bus: Bus, process: int, components: list[str]) -> AsyncIterator[list[int]]:
    """The number of attempts, in a list."""
    attempts = [0]
    states = [State("postgres", "starting"), *[State(name, "ready") for name in components[1:]]]
    states.append(State(components[0], "failed" if process == 2 else "ready"))
    stop = anyio.Event()
    reply = NodeReply(bus, process, components, lambda: states, lambda: attempts[0], lambda: AT)
    async with anyio.create_task_group() as group:
        await group.start(lambda *, task_status: reply.run(stop, task_status=task_status))
        yield attempts
        stop.set()


async def listed(api: RunningApi, count: int) -> list[pb.Node]:
    """Once so many processes have subscribed."""
    with patience():
        while True:
            answer = await NodesStub(api.channel).ListNodes(pb.ListNodesRequest(), metadata=ADMIN)
            if len(answer.nodes) >= count:
                return list(answer.nodes)


async def test_it_is_the_administrators(api: RunningApi) -> None:
    assert (await refusal(NodesStub(api.channel).ListNodes(pb.ListNodesRequest())))[0] is Status.UNAUTHENTICATED


async def test_without_nats_it_is_unavailable(db: Database) -> None:
    async with running_api(db) as api:
        said = await refusal(NodesStub(api.channel).ListNodes(pb.ListNodesRequest(), metadata=ADMIN))
    assert said[0] is Status.UNAVAILABLE


async def test_every_process_says_what_it_runs_and_how_busy_it_is(
    api: RunningApi, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def babble(message: Msg) -> None:
        await message.respond(b"\xff\xff")

    subscription = await bus._connection.client.subscribe(GATHER_NODES, cb=babble)  # a process of another version
    monkeypatch.setattr(node, "MEASURE_SECONDS", 0.05)
    async with running(bus, 2, ["sender", "stats"]) as attempts, running(bus, 1, ["api", "sender"]):
        first, second = await listed(api, 2)
        assert (first.process, list(first.components), list(first.not_ready)) == (1, ["api", "sender"], [])
        assert (second.process, list(second.components), list(second.not_ready)) == (2, ["sender", "stats"], ["sender"])
        assert (first.host, first.pid, first.version) == (socket.gethostname(), os.getpid(), __version__)
        assert first.started_at.ToDatetime(UTC) == AT
        with patience():
            while not any(each.process == 2 and each.attempts_per_second for each in await listed(api, 2)):
                attempts[0] += 10
        kannon = Command(tmp_path, {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN})
        said = await kannon("nodes")
        assert said.code == 0, said.err
        rows = said.rows
        assert [row[:4] for row in rows] == [
            [socket.gethostname(), "1", str(os.getpid()), "api sender"],
            [socket.gethostname(), "2", str(os.getpid()), "sender stats"],
        ]
        assert "sender" in rows[1][4]
        assert (await kannon("nodes", "--json")).json["nodes"][1]["not_ready"] == ["sender"]
    await subscription.unsubscribe()


async def test_a_process_answers_whose_components_have_not_connected_yet(api: RunningApi, nats_url: str) -> None:
    own = Bus(nats_url)
    async with running(own, 1, ["stats"]):
        assert [list(each.components) for each in await listed(api, 1)] == [["stats"]]
    await own.close()
