"""Real servers for every test: one embedded PostgreSQL and one nats-server per session, in a temporary directory.

Out: `postgres_url`, a migrated database for each test; `nats_url`, a JetStream without streams for each test. Only
durability is off (fsync), by parameters that production leaves at their defaults.
"""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings

from kannon.bus.bus import Bus
from kannon.db.pool import Database, open_database
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from tests.support.built import build_executable
from tests.support.cipher import make_cipher
from tests.support.databases import Databases
from tests.support.effort import set_usual_examples
from tests.support.logs import setup_test_logging
from tests.support.servers import create_database, delete_streams, drop_database, make_template

# No example has a deadline: a busy machine would fail it.
settings.register_profile("kannon", deadline=None)
settings.load_profile("kannon")
_numbers = itertools.count(1)
_TESTS = Path(__file__).parent
# Folders whose tests start whole programs. They run first, so that only short tests are left at the end of a run.
_LONG_FIRST = ("packaging", "e2e", "embedded")


set_usual_examples()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {folder: place for place, folder in enumerate(_LONG_FIRST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(_TESTS).parts[0], len(places)))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _logging() -> None:
    """At debug, shown with a test that fails."""
    setup_test_logging()


@pytest.fixture(scope="session")
def executable() -> Path:
    """dist/kannon, of these sources."""
    return build_executable()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def server_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with DataDir.open(tmp_path_factory.mktemp("servers")) as data_dir:
        yield data_dir.path


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a separate thread, so that session fixtures do not use the loop of a test."""
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
    """The URL of the session's server, for tests that create their streams themselves."""
    server = EmbeddedNats(server_dir, sync_interval="1h")
    portal.call(server.start)
    try:
        yield server.url
    finally:
        portal.call(server.stop)
        server.close()


@pytest.fixture(scope="session")
def databases(postgres_server: str) -> Databases:
    return Databases(postgres_server)


@pytest.fixture
async def postgres_url(databases: Databases) -> AsyncIterator[str]:
    name = await databases.take()
    yield databases.url(name)
    databases.release(name)


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
    database = await open_database(postgres_url, cipher=make_cipher())
    yield database
    await database.close()


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """The test's bus, with streams and consumers made."""
    bus = Bus(nats_url)
    await bus.ready()
    yield bus
    await bus.close()
