"""The server's own keys are made once and rotated."""

import os
from datetime import UTC, datetime, timedelta

import anyio

from kannon.db.keys import NewStatsKey, bounce_secrets, current_stats_key, list_verification_keys
from kannon.db.pool import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)


async def test_a_signing_key_is_used_until_its_time_is_over_and_verifies_longer(db: Database) -> None:
    made = iter(NewStatsKey(f"k{n}", f"private {n}", f"public {n}") for n in range(1, 9))

    async def current(now: datetime) -> str:
        key = await current_stats_key(db, now=now, sign_for=MONTH, token_ttl=3 * MONTH, generate=lambda: next(made))
        return key.kid

    assert [await current(NOW), await current(NOW + MONTH / 2), await current(NOW + MONTH)] == ["k1", "k1", "k2"]
    both = {"k1": "private 1", "k2": "private 2"}
    assert await list_verification_keys(db, NOW + 4 * MONTH - timedelta(seconds=1)) == both
    assert await list_verification_keys(db, NOW + 4 * MONTH) == {"k2": "private 2"}


async def test_bounce_secrets_are_made_once_even_by_many_at_once(db: Database) -> None:
    found: list[list[bytes]] = []

    async def ask() -> None:
        found.append(await bounce_secrets(db, generate=os.urandom))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
    assert len({tuple(secrets) for secrets in found}) == 1
    assert len(found[0][0]) == 32
