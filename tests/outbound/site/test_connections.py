"""Connections: reused, few at first, more on success, fewer in trouble, ended with QUIT; and the site's limits."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import anyio
import pytest

from kannon.config import Sender
from kannon.mail.verdict import Deferred, Delivered, Stage
from kannon.outbound.site import sites
from kannon.outbound.site.limits import PROVIDERS, limits_of
from tests.support import smtp_peer
from tests.support.delivering import deliver_many, deliver_patiently, delivering, delivering_to
from tests.support.dns_server import Zone
from tests.support.envelopes import an_envelope
from tests.support.eventually import eventually
from tests.support.patience import patience
from tests.support.smtp_peer import Peer, Visit, after, closing, free_port, serving

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


def many_domains(count: int) -> Zone:
    """Each with an exchanger of its own, all at 127.0.0.1."""
    zone: Zone = {(f"d{number}.test", "MX"): [f"10 mx{number}.test."] for number in range(count)}
    return zone | {(f"mx{number}.test", "A"): ["127.0.0.1"] for number in range(count)}


async def test_of_many_idle_connections_the_oldest_are_ended() -> None:
    peer = Peer()
    async with serving(peer) as port, delivering(many_domains(50), port=port, concurrency=4) as deliverer:
        for number in range(50):
            assert isinstance(await deliverer.deliver(an_envelope(f"x@d{number}.test")), Delivered)
        await eventually(lambda: peer.open <= 20)
        assert isinstance(await deliverer.deliver(an_envelope("x@d49.test")), Delivered)
    assert peer.connections == 50
    assert len(peer.mails) == 51


async def test_of_many_destinations_the_ones_unused_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "MAX_IDLE_SITES", 10)
    peer = Peer()
    limits = [{"mx": "test", "mails_per_connection": 1}]
    async with serving(peer) as port, delivering(many_domains(30), port=port, limits=limits) as deliverer:
        for number in range(30):
            assert isinstance(await deliverer.deliver(an_envelope(f"x@d{number}.test")), Delivered)
        await eventually(lambda: len(deliverer.destinations()) == 10)
        assert {each.site for each in deliverer.destinations()} == {f"mx{n}.test:{port}" for n in range(20, 30)}
        assert isinstance(await deliverer.deliver(an_envelope("x@d29.test")), Delivered)


@pytest.mark.parametrize("script", [{Stage.DOT: closing("250 2.0.0 taken")}, {Stage.DOT: after(1, "250 x")}])
async def test_a_connection_the_peer_has_ended_meanwhile_costs_the_next_mail_nothing(
    script: dict[Stage, smtp_peer.Behaviour],
) -> None:
    peer = Peer(script)
    async with delivering_to(peer) as deliverer:
        for _ in range(3):
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)


async def test_a_421_to_rset_means_a_new_connection_to_the_same_host() -> None:
    """The server has not seen the mail, so the same host is tried again."""

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


@pytest.mark.parametrize(
    "said", [b"\0\1\2\r\n", b"x" * 100_000, b"250 2.0.0 hello?\r\n"], ids=["noise", "endless", "reply"]
)
async def test_a_server_that_sends_input_on_an_idle_connection_loses_it(said: bytes) -> None:
    """It keeps no connection slot and fills no memory."""

    class Talkative(Peer):
        async def _data(self, visit: Visit) -> None:
            await super()._data(visit)
            await eventually(lambda: deliverer.destinations()[0].in_flight == 0)
            visit.writer.write(said)
            await visit.gone()

    peer = Talkative()
    async with delivering_to(peer, per_destination=1, timeout_scale=1) as deliverer:
        for number in range(3):
            with patience():
                assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
            await eventually(lambda: deliverer.destinations()[0].connections == 0)
            assert peer.connections == number + 1


async def test_a_deferral_without_another_host_opens_no_new_connection() -> None:
    peer = Peer({Stage.RCPT: "450 4.7.1 greylisted"})
    async with delivering_to(peer) as deliverer:
        for _ in range(5):
            verdict = await deliverer.deliver(an_envelope())
            assert isinstance(verdict, Deferred)
            assert verdict.reply is not None
            assert (verdict.reply.code, verdict.stage, verdict.host) == (450, Stage.RCPT, "mx1.test")
    assert peer.connections == 1


# -- the end of a session changes nothing


async def quit_closes(visit: Visit) -> None:
    raise smtp_peer.Over


async def quit_fails(visit: Visit) -> None:
    await visit.say("500 5.5.1 never heard of it")


@pytest.mark.parametrize("at_quit", [quit_closes, quit_fails, smtp_peer.hang, smtp_peer.reset, smtp_peer.garbage])
async def test_a_failure_at_quit_changes_no_verdict(at_quit: Callable[[Visit], Awaitable[None]]) -> None:
    peer = Peer(at_quit=at_quit)
    with patience():
        async with delivering_to(peer, timeout_scale=0.05) as deliverer:
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert peer.quits == 1


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


async def test_a_server_that_accepts_two_connections_gets_all_mail_over_those() -> None:
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
        await deliver_patiently(deliverer)
        verdicts = await deliver_many(deliverer, 80)
    assert all(isinstance(each, Delivered) for each in verdicts)
    assert max(count_in_any_second(peer.arrivals)) <= 46
    assert peer.arrivals[-1] - peer.arrivals[0] > 1.7


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
