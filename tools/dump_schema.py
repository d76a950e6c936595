"""Writes sql/schema.sql, what all migrations together make: for reading, and held to the migrations by a test.

In: sql/migrations. Out: sql/schema.sql. Migrations stay the only thing that is ever applied.
"""

import re
import subprocess
import tempfile
from pathlib import Path

import anyio

from kannon.db.migrate import migrate
from kannon.embedded import DataDir, EmbeddedPostgres
from kannon.embedded.executables import installed_postgres_bin

SCHEMA = Path(__file__).resolve().parent.parent / "sql" / "schema.sql"
_PASSING = re.compile(r"--|\\|SET |SELECT pg_catalog\.set_config")
HEAD = "-- What the migrations make, written by `make schema`: to be read, never applied.\n"


def dump(url: str) -> str:
    """The schema of a migrated database, without what differs from one dump to the next."""
    options = ["--schema-only", "--no-owner", "--no-privileges", f"--dbname={url}"]
    command = [str(installed_postgres_bin() / "pg_dump"), *options]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept = [line for line in text.splitlines() if line and not _PASSING.match(line)]
    return HEAD + "\n".join(kept) + "\n"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, DataDir.open(Path(folder)) as data_dir:
        server = EmbeddedPostgres(data_dir.path, durable=False)
        await server.start()
        try:
            await migrate(server.url)
            SCHEMA.write_text(dump(server.url))
        finally:
            await server.stop()


if __name__ == "__main__":
    anyio.run(main)
