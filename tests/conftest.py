"""Real servers for every test: one embedded PostgreSQL and one nats-server per session, in a temporary directory.

Out: `postgres_url`, a migrated database of its own for each test; `nats_url`, a JetStream without streams for each.
Only durability is turned down (fsync), by the same parameters that production leaves alone.
"""

import itertools
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from kannon.bus.connection import Bus
from kannon.db.pool import Database, open_database
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from kannon.log import setup_logging
from tests.support.built import build_executable
from tests.support.logs import CurrentStderr
from tests.support.servers import TEMPLATE, create_database, delete_streams, drop_database, make_template
from tests.support.turns import turn

_numbers = itertools.count(1)


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that run alone come last: before, each would have all others wait."""
    items.sort(key=_is_alone)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """With its fixtures: they start servers, which is work for the processor, too."""
    factory: pytest.TempPathFactory = item.config._tmp_path_factory  # type: ignore[attr-defined]  # no other way here
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with turn(folder, alone=_is_alone(item)):
        return (yield)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _logging() -> None:
    """The program's own logging, at debug, shown with a test that fails."""
    setup_logging("debug", stream=CurrentStderr())


@pytest.fixture(scope="session")
def executable() -> Path:
    """dist/kannon, of these sources."""
    return build_executable()


@pytest.fixture(scope="session")
def server_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with DataDir.open(tmp_path_factory.mktemp("servers")) as data_dir:
        yield data_dir.path


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread of its own, so that what lasts as long as the session holds no test's loop."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="session")
def postgres_server(server_dir: Path, portal: BlockingPortal) -> Iterator[str]:
    """The URL of the session's server; its database `migrated` is the template of all others."""
    server = EmbeddedPostgres(server_dir, durable=False, max_connections=200)
    portal.call(server.start)
    try:
        portal.call(make_template, server.url)
        yield server.url
    finally:
        portal.call(server.stop)


@pytest.fixture(scope="session")
def nats_server(server_dir: Path, portal: BlockingPortal) -> Iterator[str]:
    """The URL of the session's server, for tests that look after their streams themselves."""
    server = EmbeddedNats(server_dir, sync_interval="1h")
    portal.call(server.start)
    try:
        yield server.url
    finally:
        portal.call(server.stop)
        server.close()


@pytest.fixture
async def postgres_url(postgres_server: str) -> AsyncIterator[str]:
    name = f"test_{next(_numbers)}"
    url = await create_database(postgres_server, name, template=TEMPLATE)
    yield url
    await drop_database(postgres_server, name)


@pytest.fixture
async def empty_postgres_url(postgres_server: str) -> AsyncIterator[str]:
    """A database without a schema."""
    name = f"test_{next(_numbers)}"
    url = await create_database(postgres_server, name, template="template0")
    yield url
    await drop_database(postgres_server, name)


@pytest.fixture
async def nats_url(nats_server: str) -> str:
    await delete_streams(nats_server)
    return nats_server


@pytest.fixture
async def db(postgres_url: str) -> AsyncIterator[Database]:
    """The test's database, opened."""
    database = await open_database(postgres_url)
    yield database
    await database.close()


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """The test's bus, with streams and consumers made."""
    bus = Bus(nats_url)
    await bus.ready()
    yield bus
    await bus.close()
