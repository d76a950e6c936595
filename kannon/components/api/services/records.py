"""kannon.admin.v1.Records: the DNS records of a domain, and what the name servers say of each."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import anyio

from kannon.components.api.callers import Admin
from kannon.components.api.services.arguments import domain_name, found
from kannon.db import dkim_keys, domains
from kannon.db.pool import Database
from kannon.errors import Unavailable
from kannon.mail.dns.records import Kind, Record, RecordCheck, ServerNames, check_record, name_warnings, records_for
from kannon.pb.admin.v1 import records_pb2 as pb

LOOKUP_SECONDS = 4.0
"""A person waits for the page."""
LOOKUP_FAILED = RecordCheck(False, "look-up failed", "check dns.nameservers, then look again")
Lookup = Callable[[str, Kind], Awaitable[Sequence[str]]]
"""A name and a kind → its records. Raises Unavailable."""


class RecordMethods:
    """`servers`: the host names of this installation. `window` is the retry window: a retired key stays published that
    long."""

    def __init__(self, db: Database, look_up: Lookup, servers: ServerNames, window: timedelta) -> None:
        self._db = db
        self._look_up = look_up
        self._servers = servers
        self._window = window

    async def CheckRecords(self, caller: Admin, request: pb.CheckRecordsRequest) -> pb.CheckRecordsResponse:
        domain = domain_name(request.domain)
        found(await domains.find_domain(self._db, domain), f'domain: no domain "{domain}"')
        now = datetime.now(UTC)
        keys = await dkim_keys.list_dkim_keys(self._db, domain)
        published = [key.record for key in keys if key.must_be_published(now, self._window)]
        records = records_for(domain, published, self._servers)
        checks = [LOOKUP_FAILED] * len(records)

        async def check(index: int, record: Record) -> None:
            with anyio.move_on_after(LOOKUP_SECONDS), suppress(Unavailable):
                checks[index] = check_record(record, await self._look_up(record.name, record.kind))

        async with anyio.create_task_group() as group:
            for index, record in enumerate(records):
                group.start_soon(check, index, record)
        return pb.CheckRecordsResponse(
            records=[_to_record(*each) for each in zip(records, checks, strict=True)],
            warnings=name_warnings(self._servers),
        )


def _to_record(record: Record, check: RecordCheck) -> pb.DnsRecord:
    return pb.DnsRecord(
        purpose=record.purpose.value,
        name=record.name,
        kind=record.kind.value,
        value=record.value,
        good=check.good,
        problem=check.problem,
        hint=check.hint,
    )
