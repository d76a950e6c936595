"""Secrets at rest: a dump of the database holds none in clear text, and old databases are converted."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import anyio
import asyncpg
import pytest
from structlog.testing import capture_logs

from kannon.db import secrets as db_secrets
from kannon.db.cipher import Cipher
from kannon.db.dkim_keys import insert_dkim_key, list_active_dkim_keys
from kannon.db.domains import insert_domain
from kannon.db.keys import NewStatsKey, bounce_secrets, current_stats_key
from kannon.db.migrate import known_migrations, migrate
from kannon.db.pool import Database, open_database
from kannon.db.secrets import find_active_key, list_key_uses, prepare_secrets, rotate_secrets
from kannon.db.webhooks import find_endpoint, insert_endpoint, rotate_secret
from kannon.errors import ConfigError, Unavailable
from kannon.mail.master_key import is_encrypted, parse_master_keys
from kannon.mail.webhook import Endpoint
from tests.support.cipher import MASTER_KEY, make_cipher

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OTHER_KEY = "99" * 32
COLUMNS = (
    "SELECT private_pem FROM dkim_keys WHERE private_pem <> ''",
    "SELECT private_pem FROM stats_keys",
    "SELECT secret FROM bounce_keys",
    "SELECT secret FROM webhook_endpoints",
    "SELECT previous_secret FROM webhook_endpoints WHERE previous_secret <> ''",
)


def cipher_of(keys: str) -> Cipher:
    parsed = parse_master_keys(keys)
    return Cipher(lambda: parsed)


def id_of(key: str) -> str:
    return parse_master_keys(key)[0].id


async def stored(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for statement in COLUMNS for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def fill(db: Database, count: int = 1) -> None:
    """A secret of each kind, and a webhook's former one."""
    for number in range(count):
        assert await insert_domain(db, f"{number}.example", selector="k", private_pem=f"rsa {number}", public_key="p")
    await insert_dkim_key(db, "0.example", algorithm="ed25519-sha256", private_pem="ed 0", public_key="p")
    await stats_key(db)
    await bounce_secrets(db, generate=lambda size: b"b" * size)
    await insert_endpoint(db, Endpoint("wh_1", "0.example", "https://hook.example", "whsec_old"))
    await rotate_secret(db, "wh_1", "whsec_new")


async def stats_key(db: Database) -> str:
    new = NewStatsKey("kid", "token key", "public")
    found = await current_stats_key(
        db, now=NOW, sign_for=timedelta(days=30), token_ttl=timedelta(days=90), generate=lambda: new
    )
    return found.private_pem


async def check_readable(db: Database, count: int = 1) -> None:
    found = await list_active_dkim_keys(db, [f"{number}.example" for number in range(count)])
    assert [keys[0].private_pem for keys in found.values()] == [f"rsa {number}" for number in range(count)]
    assert await stats_key(db) == "token key"
    assert await bounce_secrets(db, generate=bytes) == [b"b" * 32]
    endpoint = await find_endpoint(db, "wh_1")
    assert endpoint is not None
    assert (endpoint[0].secret, endpoint[0].previous_secret) == ("whsec_new", "whsec_old")


async def to_clear_text(db: Database) -> None:
    """As an older version has stored them, after the migration."""
    async with db.acquire() as connection:
        await connection.execute("""
            UPDATE dkim_keys SET private_pem = 'rsa ' || split_part(domain, '.', 1) WHERE active;
            UPDATE dkim_keys SET private_pem = 'ed 0' WHERE NOT active;
            UPDATE stats_keys SET private_pem = 'token key';
            UPDATE bounce_keys SET secret = encode(convert_to(repeat('b', 32), 'UTF8'), 'base64');
            UPDATE webhook_endpoints SET secret = 'whsec_new', previous_secret = 'whsec_old';
            DELETE FROM master_keys;
        """)


async def test_nothing_is_stored_in_clear_text_and_all_is_read_back(db: Database, postgres_url: str) -> None:
    await fill(db)
    found = await stored(postgres_url)
    assert len(found) == 6
    assert all(is_encrypted(each) for each in found)
    await check_readable(db)


