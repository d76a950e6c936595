"""Secrets at rest: which master key the database asks for, and the encryption of what it has not encrypted.

In: the URL of a migrated database and a Cipher. Out: an active key that this process has, and no secret under another
one. Each step can be repeated: a process that is killed leaves secrets that are encrypted and others that are not, all
of which can be read, and the next start goes on. Concurrent runs wait for each other (advisory lock).
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog

from kannon.db.cipher import Cipher
from kannon.db.pool import AWAY, COMMAND_SECONDS, CONNECT_SECONDS, describe
from kannon.db.queries import queries
from kannon.errors import ConfigError, Unavailable
from kannon.mail.master_key import SecretDamaged, like_pattern

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

log = structlog.get_logger()

PAGE: Final = 500
_PREVIOUS: Final = "/previous"
"""A former webhook secret stands under its endpoint's place: a rotation moves the text as it is."""
_REPLACE: Final[Mapping[str, Any]] = {
    "dkim_keys": queries.replace_dkim_secrets,
    "stats_keys": queries.replace_stats_secrets,
    "bounce_keys": queries.replace_bounce_secrets,
    "webhook_endpoints": queries.replace_webhook_secrets,
    "certificates": queries.replace_certificate_secrets,
    "acme_accounts": queries.replace_account_secrets,
}


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A master key and how many secrets it encrypts. `id` empty: secrets that are not encrypted."""

    id: str
    active: bool
    created_at: datetime | None
    secrets: int


def place_of_dkim(domain: str, selector: str) -> str:
    return f"dkim_keys/{domain}/{selector}"


def place_of_token_key(kid: str) -> str:
    return f"stats_keys/{kid}"


def place_of_bounce_key(id_: int) -> str:
    return f"bounce_keys/{id_}"


def place_of_webhook(id_: str) -> str:
    return f"webhook_endpoints/{id_}"


def place_of_certificate(name: str) -> str:
    return f"certificates/{name}"


def place_of_account(directory: str) -> str:
    return f"acme_accounts/{directory}"


async def prepare_secrets(url: str, cipher: Cipher, generate: Callable[[], object] | None = None) -> int:
    """Activates the database's key in `cipher` and encrypts what is not. Returns how many secrets it encrypted.

    `generate` makes a key, for a database that has none yet; then `cipher` loads it. Raises ConfigError where this node
    lacks the key, Unavailable.
    """
    async with _locked(url) as connection:
        keys = cipher.load()
        active: str | None = await queries.find_active_master_key(connection)
        if active is None:
            if not keys and generate is not None:
                generate()
                keys = cipher.load()
            if not keys:
                raise ConfigError(MISSING)
            await _activate(connection, keys[0])
            active = keys[0]
        check_keys(active, keys)
        cipher.activate(active)
        return await _encrypt(connection, cipher)


async def rotate_secrets(url: str, cipher: Cipher, key: str) -> int:
    """Makes `key`, which `cipher` has loaded, the active one, and encrypts all secrets with it. Returns how many."""
    async with _locked(url) as connection:
        await _activate(connection, key)
        cipher.activate(key)
        return await _encrypt(connection, cipher)


MISSING: Final = (
    "master_key: needed with postgres.url, by every node: kannon secrets generate prints one; give it in master_key, "
    "master_key_file, KANNON_MASTER_KEY or the systemd credential master_key"
)


def check_keys(active: str, keys: Sequence[str]) -> None:
    """Raises ConfigError where the database's key is not among those of this node."""
    if active not in keys:
        have = f"this node has {', '.join(keys)}" if keys else "this node has none"
        raise ConfigError(
            f"master_key: the database's secrets are encrypted with master key {active}, and {have}: give it the "
            "key of the other nodes (master_key, master_key_file or data_dir/master_key)"
        )


async def find_active_key(url: str) -> str | None:
    """None: no secret is encrypted yet, or the schema is older. Raises Unavailable."""
    async with _connected(url) as connection:
        try:
            active: str | None = await queries.find_active_master_key(connection)
        except asyncpg.UndefinedTableError:
            return None
        return active


async def list_key_uses(url: str) -> list[KeyUse]:
    """The active key first, former ones that still encrypt something after it. Raises Unavailable."""
    async with _connected(url) as connection:
        counts = {row["key"]: row["count"] async for row in queries.count_secrets_by_key(connection)}
        keys = {row["id"]: row async for row in queries.list_master_keys(connection)}
    ids = sorted({*keys, *counts}, key=lambda id_: (id_ not in keys or not keys[id_]["active"], id_))
    return [
        KeyUse(
            id_,
            id_ in keys and keys[id_]["active"],
            keys[id_]["created_at"] if id_ in keys else None,
            counts.get(id_, 0),
        )
        for id_ in ids
        if counts.get(id_) or (id_ in keys and keys[id_]["active"])
    ]


async def _activate(connection: "Connection", key: str) -> None:
    async with connection.transaction():
        await queries.deactivate_master_keys(connection)
        await queries.activate_master_key(connection, id=key)


async def _encrypt(connection: "Connection", cipher: Cipher) -> int:
    """Pages by place; a secret that cannot be read stays as it is, and the log says which."""
    pattern, after, count = like_pattern(cipher.active), "", 0
    while True:
        page = [
            (row["place"], row["stored"])
            async for row in queries.list_secrets_of_other_keys(connection, active=pattern, after=after, page=PAGE)
        ]
        if not page:
            return count
        after = page[-1][0]
        fresh: dict[Any, list[tuple[str, str, str]]] = {}
        for place, stored in page:
            bound = place.removesuffix(_PREVIOUS)
            try:
                secret = cipher.decrypt(stored, bound)
            except (SecretDamaged, Unavailable) as error:
                log.error("a secret cannot be decrypted", place=place, problem=str(error))
                continue
            replace = _REPLACE[place.partition("/")[0]]
            if bound != place:
                replace = queries.replace_previous_webhook_secrets
            fresh.setdefault(replace, []).append((place, stored, cipher.encrypt(secret, bound)))
        async with connection.transaction():
            for replace, rows in fresh.items():
                places, old, new = (list(column) for column in zip(*rows, strict=True))
                await replace(connection, places=places, stored=old, fresh=new)
                count += len(rows)


@asynccontextmanager
async def _locked(url: str) -> "AsyncIterator[Connection]":
    async with _connected(url) as connection:
        await queries.lock_secrets(connection)
        yield connection


@asynccontextmanager
async def _connected(url: str) -> "AsyncIterator[Connection]":
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS)
        try:
            yield connection
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
    except AWAY as error:
        raise Unavailable(f"PostgreSQL: {describe(error)}") from error
