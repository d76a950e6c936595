"""A scripted SMTP server on loopback: well-behaved, except at the stages its script names.

In: a script, stage → the behaviour there. Out: the commands, mails and connections that it saw. A behaviour is a reply
line or one of the functions here; `after` gives the first sessions or mails one behaviour and the rest another.
"""

import asyncio
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from kannon.mail.verdict import Stage
from tests.support.patience import PATIENCE_SECONDS

PLAIN = ("PIPELINING", "8BITMIME", "SIZE 50000000")
OPENERS = {Stage.GREETING: "220 peer.test ESMTP", Stage.STARTTLS: "220 2.0.0 ready", Stage.AUTH: "235 2.7.0 welcome"}
GOOD = {
    Stage.MAIL: "250 2.1.0 ok",
    Stage.RCPT: "250 2.1.5 ok",
    Stage.DATA: "354 go on",
    Stage.DOT: "250 2.0.0 queued as 1",
}


class Over(Exception):
    """The peer closes this connection."""


@dataclass
class Visit:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: "Peer"
    sender: bool = False  # MAIL was accepted
    recipient: bool = False
    recipient_address: str = ""  # of the last RCPT

    async def say(self, text: str) -> None:
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def gone(self) -> NoReturn:
        """Waits until the client has closed, and drops the data before that."""
        while await self.reader.read(65536):
            pass
        raise Over


Behaviour = str | Callable[[Visit], Awaitable[str | None]]
"""A reply; or a function that gives one, or None for the usual one."""
Script = Mapping[Stage, Behaviour]


async def close(visit: Visit) -> None:
    raise Over


async def reset(visit: Visit) -> None:
    """RST instead of FIN."""
    sock = visit.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visit.writer.transport.abort()
    raise Over


async def garbage(visit: Visit) -> None:
    await visit.say("\x00\x01HTTP/1.1 200 OK, is it not?")
    await visit.gone()


async def hang(visit: Visit) -> None:
    await visit.gone()


async def deaf(visit: Visit) -> None:
    """Stops reading and keeps the connection open."""
    visit.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typed as a WriteTransport, which it is too
    await asyncio.Event().wait()


async def endless(visit: Visit) -> None:
    """A line that never ends."""
    visit.writer.write(b"250 ")
    while True:
        visit.writer.write(b"x" * 4096)
        await visit.writer.drain()


async def drip(visit: Visit) -> None:
    """A positive reply, too slow as a whole although each byte is in time; reads nothing."""
    visit.writer.transport.pause_reading()  # type: ignore[attr-defined]  # as above
    for byte in (
        b"250 this takes longer than anybody should wait for a reply of any kind, at any stage, from anyone" * 5
    ):
        visit.writer.write(bytes([byte]))
        await visit.writer.drain()
        await asyncio.sleep(visit.peer.drip_seconds)
    raise Over


def closing(reply: str) -> Behaviour:
    """The reply, and the end of the connection right after it."""

    async def behave(visit: Visit) -> None:
        await visit.say(reply)
        raise Over

    return behave


def after(count: int, then: Behaviour, *, first: Behaviour | None = None) -> Behaviour:
    """`first` (None: the usual reply) for the first `count` uses, `then` from there on."""
    uses = 0

    async def behave(visit: Visit) -> str | None:
        nonlocal uses
        uses += 1
        chosen = then if uses > count else first
        return await chosen(visit) if callable(chosen) else chosen

    return behave


