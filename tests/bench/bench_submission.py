"""The speed at which submission accepts messages: smtp-source over 20 connections, each message committed.

    python -m tests.bench.bench_submission [messages] [connections]

The server runs in a separate process of one thread, on a durable embedded PostgreSQL. smtp-source cannot log in, so a
relay in this process opens each connection to the server, logs in, and then passes bytes. Out: messages per second, and
the server's processor time for each; then, with 1,000 idle connections beside, the longest time of an honest client for
a whole session. Exit code 1 if a message is not in the database.
"""

import asyncio
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import anyio
import uvloop

from kannon.db.migrate import migrate
from kannon.db.pool import open_database
from kannon.embedded import DataDir, EmbeddedPostgres
from kannon.log import setup_logging
from tests.bench.processes import TICKS
from tests.support.cipher import make_cipher
from tests.support.inbound import Peer
from tests.support.submission import MESSAGE, logging_in, plain, running

IDLE = 1000
HONEST = 50


def serve(pipe: Connection) -> None:
    with Path(os.devnull).open("w") as nowhere:
        setup_logging("info", "json", nowhere)
        uvloop.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    with tempfile.TemporaryDirectory() as folder, DataDir.open(Path(folder) / "data") as data_dir:
        postgres = EmbeddedPostgres(data_dir.path)
        await postgres.start()
        try:
            await migrate(postgres.url)
            db = await open_database(postgres.url, cipher=make_cipher())
            async with running(db, max_connections=2000) as server:
                pipe.send(server.component.addresses[0])
                while await asyncio.to_thread(pipe.recv) == "count":
                    async with db.acquire() as connection:
                        pipe.send(await connection.fetchval("SELECT count(*) FROM messages"))
            await db.close()
        finally:
            await postgres.stop()


def cpu_seconds(pid: int) -> float:
    """Of one process: fields 14 and 15 of proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / TICKS


async def submit(address: tuple[str, int], pid: int, messages: int, connections: int) -> tuple[float, float]:
    """Messages a second, and the server's milliseconds of processor time for each."""
    program = shutil.which("smtp-source") or "/usr/sbin/smtp-source"
    arguments = ["-d", "-4", "-s", str(connections), "-m", str(messages), "-l", "2000", "-f", "news@example.com"]
    async with logging_in(address) as port:
        before, start = cpu_seconds(pid), time.perf_counter()
        await anyio.run_process([program, *arguments, "-t", "bob@example.net", f"127.0.0.1:{port}"])
        seconds = time.perf_counter() - start
    return messages / seconds, 1000 * (cpu_seconds(pid) - before) / messages


async def honest(address: tuple[str, int]) -> float:
    """Seconds of a session: connect, log in, hand in one message."""
    start = time.perf_counter()
    async with await anyio.connect_tcp(*address) as stream:
        peer = Peer(stream)
        await peer.reply()
        for line in ("EHLO x", plain(), "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.net>", "DATA"):
            await peer.say(line)
        reply = await peer.say(MESSAGE + b".\r\n")
        if not reply.startswith("250"):
            raise SystemExit(f"refused: {reply}")
    return time.perf_counter() - start


async def main(messages: int, connections: int) -> None:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    server.start()
    host, port = await asyncio.to_thread(ours.recv)
    address, pid = (host, port), server.pid or 0
    await submit(address, pid, 200, connections)
    rate, cost = await submit(address, pid, messages, connections)
    print(f"{messages} messages over {connections} connections: {rate:.0f}/s, {cost:.2f} ms of the server each")
    idle = [await asyncio.open_connection(*address) for _ in range(IDLE)]
    times = [await honest(address) for _ in range(HONEST)]
    print(f"with {IDLE} idle connections: a session takes {statistics.median(times):.3f} s, at most {max(times):.3f} s")
    for _, writer in idle:
        writer.close()
    ours.send("count")
    stored = await asyncio.to_thread(ours.recv)
    ours.send("stop")
    server.join()
    expected = 200 + messages + HONEST
    print(f"stored {stored} of {expected}")
    sys.exit(stored != expected)


if __name__ == "__main__":
    values = [int(each) for each in sys.argv[1:3]]
    uvloop.run(main(*(values + [5000, 20][len(values) :])))
