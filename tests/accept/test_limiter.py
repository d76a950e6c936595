"""The limiter bounds large sends, and no other call waits for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from grpclib.const import Status
from grpclib.health.v1.health_grpc import HealthStub
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from kannon.accept.limiter import SendLimiter
from kannon.bus.bus import Bus
from kannon.components.validator import Validator
from kannon.db.batches import ONE_STATEMENT
from kannon.db.pool import Database, open_database
from kannon.errors import LimitExceeded
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.api import a_send, refusal, running_api
from tests.support.cipher import make_cipher
from tests.support.patience import patience
from tests.support.pool import states
from tests.support.runner import running

QUICKLY_SECONDS = 20.0  # a single send takes milliseconds; without the limiter it fails after two seconds
SENDS = 40


@asynccontextmanager
async def tenant_blocked(url: str, domain: str) -> AsyncIterator[None]:
    """Every insert for this domain waits for its row, so it takes as long as a send to many recipients."""
    other = await open_database(url, cipher=make_cipher())
    try:
        async with other.transaction() as connection:
            await connection.execute("SELECT FROM domains WHERE domain = $1 FOR UPDATE", domain)
            yield
    finally:
        await other.close()


async def test_large_sends_of_one_tenant_delay_neither_another_tenant_nor_the_mail(
    db: Database, bus: Bus, postgres_url: str
) -> None:
    background = await open_database(postgres_url, acquire_timeout=None, cipher=make_cipher())
    validator = Validator(background, bus)
    recipients = [Recipient(email=f"user{n}@example.net") for n in range(ONE_STATEMENT + 1)]
    large = a_send(recipients=recipients, sender=Sender(email="news@many.com"))
    single = a_send(sender=Sender(email="news@few.com"))
    async with running_api(db, background=background) as api, running([validator]) as stage:
        await api.create_domain("many.com")
        await api.create_domain("few.com")
        many, few = await api.create_key("many.com"), await api.create_key("few.com")
        async with tenant_blocked(postgres_url, "many.com"):
            pending = [asyncio.create_task(refusal(api.mailer.SendHTML(large, metadata=many))) for _ in range(SENDS)]
            with anyio.fail_after(QUICKLY_SECONDS):
                answers = await asyncio.gather(
                    *(refusal(api.mailer.SendHTML(single, metadata=few)) for _ in range(SENDS)),
                    refusal(api.mailer.SendHTML(a_send(recipients=recipients, sender=single.sender), metadata=few)),
                )
                assert set(answers) == {(Status.OK, "")}
                while set((await states(background)).values()) != {"scheduled"}:
                    await asyncio.sleep(0.01)
            assert not any(task.done() for task in pending)
        assert set(await asyncio.gather(*pending)) == {(Status.OK, "")}
        assert stage.state("validator").restarts == 0
        stage.runner.stop()
        await stage.returned.wait()
    await background.close()


async def test_a_call_that_finds_all_connections_in_use_fails_with_that_reason(postgres_url: str) -> None:
    small = await open_database(postgres_url, pool_size=2, cipher=make_cipher())
    background = await open_database(postgres_url, acquire_timeout=None, cipher=make_cipher())
    async with running_api(small, background=background) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        async with small.acquire(), small.acquire():
            answer = await refusal(api.mailer.SendHTML(a_send(), metadata=key))
            health = await HealthStub(api.channel).Check(HealthCheckRequest())
        assert answer == (Status.UNAVAILABLE, "the server is busy; try again")
        assert health.status == HealthCheckResponse.SERVING
    await small.close()
    await background.close()


async def admitted(limiter: SendLimiter, tenant: str, order: list[str], leave: asyncio.Event) -> None:
    async with limiter.place(tenant):
        order.append(tenant)
        await leave.wait()


async def test_one_tenant_leaves_one_place_free_and_a_free_place_goes_to_the_tenant_with_the_fewest() -> None:
    limiter, order, leave = SendLimiter(3), list[str](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for tenant in ("a", "a", "a", "a", "b", "b", "c"):
            group.create_task(admitted(limiter, tenant, order, leave))
            await asyncio.sleep(0)
        assert order == ["a", "a", "b"]
        leave.set()
    assert order == ["a", "a", "b", "c", "a", "b", "a"]


async def test_a_cancelled_waiter_takes_no_place() -> None:
    limiter, order, leave = SendLimiter(1), list[str](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(admitted(limiter, "a", order, leave))
        await asyncio.sleep(0)
        impatient = group.create_task(admitted(limiter, "b", order, leave))
        late = group.create_task(admitted(limiter, "c", order, leave))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.sleep(0)
        leave.set()
        await asyncio.sleep(0)
        late.cancel()  # in the same cycle of the event loop in which it gets the place
    with patience():
        await admitted(limiter, "d", order, leave)
    assert (order[0], order[-1]) == ("a", "d")


async def test_a_full_queue_refuses_a_send_and_names_the_reason() -> None:
    limiter, order, leave = SendLimiter(1, waiting=2, waiting_per_tenant=1), list[str](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for tenant in ("a", "a", "b"):
            group.create_task(admitted(limiter, tenant, order, leave))
            await asyncio.sleep(0)
        with pytest.raises(LimitExceeded, match='1 large sends of "a" wait already; try again later'):
            await admitted(limiter, "a", order, leave)
        with pytest.raises(LimitExceeded, match="2 large sends wait already; try again later"):
            await admitted(limiter, "c", order, leave)
        leave.set()
