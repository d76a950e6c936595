"""Connects to a next hop: its hosts and addresses in order, until one of them accepts the session.

In: a `NextHop`, and the addresses to leave out. Out: a `Session`, or the failure to report.
"""

from collections.abc import Set
from contextlib import aclosing
from dataclasses import replace

from kannon.mail.tls_report import TlsResult
from kannon.mail.verdict import Stage
from kannon.outbound.client.connect import Connector, Target
from kannon.outbound.client.session import Session
from kannon.outbound.route.routing import NextHop, Router
from kannon.outbound.trouble import Failure, Kind, worse

NO_OTHER_HOST = Failure(Kind.CONNECT, Stage.CONNECT, reason="no other host")


class Dialer:
    def __init__(self, router: Router, connector: Connector) -> None:
        self._router = router
        self._connector = connector

    async def dial(self, hop: NextHop, tried: Set[str] = frozenset()) -> Session | Failure:
        """Of several failures the one that got furthest. The result has those of TLS of all hosts that were tried."""
        worst: Failure | None = None
        results: tuple[TlsResult, ...] = ()
        async with aclosing(self._router.targets(hop)) as targets:
            async for target in targets:
                if isinstance(target, Failure):
                    results += target.results
                    worst = worse(worst, target) if worst else target
                elif target.address not in tried:
                    opened = await self._connector.open(target, hop.policy, hop.site, hop.sources)
                    results += opened.results
                    if isinstance(opened, Session):
                        opened.results = results
                        return opened
                    opened = replace(opened, host=target.host)
                    worst = worse(worst, opened) if worst else opened
        return replace(worst, results=results) if worst is not None else NO_OTHER_HOST

    async def has_another(self, hop: NextHop, tried: Set[str]) -> bool:
        """Whether `dial` would connect to any address at all."""
        async with aclosing(self._router.targets(hop)) as targets:
            async for target in targets:
                if isinstance(target, Target) and target.address not in tried:
                    return True
        return False