async def test_without_a_master_key_nothing_is_stored_or_read(db: Database, postgres_url: str) -> None:
    await fill(db)
    keyless = await open_database(postgres_url)
    try:
        for call in (
            lambda: insert_domain(keyless, "x.example", selector="k", private_pem="p", public_key="p"),
            lambda: list_active_dkim_keys(keyless, ["0.example"]),
            lambda: stats_key(keyless),
            lambda: bounce_secrets(keyless, generate=bytes),
            lambda: find_endpoint(keyless, "wh_1"),
        ):
            asked: Callable[[], Awaitable[object]] = call
            with pytest.raises(Unavailable, match=r"master key"):
                await asked()
    finally:
        await keyless.close()


async def test_an_old_database_is_converted_by_many_nodes_at_once(
    db: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db_secrets, "PAGE", 3)
    await fill(db, 20)
    await to_clear_text(db)
    await check_readable(db, 20)  # before the conversion too
    counts: list[int] = []

    async def start() -> None:
        counts.append(await prepare_secrets(postgres_url, cipher_of(MASTER_KEY)))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(start)
    assert sorted(counts) == [0, 0, 0, 25]
    assert all(is_encrypted(each) for each in await stored(postgres_url))
    await check_readable(db, 20)
    assert [(use.id, use.active, use.secrets) for use in await list_key_uses(postgres_url)] == [
        (id_of(MASTER_KEY), True, 25)
    ]


