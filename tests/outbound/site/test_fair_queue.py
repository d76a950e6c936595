"""The fair queue of a destination: tenants in turn, and the entry that a full queue sheds."""

import asyncio

import anyio

from kannon.mail.verdict import Delivered, Verdict
from kannon.outbound import Throttled
from kannon.outbound.site.admission import QUEUE_NEW
from kannon.outbound.site.fair_queue import FairQueue
from tests.support.delivering import delivering_to
from tests.support.envelopes import BODY, an_envelope
from tests.support.eventually import eventually
from tests.support.smtp_peer import Peer


def a_queue(*tenants: str) -> FairQueue[int]:
    """Entries 0, 1, …, which arrive a second apart."""
    queue: FairQueue[int] = FairQueue()
    for number, tenant in enumerate(tenants):
        queue.push(tenant, number, float(number))
    return queue


def drained(queue: FairQueue[int]) -> list[int | None]:
    return [queue.pop() for _ in range(len(queue))]


def test_one_tenants_mail_goes_in_order() -> None:
    queue = a_queue("a", "a", "a")
    assert len(queue) == 3
    assert drained(queue) == [0, 1, 2]
    assert queue.pop() is None


def test_tenants_take_turns() -> None:
    assert drained(a_queue("a", "a", "a", "a", "b", "b", "c")) == [0, 4, 6, 1, 5, 2, 3]


def test_a_tenant_that_was_served_waits_behind_the_others() -> None:
    queue = a_queue("a", "b")
    assert queue.pop() == 0
    queue.push("a", 7, 7.0)
    assert drained(queue) == [1, 7]


def test_removing_twice_is_harmless() -> None:
    queue = a_queue("a", "b", "a")
    queue.remove(0)
    queue.remove(0)
    assert drained(queue) == [2, 1]


def test_entries_that_waited_too_long_are_removed_for_every_tenant() -> None:
    queue = a_queue("a", "b", "a", "b")
    assert sorted(queue.pop_older(1.0)) == [0, 1]
    assert queue.pop_older(1.5) == []
    assert sorted(queue.pop_older(9.0)) == [2, 3]
    assert len(queue) == 0


def test_the_latest_entry_of_the_tenant_with_most_is_shed() -> None:
    queue = a_queue("a", "a", "a", "b")
    assert queue.shed("c") == 2
    queue.push("c", 9, 9.0)
    assert queue.shed("b") is None  # it would have more than the tenant that loses one
    assert queue.shed("a") is None
    assert queue.shed("d") == 1


def test_an_empty_queue_sheds_nothing() -> None:
    assert a_queue().shed("a") is None


async def test_a_single_mail_passes_the_queue_of_another_tenant() -> None:
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    verdicts: list[tuple[str, Verdict | Throttled]] = []
    async with delivering_to(peer, per_destination=2) as deliverer, anyio.create_task_group() as group:

        async def one(tenant: str) -> None:
            body = BODY + f"from {tenant}\r\n".encode()
            verdicts.append((tenant, await deliverer.deliver(an_envelope(domain=tenant, body=body))))

        for _ in range(2):
            group.start_soon(one, "many.test")
        await eventually(lambda: len(peer.mails) == 2)
        for _ in range(QUEUE_NEW):
            group.start_soon(one, "many.test")
        await eventually(lambda: deliverer.destinations()[0].waiting == QUEUE_NEW)
        group.start_soon(one, "single.test")
        await eventually(lambda: len(verdicts) == 1)
        assert verdicts[0][0] == "many.test"  # the queue was full and shed its last entry
        assert isinstance(verdicts[0][1], Throttled)
        gate.set()
        await eventually(lambda: len(verdicts) == 2 + QUEUE_NEW + 1)
    assert isinstance(dict(verdicts[1:])["single.test"], Delivered)
    # The first two were in flight, and the tenant with the long queue was next when the single mail arrived.
    assert b"from single.test" in b"".join(peer.mails[2:5])
