"""The statements of sql/queries/*.sql, by name: `queries.claim_due(connection, page=500)`.

aiosql reads the files; each name stands once in the whole folder and is wrapped by exactly one function in kannon/db/.
"""

from pathlib import Path
from typing import Any

import aiosql

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "sql", _PACKAGE.parent / "sql")
"""The package kannon.sql, where a wheel and the executable have it; and the top of the source tree."""

SQL = next((place for place in _PLACES if place.is_dir()), _PLACES[0])

queries: Any = aiosql.from_path(SQL / "queries", "asyncpg", mandatory_parameters=False)
