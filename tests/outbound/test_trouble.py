"""Destinations in trouble: probed, suspended, tried at another host; deliveries that are cancelled or stopped."""

import asyncio

import anyio
import pytest

from kannon.mail.verdict import Deferred, Delivered, Refused, Stage, Verdict
from kannon.outbound import Throttled
from kannon.outbound.site.admission import QUEUE_NEW
from tests.support import smtp_peer
from tests.support.delivering import deliver_many, deliver_patiently, delivering, delivering_to
from tests.support.dns_server import DROP, DnsServer, Zone
from tests.support.envelopes import an_envelope
from tests.support.eventually import eventually
from tests.support.patience import patience
from tests.support.smtp_peer import Peer, Visit, after, closing, free_port, serving


async def test_one_mail_probes_a_destination_that_is_down_while_the_others_wait() -> None:
    port = free_port()
    peer = Peer()
    zone: Zone = {("dest.test", "MX"): ["10 mx.test."], ("mx.test", "A"): ["127.0.0.1"]}
    async with delivering(zone, port=port) as deliverer:
        first = await deliverer.deliver(an_envelope())
        assert isinstance(first, Deferred)
        assert first.stage is Stage.CONNECT
        assert "refused" in first.reason
        waiting = await deliverer.deliver(an_envelope())
        assert isinstance(waiting, Throttled)
        assert 0 < waiting.retry_in < 5
        assert deliverer.destinations()[0].next_probe_in is not None
        async with serving(peer, port=port):
            assert all(isinstance(each, Delivered) for each in await deliver_many(deliverer, 10))
        assert deliverer.destinations()[0].next_probe_in is None


async def test_only_one_connection_probes() -> None:
    peer = Peer({Stage.GREETING: after(1, smtp_peer.hang, first="554 5.3.2 not today")})
    async with delivering_to(peer, timeout_scale=0.02) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope()), Deferred)

        async def keep_trying() -> None:
            with anyio.move_on_after(0.5):
                while isinstance(verdict := await deliverer.deliver(an_envelope()), Throttled):
                    await anyio.sleep(min(verdict.retry_in, 0.05))

        await asyncio.gather(*(keep_trying() for _ in range(20)))
        assert peer.connections == 2
        assert peer.most_open == 1


async def test_mail_for_a_destination_long_down_is_deferred_with_the_last_failure() -> None:
    peer = Peer({Stage.GREETING: "554 5.3.2 not today"})
    async with delivering_to(peer, timeout_scale=0.001) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
        assert isinstance(verdict, Deferred)
        with patience():
            while not (isinstance(verdict, Deferred) and verdict.reason.startswith("destination is down")):
                verdict = await deliverer.deliver(an_envelope())
                await asyncio.sleep(0)
    assert verdict.reply is not None
    assert (verdict.reply.code, verdict.stage) == (554, Stage.GREETING)


async def test_a_destination_that_loses_every_connection_is_down() -> None:
    peer = Peer({Stage.MAIL: smtp_peer.close})
    async with delivering_to(peer) as deliverer:
        for _ in range(3):
            assert isinstance(await deliverer.deliver(an_envelope()), Deferred)
        assert isinstance(await deliverer.deliver(an_envelope()), Throttled)


async def test_the_verdict_names_the_host_that_gave_the_reply() -> None:
    first, second = Peer({Stage.GREETING: "554 5.3.2 not today"}), Peer({Stage.EHLO: "451 4.3.2 not yet"})
    async with delivering_to(first, second) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred)
    assert verdict.reply is not None
    assert (verdict.reply.code, verdict.stage, verdict.host) == (451, Stage.EHLO, "mx2.test")


@pytest.mark.parametrize("more", ["421 4.7.0 too busy", "\0\1 what?"])
async def test_a_host_that_closes_right_after_ehlo_is_down(more: str) -> None:
    peer = Peer({Stage.EHLO: closing(f"250-peer.test\r\n250 PIPELINING\r\n{more}")})
    async with delivering_to(peer, timeout_scale=1) as deliverer:
        with patience():
            verdict = await deliverer.deliver(an_envelope())
        assert isinstance(verdict, Deferred)
        assert (verdict.stage, verdict.reply) == (Stage.EHLO, None)
        assert "what?" in verdict.reason or "421 too busy" in verdict.reason
        assert isinstance(await deliverer.deliver(an_envelope()), Throttled)
    assert peer.connections == 1


async def test_refused_mails_do_not_open_the_breaker() -> None:
    peer = Peer({Stage.RCPT: "550 5.1.1 nobody here"})
    async with delivering_to(peer) as deliverer:
        for _ in range(10):
            verdict = await deliverer.deliver(an_envelope())
            assert isinstance(verdict, Refused)
            assert verdict.reply.text == "nobody here"
        assert deliverer.destinations()[0].next_probe_in is None
    assert peer.connections == 1  # without a new connection for each


async def test_more_mail_than_a_new_destinations_queue_is_throttled() -> None:
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    async with delivering_to(peer) as deliverer, anyio.create_task_group() as group:
        verdicts: list[Verdict | Throttled] = []

        async def one() -> None:
            verdicts.append(await deliverer.deliver(an_envelope()))

        for _ in range(100):
            group.start_soon(one)
        await eventually(lambda: len(verdicts) >= 100 - 2 - QUEUE_NEW)
        assert all(isinstance(each, Throttled) and each.rate > 0 for each in verdicts)
        waits = sorted(each.retry_in for each in verdicts if isinstance(each, Throttled))
        assert waits[0] < waits[-1] <= 30  # they do not all come back at once
        gate.set()


