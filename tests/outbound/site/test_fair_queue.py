"""The waiting line of a destination: turns by tenant, and who makes way when it is full."""

import asyncio

import anyio

from kannon.mail.verdict import Delivered, Verdict
from kannon.outbound import Throttled
from kannon.outbound.site.fair_queue import FairQueue
from kannon.outbound.site.site import QUEUE_NEW
from tests.support.delivering import delivering_to
from tests.support.envelopes import BODY, an_envelope
from tests.support.eventually import eventually
from tests.support.smtp_peer import Peer


def a_line(*tenants: str) -> FairQueue[int]:
    """The first who joins is 0, and each comes a second after the one before."""
    line: FairQueue[int] = FairQueue()
    for number, tenant in enumerate(tenants):
        line.join(tenant, number, float(number))
    return line


def drained(line: FairQueue[int]) -> list[int | None]:
    return [line.next() for _ in range(len(line))]


def test_one_tenants_mail_goes_in_order() -> None:
    line = a_line("a", "a", "a")
    assert len(line) == 3
    assert drained(line) == [0, 1, 2]
    assert line.next() is None


def test_tenants_take_turns() -> None:
    assert drained(a_line("a", "a", "a", "a", "b", "b", "c")) == [0, 4, 6, 1, 5, 2, 3]


def test_a_tenant_that_comes_back_waits_behind_those_who_had_no_turn() -> None:
    line = a_line("a", "b")
    assert line.next() == 0
    line.join("a", 7, 7.0)
    assert drained(line) == [1, 7]


def test_leaving_twice_is_harmless() -> None:
    line = a_line("a", "b", "a")
    line.leave(0)
    line.leave(0)
    assert drained(line) == [2, 1]


def test_who_has_waited_too_long_leaves_whatever_their_tenant() -> None:
    line = a_line("a", "b", "a", "b")
    assert sorted(line.late(1.0)) == [0, 1]
    assert line.late(1.5) == []
    assert sorted(line.late(9.0)) == [2, 3]
    assert len(line) == 0


def test_the_last_of_the_tenant_with_most_makes_way() -> None:
    line = a_line("a", "a", "a", "b")
    assert line.make_way("c") == 2
    line.join("c", 9, 9.0)
    assert line.make_way("b") is None  # it would have more than the one that made way
    assert line.make_way("a") is None
    assert line.make_way("d") == 1


def test_an_empty_line_has_nobody_to_make_way() -> None:
    assert a_line().make_way("a") is None


async def test_a_single_mail_passes_the_line_of_another_tenant_at_the_same_destination() -> None:
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
        assert verdicts[0][0] == "many.test"  # the line was full: its last one made way
        assert isinstance(verdicts[0][1], Throttled)
        gate.set()
        await eventually(lambda: len(verdicts) == 2 + QUEUE_NEW + 1)
    assert isinstance(dict(verdicts[1:])["single.test"], Delivered)
    # The first two were under way, and the tenant with the long line had the turn before it came.
    assert b"from single.test" in b"".join(peer.mails[2:5])
