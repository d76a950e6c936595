"""A Deliverer over a DNS zone of one's own, and the usual one-host destinations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio

from kannon.config import Dns, Sender
from kannon.mail.envelope import Envelope
from kannon.mail.verdict import Verdict
from kannon.outbound import Deliverer, Throttled
from tests.support.dns_server import DnsServer, Zone, serving_dns
from tests.support.envelopes import an_envelope
from tests.support.smtp_peer import Peer, serving


@asynccontextmanager
async def delivering(zone: Zone, *, dns: DnsServer | None = None, **options: Any) -> AsyncIterator[Deliverer]:
    """`options`: keys of [sender]."""
    settings = {"hostname": "me.test", "allow_private_mx": True, "timeout_scale": 0.1, **options}
    async with AsyncExitStack() as stack:
        nameserver = await stack.enter_async_context(serving_dns(dns or DnsServer(zone)))
        deliverer = Deliverer(Sender.model_validate(settings), Dns(nameservers=[nameserver]))
        yield await stack.enter_async_context(deliverer)


@asynccontextmanager
async def delivering_to(*peers: Peer, **options: Any) -> AsyncIterator[Deliverer]:
    """dest.test's exchangers are these peers, in this order of preference: mx1.test at 127.0.0.1, mx2.test at .2, …"""
    zone: Zone = {("dest.test", "MX"): []}
    async with AsyncExitStack() as stack:
        port = 0
        for number, peer in enumerate(peers, 1):
            zone["dest.test", "MX"].append(f"{10 * number} mx{number}.test.")
            zone[f"mx{number}.test", "A"] = [f"127.0.0.{number}"]
            port = await stack.enter_async_context(serving(peer, f"127.0.0.{number}", port))
        yield await stack.enter_async_context(delivering(zone, port=port, **options))


async def deliver_patiently(deliverer: Deliverer, mail: str | Envelope = "b@dest.test") -> Verdict:
    """As the bus does: what was Throttled comes again."""
    envelope = an_envelope(mail) if isinstance(mail, str) else mail
    while isinstance(verdict := await deliverer.deliver(envelope), Throttled):
        await anyio.sleep(verdict.retry_in)
    return verdict


async def deliver_many(deliverer: Deliverer, count: int) -> list[Verdict]:
    return list(await asyncio.gather(*(deliver_patiently(deliverer) for _ in range(count))))
