"""The memory of API keys: what it saves, and how soon a change holds, in this process and in another one."""

import hashlib
from dataclasses import replace

import anyio
import pytest

from kannon.components.api.tenant_cache import MAX_KEYS, TenantCache
from kannon.db.api_keys import KeyRights, deactivate_api_key, find_tenant, insert_api_key, update_api_key
from kannon.db.domains import update_tracking
from kannon.db.pool import Database, open_database
from kannon.mail import ids
from kannon.mail.send_request import Tenant
from kannon.mail.tenants import KeyGrant, Scope
from kannon.mail.tracking import IDENTIFIED, TrackingMode, TrackingPolicy
from tests.support.cipher import make_cipher
from tests.support.pool import insert_domain

DOMAIN = "example.com"
SECRET = hashlib.sha256(b"secret").digest()
KEY_ID = ids.api_key_id(b"0" * ids.DRAW_BYTES)
GRANT = KeyGrant(KEY_ID, Tenant(DOMAIN, IDENTIFIED), frozenset({Scope.SEND}))


class Lookups:
    """A look-up that counts, and waits where it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.answer: KeyGrant | None = GRANT
        self.may_end = anyio.Event()
        self.may_end.set()

    async def find(self, domain: str, secret_sha256: bytes) -> KeyGrant | None:
        self.count += 1
        answer = self.answer
        await self.may_end.wait()
        return answer


async def test_a_busy_key_is_looked_up_twice_a_second() -> None:
    now, lookups = 0.0, Lookups()
    cache = TenantCache(lookups.find, clock=lambda: now)
    for tick in range(10_000):
        now = tick / 1000
        assert await cache.find(DOMAIN, SECRET) == GRANT
    assert lookups.count == 20


async def test_one_call_renews_while_the_others_use_what_is_known() -> None:
    now, lookups = 0.0, Lookups()
    cache = TenantCache(lookups.find, clock=lambda: now)
    await cache.find(DOMAIN, SECRET)
    now, lookups.may_end = 0.6, anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(cache.find, DOMAIN, SECRET)
        await anyio.wait_all_tasks_blocked()
        for _ in range(10):
            assert await cache.find(DOMAIN, SECRET) == GRANT
        assert lookups.count == 2
        now = 1.0  # the renewal takes too long: what is known is too old by now
        group.start_soon(cache.find, DOMAIN, SECRET)
        await anyio.wait_all_tasks_blocked()
        assert lookups.count == 3
        lookups.may_end.set()


async def test_a_wrong_key_is_looked_up_each_time() -> None:
    lookups = Lookups()
    lookups.answer = None
    cache = TenantCache(lookups.find, clock=lambda: 0.0)
    for _ in range(3):
        assert await cache.find(DOMAIN, SECRET) is None
    lookups.answer = GRANT
    assert await cache.find(DOMAIN, SECRET) == GRANT
    assert await cache.find("other.example", SECRET) == GRANT
    assert await cache.find(DOMAIN, SECRET[::-1]) == GRANT
    assert lookups.count == 6


async def test_an_answer_that_is_older_than_a_change_is_not_kept() -> None:
    lookups = Lookups()
    lookups.may_end = anyio.Event()
    cache = TenantCache(lookups.find, clock=lambda: 0.0)
    async with anyio.create_task_group() as group:
        group.start_soon(cache.find, DOMAIN, SECRET)
        await anyio.wait_all_tasks_blocked()
        lookups.answer = None
        cache.clear()
        lookups.may_end.set()
    assert await cache.find(DOMAIN, SECRET) is None


async def test_it_is_bounded() -> None:
    lookups = Lookups()
    cache = TenantCache(lookups.find, clock=lambda: 0.0)
    for number in range(MAX_KEYS + 1):
        await cache.find(DOMAIN, number.to_bytes(32))
    lookups.count = 0
    await cache.find(DOMAIN, (1).to_bytes(32))
    assert lookups.count == 0
    await cache.find(DOMAIN, (0).to_bytes(32))  # the longest unused one was forgotten
    assert lookups.count == 1


@pytest.mark.parametrize("change", ["deactivated", "expired", "other scopes", "lower ceiling"])
async def test_a_change_by_another_process_holds_within_a_second(db: Database, postgres_url: str, change: str) -> None:
    await insert_domain(db, DOMAIN)
    await insert_api_key(db, KEY_ID, DOMAIN, name="n", prefix="p", secret_sha256=SECRET, expires_at=None)
    own, now = await open_database(postgres_url, cipher=make_cipher()), 0.0
    cache = TenantCache(lambda *key: find_tenant(own, *key), clock=lambda: now)
    assert await cache.find(DOMAIN, SECRET) == GRANT
    now = 0.499
    expected: KeyGrant | None = None
    if change == "deactivated":
        await deactivate_api_key(db, DOMAIN, KEY_ID)
    elif change == "expired":
        async with db.acquire() as connection:
            await connection.execute("UPDATE api_keys SET expires_at = now()")
    elif change == "other scopes":
        await update_api_key(db, DOMAIN, KEY_ID, name=None, rights=KeyRights(scopes=[Scope.READ]))
        expected = replace(GRANT, scopes=frozenset({Scope.READ}))
    else:
        ceiling = TrackingPolicy(TrackingMode.OFF, TrackingMode.ANONYMOUS)
        await update_tracking(db, DOMAIN, ceiling)
        expected = replace(GRANT, tenant=Tenant(DOMAIN, ceiling))
    assert await cache.find(DOMAIN, SECRET) == GRANT
    now = 1.0
    assert await cache.find(DOMAIN, SECRET) == expected
    await own.close()
