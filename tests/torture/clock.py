"""The injected clock: Kannon's processes by a preloaded library, PostgreSQL by a now() of its own.

In: seconds. Out: every Kannon process and every statement sees the wall clock shifted by them. NATS keeps the true
time, and so do all monotonic clocks. The product has no hook for it.
"""

import shutil
import struct
import subprocess
from pathlib import Path

import asyncpg

_SOURCE = Path(__file__).with_name("clock.c")
_SKEW = """
CREATE SCHEMA IF NOT EXISTS skew;
CREATE TABLE IF NOT EXISTS skew.clock (shift interval NOT NULL);
INSERT INTO skew.clock SELECT interval '0' WHERE NOT EXISTS (SELECT FROM skew.clock);
CREATE OR REPLACE FUNCTION skew.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$SELECT pg_catalog.now() + (SELECT shift FROM skew.clock)$$;
"""


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
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(_SKEW)
            name = await connection.fetchval("SELECT current_database()")
            await connection.execute(f"ALTER DATABASE {name} SET search_path = skew, pg_catalog, public")
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        finally:
            await connection.close()

    async def shift(self, url: str, seconds: int) -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(f"UPDATE skew.clock SET shift = interval '{seconds} seconds'")
        finally:
            await connection.close()
        with self._file.open("r+b") as file:
            file.write(struct.pack("l", seconds))
