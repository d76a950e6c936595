"""The inputs of building: batches, templates and keys, loaded for a page at a time.

In: message ids. Out: for each a BuildInput, or the reason why its mails cannot be built. One statement loads all
batches of a page that are not cached, one the DKIM keys of all their domains. Attachments are loaded when a worker
needs them.
"""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from cachetools import TTLCache

from kannon.components.build_worker import TemplateSource
from kannon.db.batches import StoredBatch, find_attachments, find_batches, find_raw_messages
from kannon.db.dkim_keys import list_active_dkim_keys
from kannon.db.keys import NewStatsKey, bounce_secrets, current_stats_key
from kannon.db.pool import Database
from kannon.mail.batch import Batch
from kannon.mail.build.dkim import DkimKey
from kannon.mail.build.template import BuildSettings
from kannon.mail.token import UNSUBSCRIBE_TTL, TokenKey, generate_token_key

CACHE_SECONDS = 60.0  # a changed template takes effect within this time; a changed key too if its notification is lost
CACHE_BYTES = 32 << 20  # of batches with their HTML
MAX_DOMAINS = 10_000  # whose keys are cached
SIGN_FOR = timedelta(days=30)  # for tokens; then a new key signs
OVERHEAD_BYTES = 4096  # of headers and encodings, beside template and attachments


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The configuration's part of building."""

    base_url: str
    autoescape: bool
    token_ttl: timedelta
    bounce_ttl: timedelta


@dataclass(frozen=True, slots=True)
class BuildInput:
    """`batch` is without its attachments, a raw message without its bytes. `key` stands for all that its compiled
    template depends on."""

    batch: Batch
    has_attachments: bool
    settings: BuildSettings
    key: str

    @property
    def is_raw(self) -> bool:
        return self.batch.content.raw is not None


@dataclass(frozen=True, slots=True)
class _CachedBatch:
    """`stored` None: the batch or its template is gone. `digest`: of the content that compiling depends on. `bytes`
    estimates one mail."""

    stored: StoredBatch | None
    digest: str = ""
    bytes: int = OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class _CachedSettings:
    settings: BuildSettings
    digest: str


