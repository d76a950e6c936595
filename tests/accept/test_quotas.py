"""Quotas of keys and domains, counted by two processes on one database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from kannon.accept.limiter import SendLimiter
from kannon.accept.quotas import Quotas
from kannon.accept.service import AcceptService
from kannon.db.pool import Database
from kannon.errors import CallerError, QuotaExceeded
from kannon.mail.batch import Recipient
from kannon.mail.quota import Quota
from kannon.mail.send_request import Limits, Tenant
from kannon.mail.tracking import IDENTIFIED
from tests.accept.test_service import JsonCodec
from tests.support.api import NoBus
from tests.support.pool import insert_domain
from tests.support.sends import BOB, send_request

DOMAIN = "example.com"
KEY = Quota("key_1", 0, 10)


@asynccontextmanager
async def counting(db: Database) -> AsyncIterator[Quotas]:
    quotas = Quotas(db)
    async with anyio.create_task_group() as group:
        group.start_soon(quotas.run)
        yield quotas
        group.cancel_scope.cancel()


async def used(db: Database, subject: str = KEY.subject) -> int:
    async with db.acquire() as connection:
        return await connection.fetchval("SELECT used FROM quota_usage WHERE subject = $1", subject) or 0


async def taken(quotas: Quotas, quota: Quota, count: int = 1) -> bool:
    try:
        await quotas.take([quota], count)
    except QuotaExceeded:
        return False
    return True


@pytest.mark.parametrize("per_day", [10, 2000], ids=["no share in advance", "shares in advance"])
async def test_two_processes_together_never_exceed_a_day(db: Database, per_day: int) -> None:
    quota, granted = Quota("key_1", 0, per_day), 0

    async def send(quotas: Quotas) -> None:
        nonlocal granted
        for _ in range(per_day // 10):
            got = await taken(quotas, quota)
            granted += got

    async with counting(db) as one, counting(db) as two:
        async with anyio.create_task_group() as group:
            for quotas in (one, two) * 7:
                group.start_soon(send, quotas)
        await one.return_leases(float("inf"))
        await two.return_leases(float("inf"))
        async with counting(db) as third:  # what was in the leases when the others were refused
            while await taken(third, quota):
                granted += 1
        assert granted == per_day
    assert await used(db) == per_day


async def test_a_lease_saves_the_question_and_what_is_left_comes_back(db: Database) -> None:
    quota = Quota("key_1", 0, 50_000)  # 50 in advance
    async with counting(db) as quotas:
        assert await taken(quotas, quota)
        assert await used(db) == 51
        async with db.acquire() as connection:
            await connection.execute("ALTER TABLE quota_usage RENAME TO away")
            assert [await taken(quotas, quota) for _ in range(50)] == [True] * 50
            await connection.execute("ALTER TABLE away RENAME TO quota_usage")
        assert await taken(quotas, quota, 2)
        await quotas.return_leases(float("inf"))
        assert await used(db) == 53


async def test_both_quotas_count_or_neither(db: Database) -> None:
    of_domain = Quota(DOMAIN, 0, 5)
    async with counting(db) as quotas:
        await quotas.take([KEY, of_domain], 5)
        with pytest.raises(QuotaExceeded, match=r'^the quota of domain "example\.com" is used up: 5 a day \(UTC\)$'):
            await quotas.take([KEY, of_domain], 1)
        await quotas.return_leases(float("inf"))
        assert (await used(db), await used(db, DOMAIN)) == (5, 5)


async def test_a_refusal_says_when_to_come_again(db: Database) -> None:
    async with counting(db) as quotas:
        await quotas.take([Quota("key_1", 2, 0)], 2)
        with pytest.raises(QuotaExceeded) as refused:
            await quotas.take([Quota("key_1", 2, 0)], 1)
        assert refused.value.retry_after == pytest.approx(0.5, abs=0.49)
        with pytest.raises(QuotaExceeded) as refused:
            await quotas.take([KEY], 11)
        assert refused.value.retry_after is None
        assert str(refused.value) == "11 mails are more than the 10 a day of API key key_1"


async def test_a_changed_quota_holds_at_once(db: Database) -> None:
    async with counting(db) as quotas:
        assert await taken(quotas, KEY, 10)
        assert not await taken(quotas, KEY)
        assert await taken(quotas, replace(KEY, per_day=11))
        assert not await taken(quotas, replace(KEY, per_day=5))


async def test_only_mails_that_are_stored_count(db: Database) -> None:
    """N accepted recipients count N; a refused or repeated send, and one that is only validated, count nothing."""
    await insert_domain(db, DOMAIN)
    tenant = Tenant(DOMAIN, IDENTIFIED, quotas=(KEY,))
    service = AcceptService(db, Limits(1 << 20, 1000), NoBus(), JsonCodec(), SendLimiter())
    three = [BOB, Recipient("ann@example.net"), Recipient("eve@example.net")]
    async with anyio.create_task_group() as group:
        group.start_soon(service.run)
        await service.accept(tenant, send_request([*three, BOB, Recipient("")]))
        for _ in range(2):
            await service.accept(tenant, send_request(three, idempotency_key="once"))
        await service.accept(tenant, send_request(three, validate_only=True))
        with pytest.raises(CallerError):
            await service.accept(tenant, send_request(three, subject=""))
        assert await used(db) == 6
        with pytest.raises(QuotaExceeded):
            await service.accept(tenant, send_request(three * 2 + [Recipient(f"r{n}@example.net") for n in range(2)]))
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM sending_pool_emails") == 6
            await connection.execute("ALTER TABLE sending_pool_emails ADD CHECK (email <> 'no@example.net') NOT VALID")
        with pytest.raises(Exception, match="violates check"):
            await service.accept(tenant, send_request([Recipient("no@example.net")]))
        await service.accept(tenant, send_request([Recipient(f"r{n}@example.net") for n in range(4)]))
        with pytest.raises(QuotaExceeded):
            await service.accept(tenant, send_request([BOB]))
        group.cancel_scope.cancel()


async def test_a_send_that_never_fits_is_told_so_after_one_that_must_wait(db: Database) -> None:
    async with counting(db) as quotas:
        assert await taken(quotas, KEY, 10)
        with pytest.raises(QuotaExceeded, match="is used up") as waits:
            await quotas.take([KEY], 1)
        with pytest.raises(QuotaExceeded, match="11 mails are more than the 10 a day") as never:
            await quotas.take([KEY], 11)
    assert waits.value.retry_after is not None
    assert never.value.retry_after is None
