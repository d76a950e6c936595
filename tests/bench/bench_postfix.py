"""Kannon compared with Postfix and OpenDKIM: the same mails through both, in the same run.

`python -m tests.bench.bench_postfix [--mails 10000] [--runs 3] [--set name=value …]`. Kannon runs end to end
(tests.bench.run). Then Postfix gets as many mails, unsigned and built beforehand, over --connections connections that
pipeline; OpenDKIM signs them (RSA-2048, relaxed/relaxed), and Postfix relays them to the same smtp-sink. Out: for the
middle run of each, mails a second from the first submission to the last mail at the sink, CPU time of all processes but
the client and the sink, and the ratio of both. Needs root, as Postfix does.
"""

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import anyio
import uvloop
from rich.console import Console
from rich.table import Table

from kannon.mail.build.template import compile_batch
from kannon.mail.tracking import IDENTIFIED
from tests.bench.postfix import PostfixWithOpendkim
from tests.bench.run import LIMIT_SECONDS, Settings, Sink, rsa_per_second, run
from tests.bench.workloads import html, request
from tests.support.inbox import inbox
from tests.support.mail import DOMAIN, NOW, batch, delivery, dkim_pair, settings
from tests.support.patience import patience

WARM_UP = 200
_POLL_SECONDS = 0.02
_DOT = b".\r\n"


@dataclass(frozen=True)
class Figures:
    mails_per_second: float
    cpu: dict[str, float]  # ms a mail, by program
    openssl: float  # RSA-2048 signatures a second on one core, just before
    load: float  # the machine's load average, just before


@dataclass(frozen=True)
class Mail:
    envelope: bytes  # MAIL, RCPT and DATA in one piece
    content: bytes  # with its final dot


def mails(count: int, recipient: str = "") -> list[Mail]:
    """Mails that Kannon built, without the signature: text and HTML, a pixel and tracked links, all different."""
    page = batch(html(), subject="Order {{ order }}", alias="The News")
    compiled = compile_batch(page, settings(base_url="https://links.bench.example"))
    found = []
    for number, to in enumerate(request(count).recipients):
        address = recipient or to.email
        made = compiled.fill(delivery(address, fields=to.fields, policy=IDENTIFIED, delivery_id=number + 1), NOW)
        unsigned = made.body[made.body.index(b"\r\nDate:") + 2 :]
        envelope = f"MAIL FROM:<{made.mail_from}>\r\nRCPT TO:<{address}>\r\nDATA\r\n".encode()
        found.append(Mail(envelope, unsigned.replace(b"\r\n.", b"\r\n..") + _DOT))
    return found


async def submit(port: int, queue: list[Mail]) -> None:
    """One connection. A mail's content and the next one's envelope are one write (RFC 2920 §3.1)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def expect(*codes: bytes) -> None:
        for code in codes:
            while (line := await reader.readline())[3:4] == b"-":
                pass
            assert line.startswith(code), line

    await expect(b"220")
    writer.write(b"EHLO client.bench.example\r\n")
    await expect(b"250")
    if queue:
        mail = queue.pop()
        writer.write(mail.envelope)
        await expect(b"250", b"250", b"354")
        while queue:
            following = queue.pop()
            writer.writelines((mail.content, following.envelope))
            mail = following
            await expect(b"250", b"250", b"250", b"354")
        writer.write(mail.content)
        await expect(b"250")
    writer.write(b"QUIT\r\n")
    await expect(b"221")
    writer.close()


async def is_signed(port: int, probe: "list[tuple[str, bytes]]") -> None:
    """AssertionError unless the mail has an RSA signature, relaxed/relaxed, as Kannon's mails have."""
    await submit(port, mails(1, "reader@probe.example"))
    with patience():
        while not probe:
            await anyio.sleep(_POLL_SECONDS)
    head = probe[0][1].partition(b"\r\n\r\n")[0]
    assert b"DKIM-Signature:" in head, head
    assert b"a=rsa-sha256" in head, head
    assert b"c=relaxed/relaxed" in head, head


