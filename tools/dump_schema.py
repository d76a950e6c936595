"""Writes sql/schema.sql, the schema that all migrations produce, for readers.

In: sql/migrations. Out: sql/schema.sql. A test compares the two. Kannon applies migrations only, never this file.
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
_VOLATILE = re.compile(r"--|\\|SET |SELECT pg_catalog\.set_config")
HEAD = "-- What the migrations make, written by `make schema`: to be read, never applied.\n"


def dump(url: str) -> str:
    """The schema of a migrated database, without the lines that differ between two dumps."""
    options = ["--schema-only", "--no-owner", "--no-privileges", f"--dbname={url}"]
    command = [str(installed_postgres_bin() / "pg_dump"), *options]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept = [line for line in text.splitlines() if line and not _VOLATILE.match(line)]
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