async def test_a_waiter_gets_the_connection_slot_of_a_mail_that_finds_no_other_host() -> None:
    first, second = Peer({Stage.RCPT: "450 4.7.1 greylisted"}), Peer({Stage.GREETING: "554 5.3.2 closed"})
    async with delivering_to(first, second, per_destination=1, timeout_scale=1) as deliverer:
        with patience():
            verdicts = await asyncio.gather(*(deliverer.deliver(an_envelope()) for _ in range(4)))
    assert all(isinstance(each, Deferred) and each.host == "mx1.test" for each in verdicts), verdicts


async def test_cancelled_while_another_host_is_looked_up_it_leaves_the_connection_to_others() -> None:
    zone: Zone = {("dest.test", "MX"): ["10 mx.test.", "20 lost.test."], ("mx.test", "A"): ["127.0.0.1"]}
    zone |= {("lost.test", kind): [DROP] for kind in ("A", "AAAA")}
    dns = DnsServer(zone)
    peer = Peer({Stage.RCPT: after(1, "250 ok", first="450 4.7.1 greylisted")})
    async with serving(peer) as port, delivering(zone, dns=dns, port=port, timeout_scale=1) as deliverer:
        async with anyio.create_task_group() as group:
            group.start_soon(deliverer.deliver, an_envelope())
            await eventually(lambda: ("lost.test", "A") in dns.asked)
            group.cancel_scope.cancel()
        assert deliverer.destinations()[0].in_flight == 0
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert peer.connections == 1


async def test_next_host_is_asked_once_after_a_4xx_and_the_first_answer_reported() -> None:
    greylisting = [Peer({Stage.RCPT: f"450 4.7.1 host {n}, try again in 5 minutes"}) for n in (1, 2, 3)]
    async with delivering_to(*greylisting) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred)
    assert verdict.retry_after == 300
    assert [peer.connections for peer in greylisting] == [1, 1, 0]


async def test_a_cancelled_delivery_closes_its_connection_and_harms_no_other() -> None:
    peer = Peer({Stage.DOT: after(1, "250 ok", first=smtp_peer.hang)})
    async with delivering_to(peer) as deliverer:
        async with anyio.create_task_group() as group:
            group.start_soon(deliverer.deliver, an_envelope())
            await eventually(lambda: len(peer.mails) == 1)
            group.cancel_scope.cancel()
        await eventually(lambda: peer.open == 0)
        assert isinstance(await deliver_patiently(deliverer), Delivered)
        assert deliverer.destinations()[0].in_flight == 0


async def test_stopping_throttles_waiters_and_lets_transactions_finish() -> None:
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    verdicts: list[Verdict | Throttled] = []
    async with delivering_to(peer) as deliverer, anyio.create_task_group() as group:

        async def one() -> None:
            verdicts.append(await deliverer.deliver(an_envelope()))

        for _ in range(10):
            group.start_soon(one)
        await eventually(lambda: len(peer.mails) == 2)
        deliverer.cancel_waiters()
        await eventually(lambda: len(verdicts) == 8)
        assert all(each == Throttled(0.0) for each in verdicts)
        gate.set()
    assert sum(isinstance(each, Delivered) for each in verdicts) == 2


async def refuses_and_resets(visit: Visit) -> None:
    await visit.say("550 5.7.1 not from you")
    await smtp_peer.reset(visit)


@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA])
@pytest.mark.parametrize("behaviour", [closing("550 5.7.1 not from you"), refuses_and_resets])
async def test_a_refusal_with_the_end_of_the_connection_right_behind_it_is_a_refusal(
    stage: Stage, behaviour: smtp_peer.Behaviour
) -> None:
    """The burst has been written, its later commands are never answered, the reply and the RST may come together."""
    peer = Peer({stage: behaviour})
    async with delivering_to(peer) as deliverer:
        for _ in range(20):
            verdict = await deliverer.deliver(an_envelope())
            assert isinstance(verdict, Refused), verdict
            assert (verdict.reply.code, verdict.stage) == (550, stage)


async def test_a_backup_host_is_not_kept_while_the_preferred_one_answers() -> None:
    primary, backup = Peer({Stage.RCPT: "450 4.7.1 greylisted"}), Peer()
    async with delivering_to(primary, backup) as deliverer:
        for _ in range(4):
            verdict = await deliver_patiently(deliverer)
            assert isinstance(verdict, Delivered)
            assert verdict.host == "mx2.test"
    assert primary.used[Stage.RCPT] == 4  # tried first, each time
    assert len(backup.mails) == 4


async def test_a_backup_host_is_kept_while_the_preferred_one_is_away() -> None:
    primary, backup = Peer({Stage.GREETING: "554 5.3.2 closed"}), Peer()
    async with delivering_to(primary, backup) as deliverer:
        for _ in range(4):
            assert isinstance(await deliver_patiently(deliverer), Delivered)
    assert primary.connections == 1
    assert backup.connections == 1
