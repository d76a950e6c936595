"""Who waits for a destination: tenants take turns, and each one's own come in the order they arrived. No I/O, no clock.

In: who joins, of which tenant, and when. Out: who is next, who has waited too long, and who gives a place up when the
line is full and a tenant comes that has fewer in it. So a hundred thousand mails of one tenant stand as one before
another's single mail.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    def __init__(self) -> None:
        self._tenants: OrderedDict[str, OrderedDict[T, float]] = OrderedDict()  # in order of turns; since when
        self._tenant_of: dict[T, str] = {}

    def __len__(self) -> int:
        return len(self._tenant_of)

    def join(self, tenant: str, who: T, now: float) -> None:
        self._tenant_of[who] = tenant
        self._tenants.setdefault(tenant, OrderedDict())[who] = now

    def leave(self, who: T) -> None:
        """Harmless for whoever is not in it."""
        tenant = self._tenant_of.pop(who, None)
        if tenant is not None:
            waiting = self._tenants[tenant]
            del waiting[who]
            if not waiting:
                del self._tenants[tenant]

    def next(self) -> T | None:
        """Takes out whose turn it is."""
        if not self._tenants:
            return None
        tenant, waiting = next(iter(self._tenants.items()))
        who = next(iter(waiting))
        self._tenants.move_to_end(tenant)
        self.leave(who)
        return who

    def late(self, before: float) -> list[T]:
        """Takes out all who have waited since `before` or longer."""
        late = [who for waiting in self._tenants.values() for who in _until(waiting, before)]
        for who in late:
            self.leave(who)
        return late

    def make_way(self, tenant: str) -> T | None:
        """Takes out the last who came of the tenant with the most, where that leaves it no fewer than `tenant` then
        has."""
        most = max(self._tenants.values(), key=len, default=None)
        if most is None or len(most) < len(self._tenants.get(tenant, ())) + 2:
            return None
        who = next(reversed(most))
        self.leave(who)
        return who


def _until(waiting: OrderedDict[T, float], before: float) -> list[T]:
    found = []
    for who, since in waiting.items():
        if since > before:
            break
        found.append(who)
    return found
