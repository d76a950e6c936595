"""A Deliverer over a DNS zone, and the usual destinations of one host."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import anyio

from kannon.config import Dns, Sender
from kannon.mail.envelope import Envelope
from kannon.mail.verdict import Stage, Verdict
from kannon.outbound import Deliverer, Throttled
from kannon.outbound.client.session import STAGE_SECONDS
from kannon.outbound.warmup import Counter
from tests.support.dns_server import DnsServer, Zone, serving_dns
from tests.support.envelopes import an_envelope
from tests.support.patience import PATIENCE_SECONDS
from tests.support.smtp_peer import Peer, serving


@asynccontextmanager
async def delivering(
    zone: Zone,
    *,
    dns: DnsServer | None = None,
    dns_scale: float = 1.0,
    short: Mapping[Stage, float] | None = None,
    clock: Callable[[], float] = time.monotonic,
    warm_up_counter: Counter | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    **options: Any,
) -> AsyncIterator[Deliverer]:
    """`options`: keys of [sender]; timeout_scale shortens the pacing. Only the stages in `short` (stage → seconds) time
    out during a test, for a peer that is silent there; `dns_scale` does the same for DNS."""
    settings: dict[str, Any] = {"hostname": "me.test", "allow_private_mx": True, "timeout_scale": 0.1, **options}
    times = dict.fromkeys(STAGE_SECONDS, 4 * PATIENCE_SECONDS) | dict(short or {})
    async with AsyncExitStack() as stack:
        stack.enter_context(patch.dict(STAGE_SECONDS, {s: t / settings["timeout_scale"] for s, t in times.items()}))
        stack.enter_context(patch("kannon.outbound.deliver.MIN_DNS_SCALE", dns_scale))
        nameserver = await stack.enter_async_context(serving_dns(dns or DnsServer(zone)))
        deliverer = Deliverer(
            Sender.model_validate(settings),
            Dns(nameservers=[nameserver]),
            clock=clock,
            warm_up_counter=warm_up_counter,
            now=now,
        )
        yield await stack.enter_async_context(deliverer)


@asynccontextmanager
async def delivering_to(*peers: Peer, **options: Any) -> AsyncIterator[Deliverer]:
    """The MX hosts of dest.test are these peers, in this order of preference: mx1.test at 127.0.0.1, mx2.test at .2,
    …"""
    zone: Zone = {("dest.test", "MX"): []}
    async with AsyncExitStack() as stack:
        port = 0
        for number, peer in enumerate(peers, 1):
            zone["dest.test", "MX"].append(f"{10 * number} mx{number}.test.")
            zone[f"mx{number}.test", "A"] = [f"127.0.0.{number}"]
            port = await stack.enter_async_context(serving(peer, f"127.0.0.{number}", port))
        yield await stack.enter_async_context(delivering(zone, port=port, **options))


async def deliver_patiently(deliverer: Deliverer, mail: str | Envelope = "b@dest.test") -> Verdict:
    """Repeats throttled mail, as the sender does."""
    envelope = an_envelope(mail) if isinstance(mail, str) else mail
    while isinstance(verdict := await deliverer.deliver(envelope), Throttled):
        await anyio.sleep(verdict.retry_in)
    return verdict


async def deliver_many(deliverer: Deliverer, count: int) -> list[Verdict]:
    return list(await asyncio.gather(*(deliver_patiently(deliverer) for _ in range(count))))


@contextmanager
def short_stage(stage: Stage, seconds: float) -> Iterator[None]:
    """Shortens the time-out of this stage only, for peers that are silent there."""
    with patch.dict(STAGE_SECONDS, {stage: seconds}):
        yield