async def test_a_conversion_that_is_killed_is_completed_by_the_next_start(
    db: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies at each page in turn; what is half done can be read, and the next start goes on."""
    monkeypatch.setattr(db_secrets, "PAGE", 2)
    await fill(db, 6)
    await to_clear_text(db)
    begun = 0

    class Dying(Cipher):
        left = 3

        def encrypt(self, secret: str, place: str) -> str:
            self.left -= 1
            if self.left < 0:
                raise asyncio.CancelledError
            return super().encrypt(secret, place)

    while True:
        keys = parse_master_keys(MASTER_KEY)
        try:
            await prepare_secrets(postgres_url, Dying(lambda keys=keys: keys))  # type: ignore[misc]
            break
        except asyncio.CancelledError:
            begun += 1
            await check_readable(db, 6)
            assert begun < 20
    assert begun >= 3
    assert all(is_encrypted(each) for each in await stored(postgres_url))
    await check_readable(db, 6)


async def test_the_migration_of_an_old_database_keeps_its_bounce_secrets(empty_postgres_url: str) -> None:
    """The schema before the master keys, with the secrets as that version wrote them."""
    connection = await asyncpg.connect(empty_postgres_url)
    await connection.execute(
        "CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text, applied_at"
        " timestamptz NOT NULL DEFAULT now())"
    )
    number = next(each.version for each in known_migrations() if "master_keys" in each.name)
    for migration in known_migrations()[: number - 1]:
        await connection.execute(migration.sql)
        await connection.execute("INSERT INTO schema_migrations VALUES ($1, $2)", migration.version, migration.name)
    old = bytes(range(32))
    await connection.execute("INSERT INTO bounce_keys (secret) VALUES ($1), ($2)", b"x" * 32, old)
    await connection.close()
    await migrate(empty_postgres_url)
    assert await find_active_key(empty_postgres_url) is None
    assert await prepare_secrets(empty_postgres_url, cipher_of(MASTER_KEY)) == 2
    db = await open_database(empty_postgres_url, cipher=make_cipher())
    try:
        assert await bounce_secrets(db, generate=bytes) == [old, b"x" * 32]
    finally:
        await db.close()


async def test_a_wrong_and_a_missing_key_are_refused_and_change_nothing(db: Database, postgres_url: str) -> None:
    await fill(db)
    await prepare_secrets(postgres_url, make_cipher())
    before = await stored(postgres_url)
    generated: list[int] = []
    with pytest.raises(ConfigError, match=rf"master key {id_of(MASTER_KEY)}, and this node has {id_of(OTHER_KEY)}"):
        await prepare_secrets(postgres_url, cipher_of(OTHER_KEY), lambda: generated.append(1))
    with pytest.raises(ConfigError, match=rf"master key {id_of(MASTER_KEY)}, and this node has none"):
        await prepare_secrets(postgres_url, cipher_of(""), lambda: generated.append(1))
    assert generated == []
    assert await stored(postgres_url) == before


async def test_an_empty_database_takes_the_first_node_s_key(postgres_url: str) -> None:
    """Though nothing is encrypted yet, a node with another key is refused."""
    with pytest.raises(ConfigError, match="kannon secrets generate"):
        await prepare_secrets(postgres_url, cipher_of(""))
    keys: list[str] = []
    cipher = Cipher(lambda: parse_master_keys(" ".join(keys)))
    assert await prepare_secrets(postgres_url, cipher, lambda: keys.append(MASTER_KEY)) == 0
    assert await find_active_key(postgres_url) == id_of(MASTER_KEY)
    with pytest.raises(ConfigError):
        await prepare_secrets(postgres_url, cipher_of(OTHER_KEY))


async def test_a_rotation_while_a_node_runs(db: Database, postgres_url: str) -> None:
    """The node finds the new key in its file when it meets a secret of it, and what it still encrypts with the former
    one is read, and converted by the next start."""
    file = [MASTER_KEY]
    running = Cipher(lambda: parse_master_keys(" ".join(file)))
    await prepare_secrets(postgres_url, running)
    node = await open_database(postgres_url, cipher=running)
    try:
        await fill(node)
        file.insert(0, OTHER_KEY)
        rotating = Cipher(lambda: parse_master_keys(" ".join(file)))
        rotating.load()
        assert await rotate_secrets(postgres_url, rotating, id_of(OTHER_KEY)) == 6
        await check_readable(node)
        await insert_domain(node, "late.example", selector="k", private_pem="late", public_key="p")
        assert {use.id: use.secrets for use in await list_key_uses(postgres_url)} == {
            id_of(OTHER_KEY): 6,
            id_of(MASTER_KEY): 1,
        }
        # The order of the keys in the configuration does not matter: the database says which one is active.
        assert await prepare_secrets(postgres_url, cipher_of(f"{MASTER_KEY} {OTHER_KEY}")) == 1
        assert [use.id for use in await list_key_uses(postgres_url)] == [id_of(OTHER_KEY)]
    finally:
        await node.close()
    only_new = await open_database(postgres_url, cipher=make_cipher(OTHER_KEY))
    try:
        await check_readable(only_new)
    finally:
        await only_new.close()


async def test_a_damaged_or_swapped_secret_affects_its_owner_alone(db: Database, postgres_url: str) -> None:
    await fill(db, 3)
    async with db.acquire() as connection:
        taken = await connection.fetchval("SELECT private_pem FROM dkim_keys WHERE domain = '1.example'")
        await connection.execute("UPDATE dkim_keys SET private_pem = $1 WHERE domain = '2.example'", taken)
        await connection.execute("UPDATE stats_keys SET private_pem = left(private_pem, -8)")
        await connection.execute("UPDATE bounce_keys SET secret = left(secret, -8)")
        await connection.execute("UPDATE webhook_endpoints SET secret = left(secret, -8)")
    with capture_logs() as logs:
        found = await list_active_dkim_keys(db, ["1.example", "2.example"])
    assert [len(keys) for keys in found.values()] == [1, 0]
    assert [line["problem"] for line in logs] == ["dkim_keys/2.example/k: damaged, or copied from another row"]
    new = NewStatsKey("kid2", "another", "public")
    key = await current_stats_key(
        db, now=NOW, sign_for=timedelta(days=60), token_ttl=timedelta(days=90), generate=lambda: new
    )
    assert key.private_pem == "another"
    assert await bounce_secrets(db, generate=lambda size: b"n" * size) == [b"n" * 32]
    endpoint = await find_endpoint(db, "wh_1")
    assert endpoint is not None
    assert (endpoint[0].secret, endpoint[0].previous_secret) == ("", "whsec_old")
    with capture_logs() as logs:
        await prepare_secrets(postgres_url, make_cipher())
        await rotate_secrets(postgres_url, cipher := make_cipher(f"{OTHER_KEY},{MASTER_KEY}"), cipher.active)
    assert any("stats_keys/kid:" in line.get("problem", "") for line in logs)
