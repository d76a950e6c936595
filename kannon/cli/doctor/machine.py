"""The machine: clock, disk, open files, certificates.

In: the configuration. Out: findings. These functions block; they are not for the event loop's thread.
"""

import ctypes
import os
import resource
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

from kannon.cli.doctor.finding import Finding, bad, good, unknown, warn
from kannon.config import reserve_bytes

OPEN_FILES: Final = 65_536
"""The limit that `kannon serve` asks for."""
_TIMEX_BYTES: Final = 512  # struct timex takes 208; all zero, it reads and changes nothing
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronized
_SYNCS: Final = 15
_SLOW_SYNC_MS: Final = 20.0
_VERY_SLOW_SYNC_MS: Final = 100.0
_RENEW: Final = timedelta(days=14)
_AS_SERVER: Final = "run kannon doctor as the user of kannon serve"


def is_clock_synchronized() -> bool | None:
    """As the kernel says, which NTP daemons tell. None: the kernel does not say."""
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR


def examine_clock(synchronized: Callable[[], bool | None] = is_clock_synchronized) -> Finding:
    match synchronized():
        case True:
            return good("clock", "synchronized")
        case False:
            return warn(
                "clock",
                "not synchronized: a wrong time in Date and DKIM-Signature makes mail look forged",
                "run an NTP client, such as chrony or systemd-timesyncd",
            )
        case None:
            return unknown("clock", "the kernel does not say whether it is synchronized", "check it with timedatectl")


def examine_disk(data_dir: Path, reserve: str) -> list[Finding]:
    """`reserve` as in the configuration."""
    try:
        found = os.statvfs(data_dir)
    except OSError as error:
        return [bad("disk", f"data_dir {data_dir}: {error.strerror}", "start kannon serve once, or correct data_dir")]
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    least = reserve_bytes(reserve, total)
    said = f"{free >> 20} MiB of {total >> 20} MiB are free"
    if free < least:
        space = bad("disk", f"{said}: sends are refused below {least >> 20} MiB", "make room, or lower disk.reserve")
    elif free < 2 * least:
        space = warn("disk", f"{said}; sends are refused below {least >> 20} MiB", "make room")
    else:
        space = good("disk", said)
    return [space, _examine_sync(data_dir)]


def _examine_sync(data_dir: Path) -> Finding:
    try:
        took = measure_sync(data_dir)
    except OSError as error:
        return unknown("disk sync", f"cannot write in {data_dir}: {error.strerror}", _AS_SERVER)
    return judge_sync(took)


def measure_sync(folder: Path) -> float:
    """Milliseconds for 8 KiB, written and synced, as a commit of PostgreSQL does. The median of several."""
    path = folder / f".doctor-{os.getpid()}"
    took = []
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for number in range(_SYNCS):
            began = time.perf_counter()
            os.pwrite(file, bytes(8192), number * 8192)
            os.fdatasync(file)
            took.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(file)
        path.unlink()
    return median(took)


def judge_sync(milliseconds: float) -> Finding:
    said = f"{milliseconds:.1f} ms a write"
    if milliseconds >= _VERY_SLOW_SYNC_MS:
        return bad("disk sync", f"{said}: every commit waits for it", "put data_dir on a faster disk (SSD)")
    if milliseconds >= _SLOW_SYNC_MS:
        return warn("disk sync", f"{said}: single mails will be slow", "put data_dir on a faster disk (SSD)")
    return good("disk sync", said)


def examine_master_key(data_dir: Path, configured: bool, embedded: bool) -> Finding:
    """`configured`: master_key has it. `embedded`: kannon serve generates it in data_dir."""
    file = data_dir / "master_key"
    if configured:
        return good("master key", "configured")
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        if embedded:
            return unknown("master key", f"{file} is not there yet", "start kannon serve once: it generates the key")
        return bad("master key", "missing: no mail can be signed", "set master_key: kannon secrets generate prints one")
    except OSError as error:
        return unknown("master key", f"{file}: {error.strerror}", _AS_SERVER)
    if mode & 0o077:
        return bad("master key", f"other users can read {file}", f"chmod 0600 {file}, then kannon secrets rotate")
    return good("master key", f"{file}; backups of the database do not contain it")


def examine_open_files(limit: int | None = None) -> Finding:
    """`limit`: the most that a process may ask for; None: this process's."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if limit is None else limit
    if hard == resource.RLIM_INFINITY or hard >= OPEN_FILES:
        return good("open files", "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard}")
    return warn(
        "open files",
        f"at most {hard}: many connections at once will fail",
        f"set LimitNOFILE={OPEN_FILES} in the unit, or ulimit -n {OPEN_FILES}",
    )


def examine_certificates(expiries: Mapping[str, datetime], now: datetime) -> list[Finding]:
    """`expiries` by key of the configuration."""
    findings = []
    for key, expires in expiries.items():
        date = f"{expires:%Y-%m-%d}"
        if expires <= now:
            findings.append(bad(key, f"expired on {date}: clients refuse the connection", "renew it"))
        elif expires - now < _RENEW:
            findings.append(warn(key, f"expires on {date}", "renew it"))
        else:
            findings.append(good(key, f"valid until {date}"))
    return findings
