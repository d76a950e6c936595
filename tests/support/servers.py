"""The fixtures of tests/conftest.py use these functions on the session's PostgreSQL and NATS."""

import asyncpg
import nats
from nats.js import JetStreamContext

from kannon.db.migrate import migrate

TEMPLATE = "migrated"


def database_url(server_url: str, name: str) -> str:
    """The same server, another database."""
    return server_url.replace("@/kannon?", f"@/{name}?")


async def make_template(server_url: str) -> None:
    url = await create_database(server_url, TEMPLATE, template="template0")
    await migrate(url)


async def create_database(server_url: str, name: str, template: str) -> str:
    # FILE_COPY needs no WAL; for a small template without fsync it is the faster of the two.
    await _execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return database_url(server_url, name)


async def drop_database(server_url: str, name: str) -> None:
    await _execute(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def delete_streams(url: str) -> None:
    client = await nats.connect(url)
    try:
        jetstream: JetStreamContext = client.jetstream()
        for stream in await jetstream.streams_info():
            await jetstream.delete_stream(str(stream.config.name))
    finally:
        await client.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