async def through(port: int, sink: Sink, queue: list[Mail], connections: int) -> tuple[float, float]:
    """Seconds from the first submission until Postfix has accepted all mails, and until the last is at the sink."""
    last = sink.count() + len(queue)
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(submit(port, queue))
    taken = time.monotonic() - began
    with anyio.fail_after(LIMIT_SECONDS):
        while sink.count() < last:
            await asyncio.sleep(_POLL_SECONDS)
    arrived = time.monotonic() - began
    assert sink.count() == last
    return taken, arrived


async def postfix(arguments: argparse.Namespace, folder: Path) -> Figures:
    openssl, load = rsa_per_second(), os.getloadavg()[0]
    sink = Sink(folder)
    queue = mails(arguments.mails)
    async with inbox() as probe:
        server = PostfixWithOpendkim(
            folder, sink=sink.port, probe=probe.port, domain=DOMAIN, key=dkim_pair().private, lines=arguments.set
        )
        try:
            await server.start()
            await is_signed(server.port, probe.mails)
            await through(server.port, sink, mails(WARM_UP), arguments.connections)
            before, client = server.cpu_seconds(), time.process_time()
            taken, arrived = await through(server.port, sink, queue, arguments.connections)
            after, client = server.cpu_seconds(), time.process_time() - client
        finally:
            await server.stop()
            sink.stop()
    own = client / arguments.mails * 1000
    print(
        f"Postfix took the last mail after {taken:.1f} of {arrived:.1f} s; the client spent {own:.2f} ms of CPU a mail"
    )
    cpu = {name: (after[name] - before.get(name, 0)) / arguments.mails * 1000 for name in after}
    return Figures(arguments.mails / arrived, cpu, openssl, load)


async def kannon(arguments: argparse.Namespace, folder: Path) -> Figures:
    load = os.getloadavg()[0]
    result = await run(Settings(folder, arguments.mails, arguments.workers, ""))
    assert not result["lost"], result
    return Figures(result["mails_per_second"], result["cpu_ms_per_mail"], result["openssl_rsa2048_per_second"], load)


def show(found: dict[str, list[Figures]], mails: int) -> None:
    console = Console()
    table = Table("what", *found, title=f"{mails} mails, of each the middle one of its runs")
    runs = {name: sorted(figures, key=lambda f: f.mails_per_second) for name, figures in found.items()}
    middle = [figures[len(figures) // 2] for figures in runs.values()]
    table.add_row("mails a second", *(f"[bold]{f.mails_per_second:.0f}[/]" for f in middle))
    table.add_row("… from, to", *(f"{f[0].mails_per_second:.0f} {f[-1].mails_per_second:.0f}" for f in runs.values()))
    table.add_row("openssl speed rsa2048, signatures a second", *(f"{f.openssl:.0f}" for f in middle))
    table.add_row("mails a signature", *(f"{f.mails_per_second / f.openssl:.3f}" for f in middle))
    table.add_row("CPU a mail, ms", *(f"{sum(f.cpu.values()):.2f}" for f in middle))
    for number in range(max(len(f.cpu) for f in middle)):
        parts = [sorted(f.cpu.items(), key=lambda part: -part[1])[number : number + 1] for f in middle]
        table.add_row("", *("".join(f"{name} {value:.2f}" for name, value in part) for part in parts))
    table.add_row("load average before", *(f"{f.load:.1f}" for f in middle))
    console.print(table)
    if len(middle) == 2:
        console.print(f"Kannon : Postfix and OpenDKIM = {middle[0].mails_per_second / middle[1].mails_per_second:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mails", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="Kannon's dispatcher.workers")
    parser.add_argument("--connections", type=int, default=5, help="of the client that submits to Postfix")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a line of Postfix's main.cf")
    parser.add_argument("--only", choices=["kannon", "postfix"])
    arguments = parser.parse_args()
    ways = {"Kannon": kannon, "Postfix and OpenDKIM": postfix}
    if arguments.only:
        ways = {name: way for name, way in ways.items() if way.__name__ == arguments.only}
    found: dict[str, list[Figures]] = {name: [] for name in ways}
    for _ in range(arguments.runs):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                found[name].append(uvloop.run(way(arguments, Path(folder))))
    show(found, arguments.mails)


if __name__ == "__main__":
    main()
