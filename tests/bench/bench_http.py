"""What JSON over HTTP costs beside gRPC, on the same server in the same run.

    python -m tests.bench.bench_http

Out: 10,000 and 100,000 recipients over gRPC and as JSON, with the seconds, the growth of the server's memory and the
longest block of its event loop; then the calls per second of 50 clients that send single mails as JSON on connections
that they keep, and the longest call of an honest client while 1,000 idle connections are opened beside it.
"""

import asyncio
import base64
import json
import multiprocessing
import time
from multiprocessing.connection import Connection

import anyio
from google.protobuf.json_format import MessageToDict

from kannon.client import Client
from tests.bench.bench_intake import CALLS, CLIENTS, TOKEN, a_batch, serve
from tests.bench.processes import Usage, usage

SEND = "/pkg.kannon.mailer.apiv1.Mailer/SendHTML"
IDLE = 1000


class JsonClient:
    """One kept connection. It reads what this server sends: a status line, headers with a length, a body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: tuple[str, str]) -> None:
        self._reader = reader
        self._writer = writer
        credentials = base64.b64encode(":".join(key).encode()).decode()
        self._head = (
            f"POST {SEND} HTTP/1.1\r\nhost: bench\r\nauthorization: Basic {credentials}\r\n"
            "content-type: application/json\r\ncontent-length: "
        ).encode()

    @classmethod
    async def open(cls, port: int, key: tuple[str, str]) -> "JsonClient":
        return cls(*await asyncio.open_connection("127.0.0.1", port), key)

    async def call(self, body: bytes) -> int:
        """Returns the number of accepted recipients."""
        self._writer.write(self._head + b"%d\r\n\r\n" % len(body) + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(json.loads(await self._reader.readexactly(length))["acceptedCount"])

    def close(self) -> None:
        self._writer.close()


async def measure(pipe: Connection, pid: int) -> None:
    port = int(pipe.recv())

    def marks() -> tuple[float, int]:
        pipe.send("measure")
        longest, peak_kib = pipe.recv()
        return float(longest), int(peak_kib)

    async with Client(f"127.0.0.1:{port}", admin_token=TOKEN) as admin:
        await admin.create_domain("example.com")
        _, secret = await admin.create_api_key("example.com", "bench")
    key = ("example.com", secret)
    client = await JsonClient.open(port, key)
    single = json.dumps(MessageToDict(a_batch(1))).encode()
    await client.call(single)
    async with Client(f"127.0.0.1:{port}", api_key=key) as kannon:
        for count in (10_000, 100_000):
            request = a_batch(count)
            body = json.dumps(MessageToDict(request)).encode()
            for name in ("gRPC", "JSON"):
                marks()
                _, before = marks()
                start = time.perf_counter()
                accepted = (await kannon.send(request)).accepted_count if name == "gRPC" else await client.call(body)
                seconds = time.perf_counter() - start
                longest, after = marks()
                assert accepted == count
                print(
                    f"{count:>7} recipients over {name}: {seconds:.2f} s, memory +{(after - before) >> 10} MiB, "
                    f"loop stood still {longest * 1000:.0f} ms at most",
                    flush=True,
                )
    await single_mails(port, key, single, pid)
    await beside_idle_connections(port, client, single)
    client.close()
    pipe.send("stop")


async def single_mails(port: int, key: tuple[str, str], body: bytes, pid: int) -> None:
    left = iter(range(CALLS))

    async def run() -> None:
        client = await JsonClient.open(port, key)
        for _ in left:
            await client.call(body)
        client.close()

    before, start = usage(pid), time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(CLIENTS):
            group.start_soon(run)
    seconds, after = time.perf_counter() - start, usage(pid)
    cpu = {name: (after[name].cpu - before.get(name, Usage()).cpu) / CALLS * 1000 for name in ("workers", "postgres")}
    print(
        f"{CLIENTS} clients, single mails as JSON: {CALLS / seconds:.0f} calls/s, {cpu['workers']:.2f} ms of the "
        f"server's CPU and {cpu['postgres']:.2f} ms of PostgreSQL's each",
        flush=True,
    )


async def beside_idle_connections(port: int, honest: JsonClient, body: bytes) -> None:
    idle, longest = [], 0.0
    for _ in range(IDLE // 50):
        idle += await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(50)))
        for _, writer in idle[-50:]:
            writer.write(b"GET /healthz HTTP/1.1\r\n")
        start = time.perf_counter()
        await honest.call(body)
        longest = max(longest, time.perf_counter() - start)
    for _, writer in idle:
        writer.close()
    print(f"a call beside {IDLE} idle connections: {longest * 1000:.0f} ms at most", flush=True)


def main() -> None:
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,))
    server.start()
    try:
        asyncio.run(measure(pipe, server.pid or 0))
    finally:
        server.join(20)
        server.kill()


if __name__ == "__main__":
    main()
