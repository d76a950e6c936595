"""The octets, extensions and addresses on a connection, and the minimum rate."""

import asyncio
from typing import Any

import anyio
import pytest

from kannon.mail.verdict import Delivered, Refused, Stage
from kannon.outbound.client import session
from kannon.outbound.client.dialogue import Transaction
from kannon.outbound.client.message import prepare
from kannon.outbound.client.replies import Extensions
from kannon.outbound.client.session import Session
from kannon.outbound.trouble import Kind
from tests.support import smtp_peer
from tests.support.delivering import delivering, delivering_to
from tests.support.dns_server import Zone
from tests.support.envelopes import BODY, an_envelope
from tests.support.eventually import eventually
from tests.support.smtp_peer import Peer, Visit, after, serving


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
