"""Counts how the TLS of connections ended, for the reports of TLS-RPT (RFC 8460).

In: results by recipients' domain. Out: counts since the last `take`. Memory is bounded: beyond MAX_KINDS, results are
counted without their reasons and addresses.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime

from kannon.mail.tls_report import MAX_REASON, TlsCount, TlsResult

MAX_KINDS = 20_000


class TlsResults:
    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._counts: Counter[tuple[date, str, TlsResult]] = Counter()

    def add(self, domain: str, results: Iterable[TlsResult]) -> None:
        day = self._clock().date()
        for result in results:
            if len(self._counts) >= MAX_KINDS:
                result = replace(result, reason="", address="", local_address="")
            elif len(result.reason) > MAX_REASON:
                result = replace(result, reason=result.reason[:MAX_REASON])
            self._counts[day, domain, result] += 1

    def take(self) -> list[TlsCount]:
        taken, self._counts = self._counts, Counter()
        return [TlsCount(day, domain, result, count) for (day, domain, result), count in taken.items()]
