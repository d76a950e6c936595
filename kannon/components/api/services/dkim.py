"""kannon.admin.v1.Dkim: lists, creates, activates, retires and deletes the DKIM keys of a domain.

In: requests of the administrator; for an activation also the TXT records that the server's name servers answer with.
Out: the changed keys, never a private one. Each change is logged with its caller, and whether it was forced.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import anyio.to_thread
import structlog

from kannon.components.api.callers import Admin
from kannon.components.api.services.arguments import domain_name, found, plain_text
from kannon.db import dkim_keys, domains
from kannon.db.pool import Database
from kannon.errors import FailedPrecondition, InvalidArgument, Unavailable
from kannon.mail.build.dkim import generate_dkim_key
from kannon.mail.dns.dkim_keys import KeyState, RegisteredKey, check_published, check_transition
from kannon.pb.admin.v1 import dkim_pb2 as pb
from kannon.wire.dkim import from_algorithm, to_dkim_key

_MAX_SELECTOR = 63  # RFC 1035 §2.3.4: a label
Notify = Callable[[], Awaitable[None]]
TxtLookup = Callable[[str], Awaitable[Sequence[str]]]
"""A name → its TXT records, the strings of each joined. Raises Unavailable."""
log = structlog.get_logger(__name__)


class DkimMethods:
    """`window` is the retry window: a retired key stays published that long. `notify` notifies the dispatchers when
    other keys sign; a dispatcher that gets no notification reads the keys again within a minute."""

    def __init__(self, db: Database, look_up: TxtLookup, window: timedelta, notify: Notify) -> None:
        self._db = db
        self._notify = notify
        self._look_up = look_up
        self._window = window

    async def ListDkimKeys(self, caller: Admin, request: pb.ListDkimKeysRequest) -> pb.ListDkimKeysResponse:
        domain = await self._domain(request.domain)
        keys = await dkim_keys.list_dkim_keys(self._db, domain)
        return pb.ListDkimKeysResponse(keys=[self._message(key) for key in keys])

    async def CreateDkimKey(self, caller: Admin, request: pb.CreateDkimKeyRequest) -> pb.CreateDkimKeyResponse:
        algorithm = from_algorithm(request.algorithm)
        domain = await self._domain(request.domain)
        private_pem, public_key = await anyio.to_thread.run_sync(generate_dkim_key, algorithm)
        key = await dkim_keys.insert_dkim_key(
            self._db, domain, algorithm=algorithm, private_pem=private_pem, public_key=public_key
        )
        key = found(key, _no_domain(domain))
        log.info("DKIM key created", domain=domain, selector=key.selector, by=caller.attribution)
        return pb.CreateDkimKeyResponse(key=self._message(key))

    async def ActivateDkimKey(self, caller: Admin, request: pb.ActivateDkimKeyRequest) -> pb.ActivateDkimKeyResponse:
        key = await self._find(request.domain, request.selector)
        if key.state is not KeyState.ACTIVE:
            # The look-up comes before the lock, because name servers may take seconds. activate_dkim_key checks the
            # state again under the lock.
            check_transition(key, KeyState.ACTIVE)
            if not request.force:
                check_published(key, await self._published(key))
            activated = await dkim_keys.activate_dkim_key(self._db, key.domain, key.selector)
            key = found(activated, _no_domain(key.domain))
            self._log("DKIM key activated", key, caller, force=request.force)
            await self._notify()
        return pb.ActivateDkimKeyResponse(key=self._message(key))

    async def RetireDkimKey(self, caller: Admin, request: pb.RetireDkimKeyRequest) -> pb.RetireDkimKeyResponse:
        key = await self._find(request.domain, request.selector)
        if key.state is not KeyState.RETIRED:
            retired = await dkim_keys.retire_dkim_key(self._db, key.domain, key.selector)
            key = found(retired, _no_domain(key.domain))
            self._log("DKIM key retired", key, caller)
            await self._notify()
        return pb.RetireDkimKeyResponse(key=self._message(key))

    async def DeleteDkimKey(self, caller: Admin, request: pb.DeleteDkimKeyRequest) -> pb.DeleteDkimKeyResponse:
        key = await self._find(request.domain, request.selector)
        deleted = await dkim_keys.delete_dkim_key(
            self._db, key.domain, key.selector, now=datetime.now(UTC), window=self._window, force=request.force
        )
        key = found(deleted, _no_domain(key.domain))
        self._log("DKIM key deleted", key, caller, force=request.force)
        return pb.DeleteDkimKeyResponse(key=self._message(key))

    async def _published(self, key: RegisteredKey) -> Sequence[str]:
        try:
            return await self._look_up(key.record.name)
        except Unavailable as error:
            # Not UNAVAILABLE, whose text is fixed: the operator must see that the DNS does not answer.
            raise FailedPrecondition(str(error)) from None

    async def _domain(self, text: str) -> str:
        domain = domain_name(text)
        found(await domains.find_domain(self._db, domain), _no_domain(domain))
        return domain

    async def _find(self, domain: str, selector: str) -> RegisteredKey:
        domain = await self._domain(domain)
        if not selector:
            raise InvalidArgument("selector", "must not be empty")
        plain_text(selector, "selector", longest=_MAX_SELECTOR)
        keys = {key.selector: key for key in await dkim_keys.list_dkim_keys(self._db, domain)}
        return found(keys.get(selector), f'selector: no DKIM key "{selector}" of domain "{domain}"')

    def _message(self, key: RegisteredKey) -> pb.DkimKey:
        return to_dkim_key(key, datetime.now(UTC), self._window)

    def _log(self, event: str, key: RegisteredKey, caller: Admin, **more: bool) -> None:
        log.info(event, domain=key.domain, selector=key.selector, by=caller.attribution, **more)


def _no_domain(domain: str) -> str:
    return f'domain: no domain "{domain}"'
