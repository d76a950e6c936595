"""The fixtures that every other test stands on."""

import asyncpg
import nats


async def test_each_test_gets_a_migrated_database(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM schema_migrations") >= 1
        assert await connection.fetchval("SELECT count(*) FROM domains") == 0
        await connection.execute("INSERT INTO domains (domain) VALUES ('example.com')")
    finally:
        await connection.close()


async def test_another_test_does_not_see_its_rows(postgres_url: str) -> None:
    await test_each_test_gets_a_migrated_database(postgres_url)


async def test_an_empty_database_has_no_schema(empty_postgres_url: str) -> None:
    connection = await asyncpg.connect(empty_postgres_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('schema_migrations')") is None
    finally:
        await connection.close()


async def test_each_test_starts_without_streams(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    try:
        jetstream = client.jetstream()
        assert await jetstream.streams_info() == []
        await jetstream.add_stream(name="left_behind", subjects=["left.behind"])
        await jetstream.publish("left.behind", b"x")
    finally:
        await client.close()


async def test_streams_of_an_earlier_test_are_gone(nats_url: str) -> None:
    await test_each_test_starts_without_streams(nats_url)