@dataclass
class Peer:
    """`async with serving(Peer(...), "127.0.0.2", port):`"""

    script: Script = field(default_factory=dict)
    extensions: tuple[str, ...] = PLAIN
    tls: ssl.SSLContext | None = None
    takes_any_data: bool = False  # 354 even where no recipient was accepted
    at_quit: Callable[[Visit], Awaitable[None]] | None = None
    quits: int = 0
    drip_seconds: float = 0.05
    gate: asyncio.Event | None = None  # the final reply of each mail waits for it
    commands: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    used: Counter[Stage] = field(default_factory=Counter)
    arrivals: list[float] = field(default_factory=list)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._talk(Visit(reader, writer, self))
        except (Over, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self.tasks.discard(task)
            writer.transport.abort() if writer.is_closing() else writer.close()

    async def _talk(self, visit: Visit) -> None:
        await self._at(visit, Stage.GREETING, OPENERS[Stage.GREETING])
        while line := await visit.reader.readline():
            command = line.decode("utf-8", "replace").rstrip("\r\n")
            self.commands.append(command)
            await self._answer(visit, command)

    async def _at(self, visit: Visit, stage: Stage, usual: str) -> bool:
        """Answers; True if the answer was positive."""
        self.used[stage] += 1
        behaviour = self.script.get(stage)
        reply = await behaviour(visit) if callable(behaviour) else behaviour
        await visit.say(reply or usual)
        return (reply or usual)[0] in "23"

    async def _answer(self, visit: Visit, command: str) -> None:
        verb = command[:4].upper()
        if verb in ("EHLO", "HELO"):
            lines = ["peer.test", *self.extensions] if verb == "EHLO" else ["peer.test"]
            if self.tls is not None and visit.writer.get_extra_info("ssl_object") is None and verb == "EHLO":
                lines.append("STARTTLS")
            await self._at(visit, Stage.EHLO, "\r\n".join(_multiline("250", lines)))
        elif verb == "STAR":
            if await self._at(visit, Stage.STARTTLS, OPENERS[Stage.STARTTLS]) and self.tls is not None:
                await visit.writer.start_tls(self.tls, ssl_handshake_timeout=PATIENCE_SECONDS)
        elif verb == "AUTH":
            await self._auth(visit, command)
        elif verb == "MAIL":
            visit.sender = await self._at(visit, Stage.MAIL, GOOD[Stage.MAIL])
        elif verb == "RCPT" and not visit.sender:
            await visit.say("503 5.5.1 MAIL first")
        elif verb == "RCPT":
            self.recipients.append(command)
            visit.recipient_address = command.partition("<")[2].partition(">")[0]
            visit.recipient = await self._at(visit, Stage.RCPT, GOOD[Stage.RCPT])
        elif verb == "DATA" and not visit.recipient and not self.takes_any_data:
            await visit.say("554 5.5.1 no valid recipients")
        elif verb == "DATA":
            await self._data(visit)
        elif verb == "RSET":
            visit.sender = visit.recipient = False
            await visit.say("250 2.0.0 ok")
        elif verb == "QUIT":
            await self._quit(visit)
        else:
            await visit.say("500 5.5.2 what?")

    async def _quit(self, visit: Visit) -> NoReturn:
        self.quits += 1
        if self.at_quit is not None:
            await self.at_quit(visit)
        await visit.say("221 2.0.0 bye")
        raise Over

    async def _auth(self, visit: Visit, command: str) -> None:
        if command.upper() == "AUTH LOGIN":
            for prompt in ("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"):
                await visit.say(prompt)
                self.commands.append((await visit.reader.readline()).decode().strip())
        await self._at(visit, Stage.AUTH, OPENERS[Stage.AUTH])

    async def _data(self, visit: Visit) -> None:
        if not await self._at(visit, Stage.DATA, GOOD[Stage.DATA]):
            return
        if Stage.BODY in self.script:
            await visit.reader.readexactly(1)
            await self._at(visit, Stage.BODY, "")
            await visit.gone()
        mail = await visit.reader.readline()
        while not mail.endswith((b"\r\n.\r\n",)) and mail != b".\r\n":
            mail += await visit.reader.readuntil(b".\r\n")
        self.mails.append(mail)
        self.arrivals.append(asyncio.get_running_loop().time())
        if self.gate is not None:
            await self.gate.wait()
        await self._at(visit, Stage.DOT, GOOD[Stage.DOT])
        visit.sender = visit.recipient = False


def _multiline(code: str, lines: list[str]) -> Iterator[str]:
    for line in lines[:-1]:
        yield f"{code}-{line}"
    yield f"{code} {lines[-1]}"


@asynccontextmanager
async def serving(peer: Peer, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Listens; yields the port."""
    server = await asyncio.start_server(peer.serve, host, port, limit=64 << 20)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(peer.tasks):
            task.cancel()
        if peer.tasks:
            await asyncio.wait(list(peer.tasks))
        await server.wait_closed()


@contextmanager
def unanswered(host: str, port: int) -> Iterator[None]:
    """A port whose accept queue is full: a connection attempt never completes."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((host, port))
        yield


def free_port() -> int:
    """A port without a listener on any loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
