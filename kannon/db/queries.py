"""The statements of sql/queries/*.sql, by name: `queries.claim_due(connection, page=500)`.

aiosql reads the files. Each name occurs once in the folder, and one function in kannon/db/ wraps it.
"""

from pathlib import Path
from typing import Any

import aiosql
from aiosql.adapters.asyncpg import AsyncPGAdapter

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = (_PACKAGE / "sql", _PACKAGE.parent / "sql")
"""The package kannon.sql, in a wheel and in the executable; and the top of the source tree."""

SQL = next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])


class _Adapter(AsyncPGAdapter):
    """Takes connections only. aiosql's own also takes pools, and tells the two apart with dir(), which costs a tenth of
    a millisecond for each statement."""

    async def select(
        self, conn: Any, name: str, sql: str, parameters: dict[str, object], record_class: None = None
    ) -> Any:
        for row in await conn.fetch(sql, *self._values(name, parameters)):
            yield row

    async def select_one(
        self, conn: Any, name: str, sql: str, parameters: dict[str, object], record_class: None = None
    ) -> Any:
        return await conn.fetchrow(sql, *self._values(name, parameters))

    async def select_value(self, conn: Any, name: str, sql: str, parameters: dict[str, object]) -> Any:
        return await conn.fetchval(sql, *self._values(name, parameters))

    async def insert_update_delete(self, conn: Any, name: str, sql: str, parameters: dict[str, object]) -> Any:
        return await conn.execute(sql, *self._values(name, parameters))

    def _values(self, name: str, parameters: dict[str, object]) -> list[object]:
        return [parameters[variable] for variable in self.var_sorted[name]]


_adapter: Any = _Adapter
queries: Any = aiosql.from_path(SQL / "queries", _adapter, mandatory_parameters=False)
