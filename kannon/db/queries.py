"""The statements of sql/queries/*.sql, by name: `queries.claim_due(connection, page=500)`.

aiosql reads the files; each name stands once in the whole folder and is wrapped by exactly one function in kannon/db/.
"""

import sys
from pathlib import Path
from typing import Any

import aiosql

_ROOT = Path(getattr(sys, "_MEIPASS", Path(__file__).resolve().parent.parent.parent))
"""Where sql/ lies: the unpacked executable, or the source tree."""

SQL = _ROOT / "sql"

queries: Any = aiosql.from_path(SQL / "queries", "asyncpg", mandatory_parameters=False)
