"""A new source address carries its plan and no more: a day hour by hour, several senders, restarts, real SMTP."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from kannon.bus.bus import Bus
from kannon.errors import Unavailable
from kannon.mail.verdict import Deferred, Delivered, Stage
from kannon.mail.warmup import WarmUp
from kannon.outbound import Deliverer, Throttled
from kannon.outbound.warmup import Choice, MemoryCounter, WarmUps
from tests.support.delivering import delivering
from tests.support.dns_server import Zone
from tests.support.envelopes import an_envelope
from tests.support.smtp_peer import Peer, Visit, serving

OLD, NEW = "127.0.0.8", "127.0.0.9"
START = datetime(2026, 12, 1, tzinfo=UTC)
ZONE: Zone = {
    ("one.test", "MX"): ["10 mx1.first.example."],
    ("two.test", "MX"): ["10 mx2.first.example."],
    ("other.test", "MX"): ["10 mx.second.example."],
    **{(f"{host}.example", "A"): ["127.0.0.1"] for host in ("mx1.first", "mx2.first", "mx.second")},
}


@dataclass
class Looking(Peer):
    """Counts mails by the address that they come from."""

    sources: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.script = {Stage.DOT: self._count, **self.script}

    async def _count(self, visit: Visit) -> None:
        self.sources[visit.writer.get_extra_info("peername")[0]] += 1


@dataclass
class Clock:
    at: datetime = START

    def __call__(self) -> datetime:
        return self.at


@asynccontextmanager
async def sender(
    peer_port: int, counter: MemoryCounter | Bus, clock: Clock, plan: list[int], *sources: str
) -> AsyncIterator[Deliverer]:
    options: dict[str, Any] = {
        "source_ips": list(sources),
        "warmup": [{"address": NEW, "since": START.date(), "plan": plan}],
        "limits": [{"mx": "example", "mails_per_connection": 1}],
    }
    async with delivering(ZONE, port=peer_port, warm_up_counter=counter, now=clock, **options) as deliverer:
        yield deliverer


async def send(deliverer: Deliverer, count: int, domain: str = "one.test") -> list[Throttled]:
    """Those that wait."""
    waiting = []
    for _ in range(count):
        verdict = await deliverer.deliver(an_envelope(f"b@{domain}"))
        if isinstance(verdict, Throttled):
            waiting.append(verdict)
        else:
            assert isinstance(verdict, Delivered), verdict
    return waiting


async def test_a_day_hour_by_hour_what_exceeds_goes_from_the_older_address() -> None:
    peer, clock, counter = Looking(), Clock(), MemoryCounter()
    by_hour = []
    async with serving(peer, "127.0.0.1") as port, sender(port, counter, clock, [24, 48], OLD, NEW) as deliverer:
        for hour in range(48):
            clock.at = START + timedelta(hours=hour)
            before = Counter(peer.sources)
            assert await send(deliverer, 4) == []
            new = Counter(peer.sources)
            new.subtract(before)
            by_hour.append((new[NEW], new[OLD]))
    assert by_hour == [(1, 3)] * 24 + [(2, 2)] * 24


async def test_after_an_hour_without_mail_the_address_catches_up() -> None:
    peer, clock = Looking(), Clock(START + timedelta(hours=5))
    async with serving(peer, "127.0.0.1") as port, sender(port, MemoryCounter(), clock, [24], OLD, NEW) as deliverer:
        await send(deliverer, 8)
    assert peer.sources == {NEW: 6, OLD: 2}


async def test_each_provider_counts_by_itself_whatever_its_hosts_are_called() -> None:
    peer, clock = Looking(), Clock(START + timedelta(hours=23))
    async with serving(peer, "127.0.0.1") as port, sender(port, MemoryCounter(), clock, [4], OLD, NEW) as deliverer:
        for _ in range(3):
            await send(deliverer, 1, "one.test")
            await send(deliverer, 1, "two.test")
        await send(deliverer, 6, "other.test")
        shown = {(each.site, each.source): each.warm_up for each in deliverer.destinations()}
    assert peer.sources == {NEW: 8, OLD: 4}
    assert {text for (_, source), text in shown.items() if source == NEW} == {"4 of 4 today"}
    assert {text for (_, source), text in shown.items() if source == OLD} == {""}


async def test_without_an_older_address_mail_waits_visibly_until_the_next_day_and_the_plan_ends() -> None:
    peer, clock = Looking(), Clock(START + timedelta(hours=9))
    async with serving(peer, "127.0.0.1") as port, sender(port, MemoryCounter(), clock, [3, 5], NEW) as deliverer:
        first, second = await send(deliverer, 5)
        assert first == second
        assert first.retry_in == 3600  # offered again after an hour
        assert first.reason == f"warm-up: the mails of today to first.example are sent ({NEW} 3)"
        clock.at = START + timedelta(hours=23, minutes=50)
        [late] = await send(deliverer, 1)
        assert late.retry_in == 601
        clock.at = START + timedelta(days=1)
        assert len(await send(deliverer, 6)) == 1
        clock.at = START + timedelta(days=2)
        assert await send(deliverer, 20) == []
    assert peer.sources == {NEW: 3 + 5 + 20}


async def test_before_its_first_day_the_address_carries_nothing() -> None:
    peer, clock = Looking(), Clock(START - timedelta(hours=1))
    async with serving(peer, "127.0.0.1") as port, sender(port, MemoryCounter(), clock, [100], OLD, NEW) as deliverer:
        await send(deliverer, 3)
    assert peer.sources == {OLD: 3}


async def test_several_senders_and_restarts_keep_one_plan(nats_url: str) -> None:
    """Their counts are on a real nats-server. A sender that stops gives back what it has not used."""
    peer, clock = Looking(), Clock(START + timedelta(hours=23))
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(peer, "127.0.0.1"))
        buses = [Bus(nats_url) for _ in range(3)]
        for bus in buses:
            await bus.ready()
            stack.push_async_callback(bus.close)
        for _ in range(2):
            async with AsyncExitStack() as senders:
                all_senders = [
                    await senders.enter_async_context(sender(port, bus, clock, [60], OLD, NEW)) for bus in buses
                ]
                async with anyio.create_task_group() as group:
                    for each in all_senders:
                        group.start_soon(send, each, 8)
        async with sender(port, buses[0], clock, [60], OLD, NEW) as last:
            await send(last, 20)
    assert peer.sources == {NEW: 60, OLD: 8}


async def test_many_takes_at_once_never_exceed_the_limit(nats_url: str) -> None:
    buses = [Bus(nats_url) for _ in range(4)]
    taken: list[int] = []

    async def take(bus: Bus) -> None:
        for _ in range(10):
            taken.append((await bus.take_warm_up("20261201.x", 7, 100))[0])

    for bus in buses:
        await bus.ready()
    async with anyio.create_task_group() as group:
        for bus in buses:
            group.start_soon(take, bus)
    assert sum(taken) == 100
    await buses[0].return_warm_up("20261201.x", 30)
    assert await buses[1].take_warm_up("20261201.x", 50, 100) == (30, 100)
    await buses[2].return_warm_up("20261201.unknown", 30)
    for bus in buses:
        await bus.close()


async def test_mail_that_the_provider_has_not_seen_does_not_count() -> None:
    clock, counter = Clock(START + timedelta(hours=23)), MemoryCounter()
    peer = Looking(script={Stage.RCPT: "450 4.2.1 later"})
    async with serving(peer, "127.0.0.1") as port, sender(port, counter, clock, [20], OLD, NEW) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope("b@one.test")), Deferred)
    assert list(counter.sums.values()) == [1]
    async with sender(port, counter, clock, [20], OLD, NEW) as deliverer:  # no peer listens any more
        assert isinstance(await deliverer.deliver(an_envelope("b@one.test")), Deferred)
    assert list(counter.sums.values()) == [1]


class Away(MemoryCounter):
    async def take_warm_up(self, key: str, count: int, limit: int) -> tuple[int, int]:
        raise Unavailable("NATS: not connected")


@pytest.mark.parametrize("sources", [(OLD, NEW), (NEW,)])
async def test_while_the_counts_are_away_the_new_address_rests(sources: tuple[str, ...]) -> None:
    warm_ups = WarmUps([WarmUp(NEW, START.date(), (50,))], sources, Away(), Clock())
    chosen = await warm_ups.choose("first.example")
    if OLD in sources:
        assert chosen == Choice((OLD,))
    else:
        assert isinstance(chosen, Throttled)
        assert chosen.retry_in == 2


async def test_an_ipv6_address_is_one_key_and_one_spelling(nats_url: str) -> None:
    bus = Bus(nats_url)
    await bus.ready()
    warm_ups = WarmUps([WarmUp("2001:db8::1", START.date(), (50,))], ("2001:db8::1",), bus, Clock())
    chosen = await warm_ups.choose("first.example")
    assert isinstance(chosen, Choice)
    assert chosen.sources == ("2001:db8::1",)
    assert warm_ups.describe(chosen.sources, "first.example") == "1 of 50 today"
    await bus.close()
