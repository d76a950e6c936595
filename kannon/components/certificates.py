"""The certificates component: orders this server's certificates by ACME, renews them, and gives them to the servers.

In: the names that need one always, and those that a handshake has asked for. Out: certificates in PostgreSQL, which
every node reads. A name is ours if it is one of the configuration's or `stats.` of a domain in the database, and if its
record points to where this server's own names point. An order that fails is repeated later and later; the certificate
that is there stays in use.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
import structlog
from anyio import from_thread, to_thread
from anyio.abc import TaskStatus

from kannon.acme.check import AcmeProblem
from kannon.acme.client import AcmeClient, Issued, new_private_key
from kannon.db import certificates, domains
from kannon.db.pool import Database
from kannon.errors import Unavailable
from kannon.server_tls import IssuedCertificates

log = structlog.get_logger()

LOOK_SECONDS: Final = 30.0
"""Between two looks at what other nodes have stored and at what is due."""
ORDER_SECONDS: Final = 300.0
FIRST_RETRY: Final = timedelta(minutes=5)
LONGEST_RETRY: Final = timedelta(days=1)
RATE_LIMITED: Final = timedelta(hours=3)
ASK_RENEWAL: Final = timedelta(hours=6)
NOT_OURS: Final = timedelta(minutes=10)
_MAX_NOT_OURS: Final = 10_000
STATS: Final = "stats."
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

FindAddresses = Callable[[str], Awaitable[Collection[str]]]
"""Of a host name. Raises Unavailable."""
MakeClient = Callable[[str], AcmeClient]
"""Of the account's key."""


@dataclass(frozen=True, slots=True)
class AcmeServer:
    directory: str
    make_client: MakeClient


class Certificates:
    """`names` always have a certificate, and their addresses are this server's."""

    name = "certificates"

    def __init__(
        self,
        db: Database,
        issued: IssuedCertificates,
        server: AcmeServer,
        names: Collection[str],
        find_addresses: FindAddresses,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._issued = issued
        self._server = server
        self._names = list(dict.fromkeys(name for name in names if name))
        self._find_addresses = find_addresses
        self._clock = clock
        self._known: dict[str, certificates.StoredCertificate] = {}
        self._asked: dict[str, datetime] = {}  # when the server was last asked for the time of renewal
        self._not_ours: dict[str, datetime] = {}
        self._read_to = _NEVER
        self._missing = anyio.Event()
        issued.on_missing = self._on_missing

    def expiries(self) -> dict[str, datetime]:
        """By name, as the metrics show them."""
        return {name: found.end for name, found in self._known.items()}

    def _on_missing(self) -> None:
        self._missing.set()

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        async with anyio.create_task_group() as group:
            group.start_soon(self._work)
            await stop.wait()
            group.cancel_scope.cancel()

    async def _work(self) -> None:
        while True:
            self._missing = anyio.Event()
            try:
                await self.look()
            except Unavailable as error:
                log.warning("certificates wait", problem=str(error))
            with anyio.move_on_after(LOOK_SECONDS):
                await self._missing.wait()
                await anyio.sleep(0.1)  # handshakes of the same moment

    async def look(self) -> None:
        """One cycle: reads what is stored, then orders what is missing or due. Raises Unavailable."""
        await self._read()
        wanted = {name for name in (*self._names, *self._issued.missing) if not self._issued.has(name)}
        self._issued.missing.clear()
        wanted = {name for name in wanted if name in self._names or await self._is_ours(name)}
        due = [name for name in self._known if await self._is_due(name)]
        if not wanted and not due:
            return
        async with certificates.ordering(self._db) as first:
            if not first:
                return
            await self._read()  # what another node has ordered meanwhile
            for name in (*sorted(wanted), *due):
                if name in due or not self._issued.has(name):
                    await self._order(name)

    async def _read(self) -> None:
        for found in await certificates.list_certificates(self._db, self._read_to):
            self._read_to = found.issued_at
            if self._known.get(found.name) == found:
                continue
            try:
                self._issued.put(found.name, found.chain, found.private_key)
            except ValueError as error:
                log.error("a stored certificate cannot be used", problem=str(error))
                continue
            self._known[found.name] = found
            self._asked.pop(found.name, None)
            log.info("certificate in use", name=found.name, expires=found.end.isoformat())

    async def _is_ours(self, name: str) -> bool:
        now = self._clock()
        if now < self._not_ours.get(name, _NEVER):
            return False
        ours = name.startswith(STATS) and await domains.find_domain(self._db, name.removeprefix(STATS)) is not None
        if ours and await self._points_here(name):
            return True
        if len(self._not_ours) >= _MAX_NOT_OURS:
            self._not_ours.clear()
        self._not_ours[name] = now + NOT_OURS
        log.info("no certificate is ordered: the name is not ours", name=name, domain_known=ours)
        return False

    async def _points_here(self, name: str) -> bool:
        here = {address for own in self._names for address in await self._find_addresses(own)}
        there = set(await self._find_addresses(name))
        return bool(there) and there <= here

    async def _is_due(self, name: str) -> bool:
        """From two thirds of its life on, or as the server says: it revokes a certificate before its time."""
        found, now = self._known[name], self._clock()
        if name not in self._names and not await self._is_ours(name):
            return False
        if now >= found.renew_at:
            return True
        if now - self._asked.setdefault(name, now) < ASK_RENEWAL:
            return False
        self._asked[name] = now
        try:
            client = await self._client()
            at = await to_thread.run_sync(client.renewal_time, name, found.chain, abandon_on_cancel=True)
        except AcmeProblem as error:
            log.warning("the time of renewal is not known", name=name, problem=str(error))
            return False
        return at is not None and at <= now

    async def _order(self, name: str) -> None:
        state = await certificates.find_order_state(self._db, name)
        now = self._clock()
        if state is not None and now < state.retry_at:
            return
        try:
            issued = await self._ask(name)
        except AcmeProblem as error:
            failures = state.failures if state is not None else 0
            wait = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(failures, 10))
            retry_at = now + (max(wait, RATE_LIMITED) if error.rate_limited else wait)
            await certificates.store_failure(self._db, name, str(error), retry_at)
            log.error("certificate not issued", name=name, problem=str(error), retry_at=retry_at.isoformat())
            return
        await certificates.store_certificate(
            self._db,
            name,
            chain=issued.chain,
            private_key=issued.private_key,
            begin=issued.validity.begin,
            end=issued.validity.end,
        )
        await self._read()

    async def _ask(self, name: str) -> Issued:
        client = await self._client()

        def publish(token: str, answer: str) -> None:
            from_thread.run(certificates.store_challenge, self._db, token, answer)

        try:
            with anyio.fail_after(ORDER_SECONDS):
                return await to_thread.run_sync(client.order, name, publish, abandon_on_cancel=True)
        except TimeoutError:
            raise AcmeProblem(f"{name}: the ACME server took more than {ORDER_SECONDS:.0f} s") from None

    async def _client(self) -> AcmeClient:
        key = await certificates.account_key(self._db, self._server.directory, new_private_key())
        return self._server.make_client(key)
