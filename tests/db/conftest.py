"""A connection to a migrated database, for tests that only read the catalogue."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.servers import TEMPLATE, database_url


@pytest.fixture
async def migrated(postgres_server: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url(postgres_server, TEMPLATE))
    yield connection
    await connection.close()