class BuildInputs:
    """All raise Unavailable."""

    def __init__(self, db: Database, options: BuildOptions, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._options = options
        self._clock = clock
        self._batches: TTLCache[str, _CachedBatch] = TTLCache(CACHE_BYTES, CACHE_SECONDS, getsizeof=_cached_bytes)
        self.forget_keys()

    def forget_keys(self) -> None:
        """After a key has changed. A load that runs at this moment writes its result into the former caches."""
        self._settings: TTLCache[str, _CachedSettings] = TTLCache(MAX_DOMAINS, CACHE_SECONDS)
        self._server_keys: TTLCache[None, tuple[TokenKey, bytes]] = TTLCache(1, CACHE_SECONDS)

    async def estimate_bytes(self, message_ids: Collection[str]) -> dict[str, int]:
        """An estimate of the size of one mail of each batch."""
        loaded, sizes = await self._load_some(message_ids)
        return {message_id: cached.bytes for message_id, cached in loaded.items()} | sizes

    async def load(self, message_ids: Collection[str]) -> dict[str, BuildInput | str]:
        """By message id. A string is the reason why the batch cannot be built."""
        batches = await self._load_batches(message_ids)
        settings = await self._load_settings({b.stored.batch.domain for b in batches.values() if b.stored is not None})
        found: dict[str, BuildInput | str] = {}
        for message_id, cached in batches.items():
            if cached.stored is None:
                found[message_id] = f"batch {message_id} or its template is gone"
            elif (of_domain := settings.get(cached.stored.batch.domain)) is None:
                found[message_id] = f"domain {cached.stored.batch.domain} has no active DKIM key"
            else:
                key = f"{cached.digest} {of_domain.digest}"
                batch, attachment_bytes = cached.stored
                has_attachments = attachment_bytes is not None and batch.content.raw is None
                found[message_id] = BuildInput(batch, has_attachments, of_domain.settings, key)
        return found

    async def sources(self, inputs: Collection[BuildInput]) -> dict[str, TemplateSource | str]:
        """By key, with attachments: for workers that lack these templates. A string is the reason why there is none."""
        by_key = {each.key: each for each in inputs}
        raw_ids = [each.batch.message_id for each in by_key.values() if each.is_raw]
        with_attachments = [each.batch.message_id for each in by_key.values() if each.has_attachments]
        raw = await find_raw_messages(self._db, raw_ids) if raw_ids else {}
        attachments = await find_attachments(self._db, with_attachments) if with_attachments else {}
        sources: dict[str, TemplateSource | str] = {}
        for key, each in by_key.items():
            own = attachments.get(each.batch.message_id, ())
            if each.has_attachments and not own:
                sources[key] = f"the attachments of batch {each.batch.message_id} are gone"
                continue
            content = replace(each.batch.content, global_fields={}, attachments=own, raw=raw.get(each.batch.message_id))
            if each.is_raw and content.raw is None:
                sources[key] = f"batch {each.batch.message_id} is gone"
                continue
            sources[key] = TemplateSource(each.batch.domain, content, each.settings)
        return sources

    async def _load_batches(self, message_ids: Collection[str]) -> dict[str, _CachedBatch]:
        """All of them: the caller has few, or small ones."""
        loaded, sizes = await self._load_some(message_ids)
        while sizes:
            more, sizes = await self._load_some(sizes)
            loaded |= more
        return loaded

    async def _load_some(self, message_ids: Collection[str]) -> tuple[dict[str, _CachedBatch], dict[str, int]]:
        """Those that are cached, and as many others as one statement loads. Of the rest the sizes of a mail."""
        found = {message_id: cached for message_id in message_ids if (cached := self._batches.get(message_id))}
        missing = [message_id for message_id in message_ids if message_id not in found]
        if not missing:
            return found, {}
        loaded, others = await find_batches(self._db, missing)
        for message_id in missing:
            if message_id not in others:
                found[message_id] = self._batches[message_id] = _prepare(loaded.get(message_id))
        return found, {message_id: _mail_bytes(*size) for message_id, size in others.items()}

    async def _load_settings(self, domains: Collection[str]) -> dict[str, _CachedSettings]:
        cache = self._settings
        found = {domain: cached for domain in domains if (cached := cache.get(domain))}
        missing = [domain for domain in domains if domain not in found]
        if missing:
            token_key, bounce_secret = await self._load_server_keys()
            for domain, dkim_keys in (await list_active_dkim_keys(self._db, missing)).items():
                if dkim_keys:
                    settings = self._new_settings(dkim_keys, token_key, bounce_secret)
                    found[domain] = cache[domain] = _CachedSettings(settings, _digest(settings))
        return found

    async def _load_server_keys(self) -> tuple[TokenKey, bytes]:
        cache = self._server_keys
        if (found := cache.get(None)) is None:
            token_key = await current_stats_key(
                self._db,
                now=self._clock(),
                sign_for=SIGN_FOR,
                token_ttl=max(self._options.token_ttl, UNSUBSCRIBE_TTL),
                generate=_new_stats_key,
            )
            bounce_secret = (await bounce_secrets(self._db, generate=secrets.token_bytes))[0]
            found = cache[None] = TokenKey(token_key.kid, token_key.private_pem), bounce_secret
        return found

    def _new_settings(self, dkim_keys: tuple[DkimKey, ...], token_key: TokenKey, bounce_secret: bytes) -> BuildSettings:
        return BuildSettings(
            dkim_keys=dkim_keys,
            token_key=token_key,
            token_ttl=self._options.token_ttl,
            bounce_secret=bounce_secret,
            bounce_ttl=self._options.bounce_ttl,
            base_url=self._options.base_url,
            autoescape=self._options.autoescape,
        )


def _prepare(stored: StoredBatch | None) -> _CachedBatch:
    if stored is None:
        return _CachedBatch(None)
    batch, attachment_bytes = stored
    content = replace(batch.content, global_fields={})
    # Attachments and raw messages never change; batches that have some share no template, so these need not be hashed.
    digest = _digest((batch.domain, content, None if attachment_bytes is None else batch.message_id))
    if content.raw is not None:
        return _CachedBatch(stored, digest, (attachment_bytes or 0) + OVERHEAD_BYTES)
    return _CachedBatch(stored, digest, _mail_bytes(len(content.html) + len(content.text), attachment_bytes))


def _mail_bytes(text_bytes: int, attachment_bytes: int | None) -> int:
    """Attachments are base64; the HTML usually comes twice, once as text."""
    return (attachment_bytes or 0) * 4 // 3 + 2 * text_bytes + OVERHEAD_BYTES


def _cached_bytes(cached: _CachedBatch) -> int:
    content = cached.stored.batch.content if cached.stored is not None else None
    texts = len(content.html) + len(content.text) if content is not None else 0
    return min(CACHE_BYTES, texts + OVERHEAD_BYTES)


def _digest(value: object) -> str:
    """`value` is plain data, whose `repr` tells any two of them apart."""
    return sha256(repr(value).encode()).hexdigest()


def _new_stats_key() -> NewStatsKey:
    key, public_pem = generate_token_key()
    return NewStatsKey(key.kid, key.private_pem, public_pem)
