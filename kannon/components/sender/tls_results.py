"""Publishes the TLS results that the deliverer has counted, a page every FLUSH_SECONDS.

Out: kannon.tls_results. While NATS is away a page is kept and repeated under its id. A process that is killed loses the
counts of at most FLUSH_SECONDS: reports are statistics.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import uuid4

import anyio
import structlog

from kannon.errors import Unavailable
from kannon.mail.tls_report import TlsCount
from kannon.outbound.tls_results import TlsResults

log = structlog.get_logger()

FLUSH_SECONDS = 10.0
PAGE = 500  # counts in a message: a policy may have kilobytes
PAGE_BYTES = 500_000


class TlsPublisher(Protocol):
    async def publish_tls_results(self, page_id: str, counts: Sequence[TlsCount]) -> None: ...


class TlsResultPages:
    def __init__(self, bus: TlsPublisher, results: TlsResults) -> None:
        self._bus = bus
        self._results = results
        self._pages: list[tuple[str, Sequence[TlsCount]]] = []

    async def run(self) -> None:
        while True:
            await anyio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Never raises."""
        if not self._pages:
            self._pages = [(str(uuid4()), page) for page in _pages(self._results.take())]
        try:
            while self._pages:
                await self._bus.publish_tls_results(*self._pages[0])
                del self._pages[0]
        except Unavailable as error:
            log.debug("cannot publish TLS results; retrying", why=str(error))


def _pages(counts: Sequence[TlsCount]) -> list[Sequence[TlsCount]]:
    """By number and by the bytes of their policies."""
    pages: list[list[TlsCount]] = []
    size = PAGE_BYTES
    for count in counts:
        more = 1000 + sum(map(len, count.result.policy.text))
        if size + more > PAGE_BYTES or len(pages[-1]) >= PAGE:
            pages.append([])
            size = 0
        pages[-1].append(count)
        size += more
    return list(pages)
