"""The statements of sql/queries/*.sql, by name: `queries.claim_due(connection, page=500)`.

aiosql reads the files. Each name occurs once in the folder, and one function in kannon/db/ wraps it.
"""

from pathlib import Path
from typing import Any

import aiosql

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = (_PACKAGE / "sql", _PACKAGE.parent / "sql")
"""The package kannon.sql, in a wheel and in the executable; and the top of the source tree."""

SQL = next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])

queries: Any = aiosql.from_path(SQL / "queries", "asyncpg", mandatory_parameters=False)
