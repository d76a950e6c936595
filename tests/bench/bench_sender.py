"""The speed of the sender alone: envelopes are in the stream, one destination, outcomes published on the bus.

`python -m tests.bench.bench_sender [--mails 20000] [--connections 20] [--tls] [--uvloop]`. The peer is smtp-sink
(Debian's postfix package) or, with --tls, tests.support.tls_sink; both run in separate processes. A dispatcher without
a pool answers that every envelope may be sent; it takes no throttled ones, which therefore come again from the stream.
Prints mails a second and CPU time per mail of this process.
"""

import argparse
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio

from kannon.bus.bus import Bus
from kannon.components.sender import Sender
from kannon.config import Dns, Limit, Route
from kannon.config import Sender as SenderConfig
from kannon.embedded import DataDir, EmbeddedNats
from kannon.mail.envelope import Envelope, RedeliveredEnvelope
from kannon.outbound import Deliverer

BODY = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: bench\r\n\r\n" + (b"x" * 76 + b"\r\n") * 50
PAGE = 2000


def envelope(number: int) -> Envelope:
    return Envelope(
        number, "msg_bench@b.example", "b.example", "b-1@b.example", "c@d.example", BODY, 1, datetime.now(UTC)
    )


async def find_closed(page: Sequence[RedeliveredEnvelope]) -> set[tuple[int, int]]:
    return set()


@contextlib.contextmanager
def sink(tls: bool) -> Iterator[int]:
    """The port of a server that accepts everything."""
    port = 2597
    command = (
        [sys.executable, "-m", "tests.support.tls_sink", str(port)]
        if tls
        else ["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "500"]
    )
    process = subprocess.Popen(command)
    time.sleep(1.0)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


async def bench(port: int, args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder, DataDir.open(Path(folder)) as data_dir:
        server = EmbeddedNats(data_dir.path)
        await server.start()
        try:
            await measure(server.url, port, args)
        finally:
            await server.stop()
            server.close()


async def measure(url: str, port: int, args: argparse.Namespace) -> None:
    config = SenderConfig(
        hostname="bench.example",
        routes=[Route(domain="*", host="127.0.0.1", port=port, tls="required" if args.tls else "none")],
        limits=[Limit(mx="127.0.0.1", connections=args.connections)],
    )
    bus = Bus(url)
    await bus.ready()
    for first in range(0, args.mails, PAGE):
        await bus.publish_envelopes([envelope(n) for n in range(first + 1, min(first + PAGE, args.mails) + 1)])
    sender = Sender(Deliverer(config, Dns()), bus, clock=lambda: datetime.now(UTC))
    stop = anyio.Event()
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        await group.start(lambda *, task_status: sender.run(stop, task_status=task_status))
        group.start_soon(bus.serve_dispatcher, find_closed, stop)
        while (await bus.backlog()).messages:
            await anyio.sleep(0.05)
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
        stop.set()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{args.mails / seconds:8.0f} mails/s   {cpu / args.mails * 1e6:6.0f} us CPU a mail   {args}")
    await bus.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mails", type=int, default=20000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--uvloop", action="store_true")
    args = parser.parse_args()
    with sink(args.tls) as port:
        anyio.run(bench, port, args, backend_options={"use_uvloop": args.uvloop})


if __name__ == "__main__":
    main()
