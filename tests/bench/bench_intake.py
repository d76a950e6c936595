"""The speed at which the API accepts mail: one call with many recipients, and many clients with one mail each.

    python -m tests.bench.bench_intake

The server runs in a separate process on a durable embedded PostgreSQL; the clients run here. Out: for 10,000 and
100,000 recipients with two fields, the seconds, the growth of the server's memory and the longest block of its event
loop; the same for one mail with an attachment of 18 MB, with and without an idempotency key; then the median time of a
call of one client that sends single mails, and the calls per second of 50 of them with the processor time of each call;
the last two with a key that has no quota and with one that has.
`--single` leaves out the large sends.
"""

import asyncio
import base64
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import anyio
import uvloop

from kannon.client import Client
from kannon.components.api import Api, ApiSettings
from kannon.db.migrate import migrate
from kannon.db.pool import open_database
from kannon.dns_lookup import make_lookup, make_txt_lookup
from kannon.embedded import DataDir, EmbeddedPostgres
from kannon.log import setup_logging
from kannon.mail.send_request import Limits
from kannon.pb.admin.v1.keys_pb2 import Quota
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.bench.plain_client import PlainClient
from tests.bench.processes import Usage, usage
from tests.support.api import NoBus
from tests.support.cipher import make_cipher

CLIENTS = 50
CALLS = 5000
LONE_CALLS = 200
TOKEN = "bench"
_TICK_SECONDS = 0.002


class Stillness:
    """The longest block of the event loop."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last - _TICK_SECONDS)
            last = now


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
            settings = ApiSettings("127.0.0.1", 0, TOKEN, 32 << 20, Limits(25 << 20, 100_000))
            api = Api(settings, db, NoBus(), {}, make_txt_lookup([]), make_lookup([]))
            stop, stillness = anyio.Event(), Stillness()
            async with anyio.create_task_group() as group:
                await group.start(api.run, stop)
                group.start_soon(stillness.watch)
                pipe.send((api.addresses[0][1], postgres.url))
                while await asyncio.to_thread(pipe.recv) == "measure":
                    pipe.send((stillness.longest, _peak_kib()))
                    stillness.longest = 0.0
                    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
                stop.set()
                group.cancel_scope.cancel()
            await db.close()
        finally:
            await postgres.stop()


def _peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def a_batch(recipients: int) -> SendHTMLReq:
    return SendHTMLReq(
        sender=Sender(email="news@example.com", alias="News"),
        subject="Hello {{ name }}",
        html="<p>Hello {{ name }}, your code is {{ code }}.</p>" * 40,
        recipients=[
            Recipient(email=f"user{i}@example{i % 50}.net", fields={"name": f"Name {i}", "code": f"C-{i:08d}"})
            for i in range(recipients)
        ],
    )


async def plain_client(host: str, port: int, key: tuple[str, str]) -> PlainClient:
    """Its calls send one mail each."""
    metadata = [("authorization", "Basic " + base64.b64encode(":".join(key).encode()).decode())]
    message = a_batch(1).SerializeToString()
    return await PlainClient.open(host, port, "/pkg.kannon.mailer.apiv1.Mailer/SendHTML", metadata, message)


async def lone_call_milliseconds(host: str, port: int, key: tuple[str, str]) -> float:
    """The median; the first calls, which open connections and prepare statements, do not count."""
    client = await plain_client(host, port, key)
    seconds = []
    for _ in range(LONE_CALLS + 10):
        await asyncio.sleep(0.01)
        start = time.perf_counter()
        await client.call()
        seconds.append(time.perf_counter() - start)
    client.close()
    return statistics.median(seconds[10:]) * 1000


async def single_mails(host: str, port: int, key: tuple[str, str]) -> float:
    """Calls per second of all clients together."""
    left = iter(range(CALLS))

    async def client() -> None:
        plain = await plain_client(host, port, key)
        for _ in left:
            await plain.call()
        plain.close()

    start = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(CLIENTS):
            group.start_soon(client)
    return CALLS / (time.perf_counter() - start)


async def measure(pipe: Connection, pid: int) -> None:
    host, (port, _) = "127.0.0.1", pipe.recv()
    server = f"{host}:{port}"

    def marks() -> tuple[float, int]:
        pipe.send("measure")
        longest, peak_kib = pipe.recv()
        return float(longest), int(peak_kib)

    async with Client(server, admin_token=TOKEN) as admin:
        await admin.create_domain("example.com")
        secrets = {"": (await admin.create_api_key("example.com", "bench"))[1]}
        quota = Quota(per_second=20_000, per_day=100_000_000)
        secrets[", with a quota"] = (await admin.create_key("example.com", "limited", quota=quota))[1]
    if "--single" not in sys.argv:
        await large_sends(server, ("example.com", secrets[""]), marks)
    for note, secret in secrets.items():
        await small_sends(host, port, ("example.com", secret), pid, marks, note)
    pipe.send("stop")


async def small_sends(
    host: str, port: int, key: tuple[str, str], pid: int, marks: Callable[[], tuple[float, int]], note: str
) -> None:
    milliseconds = await lone_call_milliseconds(host, port, key)
    print(f"1 client, single mails{note}: {milliseconds:.2f} ms, the median of {LONE_CALLS}")
    marks()
    before = usage(pid)
    rate = await single_mails(host, port, key)
    after = usage(pid)
    longest, _ = marks()
    cpu = {name: (after[name].cpu - before.get(name, Usage()).cpu) / CALLS * 1000 for name in ("workers", "postgres")}
    print(
        f"{CLIENTS} clients, single mails{note}: {rate:.0f} calls/s, {cpu['workers']:.2f} ms of the server's CPU and "
        f"{cpu['postgres']:.2f} ms of PostgreSQL's each, loop stood still {longest * 1000:.0f} ms at most"
    )


async def large_sends(server: str, key: tuple[str, str], marks: Callable[[], tuple[float, int]]) -> None:
    async with Client(server, api_key=key) as kannon:
        await kannon.send(a_batch(1))
        attached = a_batch(1)
        attached.attachments.add(
            filename="a.bin", content_type="application/octet-stream", content=os.urandom(18 << 20)
        )
        large = ((a_batch(10_000), ""), (a_batch(100_000), ""), (attached, ""), (attached, "once"))
        for request, idempotency_key in large:
            marks()
            _, before = marks()
            start = time.perf_counter()
            answer = await kannon.send(request, idempotency_key=idempotency_key)
            seconds = time.perf_counter() - start
            longest, after = marks()
            note = ", with a key" if idempotency_key else ""
            print(
                f"{answer.accepted_count:>7} recipients, {request.ByteSize() >> 20} MiB{note}: {seconds:.2f} s, "
                f"memory +{(after - before) >> 10} MiB, loop stood still {longest * 1000:.0f} ms at most"
            )


def main() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,))
    server.start()
    try:
        uvloop.run(measure(ours, server.pid or 0))
        server.join(30)
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
