"""Opens a second on one core: bump runs in a separate process, tokens are unique, and it verifies every signature.

Run: python -m tests.bench.bench_bump [requests]. The stand-in for the bus takes 2 ms for a burst. The figures are for
connections that are kept (a reverse proxy's) and for one connection per open (readers').
"""

import multiprocessing
import resource
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection

import anyio
import uvloop

from kannon.components.bump import Bump
from kannon.mail.event import Event
from kannon.mail.token import TokenSigner, generate_token_key
from kannon.mail.token_claims import Channel, Claims
from kannon.mail.tracking import TrackingMode

CLIENTS = 16
DOMAIN = "news.example.com"


class SlowBus:
    def __init__(self) -> None:
        self.published = 0

    async def publish_events(self, events: Sequence[Event]) -> None:
        await anyio.sleep(0.002)
        self.published += len(events)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def serve(pipe: Connection, kid: str, private: str) -> None:
    """Reports its port, serves until the stop, then reports its published events and its CPU time."""

    async def list_keys(now: datetime) -> dict[str, str]:
        return {kid: private}

    async def main() -> None:
        bus, stop = SlowBus(), anyio.Event()
        bump = Bump(
            bus,
            list_keys,
            listen="127.0.0.1:0",
            clock=partial(datetime.now, UTC),
            new_id=partial(secrets.token_hex, 16),
        )
        async with anyio.create_task_group() as group:
            await group.start(bump.run, stop)
            before = cpu_seconds()
            pipe.send(bump.port)
            await anyio.to_thread.run_sync(pipe.recv)
            stop.set()
        pipe.send((bus.published, cpu_seconds() - before))

    uvloop.run(main())


def ask(port: int, paths: list[str], *, keep: bool) -> None:
    """Sends rounds of one request per client."""
    ending = "\r\n" if keep else "Connection: close\r\n\r\n"
    kept: list[socket.socket] = []
    for start in range(0, len(paths), CLIENTS):
        clients = kept or [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS)]
        for client, path in zip(clients, paths[start : start + CLIENTS], strict=False):
            client.sendall(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: Mozilla/5.0 (X11) Firefox/128.0\r\n{ending}".encode()
            )
        for client, _ in zip(clients, paths[start : start + CLIENTS], strict=False):
            received = b""
            while not received.endswith(b"\x3b"):
                received += client.recv(4096)
            if not keep:
                client.close()
        kept = clients if keep else []
    for client in kept:
        client.close()


def measure(paths: list[str], kid: str, private: str, *, keep: bool) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, kid, private))
    process.start()
    port = ours.recv()
    begin = time.monotonic()
    ask(port, paths, keep=keep)
    taken = time.monotonic() - begin
    ours.send("stop")
    published, cpu = ours.recv()
    process.join()
    assert published == len(paths)
    name = "kept connections" if keep else "one connection each"
    print(f"{name:22} {len(paths) / taken:7.0f} a second here, {cpu / len(paths) * 1e6:5.0f} us CPU each", end="")
    print(f" = {len(paths) / cpu:.0f} a second on one core")


def main(requests: int) -> None:
    key, _ = generate_token_key()
    signer, now = TokenSigner(key), int(time.time())
    readers = [
        Claims(Channel.OPEN, TrackingMode.IDENTIFIED, DOMAIN, f"msg_x@{DOMAIN}", f"u{n}@x.example", now, now + 3600, n)
        for n in range(requests)
    ]
    paths = [f"/o/{signer.sign(claims)}" for claims in readers]
    for keep in (True, False):
        measure(paths, key.kid, key.private_pem, keep=keep)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
