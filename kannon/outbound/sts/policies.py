"""The MTA-STS policy of each domain: in memory, in a store that all senders share, or fetched anew (RFC 8461 §5.1).

In: a domain. Out: a `Found`. A policy stays in force until its max_age ends, whatever happens to the record or to the
policy host meanwhile; a new id in the DNS has it fetched at once. A policy is fetched again once a day, so that it does
not end while an attacker cuts this machine off from its policy host.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import anyio
import structlog

from kannon.errors import Unavailable
from kannon.mail.mta_sts import StsPolicy, parse_record
from kannon.mail.stored_policy import StoredPolicy, decode_policy
from kannon.mail.tls_report import ResultType
from kannon.outbound.route.resolver import Resolver, Spawn, Status
from kannon.outbound.sts.fetch import Fetcher, FetchFailed

log = structlog.get_logger()

RECORD_SECONDS = 5.0  # then the mail does not wait any longer for _mta-sts
REFRESH_SECONDS = 86_400.0  # RFC 8461 §10.2: once a day
RETRY_SECONDS = 300.0  # RFC 8461 §3.3: a failed fetch is not repeated for five minutes
USED_SECONDS = 30 * 86_400.0  # a policy without mail for that long is no longer refreshed
MAX_KNOWN = 50_000


class PolicyStore(Protocol):
    """Shared by all senders. Every method may raise Unavailable."""

    async def get_policy(self, domain: str) -> bytes | None: ...
    async def put_policy(self, domain: str, value: bytes) -> None: ...
    async def list_policies(self) -> list[str]: ...


class MemoryStore:
    """Of one process, for a sender without a bus."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def get_policy(self, domain: str) -> bytes | None:
        return self._values.get(domain)

    async def put_policy(self, domain: str, value: bytes) -> None:
        self._values[domain] = value

    async def list_policies(self) -> list[str]:
        return list(self._values)


@dataclass(frozen=True, slots=True)
class Found:
    """`policy` None: none is in force. `problem`: why none could be applied, or why the cached one was. `expires` is on
    the monotonic clock: ask again then."""

    policy: StsPolicy | None
    expires: float
    problem: FetchFailed | None = None


