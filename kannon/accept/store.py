"""What the acceptance of one send asks of the database: on its own connection, or together with concurrent sends.

In: the questions of one send, then its batch. Out: the answers, then the committed batch as a SendResult.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from kannon.accept.coalescer import Coalescer
from kannon.db.batches import NewBatch, insert_batch, insert_batches
from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.suppressions import DomainTag, find_suppressed
from kannon.db.templates import StoredTemplate, find_partials, find_template_bytes
from kannon.mail.send_request import SendResult

if TYPE_CHECKING:
    from datetime import datetime

    from kannon.db.pool import Connection


class Store(Protocol):
    async def template(self, template_id: str, domain: str) -> StoredTemplate | None:
        """The domain's template of that id, None where the domain has none."""

    async def partials(self, domain: str, titles: Collection[str]) -> list[tuple[str, str]]:
        """As `find_partials`."""

    async def suppressed(self, domain: str, tag: str, keys: Collection[str]) -> Collection[str]:
        """Those of `keys` (compared forms of addresses) that the domain suppresses for mail of this tag."""

    async def insert(self, new: NewBatch, size: int) -> SendResult:
        """All of it, committed with the transaction that the store belongs to. `size`: the request's bytes."""


class OwnStore:
    """On one connection, which may be in a transaction."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    async def template(self, template_id: str, domain: str) -> StoredTemplate | None:
        found = await find_template_bytes(self._connection, [(template_id, domain)])
        return found.get((template_id, domain))

    async def partials(self, domain: str, titles: Collection[str]) -> list[tuple[str, str]]:
        return await find_partials(self._connection, domain, titles)

    async def suppressed(self, domain: str, tag: str, keys: Collection[str]) -> Collection[str]:
        return (await find_suppressed(self._connection, {(domain, tag): keys}))[domain, tag]

    async def insert(self, new: NewBatch, size: int) -> SendResult:
        return _result(new, await insert_batch(self._connection, new))


class SharedStore:
    """Concurrent sends share each statement, and each insert commits once for all of them. `committed` has the results
    of each group, once their callers have them."""

    def __init__(self, db: Database, committed: Callable[[Sequence[SendResult]], Awaitable[None]]) -> None:
        self._db = db
        self._templates = Coalescer(self._find_templates)
        self._suppressions = Coalescer(self._find_suppressed)
        self._inserts = Coalescer(self._insert_batches, after=committed)
        self.parts = (self._templates, self._suppressions, self._inserts)
        """Each has a `run`, to be started by the owner of the store."""

    async def template(self, template_id: str, domain: str) -> StoredTemplate | None:
        return await self._templates.call((template_id, domain))

    async def partials(self, domain: str, titles: Collection[str]) -> list[tuple[str, str]]:
        async with self._db.acquire() as connection:
            return await find_partials(connection, domain, titles)

    async def suppressed(self, domain: str, tag: str, keys: Collection[str]) -> Collection[str]:
        return await self._suppressions.call(((domain, tag), keys))

    async def insert(self, new: NewBatch, size: int) -> SendResult:
        return await self._inserts.call(new, size)

    async def _find_templates(self, wanted: Sequence[tuple[str, str]]) -> list[StoredTemplate | None]:
        async with self._db.acquire() as connection:
            found = await find_template_bytes(connection, set(wanted))
        return [found.get(each) for each in wanted]

    async def _find_suppressed(self, wanted: Sequence[tuple[DomainTag, Collection[str]]]) -> list[Collection[str]]:
        keys: dict[DomainTag, set[str]] = {}
        for pair, addresses in wanted:
            keys.setdefault(pair, set()).update(addresses)
        async with self._db.acquire() as connection:
            found = await find_suppressed(connection, keys)
        return [found[pair] for pair, _ in wanted]

    @repeat_on_conflict
    async def _insert_batches(self, batches: Sequence[NewBatch]) -> list[SendResult]:
        async with self._db.acquire() as connection:
            due_at = await insert_batches(connection, batches)
        return [_result(new, at) for new, at in zip(batches, due_at, strict=True)]


def _result(new: NewBatch, due_at: "datetime") -> SendResult:
    return SendResult(new.batch.message_id, new.batch.template_id, due_at, len(new.rows), new.rejected)
