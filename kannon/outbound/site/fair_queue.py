"""A queue that serves tenants in turn, and each tenant's entries in the order of their arrival. No I/O, no clock.

In: entries with their tenant and time of arrival. Out: the next entry, the entries that have waited too long, and the
entry to shed when the queue is full. A hundred thousand mails of one tenant delay another tenant's single mail by one
mail.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    def __init__(self) -> None:
        self._tenants: OrderedDict[str, OrderedDict[T, float]] = OrderedDict()  # next tenant first; times of arrival
        self._tenant_of: dict[T, str] = {}

    def __len__(self) -> int:
        return len(self._tenant_of)

    def push(self, tenant: str, entry: T, now: float) -> None:
        self._tenant_of[entry] = tenant
        self._tenants.setdefault(tenant, OrderedDict())[entry] = now

    def remove(self, entry: T) -> None:
        """Does nothing for an entry that is not queued."""
        tenant = self._tenant_of.pop(entry, None)
        if tenant is not None:
            entries = self._tenants[tenant]
            del entries[entry]
            if not entries:
                del self._tenants[tenant]

    def pop(self) -> T | None:
        """Removes the next entry."""
        if not self._tenants:
            return None
        tenant, entries = next(iter(self._tenants.items()))
        entry = next(iter(entries))
        self._tenants.move_to_end(tenant)
        self.remove(entry)
        return entry

    def pop_older(self, before: float) -> list[T]:
        """Removes the entries that arrived at `before` or earlier."""
        older = [entry for entries in self._tenants.values() for entry in _until(entries, before)]
        for entry in older:
            self.remove(entry)
        return older

    def shed(self, tenant: str) -> T | None:
        """Removes the latest entry of the tenant with the most entries, if that tenant then still has no fewer than
        `tenant` has with one more."""
        most = max(self._tenants.values(), key=len, default=None)
        if most is None or len(most) < len(self._tenants.get(tenant, ())) + 2:
            return None
        entry = next(reversed(most))
        self.remove(entry)
        return entry


def _until(entries: OrderedDict[T, float], before: float) -> list[T]:
    found = []
    for entry, arrived in entries.items():
        if arrived > before:
            break
        found.append(entry)
    return found
