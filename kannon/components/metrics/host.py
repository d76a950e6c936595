"""The numbers of the machine: free disk, certificates, the last backup.

In: a Host. Out: metric families; those of a thing that this process does not have are absent.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from anyio import to_thread
from prometheus_client import Metric

from kannon.metrics import names


class DiskUsage(Protocol):
    """Bytes."""

    @property
    def free(self) -> int: ...
    @property
    def reserve(self) -> int: ...


class Disk(Protocol):
    """Of the data directory."""

    @property
    def path(self) -> Path: ...
    @property
    def usage(self) -> DiskUsage | None: ...


@dataclass(frozen=True, slots=True)
class Host:
    """`disk` None: this process has no embedded server. `last_backup` None: it has no embedded database; it reads a
    file, and its result None means that there is no backup. `certificates`: reads when each TLS file in use expires, by
    the key of the configuration, and each certificate that Kannon has ordered, by its name."""

    disk: Disk | None = None
    last_backup: Callable[[], datetime | None] | None = None
    certificates: Callable[[], Mapping[str, datetime]] = dict


async def read_host(host: Host) -> list[Metric]:
    return [
        *_of_disk(host.disk),
        *_of_certificates(await to_thread.run_sync(host.certificates)),
        *await _of_backup(host.last_backup),
    ]


def _of_disk(disk: Disk | None) -> list[Metric]:
    if disk is None or disk.usage is None:
        return []
    free, reserve = names.DISK_FREE.gauge(), names.DISK_RESERVE.gauge()
    free.add_metric([str(disk.path)], disk.usage.free)
    reserve.add_metric([str(disk.path)], disk.usage.reserve)
    return [free, reserve]


def _of_certificates(certificates: Mapping[str, datetime]) -> list[Metric]:
    expiry = names.CERTIFICATE_EXPIRY.gauge()
    for key, expires_at in certificates.items():
        expiry.add_metric([key], (expires_at - datetime.now(UTC)).total_seconds())
    return [expiry] if certificates else []


async def _of_backup(last_backup: Callable[[], datetime | None] | None) -> list[Metric]:
    if last_backup is None:
        return []
    written_at = await to_thread.run_sync(last_backup)
    age = names.BACKUP_AGE.gauge()
    age.add_metric([], math.inf if written_at is None else (datetime.now(UTC) - written_at).total_seconds())
    return [age]
