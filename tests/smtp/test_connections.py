"""Connections: kept and reused, few at first, more on success, fewer in trouble, ended politely; who waits how long."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from kannon.config import Sender
from kannon.mail.verdict import Deferred, Delivered, Refused, Stage, Verdict
from kannon.smtp import Busy, Deliverer, session
from kannon.smtp.dialogue import Extensions, Transaction, prepare
from kannon.smtp.limits import PROVIDERS, limits_of
from kannon.smtp.session import Session
from kannon.smtp.trouble import Kind
from tests.support import smtp_peer
from tests.support.delivering import delivering, delivering_to
from tests.support.dns_server import Zone
from tests.support.envelopes import BODY, an_envelope
from tests.support.eventually import eventually
from tests.support.smtp_peer import Peer, Visit, after, closing, free_port, serving


async def deliver_patiently(deliverer: Deliverer, to: str = "b@dest.test") -> Verdict:
    """As the bus does: what was Busy comes again."""
    while isinstance(verdict := await deliverer.deliver(an_envelope(to)), Busy):
        await anyio.sleep(verdict.retry_in)
    return verdict


async def deliver_many(deliverer: Deliverer, count: int) -> list[Verdict]:
    return list(await asyncio.gather(*(deliver_patiently(deliverer) for _ in range(count))))


# -- reuse


async def test_one_connection_carries_many_mails_with_rset_between_them() -> None:
    peer = Peer()
    async with delivering_to(peer) as deliverer:
        for _ in range(10):
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert peer.connections == 1
    assert peer.commands.count("RSET") == 9
    assert len(peer.mails) == 10
    assert peer.quits == 1


async def test_domains_with_the_same_exchangers_share_them() -> None:
    zone: Zone = {(f"{name}.test", "MX"): ["10 mx.test.", "20 mx2.test."] for name in "abc"}
    zone["mx.test", "A"] = ["127.0.0.1"]
    peer = Peer()
    async with serving(peer) as port, delivering(zone, port=port) as deliverer:
        for name in "abc":
            assert isinstance(await deliverer.deliver(an_envelope(f"x@{name}.test")), Delivered)
        assert len(deliverer.destinations()) == 1
    assert peer.connections == 1


async def test_a_connection_carries_no_more_mails_than_the_limit() -> None:
    peer = Peer()
    async with delivering_to(peer, limits=[{"mx": "mx1.test", "mails_per_connection": 5}]) as deliverer:
        for _ in range(12):
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert peer.connections == 3


async def test_an_idle_connection_is_ended_with_quit() -> None:
    peer = Peer()
    async with delivering_to(peer, timeout_scale=0.01) as deliverer:
        await deliverer.deliver(an_envelope())
        await eventually(lambda: peer.quits == 1)
        await eventually(lambda: deliverer.destinations()[0].connections == 0)


@pytest.mark.parametrize("script", [{Stage.DOT: closing("250 2.0.0 taken")}, {Stage.DOT: after(1, "250 x")}])
async def test_a_connection_the_peer_has_ended_meanwhile_costs_the_next_mail_nothing(
    script: dict[Stage, smtp_peer.Behaviour],
) -> None:
    peer = Peer(script)
    async with delivering_to(peer) as deliverer:
        for _ in range(3):
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)


async def test_a_peer_that_tires_of_an_idle_connection_gets_a_new_one() -> None:
    """RSET is answered 421: nothing was said about the mail, so the same host is asked again."""

    class Tired(Peer):
        async def _answer(self, visit: Visit, command: str) -> None:
            if command == "RSET":
                await visit.say("421 4.4.2 idle too long")
                raise smtp_peer.Over
            await super()._answer(visit, command)

    peer, second = Tired(), Peer()
    async with delivering_to(peer, second) as deliverer:
        for _ in range(3):
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert peer.connections == 3
    assert second.connections == 0


# -- the end of a session changes nothing


async def quit_closes(visit: Visit) -> None:
    raise smtp_peer.Over


async def quit_fails(visit: Visit) -> None:
    await visit.say("500 5.5.1 never heard of it")


@pytest.mark.parametrize("at_quit", [quit_closes, quit_fails, smtp_peer.hang, smtp_peer.reset, smtp_peer.garbage])
async def test_whatever_happens_at_quit_the_mail_is_delivered(at_quit: Callable[[Visit], Awaitable[None]]) -> None:
    peer = Peer(at_quit=at_quit)
    began = time.monotonic()
    async with delivering_to(peer, timeout_scale=0.05) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert peer.quits == 1
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("ending", [closing("250 2.0.0 taken"), after(0, "250-2.0.0 many\r\n250 2.0.0 words")])
async def test_a_250_to_the_dot_is_enough(ending: smtp_peer.Behaviour) -> None:
    peer = Peer({Stage.DOT: ending})
    async with delivering_to(peer) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Delivered)
    assert verdict.reply.code == 250
    assert verdict.host == "mx1.test"


# -- how many


async def test_slow_start_then_growth_up_to_the_limit() -> None:
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    async with delivering_to(peer, per_destination=6) as deliverer, anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(deliver_patiently, deliverer)
        await eventually(lambda: len(peer.mails) == 2)
        assert peer.most_open == 2
        gate.set()
        await eventually(lambda: len(peer.mails) == 40)
        assert peer.most_open == 6


async def test_never_more_than_the_limit_even_while_connections_are_replaced() -> None:
    peer = Peer()
    limit = {"mx": "mx1.test", "connections": 3, "mails_per_connection": 2}
    async with delivering_to(peer, limits=[limit]) as deliverer:
        verdicts = await deliver_many(deliverer, 60)
    assert all(isinstance(each, Delivered) for each in verdicts)
    assert peer.most_open == 3


async def test_the_limit_shrinks_in_trouble_and_grows_back() -> None:
    peer = Peer({Stage.MAIL: after(20, after(6, "250 ok", first="451 4.7.1 slow down"))})
    async with delivering_to(peer) as deliverer:
        await deliver_many(deliverer, 20)
        high = deliverer.destinations()[0].limit
        verdicts = [await deliver_patiently(deliverer) for _ in range(6)]
        assert all(isinstance(each, Deferred) for each in verdicts)
        low = deliverer.destinations()[0].limit
        await deliver_many(deliverer, 60)
        again = deliverer.destinations()[0].limit
    assert high == 20
    assert low == high - 6
    assert low < again <= 20


async def test_421_halves_it() -> None:
    peer = Peer({Stage.MAIL: after(20, closing("421 4.7.0 too many"))})
    async with delivering_to(peer) as deliverer:
        await deliver_many(deliverer, 20)
        verdict = await deliver_patiently(deliverer)
        assert isinstance(verdict, Deferred)
        assert verdict.reply is not None
        assert verdict.reply.code == 421
        assert deliverer.destinations()[0].limit == 10


async def test_a_peer_that_lets_only_some_connections_in_is_served_over_those() -> None:
    class Choosy(Peer):
        async def _talk(self, visit: Visit) -> None:
            if self.open > 2:
                await visit.say("421 4.7.0 too many connections")
                return
            await super()._talk(visit)

    peer = Choosy()
    async with delivering_to(peer, timeout_scale=0.02) as deliverer:
        verdicts = await deliver_many(deliverer, 60)
    assert all(isinstance(each, Delivered) for each in verdicts)
    assert len(peer.mails) == 60


async def test_a_rate_is_kept() -> None:
    peer = Peer()
    async with delivering_to(peer, limits=[{"mx": "test", "rate_per_second": 40}]) as deliverer:
        await deliver_patiently(deliverer)  # what a quiet second left over is used up below
        verdicts = await deliver_many(deliverer, 80)
    assert all(isinstance(each, Delivered) for each in verdicts)
    assert max(count_in_any_second(peer.arrivals)) <= 82
    assert peer.arrivals[-1] - peer.arrivals[0] > 0.9


def count_in_any_second(times: list[float]) -> list[int]:
    return [sum(1 for each in times if start <= each < start + 1) for start in times]


async def test_mails_in_flight_never_exceed_the_concurrency() -> None:
    gate = asyncio.Event()
    peers = [Peer(gate=gate) for _ in range(12)]
    zone: Zone = {}
    for number in range(12):
        zone[f"d{number}.test", "MX"] = [f"10 mx{number}.test."]
        zone[f"mx{number}.test", "A"] = [f"127.4.0.{number}"]
    port = free_port()
    async with anyio.create_task_group() as group, AsyncExitStack() as stack:
        for number, peer in enumerate(peers):
            await stack.enter_async_context(serving(peer, f"127.4.0.{number}", port))
        deliverer = await stack.enter_async_context(delivering(zone, port=port, concurrency=6, timeout_scale=1))
        for number in range(12):
            group.start_soon(deliver_patiently, deliverer, f"x@d{number}.test")
        await eventually(lambda: sum(peer.connections for peer in peers) == 12)
        await eventually(lambda: sum(len(peer.mails) for peer in peers) == 3)  # unproven: half of the places
        gate.set()
        await eventually(lambda: sum(len(peer.mails) for peer in peers) == 12)


# -- in trouble


async def test_a_destination_that_is_down_is_probed_by_one_while_its_mail_waits() -> None:
    port = free_port()
    peer = Peer()
    zone: Zone = {("dest.test", "MX"): ["10 mx.test."], ("mx.test", "A"): ["127.0.0.1"]}
    async with delivering(zone, port=port) as deliverer:
        first = await deliverer.deliver(an_envelope())
        assert isinstance(first, Deferred)
        assert first.stage is Stage.CONNECT
        assert "refused" in first.reason
        waiting = await deliverer.deliver(an_envelope())
        assert isinstance(waiting, Busy)
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
                while isinstance(verdict := await deliverer.deliver(an_envelope()), Busy):
                    await anyio.sleep(min(verdict.retry_in, 0.05))

        await asyncio.gather(*(keep_trying() for _ in range(20)))
        assert peer.connections == 2
        assert peer.most_open == 1


async def test_mail_for_a_destination_long_down_is_deferred_with_the_last_failure() -> None:
    peer = Peer({Stage.GREETING: "554 5.3.2 not today"})
    async with delivering_to(peer, timeout_scale=0.001) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
        assert isinstance(verdict, Deferred)
        with anyio.fail_after(5):
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
        assert isinstance(await deliverer.deliver(an_envelope()), Busy)


async def test_refused_mails_are_no_trouble_of_the_destination() -> None:
    peer = Peer({Stage.RCPT: "550 5.1.1 nobody here"})
    async with delivering_to(peer) as deliverer:
        for _ in range(10):
            verdict = await deliverer.deliver(an_envelope())
            assert isinstance(verdict, Refused)
            assert verdict.reply.text == "nobody here"
        assert deliverer.destinations()[0].next_probe_in is None
    assert peer.connections == 1  # without a new connection for each


async def test_more_mail_than_an_unknown_destination_should_hold_is_put_back() -> None:
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    async with delivering_to(peer) as deliverer, anyio.create_task_group() as group:
        verdicts: list[Verdict | Busy] = []

        async def one() -> None:
            verdicts.append(await deliverer.deliver(an_envelope()))

        for _ in range(100):
            group.start_soon(one)
        await eventually(lambda: len(verdicts) >= 40)
        assert all(isinstance(each, Busy) for each in verdicts)
        waits = sorted(each.retry_in for each in verdicts if isinstance(each, Busy))
        assert waits[0] < waits[-1] <= 30  # they do not all come back at once
        gate.set()


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


async def test_stopping_turns_away_who_waits_and_lets_finish_who_sends() -> None:
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    verdicts: list[Verdict | Busy] = []
    async with delivering_to(peer) as deliverer, anyio.create_task_group() as group:

        async def one() -> None:
            verdicts.append(await deliverer.deliver(an_envelope()))

        for _ in range(10):
            group.start_soon(one)
        await eventually(lambda: len(peer.mails) == 2)
        deliverer.turn_away()
        await eventually(lambda: len(verdicts) == 8)
        assert all(each == Busy(0.0) for each in verdicts)
        gate.set()
    assert sum(isinstance(each, Delivered) for each in verdicts) == 2


# -- what is sent


async def test_a_large_mail_arrives_octet_for_octet() -> None:
    body = BODY + b"".join(b".%d " % n + b"x" * 60 + b"\r\n" for n in range(60_000))
    peer = Peer()
    async with delivering_to(peer) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope(body=body)), Delivered)
    assert peer.mails[0] == body.replace(b"\r\n.", b"\r\n..") + b".\r\n"


async def test_without_pipelining() -> None:
    peer = Peer(extensions=())
    async with delivering_to(peer) as deliverer:
        for _ in range(3):
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert peer.commands[1:4] == ["MAIL FROM:<b-1@sender.test>", "RCPT TO:<b@dest.test>", "DATA"]
    assert peer.connections == 1


@pytest.mark.parametrize("reply", ["500 5.5.1 EHLO?", "502 5.5.1 not implemented"])
async def test_a_server_from_before_esmtp_is_greeted_with_helo(reply: str) -> None:
    peer = Peer({Stage.EHLO: after(1, "250 hello", first=reply)})
    async with delivering_to(peer) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert peer.commands[:2] == ["EHLO me.test", "HELO me.test"]


async def test_smtputf8_only_where_it_is_offered() -> None:
    modern, old = Peer(extensions=(*smtp_peer.PLAIN, "SMTPUTF8")), Peer()
    async with delivering_to(modern) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope("grüße@dest.test")), Delivered)
    assert "SMTPUTF8" in modern.commands[1]
    async with delivering_to(old) as deliverer:
        verdict = await deliverer.deliver(an_envelope("grüße@dest.test"))
    assert isinstance(verdict, Refused)
    assert verdict.reply.enhanced == "5.6.7"
    assert not old.recipients


async def test_the_source_address_is_ours_and_always_the_same() -> None:
    seen: list[str] = []

    class Looking(Peer):
        async def _talk(self, visit: Visit) -> None:
            seen.append(visit.writer.get_extra_info("peername")[0])
            await super()._talk(visit)

    limit = {"mx": "test", "mails_per_connection": 1}
    sources = ["127.0.0.77", "127.0.0.78", "::1"]
    async with delivering_to(Looking(), source_ips=sources, limits=[limit]) as deliverer:
        for _ in range(5):
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert len(seen) == 5
    assert len(set(seen)) == 1
    assert seen[0] in sources


async def test_ipv6() -> None:
    peer = Peer()
    zone: Zone = {("dest.test", "MX"): ["10 mx.test."], ("mx.test", "AAAA"): ["::1"]}
    async with serving(peer, "::1") as port, delivering(zone, port=port) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)


class SlowTransport(asyncio.Transport):
    """Takes one write at a time."""

    def __init__(self, owner: Session) -> None:
        super().__init__()
        self._owner = owner
        self.written = 0

    def write(self, data: Any) -> None:
        self.written += len(data)
        self._owner.pause_writing()

    def abort(self) -> None:
        self._owner.connection_lost(None)


async def test_a_body_that_moves_but_too_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block goes in its own good time; the whole does not keep the minimum rate."""
    monkeypatch.setattr(session, "BLOCK", 100)
    monkeypatch.setattr(session, "MINIMUM_BYTES_PER_SECOND", 1e9)
    connection = Session(0.001)
    transport = SlowTransport(connection)
    connection.connection_made(transport)
    connection.data_received(b"220 hello\r\n")
    await connection.greeting()
    connection.extensions = Extensions(pipelining=True)
    transport._owner = connection
    done: list[Transaction] = []

    async def send() -> None:
        done.append(await connection.send(prepare(an_envelope(body=BODY * 1000), "b@dest.test")))

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        await eventually(lambda: transport.written > 0)
        connection.resume_writing()
        connection.data_received(b"250 ok\r\n250 ok\r\n354 go\r\n")
        blocks = 0
        while not done:
            await anyio.sleep(0.02)
            connection.resume_writing()
            blocks += 1
    assert done[0].failure is not None
    assert (done[0].failure.kind, done[0].failure.stage) == (Kind.TIMEOUT, Stage.BODY)
    assert 3 < blocks < 100


# -- the table of limits


def test_limits_by_suffix_the_operators_first() -> None:
    sender = Sender.model_validate(
        {
            "per_destination": 8,
            "limits": [{"mx": "google.com", "connections": 50}, {"mx": "alt1.google.com", "connections": 3}],
        }
    )
    assert limits_of(["mx.google.com"], sender).connections == 50
    assert limits_of(["x.alt1.google.com"], sender).connections == 3
    assert limits_of(["mta5.am0.yahoodns.net"], sender) == PROVIDERS["yahoodns.net"]
    assert limits_of(["mx.outlook.com"], sender).connections == 8  # per_destination caps the table
    assert limits_of(["notgoogle.com"], sender).connections == 8
    assert limits_of(["mx.small.test"], sender).connections == 8
