"""Whatever a client says, submission gives one well-formed reply to each command, stores nothing and ends in time."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kannon.db.pool import Database
from kannon.smtp_server import Limits
from tests.support.effort import examples
from tests.support.inbound import Peer
from tests.support.submission import Running, plain, running

LAST, BEFORE = re.compile(r"[2-5]\d\d [\t\x20-\x7e]+"), re.compile(r"[2-5]\d\d-[\t\x20-\x7e]+")
WORDS = (
    "HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "HELP", "VRFY", "EXPN", "AUTH", "BDAT", "GET", "X",
    "FROM:", "TO:", "<a@example.com>", "<>", "<a@b.de>", "<@x,@y:a@b.de>", '<"a b"@c.de>', "<a@b.de", "a@b.de",
    "SIZE=1", "SIZE=-1", "SIZE=x", "SIZE", "BODY=8BITMIME", "BODY=", "SMTPUTF8", "SMTPUTF8=1", "RET=HDRS", "=",
    "client.example", "[127.0.0.1]", "PLAIN", "LOGIN", "CRAM-MD5", "AAAA", "*", "/ HTTP/1.1", "", "\t", "  ",
)  # fmt: skip


def words() -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(lambda some: " ".join(some).encode())


def garbage() -> st.SearchStrategy[bytes]:
    return st.binary(max_size=600).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b""))


LINES = st.lists(st.one_of(words(), garbage()), min_size=1, max_size=40)
LIMITS = Limits(max_bytes=1 << 20, max_commands=40)


@dataclass
class Client:
    """Says lines, checks each reply, and knows when the server has had enough."""

    peer: Peer
    replies: int = 0
    errors: int = 0

    @property
    def is_at_limit(self) -> bool:
        return self.replies >= LIMITS.max_commands or self.errors >= LIMITS.max_errors

    async def reply(self) -> str:
        reply = await self.peer.reply()
        *before, last = reply.split("\n")
        assert LAST.fullmatch(last), reply
        assert all(BEFORE.fullmatch(line) and line[:3] == last[:3] for line in before), reply
        assert "Local error" not in reply
        self.replies += 1
        self.errors += last[0] in "45"
        return reply

    async def say(self, line: bytes) -> str:
        """One command; a challenge of AUTH is cancelled, and a message is empty."""
        await self.peer.write(line + b"\r\n")
        reply = await self.reply()
        while reply.startswith(("334", "354")) and not self.is_at_limit:
            await self.peer.write(b"*\r\n" if reply.startswith("334") else b".\r\n")
            reply = await self.reply()
        return reply


@pytest.fixture
async def server(db: Database) -> AsyncIterator[Running]:
    async with running(db, limits=LIMITS) as server:
        yield server


@examples(60)
@given(lines=LINES, logged_in=st.booleans())
@example(lines=[b"EHLO x", b"MAIL FROM:<a@example.com>", b"RCPT TO:<a@b.de>", b"DATA"], logged_in=True)
@example(lines=[b"X"] * 40, logged_in=False)
@example(lines=[b"\0\x1b[2J\x7f\r"], logged_in=False)
@example(lines=[b"NOOP"] * 40, logged_in=False)
async def test_each_command_gets_one_reply_and_nothing_is_stored(
    server: Running, db: Database, lines: list[bytes], logged_in: bool
) -> None:
    async with server.connect(greet=False) as peer:
        client = Client(peer)
        assert (await client.reply()).startswith("220 ")
        for line in [b"EHLO x", plain().encode(), *lines] if logged_in else lines:
            if (await client.say(line)).startswith("421 4.7.0 Too many unrecognized"):
                break
            if client.is_at_limit:
                assert (await peer.reply()).startswith("421 4.7.0 Too many ")
                break
        else:
            assert await peer.say("QUIT") == "221 2.0.0 Bye"
        assert await peer.closed()
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM messages") == 0