class Policies:
    def __init__(
        self,
        resolver: Resolver,
        fetcher: Fetcher,
        store: PolicyStore,
        spawn: Spawn,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._resolver = resolver
        self._fetcher = fetcher
        self._store = store
        self._spawn = spawn
        self._clock = clock
        self._known: dict[str, StoredPolicy] = {}
        self._failed: dict[str, tuple[float, FetchFailed]] = {}
        self._pending: dict[str, asyncio.Future[FetchFailed | None]] = {}

    def prepare(self, domain: str) -> None:
        """Starts the query of the look-up that follows."""
        self._resolver.prepare(f"_mta-sts.{domain}", "TXT")

    async def find(self, domain: str) -> Found:
        """Raises Unavailable, without the store."""
        policy_id, expires = await self._policy_id(domain)
        cached = await self._cached(domain)
        problem: FetchFailed | None = None
        if policy_id and (cached is None or cached.id != policy_id):
            problem = await self._fetch(domain, policy_id)
            cached = await self._cached(domain)
        if cached is None:
            return Found(None, min(expires, time.monotonic() + RETRY_SECONDS) if problem else expires, problem)
        now = self._clock()
        if now - cached.used_at > REFRESH_SECONDS:
            cached = await self._keep(domain, replace(cached, used_at=now))
        if self._is_stale(cached, now) and domain not in self._pending:
            self._spawn(self._refresh(domain, policy_id or cached.id))
        if problem is not None:
            expires = min(expires, time.monotonic() + RETRY_SECONDS)
        return Found(cached.policy, min(expires, time.monotonic() + cached.expires_at - now), problem)

    async def refresh_all(self) -> None:
        """Those of the store that get old. Another sender may have done it: its fetch is then the newest."""
        for domain in await self._store.list_policies():
            self._known.pop(domain, None)
            cached = await self._cached(domain)
            now = self._clock()
            if cached is not None and self._is_stale(cached, now) and now - cached.used_at < USED_SECONDS:
                record, _ = await self._policy_id(domain)
                await self._fetch(domain, record or cached.id)

    def _is_stale(self, cached: StoredPolicy, now: float) -> bool:
        return now - cached.fetched_at > min(REFRESH_SECONDS, cached.policy.max_age / 2)

    async def _policy_id(self, domain: str) -> tuple[str, float]:
        """Empty where the domain has none or the look-up fails, which leaves a cached policy in force."""
        with anyio.move_on_after(RECORD_SECONDS):
            answer = await self._resolver.lookup(f"_mta-sts.{domain}", "TXT")
            found = parse_record(text for _, text in answer.records)
            if answer.status is Status.FAILED:
                return "", time.monotonic() + RETRY_SECONDS
            return found, answer.expires
        return "", time.monotonic() + RETRY_SECONDS

    async def _cached(self, domain: str) -> StoredPolicy | None:
        """From memory or the store, unless it has expired."""
        known = self._known.get(domain)
        if known is None or known.expires_at <= self._clock():
            known = await self._stored(domain)
        return known if known is not None and known.expires_at > self._clock() else None

    async def _stored(self, domain: str) -> StoredPolicy | None:
        value = await self._store.get_policy(domain)
        stored = decode_policy(value) if value else None
        if stored is not None:
            self._remember(domain, stored)
        return stored

    def _remember(self, domain: str, policy: StoredPolicy) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()  # the store still has them
        self._known[domain] = policy

    async def _keep(self, domain: str, policy: StoredPolicy) -> StoredPolicy:
        await self._store.put_policy(domain, policy.encode())
        self._remember(domain, policy)
        return policy

    async def _refresh(self, domain: str, policy_id: str) -> None:
        await self._fetch(domain, policy_id)

    async def _fetch(self, domain: str, policy_id: str) -> FetchFailed | None:
        """Callers with the same domain share one fetch, and a failure for a while."""
        failed = self._failed.get(domain)
        if failed is not None and failed[0] > time.monotonic():
            return failed[1]
        pending = self._pending.get(domain)
        if pending is None:
            pending = self._pending[domain] = asyncio.get_running_loop().create_future()
            self._spawn(self._run_fetch(domain, policy_id, pending))
        return await asyncio.shield(pending)

    async def _run_fetch(self, domain: str, policy_id: str, pending: "asyncio.Future[FetchFailed | None]") -> None:
        outcome: FetchFailed | None = FetchFailed("the fetch was interrupted", ResultType.FETCH_ERROR)
        try:
            outcome = await self._fetch_once(domain, policy_id)
        except Unavailable as error:
            outcome = FetchFailed(str(error), ResultType.FETCH_ERROR)
        finally:
            del self._pending[domain]
            if not pending.done():
                pending.set_result(outcome)

    async def _fetch_once(self, domain: str, policy_id: str) -> FetchFailed | None:
        shared = await self._stored(domain)
        if shared is not None and shared.id == policy_id and not self._is_stale(shared, self._clock()):
            return None  # another sender has fetched it
        try:
            policy = await self._fetcher.fetch(domain)
        except FetchFailed as error:
            log.info("cannot fetch an MTA-STS policy", domain=domain, why=str(error), result=error.result.value)
            if len(self._failed) >= MAX_KNOWN:
                self._failed.clear()
            self._failed[domain] = time.monotonic() + RETRY_SECONDS, error
            return error
        self._failed.pop(domain, None)
        log.debug("MTA-STS policy fetched", domain=domain, mode=policy.mode.value, max_age=policy.max_age)
        now = self._clock()
        await self._keep(domain, StoredPolicy(policy_id, policy, now, shared.used_at if shared else now))
        return None
