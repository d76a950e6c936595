"""What one stranger may cost: connections, commands, errors, bytes, and time in every phase."""

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from kannon.smtp_server.limits import ConnectionLimiter, Limits
from tests.support.inbound import DOMAIN, FAILURE, Peer, Running, bounce_to, running
from tests.support.patience import patience

LIMITS = Limits()
SOON = 0.5  # for the one time that a test is about


async def in_the_middle(stack: AsyncExitStack, server: Running) -> Peer:
    """A peer that has named a recipient."""
    peer = await stack.enter_async_context(server.connect())
    await peer.say("MAIL FROM:<>")
    assert (await peer.say(f"RCPT TO:<{bounce_to()}>")).startswith("250")
    return peer


async def test_one_connection_more_than_there_are_places(tmp_path: Path) -> None:
    async with running(tmp_path, limits=replace(LIMITS, max_connections=5)) as server, AsyncExitStack() as stack:
        peers = [await in_the_middle(stack, server) for _ in range(5)]
        async with server.connect(greet=False) as late:
            assert (await late.reply()).startswith("421 4.3.2")
            assert await late.closed()
        assert await peers[0].say("QUIT") == "221 2.0.0 Bye"
        assert await peers[0].closed()
        async with server.connect() as next_one:
            assert (await next_one.send_mail([bounce_to()], FAILURE)).startswith("250")
            assert (await peers[1].say("DATA")).startswith("354")
            assert (await peers[1].say(FAILURE + b".\r\n")).startswith("250")


async def test_who_pauses_in_the_middle_makes_room_when_all_have_recipients(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_connections=2, idle_transaction_seconds=0)
    async with running(tmp_path, limits=limits) as server, AsyncExitStack() as stack:
        pausing, busy = [await in_the_middle(stack, server) for _ in range(2)]
        async with server.connect() as late:
            assert (await late.say("NOOP")).startswith("250")
        assert await pausing.closed()
        assert (await busy.say("NOOP")).startswith("250")


@pytest.mark.parametrize("useless", ["", "NOOP", "RSET", "EHLO x", "MAIL FROM:<>", "RCPT TO:<nobody@tenant.example>"])
async def test_who_names_no_recipient_makes_room_however_busy(tmp_path: Path, useless: str) -> None:
    limits = replace(LIMITS, max_connections=3, max_errors=1000)
    async with running(tmp_path, limits=limits) as server, AsyncExitStack() as stack:
        stranger = await stack.enter_async_context(server.connect())
        reporting = [await in_the_middle(stack, server) for _ in range(2)]
        if useless:
            await stranger.say(useless)
        async with server.connect() as late:
            assert (await late.send_mail([bounce_to()], FAILURE)).startswith("250")
        assert await stranger.closed()
        for peer in reporting:
            assert (await peer.say("NOOP")).startswith("250")


def test_places_are_counted_by_customer() -> None:
    places = ConnectionLimiter(replace(LIMITS, max_connections=10, max_per_peer=2))
    for peer in ("203.0.113.1", "::ffff:203.0.113.1"):
        assert places.allows(peer)
        places.acquire(peer)
    assert not places.allows("203.0.113.1")
    assert places.allows("203.0.113.2")
    for peer in ("2001:db8:1:2::1", "2001:db8:1:2:3::9"):
        places.acquire(peer)
    assert not places.allows("2001:db8:1:2:ffff::1")
    assert places.allows("2001:db8:1:3::1")
    for peer in ("127.0.0.1", "127.0.0.2", "::1"):
        assert places.allows(peer)
        places.acquire(peer)
    assert places.allows("127.0.0.1")
    places.release("203.0.113.1")
    assert places.allows("203.0.113.1")
    assert not places.full
    for _ in range(4):
        places.acquire("198.51.100.1")
    assert places.full


def test_half_of_the_places_for_one_peer() -> None:
    assert Limits(max_connections=200).per_peer == 100
    assert Limits(max_connections=1).per_peer == 1


async def test_too_many_errors(tmp_path: Path) -> None:
    async with running(tmp_path, limits=replace(LIMITS, max_errors=4)) as server, server.connect() as peer:
        replies = [await peer.say("RCPT TO:<x@y.example>") for _ in range(4)]
        assert all(reply.startswith("503") for reply in replies)
        assert await peer.reply() == "421 4.7.0 Too many errors"
        assert await peer.closed()


async def test_too_many_commands(tmp_path: Path) -> None:
    async with running(tmp_path, limits=replace(LIMITS, max_commands=10)) as server, server.connect() as peer:
        await peer.write(b"NOOP\r\n" * 50)
        replies = []
        while reply := await peer.reply():
            replies.append(reply)
        assert replies[-1] == "421 4.7.0 Too many commands"
        assert len(replies) < 12


async def test_too_many_recipients(tmp_path: Path) -> None:
    async with running(tmp_path, limits=replace(LIMITS, max_recipients=3)) as server, server.connect() as peer:
        await peer.say("MAIL FROM:<>")
        replies = [(await peer.say(f"RCPT TO:<{bounce_to(n)}>"))[:9] for n in range(1, 6)]
        assert replies == ["250 2.1.5"] * 3 + ["452 4.5.3"] * 2
        assert (await peer.say("DATA")).startswith("354")
        assert (await peer.say(FAILURE + b".\r\n")).startswith("250")
        assert len(server.outbox.bounces) == 3


async def test_a_mail_that_is_too_large(tmp_path: Path) -> None:
    async with running(tmp_path, limits=replace(LIMITS, max_bytes=10_000)) as server, server.connect() as peer:
        assert (await peer.say("MAIL FROM:<> SIZE=10001")).startswith("552")
        large = FAILURE + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 200
        assert (await peer.send_mail([bounce_to()], large)).startswith("552 5.3.4")
        assert server.outbox.published == 0
        assert (await peer.send_mail([bounce_to()], FAILURE)).startswith("250")
        exact = FAILURE + b"x" * (10_000 - len(FAILURE) - 2) + b"\r\n"
        assert (await peer.send_mail([bounce_to(2)], exact)).startswith("250")


