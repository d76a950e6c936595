"""Listening and stopping."""

import socket
from pathlib import Path

import anyio
import pytest

from kannon.components.smtp import InboundSmtp
from kannon.config import Smtp
from kannon.errors import AddressInUse
from tests.support.inbound import FAILURE, Book, Outbox, Peer, bounce_to, running
from tests.support.patience import patience


async def test_an_open_transaction_is_finished_and_nothing_new_begins(tmp_path: Path) -> None:
    async with running(tmp_path) as server, server.connect() as idle, server.connect() as busy:
        await busy.say("MAIL FROM:<>")
        await busy.say(f"RCPT TO:<{bounce_to()}>")
        server.stop.set()
        assert await idle.reply() == "421 4.3.2 Shutting down"
        assert await idle.closed()
        with pytest.raises(OSError, match=r"connection attempts failed|refused"):
            await anyio.connect_tcp("127.0.0.1", server.port)
        assert (await busy.say("DATA")).startswith("354")
        assert (await busy.say(FAILURE + b".\r\n")).startswith("250")
        assert await busy.reply() == "421 4.3.2 Shutting down"
        assert await busy.closed()
        assert len(server.outbox.bounces) == 1


async def test_run_returns_when_the_last_session_is_gone(tmp_path: Path) -> None:
    component = InboundSmtp(Smtp(listen="127.0.0.1:0", hostname="mx.test"), tmp_path, Book(), Outbox())
    stop = anyio.Event()
    with patience():
        async with anyio.create_task_group() as group:
            await group.start(lambda *, task_status: component.run(stop, task_status=task_status))
            async with await anyio.connect_tcp(*component.addresses[0]) as stream:
                await stream.receive()
                stop.set()


async def test_a_deadline_cuts_what_is_open(tmp_path: Path) -> None:
    component = InboundSmtp(Smtp(listen="127.0.0.1:0", hostname="mx.test"), tmp_path, Book(), Outbox())
    stop = anyio.Event()
    with patience():
        async with anyio.create_task_group() as group:
            await group.start(lambda *, task_status: component.run(stop, task_status=task_status))
            async with await anyio.connect_tcp(*component.addresses[0]) as stream:
                peer = Peer(stream)
                await peer.reply()
                await peer.say("EHLO remote.example")
                await peer.say("MAIL FROM:<>")
                stop.set()
                with anyio.move_on_after(0.1) as waited:
                    await peer.reply()
                assert waited.cancelled_caught
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    assert await peer.closed()


async def test_an_address_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        component = InboundSmtp(Smtp(listen=listen), tmp_path, Book(), Outbox())
        with pytest.raises(AddressInUse, match=rf"^smtp\.listen: {listen}: Address already in use$"):
            await component.run(anyio.Event())


async def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    component = InboundSmtp(Smtp(listen="192.0.2.1:2525"), tmp_path, Book(), Outbox())
    with pytest.raises(AddressInUse, match=r"^smtp\.listen: 192\.0\.2\.1:2525: "):
        await component.run(anyio.Event())


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_ipv6(tmp_path: Path) -> None:
    async with running(tmp_path, listen="[::1]:0") as server, server.connect() as peer:
        assert (await peer.send_mail([bounce_to()], FAILURE)).startswith("250")


async def test_it_starts_again_after_it_stopped(tmp_path: Path) -> None:
    component = InboundSmtp(Smtp(listen="127.0.0.1:0", hostname="mx.test"), tmp_path, Book(), Outbox())
    for _ in range(2):
        stop = anyio.Event()
        async with anyio.create_task_group() as group:
            await group.start(lambda *, task_status, stop=stop: component.run(stop, task_status=task_status))
            stop.set()
