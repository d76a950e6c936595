"""The injected clock: Kannon's processes by a preloaded library, PostgreSQL by a now() of its own.

In: seconds. Out: every Kannon process and every statement sees the wall clock shifted by them. NATS keeps the true
time, and so do all monotonic clocks. The product has no hook for it.
"""

import shutil
import struct
import subprocess
from datetime import timedelta
from pathlib import Path

import asyncpg

from tests.support.skew import install_skew, set_skew

_SOURCE = Path(__file__).with_name("clock.c")


class Clock:
    """`environ` is for each process, before it starts; `install` for the database, before its clients connect."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._library = folder / "clock.so"
        self._file.write_bytes(struct.pack("l", 0))
        compiler = shutil.which("cc")
        self.available = compiler is not None
        if compiler:
            subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", self._library, _SOURCE], check=True)

    @property
    def environ(self) -> dict[str, str]:
        if not self.available:
            return {}
        return {"LD_PRELOAD": str(self._library), "CAMPAIGN_CLOCK": str(self._file)}

    async def install(self, url: str) -> None:
        """New connections see the shifted clock; those that exist are cut."""
        await install_skew(url)
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        finally:
            await connection.close()

    async def shift(self, url: str, seconds: int) -> None:
        await set_skew(url, timedelta(seconds=seconds))
        with self._file.open("r+b") as file:
            file.write(struct.pack("l", seconds))
