"""What the inbound SMTP server looks up in PostgreSQL: deliveries, bounce secrets, tenant domains.

Implements handler.Registry over the database and the bus.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from kannon.bus.bus import Bus
from kannon.bus.streams import STATS
from kannon.db import domains, keys, reports
from kannon.db.pool import Database
from kannon.db.queue import DeliveryRef, find_delivery
from kannon.errors import Unavailable
from kannon.mail.reports.report import DmarcReport, ReceivedTlsReport


@dataclass(frozen=True, slots=True)
class DatabaseRegistry:
    """A finished delivery is found through its events, so `find_delivery` is sure only when no event waits."""

    db: Database
    bus: Bus

    async def find_delivery(self, delivery_id: int) -> DeliveryRef | None:
        """None when the delivery does not exist. Raises Unavailable while events wait to be stored."""
        found = await find_delivery(self.db, delivery_id)
        if found is None:
            if (await self.bus.progress(STATS)).waiting:
                raise Unavailable(f"delivery {delivery_id} is not found, but the statistics lag behind")
            found = await find_delivery(self.db, delivery_id)  # an event may be stored between the two reads
        return found

    async def bounce_secrets(self) -> Sequence[bytes]:
        return await keys.bounce_secrets(self.db, generate=secrets.token_bytes)

    async def has_room_for_report(self, domain: str) -> bool:
        return await reports.has_room(self.db, domain)

    async def store_report(self, domain: str, report: DmarcReport | ReceivedTlsReport) -> bool:
        """False where it is stored already."""
        return await reports.insert_report(self.db, domain, report)

    async def is_tenant_domain(self, domain: str) -> bool:
        return await domains.find_domain(self.db, domain) is not None
