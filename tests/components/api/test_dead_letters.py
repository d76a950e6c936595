"""Dead letters through the API and the command, on a real bus."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from grpclib.const import Status

from kannon.bus.bus import Bus
from kannon.bus.publish import Outgoing
from kannon.bus.streams import STATS
from kannon.db.pool import Database
from kannon.pb.admin.v1 import parked_pb2 as pb
from kannon.pb.admin.v1.parked_grpc import ParkedStub
from tests.support.api import ADMIN, TOKEN, RunningApi, refusal, running_api
from tests.support.command import Command
from tests.support.consume import take


@pytest.fixture
async def api(db: Database, bus: Bus) -> AsyncIterator[RunningApi]:
    async with running_api(db, bus=bus) as api:
        yield api


@pytest.fixture
def stub(api: RunningApi) -> ParkedStub:
    return ParkedStub(api.channel)


async def dead_letter(bus: Bus, count: int) -> None:
    """Each through a consumer, as a component does it."""
    await bus._publish([Outgoing("kannon.stats.open", f"j{n}", b"junk %d\n\xff" % n) for n in range(count)])
    for message in await take(bus, STATS, count):
        await bus.add_dead_letter("kannon.stats.open", message.payload, f"not an event: {message.msg_id}")


async def listed(stub: ParkedStub, *, after: int = 0, take: int = 100) -> pb.ListParkedResponse:
    return await stub.ListParked(pb.ListParkedRequest(after=after, take=take), metadata=ADMIN)


async def test_they_are_listed_in_pages_with_their_reasons(stub: ParkedStub, bus: Bus) -> None:
    assert await listed(stub) == pb.ListParkedResponse()
    await dead_letter(bus, 5)
    answer = await listed(stub, take=3)
    assert answer.total == 5
    assert [m.reason for m in answer.messages] == [f"not an event: j{n}" for n in range(3)]
    first = answer.messages[0]
    assert (first.subject, first.payload, first.size) == ("kannon.stats.open", b"junk 0\n\xff", 8)
    assert datetime.now(UTC) - first.parked_at.ToDatetime(UTC) < timedelta(minutes=1)
    rest = await listed(stub, after=answer.messages[-1].sequence)
    assert [m.payload[:6] for m in rest.messages] == [b"junk 3", b"junk 4"]


async def test_one_is_sent_back_and_one_is_thrown_away(stub: ParkedStub, bus: Bus) -> None:
    await dead_letter(bus, 2)
    one, other = (await listed(stub)).messages
    await stub.RetryParked(pb.RetryParkedRequest(sequence=one.sequence), metadata=ADMIN)
    [message] = await take(bus, STATS, 1)
    assert message.payload == b"junk 0\n\xff"
    await stub.DeleteParked(pb.DeleteParkedRequest(sequence=other.sequence), metadata=ADMIN)
    assert (await listed(stub)).total == 0
    for call in (
        stub.RetryParked(pb.RetryParkedRequest(sequence=one.sequence), metadata=ADMIN),
        stub.DeleteParked(pb.DeleteParkedRequest(sequence=other.sequence), metadata=ADMIN),
        stub.DeleteParked(pb.DeleteParkedRequest(sequence=999), metadata=ADMIN),
    ):
        status, text = await refusal(call)
        assert status is Status.NOT_FOUND
        assert text.startswith("sequence: there is no dead letter ")
    for sequence in (0, 2**64 - 1):
        status, _ = await refusal(stub.RetryParked(pb.RetryParkedRequest(sequence=sequence), metadata=ADMIN))
        assert status is Status.INVALID_ARGUMENT


async def test_without_a_bus_they_are_unavailable(db: Database) -> None:
    async with running_api(db) as api:
        stub = ParkedStub(api.channel)
        assert (await refusal(stub.ListParked(pb.ListParkedRequest(), metadata=ADMIN)))[0] is Status.UNAVAILABLE
        assert (await refusal(stub.ListParked(pb.ListParkedRequest())))[0] is Status.UNAUTHENTICATED


async def test_the_command(api: RunningApi, bus: Bus, tmp_path: Path) -> None:
    kannon = Command(tmp_path, {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN})
    await dead_letter(bus, 1)
    [row] = (await kannon("dead-letters", "list")).rows
    assert row[2:] == ["kannon.stats.open", "8 B", "not an event: j0"]
    assert (await kannon("dead-letters", "retry", row[0])).out == f"{row[0]} is published again\n"
    again = await kannon("dead-letters", "delete", row[0])
    assert (again.code, again.err) == (1, f"kannon: sequence: there is no dead letter {row[0]}\n")
    old = await kannon("parked", "list")
    assert (old.code, old.err) == (
        0,
        "kannon: kannon parked is now kannon dead-letters; the old name will be removed\n",
    )
