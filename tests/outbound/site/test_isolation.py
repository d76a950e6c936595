"""Tarpits, refusers and silent name servers among good destinations: these do not notice.

A bad destination here is silent for longer than a test waits: a mail that waited for it would never be delivered.
"""

from contextlib import AsyncExitStack

import anyio
import pytest

from kannon.mail.verdict import Delivered, Refused, Stage
from kannon.outbound.route import resolver
from tests.bench import bench_isolation
from tests.support import smtp_peer
from tests.support.delivering import deliver_patiently, delivering
from tests.support.destinations import Bad, destinations, run_of
from tests.support.dns_server import DROP, Zone
from tests.support.envelopes import an_envelope
from tests.support.patience import PATIENCE_SECONDS, patience
from tests.support.smtp_peer import Peer, serving

MAILS_EACH = 10
STAGES = [Stage.GREETING, Stage.MAIL, Stage.DOT]


@pytest.mark.parametrize("stage", STAGES)
async def test_one_tarpit_and_one_refuser_among_twenty(stage: Stage) -> None:
    """Two hundred mails for the tarpit stand before all others."""
    bad: Bad = {0: (stage, smtp_peer.hang), 1: (Stage.RCPT, "550 5.7.1 not from you")}
    good = [number for _ in range(MAILS_EACH) for number in range(2, 20)]
    async with destinations(20, bad, timeout_scale=1) as (deliverer, peers):
        run = await run_of(deliverer, [0] * 200 + [1] * MAILS_EACH + good, bad)
        assert isinstance(await deliverer.deliver(an_envelope("x@d1.test")), Refused)
    assert len(run.seconds) == len(good)
    assert all(isinstance(verdict, Refused) for verdict in run.others)
    assert all(len(peer.mails) == MAILS_EACH for peer in peers[2:])
    assert peers[0].most_open <= 2  # slow start: a destination that takes nothing gets no more
    assert peers[1].most_open <= 20


@pytest.mark.long
@pytest.mark.serial
@pytest.mark.parametrize("stage", STAGES)
async def test_a_thousand_mails_for_a_tarpit_keep_the_others_waiting_a_tenth_longer(stage: Stage) -> None:
    found = await bench_isolation.measure(stage)
    assert found.kept, str(found)


@pytest.mark.parametrize("stage", STAGES)
async def test_many_tarpits_with_all_their_mail_in_front(stage: Stage) -> None:
    """Twenty of twenty-five hang, their mail comes first, and it is more than is held, they more than are sent to at
    once."""
    bad: Bad = dict.fromkeys(range(20), (stage, smtp_peer.hang))
    numbers = [n for n in range(20) for _ in range(15)] + [n for n in range(20, 25) for _ in range(MAILS_EACH)]
    async with destinations(25, bad, concurrency=25) as (deliverer, peers):
        run = await run_of(deliverer, numbers, bad)
    assert run.others == []
    assert [len(peer.mails) for peer in peers[20:]] == [MAILS_EACH] * 5


async def test_more_destinations_hang_than_there_are_permits() -> None:
    """Forty that hang at the dot, where a server may take ten minutes. Those that are new and behind them go on."""
    bad: Bad = dict.fromkeys(range(40), (Stage.DOT, smtp_peer.hang))
    numbers = [n for n in range(40) for _ in range(5)] + [n for n in range(40, 45) for _ in range(MAILS_EACH)]
    async with destinations(45, bad, concurrency=15, timeout_scale=0.3) as (deliverer, peers):
        await run_of(deliverer, numbers, bad)
    assert [len(peer.mails) for peer in peers[40:]] == [MAILS_EACH] * 5


async def test_a_hanging_name_server_holds_up_its_own_domains_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUERY_SECONDS", "LIFETIME_SECONDS"):
        monkeypatch.setattr(resolver, name, 2 * PATIENCE_SECONDS)
    zone: Zone = {(f"lost{n}.test", "MX"): [DROP] for n in range(120)}
    zone |= {("dest.test", "MX"): ["10 mx.test."], ("mx.test", "A"): ["127.0.0.1"]}
    peer = Peer()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(peer))
        deliverer = await stack.enter_async_context(delivering(zone, port=port, timeout_scale=1, concurrency=20))
        group = await stack.enter_async_context(anyio.create_task_group())
        for number in range(120):
            group.start_soon(deliverer.deliver, an_envelope(f"x@lost{number}.test"))
        with patience():
            assert isinstance(await deliver_patiently(deliverer), Delivered)
        group.cancel_scope.cancel()


async def test_a_destination_that_begins_to_hang_lets_go_of_the_room() -> None:
    """Proven and fast, then silent: what waits for it is turned away when others need the place."""
    bad: Bad = {0: (Stage.MAIL, smtp_peer.after(60, smtp_peer.hang))}
    async with destinations(3, bad, timeout_scale=1, concurrency=50) as (deliverer, peers):
        await run_of(deliverer, [0] * 600 + [2] * 100, bad)
    assert len(peers[2].mails) == 100
