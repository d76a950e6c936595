"""The keys of tokens: few queries, however many ids are invented."""

from datetime import datetime, timedelta

import anyio

from kannon.components.bump.keys import VerificationKeys
from kannon.errors import Unavailable
from kannon.mail.token import generate_token_key
from tests.components.bump.conftest import Clock, Keys
from tests.support.mail import token_pair


async def test_unknown_ids_of_keys_cost_no_query_each(clock: Clock) -> None:
    keys = Keys()
    known = VerificationKeys(keys.list_keys, clock)
    for number in range(10_000):
        assert await known.find(f"unknown{number}") is None
        assert await known.find(token_pair()[0].kid) is not None
    assert keys.queries == 1
    clock.now += timedelta(seconds=3)
    assert await known.find("unknown1") is None
    assert await known.find("unknown2") is None
    assert keys.queries == 2


async def test_many_unknown_ids_at_once_share_a_query(clock: Clock) -> None:
    """Also one that fails: PostgreSQL is asked once, and each caller learns that it is away."""
    keys = Keys(away=True)
    known = VerificationKeys(keys.list_keys, clock)
    failed: list[str] = []

    async def ask(kid: str) -> None:
        try:
            await known.find(kid)
        except Unavailable as error:
            failed.append(str(error))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(ask, f"unknown{number}")
    assert failed == ["PostgreSQL: not connected"] * 20
    assert keys.queries == 1


async def test_a_key_of_another_process_is_found_soon(clock: Clock) -> None:
    """A token of a key that was made after the keys were loaded."""
    made: dict[str, str] = {}

    async def look_up(_: datetime) -> dict[str, str]:
        return dict(made)

    known = VerificationKeys(look_up, clock)
    key, _ = generate_token_key()
    assert await known.find(key.kid) is None
    made[key.kid] = key.private_pem
    clock.now += timedelta(seconds=3)
    assert await known.find(key.kid) is not None
