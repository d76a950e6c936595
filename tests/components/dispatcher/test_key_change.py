"""A batch that is being built while the domain's key changes: the old key until its page is loaded again."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from kannon.bus.bus import Bus
from kannon.bus.streams import SENDER
from kannon.components.dispatcher import Builder, BuildOptions, Scheduler, SchedulerLimits, inputs
from kannon.db.dkim_keys import activate_dkim_key, insert_dkim_key, retire_dkim_key
from kannon.db.pool import Database
from kannon.db.queue import claim_due
from kannon.mail.batch import Delivery
from kannon.mail.build.dkim import ED25519_SHA256, RSA_SHA256, generate_dkim_key
from kannon.mail.envelope import Envelope
from kannon.wire.envelopes import parse_envelope
from tests.support.consume import take
from tests.support.dkim_zone import Signature, signatures
from tests.support.dns_server import Zone, txt
from tests.support.patience import patience
from tests.support.pool import insert_batch, insert_domain

DOMAIN = "example.com"
OPTIONS = BuildOptions("", autoescape=True, token_ttl=timedelta(days=90), bounce_ttl=timedelta(days=31))
FIRST, SECOND = Signature("kannon", RSA_SHA256, verifies=True), Signature("kannon2", RSA_SHA256, verifies=True)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def zone() -> Zone:
    """What the domain publishes: every key that was ever made for it."""
    return {}


@pytest.fixture
async def page(db: Database, zone: Zone) -> list[Delivery]:
    """Two deliveries of one batch."""
    await insert_batch(db, ["a@example.org", "b@example.org"], state="scheduled")
    await change_key(db, zone)
    return await claim_due(db, 10)


async def change_key(db: Database, zone: Zone, algorithm: str = RSA_SHA256) -> None:
    private_pem, public_key = generate_dkim_key(algorithm)
    key = await insert_dkim_key(db, DOMAIN, algorithm=algorithm, private_pem=private_pem, public_key=public_key)
    assert key is not None
    zone[key.record.name, "TXT"] = txt(key.record.value)
    await activate_dkim_key(db, DOMAIN, key.selector)


async def build(builder: Builder, delivery: Delivery, zone: Zone) -> list[Signature]:
    [envelope] = await builder.build([delivery], now())
    assert isinstance(envelope, Envelope)
    return signatures(envelope.body, zone)


async def test_a_notification_makes_the_next_page_use_the_new_key(db: Database, bus: Bus, zone: Zone) -> None:
    await insert_domain(db, DOMAIN)
    await change_key(db, zone)
    selectors: list[str] = []
    stop = anyio.Event()
    with patience():
        async with Builder(db, OPTIONS, workers=0, clock=now) as builder, anyio.create_task_group() as group:
            limits = SchedulerLimits(page=50, max_backlog=1000, max_backlog_bytes=1 << 30, workers=0)
            group.start_soon(Scheduler(db, bus, builder, limits, clock=now).run, stop)
            while selectors[-1:] != ["kannon2"]:
                if len(selectors) == 1:
                    await change_key(db, zone)
                if selectors:
                    await bus.notify_keys_changed()
                await insert_batch(db, ["a@example.org"], name=str(len(selectors)), state="scheduled")
                await bus.notify_dispatcher()
                [message] = await take(bus, SENDER, 1)
                [signature] = signatures(parse_envelope(message.payload).body, zone)
                selectors.append(signature.selector)
            stop.set()
    assert selectors[0] == "kannon"


async def test_a_page_keeps_its_key(db: Database, page: list[Delivery], zone: Zone) -> None:
    async with Builder(db, OPTIONS, workers=0, clock=now) as loaded:
        assert await build(loaded, page[0], zone) == [FIRST]
        await change_key(db, zone)
        assert await build(loaded, page[1], zone) == [FIRST]
        async with Builder(db, OPTIONS, workers=0, clock=now) as fresh:
            assert await build(fresh, page[1], zone) == [SECOND]


async def test_a_page_that_is_loaded_again_has_the_new_key(
    db: Database, page: list[Delivery], zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "CACHE_SECONDS", 0.0)  # over at once
    third = Signature("kannon3", ED25519_SHA256, verifies=True)
    async with Builder(db, OPTIONS, workers=0, clock=now) as built:
        assert await build(built, page[0], zone) == [FIRST]
        await change_key(db, zone)
        assert await build(built, page[0], zone) == [SECOND]
        await change_key(db, zone, ED25519_SHA256)
        assert await build(built, page[0], zone) == [SECOND, third]
        await retire_dkim_key(db, DOMAIN, "kannon3")
        assert await build(built, page[0], zone) == [SECOND]