async def test_all_messages_together_are_bounded_and_give_back_what_they_took(tmp_path: Path) -> None:
    async with running(tmp_path, limits=replace(LIMITS, max_memory=len(FAILURE) + 10)) as server:
        async with server.connect() as peer:
            for line in ("MAIL FROM:<>", f"RCPT TO:<{bounce_to()}>", "DATA"):
                await peer.say(line)
            await peer.write(FAILURE)  # and hangs up in the middle
        async with server.connect() as peer:
            for number in range(1, 6):
                larger = FAILURE + b"x" * 20 + b"\r\n"
                assert (await peer.send_mail([bounce_to(number)], larger)).startswith("452 4.3.1")
                assert (await peer.send_mail([bounce_to(number)], FAILURE)).startswith("250")


async def test_a_mail_without_end(tmp_path: Path) -> None:
    async with running(tmp_path, limits=replace(LIMITS, max_bytes=10_000)) as server, server.connect() as peer:
        for line in ("MAIL FROM:<>", f"RCPT TO:<{bounce_to()}>", "DATA"):
            await peer.say(line)
        await peer.write((b"x" * 998 + b"\r\n") * 200)
        assert (await peer.reply()).startswith("421 4.3.4")
        assert await peer.closed()


@pytest.mark.parametrize("length", [998, 60_000])
async def test_long_lines_are_taken(tmp_path: Path, length: int) -> None:
    async with running(tmp_path) as server, server.connect() as peer:
        assert (await peer.send_mail([bounce_to()], FAILURE + b"x" * length + b"\r\n")).startswith("250")
        assert len(server.outbox.bounces) == 1


async def test_a_line_without_end_is_not_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as server, server.connect() as peer:
        long_line = FAILURE + b"x" * 300_000 + b"\r\n.x\r\n"
        assert (await peer.send_mail([bounce_to()], long_line)).startswith("500 5.5.2")
        assert (await peer.send_mail([bounce_to()], FAILURE)).startswith("250")
        assert len(server.outbox.bounces) == 1


@pytest.mark.parametrize("greet", [False, True])
async def test_silence(tmp_path: Path, greet: bool) -> None:
    async with (
        running(tmp_path, limits=replace(LIMITS, command_seconds=SOON)) as server,
        server.connect(greet=greet) as peer,
    ):
        if not greet:
            await peer.reply()
        assert await peer.reply() == "421 4.4.2 Timeout, closing the connection"
        assert await peer.closed()


async def test_a_command_byte_by_byte(tmp_path: Path) -> None:
    async with running(tmp_path, limits=replace(LIMITS, command_seconds=SOON)) as server, server.connect() as peer:
        assert (await peer.trickle(b"N")).startswith("421 4.4.2")


async def test_a_message_byte_by_byte(tmp_path: Path) -> None:
    async with running(tmp_path, limits=replace(LIMITS, data_seconds=SOON)) as server, server.connect() as peer:
        for line in ("MAIL FROM:<>", f"RCPT TO:<{bounce_to()}>", "DATA"):
            await peer.say(line)
        assert (await peer.trickle(b"x")).startswith("421 4.4.2")
        assert server.outbox.published == 0


async def test_a_session_ends_however_busy_it_is(tmp_path: Path) -> None:
    async with (
        running(tmp_path, limits=replace(LIMITS, session_seconds=SOON, max_commands=10**9)) as server,
        server.connect() as peer,
    ):
        while (reply := await peer.say("NOOP")).startswith("250"):
            pass
        assert reply.startswith("421 4.4.2")
        assert await peer.closed()


async def test_a_peer_that_does_not_read(tmp_path: Path) -> None:
    """Its replies fill both buffers; the deadline cuts the connection, whether the peer takes our last words or not."""
    limits = replace(LIMITS, command_seconds=SOON, linger_seconds=SOON, max_commands=10**9, max_errors=10**9)
    async with running(tmp_path, limits=limits) as server:
        loop = asyncio.get_running_loop()
        with socket.socket() as peer, patience():
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            await loop.sock_connect(peer, ("127.0.0.1", server.port))

            async def talk() -> None:
                while True:
                    await loop.sock_sendall(peer, b"VRFY x\r\n" * 1000)

            with pytest.raises(ConnectionError):
                await talk()


async def test_a_handshake_that_never_comes(tmp_path: Path, certificate: tuple[str, str]) -> None:
    limits = replace(LIMITS, tls_seconds=SOON, linger_seconds=SOON)
    async with running(tmp_path, limits=limits, tls=certificate) as server, server.connect() as peer:
        assert (await peer.say("STARTTLS")).startswith("220")
        assert await peer.closed()


async def test_a_bus_that_does_not_answer(tmp_path: Path) -> None:
    async with running(tmp_path, limits=replace(LIMITS, store_seconds=SOON)) as server, server.connect() as peer:
        server.outbox.silent = True
        assert (await peer.send_mail([bounce_to()], FAILURE)).startswith("421")
        assert await peer.closed()


async def test_two_hundred_slow_peers_do_not_keep_an_honest_one_waiting(tmp_path: Path) -> None:
    async with running(tmp_path) as server, AsyncExitStack() as stack:
        for _ in range(200):
            slow = await stack.enter_async_context(server.connect(greet=False))
            await slow.write(b"EH")
        async with server.connect() as honest:
            assert (await honest.send_mail([bounce_to(), f"abuse@{DOMAIN}"], FAILURE)).startswith("250")
