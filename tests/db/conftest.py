"""One connection to a migrated database, for tests that only read the catalogue."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.servers import TEMPLATE, create_database, drop_database


@pytest.fixture(scope="session")
async def migrated(postgres_server: str) -> AsyncIterator[asyncpg.Connection]:
    url = await create_database(postgres_server, "catalogue", template=TEMPLATE)
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()
    await drop_database(postgres_server, "catalogue")
